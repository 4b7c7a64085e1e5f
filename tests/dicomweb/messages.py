"""Responses of a DICOMweb server, for the tests of retrieving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simple_orthanc.dicomweb import Transactions
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply

UIDS = ("1.2", "1.2.3", "1.2.3.4")


DICOM = "Content-Type: application/dicom\r\n"


JSON = {"Content-Type": "application/dicom+json"}


def file(number: int, size: int = 1000) -> bytes:
    return bytes(128) + b"DICM" + bytes([number]) * size


def parts(*contents: bytes, headers: str | list[str] = DICOM, end: bytes = b"--b--\r\n", **options: Any) -> bytes:
    """An answer of several parts."""
    each = [headers] * len(contents) if isinstance(headers, str) else headers
    body = b"".join(
        b"--b\r\n" + header.encode() + b"\r\n" + content + b"\r\n"
        for header, content in zip(each, contents, strict=True)
    )
    kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}
    return reply(body + end, headers={**kind, **options.pop("extra", {})}, **options)


def transactions(server: StandIn, **prefixes: str) -> Transactions:
    return Transactions(Transport(server.url), **prefixes)


def broken_off() -> list[tuple[bytes, int]]:
    """Answers that end too early, with how many files are whole in them."""
    whole = parts(file(1), file(2), file(3))
    return [
        (whole[: whole.index(file(3)) + 500], 2),
        (parts(file(1), file(2), end=b"--b\r\n\r\n" + file(3)), 2),
        (parts(file(1), file(2), end=b""), 1),
    ]


def picky(taken: str, answer: bytes, status: int = 406) -> Callable[[Asked, int], bytes]:
    return lambda asked, _: answer if asked.headers["accept"] == taken else reply({"Message": "no"}, status)
