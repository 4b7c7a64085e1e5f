"""The map from errors of the libraries below to those of `simple_orthanc.errors`.

Inside `network` a foreign error becomes a `NetworkError`, which has its cause, whether the request may be sent again,
and no message that could contain a secret. When no attempt is left, `public_error` makes the error that the user sees.
It is raised outside of any ``except`` block, so that no foreign error, whose message may hold a password, becomes its
context.
"""

from __future__ import annotations

import errno
import gzip
import http.client
import json
import socket
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, NamedTuple

import requests.exceptions as rq
import urllib3.exceptions as u3
from requests import Response

from simple_orthanc.errors import (
    AuthenticationError,
    NotFoundError,
    RequestTimeout,
    ServerError,
    TransportError,
)


class Cause(Enum):
    """What went wrong, as far as it matters for what to do next."""

    REFUSED = "nothing listens there"
    UNREACHABLE = "the host cannot be reached"
    UNKNOWN_NAME = "the name of the host is unknown"
    CONNECT_TIMEOUT = "no connection in time"
    READ_TIMEOUT = "no answer in time"
    TLS = "no encrypted connection"
    PROXY = "the proxy failed"
    DROPPED = "the connection broke"
    GARBLED = "the answer is not readable"
    SLOW = "the answer takes too long"
    EXCESS = "the answer exceeds a limit"
    REQUEST = "the request cannot be sent"


class NetworkError(Exception):
    """A foreign error, reduced to what may be shown. It never leaves the transport.

    Attributes
    ----------
    cause : Cause
        What went wrong.
    reason : str
        The reason in words of the operating system or of OpenSSL, "" if they say nothing.
    dropped : bool
        Whether the connection broke, so that the request may be sent again if that does no harm.
    """

    def __init__(self, cause: Cause, reason: str, dropped: bool = False) -> None:
        super().__init__(cause, reason)
        self.cause = cause
        self.reason = reason
        self.dropped = dropped or cause is Cause.DROPPED


class RefusalError(Exception):
    """A status of 400 or more, on its way to the decision whether to try again.

    Attributes
    ----------
    response : Response
        Its headers; the body has been read.
    content : bytes
        The beginning of the body.
    """

    def __init__(self, response: Response, content: bytes) -> None:
        super().__init__()
        self.response = response
        self.content = content

    @property
    def retry_after(self) -> float:
        """Seconds that the server asks to wait, by the header Retry-After, which holds seconds or a date."""
        header = self.response.headers.get("Retry-After", "").strip()
        if header.isdecimal():
            return float(header)
        try:
            return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
        except (TypeError, ValueError, OverflowError):
            return 0.0


class RequestContext(NamedTuple):
    """What was asked, for messages: never the query, which may hold names of patients."""

    url: str
    method: str
    path: str
    read_timeout: float | None
    credentials: bool
    kept_in: str = ""


# Foreign classes by name. The cause of a wrapper is that of the error it wraps, and the one given here only if that is
# unknown. Subclasses that are not listed follow their nearest base.
_WRAPPERS: dict[type[BaseException], Cause] = {
    rq.RequestException: Cause.GARBLED,
    rq.ConnectionError: Cause.DROPPED,
    rq.ChunkedEncodingError: Cause.DROPPED,
    rq.RetryError: Cause.DROPPED,
    rq.Timeout: Cause.READ_TIMEOUT,
    rq.SSLError: Cause.TLS,
    u3.HTTPError: Cause.GARBLED,
    u3.PoolError: Cause.DROPPED,
    u3.RequestError: Cause.DROPPED,
    u3.MaxRetryError: Cause.DROPPED,
    u3.ProtocolError: Cause.DROPPED,
    u3.SSLError: Cause.TLS,
    OSError: Cause.DROPPED,
}

_CAUSES: dict[type[BaseException], Cause] = {
    rq.ProxyError: Cause.PROXY,
    rq.InvalidProxyURL: Cause.PROXY,
    rq.ConnectTimeout: Cause.CONNECT_TIMEOUT,
    rq.ReadTimeout: Cause.READ_TIMEOUT,
    rq.URLRequired: Cause.REQUEST,
    rq.MissingSchema: Cause.REQUEST,
    rq.InvalidSchema: Cause.REQUEST,
    rq.InvalidURL: Cause.REQUEST,
    rq.InvalidHeader: Cause.REQUEST,
    rq.UnrewindableBodyError: Cause.REQUEST,
    rq.StreamConsumedError: Cause.REQUEST,
    rq.HTTPError: Cause.GARBLED,
    rq.TooManyRedirects: Cause.GARBLED,
    rq.InvalidJSONError: Cause.GARBLED,
    rq.JSONDecodeError: Cause.GARBLED,
    rq.ContentDecodingError: Cause.GARBLED,
    u3.ProxyError: Cause.PROXY,
    u3.ProxySchemeUnknown: Cause.PROXY,
    u3.ProxySchemeUnsupported: Cause.PROXY,
    u3.NewConnectionError: Cause.UNREACHABLE,
    u3.NameResolutionError: Cause.UNKNOWN_NAME,
    u3.ConnectTimeoutError: Cause.CONNECT_TIMEOUT,
    u3.ReadTimeoutError: Cause.READ_TIMEOUT,
    u3.TimeoutError: Cause.READ_TIMEOUT,
    u3.TimeoutStateError: Cause.REQUEST,
    u3.IncompleteRead: Cause.DROPPED,
    u3.InvalidChunkLength: Cause.DROPPED,
    u3.EmptyPoolError: Cause.REQUEST,
    u3.FullPoolError: Cause.REQUEST,
    u3.ClosedPoolError: Cause.REQUEST,
    u3.LocationValueError: Cause.REQUEST,
    u3.LocationParseError: Cause.REQUEST,
    u3.URLSchemeUnknown: Cause.REQUEST,
    u3.HostChangedError: Cause.REQUEST,
    u3.UnrewindableBodyError: Cause.REQUEST,
    u3.DecodeError: Cause.GARBLED,
    u3.ResponseError: Cause.GARBLED,
    u3.ResponseNotChunked: Cause.GARBLED,
    u3.BodyNotHttplibCompatible: Cause.GARBLED,
    u3.InvalidHeader: Cause.GARBLED,
    u3.HeaderParsingError: Cause.GARBLED,
    http.client.HTTPException: Cause.GARBLED,
    http.client.InvalidURL: Cause.REQUEST,
    http.client.IncompleteRead: Cause.DROPPED,
    http.client.RemoteDisconnected: Cause.DROPPED,
    ssl.SSLError: Cause.TLS,
    socket.gaierror: Cause.UNKNOWN_NAME,
    ConnectionRefusedError: Cause.REFUSED,
    ConnectionError: Cause.DROPPED,
    TimeoutError: Cause.READ_TIMEOUT,
    zlib.error: Cause.GARBLED,
    EOFError: Cause.DROPPED,
    gzip.BadGzipFile: Cause.GARBLED,
    # http.client raises it for a header that cannot be sent; its message repeats the value.
    ValueError: Cause.REQUEST,
}

_FOREIGN = tuple({*_WRAPPERS, *_CAUSES})

# How a connection ends under TLS if the other side just closes it.
_TLS_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


@contextmanager
def network(*, reading: bool = False) -> Iterator[None]:
    """Raise every foreign error inside as a `NetworkError`. Only calls that reach the network belong inside.

    Parameters
    ----------
    reading : bool
        Whether the request was sent already, so that whatever is wrong is wrong with the response.
    """
    try:
        yield
    except _FOREIGN as error:
        failure = classify(error)
    else:
        return
    if reading and failure.cause is Cause.REQUEST:
        failure = NetworkError(Cause.GARBLED, failure.reason)
    raise failure


def classify(error: BaseException) -> NetworkError:
    """Classify a foreign error by the outermost error of its chain that is definite, else by the outermost."""
    chain = list(_chain(error))
    dropped = any(isinstance(link, _TLS_ENDS) for link in chain)
    for link in chain:
        nearest = next(base for base in type(link).__mro__ if base in _FOREIGN or base is BaseException)
        if nearest is OSError and type(link) is OSError and link.errno is None:
            # Raised in Python, not by the operating system: requests reports an unusable certificate file like this.
            return NetworkError(Cause.REQUEST, "a file that was given for TLS is not usable")
        if nearest in _CAUSES:
            cause = _CAUSES[nearest]
            if nearest is rq.InvalidHeader and any(isinstance(inner, u3.InvalidHeader) for inner in chain):
                # Of the response: requests raises the same for a header that cannot be sent.
                cause = Cause.GARBLED
            if cause is Cause.UNREACHABLE and any(isinstance(inner, ConnectionRefusedError) for inner in chain):
                cause = Cause.REFUSED
            return NetworkError(cause, _reason(chain), dropped)
    cause = next((_WRAPPERS[base] for base in type(error).__mro__ if base in _WRAPPERS), Cause.GARBLED)
    return NetworkError(cause, _reason(chain), dropped)


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
    """Find the reason in words of the operating system or of OpenSSL, which repeat nothing of the request."""
    for link in chain:
        if isinstance(link, ssl.SSLError):
            # OpenSSL sets these attributes; an error that Python itself raises has neither.
            message = getattr(link, "verify_message", None) or getattr(link, "reason", None)
            return str(message or "the other side closed the connection").replace("_", " ")
        if isinstance(link, OSError) and isinstance(link.errno, int) and link.errno in errno.errorcode:
            return str(link.strerror)
        if isinstance(link, socket.gaierror):
            return "the name is unknown"
    return ""


def public_error(failure: NetworkError, context: RequestContext, note: str, uncertain: bool) -> TransportError:
    """Make the error that the user sees of a failure.

    Parameters
    ----------
    failure : NetworkError
        What happened last.
    context : RequestContext
        What was asked.
    note : str
        A sentence to add, "" for none.
    uncertain : bool
        Whether the request may have changed something on the server although no response came.
    """
    reason = f" ({failure.reason})" if failure.reason else ""
    asked = f"{context.method} {context.path}"
    timeout = "the time allowed" if context.read_timeout is None else f"{context.read_timeout:g} s"
    messages = {
        Cause.REFUSED: f"No server answers at {context.url}{reason}; asked for {asked}. Check host and port, and that "
        "Orthanc runs; LocalOrthanc starts a server of your own.",
        Cause.UNREACHABLE: f"{context.url} cannot be reached{reason}; asked for {asked}. Check the host name and the "
        "network; LocalOrthanc starts a server of your own.",
        Cause.UNKNOWN_NAME: f"{context.url} cannot be reached{reason}; asked for {asked}. Check the host name and the "
        "network; LocalOrthanc starts a server of your own.",
        Cause.CONNECT_TIMEOUT: f"{context.url} did not accept a connection in time; asked for {asked}. Check host, "
        "port and firewall, or allow longer with timeout=(connect, read).",
        Cause.READ_TIMEOUT: f"{context.url} sent nothing for {timeout}; asked for {asked}. Ask for less at once, or "
        "allow longer with timeout=(connect, read).",
        Cause.TLS: f"No encrypted connection to {context.url}{reason}; asked for {asked}. If the server's certificate "
        'was issued by an authority of your own, give verify="/path/to/ca.pem"; if it asks for a client certificate, '
        'give cert=("client.pem", "client.key"); if it speaks plain HTTP, write http://.',
        Cause.PROXY: f"The proxy on the way to {context.url} failed{reason}; asked for {asked}. Check the environment "
        "variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY.",
        Cause.DROPPED: f"The connection to {context.url} broke before the answer to {asked} was complete{reason}. "
        "Check that the server still runs, and look at its log"
        + ("; if it speaks HTTPS, write https://." if context.url.startswith("http://") else "."),
        Cause.GARBLED: f"What {context.url} answered to {asked} cannot be read{reason}. Check that Orthanc is what "
        "listens there, and that no proxy changes its answers.",
        Cause.SLOW: f"{context.url} answered {asked} too slowly: {failure.reason}. Ask for less at once, or change "
        "that limit.",
        Cause.EXCESS: f"What {context.url} answered to {asked} exceeds a limit: {failure.reason}",
        Cause.REQUEST: f"{asked} cannot be sent to {context.url}{reason}. Check the address, the headers and the files "
        "given as verify and cert.",
    }
    message = messages[failure.cause]
    if note:
        message += f" {note}"
    if uncertain:
        message += " The request may have been carried out nevertheless: check before repeating it."
    timed_out = failure.cause in (Cause.CONNECT_TIMEOUT, Cause.READ_TIMEOUT, Cause.SLOW)
    return RequestTimeout(message) if timed_out else TransportError(message)


def server_error(
    context: RequestContext, status: int, content_type: str, body: bytes, secrets: Iterable[str], note: str = ""
) -> ServerError:
    """Make the error for a status of 400 or more, with Orthanc's own ``Message`` and ``Details``.

    Parameters
    ----------
    context : RequestContext
        What was asked.
    status : int
        The HTTP status.
    content_type : str
        Media type of the body, "" if the server named none.
    body : bytes
        The beginning of the body.
    secrets : iterable of str
        What must not be repeated.
    note : str
        A sentence to add.
    """
    details = _details(content_type, body, list(secrets))
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "unknown status"
    kinds: dict[int, type[ServerError]] = {401: AuthenticationError, 403: AuthenticationError, 404: NotFoundError}
    advice = {
        401: "The user name, password or token is wrong."
        + (f" The secret was read from {context.kept_in}." if context.kept_in else "")
        if context.credentials
        else "Give username and password, or a token.",
        403: "This user is not allowed to do this; the server's administrator can change that.",
        404: "There is no such resource or route on this server; it may have been deleted, or need a plugin.",
        407: "The proxy on the way requires a password.",
        413: "This is more than the server, or a proxy before it, takes in one request: its administrator can raise "
        "the limit (nginx: client_max_body_size).",
    }.get(status, "The server's log may say more." if status >= 500 else "")
    reply = f": {details.rstrip('.')}." if details else "."
    message = " ".join(
        part
        for part in (
            f"{context.url} answered {status} ({phrase}) to {context.method} {context.path}{reply}",
            advice,
            note,
        )
        if part
    )
    error = kinds.get(status, ServerError)
    return error(message, status=status, method=context.method, path=context.path, details=details)


def _details(content_type: str, body: bytes, secrets: list[str]) -> str:
    content = body.decode("utf-8", "replace")
    try:
        answer: Any = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        parts = [str(answer[key]) for key in ("Message", "Details") if answer.get(key)]
        if "OrthancStatus" in answer:
            parts.append(f"OrthancStatus {answer['OrthancStatus']}")
        if parts:
            return redact("; ".join(dict.fromkeys(parts)), secrets)[:2000]
    beginning = " ".join(redact(content, secrets).split())[:300]
    return f"{content_type or 'no content type'}, beginning with {beginning!r}" if beginning else ""


def not_json(
    context: RequestContext,
    status: int,
    content_type: str,
    body: bytes,
    secrets: Iterable[str],
    reason: str,
) -> TransportError:
    """Make the error for a response that should have been JSON; `reason` says why it could not be read as that."""
    # Redacted before it is cut, because half a password is still half a password.
    beginning = " ".join(redact(body[:4096].decode("utf-8", "replace"), secrets).split())[:120]
    found = f"{content_type or 'no content type'}, beginning with {beginning!r}" if beginning else "an empty answer"
    if "json" in content_type and beginning[:1] in ("{", "["):
        found += f"; {reason}"
    advice = "What answers there is not Orthanc, or not at this path; check host, port and the path after them."
    if beginning.lower().startswith("<"):
        advice += " A page may also come from a proxy on the way, or be a login page: log in there or give a token."
    return TransportError(
        f"{context.url} answered {status} to {context.method} {context.path}, but not with JSON: {found}. {advice}"
    )


def redact(message: str, secrets: Iterable[str]) -> str:
    """Replace secrets by ``***``. What is shorter than four characters is not a secret but a part of ordinary words."""
    for secret in sorted({secret for secret in secrets if len(secret) > 3}, key=len, reverse=True):
        message = message.replace(secret, "***").replace(json.dumps(secret)[1:-1], "***")
    return message
