"""`Transport`: sends requests to one server, again where that is safe, and returns complete responses or raises."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from requests import Response, Session

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.landing import LandsOnce
from simple_orthanc.concurrency.threads import READERS
from simple_orthanc.errors import TransportError
from simple_orthanc.transport.address import Credentials, login_in_url, parse_address, warn_if_readable
from simple_orthanc.transport.arguments import (
    Defaults,
    RequestOptions,
    Timeout,
    certificate,
    checked_path,
    checked_rate,
    checked_times,
    existing,
    new_request,
)
from simple_orthanc.transport.bodies import HttpResponse, Stream, chunks, read_all
from simple_orthanc.transport.bulk import BufferProvider
from simple_orthanc.transport.connections import warn_if_unchecked
from simple_orthanc.transport.failures import not_json
from simple_orthanc.transport.json_reader import UnreadableJsonError, read_json
from simple_orthanc.transport.pace import MOST
from simple_orthanc.transport.patience import MOST_UNUSABLE, Patience, UnusableError
from simple_orthanc.transport.request import Request
from simple_orthanc.transport.secret import KeptElsewhere, Secret, hide, hide_url, reveal
from simple_orthanc.transport.sending import Sender

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")

# Seconds for connecting, where the timeout is one number.
_CONNECT = 3.0

_CHUNK = 1 << 16
_DOWNLOAD_CHUNK = 1 << 20


class Transport(LandsOnce):
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
    pool_size : int, default 24
        How many connections are kept for reuse.

    Attributes
    ----------
    url : str
        Scheme, host, port and path, normalised, without any password.
    patience : Patience
        For how long requests are tried again.

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
        pool_size: int = MOST,
    ) -> None:
        url, auth, token, headers = hide_url(url), hide(auth), hide(token), hide(headers)
        if http is not None and not isinstance(http, Session):
            raise TransportError(f"http is of type {type(http).__name__}; give a requests.Session(), or leave it out.")
        address = parse_address(url)
        if address.user is not None and auth is None and token is None:
            given: Any = url
            is_elsewhere = isinstance(given, KeptElsewhere)
            auth = given.then(login_in_url) if is_elsewhere else Secret((address.user, reveal(address.password)))
        credentials = Credentials(auth, token, headers)
        authorities = verify if isinstance(verify, bool) else existing(verify, "verify")
        self.url = address.url
        self.patience = Patience(patience)
        self._defaults = Defaults(self.url, checked_times(timeout, _CONNECT), self.patience, checked_rate(minimum_rate))
        self._sender = Sender(
            address._replace(user=None, password=None), credentials, authorities, certificate(cert), http, pool_size
        )
        if credentials.secret or (http is not None and http.auth):
            warn_if_readable(self.url, address.host)
        if http is None:
            warn_if_unchecked(self.url, authorities)

    def __repr__(self) -> str:
        """Show the address, never a password."""
        return f"Transport({self.url!r})"

    _pickled = ("url", "patience", "_defaults", "_sender")

    def kept(self, kind: Callable[[Transport], T]) -> T:
        """Return the one object of a class that is kept with the connection: what was learned of its server."""
        kept: dict[Any, T] = vars(self).setdefault("_kept", {})
        return kept[kind] if kind in kept else kept.setdefault(kind, kind(self))

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

    @property
    def is_nearby(self) -> bool:
        """Whether the server has answered as quickly as one in the local network, whatever its address says."""
        return self._sender.pace.is_nearby

    def at_once(self, size: int | None = None, nearby: int = READERS) -> int:
        """Return how many files are best read at a time: more of them the smaller they are and the further the server.

        Parameters
        ----------
        size : int, optional
            Bytes of a file; by default those of a slice of 256 x 256.
        nearby : int, default 4
            How many are best where the server is nearby.

        Examples
        --------
        >>> Transport("http://127.0.0.1:8042").at_once(500_000)
        4
        """
        return self._sender.pace.at_once(size, nearby)

    def close(self) -> None:
        """Close the connections; a later request opens new ones. A session given as `http` stays open."""
        self._sender.close()

    def json(
        self, method: str, path: str, *, body: Any = None, limit: str = "json_bytes", **options: Unpack[RequestOptions]
    ) -> Any:
        """Send a request, and parse the JSON that comes back.

        Parameters
        ----------
        method, path : str
            As in ``"POST", "/tools/find"``. The path is below `url`, or a whole URL on the same server, as servers
            return them for parts of a response. The caller percent-encodes the identifiers in it.
        body : object, optional
            Sent as JSON, instead of `data`.
        limit : str
            The name of the limit of `simple_orthanc.limits` for what comes back, decompressed.
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
        extra = {"Accept": "application/json", "Accept-Encoding": self._sender.packing}
        if body is not None:
            options["data"] = json.dumps(body).encode()
            extra["Content-Type"] = "application/json"
        request = new_request(self._defaults, method, path, extra, **options)
        return self._sender.exchange(request, partial(self._parse, request, limit), in_turn=method == "GET")

    def _parse(self, request: Request, limit: str, response: Response) -> Any:
        content = read_all(response, limit)
        if not content and request.method != "GET":
            return None
        try:
            return read_json(content)
        except UnreadableJsonError as error:
            reason = str(error)
        context, hidden = self._sender.context(request), self._sender.secrets(response)
        content_type = response.headers.get("Content-Type", "")
        raise UnusableError(not_json(context, response.status_code, content_type, content, hidden, reason))

    def read(
        self,
        method: str,
        path: str,
        parse: Callable[[HttpResponse], T],
        *,
        accepted_statuses: Sequence[int] = (),
        limit: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> T:
        """Send a request, and return what `parse` makes of the response.

        If `parse` raises a `TransportError`, the response is not what was asked for: it is asked for again a few times,
        where that does no harm, before the error is raised. All else is as for `request`.
        """
        request = new_request(self._defaults, method, path, {"Accept-Encoding": "identity"}, **options)
        request = replace(request, accepted_statuses=tuple(accepted_statuses))

        def parsed(response: Response) -> T:
            is_json = "json" in response.headers.get("Content-Type", "").lower()
            content = read_all(response, limit or ("json_bytes" if is_json else "body_bytes"))
            try:
                return parse(HttpResponse(response.status_code, response.headers, content))
            except TransportError as error:
                # Without its frames, which would keep the body in memory for as long as the error is kept.
                raise UnusableError(error.with_traceback(None)) from None

        return self._sender.exchange(request, parsed, in_turn=method == "GET")

    def repeat(self, read: Callable[[], T]) -> T:
        """Call a function again, a few times within the patience, where it raises `UnusableError`; return its result.

        For checks of what several requests have brought. The error inside is raised at the end.
        """
        pauses = self.patience.pauses(most=MOST_UNUSABLE)
        while True:
            try:
                return read()
            except UnusableError as unusable:
                error = unusable.error
            pause = next(pauses, None)
            if pause is None:
                raise error
            interruption.pause(pause)

    def request(
        self,
        method: str,
        path: str,
        *,
        accepted_statuses: Sequence[int] = (),
        limit: str | None = None,
        **options: Unpack[RequestOptions],
    ) -> HttpResponse:
        """Send a request, and return status, headers and body, which is not compressed on its way.

        Parameters
        ----------
        method, path, **options
            As for `json`.
        accepted_statuses : sequence of int, optional
            Statuses from 400 on that are not refusals but responses to read.
        limit : str, optional
            The name of the limit of `simple_orthanc.limits` for the body, decompressed; by default that of JSON if the
            response is that, else that of any body.
        """
        return self.read(method, path, _unchanged, accepted_statuses=accepted_statuses, limit=limit, **options)

    def content(self, method: str, path: str, **options: Unpack[RequestOptions]) -> bytes:
        """Send a request, and return the whole body. Parameters and errors as for `json`.

        Examples
        --------
        >>> from simple_orthanc.testing import OrthancStandIn, make_series
        >>> with OrthancStandIn(make_series((1, 4, 4))) as server:
        ...     transport = Transport(server.url)
        ...     key = transport.json("GET", "/instances")[0]
        ...     print(transport.content("GET", f"/instances/{key}/file")[128:132])
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
        return self._sender.fetch(new_request(self._defaults, "GET", path, headers, idempotent=True), allocate)

    def read_several(self, paths: Sequence[str]) -> list[bytes | None]:
        """GET small bodies with requests that are sent at once; None is what `read_into` must ask for by itself."""
        return self._sender.fetch_several([checked_path(path) for path in paths], self._defaults.timeout)

    def json_in_a_row(self, path: str, allocate: BufferProvider) -> Any:
        """GET JSON, for many short responses in a row; parameters as for `read_into`, errors as for `json`."""
        if not self._sender.is_worth_packing:
            try:
                return read_json(bytes(self.read_into(path, allocate)))
            except UnreadableJsonError:
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
        >>> from simple_orthanc.testing import OrthancStandIn, make_series
        >>> with OrthancStandIn(make_series((1, 4, 4))) as server:
        ...     transport = Transport(server.url)
        ...     key = transport.json("GET", "/instances")[0]
        ...     with transport.stream(f"/instances/{key}/file") as body:
        ...         print(next(body)[128:132], body.status)
        b'DICM' 200
        """
        request = new_request(self._defaults, method, path, {"Accept-Encoding": "identity"}, **options)
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
            Called with the path of the complete file before it gets its name; what it raises leaves nothing behind. If
            that is an `UnusableError`, the file is asked for again a few times.
        """
        target = Path(target)
        part = target.with_name(f".{secrets.token_hex(8)}.part")
        request = new_request(self._defaults, method, path, {"Accept-Encoding": "identity"}, **options)

        def save(response: Response) -> None:
            _save(part, response)
            if check is not None:
                check(part)

        try:
            self._sender.exchange(request, save)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def _unchanged(response: HttpResponse) -> HttpResponse:
    return response


def _save(part: Path, response: Response) -> None:
    with part.open("wb") as file:
        for chunk in chunks(response, _DOWNLOAD_CHUNK):
            file.write(chunk)
