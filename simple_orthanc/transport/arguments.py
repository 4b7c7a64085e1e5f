"""The arguments of a connection and of its requests, checked before anything is sent."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict
from urllib.parse import unquote, urlsplit, urlunsplit

from simple_orthanc.errors import TransportError
from simple_orthanc.transport.address import headers_fault, parse_origin
from simple_orthanc.transport.patience import Patience, is_number
from simple_orthanc.transport.request import IDEMPOTENT, Request
from simple_orthanc.transport.secret import Secret, reveal

Timeout = float | tuple[float | None, float | None]


# Ten years; the clock of a socket ends somewhere above.
_LONGEST = 10 * 365 * 24 * 3600
_A_TIME = "give seconds above 0 and below ten years"
# What comes before a colon in the first segment of a path.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Times(TypedDict, total=False):
    """The keyword arguments of a request that are times.

    Attributes
    ----------
    timeout : number or (number, number), optional
        For this request only, in seconds; as for `Transport`.
    patience : number, optional
        For this request only, in seconds; as for `Transport`.
    deadline : number, optional
        Seconds within which the response must be complete, all attempts included. By default there is no such limit.
    """

    timeout: Timeout | None
    patience: float | None
    deadline: float | None


class RequestOptions(Times, total=False):
    """The keyword arguments that every request takes, beside its `Times`.

    Attributes
    ----------
    params : mapping, optional
        The query. ``True`` and ``False`` become ``true`` and ``false``; None is left out.
    data : bytes, str or binary file, optional
        The body, sent as it is.
    headers : mapping, optional
        For this request only.
    idempotent : bool, optional
        Whether sending the request twice does no harm. By default GET, HEAD, PUT and DELETE, but not POST.
    """

    params: Mapping[str, Any] | None
    data: Any
    headers: Mapping[str, str] | Secret | None
    idempotent: bool | None


class Defaults(NamedTuple):
    """What holds for every request of a connection that does not give its own.

    Attributes
    ----------
    url : str
        The root of the server.
    timeout : (float or None, float or None)
        Seconds for connecting, and for each wait.
    patience : Patience
        For how long requests are tried again.
    minimum_rate : float
        Bytes per second.
    """

    url: str
    timeout: tuple[float | None, float | None]
    patience: Patience
    minimum_rate: float


def new_request(
    defaults: Defaults,
    method: str,
    path: str,
    own_headers: Mapping[str, str],
    *,
    params: Mapping[str, Any] | None = None,
    data: Any = None,
    headers: Mapping[str, str] | Secret | None = None,
    timeout: Timeout | None = None,
    idempotent: bool | None = None,
    patience: float | None = None,
    deadline: float | None = None,
) -> Request:
    """Check the arguments of a request, and return it; they are those of `RequestOptions`.

    Raises
    ------
    TransportError
        If one of them cannot be used.
    """
    if not isinstance(path, str):
        raise TransportError(f"The path {path!r} is not a string; give that of a resource, as in '/system'.")
    if isinstance(data, (bytearray, memoryview)):
        data = bytes(data)
    elif isinstance(data, str):
        data = data.encode()
    start = data.tell() if hasattr(data, "seekable") and data.seekable() else None
    replayable = data is None or isinstance(data, bytes) or start is not None
    method = method.upper()
    idempotent = method in IDEMPOTENT if idempotent is None else idempotent
    if params is not None and not isinstance(params, Mapping):
        raise TransportError(
            f'params is of type {type(params).__name__}; give the query as a dict, as in params={{"limit": 10}}.'
        )
    check_headers(headers)
    if params:
        params = {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}
    times = defaults.timeout if timeout is None else checked_times(timeout, defaults.timeout[0])
    path = _checked_url(path, defaults.url) if _SCHEME.match(path) else checked_path(path)
    if deadline is not None and not _is_time(deadline):
        raise TransportError(f"deadline is {deadline!r}; {_A_TIME}, as in deadline=60, or None.")
    return Request(
        method,
        path,
        params,
        data,
        Secret({**own_headers, **(reveal(headers) or {})}),
        times,
        idempotent and replayable,
        start,
        defaults.patience if patience is None else Patience(patience),
        defaults.minimum_rate,
        deadline,
    )


def check_headers(headers: object) -> None:
    """Raise a `TransportError` if the headers of a request cannot be sent; they may be inside of a `Secret`."""
    fault = headers_fault(reveal(headers))
    if fault:
        raise TransportError(fault)


def checked_times(timeout: Any, connect: float | None) -> tuple[float | None, float | None]:
    """Return the seconds for connecting and for each wait; `connect` is the first where one number is given."""
    times = tuple(timeout) if isinstance(timeout, (tuple, list)) else (connect, timeout)
    if len(times) != 2 or not all(map(_is_time, times)):
        raise TransportError(f"timeout is {timeout!r}; {_A_TIME}, as in timeout=(3, 300) or timeout=60.")
    return (times[0], times[1])


def checked_rate(minimum_rate: Any) -> float:
    """Return the bytes per second that are required, 0 for none."""
    if not is_number(minimum_rate) or not 0 <= minimum_rate < math.inf:
        raise TransportError(
            f"minimum_rate is {minimum_rate!r}; give bytes per second, as in minimum_rate=100, or 0 for any rate."
        )
    return minimum_rate


def _is_time(seconds: object) -> bool:
    return seconds is None or (is_number(seconds) and 0 < seconds <= _LONGEST)


def checked_path(path: str) -> str:
    """Make a path relative to the server's root, and refuse one that would lead elsewhere."""
    relative = path.lstrip("/").replace("#", "%23")
    # Encoded dots too: they are equivalent, and are decoded before the request is sent.
    if any(segment in (".", "..") for segment in unquote(relative.partition("?")[0]).split("/")):
        raise TransportError(f"The path {path!r} has a segment of dots, which would reach another resource.")
    return relative


def _checked_url(given: str, root: str) -> str:
    """Return a whole URL as it is to be asked for, and refuse one that leads to another server than `root`.

    This server is reached by the origin of `root`: behind a proxy that ends TLS, a server may believe that it speaks
    plain HTTP.
    """
    scheme = given.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise TransportError(
            f"The URL given begins with {scheme[:20]}:, and {root} is asked by http and https only; nothing was sent. "
            "If the server itself wrote that URL, what it names is not on that server, and is not read."
        )
    there, here = parse_origin(given), parse_origin(root)
    upgraded = there is not None and here is not None and there[1] == here[1] and (there[2], here[2]) == (80, 443)
    if there is None or (there != here and not upgraded):
        where = "an address that cannot be read" if there is None else f"{there[0]}://{there[1]}:{there[2]}"
        raise TransportError(
            f"The URL given leads to {where}, not to {root}; nothing was sent, since credentials go to one server "
            "only. Read it with a connection to that server, or configure the server to write its URLs with the name "
            "by which it is reached."
        )
    parts, origin = urlsplit(given), urlsplit(root)
    checked_path(parts.path)
    return urlunsplit((origin.scheme, origin.netloc, parts.path, parts.query, ""))


def existing(path: Any, parameter: str) -> str:
    """Return the whole path of a file or folder, and raise a `TransportError` if it does not exist."""
    try:
        name = os.fspath(path)
    except TypeError:
        raise TransportError(f"{parameter} is of type {type(path).__name__}; give the path of a file.") from None
    if not os.path.exists(name):
        raise TransportError(f"The file {name!r} given as {parameter} does not exist.")
    # A connection may be used in another working directory, or by a process that has another.
    return os.path.abspath(str(name))


def certificate(cert: Any) -> Any:
    """Return a client's certificate as requests takes it: one file, or certificate and key; None if it is None."""
    if cert is None:
        return None
    if isinstance(cert, (tuple, list)):
        if len(cert) != 2:
            raise TransportError("cert must be one file, or a pair of certificate and key.")
        return (existing(cert[0], "cert"), existing(cert[1], "cert"))
    return existing(cert, "cert")
