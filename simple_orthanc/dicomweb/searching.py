"""QIDO-RS: the search transaction (PS3.18 section 10.6), page by page to the end."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicomweb.model import text, texts
from simple_orthanc.dicomweb.service import Service, resource, warn
from simple_orthanc.errors import SelectionError, ServerError, TransportError, UnsupportedError

PAGE = 1000
"""How many results are asked for at once unless another number is given."""

MOST_RESULTS = 10_000_000
"""Results after which a search is taken to be endless."""

_SMALL_PAGE = 100

_PLAIN = "*?:/@!$'()"
_ESCAPES = re.compile(r"(%[0-9A-F]{2})+")
_WITH_WILDCARDS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})

_MORE = re.compile(r"additional results|exceeded the maximum", re.IGNORECASE)

_KEYS = ("00100020", "0020000D", "0020000E", "00080018")

T = TypeVar("T")

_Key = tuple[str, ...]
_Item = dict[str, Any]


class Search(Service):
    """The searches; see `Transactions`."""

    def search_studies(
        self,
        filters: Mapping[str, str] | None = None,
        *,
        limit: int | None = None,
        offset: int = 0,
        fuzzy: bool = False,
        fields: Sequence[str] = (),
        page: int = PAGE,
    ) -> Iterator[dict[str, Any]]:
        """Search for studies, all of them unless `limit` says otherwise.

        Parameters
        ----------
        filters : mapping of str to str, optional
            Attribute to what it must match, by the rules of PS3.4 section C.2.2.2: keyword, number or path into
            sequences (``"RequestAttributesSequence.ScheduledProcedureStepID"``) to the text; ``*`` and ``?``, ranges
            (``"20200101-20201231"``) and lists of UIDs (``"1.2,1.3"``) are the server's to understand. Servers differ
            in whether case matters.
        limit : int, optional
            At most so many results in total.
        offset : int, default 0
            How many of the first results are left out.
        fuzzy : bool, default False
            Match names of persons by sound or the like. A server that cannot says so, which becomes a warning.
        fields : sequence of str, default ()
            Attributes to give beyond those that a server gives by itself, or ``("all",)``.
        page : int, default 1000
            How many results are asked for at once.

        Yields
        ------
        dict
            One study in the DICOM JSON model (PS3.18 annex F).

        Raises
        ------
        UnknownTagError
            If an attribute is none, before anything is asked.
        TransportError
            If what comes is not DICOM JSON, or the server says that there is more and gives no way to get it.
        ServerError
            If the server refuses, for instance to filter by an attribute.

        Warns
        -----
        UserWarning
            If names were matched literally although `fuzzy` was asked for.

        Examples
        --------
        >>> studies = transactions.search_studies({"PatientID": "p*"}, fields=["StudyDescription"])  # doctest: +SKIP
        >>> [text(study, "StudyDescription") for study in studies]  # doctest: +SKIP
        ['Chest', 'Head']
        """
        path = self._path("qido", "studies")
        return self._searched(path, filters, limit, offset, fuzzy, fields, page)

    def search_series(
        self,
        study: str | None = None,
        filters: Mapping[str, str] | None = None,
        *,
        limit: int | None = None,
        offset: int = 0,
        fuzzy: bool = False,
        fields: Sequence[str] = (),
        page: int = PAGE,
    ) -> Iterator[dict[str, Any]]:
        """Search for series, of one study or of all. Parameters and errors as for `search_studies`."""
        path = self._path("qido", *resource(study), "series")
        return self._searched(path, filters, limit, offset, fuzzy, fields, page)

    def search_instances(
        self,
        study: str | None = None,
        series: str | None = None,
        filters: Mapping[str, str] | None = None,
        *,
        limit: int | None = None,
        offset: int = 0,
        fuzzy: bool = False,
        fields: Sequence[str] = (),
        page: int = PAGE,
    ) -> Iterator[dict[str, Any]]:
        """Search for instances, of one series, one study or all. Parameters and errors as for `search_studies`."""
        if series is not None and study is None:
            raise SelectionError(
                f"The instances of series {series} were asked for without its study; give the StudyInstanceUID too, "
                'or search all instances with filters={"SeriesInstanceUID": ...}.'
            )
        path = self._path("qido", *resource(study, series), "instances")
        return self._searched(path, filters, limit, offset, fuzzy, fields, page)

    def _searched(
        self,
        path: str,
        filters: Mapping[str, str] | None,
        limit: int | None,
        offset: int,
        fuzzy: bool,
        fields: Sequence[str],
        page: int,
    ) -> Iterator[_Item]:
        numbers: list[tuple[str, Any, int]] = [("limit", limit, 0), ("offset", offset, 0), ("page", page, 1)]
        for name, number, least in numbers:
            if (number is not None or name != "limit") and (
                isinstance(number, bool) or not isinstance(number, int) or number < least
            ):
                raise SelectionError(f"{name} is {number!r}; give a whole number from {least} on.")
        # Wrong arguments are to be said at once, not when the first result is asked for.
        query = query_text(filters or {}, fuzzy, fields)
        return self._found(path, query, dict(filters or {}), limit, offset, fuzzy, fields, page)

    def _found(
        self,
        path: str,
        query: str,
        filters: dict[str, str],
        limit: int | None,
        offset: int,
        fuzzy: bool,
        fields: Sequence[str],
        page: int,
    ) -> Iterator[_Item]:
        escaped = [name for name, value in filters.items() if needs_escape(name, value)]
        if not escaped or limit == 0 or self._decodes():
            yield from islice(_Pages(self, path, query, offset, page, fuzzy).results(limit), limit)
            return
        if fuzzy:
            raise UnsupportedError(
                f"{self._transport.url} does not understand {' and '.join(escaped)} with the characters given, so that "
                "it cannot match them by sound. Search without fuzzy."
            )
        wider = {name: widened(name, value) if name in escaped else value for name, value in filters.items()}
        wanted = [fields] if isinstance(fields, str) else list(fields)
        query = query_text(wider, fuzzy, wanted if "all" in wanted else [*wanted, *escaped])
        found = _Pages(self, path, query, 0, page, fuzzy).results(None)
        fitting = (item for item in found if all(fits(item, name, filters[name]) for name in escaped))
        yield from islice(fitting, offset, None if limit is None else offset + limit)

    def _decodes(self) -> bool:
        """Whether the server undoes the percent-encoding of a filter, as it must: Orthanc before 1.13 does not.

        It finds nothing then, as if there were nothing. Where it cannot be known, as with an archive without a
        PatientID, no is the safe answer.
        """
        if self._undoes_escapes is None:
            studies = self._path("qido", "studies")
            items, _ = self._json(f"{studies}?limit=1")
            if not items:
                return True
            uid = quote(text(items[0], "StudyInstanceUID"), safe="")
            try:
                found, _ = self._json(f"{studies}?0020000D={uid}&00100020=%2A&limit=1")
            except ServerError:
                found = []
            self._undoes_escapes = bool(found)
        return self._undoes_escapes

    def _offered(
        self, what: str, ask: Callable[[], T], study: str, series: str | None = None, instance: str | None = None
    ) -> T:
        """Ask for what not every server offers, and tell a route that is missing from a resource that is."""
        try:
            return ask()
        except ServerError as error:
            missing = error.status in (405, 501) or (error.status == 404 and self._holds(study, series, instance))
            if not missing:
                raise
            refused = error
        raise UnsupportedError(
            f"{self._transport.url} does not offer {what} by DICOMweb: it answered {refused.status} to "
            f"{refused.method} {refused.path}. Do it by the server's own means; for Orthanc that is its REST API."
        )

    def _holds(self, study: str, series: str | None, instance: str | None) -> bool:
        if instance is not None:
            found = self.search_instances(study, series, {"SOPInstanceUID": instance}, limit=1)
        elif series is not None:
            found = self.search_series(study, {"SeriesInstanceUID": series}, limit=1)
        else:
            found = self.search_studies({"StudyInstanceUID": study}, limit=1)
        try:
            return any((instance or series or study) in _key(item) for item in found)
        except (ServerError, TransportError):
            return False


def query_text(filters: Mapping[str, str], fuzzy: bool, fields: Sequence[str]) -> str:
    """Write the query of a search, percent-encoded where it must be.

    Examples
    --------
    >>> query_text({"PatientName": "Doe^J*", "0008,0050": "a b"}, False, ["StudyDescription"])
    '00100010=Doe%5EJ*&00080050=a%20b&includefield=00081030'
    """
    pairs = [(attribute(name), _escaped(name, value)) for name, value in filters.items()]
    if fuzzy:
        pairs.append(("fuzzymatching", "true"))
    wanted = (fields,) if isinstance(fields, str) else fields
    pairs += [("includefield", "all" if field == "all" else attribute(field)) for field in wanted]
    return "&".join(f"{name}={value}" for name, value in pairs)


def _filter_text(name: str, value: object) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise SelectionError(f"The filter {name} is of type {type(value).__name__}; give text as DICOM writes it.")
    return value


def _escaped(name: str, value: object) -> str:
    # What need not be encoded is not, since some servers leave it so. Commas part the UIDs of a list.
    return quote(_filter_text(name, value), safe=_PLAIN + ("," if parse_tag(name).vr == "UI" else ""))


def needs_escape(name: str, value: object) -> bool:
    """Say whether a filter holds a character that no URL may hold as it is.

    Examples
    --------
    >>> needs_escape("SeriesDescription", "T2*"), needs_escape("SeriesDescription", "T2 AX*")
    (False, True)
    """
    return "%" in _escaped(name, value)


def widened(name: str, value: object) -> str:
    """Write a filter without the characters that no URL may hold, so that it finds at least as much.

    Raises
    ------
    UnsupportedError
        If its VR knows no wildcards (PS3.4 section C.2.2.2.4).

    Examples
    --------
    >>> widened("PatientName", "Müller^A B")
    'M*ller*A*B'
    """
    if parse_tag(name).vr not in _WITH_WILDCARDS:
        raise UnsupportedError(
            f"The server does not understand the filter {name} = {value!r}: it does not undo the encoding of "
            "characters in URLs. Search without it, and look at what is found."
        )
    return _ESCAPES.sub("*", _escaped(name, value))


def fits(item: Mapping[str, Any], name: str, value: object) -> bool:
    """Say whether a result matches a filter, without regard to case, which the server has looked at.

    Examples
    --------
    >>> fits({"0008103E": {"vr": "LO", "Value": ["T2 AXIAL"]}}, "SeriesDescription", "t2 ax*")
    True
    """
    forms: list[str] = []
    for found in texts(item, name):
        forms += [found, *found.split("=")] if parse_tag(name).vr == "PN" else [found]
    forms += [form.rstrip("^ ") for form in forms]
    letters = unicodedata.normalize("NFC", _filter_text(name, value))
    pattern = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in letters)
    matcher = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return any(matcher.fullmatch(unicodedata.normalize("NFC", form)) for form in forms)


def attribute(name: str) -> str:
    """Write an attribute as a search wants it: its eight digits, or several of them joined by dots.

    Examples
    --------
    >>> attribute("RequestAttributesSequence.ScheduledProcedureStepID")
    '00400275.00400009'
    """
    steps = parse_tag(name).steps
    for step in steps:
        if step.creator is not None or step.item is not None:
            raise SelectionError(
                f"A search cannot ask for {name}: it names neither creators nor items of a sequence (PS3.18 section "
                '8.3.4.1). Give the number as it stands in the files, such as "0009,1001", or the path without items.'
            )
    return ".".join(f"{step.number:08X}" for step in steps)


class _Pages:
    """The pages of one search, until nothing new comes."""

    def __init__(self, service: Search, path: str, query: str, offset: int, page: int, fuzzy: bool) -> None:
        self._service, self._path, self._query = service, path, query
        self._offset, self._page, self._fuzzy = offset, page, fuzzy
        self._said: set[str] = set()
        self._more = False

    def results(self, limit: int | None) -> Iterator[_Item]:
        """Yield the results. Only a page that brings nothing new is known to be the last: servers cap as they like."""
        seen: set[_Key] = set()
        offset, given, may_be_cut = self._offset, 0, False
        while limit is None or given < limit:
            size = self._page if limit is None else min(self._page, limit - given)
            try:
                items = self._ask(size, offset)
            except ServerError as error:
                # Orthanc from 1.12.5 on refuses an offset together with a filter for which it must look into files, and
                # gives all only where no limit is asked for: one above its own cuts the answer without a word.
                if error.status != 400 or not offset:
                    raise
                yield from self._unpaged(seen, 0 if given else self._offset)
                return
            if not items:
                if self._more:
                    raise self._withheld()
                return
            if offset and not given and _key(items[0]) == self._first():
                yield from self._unpaged(set(), self._offset)
                return
            # Two results of one page may share their identifiers, where two patients share a study.
            new = [item for item in items if _key(item) not in seen]
            if not new:
                # The same again, so this server knows no offset: all that it has, unless it cut at the limit.
                if may_be_cut or self._more:
                    yield from self._unpaged(seen, 0)
                return
            seen.update(map(_key, new))
            yield from new
            given += len(new)
            offset += len(items)
            may_be_cut = len(items) == min(size, self._page)
            if given > MOST_RESULTS:
                raise TransportError(
                    f"{self._service} gave more than {MOST_RESULTS} results to one search, and went on. Search for "
                    "less at once, by filters; if that is not what the archive holds, its server is at fault."
                )

    def _first(self) -> _Key | None:
        items = self._ask(1, 0)
        return _key(items[0]) if items else None

    def _unpaged(self, seen: set[_Key], skipped: int) -> Iterator[_Item]:
        """Ask for everything at once, which is all that is left with a server that ignores the offset."""
        self._more = False
        items = self._ask(None, 0)
        if self._more:
            raise self._withheld()
        yield from (item for item in items[skipped:] if _key(item) not in seen)

    def _withheld(self) -> UnsupportedError:
        return UnsupportedError(
            f"{self._service} says that there are more results than it gave, and gives no others where it is asked to "
            "go on from there. Search for less at once, by filters such as a range of StudyDate."
        )

    def _ask(self, size: int | None, offset: int) -> list[_Item]:
        paging = [] if size is None else [f"limit={size}"]
        paging += [f"offset={offset}"] if offset else []
        query = "&".join([*([self._query] if self._query else []), *paging])
        try:
            items, headers = self._service._json(f"{self._path}?{query}" if query else self._path)
        except ServerError as error:
            # Some servers call a limit wrong that is above their own.
            if error.status not in (400, 413) or size is None or size <= _SMALL_PAGE:
                raise
            self._page = _SMALL_PAGE
            return self._ask(_SMALL_PAGE, offset)
        self._heed(headers.get("Warning", ""))
        return items

    def _heed(self, warning: str) -> None:
        """Take a warning of the server for what it means (PS3.18 sections 8.3.4.2 and 8.3.4.4), or pass it on."""
        said = " ".join(warning.split())[:300]
        self._more = bool(_MORE.search(said))
        if not said.startswith("299") or self._more or said in self._said:
            return
        self._said.add(said)
        if "fuzzymatching" in said.lower() and self._fuzzy:
            warn(
                f"{self._service} does not match names of persons by sound or the like: what was found matches as it "
                "is written. Search with wildcards, as in 'Doe*'."
            )
        else:
            warn(f"{self._service} says of a search: {said}")


def _key(item: _Item) -> _Key:
    key = tuple(text(item, number) for number in _KEYS)
    return key if any(key[1:]) else (json.dumps(item, sort_keys=True),)
