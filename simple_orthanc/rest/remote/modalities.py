"""DICOM modalities of an Orthanc server: configured, and asked by C-ECHO."""

from __future__ import annotations

import re
from typing import Any

from simple_orthanc.errors import ServerError
from simple_orthanc.rest.remote.configured import ConfiguredMachines, Machine
from simple_orthanc.transport.secret import Secret

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
