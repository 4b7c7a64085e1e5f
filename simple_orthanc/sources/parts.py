"""Reading a DICOM header from a part of its file."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TypeAlias

from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

# Reads bytes start to stop of a file; or, and then it says True, the whole file.
PartReader: TypeAlias = Callable[[int, int], "tuple[bytes, bool]"]

# Float Pixel Data, Double Float Pixel Data, Pixel Data Provider URL, Pixel Data (PS3.6).
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


def read_header(read: PartReader, first: int) -> Dataset:
    """Read a header, fetching no more of the file than it needs, in steps that double.

    Parameters
    ----------
    read : callable
        Gives bytes of the file.
    first : int
        How many bytes to fetch at first.

    Returns
    -------
    pydicom.dataset.Dataset
        Everything before the pixel data, with its file meta information.
    """
    content, whole = read(0, first)
    while not whole:
        header, reached = _parse(content)
        if header is not None and reached:
            return header
        more, whole = read(len(content), 4 * len(content))
        content = more if whole else content + more
    return read_partial(io.BytesIO(content), _Stop(), force=True)


class _Stop:
    """Stops pydicom at the pixel data, and remembers that it came so far."""

    def __init__(self) -> None:
        self.reached = False

    def __call__(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        self.reached = tag in _PIXELS
        return self.reached


def _parse(content: bytes) -> tuple[Dataset | None, bool]:
    stop = _Stop()
    try:
        return read_partial(io.BytesIO(content), stop, force=True), stop.reached
    except Exception:  # cut off in the middle of an element: whatever pydicom says of it, more bytes are needed
        return None, False
