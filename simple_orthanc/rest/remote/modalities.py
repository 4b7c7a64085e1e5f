"""DICOM modalities of an Orthanc server: configured, and asked by C-ECHO."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import TagLike
from simple_orthanc.errors import ServerError
from simple_orthanc.rest.remote import queries
from simple_orthanc.rest.remote.configured import ConfiguredMachines, Machine
from simple_orthanc.rest.remote.finding import find_rows, read_question, to_frame
from simple_orthanc.rest.remote.queries import Answers
from simple_orthanc.transport.secret import Secret

if TYPE_CHECKING:
    import pandas as pd

# An AE title is at most 16 characters without backslash and control characters (PS3.5, table 6.2-1).
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}\Z")
_LONGEST_TITLE = 16


class Modality(Machine):
    """A DICOM modality, such as a PACS, that an Orthanc server knows by a name.

    The server speaks to it; its own AE title must be known to the modality, which otherwise may refuse.

    Examples
    --------
    >>> orthanc.modalities.configure("PACS", aet="PACS", host="10.0.0.7", port=104)       # doctest: +SKIP
    <modality 'PACS' of http://127.0.0.1:8042>
    >>> orthanc.modalities["PACS"].echo()                                                # doctest: +SKIP
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
        """
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

        Notes
        -----
        Series are asked for study by study, and instances series by series, since a modality need not understand
        anything else: narrow by tags of the study. What the modality left out of its answers is NA, with a warning if
        the column was asked for. The query is removed from the server afterwards.

        Examples
        --------
        >>> pacs = orthanc.modalities["PACS"]                                            # doctest: +SKIP
        >>> pacs.find("study", PatientName="doe*", StudyDate=("20200101", None))         # doctest: +SKIP
        """
        question = read_question(level, columns, tags, as_written)

        def ask(level: Level, keys: Mapping[str, str]) -> Answers:
            return queries.find(self._rest, self.name, level, keys, timeout=timeout)

        return to_frame(find_rows(ask, question, self.name), question, self.name)


def explained(error: ServerError, failed: str) -> ServerError:
    """Return an error of the DICOM network with what to look at; any other error is returned as it is.

    Parameters
    ----------
    error : ServerError
        What Orthanc reported.
    failed : str
        What failed, as the beginning of a sentence.
    """
    if error.status != 500:
        return error
    details = error.details
    advice = "The server's log may say more."
    for pattern, hint in _ADVICE:
        if pattern in details:
            advice = hint
            break
    return type(error)(
        f"{failed}: {details.rstrip('.') or 'the server gives no reason'}. {advice}",
        status=error.status,
        method=error.method,
        path=error.path,
        details=details,
    )


_REFUSED = "Nothing listens at its host and port: check both in its configuration, and whether it runs."
_ADVICE = (
    ("Association Rejected", "It refused the AE title of this Orthanc (DicomAet) or the AE title it was called by."),
    ("TCP Initialization Error", _REFUSED),
    ("Connection refused", _REFUSED),
    ("read timeout", "It accepted the connection and then was silent: it may not speak DICOM at this port."),
    ("presentation context", "It does not offer this service."),
)


class Modalities(ConfiguredMachines[Modality]):
    """The DICOM modalities that an Orthanc server knows, as a mapping from their names.

    See `ConfiguredMachines` for what all such mappings do.

    Examples
    --------
    >>> orthanc.modalities["PACS"] = {"AET": "PACS", "Host": "10.0.0.7", "Port": 104}    # doctest: +SKIP
    >>> list(orthanc.modalities)                                                         # doctest: +SKIP
    ['PACS']
    >>> del orthanc.modalities["PACS"]                                                   # doctest: +SKIP
    """

    _machine = Modality
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
