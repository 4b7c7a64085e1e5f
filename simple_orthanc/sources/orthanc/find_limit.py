"""Detects whether ``LimitFindResults`` may have truncated a find, which the server does not report.

A find that returned fewer objects than another one was not truncated. So some objects are requested beside the first
find, where that costs the server little; then no further page has to be awaited only to find it empty. Before Orthanc
1.12.5 the limit applies before paging: there, one more object beyond those returned shows that a find was complete.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.rest import Rest
from simple_orthanc.rest.levels import ORTHANC_LEVEL
from simple_orthanc.sources.orthanc.answers import ask, is_ids
from simple_orthanc.transport import Transport

PAGES_WHOLE = (1, 12, 5)
"""From this version on, a find can be paged to its end whatever the value of LimitFindResults."""

MAX_UIDS = 400
"""How many UIDs one find may list: SQLite takes a bounded number of parameters."""

CHILDREN: dict[Level, str] = {"study": "Studies", "series": "Series", "instance": "Instances"}
"""The field in which an object lists its children of a level."""

# How many objects are requested beside the first find.
_SHOWN = 128
# From this many instances on, two requests about a few studies take less time than one that goes through all instances.
_LARGE = 5000
# The same for a distant server, beside another request.
_LARGE_FAR_AWAY = 50_000

_STUDY_UID = parse_tag("StudyInstanceUID")


@dataclass
class Observed:
    """What has been observed of a server.

    Attributes
    ----------
    counts : mapping
        How many objects there were at each level when they were last counted; empty before that.
    largest_page : dict
        The largest page that a find of instances (True) or of other objects (False) has returned.
    """

    counts: Mapping[Level, int] = field(default_factory=dict)
    largest_page: dict[bool, int] = field(default_factory=dict)


class FindLimit:
    """Detects whether finds on one server are truncated. Several threads may use it.

    Parameters
    ----------
    transport : Transport
        The connection.
    rest : Rest
        The REST API over it, for what the server can do.
    page : callable
        Called with level, query, start and length; returns a page of a find.
    studies : callable
        Called with start and length; returns a page of the list of all studies.
    counts : callable
        Returns how many objects there are at each level.
    observed : Observed
        What is known of the server, to be added to.
    """

    def __init__(
        self,
        transport: Transport,
        rest: Rest,
        page: Callable[[Level, dict[str, str], int, int], Sequence[Mapping[str, Any]]],
        studies: Callable[[int, int], Sequence[Mapping[str, Any]]],
        counts: Callable[[], Mapping[Level, int]],
        observed: Observed,
    ) -> None:
        self._transport, self._rest, self._observed = transport, rest, observed
        self._page, self._studies, self._counts = page, studies, counts
        self._lock = threading.Lock()

    def note(self, level: Level, count: int) -> int:
        """Note how many objects a page of a find has returned; return the size of the largest page before it."""
        is_instance, largest_page = level == "instance", self._observed.largest_page
        with self._lock:
            largest = largest_page.get(is_instance, 0)
            largest_page[is_instance] = max(largest, count)
        return largest

    def is_shown_beside(self, level: Level) -> bool:
        """Check whether it pays to request some objects beside a find."""
        if (level == "instance") in self._observed.largest_page:
            return False
        if self._rest.capabilities.version >= PAGES_WHOLE:
            return self._rest.capabilities.extended_find
        # It takes the server longer, but less than one more round trip if the server is far away.
        return level != "instance" and not self._transport.is_nearby

    def show(self, level: Level) -> None:
        """Request some objects, and note how many a find returns at least.

        Raises
        ------
        OrthancError
            They cannot be read.
        """
        counts = self._counts()
        # The limit is the same for patients, studies and series.
        shown: Level = "instance" if level == "instance" else "series"
        count = min(_SHOWN, counts[shown])
        if not count:
            return
        if self._rest.capabilities.version >= PAGES_WHOLE:
            body = {"Level": ORTHANC_LEVEL[shown], "Query": {}, "Since": 0, "Limit": count}
            self.note(level, len(ask(self._transport, "POST", "/tools/find", is_ids, body=body, idempotent=True)))
            return
        query = {}
        if counts["instance"] > _LARGE_FAR_AWAY:
            uids = _study_uids(self._studies(0, count))
            query, count = _in_studies(uids), len(uids)
        if count and self._page(shown, query, count - 1, 1):
            self.note(level, count)

    def may_cut(self, level: Level, answers: Sequence[Mapping[str, Any]], largest: int) -> bool:
        """Check whether a find with these answers may have been truncated, despite paging: before Orthanc 1.12.5.

        It was not if this server has returned a larger page before, or returns an object beyond that many.
        """
        count = len(answers)
        if count < largest:
            return False
        # What was added since is found by `changes`, and comes last in a find on such a server.
        counts = self._counts()
        if counts[level] <= count:
            return False
        # A find goes through all instances of what it matches, so one for the series of a few studies takes no longer
        # in a large archive.
        has_more = level == "study" and _count_children("series", answers) > count
        is_large = counts["instance"] > _LARGE and counts["study"] > count
        if level != "instance" and count < MAX_UIDS and (has_more or is_large):
            uids = _study_uids(answers if has_more else self._studies(0, count + 1))
            return not self._page("series", _in_studies(uids), count, 1)
        levels = (level,) if level == "instance" else LEVELS[: depth(level) + 1]
        return not self._page(next(other for other in levels if counts[other] > count), {}, count, 1)


def _in_studies(uids: Iterable[str]) -> dict[str, str]:
    return {_STUDY_UID.keyword: "\\".join(uids)}


def _study_uids(studies: Iterable[Mapping[str, Any]]) -> list[str]:
    uids = (study.get("MainDicomTags", {}).get(_STUDY_UID.number) for study in studies)
    return sorted({str(uid) for uid in uids if uid})


def _count_children(level: Level, answers: Iterable[Mapping[str, Any]]) -> int:
    return len({child for answer in answers for child in answer.get(CHILDREN[level], ())})
