"""How deep the sequences of a file are nested and how many its elements are, before pydicom reads it.

Both are found without recursion, which a file could drive to any depth. Each element takes time, and a zip holds
millions of empty ones in a few kilobytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
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
    NotPlainError,
    dataset_syntax,
    has_prefix,
    read_meta,
    walk,
)

_WINDOW = 64 * 1024
# As many bytes are searched for items in the time that walking over two or three elements takes.
_BYTES_PER_ELEMENT = 1024
_DELIMITERS, _ITEM = 0xFFFE, 0xFFFEE000
_PIXEL_VRS = (b"OB", b"OW", b"OF", b"OD")
_ITEM_TAGS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")


def may_be_deep(content: bytes) -> bool:
    r"""Check quickly whether a file that is not deflated may be nested deeper than `limits.nesting`.

    Examples
    --------
    >>> may_be_deep(bytes(1000)), may_be_deep(51 * b"\xfe\xff\x00\xe0")
    (False, True)
    """
    parts = _around_pixels(content)
    # A level has at least one item.
    return any(sum(part.count(tag) for part in parts) > limits.nesting for tag in _ITEM_TAGS)


def _around_pixels(content: bytes) -> Sequence[bytes]:
    """Return what lies before and behind the pixels of a plain image, and all of any other file."""
    meta = read_meta(content) if len(content) > _WINDOW and has_prefix(content) else None
    if meta is None:
        return (content,)
    most = len(content) // _BYTES_PER_ELEMENT
    with suppress(NotPlainError, DamagedError):
        for _, tag, code, start, length in walk(content, meta.end, dataset_syntax(content, meta), most=most):
            if tag not in PIXELS:
                continue
            # As `_Walk` decides, which takes a value without a VR for a sequence if it begins like one.
            is_value = code in _PIXEL_VRS or (code is None and content[start : start + 4] not in _ITEM_TAGS)
            if is_value and length != UNDEFINED and start + length <= len(content):
                return content[:start], content[start + length :]
            break
    return (content,)


def nesting_problem(stream: IO[bytes] | InflatedFile, beginning: bytes, *, whole: bool = True) -> str | None:
    """Return why a file has too deep sequences or too many elements to be read, as a sentence; None if it has not.

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
    walk = _walked(stream, beginning, limits.nesting, whole)
    if walk.deepest > limits.nesting:
        return f"its sequences are nested {walk.deepest} levels deep or more. {limits.advice('nesting')}"
    if walk.is_crowded:
        return f"it has {walk.count:,} elements or more. {limits.advice('elements')}"
    return None


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
    stream, beginning, whole
        See `nesting_problem`.
    enough : int
        Stop at the first sequence that is deeper.
    """
    return _walked(stream, beginning, enough, whole).deepest


def _walked(stream: IO[bytes] | InflatedFile, beginning: bytes, enough: int, whole: bool) -> _Walk:
    walk = _Walk(stream, enough, whole)
    # A file that ends too early is as deep as it could be followed.
    with suppress(struct.error, DamagedError):
        walk.run(*_dataset(beginning))
    return walk


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
    """Walks through all elements of a file, into its sequences, counts them, and remembers the deepest."""

    def __init__(self, stream: IO[bytes] | InflatedFile, enough: int, whole: bool) -> None:
        self._stream, self._enough, self._whole = stream, enough, whole
        self._buffer, self._base = b"", 0
        self._levels: list[_Level] = []
        # Elements of the outermost dataset, and of each level.
        self._counts = [0]
        self.count = 0
        self._depth = self.deepest = 0

    @property
    def is_crowded(self) -> bool:
        """Whether there are more elements than are believed of a file, or of a single dataset."""
        return self.count > limits.elements or self._counts[-1] > limits.elements // 10

    def run(self, position: int, little: bool) -> None:
        """Walk from a position to the end, to a sequence that is deeper than enough, or to an element too many."""
        number = "<" if little else ">"
        tag_of = struct.Struct(f"{number}HH").unpack_from
        length_of = struct.Struct(f"{number}L").unpack_from
        implicit = self._guess_implicit(position)
        most, most_here = limits.elements, limits.elements // 10
        while self.deepest <= self._enough and self.count <= most and self._counts[-1] <= most_here:
            while self._levels and self._levels[-1].end is not None and position >= self._levels[-1].end:
                self._leave()
            head = self._at(position, 12)
            group, element = tag_of(head)
            tag = group << 16 | element
            self.count += 1
            if group == _DELIMITERS:
                (length,) = length_of(head, 4)
                position = self._delimiter(tag, length, position + 8)
                continue
            self._counts[-1] += 1
            inside = self._levels[-1].implicit if self._levels else implicit
            # pydicom too reads an element without two capitals there as implicit, and one of any other VR as short.
            code = None if inside or not b"AA" <= head[4:6] <= b"ZZ" else head[4:6]
            if code is None:
                start, (length,) = position + 8, length_of(head, 4)
            elif code in LONG_VRS:
                start, (length,) = position + 12, length_of(head, 8)
            else:
                start, length = position + 8, struct.unpack_from(f"{number}H", head, 6)[0]
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
        if not length:
            return start
        end = None if length == UNDEFINED else start + length
        self._add(_Level("item", end, self._guess_implicit(start)))
        return start

    def _enter(self, kind: str, end: int | None, implicit: bool) -> None:
        self._add(_Level(kind, end, implicit))
        self._depth += kind == "sequence"
        self.deepest = max(self.deepest, self._depth)

    def _add(self, level: _Level) -> None:
        self._levels.append(level)
        self._counts.append(0)

    def _leave(self) -> None:
        self._counts.pop()
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
