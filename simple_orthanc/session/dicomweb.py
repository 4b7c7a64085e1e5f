"""A session on a DICOMweb server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import requests

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.errors import OrthancError
from simple_orthanc.session.acting import ActingSession, credentials
from simple_orthanc.session.uploads import Uploader
from simple_orthanc.sources.dicomweb.checked_store import CheckedStore
from simple_orthanc.sources.dicomweb.source import DicomWebSource
from simple_orthanc.transport import Transport


class DicomWeb(ActingSession):
    """A session on any server that speaks DICOMweb (PS3.18): the same selection, tables, headers and volumes.

    Parameters
    ----------
    url : str
        The root of the service; Orthanc's is ``"http://127.0.0.1:8042/dicom-web"``.
    username, password : str, optional
        Sent by HTTP basic authentication.
    qido_prefix, wado_prefix, stow_prefix, delete_prefix : str, optional
        What stands between the root and ``studies``, where a server has places of its own for searching, retrieving,
        storing or deleting.
    selection : dict, optional
        Selected at once: see `Session.selection`.
    auth : requests auth, or callable
        Any authentication that requests takes, or a function without arguments that gives a fresh bearer token.
    token : str or callable, optional
        A bearer token, or a function that gives a fresh one.
    headers : dict, optional
        Sent with every request.
    verify : bool or str
        Whether to verify TLS certificates, or the path of a file of trusted ones.
    cert : str or tuple, optional
        A client certificate: path, or paths of certificate and key.
    timeout : tuple of float
        Seconds to wait for a connection, and for each piece of an answer.
    http : requests.Session, optional
        Used in place of an own one: for proxies, adapters and the like.

    Raises
    ------
    TransportError
        Nothing answers there, or not as DICOMweb does.
    AuthenticationError
        The server wants other credentials.

    See Also
    --------
    Orthanc : The same session through Orthanc's own REST API, which can do more: where the server is an Orthanc, this
        is the one to take, and ``orthanc.dicomweb`` gives the other.
    Folder : The same session on files, without a server.

    Notes
    -----
    The server is asked for one study at once, so that a wrong address is told at once.

    What DICOMweb itself cannot do: tell objects apart that have one UID and different patients (reading the wrong one
    raises); say what has changed (`refresh` reads all that is needed again); labels and metadata. A server may write
    decimal and integer strings as numbers, as Orthanc does; how ``1.50`` was spelt is then lost in selections and
    tables, where numbers compare by value. Headers and pixels come from the DICOM files, and are exact.

    What a server hides cannot be seen: Orthanc 1.10.1 with ``LimitFindResults`` in its configuration shows that many
    results of a search and one more, and says nothing of the others. Series are then searched for study by study; of
    studies that are hidden a warning tells, where Orthanc's own API beside ``/dicom-web`` may be asked.

    Of tags that a search has never given for any object it cannot be known whether they are nowhere or withheld. The
    metadata of images then tell; of more than 60 studies or series without such a tag, 60 are looked at.

    Examples
    --------
    >>> from simple_orthanc import DicomWeb                                             # doctest: +SKIP
    >>> archive = DicomWeb("http://127.0.0.1:8042/dicom-web")                           # doctest: +SKIP
    >>> array = archive.select(PatientName="JaneDoe", Modality="CT").get_array()        # doctest: +SKIP
    """

    def __init__(
        self,
        url: str,
        username: str | None = None,
        password: str | None = None,
        *,
        qido_prefix: str | None = "",
        wado_prefix: str | None = "",
        stow_prefix: str | None = "",
        delete_prefix: str | None = "",
        selection: Mapping[str, Any] | None = None,
        auth: Any = None,
        token: str | Callable[[], str] | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        timeout: tuple[float, float] = (5, 300),
        http: requests.Session | None = None,
    ) -> None:
        transport = Transport(
            url,
            auth=credentials(username, password, auth),
            token=token,
            headers=headers,
            verify=verify,
            cert=cert,
            timeout=timeout,
            http=http,
        )
        rest = Transactions(
            transport,
            qido_prefix=qido_prefix,
            wado_prefix=wado_prefix,
            stow_prefix=stow_prefix,
            delete_prefix=delete_prefix,
        )
        self._start(DicomWebSource(transport, rest), selection)

    def _start(self, source: DicomWebSource, selection: Mapping[str, Any] | None = None) -> None:
        source.connect()
        super().__init__(source, selection=selection)

    @classmethod
    def _below(cls, transport: Transport, root: str) -> DicomWeb:
        """Open a session through a connection that is there, to a service that lies below its address."""
        session = cls.__new__(cls)
        rest = Transactions(transport, qido_prefix=root, wado_prefix=root, stow_prefix=root, delete_prefix=root)
        session._start(DicomWebSource(transport, rest, root))
        return session

    @property
    def _dicomweb(self) -> DicomWebSource:
        source = self._source
        assert isinstance(source, DicomWebSource)
        return source

    @property
    def rest(self) -> Transactions:
        """The transactions of DICOMweb, named as in PS3.18: search, retrieve, store and delete."""
        return self._dicomweb.rest

    def _uploader(self) -> Uploader:
        store = CheckedStore(self.rest)
        return Uploader(store.store, store.checksum, self._alive)

    def _alive(self) -> bool:
        try:
            self._dicomweb.connect()
        except OrthancError:
            return False
        return True

    def _delete_object(self, level: Level, key: str) -> None:
        self._dicomweb.delete(level, key)
