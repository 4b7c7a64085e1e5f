"""Write CSA headers as Siemens does, for tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset


def write_csa(tags: Mapping[str, Sequence[object]], *, version: int = 2, items: int = 6) -> bytes:
    """Write the values of each tag, filled up with empty items; the first version counts lengths from `items`."""
    parts = [b"SV10\4\3\2\1" if version == 2 else b"", struct.pack("<II", len(tags), 77)]
    for name, values in tags.items():
        count = max(items, len(values)) if values else 0
        # What follows the end of the name is rubbish in real headers.
        label = (name.encode("ascii") + b'\0 <Visible> "true"')[:64].ljust(64, b"\0")
        parts.append(struct.pack("<64si4siii", label, len(values), b"FD\0\0", 4, count, 77))
        for number in range(count):
            content = f"{values[number]}\0".encode("ascii") if number < len(values) else b""
            length = len(content)
            added = 0 if version == 2 else _first_count(tags, items)
            parts.append(struct.pack("<4i", length + added, length, 77, length))
            parts.append(content.ljust(-(-length // 4) * 4, b"\0"))
    return b"".join(parts)


def _first_count(tags: Mapping[str, Sequence[object]], items: int) -> int:
    first = next(iter(tags.values()))
    return max(items, len(first)) if first else 0


def add_csa(
    header: Dataset, tags: Mapping[str, Sequence[object]], *, series: bool = False, version: int = 2, block: int = 0x10
) -> None:
    """Put a CSA header of the image, or of the series, into a header."""
    header.add_new((0x0029, block), "LO", "SIEMENS CSA HEADER")
    element = (block << 8) + (0x20 if series else 0x10)
    header.add_new((0x0029, element), "OB", write_csa(tags, version=version))
