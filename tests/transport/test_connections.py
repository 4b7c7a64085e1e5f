"""Connections: kept while they are fresh, and sending under the read timeout."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from simple_orthanc.errors import TransportError
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, always, free_port, in_turn, reply


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


def test_after_a_connection_broke_what_is_not_repeated_opens_its_own() -> None:
    """A proxy that closes each connection after its first answer loses whatever comes at that moment."""

    def first_only(asked: Asked, number: int) -> bytes | None:
        return None if any(earlier.connection == asked.connection for earlier in server.asked[:number]) else reply([])

    with StandIn(first_only) as server:
        transport = Transport(server.url)
        transport.json("GET", "/x")
        with pytest.raises(TransportError, match="may have been carried out"):
            transport.json("POST", "/x")
        for _ in range(5):
            transport.json("GET", "/x")
            transport.json("POST", "/x")


def test_sending_may_take_longer_than_connecting() -> None:
    with StandIn(always(reply([])), slow=0.4) as server:
        transport = Transport(server.url, timeout=(0.1, 30))
        body = os.urandom(20_000_000)
        assert transport.json("POST", "/instances", data=body) == []
        assert server.asked[0].body == body


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


def test_a_certificate_that_is_not_checked_is_warned_of_once(certificate: tuple[Path, Path]) -> None:
    with StandIn(always(reply([], headers={"X-Close": "yes"})), certificate=certificate) as server:
        with pytest.warns(UserWarning, match=rf"{server.port} is not checked .*verify=False.* verify=") as caught:
            transport = Transport(server.url, verify=False)
        assert len(caught) == 1
        # Every warning is an error in tests.
        for _ in range(3):
            transport.json("GET", "/")
        Transport(server.url, verify=False).json("GET", "/")
    Transport("http://127.0.0.1:1", verify=False)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_missing_file_of_authorities_is_named_with_its_variable(
    variable: str, monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.setenv(variable, "/no/such/bundle.pem")
    with pytest.raises(TransportError, match=rf"{variable} names the file '/no/such/bundle\.pem'.* give verify="):
        Transport("https://127.0.0.1:1")
    Transport("http://127.0.0.1:1")
    Transport("https://127.0.0.1:1", verify=str(certificate[0]))
    monkeypatch.setenv(variable, str(certificate[0]))
    Transport("https://127.0.0.1:1")


@pytest.mark.parametrize(
    "proxy", ["foo://127.0.0.1:1", "http://", "http://[::1", "http://127.0.0.1:port", "socks9://h:1"]
)
def test_a_proxy_that_cannot_be_used_is_named_as_the_reason(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(TransportError, match=r"proxy on the way to http://pacs\.example\.org failed.* HTTP_PROXY"):
        Transport("http://pacs.example.org", patience=0).json("GET", "/")
