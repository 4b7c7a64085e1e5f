"""Colour samples to RGB, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLOURS = ("Red", "Green", "Blue")
# Nuclear Medicine Image Storage, today's and the retired one. A picture of such an image, a secondary capture whose
# Modality is NM too, does hold colours.
_NUCLEAR = ("1.2.840.10008.5.1.4.1.1.20", "1.2.840.10008.5.1.4.1.1.5")
# Values of PhotometricInterpretation by samples per pixel (PS3.3 section C.7.6.3.1.2).
PHOTOMETRIC = {
    1: ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"),
    3: ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"),
}


def stored_samples(header: Dataset) -> int:
    """Return the stored samples per pixel; where SamplesPerPixel is missing, those of the colour space.

    Examples
    --------
    >>> header = Dataset()
    >>> header.PhotometricInterpretation = "RGB"
    >>> stored_samples(header)
    3
    """
    several = elements.text(header, "PhotometricInterpretation") in PHOTOMETRIC[3]
    return int(elements.number(header, "SamplesPerPixel") or (3 if several else 1))


def ybr_to_rgb(frame: NDArray[Any], bits: int = 8) -> NDArray[Any]:
    """Convert a frame from YBR_FULL to RGB.

    Parameters
    ----------
    frame : ndarray
        Shape (rows, columns, 3), unsigned integers.
    bits : int
        BitsStored.

    Returns
    -------
    ndarray
        Of the same shape and type, rounded and clipped to the range of so many bits.

    Notes
    -----
    The equations of PS3.3 section C.7.6.3.1.2, which are those of ITU-R BT.601 over the full range.

    Examples
    --------
    >>> ybr_to_rgb(np.array([[[76, 85, 255]]], dtype=np.uint8)).tolist()
    [[[254, 0, 0]]]
    """
    inverse = np.array(
        [[1, 1, 1], [0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0]], dtype=np.float32
    )
    values = frame.astype(np.float32)
    values[..., 1:] -= 1 << (bits - 1)
    values = values @ inverse
    values += 0.5
    np.floor(values, out=values)
    return np.clip(values, 0, (1 << bits) - 1, out=values).astype(frame.dtype)


def has_palette(header: Dataset) -> bool:
    """Check whether stored values are entries of a palette of red, green and blue (PS3.3 C.7.6.3.1.2).

    In label maps (PS3.3 C.8.20.2) and nuclear medicine (C.8.4.7.1.1) the palette is only for display: the stored
    values are segment numbers and counts.

    Examples
    --------
    >>> header = Dataset()
    >>> header.PhotometricInterpretation = "PALETTE COLOR"
    >>> has_palette(header)
    True
    >>> header.SegmentationType = "LABELMAP"
    >>> has_palette(header)
    False
    """
    return (
        elements.text(header, "PhotometricInterpretation") == "PALETTE COLOR"
        and elements.text(header, "SegmentationType") != "LABELMAP"
        and elements.text(header, "SOPClassUID") not in _NUCLEAR
    )


def palette(header: Dataset, *, little: bool = True) -> tuple[int, NDArray[Any]]:
    """Read the palette of a PALETTE COLOR image.

    Parameters
    ----------
    header : Dataset
    little : bool
        Whether the palette's words are little endian.

    Returns
    -------
    int
        The first stored value mapped; those below take the first entry, those above the table the last.
    ndarray
        Shape (entries, 3), uint8 or uint16 as the entries are stored.

    Raises
    ------
    ValueError
        The palette is missing, cut off or malformed.

    Notes
    -----
    The Palette Color Lookup Table Module and its segmented form, PS3.3 section C.7.9.
    """
    descriptor = elements.numbers(header, "RedPaletteColorLookupTableDescriptor")
    if len(descriptor) != 3:
        raise ValueError(f"{elements.name_of('RedPaletteColorLookupTableDescriptor')} is missing or has not 3 values")
    entries, first, bits = (int(value) for value in descriptor)
    # The descriptor's values are 16-bit words, whatever sign the VR gave them.
    entries = (entries & 0xFFFF) or 1 << 16
    if elements.number(header, "PixelRepresentation") == 1:
        first = (first & 0xFFFF ^ 0x8000) - 0x8000
    else:
        first &= 0xFFFF
    columns = [_column(header, colour, entries, bits, little) for colour in _COLOURS]
    return first, np.stack(columns, axis=-1)


def apply_palette(frame: NDArray[Any], first: int, table: NDArray[Any]) -> NDArray[Any]:
    """Replace the stored values of a frame by the colours of a palette.

    Parameters
    ----------
    frame : ndarray
        Shape (rows, columns), stored values.
    first : int
    table : ndarray
        Shape (entries, 3).

    Returns
    -------
    ndarray
        Shape (rows, columns, 3), of the table's type.

    Examples
    --------
    >>> apply_palette(np.array([[9, 10, 12]]), 10, np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)).tolist()
    [[[1, 2, 3], [1, 2, 3], [4, 5, 6]]]
    """
    index = frame.astype(np.int64)
    index -= first
    return table[np.clip(index, 0, len(table) - 1, out=index)]


def _column(header: Dataset, colour: str, entries: int, bits: int, little: bool) -> NDArray[Any]:
    keyword = f"{colour}PaletteColorLookupTableData"
    segmented = f"Segmented{keyword}"
    if keyword not in header:
        if segmented not in header:
            raise ValueError(f"{elements.name_of(keyword)} is missing")
        words = _words(header, segmented, None, bits, little)
        try:
            expanded = _expand([int(word) for word in words], 8 if bits <= 8 else 16, entries=entries)
        except IndexError as error:
            raise ValueError(f"{elements.name_of(segmented)} is cut off") from error
        if len(expanded) < entries:
            raise ValueError(f"{elements.name_of(segmented)} gives {len(expanded)} entries instead of {entries}")
        return np.array(expanded[:entries], dtype=words.dtype)
    return _words(header, keyword, entries, bits, little)


def _words(header: Dataset, keyword: str, entries: int | None, bits: int, little: bool) -> NDArray[Any]:
    """Read bytes or words: entries of 8 bits may be stored in either."""
    value = header[keyword].value
    if value is None or (hasattr(value, "__len__") and not len(value)):
        raise ValueError(f"{elements.name_of(keyword)} is empty")
    if not isinstance(value, (bytes, bytearray)):
        # The entries are unsigned, whatever sign the VR gave them.
        numbers = np.atleast_1d(np.asarray(value, dtype=np.int64)) & 0xFFFF
        if entries is not None and len(numbers) < entries:
            raise ValueError(f"{elements.name_of(keyword)} has {len(numbers)} entries instead of {entries}")
        return numbers[:entries].astype(np.uint16)
    wide = bits > 8 if entries is None else len(value) >= 2 * entries
    if wide:
        return np.frombuffer(bytes(value[: len(value) // 2 * 2]), "<u2" if little else ">u2")[:entries].astype(
            np.uint16
        )
    if entries is not None and len(value) < entries:
        raise ValueError(f"{elements.name_of(keyword)} has {len(value)} bytes for {entries} entries")
    octets = np.frombuffer(bytes(value), np.uint8)
    if not little and len(octets) % 2 == 0:
        octets = octets.reshape(-1, 2)[:, ::-1].reshape(-1)
    return octets[:entries]


def _expand(
    words: list[int], bits: int, *, entries: int, limit: int | None = None, last: int | None = None
) -> list[int]:
    """Expand a segmented palette: discrete, linear and indirect segments.

    Parameters
    ----------
    words : list of int
        Bytes or 16-bit words.
    bits : int
        8 or 16, of a word.
    entries : int
        How many entries are wanted: those behind them are left out, however many segments promise them.
    limit : int, optional
        How many segments to take, inside an indirect one.
    last : int, optional
        The entry before, where an indirect segment begins with a linear one.
    """
    result: list[int] = []
    position = taken = 0
    # One word left over is the padding to an even length.
    while position + 1 < len(words) and (limit is None or taken < limit) and len(result) < entries:
        kind, length = words[position], words[position + 1]
        position += 2
        if kind == 0:
            result += words[position : position + length]
            position += length
        elif kind == 1:
            before = result[-1] if result else last
            if before is None:
                raise ValueError("a segmented palette cannot begin with a linear segment")
            after = words[position]
            position += 1
            steps = np.around(before + (after - before) * np.arange(1, length + 1) / length)
            result += [int(step) for step in steps]
        elif kind == 2 and limit is None:
            # The offset counts bytes, and is stored low part first (PS3.3 section C.7.9.2.3).
            parts = words[position : position + 32 // bits]
            position += 32 // bits
            offset = sum(part << bits * index for index, part in enumerate(parts))
            inner = words[offset * 8 // bits :]
            result += _expand(
                inner, bits, entries=entries - len(result), limit=length, last=result[-1] if result else last
            )
        else:
            raise ValueError(f"a segmented palette cannot have a segment of type {kind} here")
        taken += 1
    return result
