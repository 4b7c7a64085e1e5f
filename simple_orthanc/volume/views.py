"""How a plane of a volume is turned for a reader: orientation, letters, millimetres. No drawing.

A reader expects the axial plane with the patient's right on the left side of the picture and anterior on top, the
coronal plane with the right on the left side and the head on top, and the sagittal plane with anterior on the left side
and the head on top. Which array axis is which patient axis, and in which direction it runs, follows from the geometry;
an oblique volume is shown in its own planes, each named after the nearest plane of the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.errors import VolumeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from simple_orthanc.volume.geometry import Geometry

PLANES = ("axial", "coronal", "sagittal")
# The patient axis (LPS) that is perpendicular to each plane, and those that run across and down the picture, with the
# sign of the direction in which they run there.
_NORMAL = {"sagittal": 0, "coronal": 1, "axial": 2}
_SCREEN = {"axial": ((0, 1), (1, 1)), "coronal": ((0, 1), (2, -1)), "sagittal": ((1, 1), (2, -1))}
# At the ends of the patient axes, DICOM PS3.3 C.7.6.1.1.1.
_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))
_PATIENT_AXES = ("x", "y", "z")
# Array axes of a volume, in the order of the index axes (column, row, slice).
_ARRAY_AXIS = (2, 1, 0)
_AXIS_NAMES = ("slice", "row", "column")
# A second letter is written from about 15 degrees on.
_SECOND_LETTER = 0.26
# Axes this close to those of the patient carry patient coordinates.
_ALIGNED = 0.9999


@dataclass(frozen=True)
class View:
    """One plane of a volume as a reader sees it.

    Attributes
    ----------
    plane : str
        "axial", "coronal" or "sagittal", the nearest plane of the patient; "" without geometry.
    axis : int
        The array axis along which the plane was taken: 0 slice, 1 row, 2 column.
    index : int
        Which one along that axis.
    image : ndarray
        (down, across), or (down, across, 3) for colour.
    letters : tuple of str
        At the left, right, top and bottom edge: R, L, A, P, F, H; two for an oblique edge; "" where not known.
    extent : tuple of float
        Left, right, bottom and top edge in mm; in pixels without geometry.
    labels : tuple of str
        What the coordinates across and down are.
    position : str
        Where the plane lies, for a title: "z = -30 mm"; "" for an oblique plane.
    """

    plane: str
    axis: int
    index: int
    image: NDArray[Any]
    letters: tuple[str, str, str, str]
    extent: tuple[float, float, float, float]
    labels: tuple[str, str]
    position: str

    @property
    def title(self) -> str:
        """Name the plane and its index along the array axis."""
        where = f"{_AXIS_NAMES[self.axis]} {self.index}"
        return ", ".join(part for part in (self.plane, where, self.position) if part)


def array_axes(geometry: Geometry) -> tuple[int, int, int]:
    """Return for the patient axes x, y, z the index axis (0 column, 1 row, 2 slice) nearest to each.

    Examples
    --------
    >>> from simple_orthanc.volume.geometry import Geometry
    >>> coronal = Geometry((4, 3, 2), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 0, 1, 0, -1, 0))
    >>> array_axes(coronal)
    (0, 2, 1)
    """
    cosines = np.abs(_directions(geometry))
    best = max(
        permutations(range(3)), key=lambda axes: float(sum(cosines[patient, axes[patient]] for patient in range(3)))
    )
    return best[0], best[1], best[2]


def _directions(geometry: Geometry) -> NDArray[np.float64]:
    """Return the unit vectors of increasing column, row and slice index as columns."""
    return np.reshape(np.asarray(geometry.direction, np.float64), (3, 3))


def edge_letters(direction: ArrayLike) -> str:
    """Return the letters of the side of the patient to which a vector (LPS) points.

    Examples
    --------
    >>> edge_letters((1, 0, 0)), edge_letters((0, -0.8, 0.6))
    ('L', 'AH')
    """
    vector = np.asarray(direction, np.float64)
    order = np.argsort(-np.abs(vector), kind="stable")
    chosen = [axis for rank, axis in enumerate(order) if rank == 0 or abs(vector[axis]) >= _SECOND_LETTER]
    return "".join(_LETTERS[axis][int(vector[axis] > 0)] for axis in chosen)


def index_letters(geometry: Geometry) -> tuple[str, str, str]:
    """Return the sides of the patient towards which the column, row and slice index increase.

    Examples
    --------
    >>> from simple_orthanc.volume.geometry import Geometry
    >>> index_letters(Geometry((4, 3, 2), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    ('L', 'P', 'H')
    """
    column, row, slice_ = (edge_letters(vector) for vector in _directions(geometry).T)
    return column, row, slice_


def plane_axis(geometry: Geometry | None, plane: str) -> int:
    """Return the array axis (0 slice, 1 row, 2 column) that is perpendicular to a plane of the patient.

    Raises
    ------
    ValueError
        There is no plane of this name.
    VolumeError
        The volume has no geometry.
    """
    if plane not in PLANES:
        raise ValueError(f"plane={plane!r}: the planes are {', '.join(map(repr, PLANES))}")
    if geometry is None:
        raise VolumeError(
            f"The {plane} plane was requested from a volume without geometry, whose sides are not known: call plot() "
            "without plane, which shows its slices as they are stored."
        )
    return _ARRAY_AXIS[array_axes(geometry)[_NORMAL[plane]]]


def nearest_plane(geometry: Geometry, axis: int) -> str:
    """Return the plane of the patient nearest to the planes along an array axis (0 slice, 1 row, 2 column)."""
    return next(plane for plane in PLANES if plane_axis(geometry, plane) == axis)


def view(
    array: NDArray[Any], geometry: Geometry | None, axis: int, index: int, stored: tuple[str, str] = ("", "")
) -> View:
    """Return one plane of an array, turned for a reader.

    Parameters
    ----------
    array : ndarray
        (slice, row, column), with 3 last for colour.
    geometry : Geometry or None
        Without it the plane is returned as it is stored.
    axis : int
        0 slice, 1 row, 2 column.
    index : int
        Which one along that axis.
    stored : tuple of str
        Without geometry: the letters in the direction of increasing column and row index (PatientOrientation).
    """
    image = np.take(array, index, axis=axis)
    if geometry is None:
        return _as_stored(image, axis, index, stored)
    plane = nearest_plane(geometry, axis)
    directions, axes = _directions(geometry), array_axes(geometry)
    remaining = [other for other in (0, 1, 2) if other != axis]
    screen = []
    for patient, sign in _SCREEN[plane]:
        index_axis = axes[patient]
        vector = directions[:, index_axis]
        screen.append((patient, index_axis, bool(vector[patient] * sign < 0), sign))
    across, down = screen
    if remaining.index(_ARRAY_AXIS[across[1]]) == 0:
        image = np.swapaxes(image, 0, 1)
    image = image[:: -1 if down[2] else 1, :: -1 if across[2] else 1]
    letters, limits, labels = [], [], []
    for patient, index_axis, flipped, sign in screen:
        vector = directions[:, index_axis] * (-1 if flipped else 1)
        letters += [edge_letters(-vector), edge_letters(vector)]
        low, high, label = _limits(geometry, index_axis, patient)
        limits.append((low, high) if sign > 0 else (high, low))
        labels.append(label)
    (left, right), (top, bottom) = limits
    normal = axes[_NORMAL[plane]]
    return View(
        plane,
        axis,
        index,
        image,
        (letters[0], letters[1], letters[2], letters[3]),
        (left, right, bottom, top),
        (labels[0], labels[1]),
        _position(geometry, normal, _NORMAL[plane], index),
    )


def _as_stored(image: NDArray[Any], axis: int, index: int, stored: tuple[str, str]) -> View:
    rows, columns = image.shape[:2]
    opposite = str.maketrans("RLAPFH", "LRPAHF")
    across, down = stored
    letters = (across.translate(opposite), across, down.translate(opposite), down)
    return View("", axis, index, image, letters, (-0.5, columns - 0.5, rows - 0.5, -0.5), ("column", "row"), "")


def _limits(geometry: Geometry, index_axis: int, patient: int) -> tuple[float, float, str]:
    """Return the lowest and highest edge along an index axis in mm, and what they are."""
    size, spacing = geometry.size[index_axis], geometry.spacing[index_axis]
    cosine = float(_directions(geometry)[patient, index_axis])
    if abs(cosine) < _ALIGNED:
        half = size * spacing / 2
        return -half, half, "mm from the centre"
    first = geometry.origin[patient]
    last = first + (size - 1) * spacing * np.sign(cosine)
    low, high = sorted((float(first), float(last)))
    return low - spacing / 2, high + spacing / 2, f"{_PATIENT_AXES[patient]} in mm (LPS)"


def _position(geometry: Geometry, index_axis: int, patient: int, index: int) -> str:
    cosine = float(_directions(geometry)[patient, index_axis])
    if abs(cosine) < _ALIGNED:
        return "oblique"
    # Adding 0 turns -0.0 into 0.0.
    millimetres = round(geometry.origin[patient] + index * geometry.spacing[index_axis] * cosine, 3) + 0.0
    return f"{_PATIENT_AXES[patient]} = {millimetres:.4g} mm"
