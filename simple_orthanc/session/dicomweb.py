"""A session on a DICOMweb server."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import requests

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.selection.source import archive_of
from simple_orthanc.session.acting import ActingSession
from simple_orthanc.session.connecting import open_transport
from simple_orthanc.session.offline import KeepsFiles, check_online, open_offline
from simple_orthanc.session.profiles import OpensProfiles
from simple_orthanc.session.uploads.files import Uploader
from simple_orthanc.sources.cache.cache import Cache, as_cache
from simple_orthanc.sources.dicomweb.checked_store import CheckedStore
from simple_orthanc.sources.dicomweb.source import DicomWebSource
from simple_orthanc.transport import Transport
from simple_orthanc.transport.secret import hide, hide_url


class DicomWeb(OpensProfiles, KeepsFiles, ActingSession):
    """A session on any server that speaks DICOMweb (PS3.18): the same selection, tables, headers and volumes.

    Parameters
    ----------
    url : str
        The root of the service; Orthanc's is ``"http://127.0.0.1:8042/dicom-web"``.
    username, password : str, optional
        Sent by HTTP basic authentication.
    qido_prefix, wado_prefix, stow_prefix, delete_prefix : str, optional
        The path between the root and ``studies``, where a server has separate ones for searching, retrieving, storing
        or deleting.
    selection, auth, token, headers, verify, cert, timeout, patience, minimum_rate, http
        As for `Orthanc`.
    cache, offline
        As for `Orthanc`. DICOMweb tells nothing by which a file that was replaced is noticed. So with a connection
        files are read from the cache only if the server is an Orthanc whose own API answers beside its DICOMweb; files
        of any server are kept, and read with ``offline=True``.

    Raises
    ------
    TransportError
        No server answers there, or it does not speak DICOMweb.
    AuthenticationError
        The server requires other credentials.

    See Also
    --------
    Orthanc : The same session through Orthanc's own REST API, which can do more: use it where the server is an Orthanc;
        ``orthanc.dicomweb`` is then the session over DICOMweb.
    Folder : The same session on files, without a server.

    Notes
    -----
    The constructor asks the server for one study, so that a wrong address raises immediately.

    Identifiers, days and names given by `exact` are searched for by the server, everything else is listed and decided
    here. A server that refuses to list needs such a criterion first, as in ``selection={"PatientID": "P7"}``.

    DICOMweb itself cannot tell objects apart that have one UID and different patients (reading the wrong one raises),
    report what has changed (`refresh` reads all that is needed again), or hold labels and metadata. A server may write
    decimal and integer strings as numbers, as Orthanc does; the spelling ``1.50`` is then lost in selections and
    tables, where numbers compare by value. Headers and pixels come from the DICOM files, and are exact.

    What a server hides cannot be found: Orthanc 1.10.1 with ``LimitFindResults`` in its configuration returns that many
    results of a search and one more, and does not mention the others. Series are then searched for study by study;
    hidden studies are reported by a warning, where Orthanc's own API beside ``/dicom-web`` may be asked.

    A tag that a search has never returned for any object may be missing everywhere, or withheld. The metadata of images
    then decide; of more than 60 studies or series without such a tag, 60 are read.

    Examples
    --------
    >>> from simple_orthanc import DicomWeb, LocalOrthanc
    >>> from simple_orthanc.phantom import ct_phantom
    >>> with LocalOrthanc() as server:
    ...     server.connect().upload_dataset(ct_phantom((3, 16, 16))).status.tolist()
    ...     archive = DicomWeb(f"{server.url}/dicom-web", *server.credentials)
    ...     print(archive.select(PatientName="phantom*", Modality="CT").get_array().shape)
    ['stored', 'stored', 'stored']
    (3, 16, 16)
    """

    _profile_kind = "dicomweb"

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
        timeout: tuple[float, float] = (3, 300),
        patience: float = 20.0,
        minimum_rate: float = 100.0,
        cache: str | os.PathLike[str] | Cache | None = None,
        offline: bool = False,
        http: requests.Session | None = None,
    ) -> None:
        # First of all, so that no traceback shows them.
        url, password, auth, token, headers = hide_url(url), hide(password), hide(auth), hide(token), hide(headers)
        transport = open_transport(
            url,
            username,
            password,
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
        rest = Transactions(
            transport,
            qido_prefix=qido_prefix,
            wado_prefix=wado_prefix,
            stow_prefix=stow_prefix,
            delete_prefix=delete_prefix,
        )
        if offline:
            super().__init__(open_offline(cache, transport.url), selection=selection)
        else:
            self._start(DicomWebSource(transport, rest, cache=as_cache(cache)), selection)

    def _start(self, source: DicomWebSource, selection: Mapping[str, Any] | None = None) -> None:
        source.connect()
        super().__init__(source, selection=selection)

    @classmethod
    def _below(cls, transport: Transport, root: str, cache: Cache | None = None) -> DicomWeb:
        """Open a session through an existing connection, on a service below its address."""
        session = cls.__new__(cls)
        rest = Transactions(transport, qido_prefix=root, wado_prefix=root, stow_prefix=root, delete_prefix=root)
        session._start(DicomWebSource(transport, rest, root, cache))
        return session

    @property
    def _dicomweb(self) -> DicomWebSource:
        source = archive_of(self._source)
        check_online(source)
        assert isinstance(source, DicomWebSource)
        return source

    @property
    def rest(self) -> Transactions:
        """The transactions of DICOMweb, named as in PS3.18: search, retrieve, store and delete.

        Examples
        --------
        >>> from simple_orthanc.dicomweb import text
        >>> studies = dicomweb.rest.search_studies({"PatientID": "EX-003"})
        >>> [text(study, "StudyDate") for study in studies]
        ['20230309']
        """
        return self._dicomweb.rest

    def _store(self) -> CheckedStore:
        source = self._dicomweb
        return CheckedStore(self.rest, source.connect, source.transport.patience.pauses)

    def _uploader(self) -> Uploader:
        return Uploader(self._store())

    def _delete_object(self, level: Level, key: str) -> bool:
        return self._dicomweb.delete(level, key)

    def _is_alive(self) -> bool:
        return self._store().is_alive()
