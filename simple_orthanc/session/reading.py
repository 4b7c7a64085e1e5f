"""From selected instances to volumes: fetches, plans and assembles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc import pixels, stacks
from simple_orthanc.sources.base import Source
from simple_orthanc.workers import map_ordered

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.volume import Volume

Units: TypeAlias = str


class Reader:
    """Reads the selected instances as volumes.

    Parameters
    ----------
    source : Source
        Where from.
    keys, series : sequence of str
        Keys of the selected instances, and of the series of each.
    described : mapping
        Key of series to how it is named in messages.
    """

    def __init__(self, source: Source, keys: Sequence[str], series: Sequence[str], described: Mapping[str, str]) -> None:
        self._source, self._keys, self._series, self._described = source, list(keys), list(series), dict(described)

    def volume(self, units: Units, gaps: str, dims: str | None) -> Volume:
        """Read everything as one volume."""
        from simple_orthanc.volume import assemble

        headers: list[Dataset] = []
        stored: list[np.ndarray[Any, Any]] = []
        for header, array in map_ordered(self._fetch, self._keys, total=len(self._keys), label="reading images"):
            headers.append(header)
            stored.append(array)
        chosen = stacks.one(stacks.plan(headers), dims=dims, gaps=gaps)
        return assemble(chosen, headers, stored.__getitem__, units=units, gaps=gaps)

    def _fetch(self, key: str) -> tuple[Dataset, np.ndarray[Any, Any]]:
        dataset = self._source.instance(key)
        array = pixels.stored(dataset)
        for number in (0x7FE00008, 0x7FE00009, 0x7FE00010):
            if number in dataset:
                del dataset[number]
        return dataset, array
