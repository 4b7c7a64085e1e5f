"""Two small containers: child sessions, and volumes that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from simple_orthanc.volume.volume import Volume

Child = TypeVar("Child")


class Children(Sequence[Child], Generic[Child]):
    """Child sessions, each made when it is asked for."""

    def __init__(self, keys: Sequence[str], make: Callable[[str], Child]) -> None:
        self._keys, self._make = tuple(keys), make

    @overload
    def __getitem__(self, place: int) -> Child: ...
    @overload
    def __getitem__(self, place: slice) -> Children[Child]: ...
    def __getitem__(self, place: int | slice) -> Child | Children[Child]:
        if isinstance(place, slice):
            return Children(self._keys[place], self._make)
        return self._make(self._keys[place])

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<{len(self)} sessions>"


class LazyVolumes(Mapping[str, Any]):
    """Volumes by their labels; each is read when it is asked for, and not kept."""

    def __init__(self, labels: Sequence[str], read: Callable[[str], Volume]) -> None:
        self._labels, self._read = tuple(labels), read

    def __getitem__(self, label: str) -> Volume:
        if label not in self._labels:
            raise KeyError(label)
        return self._read(label)

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return f"<{len(self)} volumes: {', '.join(self._labels)}>"
