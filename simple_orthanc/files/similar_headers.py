"""Headers that differ from an earlier one only in the values of elements, such as those of the slices of a series.

If every tag, VR and length is at the same place, so is every value. Such a header is read without walking through its
elements, and elements with the same bytes are the same objects.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset
from pydicom.tag import BaseTag

from simple_orthanc.dicom.copying import Prototype
from simple_orthanc.dicom.header import stored_elements
from simple_orthanc.files.walker import Buffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

Elements: TypeAlias = "dict[BaseTag, DataElement | RawDataElement]"

# Their values decide how the others are read: TransferSyntaxUID and SpecificCharacterSet.
_DECISIVE = frozenset({0x00020010, 0x00080005})
# Bytes of a tag, and of the longest head of an element, with explicit and with implicit VR.
_TAG, _EXPLICIT_HEAD, _IMPLICIT_HEAD = 4, 12, 8
_NO_VALUE = 0
# Bytes up to which a header is kept in memory for the next one.
_LARGEST = 1 << 18


class _Latest(NamedTuple):
    """The header that was read last: its bytes, the elements of its File Meta Information, and its other elements."""

    bytes: NDArray[np.uint8]
    meta: Elements
    elements: Elements


class SimilarHeaders:
    """Reads headers with the same layout as an earlier one. Several threads may use it at once.

    Parameters
    ----------
    content : bytes or memoryview
        The file that was read, or its beginning, including the head of the element that holds the pixels.
    header : FileDataset
        The header as the fast reader returned it, not used yet.
    end : int
        Position in bytes where the element with the pixels begins.
    size : int
        Number of bytes up to the end of the head of that element.

    Examples
    --------
    >>> from simple_orthanc.files.fast_headers import Scanner
    >>> from simple_orthanc.phantom import as_bytes, make_series
    >>> one, other = map(as_bytes, make_series((2, 4, 4), spacing=(3.0, 1.0, 1.0)))
    >>> similar, _ = SimilarHeaders.of(one, *Scanner().scan(one)).read(other)
    >>> similar.InstanceNumber
    '2'
    """

    def __init__(self, content: Buffer, header: FileDataset, end: int, size: int) -> None:
        meta, elements = dict(stored_elements(header.file_meta)), dict(stored_elements(header))
        self._end, self._size = end, size
        self._header, self._meta = Prototype(header), Prototype(header.file_meta)
        self._elements = [each for each in (*meta.values(), *elements.values()) if isinstance(each, RawDataElement)]
        self._meta_count = len(meta)
        # The number of the element whose value each byte belongs to, from 1.
        self._owners = np.full(self._size, _NO_VALUE, np.int32)
        for number, element in enumerate(self._elements, 1):
            if element.tag not in _DECISIVE:
                self._owners[element.value_tell : element.value_tell + element.length] = number
        self._pixels = bytes(content[end : end + _TAG])
        self._latest = _Latest(self._beginning(content).copy(), meta, elements)

    @classmethod
    def of(cls, content: Buffer, header: FileDataset, end: int) -> SimilarHeaders | None:
        """Return a reader for the layout of a header; None if it is long, or the head of the pixels is cut off."""
        size = end + (_IMPLICIT_HEAD if header.original_encoding[0] else _EXPLICIT_HEAD)
        return cls(content, header, end, size) if size <= min(_LARGEST, len(content)) else None

    def _beginning(self, content: Buffer) -> NDArray[np.uint8]:
        return np.frombuffer(content, np.uint8, self._size)

    def read(self, content: Buffer) -> tuple[FileDataset, int] | None:
        """Return the header of a file, and where the element with its pixels begins; None if its layout differs."""
        if len(content) < self._size or content[self._end : self._end + _TAG] != self._pixels:
            return None
        latest, beginning = self._latest, self._beginning(content)
        has_changed = np.zeros(len(self._elements) + 1, bool)
        has_changed[self._owners[np.flatnonzero(beginning != latest.bytes)]] = True
        if has_changed[_NO_VALUE]:
            return None
        meta, elements = latest.meta.copy(), latest.elements.copy()
        for number in np.flatnonzero(has_changed).tolist():
            element = self._elements[number - 1]
            start = element.value_tell
            value = bytes(content[start : start + element.length])
            (meta if number <= self._meta_count else elements)[element.tag] = element._replace(value=value)
        # Copies, since using the header converts its elements.
        self._latest = _Latest(beginning.copy(), meta.copy(), elements.copy())
        file_meta = self._meta.with_elements(meta)
        return self._header.with_elements(elements, file_meta=file_meta, buffer=io.BytesIO()), self._end
