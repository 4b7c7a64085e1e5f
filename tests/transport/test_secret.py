"""No traceback, representation or attribute shows a password, a token or the value of a header."""

from __future__ import annotations

import copy
import http.client
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import DicomWeb, Orthanc
from simple_orthanc.errors import OrthancError
from simple_orthanc.rest import Rest
from simple_orthanc.session.connecting import open_transport
from simple_orthanc.transport import Transport
from simple_orthanc.transport.secret import Secret, hide, hide_arguments, hide_url, reveal
from simple_orthanc.transport.sending import Sender
from tests.http_stand_in import StandIn, always, free_port, reply
from tests.secrets_in_tracebacks import leaks, shown

SECRET = "w0nderland"
LOGINS: dict[str, dict[str, Any]] = {
    "password": {"auth": ("alice", SECRET)},
    "token": {"token": SECRET},
    "header": {"headers": {"X-Api-Key": SECRET}},
}


def test_a_secret_shows_asterisks_and_keeps_its_value() -> None:
    secret = Secret(SECRET)
    assert [repr(secret), str(secret), f"{secret}", f"{secret!r:>5}"] == ["***", "***", "***", "  ***"]
    assert secret.reveal() == SECRET
    assert pickle.loads(pickle.dumps(secret)).reveal() == SECRET
    assert copy.deepcopy(secret).reveal() == SECRET
    with pytest.raises(TypeError):
        vars(secret)


def test_hiding_twice_is_hiding_once() -> None:
    assert hide(None) is None
    once = hide(SECRET)
    assert hide(once) is once
    assert reveal(once) == SECRET
    assert reveal("plain") == "plain"
    assert [reveal(hide_url(url)) for url in ("http://a", "http://a:b@c", 5)] == ["http://a", "http://a:b@c", 5]
    assert repr(hide_arguments({"token": SECRET, "verify": False})) == "{'token': ***, 'verify': False}"


@pytest.fixture
def closed_port() -> str:
    return f"http://127.0.0.1:{free_port()}"


# What is wrong in each call: the address, then the arguments beside it.
WRONG: dict[str, tuple[str, dict[str, Any]]] = {
    "no port": (f"http://alice:{SECRET}@host:port", {}),
    "port too large": (f"http://alice:{SECRET}@host:99999", {}),
    "scheme": (f"ftp://alice:{SECRET}@host", {}),
    "unescaped slash": (f"http://alice:1234/{SECRET}@host", {}),
    "query": (f"http://alice:{SECRET}@host/a?b=c", {}),
    "no host": (f"http://alice:{SECRET}@", {}),
    "auth and token": ("http://127.0.0.1:1", {"auth": ("alice", SECRET), "token": SECRET}),
    "three in auth": ("http://127.0.0.1:1", {"auth": ("alice", SECRET, SECRET)}),
    "bytes in auth": ("http://127.0.0.1:1", {"auth": ("alice", SECRET.encode())}),
    "string as auth": ("http://127.0.0.1:1", {"auth": SECRET}),
    "lone surrogate": ("http://127.0.0.1:1", {"auth": ("alice", f"{SECRET}\ud800")}),
    "line break in token": ("http://127.0.0.1:1", {"token": f"{SECRET}\n"}),
    "token of bytes": ("http://127.0.0.1:1", {"token": SECRET.encode()}),
    "token from a function": ("http://127.0.0.1:1", {"token": lambda: f"{SECRET}\n"}),
    "line break in header": ("http://127.0.0.1:1", {"headers": {"X": f"{SECRET}\r\n"}}),
    "number in headers": ("http://127.0.0.1:1", {"headers": {"X": SECRET, "Y": 7}}),
    "list as headers": ("http://127.0.0.1:1", {"headers": [SECRET]}),
    "no certificate": ("http://127.0.0.1:1", {"auth": ("alice", SECRET), "cert": "/no/such/file.pem"}),
    "no authority": ("http://127.0.0.1:1", {"auth": ("alice", SECRET), "verify": "/no/such/file.pem"}),
    "timeout": ("http://127.0.0.1:1", {"token": SECRET, "timeout": "x"}),
    "http": ("http://127.0.0.1:1", {"headers": {"X": SECRET}, "http": 5}),
}
OPENERS: dict[str, Callable[..., Any]] = {"Transport": Transport, "Orthanc": Orthanc, "DicomWeb": DicomWeb}


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("case", WRONG)
def test_a_constructor_that_fails_shows_no_secret(opener: str, case: str) -> None:
    url, arguments = WRONG[case]
    with pytest.raises(OrthancError) as caught:
        OPENERS[opener](url, **arguments).json("GET", "/")
    assert leaks(caught.value, SECRET) == []


@pytest.mark.parametrize("kind", [Orthanc, DicomWeb])
@pytest.mark.parametrize(
    "arguments",
    [
        {"password": SECRET, "auth": ("alice", SECRET)},
        {"username": "alice", "password": SECRET, "token": SECRET},
        {"username": "alice", "password": f"{SECRET}\udfff"},
        {"username": "alice", "password": None, "cert": 7, "headers": {"X": SECRET}},
    ],
)
def test_a_password_beside_another_login_is_not_shown(kind: Callable[..., Any], arguments: dict[str, Any]) -> None:
    with pytest.raises(OrthancError) as caught:
        kind("http://127.0.0.1:1", **arguments)
    assert leaks(caught.value, SECRET) == []


@pytest.mark.parametrize("port", [1, "x"])
@pytest.mark.parametrize("host", [f"http://alice:{SECRET}@host", f"alice:{SECRET}@host:8042"])
def test_a_host_with_a_password_and_a_second_port(host: str, port: Any) -> None:
    with pytest.raises(OrthancError, match="holds a port") as caught:
        Orthanc(host, port)
    assert leaks(caught.value, SECRET) == []


def test_a_password_in_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch, closed_port: str) -> None:
    for url in (closed_port, closed_port.replace("://", f"://alice:{SECRET}@")):
        monkeypatch.setenv("ORTHANC_URL", url)
        monkeypatch.setenv("ORTHANC_USERNAME", "alice")
        monkeypatch.setenv("ORTHANC_PASSWORD", SECRET)
        with pytest.raises(OrthancError) as caught:
            Orthanc()
        assert leaks(caught.value, SECRET) == []


ANSWERS: dict[str, bytes | None] = {
    "401": reply({"Message": "no"}, 401),
    "404": reply(b"not here", 404),
    "500": reply(b"", 500),
    "HTML": reply(b"<html></html>"),
    "not JSON": reply(b"{", headers={"Content-Type": "application/json"}),
    "another service": reply([]),
    "redirect": reply(b"", 302, {"Location": "http://elsewhere.example.org/"}),
    "closed": None,
}


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_is_no_archive_shows_no_secret(answer: str, login: str) -> None:
    with StandIn(always(ANSWERS[answer])) as server:
        for kind in (Orthanc, DicomWeb):
            if kind is DicomWeb and answer == "another service":
                continue
            with pytest.raises(OrthancError) as caught:
                kind(server.url, **LOGINS[login])
            assert leaks(caught.value, SECRET) == []
        with pytest.raises(OrthancError) as caught:
            Transport(server.url, **LOGINS[login]).json("GET", "/../a")
        assert leaks(caught.value, SECRET) == []


@pytest.mark.parametrize("login", LOGINS)
def test_a_server_that_is_not_there_shows_no_secret(login: str, closed_port: str, tmp_path: Path) -> None:
    for kind in (Orthanc, DicomWeb):
        with pytest.raises(OrthancError) as caught:
            kind(closed_port, **LOGINS[login])
        assert leaks(caught.value, SECRET) == []
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(OrthancError) as caught:
        Transport(closed_port, **LOGINS[login]).read_into("/a", lambda size: memoryview(bytearray(size)))
    assert leaks(caught.value, SECRET) == []
    with pytest.raises(OrthancError) as caught:
        Transport(closed_port, **LOGINS[login]).download("/a", tmp_path / "a")
    assert leaks(caught.value, SECRET) == []


def request(rest: Rest, path: str, **options: Any) -> None:
    rest.request("PUT", path, revision="0-a", **options)


def stream(rest: Rest, path: str, **options: Any) -> None:
    with rest.stream(path, **options):
        pass


def write(rest: Rest, path: str, **options: Any) -> None:
    rest.stream(path, to="never-written", **options)


VERBS = [Rest.get, Rest.post, Rest.put, Rest.delete, request, stream, write]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("path", ["/a", "/../a"])
def test_the_headers_of_one_request_are_sent_and_not_shown(verb: Callable[..., Any], path: str) -> None:
    with StandIn(always(reply({"Message": "no"}, 401))) as server:
        with pytest.raises(OrthancError) as caught:
            verb(Rest(Transport(server.url)), path, headers={"X-Key": SECRET})
        assert [asked.headers["x-key"] for asked in server.asked] == ([SECRET] if path == "/a" else [])
    assert leaks(caught.value, SECRET) == []


READS: dict[str, Callable[[Transport], object]] = {
    "json": lambda transport: transport.json("GET", "/"),
    "read_into": lambda transport: transport.read_into("/", lambda size: memoryview(bytearray(size))),
}


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("step", ["send", "getresponse", "read"])
@pytest.mark.parametrize("call", READS)
def test_ctrl_c_leaves_no_frame_of_another_library(
    monkeypatch: pytest.MonkeyPatch, login: str, step: str, call: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with StandIn(always(reply([]))) as server:
        transport = Transport(server.url, **LOGINS[login])
        place = http.client.HTTPResponse if step == "read" else http.client.HTTPConnection
        monkeypatch.setattr(place, step, interrupt)
        # As for a token from a function; what is read in bulk uses no other library.
        monkeypatch.setattr(Sender, "_bulk_reader", lambda sender: None)
        with pytest.raises(KeyboardInterrupt) as caught:
            READS[call](transport)
    packages = {Path(entry.path).parent.name for entry in caught.traceback[1:]}
    assert packages == {"transport"}
    assert leaks(caught.value, SECRET) == []


@pytest.mark.parametrize("login", [*LOGINS, "user and password", "URL"])
def test_no_attribute_shows_a_secret(login: str) -> None:
    with StandIn(always(reply([]))) as server:
        if login == "user and password":
            transport = open_transport(server.url, "alice", hide(SECRET))
        elif login == "URL":
            transport = Transport(server.url.replace("://", f"://alice:{SECRET}@"))
        else:
            transport = Transport(server.url, **LOGINS[login])
        transport.json("GET", "/")
        transport.read_into("/a", lambda size: memoryview(bytearray(size)))
        assert not [text for text in shown(transport) if SECRET in text]
        again = pickle.loads(pickle.dumps(transport))
        again.json("GET", "/")
        assert server.asked[0].headers == server.asked[-1].headers
        assert not [text for text in shown(again) if SECRET in text]


@pytest.mark.parametrize("kind", [Orthanc, DicomWeb, Transport])
def test_an_object_whose_constructor_failed_has_a_representation(kind: type) -> None:
    half_made = kind.__new__(kind)
    assert kind.__name__ in repr(half_made)
    if kind is not Transport:
        assert "not connected" in half_made._repr_html_()
