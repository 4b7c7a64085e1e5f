"""How the transport logs in, past netrc and proxies, and over TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.auth import HTTPBasicAuth

from simple_orthanc import Orthanc
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.transport import Transport, is_loopback, parse_address
from simple_orthanc.transport import address as address_module
from simple_orthanc.transport.secret import reveal
from tests.http_stand_in import StandIn, always, reply


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
def test_a_host_that_is_not_a_string_is_refused_with_the_right_form(host: Any) -> None:
    with pytest.raises(SelectionError, match=r'Orthanc\("127.0.0.1"\), or a whole URL'):
        Orthanc(host)


ENCODABLE = st.characters(codec="utf-8")


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
    assert (address.user, reveal(address.password)) == (user, password)
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
