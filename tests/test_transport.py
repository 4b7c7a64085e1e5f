"""The transport against stand-ins: what is sent, what comes back, what is sent again, what never shows."""

from __future__ import annotations

import gzip
import io
import json
import multiprocessing
import os
import pickle
import socket
import stat
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from http_stand_in import Asked, StandIn, reply
from hypothesis import given
from hypothesis import strategies as st
from requests.auth import HTTPBasicAuth

from simple_orthanc.errors import NotFoundError, RequestTimeout, ServerError, TransportError
from simple_orthanc.transport import Transport, is_loopback, parse_address, sending
from simple_orthanc.transport import address as address_module

ENCODABLE = st.characters(codec="utf-8")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "RETRY_PAUSES", (0.001, 0.001, 0.001))
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)


def always(answer: bytes | None):
    return lambda asked, count: answer


def in_turn(*answers: bytes | None):
    return lambda asked, count: answers[min(count, len(answers) - 1)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# Addresses


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


# What is sent and what comes back


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
        assert asked.headers["accept-encoding"] == "gzip"
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


# Streams and files


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


# Sent again, or not


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_idempotent_requests_outlast_drops_and_busy_servers(method: str) -> None:
    answers = in_turn(None, reply(b"", 503), reply(b"", 502, {"Retry-After": "0"}), reply(b""))
    with StandIn(answers) as server:
        transport = Transport(server.url)
        assert transport.content(method, "/x") == b""
        assert transport.requests == len(server.asked) == 4
    with StandIn(always(reply(b"late")), deaf=2) as server:
        assert Transport(server.url).content("GET", "/x") == b"late"


def test_a_cut_body_is_asked_for_again_and_at_last_an_error() -> None:
    cut = reply(b"abc", length=9, headers={"X-Close": "yes"})
    with StandIn(in_turn(cut, reply(b"whole"))) as server:
        assert Transport(server.url).content("GET", "/") == b"whole"
    with StandIn(always(cut)) as server:
        transport = Transport(server.url)
        with pytest.raises(TransportError, match="more than once"):
            transport.content("GET", "/")
        assert transport.requests == 4
    ends = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Close: yes\r\n\r\n5\r\nabc"
    with StandIn(always(ends)) as server, pytest.raises(TransportError, match="broke"):
        Transport(server.url).content("GET", "/")


@pytest.mark.parametrize("answer", [None, reply(b"", 503), reply(b"", 504)])
def test_a_post_that_may_have_been_carried_out_is_not_repeated(answer: bytes | None) -> None:
    with StandIn(always(answer)) as server:
        transport = Transport(server.url)
        with pytest.raises((TransportError, ServerError)) as caught:
            transport.json("POST", "/instances", data=b"DICM")
        assert len(server.asked) == 1
        assert answer is not None or "may have been carried out" in str(caught.value)


def test_a_post_called_idempotent_is_repeated_with_its_whole_body() -> None:
    with StandIn(in_turn(None, reply([1]))) as server:
        file = io.BytesIO(b"skip" + bytes(100_000))
        file.seek(4)
        assert Transport(server.url).json("POST", "/tools/find", data=file, idempotent=True) == [1]
        assert [asked.body for asked in server.asked] == [bytes(100_000)] * 2
    with StandIn(always(None)) as server:
        with pytest.raises(TransportError):
            Transport(server.url).json("POST", "/tools/find", data=iter([b"once"]), idempotent=True)
        assert len(server.asked) == 1


def test_an_error_after_a_lost_answer_says_that_the_first_may_have_worked() -> None:
    answers = in_turn(None, reply({"Message": "Unknown resource"}, 404))
    with StandIn(answers) as server, pytest.raises(NotFoundError, match="may have been carried out"):
        Transport(server.url).json("DELETE", "/series/x")


def test_retry_after_beyond_the_bound_is_not_waited_for() -> None:
    for value in ("3600", "Fri, 31 Dec 2999 23:59:59 GMT"):
        with StandIn(always(reply(b"", 503, {"Retry-After": value}))) as server:
            started = time.monotonic()
            with pytest.raises(ServerError) as caught:
                Transport(server.url).content("GET", "/")
            assert caught.value.status == 503
            assert len(server.asked) == 1
            assert time.monotonic() - started < 1


def test_idle_connections_are_not_reused_and_fresh_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    class Clock:
        def __getattr__(self, name: str) -> object:
            return getattr(time, name)

        def monotonic(self) -> float:
            return now[0]

    monkeypatch.setattr("simple_orthanc.transport.connections.time", Clock())
    with StandIn(always(reply([]))) as server:
        transport = Transport(server.url)
        for pause in (0.0, 0.7, 0.9, 0.1):
            now[0] += pause
            transport.json("POST", "/x")
        assert [asked.connection for asked in server.asked] == [0, 0, 1, 1]


def test_a_server_that_closes_idle_connections_after_a_second_loses_no_post() -> None:
    with StandIn(always(reply([])), idle=1.0) as server:
        transport = Transport(server.url)
        transport.json("POST", "/x")
        time.sleep(0.97)
        transport.json("POST", "/x")
        assert transport.requests == 2


def test_a_slow_answer_is_a_timeout_and_not_repeated() -> None:
    with StandIn(always(reply([])), slow=0.4) as server:
        transport = Transport(server.url, timeout=(5, 0.1))
        with pytest.raises(RequestTimeout, match=r"nothing for 0.1 s; asked for GET /slow") as caught:
            transport.json("GET", "/slow")
        assert isinstance(caught.value, TimeoutError)
        assert transport.requests == 1
        assert transport.json("GET", "/slow", timeout=5) == []


def test_a_body_that_stalls_is_a_timeout() -> None:
    with StandIn(always(reply(bytes(10), length=20))) as server, pytest.raises(RequestTimeout):
        Transport(server.url, timeout=(5, 0.1)).content("GET", "/")


def test_sending_may_take_longer_than_connecting() -> None:
    with StandIn(always(reply([])), slow=0.4) as server:
        transport = Transport(server.url, timeout=(0.1, 30))
        body = os.urandom(20_000_000)
        assert transport.json("POST", "/instances", data=body) == []
        assert server.asked[0].body == body


@pytest.mark.parametrize("timeout", [0, -1, (5,), (5, 0), (1, 2, 3)])
def test_impossible_timeouts_are_refused(timeout: object) -> None:
    with pytest.raises(TransportError, match="timeout="):
        Transport("http://127.0.0.1:8042", timeout=timeout)


# Redirects


def test_redirects_on_the_same_server_are_followed_for_get_only() -> None:
    with StandIn(in_turn(reply(b"", 302, {"Location": "/b?c=1"}), reply(["b"]))) as server:
        assert Transport(server.url, token="abcdefgh").json("GET", "/a", params={"x": 1}) == ["b"]
        assert [asked.path for asked in server.asked] == ["/a?x=1", "/b?c=1"]
        assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer abcdefgh"}
    with StandIn(always(reply(b"", 307, {"Location": "/b"}))) as server:
        with pytest.raises(TransportError, match="only GET and HEAD"):
            Transport(server.url).json("POST", "/a", idempotent=True)
        with pytest.raises(TransportError, match="circle"):
            Transport(server.url).json("GET", "/a")


@pytest.mark.parametrize(
    "location",
    ["http://localhost:{port}/b", "http://u:p@127.0.0.1:{own}/b", "https://127.0.0.1:{own}/", ""],
)
def test_redirects_to_another_server_are_not_followed(location: str) -> None:
    with StandIn(always(reply([]))) as other, StandIn(lambda asked, count: answer) as server:
        answer = reply(b"", 302, {"Location": location.format(port=other.port, own=server.port)})
        with pytest.raises(TransportError, match="redirect to"):
            Transport(server.url, auth=("alice", "wonderland")).json("GET", "/a")
        assert other.asked == []
        assert len(server.asked) == 1


# Credentials


def test_credentials_in_every_form_reach_the_server() -> None:
    tokens = iter(["first", "second"])
    basic = "Basic YWxpY2U6d8O2bmRlcg=="
    with StandIn(always(reply([]))) as server:
        inside = server.url.replace("://", "://alice:w%C3%B6nder@")
        forms = [
            Transport(server.url, auth=("alice", "wönder")),
            Transport(inside),
            Transport(server.url, auth=HTTPBasicAuth("alice", "wönder".encode())),
            Transport(server.url, headers={"Authorization": "Custom x"}),
            Transport(server.url, token="fixed"),
            Transport(inside, auth=lambda: "function"),
        ]
        fresh = Transport(server.url, token=lambda: next(tokens))
        for transport in [*forms, fresh, fresh]:
            transport.json("GET", "/")
        assert [asked.headers["authorization"] for asked in server.asked] == [
            *[basic] * 2,
            "Basic YWxpY2U6d8O2bmRlcg==",
            "Custom x",
            "Bearer fixed",
            "Bearer function",
            "Bearer first",
            "Bearer second",
        ]


def test_netrc_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password from-netrc\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with StandIn(always(reply([]))) as server:
        assert requests.get(server.url, timeout=5).request.headers["Authorization"].startswith("Basic ")
        Transport(server.url).json("GET", "/")
        Transport(server.url, headers={"Authorization": "mine"}).json("GET", "/")
        with requests.Session() as http:
            Transport(server.url, http=http).json("GET", "/")
        assert [asked.headers.get("authorization") for asked in server.asked[1:]] == [None, "mine", None]


def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://proxy:secretproxy@127.0.0.1:{free_port()}")
    with StandIn(always(reply([]))) as server:
        assert Transport(server.url).json("GET", "/") == []
        with requests.Session() as http:
            http.proxies = {"http": "http://127.0.0.1:1"}
            assert Transport(server.url, http=http).json("GET", "/") == []


def test_other_hosts_go_through_the_proxy_and_its_password_does_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    with StandIn(in_turn(reply(["by proxy"]), None)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://proxy:secretproxy@127.0.0.1:{proxy.port}")
        transport = Transport("http://orthanc.invalid:8042")
        assert transport.json("GET", "/x") == ["by proxy"]
        assert proxy.asked[0].path == "http://orthanc.invalid:8042/x"
        monkeypatch.setenv("http_proxy", f"http://proxy:secretproxy@127.0.0.1:{free_port()}")
        with pytest.raises(TransportError, match="proxy") as caught:
            transport.json("GET", "/x")
        assert "secretproxy" not in str(caught.value)


def test_plain_http_with_credentials_warns_once_per_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_module, "_warned_hosts", set())
    with pytest.warns(UserWarning, match=r"pacs.example.org unencrypted") as caught:
        Transport("http://alice:wonderland@pacs.example.org")
    assert "wonderland" not in str(caught[0].message)
    Transport("http://pacs.example.org", token="abcdefgh")
    Transport("http://127.0.0.1", token="abcdefgh")
    Transport("https://other.example.org", token="abcdefgh")
    Transport("http://third.example.org", headers={"X-Site": "a"})
    with pytest.warns(UserWarning, match="fourth"):
        Transport("http://fourth.example.org", headers={"X-Api-Key": "abcdefgh"})


@pytest.mark.parametrize(
    "arguments",
    [
        {"auth": ("alice",)},
        {"auth": 7},
        {"auth": ("a", "b"), "token": "abcdefgh"},
        {"token": ""},
        {"token": "line\nbreak"},
        {"headers": {"X": "line\r\nbreak"}},
        {"headers": {"X": 7}},
        {"verify": "/no/such/file.pem"},
        {"cert": ("/no/such/file.pem", "/no/such/file.key")},
        {"cert": 7},
    ],
)
def test_unusable_arguments_are_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(TransportError) as caught:
        Transport("http://127.0.0.1:8042", **arguments)
    assert "break" not in str(caught.value)


def test_cookies_are_not_kept() -> None:
    with StandIn(always(reply([], headers={"Set-Cookie": "sid=1; Path=/"}))) as server:
        transport = Transport(server.url)
        for _ in range(2):
            transport.json("GET", "/")
        assert "cookie" not in server.asked[1].headers


# A session of the user's, threads, processes


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


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    made = (folder / "cert.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run(command, check=True, capture_output=True)
    return made


def test_tls_is_verified_and_the_error_says_how(certificate: tuple[Path, Path]) -> None:
    with StandIn(always(reply(bytes(300_000))), certificate=certificate) as server:
        with pytest.raises(TransportError, match=r'self.signed certificate.*verify="/path/to/ca.pem"'):
            Transport(server.url).content("GET", "/")
        transport = Transport(server.url, verify=certificate[0])
        assert transport.content("GET", "/") == bytes(300_000)
        assert transport.content("POST", "/", data=bytes(3_000_000)) == bytes(300_000)
        assert server.asked[-1].connection == server.asked[-2].connection
        assert server.asked[-1].body == bytes(3_000_000)


def test_tls_connections_that_drop_are_repeated(certificate: tuple[Path, Path]) -> None:
    with StandIn(in_turn(None, reply([1])), deaf=1, certificate=certificate) as server:
        transport = Transport(server.url, verify=str(certificate[0]))
        assert transport.json("GET", "/") == [1]
        assert transport.requests == 3


def test_plain_http_where_tls_is_expected_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_anything() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10)
                connection.sendall(reply(b"", 400))
                while connection.recv(1000):
                    pass

        thread = threading.Thread(target=answer_anything)
        thread.start()
        with pytest.raises(TransportError, match="plain HTTP, write http://"):
            Transport(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=5).json("GET", "/")
        thread.join(5)
