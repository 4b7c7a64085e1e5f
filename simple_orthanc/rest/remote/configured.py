"""Machines in the configuration of an Orthanc server, as a mapping from their names."""

from __future__ import annotations

import difflib
import io
import json
import re
from abc import abstractmethod
from collections.abc import ItemsView, Iterator, Mapping, MutableMapping, Sequence, ValuesView
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

from simple_orthanc.errors import SelectionError, UnknownNameError
from simple_orthanc.showing.table import ShownAsTable, Table, listing_table
from simple_orthanc.transport.secret import Secret, hide, reveal

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.rest import Rest
    from simple_orthanc.rest.remote.resources import ResourceFinder

JSON_HEADERS = {"Content-Type": "application/json"}
_NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
# The server itself answers null for these, and is not relied on for it.
_SECRET_FIELDS = ("Password", "CertificateKeyPassword")
_BOOLEANS = ("UseDicomTls", "Pkcs11", "HasDelete", "ChunkedTransfers", "HasWadoRsUniversalTransferSyntax")


class Machine:
    """A machine that an Orthanc server knows by a name.

    Attributes
    ----------
    name : str
        Its name in the configuration of the server.
    """

    kind: ClassVar[str]
    route: ClassVar[str]

    def __init__(self, name: str, rest: Rest, find_resources: ResourceFinder) -> None:
        self.name = name
        self._rest = rest
        self._find_resources = find_resources

    @property
    def _path(self) -> str:
        return f"{self.route}/{quote(self.name, safe='')}"

    @property
    def configuration(self) -> dict[str, Any]:
        """Its configuration, asked of the server each time; passwords are left out.

        Raises
        ------
        NotFoundError
            The server does not know it any more, as after a restart.

        Examples
        --------
        >>> orthanc.modalities["PACS"].configuration["AET"]
        'PACS'
        """
        answer: dict[str, Any] = self._rest.get(f"{self._path}/configuration")
        return shown_configuration(answer)

    def __repr__(self) -> str:
        """Show the name and the server, without a request."""
        return f"<{self.kind} {self.name!r} of {self._rest.url}>"

    def __eq__(self, other: object) -> bool:
        """Check whether both are the machine of one name on one server."""
        return type(other) is type(self) and self._identity == other._identity

    def __hash__(self) -> int:
        """Return the hash of name and server."""
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, str, str]:
        return self.kind, self._rest.url, self.name


AnyMachine = TypeVar("AnyMachine", bound=Machine)


class ConfiguredMachines(ShownAsTable, MutableMapping[str, Any], Generic[AnyMachine]):
    """The machines of one kind that an Orthanc server knows, by name.

    Listing asks the server each time. An unknown name raises `UnknownNameError`, a KeyError whose message lists the
    known names. What is configured here is forgotten when the server restarts, unless its own configuration says
    otherwise (``DicomModalitiesInDatabase``, ``OrthancPeersInDatabase``).

    Parameters
    ----------
    rest : Rest
        The REST API of the server.
    find_resources : ResourceFinder
        Returns the Orthanc ids of what is to be sent.
    """

    _machine: type[AnyMachine]
    _attribute: ClassVar[str]
    """Name of the attribute of a session."""
    _fields: ClassVar[tuple[str, ...]]
    """Names of the options in Orthanc's configuration."""
    _in_list: ClassVar[tuple[str, ...]]
    """Names of the options that a list gives, in its order."""

    def __init__(self, rest: Rest, find_resources: ResourceFinder) -> None:
        self._rest = rest
        self._find_resources = find_resources

    def __repr__(self) -> str:
        """Show the kind and the server, without a request."""
        return f"<{type(self).__name__} of {self._rest.url}>"

    def _shown(self) -> Table:
        listed = self._rest.listings.get(self._machine.route)
        names = [name for name in ("name", *self._in_list) if any(name in row for row in listed or ())]
        title = f"{type(self).__name__} of {self._rest.url}"
        return listing_table(title, listed, names, f"orthanc.{self._attribute}.table()")

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._names())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        """Check whether the server knows a name."""
        return name in self._names()

    def _names(self) -> list[str]:
        with self._needing_plugin():
            names = [str(name) for name in self._rest.get(self._machine.route)]
        self._rest.listings[self._machine.route] = [{"name": name} for name in names]
        return names

    def _ipython_key_completions_(self) -> list[str]:
        """Return the names that the server has listed last: Tab sends no request."""
        return [str(row["name"]) for row in self._rest.listings.get(self._machine.route, ())]

    def _needing_plugin(self) -> AbstractContextManager[None]:
        """Return what raises `UnsupportedError` inside a block if the routes need a plugin that is missing."""
        return nullcontext()

    def __getitem__(self, name: str) -> AnyMachine:
        """Return the machine of a name.

        Raises
        ------
        UnknownNameError
            The server knows no such machine.
        """
        known = self._names()
        if name not in known:
            raise self._unknown(name, known)
        return self._open(name)

    def _open(self, name: str) -> AnyMachine:
        return self._machine(name, self._rest, self._find_resources)

    def _unknown(self, name: object, known: Sequence[str]) -> UnknownNameError:
        proposal = (
            f" orthanc.{self._attribute}.configure({name!r}, ...) adds it; what was added so is forgotten when the "
            "server restarts."
        )
        return UnknownNameError(
            f"{self._rest.url} knows no {self._machine.kind} {name!r}; it knows {', '.join(known) or 'none'}."
            + ("" if _name_fault(name) else proposal)
        )

    def values(self) -> ValuesView[AnyMachine]:
        """Return the machines, listed in one request.

        Examples
        --------
        >>> [machine.name for machine in orthanc.peers.values()]
        ['PARTNER']
        """
        return {name: self._open(name) for name in self._names()}.values()

    def items(self) -> ItemsView[str, AnyMachine]:
        """Return names and machines, listed in one request.

        Examples
        --------
        >>> {name: machine.is_alive() for name, machine in orthanc.modalities.items()}
        {'PACS': True}
        """
        return {name: self._open(name) for name in self._names()}.items()

    def __setitem__(self, name: str, configuration: Mapping[str, Any] | Sequence[Any]) -> None:
        """Add a machine, or replace the configuration of one: see `configure`."""
        configuration = hide(configuration)
        self.configure(name, configuration)

    def __delitem__(self, name: str) -> None:
        """Remove a machine from the configuration.

        Raises
        ------
        UnknownNameError
            The server knows no such machine.
        """
        self._rest.delete(self[name]._path)

    def configure(
        self, name: str, configuration: Mapping[str, Any] | Sequence[Any] | None = None, /, **fields: Any
    ) -> AnyMachine:
        """Add a machine, or replace the whole configuration of one.

        Parameters
        ----------
        name : str
            ASCII letters, digits, ``-`` and ``_``.
        configuration : mapping or sequence, optional
            Orthanc's own form, ``{"AET": "PACS", "Host": "10.0.0.7", "Port": 104}`` or ``["PACS", "10.0.0.7", 104]``.
        **fields
            The same options by keyword, as ``aet="PACS"`` or ``AET="PACS"``; they override those of `configuration`.

        Returns
        -------
        Machine
            The machine of this name. Nothing was asked of it: `Modality.echo` and `Peer.system` do.

        Raises
        ------
        SelectionError
            The name or an option is not possible. Passwords are in no message.

        Examples
        --------
        >>> orthanc.modalities.configure("ARCHIVE", aet="ARCHIVE", host="10.0.0.7", port=104).configuration["Port"]
        104
        >>> sorted(orthanc.modalities)
        ['ARCHIVE', 'PACS']
        >>> del orthanc.modalities["ARCHIVE"]
        """
        given = Secret((reveal(configuration), fields))
        del configuration, fields
        options = Secret({})
        fault = _name_fault(name) or self._read(given, options) or self._fault(options)
        if fault:
            raise SelectionError(f"The {self._machine.kind} {name!r} cannot be configured: {fault}")
        with self._needing_plugin():
            self._rest.put(f"{self._machine.route}/{quote(name, safe='')}", hidden_json(options), headers=JSON_HEADERS)
        return self._open(name)

    def _read(self, given: Secret, options: Secret) -> str:
        """Read what the user gave into options, and return what is wrong with it. It raises nothing."""
        configuration, fields = given.reveal()
        if configuration is None:
            configuration = {}
        elif isinstance(configuration, Sequence) and not isinstance(configuration, (str, bytes)):
            if len(configuration) > len(self._in_list):
                return f"a list has {', '.join(self._in_list)} in this order, and this one has more."
            configuration = dict(zip(self._in_list, configuration, strict=False))
        if not isinstance(configuration, Mapping):
            return f"give a dict or a list of options, or keywords: {', '.join(self._fields)}."
        known = {_plain(field): field for field in self._fields}
        for name, value in [*configuration.items(), *fields.items()]:
            field = known.get(_plain(name))
            if field is None:
                near = [known[match] for match in difflib.get_close_matches(_plain(name), known, 3)]
                hint = f"; near to it: {', '.join(near)}" if near else f": {', '.join(self._fields)}"
                return f"{name!r} is no option of it{hint}."
            if value is not None:
                options.reveal()[field] = value
        return _common_fault(options.reveal())

    @abstractmethod
    def _fault(self, options: Secret) -> str:
        """Return what is wrong with the options, "" if nothing is. It raises nothing: they may hold passwords."""

    def table(self) -> pd.DataFrame:
        """Return the configurations as a table, without passwords.

        Returns
        -------
        pandas.DataFrame
            One row per machine: ``name``, then the options that the server lists.

        Examples
        --------
        >>> orthanc.modalities.table()[["name", "AET", "Host"]]
           name   AET       Host
        0  PACS  PACS  127.0.0.1
        """
        import pandas as pd

        with self._needing_plugin():
            answer: dict[str, dict[str, Any]] = self._rest.get(self._machine.route, params={"expand": ""})
        rows = [{"name": name, **shown_configuration(fields)} for name, fields in answer.items()]
        self._rest.listings[self._machine.route] = rows
        return pd.DataFrame(rows, columns=None if rows else ["name", *self._in_list]).convert_dtypes()


def hidden_json(body: Secret) -> io.BytesIO:
    """Return a body as a file of JSON, so that no traceback shows what it holds; `JSON_HEADERS` go with it."""
    return io.BytesIO(json.dumps(body.reveal()).encode())


def shown_configuration(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without passwords, also without those in a URL.

    Examples
    --------
    >>> shown_configuration({"Url": "http://jane:wonderland@host/", "Username": "jane", "Password": None})
    {'Url': 'http://host/', 'Username': 'jane'}
    """
    shown = {name: value for name, value in fields.items() if name not in _SECRET_FIELDS}
    if "@" in str(shown.get("Url", "")):
        parts = urlsplit(str(shown["Url"]))
        shown["Url"] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return shown


def _plain(name: object) -> str:
    """Return the name of an option without regard to case and underscores: ``local_aet`` is ``LocalAet``."""
    return str(name).replace("_", "").lower()


def _name_fault(name: object) -> str:
    if isinstance(name, str) and _NAME.match(name):
        return ""
    return "a name consists of ASCII letters, digits, - and _, as in 'PACS_2'."


def _common_fault(options: Mapping[str, Any]) -> str:
    """Return what is wrong with the options that several kinds of machines have."""
    for name, value in options.items():
        if (name in _BOOLEANS or name.startswith("Allow")) and not isinstance(value, bool):
            return f"{name} is True or False."
        if name == "Timeout" and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            return "Timeout is a whole number of seconds, 0 for the server's default."
    try:
        json.dumps(options, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return "an option has a value that cannot be written as JSON: give strings, integers, True and False."
    return ""


def url_fault(options: Secret) -> str:
    """Return what is wrong with the URL and the headers of an HTTP server. It raises nothing."""
    fields = options.reveal()
    url, headers = fields.get("Url"), fields.get("HttpHeaders", {})
    if not isinstance(url, str) or not _is_http(url):
        return 'it needs the URL of its server, as in url="http://10.0.0.7:8042/".'
    if "@" in urlsplit(url).netloc:
        return "its URL holds a user or a password: give username=... and password=... instead."
    if not all(isinstance(fields.get(name, ""), str) for name in ("Username", "Password")):
        return "Username and Password are strings."
    if not isinstance(headers, Mapping) or not all(isinstance(part, str) for pair in headers.items() for part in pair):
        return "HttpHeaders is a dict of strings."
    return ""


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", url)
    except ValueError:
        return False
