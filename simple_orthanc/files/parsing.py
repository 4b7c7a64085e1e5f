"""Read files with pydicom, after what would exhaust the memory or the stack of this process has been refused."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from simple_orthanc.errors import OrthancError, TransportError
from simple_orthanc.files.characters import quiet_about_character_set
from simple_orthanc.files.detection import BEGINNING, object_uid
from simple_orthanc.files.inflating import InflatedFile, is_deflated, mark_deflated
from simple_orthanc.files.nesting import may_be_deep, nesting_problem
from simple_orthanc.files.walker import PIXELS

# Stops before an element, given its tag, its VR and the length of its value.
Stop = Callable[[BaseTag, "str | None", int], bool]
_QUICKLY_READ = 2 << 20


def parse_file(content: bytes | IO[bytes]) -> FileDataset:
    """Read a whole file.

    Parameters
    ----------
    content : bytes or binary file

    Raises
    ------
    TransportError
        It is deflated to more, its sequences are nested deeper, or its elements are more, than
        `simple_orthanc.limits` allows.
    Exception
        Anything else that pydicom raises if it cannot read the file.

    Examples
    --------
    >>> from simple_orthanc.phantom import as_bytes, make_series
    >>> parse_file(as_bytes(make_series((1, 4, 4))[0])).Rows
    4
    """
    stream = io.BytesIO(content) if isinstance(content, (bytes, bytearray, memoryview)) else content
    beginning = _beginning(stream)
    if is_deflated(beginning):
        # Counted before anything of it is kept.
        InflatedFile(stream, _name(beginning), "decompressed_bytes").check_end()
        # The header by its own limit, which is far below that of the file.
        parse_header(stream, lambda tag, vr, length: tag in PIXELS)
    return _parsed(stream, beginning, "decompressed_bytes", lambda source: dcmread(source, force=True))


def parse_header(stream: IO[bytes], stop: Stop, *, to_the_end: bool = False) -> FileDataset:
    """Read a file up to an element.

    Parameters
    ----------
    stream : binary file
        Of a file that is not deflated, its position afterwards is where the reading stopped.
    stop : callable
        Returns whether to stop before an element.
    to_the_end : bool
        Whether to check that a deflated file is whole.

    Raises
    ------
    TransportError
        As for `parse_file`.
    DamagedError
        A deflated file is cut off.
    Exception
        Anything else that pydicom raises if it cannot read the file.
    """
    beginning = _beginning(stream)

    def parse(source: Any) -> FileDataset:
        header = read_partial(source, stop, force=True)
        if to_the_end and isinstance(source, InflatedFile):
            source.check_end()
        return header

    return _parsed(stream, beginning, "header_bytes", parse)


@contextmanager
def typed_errors(content: bytes | memoryview) -> Iterator[None]:
    """Turn whatever pydicom raises about a damaged file into a `TransportError` that names the file."""
    try:
        yield
    except OrthancError:
        raise
    except Exception as error:  # pydicom may raise anything
        raise unreadable(content, error) from error


def unreadable(content: bytes | memoryview, problem: object) -> TransportError:
    """Return the error for a file that cannot be read, by its SOPInstanceUID if that can."""
    return TransportError(f"{_name(bytes(content[:BEGINNING]))} cannot be read: {problem}", is_about_object=True)


def _beginning(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    beginning = stream.read(BEGINNING)
    stream.seek(0)
    return beginning


def _name(beginning: bytes) -> str:
    uid = object_uid(beginning)
    return f"SOPInstanceUID {uid}" if uid else "A DICOM file"


def _may_be_costly(content: bytes) -> bool:
    """Check quickly whether a file in memory may be nested too deep or have too many elements."""
    # Counting items in memory is quicker than walking. A file of two megabytes has no more elements than take a second.
    return len(content) > _QUICKLY_READ or may_be_deep(content)


def _parsed(stream: IO[bytes], beginning: bytes, most: str, parse: Callable[[Any], FileDataset]) -> FileDataset:
    # Named here alone, since looking for the name takes longer than all else here.
    source: Any = InflatedFile(stream, _name(beginning), most) if is_deflated(beginning) else stream
    if source is not stream or not isinstance(stream, io.BytesIO) or _may_be_costly(stream.getvalue()):
        problem = nesting_problem(source, beginning, whole=most != "header_bytes")
    else:
        problem = None
    if problem is not None:
        raise unreadable(beginning, problem)
    source.seek(0)
    try:
        with quiet_about_character_set(beginning):
            header = parse(source)
    except RecursionError as error:
        raise unreadable(beginning, "its sequences are too deep for pydicom.") from error
    if source is not stream:
        mark_deflated(header)
    return header
