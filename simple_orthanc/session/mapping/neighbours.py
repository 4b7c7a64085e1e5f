"""The sessions of series that are computed in a row, made for many at a time, so that they are read together.

What is read of a series is kept with those around it and forgotten with them: memory does not grow with each of
thousands.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from simple_orthanc.selection.index import part_of

if TYPE_CHECKING:
    from simple_orthanc.session.containers import Children
    from simple_orthanc.session.looking import Looking

Child = TypeVar("Child", bound="Looking")

_TOGETHER = 256


class Neighbours(Generic[Child]):
    """The sessions of series, which several threads take nearly in their order.

    Parameters
    ----------
    session : Session
        In whose selection they are, and of none of them a part only. It is not changed.
    keys : sequence of str
        Keys of the series, in the order of the session.
    alone : callable
        Called with the position of a key; returns the session of a series by itself.
    """

    def __init__(self, session: Child, keys: Sequence[str], alone: Callable[[int], Child]) -> None:
        self._session, self._keys, self._alone = session, keys, alone
        self._lock = threading.Lock()
        self._groups: dict[int, Children[Child] | None] = {}

    def child(self, position: int) -> Child:
        """Return the session of a series, given the position of its key."""
        number, offset = divmod(position, _TOGETHER)
        with self._lock:
            if number not in self._groups:
                # Others may still be in the group before.
                self._forget([each for each in self._groups if each < number - 1])
                self._groups[number] = self._group(self._keys[number * _TOGETHER :][:_TOGETHER])
            group = self._groups[number]
        return self._alone(position) if group is None else group[offset]

    def _group(self, keys: Sequence[str]) -> Children[Child] | None:
        """Return the sessions of some series; None if they are not what they were."""
        together = self._session.copy()
        together._selection = replace(self._session._selection, level="series", keys=tuple(keys))
        together._index = part_of(self._session._index, "series", keys)
        children = together._children("series")
        return children if children._keys == tuple(keys) else None

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            group = self._groups.pop(number)
            if group is not None:
                group._leave()

    def leave(self) -> None:
        """Read nothing ahead any more."""
        with self._lock:
            self._forget(list(self._groups))
