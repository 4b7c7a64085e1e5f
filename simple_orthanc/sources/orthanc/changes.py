"""What has changed on an Orthanc server since it was last read, from its feed of changes and its counts.

Orthanc writes an entry into ``/changes`` for each instance that it stores, and none for what it deletes: the entries of
a deleted object are deleted with it, and the whole feed can be cleared, after which its numbers continue. So the feed
is believed only if the last entry that was there before is still there. Then every addition has an entry, and whatever
is missing from the counts has been deleted, or overwritten, for which Orthanc deletes and stores again.
"""

from __future__ import annotations

from typing import Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import ServerError
from simple_orthanc.selection.source import Changes, Revision
from simple_orthanc.sources.orthanc.answers import ask, has
from simple_orthanc.transport import Transport

_PAGE = 1000
# More pages than this are not worth reading: reading the rows again takes less time.
_MAX_PAGES = 20

_IS_PAGE = has(Changes=list, Done=bool)


def count_all(transport: Transport) -> dict[Level, int]:
    """Count everything on the server, at each level."""
    number = (int, str)
    is_right = has(CountPatients=number, CountStudies=number, CountSeries=number, CountInstances=number)
    statistics = ask(transport, "GET", "/statistics", is_right)
    return {
        "patient": int(statistics["CountPatients"]),
        "study": int(statistics["CountStudies"]),
        "series": int(statistics["CountSeries"]),
        "instance": int(statistics["CountInstances"]),
    }


def read_last(transport: Transport) -> int | None:
    """Return the number of the last change; None if this user may not read the feed."""
    try:
        last = ask(transport, "GET", "/changes", has(), params={"last": ""}).get("Last")
    except ServerError:
        return None
    return last if isinstance(last, int) else None


def _current_revision(transport: Transport) -> Revision:
    # Counted after the feed is read: what is stored between the two then looks like a deletion, which does no harm.
    last = read_last(transport)
    return Revision(last, count_all(transport))


def read_changes(transport: Transport, since: Revision) -> Changes:
    """Find out what has changed on the server since a revision."""
    last, before = since.token, since.counts or {}
    if not isinstance(last, int):
        return Changes(_current_revision(transport), None, True)
    if last == 0:
        # There was no entry that could still be there. The feed is complete if the server was empty.
        return Changes(_current_revision(transport), None if before.get("instance") else frozenset(), True)
    entries = _entries(transport, last)
    if entries is None:
        return Changes(_current_revision(transport), None, True)
    stored = [str(entry["ID"]) for entry in entries if entry["ChangeType"] == "NewInstance" and entry["Seq"] > last]
    counts = count_all(transport)
    removed = before.get("instance", 0) + len(stored) != counts["instance"]
    return Changes(Revision(entries[-1]["Seq"], counts), frozenset(stored), removed)


def _entries(transport: Transport, last: int) -> list[dict[str, Any]] | None:
    """Read the feed from the entry ``last`` on; None if that entry is gone, or if there are too many to read."""
    entries: list[dict[str, Any]] = []
    since = last - 1
    for _ in range(_MAX_PAGES):
        page = ask(transport, "GET", "/changes", _IS_PAGE, params={"since": since, "limit": _PAGE})
        entries.extend(page["Changes"])
        if not entries or entries[0]["Seq"] != last:
            return None
        if page["Done"] or not page["Changes"]:
            return entries
        since = page["Changes"][-1]["Seq"]
    return None
