"""A trap: the files of a series that is easily read wrongly, and its true volume."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from simple_orthanc.phantom import as_bytes

TRAPS: list[Trap] = []


@dataclass(frozen=True, eq=False)
class Case:
    """Files, and their one true volume, if there is one.

    Attributes
    ----------
    files : tuple of bytes
        In the order in which they are stored.
    values : ndarray or None
        True values, to be broadcast to (slice, row, column); None: there is no such thing as one volume of them.
    affine : ndarray or None
        From (column, row, slice) to LPS mm; None: the objects have no position.
    """

    files: tuple[bytes, ...]
    values: NDArray[Any] | None = None
    affine: NDArray[Any] | None = None

    @cached_property
    def headers(self) -> list[Dataset]:
        """The files as pydicom reads them."""
        return [dcmread(io.BytesIO(content), force=True) for content in self.files]


@dataclass(frozen=True, eq=False)
class Trap:
    """One way to read a series wrongly.

    Attributes
    ----------
    number : int
        That of the list of traps; 0 for those under the list.
    name : str
        What the series is like; the row of the table.
    units : str
        What values are asked for.
    """

    number: int
    name: str
    units: str
    build: Callable[[], Case]

    @cached_property
    def case(self) -> Case:
        """The case, built once for the tests and the table."""
        return self.build()


def trap(number: int, name: str, units: str = "modality") -> Callable[[Callable[[], Case]], Trap]:
    """Register a function that builds a case."""

    def register(build: Callable[[], Case]) -> Trap:
        TRAPS.append(Trap(number, name, units, build))
        return TRAPS[-1]

    return register


def case(datasets: Sequence[Dataset], values: ArrayLike | None = None, affine: NDArray[Any] | None = None) -> Case:
    """Make a case of datasets; one value per slice may be given for all its pixels."""
    files = tuple(as_bytes(dataset) for dataset in datasets)
    if values is None:
        return Case(files)
    array = np.asarray(values)
    return Case(files, array if array.ndim > 1 else array[:, None, None], affine)


def axes(
    step: Sequence[float] = (0, 0, 1), origin: Sequence[float] = (0, 0, 0), **columns: Sequence[float]
) -> NDArray[Any]:
    """Return the affine whose columns are mm per column, row and slice; by default axial with pixels of 1 mm."""
    result = np.eye(4)
    result[:3, 0] = columns.get("column", (1, 0, 0))
    result[:3, 1] = columns.get("row", (0, 1, 0))
    result[:3, 2] = step
    result[:3, 3] = origin
    return result
