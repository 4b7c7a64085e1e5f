"""`Transport`: sends requests to one server, again where that is safe, and returns complete responses or raises."""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import unquote, urlsplit, urlunsplit

from requests import Response, Session

from simple_orthanc.errors import TransportError
from simple_orthanc.transport.address import Credentials, parse_address, parse_origin, warn_if_readable
from simple_orthanc.transport.bodies import HttpResponse, Stream, chunks, read_all, read_at_most
from simple_orthanc.transport.bulk import BufferProvider
from simple_orthanc.transport.failures import not_json
from simple_orthanc.transport.patience import Patience, is_number
from simple_orthanc.transport.secret import Secret, hide, hide_url, reveal
from simple_orthanc.transport.sending import IDEMPOTENT, Request, Sender

if TYPE_CHECKING:
    from typing_extensions import Unpack

Timeout = float | tuple[float | None, float | None]

_CHUNK = 1 << 16
_DOWNLOAD_CHUNK = 1 << 20


class RequestOptions(TypedDict, total=False):
    """The keyword arguments that every request takes.

    Attributes
    ----------
    params : mapping, optional
        The query. ``True`` and ``False`` become ``true`` and ``false``; None is left out.
    data : bytes, str or binary file, optional
        The body, sent as it is.
    headers : mapping, optional
        For this request only.
    timeout : number or (number, number), optional
        For this request only, in seconds; as for `Transport`.
    idempotent : bool, optional
        Whether sending the request twice does no harm. By default GET, HEAD, PUT and DELETE, but not POST.
    patience : number, optional
        For this request only, in seconds; as for `Transport`.
    deadline : number, optional
        Seconds within which the response must be complete, all attempts included. By default there is no such limit.
    """

    params: Mapping[str, Any] | None
    data: Any
    headers: Mapping[str, str] | None
    timeout: Timeout | None
    idempotent: bool | None
    patience: float | None
    deadline: float | None


class Transport:
    """A connection to one server, safe to use from many threads at once, and picklable.

    Parameters
    ----------
    url : str
        The root of the server, such as ``"http://127.0.0.1:8042"`` or ``"https://pacs.example.org/orthanc"``. A user
        and password inside it are taken out, and used if `auth` and `token` are not given.
    auth : (str, str), requests authentication or callable, optional
        User and password, anything that requests takes as authentication, or a function without arguments that returns
        a bearer token and is called for every request.
    token : str or callable, optional
        A bearer token, or such a function.
    headers : mapping, optional
        Sent with every request, and treated as secret.
    verify : bool, str or Path, default True
        Whether to check the server's certificate, or the file or folder of the authorities to trust.
    cert : str, Path or pair of them, optional
        The client's certificate, or certificate and key.
    timeout : number or (number, number), default (3, 300)
        Seconds allowed for connecting, and for each read or write of a block. One number means the second.
    patience : number, default 20
        Seconds for which a request is tried again after its first failure, where that is safe; 0 for none.
    minimum_rate : number, default 100
        Bytes per second below which a response is given up: while it has begun and more of it is waited for, in any 30
        s. 0 for any. Not for a session given as `http`.
    http : requests.Session, optional
        Used as it is, with its own authentication, proxies, adapters, certificates and cookies. It is not closed.
    pool_size : int, default 16
        How many connections are kept for reuse.

    Attributes
    ----------
    url : str
        Scheme, host, port and path, normalised, without any password.

    Raises
    ------
    TransportError
        If the address, the credentials or the certificate files cannot be used.

    Warns
    -----
    UserWarning
        Once per host, if credentials would travel over the network unencrypted.

    Notes
    -----
    GET, HEAD, PUT, DELETE and what the caller calls idempotent are sent again if the connection breaks, the response is
    cut or unreadable, or the server answers 429, 500, 502, 503 or 504. Anything else is sent again only if no
    connection was made. `transport.patience` has the whole table.

    The environment is trusted for proxies and ``REQUESTS_CA_BUNDLE``; this machine is never reached through a proxy.
    ``~/.netrc`` is never read: credentials are those given. Cookies are not kept. Redirects are followed for GET and
    HEAD on the same server only, or from ``http`` to ``https`` on the default ports of the same host.

    Examples
    --------
    >>> transport = Transport("http://alice:wonderland@127.0.0.1:8042/")
    >>> transport
    Transport('http://127.0.0.1:8042')
    >>> transport.json("GET", "/system")["ApiVersion"]  # doctest: +SKIP
    24
    """

    # What the representation shows if the constructor fails before the address is known.
    url: str = ""

    def __init__(
        self,
        url: str,
        *,
        auth: Any = None,
        token: str | Callable[[], str] | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str | os.PathLike[str] = True,
        cert: Any = None,
        timeout: Timeout = (3, 300),
        patience: float = 20.0,
        minimum_rate: float = 100.0,
        http: Session | None = None,
        pool_size: int = 16,
    ) -> None:
        url, auth, token, headers = hide_url(url), hide(auth), hide(token), hide(headers)
        if http is not None and not isinstance(http, Session):
            raise TransportError(f"http is of type {type(http).__name__}; give a requests.Session(), or leave it out.")
        address = parse_address(url)
        if address.user is not None and auth is None and token is None:
            auth = Secret((address.user, reveal(address.password)))
        credentials = Credentials(auth, token, headers)
        authorities = verify if isinstance(verify, bool) else _existing(verify, "verify")
        self.url = address.url
        self._timeout: tuple[float | None, float | None] = (3, 300)
        self._timeout = self._times(timeout)
        self._patience = Patience(patience)
        if not is_number(minimum_rate) or not 0 <= minimum_rate < math.inf:
            raise TransportError(
                f"minimum_rate is {minimum_rate!r}; give bytes per second, as in minimum_rate=100, or 0 for any rate."
            )
        self._minimum_rate = minimum_rate
        self._sender = Sender(
            address._replace(user=None, password=None), credentials, authorities, _certificate(cert), http, pool_size
        )
        if credentials.secret or (http is not None and http.auth):
            warn_if_readable(self.url, address.host)

    def __repr__(self) -> str:
        """Show the address, never a password."""
        return f"Transport({self.url!r})"

    def __enter__(self) -> Transport:
        """Return the connection itself, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    @property
    def requests(self) -> int:
        """How many requests were sent, with repetitions, since this object was made or unpickled."""
        return self._sender.sent

    def close(self) -> None:
        """Close the connections; a later request opens new ones. A session given as `http` stays open."""
        self._sender.close()

    def json(self, method: str, path: str, *, body: Any = None, **options: Unpack[RequestOptions]) -> Any:
        """Send a request, and parse the JSON that comes back.

        Parameters
        ----------
        method, path : str
            As in ``"POST", "/tools/find"``. The path is below `url`, or a whole URL on the same server, as servers
            return them for parts of a response. The caller percent-encodes the identifiers in it.
        body : object, optional
            Sent as JSON, instead of `data`.
        **options
            ``params``, ``data``, ``headers``, ``timeout`` and ``idempotent``: see `RequestOptions`.

        Returns
        -------
        object
            The parsed JSON; None if another request than GET was answered with an empty body.

        Raises
        ------
        TransportError
            If no complete response came, or one that is not JSON.
        ServerError
            If the server refused.
        """
        # Packing costs a server more than the loopback interface saves; Orthanc before 1.12.2 packs whatever it may.
        extra = {"Accept": "application/json", "Accept-Encoding": "identity" if self._sender.is_local else "gzip"}
        if body is not None:
            options["data"] = json.dumps(body).encode()
            extra["Content-Type"] = "application/json"
        request = self._request(method, path, extra, **options)
        return self._sender.exchange(request, partial(self._parse, request))

    def _parse(self, request: Request, response: Response) -> Any:
        content = read_all(response)
        if not content and request.method != "GET":
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            # Raised below, so that the foreign error, which repeats the response, does not become its context.
            content_type = response.headers.get("Content-Type", "")
        context, hidden = self._sender.context(request), self._sender.secrets(response)
        raise not_json(context, response.status_code, content_type, content, hidden)

    def request(
        self,
        method: str,
        path: str,
        *,
        accepted_statuses: Sequence[int] = (),
        max_bytes: int | None = None,
        **options: Unpack[RequestOptions],
    ) -> HttpResponse:
        """Send a request, and return status, headers and body, which is not compressed on its way.

        Parameters
        ----------
        method, path, **options
            As for `json`.
        accepted_statuses : sequence of int, optional
            Statuses from 400 on that are not refusals but responses to read.
        max_bytes : int, optional
            The largest body, decompressed, that is read; a larger one is a `TransportError`.
        """
        request = self._request(method, path, {"Accept-Encoding": "identity"}, **options)
        request = replace(request, accepted_statuses=tuple(accepted_statuses))
        return self._sender.exchange(request, partial(self._whole, request, max_bytes))

    def _whole(self, request: Request, max_bytes: int | None, response: Response) -> HttpResponse:
        content = read_all(response) if max_bytes is None else read_at_most(response, max_bytes)
        if content is None:
            raise TransportError(
                f"{self.url} answered {request.method} {request.shown} with more than {max_bytes} bytes, and the "
                "rest was not read. Ask for less at once; if that is not much, what answers is not the archive."
            )
        return HttpResponse(response.status_code, response.headers, content)

    def content(self, method: str, path: str, **options: Unpack[RequestOptions]) -> bytes:
        """Send a request, and return the whole body. Parameters and errors as for `json`.

        Examples
        --------
        >>> transport.content("GET", "/instances/0d1c.../file")[128:132]  # doctest: +SKIP
        b'DICM'
        """
        return self.request(method, path, **options).content

    def read_into(self, path: str, allocate: BufferProvider, part: tuple[int, int] | None = None) -> memoryview:
        """GET a body into memory that is reused: for many files in a row, if none of them is kept.

        Parameters
        ----------
        path : str
            As for `json`, which also lists the errors.
        allocate : callable
            Returns memory of so many bytes.
        part : (int, int), optional
            Read only the bytes from the first position up to, not including, the second. A server that cannot do that
            sends all.

        Returns
        -------
        memoryview
            The body, in that memory or elsewhere.
        """
        headers = {"Accept-Encoding": "identity"}
        if part is not None:
            headers["Range"] = f"bytes={part[0]}-{part[1] - 1}"
        return self._sender.fetch(self._request("GET", path, headers, idempotent=True), allocate)

    def json_in_a_row(self, path: str, allocate: BufferProvider) -> Any:
        """GET JSON, for many short responses in a row; parameters as for `read_into`, errors as for `json`."""
        # Over a network a response comes sooner packed, which `json` does.
        if self._sender.is_local:
            try:
                return json.loads(bytes(self.read_into(path, allocate)))
            except (ValueError, RecursionError):
                # Asked for again below, where the error says what is wrong with it.
                pass
        return self.json("GET", path)

    @contextmanager
    def stream(
        self, path: str, *, method: str = "GET", chunk_size: int = _CHUNK, **options: Unpack[RequestOptions]
    ) -> Iterator[Stream]:
        """Read a body while it arrives, and as much of it as is wanted.

        Leaving the block before the end closes the connection, so that the rest is not transferred. The request is sent
        again as for `json`, but not once chunks were yielded: then iterating raises `TransportError`.

        Parameters
        ----------
        path, method, **options
            As for `json`.
        chunk_size : int, default 65536
            The largest chunk in bytes.

        Yields
        ------
        Stream
            Iterator of bytes, with `status` and `headers`.

        Examples
        --------
        >>> with transport.stream("/instances/0d1c.../file") as body:  # doctest: +SKIP
        ...     beginning = next(body)
        """
        request = self._request(method, path, {"Accept-Encoding": "identity"}, **options)
        fail = partial(self._sender.failed, request)
        stream, response = self._sender.exchange(request, lambda opened: (Stream(opened, chunk_size, fail), opened))
        try:
            yield stream
        finally:
            response.close()

    def download(
        self,
        path: str,
        target: str | os.PathLike[str],
        *,
        method: str = "GET",
        check: Callable[[Path], None] | None = None,
        **options: Unpack[RequestOptions],
    ) -> None:
        """Write a body to a file, which appears under its name only when it is complete.

        It grows under a temporary name in the same folder, which is removed whatever happens. An existing file is
        replaced at the end, or left as it is on failure. Errors are those of `json`; errors of the disk are raised as
        the ``OSError`` they are.

        Parameters
        ----------
        path, method, **options
            As for `json`.
        target : str or Path
            The file.
        check : callable, optional
            Called with the path of the complete file before it gets its name; what it raises leaves nothing behind.
        """
        target = Path(target)
        part = target.with_name(f".{secrets.token_hex(8)}.part")
        request = self._request(method, path, {"Accept-Encoding": "identity"}, **options)
        try:
            self._sender.exchange(request, partial(_save, part))
            if check is not None:
                check(part)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)

    def _request(
        self,
        method: str,
        path: str,
        own_headers: Mapping[str, str],
        *,
        params: Mapping[str, Any] | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        idempotent: bool | None = None,
        patience: float | None = None,
        deadline: float | None = None,
    ) -> Request:
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
        if params:
            params = {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}
        times = self._timeout if timeout is None else self._times(timeout)
        path = _checked_url(path, self.url) if path.startswith(("http://", "https://")) else _checked_path(path)
        sent_headers = {**own_headers, **(headers or {})}
        if deadline is not None and not _is_time(deadline):
            raise TransportError(f"deadline is {deadline!r}; give seconds above 0, as in deadline=60, or None.")
        return Request(
            method,
            path,
            params,
            data,
            sent_headers,
            times,
            idempotent and replayable,
            start,
            self._patience if patience is None else Patience(patience),
            self._minimum_rate,
            deadline,
        )

    def _times(self, timeout: Timeout) -> tuple[float | None, float | None]:
        times = tuple(timeout) if isinstance(timeout, (tuple, list)) else (self._timeout[0], timeout)
        if len(times) != 2 or not all(map(_is_time, times)):
            raise TransportError(f"timeout is {timeout!r}; give seconds above 0, as in timeout=(3, 300) or timeout=60.")
        return (times[0], times[1])


def _is_time(seconds: object) -> bool:
    return seconds is None or (is_number(seconds) and 0 < seconds < math.inf)


def _save(part: Path, response: Response) -> None:
    with part.open("wb") as file:
        for chunk in chunks(response, _DOWNLOAD_CHUNK):
            file.write(chunk)


def _checked_path(path: str) -> str:
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
    _checked_path(parts.path)
    return urlunsplit((origin.scheme, origin.netloc, parts.path, parts.query, ""))


def _existing(path: Any, parameter: str) -> str:
    try:
        name = os.fspath(path)
    except TypeError:
        raise TransportError(f"{parameter} is of type {type(path).__name__}; give the path of a file.") from None
    if not os.path.exists(name):
        raise TransportError(f"The file {name!r} given as {parameter} does not exist.")
    return str(name)


def _certificate(cert: Any) -> Any:
    if cert is None:
        return None
    if isinstance(cert, (tuple, list)):
        if len(cert) != 2:
            raise TransportError("cert must be one file, or a pair of certificate and key.")
        return (_existing(cert[0], "cert"), _existing(cert[1], "cert"))
    return _existing(cert, "cert")
