"""What tells images at the same position from each other: time, echo, b-value, cardiac phase, kernel and the like.

Each :class:`Discriminator` knows where its value stands in a plain header, in functional groups and in the vendors' own
tags; nothing here decides when images are split by it, which is the business of ``stacks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.times import parse_date, parse_moment, parse_time
from simple_orthanc.errors import VolumeError

DiscriminatorValue = float | str | tuple[Any, ...]

_DAY = 86400.0
# What says on which day a time is; without it, a time after midnight comes before one in the evening.
_DATES = {"AcquisitionTime": "AcquisitionDate", "ContentTime": "ContentDate"}
# Seconds since the beginning of our time reckoning would leave no room for microseconds in a float.
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Discriminator:
    """A property that can tell images at the same position from each other.

    Attributes
    ----------
    name : str
        What labels and messages call it.
    axis : str
        The axis of a 4D volume that it can be: "time", "echo", "b", "phase" or "".
    sources : tuple
        Where it stands: pairs of a sequence keyword, a functional group or "" for the top level, and a keyword.
    ranked : bool
        A value that differs from slice to slice, as a trigger time does, still orders the images at each position.
    by_value : bool
        Labels show the value; otherwise its number in the order of the values.
    unit : str
        Of the values, where they have one.
    """

    name: str
    axis: str
    sources: tuple[tuple[str, str], ...]
    ranked: bool = False
    by_value: bool = False
    unit: str = ""

    @property
    def keyword(self) -> str:
        """The DICOM keyword to be named in messages."""
        return self.sources[0][1]


def _top(*keywords: str) -> tuple[tuple[str, str], ...]:
    return tuple(("", keyword) for keyword in keywords)


def _in(sequence: str, *keywords: str) -> tuple[tuple[str, str], ...]:
    return tuple((sequence, keyword) for keyword in keywords)


_FRAME = "FrameContentSequence"
_HEART = "CardiacSynchronizationSequence"
_LUNG = "RespiratorySynchronizationSequence"
_IMAGE_TYPE = (
    *_top("ImageType"),
    *_in("MRImageFrameTypeSequence", "FrameType"),
    *_in("CTImageFrameTypeSequence", "FrameType"),
    *_in("PETFrameTypeSequence", "FrameType"),
)
_COMPONENT = (*_top("ComplexImageComponent"), *_in("MRImageFrameTypeSequence", "ComplexImageComponent"))
_TRIGGER = (*_top("TriggerTime"), *_in(_HEART, "NominalCardiacTriggerDelayTime"))
_PERCENT_OF_HEART = "NominalPercentageOfCardiacPhase"
_PERCENT_OF_LUNG = "NominalPercentageOfRespiratoryPhase"
_ACQUIRED = (
    *_top("AcquisitionDateTime", "AcquisitionTime"),
    *_in(_FRAME, "FrameReferenceDateTime", "FrameAcquisitionDateTime"),
)


def _tag(name: str, axis: str, *sources: tuple[str, str], unit: str = "") -> Discriminator:
    return Discriminator(name, axis, sources, by_value=True, unit=unit)


def _series(name: str, axis: str, *sources: tuple[str, str], ranked: bool = False, unit: str = "") -> Discriminator:
    return Discriminator(name, axis, sources, ranked=ranked, unit=unit)


# In the order of preference where several would separate the same images.
DISCRIMINATORS = (
    _tag("time", "time", *_top("TemporalPositionIdentifier"), *_in(_FRAME, "TemporalPositionIndex")),
    _tag("echo", "echo", *_top("EchoNumbers")),
    _tag("echo time", "echo", *_top("EchoTime"), *_in("MREchoSequence", "EffectiveEchoTime"), unit="ms"),
    _tag("b", "b", *_top("DiffusionBValue"), *_in("MRDiffusionSequence", "DiffusionBValue"), unit="s/mm2"),
    _series("gradient", "b", *_top("DiffusionGradientOrientation")),
    _series("phase", "phase", *_TRIGGER, ranked=True, unit="ms"),
    _series("cardiac phase", "phase", *_top(_PERCENT_OF_HEART), *_in(_HEART, _PERCENT_OF_HEART), unit="%"),
    _series("respiratory phase", "phase", *_top(_PERCENT_OF_LUNG), *_in(_LUNG, _PERCENT_OF_LUNG), unit="%"),
    _tag("inversion time", "", *_top("InversionTime"), *_in("MRModifierSequence", "InversionTimes"), unit="ms"),
    _series("frame time", "time", *_top("FrameReferenceTime"), ranked=True, unit="ms"),
    _tag("image type", "", *_IMAGE_TYPE),
    _tag("component", "", *_COMPONENT),
    _tag("kernel", "", *_top("ConvolutionKernel"), *_in("CTReconstructionSequence", "ConvolutionKernel")),
    _tag("acquisition", "time", *_top("AcquisitionNumber"), *_in(_FRAME, "FrameAcquisitionNumber")),
    _tag("flip angle", "", *_top("FlipAngle"), *_in("MRTimingAndRelatedParametersSequence", "FlipAngle")),
    _tag("kV", "", *_top("KVP"), *_in("CTXRayDetailsSequence", "KVP")),
    _tag("thickness", "", *_top("SliceThickness"), *_in("PixelMeasuresSequence", "SliceThickness")),
    _series("acquisition time", "time", *_ACQUIRED, ranked=True, unit="s"),
    _tag("sequence", "", *_top("SequenceName")),
    _tag("stack", "", *_in(_FRAME, "StackID")),
    _tag("energy window", "", *_top("EnergyWindowVector")),
    _tag("time slot", "phase", *_top("TimeSlotVector")),
    _series("dimension", "", *_in(_FRAME, "DimensionIndexValues")),
    _series("content time", "time", *_top("ContentTime"), ranked=True, unit="s"),
)
BY_NAME = {discriminator.name: discriminator for discriminator in DISCRIMINATORS}

# Vendors' own places for the b-value, and for the gradient direction, from before the standard had them:
# group, element, private creator, maker.
_PRIVATE_B = (
    (0x0019, 0x0C, "SIEMENS MR HEADER", ("siemens",)),
    (0x2001, 0x03, "Philips Imaging DD 001", ("philips",)),
    (0x0043, 0x39, "GEMS_PARM_01", ("ge ", "general electric")),
)
_PRIVATE_GRADIENT = ((0x0019, 0x0E, "SIEMENS MR HEADER", ("siemens",)),)
# The b-value of GE has this added as a flag.
_GE_B_FLAG = 1_000_000_000


def read_header_discriminators(header: Dataset) -> dict[str, DiscriminatorValue]:
    """Return the values at the top level of a header, vendors' own tags for diffusion included.

    Examples
    --------
    >>> header = Dataset()
    >>> header.EchoTime = "4.6"
    >>> read_header_discriminators(header)
    {'echo time': 4.6}
    """
    result: dict[str, DiscriminatorValue] = {}
    for discriminator in DISCRIMINATORS:
        for sequence, keyword in discriminator.sources:
            if sequence or keyword.endswith("Vector"):
                continue
            value = _value(header, keyword)
            if value is not None:
                result[discriminator.name] = value
                break
    if elements.text(header, "Modality") == "MR":
        _add_private(header, result)
    return result


def selectable_names(header: Dataset) -> frozenset[str]:
    """Return the names whose DICOM keyword stands at the top level of a header, so that a selection by it finds it.

    Examples
    --------
    >>> header = Dataset()
    >>> header.EchoTime = "4.6"
    >>> selectable_names(header)
    frozenset({'echo time'})
    """
    return frozenset(
        discriminator.name
        for discriminator in DISCRIMINATORS
        if not discriminator.sources[0][0] and elements.has(header, discriminator.keyword)
    )


def on_one_clock(
    discriminator: Discriminator, values: Sequence[DiscriminatorValue | None]
) -> list[DiscriminatorValue | None]:
    """Take the days out of times if only some of them have one, so that all can be compared by the time of day.

    Examples
    --------
    >>> on_one_clock(BY_NAME["content time"], [1577880000.0, 43201.0])
    [43200.0, 43201.0]
    """
    numbers = [value for value in values if isinstance(value, float)]
    if discriminator.unit != "s" or len({0 <= number < _DAY for number in numbers}) < 2:
        return list(values)
    return [round(value % _DAY, 6) if isinstance(value, float) else value for value in values]


def since_midnight(discriminator: Discriminator, values: Sequence[float]) -> list[float]:
    """Count times from the midnight before the first of them; what is no time stays as it is.

    Examples
    --------
    >>> since_midnight(BY_NAME["content time"], [1577923199.0, 1577923201.0])
    [86399.0, 86401.0]
    """
    if discriminator.unit != "s":
        return list(values)
    midnight = min(values) // _DAY * _DAY
    return [round(value - midnight, 6) for value in values]


def read_frame_discriminators(groups: tuple[Dataset, ...]) -> dict[str, DiscriminatorValue]:
    """Return the values in functional groups: those of the frame, then those shared (PS3.3 C.7.6.16.2)."""
    result: dict[str, DiscriminatorValue] = {}
    for discriminator in DISCRIMINATORS:
        for sequence, keyword in discriminator.sources:
            value = _value(group_item(groups, sequence), keyword) if sequence else None
            if value is not None:
                result[discriminator.name] = value
                break
    directions = elements.items(group_item(groups, "MRDiffusionSequence"), "DiffusionGradientDirectionSequence")
    gradient = _value((directions or [Dataset()])[0], "DiffusionGradientOrientation")
    if gradient is not None:
        result["gradient"] = gradient
    return result


def _add_private(header: Dataset, result: dict[str, DiscriminatorValue]) -> None:
    for name, places in (("b", _PRIVATE_B), ("gradient", _PRIVATE_GRADIENT)):
        for place in places:
            numbers = _private_numbers(header, place) if name not in result else ()
            if numbers and name == "b":
                result[name] = numbers[0] % _GE_B_FLAG
            elif numbers:
                result[name] = tuple(numbers)


def _private_numbers(header: Dataset, place: tuple[int, int, str, tuple[str, ...]]) -> list[float]:
    group, element, creator, makers = place
    # Without a private creator the element is believed only if the manufacturer is named.
    if not elements.made_by(header, makers) and not _has_creator(header, group, creator):
        return []
    for tag in elements.private(header, group, element, creator, makers):
        try:
            return [round(number, 6) for number in elements.numbers(header, tag)]
        except VolumeError:
            continue
    return []


def _has_creator(header: Dataset, group: int, creator: str) -> bool:
    found = (elements.text(header, (group << 16) + block) for block in range(0x10, 0x20))
    return creator.casefold() in [name.casefold() for name in found]


def group_item(groups: tuple[Dataset, ...], sequence: str) -> Dataset:
    """Return the item of a functional group, the frame's own before the shared one; empty where there is none."""
    for group in groups:
        items = elements.items(group, sequence)
        if items:
            return items[0]
    return Dataset()


def _value(header: Dataset, keyword: str) -> DiscriminatorValue | None:
    """Return numbers as floats, times as seconds, everything else as text; None for what is missing or empty."""
    texts = elements.texts(header, keyword)
    if not texts:
        return None
    vr = dictionary_VR(elements.tag_of(keyword))
    values = [_converted(text, vr) for text in texts]
    if keyword in _DATES:
        day = parse_date(elements.text(header, _DATES[keyword]))
        start = 0.0 if day is None else _DAY * (day - _EPOCH.date()).days
        values = [round(value + start, 6) if isinstance(value, float) else value for value in values]
    return values[0] if len(values) == 1 else tuple(values)


def _converted(text: str, vr: str) -> float | str:
    if vr in ("TM", "DT"):
        seconds = _seconds(text, vr)
        return text if seconds is None else seconds
    if vr in ("CS", "LO", "SH", "UI"):
        return text
    try:
        return round(float(text), 6)
    except ValueError:
        return text


def _seconds(text: str, vr: str) -> float | None:
    """Return the seconds since midnight of a time, or since the year 1970 of a date with a time; None if unreadable."""
    if vr == "TM":
        time = parse_time(text)
        return None if time is None else time.total_seconds()
    moment = parse_moment(text)
    # The offset does not matter: such times are only compared within one series.
    return (moment.clock - _EPOCH).total_seconds() if moment is not None and moment.has_time else None
