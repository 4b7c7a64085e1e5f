"""Every error of the libraries below, mapped once to ours.

The way of an error: inside `network` a foreign error becomes a `NetworkError`, which knows its kind and whether the
request may be sent again, and holds no text that could contain a secret. Where no attempt is left, `public_error` makes
of it the error that the user sees. It is raised outside of any ``except`` block, so that no foreign error, whose text
may hold a password, hangs on to it as its context.
"""

from __future__ import annotations

import errno
import gzip
import http.client
import json
import socket
import ssl
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from http import HTTPStatus
from typing import Any, NamedTuple

import requests.exceptions as rq
import urllib3.exceptions as u3

from simple_orthanc.errors import (
    AuthenticationError,
    NotFoundError,
    RequestTimeout,
    ServerError,
    TransportError,
)


class Kind(Enum):
    """What went wrong, as far as it matters for what to do next."""

    REFUSED = "nothing listens there"
    UNREACHABLE = "the host cannot be reached"
    CONNECT_TIMEOUT = "no connection in time"
    READ_TIMEOUT = "no answer in time"
    TLS = "no encrypted connection"
    PROXY = "the proxy failed"
    DROPPED = "the connection broke"
    GARBLED = "the answer is not readable"
    REQUEST = "the request cannot be sent"


class NetworkError(Exception):
    """A foreign error, reduced to what may be told. It never leaves the transport."""

    def __init__(self, kind: Kind, reason: str, dropped: bool = False) -> None:
        super().__init__(kind, reason)
        self.kind = kind
        self.reason = reason
        self.dropped = dropped or kind is Kind.DROPPED


class Context(NamedTuple):
    """What was asked, for the message: never the query, which may hold names of patients."""

    url: str
    method: str
    path: str
    read_timeout: float | None
    credentials: bool


# Foreign classes by name. A wrapper says nothing by itself: what it wraps decides, and its kind only where that is
# unknown. Subclasses not named here follow their nearest base.
_WRAPPERS: dict[type[BaseException], Kind] = {
    rq.RequestException: Kind.GARBLED,
    rq.ConnectionError: Kind.DROPPED,
    rq.ChunkedEncodingError: Kind.DROPPED,
    rq.RetryError: Kind.DROPPED,
    rq.Timeout: Kind.READ_TIMEOUT,
    rq.SSLError: Kind.TLS,
    u3.HTTPError: Kind.GARBLED,
    u3.PoolError: Kind.DROPPED,
    u3.RequestError: Kind.DROPPED,
    u3.MaxRetryError: Kind.DROPPED,
    u3.ProtocolError: Kind.DROPPED,
    u3.SSLError: Kind.TLS,
    OSError: Kind.DROPPED,
}

_KINDS: dict[type[BaseException], Kind] = {
    rq.ProxyError: Kind.PROXY,
    rq.InvalidProxyURL: Kind.PROXY,
    rq.ConnectTimeout: Kind.CONNECT_TIMEOUT,
    rq.ReadTimeout: Kind.READ_TIMEOUT,
    rq.URLRequired: Kind.REQUEST,
    rq.MissingSchema: Kind.REQUEST,
    rq.InvalidSchema: Kind.REQUEST,
    rq.InvalidURL: Kind.REQUEST,
    rq.InvalidHeader: Kind.REQUEST,
    rq.UnrewindableBodyError: Kind.REQUEST,
    rq.StreamConsumedError: Kind.REQUEST,
    rq.HTTPError: Kind.GARBLED,
    rq.TooManyRedirects: Kind.GARBLED,
    rq.InvalidJSONError: Kind.GARBLED,
    rq.JSONDecodeError: Kind.GARBLED,
    rq.ContentDecodingError: Kind.GARBLED,
    u3.ProxyError: Kind.PROXY,
    u3.ProxySchemeUnknown: Kind.PROXY,
    u3.ProxySchemeUnsupported: Kind.PROXY,
    u3.NewConnectionError: Kind.UNREACHABLE,
    u3.NameResolutionError: Kind.UNREACHABLE,
    u3.ConnectTimeoutError: Kind.CONNECT_TIMEOUT,
    u3.ReadTimeoutError: Kind.READ_TIMEOUT,
    u3.TimeoutError: Kind.READ_TIMEOUT,
    u3.TimeoutStateError: Kind.REQUEST,
    u3.IncompleteRead: Kind.DROPPED,
    u3.InvalidChunkLength: Kind.DROPPED,
    u3.EmptyPoolError: Kind.REQUEST,
    u3.FullPoolError: Kind.REQUEST,
    u3.ClosedPoolError: Kind.REQUEST,
    u3.LocationValueError: Kind.REQUEST,
    u3.LocationParseError: Kind.REQUEST,
    u3.URLSchemeUnknown: Kind.REQUEST,
    u3.HostChangedError: Kind.REQUEST,
    u3.UnrewindableBodyError: Kind.REQUEST,
    u3.DecodeError: Kind.GARBLED,
    u3.ResponseError: Kind.GARBLED,
    u3.ResponseNotChunked: Kind.GARBLED,
    u3.BodyNotHttplibCompatible: Kind.GARBLED,
    u3.InvalidHeader: Kind.GARBLED,
    u3.HeaderParsingError: Kind.GARBLED,
    http.client.HTTPException: Kind.GARBLED,
    http.client.InvalidURL: Kind.REQUEST,
    http.client.IncompleteRead: Kind.DROPPED,
    http.client.RemoteDisconnected: Kind.DROPPED,
    ssl.SSLError: Kind.TLS,
    socket.gaierror: Kind.UNREACHABLE,
    ConnectionRefusedError: Kind.REFUSED,
    ConnectionError: Kind.DROPPED,
    TimeoutError: Kind.READ_TIMEOUT,
    zlib.error: Kind.GARBLED,
    EOFError: Kind.DROPPED,
    gzip.BadGzipFile: Kind.GARBLED,
    # What http.client raises for a header that cannot be sent; its text repeats the value.
    ValueError: Kind.REQUEST,
}

_FOREIGN = tuple({*_WRAPPERS, *_KINDS})

# How a connection ends under TLS where the other side just went away.
_TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


@contextmanager
def network() -> Iterator[None]:
    """Turn every foreign error inside into a `NetworkError`. Only calls that reach the network belong inside."""
    try:
        yield
    except _FOREIGN as error:
        failure = classify(error)
    else:
        return
    raise failure


def classify(error: BaseException) -> NetworkError:
    """Find out what a foreign error means: the outermost error that says something definite, else the outermost."""
    chain = list(_chain(error))
    dropped = any(isinstance(link, _TLS_ENDS) for link in chain)
    for link in chain:
        nearest = next(base for base in type(link).__mro__ if base in _FOREIGN or base is BaseException)
        if nearest is OSError and type(link) is OSError and link.errno is None:
            # Raised in Python, not by the operating system: requests reports an unusable certificate file so.
            return NetworkError(Kind.REQUEST, "a file that was given for TLS is not usable")
        if nearest in _KINDS:
            kind = _KINDS[nearest]
            if kind is Kind.UNREACHABLE and any(isinstance(inner, ConnectionRefusedError) for inner in chain):
                kind = Kind.REFUSED
            return NetworkError(kind, _reason(chain), dropped)
    kind = next((_WRAPPERS[base] for base in type(error).__mro__ if base in _WRAPPERS), Kind.GARBLED)
    return NetworkError(kind, _reason(chain), dropped)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]
        waiting.extend(candidate for candidate in inner if isinstance(candidate, BaseException))


def _reason(chain: Iterable[BaseException]) -> str:
    """Say why in words of the operating system or of OpenSSL, which repeat nothing of the request."""
    for link in chain:
        if isinstance(link, ssl.SSLError):
            # OpenSSL sets these attributes; an error that Python itself makes has neither.
            said = getattr(link, "verify_message", None) or getattr(link, "reason", None)
            return str(said or "the other side closed the connection").replace("_", " ")
        if isinstance(link, OSError) and isinstance(link.errno, int) and link.errno in errno.errorcode:
            return str(link.strerror)
        if isinstance(link, socket.gaierror):
            return "the name is unknown"
    return ""


def public_error(failure: NetworkError, context: Context, retried: bool, uncertain: bool) -> TransportError:
    """Make the error that the user sees.

    Parameters
    ----------
    failure : NetworkError
        What happened last.
    context : Context
        What was asked.
    retried : bool
        Whether there was more than one attempt.
    uncertain : bool
        Whether the request may have changed something on the server although no answer came.
    """
    reason = f" ({failure.reason})" if failure.reason else ""
    asked = f"{context.method} {context.path}"
    timeout = "the time allowed" if context.read_timeout is None else f"{context.read_timeout:g} s"
    texts = {
        Kind.REFUSED: f"No server answers at {context.url}{reason}; asked for {asked}. Check host and port, and that "
        "Orthanc runs; LocalOrthanc starts a server of your own.",
        Kind.UNREACHABLE: f"{context.url} cannot be reached{reason}; asked for {asked}. Check the host name and the "
        "network; LocalOrthanc starts a server of your own.",
        Kind.CONNECT_TIMEOUT: f"{context.url} did not accept a connection in time; asked for {asked}. Check host, port "
        "and firewall, or allow longer with timeout=(connect, read).",
        Kind.READ_TIMEOUT: f"{context.url} sent nothing for {timeout}; asked for {asked}. Ask for less at once, or "
        "allow longer with timeout=(connect, read).",
        Kind.TLS: f"No encrypted connection to {context.url}{reason}; asked for {asked}. If the server's certificate "
        'was issued by an authority of your own, give verify="/path/to/ca.pem"; if it asks for a client certificate, '
        'give cert=("client.pem", "client.key"); if it speaks plain HTTP, write http://.',
        Kind.PROXY: f"The proxy on the way to {context.url} failed{reason}; asked for {asked}. Check the environment "
        "variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
        Kind.DROPPED: f"The connection to {context.url} broke before the answer to {asked} was complete{reason}. Check "
        "that the server still runs, and look into its log.",
        Kind.GARBLED: f"What {context.url} answered to {asked} cannot be read{reason}. Check that Orthanc is what "
        "listens there, and no proxy alters its answers.",
        Kind.REQUEST: f"{asked} cannot be sent to {context.url}{reason}. Check the address, the headers and the files "
        "given as verify and cert.",
    }
    text = texts[failure.kind]
    if retried:
        text += " It was tried more than once."
    if uncertain:
        text += " The request may have been carried out nevertheless: look before repeating it."
    timed_out = failure.kind in (Kind.CONNECT_TIMEOUT, Kind.READ_TIMEOUT)
    return RequestTimeout(text) if timed_out else TransportError(text)


def server_error(
    context: Context, status: int, content_type: str, body: bytes, secrets: Iterable[str], note: str = ""
) -> ServerError:
    """Make the error for a status of 400 or more, with Orthanc's own ``Message`` and ``Details``."""
    details = _details(content_type, body, list(secrets))
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "unknown status"
    kinds: dict[int, type[ServerError]] = {401: AuthenticationError, 403: AuthenticationError, 404: NotFoundError}
    advice = {
        401: "The user name, password or token is wrong."
        if context.credentials
        else "Give username and password, or a token.",
        403: "This user is not allowed to do this; the server's administrator can change that.",
        404: "There is no such resource or route on this server; it may have been deleted, or need a plugin.",
        407: "The proxy on the way wants a password.",
    }.get(status, "The server's log may say more." if status >= 500 else "")
    said = f": {details.rstrip('.')}." if details else "."
    text = " ".join(
        part
        for part in (
            f"{context.url} answered {status} ({phrase}) to {context.method} {context.path}{said}",
            advice,
            note,
        )
        if part
    )
    error = kinds.get(status, ServerError)
    return error(text, status=status, method=context.method, path=context.path, details=details)


def _details(content_type: str, body: bytes, secrets: list[str]) -> str:
    text = body.decode("utf-8", "replace")
    try:
        answer: Any = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        parts = [str(answer[key]) for key in ("Message", "Details") if answer.get(key)]
        if "OrthancStatus" in answer:
            parts.append(f"OrthancStatus {answer['OrthancStatus']}")
        if parts:
            return redact("; ".join(dict.fromkeys(parts)), secrets)[:2000]
    beginning = " ".join(redact(text, secrets).split())[:300]
    return f"{content_type or 'no content type'}, beginning with {beginning!r}" if beginning else ""


def not_json(context: Context, status: int, content_type: str, body: bytes, secrets: Iterable[str]) -> TransportError:
    """Make the error for an answer that should have been JSON."""
    # Blotted out before it is cut, because half a password is still half a password.
    beginning = " ".join(redact(body[:4096].decode("utf-8", "replace"), secrets).split())[:120]
    found = f"{content_type or 'no content type'}, beginning with {beginning!r}" if beginning else "an empty answer"
    return TransportError(
        f"{context.url} answered {status} to {context.method} {context.path}, but not with JSON: {found}. Something is "
        "there that is not Orthanc, or not at this path; check host, port and the path after them."
    )


def redact(text: str, secrets: Iterable[str]) -> str:
    """Blot out what must not be repeated. Shorter than four characters is no secret, but part of ordinary words."""
    for secret in sorted({secret for secret in secrets if len(secret) > 3}, key=len, reverse=True):
        text = text.replace(secret, "***").replace(json.dumps(secret)[1:-1], "***")
    return text
