"""What a PACS does not know: told once for a table, as an error where a condition depends on it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from simple_orthanc.concurrency.contexts import Setting
from simple_orthanc.errors import UnsupportedError, stacklevel

_on_unknown: ContextVar[set[str] | None] = ContextVar("on_unknown", default=None)
_is_deciding: ContextVar[bool] = ContextVar("is_deciding", default=False)


def deciding() -> Setting[bool]:
    """Raise inside a block if a value is unknown, since a condition depends on it; elsewhere there is a warning."""
    return Setting(_is_deciding, True)


@contextmanager
def collecting_unknown(description: str) -> Iterator[None]:
    """Warn once, at the end of the block, of all tags whose values were unknown inside it."""
    names: set[str] = set()
    with Setting(_on_unknown, names):
        yield
    if names:
        _warn_of_unknown(names, description)


def _warn_of_unknown(names: Collection[str], description: str) -> None:
    warnings.warn(
        f"{', '.join(sorted(names))}: {description} does not answer with this, so it is unknown here, and not missing. "
        "retrieve() brings the images to the Orthanc; the session that it returns knows it.",
        stacklevel=stacklevel(),
    )


def tell_unknown(names: Collection[str], description: str) -> None:
    """Raise, warn, or keep for a later warning that the values of some tags are unknown.

    Parameters
    ----------
    names : collection of str
        The tags.
    description : str
        The PACS in messages.

    Raises
    ------
    UnsupportedError
        A condition depends on them: see `deciding`.
    """
    if _is_deciding.get():
        raise UnsupportedError(
            f"{', '.join(sorted(names))}: {description} does not answer with this, so that nothing can be selected by "
            "it here. Select by other tags; then retrieve() brings the images to the Orthanc, and on the session that "
            "it returns this can be selected too."
        )
    collected = _on_unknown.get()
    if collected is None:
        _warn_of_unknown(names, description)
    else:
        collected.update(names)


def needs_retrieval(what: str, description: str) -> UnsupportedError:
    """Return the error for what only the files hold."""
    return UnsupportedError(
        f"{what}: {description} hands over no files, and C-FIND knows no more than the usual tags of studies, series "
        "and images. retrieve() brings what is selected to the Orthanc, and returns a session that can read it."
    )
