"""The transformation from stored values to meaningful ones, as a header states it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ParametricMapStorage

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.sample_format import is_colour, is_float, is_label_map, stored_range
from simple_orthanc.pixels.ucum import unit_of_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What "modality" often gives, and may be asked for by name.
NATIVE_UNITS = ("HU", "BQML", "GY")
UNITS = ("stored", "modality", "real world", "philips", *NATIVE_UNITS)
# The defined terms of PS3.3 section C.11.1.1.2, and units of values that others write there.
_RESCALE_TYPES = ("OD", "HU", "US", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT", "BQML", "GY")
# Terms of Units (0054,1001), PS3.3 section C.8.9.1.1.3, that standardized uptake values have other names for here.
PET_UNITS = {"GML": "g/ml", "CM2ML": "cm2/ml"}
_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
# Above the largest integer that pixels can store.
_LARGEST_STORED = 2.0**64
# The first of them is what scanners write.
_PHILIPS_CREATORS = ("Philips MR Imaging DD 001", "Philips Imaging DD 001")


@dataclass(frozen=True, eq=False)
class Rescale:
    """The transformation of the stored values of one frame: ``value = slope * stored + intercept``, or a table.

    Attributes
    ----------
    slope, intercept : float
        1 and 0 where there is a table.
    lut : (ndarray, ndarray) or None
        Consecutive stored values, and the value of each. Stored values outside take that of the nearest end.
    unit : str
        "HU", "BQML", "GY", "US" (unspecified) and so on, or "stored".
    source : str
        The element that holds the transformation.
    valid : (float, float) or None
        The range of stored values that have a meaning, both inclusive; all others become NaN.
    assumed : tuple of (str, int or str)
        "slope" or "intercept" with the element that would state it, where the header lacks that element.
    """

    slope: float = 1.0
    intercept: float = 0.0
    lut: tuple[NDArray[Any], NDArray[Any]] | None = None
    unit: str = "stored"
    source: str = "no rescaling in the header"
    valid: tuple[float, float] | None = None
    assumed: tuple[tuple[str, int | str], ...] = ()

    @property
    def is_identity(self) -> bool:
        """True if values equal the stored ones."""
        return self.lut is None and self.valid is None and self.slope == 1 and self.intercept == 0

    @property
    def is_integer(self) -> bool:
        """True if integers stay integers."""
        if self.valid is not None:
            return False
        if self.lut is not None:
            return self.lut[1].dtype.kind in "iu"
        return float(self.slope).is_integer() and float(self.intercept).is_integer()

    @property
    def meaning(self) -> str:
        """The predicate of a sentence whose subject is the values, for messages."""
        return {
            "stored": "have no unit, as its header does not rescale them",
            "label": "are numbers of segments",
            "US": "have no unit, as its header does not name one",
        }.get(self.unit, f"are in {self.unit}")

    def __eq__(self, other: object) -> bool:
        """Compare all values, those of the table too."""
        if not isinstance(other, Rescale):
            return NotImplemented
        if (self.lut is None) != (other.lut is None) or self._key() != other._key():
            return False
        if self.lut is None or other.lut is None:
            return True
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self.lut, other.lut, strict=True))

    def __hash__(self) -> int:
        """Hash all values except those of the table."""
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return self.slope, self.intercept, self.unit, self.source, self.valid, self.assumed


def read_rescale(header: Dataset, frame: int = 0, units: str = "modality") -> Rescale:
    """Read the transformation of the stored values of a frame.

    Parameters
    ----------
    header : Dataset
    frame : int
        From 0. Each number is taken from the frame's own functional group, else from the shared one, else from the top
        level.
    units : {"modality", "stored", "real world", "philips", "HU", "BQML", "GY"}
        "modality" is the manufacturer's own transformation: rescale slope and intercept, or a Modality LUT, or the dose
        grid scaling; without any it is the identity. "real world" is the Real World Value Mapping. "philips" undoes the
        private scaling of Philips MR, so that images of one examination compare: ``(stored - intercept) / slope`` with
        Scale Intercept (2005,100D) and Scale Slope (2005,100E). "HU", "BQML" and "GY" are "modality", if it gives that.

    Raises
    ------
    VolumeError
        The header has no such transformation, several, or one that cannot be used.

    Notes
    -----
    Modality LUT: PS3.3 section C.11.1. Real world values: PS3.3 section C.7.6.16.2.11. Philips: Chenevert and others,
    "Errors in quantitative image analysis due to platform-dependent image scaling", PMC3998685.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Modality, header.RescaleSlope, header.RescaleIntercept = "CT", "1", "-1024"
    >>> rescale = read_rescale(header)
    >>> rescale.slope, rescale.intercept, rescale.unit
    (1.0, -1024.0, 'HU')
    """
    if units == "stored":
        return Rescale(source="units='stored'")
    if units == "modality" or units in NATIVE_UNITS:
        rescale = _modality(header, frame)
        if units not in ("modality", rescale.unit):
            raise VolumeError(
                f"units={units!r} was requested for {elements.instance_of(header)}, whose values {rescale.meaning}: "
                'get_volume(units="modality") reads them.'
            )
        return rescale
    if units == "real world":
        return _real_world(header, frame)
    if units == "philips":
        return _philips(header, frame)
    raise VolumeError(f"units={units!r} is not valid; choose {', '.join(map(repr, UNITS))}.")


def check_units(units: object, kinds: Sequence[str]) -> None:
    """Refuse units that are neither those of `rescale` nor one of the kinds of standardized uptake values.

    Raises
    ------
    VolumeError
        With all that can be asked for.
    """
    known = (*UNITS, *kinds)
    if units not in known:
        asked = _letters(units)
        near = [name for name in known if asked and _letters(name).startswith(asked)]
        advice = f" Did you mean {near[0]!r}?" if near else ' "modality" gives the units of the headers.'
        raise VolumeError(f"units={units!r} is not valid; choose {', '.join(map(repr, known))}.{advice}")


def _letters(units: object) -> str:
    """Return a name of units without case, blanks and punctuation, so that "suv-bw" finds "SUVbw"."""
    return "".join(character for character in str(units).casefold() if character.isalnum())


def _modality(header: Dataset, frame: int) -> Rescale:
    if is_label_map(header):
        return Rescale(unit="label", source="SegmentationType (0062,0001)")
    scaling = elements.number(header, "DoseGridScaling")
    if scaling is not None:
        unit = elements.text(header, "DoseUnits") or "GY"
        _check_line(header, scaling, 0.0, "DoseGridScaling")
        return Rescale(scaling, 0.0, None, unit, "DoseGridScaling (3004,000E)")
    levels = _levels(header, frame, "PixelValueTransformationSequence")
    # The nearest level that has a transformation counts, and each of its numbers is looked for by itself.
    nearest = next((level for level in levels[:-1] if _has_transformation(level)), header)
    tables = elements.items(nearest, "ModalityLUTSequence")
    if tables:
        lut = _modality_table(header, tables[0])
        unit = elements.text(tables[0], "ModalityLUTType") or "US"
        return Rescale(1.0, 0.0, lut, unit, "ModalityLUTSequence (0028,3000)")
    slope, intercept = _nearest_number(levels, "RescaleSlope"), _nearest_number(levels, "RescaleIntercept")
    unit = next((text for level in levels if (text := elements.text(level, "RescaleType"))), "")
    # Terms of the standard are often written in lower case; other units are not spelled without regard to case.
    unit = unit.upper() if unit.upper() in _RESCALE_TYPES else unit
    modality = elements.text(header, "Modality")
    if modality == "PT" and (units := elements.text(header, "Units")):
        unit = PET_UNITS.get(units.upper(), units.upper())
    elif modality == "CT" and not unit:
        unit = "HU"
    is_map = elements.text(header, "SOPClassUID") == ParametricMapStorage
    if is_map:
        unit = _mapped_unit(header, frame, unit)
    if slope is None and intercept is None:
        has_unit = bool(unit) and (modality == "PT" or is_map)
        return _fractional(header) or (Rescale(unit=unit, assumed=_assumed(None, None)) if has_unit else Rescale())
    assumed = _assumed(slope, intercept)
    slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
    _check_line(header, slope, intercept, "RescaleSlope", "RescaleIntercept")
    if is_colour(header) and (slope != 1 or intercept):
        raise VolumeError(
            f"{elements.instance_of(header)} is in colour and has RescaleSlope {slope:g} and RescaleIntercept "
            f'{intercept:g}, which mean nothing for colour: get_volume(units="stored") reads it as it is.'
        )
    source = "RescaleSlope (0028,1053)" if nearest is header else "PixelValueTransformationSequence (0028,9145)"
    return Rescale(slope, intercept, None, unit or "US", source, assumed=assumed)


def _assumed(slope: float | None, intercept: float | None) -> tuple[tuple[str, str], ...]:
    """Return which of the two a header lacks, with the element of each."""
    stated = (("slope", "RescaleSlope", slope), ("intercept", "RescaleIntercept", intercept))
    return tuple((name, keyword) for name, keyword, value in stated if value is None)


def _mapped_unit(header: Dataset, frame: int, unit: str) -> str:
    """Return the unit of a parametric map, whose real world value mapping says what its values are (PS3.3 A.75)."""
    mappings = _mappings(header, frame)
    if len(mappings) != 1:
        return unit
    slope, intercept = (elements.number(mappings[0], f"RealWorldValue{name}") for name in ("Slope", "Intercept"))
    return unit_of_code(_mapping_name(mappings[0])) if slope == 1 and not intercept else unit


def _levels(header: Dataset, frame: int, sequence: str) -> list[Dataset]:
    """List the levels that can hold a frame's values of a functional group, nearest first."""
    if not any(elements.has(header, keyword) for keyword in (*_GROUPS, sequence)):
        return [header]
    nested = [item for group in elements.groups_of_frame(header, frame) for item in elements.items(group, sequence)]
    return [*nested, *elements.items(header, sequence), header]


def _has_transformation(level: Dataset) -> bool:
    keywords = ("RescaleSlope", "RescaleIntercept")
    return bool(elements.items(level, "ModalityLUTSequence")) or any(elements.texts(level, name) for name in keywords)


def _nearest_number(levels: Sequence[Dataset], keyword: str) -> float | None:
    return next((value for level in levels if (value := elements.number(level, keyword)) is not None), None)


def _fractional(header: Dataset) -> Rescale | None:
    """Scale a fractional segmentation, which stores fractions as parts of a whole number."""
    whole = elements.number(header, "MaximumFractionalValue")
    if elements.text(header, "SegmentationType") != "FRACTIONAL" or not whole:
        return None
    unit = elements.text(header, "SegmentationFractionalType") or "FRACTIONAL"
    return Rescale(1.0 / whole, 0.0, None, unit, "MaximumFractionalValue (0062,000E)")


def _check_line(header: Dataset, slope: float, intercept: float, *tags: int | str) -> None:
    """Refuse a slope and an intercept that make all pixels alike, or infinite.

    Parameters
    ----------
    header : Dataset
    slope, intercept : float
    *tags : int or str
        The elements that they come from, the slope first.
    """
    if slope == 0:
        problem = f"{elements.name_of(tags[0])} of {elements.instance_of(header)} is 0, which makes all pixels alike."
    elif not math.isfinite(abs(slope) * _LARGEST_STORED + 2 * abs(intercept)):
        names = " and ".join(elements.name_of(tag) for tag in tags)
        problem = (
            f"{names} of {elements.instance_of(header)} give values of {slope:g} * stored value + {intercept:g}, "
            "which no number can hold."
        )
    else:
        return
    raise VolumeError(f'{problem} Read it with get_volume(units="stored").')


def _modality_table(header: Dataset, item: Dataset) -> tuple[NDArray[Any], NDArray[Any]]:
    descriptor = elements.numbers(item, "LUTDescriptor")
    if len(descriptor) != 3 or "LUTData" not in item:
        raise VolumeError(
            f"The Modality LUT of {elements.instance_of(header)} is incomplete. "
            'Read it with get_volume(units="stored").'
        )
    entries, first, bits = (int(value) for value in descriptor)
    entries = (entries & 0xFFFF) or 1 << 16
    first &= 0xFFFF
    if elements.number(header, "PixelRepresentation") == 1:
        first = (first ^ 0x8000) - 0x8000
    little = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", "") != "1.2.840.10008.1.2.2"
    try:
        table = _table_entries(item, entries, bits, little)
    except (TypeError, ValueError, OverflowError) as error:
        raise VolumeError(
            f"The Modality LUT of {elements.instance_of(header)} cannot be read: {error}. "
            'Read it with get_volume(units="stored").'
        ) from error
    if len(table) < entries:
        raise VolumeError(
            f"The Modality LUT of {elements.instance_of(header)} has {len(table)} entries instead of {entries}. "
            'Read it with get_volume(units="stored").'
        )
    return np.arange(first, first + entries, dtype=np.int64), table.astype(np.uint16)


def _table_entries(item: Dataset, entries: int, bits: int, little: bool) -> NDArray[Any]:
    data = item["LUTData"].value
    if data is None:
        return np.zeros(0, np.int64)
    if isinstance(data, (bytes, bytearray)):
        packed = bits <= 8 and len(data) < 2 * entries
        words = bytes(data if packed else data[: len(data) // 2 * 2])
        return np.frombuffer(words, np.uint8 if packed else "<u2" if little else ">u2")[:entries]
    # The entries are unsigned, whatever sign the VR gave them.
    return np.atleast_1d(np.asarray(data, dtype=np.int64))[:entries] & 0xFFFF


def _real_world(header: Dataset, frame: int) -> Rescale:
    mappings = _mappings(header, frame)
    if len(mappings) != 1:
        names = ", ".join(_mapping_name(item) for item in mappings)
        raise VolumeError(
            f"units='real world' was requested for {elements.instance_of(header)}, and its "
            "RealWorldValueMappingSequence (0040,9096) "
            + (f"has {len(mappings)} mappings ({names}), where one is needed." if mappings else "is missing.")
            + ' Read it with get_volume(units="modality").'
        )
    item = mappings[0]
    source = "RealWorldValueMappingSequence (0040,9096)"
    unit = _mapping_name(item)
    valid = _mapped_range(header, item)
    table = elements.numbers(item, "RealWorldValueLUTData")
    if table:
        if valid is None or len(table) < valid[1] - valid[0] + 1:
            raise VolumeError(f"The real world value table of {elements.instance_of(header)} is incomplete.")
        low, high = int(valid[0]), int(valid[1])
        lut = np.arange(low, high + 1, dtype=np.int64), np.array(table[: high - low + 1], dtype=np.float64)
        return Rescale(1.0, 0.0, lut, unit, source, (low, high))
    slope, intercept = elements.number(item, "RealWorldValueSlope"), elements.number(item, "RealWorldValueIntercept")
    if slope is None:
        raise VolumeError(f"The real world value mapping of {elements.instance_of(header)} has no slope and no table.")
    if valid is not None and not is_float(header):
        low, high = stored_range(header)
        valid = None if valid[0] <= low and high <= valid[1] else valid
    assumed = (("intercept", "RealWorldValueIntercept"),) if intercept is None else ()
    intercept = intercept or 0.0
    _check_line(header, slope, intercept, "RealWorldValueSlope", "RealWorldValueIntercept")
    return Rescale(slope, intercept, None, unit, source, valid, assumed)


def _mappings(header: Dataset, frame: int) -> list[Dataset]:
    """Return the mappings at the nearest level that has any; an item without slope and table is no mapping."""
    groups = (*elements.groups_of_frame(header, frame), header)
    levels = [elements.items(group, "RealWorldValueMappingSequence") for group in groups]
    keywords = ("RealWorldValueSlope", "RealWorldValueLUTData")
    complete = [[item for item in level if any(elements.texts(item, name) for name in keywords)] for level in levels]
    return next((level for level in (*complete, *levels) if level), [])


def _mapping_name(item: Dataset) -> str:
    codes = elements.items(item, "MeasurementUnitsCodeSequence")
    return (elements.text(codes[0], "CodeValue") if codes else "") or elements.text(item, "LUTLabel") or "US"


def _mapped_range(header: Dataset, item: Dataset) -> tuple[float, float] | None:
    first, last = (elements.number(item, f"RealWorldValue{end}ValueMapped") for end in ("First", "Last"))
    if first is not None and last is not None:
        if elements.number(header, "PixelRepresentation") == 1:
            first, last = ((int(value) & 0xFFFF ^ 0x8000) - 0x8000 for value in (first, last))
        else:
            first, last = int(first) & 0xFFFF, int(last) & 0xFFFF
    else:
        keywords = [f"DoubleFloatRealWorldValue{end}ValueMapped" for end in ("First", "Last")]
        first, last = (elements.number(item, keyword, finite=False) for keyword in keywords)
        if any(value is not None and math.isnan(value) for value in (first, last)):
            raise VolumeError(
                f"{' or '.join(map(elements.name_of, keywords))} of {elements.instance_of(header)} is not a number, so "
                "the values that are mapped are unknown. "
                'Read it with get_volume(units="modality").'
            )
    return None if first is None or last is None else (min(first, last), max(first, last))


def _philips(header: Dataset, frame: int) -> Rescale:
    for holder in _philips_holders(header, frame):
        intercept, slope = (_philips_number(holder, element) for element in (0x0D, 0x0E))
        if slope:
            assumed = (("intercept", 0x2005100D),) if intercept is None else ()
            intercept = intercept or 0.0
            source = "Scale Slope (2005,100E), Scale Intercept (2005,100D)"
            _check_line(header, 1.0 / slope, -intercept / slope, 0x2005100E, 0x2005100D)
            return Rescale(1.0 / slope, -intercept / slope, None, "Philips", source, assumed=assumed)
    raise VolumeError(
        f"units='philips' was requested for {elements.instance_of(header)}, and Philips's Scale Slope (2005,100E) is "
        'missing or 0. Read it with get_volume(units="modality").'
    )


def _philips_number(holder: Dataset, element: int) -> float | None:
    for creator in _PHILIPS_CREATORS:
        for tag in elements.private(holder, 0x2005, element, creator, ("philips",)):
            value = elements.number(holder, tag)
            if value is not None:
                return value
    return None


def _philips_holders(header: Dataset, frame: int) -> list[Dataset]:
    """List the datasets that can hold Philips's private scaling, nearest first.

    Enhanced objects have it in a private sequence (2005,xx0F) of the functional groups, others at the top level.
    """
    levels = (*elements.groups_of_frame(header, frame), header)
    return [holder for level in levels for holder in (*_philips_items(level), level)]


def _philips_items(level: Dataset) -> list[Dataset]:
    tags = [int(tag) for tag in sorted(level.keys()) if tag >> 16 == 0x2005 and tag & 0xFF == 0x0F and tag & 0xF000]
    return [item for tag in tags if _is_sequence(level, tag) for item in elements.items(level, tag)]


def _is_sequence(level: Dataset, tag: int) -> bool:
    """Check whether an element holds items; another creator has a number at the same place."""
    value, vr, _ = elements.raw(level, tag)
    return vr == "SQ" or (isinstance(value, bytes) and value.startswith(b"\xfe\xff\x00\xe0"))
