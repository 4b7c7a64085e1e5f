"""QIDO-RS: the search transaction (PS3.18 section 10.6), page by page to the end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar
from urllib.parse import quote

from simple_orthanc.dicomweb.model import text
from simple_orthanc.dicomweb.query import attribute, escaped, matches, needs_escape, query_string, widened
from simple_orthanc.dicomweb.service import Service, resource, warn
from simple_orthanc.errors import SelectionError, ServerError, TransportError, UnsupportedError

if TYPE_CHECKING:
    from typing_extensions import Unpack

PAGE = 1000
"""How many results are asked for at once unless another number is given."""

MOST_RESULTS = 10_000_000
"""The number of results after which a search counts as endless."""

_SMALL_PAGE = 100


_MORE = re.compile(r"additional results|exceeded the maximum", re.IGNORECASE)

_MOST_LOST = 3
"""At so many single results a server may fail before the whole search counts as failed."""

_UID_OF = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}

NO_UID = "2.25.0"
"""A UID of no object."""

_KEYS = ("00100020", "0020000D", "0020000E", "00080018")

T = TypeVar("T")

_Key = tuple[str, ...]
_Item = dict[str, Any]


class SearchOptions(TypedDict, total=False):
    """The keyword arguments that every search takes.

    Attributes
    ----------
    limit : int, optional
        The largest number of results in total; all of them if it is left out.
    offset : int, default 0
        How many of the first results are left out.
    fuzzy : bool, default False
        Match names of persons by sound or the like. A server that does not support it says so, which becomes a warning.
    fields : sequence of str, default ()
        Attributes to return beyond those that a server returns by itself, or ``("all",)``.
    page : int, default 1000
        How many results are asked for at once.
    """

    limit: int | None
    offset: int
    fuzzy: bool
    fields: Sequence[str]
    page: int


@dataclass(frozen=True)
class _Query:
    """One search: the path, what must match, and the `SearchOptions`."""

    path: str
    filters: Mapping[str, str]
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False
    fields: Sequence[str] = ()
    page: int = PAGE

    def __post_init__(self) -> None:
        """Refuse wrong arguments before the first result is asked for."""
        numbers: list[tuple[str, Any, int]] = [
            ("limit", 0 if self.limit is None else self.limit, 0),
            ("offset", self.offset, 0),
            ("page", self.page, 1),
        ]
        for name, number, least in numbers:
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise SelectionError(f"{name} is {number!r}; give a whole number from {least} on.")
        query_string(self.filters, self.fuzzy, self.fields)

    @property
    def string(self) -> str:
        """The query of the URL."""
        return query_string(self.filters, self.fuzzy, self.fields)


class Search(Service):
    """The searches; see `Transactions`."""

    def search_studies(
        self, filters: Mapping[str, str] | None = None, **options: Unpack[SearchOptions]
    ) -> Iterator[dict[str, Any]]:
        """Search for studies, all of them unless ``limit`` is given.

        Parameters
        ----------
        filters : mapping of str to str, optional
            Attribute to what it must match, by the rules of PS3.4 section C.2.2.2. An attribute is a keyword, a number
            or a path into sequences (``"RequestAttributesSequence.ScheduledProcedureStepID"``). The server interprets
            ``*`` and ``?``, ranges (``"20200101-20201231"``) and lists of UIDs (``"1.2,1.3"``). Servers differ in
            whether case matters.
        **options
            ``limit``, ``offset``, ``fuzzy``, ``fields`` and ``page``: see `SearchOptions`.

        Yields
        ------
        dict
            One study in the DICOM JSON model (PS3.18 annex F).

        Raises
        ------
        UnknownTagError
            If an attribute is not a DICOM tag, before anything is asked.
        TransportError
            If the response is not DICOM JSON.
        UnsupportedError
            If the server says that there is more, and offers no way to get it.
        ServerError
            If the server refuses, for instance to filter by an attribute.

        Warns
        -----
        UserWarning
            If names were matched literally although ``fuzzy`` was asked for.

        Examples
        --------
        >>> from simple_orthanc.dicomweb import text
        >>> studies = dicomweb.rest.search_studies({"PatientID": "EX-003"}, fields=["StudyDescription"])
        >>> [(text(study, "StudyDate"), text(study, "StudyDescription")) for study in studies]
        [('20230309', 'PET/CT trunk')]
        """
        return self._search(_Query(self._path("qido", "studies"), dict(filters or {}), **options))

    def search_series(
        self,
        study: str | None = None,
        filters: Mapping[str, str] | None = None,
        **options: Unpack[SearchOptions],
    ) -> Iterator[dict[str, Any]]:
        """Search for series, of one study or of all. Parameters and errors as for `search_studies`.

        Examples
        --------
        >>> from simple_orthanc.dicomweb import text
        >>> study = dicomweb.select(PatientID="EX-003").StudyInstanceUIDs[0]
        >>> sorted(text(series, "Modality") for series in dicomweb.rest.search_series(study))
        ['CT', 'PT']
        """
        path = self._path("qido", *resource(study), "series")
        return self._search(_Query(path, dict(filters or {}), **options))

    def search_instances(
        self,
        study: str | None = None,
        series: str | None = None,
        filters: Mapping[str, str] | None = None,
        **options: Unpack[SearchOptions],
    ) -> Iterator[dict[str, Any]]:
        """Search for instances, of one series, one study or all. Parameters and errors as for `search_studies`.

        Examples
        --------
        >>> from simple_orthanc.dicomweb import text
        >>> pet = dicomweb.select(Modality="PT")
        >>> found = dicomweb.rest.search_instances(pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], limit=2)
        >>> [text(instance, "SOPInstanceUID") in pet.SOPInstanceUIDs for instance in found]
        [True, True]
        """
        if series is not None and study is None:
            raise SelectionError(
                f"The instances of series {series} were asked for without its study; give the StudyInstanceUID too, "
                'or search all instances with filters={"SeriesInstanceUID": ...}.'
            )
        path = self._path("qido", *resource(study, series), "instances")
        return self._search(_Query(path, dict(filters or {}), **options))

    def _search(self, query: _Query) -> Iterator[_Item]:
        escaped = [name for name, value in query.filters.items() if needs_escape(name, value)]
        if not escaped or query.limit == 0 or self._decodes():
            yield from islice(_Pages(self, query).results(), query.limit)
            return
        if query.fuzzy:
            raise UnsupportedError(
                f"{self._transport.url} does not understand {' and '.join(escaped)} with the characters given, so that "
                "it cannot match them by sound. Search without fuzzy."
            )
        wider = {name: widened(name, value) if name in escaped else value for name, value in query.filters.items()}
        fields = [query.fields] if isinstance(query.fields, str) else list(query.fields)
        fields = fields if "all" in fields else [*fields, *escaped]
        candidates = _Pages(self, replace(query, filters=wider, fields=fields, limit=None, offset=0)).results()
        matching = (item for item in candidates if all(matches(item, name, query.filters[name]) for name in escaped))
        yield from islice(matching, query.offset, None if query.limit is None else query.offset + query.limit)

    def _decodes(self) -> bool:
        """Check whether the server decodes a percent-encoded filter, as it must: Orthanc before 1.13 does not.

        It then finds nothing, as if there were nothing. If it cannot be known, as with an archive without a PatientID,
        False is the safe answer.
        """
        if self._decodes_filters is None:
            studies = self._path("qido", "studies")
            try:
                items, _ = self._json(f"{studies}?limit=1")
            except ServerError:
                # A server that refuses to list anything is none of those.
                items = []
            if not items:
                return True
            study, name = text(items[0], "StudyInstanceUID"), text(items[0], "PatientName")
            # A server may know no wildcards. Not every study has a name with a character that must be encoded.
            probe = f"00100010={escaped('PatientName', name)}"
            probe = probe if needs_escape("PatientName", name) else "00100020=%2A"
            try:
                matched, _ = self._json(f"{studies}?0020000D={quote(study, safe='')}&{probe}&limit=1")
            except ServerError:
                matched = []
            self._decodes_filters = bool(matched)
        return self._decodes_filters

    def _offered(
        self, what: str, ask: Callable[[], T], study: str, series: str | None = None, instance: str | None = None
    ) -> T:
        """Ask for what not every server offers, and tell a missing route from a missing resource."""
        try:
            return ask()
        except ServerError as error:
            is_route = error.status in (405, 501) or (error.status == 404 and self._holds(study, series, instance))
            if not is_route:
                raise
            refused = error
        raise UnsupportedError(
            f"{self._transport.url} does not offer {what} by DICOMweb: it answered {refused.status} to "
            f"{refused.method} {refused.path}. Use the server's own API; for Orthanc that is its REST API."
        )

    def _holds(self, study: str, series: str | None, instance: str | None) -> bool:
        if instance is not None:
            items = self.search_instances(study, series, {"SOPInstanceUID": instance}, limit=1)
        elif series is not None:
            items = self.search_series(study, {"SeriesInstanceUID": series}, limit=1)
        else:
            items = self.search_studies({"StudyInstanceUID": study}, limit=1)
        try:
            return any((instance or series or study) in _key(item) for item in items)
        except (ServerError, TransportError):
            return False


class _Pages:
    """The pages of one search, until nothing new comes."""

    def __init__(self, service: Search, query: _Query) -> None:
        self._service, self._query = service, query
        self._page = query.page
        self._warned: set[str] = set()
        self._has_more = False
        self._lost = 0

    def results(self) -> Iterator[_Item]:
        """Yield the results, until a page has nothing new: servers cut pages as they like."""
        limit, start = self._query.limit, self._query.offset
        seen: set[_Key] = set()
        offset, yielded, may_be_cut = start, 0, False
        while limit is None or yielded < limit:
            size = self._page if limit is None else min(self._page, limit - yielded)
            try:
                items, passed = self._ask_around(size, offset)
            except ServerError as error:
                # Orthanc from 1.12.5 on refuses an offset together with a filter for which it must read files, and
                # returns all only if no limit is asked for: a limit above its own cuts the response silently.
                if error.status != 400 or not offset:
                    raise
                yield from self._unpaged(seen, 0 if yielded else start)
                return
            if not items:
                if self._has_more:
                    raise self._withheld()
                self._warn_if_lost()
                return
            if offset and not yielded and _key(items[0]) == self._first():
                yield from self._unpaged(set(), start)
                return
            # Two results of one page may share their identifiers, where two patients share a study.
            new = [item for item in items if _key(item) not in seen]
            if not new:
                # The server ignores the offset where it shows the same again: all there is, unless that was cut at the
                # limit. Orthanc from 1.12.5 on shows a part of it again, where it compares after it has counted.
                if may_be_cut or self._has_more:
                    yield from self._unpaged(seen, 0)
                elif len(seen) > 1 and seen == set(map(_key, items)) and self._heeds_filters():
                    warn(
                        f"{self._service} ignores the offset of a search: it showed {len(seen)} results, and shows no "
                        "others. If it holds more, they are hidden: search for less at once, with filters such as a "
                        "PatientID or a range of StudyDate."
                    )
                return
            seen.update(map(_key, new))
            yield from new
            yielded += len(new)
            offset += passed
            may_be_cut = len(items) == min(size, self._page)
            if yielded > MOST_RESULTS:
                raise TransportError(
                    f"{self._service} returned more than {MOST_RESULTS} results to one search, without an end. Search "
                    "for less at once, with filters; if the archive does not hold that many, its server is at fault."
                )

    def _ask_around(self, size: int, offset: int, *, is_part: bool = False) -> tuple[list[_Item], int]:
        """Ask for a page; if the server fails at it, in smaller pieces, without the results at which it fails.

        Returns
        -------
        items : list of dict
            The results.
        passed : int
            How many results were passed, those that are left out included.
        """
        try:
            items = self._ask(size, offset)
        except ServerError as error:
            if error.status < 500 or (size == 1 and not is_part):
                raise
            failure = error
        else:
            return items, len(items)
        if size == 1:
            self._lost += 1
            # A server that fails at several in a row, or at the only one that is asked for, fails at everything.
            if self._lost > _MOST_LOST or self._query.limit == 1:
                raise failure
            return [], 1
        items, position = [], offset
        while position < offset + size:
            more, passed = self._ask_around(max(size // 10, 1), position, is_part=True)
            if not passed:
                break
            items, position = items + more, position + passed
        if not items and position > offset:
            raise failure
        return items, position - offset

    def _warn_if_lost(self) -> None:
        if self._lost:
            warn(
                f"{self._service} fails at {self._lost} of the results of a search, which are left out: its log may "
                "say why. Objects below them can be found by their UIDs."
            )

    def _heeds_filters(self) -> bool:
        """Check whether a server heeds filters: a static one does not, and shows everything it has."""
        keyword = _UID_OF[self._query.path.rpartition("/")[2]]
        items, _ = self._service._json(f"{self._query.path}?{attribute(keyword)}={NO_UID}")
        return not items

    def _first(self) -> _Key | None:
        items = self._ask(1, 0)
        return _key(items[0]) if items else None

    def _unpaged(self, seen: set[_Key], skipped: int) -> Iterator[_Item]:
        """Ask for everything at once: the only way with a server that ignores the offset."""
        self._has_more = False
        items = self._ask(None, 0)
        if self._has_more:
            raise self._withheld()
        yield from (item for item in items[skipped:] if _key(item) not in seen)

    def _withheld(self) -> UnsupportedError:
        return UnsupportedError(
            f"{self._service} says that there are more results than it gave, and returns no others when it is asked to "
            "continue. Search for less at once, with filters such as a range of StudyDate."
        )

    def _ask(self, size: int | None, offset: int) -> list[_Item]:
        paging = [] if size is None else [f"limit={size}"]
        paging += [f"offset={offset}"] if offset else []
        query = "&".join(filter(None, [self._query.string, *paging]))
        try:
            items, headers = self._service._json(f"{self._query.path}?{query}" if query else self._query.path)
        except ServerError as error:
            # Some servers refuse a limit above their own.
            if error.status not in (400, 413) or size is None or size <= _SMALL_PAGE:
                raise
            self._page = _SMALL_PAGE
            return self._ask(_SMALL_PAGE, offset)
        self._handle_warning(headers.get("Warning", ""))
        return items

    def _handle_warning(self, warning: str) -> None:
        """Interpret a warning of the server (PS3.18 sections 8.3.4.2 and 8.3.4.4), or pass it on."""
        message = " ".join(warning.split())[:300]
        self._has_more = bool(_MORE.search(message))
        if not message.startswith("299") or self._has_more or message in self._warned:
            return
        self._warned.add(message)
        if "fuzzymatching" in message.lower() and self._query.fuzzy:
            warn(
                f"{self._service} does not match names of persons by sound or the like: the results match literally. "
                "Search with wildcards, as in 'Doe*'."
            )
        else:
            warn(f"{self._service} warns about a search: {message}")


def _key(item: _Item) -> _Key:
    key = tuple(text(item, number) for number in _KEYS)
    return key if any(key[1:]) else (json.dumps(item, sort_keys=True),)
