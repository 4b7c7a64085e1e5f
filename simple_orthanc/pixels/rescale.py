"""From stored values to meaningful ones: what the header says, and the arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.colour import has_palette, palette, stored_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNITS = ("stored", "modality", "real world", "philips")
# BitsAllocated that can be read.
ALLOCATED = (1, 8, 16, 32, 64)
# The elements that hold floats, and how many bytes each of these has.
FLOATS = {"FloatPixelData": 4, "DoubleFloatPixelData": 8}


@dataclass(frozen=True, eq=False)
class Rescale:
    """How the stored values of one frame become meaningful: ``value = slope * stored + intercept``, or a table.

    Attributes
    ----------
    slope, intercept : float
        1 and 0 where there is a table.
    lut : (ndarray, ndarray) or None
        Consecutive stored values, and the value of each. Stored values outside take that of the nearest end.
    unit : str
        "HU", "BQML", "GY", "US" (unspecified) and so on, or "stored".
    source : str
        The element this comes from.
    valid : (float, float) or None
        The stored values that have a meaning at all, both inclusive; all others become NaN.
    """

    slope: float = 1.0
    intercept: float = 0.0
    lut: tuple[NDArray[Any], NDArray[Any]] | None = None
    unit: str = "stored"
    source: str = "no rescaling in the header"
    valid: tuple[float, float] | None = None

    @property
    def is_identity(self) -> bool:
        """Whether the values are the stored ones."""
        return self.lut is None and self.valid is None and self.slope == 1 and self.intercept == 0

    @property
    def is_integer(self) -> bool:
        """Whether integers stay integers."""
        if self.valid is not None:
            return False
        if self.lut is not None:
            return self.lut[1].dtype.kind in "iu"
        return float(self.slope).is_integer() and float(self.intercept).is_integer()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rescale):
            return NotImplemented
        if (self.lut is None) != (other.lut is None) or self._key() != other._key():
            return False
        if self.lut is None or other.lut is None:
            return True
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self.lut, other.lut, strict=True))

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return self.slope, self.intercept, self.unit, self.source, self.valid


def rescale(header: Dataset, frame: int = 0, units: str = "modality") -> Rescale:
    """Find how the stored values of a frame become meaningful.

    Parameters
    ----------
    header : Dataset
    frame : int
        From 0. In a multi-frame object its own functional group is asked first, then the shared one, then the top
        level.
    units : {"modality", "stored", "real world", "philips"}
        "modality" is the manufacturer's own transformation: rescale slope and intercept, or a Modality LUT, or the dose
        grid scaling; without any it is the identity. "real world" is the Real World Value Mapping. "philips" undoes the
        private scaling of Philips MR, so that images of one examination compare: ``(stored - intercept) / slope`` with
        Scale Intercept (2005,100D) and Scale Slope (2005,100E).

    Raises
    ------
    VolumeError
        The header has no such transformation, several of them, or an unusable one.

    Notes
    -----
    Modality LUT: PS3.3 section C.11.1. Real world values: PS3.3 section C.7.6.16.2.11. Philips: Chenevert and others,
    "Errors in quantitative image analysis due to platform-dependent image scaling", PMC3998685.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Modality, header.RescaleSlope, header.RescaleIntercept = "CT", "1", "-1024"
    >>> found = rescale(header)
    >>> found.slope, found.intercept, found.unit
    (1.0, -1024.0, 'HU')
    """
    if units == "stored":
        return Rescale(source="units='stored'")
    if units == "modality":
        return _modality(header, frame)
    if units == "real world":
        return _real_world(header, frame)
    if units == "philips":
        return _philips(header, frame)
    raise VolumeError(f"units={units!r} was asked; what there is: {', '.join(map(repr, UNITS))}.")


def check_units(units: object, kinds: Sequence[str]) -> None:
    """Refuse units that are neither those of `rescale` nor one of the kinds of standardized uptake values.

    Raises
    ------
    VolumeError
        With all that can be asked for.
    """
    known = (*UNITS, *kinds)
    if units not in known:
        near = [name for name in known if str(units).casefold() == name.casefold()]
        advice = f" Did you mean {near[0]!r}?" if near else ' Hounsfield units, Bq/ml and Gy are what "modality" gives.'
        raise VolumeError(f"units={units!r} was asked; what there is: {', '.join(map(repr, known))}.{advice}")


def result_dtype(headers: Sequence[Dataset], rescales: Sequence[Rescale], units: str = "modality") -> np.dtype[Any]:
    """Choose the type of a volume from its headers, never from its pixels, so that it does not depend on their content.

    Parameters
    ----------
    headers : sequence of Dataset
        Those of all slices.
    rescales : sequence of Rescale
        Those of all slices.
    units : str

    Returns
    -------
    dtype
        Colour and label maps keep their type. Where values are whole numbers, the smaller of int16 and int32 that
        holds what BitsStored, the sign and all slopes and intercepts allow. Else float32, or float64 for stored
        values of 32 bits and more. ``units="stored"`` keeps the stored type, or the smallest that holds all of several.

    Examples
    --------
    >>> header = Dataset()
    >>> header.SamplesPerPixel, header.BitsAllocated, header.BitsStored, header.PixelRepresentation = 1, 16, 16, 0
    >>> result_dtype([header], [Rescale(intercept=-1024.0)]).name
    'int32'
    """
    kept = np.result_type(*{_stored_dtype(header) for header in headers})
    if units == "stored" or any(_is_colour(header) or is_label_map(header) for header in headers):
        return kept
    wide = kept.itemsize >= (8 if kept.kind == "f" else 4)
    distinct = set(rescales) or {Rescale()}
    if kept.kind != "f" and all(one.is_integer for one in distinct):
        ranges = [_range(one, *_stored_range(header)) for one in distinct for header in headers]
        low, high = min(first for first, _ in ranges), max(last for _, last in ranges)
        for candidate in (np.int16, np.int32):
            if np.iinfo(candidate).min <= low and high <= np.iinfo(candidate).max:
                return np.dtype(candidate)
        wide = True
    return np.dtype(np.float64 if wide else np.float32)


def apply(
    stored_frame: NDArray[Any], rescale: Rescale, dtype: np.dtype[Any] | type[Any], out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Turn stored values into meaningful ones.

    Parameters
    ----------
    stored_frame : ndarray
        Stored values, of any shape.
    rescale : Rescale
    dtype : dtype
        That of the result, from `result_dtype`.
    out : ndarray, optional
        Of this type and the same shape: where the result goes.

    Returns
    -------
    ndarray
        Of the same shape. Computed in float64 unless exact in integers. Where there is nothing to do, and no `out`, it
        is `stored_frame` itself.

    Examples
    --------
    >>> apply(np.array([0, 65535], dtype=np.uint16), Rescale(intercept=-1024.0), np.int32).tolist()
    [-1024, 64511]
    """
    target = np.dtype(dtype)
    if rescale.is_identity:
        if out is None:
            return stored_frame.astype(target, copy=False)
        np.copyto(out, stored_frame, casting="unsafe")
        return out
    if rescale.lut is None and target.kind in "iu" and stored_frame.dtype.kind in "iu":
        return _integers(stored_frame, rescale, target, out)
    if rescale.lut is not None:
        inputs, outputs = rescale.lut
        index = stored_frame.astype(np.int64)
        index -= int(inputs[0])
        np.clip(index, 0, len(outputs) - 1, out=index)
        result = outputs.astype(target)[index]
    else:
        exact = np.multiply(stored_frame, rescale.slope, dtype=np.float64)
        if rescale.intercept:
            exact += rescale.intercept
        result = exact.astype(target, copy=False)
    if rescale.valid is not None:
        low, high = rescale.valid
        result[(stored_frame < low) | (stored_frame > high)] = np.nan
    if out is None:
        return result
    out[...] = result
    return out


def _integers(
    stored_frame: NDArray[Any], rescale: Rescale, target: np.dtype[Any], out: NDArray[Any] | None
) -> NDArray[Any]:
    """Compute in the type of the result, which holds it: so it is right modulo the type's range where a step overflows.

    Integers of one width are the same bits modulo that range, signed or not, and need not be converted.
    """
    one_width = stored_frame.dtype.itemsize == target.itemsize
    source = stored_frame.view(target) if one_width else stored_frame.astype(target)
    unsigned, whole = np.dtype(f"u{target.itemsize}"), 1 << 8 * target.itemsize
    slope, intercept = (
        np.array(int(value) % whole, unsigned).view(target) for value in (rescale.slope, rescale.intercept)
    )
    if rescale.slope != 1:
        source = out = np.multiply(source, slope, out=out)
    result: NDArray[Any] = np.add(source, intercept, out=out)
    return result


def volume_bytes(header: Dataset, units: str = "modality") -> int:
    """Say how much memory the values of one object take, from its header alone.

    Parameters
    ----------
    header : Dataset
    units : str
        As in `rescale`; standardized uptake values ("SUVbw" and so on) are float32.

    Returns
    -------
    int
        Bytes of all frames; 0 for an object that is no image.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Rows, header.Columns, header.BitsAllocated, header.BitsStored = 512, 256, 16, 12
    >>> volume_bytes(header)
    262144
    """
    rows, columns = elements.number(header, "Rows"), elements.number(header, "Columns")
    if not rows or not columns:
        return 0
    frames = elements.frame_count(header)
    samples = frames * int(rows) * int(columns) * (3 if _is_colour(header) else 1)
    if units.startswith("SUV"):
        return samples * 4
    return samples * result_dtype([header], [rescale(header, 0, units)], units).itemsize


def functional_group(header: Dataset, frame: int, keyword: str) -> list[Dataset]:
    """Give the items of a functional group of a frame: its own, else the shared one, else those at the top level.

    Parameters
    ----------
    header : Dataset
    frame : int
        From 0.
    keyword : str
        The keyword of the sequence, "PixelValueTransformationSequence".
    """
    frames = elements.items(header, "PerFrameFunctionalGroupsSequence")
    own = elements.items(frames[frame], keyword) if frame < len(frames) else []
    groups = elements.items(header, "SharedFunctionalGroupsSequence")
    shared = [item for group in groups for item in elements.items(group, keyword)]
    return own or shared or elements.items(header, keyword)


def is_label_map(header: Dataset) -> bool:
    """Whether the stored values are the numbers of segments (PS3.3 C.8.20.2.3.3), to be taken as they are.

    Examples
    --------
    >>> header = Dataset()
    >>> header.SegmentationType = "LABELMAP"
    >>> is_label_map(header)
    True
    """
    return elements.text(header, "SegmentationType") == "LABELMAP"


def _modality(header: Dataset, frame: int) -> Rescale:
    if is_label_map(header):
        return Rescale(unit="label", source="SegmentationType (0062,0001)")
    scaling = elements.number(header, "DoseGridScaling")
    if scaling is not None:
        unit = elements.text(header, "DoseUnits") or "GY"
        return Rescale(
            _usable_slope(header, scaling, "DoseGridScaling"), 0.0, None, unit, "DoseGridScaling (3004,000E)"
        )
    groups = functional_group(header, frame, "PixelValueTransformationSequence")
    holder = groups[0] if groups else header
    tables = elements.items(holder, "ModalityLUTSequence")
    if tables:
        lut = _modality_table(header, tables[0])
        unit = elements.text(tables[0], "ModalityLUTType") or "US"
        return Rescale(1.0, 0.0, lut, unit, "ModalityLUTSequence (0028,3000)")
    slope, intercept = elements.number(holder, "RescaleSlope"), elements.number(holder, "RescaleIntercept")
    unit = elements.text(holder, "RescaleType").upper()
    modality = elements.text(header, "Modality")
    if modality == "PT" and (units := elements.text(header, "Units")):
        unit = units.upper()
    elif modality == "CT" and not unit:
        unit = "HU"
    if slope is None and intercept is None:
        fractional = _fractional(header)
        return fractional or Rescale(unit=unit if modality == "PT" and unit else "stored")
    slope = _usable_slope(header, 1.0 if slope is None else slope, "RescaleSlope")
    if _is_colour(header) and (slope != 1 or intercept):
        raise VolumeError(
            f"{elements.instance_of(header)} is in colour and has RescaleSlope {slope:g} and RescaleIntercept "
            f'{intercept or 0:g}, which mean nothing for colour: get_volume(units="stored") reads it as it is.'
        )
    source = "PixelValueTransformationSequence (0028,9145)" if groups else "RescaleSlope (0028,1053)"
    return Rescale(slope, intercept or 0.0, None, unit or "US", source)


def _fractional(header: Dataset) -> Rescale | None:
    """Scale a fractional segmentation, which stores fractions as parts of a whole number."""
    whole = elements.number(header, "MaximumFractionalValue")
    if elements.text(header, "SegmentationType") != "FRACTIONAL" or not whole:
        return None
    unit = elements.text(header, "SegmentationFractionalType") or "FRACTIONAL"
    return Rescale(1.0 / whole, 0.0, None, unit, "MaximumFractionalValue (0062,000E)")


def _usable_slope(header: Dataset, slope: float, keyword: str) -> float:
    if slope == 0:
        raise VolumeError(
            f"{elements.name_of(keyword)} of {elements.instance_of(header)} is 0, which makes all pixels alike. "
            'Read it with get_volume(units="stored").'
        )
    return slope


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
    mappings = functional_group(header, frame, "RealWorldValueMappingSequence")
    if len(mappings) != 1:
        names = ", ".join(_mapping_name(item) for item in mappings)
        raise VolumeError(
            f"units='real world' was asked of {elements.instance_of(header)}, and its RealWorldValueMappingSequence "
            "(0040,9096) "
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
    if valid is not None and not _is_float(header):
        low, high = _stored_range(header)
        valid = None if valid[0] <= low and high <= valid[1] else valid
    return Rescale(_usable_slope(header, slope, "RealWorldValueSlope"), intercept or 0.0, None, unit, source, valid)


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
        found = [
            next(
                (
                    value
                    for tag in elements.private(holder, 0x2005, element, "Philips Imaging DD 001", ("philips",))
                    if (value := elements.number(holder, tag)) is not None
                ),
                None,
            )
            for element in (0x0D, 0x0E)
        ]
        intercept, slope = found
        if slope:
            intercept = intercept or 0.0
            source = "Scale Slope (2005,100E), Scale Intercept (2005,100D)"
            return Rescale(1.0 / slope, -intercept / slope, None, "Philips", source)
    raise VolumeError(
        f"units='philips' was asked of {elements.instance_of(header)}, and Philips's Scale Slope (2005,100E) is "
        'missing or 0. Read it with get_volume(units="modality").'
    )


def _philips_holders(header: Dataset, frame: int) -> list[Dataset]:
    """Where Philips puts its private scaling: at the top, or in the private group (2005,140F) of a functional group."""
    frames = elements.items(header, "PerFrameFunctionalGroupsSequence")
    groups = [*frames[frame : frame + 1], *elements.items(header, "SharedFunctionalGroupsSequence"), header]
    return [holder for group in groups for holder in (*elements.items(group, 0x2005140F), group)]


def _is_float(header: Dataset) -> bool:
    """Say whether pixels are floats: by the element that holds them, or else by what only integers have."""
    if elements.has(header, "PixelData"):
        return False
    if any(elements.has(header, keyword) for keyword in FLOATS):
        return True
    # Integers cannot be read without both of these, and floats need neither of them.
    needed = ("BitsStored", "PixelRepresentation")
    return _allocated(header) in (32, 64) and any(elements.number(header, keyword) is None for keyword in needed)


def _allocated(header: Dataset) -> int:
    allocated = int(elements.number(header, "BitsAllocated") or 16)
    if allocated not in ALLOCATED:
        raise VolumeError(
            f"{elements.name_of('BitsAllocated')} of {elements.instance_of(header)} is {allocated}; what can be read "
            f"is {', '.join(map(str, ALLOCATED))}. Read the header with get_headers()."
        )
    return allocated


def _is_colour(header: Dataset) -> bool:
    return stored_samples(header) > 1 or has_palette(header)


def _stored_dtype(header: Dataset) -> np.dtype[Any]:
    allocated = _allocated(header)
    if _is_float(header):
        size = next((size for keyword, size in FLOATS.items() if elements.has(header, keyword)), allocated // 8)
        return np.dtype(f"f{size}")
    if has_palette(header):
        return _palette_dtype(header)
    if allocated == 1:
        return np.dtype(np.uint8)
    signed = elements.number(header, "PixelRepresentation") == 1
    return np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")


def _palette_dtype(header: Dataset) -> np.dtype[Any]:
    try:
        return palette(header)[1].dtype
    except (TypeError, ValueError, OverflowError):
        return np.dtype(np.uint8)


def _stored_range(header: Dataset) -> tuple[int, int]:
    allocated = _allocated(header)
    bits = int(elements.number(header, "BitsStored") or allocated)
    if not 1 <= bits <= allocated:
        raise VolumeError(
            f"{elements.name_of('BitsStored')} of {elements.instance_of(header)} is {bits}, where "
            f"{elements.name_of('BitsAllocated')} is {allocated}. Read the header with get_headers()."
        )
    if elements.number(header, "PixelRepresentation") == 1:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _range(rescale: Rescale, low: int, high: int) -> tuple[float, float]:
    if rescale.lut is not None:
        return float(rescale.lut[1].min()), float(rescale.lut[1].max())
    ends = (rescale.slope * low + rescale.intercept, rescale.slope * high + rescale.intercept)
    return min(ends), max(ends)
