"""Finding objects on an Orthanc server: whole levels, objects by id, and queries page by page.

What the server is trusted with, and why
----------------------------------------
- ``/tools/find`` is used to transfer fewer rows, never to decide. Wildcards are sent only if the answer is certain to
  contain every match: whatever the server folds in its own way (accents, ``_``, ``%``) is sent as ``*``.
- ``LimitFindResults`` truncates answers silently and is reported nowhere. So every find is paged, and a page counts as
  the last only if it is empty or smaller than a page that this server has already returned. Before Orthanc 1.12.5 the
  limit applies before paging, so there a listing replaces a find that may have been truncated. See
  `simple_orthanc.sources.orthanc.find_limit`.
- Objects deleted while the pages of a find are read move others to pages that were read before. So each page begins
  with the last row of the previous one, and the find starts over if that row is no longer there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from simple_orthanc.concurrency.threads import map_ordered, run_all
from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.errors import NotFoundError, OrthancError, TransportError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.levels import ORTHANC_LEVEL, ROUTE
from simple_orthanc.selection.source import batches
from simple_orthanc.sources.orthanc.answers import ask, has, is_ids, is_objects, raise_if_held
from simple_orthanc.sources.orthanc.changes import count_all
from simple_orthanc.sources.orthanc.find_limit import CHILDREN, MAX_UIDS, PAGES_WHOLE, FindLimit, Observed
from simple_orthanc.transport import Transport, UnusableError

# Rows of a page: many, since the server's work per row stays the same, but not all, since a page is held in memory.
PAGE = 5000
# This many pages are requested at once for this many objects or more; over a slow link, where the first pages arrive
# while the server makes the others, for fewer.
_PAGES_AT_ONCE = 4
_WORTH_PAGES_AT_ONCE, _WORTH_PAGES_FAR_AWAY = 4000, 400
# A find may leave out what is deleted meanwhile: before Orthanc 1.12.5 it looks up the objects of a page one by one. So
# a page that lacks fewer than one in this many of its rows may be full.
_PART_GONE = 10
# How many objects are requested by their ids at once.
MAX_IDS = 200
# An object looked up by its id takes the server this many times as long as one in a listing.
_TIMES_BY_ID = 4
# Up to this many patterns are sent as one find each; for more, the whole level is listed.
_MAX_PATTERNS = 8

# What a find is asked to return for each object (from Orthanc 1.12.5 on).
_CONTENT: dict[Level, list[str]] = {
    "study": ["MainDicomTags", "Parent", "Children"],
    "series": ["MainDicomTags", "Parent", "Children"],
    "instance": ["MainDicomTags", "Parent", "Attachments"],
}
# What only a find returns about an object.
_ONLY_FOUND = frozenset({"Labels", "MetadataQuery"})
PARENT_KEY = {"study": "ParentPatient", "series": "ParentStudy", "instance": "ParentSeries"}
_PARENT_LEVEL: dict[Level, Level] = {"study": "patient", "series": "study", "instance": "series"}

# A character that the server drops leaves nothing that even "?" would match.
_UNSAFE = re.compile(r"[^A-Za-z0-9 .^*,:;()+/-]+")


Arrived = Callable[[Sequence[Mapping[str, Any]]], object]
"""Called with the objects that have arrived."""


class Finder:
    """Finds objects on an Orthanc server, and returns the server's own answers, one for each object.

    Parameters
    ----------
    transport : Transport
        The connection.
    rest : Rest
        The REST API over it, for what the server can do.
    observed : Observed
        What is known of the server, to be added to.
    """

    def __init__(self, transport: Transport, rest: Rest, observed: Observed) -> None:
        self._transport, self._rest, self._observed = transport, rest, observed
        self._limit = FindLimit(
            transport, rest, self._page, partial(self._listed, "study"), self._known_counts, observed
        )

    def count(self) -> Mapping[Level, int]:
        """Count everything, at each level."""
        self._observed.counts = count_all(self._transport)
        return self._observed.counts

    def _known_counts(self) -> Mapping[Level, int]:
        return self._observed.counts or self.count()

    def all(self, level: Level, arrived: Arrived | None = None) -> list[dict[str, Any]]:
        """Return all objects of a level, as many as the server counts.

        Parameters
        ----------
        level : str
            The level of the objects.
        arrived : callable, optional
            Called with the objects of each page, in the thread that has read it, while others are on their way.

        Raises
        ------
        TransportError
            Fewer are found, in every way and in each of a few attempts.
        """
        return self._transport.repeat(lambda: self._all(level, arrived or _ignore))

    def _all(self, level: Level, arrived: Arrived) -> list[dict[str, Any]]:
        answers = self._pages_of_all(level, arrived)
        if not self._is_short(level, len(answers)):
            return answers
        # A proxy may truncate listings, or answer each page with the first one.
        missing = self._ids_in_parents(level) - {answer["ID"] for answer in answers}
        answers = [*answers, *self.by_id(level, missing)]
        if self._is_short(level, len(answers)):
            raise UnusableError(
                TransportError(
                    f"{self._transport.url} lists {len(answers)} of the {self._observed.counts[level]} objects of "
                    f"level {level} that it counts, so objects would be missing. Check what is between the server "
                    "and here."
                )
            )
        return answers

    def _is_short(self, level: Level, count: int) -> bool:
        """Check whether there are fewer objects than the server counts, even if it counts again."""
        counts = self._known_counts()
        return count < counts[level] and count < self.count()[level]

    def _ids_in_parents(self, level: Level) -> set[str]:
        """Return the ids of a level as the objects one level up list them."""
        above = _PARENT_LEVEL[level]
        parents = self.by_id(above, self._ids(above))
        return {str(child) for parent in parents for child in parent.get(CHILDREN[level], ())}

    def _pages_of_all(self, level: Level, arrived: Arrived) -> list[dict[str, Any]]:
        is_find = self._rest.capabilities.extended_find
        # This number decides how they are paged; none is lost if it has changed since.
        total = self._known_counts()[level]

        def read(since: int, limit: int) -> list[dict[str, Any]]:
            page = self._page(level, {}, since, limit) if is_find else self._listed(level, since, limit)
            arrived(page)
            return page

        # Pages may miss what moves from one to another, and LimitFindResults also truncates a find.
        is_checked = is_find or self._number_of_pages(total) > 1
        asked: list[Callable[[], Any]] = [lambda: self._read_at_once(read, total)]
        asked += [lambda: self._ids(level)] if is_checked else []
        objects, *ids = run_all(lambda ask: ask(), asked, workers=2)
        missing = set().union(*ids) - {answer["ID"] for answer in objects}
        return [*objects, *self.by_id(level, missing)]

    def _ids(self, level: Level) -> set[str]:
        """Return all ids of a level at one moment; `OrthancSource.changes` finds what is added later.

        A listing of objects takes several pages, and what is stored or deleted meanwhile moves others from one page to
        another, where they may be missed; LimitFindResults also truncates a find.
        """
        return set(ask(self._transport, "GET", f"/{ROUTE[level]}", is_ids))

    def _listed(self, level: Level, since: int, limit: int) -> list[dict[str, Any]]:
        params = {"expand": "", "short": "", "since": since, "limit": limit}
        return list(filter(None, ask(self._transport, "GET", f"/{ROUTE[level]}", is_objects, params=params)))

    def by_id(self, level: Level, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Return the objects with these ids; one that is gone is left out."""

        def answers(batch: Sequence[str]) -> list[dict[str, Any]]:
            body = {"Resources": list(batch), "Level": ORTHANC_LEVEL[level], "Short": True, "Metadata": False}
            path = "/tools/bulk-content"
            return list(filter(None, ask(self._transport, "POST", path, is_objects, body=body, idempotent=True)))

        # A nearby server takes as long for all of them when they are sent at the same time.
        workers = self._transport.at_once(nearby=1)
        found = run_all(answers, list(batches(list(ids), MAX_IDS)), workers=workers)
        return [answer for each in found for answer in each]

    @property
    def is_quicker_by_id(self) -> bool:
        """Whether objects are found sooner by their ids than by the UIDs of their parents.

        Orthanc 1.10.1 takes 0.05 ms of processor time for each of 10,000 instances by its id, and 0.3 ms in a find.
        """
        return not self._rest.capabilities.extended_find

    def is_listed_sooner(self, level: Level, number: int) -> bool:
        """Check whether listing a whole level is quicker than finding that many of its objects by their ids."""
        return _TIMES_BY_ID * number > self._known_counts()[level]

    def completed(
        self, level: Level, answers: Iterable[dict[str, Any]], expected: Collection[str]
    ) -> list[dict[str, Any]]:
        """Add missing objects to answers that must contain them; one that is gone is left out.

        Raises
        ------
        TransportError
            The server holds an object that none of its listings contain.
        """
        found = list(answers)
        missing = set(expected) - {answer["ID"] for answer in found}
        if not missing:
            return found
        found += self._transport.repeat(lambda: self._missing(level, missing))
        return found

    def _missing(self, level: Level, ids: Collection[str]) -> list[dict[str, Any]]:
        answers = self.by_id(level, ids)
        raise_if_held(self._transport, ROUTE[level], set(ids) - {answer["ID"] for answer in answers})
        return answers

    def below(self, level: Level, parent: str, expected: Collection[str]) -> list[dict[str, Any]]:
        """Return the objects of a level in one object of the level above.

        Parameters
        ----------
        level : str
            The level of the objects.
        parent : str
            Orthanc's id of the object that they are in.
        expected : collection of str
            Ids of objects that are known to be in it.
        """
        if self._rest.capabilities.extended_find:
            options: dict[str, Any] = {PARENT_KEY[level]: parent}
            answers = self.find_expected(level, {}, expected, **options)
        else:
            path = f"/{ROUTE[_PARENT_LEVEL[level]]}/{parent}/{ROUTE[level]}"
            try:
                answers = ask(self._transport, "GET", path, is_objects, params={"expand": "", "short": ""})
            except NotFoundError:
                # Deleted meanwhile: there is nothing below it, as a find would answer.
                answers = []
        answers = self.completed(level, filter(None, answers), expected)
        return answers or self.completed(level, (), self._children(level, parent))

    def _children(self, level: Level, parent: str) -> list[str]:
        """Return the ids of the children of an object for which none were found; none if it is gone."""
        path, name = f"/{ROUTE[_PARENT_LEVEL[level]]}/{parent}", CHILDREN[level]
        try:
            children = ask(self._transport, "GET", path, has(**{name: list}))[name]
        except NotFoundError:
            return []
        if not children:
            raise TransportError(
                f"{self._transport.url} lists nothing in {path}, but no object in Orthanc is empty. Check what is "
                "between the server and here."
            )
        return [str(child) for child in children]

    def find(
        self, level: Level, query: dict[str, str], expected: Collection[str] = (), **options: Any
    ) -> list[dict[str, Any]]:
        """Return at least the objects that match a query.

        Parameters
        ----------
        level : str
            The level of the objects.
        query : dict
            Keyword to value or wildcard pattern.
        expected : collection of str
            Once all these ids have been returned, no further page is requested.
        **options
            Further fields of the request, such as ``ResponseContent``.

        Raises
        ------
        TransportError
            Objects are deleted while the pages are read, in each of a few attempts.
        """
        return self._transport.repeat(lambda: self._find(level, query, set(expected), options))

    def _find(
        self, level: Level, query: dict[str, str], expected: set[str], options: dict[str, Any]
    ) -> list[dict[str, Any]]:
        answers: dict[str, dict[str, Any]] = {}
        page: list[dict[str, Any]] = []
        pages_whole = self._rest.capabilities.version >= PAGES_WHOLE
        while True:
            # A page begins with the last row of the previous one, which shows that no row has moved to an earlier
            # page; unless the server returns one row at a time.
            known = [next(reversed(answers))] if len(page) > 1 else []
            since = len(answers) - len(known)
            if answers or expected:
                page = self._page(level, query, since, PAGE, **options)
            else:
                page = self._first_page(level, query, options)
            if not page and not answers:
                # That nothing matches is believed if the server answers so twice, and if not every find is empty.
                page = self._page(level, query, 0, PAGE, **options)
            before = len(answers)
            answers.update((answer["ID"], answer) for answer in page)
            if expected and answers.keys() >= expected:
                return list(answers.values())
            largest = self._limit.note(level, len(page))
            ids = [answer["ID"] for answer in page]
            if page and len(answers) == before and ids != known:
                # The same page again: something between the server and here ignores where the page begins.
                return self._all_instead(level, options)
            if known != ids[: len(known)]:
                raise UnusableError(_moved(self._transport.url, level))
            full = min(largest, PAGE) if pages_whole else PAGE
            if ids == known or len(page) < full - full // _PART_GONE:
                break
        # The children of one object are compared with what that object lists, and labels are searched at each level.
        is_checked = (
            level == "study" if _ONLY_FOUND & options.keys() else options.get(PARENT_KEY.get(level, "")) is None
        )
        is_hidden = not answers and is_checked and self._finds_nothing(level)
        if is_hidden or (not pages_whole and self._limit.may_cut(level, list(answers.values()), largest)):
            return self._all_instead(level, options)
        return list(answers.values())

    def _first_page(self, level: Level, query: dict[str, str], options: Mapping[str, Any]) -> list[Any]:
        """Read the first page of a find and, beside it, once, what shows that a small page is the last."""

        def show() -> None:
            # Its errors do not matter: what it does not show is requested after the page.
            with suppress(OrthancError):
                self._limit.show(level)

        asked: list[Callable[[], Any]] = [lambda: self._page(level, query, 0, PAGE, **options)]
        asked += [show] if self._limit.is_shown_beside(level) else []
        page: list[Any] = run_all(lambda ask: ask(), asked, workers=len(asked))[0]
        return page

    def _finds_nothing(self, level: Level) -> bool:
        """Check whether even a find without conditions is empty, although the server counts objects."""
        counts = self._known_counts()
        # Before Orthanc 1.12.5 a find goes through the whole level first, and there are few studies.
        if self._rest.capabilities.version < PAGES_WHOLE:
            level = "study"
        return counts[level] > 0 and not self._page(level, {}, 0, 1) and self.count()[level] > 0

    def _all_instead(self, level: Level, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return a whole level in place of a find, if a listing contains what the find would return."""
        if _ONLY_FOUND & options.keys():
            raise TransportError(
                f"{self._transport.url} does not answer POST /tools/find with what it holds: nobody knows which of the "
                f"{self.count()[level]} objects of level {level} would be missing. Check what is between the server "
                "and here."
            )
        return self.all(level)

    def find_expected(
        self, level: Level, query: dict[str, str], expected: Collection[str], total: int | None = None, **options: Any
    ) -> list[dict[str, Any]]:
        """Return at least the objects that match a query, if it is known which must be among them.

        Parameters
        ----------
        level, query, options
            As for `find`.
        expected : collection of str
            Ids of objects that must be among them.
        total : int, optional
            How many objects match. Default: as many as expected.
        """
        total = len(expected) if total is None else total
        if total and self._rest.capabilities.extended_find:
            answers = self._find_at_once(level, query, total, **options)
            if set(expected).issubset(answer["ID"] for answer in answers):
                return answers
        return self.find(level, query, expected, **options)

    def _find_at_once(self, level: Level, query: dict[str, str], total: int, **options: Any) -> list[dict[str, Any]]:
        return self._read_at_once(lambda since, limit: self._page(level, query, since, limit, **options), total)

    def _number_of_pages(self, total: int) -> int:
        pages = max(1, -(-total // PAGE))
        if total >= (_WORTH_PAGES_AT_ONCE if self._transport.is_nearby else _WORTH_PAGES_FAR_AWAY):
            pages += -pages % _PAGES_AT_ONCE
        return pages

    def _read_at_once(self, read: Callable[[int, int], list[dict[str, Any]]], total: int) -> list[dict[str, Any]]:
        """Return a known number of objects, in pages that the server makes in parallel.

        Only for a listing that can be paged to its end, and if it is known what must be found: when objects are stored
        or deleted meanwhile, others may be missing.

        Parameters
        ----------
        read : callable
            Called with the number of objects before a page and the most that it may hold; returns the page.
        total : int
            How many objects there are.
        """
        pages = self._number_of_pages(total)
        size = max(1, -(-total // pages))

        def read_page(start: int) -> list[dict[str, Any]]:
            """Read one page, however few objects the server returns at a time."""
            page: list[dict[str, Any]] = []
            is_last = start + size >= total
            while True:
                limit = PAGE if is_last else size - len(page)
                answers = read(start + len(page), limit)
                page += answers
                if not answers or start + len(page) >= (total if is_last else start + size):
                    return page

        starts = range(0, max(1, total), size)
        found = map_ordered(read_page, starts, workers=min(pages, _PAGES_AT_ONCE), total=pages, label="reading pages")
        return list({answer["ID"]: answer for page in found for answer in page}.values())

    def _page(self, level: Level, query: dict[str, str], since: int, limit: int, **options: Any) -> list[Any]:
        if not self._rest.capabilities.extended_find:
            options["Expand"] = True
        elif "ResponseContent" not in options:
            # With Expand, the server would also look up each object's metadata and labels, which takes longest.
            options["ResponseContent"] = _CONTENT[level]
        body = {"Level": ORTHANC_LEVEL[level], "Query": query, "Since": since, "Limit": limit, "Short": True, **options}
        page: list[Any] = ask(self._transport, "POST", "/tools/find", is_objects, body=body, idempotent=True)
        return [answer for answer in page if answer is not None]


def _ignore(answers: Sequence[Mapping[str, Any]]) -> None:
    """Do nothing with answers."""


def _moved(url: str, level: Level) -> TransportError:
    return TransportError(
        f"While the pages of POST /tools/find were read from {url}, objects of level {level} were deleted or stored "
        "there, so that others moved from one page to another and would be missing. Search again, or for less at a "
        "time."
    )


def queries_for(tag: Tag, patterns: Sequence[str]) -> list[str]:
    r"""Return wildcard patterns in the form that Orthanc's find takes, without losing a match.

    Examples
    --------
    >>> from simple_orthanc.dicom.tags import parse_tag
    >>> queries_for(parse_tag("PatientName"), ["*Müller*", "*a_b*"])
    ['*M*ller*', '*a*b*']
    >>> queries_for(parse_tag("StudyInstanceUID"), ["1.2.3", "1.2.4"])
    ['1.2.3\\1.2.4']
    """
    if tag.vr == "UI" and not any("*" in pattern or "?" in pattern for pattern in patterns):
        return ["\\".join(batch) for batch in batches(list(patterns), MAX_UIDS)]
    if tag.vr == "UI" or len(patterns) > _MAX_PATTERNS:
        return ["" if tag.vr == "UI" else "*"]
    safe = [re.sub(r"\*+", "*", _UNSAFE.sub("*", unicodedata.normalize("NFC", pattern))) for pattern in patterns]
    return list(dict.fromkeys(safe))
