"""The address of a server, as one normalised URL, and the credentials for it.

A URL may hold a password. It is taken out here, once, so that errors, logs and representations never show one.
"""

from __future__ import annotations

import base64
import inspect
import ipaddress
import pickle
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from simple_orthanc.errors import TransportError
from simple_orthanc.transport.secret import KeptElsewhere, Secret, hide, hide_url, reveal

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
    password: Secret | None

    def __repr__(self) -> str:
        """Show the URL, never the password."""
        return f"Address({self.url!r})"


def parse_address(url: str | Secret) -> Address:
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
    url = hide_url(url)
    address = _parsed(url)
    if isinstance(address, Address):
        return address
    shown = "the given address (not shown, since it may hold a password)" if isinstance(url, Secret) else repr(url)
    raise TransportError(
        f"Cannot connect to {shown}: {address}. Give the root of the server, such as 'http://127.0.0.1:8042' or "
        "'https://pacs.example.org/orthanc'."
    )


def _parsed(url: str | Secret) -> Address | str:
    """Return the address, or what is wrong with it. It raises nothing, since its variables hold the password."""
    given = str(reveal(url)).strip()
    given = given if "://" in given else f"http://{_bracketed(given)}"
    try:
        parts = urlsplit(given)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "host or port is malformed; a password inside it must be percent-encoded"
    fault = _fault(parts, host, port, given)
    if fault:
        return fault
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port is None or port == DEFAULT_PORTS[parts.scheme] else f":{port}"
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    return Address(
        f"{parts.scheme}://{shown_host}{shown_port}{parts.path.rstrip('/')}",
        host,
        unquote(user) or None,
        Secret(unquote(password)) if user else None,
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


@lru_cache(maxsize=64)
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


class _Authorization(AuthBase):
    """Sends one value of the header Authorization."""

    def __init__(self, scheme: str, credentials: str) -> None:
        self._value = Secret(f"{scheme} {credentials}")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header to a request."""
        request.headers["Authorization"] = self._value.reveal()
        return request


class _NoAuth(AuthBase):
    """Sends no credentials. Requests would read ``~/.netrc`` if it were given no authentication at all."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request as it is."""
        return request


class Credentials:
    """The credentials for one server. The representation shows nothing of them; the pickle holds those given by hand.

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

    def __init__(self, auth: Any = None, token: Any = None, headers: Mapping[str, str] | Secret | None = None) -> None:
        auth, token, headers = hide(auth), hide(token), hide(headers)
        if auth is not None and token is not None:
            raise TransportError("Two ways to log in were given; give a user and password (or auth), or a token.")
        fault = _auth_fault(reveal(auth)) or headers_fault(reveal(headers))
        if fault:
            raise TransportError(fault)
        self._headers = Secret(dict(reveal(headers) or {}))
        self._auth: Secret | None = auth
        self._token: Secret | None = token
        # A fixed token is checked here, once.
        self._known: _Login | None = _Login.of(auth, token)

    def __getstate__(self) -> dict[str, Any]:
        """Return what was given, as it was given.

        Raises
        ------
        TransportError
            It cannot be pickled.
        """
        for name, given in (("auth", self._auth), ("token", self._token)):
            fault = _pickling_fault(given)
            if fault:
                raise TransportError(
                    f"A session with {name}={fault} cannot be pickled, because that cannot. Another process finds a "
                    "function by its name, so write it with def at the top of a module; or give username and password."
                )
        return {"_headers": self._headers, "_auth": self._auth, "_token": self._token}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what was given; what is kept elsewhere is read when it is needed."""
        vars(self).update(state, _known=None)

    @property
    def _login(self) -> _Login:
        if self._known is None:
            self._known = _Login.of(self._auth, self._token)
        return self._known

    def __repr__(self) -> str:
        """Show nothing of the credentials."""
        return "Credentials(...)"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that are sent with every request; their values may be secret."""
        headers: dict[str, str] = self._headers.reveal()
        return headers

    @property
    def present(self) -> bool:
        """Whether there are credentials other than headers."""
        return self._auth is not None or self._token is not None

    @property
    def kept_in(self) -> str:
        """Where the password or token was read from; "" if it was given by hand."""
        given = self._token if self._auth is None else self._auth
        return given.where if isinstance(given, KeptElsewhere) else ""

    @property
    def secret(self) -> bool:
        """Whether anything is sent that a listener on the network must not read."""
        return self.present or any(part in name.lower() for name in self.headers for part in _SECRET_NAMES)

    @property
    def secrets(self) -> list[str]:
        """What messages must never repeat: the password and the values of the headers."""
        return [self._login.password.reveal(), *self.headers.values()]

    @property
    def constant(self) -> bool:
        """Whether every request carries the same credentials, whatever it asks for."""
        provider, fixed, _ = self._login
        return provider is None and (fixed is None or type(fixed.reveal()) in (HTTPBasicAuth, _Authorization))

    def auth(self) -> Any:
        """Return the authentication for one request.

        A token function is called; its own errors are raised as they are.
        """
        provider, fixed, _ = self._login
        if provider is not None:
            # It is asked for each request.
            return _bearer(Secret(provider.reveal()()))
        return _NoAuth() if fixed is None else fixed.reveal()


class _Login(NamedTuple):
    """How requests log in: by a function that returns a token, or always in the same way, with a password in it."""

    provider: Secret | None
    fixed: Secret | None
    password: Secret

    @classmethod
    def of(cls, auth: Secret | None, token: Secret | None) -> _Login:
        provider = next((given for given in (auth, token) if _is_provider(given)), None)
        if provider is None and auth is not None:
            return cls(None, *_basic(auth))
        fixed = Secret(_bearer(token)) if provider is None and token is not None else None
        return cls(provider, fixed, Secret(""))


def _pickling_fault(given: Secret | None) -> str:
    """Return the name of what cannot be pickled, "" if it can. It raises nothing, since it may hold a password."""
    value = reveal(given) if type(given) is Secret else None
    if value is None or isinstance(value, (str, tuple, list)):
        return ""
    try:
        pickle.dumps(value)
    except Exception:  # it may be of any class
        return getattr(value, "__qualname__", type(value).__name__)
    return ""


def login_in_url(url: Secret) -> tuple[str, str]:
    """Return the user and the password in a URL that has them."""
    address = parse_address(url)
    return address.user or "", reveal(address.password) or ""


def _is_provider(given: Secret | None) -> bool:
    """Check whether this is a function that returns a token."""
    if given is None:
        return False
    value = given.reveal()
    return callable(value) and not isinstance(value, AuthBase) and _takes_no_arguments(value)


def _basic(auth: Secret) -> tuple[Secret, Secret]:
    """Return the authentication for requests, and the password in it."""
    if not isinstance(auth.reveal(), (tuple, list)):
        return auth, Secret("")
    user, password = auth.reveal()
    # Requests encodes strings in Latin-1; RFC 7617 leaves the charset open and Orthanc compares UTF-8 bytes.
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    return Secret(_Authorization("Basic", encoded)), Secret(password)


def _auth_fault(auth: Any) -> str:
    """Return what is wrong with an authentication. It raises nothing, since its variables hold the password."""
    if isinstance(auth, (tuple, list)):
        if len(auth) != 2 or not all(isinstance(part, str) for part in auth):
            return "auth must hold two strings, the user and the password."
        if any("\ud800" <= character <= "\udfff" for part in auth for character in part):
            return "The user or the password holds a character that cannot be encoded in UTF-8; nothing was sent."
    elif auth is not None and not callable(auth):
        return (
            f"auth is of type {type(auth).__name__}; give (user, password), a requests authentication object, "
            "or a function without arguments that returns a bearer token."
        )
    return ""


def headers_fault(headers: Any) -> str:
    """Return what is wrong with headers. It raises nothing, since its variables hold their values."""
    if headers is None:
        return ""
    if not isinstance(headers, Mapping):
        return (
            f"headers is of type {type(headers).__name__}; give a dict of names and values, as in "
            f'headers={{"X-Name": "value"}}.'
        )
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            kinds = f"{type(name).__name__} and {type(value).__name__}"
            return f"The header {name!r} and its value are of the types {kinds}; give strings."
        if not value.isprintable() or any(ord(character) > 255 for character in value):
            return f"The value of the header {name!r} holds characters that HTTP cannot carry."
    return ""


def _bearer(token: Secret) -> _Authorization:
    if not _is_token(token.reveal()):
        raise TransportError("The token is not a string of printable ASCII characters; nothing was sent.")
    return _Authorization("Bearer", token.reveal())


def _is_token(token: Any) -> bool:
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()


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
