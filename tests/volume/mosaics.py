"""Make mosaics as Siemens and UIH do, with known values at known positions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from simple_orthanc.phantom import make_series, put
from tests.dicom.csa_writer import add_csa

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SIEMENS_TYPE = ("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")


def tiled(array: np.ndarray, down: int, across: int) -> np.ndarray:
    """Put (tile, row, column) side by side, row by row, with blank tiles at the end."""
    count, rows, columns = array.shape
    image = np.zeros((down * rows, across * columns), array.dtype)
    for index in range(count):
        row, column = divmod(index, across)
        image[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] = array[index]
    return image


def siemens_mosaic(
    array: np.ndarray,
    *,
    spacing: tuple[float, float, float] = (3.0, 2.0, 1.5),
    first: tuple[float, float, float] = (-10.0, 20.0, 30.0),
    orientation: tuple[float, ...] = AXIAL,
    side: int = 1,
    version: int = 2,
    csa: dict[str, list[object]] | None = None,
    **keywords: Any,
) -> Dataset:
    """Make a mosaic whose first slice begins at `first`; the slices follow on this `side` of row x column, 1 or -1."""
    count, rows, columns = array.shape
    across = math.ceil(math.sqrt(count))
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    corner = (
        np.asarray(first)
        - row * spacing[2] * columns * (across - 1) / 2
        - column * spacing[1] * rows * (across - 1) / 2
    )
    keywords = {"ImageType": SIEMENS_TYPE, "Manufacturer": "SIEMENS", "SpacingBetweenSlices": spacing[0], **keywords}
    (image,) = make_series(
        array=tiled(array, across, across)[np.newaxis],
        spacing=spacing,
        origin=tuple(corner),
        orientation=orientation,
        modality="MR",
        **keywords,
    )
    normal = side * np.cross(row, column)
    block = image.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0A, "US", count)
    tags = {"NumberOfImagesInMosaic": [count], "SliceNormalVector": normal.tolist(), **(csa or {})}
    add_csa(image, tags, version=version)
    return image


def uih_grid(array: np.ndarray, positions: list[tuple[float, float, float]], **keywords: Any) -> Dataset:
    """Make a grid of UIH, which has as many rows of tiles as it needs, and no ImagePositionPatient."""
    across = math.ceil(math.sqrt(len(array)))
    (image,) = make_series(
        array=tiled(array, math.ceil(len(array) / across), across)[np.newaxis],
        modality="MR",
        Manufacturer="UIH",
        ImageType=("ORIGINAL", "PRIMARY", "M", "VFRAME"),
        ImagePositionPatient=None,
        **keywords,
    )
    block = image.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(len(array)))
    items = []
    for position in positions:
        item = Dataset()
        put(item, "ImagePositionPatient", position)
        items.append(item)
    block.add_new(0x51, "SQ", Sequence(items))
    return image
