"""Diffusion weighting of an image: its b-value and gradient direction, wherever the vendor writes them.

The standard has DiffusionBValue and DiffusionGradientOrientation, at the top level or in the MR Diffusion Sequence
(PS3.3 C.8.13.5.9), with directions in patient coordinates. Siemens, Philips and UIH have private elements too, GE and
older Canon software these alone. GE, UIH and Canon write directions in axes of the image, which are turned into patient
coordinates here. What follows from few real series or from another program's rule alone is marked as doubtful.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import csa
from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.private import PrivateElement, items_of, numbers_of, text_of
from simple_orthanc.volume import geometry
from simple_orthanc.volume.geometry import Vector

# Scanners write small b-values, and directions beside them, into images without diffusion weighting.
SMALLEST_B = 5.0
# A gradient vector is shorter only where no direction is meant.
_SHORTEST = 0.5

_SIEMENS = ("SIEMENS MR HEADER", ("siemens",))
_SIEMENS_B = PrivateElement(0x0019, 0x0C, "IS", *_SIEMENS)
_SIEMENS_KIND = PrivateElement(0x0019, 0x0D, "CS", *_SIEMENS)
_SIEMENS_DIRECTION = PrivateElement(0x0019, 0x0E, "FD", *_SIEMENS)
_SIEMENS_MATRIX = PrivateElement(0x0019, 0x27, "FD", *_SIEMENS)
_GE = ("ge ", "general electric")
_GE_B = PrivateElement(0x0043, 0x39, "IS", "GEMS_PARM_01", _GE)
_GE_DIRECTION = tuple(PrivateElement(0x0019, element, "DS", "GEMS_ACQU_01", _GE) for element in (0xBB, 0xBC, 0xBD))
# GE adds this to the b-value as a flag.
_GE_FLAG = 1_000_000_000
_PHILIPS_B = PrivateElement(0x2001, 0x03, "FL", "Philips Imaging DD 001", ("philips",))
_PHILIPS_DIRECTION = tuple(
    PrivateElement(0x2005, element, "FL", "Philips MR Imaging DD 001", ("philips",)) for element in (0xB0, 0xB1, 0xB2)
)
# One item for each frame of an enhanced object, with the elements of a classic one.
_PHILIPS_FRAME = PrivateElement(0x2005, 0x0F, "SQ", "Philips MR Imaging DD 005", ("philips",))
_UIH = ("Image Private Header", ("uih", "united"))
_UIH_B = PrivateElement(0x0065, 0x09, "FD", *_UIH)
_UIH_DIRECTION = PrivateElement(0x0065, 0x37, "FD", *_UIH)
_CANON_COMMENT = re.compile(r"b=([\d.]+)\(([-\d.]+),([-\d.]+),([-\d.]+)\)")

_NONE = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Diffusion:
    """How an image is weighted.

    Attributes
    ----------
    b : float or None
        In s/mm2; None if the header does not state it.
    vector : Vector or None
        The gradient vector as it is written, the same in all slices of a volume; zeros if there is no direction, None
        if the header does not state it.
    direction : Vector or None
        Unit vector in patient coordinates (LPS); zeros without diffusion weighting and if it is the same in all
        directions, None if it is unknown.
    is_trace : bool
        Whether the image is weighted in all directions alike.
    is_left_out : bool
        Whether the vendor leaves out the b-value 0: `b` is None, and 0 if other images of the series are weighted.
    doubt : str
        What is not certain, for the log.
    """

    b: float | None = None
    vector: Vector | None = None
    direction: Vector | None = None
    is_trace: bool = False
    is_left_out: bool = False
    doubt: str = ""


@dataclass(frozen=True)
class _Axes:
    """The axes of an image in patient coordinates, and what vendors turn by."""

    row: geometry.Floats
    column: geometry.Floats
    normal: geometry.Floats
    phase: str

    @property
    def plane(self) -> str:
        return ("sagittal", "coronal", "axial")[int(np.abs(self.normal).argmax())]


def read_diffusion(header: Dataset, groups: tuple[Dataset, ...] = ()) -> Diffusion:
    """Read the diffusion weighting of an image, or of a frame.

    Parameters
    ----------
    header : pydicom.Dataset
    groups : tuple of Dataset
        The functional groups of a frame, nearest first, from ``dicom.header.functional_groups``.

    Returns
    -------
    Diffusion
        With None for what the header does not state.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> (image,) = make_series((1, 4, 4), modality="MR", DiffusionBValue=1000.0)
    >>> image.DiffusionGradientOrientation = [0, 0, 2]
    >>> found = read_diffusion(image)
    >>> found.b, found.direction
    (1000.0, (0.0, 0.0, 1.0))
    """
    if elements.text(header, "Modality") != "MR":
        return Diffusion()
    readers: tuple[Callable[[Dataset], Diffusion | None], ...] = (_ge, _canon, _standard, _siemens, _uih, _philips)
    found = _in_groups(header, groups) if groups else None
    for reader in readers:
        if found is not None:
            break
        found = reader(header)
    if found is None:
        return Diffusion(is_left_out=_leaves_b_out(header))
    kind = derived_kind(header, groups)
    if kind in _MAPS:
        return Diffusion()
    return replace(found, is_trace=found.is_trace or kind in _TRACES)


# ImageType of images weighted in all directions alike, and of maps, whose b-value is that of what they were made from.
_TRACES = ("TRACEW", "TRACE")
_MAPS = ("ADC", "EADC", "FA", "COLFA", "TENSOR", "TENSOR_B0", "PROCESSED")


def derived_kind(header: Dataset, groups: tuple[Dataset, ...] = ()) -> str:
    """Name what an MR image was derived to be: "ADC", "FA", "TRACEW", ...; empty for an original image.

    Parameters
    ----------
    header : pydicom.Dataset
    groups : tuple of Dataset
        The functional groups of a frame, nearest first.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Modality, header.ImageType = "MR", ["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"]
    >>> derived_kind(header)
    'ADC'
    """
    if elements.text(header, "Modality") != "MR":
        return ""
    types = elements.texts(elements.holder(header, groups, "MRImageFrameTypeSequence", "FrameType"), "FrameType")
    types = types or elements.texts(header, "ImageType")
    named = next((value for value in types[2:] if value.upper() in (*_TRACES, *_MAPS)), "")
    if named or types[:1] != ["DERIVED"]:
        return named.upper()
    return next((value for value in reversed(types[2:4]) if value != "NONE"), "DERIVED")


UNSTATED_B = "Toshiba states no b-value for images without diffusion weighting: taken as 0"


def _leaves_b_out(header: Dataset) -> bool:
    """Check whether a vendor leaves the b-value out of images without diffusion weighting, as Toshiba does."""
    is_echo_planar = "EP" in elements.texts(header, "ScanningSequence")
    return elements.made_by(header, ("toshiba",)) and is_echo_planar and not derived_kind(header)


def _in_groups(header: Dataset, groups: tuple[Dataset, ...]) -> Diffusion | None:
    """Read the MR Diffusion Sequence of a frame, or else what Philips has in its place."""
    holder = elements.holder(header, groups, "MRDiffusionSequence", "DiffusionBValue")
    b = elements.number_or_none(holder, "DiffusionBValue")
    if b is None:
        frames = (item for group in groups for item in items_of(group, _PHILIPS_FRAME))
        return next((found for item in frames if (found := _philips(item)) is not None), None)
    items = elements.items(holder, "DiffusionGradientDirectionSequence") or [holder]
    vector = _vector(elements.numbers_or_empty(items[0], "DiffusionGradientOrientation"))
    if vector is None:
        names = ("XX", "XY", "XZ", "YY", "YZ", "ZZ")
        matrix = (elements.items(holder, "DiffusionBMatrixSequence") or [Dataset()])[0]
        vector = _principal([elements.number_or_none(matrix, f"DiffusionBValue{name}") for name in names])
    kind = elements.text(holder, "DiffusionDirectionality")
    if vector is None and kind in ("ISOTROPIC", "NONE"):
        vector = _NONE
    return _in_patient(b, vector)


def _standard(header: Dataset) -> Diffusion | None:
    b = elements.number_or_none(header, "DiffusionBValue")
    vector = _vector(elements.numbers_or_empty(header, "DiffusionGradientOrientation"))
    return None if b is None else _in_patient(b, vector)


def _siemens(header: Dataset) -> Diffusion | None:
    b = _first(numbers_of(header, _SIEMENS_B))
    vector = _vector(numbers_of(header, _SIEMENS_DIRECTION))
    matrix: Sequence[float] = numbers_of(header, _SIEMENS_MATRIX)
    kind = text_of(header, _SIEMENS_KIND)
    if b is None:
        b = _first(csa.csa_numbers(header, "B_value"))
        vector = vector or _vector(csa.csa_numbers(header, "DiffusionGradientDirection"))
        matrix = matrix or csa.csa_numbers(header, "B_matrix")
        kind = kind or next(iter(csa.csa_of(header).get("DiffusionDirectionality", ())), "")
    if b is None and len(matrix) == 6:
        b = float(matrix[0] + matrix[3] + matrix[5])
    if b is None:
        return None
    if vector is None:
        vector = _NONE if kind in ("ISOTROPIC", "NONE") else _principal(matrix)
    return _in_patient(b, vector)


def _philips(header: Dataset) -> Diffusion | None:
    b = _first(numbers_of(header, _PHILIPS_B))
    if b is None:
        return None
    return _in_patient(b, _vector([number for part in _PHILIPS_DIRECTION for number in numbers_of(header, part)]))


def _ge(header: Dataset) -> Diffusion | None:
    """Read GE, whose vectors have the axes frequency, phase and slice, by the rules that dcm2niix has for them."""
    b = _first(numbers_of(header, _GE_B))
    if b is None:
        return None
    b %= _GE_FLAG
    vector = _vector([number for part in _GE_DIRECTION for number in numbers_of(header, part)])
    axes = _axes(header)
    if b < SMALLEST_B or vector is None or not any(vector) or axes is None or axes.phase not in ("COL", "ROW"):
        return _in_image(b, vector, None)
    x, y, z = vector
    in_plane = (x, y) if axes.phase == "COL" else (y, -x)
    if axes.plane == "coronal":
        turned = (in_plane[0], -in_plane[1], -z if axes.phase == "COL" else z)
    else:
        turned = (*in_plane, -z)
    found = _in_image(b, vector, _turned(axes, turned))
    doubts = []
    if (axes.plane, axes.phase) != ("axial", "COL") or elements.text(header, "PatientPosition") not in ("", "HFS"):
        doubts.append("the directions of GE are certain only for axial slices, phase encoding COL and position HFS")
    squared = float(np.dot(vector, vector))
    if abs(squared - 1) > 0.01:
        found = replace(found, b=b * squared)
        doubts.append("the b-value of GE is scaled by the squared length of the gradient vector")
    return replace(found, doubt="; ".join(doubts))


def _uih(header: Dataset) -> Diffusion | None:
    b = _first(numbers_of(header, _UIH_B))
    if b is None:
        return None
    vector = _vector(numbers_of(header, _UIH_DIRECTION))
    axes = _axes(header)
    if vector is None or axes is None:
        return _in_image(b, vector, None)
    found = _in_image(b, vector, _turned(axes, vector))
    is_certain = axes.plane == "axial" or b < SMALLEST_B
    return found if is_certain else replace(found, doubt="the directions of UIH are certain only for axial slices")


def _canon(header: Dataset) -> Diffusion | None:
    """Read the comment of Canon's software V6.0, whose axes are phase, read and slice."""
    if not elements.made_by(header, ("canon", "toshiba")) or elements.numbers_or_empty(
        header, "DiffusionGradientOrientation"
    ):
        return None
    match = _CANON_COMMENT.search(elements.text(header, "ImageComments"))
    if match is None:
        return None
    b, (x, y, z) = float(match[1]), (float(part) for part in match.groups()[1:])
    axes = _axes(header)
    if axes is None or axes.phase not in ("COL", "ROW"):
        return _in_image(b, (x, y, z), None)
    turned = (y, x, -z) if axes.phase == "COL" else (x, y, z)
    doubt = (
        "Canon does not state the polarity of phase encoding: the directions are right if it is posterior to anterior, "
        "else their in-plane parts have the opposite sign"
    )
    return replace(_in_image(b, (x, y, z), _turned(axes, turned)), doubt=doubt)


def _in_patient(b: float, vector: Vector | None) -> Diffusion:
    return _in_image(b, vector, vector)


def _in_image(b: float, vector: Vector | None, in_patient: Vector | None) -> Diffusion:
    """Decide whether a vector is a direction: beside a very small b-value it means nothing."""
    if b < SMALLEST_B:
        return Diffusion(b, _NONE, _NONE)
    if vector is None:
        return Diffusion(b)
    if np.linalg.norm(vector) < _SHORTEST:
        return Diffusion(b, _NONE, _NONE, is_trace=True)
    # Rounded, so that all slices of a volume have the same.
    written = (round(vector[0], 6), round(vector[1], 6), round(vector[2], 6))
    if in_patient is None:
        return Diffusion(b, written, doubt="the gradient directions are unknown: the header lacks their axes")
    x, y, z = (float(part) for part in np.asarray(in_patient) / np.linalg.norm(in_patient))
    return Diffusion(b, written, (x, y, z))


def _axes(header: Dataset) -> _Axes | None:
    try:
        cosines = geometry.unit_cosines(elements.numbers_or_empty(header, "ImageOrientationPatient"))
    except ValueError:
        return None
    phase = elements.text(header, "InPlanePhaseEncodingDirection")
    return _Axes(np.asarray(cosines[:3]), np.asarray(cosines[3:]), geometry.slice_normal(cosines), phase)


def _turned(axes: _Axes, parts: Sequence[float]) -> Vector:
    x, y, z = parts[0] * axes.row + parts[1] * axes.column + parts[2] * axes.normal
    return float(x), float(y), float(z)


def _principal(matrix: Sequence[float | None]) -> Vector | None:
    """Find the direction of a b-matrix xx, xy, xz, yy, yz, zz; its sign is arbitrary."""
    if len(matrix) != 6 or None in matrix:
        return None
    xx, xy, xz, yy, yz, zz = matrix
    values, vectors = np.linalg.eigh(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]], float))
    if values[-1] < SMALLEST_B:
        return None
    x, y, z = vectors[:, -1]
    return float(x), float(y), float(z)


def _vector(numbers: Sequence[float]) -> Vector | None:
    if len(numbers) != 3:
        return None
    x, y, z = (float(number) for number in numbers)
    return x, y, z


def _first(numbers: Sequence[float]) -> float | None:
    return float(numbers[0]) if numbers else None
