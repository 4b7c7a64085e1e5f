"""Mosaics: the slices of a volume side by side in one image, as Siemens and UIH store fast series.

The tiles follow each other row by row. What the header says of the image is true of its tiles only in part: the pixel
spacing and the orientation are theirs, but ImagePositionPatient (Siemens) is where the mosaic would begin if all of it
were one slice, or is missing (UIH). Siemens states the side on which the next slice lies only in its CSA header, and
that side is not always row cosines x column cosines, so without it the volume could be mirrored unnoticed.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc import limits
from simple_orthanc.dicom import csa, private
from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.private import PrivateElement
from simple_orthanc.volume import geometry
from simple_orthanc.volume.geometry import Vector

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIEMENS_COUNT = PrivateElement(0x0019, 0x0A, "US", "SIEMENS MR HEADER", ("siemens",))
# ImageTypeText of software XA, where ImageType need not say MOSAIC.
_SIEMENS_TYPES = tuple(
    PrivateElement(0x0021, 0x75, "CS", creator, ("siemens",)) for creator in ("SIEMENS MR SDS 01", "SIEMENS MR SDI 02")
)
UIH_COUNT = PrivateElement(0x0065, 0x50, "DS", "Image Private Header", ("uih", "united"))
UIH_SLICES = PrivateElement(0x0065, 0x51, "SQ", "Image Private Header", ("uih", "united"))

_INTEGER = re.compile(r"\d+")
# No slice of a patient is wider; the bore of a scanner is narrower.
_WIDEST = 700.0


@dataclass(frozen=True)
class Mosaic:
    """The tiles of one image.

    Attributes
    ----------
    positions : tuple of Vector
        ImagePositionPatient (mm, LPS) of each tile that holds a slice, in the order of the tiles; empty if something is
        missing. Tiles beyond their number are blank.
    tiles : tuple of int
        How many tiles lie below each other and beside each other.
    missing : tuple of str
        What the header lacks, without which the places of the slices are unknown.
    """

    positions: tuple[Vector, ...] = ()
    tiles: tuple[int, int] = (1, 1)
    missing: tuple[str, ...] = ()


def read_mosaic(header: Dataset) -> Mosaic | None:
    """Read how a mosaic is made up; None if the image is not a mosaic.

    A mosaic is recognised by the number of its tiles; only if that number was removed, by the word MOSAIC in ImageType
    or ImageTypeText. A slice that was unpacked from a mosaic keeps that word, and sometimes the number, but is no
    larger than AcquisitionMatrix allows one slice to be.

    Parameters
    ----------
    header : pydicom.Dataset

    Returns
    -------
    Mosaic or None

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> (image,) = make_series((1, 8, 8), modality="MR", Manufacturer="SIEMENS", SpacingBetweenSlices=2)
    >>> image.add_new((0x0019, 0x100A), "US", 4)
    >>> read_mosaic(image).missing
    ('SliceNormalVector of the CSA header (0029,xx10)',)
    """
    if elements.text(header, "Modality") != "MR" or elements.frame_count(header) > 1:
        return None
    if elements.has(header, "PerFrameFunctionalGroupsSequence"):
        return None
    return _read_uih(header) or _read_siemens(header)


def split_tiles(stored: NDArray[Any], tiles: tuple[int, int], count: int) -> NDArray[Any]:
    """Cut an image into its tiles.

    Parameters
    ----------
    stored : ndarray
        (1, row, column).
    tiles : tuple of int
        How many tiles lie below each other and beside each other.
    count : int
        How many of them to return.

    Returns
    -------
    ndarray
        (tile, row, column), a view.

    Examples
    --------
    >>> split_tiles(np.arange(16).reshape(1, 4, 4), (2, 2), 3)[2].tolist()
    [[8, 9], [12, 13]]
    """
    down, across = tiles
    rows, columns = stored.shape[1] // down, stored.shape[2] // across
    cut = stored.reshape(down, rows, across, columns).swapaxes(1, 2)
    return cut.reshape(down * across, rows, columns)[:count]


def can_be_slice(size: tuple[int, int], spacing: tuple[float, float] | None) -> bool:
    """Check whether an image of (rows, columns) with this pixel spacing in mm is small enough to be one slice."""
    return spacing is not None and max(size[0] * spacing[0], size[1] * spacing[1]) <= _WIDEST


def _read_uih(header: Dataset) -> Mosaic | None:
    numbers = private.numbers_of(header, UIH_COUNT)
    slices = private.items_of(header, UIH_SLICES)
    count = int(numbers[0]) if numbers else len(slices)
    across = math.ceil(math.sqrt(max(count, 1)))
    tiles = (math.ceil(count / across), across)
    if count < 2 or _was_unpacked(header, tiles):
        return None
    positions = [_vector(item, "ImagePositionPatient") for item in slices]
    missing = _missing_in_plane(header)
    if len(positions) != count or None in positions:
        missing.append(f"the positions of {count} slices in {UIH_SLICES}")
    if not _fits(header, tiles):
        missing.append(f"a size that {tiles[0]} x {tiles[1]} tiles fill")
    if missing:
        return Mosaic(missing=tuple(missing))
    return Mosaic(tuple(position for position in positions if position is not None), tiles)


def _read_siemens(header: Dataset) -> Mosaic | None:
    counts = {int(number) for number in (*private.numbers_of(header, SIEMENS_COUNT)[:1], *_csa_count(header))}
    count = max(counts, default=0)
    if count < 2 and not _says_mosaic(header):
        return None
    side = math.ceil(math.sqrt(count)) if count > 1 else 2
    if _was_unpacked(header, (side, side)):
        return None
    missing = _missing_in_plane(header)
    position = _vector(header, "ImagePositionPatient")
    between = elements.number_or_none(header, "SpacingBetweenSlices")
    normal = csa.csa_numbers(header, "SliceNormalVector")
    if count < 2:
        missing.append(f"NumberOfImagesInMosaic {SIEMENS_COUNT}")
    elif len(counts) > 1:
        missing.append(f"one NumberOfImagesInMosaic ({SIEMENS_COUNT} and the CSA header differ)")
    elif not _fits(header, (side, side)):
        missing.append(f"a size that {side} x {side} tiles fill")
    if position is None:
        missing.append(elements.name_of("ImagePositionPatient"))
    if not between:
        missing.append(elements.name_of("SpacingBetweenSlices"))
    if len(normal) != 3:
        missing.append("SliceNormalVector of the CSA header (0029,xx10)")
    if missing or position is None or not between:
        return Mosaic(missing=tuple(missing))
    return _from_corner(header, count, side, position, abs(between), normal)


def _from_corner(
    header: Dataset, count: int, side: int, corner: Vector, between: float, normal: tuple[float, ...]
) -> Mosaic:
    """Compute the positions of the slices from the corner that a slice of the size of the mosaic would have."""
    cosines = geometry.unit_cosines(elements.numbers(header, "ImageOrientationPatient"))
    row, column, across = np.asarray(cosines[:3]), np.asarray(cosines[3:]), geometry.slice_normal(cosines)
    alignment = float(np.dot(normal, across))
    if abs(abs(alignment) - 1) > geometry.COSINE_TOLERANCE:
        return Mosaic(missing=("a SliceNormalVector at right angles to the slices",))
    rows, columns = (int(elements.number_or_none(header, keyword) or 0) for keyword in ("Rows", "Columns"))
    between_rows, between_columns = elements.numbers(header, "PixelSpacing")
    first = (
        np.asarray(corner)
        + row * between_columns * (columns - columns // side) / 2
        + column * between_rows * (rows - rows // side) / 2
    )
    step = math.copysign(between, alignment) * across
    positions = first + np.arange(count)[:, np.newaxis] * step
    return Mosaic(tuple((float(x), float(y), float(z)) for x, y, z in positions), (side, side))


def _csa_count(header: Dataset) -> tuple[float, ...]:
    return csa.csa_numbers(header, "NumberOfImagesInMosaic")[:1]


def _says_mosaic(header: Dataset) -> bool:
    if "MOSAIC" in elements.texts(header, "ImageType"):
        return True
    return any("MOSAIC" in private.values_of(header, element) for element in _SIEMENS_TYPES)


def _was_unpacked(header: Dataset, tiles: tuple[int, int]) -> bool:
    """Check whether tiles would hold at most half of the measured matrix, so that the image is itself a slice."""
    matrix = [int(number) for number in elements.numbers_or_empty(header, "AcquisitionMatrix")]
    matrix += [
        int(number) for text in csa.csa_of(header).get("AcquisitionMatrixText", ()) for number in _INTEGER.findall(text)
    ]
    rows, columns = (elements.number_or_none(header, keyword) or 0 for keyword in ("Rows", "Columns"))
    return 2 * max(rows / tiles[0], columns / tiles[1]) <= max(matrix, default=0)


def _fits(header: Dataset, tiles: tuple[int, int]) -> bool:
    sizes = (elements.number_or_none(header, keyword) or 0 for keyword in ("Rows", "Columns"))
    if tiles[0] * tiles[1] > limits.frames:
        return False
    return all(size % number == 0 for size, number in zip(sizes, tiles, strict=True))


def _missing_in_plane(header: Dataset) -> list[str]:
    spacing = elements.numbers_or_empty(header, "PixelSpacing")
    cosines = elements.numbers_or_empty(header, "ImageOrientationPatient")
    missing = []
    if len(spacing) != 2 or min(spacing) <= 0:
        missing.append(elements.name_of("PixelSpacing"))
    try:
        geometry.unit_cosines(cosines)
    except ValueError:
        missing.append(elements.name_of("ImageOrientationPatient"))
    return missing


def _vector(header: Dataset, keyword: str) -> Vector | None:
    numbers = elements.numbers_or_empty(header, keyword)
    return (numbers[0], numbers[1], numbers[2]) if len(numbers) == 3 else None
