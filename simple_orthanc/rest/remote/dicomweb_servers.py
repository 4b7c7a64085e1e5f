"""DICOMweb servers that the DICOMweb plugin of an Orthanc server knows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import TagLike
from simple_orthanc.errors import NotFoundError, SelectionError, ServerError, UnknownNameError, UnsupportedError
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.remote.checked_jobs import check_sent, start_checked
from simple_orthanc.rest.remote.configured import (
    JSON_HEADERS,
    ConfiguredMachines,
    Machine,
    hidden_json,
    shown_configuration,
    url_fault,
)
from simple_orthanc.rest.remote.dicomweb_search import search
from simple_orthanc.rest.remote.explaining import explained
from simple_orthanc.rest.remote.finding import UNIQUE_KEYS, find_rows, listed_uids, read_question, to_frame
from simple_orthanc.rest.remote.plugin_routes import needing_plugin
from simple_orthanc.rest.remote.resources import naming_unknown_ids
from simple_orthanc.rest.remote.retrieving import chain_names, check_arrived, read_retrieval
from simple_orthanc.transport.secret import Secret, hide, reveal

if TYPE_CHECKING:
    import pandas as pd

_ROUTE = "/dicom-web/servers"
_PASSED_ON = {
    401: "Check the user and password of its configuration.",
    403: "The user of its configuration may not do this.",
    404: "It has no such object or route, or this Orthanc does not know it any more: check the URL it is known by.",
}


class DicomWebServer(Machine):
    """A DICOMweb server that the plugin of an Orthanc server knows by a name.

    Examples
    --------
    >>> cloud = orthanc.dicomweb_servers["CLOUD"]
    >>> cloud.retrieve(cloud.find("study", PatientID="EX-001", StudyDate="20220906")).state
    'Success'
    >>> orthanc.refresh().select(PatientID="EX-001").SeriesDescriptions
    ['T1 MPRAGE', 'T2 TSE']
    """

    kind = "DICOMweb server"
    route = _ROUTE

    @property
    def configuration(self) -> dict[str, Any]:
        """Its configuration, asked of the server each time; passwords are left out.

        Raises
        ------
        UnknownNameError
            The server does not know it any more, as after a restart.

        Examples
        --------
        >>> cloud = orthanc.dicomweb_servers["CLOUD"]
        >>> cloud.configuration["Url"]
        'http://127.0.0.1:.../dicom-web/'
        """
        known: Mapping[str, Any] = self._rest.get(_ROUTE, params={"expand": ""})
        if self.name not in known:
            raise UnknownNameError(
                f"{self._rest.url} knows no DICOMweb server {self.name!r} any more; it knows "
                f"{', '.join(known) or 'none'}. It forgets what was configured through it when it restarts."
            )
        return shown_configuration(known[self.name])

    def get(
        self, uri: str, arguments: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """GET any route of the DICOMweb server, through this Orthanc.

        Parameters
        ----------
        uri : str
            Below the root of the server, such as ``"/studies"``.
        arguments : dict, optional
            The query.
        headers : dict, optional
            HTTP headers beside those of its configuration, such as ``{"Accept": "application/dicom+json"}``.

        Returns
        -------
        object
            JSON is parsed; strings and bytes are returned as they are.

        Raises
        ------
        ServerError
            The server does not answer, or refuses: its status is that of the error.

        Examples
        --------
        >>> cloud = orthanc.dicomweb_servers["CLOUD"]
        >>> studies = cloud.get("/studies", {"PatientID": "EX-001"})
        >>> len(studies)
        2
        """
        # Before all else, so that no traceback shows its values.
        headers = hide(headers)
        body = Secret({"Uri": uri, "Arguments": dict(arguments or {}), "HttpHeaders": dict(reveal(headers) or {})})
        try:
            return self._rest.post(f"{self._path}/get", hidden_json(body), headers=JSON_HEADERS)
        except ServerError as error:
            raise self._refused(uri, error) from None

    def _refused(self, uri: str, error: ServerError) -> ServerError:
        """Return the error of a request that the plugin passed on: its status is that of the DICOMweb server."""
        if error.status not in _PASSED_ON:
            return explained(error, f"The {self._label} did not answer")
        return type(error)(
            f"The {self._label}, asked by {self._rest.url}, answered {error.status} to {uri}: "
            f"{error.details.rstrip('.') or 'no reason'}. {_PASSED_ON[error.status]}",
            status=error.status,
            method="GET",
            path=uri,
            details=error.details,
        )

    def find(self, level: Level = "study", /, *columns: TagLike, as_written: bool = False, **tags: Any) -> pd.DataFrame:
        """List by QIDO-RS what the DICOMweb server holds.

        Parameters
        ----------
        level : {"study", "series", "instance"}
            One row for each object of this level; QIDO-RS has no patients.
        *columns
            Tags in any spelling; default: those that people look at, and all UIDs, which `retrieve` needs.
        as_written : bool, default False
            As for `Modality.find`.
        **tags
            What the objects must satisfy, with the values of `Session.select`. Of the level or of one above it.

        Returns
        -------
        pandas.DataFrame
            Typed as by `Session.table`, in the same order, each object once.

        Raises
        ------
        SelectionError, UnknownTagError
            A tag, a value or the level is not possible; before the first request.
        UnsupportedError
            The server leaves out a tag that decides.
        ServerError
            It does not answer, or refuses.

        See Also
        --------
        simple_orthanc.DicomWeb : A session on a DICOMweb server, without an Orthanc between.

        Examples
        --------
        >>> cloud = orthanc.dicomweb_servers["CLOUD"]
        >>> cloud.find("study", PatientID="EX-001")[["PatientName", "StudyDate"]]
            PatientName  StudyDate
        0  Ahlberg^Anna 2022-03-01
        1  Ahlberg^Anna 2022-09-06
        """
        question = read_question(level, columns, tags, as_written)
        if question.level == "patient":
            raise SelectionError('A DICOMweb server lists no patients: ask for find("study", "PatientID", ...).')
        return to_frame(find_rows(partial(search, self.get), question, self._label), question, self._label)

    @property
    def _label(self) -> str:
        return f"DICOMweb server {self.name!r}"

    def retrieve(self, what: Any = None, /, *, level: Level | None = None, wait: bool = True, **tags: Any) -> Job:
        """Bring objects from the DICOMweb server to this Orthanc by WADO-RS.

        Parameters
        ----------
        what : DataFrame, dict or list of dict, optional
            Rows of `find`, with the UIDs down to their level.
        level : {"study", "series", "instance"}, optional
            Retrieve whole objects of this level; default: the deepest whose UIDs are given.
        wait : bool, default True
            Whether to wait for the end; Ctrl-C then cancels the job. False: the job that is returned goes on, and its
            `wait` checks it.
        **tags
            What to retrieve, as for `find`, instead of rows.

        Returns
        -------
        Job
            Its end is checked: all instances that the DICOMweb server lists are then held here.

        Raises
        ------
        EmptySelectionError
            The DICOMweb server holds nothing of that kind.
        SelectionError
            Rows lack UIDs.
        JobError
            The retrieval failed, or something did not arrive. What had arrived before an error stays.

        Examples
        --------
        >>> cloud = orthanc.dicomweb_servers["CLOUD"]
        >>> cloud.retrieve(cloud.find("series", PatientID="EX-001", SeriesDescription="T2 TSE")).state
        'Success'
        >>> orthanc.refresh().select(PatientID="EX-001").series_count
        2
        """
        label = f"the {self._label}"
        retrieval = read_retrieval(what, level, tags, self.find, label)
        names = ("Study", "Series", "Instance")
        resources = [dict(zip(names, chain, strict=False)) for chain in retrieval.chains]

        def check(job: Job) -> None:
            check_arrived(self._rest, retrieval, self.find, job, label)

        failed = f"The retrieval from {label} failed"
        return start_checked(self._rest, f"{self._path}/retrieve", {"Resources": resources}, check, failed, wait=wait)

    def store(self, what: Any, *, everything: bool = False, wait: bool = True) -> Job:
        """Send objects of this Orthanc to the DICOMweb server by STOW-RS.

        Parameters
        ----------
        what : session, str, object with ``id``, or list of these
            A session sends exactly what it selects; a string is the Orthanc id of a patient, study, series or
            instance.
        everything : bool, default False
            Whether a session that was never narrowed is allowed.
        wait : bool, default True
            Whether to wait for the end; Ctrl-C then cancels the job. False: the job that is returned goes on, and its
            `wait` checks it.

        Returns
        -------
        Job
            ``content["InstancesCount"]``, a string, is the number of instances that were sent.

        Raises
        ------
        SelectionError, EmptySelectionError
            Nothing is selected, or the session is on another server.
        NotFoundError
            The server does not hold an id.
        JobError
            The DICOMweb server did not take every instance.

        Examples
        --------
        >>> cloud = orthanc.dicomweb_servers["CLOUD"]
        >>> cloud.store(orthanc.select(SeriesDescription="PET FDG")).state
        'Success'
        """
        ids = self._find_resources(what, everything)
        failed = f"Sending to the {self._label} failed"
        with naming_unknown_ids(self._rest, ids):
            return start_checked(self._rest, f"{self._path}/stow", {"Resources": ids}, check_sent, failed, wait=wait)

    def is_alive(self) -> bool:
        """Check whether the DICOMweb server answers a search for one study, be it with a refusal.

        Examples
        --------
        >>> cloud = orthanc.dicomweb_servers["CLOUD"]
        >>> cloud.is_alive()
        True
        """
        try:
            self.get("/studies", {"limit": "1"}, {"Accept": "application/dicom+json"})
        except ServerError as error:
            return error.status in _PASSED_ON
        return True

    def instance_uids(self, study: str, series: str) -> set[str]:
        """Ask by QIDO-RS for the SOPInstanceUIDs that the DICOMweb server lists of a series.

        Parameters
        ----------
        study, series : str
            The UIDs of the series.

        Raises
        ------
        ServerError
            It does not answer, or refuses.

        Examples
        --------
        >>> cloud = orthanc.dicomweb_servers["CLOUD"]
        >>> ct = orthanc.select(PatientID="EX-002", Modality="CT")
        >>> len(cloud.instance_uids(ct.StudyInstanceUIDs[0], ct.SeriesInstanceUIDs[0]))
        40
        """
        keys = {UNIQUE_KEYS["study"]: study, UNIQUE_KEYS["series"]: series, UNIQUE_KEYS["instance"]: ""}
        try:
            return listed_uids(search(self.get, "instance", keys).answers, series)
        except NotFoundError:
            # So Orthanc answers about a series that it does not hold.
            return set()

    def delete(self, study: str, series: str | None = None, instance: str | None = None) -> None:
        """Delete a study, a series or an instance on the DICOMweb server.

        Parameters
        ----------
        study, series, instance : str
            The UIDs down to the object.

        Raises
        ------
        UnsupportedError
            The configuration of the server does not allow it (``has_delete=True``).
        ServerError
            The DICOMweb server refuses, as most do.

        Examples
        --------
        >>> orthanc.dicomweb_servers["CLOUD"].delete("1.2.3")
        Traceback (most recent call last):
            ...
        simple_orthanc.errors.UnsupportedError: The DICOMweb server 'CLOUD' is not configured for deletion, ...
        """
        chain = [uid for uid in (study, series, instance) if uid is not None]
        if (series is None and instance is not None) or not all(chain):
            raise SelectionError("Name the UIDs from the study down to the object: delete(study, series, instance).")
        if str(self.configuration.get("HasDelete", "0")).lower() not in ("1", "true"):
            raise UnsupportedError(
                f"The {self._label} is not configured for deletion, so nothing was deleted. If it allows that, "
                "configure it again with all its options and has_delete=True."
            )
        levels: tuple[Level, ...] = ("study", "series", "instance")
        level = levels[len(chain) - 1]
        body = {"Level": level.capitalize(), **dict(zip(chain_names(level), chain, strict=True))}
        try:
            self._rest.post(f"{self._path}/delete", body)
        except ServerError as error:
            raise explained(error, f"Deleting on the {self._label} failed") from None


class DicomWebServers(ConfiguredMachines[DicomWebServer]):
    """The DICOMweb servers that an Orthanc server knows, as a mapping from their names.

    See `ConfiguredMachines` for what all such mappings do. All of it needs the DICOMweb plugin, and raises
    `UnsupportedError` without it.

    Examples
    --------
    >>> orthanc.dicomweb_servers.configure("ARCHIVE", url="https://dicom.example.org/dicom-web/").name
    'ARCHIVE'
    >>> sorted(orthanc.dicomweb_servers)
    ['ARCHIVE', 'CLOUD']
    >>> del orthanc.dicomweb_servers["ARCHIVE"]
    """

    _machine = DicomWebServer
    _attribute = "dicomweb_servers"
    _fields = (
        *("Url", "Username", "Password", "HttpHeaders", "Timeout", "HasDelete", "ChunkedTransfers"),
        *("HasWadoRsUniversalTransferSyntax", "CertificateFile", "CertificateKeyFile", "CertificateKeyPassword"),
        "Pkcs11",
    )
    _in_list = ("Url", "Username", "Password")

    def _needing_plugin(self) -> AbstractContextManager[None]:
        return needing_plugin(
            "the DICOMweb plugin",
            "Install it on the server (Debian and Ubuntu: sudo apt install orthanc-dicomweb), and start it again.",
        )

    def _fault(self, options: Secret) -> str:
        return url_fault(options)
