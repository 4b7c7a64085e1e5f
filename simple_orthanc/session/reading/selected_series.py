"""The selected series with their instances, which are listed for many series at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from simple_orthanc.errors import SelectionError
from simple_orthanc.selection import tables
from simple_orthanc.selection.index import raise_if_gone
from simple_orthanc.selection.source import Row

if TYPE_CHECKING:
    from simple_orthanc.session.reading.headers import ReadingHeaders

# Number of instances that are listed at a time, at first and later. The first ones are enough for two groups of small
# series, so that the second does not wait for another listing.
_FIRST_INSTANCES, _MOST_INSTANCES = 200, 4000


@dataclass(frozen=True)
class SelectedInstance:
    """A selected instance: the source's key, the key of its series, and its SOPInstanceUID where that is known."""

    key: str
    series: str
    uid: str | None = None

    @property
    def name(self) -> str:
        """How messages name it."""
        return self.uid or self.key


@dataclass(frozen=True)
class ListedSeries:
    """A series, or what is selected of it.

    Attributes
    ----------
    key : str
    instances : tuple of SelectedInstance
        In their order.
    row : Row or None
        The row of the series, if all its instances are selected.
    frames : callable
        Returns how many frames the instances have together, as far as their rows tell.
    error : SelectionError or None
        Why its instances could not be listed.
    """

    key: str
    instances: tuple[SelectedInstance, ...]
    row: Row | None
    frames: Callable[[], int]
    error: SelectionError | None = None

    @property
    def keys(self) -> list[str]:
        """Keys of the instances."""
        return [instance.key for instance in self.instances]


class SelectedSeries:
    """The series of a selection, as it is when this is made.

    Parameters
    ----------
    session : Session
        The session with the selection. It may be narrowed, reset or refreshed afterwards.
    keys : sequence of str, optional
        Keys of the series, in the order in which they are listed. Default: that of the selection.

    Attributes
    ----------
    keys : list of str
        Keys of the series, in their order.
    """

    def __init__(self, session: ReadingHeaders, keys: Sequence[str] | None = None) -> None:
        self._session = session.copy()
        self._index, self._selection = session._index, session._selection
        self._sorted: dict[str, list[str]] | None = None
        if self._selection.order is not None:
            # The order of single instances may be that of their series.
            instances = session._instances()
            self._sorted = _grouped(instances, self._index.up("instance", instances, "series"))
        self.keys = list(keys or self._sorted or tables.row_keys(self._index, self._selection, "series"))

    def listed(self, start: int = 0, stop: int | None = None) -> Iterator[ListedSeries]:
        """Yield the series between two positions; the rows of their instances are read for many at a time."""
        for batch in self._batches(self.keys[start:stop]):
            yield from self._described(batch)

    def _described(self, batch: Sequence[str]) -> Sequence[ListedSeries]:
        """Return series with their instances; those that are not there any more have none, and the reason."""
        try:
            instances = self._sorted or self._listed(batch)
            raise_if_gone([series for series in batch if series not in instances], len(batch), "series")
            keys = [key for series in batch for key in instances[series]]
            uids = dict(zip(keys, self._session._instance_uids(keys), strict=True))
        except SelectionError as error:
            if len(batch) == 1:
                return [ListedSeries(batch[0], (), None, lambda: 0, error)]
            # The others can be read, and which they are is found in few requests.
            middle = len(batch) // 2
            return [*self._described(batch[:middle]), *self._described(batch[middle:])]
        described = []
        for series in batch:
            row = self._index.row("series", series)
            selected = tuple(SelectedInstance(key, series, uids[key]) for key in instances[series])
            whole = row if set(row.children) == set(instances[series]) else None
            described.append(ListedSeries(series, selected, whole, partial(self._frames, instances[series])))
        return described

    def _frames(self, keys: Sequence[str]) -> int:
        return sum(_number_of_frames(self._index.row("instance", key)) for key in keys)

    def _batches(self, keys: Sequence[str]) -> Iterator[list[str]]:
        """Yield the keys of series whose instances are listed together."""
        batch: list[str] = []
        count, limit = 0, _FIRST_INSTANCES
        for series in keys:
            batch.append(series)
            count += len(self._index.row("series", series).children) or 1
            if count >= limit:
                yield batch
                batch, count, limit = [], 0, min(4 * limit, _MOST_INSTANCES)
        if batch:
            yield batch

    def _listed(self, series: Sequence[str]) -> dict[str, list[str]]:
        """Return the selected instances of some series, in the usual order."""
        keys = self._index.down("series", series, "instance")
        if self._selection.level == "instance":
            selected = set(self._selection.keys)
            keys = [key for key in keys if key in selected]
        keys = self._index.ordered("instance", keys)
        return _grouped(keys, self._index.up("instance", keys, "series"))


def _grouped(keys: Sequence[str], owners: Sequence[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for key, owner in zip(keys, owners, strict=True):
        grouped.setdefault(owner, []).append(key)
    return grouped


def _number_of_frames(row: Row) -> int:
    written = str((row.values.get("NumberOfFrames") or ("",))[0])
    return max(1, int(written)) if written.isdecimal() else 1
