"""What is to be sent: Orthanc ids, objects that have one, or whatever else the caller's finder understands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from simple_orthanc.errors import EmptySelectionError, JobError, NotFoundError, SelectionError, ServerError

if TYPE_CHECKING:
    from simple_orthanc.rest.api import RestApi

ResourceFinder: TypeAlias = Callable[[Any, bool], "list[str]"]
"""Returns the Orthanc ids of what is to be sent; the flag allows a session that was never narrowed."""


def orthanc_ids(what: Any) -> list[str]:
    """Return the Orthanc ids that are given as strings or as objects with an ``id``, each once.

    Parameters
    ----------
    what : str, object with ``id``, or iterable of these
        The resources.

    Raises
    ------
    EmptySelectionError
        There are none.
    SelectionError
        Something is neither an id nor an object with one.

    Examples
    --------
    >>> orthanc_ids(["6b9e19d9-62094390", "4a191ae7-9766b715", "6b9e19d9-62094390"])
    ['6b9e19d9-62094390', '4a191ae7-9766b715']
    """
    items = list(what) if isinstance(what, Iterable) and not isinstance(what, (str, bytes)) else [what]
    ids = [item if isinstance(item, str) else getattr(item, "id", None) for item in items]
    for item, identifier in zip(items, ids, strict=True):
        if not isinstance(identifier, str) or not identifier:
            raise SelectionError(
                f"{item!r} cannot be sent: give a session, the Orthanc id of a patient, study, series or instance, "
                "an object such as rest.series[id], or a list of these."
            )
    if not ids:
        raise EmptySelectionError("Nothing was given, so nothing was sent.")
    return list(dict.fromkeys(identifier for identifier in ids if isinstance(identifier, str)))


def levels_of(rest: RestApi, ids: Sequence[str]) -> dict[str, str]:
    """Return the level of each object, as Orthanc writes it.

    Raises
    ------
    NotFoundError
        The server does not hold all of them; the message names those.
    """
    listed = rest.post("/tools/bulk-content", {"Resources": ids, "Short": True}, idempotent=True)
    levels = {str(item["ID"]): str(item["Type"]) for item in listed}
    missing = [identifier for identifier in ids if identifier not in levels]
    if missing:
        raise NotFoundError(
            f"{rest.url} holds no patient, study, series or instance with the Orthanc id {', '.join(missing)}, so "
            "nothing was sent. orthanc.rest.studies.lookup(uid) finds a study by its UID, and so do the other levels.",
            status=404,
            method="POST",
            path="/tools/bulk-content",
        )
    return {identifier: levels[identifier] for identifier in ids}


def instance_uids(rest: RestApi, ids: Sequence[str]) -> list[str]:
    """Return the SOPInstanceUIDs of all instances of some objects; unknown ids are left out."""
    body = {"Resources": ids, "Level": "Instance", "Metadata": False, "Short": True}
    listed = rest.post("/tools/bulk-content", body, idempotent=True)
    return list(dict.fromkeys(str(item["MainDicomTags"]["0008,0018"]) for item in listed if item))


@contextmanager
def naming_unknown_ids(rest: RestApi, ids: Sequence[str]) -> Iterator[None]:
    """Raise `NotFoundError` with the ids that are unknown if Orthanc refuses a request about some, since it does not.

    Parameters
    ----------
    rest : Rest
        The REST API of the server.
    ids : sequence of str
        What is to be sent.
    """
    try:
        yield
    except ServerError as error:
        if error.status in (400, 404) and not isinstance(error, JobError):
            levels_of(rest, ids)
        raise
