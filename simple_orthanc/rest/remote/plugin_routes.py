"""Routes that a plugin adds: without it they are unsupported, which is not the same as a missing object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from simple_orthanc.errors import NotFoundError, ServerError, UnsupportedError

_UNKNOWN_ROUTE = "OrthancStatus 17"


@contextmanager
def needing_plugin(name: str, where: str) -> Iterator[None]:
    """Raise `UnsupportedError` if the server does not know a route inside the block.

    Parameters
    ----------
    name : str
        The plugin that adds the route, as in ``"the transfers accelerator plugin"``.
    where : str
        Where to get it, as a sentence.
    """
    try:
        yield
    except ServerError as error:
        # Orthanc's code for an unknown route; an unknown object has another one.
        is_unknown = isinstance(error, NotFoundError) and (_UNKNOWN_ROUTE in error.details or not error.details)
        if not is_unknown and error.status != 405:
            raise
        path = error.path
    else:
        return
    raise UnsupportedError(f"The server has no route {path}, which {name} adds. {where}")
