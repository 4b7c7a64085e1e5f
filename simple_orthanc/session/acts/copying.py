"""Copies of what is selected, instance by instance, from any source to any archive that can be written.

Several instances are on their way at once, each checked against what its source lists, and compared with what the
target holds afterwards. Nothing that the target holds is replaced. What became of each instance is written down at
once, so that the table is true whenever the copying ends, and copying again does what is left.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import OrthancError, SelectionError, TransportError
from simple_orthanc.selection.source import Source, archive_of
from simple_orthanc.session.acts.originals import Original, OriginalError, is_source_alive
from simple_orthanc.session.acts.receiving import Receiver, Unchecked
from simple_orthanc.session.acts.reports import Outcome, Target
from simple_orthanc.session.acts.transfers import Transfer, plan_transfer
from simple_orthanc.sources.folder.source import FolderSource

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.session.base import Session

# What receives the copies limits them; more threads only wait for it.
_WORKERS = 4
# How many are compared with what the target holds at once.
_AT_ONCE = 200


def copy_selection(
    session: Session, to: Session, *, level: Level, everything: bool, dry_run: bool, allow_foreign_uids: bool
) -> pd.DataFrame:
    """Copy exactly what is selected to another archive; parameters and errors as for `Session.send`."""
    check_archives_differ(session, to)
    transfer = plan_transfer(session, level, everything=everything)
    receiver = to._receiver(transfer.instances, allow_foreign_uids)
    if dry_run:
        return transfer.report.planned()
    with transfer.report.attached():
        try:
            copy(session._source, transfer, receiver)
            to._reread()
        except BaseException as error:
            to._reread_after(error)
            raise
    return transfer.report.table()


def check_archives_differ(session: Session, to: Session) -> None:
    """Refuse to copy an archive to itself.

    Raises
    ------
    SelectionError
        Both sessions are on one server, or the one folder is inside the other.
    """
    here, there = archive_of(session._source), archive_of(to._source)
    if isinstance(here, FolderSource) and isinstance(there, FolderSource):
        is_same = Path(os.path.realpath(there.description)).is_relative_to(os.path.realpath(here.description))
    else:
        is_same = not {_address(here), f"{_address(here)}/dicom-web"}.isdisjoint(
            {_address(there), f"{_address(there)}/dicom-web"}
        )
    if is_same:
        raise SelectionError(
            f"send(...): what is selected in {here.description} is part of {there.description} already, so nothing was "
            "sent. Give a session on another archive."
        )


def _address(source: Source) -> str:
    return source.description.rstrip("/").replace("//localhost", "//127.0.0.1")


def copy(source: Source, transfer: Transfer, receiver: Receiver) -> None:
    """Copy instances to what receives them, unless they are there; the report of the transfer has the outcomes.

    Raises
    ------
    TransportError
        The source or the target is gone; ``.table`` reports on each row.
    KeyboardInterrupt
        With the same ``.table``.
    """
    copier = _Copier(source, transfer, receiver)
    scratch = tempfile.TemporaryDirectory(prefix="simple_orthanc_")
    with transfer.report.attached(), transfer.summed_up(), receiver.started(), scratch as path:
        copier.run(Path(path))


class _Copier:
    def __init__(self, source: Source, transfer: Transfer, receiver: Receiver) -> None:
        self._source, self._transfer, self._receiver = source, transfer, receiver

    def run(self, scratch: Path) -> None:
        instances = self._transfer.instances
        taken: list[tuple[Target, Unchecked]] = []
        copies = map_ordered(
            partial(self._one, scratch), instances, workers=_WORKERS, total=len(instances), label="sending"
        )
        # Ended here, whatever happens, and not when the memory of it is freed.
        with closing(copies):  # type: ignore[type-var]
            for instance, unchecked in zip(instances, copies, strict=True):
                if unchecked is not None:
                    taken.append((instance, unchecked))
                if len(taken) == _AT_ONCE:
                    self._check(taken)
                    taken.clear()
        self._check(taken)

    def _one(self, scratch: Path, instance: Target) -> Unchecked | None:
        """Copy one instance, and return what is left to be compared."""
        outcomes = self._transfer.outcomes
        self._transfer.begun.add(instance.key)
        try:
            taken = self._receiver.take(Original(self._source, instance, scratch))
        except OriginalError as trouble:
            if trouble.may_be_the_source and not is_source_alive(self._source, instance):
                raise trouble.error from None
            outcomes[instance.key] = trouble.outcome()
            return None
        except TransportError as error:
            if not error.is_about_object and not self._receiver.is_alive():
                raise
            outcomes[instance.key] = Outcome.failure(error)
            return None
        except OrthancError as error:
            outcomes[instance.key] = Outcome.failure(error)
            return None
        if isinstance(taken, Outcome):
            outcomes[instance.key] = taken
            return None
        outcomes[instance.key] = taken.outcome
        return taken

    def _check(self, taken: Sequence[tuple[Target, Unchecked]]) -> None:
        checked = self._receiver.check([unchecked for _, unchecked in taken])
        for (instance, _), outcome in zip(taken, checked, strict=True):
            self._transfer.outcomes[instance.key] = outcome
