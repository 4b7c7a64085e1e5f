"""What the requests to a modality have in common: how they may be asked, and whether they succeeded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import JobError, SelectionError, UnsupportedError
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.remote.retrieving import FIRST_WITH_GET

if TYPE_CHECKING:
    from simple_orthanc.rest import Rest


def check_how(rest: Rest, how: str, target: str | None) -> None:
    """Raise an error unless objects can be retrieved so: by C-GET or C-MOVE, to this Orthanc or to a target."""
    if how not in ("move", "get"):
        raise SelectionError(f'how={how!r} is neither "move" nor "get".')
    if how == "get" and target is not None:
        raise SelectionError('C-GET brings objects to this Orthanc only: leave target out, or give how="move".')
    version = rest.capabilities.version
    if how == "get" and version < FIRST_WITH_GET:
        raise UnsupportedError(
            f"{rest.url} runs Orthanc {'.'.join(map(str, version))}, and C-GET needs 1.12.6 or newer: use "
            'how="move", for which the modality must know the AE title, host and port of this Orthanc.'
        )


def check_dimse_status(job: Job, label: str) -> None:
    """Raise `JobError` if a retrieval reports success, and for one of its objects an error (Orthanc 1.13.0)."""
    content = job.content if isinstance(job.content, dict) else {}
    failed = [detail for detail in content.get("Details") or () if detail.get("DimseErrorStatus")]
    if failed:
        status = ", ".join(sorted({f"0x{int(detail['DimseErrorStatus']):04X}" for detail in failed}))
        raise JobError(
            f"The retrieval from {label} failed for {len(failed)} of {len(content['Details'])} objects with the status "
            f"{status} (PS3.7, annex C). The server's log may say more.",
            method="POST",
            path=job.path,
            details=status,
        )


def check_timeout(timeout: Any) -> None:
    """Raise `SelectionError` unless Orthanc takes a timeout, or it is None."""
    if timeout is not None and (not isinstance(timeout, int) or isinstance(timeout, bool) or timeout < 1):
        raise SelectionError(f"timeout={timeout!r} is not a whole number of seconds, of which Orthanc takes 1 or more.")


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the fields that are None."""
    return {name: value for name, value in fields.items() if value is not None}
