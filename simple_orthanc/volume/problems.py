"""Why frames are no volume: each function makes the error that says what was asked, what was found, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simple_orthanc.errors import DuplicateSlicesError, InconsistentSlicesError, MissingSlicesError, VolumeError
from simple_orthanc.volume.discriminators import BY_NAME, DiscriminatorValue
from simple_orthanc.volume.geometry import DEVIATION_TOLERANCE, SAME_POSITION_TOLERANCE, Arrangement
from simple_orthanc.volume.grouping import arrange_planes
from simple_orthanc.volume.planes import Plane

# Messages list this many positions at each end.
SHOWN = 6


def mosaic(label: str, planes: Sequence[Plane]) -> VolumeError:
    """Make the error for mosaics whose headers do not tell where their slices are."""
    lacking = dict.fromkeys(name for plane in planes for name in plane.mosaic_lacks)
    return InconsistentSlicesError(
        f"A volume was asked of {len(planes)} mosaic(s) ({label}), each with its slices side by side in one image. The "
        f"positions of the slices are unknown, because the headers lack {', '.join(lacking)}. Read the mosaics with "
        "get_instances(), or store the series again from its origin, with its private elements.",
        groups={label: len(planes)},
    )


def unordered(label: str, planes: Sequence[Plane]) -> VolumeError:
    """Say that neither positions nor numbers order the images."""
    numbers = listed([plane.instance_number for plane in planes])
    return InconsistentSlicesError(
        f"A volume was asked of {len(planes)} images without ImagePositionPatient ({label}), and their "
        f"InstanceNumbers do not order them: {numbers}. Read them with get_instances(), or select one by its "
        "SOPInstanceUID.",
        groups={label: len(planes)},
    )


def shared(label: str, planes: Sequence[Plane], found: Arrangement) -> VolumeError:
    """Say which images share a position, or lie side by side in one plane."""
    by_place: dict[int, list[tuple[float, Plane]]] = {}
    for distance, place, plane in zip(found.distances, found.slice_indices, planes, strict=True):
        by_place.setdefault(place, []).append((distance, plane))
    several = [members for members in by_place.values() if len(members) > 1]
    apart = max(_apart([plane for _, plane in members]) for members in several)
    limit = DEVIATION_TOLERANCE * min(planes[0].pixel_spacing or (1.0,)) + 1e-6
    shown = "; ".join(
        f"{members[0][0]:g} mm: " + ", ".join(str(plane) for _, plane in members) for members in several[:SHOWN]
    ) + ("; ..." if len(several) > SHOWN else "")
    if apart > limit and apart > SAME_POSITION_TOLERANCE * float(np.linalg.norm(found.step or 0)):
        return InconsistentSlicesError(
            f"A volume was asked of {len(planes)} images ({label}), but some lie side by side in one plane, "
            f"up to {apart:g} mm apart, at these distances along the normal: {shown}. "
            "Separate them with select(...), for example by AcquisitionNumber, or read them with get_instances().",
            groups={label: len(planes)},
        )
    return DuplicateSlicesError(
        f"A volume was asked of {len(planes)} images ({label}), but {len(several)} position(s) hold more "
        f"than one image, and nothing in their headers tells them apart. At these distances from the first slice: "
        f"{shown}. Leave the extra ones out with exclude(SOPInstanceUID=[...]).",
        positions=tuple((members[0][0], tuple(plane.uid for _, plane in members)) for members in several),
    )


def _apart(members: Sequence[Plane]) -> float:
    points = np.asarray([plane.position for plane in members], np.float64)
    return float(np.linalg.norm(points - points[0], axis=1).max())


def incomplete(label: str, planes: Sequence[Plane], lacking: Sequence[int]) -> VolumeError:
    """Say which objects of a segmentation that was cut into several are not there."""
    uid = planes[0].concatenation.uid if planes[0].concatenation else ""
    return InconsistentSlicesError(
        f"A volume was asked of a segmentation ({label}) that was stored in several objects (ConcatenationUID {uid}), "
        f"but those with InConcatenationNumber {listed(lacking)} are not among them, and without their frames slices "
        "would seem to be empty. Select the whole series, or read what is there with get_instances().",
        groups={label: len(planes)},
    )


def uneven(label: str, planes: Sequence[Plane], found: Arrangement) -> VolumeError:
    """Say how far the slices are from an even spacing, and which tag would part them, if one does."""
    gaps = np.diff(found.distances)
    hint = _regular_parts(planes)
    return InconsistentSlicesError(
        f"A volume was asked of {len(planes)} slices ({label}), but they are unevenly spaced: gaps from "
        f"{gaps.min():.6g} to {gaps.max():.6g} mm, a slice {found.deviation:.3g} mm from its place on a regular grid. "
        f"Distances from the first slice in mm: {listed([f'{distance:.6g}' for distance in found.distances])}. "
        f"{hint or 'Select a part with select(...), or read the slices with get_instances() and resample them.'}",
        groups={label: len(planes)},
    )


def _regular_parts(planes: Sequence[Plane]) -> str:
    """Find a tag whose values part an uneven stack into regular ones."""
    for name, discriminator in BY_NAME.items():
        if not all(name in plane.selectable for plane in planes):
            continue
        parts: dict[DiscriminatorValue | None, list[Plane]] = {}
        for plane in planes:
            parts.setdefault(plane.discriminators.get(name), []).append(plane)
        if len(parts) < 2 or min(len(part) for part in parts.values()) < 2:
            continue
        fits = [arrange_planes(part) for part in parts.values()]
        if all(fit.regular and not fit.gaps and not fit.shared_positions for fit in fits):
            keyword = discriminator.keyword
            return f"Each value of {keyword} is regular by itself: select({example(keyword, parts)})."
    return ""


def missing(label: str, planes: Sequence[Plane], found: Arrangement) -> VolumeError:
    """Say where slices are missing, and how many."""
    holes = [f"{number} between {before:g} and {after:g}" for before, after, number in found.gaps]
    step = float(np.linalg.norm(found.step or 0))
    total = sum(number for _, _, number in found.gaps)
    return MissingSlicesError(
        f"A volume was asked of {len(planes)} slices {step:g} mm apart ({label}), but {total} are missing, at "
        f"these distances in mm from the first slice: {listed(holes)}. Fill the holes with NaN with "
        'get_volume(gaps="nan"), or read the unbroken runs with get_volumes(gaps="split").',
        gaps=found.gaps,
    )


def listed(values: Sequence[Any]) -> str:
    """Join values, leaving out the middle of many."""
    texts = [str(value) for value in values]
    return ", ".join(texts if len(texts) <= 2 * SHOWN else [*texts[:SHOWN], "...", *texts[-SHOWN:]])


def example(keyword: str, values: Mapping[DiscriminatorValue | None, object]) -> str:
    """Write the first value as an argument of select."""
    value = next((value for value in values if value is not None), None)
    return f"{keyword}={_literal(value)}"


def _literal(value: DiscriminatorValue | None) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_literal(item) for item in value) + ")"
    return f"{value:g}" if isinstance(value, float) else repr(value)
