"""DICOM modalities of an Orthanc server: C-ECHO, C-FIND, C-MOVE, C-GET, C-STORE and storage commitment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import TagLike
from simple_orthanc.errors import ServerError
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.remote import queries
from simple_orthanc.rest.remote.checked_jobs import check_sent, start_checked
from simple_orthanc.rest.remote.commitment import Commitment
from simple_orthanc.rest.remote.configured import ConfiguredMachines, Machine
from simple_orthanc.rest.remote.dimse import check_dimse_status, check_how, check_timeout, without_none
from simple_orthanc.rest.remote.explaining import explained
from simple_orthanc.rest.remote.finding import (
    UNIQUE_KEYS,
    find_rows,
    listed_uids,
    read_question,
    to_frame,
    warn_of_limit,
)
from simple_orthanc.rest.remote.modality_worklist import find_worklist
from simple_orthanc.rest.remote.queries import Answers
from simple_orthanc.rest.remote.resources import instance_uids, naming_unknown_ids
from simple_orthanc.rest.remote.retrieving import FIRST_WITH_GET, check_arrived, read_retrieval
from simple_orthanc.transport.secret import Secret

if TYPE_CHECKING:
    import pandas as pd

# An AE title is at most 16 characters without backslash and control characters (PS3.5, table 6.2-1).
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}\Z")
_LONGEST_TITLE = 16

# Versions without C-GET may answer a C-MOVE at its end, which takes as long as the transfer.
_LONGEST_MOVE = 6 * 3600.0


class Modality(Machine):
    """A DICOM modality, such as a PACS, that an Orthanc server knows by a name.

    The server speaks to it; its own AE title must be known to the modality, which otherwise may refuse.

    Examples
    --------
    >>> pacs = orthanc.modalities["PACS"]
    >>> pacs.echo()
    >>> pacs.find("study", PatientID="EX-001")[["StudyDate", "StudyDescription"]]
       StudyDate StudyDescription
    0 2022-03-01          MR head
    1 2022-09-06          MR head
    >>> pacs.store(orthanc.select(SeriesDescription="PET FDG")).state
    'Success'
    """

    kind = "modality"
    route = "/modalities"

    def echo(self, timeout: int = 10) -> None:
        """Check by C-ECHO whether the modality answers.

        Parameters
        ----------
        timeout : int, default 10
            Seconds that the server waits for it.

        Raises
        ------
        ServerError
            It does not answer, or refuses; the message has the reason.
        NotFoundError
            The server does not know it any more.

        Examples
        --------
        >>> orthanc.modalities["PACS"].echo()
        """
        check_timeout(timeout)
        try:
            self._rest.post(f"{self._path}/echo", {"Timeout": timeout}, timeout=timeout + 60)
        except ServerError as error:
            raise explained(error, f"The modality {self.name!r} did not answer a C-ECHO") from None

    def find(
        self,
        level: Level = "study",
        /,
        *columns: TagLike,
        as_written: bool = False,
        timeout: int | None = None,
        **tags: Any,
    ) -> pd.DataFrame:
        """List by C-FIND what the modality holds.

        Parameters
        ----------
        level : {"patient", "study", "series", "instance"}
            One row for each object of this level.
        *columns
            Tags in any spelling; default: those that people look at, and all UIDs, which `retrieve` needs.
        as_written : bool, default False
            Send strings as they are, so that the modality finds them by itself. By default only UIDs, PatientID,
            AccessionNumber, StudyID, StudyDate and strings given by `simple_orthanc.exact` are sent, since modalities
            differ in whether case matters, and all else is decided here. True is quicker on a large archive, and
            misses what the modality does not take for a match.
        timeout : int, optional
            Seconds that the server waits for each answer of the modality.
        **tags
            What the objects must satisfy, with the values of `Session.select`: strings with wildcards, lists, ranges
            ``(low, high)``, dates, regular expressions, functions. Of the level or of one above it.

        Returns
        -------
        pandas.DataFrame
            Typed as by `Session.table`, in the same order, each object once.

        Raises
        ------
        SelectionError, UnknownTagError
            A tag or a value is not possible; before the first request.
        UnsupportedError
            The modality leaves out a tag that decides.
        ServerError
            It does not answer, or refuses.

        Warns
        -----
        UserWarning
            It may have limited its answers: their number shows it, or it says that there is more than it lists.

        Notes
        -----
        Series are asked for study by study, and instances series by series, since a modality need not understand
        anything else: narrow by tags of the study. What the modality left out of its answers is NA, with a warning if
        the column was asked for. The query is removed from the server afterwards.

        Examples
        --------
        >>> pacs = orthanc.modalities["PACS"]
        >>> pacs.find("study", PatientName="ahlberg*", StudyDate=("20220901", None))[["PatientName", "StudyDate"]]
            PatientName  StudyDate
        0  Ahlberg^Anna 2022-09-06
        """
        check_timeout(timeout)
        question = read_question(level, columns, tags, as_written)
        label = f"modality {self.name!r}"

        def ask(level: Level, keys: Mapping[str, str]) -> Answers:
            answers = queries.find(self._rest, self.name, level, keys, timeout=timeout)
            warn_of_limit(answers, level, keys, label)
            return answers

        return to_frame(find_rows(ask, question, label), question, label)

    def find_worklist(
        self, *columns: TagLike, as_written: bool = False, timeout: int | None = None, **tags: Any
    ) -> pd.DataFrame:
        """List the worklist that the modality offers.

        Parameters
        ----------
        *columns
            Tags in any spelling, of the entry or of its scheduled procedure step; default: those that people look at.
        as_written, timeout
            As for `find`.
        **tags
            What the entries must satisfy, with the values of `Session.select`, such as ``Modality="CT"`` or
            ``ScheduledProcedureStepStartDate="20260131"``.

        Returns
        -------
        pandas.DataFrame
            Typed as by `Session.table`: one row for each scheduled procedure step, in the order of their start.

        Raises
        ------
        SelectionError, UnknownTagError, UnsupportedError
            As for `find`.
        ServerError
            The modality does not answer, or offers no worklist.

        See Also
        --------
        Orthanc.worklists : The worklist that this Orthanc itself offers.

        Examples
        --------
        >>> steps = orthanc.modalities["PACS"].find_worklist(PatientName="costa*")
        >>> steps[["PatientName", "AccessionNumber"]]
           PatientName AccessionNumber
        0  Costa^Clara           A0009
        """
        check_timeout(timeout)
        label = f"modality {self.name!r}"

        def ask(query: Mapping[str, Any]) -> Any:
            body = without_none({"Query": query, "Timeout": timeout})
            try:
                return self._rest.post(f"{self._path}/find-worklist", body, idempotent=True, patience=0)
            except ServerError as error:
                raise explained(error, f"The {label} did not answer about its worklist") from None

        return find_worklist(ask, columns, tags, as_written, label)

    def retrieve(
        self,
        what: Any = None,
        /,
        *,
        how: Literal["move", "get"] = "move",
        level: Level | None = None,
        target: str | None = None,
        timeout: int | None = None,
        wait: bool = True,
        **tags: Any,
    ) -> Job:
        """Bring objects from the modality to this Orthanc.

        Parameters
        ----------
        what : DataFrame, dict or list of dict, optional
            Rows of `find`, with the UIDs down to their level; a patient is all its studies.
        how : {"move", "get"}
            By C-MOVE, for which the modality must know the AE title, host and port of this Orthanc, or by C-GET, for
            which it need not (Orthanc 1.12.6).
        level : {"study", "series", "instance"}, optional
            Retrieve whole objects of this level; default: the deepest whose UIDs are given.
        target : str, optional
            The AE title that receives them by C-MOVE; default: this Orthanc.
        timeout : int, optional
            Seconds that the server waits for each answer of the modality.
        wait : bool, default True
            Whether to wait for the end; Ctrl-C then cancels the job. False: the job that is returned goes on, and its
            `wait` checks it.
        **tags
            What to retrieve, as for `find`, instead of rows.

        Returns
        -------
        Job
            Its end is checked: all instances that the modality lists are then held here. For another `target` only
            what the modality reports is known.

        Raises
        ------
        EmptySelectionError
            The modality holds nothing of that kind.
        SelectionError
            Rows lack UIDs.
        UnsupportedError
            This version of Orthanc has no C-GET.
        JobError
            The retrieval failed, or something did not arrive, although the modality may report success.

        Examples
        --------
        >>> pacs = orthanc.modalities["PACS"]
        >>> series = pacs.find("series", PatientID="EX-001", SeriesDescription="T2*")
        >>> pacs.retrieve(series).state
        'Success'
        >>> orthanc.refresh().select(PatientID="EX-001").series_count
        2
        """
        check_timeout(timeout)
        check_how(self._rest, how, target)
        label = f"the modality {self.name!r}"
        find = partial(self.find, timeout=timeout)
        retrieval = read_retrieval(what, level, tags, find, label)
        body: dict[str, Any] = {"Level": retrieval.level.capitalize(), "Resources": retrieval.resources()}
        if target is not None:
            body["TargetAet"] = target
        if timeout is not None:
            body["Timeout"] = timeout

        def check(job: Job) -> None:
            check_dimse_status(job, label)
            if target is None or target == self._rest.get("/system").get("DicomAet"):
                check_arrived(self._rest, retrieval, find, job, label)

        return start_checked(
            self._rest,
            f"{self._path}/{how}",
            body,
            check,
            f"The retrieval from {label} failed",
            wait=wait,
            timeout=None if self._rest.capabilities.version >= FIRST_WITH_GET else _LONGEST_MOVE,
        )

    def store(
        self,
        what: Any,
        *,
        everything: bool = False,
        commit: bool = False,
        timeout: int | None = None,
        local_aet: str | None = None,
        wait: bool = True,
    ) -> Job:
        """Send objects of this Orthanc to the modality by C-STORE.

        Parameters
        ----------
        what : session, str, object with ``id``, or list of these
            A session sends exactly what it selects; a string is the Orthanc id of a patient, study, series or
            instance.
        everything : bool, default False
            Whether a session that was never narrowed is allowed.
        commit : bool, default False
            Ask the modality to confirm that it keeps each object (storage commitment), and wait for its report.
        timeout : int, optional
            Seconds that the server waits for each answer of the modality.
        local_aet : str, optional
            The AE title that the server calls itself; default: that of its configuration.
        wait : bool, default True
            Whether to wait for the end; Ctrl-C then cancels the job. False: the job that is returned goes on, and its
            `wait` checks it.

        Returns
        -------
        Job
            ``content["InstancesCount"]`` instances were sent. Storing what is there already does no harm.

        Raises
        ------
        SelectionError, EmptySelectionError
            Nothing is selected, or the session is on another server.
        NotFoundError
            The server does not hold an id.
        JobError
            The modality did not take, or with `commit` does not keep, every instance.

        Examples
        --------
        >>> pet = orthanc.select(SeriesDescription="PET FDG")
        >>> job = orthanc.modalities["PACS"].store(pet)
        >>> job.state, job.content["InstancesCount"]
        ('Success', 40)
        """
        check_timeout(timeout)
        ids = self._find_resources(what, everything)
        body = without_none(
            {
                "Resources": ids,
                # Otherwise Orthanc reports success if the modality is down.
                "Permissive": False,
                "Timeout": timeout,
                "LocalAet": local_aet,
                "StorageCommitment": commit or None,
            }
        )

        asked = instance_uids(self._rest, ids) if commit else []

        def check(job: Job) -> None:
            check_sent(job)
            if commit:
                Commitment(self._rest, str(job.content["StorageCommitmentTransactionUID"]), self.name, asked).wait()

        failed = f"Sending to the modality {self.name!r} failed"
        with naming_unknown_ids(self._rest, ids):
            return start_checked(self._rest, f"{self._path}/store", body, check, failed, wait=wait)

    def is_alive(self) -> bool:
        """Check by C-ECHO whether the modality answers within the time that its configuration allows, usually 10 s.

        Examples
        --------
        >>> orthanc.modalities["PACS"].is_alive()
        True
        """
        try:
            self._rest.post(f"{self._path}/echo", {})
        except ServerError:
            return False
        return True

    def instance_uids(self, study: str, series: str) -> set[str]:
        """Ask by C-FIND for the SOPInstanceUIDs that the modality lists of a series.

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
        >>> pacs = orthanc.modalities["PACS"]
        >>> ct = orthanc.select(PatientID="EX-002", Modality="CT")
        >>> uids = pacs.instance_uids(ct.StudyInstanceUIDs[0], ct.SeriesInstanceUIDs[0])
        >>> uids == set(ct.SOPInstanceUIDs)
        True
        """
        keys = {UNIQUE_KEYS["study"]: study, UNIQUE_KEYS["series"]: series, UNIQUE_KEYS["instance"]: ""}
        return listed_uids(queries.find(self._rest, self.name, "instance", keys).answers, series)

    def commit(self, what: Any, *, everything: bool = False, timeout: int | None = None) -> Commitment:
        """Ask the modality to confirm that it keeps objects that it was sent (storage commitment).

        Parameters
        ----------
        what, everything, timeout
            As for `store`.

        Returns
        -------
        Commitment
            `Commitment.wait` waits for the report.

        Raises
        ------
        ServerError
            The modality does not answer, or offers no storage commitment.

        Examples
        --------
        >>> pacs = orthanc.modalities["PACS"]
        >>> ct = orthanc.select(PatientID="EX-002", Modality="CT")
        >>> commitment = pacs.commit(ct)
        >>> commitment.wait().status
        'Success'
        """
        check_timeout(timeout)
        ids = self._find_resources(what, everything)
        body = without_none({"Resources": ids, "Timeout": timeout})
        asked = instance_uids(self._rest, ids)
        try:
            with naming_unknown_ids(self._rest, ids):
                answer = self._rest.post(f"{self._path}/storage-commitment", body)
        except ServerError as error:
            raise explained(error, f"The modality {self.name!r} took no request for storage commitment") from None
        return Commitment(self._rest, str(answer["ID"]), self.name, asked)


class Modalities(ConfiguredMachines[Modality]):
    """The DICOM modalities that an Orthanc server knows, as a mapping from their names.

    See `ConfiguredMachines` for what all such mappings do.

    Examples
    --------
    >>> orthanc.modalities["ARCHIVE"] = {"AET": "ARCHIVE", "Host": "10.0.0.7", "Port": 104}
    >>> list(orthanc.modalities)
    ['ARCHIVE', 'PACS']
    >>> del orthanc.modalities["ARCHIVE"]
    """

    _machine = Modality
    _attribute = "modalities"
    _fields = (
        *("AET", "Host", "Port", "Manufacturer", "LocalAet", "Timeout", "UseDicomTls", "RetrieveMethod"),
        *("AllowEcho", "AllowFind", "AllowFindWorklist", "AllowGet", "AllowMove", "AllowStore", "AllowNAction"),
        *("AllowEventReport", "AllowNEventReport", "AllowStorageCommitment", "AllowTranscoding"),
    )
    _in_list = ("AET", "Host", "Port", "Manufacturer")

    def _fault(self, options: Secret) -> str:
        fields = options.reveal()
        missing = [name for name in ("AET", "Host", "Port") if name not in fields]
        if missing:
            return f'it lacks {", ".join(missing)}: give aet="PACS", host="10.0.0.7", port=104.'
        for name in ("AET", "LocalAet"):
            title = fields.get(name, "-")
            # Servers list an empty LocalAet where none is configured.
            if name == "LocalAet" and title == "":
                continue
            if not isinstance(title, str) or not _AE_TITLE.match(title) or not title.strip():
                return f"{name}={title!r} is no AE title: at most {_LONGEST_TITLE} ASCII characters, no backslash."
        host, port = fields["Host"], fields["Port"]
        if not isinstance(host, str) or not host or re.search(r"[\s/]", host):
            return f"Host={host!r} is neither a name nor an address."
        if not _is_port(port):
            return f"Port={port!r} is not an integer from 1 to 65535."
        return ""


def _is_port(port: Any) -> bool:
    return isinstance(port, int) and not isinstance(port, bool) and 1 <= port <= 65535
