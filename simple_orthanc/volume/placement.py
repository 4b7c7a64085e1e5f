"""Where the frames of one object lie, for each of the ways in which objects tell it.

Single-frame images have their geometry at the top level (PS3.3 C.7.6.2), enhanced multi-frame images in the shared or
per-frame functional groups (C.7.6.16.2), nuclear medicine in its detectors and the spacing between slices (C.8.4.15),
dose grids in their frame offsets (C.8.8.3.2). Some objects have one position for all their frames, which then follow
each other along the normal. Each attribute is looked for by itself at every level that may hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import InconsistentSlicesError, VolumeError
from simple_orthanc.volume import geometry

Groups = tuple[Dataset, ...]

# Frames of these modalities follow each other in time, and so do those that have a frame time.
_MODALITIES_IN_TIME = ("XA", "RF", "US", "IVUS", "ES", "ECG")
_FRAME_TIMES = ("FrameTime", "FrameTimeVector")
IN_TIME = (
    "one ImagePositionPatient for frames that follow each other in time: an array without geometry, in stored order"
)
NO_DIRECTION = (
    "one ImagePositionPatient for all frames, without ImageOrientationPatient: an array without geometry, in stored "
    "order"
)
NO_SLICES = "one ImagePositionPatient for all frames, without SliceVector: an array without geometry, in stored order"
# What `Placement.frame_spacing` is where no tag holds the distance between the frames of one position.
MISSING = "missing"
# Cosines that are perpendicular unit vectors within this were not rounded, or finely enough.
_EXACT = 1e-6
# Lengths in mm that no image has: a kilometre, and less than an atom.
_LONGEST, _SHORTEST = 1e6, 1e-9


@dataclass(frozen=True)
class Placement:
    """Where one frame lies.

    Attributes
    ----------
    position : tuple of three floats or None
        ImagePositionPatient, mm, LPS; None if it is missing or is not that of this frame.
    orientation : tuple of six floats or None
        Perpendicular unit vectors; None if missing or unusable.
    pixel_spacing : tuple of two floats or None
        Between rows, between columns, mm.
    spacing_between_slices, slice_thickness : float or None
        As the header has them, mm.
    cosine_rounding : float
        Half of the last decimal to which the cosines of the orientation were written.
    cosines_were_off : bool
        The cosines were no unit vectors within 1e-3, because they had been rounded.
    orientation_problem : str
        Why the orientation is unusable.
    position_unit : float
        The last decimal to which the position was written, mm; 0 if unknown.
    frame_spacing : str
        Only for frames of one position: where the distance between them is from, or ``MISSING``.
    note : str
        Why frames have no position of their own although there is one.
    """

    position: geometry.Vector | None = None
    orientation: tuple[float, ...] | None = None
    pixel_spacing: tuple[float, float] | None = None
    spacing_between_slices: float | None = None
    slice_thickness: float | None = None
    cosine_rounding: float = 0.0
    cosines_were_off: bool = False
    orientation_problem: str = ""
    position_unit: float = 0.0
    frame_spacing: str = ""
    note: str = ""


def check_groups(header: Dataset, frames: int, groups: Sequence[Groups]) -> None:
    """Refuse an object that has another number of per-frame functional groups than of frames.

    Raises
    ------
    InconsistentSlicesError
    """
    if len(groups) != frames:
        raise InconsistentSlicesError(
            f"NumberOfFrames is {frames}, but there are {len(groups)} per-frame functional groups in SOPInstanceUID "
            f"{elements.text(header, 'SOPInstanceUID')}, so the places of its frames are unknown. Read it with "
            "get_instances()."
        )


def place_frames(
    header: Dataset, frames: int, groups: Sequence[Groups], *, frames_differ: bool, spacing: float | None
) -> list[Placement]:
    """Find the position of each frame of an object.

    Parameters
    ----------
    header : Dataset
    frames : int
        Number of frames.
    groups : sequence of tuple of Dataset
        The functional groups of each frame, as ``dicom.header.functional_groups`` returns them.
    frames_differ : bool
        Whether something else than their position tells the frames apart: then they may share one.
    spacing : float or None
        Distance in mm between frames of one position, where the header lacks it.

    Returns
    -------
    list of Placement
        One for each frame.

    Raises
    ------
    InconsistentSlicesError
        The geometry of the object contradicts itself.
    VolumeError
        A value is not a number.
    """
    if any(groups):
        placements = _from_groups(header, frames, groups, frames_differ=frames_differ, spacing=spacing)
    elif elements.text(header, "Modality") == "NM" and "DetectorInformationSequence" in header:
        placements = _from_detectors(header, frames, spacing)
    elif frames > 1 and elements.texts(header, "GridFrameOffsetVector"):
        placements = _from_offsets(header, frames)
    elif frames > 1:
        placements = _follow(header, [_read(header, header, header)] * frames, spacing)
    else:
        placements = [_read(header, header, header)]
    # An orientation without a position relates an image to no other.
    return [
        placement if placement.position is not None else replace(placement, orientation=None, orientation_problem="")
        for placement in placements
    ]


def place_tiles(header: Dataset, positions: Sequence[geometry.Vector]) -> list[Placement]:
    """Return the placement of each tile of a mosaic, whose image plane is that of the header."""
    placement = _read(header, header, header)
    return [replace(placement, position=position) for position in positions]


def _from_groups(
    header: Dataset, frames: int, groups: Sequence[Groups], *, frames_differ: bool, spacing: float | None
) -> list[Placement]:
    """Read the functional groups: what each frame has for itself, then what is shared, then the top level."""
    result = []
    for own in groups:
        placement = _read(
            elements.holder(header, own, "PlanePositionSequence", "ImagePositionPatient"),
            elements.holder(header, own, "PlaneOrientationSequence", "ImageOrientationPatient"),
            *(
                elements.holder(header, own, "PixelMeasuresSequence", keyword)
                for keyword in ("PixelSpacing", "SpacingBetweenSlices", "SliceThickness")
            ),
        )
        if placement.position is None and _holds(own, "PlanePositionVolumeSequence", "ImagePositionVolume"):
            # Ultrasound may know the places of its frames in the volume alone, which is nowhere in the patient; stacked
            # without them, the frames would be in the order in which they are stored.
            raise InconsistentSlicesError(
                f"The frames of SOPInstanceUID {elements.text(header, 'SOPInstanceUID')} lie where ImagePositionVolume "
                "says, in coordinates of an ultrasound volume and not in those of the patient, so their places are "
                "unknown. Read it with get_instances()."
            )
        result.append(placement)
    has_own = any(_holds(own[:1], "PlanePositionSequence", "ImagePositionPatient") for own in groups)
    per_frame = bool(elements.items(header, "PerFrameFunctionalGroupsSequence"))
    if frames == 1 or (has_own and per_frame) or frames_differ:
        return result
    return _follow(header, result, spacing, _stack_positions(groups))


def _holds(groups: Groups, sequence: str, keyword: str) -> bool:
    return bool(elements.texts(elements.holder(elements.NO_ELEMENTS, groups, sequence, keyword), keyword))


def _stack_positions(groups: Sequence[Groups]) -> list[int] | None:
    """Return InStackPositionNumber of each frame, if each has its own."""
    found = [
        _integer(elements.holder(elements.NO_ELEMENTS, own, "FrameContentSequence", "InStackPositionNumber"))
        for own in groups
    ]
    numbers = [number for number in found if number is not None]
    return numbers if len(set(numbers)) == len(groups) else None


def _integer(item: Dataset) -> int | None:
    number = elements.number_or_none(item, "InStackPositionNumber")
    return None if number is None else int(number)


def _follow(
    header: Dataset, placements: list[Placement], spacing: float | None, numbers: Sequence[int] | None = None
) -> list[Placement]:
    """Place frames of one position one after the other along the normal, unless they follow each other in time."""
    first = placements[0]
    if first.position is None:
        return placements
    if elements.text(header, "Modality") in _MODALITIES_IN_TIME or any(
        elements.texts(header, keyword) for keyword in _FRAME_TIMES
    ):
        return _without_position(placements, IN_TIME)
    if first.orientation is None:
        return placements if first.orientation_problem else _without_position(placements, NO_DIRECTION)
    distance, source = _frame_spacing(first, spacing)
    if source == MISSING:
        return [replace(placement, frame_spacing=MISSING) for placement in placements]
    return [
        _moved(replace(placement, frame_spacing=source), index * distance)
        for placement, index in zip(placements, numbers or range(len(placements)), strict=True)
    ]


def _without_position(placements: Sequence[Placement], note: str) -> list[Placement]:
    return [replace(placement, position=None, orientation=None, note=note) for placement in placements]


def _frame_spacing(placement: Placement, spacing: float | None) -> tuple[float, str]:
    if placement.spacing_between_slices:
        return abs(placement.spacing_between_slices), "SpacingBetweenSlices"
    if spacing:
        return spacing, "the argument spacing"
    if placement.slice_thickness and placement.slice_thickness > 0:
        return placement.slice_thickness, "SliceThickness"
    return 0.0, MISSING


def _moved(placement: Placement, distance: float) -> Placement:
    along = geometry.slice_normal(placement.orientation or ())
    x, y, z = (float(value) for value in np.asarray(placement.position) + distance * along)
    return replace(placement, position=(x, y, z))


def _from_detectors(header: Dataset, frames: int, spacing: float | None) -> list[Placement]:
    """Read the geometry of nuclear medicine (PS3.3 C.8.4.15): the first slice, and a signed spacing."""
    detectors = elements.items(header, "DetectorInformationSequence") or [Dataset()]
    placements = []
    for number in read_vector(header, "DetectorVector", frames) or [1] * frames:
        levels = (detectors[min(max(number, 1), len(detectors)) - 1], *detectors, header)
        position, orientation = (
            next((level for level in levels if elements.texts(level, keyword)), header)
            for keyword in ("ImagePositionPatient", "ImageOrientationPatient")
        )
        placements.append(_read(position, orientation, header))
    numbers = read_vector(header, "SliceVector", frames)
    if frames == 1 or placements[0].position is None:
        return placements
    if numbers is None:
        return _without_position(placements, NO_SLICES)
    distance, source = _frame_spacing(placements[0], spacing)
    if source == "SpacingBetweenSlices":
        # The sign tells whether the slices follow each other along the normal or against it.
        distance = placements[0].spacing_between_slices or 0.0
    if placements[0].orientation is None:
        return placements if placements[0].orientation_problem else _without_position(placements, NO_DIRECTION)
    if source == MISSING:
        return [replace(placement, frame_spacing=MISSING) for placement in placements]
    return [
        _moved(replace(placement, frame_spacing=source), (number - 1) * distance)
        for placement, number in zip(placements, numbers, strict=True)
    ]


def _from_offsets(header: Dataset, frames: int) -> list[Placement]:
    """Read the places of the planes of a dose grid (PS3.3 C.8.8.3.2), in either of the two ways they are written."""
    offsets = np.asarray(elements.numbers(header, "GridFrameOffsetVector"))
    placement = _read(header, header, header)
    uid = elements.text(header, "SOPInstanceUID")
    if len(offsets) != frames:
        raise InconsistentSlicesError(
            f"NumberOfFrames is {frames}, but GridFrameOffsetVector has {len(offsets)} values in SOPInstanceUID {uid}, "
            "so the places of its planes are unknown. Read it with get_instances()."
        )
    if placement.position is None or placement.orientation is None:
        return [placement if placement.orientation_problem else replace(placement, position=None)] * frames
    along = geometry.slice_normal(placement.orientation)
    near = geometry.DEVIATION_TOLERANCE * float(np.median(np.abs(np.diff(offsets))))
    height = placement.position[2]
    if abs(offsets[0]) > near:
        if np.abs(np.abs(along) - (0, 0, 1)).max() > geometry.COSINE_TOLERANCE:
            raise InconsistentSlicesError(
                f"GridFrameOffsetVector begins with {offsets[0]:g} mm, so its values are patient z coordinates, but "
                f"the planes of SOPInstanceUID {uid} are not axial. Read it with get_instances()."
            )
        if abs(offsets[0] - height) > near:
            raise InconsistentSlicesError(
                f"GridFrameOffsetVector begins with {offsets[0]:g} mm, which is neither 0 nor the z coordinate of "
                f"ImagePositionPatient, {height:g} mm, so the places of the planes of SOPInstanceUID {uid} are "
                "unknown. Read it with get_instances()."
            )
        # Absolute values are z coordinates; along the normal they count upwards only where it points to the head.
        offsets = (offsets - height) * np.sign(along[2])
    return [_moved(placement, float(offset)) for offset in offsets]


def _read(
    position: Dataset,
    orientation: Dataset,
    pixel_spacing: Dataset,
    between: Dataset | None = None,
    thickness: Dataset | None = None,
) -> Placement:
    """Read the geometry of a frame, each attribute from the level of the header that holds it."""
    where, unit = read_position(position)
    spacing = _numbers(pixel_spacing, "PixelSpacing", 2)
    _check_lengths(pixel_spacing, "PixelSpacing", spacing or ())
    cosines, rounding, were_off, problem = None, 0.0, False, ""
    if found := elements.numbers(orientation, "ImageOrientationPatient"):
        written = tuple(elements.texts(orientation, "ImageOrientationPatient"))
        cosines, rounding, were_off, problem = _read_cosines(tuple(found), last_decimal(written) / 2)
    return Placement(
        position=where,
        orientation=cosines,
        pixel_spacing=spacing if spacing is not None and min(spacing) > 0 else None,
        spacing_between_slices=_length_or_none(between or pixel_spacing, "SpacingBetweenSlices"),
        slice_thickness=_length_or_none(thickness or pixel_spacing, "SliceThickness"),
        cosine_rounding=rounding,
        cosines_were_off=were_off,
        orientation_problem=problem,
        position_unit=unit,
    )


def read_position(header: Dataset) -> tuple[geometry.Vector | None, float]:
    """Read ImagePositionPatient in mm, and the last decimal to which it was written; None and 0 if it is missing.

    Raises
    ------
    VolumeError
        A value is not a number, or no length in a patient.

    Examples
    --------
    >>> header = Dataset()
    >>> header.ImagePositionPatient = ["-10", "0.5", "3"]
    >>> read_position(header)
    ((-10.0, 0.5, 3.0), 0.1)
    """
    where = _numbers(header, "ImagePositionPatient", 3)
    _check_lengths(header, "ImagePositionPatient", where or ())
    if where is None:
        return None, 0.0
    return where, last_decimal(elements.texts(header, "ImagePositionPatient"))


def _length_or_none(header: Dataset, keyword: str) -> float | None:
    value = elements.number_or_none(header, keyword)
    _check_lengths(header, keyword, () if value is None else (value,))
    return value


def _check_lengths(header: Dataset, keyword: str, values: Sequence[float]) -> None:
    """Refuse lengths that nothing in a patient has, with which computed ones would not be finite.

    Raises
    ------
    VolumeError
        With the name of the tag.
    """
    for value in values:
        if not abs(value) <= _LONGEST or (0 < value < _SHORTEST and keyword == "PixelSpacing"):
            raise VolumeError(
                f"{elements.name_of(keyword)} of {elements.instance_of(header)} is {value:g} mm, with which no volume "
                f"can be computed. Read the pixels with get_instances(), or leave the object out."
            )


@lru_cache(maxsize=1024)
def _read_cosines(values: tuple[float, ...], rounding: float) -> tuple[tuple[float, ...] | None, float, bool, str]:
    """Return the unit vectors, the rounding, whether it was undone, and what is wrong with the values."""
    try:
        cosines = geometry.unit_cosines(values)
        # Numbers that were rounded are hardly ever perpendicular unit vectors, however few decimals they have.
        is_exact = max(abs(one - other) for one, other in zip(cosines, values, strict=True)) < _EXACT
        return cosines, 0.0 if is_exact else rounding, False, ""
    except ValueError as error:
        problem = str(error)
    try:
        return geometry.unit_cosines(values, rounding), rounding, True, ""
    except ValueError:
        return None, rounding, False, problem


def last_decimal(written: Sequence[str]) -> float:
    """Return the unit of the last decimal to which numbers are written, of the most precise of them; 0 if unknown.

    Examples
    --------
    >>> last_decimal(["0.76", "0.6", "-1"])
    0.01
    >>> last_decimal(["12.0", "3"]), last_decimal(["1e-3"])
    (1.0, 0.0)
    """
    decimals = 0
    for text in written:
        if "e" in text.casefold():
            return 0.0
        decimals = max(decimals, len(text.replace(",", ".").partition(".")[2].rstrip("0 ")))
    return float(f"1e-{decimals}")


def read_vector(header: Dataset, keyword: str, frames: int) -> list[int] | None:
    """Read a vector of nuclear medicine that has one number for each frame (PS3.3 C.8.4.8); None otherwise."""
    values = [int(value) for value in elements.numbers(header, keyword)]
    return values if len(values) == frames else None


def _numbers(header: Dataset, keyword: str, count: int) -> tuple[Any, ...] | None:
    values = elements.numbers(header, keyword)
    return tuple(values) if len(values) == count else None
