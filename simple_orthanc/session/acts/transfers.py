"""What is sent, instance by instance, and the rows in which that is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import SelectionError
from simple_orthanc.session.acts.reports import ActReport, Outcome, Target
from simple_orthanc.session.acts.targets import Present, check_narrowed

if TYPE_CHECKING:
    from simple_orthanc.session.base import Session

SENT, THERE, CONFLICT = "sent", "already there", "conflict"
FAILED, GONE, NOT_TRIED = "failed", "gone", "not tried"
_COLUMNS = ("sent_count", "already_there_count", "failed_count")
_NAMED = 2
_MOST_REASONS = 3


@dataclass
class Transfer:
    """The instances of each row, and what became of them.

    Attributes
    ----------
    report : ActReport
        The rows, of level series or instance.
    members : dict
        Key of a row, to its instances.
    outcomes : dict
        Key of an instance, to what became of it; without an entry where nobody knows.
    begun : set
        Keys of the instances that were tried.
    """

    report: ActReport
    members: Mapping[str, Sequence[Target]]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)

    @property
    def rows(self) -> list[Target]:
        """The rows of what is still in the archive."""
        return [target for target in self.report.targets if target.key in self.members and not target.is_gone]

    @property
    def instances(self) -> list[Target]:
        """All instances, in the order of the rows."""
        return [instance for row in self.rows for instance in self.members[row.key]]

    def outcome(self, instance: Target) -> Outcome:
        """Return what is known to have become of an instance."""
        known = self.outcomes.get(instance.key)
        if known is not None:
            return known
        if instance.key in self.begun:
            return Outcome(FAILED, "the transfer ended meanwhile, so it may or may not be sent")
        return Outcome(NOT_TRIED)

    @contextmanager
    def summed_up(self) -> Iterator[None]:
        """Write into the report, at the end of a block however it ends, what is known of each row."""
        try:
            yield
        finally:
            for row in self.rows:
                named = [(str(each.identifiers[-1]), self.outcome(each)) for each in self.members[row.key]]
                self.report.set(row, _row_outcome(named))


def plan_transfer(session: Session, level: Level, *, everything: bool) -> Transfer:
    """List exactly what is selected and still there, as rows of series or of instances.

    Raises
    ------
    SelectionError
        The level is another one; or nothing was selected, so that the whole archive would be meant.
    EmptySelectionError
        Nothing is left in the selection.
    """
    if level not in ("series", "instance"):
        raise SelectionError(f'level={level!r}: what is sent is reported by "series" or by "instance".')
    check_narrowed(session, SENT, everything)
    present = Present(session)
    keys = present.keys("instance")
    instances = present.targets("instance", {key: {"instance": [key]} for key in keys})
    if level == "instance":
        rows, members = instances, {each.key: [each] for each in instances}
    else:
        members = {}
        for each, owner in zip(instances, present.index.up("instance", keys, "series"), strict=True):
            members.setdefault(owner, []).append(each)
        held: dict[str, dict[Level, list[str]]] = {
            owner: {"instance": [each.key for each in found]} for owner, found in members.items()
        }
        rows = present.targets("series", held)
    return Transfer(ActReport(rows + present.gone("instance"), SENT, _COLUMNS), members)


def _row_outcome(named: Sequence[tuple[str, Outcome]]) -> Outcome:
    """Sum up what became of the instances of a row, each with its SOPInstanceUID.

    Examples
    --------
    >>> _row_outcome([("1.2.3", Outcome("sent")), ("1.2.4", Outcome("failed", "refused"))])
    Outcome(status='failed', message='1 of 2 failed (1.2.4): refused', values={'sent_count': 1, \
'already_there_count': 0, 'failed_count': 1}, error=None)
    """
    counts = Counter(outcome.status for _, outcome in named)
    error = next((outcome.error for _, outcome in named if outcome.error is not None), None)
    done = counts[SENT] + counts[THERE]
    values = {"sent_count": counts[SENT], "already_there_count": counts[THERE], "failed_count": len(named) - done}
    if len(counts) == 1:
        (status,) = counts
    elif done == len(named):
        status = SENT
    else:
        status = CONFLICT if done + counts[CONFLICT] == len(named) else FAILED
    return Outcome(status, _reasons(named), values, error)


def _reasons(named: Sequence[tuple[str, Outcome]]) -> str:
    """Return the reasons of what is not plainly done, with the instances that they are about."""
    groups: dict[tuple[str, str], list[str]] = {}
    for uid, outcome in named:
        if outcome.message or outcome.status not in (SENT, THERE):
            groups.setdefault((outcome.status, outcome.message), []).append(uid)
    reasons = []
    for (status, message), uids in list(groups.items())[:_MOST_REASONS]:
        about = f"{len(uids)} of {len(named)} {status}"
        if len(uids) < len(named):
            about += f" ({', '.join(uids[:_NAMED])}{', ...' if len(uids) > _NAMED else ''})"
        reasons.append(": ".join(filter(None, [about if len(groups) > 1 or len(uids) < len(named) else "", message])))
    more = len(groups) - len(reasons)
    return "; ".join(reasons) + (f"; and {more} more reasons" if more else "")
