"""Sending what is selected from an Orthanc server to a machine of its configuration.

One job for each row, so that what a machine refuses does not keep the rest. A job that reports success is not believed:
a modality is asked by C-FIND, and a DICOMweb server by QIDO-RS, for the instances that it holds, before, so that none
is sent twice, and afterwards. A peer cannot be asked through Orthanc, which the message says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import NotFoundError, SelectionError, ServerError, UnsupportedError
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.jobs.answers import integer
from simple_orthanc.rest.jobs.starting import wait_or_cancel
from simple_orthanc.rest.remote.dicomweb_servers import DicomWebServer
from simple_orthanc.rest.remote.modalities import Modality
from simple_orthanc.rest.remote.peers import Peer
from simple_orthanc.rest.remote.queries import USUAL_LIMIT, may_be_limit
from simple_orthanc.selection.source import Source
from simple_orthanc.session.acts.reports import Outcome, Target
from simple_orthanc.session.acts.transfers import FAILED, GONE, NOT_TRIED, SENT, THERE, Transfer, plan_transfer

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.session.orthanc import Orthanc

AnyMachine: TypeAlias = Modality | Peer | DicomWebServer

_KINDS = {"modality": "modality", "peer": "peer", "dicomweb": "DICOMweb server"}
# A machine may list what it has taken a moment later.
_SECONDS_TO_LIST = 3.0
_PAUSE = 0.2
_MOST_FAILURES = 3


def find_machine(session: Orthanc, target: str) -> AnyMachine:
    """Return the machine of a name.

    Parameters
    ----------
    session : Orthanc
        A session on the server that sends.
    target : str
        Name of a modality, a peer or a DICOMweb server in the server's configuration; ``"modality:NAME"``,
        ``"peer:NAME"`` or ``"dicomweb:NAME"`` where several have one name.

    Raises
    ------
    SelectionError
        There is no such target, or there are two of that name.
    """
    kind, name = _find_name(_known_machines(session), target)
    machine: AnyMachine = _machines(session)[kind][name]
    return machine


def _machines(session: Orthanc) -> dict[str, Mapping[str, Any]]:
    return {"modality": session.modalities, "peer": session.peers, "dicomweb": session.dicomweb_servers}


def _known_machines(session: Orthanc) -> dict[str, list[str]]:
    """Return the names of the machines of each kind."""
    names: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for kind, machines in _machines(session).items():
        # Without the DICOMweb plugin there are no DICOMweb servers.
        with suppress(UnsupportedError):
            names[kind] = list(machines)
    return names


def _find_name(names: Mapping[str, list[str]], target: str) -> tuple[str, str]:
    """Return the kind of machine that a target is, and its name."""
    prefix, _, name = target.partition(":")
    if name in names.get(prefix, ()):
        return prefix, name
    kinds = [kind for kind in _KINDS if target in names[kind]]
    if len(kinds) == 1:
        return kinds[0], target
    if kinds:
        raise SelectionError(
            f"{target!r} is a {' and a '.join(_KINDS[kind] for kind in kinds)}: write "
            f"{' or '.join(f'{kind}:{target}' for kind in kinds)}."
        )
    listed = [f"{kind}:{name}" for kind in _KINDS for name in names[kind]]
    raise SelectionError(
        f"{target!r} is no modality, peer or DICOMweb server in the configuration of this server, which has "
        f"{', '.join(listed) or 'none'}. Nothing was sent."
    )


def send_to_machine(session: Orthanc, target: str, *, level: Level, everything: bool, dry_run: bool) -> pd.DataFrame:
    """Send exactly what is selected to a machine; parameters and errors as for `Orthanc.send`."""
    machine = find_machine(session, target)
    transfer = plan_transfer(session, level, everything=everything)
    if dry_run:
        return transfer.report.planned()
    send_rows(session._source, transfer, machine)
    return transfer.report.table()


def send_rows(source: Source, transfer: Transfer, machine: AnyMachine) -> None:
    """Send each row to a machine; the report of the transfer has the outcomes.

    Raises
    ------
    TransportError
        The server that sends is gone; ``.table`` reports on each row.
    KeyboardInterrupt
        With the same ``.table``; the job that ran is cancelled.
    """
    sender = _Sender(source, transfer, machine)
    with transfer.report.attached(), transfer.summed_up(), progress_bar(len(transfer.instances), "sending") as advance:
        for row in transfer.rows:
            sender.send(row)
            advance(len(transfer.members[row.key]))


class _Sender:
    def __init__(self, source: Source, transfer: Transfer, machine: AnyMachine) -> None:
        self._source, self._transfer, self._machine = source, transfer, machine
        self._label = f"the {machine.kind} {machine.name!r}"
        # Why the machine cannot be asked what it holds.
        self._unlisted = ""
        self._seconds_to_list = _SECONDS_TO_LIST
        self._is_down = False

    def send(self, row: Target) -> None:
        """Send what is not there of one row."""
        members = self._transfer.members[row.key]
        if self._is_down:
            self._set(members, Outcome(NOT_TRIED, f"{self._label} does not answer any more"))
            return
        listed = self._listed(row) or set()
        held = [each for each in members if each.identifiers[-1] in listed]
        self._set(held, Outcome(THERE, f"{self._label} lists its UID, by which alone it can be compared"))
        missing = [each for each in members if each.identifiers[-1] not in listed]
        if missing:
            self._send(row, missing)

    def _set(self, instances: Sequence[Target], outcome: Outcome) -> None:
        self._transfer.outcomes.update({each.key: outcome for each in instances})

    def _send(self, row: Target, instances: Sequence[Target]) -> None:
        self._transfer.begun.update(each.key for each in instances)
        try:
            job = self._run([each.key for each in instances])
        except NotFoundError as error:
            left = self._without_gone(instances, error)
            if left and len(left) < len(instances):
                self._send(row, left)
        except ServerError as error:
            left = self._without_gone(instances, error)
            self._set_failed(row, left, error)
            if len(instances) > 1 and not self._is_down:
                self._send_singly(row, left)
        else:
            self._set_sent(row, instances, integer(job.content.get("InstancesCount")))

    def _send_singly(self, row: Target, instances: Sequence[Target]) -> None:
        """Send the rest of a job that failed: it ends at the first instance that cannot be read, or is refused."""
        failures = 0
        for each in instances:
            if self._transfer.outcome(each).status != FAILED:
                continue
            self._send(row, [each])
            failures = failures + 1 if self._transfer.outcome(each).status == FAILED else 0
            # What refuses one after the other refuses them all.
            if failures == _MOST_FAILURES or self._is_down:
                return

    def _run(self, keys: list[str]) -> Job:
        # The bar of the job is shown where it is the only one.
        job: Job = self._machine.store(keys, wait=False)
        return wait_or_cancel(job, progress=len(self._transfer.rows) == 1, label="sending")

    def _without_gone(self, instances: Sequence[Target], error: ServerError) -> list[Target]:
        """Return the instances that this server still holds; the others are gone."""
        present = {found.key for found in self._source.rows("instance", [each.key for each in instances])}
        left = [each for each in instances if each.key in present]
        self._set([each for each in instances if each.key not in present], Outcome(GONE, "not in the archive any more"))
        self._set(left, Outcome.failure(error))
        return left

    def _set_failed(self, row: Target, instances: Sequence[Target], error: ServerError) -> None:
        """Report on a job that failed, which may have sent some of its instances before."""
        self._is_down = not self._machine.is_alive()
        if self._is_down:
            self._set(
                instances, Outcome(FAILED, f"{error.message} What was sent before that may be there.", error=error)
            )
        listed = set() if self._is_down else self._listed(row) or set()
        self._set([each for each in instances if each.identifiers[-1] in listed], Outcome(SENT))

    def _set_sent(self, row: Target, instances: Sequence[Target], count: int) -> None:
        """Report on a job that reports success."""
        listed = self._listed_at_last(row, {str(each.identifiers[-1]) for each in instances})
        if listed is not None and not _may_be_cut(listed, instances):
            arrived = [each for each in instances if each.identifiers[-1] in listed]
            lost = [each for each in instances if each.identifiers[-1] not in listed]
            self._set(arrived, Outcome(SENT))
            words = f"the job reports success, and {self._label} does not list it: look into its log"
            self._set(lost, Outcome(FAILED, words))
        elif count < len(instances):
            words = f"the job reports success, and {count} of {len(instances)} instances"
            self._set(instances, Outcome(FAILED, words))
        else:
            unlisted = self._unlisted or f"{self._label} may list no more than {len(listed or ())} instances"
            self._set(instances, Outcome(SENT, f"the job reports success, which was not verified: {unlisted}"))

    def _listed(self, row: Target) -> set[str] | None:
        """Return the SOPInstanceUIDs of a series that the machine lists; None if it cannot be asked."""
        if self._unlisted:
            return None
        if isinstance(self._machine, Peer):
            self._unlisted = f"{self._label} cannot be asked what it holds"
            return None
        _, study, series = row.identifiers[:3]
        try:
            return self._machine.instance_uids(study or "", series or "")
        except (ServerError, UnsupportedError) as error:
            self._unlisted = f"{self._label} does not list its instances ({error.message.rstrip('.')})"
            return None

    def _listed_at_last(self, row: Target, expected: set[str]) -> set[str] | None:
        """Return what `_listed` returns, once all that is expected is there, or after some seconds."""
        until = monotonic() + self._seconds_to_list
        while (listed := self._listed(row)) is not None and not expected <= listed:
            if monotonic() > until:
                # What forwards all that it takes lists nothing, and is not waited for again.
                self._seconds_to_list = 0.0
                break
            interruption.pause(_PAUSE)
        return listed


def _may_be_cut(listed: Collection[str], instances: Collection[Target]) -> bool:
    """Check whether a machine may have listed as much as a limit allows it, and not all that it holds."""
    return USUAL_LIMIT <= len(listed) < len(instances) and may_be_limit(len(listed))
