"""Bodies: read whole or in chunks, decompressed, and never taken for whole if they were cut."""

from __future__ import annotations

import gzip
import io
import json

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.errors import TransportError
from simple_orthanc.transport import Transport
from tests.http_stand_in import StandIn, always, in_turn, reply


def test_gzip_json_is_decoded_and_cut_gzip_is_an_error() -> None:
    packed = gzip.compress(json.dumps(list(range(9000))).encode())
    encoding = {"Content-Encoding": "gzip"}
    with StandIn(in_turn(reply(packed, headers=encoding), reply(packed[:-20], headers=encoding))) as server:
        transport = Transport(server.url)
        assert transport.json("GET", "/") == list(range(9000))
        with pytest.raises(TransportError, match="broke"):
            transport.content("GET", "/")
        with transport.stream("/") as body, pytest.raises(TransportError, match="broke"):
            list(body)
    other = reply(b"abc", headers={"Content-Encoding": "br"})
    with StandIn(always(other)) as server, pytest.raises(TransportError, match="compressed in a way"):
        Transport(server.url).content("GET", "/")


@given(content=st.binary(max_size=5000), chunked=st.booleans(), compressed=st.booleans(), size=st.integers(1, 4000))
def test_bodies_are_returned_unchanged(content: bytes, chunked: bool, compressed: bool, size: int) -> None:
    headers = {"Content-Encoding": "gzip"} if compressed else {}
    answer = reply(gzip.compress(content) if compressed else content, headers=headers, chunked=chunked)
    with StandIn(always(answer)) as server:
        transport = Transport(server.url)
        assert transport.content("GET", "/") == content
        with transport.stream("/", chunk_size=size) as body:
            assert b"".join(body) == content
        assert {asked.headers["accept-encoding"] for asked in server.asked} == {"identity"}
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


@pytest.mark.parametrize("announced", ["9", "2", "3, 4", "three"])
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
        with pytest.raises(TransportError, match=f"Content-Length is {announced}, but 3 bytes came"):
            transport.content("POST", "/")
        with transport.stream("/") as body, pytest.raises(TransportError, match="3 bytes came"):
            list(body)
