"""The address of a server, as one normalised URL, and the credentials for it.

A URL may hold a password. It is taken out here, once, so that errors, logs and representations never show one.
"""

from __future__ import annotations

import inspect
import ipaddress
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from simple_orthanc.errors import TransportError

DEFAULT_PORTS = {"http": 80, "https": 443}

# Parts of the names of headers whose value is secret.
_SECRET_NAMES = ("auth", "token", "key", "cookie", "secret", "session")

_warned_hosts: set[str] = set()
_warned_lock = threading.Lock()


class Address(NamedTuple):
    """A server's URL without user information, and the user and password that the given URL held."""

    url: str
    host: str
    user: str | None
    password: str | None

    def __repr__(self) -> str:
        """Show the URL, never the password."""
        return f"Address({self.url!r})"


def parse_address(url: str) -> Address:
    """Split a server's URL into its normalised form and the credentials inside it.

    Parameters
    ----------
    url : str
        ``"https://pacs.example.org/orthanc"``, or without a scheme (then ``http``) as in ``"localhost:8042"``. IPv6
        addresses are written in brackets; a bare one without a port is accepted too.

    Returns
    -------
    Address
        ``url`` has scheme and host in lower case, the port only if it is not the scheme's default, the path without a
        trailing slash, and no user information.

    Raises
    ------
    TransportError
        If that is not the URL of a server. The message never repeats a URL that may hold a password.

    Examples
    --------
    >>> parse_address("HTTP://alice:secret@[::1]:8042/orthanc/").url
    'http://[::1]:8042/orthanc'
    """
    given = str(url).strip()
    shown = "the given address (not shown, since it may hold a password)" if "@" in given else repr(given)
    given = given if "://" in given else f"http://{_bracketed(given)}"
    try:
        parts = urlsplit(given)
        host, port = (parts.hostname or "").lower(), parts.port
        fault = _fault(parts, host, port, given)
    except ValueError:
        fault = "host or port is malformed; a password inside it must be percent-encoded"
    if fault:
        raise TransportError(
            f"Cannot connect to {shown}: {fault}. Give the root of the server, such as 'http://127.0.0.1:8042' or "
            "'https://pacs.example.org/orthanc'."
        )
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port is None or port == DEFAULT_PORTS[parts.scheme] else f":{port}"
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    return Address(
        f"{parts.scheme}://{shown_host}{shown_port}{parts.path.rstrip('/')}",
        host,
        unquote(user) or None,
        unquote(password) if user else None,
    )


def _fault(parts: SplitResult, host: str, port: int | None, given: str) -> str:
    if parts.scheme not in DEFAULT_PORTS:
        return "only http and https are supported"
    if not host or port == 0:
        return "it names no host or port"
    if "@" in parts.path + parts.query + parts.fragment:
        return "a slash, question mark or number sign inside a password must be percent-encoded"
    if parts.query or parts.fragment:
        return "it has a query or a fragment"
    if _has_unsafe_character(given):
        return "it holds a space, a backslash or a control character"
    return ""


def _has_unsafe_character(url: str) -> bool:
    return "\\" in url or any(not character.isprintable() or character.isspace() for character in url)


def _bracketed(host: str) -> str:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return host
    return f"[{host}]"


def parse_origin(url: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port of a URL; None if it lacks one, or holds a user or a character no URL may hold.

    Examples
    --------
    >>> parse_origin("https://PACS.example.org/dicom-web/studies")
    ('https', 'pacs.example.org', 443)
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not host or "@" in parts.netloc or _has_unsafe_character(url):
        return None
    return parts.scheme, host, port or DEFAULT_PORTS[parts.scheme]


def is_loopback(host: str) -> bool:
    """Check whether a host name or address is this machine, without asking a name server.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("pacs.example.org")
    (True, True, False)
    """
    if host.lower() == "localhost" or host.lower().endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or bool(mapped and mapped.is_loopback)


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _NoAuth(AuthBase):
    """Sends no credentials. Requests would read ``~/.netrc`` if it were given no authentication at all."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request as it is."""
        return request


class Credentials:
    """The credentials for one server. The representation shows nothing of them; the pickle holds all of them.

    Parameters
    ----------
    auth : (str, str), requests authentication or callable, optional
        A user and a password, anything that requests takes as authentication, or a function without arguments that
        returns a bearer token; it is called for every request, so that an expired token is never sent.
    token : str or callable, optional
        A bearer token, or a function without arguments that returns one.
    headers : mapping, optional
        Sent with every request.

    Raises
    ------
    TransportError
        If both `auth` and `token` are given, or something of a kind that cannot be sent.
    """

    def __init__(self, auth: Any = None, token: Any = None, headers: Mapping[str, str] | None = None) -> None:
        if auth is not None and token is not None:
            raise TransportError("Two ways to log in were given; give a user and password (or auth), or a token.")
        self._provider: Callable[[], Any] | None = None
        self._fixed: Any = None
        self._password = ""
        if isinstance(auth, (tuple, list)):
            self._fixed = self._basic(auth)
        elif callable(auth) and not isinstance(auth, AuthBase) and _takes_no_arguments(auth):
            self._provider = auth
        elif auth is not None:
            if not callable(auth):
                raise TransportError(
                    f"auth is of type {type(auth).__name__}; give (user, password), a requests authentication object, "
                    "or a function without arguments that returns a bearer token."
                )
            self._fixed = auth
        elif callable(token):
            self._provider = token
        elif token is not None:
            self._fixed = _bearer(token)
        self.headers = _Headers(_checked(headers or {}))

    def __repr__(self) -> str:
        """Show nothing of the credentials."""
        return "Credentials(...)"

    def _basic(self, auth: Any) -> HTTPBasicAuth:
        if len(auth) != 2 or not all(isinstance(part, str) for part in auth):
            raise TransportError("auth must hold two strings, the user and the password.")
        self._password = auth[1]
        # Requests encodes strings in Latin-1; RFC 7617 leaves the charset open and Orthanc compares UTF-8 bytes.
        return HTTPBasicAuth(auth[0].encode(), auth[1].encode())

    @property
    def present(self) -> bool:
        """Whether there are credentials other than headers."""
        return self._fixed is not None or self._provider is not None

    @property
    def secret(self) -> bool:
        """Whether anything is sent that a listener on the network must not read."""
        return self.present or any(part in name.lower() for name in self.headers for part in _SECRET_NAMES)

    @property
    def secrets(self) -> list[str]:
        """What messages must never repeat: the password and the values of the headers."""
        return [self._password, *self.headers.values()]

    @property
    def constant(self) -> bool:
        """Whether every request carries the same credentials, whatever it asks for."""
        return self._provider is None and (self._fixed is None or type(self._fixed) in (HTTPBasicAuth, _Bearer))

    def auth(self) -> Any:
        """Return the authentication for one request.

        A token function is called; its own errors are raised as they are.
        """
        if self._provider is not None:
            return _bearer(self._provider())
        return self._fixed if self._fixed is not None else _NoAuth()


class _Headers(dict[str, str]):
    """Headers whose representation shows names only, because a value can be a password."""

    def __repr__(self) -> str:
        """Show the names of the headers."""
        return f"headers({', '.join(self)})"


def _checked(headers: Mapping[Any, Any]) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise TransportError(
            f"headers is of type {type(headers).__name__}; give a dict of names and values, as in "
            f'headers={{"X-Name": "value"}}.'
        )
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TransportError(f"The header {name!r} has a value of type {type(value).__name__}; give strings.")
        if not value.isprintable() or any(ord(character) > 255 for character in value):
            raise TransportError(f"The value of the header {name!r} holds characters that HTTP cannot carry.")
    return dict(headers)


def _bearer(token: Any) -> _Bearer:
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise TransportError("The token is not a string of printable ASCII characters; nothing was sent.")
    return _Bearer(token)


def _takes_no_arguments(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def warn_if_readable(address: str, host: str) -> None:
    """Warn, once per host, that credentials travel unencrypted over the network."""
    if not address.startswith("http://") or is_loopback(host):
        return
    with _warned_lock:
        if host in _warned_hosts:
            return
        _warned_hosts.add(host)
    warnings.warn(
        f"Credentials go to {host} unencrypted, because its address begins with http://. Use https:// if it can.",
        UserWarning,
        stacklevel=4,
    )
