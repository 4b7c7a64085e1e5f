"""What is to be sent: Orthanc ids, objects that have one, or whatever else the caller's finder understands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from simple_orthanc.errors import EmptySelectionError, SelectionError

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
