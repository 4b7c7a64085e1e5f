"""The sessions of consecutive series, made in groups, so that the series of a group are listed and read together.

What is read of a series is released with its group, so that memory does not grow with the number of series.
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

_GROUP_SIZE = 256


class Neighbours(Generic[Child]):
    """The sessions of series, which several threads take nearly in order.

    Parameters
    ----------
    session : Session
        The session that has selected them, each as a whole. It is not changed.
    keys : sequence of str
        Keys of the series, in the order of the session.
    alone : callable
        Called with the position of a key; returns a session of that series outside any group.
    """

    def __init__(self, session: Child, keys: Sequence[str], alone: Callable[[int], Child]) -> None:
        self._session, self._keys, self._alone = session, keys, alone
        self._lock = threading.Lock()
        self._groups: dict[int, Children[Child] | None] = {}

    def child(self, position: int) -> Child:
        """Return the session of a series, given the position of its key."""
        number, offset = divmod(position, _GROUP_SIZE)
        with self._lock:
            if number not in self._groups:
                # Other threads may still be in the group before.
                self._forget([each for each in self._groups if each < number - 1])
                self._groups[number] = self._group(self._keys[number * _GROUP_SIZE :][:_GROUP_SIZE])
            group = self._groups[number]
        return self._alone(position) if group is None else group[offset]

    def _group(self, keys: Sequence[str]) -> Children[Child] | None:
        """Return the sessions of some series; None if the archive does not have all of them any more."""
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
        """Stop reading ahead."""
        with self._lock:
            self._forget(list(self._groups))
