"""The heads of plain responses, parsed quickly.

``http.client`` parses a head as if it were an e-mail, which takes longer than all else that it does for a small
response. What is plain is parsed here: lines that end as they should, and one stated length. `WatchedResponse` leaves
anything else to ``http.client``, and `BulkReader` to other requests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_MOST_DIGITS = 18
# The empty line behind the head; some servers end lines without a carriage return.
END = re.compile(rb"\r?\n\r?\n")
# Each may be there once.
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"connection"})
_BODILESS = (b"204", b"304")


class Head(NamedTuple):
    """The head of a plain response, whose body has a stated length.

    Attributes
    ----------
    status : int
        From 200 on.
    reason : str
    length : int
        Bytes of the body.
    is_last : bool
        Whether the connection is closed afterwards.
    encoding : str
        Content-Encoding, "" if it is missing.
    fields : sequence of (bytes, bytes)
        Names and values of all headers.
    """

    status: int
    reason: str
    length: int
    is_last: bool
    encoding: str
    fields: Sequence[tuple[bytes, bytes]]


def parse_head(head: bytes) -> Head | None:
    r"""Parse a head without the empty line behind it; None if it is not plain.

    Examples
    --------
    >>> parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: 12").length
    12
    >>> parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked") is None
    True
    """
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    status, _, reason = rest.partition(b" ")
    # Readers differ in what they take for the end of a line that ends in another way.
    is_odd = not head.count(b"\n") == head.count(b"\r") == len(lines)
    if is_odd or version not in (b"HTTP/1.1", b"HTTP/1.0") or not _is_status(status):
        return None
    fields: list[tuple[bytes, bytes]] = []
    framing: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        # A line that goes on in the next, which then begins with a space, is not plain.
        if not colon or name != name.strip():
            return None
        value = value.strip()
        fields.append((name, value))
        lower = name.lower()
        if lower in _FRAMING:
            if lower in framing:
                return None
            framing[lower] = value
    length = framing.get(b"content-length", b"")
    # By its digits, since the number may have any number of them. Transfer-Encoding decides where the body ends,
    # whatever length is stated beside it (RFC 9112, section 6.3).
    if not length.isdigit() or len(length) > _MOST_DIGITS or b"transfer-encoding" in framing:
        return None
    is_last = version != b"HTTP/1.1" or framing.get(b"connection", b"keep-alive").lower() != b"keep-alive"
    encoding = framing.get(b"content-encoding", b"").decode("latin-1")
    return Head(int(status), reason.strip().decode("latin-1"), int(length), is_last, encoding, fields)


def _is_status(status: bytes) -> bool:
    """Check for a final status of three digits, of a response that may have a body."""
    return len(status) == 3 and status.isdigit() and status >= b"200" and status not in _BODILESS
