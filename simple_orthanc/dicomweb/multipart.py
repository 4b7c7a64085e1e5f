"""Messages of several parts (RFC 2046, PS3.18 section 8.6.1.2), read while they arrive.

The work is proportional to the length of the message, however it is cut into chunks: what was searched for a boundary
is not searched again, and leaves the buffer. A part is yielded when the boundary after it has arrived, so that a part
that was cut short is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message

from simple_orthanc import limits
from simple_orthanc.errors import TransportError

MOST_HEADER_LINES = 100
"""The largest number of lines in the header of one part."""

_LONGEST_BOUNDARY = 200
_MOST_DIGITS = 40
_LONGEST_PADDING = 100
_LINE_END = re.compile(rb"(--)?[ \t]{0,%d}(\r\n|\n)" % _LONGEST_PADDING)
_LINE_BEGUN = re.compile(rb"(?:-|(?:--)?[ \t]{0,%d}\r?)\Z" % _LONGEST_PADDING)


@dataclass(frozen=True)
class Part:
    """One part of a response, or a response that is not in parts.

    Attributes
    ----------
    content : bytes
        The whole body.
    media_type : str
        In lower case, without parameters; "" if none was given.
    transfer_syntax : str or None
        UID of the transfer syntax, if the part names one.
    location : str or None
        The URL of this part alone, if the server names one.

    Examples
    --------
    >>> part = Part(b"...", "image/jpeg", location="/studies/1.2/rendered")
    >>> part
    Part(media_type='image/jpeg', transfer_syntax=None, location='/studies/1.2/rendered')
    >>> len(part.content)
    3
    """

    content: bytes = field(repr=False)
    media_type: str = ""
    transfer_syntax: str | None = None
    location: str | None = None

    @classmethod
    def from_headers(cls, content: bytes, headers: Mapping[str, str]) -> Part:
        """Create a part from a body and its headers, whose names are in lower case.

        Examples
        --------
        >>> Part.from_headers(b"...", {"content-type": "IMAGE/PNG; quality=90"})
        Part(media_type='image/png', transfer_syntax=None, location=None)
        """
        media_type, parameters = parse_content_type(headers.get("content-type", ""))
        return cls(content, media_type, parameters.get("transfer-syntax") or None, headers.get("content-location"))


def parse_content_type(header: str) -> tuple[str, dict[str, str]]:
    """Split a Content-Type into the media type in lower case and its parameters, unquoted.

    Examples
    --------
    >>> parse_content_type('Multipart/Related; type="application/dicom"; boundary=b1')
    ('multipart/related', {'type': 'application/dicom', 'boundary': 'b1'})
    """
    if not header.strip():
        return "", {}
    message = Message()
    message["Content-Type"] = " ".join(header.split())
    given = message.get_params(failobj=[]) or []
    return given[0][0].strip().lower() if given else "", {name.lower(): value for name, value in given[1:]}


def read_parts(chunks: Iterable[bytes], content_type: str, asked: str) -> Iterator[Part]:
    r"""Read a response, in parts or not, and yield each part when it is whole.

    Parameters
    ----------
    chunks : iterable of bytes
        The body, cut anywhere.
    content_type : str
        The header of the response.
    asked : str
        The request and the server, for messages.

    Yields
    ------
    Part

    Raises
    ------
    TransportError
        If the response is not a multipart message although its header says so, if it ends before its closing boundary,
        or if a part is larger than `simple_orthanc.limits` allows.

    Examples
    --------
    >>> body = [b"--b\r\nContent-Type: text/plain\r\n\r\non", b"e\r\n--b\r\n\r\ntwo\r\n--", b"b--\r\n"]
    >>> [part.content for part in read_parts(body, "multipart/related; boundary=b", "an example")]
    [b'one', b'two']
    """
    media_type, parameters = parse_content_type(content_type)
    if media_type.startswith("multipart/"):
        return MultipartReader(chunks, parameters.get("boundary", ""), asked).parts()
    return _single(chunks, content_type, asked)


def _single(chunks: Iterable[bytes], content_type: str, asked: str) -> Iterator[Part]:
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limits.body_bytes:
            raise _too_large(asked)
        pieces.append(chunk)
    yield Part.from_headers(b"".join(pieces), {"content-type": content_type})


class MessageBuffer:
    """The bytes of a message that arrived and were not read yet.

    Attributes
    ----------
    data : bytearray
        Those bytes.
    ended : bool
        Whether the whole message has arrived.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.data = bytearray()
        self.ended = False

    def more(self) -> bool:
        """Wait for the next chunk; return False at the end of the message."""
        chunk = next(self._chunks, None)
        if chunk is None:
            self.ended = True
            return False
        self.data += chunk
        return True

    def find(self, wanted: bytes, start: int) -> int:
        """Return the position of `wanted` from `start` on, -1 if it is not there."""
        return self.data.find(wanted, start)

    def take(self, length: int) -> bytes:
        """Remove the first bytes, and return them."""
        with memoryview(self.data) as view:
            taken = bytes(view[:length])
        del self.data[:length]
        return taken


class MultipartReader:
    """Reads one multipart message.

    All lines end like the first boundary line, with CR LF as they must or with LF alone; line ends of the other kind
    are data. A boundary that is followed by anything but the end of its line is data too.

    Parameters
    ----------
    chunks : iterable of bytes
        The body, cut anywhere.
    boundary : str
        The boundary that the Content-Type names.
    asked : str
        The request and the server, for messages.
    """

    def __init__(self, chunks: Iterable[bytes], boundary: str, asked: str) -> None:
        self._asked = asked
        if not boundary or len(boundary) > _LONGEST_BOUNDARY or not boundary.isascii():
            named = f"the boundary {boundary[:80]!r}" if boundary else "no boundary"
            raise self._error(f"its Content-Type has {named}, so that its parts cannot be told apart")
        self._dashed = b"--" + boundary.encode("ascii")
        self._buffer = MessageBuffer(chunks)
        # Known from the first boundary line on.
        self._newline = b""
        self._count = 0

    def _error(self, problem: str) -> TransportError:
        return TransportError(
            f"{self._asked} was answered with a message of several parts that cannot be used: {problem}. Ask again; if "
            "the error persists, look at the log of the server, or of the proxy on the way."
        )

    def parts(self) -> Iterator[Part]:
        """Read part after part; the message is read to its end after the last."""
        closed = self._start()
        while not closed:
            headers = self._headers()
            content, closed = self._body(headers)
            self._count += 1
            if self._count > limits.parts:
                raise self._error(f"it has more than {limits.parts} parts. {limits.advice('parts')}")
            yield Part.from_headers(content, headers)
        self._drain()

    def _start(self) -> bool:
        """Skip what precedes the first boundary; return True if that is the closing one."""
        buffer, start = self._buffer, 0
        while True:
            at = buffer.find(self._dashed, start)
            if at < 0:
                start = max(0, len(buffer.data) - len(self._dashed) + 1)
                if start > limits.part_header_bytes or not buffer.more():
                    raise self._error("the boundary that its Content-Type announces is not where it should begin")
            else:
                line = self._line(at + len(self._dashed)) if at == 0 or buffer.data[at - 1] == 10 else None
                if line is not None:
                    closing, after, newline = line
                    self._newline = newline
                    buffer.take(after)
                    return closing
                start = at + 1

    def _line(self, start: int) -> tuple[bool, int, bytes] | None:
        """Read the rest of a boundary line: whether it is the last, its end, its line end; None if it is not one."""
        buffer = self._buffer
        while True:
            if end := _LINE_END.match(buffer.data, start):
                newline = bytes(end[2])
                return None if self._newline not in (b"", newline) else (bool(end[1]), end.end(), newline)
            if not _LINE_BEGUN.match(buffer.data, start):
                return None
            if buffer.ended or not buffer.more():
                # The line of the closing boundary may lack a line end.
                closing = bytes(buffer.data[start:]).strip() == b"--"
                return (True, len(buffer.data), self._newline) if closing else None

    def _headers(self) -> dict[str, str]:
        """Read the header of a part, and leave its last line end in the buffer."""
        buffer, newline = self._buffer, self._newline
        blank, start = newline + newline, 0
        while True:
            if buffer.data.startswith(newline):
                return {}
            at = buffer.find(blank, start)
            if at >= 0:
                break
            start = max(0, len(buffer.data) - len(blank) + 1)
            if start > limits.part_header_bytes:
                raise self._error(
                    f"the header of part {self._count + 1} does not end. {limits.advice('part_header_bytes')}"
                )
            if not buffer.more():
                raise self._cut()
        lines = buffer.take(at + len(newline)).decode("latin-1").splitlines()
        if at > limits.part_header_bytes or len(lines) > MOST_HEADER_LINES:
            raise self._error(f"the header of part {self._count + 1} has {len(lines)} lines and {at} bytes")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise self._error(f"the header of part {self._count + 1} has a line without a colon, {line[:60]!r}")
            headers[name.strip().lower()] = value.strip()
        encoding = headers.get("content-transfer-encoding", "binary").lower()
        if encoding not in ("binary", "8bit", "7bit") or headers.get("content-encoding", "identity") != "identity":
            raise self._error(f"part {self._count + 1} is encoded in a way that was not asked for")
        return headers

    def _body(self, headers: Mapping[str, str]) -> tuple[bytes, bool]:
        """Read the content of a part and the boundary line after it; return whether that line closes the message."""
        buffer, delimiter = self._buffer, self._newline + self._dashed
        while len(buffer.data) < len(delimiter) and buffer.more():
            pass
        announced = headers.get("content-length", "")
        if len(announced) > _MOST_DIGITS:
            raise self._misplaced(announced)
        # In an empty part, some senders use the line end of the header as that of the boundary too.
        empty = announced in ("", "0") and buffer.data.startswith(delimiter)
        line = self._line(len(delimiter)) if empty else None
        content = b""
        if line is not None:
            buffer.take(line[1])
            closed = line[0]
        else:
            buffer.take(len(self._newline))
            content, closed = self._counted(int(announced)) if announced.isdecimal() else self._searched()
        if announced.isdecimal() and len(content) != int(announced):
            raise self._misplaced(announced)
        return content, closed

    def _searched(self) -> tuple[bytes, bool]:
        buffer, delimiter = self._buffer, self._newline + self._dashed
        pieces: list[bytes] = []
        size = start = 0
        while True:
            at = buffer.find(delimiter, start)
            if at >= 0:
                line = self._line(at + len(delimiter))
                if line is None:
                    start = at + 1
                    continue
                if size + at > limits.body_bytes:
                    raise _too_large(self._asked)
                pieces.append(buffer.take(at))
                buffer.take(line[1] - at)
                return b"".join(pieces), line[0]
            passed = max(0, len(buffer.data) - len(delimiter) + 1)
            pieces.append(buffer.take(passed))
            size += passed
            start = 0
            if size > limits.body_bytes:
                raise _too_large(self._asked)
            if not buffer.more():
                raise self._cut()

    def _counted(self, length: int) -> tuple[bytes, bool]:
        buffer, delimiter = self._buffer, self._newline + self._dashed
        if length > limits.body_bytes:
            raise _too_large(self._asked)
        pieces: list[bytes] = []
        missing = length
        while missing:
            if not buffer.data and not buffer.more():
                raise self._cut()
            pieces.append(buffer.take(min(missing, len(buffer.data))))
            missing -= len(pieces[-1])
        while len(buffer.data) < len(delimiter):
            if not buffer.more():
                raise self._cut()
        line = self._line(len(delimiter)) if buffer.data.startswith(delimiter) else None
        if line is None:
            raise self._misplaced(str(length))
        buffer.take(line[1])
        return b"".join(pieces), line[0]

    def _misplaced(self, announced: str) -> TransportError:
        return self._error(f"part {self._count + 1} announces {announced[:20]} bytes, but no boundary follows them")

    def _drain(self) -> None:
        """Read what follows the closing boundary, which has no meaning, so that the connection can be kept."""
        size = len(self._buffer.data)
        while size <= limits.part_header_bytes and self._buffer.more():
            size += len(self._buffer.take(len(self._buffer.data)))

    def _cut(self) -> TransportError:
        return self._error(f"it ends before its closing boundary, after {self._count} whole parts")


def _too_large(asked: str) -> TransportError:
    return TransportError(
        f"{asked} was answered with more than {limits.body_bytes} bytes in one piece, and the rest was not read. "
        f"Ask for less at once, such as single frames or a range of bytes. {limits.advice('body_bytes')}"
    )
