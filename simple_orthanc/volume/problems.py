"""Make the errors that say why frames are no volume: what was asked, what was found, what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from simple_orthanc import limits
from simple_orthanc.errors import DuplicateSlicesError, InconsistentSlicesError, MissingSlicesError, VolumeError
from simple_orthanc.volume.arrangement import SAME_POSITION_TOLERANCE, Arrangement
from simple_orthanc.volume.geometry import DEVIATION_TOLERANCE
from simple_orthanc.volume.planes import Plane

# Messages list this many positions at each end.
SHOWN = 6


def mosaic(label: str, planes: Sequence[Plane]) -> VolumeError:
    """Make the error for mosaics whose headers do not tell where their slices are."""
    lacking = dict.fromkeys(name for plane in planes for name in plane.mosaic_lacks)
    return InconsistentSlicesError(
        f"A volume was requested from {len(planes)} mosaic(s) ({label}), each with its slices side by side in one "
        f"image. The positions of the slices are unknown, because the headers lack {', '.join(lacking)}. Read the "
        "mosaics with get_instances(), or store the series again from its origin, with its private elements.",
        groups={label: len(planes)},
    )


def unordered(label: str, planes: Sequence[Plane]) -> VolumeError:
    """Make the error for images that neither positions nor numbers order."""
    numbers = listed([plane.instance_number for plane in planes])
    return InconsistentSlicesError(
        f"A volume was requested from {len(planes)} images without ImagePositionPatient ({label}), and their "
        f"InstanceNumbers do not order them: {numbers}. Read them with get_instances(), or select one by its "
        "SOPInstanceUID.",
        groups={label: len(planes)},
    )


def no_line(label: str, planes: Sequence[Plane]) -> VolumeError:
    """Make the error for images without orientation whose positions are not on a line."""
    return InconsistentSlicesError(
        f"A volume was requested from {len(planes)} images ({label}) without ImageOrientationPatient. Their positions "
        "would order them if they were on one line, but they are not. Read the images with get_instances(), whose "
        "pixel_array are the pixels.",
        groups={label: len(planes)},
    )


def unusable_orientation(label: str, planes: Sequence[Plane]) -> VolumeError:
    """Make the error for cosines that are no directions, not even within their rounding."""
    return InconsistentSlicesError(
        f"A volume was requested from {len(planes)} images ({label}), but their ImageOrientationPatient is not usable, "
        f"in all of them alike: {planes[0].orientation_problem}. Read the images with get_instances(), whose "
        "pixel_array are the pixels.",
        groups={label: len(planes)},
    )


def no_frame_spacing(label: str, planes: Sequence[Plane]) -> VolumeError:
    """Make the error for frames of one position that nothing spaces."""
    return InconsistentSlicesError(
        f"A volume was requested from {len(planes)} frames ({label}) of one object with one ImagePositionPatient, but "
        "the distance between the frames is unknown: SpacingBetweenSlices (0018,0088) and SliceThickness (0018,0050) "
        "are missing. Give it in mm with get_volume(spacing=...), or read the frames with get_instances().",
        groups={label: len(planes)},
    )


def shared(label: str, planes: Sequence[Plane], arrangement: Arrangement) -> VolumeError:
    """Make the error for images that share a position, or lie side by side in one plane."""
    by_index: dict[int, list[tuple[float, Plane]]] = {}
    for distance, index, plane in zip(arrangement.distances, arrangement.slice_indices, planes, strict=True):
        by_index.setdefault(index, []).append((distance, plane))
    several = [members for members in by_index.values() if len(members) > 1]
    apart = max(_apart([plane for _, plane in members]) for members in several)
    limit = DEVIATION_TOLERANCE * min(planes[0].pixel_spacing or (1.0,)) + 1e-6
    shown = "; ".join(
        f"{members[0][0]:g} mm: " + ", ".join(str(plane) for _, plane in members) for members in several[:SHOWN]
    ) + ("; ..." if len(several) > SHOWN else "")
    if apart > limit and apart > SAME_POSITION_TOLERANCE * float(np.linalg.norm(arrangement.step or 0)):
        return InconsistentSlicesError(
            f"A volume was requested from {len(planes)} images ({label}), but some lie side by side in one plane, "
            f"up to {apart:g} mm apart, at these distances along the normal: {shown}. "
            "Separate them with select(...), for example by AcquisitionNumber, or read them with get_instances().",
            groups={label: len(planes)},
        )
    if _are_rounded(planes):
        return InconsistentSlicesError(
            f"A volume was requested from {len(planes)} slices ({label}), but their positions are rounded to "
            f"{planes[0].position_unit:g} mm, so that {len(several)} position(s) hold more than one slice: {shown}. "
            f"{_true_spacing(planes)}Read the slices with get_instances(): all of them are true.",
            groups={label: len(planes)},
        )
    return DuplicateSlicesError(
        f"A volume was requested from {len(planes)} images ({label}), but {len(several)} position(s) hold more "
        f"than one image, and nothing in their headers tells them apart. At these distances from the first slice: "
        f"{shown}. {_without_extra([[plane for _, plane in members] for members in several])}",
        positions=tuple((members[0][0], tuple(plane.uid for _, plane in members)) for members in several),
    )


def _without_extra(several: Sequence[Sequence[Plane]]) -> str:
    """Write the calls that leave out all images of a position but the first, or read them all."""
    kept = {members[0].uid for members in several}
    extra = list(dict.fromkeys(plane.uid for members in several for plane in members[1:] if plane.uid not in kept))
    if any(plane.number_of_frames > 1 for members in several for plane in members) or not extra:
        return "Read them with get_instances()."
    uids = repr(extra[0] if len(extra) == 1 else extra) if len(extra) <= SHOWN else "[...]"
    return f"Leave the extra ones out with exclude(SOPInstanceUID={uids}), or read all with get_instances()."


def _are_rounded(ordered: Sequence[Plane]) -> bool:
    """Check whether slices in the order of their positions are one series of slices with rounded positions."""
    ordered = sorted(ordered, key=lambda plane: (plane.position or (), plane.instance_number or 0))
    numbers = [plane.instance_number for plane in ordered if plane.instance_number is not None]
    steps = {after - before for before, after in pairwise(numbers)}
    if len(numbers) < len(ordered) or not (steps == {1} or _runs_backwards(ordered)):
        return False
    locations = [plane.slice_location for plane in ordered if plane.slice_location is not None]
    if len(locations) == len(ordered):
        return len(set(locations)) == len(locations)
    extent = _apart(ordered)
    return extent > 0 and ordered[0].position_unit >= extent / (2 * (len(ordered) - 1))


def _runs_backwards(ordered: Sequence[Plane]) -> bool:
    ordered = sorted(ordered, key=lambda plane: (plane.position or (), -(plane.instance_number or 0)))
    numbers = [plane.instance_number or 0 for plane in ordered]
    return {after - before for before, after in pairwise(numbers)} == {-1}


def _true_spacing(planes: Sequence[Plane]) -> str:
    """State the spacing of SliceLocation, if it is even."""
    locations = sorted(plane.slice_location for plane in planes if plane.slice_location is not None)
    gaps = np.diff(locations)
    if len(locations) < len(planes) or gaps.min() <= 0 or np.ptp(gaps) > DEVIATION_TOLERANCE * gaps.mean():
        return ""
    return f"By SliceLocation they are {gaps.mean():.6g} mm apart. "


def _apart(members: Sequence[Plane]) -> float:
    points = np.asarray([plane.position for plane in members], np.float64)
    return float(np.linalg.norm(points - points[0], axis=1).max())


def incomplete(label: str, planes: Sequence[Plane], lacking: Sequence[int], total: int) -> VolumeError:
    """Make the error for an image that was stored in several objects, of which some are missing."""
    uid = planes[0].concatenation.uid if planes[0].concatenation else ""
    return InconsistentSlicesError(
        f"A volume was requested from an image ({label}) that was stored in {total} objects (ConcatenationUID {uid}), "
        f"but those with InConcatenationNumber {listed(lacking)} are not among them, and what is there would be taken "
        "for the whole. Select the whole series, or read what is there with get_instances().",
        groups={label: len(planes)},
    )


def too_many_slices(label: str, planes: Sequence[Plane], arrangement: Arrangement) -> VolumeError:
    """Make the error for positions so far apart that a regular grid would have more slices than any volume."""
    return VolumeError(
        f"A volume was requested from {len(planes)} images ({label}), but on a regular grid they would be "
        f"{arrangement.slice_indices[-1] + 1} slices, from {planes[0]} to {planes[-1]}, "
        f"{arrangement.distances[-1]:.6g} mm away: ImagePositionPatient (0020,0032) of one is wrong. Leave it out with "
        f"exclude(SOPInstanceUID=...), or read them with get_instances(). {limits.advice('frames')}"
    )


def uneven(label: str, planes: Sequence[Plane], arrangement: Arrangement, changes: Sequence[int]) -> VolumeError:
    """Make the error for slices that are not evenly spaced.

    Parameters
    ----------
    label : str
    planes : sequence of Plane
        In their order.
    arrangement : Arrangement
    changes : sequence of int
        Indices of the slices at which another even part begins.
    """
    gaps = np.diff(arrangement.distances)
    if changes:
        parts = [
            f"{len(part)} slices {np.diff(part).mean():.6g} mm apart"
            for part in np.split(np.asarray(arrangement.distances), list(changes))
        ]
        hint = f'These are {len(parts)} regular parts: {listed(parts)}. Read each with get_volumes(gaps="split").'
    elif planes[0].number_of_frames == 1 and _are_rounded(planes) and planes[0].position_unit > 0.02 * gaps.mean():
        hint = (
            f"No slice is missing, as their InstanceNumbers run on, but their positions are rounded to "
            f"{planes[0].position_unit:g} mm. {_true_spacing(planes)}Read the slices with get_instances()."
        )
    elif planes[0].is_sparse and not planes[0].spacing_between_slices:
        hint = (
            "A segmentation leaves out slices, and its header does not state how far apart its slices are: state it in "
            "mm with get_volume(spacing=...), or read its masks on the grid of its images with get_masks()."
        )
    else:
        hint = "Select a part with select(...), or read the slices with get_instances() and resample them."
    return InconsistentSlicesError(
        f"A volume was requested from {len(planes)} slices ({label}), but they are unevenly spaced: gaps from "
        f"{gaps.min():.6g} to {gaps.max():.6g} mm, a slice up to {arrangement.deviation:.3g} mm from its place on a "
        f"regular grid. Distances from the first slice in mm: "
        f"{listed([f'{distance:.6g}' for distance in arrangement.distances])}. {hint}",
        groups={label: len(planes)},
    )


def missing(label: str, planes: Sequence[Plane], arrangement: Arrangement) -> VolumeError:
    """Make the error for missing slices, with where and how many."""
    holes = [f"{number} between {before:g} and {after:g}" for before, after, number in arrangement.gaps]
    step = float(np.linalg.norm(arrangement.step or 0))
    total = sum(number for _, _, number in arrangement.gaps)
    lacking = "1 slice is missing" if total == 1 else f"{total} slices are missing"
    return MissingSlicesError(
        f"A volume was requested from {len(planes)} slices {step:g} mm apart ({label}), but {lacking}: {listed(holes)} "
        'mm from the first slice. Fill the holes with NaN with get_volume(gaps="nan"), or read the unbroken runs with '
        'get_volumes(gaps="split").',
        gaps=arrangement.gaps,
    )


def listed(values: Sequence[Any]) -> str:
    """Join values, leaving out the middle of many."""
    texts = [str(value) for value in values]
    return ", ".join(texts if len(texts) <= 2 * SHOWN else [*texts[:SHOWN], "...", *texts[-SHOWN:]])


def held_images(planes: Sequence[Plane]) -> str:
    """Name the images of a group by their InstanceNumbers, as ranges; frames of one object by their numbers.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> from simple_orthanc.volume.planes import read_planes
    >>> held_images(read_planes(make_series((4, 4, 4), InstanceNumber=[1, 2, 3, 7])))
    'InstanceNumber 1 to 3, 7'
    """
    first = planes[0]
    if len({plane.instance for plane in planes}) == 1 and first.number_of_frames > 1:
        named = f"frame{'s' * (len(planes) > 1)} {_ranges(planes, True)}"
        frames = "all frames" if len(planes) == first.number_of_frames else named
        return f"{frames} of InstanceNumber {first.instance_number}"
    if any(plane.instance_number is None for plane in planes):
        return "some without InstanceNumber"
    return f"InstanceNumber {_ranges(planes, False)}"


def _ranges(planes: Sequence[Plane], frames: bool) -> str:
    numbers = sorted({plane.frame_index + 1 if frames else plane.instance_number or 0 for plane in planes})
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return listed([str(low) if low == high else f"{low} to {high}" for low, high in ranges])
