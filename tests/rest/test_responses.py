"""Bodies as they are sent, and responses read by their content type."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from functools import reduce
from typing import Any

import pytest
from requests.structures import CaseInsensitiveDict

from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.rest.responses import checked_revision, encode_body, parse_body, revision_of
from simple_orthanc.transport import HttpResponse
from simple_orthanc.transport.secret import Secret

JSON = {"Content-Type": "application/json"}


def response(content: bytes, headers: Mapping[str, str], status: int = 200) -> HttpResponse:
    return HttpResponse(status, CaseInsensitiveDict(headers), content)


@pytest.mark.parametrize(
    ("content", "content_type", "expected"),
    [
        (b'{"a": [1, null]}', "application/json", {"a": [1, None]}),
        (b'"text"', "application/json; charset=utf-8", "text"),
        (b"null", "application/json", None),
        (b'[{"00100020": {}}]', "application/dicom+json", [{"00100020": {}}]),
        (b'{"a": 1}', "Application/Problem+JSON; charset=utf-8", {"a": 1}),
        (b'{"a": 1}', "application/jsonp", b'{"a": 1}'),
        (b'{"a": 1}', "text/plain", '{"a": 1}'),
        ("1.12.7 ä".encode(), "text/plain", "1.12.7 ä"),
        (b"\xff", "text/plain", "\ufffd"),
        (b"\x00DICM", "application/dicom", b"\x00DICM"),
        (b"\x00", None, b"\x00"),
    ],
)
def test_a_response_is_read_by_its_content_type(content: bytes, content_type: str | None, expected: Any) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert parse_body("http://a/x", response(content, headers)) == expected


@pytest.mark.parametrize("content_type", ["application/json", "application/dicom+json"])
@pytest.mark.parametrize("content", [b"<html>", b"", b"{", b"\xff"])
def test_invalid_json_is_an_error_that_quotes_nothing(content: bytes, content_type: str) -> None:
    with pytest.raises(
        TransportError, match=r"^http://a/x answered with JSON that cannot be read: it is not"
    ) as caught:
        parse_body("http://a/x", response(content, {"Content-Type": content_type}))
    assert "html" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"), [(b"", ""), (b"no", "no"), (b"{no", "{no"), (b'{"a": 1}', {"a": 1}), (b"[1]", "[1]")]
)
def test_an_error_is_json_whatever_its_type(content: bytes, expected: Any) -> None:
    assert parse_body("http://a/x", response(content, {"Content-Type": "text/plain"}, 404)) == expected


@pytest.mark.parametrize("body", [None, b"a", "a", bytearray(b"a"), memoryview(b"a"), io.BytesIO(b"a")])
def test_bytes_text_and_files_are_sent_as_they_are(body: Any) -> None:
    data, headers = encode_body("/x", body, Secret({"X-A": "b"}))
    assert data is body
    assert headers.reveal() == {"X-A": "b"}


@pytest.mark.parametrize(("body", "data"), [({"a": None}, '{"a": null}'), ([], "[]"), (5, "5"), (False, "false")])
def test_anything_else_is_sent_as_json(body: Any, data: str) -> None:
    sent, headers = encode_body("/x", body, None)
    assert sent == data
    assert headers.reveal() == JSON
    _, headers = encode_body("/x", body, Secret({"Content-Type": "application/dicom+json"}))
    assert headers.reveal() == {"Content-Type": "application/dicom+json"}


NESTED: list[Any] = reduce(lambda inner, _: [inner], range(100_000), [])


@pytest.mark.parametrize("body", ["\udc80", "a\ud800b"])
def test_a_string_that_is_no_utf_8_is_refused(body: str) -> None:
    with pytest.raises(TransportError, match=r"body for /x cannot be written as UTF-8.*Give it as bytes"):
        encode_body("/x", body, None)


@pytest.mark.parametrize("body", [{1, 2}, object(), {"a": b"b"}, {"a": float("nan")}, [-math.inf], NESTED])
def test_a_body_that_cannot_be_json_is_refused(body: Any) -> None:
    with pytest.raises(TransportError, match="body for /x cannot be written as JSON"):
        encode_body("/x", body, None)


@pytest.mark.parametrize("given", ["0-5d41", '"0-5d41"', ' W/"0-5d41" '])
def test_a_revision_is_sent_with_quotes(given: str) -> None:
    assert checked_revision(given) == "0-5d41"
    assert encode_body("/x", None, None, given)[1].reveal() == {"If-Match": '"0-5d41"'}


@pytest.mark.parametrize("given", [5, "5", "", "-", "a-b", "0-", "0-a b", '0-a"b', "0-a\r\nX: b", b"0-a", True])
def test_a_malformed_revision_is_refused(given: Any) -> None:
    with pytest.raises(SelectionError, match=r"revision is .*; give what the server last said"):
        checked_revision(given)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [({"etag": '"1-ab"'}, "1-ab"), ({"ETag": "1-ab"}, "1-ab"), ({}, None), ({"ETag": ""}, None)],
)
def test_the_revision_of_a_response_is_its_etag(headers: dict[str, str], expected: str | None) -> None:
    assert revision_of(CaseInsensitiveDict(headers)) == expected
