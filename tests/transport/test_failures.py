"""How the transport fails: the right error, with what the server said, and never a secret."""

from __future__ import annotations

import http.client
import inspect
import logging
import pickle
import socket
import ssl
import traceback

import pytest
import requests
import urllib3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simple_orthanc.errors import (
    AuthenticationError,
    NotFoundError,
    OrthancError,
    RequestTimeout,
    ServerError,
    TransportError,
)
from simple_orthanc.transport import Transport, failures
from simple_orthanc.transport.failures import Cause, classify, redact
from tests.examples import examples
from tests.http_stand_in import Asked, QuickClock, StandIn, reply


def orthanc_says(status: int, message: str, details: str = "", code: int = 17) -> bytes:
    return reply(
        {"HttpStatus": status, "Message": message, "Details": details, "OrthancStatus": code, "Uri": "/x"}, status
    )


@pytest.mark.parametrize(
    ("status", "error", "builtin", "advice"),
    [
        (400, ServerError, ServerError, ""),
        (401, AuthenticationError, PermissionError, "Give username and password"),
        (403, AuthenticationError, PermissionError, "not allowed"),
        (404, NotFoundError, LookupError, "no such resource"),
        (409, ServerError, ServerError, ""),
        (500, ServerError, ServerError, "log"),
        (503, ServerError, ServerError, "log"),
        (599, ServerError, ServerError, "log"),
    ],
)
def test_a_refusal_carries_what_orthanc_says(
    status: int, error: type[ServerError], builtin: type[Exception], advice: str
) -> None:
    with StandIn(lambda asked, count: orthanc_says(status, "Bad file format", "Tag 0010,0010")) as server:
        with pytest.raises(builtin) as caught:
            Transport(server.url).json("POST", "/series/a?expand", params={"PatientName": "Doe"}, body={})
        found = caught.value
        assert type(found) is error
        assert (found.status, found.method, found.path) == (status, "POST", "/series/a")
        assert found.details == "Bad file format; Tag 0010,0010; OrthancStatus 17"
        assert str(status) in str(found)
        assert server.url in str(found)
        assert "Bad file format; Tag 0010,0010" in str(found)
        assert advice in str(found)
        assert "Doe" not in str(found)
        again = pickle.loads(pickle.dumps(found))
        assert (str(again), vars(again)) == (str(found), vars(found))


def test_a_request_that_is_too_large_names_the_limit() -> None:
    page = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
    with (
        StandIn(lambda asked, count: reply(page, 413, {"Content-Type": "text/html"})) as server,
        pytest.raises(ServerError, match=r"proxy.*limit \(nginx: client_max_body_size\)"),
    ):
        Transport(server.url).content("POST", "/instances", data=b"x")


def test_wrong_credentials_are_reported_as_wrong() -> None:
    with StandIn(lambda asked, count: reply(b"", 401)) as server, pytest.raises(AuthenticationError, match="is wrong"):
        Transport(server.url, auth=("alice", "wonderland")).json("GET", "/system")


def test_only_the_beginning_of_another_body_is_shown() -> None:
    page = b"<html>  <h1>Oops</h1>\n" + b"x" * 100_000
    with StandIn(lambda asked, count: reply(page, 500, {"Content-Type": "text/html; charset=x"})) as server:
        with pytest.raises(ServerError) as caught:
            Transport(server.url).content("GET", "/")
        assert caught.value.details.startswith("text/html, beginning with '<html> <h1>Oops</h1> xxx")
        assert len(str(caught.value)) < 700


def test_a_refusal_whose_body_breaks_off_is_still_that_refusal() -> None:
    cut = reply(b'{"Mess', 404, {"X-Close": "yes"}, length=900)
    with StandIn(lambda asked, count: cut) as server, pytest.raises(NotFoundError):
        Transport(server.url).json("GET", "/")


def test_a_refusal_keeps_its_connection() -> None:
    with StandIn(lambda asked, count: orthanc_says(404, "Unknown")) as server:
        transport = Transport(server.url)
        for _ in range(3):
            with pytest.raises(NotFoundError):
                transport.json("GET", "/")
        assert server.connections == 1


@pytest.mark.parametrize("body", [b"<html>router</html>", b"\xff\xfe\xfa", b"{", b"[" * 100_000, b'{"a": "\xe9"}'])
def test_a_server_that_is_not_orthanc_is_reported(body: bytes) -> None:
    with StandIn(lambda asked, count: reply(body, headers={"Content-Type": "text/html"})) as server:
        with pytest.raises(
            TransportError, match=r"answered 200 to GET /system, but not with JSON.*not Orthanc"
        ) as caught:
            Transport(server.url).json("GET", "/system")
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_server_that_does_not_speak_http_is_reported() -> None:
    greeting = b"220 mail.example.org ESMTP\r\n"
    with (
        StandIn(lambda asked, count: greeting) as server,
        pytest.raises(TransportError, match="Check that Orthanc is what listens there"),
    ):
        Transport(server.url, timeout=2).json("GET", "/system")


def test_a_missing_server_is_reported_soon(clock: QuickClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = Transport(f"http://127.0.0.1:{port}")
    with pytest.raises(TransportError, match="LocalOrthanc") as caught:
        transport.json("GET", "/system")
    assert f"http://127.0.0.1:{port}" in str(caught.value)
    assert "refused" in str(caught.value)
    # By a clock that only pauses move on, as in the other tests of this package.
    assert sum(clock.waited) <= 3


def test_an_unknown_host_is_unreachable() -> None:
    with pytest.raises(TransportError, match=r"http://orthanc\.invalid:8042 cannot be reached"):
        Transport("http://orthanc.invalid:8042").json("GET", "/system")


# The map of foreign errors


def foreign_classes() -> list[type[BaseException]]:
    modules = (requests.exceptions, urllib3.exceptions)
    found = [value for module in modules for value in vars(module).values() if inspect.isclass(value)]
    return [value for value in found if issubclass(value, Exception) and not issubclass(value, Warning)]


@pytest.mark.parametrize("foreign", sorted(set(foreign_classes()), key=lambda value: value.__module__ + value.__name__))
def test_every_foreign_error_has_its_own_entry_in_the_map(foreign: type[BaseException]) -> None:
    known = {**failures._CAUSES, **failures._WRAPPERS}
    if foreign.__module__.partition(".")[0] in ("requests", "urllib3"):
        assert foreign in known
    else:
        assert any(base in known for base in foreign.__mro__)


@pytest.mark.parametrize(
    ("error", "cause", "dropped"),
    [
        (
            requests.ConnectionError(urllib3.exceptions.ProtocolError("a", http.client.RemoteDisconnected())),
            Cause.DROPPED,
            True,
        ),
        (
            requests.ConnectionError(urllib3.exceptions.ProtocolError("a", http.client.BadStatusLine("x"))),
            Cause.GARBLED,
            False,
        ),
        (requests.ConnectionError(urllib3.exceptions.ProtocolError("a", TimeoutError())), Cause.READ_TIMEOUT, False),
        (requests.ConnectionError(), Cause.DROPPED, True),
        (requests.exceptions.SSLError(ssl.SSLEOFError(8, "EOF")), Cause.TLS, True),
        (requests.exceptions.SSLError(ssl.SSLError(1, "WRONG_VERSION_NUMBER")), Cause.TLS, False),
        (requests.ConnectTimeout(), Cause.CONNECT_TIMEOUT, False),
        (requests.ReadTimeout(), Cause.READ_TIMEOUT, False),
        (requests.exceptions.ProxyError(ConnectionRefusedError()), Cause.PROXY, False),
        (BrokenPipeError(32, "Broken pipe"), Cause.DROPPED, True),
        (OSError("Could not find a suitable TLS CA certificate bundle, invalid path: x"), Cause.REQUEST, False),
        (http.client.IncompleteRead(b""), Cause.DROPPED, True),
        (ValueError("Invalid header value b'secret'"), Cause.REQUEST, False),
    ],
)
def test_foreign_errors_are_classified(error: BaseException, cause: Cause, dropped: bool) -> None:
    found = classify(error)
    assert (found.cause, found.dropped) == (cause, dropped)
    assert "secret" not in found.reason


TIMES = (Cause.READ_TIMEOUT, Cause.CONNECT_TIMEOUT, Cause.SLOW)


def test_every_cause_has_its_message() -> None:
    context = failures.RequestContext("http://h", "POST", "/p", 300, False)
    for cause in Cause:
        error = failures.public_error(failures.NetworkError(cause, "why"), context, "It was tried.", True)
        assert "It was tried." in str(error)
        assert "http://h" in str(error)
        assert "POST /p" in str(error)
        assert isinstance(error, RequestTimeout) == (cause in TIMES)


@pytest.mark.parametrize("url", ["http://h", "https://h"])
def test_a_connection_that_broke_may_need_encryption(url: str) -> None:
    context = failures.RequestContext(url, "GET", "/system", 300, False)
    error = failures.public_error(failures.NetworkError(Cause.DROPPED, "reset"), context, "", False)
    assert ("if it speaks HTTPS, write https://" in str(error)) == (url == "http://h")


def test_every_error_raised_is_an_orthanc_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for foreign in set(foreign_classes()):
        error = foreign.__new__(foreign)
        error.args = ("Authorization: Basic hunter22",)
        with requests.Session() as session:

            def failing(*_: object, error: BaseException = error, **__: object) -> None:
                raise error

            monkeypatch.setattr(session, "request", failing)
            with pytest.raises(OrthancError) as caught:
                Transport("http://127.0.0.1:1", http=session).json("POST", "/x")
        assert "hunter22" not in "".join(traceback.format_exception(caught.value))
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)


# Secrets

# Begins like no word of our own, which hypothesis would find in the source and take for a password.
SECRET = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), min_size=5, max_size=30
).map(lambda text: f"Zq7{text}")


def everything_about(error: BaseException) -> str:
    shown = ""
    link: BaseException | None = error
    while link is not None:
        shown += "".join(traceback.format_exception(link)) + repr(link) + str(link) + repr(vars(link))
        link = link.__cause__ or link.__context__
    return shown


@settings(max_examples=examples(40), deadline=None)
@given(password=SECRET)
@example(password='quote"back\\slash')
@example(password="<html>&amp;12345")
def test_a_password_never_shows(password: str) -> None:
    def script(asked: Asked, count: int) -> bytes | None:
        echo = {"Message": f"No, {password}", "Details": asked.headers["authorization"]}
        if asked.path == "/drop":
            return None
        page = f"<html>{password} {asked.headers['authorization']}".encode()
        return reply(page) if asked.path == "/html" else reply(echo, 401)

    with StandIn(script) as server:
        transport = Transport(server.url, auth=("alice", password), headers={"X-Key": "header-secret"})
        shown = repr(transport) + str(transport) + repr(vars(transport)) + repr(vars(transport._sender))
        for path in ("/drop", "/html", "/refused"):
            with pytest.raises(OrthancError) as caught:
                transport.json("GET", path)
            shown += everything_about(caught.value)
            shown += repr(pickle.dumps(caught.value))
            basic = server.asked[-1].headers["authorization"].split()[1]
            assert basic not in shown
        transport.close()
    assert password not in shown
    assert "header-secret" not in shown


def test_a_token_and_a_password_in_a_url_never_show_nor_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    def script(asked: Asked, count: int) -> bytes:
        return reply(repr(asked.headers).encode(), 500)

    with caplog.at_level(logging.DEBUG), StandIn(script) as server:
        inside = server.url.replace("://", "://alice:wonderland@")
        for transport in (
            Transport(inside),
            Transport(server.url, token="wonderland"),
            Transport(server.url, auth=lambda: "wonderland"),
            Transport(server.url, headers={"X-Custom": "wonderland"}),
        ):
            with pytest.raises(ServerError) as caught:
                transport.content("GET", "/x")
            assert "wonderland" not in everything_about(caught.value) + repr(transport) + transport.url
            assert "***" in caught.value.details or "wonderland" not in caught.value.details
    assert caplog.records
    assert "wonderland" not in caplog.text


def test_redaction_keeps_short_words() -> None:
    assert redact("an orthanc of its own", ["an", ""]) == "an orthanc of its own"
    assert redact("secret secretly", ["secret", "secretly"]) == "*** ***"
