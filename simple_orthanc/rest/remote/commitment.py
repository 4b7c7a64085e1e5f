"""Storage commitment (PS3.4, annex J): a modality confirms, object by object, that it keeps what it was sent."""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from simple_orthanc.concurrency import interruption
from simple_orthanc.errors import JobError, RequestTimeout

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

    from simple_orthanc.rest.api import RestApi

_PAUSE = 0.1
_LONGEST_PAUSE = 1.0
_NAMED_FAILURES = 3
_LEFT_OUT = "not in the report"


class Commitment:
    """A request for storage commitment that a modality has accepted, and its report once that has arrived.

    The modality sends its report over a connection of its own, so it must know the AE title, host and port of this
    Orthanc.

    Attributes
    ----------
    uid : str
        The transaction UID.

    Examples
    --------
    >>> commitment = orthanc.modalities["PACS"].commit(orthanc.select(PatientID="EX-002", Modality="CT"))
    >>> commitment.wait().status
    'Success'
    >>> len(commitment.failures())
    0
    """

    def __init__(self, rest: RestApi, uid: str, modality: str, asked: Collection[str] = ()) -> None:
        self._rest, self.uid, self._modality = rest, uid, modality
        # SOPInstanceUIDs: Orthanc calls a report a success that leaves some of them out.
        self._asked = asked

    def __repr__(self) -> str:
        """Show the modality and the transaction, without a request."""
        return f"<Commitment {self.uid} of {self._modality!r}>"

    @property
    def _path(self) -> str:
        return f"/storage-commitment/{quote(self.uid, safe='')}"

    def _report(self) -> dict[str, Any]:
        answer: dict[str, Any] = self._rest.get(self._path)
        return answer

    @property
    def status(self) -> str:
        """Pending, Success or Failure; asked of the server each time.

        Examples
        --------
        >>> commitment = orthanc.modalities["PACS"].commit(orthanc.select(PatientID="EX-002", Modality="CT"))
        >>> commitment.wait().status
        'Success'
        """
        return str(self._report().get("Status", ""))

    def _unkept(self, report: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the failures of a report, and what it leaves out."""
        failures = list(report.get("Failures") or ())
        told = {item.get("SOPInstanceUID") for item in [*failures, *(report.get("Success") or ())]}
        return [
            *failures,
            *({"SOPInstanceUID": uid, "Description": _LEFT_OUT} for uid in self._asked if uid not in told),
        ]

    def failures(self) -> pd.DataFrame:
        """List the objects that the modality does not keep, or that its report leaves out.

        Returns
        -------
        pandas.DataFrame
            SOPClassUID, SOPInstanceUID and reason.

        Examples
        --------
        >>> commitment = orthanc.modalities["PACS"].commit(orthanc.select(PatientID="EX-002", Modality="CT"))
        >>> commitment.wait().failures().empty
        True
        """
        import pandas as pd

        report = self._report()
        unkept = self._unkept(report) if report.get("Status") != "Pending" else []
        rows = [[item.get("SOPClassUID"), item.get("SOPInstanceUID"), item.get("Description")] for item in unkept]
        return pd.DataFrame(rows, columns=["SOPClassUID", "SOPInstanceUID", "reason"], dtype="string")

    def wait(self, timeout: float = 300.0) -> Self:
        """Wait for the report.

        Parameters
        ----------
        timeout : float, default 300
            Seconds.

        Returns
        -------
        Commitment
            The commitment itself: the modality keeps all objects.

        Raises
        ------
        JobError
            The modality does not keep all objects.
        RequestTimeout
            No report has arrived in time.

        Examples
        --------
        >>> commitment = orthanc.modalities["PACS"].commit(orthanc.select(PatientID="EX-002", Modality="CT"))
        >>> commitment.wait(timeout=60).status
        'Success'
        """
        end, pause = monotonic() + timeout, _PAUSE
        while (report := self._report()).get("Status") == "Pending":
            left = end - monotonic()
            if left <= 0:
                raise RequestTimeout(
                    f"The modality {self._modality!r} has sent no report of storage commitment within {timeout:g} s. "
                    "Check that it knows the AE title, host and port of this Orthanc, or allow longer with timeout=."
                )
            interruption.pause(min(pause, left))
            pause = min(1.5 * pause, _LONGEST_PAUSE)
        failures = self._unkept(report)
        if report.get("Status") == "Success" and not failures:
            return self
        named = ", ".join(
            f"{item.get('SOPInstanceUID')}: {item.get('Description')}" for item in failures[:_NAMED_FAILURES]
        )
        raise JobError(
            f"The modality {self._modality!r} does not keep {len(failures)} of "
            f"{len(failures) + len(report.get('Success') or ())} objects that it was asked to commit to: {named}. "
            "Store them again; failures() lists them all.",
            method="GET",
            path=self._path,
            details=named,
        )

    def remove(self) -> None:
        """Delete from this Orthanc the objects that the modality keeps.

        Raises
        ------
        JobError, RequestTimeout
            As for `wait`: nothing is deleted before all are confirmed.

        Examples
        --------
        >>> commitment = orthanc.modalities["PACS"].commit(orthanc.select(PatientID="EX-002", Modality="CT"))
        >>> commitment.wait().remove()
        >>> orthanc.reset().refresh().select(PatientID="EX-002").Modalities
        ['SEG', 'RTSTRUCT']
        """
        self.wait(0)
        self._rest.post(f"{self._path}/remove", {})
