"""How deep the sequences of a file are nested, found without recursion, which a file could drive to any depth."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import IO, NamedTuple

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from simple_orthanc import limits
from simple_orthanc.dicom import header as elements
from simple_orthanc.files.inflating import InflatedFile
from simple_orthanc.files.walker import (
    LONG_VRS,
    META_START,
    PIXELS,
    SHORT_VRS,
    UNDEFINED,
    DamagedError,
    has_prefix,
    read_meta,
)

_WINDOW = 64 * 1024
_DELIMITERS, _ITEM = 0xFFFE, 0xFFFEE000
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")


def may_be_deep(content: bytes) -> bool:
    r"""Check quickly whether a file that is not deflated may be nested deeper than `limits.nesting`.

    Examples
    --------
    >>> may_be_deep(bytes(1000)), may_be_deep(51 * b"\xfe\xff\x00\xe0")
    (False, True)
    """
    # A level has at least one item.
    return any(content.count(tag) > limits.nesting for tag in _ITEM_TAGS)


def nesting_problem(stream: IO[bytes] | InflatedFile, beginning: bytes, *, whole: bool = True) -> str | None:
    """Return why the sequences of a file are too deep to be read, as a sentence; None if they are not.

    Parameters
    ----------
    stream : binary file
        At any position.
    beginning : bytes
        The first bytes of the file, with its file meta information.
    whole : bool
        Whether to go on behind the pixel data.

    Examples
    --------
    >>> import io
    >>> from simple_orthanc.phantom import as_bytes, make_series
    >>> content = as_bytes(make_series((1, 4, 4))[0])
    >>> nesting_problem(io.BytesIO(content), content) is None
    True
    """
    depth = nesting(stream, beginning, limits.nesting, whole=whole)
    if depth <= limits.nesting:
        return None
    return f"its sequences are nested {depth} levels deep or more. {limits.advice('nesting')}"


def dataset_nesting_problem(dataset: Dataset) -> str | None:
    """Return why the sequences of a dataset in memory are too deep to be written, as a sentence; None if they are not.

    Examples
    --------
    >>> dataset, item = Dataset(), Dataset()
    >>> dataset.ContentSequence = [item]
    >>> dataset_nesting_problem(dataset) is None
    True
    """
    level, depth = [dataset], 0
    while level:
        if depth > limits.nesting:
            return f"its sequences are nested {depth} levels deep or more. {limits.advice('nesting')}"
        sequences = [
            elements.items(owner, tag)
            for owner in level
            for tag, element in elements.stored_elements(owner).items()
            if element.VR in ("SQ", "UN", None)
        ]
        level, depth = [item for sequence in sequences for item in sequence], depth + 1
    return None


def nesting(stream: IO[bytes] | InflatedFile, beginning: bytes, enough: int, *, whole: bool = True) -> int:
    """Return how many sequences are inside each other, as far as the file can be followed.

    Parameters
    ----------
    stream : binary file
        At any position.
    beginning : bytes
        The first bytes of the file, with its file meta information.
    enough : int
        Stop at the first sequence that is deeper.
    whole : bool
        Whether to go on behind the pixel data.
    """
    walk = _Walk(stream, enough, whole)
    # A file that ends too early, or holds what is no element, is as deep as it could be followed.
    with suppress(struct.error, DamagedError):
        walk.run(*_dataset(beginning))
    return walk.deepest


def _dataset(beginning: bytes) -> tuple[int, bool]:
    """Return where the dataset begins, and whether its numbers are little endian."""
    meta = read_meta(beginning) if has_prefix(beginning) else read_meta(beginning, 0)
    if meta is None:
        start = META_START if has_prefix(beginning) else 0
        # The first group is a small number.
        return start, beginning[start : start + 1] != b"\0"
    return meta.end, meta.transfer_syntax != ExplicitVRBigEndian


class _Level(NamedTuple):
    """What the walk is inside of.

    Attributes
    ----------
    kind : {"sequence", "item", "fragments"}
    end : int or None
        None where a delimiter ends it.
    implicit : bool
        Whether the elements in it have no VR.
    """

    kind: str
    end: int | None
    implicit: bool


class _Walk:
    """Walks through all elements of a file, into its sequences, and remembers the deepest."""

    def __init__(self, stream: IO[bytes] | InflatedFile, enough: int, whole: bool) -> None:
        self._stream, self._enough, self._whole = stream, enough, whole
        self._buffer, self._base = b"", 0
        self._levels: list[_Level] = []
        self._depth = self.deepest = 0

    def run(self, position: int, little: bool) -> None:
        """Walk from a position to the end, or to a sequence that is deeper than enough."""
        number = "<" if little else ">"
        tag_of = struct.Struct(f"{number}HH").unpack_from
        length_of = struct.Struct(f"{number}L").unpack_from
        implicit = self._guess_implicit(position)
        while self.deepest <= self._enough:
            while self._levels and self._levels[-1].end is not None and position >= self._levels[-1].end:
                self._leave()
            head = self._at(position, 12)
            group, element = tag_of(head)
            tag = group << 16 | element
            if group == _DELIMITERS:
                (length,) = length_of(head, 4)
                position = self._delimiter(tag, length, position + 8)
                continue
            inside = self._levels[-1].implicit if self._levels else implicit
            code = None if inside else head[4:6]
            if code is None:
                start, (length,) = position + 8, length_of(head, 4)
            elif code in SHORT_VRS:
                start, length = position + 8, struct.unpack_from(f"{number}H", head, 6)[0]
            elif code in LONG_VRS:
                start, (length,) = position + 12, length_of(head, 8)
            else:
                return
            if tag in PIXELS and not self._whole and not self._levels:
                return
            position = self._element(tag, code, start, length)

    def _element(self, tag: int, code: bytes | None, start: int, length: int) -> int:
        """Enter the value of an element if it is a sequence; return where the walk goes on."""
        end = None if length == UNDEFINED else start + length
        if tag in PIXELS and end is None:
            self._enter("fragments", None, False)
        elif end is None or code == b"SQ" or (code in (None, b"UN") and self._at(start, 4) in _ITEM_TAGS):
            # Inside a value of unknown VR, elements have none (PS3.5, section 6.2.2).
            self._enter("sequence", end, code in (None, b"UN"))
        else:
            return end
        return start

    def _delimiter(self, tag: int, length: int, start: int) -> int:
        if tag != _ITEM:
            if self._levels:
                self._leave()
            return start
        if self._levels and self._levels[-1].kind == "fragments":
            return start + length
        end = None if length == UNDEFINED else start + length
        self._levels.append(_Level("item", end, self._guess_implicit(start)))
        return start

    def _enter(self, kind: str, end: int | None, implicit: bool) -> None:
        self._levels.append(_Level(kind, end, implicit))
        self._depth += kind == "sequence"
        self.deepest = max(self.deepest, self._depth)

    def _leave(self) -> None:
        self._depth -= self._levels.pop().kind == "sequence"

    def _guess_implicit(self, position: int) -> bool:
        """Check whether elements have no VR; some writers change that inside of sequences, so each item is asked."""
        code = self._at(position, 6)[4:]
        return code not in SHORT_VRS and code not in LONG_VRS

    def _at(self, position: int, count: int) -> bytes:
        """Return bytes of the file, fewer at its end."""
        index = position - self._base
        if not 0 <= index <= len(self._buffer) - count:
            # What is there already is kept: going back in a member of a zip means to unpack it again.
            kept = self._buffer[index:] if index >= 0 else b""
            self._stream.seek(position + len(kept))
            self._buffer, self._base, index = kept + self._stream.read(_WINDOW), position, 0
        return self._buffer[index : index + count]
