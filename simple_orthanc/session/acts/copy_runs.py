"""One call that makes copies, from the selection to the table."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from simple_orthanc.concurrency import interruption
from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level, depth
from simple_orthanc.selection.index import Index
from simple_orthanc.session.acts.copy_checks import check_identifiers, wrong_values
from simple_orthanc.session.acts.copy_groups import CopyGroup, CopyOrder, group_by_patient
from simple_orthanc.session.acts.copy_traces import Copies
from simple_orthanc.session.acts.making_copies import CopyMaker
from simple_orthanc.session.acts.reports import ActReport, Outcome, Target
from simple_orthanc.session.acts.tag_changes import TagChanges
from simple_orthanc.session.acts.targets import selected_targets
from simple_orthanc.session.orthanc_state import OrthancState

if TYPE_CHECKING:
    import pandas as pd

# By server and patient, while calls copy from the patient or wait to do so.
_locks: WeakValueDictionary[tuple[str, str], threading.Lock] = WeakValueDictionary()
_guard = threading.Lock()

# After so long a wait for its turn, a call checks whether it was interrupted.
_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class CopyOptions:
    """The options of `anonymize` and `modify`, as documented there."""

    level: Level = "series"
    everything: bool = False
    whole: bool = False
    delete_originals: bool = False
    dry_run: bool = False


def copy_columns(level: Level) -> list[str]:
    """Return the columns that tables of copies have beside those of every act."""
    return [f"new_{IDENTIFIERS[above]}" for above in LEVELS[: depth(level) + 1]] + ["orthanc_id", "new_orthanc_id"]


def make_copies(
    session: OrthancState,
    order: CopyOrder,
    changes: TagChanges,
    options: CopyOptions,
    refuse: Callable[[CopyGroup], None],
    remark: Callable[[Target, Copies], str] = lambda target, copies: "",
) -> pd.DataFrame:
    """Make copies of what is selected, and return one row per object.

    Parameters
    ----------
    session : OrthancState
        The session on the server.
    order : CopyOrder
        What is asked of the server.
    changes : TagChanges
        The values that the copies must have.
    options : CopyOptions
        What else was asked for.
    refuse : callable
        Takes what is copied of one patient, and raises an error if it must not be.
    remark : callable, optional
        Takes a row and its copies, and returns what is to be known of them.
    """
    targets = selected_targets(session, options.level, order.done, everything=options.everything, whole=options.whole)
    held = [instance for target in targets if not target.is_gone for instance in target.instances]
    patients = () if options.dry_run else session._index.up("instance", held, "patient")
    with _turn(session.rest.url, patients):
        return _make(session, order, changes, options, refuse, remark, targets)


def _make(
    session: OrthancState,
    order: CopyOrder,
    changes: TagChanges,
    options: CopyOptions,
    refuse: Callable[[CopyGroup], None],
    remark: Callable[[Target, Copies], str],
    targets: list[Target],
) -> pd.DataFrame:
    index = session._index.updated()
    report = ActReport(targets, order.done, copy_columns(options.level))
    maker = CopyMaker(
        session.rest,
        order,
        report,
        refuse=refuse,
        check=lambda copies: wrong_values(session.rest, changes, copies),
        remark=remark,
        is_alive=session._is_alive,
        delete_originals=options.delete_originals,
    )
    groups = group_by_patient(index, _originals(index, report, maker))
    check_identifiers(changes, groups, _counts(index, groups), order.done)
    maker.plan(groups, dry_run=options.dry_run)
    if options.dry_run:
        return report.planned()
    with session._acting(report):
        maker.run(groups)
    return report.table()


@contextmanager
def _turn(server: str, patients: Iterable[str]) -> Iterator[None]:
    """Hold the locks of some patients: calls in several threads copy one after the other, and find earlier copies."""
    with ExitStack() as held:
        # Sorted, so that two calls never wait for each other.
        for patient in sorted(set(patients)):
            with _guard:
                lock = _locks.setdefault((server, patient), threading.Lock())
            while not lock.acquire(timeout=_SECONDS_BETWEEN_LOOKS):
                interruption.check()
            held.callback(lock.release)
        yield


def _originals(index: Index, report: ActReport, maker: CopyMaker) -> list[Target]:
    """Return the targets without copies that are not to be copied, and write down those that hold nothing else."""
    pending = report.pending
    instances = [instance for target in pending for instance in target.instances]
    series_of = dict(zip(instances, index.up("instance", instances, "series"), strict=True))
    copies = maker.copies_among(index, dict.fromkeys(series_of.values()))
    originals = []
    for target in pending:
        others = tuple(instance for instance in target.instances if series_of[instance] not in copies)
        if others:
            originals.append(replace(target, instances=others))
        else:
            report.set(target, Outcome("skipped", copies[series_of[target.instances[0]]]))
    return originals


def _counts(index: Index, groups: Sequence[CopyGroup]) -> dict[Level, int]:
    series = [key for group in groups for key in group.series]
    return {
        "study": len(set(index.up("series", series, "study"))),
        "series": len(series),
        "instance": sum(len(group.instances) for group in groups),
    }
