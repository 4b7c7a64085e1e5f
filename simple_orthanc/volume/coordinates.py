"""Coordinates of the fourth axis, with their unit.

Tags count time in four ways: FrameReferenceTime and TriggerTime in milliseconds, AcquisitionTime on a clock,
TemporalPositionIdentifier and AcquisitionNumber not at all. Here a time is always seconds from the first step. A tag
that only counts takes its times from another one that every step has; if there is none, it stays an index without unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.private import PrivateElement, numbers_of
from simple_orthanc.volume.diffusion import SMALLEST_B, UNSTATED_B
from simple_orthanc.volume.discriminators import BY_NAME
from simple_orthanc.volume.geometry import Vector
from simple_orthanc.volume.stacking import Stack
from simple_orthanc.volume.writing.decimals import decimal_string

# Seconds in the units of tags that are times.
_SECONDS = {"s": 1.0, "ms": 1e-3}
_UNKNOWN = (float("nan"),) * 3
# What differs from step to step along an axis, and is known of the first step alone.
_ACQUIRED = (
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionNumber",
    "ContentDate",
    "ContentTime",
)
_OF_ONE_STEP = {
    "time": (
        *_ACQUIRED,
        *("TemporalPositionIdentifier", "TriggerTime", "FrameReferenceTime", "ActualFrameDuration", "DecayFactor"),
    ),
    "phase": (*_ACQUIRED, "TriggerTime", "NominalPercentageOfCardiacPhase", "NominalPercentageOfRespiratoryPhase"),
    "echo": ("EchoNumbers", "EchoTime"),
    "b": ("DiffusionBValue", "DiffusionGradientOrientation", "SequenceName"),
}
# RepetitionTime differs from the steps by more than the ticks of a clock.
_STEP_TOLERANCE = 0.02
# Vendors whose TriggerTime counts from the first volume, while their AcquisitionTime is that of the series.
_TRIGGERED_FROM_START = ("ge ", "general electric", "philips")
# When a dynamic began, in seconds.
_PHILIPS_TIME = PrivateElement(0x2005, 0xA0, "FL", "Philips MR Imaging DD 001", ("philips",))
# Seconds that a pause adds to RepetitionTime.
_GE_DELAY = PrivateElement(0x0043, 0x7C, "FL", "GEMS_PARM_01", ("ge ", "general electric"))


@dataclass(frozen=True)
class AxisCoordinates:
    """Where the steps of a 4D volume are on its first axis.

    Attributes
    ----------
    values : tuple of float
        One for each step.
    unit : str
        "s" from the first step, "ms" of echo, "s/mm2", "%", or "" for an index.
    directions : tuple of Vector
        On an axis of b-values the gradient direction of each step, LPS; zeros for none, NaN for an unknown one.
    log : tuple of str
        The tag that they are from, and what is doubtful.
    """

    values: tuple[float, ...]
    unit: str
    directions: tuple[Vector, ...] = ()
    log: tuple[str, ...] = ()


def find_coordinates(stacks: Sequence[Stack], headers: Sequence[Dataset]) -> AxisCoordinates:
    """Find the coordinates of stacks that make one 4D volume.

    Parameters
    ----------
    stacks : sequence of Stack
        In order, each with its ``step`` and the tag that it is from.
    headers : sequence of pydicom.Dataset
        Those that the stacks were planned from.

    Returns
    -------
    AxisCoordinates
    """
    axis, tag = stacks[0].step, stacks[0].step_tag
    values = tuple(stack.step[1] for stack in stacks if stack.step is not None)
    name, unit = (axis[0] if axis else ""), (tag.unit if tag else "")
    if name == "b":
        return _with_directions(values, stacks)
    if name == "time":
        return _times(values, stacks, headers)
    if name == "phase" and tag is not None and unit in _SECONDS:
        # Phases are sorted by the same values that the times are computed from.
        times = _offsets(stacks, tag.name)
        return AxisCoordinates(values, unit) if times is None else AxisCoordinates(times, "s", log=(_source(tag.name),))
    return AxisCoordinates(values, unit)


def header_of_step(header: Dataset, found: AxisCoordinates, axis: str, step: int) -> Dataset:
    """Return the header of the first step of a 4D volume as far as it holds for another step.

    Parameters
    ----------
    header : pydicom.Dataset
    found : AxisCoordinates
        Of the volume, with its log.
    axis : str
    step : int
        Index of the other step.

    Returns
    -------
    pydicom.Dataset
        Without what differs along the axis, but with EchoTime and FrameReferenceTime where the coordinates are theirs.

    Examples
    --------
    >>> header = Dataset()
    >>> header.EchoTime, header.EchoNumbers, header.RepetitionTime = 3, 1, 500
    >>> other = header_of_step(header, AxisCoordinates((3.0, 9.0), "ms"), "echo", 1)
    >>> [(element.keyword, float(element.value)) for element in other]
    [('RepetitionTime', 500.0), ('EchoTime', 9.0)]
    """
    result = Dataset()
    result.update(header)
    for keyword in _OF_ONE_STEP.get(axis, ()):
        if keyword in result:
            del result[keyword]
    if axis == "echo" and found.unit == "ms" and "EchoTime" in header:
        result.EchoTime = decimal_string(found.values[step])
    first = elements.number_or_none(header, "FrameReferenceTime")
    if axis == "time" and first is not None and _source("frame time") in found.log:
        later = (found.values[step] - found.values[0]) / _SECONDS["ms"]
        result.FrameReferenceTime = decimal_string(round(first + later, 6))
    return result


def _with_directions(values: tuple[float, ...], stacks: Sequence[Stack]) -> AxisCoordinates:
    found = [stack.planes[0].diffusion for stack in stacks]
    doubts = dict.fromkeys(one.doubt for one in found if one.doubt)
    if any(one.b is None for one in found):
        doubts[UNSTATED_B] = None
    directions = tuple(
        (0.0, 0.0, 0.0) if b < SMALLEST_B else _UNKNOWN if one.direction is None else one.direction
        for b, one in zip(values, found, strict=True)
    )
    return AxisCoordinates(values, "s/mm2", directions, tuple(doubts))


def _times(values: tuple[float, ...], stacks: Sequence[Stack], headers: Sequence[Dataset]) -> AxisCoordinates:
    """Find seconds from the first step: by the tag itself, or else by another clock."""
    header = headers[stacks[0].planes[0].instance]
    tag = stacks[0].step_tag
    # ContentTime is when an image was made, which may be long after the scan.
    names = [tag.name] if tag is not None and tag.unit in _SECONDS and tag.name != "content time" else []
    names += _clocks(header)
    for name in dict.fromkeys(names):
        times = _offsets(stacks, name)
        if times is not None:
            return AxisCoordinates(times, "s", log=(_source(name), *_against_repetition(times, header)))
    times = _dynamic_times(stacks, headers)
    if times is not None:
        source = f"time: seconds from the first step, by {_PHILIPS_TIME} of Philips"
        return AxisCoordinates(times, "s", log=(source, *_against_repetition(times, header)))
    if tag is not None and tag.unit in _SECONDS:
        values = tuple(float(number) for number in range(1, len(values) + 1))
    step, keyword = _regular_step(header)
    if step is not None and all(later > before for before, later in pairwise(values)):
        times = tuple(round(step * (value - values[0]), 9) for value in values)
        return AxisCoordinates(times, "s", log=(f"time: seconds from the first step, {step:g} s by {keyword}",))
    return AxisCoordinates(values, "", log=("time: an index, as the headers do not tell the time between the steps",))


def _clocks(header: Dataset) -> list[str]:
    names = ["frame time", "time offset", "acquisition time"]
    return ["phase", *names] if elements.made_by(header, _TRIGGERED_FROM_START) else names


def _source(name: str) -> str:
    return f"time: seconds from the first step, by {BY_NAME[name].keyword}"


def _offsets(stacks: Sequence[Stack], name: str) -> tuple[float, ...] | None:
    """Return the seconds from the first step to each at equal slices; None unless all rise."""
    factor = _SECONDS[BY_NAME[name].unit]
    steps: list[dict[int, float]] = []
    for stack in stacks:
        pairs = zip(stack.slice_indices, stack.planes, strict=True)
        values = {index: plane.discriminators.get(name) for index, plane in pairs}
        steps.append({index: value for index, value in values.items() if isinstance(value, float)})
    common = set(steps[0]).intersection(*steps[1:])
    if not common:
        return None
    offsets = [float(np.median([step[index] - steps[0][index] for index in common])) for step in steps]
    if any(later <= before for before, later in pairwise(offsets)):
        return None
    return tuple(round(factor * offset, 9) for offset in offsets)


def _dynamic_times(stacks: Sequence[Stack], headers: Sequence[Dataset]) -> tuple[float, ...] | None:
    """Return the times that Philips writes into the images of each dynamic; None unless all rise."""
    numbers = [numbers_of(headers[stack.planes[0].instance], _PHILIPS_TIME)[:1] for stack in stacks]
    times = [number for found in numbers for number in found]
    if len(times) < len(stacks) or any(later <= before for before, later in pairwise(times)):
        return None
    return tuple(round(time - times[0], 6) for time in times)


def _against_repetition(times: Sequence[float], header: Dataset) -> list[str]:
    repetition = _number(header, "MRTimingAndRelatedParametersSequence", "RepetitionTime")
    if not repetition or not _is_echo_planar(header) or len(times) < 2:
        return []
    step, expected = times[-1] / (len(times) - 1), repetition / 1000
    if abs(step - expected) <= _STEP_TOLERANCE * expected:
        return []
    return [f"time: {step:g} s from step to step on average, but RepetitionTime is {expected:g} s"]


def _regular_step(header: Dataset) -> tuple[float | None, str]:
    """Return the seconds between volumes by a tag that states them."""
    resolution = _number(header, "", "TemporalResolution")
    if resolution:
        return resolution / 1000, "TemporalResolution"
    repetition = _number(header, "MRTimingAndRelatedParametersSequence", "RepetitionTime")
    # Only echo-planar volumes are acquired in one repetition.
    if repetition and _is_echo_planar(header):
        delay = next(iter(numbers_of(header, _GE_DELAY)), 0.0)
        return repetition / 1000 + delay, "RepetitionTime" + (f" and a delay of {delay:g} s" if delay else "")
    return None, ""


def _is_echo_planar(header: Dataset) -> bool:
    is_enhanced = elements.text(header, "EchoPlanarPulseSequence") == "YES"
    return is_enhanced or "EP" in elements.texts(header, "ScanningSequence")


def _number(header: Dataset, sequence: str, keyword: str) -> float | None:
    groups = elements.functional_groups(header, 1)[0] if sequence else ()
    return elements.number_or_none(elements.holder(header, groups, sequence, keyword), keyword)
