"""Reading whole headers that are plain, several times as fast as pydicom does.

pydicom reads every kind of file, element by element through a file object. For the many headers of a series that costs
more time than fetching them. Here the plain case is read: little endian, every length stated, nothing unknown. The
result is what pydicom gives, with the values still to be converted by pydicom when they are asked for. A file that is
not plain is left to pydicom.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any, TypeAlias

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from simple_orthanc.dicom.header import interned
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.files.nesting import may_be_deep, nesting_problem
from simple_orthanc.files.similar_headers import Elements, SimilarHeaders
from simple_orthanc.files.walker import (
    LONG_VRS,
    PIXELS,
    SHORT_VRS,
    Buffer,
    DamagedError,
    Meta,
    NotPlainError,
    Syntax,
    dataset_syntax,
    has_prefix,
    read_meta,
    walk,
)

# Values that pydicom represents by an empty string rather than by None.
_EMPTY = frozenset(
    {*("AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN"), *("SH", "SQ", "ST", "TM", "UC", "UI", "UR", "UT")}
)
_VRS = {**SHORT_VRS, **LONG_VRS}

# Encapsulated pixels behind an explicit header: JPEG and its like, and run lengths.
_ENCAPSULATED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
_CHARACTER_SET = interned(0x00080005)

# Position and bytes of the value, VR as written, tag, element; by plain numbers, which compare faster than tags.
_Entry: TypeAlias = "tuple[int, bytes, bytes | None, BaseTag, RawDataElement]"
_Entries: TypeAlias = "dict[int, _Entry]"


# Number of layouts that are remembered: values of different lengths give the headers of a series different layouts.
_LAYOUTS = 6


class Scanner:
    """Reads the headers of many similar files: equal elements are kept once. Several threads may use it at once."""

    def __init__(self) -> None:
        self._last: _Entries = {}
        self._last_meta: _Entries = {}
        # The most recent layout is first.
        self._similar: tuple[SimilarHeaders, ...] = ()

    def scan(self, content: Buffer) -> tuple[FileDataset, int] | None:
        """Read the header of a plain file, up to its pixels.

        Parameters
        ----------
        content : bytes or memoryview
            The file, or as much of its beginning as there is. The header holds nothing of it afterwards.

        Returns
        -------
        (FileDataset, int) or None
            The header, and where in `content` the element with the pixels begins; None if pydicom must read the file,
            since it is not plain or its pixels do not begin in `content`.
        """
        for similar in self._similar:
            found = similar.read(content)
            if found is not None:
                return None if _is_too_deep(bytes(content[: found[1]])) else found
        found = self._walk(content)
        if found is None or _is_too_deep(bytes(content[: found[1]])):
            return None
        layout = SimilarHeaders.of(content, *found)
        if layout is not None:
            self._similar = (layout, *self._similar[: _LAYOUTS - 1])
        return found

    def _walk(self, content: Buffer) -> tuple[FileDataset, int] | None:
        """Read a header of any layout, element by element."""
        try:
            meta = read_meta(content) if has_prefix(content) else None
            if meta is None or not _is_plain(meta.transfer_syntax):
                return None
            syntax = dataset_syntax(content, meta)
            scanned = self._elements(content, meta.end, syntax)
        except (NotPlainError, DamagedError):
            # Of a damaged file, more bytes may show that it is whole.
            return None
        if scanned is None:
            return None
        elements, end = scanned
        return _header(content, self._meta_elements(meta), elements, syntax.implicit), end

    def _elements(self, content: Buffer, start: int, syntax: Syntax) -> tuple[Elements, int] | None:
        """Read the elements up to the pixels; those that equal the last header's are the same objects."""
        like, size, implicit = self._last, len(content), syntax.implicit
        # The group of a command or of file meta information: this is not a plain file.
        if size < start + 2 or int.from_bytes(content[start : start + 2], "little") <= 2:
            return None
        elements: Elements = {}
        entries: _Entries = {}
        is_view = isinstance(content, memoryview)
        for position, number, code, begin, length in walk(content, start, syntax):
            if number in PIXELS:
                self._last = entries
                return elements, position
            end = begin + length
            # An undefined length too is more than there is.
            if end > size:
                return None
            value = bytes(content[begin:end]) if is_view else content[begin:end]
            entry = like.get(number)
            if entry is None or entry[0] != begin or entry[1] != value or entry[2] != code:
                entry = _entry(number, None if code is None else _VRS[code], begin, bytes(value), implicit)
            entries[number] = entry
            elements[entry[3]] = entry[4]
        return None

    def _meta_elements(self, meta: Meta) -> Elements:
        like = self._last_meta
        entries: _Entries = {}
        for number, (vr, begin, value) in meta.elements.items():
            entry = like.get(number)
            if entry is None or entry[0] != begin or entry[1] != value or vr != entry[4].VR:
                entry = _entry(number, vr, begin, value, False)
            entries[number] = entry
        self._last_meta = entries
        return {entry[3]: entry[4] for entry in entries.values()}


def _entry(number: int, vr: str | None, begin: int, value: bytes, implicit: bool) -> _Entry:
    content = value or (b"" if vr in _EMPTY else None)
    element = RawDataElement(interned(number), vr, len(value), content, begin, implicit, True)
    return begin, value, None if vr is None else vr.encode("ascii"), element.tag, element


def _is_too_deep(header: bytes) -> bool:
    # Sequences of stated length are not entered here, and may be nested to any depth.
    return may_be_deep(header) and nesting_problem(io.BytesIO(header), header) is not None


def _is_plain(transfer_syntax: str) -> bool:
    return transfer_syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian) or transfer_syntax.startswith(
        _ENCAPSULATED
    )


def _header(content: Buffer, meta: Elements, elements: Elements, implicit: bool) -> FileDataset:
    file_meta = FileMetaDataset(meta)
    file_meta.set_original_encoding(False, True, default_encoding)
    header = FileDataset(io.BytesIO(), elements, bytes(content[:128]), file_meta, implicit, True)
    character_set: Any = elements.get(_CHARACTER_SET)
    encodings = default_encoding if character_set is None else _encodings(character_set)
    header.set_original_encoding(implicit, True, encodings)
    return header


@lru_cache(maxsize=64)
def _encodings(character_set: RawDataElement) -> str | list[str]:
    with quiet():
        return convert_encodings(Dataset({character_set.tag: character_set})[character_set.tag].value)
