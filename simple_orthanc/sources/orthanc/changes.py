"""What has changed on an Orthanc server since it was last read, from its feed of changes and its counts.

Orthanc writes an entry into ``/changes`` for each instance that it stores, and none for what it deletes: the entries of
a deleted object are deleted with it, and the whole feed can be cleared, after which its numbers continue. So the feed
is believed only if the last entry that was there before is still there: its number alone is not enough, since another
database at the same address has the same numbers. Then every addition has an entry, and whatever is missing from the
counts has been deleted, or overwritten, for which Orthanc deletes and stores again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import SelectionError, ServerError, TransportError
from simple_orthanc.rest.server_time import server_time
from simple_orthanc.selection.source import Changes, Revision
from simple_orthanc.sources.orthanc.answers import ask, has
from simple_orthanc.transport import Transport

_PAGE = 1000
# More pages than this are not worth reading: reading the rows again takes less time.
_MAX_PAGES = 20

# How a server, or a proxy before it, refuses what a user may not have at all.
_NOT_FOR_THIS_USER = (401, 403, 404, 405, 501)

_IS_ENTRY = has(Seq=int)
_IS_PAGE = has(Changes=list, Done=bool)
_IS_NUMBERED_PAGE = has(Changes=list, Done=bool, Last=int)

TYPES = (
    "AnonymizedPatient",
    "AnonymizedSeries",
    "AnonymizedStudy",
    "CompletedSeries",
    "ModifiedPatient",
    "ModifiedSeries",
    "ModifiedStudy",
    "NewInstance",
    "NewPatient",
    "NewSeries",
    "NewStudy",
    "StablePatient",
    "StableSeries",
    "StableStudy",
    "UpdatedAttachment",
    "UpdatedMetadata",
)
"""The types of changes that an Orthanc writes into its feed."""

_LEVELS: dict[str, Level] = {"Patient": "patient", "Study": "study", "Series": "series", "Instance": "instance"}


@dataclass(frozen=True)
class Change:
    """One entry of the feed of changes.

    Attributes
    ----------
    sequence : int
        Its number in the feed. Numbers only grow, and are not used again.
    type : str
        What happened, such as ``"NewInstance"`` or ``"StableSeries"``.
    level : {"patient", "study", "series", "instance"} or None
        The level of the object; None if the entry is about no object.
    id : str
        The server's own identifier of the object.
    date : datetime.datetime or None
        When it happened, by the server's clock, in UTC and to the second; None if that cannot be read.

    Examples
    --------
    >>> change = Change.of({"Seq": 3, "ChangeType": "NewStudy", "ResourceType": "Study", "ID": "4c-1d"})
    >>> change
    Change(sequence=3, type='NewStudy', level='study', id='4c-1d', date=None)
    """

    sequence: int
    type: str
    level: Level | None
    id: str
    date: datetime | None

    @classmethod
    def of(cls, entry: dict[str, Any]) -> Change:
        """Create a change from an entry of the server's answer.

        Examples
        --------
        >>> entry = {"Seq": 7, "ChangeType": "NewSeries", "ResourceType": "Series", "ID": "1ad7"}
        >>> Change.of(entry).sequence
        7
        """
        level = _LEVELS.get(str(entry.get("ResourceType")))
        return cls(entry["Seq"], entry["ChangeType"], level, entry["ID"], server_time(entry.get("Date")))


class LastChange(NamedTuple):
    """The last entry of the feed of changes, by which it shows later whether the feed is still the same one.

    Attributes
    ----------
    number : int
        Its number.
    entry : str
        Date, type and object, which tell it from the entry with this number in another database; "" if the feed was
        empty, or the entry is not known.

    Examples
    --------
    >>> LastChange.of({"Seq": 3, "ChangeType": "NewStudy", "ID": "4c-1d", "Date": "20261130T080000"})
    LastChange(number=3, entry='20261130T080000 NewStudy 4c-1d')
    """

    number: int
    entry: str = ""

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> LastChange:
        """Return the number of an entry of the server's answer, and what tells it from others."""
        return cls(entry["Seq"], " ".join(str(entry.get(name, "")) for name in ("Date", "ChangeType", "ID")))


def read_feed(transport: Transport, since: int, type_: str | None = None, page: int = _PAGE) -> Iterator[list[Change]]:
    """Read the feed page by page to its end.

    Parameters
    ----------
    transport : Transport
        The connection.
    since : int
        The number of the last entry that is known, 0 for the whole feed.
    type_ : str, optional
        The only type that is wanted.
    page : int
        How many entries are asked for at a time.

    Yields
    ------
    list of Change
        The entries of a page, which may be empty: the entries of deleted objects are deleted with them.

    Raises
    ------
    SelectionError
        The feed ends before `since`: the server's database was replaced, or this is another server.
    TransportError
        The server answers the same page again and again.
    """
    while True:
        # Servers before 1.12.5 ignore the type and send all. Several types are not sent: 1.12.7 does not decode the
        # semicolon between them.
        parameters = {"since": since, "limit": page, "type": type_}
        answer = ask(transport, "GET", "/changes", _is_page_of_entries, params=parameters)
        changes = [Change.of(entry) for entry in answer["Changes"] if entry["Seq"] > since]
        if answer["Done"] and answer["Last"] < since:
            raise SelectionError(
                f"The feed of changes of {transport.url} ends with number {answer['Last']}, and what follows number "
                f"{since} was asked for. The server's database was replaced, or this is another server: read the feed "
                f"from its beginning, with since=None."
            )
        yield [change for change in changes if type_ in (None, change.type)]
        if answer["Done"]:
            return
        if answer["Last"] <= since:
            raise TransportError(
                f"{transport.url} answered GET /changes since {since} with a page that is not the last one and ends at "
                f"{answer['Last']}. Check what is between the server and here."
            )
        since = answer["Last"]


def _is_page_of_entries(answer: Any) -> bool:
    is_entry = has(Seq=int, ChangeType=str, ID=str)
    return _IS_NUMBERED_PAGE(answer) and all(map(is_entry, answer["Changes"]))


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


def read_last(transport: Transport) -> LastChange | None:
    """Return the last change; None if this user may not read the feed."""
    try:
        answer = ask(transport, "GET", "/changes", has(), params={"last": ""}, limit="facts_bytes")
    except ServerError as error:
        if error.status in _NOT_FOR_THIS_USER:
            return None
        # A server that is busy, or fails, has a feed: what it holds is not known now.
        raise
    last, entries = answer.get("Last"), answer.get("Changes")
    if not isinstance(last, int):
        return None
    shown: Any = entries[-1] if isinstance(entries, list) and entries else None
    return LastChange.of(shown) if _IS_ENTRY(shown) and shown["Seq"] == last else LastChange(last)


def _current_revision(transport: Transport) -> Revision:
    # Counted after the feed is read: what is stored between the two then looks like a deletion, which does no harm.
    last = read_last(transport)
    return Revision(last, count_all(transport))


def read_changes(transport: Transport, since: Revision) -> Changes:
    """Find out what has changed on the server since a revision."""
    last, before = since.token, since.counts or {}
    if not isinstance(last, LastChange):
        return Changes(_current_revision(transport), None, True)
    if last.number == 0:
        # There was no entry that could still be there. The feed is complete if the server was empty.
        return Changes(_current_revision(transport), None if before.get("instance") else frozenset(), True)
    entries = read_entries(transport, last)
    if entries is None:
        return Changes(_current_revision(transport), None, True)
    new = [entry for entry in entries if entry["Seq"] > last.number]
    stored = [str(entry["ID"]) for entry in new if entry["ChangeType"] == "NewInstance"]
    counts = count_all(transport)
    removed = before.get("instance", 0) + len(stored) != counts["instance"]
    return Changes(Revision(LastChange.of(entries[-1]), counts), frozenset(stored), removed)


def stored_since(transport: Transport, last: LastChange) -> set[str] | None:
    """Return what the entries behind one are about; None if that entry is not there, or if there are too many."""
    entries = read_entries(transport, last) if last.number else None
    return None if entries is None else {str(entry["ID"]) for entry in entries if entry["Seq"] > last.number}


def read_entries(transport: Transport, last: LastChange) -> list[dict[str, Any]] | None:
    """Read the feed from the entry ``last`` on; None if that entry is not there, or if there are too many to read."""
    entries: list[dict[str, Any]] = []
    since = last.number - 1
    for _ in range(_MAX_PAGES):
        page = ask(transport, "GET", "/changes", _IS_PAGE, params={"since": since, "limit": _PAGE})
        entries.extend(page["Changes"])
        if not entries or LastChange.of(entries[0]) != last:
            return None
        if page["Done"] or not page["Changes"]:
            return entries
        since = page["Changes"][-1]["Seq"]
    return None
