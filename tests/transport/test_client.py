"""What the transport sends and what comes back, whole, in chunks and into files, from threads and processes."""

from __future__ import annotations

import gzip
import io
import json
import multiprocessing
import os
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.errors import NotFoundError, TransportError
from simple_orthanc.transport import Transport, is_loopback, parse_address, sending
from tests.http_stand_in import Asked, StandIn, always, in_turn, reply

ENCODABLE = st.characters(codec="utf-8")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "RETRY_PAUSES", (0.001, 0.001, 0.001))
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("given_url", "url", "host"),
    [
        ("http://127.0.0.1:8042/", "http://127.0.0.1:8042", "127.0.0.1"),
        ("localhost:8042", "http://localhost:8042", "localhost"),
        ("HTTPS://PACS.Example.org:443/orthanc/", "https://pacs.example.org/orthanc", "pacs.example.org"),
        ("http://pacs:80", "http://pacs", "pacs"),
        ("https://pacs:80", "https://pacs:80", "pacs"),
        ("http://[::1]:8042/a/b", "http://[::1]:8042/a/b", "::1"),
        ("[2001:DB8::1]:8042", "http://[2001:db8::1]:8042", "2001:db8::1"),
        ("::1", "http://[::1]", "::1"),
        ("http://alice:secret@[::1]:8042/", "http://[::1]:8042", "::1"),
    ],
)
def test_addresses_are_normalised(given_url: str, url: str, host: str) -> None:
    address = parse_address(given_url)
    assert (address.url, address.host) == (url, host)
    assert "secret" not in repr(address)


@given(user=st.text(ENCODABLE, min_size=1), password=st.text(ENCODABLE))
def test_any_user_and_password_survive_in_a_url(user: str, password: str) -> None:
    quoted = f"{quote(user, safe='')}:{quote(password, safe='')}"
    address = parse_address(f"http://{quoted}@pacs.example.org:8042/x")
    assert (address.user, address.password) == (user, password)
    assert address.url == "http://pacs.example.org:8042/x"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://alice:hunter22@host",
        "http://alice:hunter22@",
        "http://alice:hun/ter22@host",
        "http://alice:1234/hunter22@host",
        "http://alice:hunter22?@host",
        "http://alice:hunter22@host:port",
        "http://alice:hunter22@ho st",
        "http://alice:hunter22@host/a?b=c",
        "http://host:0",
        "http://host:99999",
        "http://",
        "",
    ],
)
def test_unusable_addresses_are_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(TransportError, match="root of the server") as caught:
        Transport(url)
    assert "ter22" not in str(caught.value)
    assert caught.value.__context__ is None or "ter22" not in str(caught.value.__context__)


def test_loopback() -> None:
    assert all(map(is_loopback, ["localhost", "a.localhost", "127.9.9.9", "::1", "::ffff:127.0.0.1"]))
    assert not any(map(is_loopback, ["pacs", "10.0.0.1", "::2", "localhost.example.org", "128.0.0.1"]))


def test_json_goes_and_comes_with_prefix_and_parameters() -> None:
    with StandIn(always(reply({"ä": [1, None]}))) as server:
        transport = Transport(server.url + "/pre/fix/")
        assert transport.json(
            "post", "/tools/find", params={"expand": True, "short": None, "x": "a b"}, body={"Level": "Study"}
        ) == {"ä": [1, None]}
        asked = server.asked[0]
        assert (asked.method, asked.path) == ("POST", "/pre/fix/tools/find?expand=true&x=a+b")
        assert json.loads(asked.body) == {"Level": "Study"}
        assert asked.headers["content-type"] == asked.headers["accept"] == "application/json"
        # On the loopback interface packing costs more than it saves.
        assert asked.headers["accept-encoding"] == "identity"
        assert transport.requests == 1


def test_empty_answers_are_none_except_for_get() -> None:
    with StandIn(always(reply(b""))) as server:
        transport = Transport(server.url)
        assert transport.json("PUT", "/x", data="text") is None
        assert server.asked[0].body == b"text"
        with pytest.raises(TransportError, match="empty answer"):
            transport.json("GET", "/x")


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
def test_bytes_come_back_as_they_were(content: bytes, chunked: bool, compressed: bool, size: int) -> None:
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


def test_request_gives_status_headers_and_content() -> None:
    with StandIn(always(reply(b"x", 206, {"ETag": '"0-1"'}))) as server:
        answer = Transport(server.url).request("GET", "/a", headers={"Range": "bytes=0-0"})
        assert (answer.status, answer.headers["etag"], answer.content) == (206, '"0-1"', b"x")
        assert server.asked[0].headers["range"] == "bytes=0-0"
        assert "content" not in repr(answer)


def test_head_has_no_body_although_a_length_is_announced() -> None:
    with StandIn(always(reply(b"", length=77))) as server:
        transport = Transport(server.url)
        assert transport.content("HEAD", "/") == b""
        assert transport.content("HEAD", "/") == b""
        assert server.connections == 1


@pytest.mark.parametrize("path", ["/a/../b", "/a/%2e%2e", "..", "/a/./b", "/a%2F..%2Fb"])
def test_a_path_cannot_climb(path: str) -> None:
    transport = Transport("http://127.0.0.1:1")
    with pytest.raises(TransportError, match="segment of dots"):
        transport.content("DELETE", path)
    assert transport.requests == 0


def test_a_number_sign_does_not_cut_the_path() -> None:
    with StandIn(always(reply([]))) as server:
        Transport(server.url).json("GET", "/labels/a#b?x=1")
        assert server.asked[0].path == "/labels/a%23b?x=1"


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


def test_download_is_atomic_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.dcm"
    target.write_bytes(b"old")
    content = os.urandom(3_000_000)
    cut = reply(content[:5000], length=9000, headers={"X-Close": "yes"})
    with StandIn(in_turn(cut, cut, reply(content), reply({}, 404), cut)) as server:
        transport = Transport(server.url)
        transport.download("/f", target)
        assert target.read_bytes() == content
        mask = os.umask(0)
        os.umask(mask)
        assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask
        with pytest.raises(NotFoundError):
            transport.download("/f", tmp_path / "b.dcm")
        with pytest.raises(TransportError):
            transport.download("/f", target)
        monkeypatch.setattr(server, "script", always(reply(content)))

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            transport.download("/f", target)
    assert target.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.dcm"]


def test_errors_of_the_disk_are_not_taken_for_the_network(tmp_path: Path) -> None:
    with StandIn(always(reply(b"abc"))) as server:
        transport = Transport(server.url)
        with pytest.raises(FileNotFoundError):
            transport.download("/f", tmp_path / "no" / "a.dcm")
        assert transport.requests == 1


def test_a_session_of_the_users_is_used_as_it_is() -> None:
    with StandIn(always(reply([]))) as server, requests.Session() as http:
        http.auth = ("bob", "builder")
        http.headers["X-Mine"] = "kept"
        before = (dict(http.headers), dict(http.proxies), dict(http.adapters), http.auth, http.verify, http.cert)
        transport = Transport(server.url, http=http, headers={"X-Ours": "added"})
        transport.json("GET", "/")
        Transport(server.url, http=http, token="abcdefgh").json("GET", "/")
        first, second = (asked.headers for asked in server.asked)
        assert (first["x-mine"], first["x-ours"]) == ("kept", "added")
        assert first["authorization"] == "Basic Ym9iOmJ1aWxkZXI="
        assert second["authorization"] == "Bearer abcdefgh"
        assert before == (
            dict(http.headers),
            dict(http.proxies),
            dict(http.adapters),
            http.auth,
            http.verify,
            http.cert,
        )
        transport.close()
        assert pickle.loads(pickle.dumps(transport)).json("GET", "/") == []


def test_eight_threads_get_their_own_answers() -> None:
    def script(asked: Asked, count: int) -> bytes:
        return reply(asked.path.encode() * 1000)

    with StandIn(script) as server:
        transport = Transport(server.url)
        with ThreadPoolExecutor(8) as pool:
            paths = [f"/{number}" for number in range(200)]
            answers = list(pool.map(lambda path: transport.content("GET", path), paths))
        assert answers == [path.encode() * 1000 for path in paths]
        assert transport.requests == 200
        assert server.connections <= 8


def test_pickling_keeps_credentials_and_no_sockets() -> None:
    with StandIn(always(reply([]))) as server:
        transport = Transport(server.url, auth=("alice", "wonderland"), headers={"X-A": "b"}, timeout=(1, 2))
        transport.json("GET", "/")
        again = pickle.loads(pickle.dumps(transport))
        assert again.requests == 0
        again.json("GET", "/")
        assert [asked.connection for asked in server.asked] == [0, 1]
        for name in ("authorization", "x-a"):
            assert server.asked[0].headers[name] == server.asked[1].headers[name]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(own: bool) -> None:
    def script(asked: Asked, count: int) -> bytes:
        return reply(asked.path)

    with StandIn(script) as server, requests.Session() as http:
        transport = Transport(server.url, http=None if own else http)
        transport.json("GET", "/parent")
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe()
        child = context.Process(target=lambda: sender.send(transport.json("GET", "/child")))
        child.start()
        assert receiver.poll(20)
        assert receiver.recv() == "/child"
        child.join(20)
        assert transport.json("GET", "/parent") == "/parent"
        by_path = {asked.path: asked.connection for asked in server.asked}
        assert by_path["/child"] != by_path["/parent"]


@pytest.mark.parametrize("announced", ["9", "2", "3, 4", "three"])
def test_the_length_is_checked_behind_a_foreign_adapter_too(announced: str) -> None:
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
