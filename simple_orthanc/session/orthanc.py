"""A session on an Orthanc server."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import NotFoundError, OrthancError, SelectionError, TransportError, UnsupportedError
from simple_orthanc.selection import tables
from simple_orthanc.session.acts.verbs import ActsOnServer
from simple_orthanc.session.administration import Administration
from simple_orthanc.session.connecting import open_transport
from simple_orthanc.session.in_plugin import OpensInPlugin
from simple_orthanc.session.machines import KnowsMachines
from simple_orthanc.session.offline import KeepsFiles, open_offline
from simple_orthanc.session.profiles import OpensProfiles
from simple_orthanc.session.watching.verbs import Watching
from simple_orthanc.transport.secret import Secret, from_environment, hide, hide_url, reveal

if TYPE_CHECKING:
    import requests

    from simple_orthanc.rest.jobs import Jobs
    from simple_orthanc.session.dicomweb import DicomWeb
    from simple_orthanc.session.pacs import Pacs
    from simple_orthanc.session.uploads.files import Uploader
    from simple_orthanc.sources.cache.cache import Cache

# What a browser shows behind the root of a server: Orthanc Explorer, Orthanc Explorer 2 and the viewers of its plugins.
_PAGES = (
    *(r"app/explorer\.html", "ui/app", "ohif", "stone-webviewer", "volview", "osimis-viewer", "web-viewer", "wsi"),
    "dicom-web",
)
_BROWSER_PAGE = re.compile(rf"/({'|'.join(_PAGES)})(?![^/?#])[^@]*\Z")
# Ports at which servers speak the DICOM protocol: Orthanc's default, and those that IANA has registered for DICOM.
_DICOM_PORTS = (":4242", ":104", ":11112")


class Orthanc(OpensProfiles, OpensInPlugin, KnowsMachines, KeepsFiles, ActsOnServer, Watching, Administration):
    """A session on an Orthanc server, 1.10.1 or later.

    Parameters
    ----------
    host : str, optional
        Name or address, or a whole URL such as ``"https://pacs.example.org/orthanc"``, also that of Orthanc's page in a
        browser. None: the URL in the environment variable ORTHANC_URL, or else 127.0.0.1.
    port : int, optional
        Default 8042.
    username, password : str, optional
        Sent by HTTP basic authentication. Default, if the URL comes from ORTHANC_URL: the environment variables
        ORTHANC_USERNAME and ORTHANC_PASSWORD.
    selection : dict, optional
        Selected at once: see `Session.selection`.
    auth : requests auth, or callable
        Any authentication that requests takes, or a function without arguments that returns a fresh bearer token.
    token : str or callable, optional
        A bearer token, or such a function.
    headers : dict, optional
        Sent with every request.
    verify : bool or str
        Whether to verify TLS certificates, or the path of a file of trusted ones.
    cert : str or tuple, optional
        A client certificate: path, or paths of certificate and key.
    timeout : tuple of float
        Seconds to wait for a connection, and for each block of an answer.
    patience : float, default 20
        Seconds for which a request is tried again, where that is safe, so that a server that restarts is waited for;
        0 for none.
    minimum_rate : float, default 100
        Bytes per second below which an answer that has begun is given up; 0 for any.
    checksums : bool, optional
        Whether the MD5 of each file that is read is compared with the server's. None: where the server lists it with
        the instances (Orthanc 1.12.5 and newer), which takes some 0.9 ms of processor time for a slice of 512 x 512.
        True: on older servers too, with one small request per file. False: not. `download` and uploads always do.
    cache : str, Path or Cache, optional
        A folder in which files that are read are kept, so that the next time they are read from there, if the server
        still has the same. With a limit of its own: `Cache`.
    offline : bool, default False
        Whether to read from the cache alone, without any connection: the archive is what it holds of this server.
    http : requests.Session, optional
        Used instead of a new one: for proxies, adapters and the like.

    Raises
    ------
    TransportError
        No server answers there, or it is not an Orthanc.
    AuthenticationError
        The server requires other credentials.
    SelectionError
        The folder of the cache belongs to another user or holds other files; or it is to be read offline and holds no
        file of this server.

    See Also
    --------
    DicomWeb : The same session on any server that speaks DICOMweb; `dicomweb` is the one through this server's plugin.
    Folder : The same session on files, without a server.
    LocalOrthanc : Starts an Orthanc server on this machine.

    Examples
    --------
    >>> from simple_orthanc import Orthanc
    >>> from simple_orthanc.testing import OrthancStandIn, make_series
    >>> server = OrthancStandIn(make_series((3, 8, 8), PatientName="JaneDoe", SeriesDescription="ct_scan")).start()
    >>> orthanc = Orthanc(server.url, username="jane", password="a secret")
    >>> orthanc.select(PatientName="JaneDoe", SeriesDescription="ct_scan").get_array().shape
    (3, 8, 8)
    >>> server.stop()
    """

    _profile_kind = "orthanc"

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        *,
        selection: Mapping[str, Any] | None = None,
        auth: Any = None,
        token: str | Callable[[], str] | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        timeout: tuple[float, float] = (3, 300),
        patience: float = 20.0,
        minimum_rate: float = 100.0,
        checksums: bool | None = None,
        cache: str | os.PathLike[str] | Cache | None = None,
        offline: bool = False,
        http: requests.Session | None = None,
    ) -> None:
        # First of all, so that no traceback shows them.
        host, password, auth, token, headers = hide_url(host), hide(password), hide(auth), hide(token), hide(headers)
        from simple_orthanc.sources.cache.cache import as_cache
        from simple_orthanc.sources.orthanc.source import OrthancSource

        url, is_from_environment = _url(host, port)
        if is_from_environment and username is None and password is None and auth is None and token is None:
            username, login = os.environ.get("ORTHANC_USERNAME"), from_environment("ORTHANC_PASSWORD")
        else:
            login = hide(password)
        transport = open_transport(
            url,
            username,
            login,
            auth=auth,
            token=token,
            headers=headers,
            verify=verify,
            cert=cert,
            timeout=timeout,
            patience=patience,
            minimum_rate=minimum_rate,
            http=http,
        )
        if offline:
            super().__init__(open_offline(cache, transport.url), selection=selection)
            return
        source = OrthancSource(transport, checksums, as_cache(cache))
        try:
            source.connect()
        except (TransportError, NotFoundError) as error:
            error.args = (error.message + _address_hint(error, transport.url),)
            raise
        super().__init__(source, selection=selection)

    @property
    def jobs(self) -> Jobs:
        """The jobs that the server knows: those that wait or run, and the last ones that ended.

        Examples
        --------
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": orthanc.get_orthanc_ids("study")[:1]})
        >>> job.wait().state
        'Success'
        >>> orthanc.jobs[job.id].type
        'Archive'
        """
        return self.rest.jobs

    @property
    def interface(self) -> Interface:
        """The tags that the server's own index holds.

        Examples
        --------
        >>> "PatientName" in orthanc.interface.main_dicom_tags["patient"]
        True
        """
        return Interface(self._orthanc.main_dicom_tags)

    def get_orthanc_ids(self, level: Level = "series") -> list[str]:
        """Return Orthanc's own identifiers of what is selected, as its REST API takes them.

        Parameters
        ----------
        level : {"patient", "study", "series", "instance"}
            The level of the objects.

        Returns
        -------
        list of str
            One per selected object, in the order of the rows of ``table(level=level)``.

        See Also
        --------
        Rest.run_job : Starts a job on the server, and waits for its end.

        Examples
        --------
        >>> for key in orthanc.select(Modality="CT").get_orthanc_ids()[:2]:
        ...     print(orthanc.rest.get(f"/series/{key}")["MainDicomTags"]["SeriesDescription"])
        CT abdomen portal venous
        CT low dose
        """
        return list(self._columns(tables.check_level(level)).keys)

    @property
    def dicomweb(self) -> DicomWeb:
        """A new session on the same archive over DICOMweb, through the same connection.

        Raises
        ------
        UnsupportedError
            The server has no DICOMweb plugin.

        Examples
        --------
        >>> study = orthanc.dicomweb.select(PatientID="EX-003")
        >>> study.Modalities
        ['CT', 'PT']
        """
        from simple_orthanc.session.dicomweb import DicomWeb

        try:
            plugin = self.rest.get("/plugins/dicom-web")
        except NotFoundError:
            raise UnsupportedError(
                f"{self._orthanc.description} has no DICOMweb plugin. Install it on the server (Debian and Ubuntu: "
                f"sudo apt install orthanc-dicomweb), name it under Plugins in the configuration, and start it again."
            ) from None
        # The plugin's own page is below its root, which the configuration may have moved.
        page, separator, _ = str(plugin.get("RootUri") or "").partition("app/")
        root = page.removeprefix("../").strip("/") if separator else ""
        return DicomWeb._below(self._orthanc.transport, root or "dicom-web", self.cache)

    def modality(self, name: str, *, timeout: int | None = None) -> Pacs:
        """Open a session on a PACS that the server knows as one of its `modalities`.

        Parameters
        ----------
        name : str
            Its name in the configuration of the server.
        timeout : int, optional
            Seconds that the server waits for each answer of the PACS. Default: what its configuration says, usually 10.

        Returns
        -------
        Pacs
            A session by C-FIND; nothing was asked of the PACS yet. `Pacs.retrieve` brings what is selected here.

        Raises
        ------
        UnknownNameError
            The server knows no such modality; the message lists those that it knows.
        SelectionError
            The timeout is not a whole number of seconds.

        Examples
        --------
        >>> pacs = orthanc.modality("PACS").select(PatientID="EX-001", Modality="MR")
        >>> pacs.SeriesDescriptions
        ['T1 MPRAGE', 'T2 TSE']
        >>> len(pacs.retrieve().get_volumes())
        4
        """
        from simple_orthanc.session.pacs import Pacs

        return Pacs(self, self.modalities[name].name, timeout)

    def _uploader(self) -> Uploader:
        from simple_orthanc.session.uploads.files import Uploader

        return Uploader(self._orthanc.store)

    def _delete_object(self, level: Level, key: str) -> bool:
        return self._orthanc.delete(level, key)

    def _is_alive(self) -> bool:
        return self._orthanc.store.is_alive()


class Interface:
    """The tags that the server's own index holds, under the name that the predecessor of this library gave them.

    Attributes
    ----------
    main_dicom_tags : dict
        Level to list of keywords that the server keeps in its database.

    Examples
    --------
    >>> sorted(orthanc.interface.main_dicom_tags)
    ['instance', 'patient', 'series', 'study']
    """

    def __init__(self, main_dicom_tags: dict[Level, list[str]]) -> None:
        self.main_dicom_tags = main_dicom_tags

    def __repr__(self) -> str:
        """Show the tags."""
        return f"Interface(main_dicom_tags={self.main_dicom_tags!r})"


def _url(host: str | Secret | None, port: int | None) -> tuple[str | Secret, bool]:
    """Return the URL, hidden if it may hold a password, and whether it came from the environment."""
    named = from_environment("ORTHANC_URL") if host is None and port is None else None
    if named is not None:
        return (named.then(_without_page) if "@" in named.reveal() else _without_page(named)), True
    if not isinstance(host, str | Secret | None):
        raise SelectionError(
            f'host is of type {type(host).__name__}; give a name or an address, Orthanc("127.0.0.1"), or a whole URL, '
            f'Orthanc("https://pacs.example.org/orthanc").'
        )
    url = _joined(_without_page(host or "127.0.0.1"), port)
    if url is None:
        raise SelectionError(
            f"host={host!r} holds a port already, and port={port!r} is another: give the one or the other."
        )
    return hide_url(url), False


def _without_page(url: str | Secret) -> str:
    return _BROWSER_PAGE.sub("", reveal(url))


def _address_hint(error: OrthancError, url: str) -> str:
    """Return what to add to the message of a connection that failed, "" for nothing."""
    if isinstance(error, NotFoundError):
        return (
            f" So {url} is not the root of an Orthanc: give what precedes /app/explorer.html or /ui/app in the "
            "address of its page in a browser. Of a server that speaks DICOMweb alone: DicomWeb(url)."
        )
    if url.endswith(_DICOM_PORTS):
        port = url.rpartition(":")[2]
        return f" {port} is a usual port of the DICOM protocol, and this library speaks HTTP: Orthanc's port is 8042."
    return ""


def _joined(host: str, port: int | None) -> str | None:
    """Join host and port to a URL, or return None if both hold a port. It raises nothing: `host` may be secret."""
    if "://" in host:
        return host if port is None else None
    login, at, rest = host.rpartition("@")
    name, slash, path = rest.partition("/")
    if ":" in name and not name.startswith("["):
        if name.count(":") == 1:
            return f"http://{host}" if port is None else None
        name = f"[{name}]"
    return f"http://{login}{at}{name}:{8042 if port is None else port}{slash}{path}"
