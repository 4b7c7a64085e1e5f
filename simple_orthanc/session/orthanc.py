"""A session on an Orthanc server."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import requests
from pydicom.dataset import Dataset

from simple_orthanc import tables
from simple_orthanc.errors import AmbiguousSelectionError, OrthancError, SelectionError
from simple_orthanc.index import Index
from simple_orthanc.levels import Level
from simple_orthanc.rest import Rest
from simple_orthanc.session.base import Session
from simple_orthanc.session.uploads import (
    Pending,
    Uploader,
    jobs_for,
    jobs_for_datasets,
    jobs_in_folder,
    report_table,
)
from simple_orthanc.sources.orthanc import OrthancSource
from simple_orthanc.transport import Transport

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


class Orthanc(Session):
    """A session on an Orthanc server, 1.10.1 or later.

    Parameters
    ----------
    host : str, optional
        Name or address, or a whole URL such as ``"https://pacs.example.org/orthanc"``. None: the URL in the environment
        variable ORTHANC_URL, or else 127.0.0.1.
    port : int, optional
        Default 8042.
    username, password : str, optional
        Sent by HTTP basic authentication. If the URL came from ORTHANC_URL and none is given, ORTHANC_USERNAME and
        ORTHANC_PASSWORD.
    selection : dict, optional
        Selected at once: see `Session.selection`.
    auth : requests auth, or callable
        Any authentication that requests takes, or a function without arguments that gives a fresh bearer token.
    token : str, optional
        A bearer token.
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
        Nothing answers there, or what answers is not Orthanc.
    AuthenticationError
        The server wants other credentials.

    Examples
    --------
    >>> from simple_orthanc import Orthanc                                # doctest: +SKIP
    >>> image = Orthanc().select(PatientName='JaneDoe', SeriesDescription='ct_scan').get_array()   # doctest: +SKIP
    """

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
        timeout: tuple[float, float] = (5, 300),
        http: requests.Session | None = None,
    ) -> None:
        url, from_environment = _url(host, port)
        if from_environment and username is None and password is None and auth is None and token is None:
            username, password = os.environ.get("ORTHANC_USERNAME"), os.environ.get("ORTHANC_PASSWORD")
        if username is not None or password is not None:
            if auth is not None:
                raise SelectionError("Give either username and password or auth, not both.")
            auth = (username or "", password or "")
        transport = Transport(
            url, auth=auth, token=token, headers=headers, verify=verify, cert=cert, timeout=timeout, http=http
        )
        source = OrthancSource(transport)
        source.rest.connect()
        source.watch()
        super().__init__(source, selection=selection)

    @property
    def _orthanc(self) -> OrthancSource:
        source = self._source
        assert isinstance(source, OrthancSource)
        return source

    @property
    def rest(self) -> Rest:
        """The server's REST API: any route by its path."""
        return self._orthanc.rest

    @property
    def interface(self) -> Interface:
        """What the server's own index holds."""
        return Interface(self._orthanc.main_dicom_tags)

    def upload_file(self, file: Any, test_dicom: bool = True) -> pd.DataFrame:
        """Upload a file, several files, a zip, or the bytes of a file.

        Parameters
        ----------
        file : str, Path, bytes, or list of these
            The members of a zip are uploaded one by one.
        test_dicom : bool
            Look at each file first, and send only what is DICOM; False leaves that to the server.

        Returns
        -------
        pandas.DataFrame
            One row per file: path, member (of a zip), status (stored, already stored, conflict, not DICOM, filtered,
            failed, skipped), SOPInstanceUID, message.

        Raises
        ------
        TransportError
            The server went away; ``.table`` says what became of each file. Uploading again does no harm.

        Notes
        -----
        The criteria of the selection stay as they are, and are applied to what was uploaded too.
        """
        return self._upload(jobs_for(file), test_dicom)

    def upload_folder(self, folder: str | Path, test_dicom: bool = True, recursive: bool = False) -> pd.DataFrame:
        """Upload the files in a folder, whatever they are called.

        Parameters
        ----------
        folder : str or Path
            Nothing in it is changed.
        test_dicom : bool
            As for `upload_file`.
        recursive : bool
            Whether to enter folders inside it; those not entered are rows of the table too.
        """
        return self._upload(jobs_in_folder(folder, recursive), test_dicom)

    def upload_dataset(self, dataset: Dataset | Sequence[Dataset]) -> pd.DataFrame:
        """Upload a pydicom Dataset, or several; none is changed, and no file of theirs is touched."""
        datasets = list(dataset) if isinstance(dataset, Sequence) else [dataset]
        return self._upload(jobs_for_datasets(datasets), True)

    upload_pydicom_dataset = upload_dataset

    def _upload(self, pending: Any, test_dicom: bool) -> pd.DataFrame:
        jobs: list[Pending] = list(pending)
        source = self._orthanc
        try:
            table = report_table(Uploader(source.store, source.checksum, self._alive).run(jobs, test_dicom))
        except BaseException:
            # What is known of the archive is out of date, and perhaps nobody answers who could tell more.
            self._index = Index(source)
            raise
        self._reread()
        return table

    def _alive(self) -> bool:
        try:
            self.rest.get("/system")
        except OrthancError:
            return False
        return True

    def delete_selected_patient(self, *, everything: bool = False) -> Orthanc:
        """Delete the one selected patient from the server, with all its studies, selected or not.

        Parameters
        ----------
        everything : bool
            True deletes all selected patients, and allows a selection that was never narrowed.

        Raises
        ------
        EmptySelectionError, AmbiguousSelectionError
            Not exactly one patient is selected; nothing was deleted.
        SelectionError
            Nothing was selected, so the whole archive would be meant; nothing was deleted.
        """
        return self._delete("patient", everything)

    def delete_selected_study(self, *, everything: bool = False) -> Orthanc:
        """Delete the one selected study from the server, with all its series, selected or not."""
        return self._delete("study", everything)

    def delete_selected_series(self, *, everything: bool = False) -> Orthanc:
        """Delete the one selected series from the server, with all its instances, selected or not."""
        return self._delete("series", everything)

    def _delete(self, level: Level, everything: bool) -> Orthanc:
        if not self._selection.criteria and not everything:
            raise SelectionError(
                f"Nothing was selected, so deleting would mean the whole archive. Narrow to one {level} with "
                f"select(...), or say delete_selected_{level}(everything=True)."
            )
        keys = tables.row_keys(self._index, self._selection, level)
        if not keys:
            raise self._empty()
        if len(keys) > 1 and not everything:
            raise AmbiguousSelectionError(
                f"{len(keys)} objects of level {level} are selected, and delete_selected_{level}() deletes one. "
                f"Nothing was deleted. Narrow to one, or say delete_selected_{level}(everything=True).",
                candidates=tuple(keys),
            )
        try:
            for key in keys:
                self._orthanc.delete(level, key)
        finally:
            self._reread()
        return self

    def _reread(self) -> Orthanc:
        """Read the archive anew; that what was deleted is no longer found needs no warning."""
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return self.refresh()


class Interface:
    """What the server's own index holds, by the predecessor's name.

    Attributes
    ----------
    main_dicom_tags : dict
        Level to list of keywords that the server keeps in its database.
    """

    def __init__(self, main_dicom_tags: dict[Level, list[str]]) -> None:
        self.main_dicom_tags = main_dicom_tags

    def __repr__(self) -> str:
        return f"Interface(main_dicom_tags={self.main_dicom_tags!r})"


def _url(host: str | None, port: int | None) -> tuple[str, bool]:
    """Make the URL; True says that it came from the environment."""
    if host is None and port is None and os.environ.get("ORTHANC_URL"):
        return os.environ["ORTHANC_URL"], True
    host = host or "127.0.0.1"
    if "://" in host:
        if port is None:
            return host, False
        raise SelectionError("A whole URL holds its port itself: give the one or the other.")
    if ":" in host and not host.startswith("["):
        if host.count(":") == 1:
            if port is not None:
                raise SelectionError(
                    f"host={host!r} holds a port, and port={port} is another: give the one or the other."
                )
            return f"http://{host}", False
        host = f"[{host}]"
    return f"http://{host}:{8042 if port is None else port}", False
