"""`Sender`: carries out requests to one server, repeats them where that is safe, and explains failures."""

from __future__ import annotations

import base64
import math
import os
import pickle
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests import Response, Session
from requests.utils import select_proxy
from urllib3 import HTTPResponse

from simple_orthanc.concurrency import interruption
from simple_orthanc.errors import ServerError, TransportError
from simple_orthanc.transport.address import DEFAULT_PORTS, Address, Credentials, is_loopback
from simple_orthanc.transport.bodies import read_all, read_beginning
from simple_orthanc.transport.bulk import CROWDED, BufferProvider, BulkReader, CrowdedError
from simple_orthanc.transport.connections import new_session, on_new_connection
from simple_orthanc.transport.failures import (
    Cause,
    NetworkError,
    RefusalError,
    RequestContext,
    network,
    public_error,
    server_error,
)
from simple_orthanc.transport.pace import Pace
from simple_orthanc.transport.patience import Attempts, Outage, UnusableError, is_uncertain
from simple_orthanc.transport.request import Request
from simple_orthanc.transport.watching import Watch, watched

T = TypeVar("T")

_SAFE = ("GET", "HEAD", "OPTIONS")
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 5
_ERROR_BODY = 1 << 16
# How often a request that concurrent ones have crowded out is sent on another connection, before patience decides.
_MOST_CROWDED = 10
# For this many seconds after a connection broke before an answer, requests that cannot be repeated open a new one.
_WARY = 60.0

_LOST = "The answer to an earlier attempt of this request was lost, and that attempt may have been carried out."

# Headers whose values are not secret; the value of every other header is removed from what the server says.
_NOT_SECRET = {
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "if-match",
    "if-none-match",
    "range",
    "transfer-encoding",
    "user-agent",
}


class Sender:
    """Everything that a request needs to reach one server: address, credentials and connections.

    Parameters
    ----------
    address : Address
        The server.
    credentials : Credentials
        Sent with every request.
    verify : bool or str
        Whether to check the server's certificate, or the path to the certificates of the authorities to trust.
    cert : object
        The client's certificate, as requests takes it.
    http : requests.Session, optional
        The user's own session, which is used as is and never closed.
    pool_size : int
        How many connections are kept for reuse.

    Attributes
    ----------
    url : str
        The root of the server, without any password.
    sent : int
        How many requests have been sent so far, including repetitions.
    pace : Pace
        Decides how many requests are sent at a time.
    """

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        verify: bool | str,
        cert: Any,
        http: Session | None,
        pool_size: int,
    ) -> None:
        self.url = address.url
        self._host = address.host
        self._credentials = credentials
        self._verify = verify
        self._cert = cert
        self._given = http
        self._pool_size = pool_size
        # Whether the server has answered before; until then the address may be wrong.
        self._contacted = False
        self._open()

    def __getstate__(self) -> dict[str, Any]:
        """Leave connections out of the pickle.

        Raises
        ------
        TransportError
            The user's own session cannot be pickled.
        """
        try:
            pickle.dumps(self._given)
        except Exception:  # it may hold anything
            fault = True
        else:
            fault = False
        if fault:
            raise TransportError(
                "This session cannot be pickled, because the requests.Session given as http= cannot: its adapters, "
                "authentication and hooks must be picklable, and functions defined at the top level of a module."
            )
        own = ("_http", "_lock", "_process", "_bulk", "_outage", "_contacted", "_broke", "sent", "pace")
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state with new connections; the address may be wrong where this was unpickled."""
        vars(self).update(state, _contacted=False)
        self._open()

    def _open(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._bulk: BulkReader | None = None
        self._outage = Outage()
        # When a connection last broke before an answer: a proxy may close each without a word.
        self._broke = -math.inf
        self.pace = Pace()
        self.sent = 0
        if self._given is not None:
            self._http = self._given
        else:
            self._http = new_session(
                self._pool_size, self.url, direct=is_loopback(self._host), trusts_environment=self._verify is True
            )

    @property
    def packing(self) -> str:
        """The content encodings to request for a body of JSON."""
        # Compression costs more than the loopback interface saves; Orthanc before 1.12.2 compresses whatever it may.
        return "gzip" if self.is_worth_packing else "identity"

    @property
    def is_worth_packing(self) -> bool:
        """Whether compressed JSON arrives sooner: over a network, or through a tunnel to a distant server."""
        return not (is_loopback(self._host) and self.pace.is_nearby)

    @property
    def _session(self) -> Session:
        if self._process != os.getpid():
            # A forked child must not share sockets with its parent: each would read the other's answers.
            if self._given is not None:
                self._given = pickle.loads(pickle.dumps(self._given))
            self._open()
        return self._http

    def close(self) -> None:
        """Close the connections, except those of the user's own session."""
        if self._given is None and self._process == os.getpid():
            self._http.close()
            if self._bulk is not None:
                self._bulk.close()

    def fetch(self, request: Request, allocate: BufferProvider) -> memoryview:
        """GET a body into the memory that `allocate` returns, or into other memory where that is not possible."""
        attempts = self._attempts(request)
        error: Exception | None = None
        bulk = self._bulk_reader()
        for _ in range(_MOST_CROWDED if bulk is not None else 0):
            assert bulk is not None
            watch = self._watch(request, attempts)
            with self.pace.turn():
                began = time.monotonic()
                try:
                    body = self._read_in_bulk(bulk, request, allocate, attempts, watch)
                except CrowdedError as crowded:
                    if self.pace.refused(began, crowded.waited_in_vain):
                        continue
                    break
                except NetworkError as failure:
                    attempts.failed(failure, begun=watch.has_begun)
                    error = self.failed(request, failure, attempts)
                    break
                if body is None:
                    break
                self.pace.succeeded()
            self._contacted = True
            attempts.succeeded()
            return body
        return memoryview(self._exchange(request, read_all, attempts, error, self.pace.turn))

    def _read_in_bulk(
        self, bulk: BulkReader, request: Request, allocate: BufferProvider, attempts: Attempts, watch: Watch
    ) -> memoryview | None:
        with self._lock:
            self.sent += 1
        with network():
            return bulk.read(
                f"{urlsplit(self.url).path}/{request.path}",
                allocate,
                attempts.shortened(request.timeout),
                watch,
                request.headers.get("Range"),
            )

    def fetch_several(self, paths: Sequence[str], timeout: tuple[float | None, float | None]) -> list[bytes | None]:
        """GET several bodies with requests that are sent together; None for each that must be requested by itself."""
        bulk = self._bulk_reader()
        # The address may be wrong until the server has answered.
        if bulk is None or not self._contacted:
            return [None] * len(paths)
        with self._lock:
            self.sent += len(paths)
        root = urlsplit(self.url).path
        with self.pace.turn():
            bodies = bulk.read_several([f"{root}/{path}" for path in paths], timeout)
            for _ in range(len(paths) - bodies.count(None)):
                self.pace.succeeded()
        if bodies.count(None) < len(paths):
            self._outage.over()
        return bodies

    def _bulk_reader(self) -> BulkReader | None:
        """Return the reader for many plain GETs, if it sends exactly what `exchange` would send."""
        session = self._session
        if self._bulk is None and self._given is None and self._credentials.constant:
            parts = urlsplit(self.url)
            if parts.scheme == "http" and parts.hostname and not select_proxy(self.url, session.proxies):
                plain = requests.Request(
                    "GET",
                    self.url,
                    headers={**self._credentials.headers, "Accept-Encoding": "identity"},
                    auth=self._credentials.auth(),
                )
                headers = {name: _as_string(value) for name, value in session.prepare_request(plain).headers.items()}
                self._bulk = BulkReader(parts.hostname, parts.port or DEFAULT_PORTS["http"], headers, self.pace)
        return self._bulk

    def exchange(self, request: Request, read: Callable[[Response], T], in_turn: bool = False) -> T:
        """Send a request, repeat it where its patience allows that, and read the response.

        Parameters
        ----------
        request : Request
        read : callable
            Reads the response.
        in_turn : bool
            Whether to wait while as many requests are under way as the server can serve. For requests of which there
            may be many, and during whose reading no others are sent.
        """
        return self._exchange(request, read, self._attempts(request), turn=self.pace.turn if in_turn else nullcontext)

    def _attempts(self, request: Request) -> Attempts:
        return Attempts(
            request.patience, request.repeatable, self._contacted, request.timeout[1], request.deadline, self._outage
        )

    def _exchange(
        self,
        request: Request,
        read: Callable[[Response], T],
        attempts: Attempts,
        error: Exception | None = None,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> T:
        try:
            return self._until_answered(request, read, attempts, error, turn)
        except KeyboardInterrupt:
            # Raised below, without the frames of requests: their variables hold the headers that log in.
            pass
        raise KeyboardInterrupt

    def _until_answered(
        self,
        request: Request,
        read: Callable[[Response], T],
        attempts: Attempts,
        error: Exception | None,
        turn: Callable[[], AbstractContextManager[None]],
    ) -> T:
        while (pause := attempts.pause()) is not None:
            if attempts.count:
                interruption.pause(pause)
                request.rewind()
            with turn():
                began = time.monotonic()
                try:
                    result = self._attempt(request, read, attempts)
                    self.pace.succeeded()
                    return result
                except NetworkError as failure:
                    error = self.failed(request, failure, attempts)
                    if failure.dropped or failure.cause is Cause.REFUSED:
                        self.pace.refused(began)
                except UnusableError as unusable:
                    attempts.unusable()
                    error = unusable.error
                except RefusalError as refusal:
                    error = self._refused(request, refusal, attempts)
                    if refusal.response.status_code in CROWDED:
                        self.pace.refused(began)
        # Raised outside the except blocks, so that no error of another library becomes its context.
        assert error is not None
        raise error

    def _attempt(self, request: Request, read: Callable[[Response], T], attempts: Attempts) -> T:
        begun = False
        try:
            response = self._send(request, attempts)
            self._contacted = begun = True
            try:
                result = self._read(request, response, read, attempts.lost)
            except BaseException:
                response.close()
                raise
            attempts.succeeded()
            return result
        except NetworkError as failure:
            attempts.failed(failure, begun=begun)
            if failure.dropped and not begun:
                self._broke = time.monotonic()
            raise

    def _read(self, request: Request, response: Response, read: Callable[[Response], T], lost: bool) -> T:
        if response.status_code < 400 or response.status_code in request.accepted_statuses:
            return read(response)
        if response.status_code == 404 and request.method == "DELETE" and lost:
            # An earlier attempt has deleted it, and its response was lost.
            return read(_without_content(response))
        raise RefusalError(response, read_beginning(response, _ERROR_BODY))

    def _watch(self, request: Request, attempts: Attempts) -> Watch:
        return Watch(request.minimum_rate, request.timeout[1], request.deadline, attempts.remaining, self.pace.answered)

    def _send(self, request: Request, attempts: Attempts) -> Response:
        """Send a request once, following redirects within the server."""
        url = request.path if request.is_absolute else f"{self.url}/{request.path}"
        session, params = self._session, request.params
        # requests adds the environment's proxies to this mapping, except where it already has an entry.
        schemes = (*DEFAULT_PORTS, "all") if is_loopback(self._host) else ()
        own_auth = self._credentials.present or not session.auth
        is_wary = not request.repeatable and time.monotonic() - self._broke < _WARY
        for redirects in range(_MAX_REDIRECTS + 1):
            auth = self._credentials.auth() if own_auth else None
            with self._lock:
                self.sent += 1
            proxies: Any = {key: None for scheme in schemes for key in (scheme, f"{scheme}://{self._host}")}
            # A faulty address after a redirect is the fault of the response that named it.
            watch = self._watch(request, attempts)
            with network(reading=redirects > 0), watched(watch), on_new_connection(is_wary):
                response = session.request(
                    request.method,
                    url,
                    params=params,
                    data=request.data,
                    headers={**self._credentials.headers, **request.headers},
                    auth=auth,
                    timeout=attempts.shortened(request.timeout),
                    allow_redirects=False,
                    proxies=proxies,
                    stream=True,
                    verify=session.verify if self._verify is True else self._verify,
                    cert=self._cert,
                )
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            url, params = self._redirected(request, url, response), None
            request.rewind()
        raise TransportError(
            f"{self.url} redirected {request.method} {request.shown} more than {_MAX_REDIRECTS} times. Check the "
            "address, and any proxy in front of the server."
        )

    def _redirected(self, request: Request, url: str, response: Response) -> str:
        """Return where a redirect leads, if it may be followed."""
        try:
            location = response.headers.get("Location", "")
            target = urljoin(url, location)
            old, new = urlsplit(url), urlsplit(target)
            old_port, new_port = old.port or DEFAULT_PORTS[old.scheme], new.port or DEFAULT_PORTS.get(new.scheme)
            same = (old.scheme, old.hostname, old_port) == (new.scheme, new.hostname, new_port)
            safer = old.hostname == new.hostname and (old_port, new_port) == (80, 443) and new.scheme == "https"
            where = f"{new.scheme}://{new.netloc.rpartition('@')[2]}" if location else "nowhere"
            allowed = bool(location) and (same or safer) and "@" not in new.netloc
        except ValueError:
            allowed, same, where, target = False, False, "an address that cannot be read", url
        # These statuses keep method and body; the others turn a POST into a GET.
        kept = request.repeatable and response.status_code in (307, 308) and same
        if allowed and (request.method in ("GET", "HEAD") or kept):
            return target
        raise TransportError(
            f"{self.url} answered {response.status_code} to {request.method} {request.shown}: a redirect to "
            f"{where}, which is not followed, since credentials are sent to one server only, and only requests that "
            "are safe to repeat may be redirected. If that is your server, use its address; if it is a login page, log "
            "in there or pass a token."
        )

    def _refused(self, request: Request, refusal: RefusalError, attempts: Attempts) -> ServerError:
        notes = [_LOST] if attempts.lost and request.method not in _SAFE else []
        attempts.refused(refusal.response.status_code, refusal.content, refusal.retry_after)
        return server_error(
            self.context(request),
            refusal.response.status_code,
            refusal.response.headers.get("Content-Type", "").partition(";")[0],
            refusal.content,
            self.secrets(refusal.response),
            " ".join(filter(None, [*notes, attempts.note])),
        )

    def failed(self, request: Request, failure: NetworkError, attempts: Attempts | None = None) -> TransportError:
        """Turn a failure into the error that users see, with what is known about the attempts."""
        lost = (attempts is not None and attempts.lost) or is_uncertain(failure)
        note = attempts.note if attempts is not None else ""
        return public_error(failure, self.context(request), note, lost and request.method not in _SAFE)

    def context(self, request: Request) -> RequestContext:
        """Return what a message may reveal about a request."""
        known = self._credentials
        return RequestContext(self.url, request.method, request.shown, request.timeout[1], known.present, known.kept_in)

    def secrets(self, response: Response) -> list[str]:
        """List what was sent and must not be shown, in case the server has echoed it."""
        secrets = list(self._credentials.secrets)
        sent: Mapping[str, Any] = response.request.headers
        for name, value in sent.items():
            if name.lower() in _NOT_SECRET:
                continue
            shown = _as_string(value)
            scheme, _, last = shown.rpartition(" ")
            secrets += [shown, last]
            if scheme.lower() == "basic":
                secrets.append(_password_in(last))
        return secrets


def _as_string(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _password_in(basic: str) -> str:
    try:
        return base64.b64decode(basic).decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return ""


def _without_content(response: Response) -> Response:
    """Return an empty response to the same request."""
    empty = Response()
    empty.status_code, empty.request, empty.raw = 204, response.request, HTTPResponse(b"", preload_content=False)
    response.close()
    return empty
