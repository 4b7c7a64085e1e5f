"""The selection as a dictionary: to be looked at, kept and assigned again, and not to be changed in place."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Set
from typing import Any, NoReturn

from pydicom.multival import MultiValue

from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.selection import Selection
from simple_orthanc.selection.source import Source


class SelectionView(dict[str, Any]):
    """What is selected: tag to value, as `Session.selection` gives it.

    Equal to a plain dictionary with the same items, and a plain dictionary when it is copied. It is a copy itself, so
    changing it would change no selection; that is refused instead of doing nothing.

    Parameters
    ----------
    items : mapping
        Tag to value.
    selection, source : optional
        Where the items come from. Assigned to a session on the same source, their texts keep the meaning that they
        were found to have.
    """

    def __init__(
        self, items: Mapping[str, Any], selection: Selection | None = None, source: Source | None = None
    ) -> None:
        super().__init__(items)
        self._selection, self._source = selection, source

    def selection_on(self, source: Source) -> Selection | None:
        """Give the selection that this was, if it was one on this source."""
        return self._selection if self._source is source else None

    def __reduce__(self) -> tuple[type[SelectionView], tuple[dict[str, Any]]]:
        # A source may know a password, and the archive is another one where this is read again.
        return (SelectionView, (dict(self),))

    def __setitem__(self, name: str, value: Any) -> NoReturn:
        raise SelectionError(
            f"selection[{name!r}] = {value!r} would change a copy, and select nothing. To narrow the selection write "
            f"select(**{{{name!r}: {value!r}}}); to replace what stands there write selection = "
            f"{{**session.selection, {name!r}: {value!r}}}."
        )

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise SelectionError(
            "The dictionary that selection gives is a copy, and changing it would change no selection. To take back "
            "what was asked of a tag write reset(tag); for a dictionary of your own write dict(session.selection)."
        )

    __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def unshared(value: Any) -> Any:
    """Give a value that nobody else can change: lists and their like are copied, whatever else there is stays.

    Examples
    --------
    >>> given = ["CT", ["PT"]]
    >>> unshared(given) == given, unshared(given)[1] is given[1]
    (True, False)
    """
    if isinstance(value, list):
        return [unshared(item) for item in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(unshared(item) for item in value)
    if isinstance(value, Set) and not isinstance(value, frozenset):
        return set(value) if isinstance(value, set) else list(value)
    if isinstance(value, MultiValue):
        return copy.deepcopy(value)
    # Arrays, Series and the like.
    return value.copy() if hasattr(value, "__array__") and hasattr(value, "copy") else value
