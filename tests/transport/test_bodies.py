"""Bodies: read whole or in chunks, decompressed, and never taken for whole if they were cut."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc import limits
from simple_orthanc.errors import TransportError
from simple_orthanc.transport import Transport
from simple_orthanc.transport.bodies import ends_as_zip
from tests.http_stand_in import StandIn, always, in_turn, reply


def test_gzip_json_is_decoded_and_cut_gzip_is_an_error() -> None:
    packed = gzip.compress(json.dumps(list(range(9000))).encode())
    encoding = {"Content-Encoding": "gzip"}
    with StandIn(in_turn(reply(packed, headers=encoding), reply(packed[:-20], headers=encoding))) as server:
        transport = Transport(server.url, patience=0)
        asked = {"Accept-Encoding": "gzip"}
        assert transport.json("GET", "/", headers=asked) == list(range(9000))
        with pytest.raises(TransportError, match="broke"):
            transport.content("GET", "/", headers=asked)
        with transport.stream("/", headers=asked) as body, pytest.raises(TransportError, match="broke"):
            list(body)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br", "deflate", "zstd", "gzip, gzip"])
def test_compression_that_was_not_asked_for_is_refused(encoding: str) -> None:
    content = gzip.compress(b"[]")
    with StandIn(always(reply(content, headers={"Content-Encoding": encoding}))) as server:
        transport = Transport(server.url, patience=0)
        for read in (transport.content, transport.json):
            with pytest.raises(TransportError, match=f"compressed as '{encoding}', which was not asked for"):
                read("GET", "/")
        with pytest.raises(TransportError, match=f"compressed as '{encoding}'"):
            transport.read_into("/", lambda size: memoryview(bytearray(size)))


@pytest.mark.parametrize("members", [[b"a"], [b"a", b"b" * 3_000_000], [b"", b"a", b""], [b"a"] * 50])
@pytest.mark.parametrize("padding", [0, 7])
def test_gzip_of_several_members_is_read_whole(members: list[bytes], padding: int) -> None:
    packed = b"".join(map(gzip.compress, members)) + bytes(padding)
    with StandIn(always(reply(packed, headers={"Content-Encoding": "gzip"}))) as server:
        asked = {"Accept-Encoding": "gzip"}
        assert Transport(server.url).content("GET", "/", headers=asked) == b"".join(members)
        with Transport(server.url).stream("/", headers=asked, chunk_size=11) as body:
            assert b"".join(body) == b"".join(members)


A, B = gzip.compress(b"a", mtime=0), gzip.compress(b"b", mtime=0)


@pytest.mark.parametrize("packed", [A + b"x", A + B[:-1], b"x"], ids=["a byte", "a cut member", "no member"])
def test_gzip_that_is_followed_by_something_else_is_refused(packed: bytes) -> None:
    with StandIn(always(reply(packed, headers={"Content-Encoding": "gzip"}))) as server, pytest.raises(TransportError):
        Transport(server.url, patience=0).content("GET", "/", headers={"Accept-Encoding": "gzip"})


@given(content=st.binary(max_size=5000), chunked=st.booleans(), compressed=st.booleans(), size=st.integers(1, 4000))
def test_bodies_are_returned_unchanged(content: bytes, chunked: bool, compressed: bool, size: int) -> None:
    headers = {"Content-Encoding": "gzip"} if compressed else {}
    answer = reply(gzip.compress(content) if compressed else content, headers=headers, chunked=chunked)
    with StandIn(always(answer)) as server:
        transport = Transport(server.url)
        asked = {"Accept-Encoding": "gzip"} if compressed else {}
        assert transport.content("GET", "/", headers=asked) == content
        with transport.stream("/", chunk_size=size, headers=asked) as body:
            assert b"".join(body) == content
        sent = "gzip" if compressed else "identity"
        assert {asked.headers["accept-encoding"] for asked in server.asked} == {sent}
        assert server.connections == 1
        transport.close()


def test_head_has_no_body_although_a_length_is_announced() -> None:
    with StandIn(always(reply(b"", length=77))) as server:
        transport = Transport(server.url)
        assert transport.content("HEAD", "/") == b""
        assert transport.content("HEAD", "/") == b""
        assert server.connections == 1


def test_a_stream_left_early_is_closed_and_the_next_request_works() -> None:
    with StandIn(always(reply(bytes(3_000_000)))) as server:
        transport = Transport(server.url)
        with transport.stream("/big") as body:
            assert len(next(body)) == 1 << 16
            assert (body.status, body.headers["content-length"]) == (200, "3000000")
        assert len(transport.content("GET", "/big")) == 3_000_000
        assert server.connections == 2


def test_errors_of_the_user_inside_a_stream_pass_through() -> None:
    with (
        StandIn(always(reply(b"abc"))) as server,
        pytest.raises(OSError, match=r"^mine$"),
        Transport(server.url).stream("/"),
    ):
        raise OSError("mine")


def test_a_stream_that_breaks_off_is_an_error_and_not_repeated() -> None:
    with StandIn(always(reply(bytes(10), length=20, headers={"X-Close": "yes"}))) as server:
        transport = Transport(server.url)
        with transport.stream("/x") as body, pytest.raises(TransportError, match="GET /x was complete"):
            list(body)
        assert transport.requests == 1


@pytest.mark.parametrize("announced", ["9", "2", "3, 4", "three", "-3", "0", "9" * 5000])
def test_the_length_is_checked_with_a_foreign_adapter_too(announced: str) -> None:
    class Canned(requests.adapters.HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
            body = urllib3.HTTPResponse(io.BytesIO(b"abc"), {"X": "y"}, 200, preload_content=False)
            response = self.build_response(request, body)
            response.headers["Content-Length"] = announced
            return response

    with requests.Session() as http:
        http.mount("http://", Canned())
        transport = Transport("http://127.0.0.1:1", http=http)
        with pytest.raises(TransportError, match=f"Content-Length is {announced[:20]}"):
            transport.content("POST", "/")
        with transport.stream("/") as body, pytest.raises(TransportError, match="but 3 bytes came"):
            list(body)


@pytest.mark.parametrize("announced", [8 << 30, 10**30, 101])
@pytest.mark.parametrize("name", ["json_bytes", "body_bytes"])
def test_a_length_beyond_the_limit_is_refused_before_anything_is_read(announced: int, name: str) -> None:
    with StandIn(always(reply(b"[]", length=announced))) as server, limits.changed(**{name: 100}):
        transport = Transport(server.url, patience=0)
        with pytest.raises(
            TransportError, match=rf"Content-Length is \d+. The limit is simple_orthanc.limits.{name} = 100"
        ):
            transport.json("GET", "/") if name == "json_bytes" else transport.content("GET", "/")


def test_what_is_read_into_memory_is_limited_too() -> None:
    content = bytes(range(256)) * (1 << 17)
    with StandIn(in_turn(reply(content), reply(content), reply(b"", length=10**30))) as server:
        transport = Transport(server.url, patience=0)
        assert transport.read_into("/", lambda size: pytest.fail("too much at once")) == content
        with limits.changed(body_bytes=1 << 20), pytest.raises(TransportError, match=r"limits\.body_bytes = 1048576"):
            transport.read_into("/", lambda size: memoryview(bytearray(size)))
        with pytest.raises(TransportError, match=r"limits\.body_bytes"):
            transport.read_into("/", lambda size: memoryview(bytearray(size)))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_inflates_beyond_the_limit_is_refused(chunked: bool) -> None:
    packed = gzip.compress(bytes(1 << 20))
    answer = reply(packed, headers={"Content-Encoding": "gzip"}, chunked=chunked)
    with StandIn(always(answer)) as server, limits.changed(json_bytes=1 << 19):
        transport = Transport(server.url, patience=0)
        with pytest.raises(TransportError, match=r"more than 524288 bytes came\. The limit is .*json_bytes"):
            transport.json("GET", "/", headers={"Accept-Encoding": "gzip"})


GZIP_HEAD = b"\x1f\x8b\x08" + bytes(7)
EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"
WITHOUT_CONTENT = {
    "empty blocks": GZIP_HEAD + EMPTY_BLOCK * 1_000_000,
    "empty members": gzip.compress(b"") * 1000 + GZIP_HEAD + EMPTY_BLOCK * 1_000_000,
    "one byte, then empty blocks": GZIP_HEAD + b"\x00\x01\x00\xfe\xffa" + EMPTY_BLOCK * 1_000_000,
    "blanks after the last member": gzip.compress(b"[]") + bytes(5_000_000),
}


def read_packed(transport: Transport, way: str, target: Path) -> bytes:
    """Ask for gzip in one of the ways to read a body, and return what was read."""
    asked = {"Accept-Encoding": "gzip"}
    if way == "stream":
        with transport.stream("/", headers=asked) as body:
            return b"".join(body)
    if way == "download":
        transport.download("/", target, headers=asked)
        return target.read_bytes()
    if way == "json":
        return json.dumps(transport.json("GET", "/", headers=asked)).encode()
    return transport.content("GET", "/", headers=asked)


@pytest.mark.parametrize("name", WITHOUT_CONTENT)
@pytest.mark.parametrize("way", ["json", "content", "stream", "download"])
def test_a_compressed_body_that_holds_next_to_nothing_is_given_up(name: str, way: str, tmp_path: Path) -> None:
    answer = reply(WITHOUT_CONTENT[name], headers={"Content-Encoding": "gzip"})
    with StandIn(always(answer)) as server:
        transport = Transport(server.url, patience=0)
        with pytest.raises(TransportError, match=r"exceeds a limit.*bytes of it decompress to no more than \d+"):
            read_packed(transport, way, tmp_path / "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("way", ["json", "content", "stream", "download"])
def test_a_body_may_not_decompress_to_many_times_its_size(way: str, tmp_path: Path) -> None:
    content = b'"' + b"0" * (3 << 20) + b'"'
    answer = reply(gzip.compress(content), headers={"Content-Encoding": "gzip"})
    with StandIn(always(answer)) as server:
        transport = Transport(server.url, patience=0)
        with limits.changed(expanded_bytes=1 << 20), pytest.raises(TransportError, match=r"limits\.expansion = 200"):
            read_packed(transport, way, tmp_path / "file")
        assert not list(tmp_path.iterdir())
        with limits.changed(expanded_bytes=1 << 20, expansion=2000):
            assert read_packed(transport, way, tmp_path / "file") == content
        assert read_packed(transport, way, tmp_path / "file") == content


@pytest.mark.parametrize("comment", [b"", b"a comment", b"PK\x05\x06", bytes(0xFFFF)])
def test_the_end_of_a_zip_is_found_before_its_comment(comment: bytes) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a", b"PK\x05\x06" * 9)
        archive.comment = comment
    whole = content.getvalue()
    assert ends_as_zip(whole)
    assert not any(ends_as_zip(whole[:-missing]) for missing in (1, 2, 21, 22, 23, len(whole)) if missing <= len(whole))
    assert not ends_as_zip(whole + b"a")
