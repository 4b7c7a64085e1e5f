"""Connections that are kept, and when they are not.

Orthanc closes a connection that was idle for one second. A request that is sent at that moment is lost, and whether it
was carried out cannot be known. So a connection that was idle for longer than `MAX_IDLE` is closed here and opened
again.
"""

from __future__ import annotations

import os
import queue
import socket
import time
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.exceptions import InvalidProxyURL, InvalidSchema, InvalidURL
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies, select_proxy
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.contexts import Setting
from simple_orthanc.errors import TransportError, stacklevel
from simple_orthanc.transport import watching
from simple_orthanc.transport.watching import WatchedResponse

MAX_IDLE = 0.8
"""Seconds after which an idle connection is not used any more."""

_SEND_BLOCK = 1 << 20

_unchecked_hosts: set[str] = set()

_send_timeout: ContextVar[float | None] = ContextVar("send_timeout", default=None)

_needs_new: ContextVar[bool] = ContextVar("needs_new", default=False)


def on_new_connection(needed: bool) -> Setting[bool]:
    """Send the requests of a block over connections of their own, if `needed`: none that was used before."""
    return Setting(_needs_new, needed)


class _SteadyConnection:
    """Sends a large body in blocks, each under the read timeout, and is shut when its call is interrupted.

    Otherwise the connect timeout would apply to sending, and to the whole body at once, so that an upload of some
    seconds would fail on a healthy connection.
    """

    sock: Any
    _wait: interruption.Wait | None = None

    def send(self, data: Any) -> None:
        """Send bytes, or anything else as ``http.client`` does."""
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        self.sock.settimeout(_send_timeout.get())
        # The socket and not this object: it is still read from when a response has separated it from here.
        self.release()
        self._wait = interruption.begin(partial(shut, self.sock))
        watch = watching.current.get()
        if watch is not None:
            watch.sending()
        if isinstance(data, bytes) and len(data) > _SEND_BLOCK:
            view = memoryview(data)
            for start in range(0, len(data), _SEND_BLOCK):
                super().send(view[start : start + _SEND_BLOCK])  # type: ignore[misc]
        else:
            super().send(data)  # type: ignore[misc]

    def release(self) -> None:
        """Note that the response was read to its end."""
        if self._wait is not None:
            self._wait.over()
            self._wait = None


class _PlainConnection(_SteadyConnection, HTTPConnection):
    response_class = WatchedResponse


class _SecureConnection(_SteadyConnection, HTTPSConnection):
    response_class = WatchedResponse


class _FreshQueue(queue.LifoQueue[Any]):
    """The connections of a pool that are not in use, each with the time of its last use."""

    def _put(self, item: Any) -> None:
        if item is not None:
            item.release()
        super()._put((item, time.monotonic()))

    def _get(self) -> Any:
        connection, since = super()._get()
        if connection is not None and (_needs_new.get() or time.monotonic() - since > MAX_IDLE):
            # A closed connection object opens itself again on its next request.
            connection.close()
        return connection


class _PlainPool(HTTPConnectionPool):
    QueueCls = _FreshQueue
    ConnectionCls = _PlainConnection


class _SecurePool(HTTPSConnectionPool):
    QueueCls = _FreshQueue
    ConnectionCls = _SecureConnection

    def _validate_conn(self, conn: Any) -> None:
        """Connect, without the warning of urllib3 at each connection whose certificate is not checked."""
        if conn.is_closed:
            conn.connect()


_POOLS = {"http": _PlainPool, "https": _SecurePool}


class FreshAdapter(HTTPAdapter):
    """The adapter of requests, with pools that drop connections which the server may be about to close."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager, with the pools of this module."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Make or find the manager of a proxy; a SOCKS proxy keeps its own kind of pool, which it needs."""
        manager = super().proxy_manager_for(*args, **kwargs)
        if not str(args[0]).lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """Return the pool for a request; what is wrong with a proxy is told apart from what is with the request."""
        try:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        except (InvalidSchema, InvalidURL, HTTPError, ValueError):
            if not select_proxy(request.url, proxies):
                raise
        raise InvalidProxyURL

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Return the response of urllib3 as one of requests, without looking for cookies in it."""
        response = requests.Response()
        response.status_code, response.reason, response.url = resp.status, resp.reason, req.url
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw, response.request = resp, req
        response.connection = self
        return response

    def send(self, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Send one request; the read timeout also applies to each block that is sent."""
        interruption.check()
        with Setting(_send_timeout, timeout[1] if isinstance(timeout, tuple) else timeout):
            return super().send(request, stream, timeout, *args, **kwargs)


class _NoCookies(RequestsCookieJar):
    """Keeps no cookies."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep nothing of a response."""


class _Prepared(requests.PreparedRequest):
    """A request without cookies."""

    def prepare_cookies(self, cookies: Any) -> None:
        """Add no header."""


class _Session(requests.Session):
    """A session without cookies, an authentication or an environment of its own, and without redirects.

    So there is nothing to merge into a request but the default headers and the proxies, where requests would take a
    tenth of the time of a small upload to look for it.
    """

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request, with the default headers that it does not have."""
        headers: CaseInsensitiveDict[Any] = CaseInsensitiveDict({**self.headers})
        headers.update(request.headers)
        for name in [name for name, value in headers.items() if value is None]:
            del headers[name]
        prepared = _Prepared()
        prepared.prepare(
            method=str(request.method).upper(),
            url=request.url,
            headers=headers,
            data=request.data,
            params=request.params,
            auth=request.auth,
            hooks=request.hooks,
        )
        return prepared

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Return the settings of a request, with the proxies of this session; None stands for no proxy."""
        chosen = {scheme: proxy for scheme, proxy in {**self.proxies, **proxies}.items() if proxy is not None}
        return {"proxies": chosen, "stream": stream, "verify": verify, "cert": cert}

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Follow no redirect: requests would read the address even where it is not to follow it."""
        return iter(())


def shut(sock: socket.socket) -> None:
    """End whatever waits for a socket, in any thread; whoever uses it closes it."""
    # Not the method of a socket under TLS, which would first forget the encryption that the other thread is using.
    socket.socket.shutdown(sock, socket.SHUT_RDWR)


def new_session(pool_size: int, url: str, *, direct: bool, trusts_environment: bool = True) -> requests.Session:
    """Make a session for one server that keeps up to `pool_size` connections and no cookies.

    The environment is read for proxies and ``REQUESTS_CA_BUNDLE`` here, once: requests would read it for every request,
    which takes as long as sending a small one. A server that is reached `direct` has no proxy. ``~/.netrc`` is not
    read, because `Credentials` always brings an authentication of its own.

    Parameters
    ----------
    pool_size : int
        How many connections are kept.
    url : str
        The root of the server.
    direct : bool
        Whether no proxy is used.
    trusts_environment : bool
        Whether the environment may name the authorities to trust.

    Raises
    ------
    TransportError
        If it names a file that does not exist.
    """
    session = _Session()
    session.trust_env = False
    if not direct:
        session.proxies.update(get_environ_proxies(url))
    if trusts_environment:
        session.verify = _authorities(url)
    session.cookies = _NoCookies()
    for prefix in ("http://", "https://"):
        session.mount(prefix, FreshAdapter(pool_maxsize=pool_size))
    return session


def _authorities(url: str) -> bool | str:
    """Return the file of the authorities to trust that the environment names, or True."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(variable)
        if path:
            if url.startswith("https:") and not os.path.exists(path):
                raise TransportError(
                    f"The environment variable {variable} names the file {path!r} for the authorities to trust, which "
                    f'does not exist, so that {url} cannot be checked. Change or unset it, or give verify="ca.pem".'
                )
            return path
    return True


def warn_if_unchecked(url: str, verify: object) -> None:
    """Warn, once per host, that the certificate of a server is not checked."""
    host = urlsplit(url).netloc
    if verify is not False or not url.startswith("https:") or host in _unchecked_hosts:
        return
    _unchecked_hosts.add(host)
    warnings.warn(
        f"The certificate of {host} is not checked (verify=False), so anybody on the way can read and change what is "
        'sent, passwords included. verify="ca.pem" trusts a certificate of one\'s own.',
        UserWarning,
        stacklevel=stacklevel(),
    )
