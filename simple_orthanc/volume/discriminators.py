"""What tells images at the same position from each other: time, echo, b-value, cardiac phase, kernel and the like.

Each :class:`Discriminator` knows where its value is in a plain header, in functional groups and in the vendors' own
tags. When images are split by it is decided in ``splitting``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.private import PrivateElement, items_of, text_of
from simple_orthanc.dicom.times import parse_date, parse_moment, parse_time
from simple_orthanc.volume.diffusion import Diffusion

DiscriminatorValue = float | str | tuple[Any, ...]
# Name, tag at the top level, keyword of a sequence there or "", keyword of the value.
Source = tuple[str, int, str, str]

_DAY = 86400.0
# The gradient of an image that is weighted in all directions alike.
TRACE = "trace"
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
        Where headers hold it: pairs of a sequence keyword, a functional group or "" for the top level, and a keyword.
    ranked : bool
        A value that differs from slice to slice, as a trigger time does, still orders the images at each position.
    by_value : bool
        Labels show the value; otherwise its number in the order of the values.
    unit : str
        Of the values, where they have one.
    meaning : str
        What it means if images at different positions differ in it. "kind": they are of different kinds if at least two
        values are on several slices each. "timing": likewise, but where nearly every slice has its own value, it is the
        time at which the slice was acquired. "view": projections that differ in it are different views. "": nothing; it
        may change along a volume, as AcquisitionNumber and times of acquisition do.
    """

    name: str
    axis: str
    sources: tuple[tuple[str, str], ...]
    ranked: bool = False
    by_value: bool = False
    unit: str = ""
    meaning: str = ""

    @property
    def keyword(self) -> str:
        """The DICOM keyword to be named in messages."""
        return self.sources[0][1] if self.sources else str(next(iter(_PRIVATE.get(self.name, ())), self.name))


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
_CONTRAST = (
    *_top("ContrastBolusAgent"),
    *_in("ContrastBolusUsageSequence", "ContrastBolusAgentAdministered", "ContrastBolusAgentNumber"),
)


def _tag(name: str, axis: str, *sources: tuple[str, str], unit: str = "", meaning: str = "") -> Discriminator:
    return Discriminator(name, axis, sources, by_value=True, unit=unit, meaning=meaning)


def _kind(name: str, axis: str, *sources: tuple[str, str], unit: str = "") -> Discriminator:
    return _tag(name, axis, *sources, unit=unit, meaning="kind")


def _series(
    name: str, axis: str, *sources: tuple[str, str], ranked: bool = False, unit: str = "", meaning: str = ""
) -> Discriminator:
    return Discriminator(name, axis, sources, ranked=ranked, unit=unit, meaning=meaning)


def _view(name: str, *sources: tuple[str, str]) -> Discriminator:
    return _tag(name, "", *sources, meaning="view")


# In the order of preference where several would separate the same images.
DISCRIMINATORS = (
    _kind("time", "time", *_top("TemporalPositionIdentifier"), *_in(_FRAME, "TemporalPositionIndex")),
    _kind("echo", "echo", *_top("EchoNumbers")),
    _kind("echo time", "echo", *_top("EchoTime"), *_in("MREchoSequence", "EffectiveEchoTime"), unit="ms"),
    _kind("b", "b", *_top("DiffusionBValue"), *_in("MRDiffusionSequence", "DiffusionBValue"), unit="s/mm2"),
    _series("gradient", "b", *_top("DiffusionGradientOrientation"), meaning="kind"),
    _kind("label", "", *_in("MRArterialSpinLabelingSequence", "ASLContext")),
    _series("phase", "phase", *_TRIGGER, ranked=True, unit="ms", meaning="timing"),
    _series("cardiac phase", "phase", *_top(_PERCENT_OF_HEART), *_in(_HEART, _PERCENT_OF_HEART), unit="%"),
    _series("respiratory phase", "phase", *_top(_PERCENT_OF_LUNG), *_in(_LUNG, _PERCENT_OF_LUNG), unit="%"),
    _tag(
        "inversion time",
        "",
        *_top("InversionTime"),
        *_in("MRModifierSequence", "InversionTimes"),
        unit="ms",
        meaning="timing",
    ),
    _series("time offset", "time", *_in("TemporalPositionSequence", "TemporalPositionTimeOffset"), unit="s"),
    _series("frame time", "time", *_top("FrameReferenceTime"), ranked=True, unit="ms"),
    _kind("image type", "", *_IMAGE_TYPE),
    _kind("component", "", *_COMPONENT),
    _kind("GE component", ""),
    _kind("GE type", ""),
    _kind("Philips type", ""),
    _tag("phase number", "phase"),
    _kind("kernel", "", *_top("ConvolutionKernel"), *_in("CTReconstructionSequence", "ConvolutionKernel")),
    _kind("contrast", "", *_CONTRAST),
    _tag("acquisition", "time", *_top("AcquisitionNumber"), *_in(_FRAME, "FrameAcquisitionNumber")),
    _tag("flip angle", "", *_top("FlipAngle"), *_in("MRTimingAndRelatedParametersSequence", "FlipAngle")),
    _kind("kV", "", *_top("KVP"), *_in("CTXRayDetailsSequence", "KVP")),
    _tag("thickness", "", *_top("SliceThickness"), *_in("PixelMeasuresSequence", "SliceThickness")),
    _series("acquisition time", "time", *_ACQUIRED, ranked=True, unit="s"),
    _tag("sequence", "", *_top("SequenceName")),
    _tag("stack", "", *_in(_FRAME, "StackID")),
    _kind("energy window", "", *_top("EnergyWindowVector")),
    _view("detector", *_top("DetectorVector")),
    _tag("R-R interval", "", *_top("RRIntervalVector")),
    _tag("time slot", "phase", *_top("TimeSlotVector")),
    _tag("dynamic phase", "", *_top("PhaseVector")),
    _tag("time slice", "time", *_top("TimeSliceVector")),
    _tag("rotation", "", *_top("RotationVector")),
    _tag("angular view", "", *_top("AngularViewVector")),
    _kind("dose", "", *_top("DoseSummationType")),
    _view("laterality", *_top("ImageLaterality", "Laterality")),
    _view("view", *_top("ViewPosition"), *_in("ViewCodeSequence", "CodeMeaning")),
    _view("patient orientation", *_top("PatientOrientation")),
    _kind("series number", "", *_top("SeriesNumber")),
    _kind("series", "", *_top("SeriesDescription")),
    _series("content time", "time", *_top("ContentTime"), ranked=True, unit="s"),
)
# The order of their numbers tells these apart where no value does; they are not read from headers.
REPETITION = Discriminator("repetition", "time", (("", "InstanceNumber"),), by_value=True)
OBJECT = Discriminator("object", "", (("", "SOPInstanceUID"),))
BY_NAME = {discriminator.name: discriminator for discriminator in (*DISCRIMINATORS, REPETITION, OBJECT)}

# What keywords and sequences are read at one level of a header, in the order of preference.
_GE = ("ge ", "general electric")
_PHILIPS_MR = "Philips MR Imaging DD 00"
_PRIVATE = {
    "GE component": (PrivateElement(0x0043, 0x2F, "SS", "GEMS_PARM_01", _GE),),
    "GE type": (PrivateElement(0x0043, 0x30, "SS", "GEMS_PARM_01", _GE),),
    "Philips type": (PrivateElement(0x2005, 0x11, "CS", f"{_PHILIPS_MR}1", ("philips",)),),
    "label": (PrivateElement(0x2005, 0x29, "CS", f"{_PHILIPS_MR}5", ("philips",)),),
    "phase number": (PrivateElement(0x2001, 0x08, "IS", "Philips Imaging DD 001", ("philips",)),),
}
# One item for each frame of an enhanced object of Philips, with the elements of a classic one.
_PHILIPS_FRAMES = tuple(
    PrivateElement(0x2005, 0x0F, "SQ", f"{_PHILIPS_MR}{number}", ("philips",)) for number in (5, 4, 1)
)
_VENDOR_GROUPS = frozenset(element.group for elements_ in _PRIVATE.values() for element in elements_)
# Dimensions that are the position of a frame, and not what tells it from others at the same position.
_POSITION_DIMENSIONS = (
    "StackID",
    "InStackPositionNumber",
    "ImagePositionPatient",
    "SliceLocation",
    "ImageOrientationPatient",
)


def read_discriminators(
    header: Dataset,
    groups: Sequence[tuple[Dataset, ...]],
    frames: int,
    diffusions: Sequence[Diffusion] = (),
) -> list[dict[str, DiscriminatorValue]]:
    """Read what tells the frames of an object from others at the same position.

    Each value is taken from the nearest level of the header that holds it: the frame's functional group, the shared
    one (PS3.3 C.7.6.16.2), the vectors of nuclear medicine, the top level.

    Parameters
    ----------
    header : pydicom.Dataset
    groups : sequence of tuple of Dataset
        The functional groups of each frame, as ``dicom.header.functional_groups`` returns them; may be empty.
    frames : int
        Number of frames.
    diffusions : sequence of Diffusion
        The diffusion weighting of each frame; empty for what is no MR image.

    Returns
    -------
    list of dict
        For each frame the name of a discriminator to its value. What is missing or empty has no entry.

    Examples
    --------
    >>> header = Dataset()
    >>> header.EchoTime = "4.6"
    >>> read_discriminators(header, [], 1)
    [{'echo time': 4.6}]
    """
    top = _read_top(header)
    vectors = _read_vectors(header, frames) if frames > 1 else [{}]
    dimensions = _read_dimensions(header, groups)
    result = []
    for frame in range(frames):
        own: dict[str, DiscriminatorValue] = {}
        if frame < len(groups):
            own = _read_groups(groups[frame])
        found = {**top, **vectors[frame if frames > 1 else 0], **own}
        for discriminator, values in dimensions:
            if frame < len(values) and discriminator not in found:
                found[discriminator] = values[frame]
        if diffusions:
            _set_diffusion(found, diffusions[frame])
        result.append(found)
    return result


def _read_top(header: Dataset) -> dict[str, DiscriminatorValue]:
    result = read_sources(header, TOP_SOURCES, _TOP_TAGS)
    if elements.text(header, "Modality") == "MR":
        result.update(_read_private(header))
    return result


def read_sources(header: Dataset, sources: Sequence[Source], tags: Set[int]) -> dict[str, DiscriminatorValue]:
    """Read the values at the top level; for each name the value of the first source that has one."""
    result: dict[str, DiscriminatorValue] = {}
    # Of the many tags that can tell images apart, most are missing: those that are not are found all at once.
    present = elements.stored_elements(header).keys() & tags
    for name, tag, sequence, keyword in sources:
        if tag not in present or name in result:
            continue
        levels = elements.items(header, tag)[:1] if sequence else (header,)
        value = next((value for level in levels if (value := _value(level, keyword)) is not None), None)
        if value is not None:
            result[name] = value
    return result


# What is read at the top level, or in a sequence there: name, tag there, keyword of the sequence, keyword of the value.
TOP_SOURCES: tuple[Source, ...] = tuple(
    (discriminator.name, elements.tag_of(sequence or keyword), sequence, keyword)
    for discriminator in DISCRIMINATORS
    for sequence, keyword in discriminator.sources
    if not keyword.endswith("Vector")
)
_TOP_TAGS = frozenset(tag for _, tag, _, _ in TOP_SOURCES)


def _read_private(header: Dataset) -> dict[str, DiscriminatorValue]:
    """Read vendors' own elements at one level of a header."""
    if not any(tag & 0x10000 and tag >> 16 in _VENDOR_GROUPS for tag in elements.stored_elements(header)):
        return {}
    result: dict[str, DiscriminatorValue] = {}
    for name, sources in _PRIVATE.items():
        text = next((text for element in sources if (text := text_of(header, element))), "")
        if text:
            result[name] = _converted(text, "CS" if sources[0].vr == "CS" else "DS")
    return result


def _read_vectors(header: Dataset, frames: int) -> list[dict[str, DiscriminatorValue]]:
    """Read the vectors of nuclear medicine, which have one number for each frame (PS3.3 C.8.4.8)."""
    result: list[dict[str, DiscriminatorValue]] = [{} for _ in range(frames)]
    for discriminator in DISCRIMINATORS:
        if not discriminator.sources or not discriminator.keyword.endswith("Vector"):
            continue
        numbers = elements.numbers(header, discriminator.keyword)
        for values, number in zip(result, numbers if len(numbers) == frames else (), strict=False):
            values[discriminator.name] = number
    return result


_BY_SEQUENCE: dict[str, list[tuple[str, str]]] = {}
for _discriminator in DISCRIMINATORS:
    for _sequence, _keyword in _discriminator.sources:
        if _sequence:
            _BY_SEQUENCE.setdefault(_sequence, []).append((_discriminator.name, _keyword))


def _read_groups(groups: tuple[Dataset, ...]) -> dict[str, DiscriminatorValue]:
    """Read the values in the functional groups of a frame; the nearest group that holds a value counts."""
    result: dict[str, DiscriminatorValue] = {}
    for group in groups:
        for sequence, names in _BY_SEQUENCE.items():
            for item in elements.items(group, sequence)[:1]:
                for name, keyword in names:
                    value = None if name in result else _value(item, keyword)
                    if value is not None:
                        result[name] = value
        for sequence_ in _PHILIPS_FRAMES:
            for item in items_of(group, sequence_)[:1]:
                result = {**_read_private(item), **result}
    return result


def _read_dimensions(
    header: Dataset, groups: Sequence[tuple[Dataset, ...]]
) -> list[tuple[str, list[DiscriminatorValue]]]:
    """Read the index of each frame in each dimension that is not its position (PS3.3 C.7.6.17).

    Returns
    -------
    list
        Pairs of a name, which tells what the dimension is an index of, and the index of each frame.
    """
    indices = [
        elements.numbers(
            elements.holder(elements.NO_ELEMENTS, own, _FRAME, "DimensionIndexValues"), "DimensionIndexValues"
        )
        for own in groups
    ]
    count = min((len(values) for values in indices), default=0)
    pointers = elements.items(header, "DimensionIndexSequence")
    result: list[tuple[str, list[DiscriminatorValue]]] = []
    for number in range(count):
        name = f"dimension {number + 1} ="
        if number < len(pointers):
            keyword = _pointed_to(pointers[number])
            if keyword in _POSITION_DIMENSIONS:
                continue
            # A temporal position is its own index.
            name = "time" if keyword == "TemporalPositionIndex" else f"dimension {keyword} ="
        result.append((name, [values[number] for values in indices]))
    return result


def _pointed_to(item: Dataset) -> str:
    """Return the keyword of the attribute that a dimension is an index of, or its tag if it has none."""
    pointer = item.get("DimensionIndexPointer")
    if pointer is None:
        return "unknown"
    return keyword_for_tag(pointer) or f"({int(pointer) >> 16:04X},{int(pointer) & 0xFFFF:04X})"


def discriminator_of(name: str) -> Discriminator:
    """Return the discriminator of a name, also of a dimension that only one object has.

    Examples
    --------
    >>> discriminator_of("echo").axis, discriminator_of("dimension (2005,1429) =").by_value
    ('echo', True)
    """
    return BY_NAME.get(name) or Discriminator(name, "", (), by_value=True)


def selectable_names(header: Dataset) -> frozenset[str]:
    """Return the names whose DICOM keyword is at the top level of a header, so that a selection by it finds it.

    Examples
    --------
    >>> header = Dataset()
    >>> header.EchoTime = "4.6"
    >>> selectable_names(header)
    frozenset({'echo time'})
    """
    present = elements.stored_elements(header)
    return frozenset(name for name, tag in _SELECTABLE if tag in present)


_SELECTABLE = tuple(
    (discriminator.name, elements.tag_of(discriminator.keyword))
    for discriminator in DISCRIMINATORS
    if discriminator.sources and not discriminator.sources[0][0]
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


def _set_diffusion(values: dict[str, DiscriminatorValue], diffusion: Diffusion) -> None:
    """Put the diffusion weighting of a frame in the place of what its header says at one level alone."""
    values.pop("b", None)
    values.pop("gradient", None)
    if diffusion.b is not None:
        values["b"] = round(diffusion.b, 6)
    if diffusion.is_trace:
        values["gradient"] = TRACE
    elif diffusion.vector is not None and any(diffusion.vector):
        values["gradient"] = tuple(diffusion.vector)


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


@lru_cache(maxsize=4096)
def _converted(text: str, vr: str) -> float | str:
    """Convert a string; most slices of a series have the same ones."""
    if vr in ("TM", "DT"):
        seconds = _seconds(text, vr)
        return text if seconds is None else seconds
    if vr in ("CS", "LO", "SH", "UI"):
        return text
    try:
        number = round(float(text), 6)
    except ValueError:
        return text
    # NaN is not equal to itself, so that no image would be found again by it.
    return number if math.isfinite(number) else text


def _seconds(text: str, vr: str) -> float | None:
    """Return the seconds since midnight of a time, or since the year 1970 of a date with a time; None if unreadable."""
    if vr == "TM":
        time = parse_time(text)
        return None if time is None else time.total_seconds()
    moment = parse_moment(text)
    # The offset does not matter: such times are only compared within one series.
    return (moment.clock - _EPOCH).total_seconds() if moment is not None and moment.has_time else None
