"""Private elements that vendors are known to write, read whatever happened to their VR and their private creator.

A file with implicit VR does not tell the VR of a private element, and archives that do not know it write UN. So each
:class:`PrivateElement` here brings its VR along.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.values import convert_SQ

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.tags import PADDING

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}


@dataclass(frozen=True)
class PrivateElement:
    """A private element of a vendor.

    Attributes
    ----------
    group, element : int
        For (0019,xx0C): 0x0019 and 0x0C.
    vr : str
        The VR that the vendor gives it.
    creator : str
        The private creator that reserves its block.
    makers : tuple of str
        Lower-case parts of ``Manufacturer``. Without a private creator the element is believed only if the
        manufacturer is one of these.
    """

    group: int
    element: int
    vr: str
    creator: str
    makers: tuple[str, ...]

    def __str__(self) -> str:
        """Return the tag as DICOM writes it, with xx for the block."""
        return f"({self.group:04X},xx{self.element:02X})"


def values_of(header: Dataset, element: PrivateElement) -> list[str]:
    """Read the values of a private element as strings without padding; empty if it is missing or empty.

    Examples
    --------
    >>> header = Dataset()
    >>> block = header.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    >>> block.add_new(0x0C, "UN", b"1000")
    >>> values_of(header, PrivateElement(0x0019, 0x0C, "IS", "SIEMENS MR HEADER", ("siemens",)))
    ['1000']
    """
    for tag in _tags(header, element):
        value, vr, little = elements.raw(header, tag)
        if not isinstance(value, (bytes, bytearray, memoryview)):
            found = elements.texts(header, tag)
        else:
            found = _decoded(bytes(value), element.vr if vr == "UN" else vr, little)
        if found:
            return found
    return []


def numbers_of(header: Dataset, element: PrivateElement) -> list[float]:
    """Read the values of a private element as numbers; empty if one of them is not a finite number."""
    try:
        numbers = [float(value) for value in values_of(header, element)]
    except ValueError:
        return []
    return numbers if all(math.isfinite(number) for number in numbers) else []


def text_of(header: Dataset, element: PrivateElement) -> str:
    """Read the first value of a private element as a string; empty if it is missing."""
    return next(iter(values_of(header, element)), "")


def items_of(header: Dataset, element: PrivateElement) -> list[Dataset]:
    """Read the items of a private sequence; empty if it is missing or its bytes are not a sequence."""
    for tag in _tags(header, element):
        value, vr, _ = elements.raw(header, tag)
        if isinstance(value, (bytes, bytearray)) and vr == "UN":
            # Unknown content is always written with implicit VR, little endian (PS3.5 section 6.2.2).
            try:
                value = convert_SQ(bytes(value), True, True)
            except Exception:  # pydicom raises whatever the bytes lead it to
                continue
        else:
            value = header[tag].value
        if isinstance(value, Sequence):
            return list(value)
    return []


def _tags(header: Dataset, element: PrivateElement) -> list[int]:
    tags = list(elements.private(header, element.group, element.element, element.creator, element.makers))
    without_creator = (element.group << 16) + 0x1000 + element.element
    if without_creator in tags and (element.group << 16) + 0x10 not in elements.stored_elements(header):
        return tags if elements.made_by(header, element.makers) else tags[:-1]
    return tags


def _decoded(content: bytes, vr: str, little: bool) -> list[str]:
    code = _BINARY.get(vr)
    if code is None:
        parts: list[Any] = content.decode("latin-1").split("\\")
    else:
        count = len(content) // struct.calcsize(code)
        parts = list(struct.unpack_from(f"{'<' if little else '>'}{count}{code}", content))
    return [stripped for part in parts if (stripped := str(part).strip(PADDING))]
