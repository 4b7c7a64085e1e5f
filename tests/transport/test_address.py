"""How the transport logs in, past netrc and proxies, and over TLS."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import HTTPBasicAuth

from simple_orthanc import Orthanc
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.transport import Transport, sending
from simple_orthanc.transport import address as address_module
from tests.http_stand_in import StandIn, always, free_port, in_turn, reply


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "RETRY_PAUSES", (0.001, 0.001, 0.001))
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)


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
        {"headers": 5},
        {"http": 5},
        {"timeout": "x"},
        {"timeout": (1, "a")},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
    ],
)
def test_unusable_arguments_are_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(TransportError) as caught:
        Transport("http://127.0.0.1:8042", **arguments)
    assert "break" not in str(caught.value)


@pytest.mark.parametrize("host", [5, b"127.0.0.1", Path("127.0.0.1")])
def test_a_host_that_is_no_text_is_refused_with_the_right_form(host: Any) -> None:
    with pytest.raises(SelectionError, match=r'Orthanc\("127.0.0.1"\), or a whole URL'):
        Orthanc(host)


def test_cookies_are_not_kept() -> None:
    with StandIn(always(reply([], headers={"Set-Cookie": "sid=1; Path=/"}))) as server:
        transport = Transport(server.url)
        for _ in range(2):
            transport.json("GET", "/")
        assert "cookie" not in server.asked[1].headers


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
            with connection, suppress(ConnectionResetError):
                connection.recv(10)
                connection.sendall(reply(b"", 400))
                while connection.recv(1000):
                    pass

        thread = threading.Thread(target=answer_anything)
        thread.start()
        with pytest.raises(TransportError, match="plain HTTP, write http://"):
            Transport(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=5).json("GET", "/")
        thread.join(5)
