"""An Orthanc server as a source: what it is asked, and how its answers become rows and values.

What the server is trusted with, and why
----------------------------------------
- The tags in `simple_orthanc.dicom.levels.INDEXED` are in the database of every Orthanc since 1.4.2. Orthanc keeps
  further tags with the series that DICOM puts into the image (ImageOrientationPatient, SequenceName,
  ContrastBolusAgent ...): there the first instance speaks for all, so they are read from every file.
- The database leaves out values of more than 256 characters, so tags that may be longer (ImageComments,
  OtherPatientIDs) are read from the files too.
- ``/tools/find`` is used to bring fewer rows, never to decide. Its wildcards are sent only where the answer is sure to
  hold every match: whatever the server folds in its own way (accents, ``_``, ``%``) is sent as ``*``.
- ``LimitFindResults`` cuts answers silently and is nowhere reported, so every find is paged, and a page counts as the
  last only if it is empty or smaller than a page this server has already given. Before Orthanc 1.12.5 pages are taken
  from what the limit has left over, so there a listing takes the place of a find that may have been cut.
- Orthanc cannot decode every combination of character sets: what may be mangled is read again from a DICOM file. See
  `simple_orthanc.sources.charset_check`.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import ReusableBuffer, map_ordered
from simple_orthanc.dicom.header import quiet, read_value
from simple_orthanc.dicom.levels import INDEXED, LEVELS, Level, depth, indexed_level
from simple_orthanc.dicom.tags import BINARY_VRS, INDEX_TAGS, TEXT_VRS, Tag, is_searchable, parse_tag
from simple_orthanc.dicom.values import Value, from_text
from simple_orthanc.errors import NotFoundError
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_header
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.rest import Rest
from simple_orthanc.selection.source import Changes, IdentifierMatch, Revision, Row, batches
from simple_orthanc.sources.charset_check import CHARACTER_SET, is_decodable, is_mangled, shows_undecoded_strings
from simple_orthanc.sources.orthanc.changes import count_all, read_changes, read_last
from simple_orthanc.sources.orthanc.labels import ORTHANC_LEVEL, ROUTE, read_label, read_metadata
from simple_orthanc.transport import Transport

# A page of a listing: large, since the server's own work per row is the same, and bounded, since it is held in memory.
PAGE = 5000
# So many pages of a find are asked for at once, where there are enough objects for it to pay.
_PAGES_AT_ONCE = 4
_WORTH_PAGES_AT_ONCE = 4000
# From this version on a find can be paged to its end whatever LimitFindResults says.
_PAGES_WHOLE = (1, 12, 5)
# How many UIDs one find may list: SQLite takes a bounded number of parameters.
_UIDS = 400
# Up to so many rows are asked for by their ids; for more, the whole level is listed, which costs less.
_BY_ID = 200
_HEADER_BYTES = 16 * 1024
# Orthanc's number for an attachment that is the DICOM file itself.
_DICOM_FILE = 1

_PARENT = {"study": "ParentPatient", "series": "ParentStudy", "instance": "ParentSeries"}
_CHILDREN = {"study": "Series", "series": "Instances"}
# What a find answers with, of all that it could (from Orthanc 1.12.5 on).
_CONTENT: dict[Level, list[str]] = {
    "study": ["MainDicomTags", "Parent", "Children"],
    "series": ["MainDicomTags", "Parent", "Children"],
    "instance": ["MainDicomTags", "Parent", "Attachments"],
}
_UID_OF_PARENT = {"series": "StudyInstanceUID", "instance": "SeriesInstanceUID"}
_PARENT_LEVEL: dict[Level, Level] = {"study": "patient", "series": "study", "instance": "series"}

# What a find answers out of what the server knows, or not at all, and never from the file: InstanceAvailability,
# ModalitiesInStudy, SOPClassesInStudy, and how many there are of what.
_COMPUTED = frozenset(
    {
        *("0008,0056", "0008,0061", "0008,0062"),
        *("0020,1200", "0020,1202", "0020,1204", "0020,1206", "0020,1208", "0020,1209"),
    }
)
_PATIENT_ID = parse_tag("PatientID")
_ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}\Z")
# A letter that the server folds away leaves nothing behind, so that not even "?" would find it.
_SAFE = re.compile(r"[^A-Za-z0-9 .^*,:;()+/-]+")


class OrthancSource:
    """An Orthanc server, through its REST API; see `simple_orthanc.selection.source.Source` for the methods."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.rest = Rest(transport)
        self._last: int | None = None
        self._counted: Mapping[Level, int] = {}
        self._largest_page: dict[bool, int] = {}
        self._sizes: dict[str, int] = {}
        self._scanner, self._buffer = Scanner(), ReusableBuffer()
        self._lock = threading.Lock()

    @property
    def description(self) -> str:
        return self.transport.url

    @property
    def requests(self) -> int:
        return self.transport.requests

    def counts(self) -> Mapping[Level, int]:
        self._counted = count_all(self.transport)
        return self._counted

    def revision(self) -> Revision:
        last, self._last = self._last, None
        return Revision(read_last(self.transport) if last is None else last, self.counts())

    def watch(self) -> None:
        """Note the end of the server's feed of changes; the next `revision` starts from there."""
        self._last = read_last(self.transport)

    def changes(self, since: Revision) -> Changes:
        changes = read_changes(self.transport, since)
        if changes.revision.counts is not None:
            self._counted = changes.revision.counts
        return changes

    def indexed(self, tag: Tag) -> Level | None:
        return indexed_level(tag.name)

    def searchable(self, tag: Tag) -> bool:
        return is_searchable(tag)

    def listing(self, level: Level) -> Iterator[Row]:
        if not self.rest.capabilities.extended_find:
            yield from self._to_rows(level, self._listed(level))
            return
        ids = self._ids(level)
        answers = {answer["ID"]: answer for answer in self._find_at_once(level, {}, len(ids))}
        yield from self._to_rows(level, [*answers.values(), *self._by_id(level, ids - answers.keys())])

    def _ids(self, level: Level) -> set[str]:
        """Tell what there is, at one moment and whole: what comes later is for `changes` to tell.

        Of pages it takes several, and what is stored or deleted meanwhile moves others from one into another, where
        they may be missed; a find is also cut by LimitFindResults.
        """
        return set(self.transport.json("GET", f"/{ROUTE[level]}"))

    def _listed(self, level: Level) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        since = 0
        while True:
            params = {"expand": "", "short": "", "since": since, "limit": PAGE}
            page = self.transport.json("GET", f"/{ROUTE[level]}", params=params)
            found.update((answer["ID"], answer) for answer in page)
            if len(page) < PAGE:
                break
            since += len(page)
        missing = self._ids(level) - found.keys() if since else ()
        return [*found.values(), *self._by_id(level, missing)]

    def search(self, level: Level, tag: Tag, patterns: Sequence[str]) -> Iterator[Row]:
        seen: set[str] = set()
        for query in _queries(tag, patterns):
            for row in self._to_rows(level, self._find(level, {tag.keyword: query})):
                if row.key not in seen:
                    seen.add(row.key)
                    yield row

    def below(self, level: Level, parents: Sequence[Row]) -> Iterator[Row]:
        if len(parents) == 1:
            # In half the time of a find by UID.
            yield from self._below_one(level, parents[0])
            return
        keyword = _UID_OF_PARENT[level]
        uids = [(row.values.get(keyword) or ("",))[0] for row in parents]
        wanted = {row.key for row in parents}
        children: dict[str, set[str]] = {}
        for row, uid in zip(parents, uids, strict=True):
            if uid:
                children.setdefault(str(uid), set()).update(row.children)
        for batch in batches(list(children), _UIDS):
            expected = set().union(*(children[uid] for uid in batch))
            for row in self._to_rows(level, self._find_expected(level, {keyword: "\\".join(batch)}, expected)):
                if row.parent in wanted:
                    yield row
        for row, uid in zip(parents, uids, strict=True):
            if not uid:
                yield from self._below_one(level, row)

    def _below_one(self, level: Level, parent: Row) -> list[Row]:
        if self.rest.capabilities.extended_find:
            more: dict[str, Any] = {_PARENT[level]: parent.key}
            return self._to_rows(level, self._find_expected(level, {}, parent.children, **more))
        path = f"/{ROUTE[_PARENT_LEVEL[level]]}/{parent.key}/{ROUTE[level]}"
        try:
            return self._to_rows(level, self.transport.json("GET", path, params={"expand": "", "short": ""}))
        except NotFoundError:
            # Deleted meanwhile: there is nothing below it, as a find would say.
            return []

    def rows(self, level: Level, keys: Sequence[str]) -> Iterator[Row]:
        if len(keys) > _BY_ID:
            wanted = set(keys)
            yield from (row for row in self.listing(level) if row.key in wanted)
        else:
            yield from self._to_rows(level, self._by_id(level, keys))

    def _by_id(self, level: Level, keys: Iterable[str]) -> list[dict[str, Any]]:
        """Give what the server says of objects, and nothing of one that is gone."""
        found: list[dict[str, Any]] = []
        for batch in batches(list(keys), _BY_ID):
            body = {"Resources": list(batch), "Level": ORTHANC_LEVEL[level], "Short": True, "Metadata": False}
            found += filter(None, self.transport.json("POST", "/tools/bulk-content", body=body, idempotent=True))
        return found

    def _find(
        self, level: Level, query: dict[str, str], expected: Collection[str] = (), **more: Any
    ) -> list[dict[str, Any]]:
        """Find at least the objects that match; once all the expected ones are there, no further page is asked for."""
        answers: dict[str, dict[str, Any]] = {}
        is_instance = level == "instance"
        pages_whole = self.rest.capabilities.version >= _PAGES_WHOLE
        while True:
            page = self._page(level, query, len(answers), PAGE, **more)
            before = len(answers)
            answers.update((answer["ID"], answer) for answer in page)
            if expected and answers.keys() >= set(expected):
                return list(answers.values())
            with self._lock:
                largest = self._largest_page.get(is_instance, 0)
                self._largest_page[is_instance] = max(largest, len(page))
            if len(answers) == before or len(page) < (largest if pages_whole else PAGE):
                break
        if not pages_whole and self._is_cut(level, len(answers), largest):
            return self._listed(level)
        return list(answers.values())

    def _find_expected(
        self, level: Level, query: dict[str, str], expected: Collection[str], total: int | None = None, **more: Any
    ) -> list[dict[str, Any]]:
        """Find at least the objects that match: these, and so many in all."""
        if self.rest.capabilities.extended_find:
            answers = self._find_at_once(level, query, len(expected) if total is None else total, **more)
            if set(expected).issubset(answer["ID"] for answer in answers):
                return answers
        return self._find(level, query, expected, **more)

    def _find_at_once(self, level: Level, query: dict[str, str], total: int, **more: Any) -> list[dict[str, Any]]:
        """Find the objects that match, of which there were so many, in pages that the server makes side by side.

        Only where a find can be paged to its end, and where it is known what must be found: where objects are stored or
        deleted meanwhile, others may be missing.
        """
        pages = max(1, -(-total // PAGE))
        if total >= _WORTH_PAGES_AT_ONCE:
            pages += -pages % _PAGES_AT_ONCE
        size = max(1, -(-total // pages))

        def ask(start: int) -> list[dict[str, Any]]:
            """Find one page, however few of it the server gives at a time."""
            found: list[dict[str, Any]] = []
            is_last = start + size >= total
            while True:
                limit = PAGE if is_last else size - len(found)
                answers = self._page(level, query, start + len(found), limit, **more)
                found += answers
                if not answers or start + len(found) >= (total if is_last else start + size):
                    return found

        starts = range(0, max(1, total), size)
        found = map_ordered(ask, starts, workers=min(pages, _PAGES_AT_ONCE), total=pages, label="reading pages")
        return list({answer["ID"]: answer for page in found for answer in page}.values())

    def _page(self, level: Level, query: dict[str, str], since: int, limit: int, **more: Any) -> list[Any]:
        if not self.rest.capabilities.extended_find:
            more["Expand"] = True
        elif "ResponseContent" not in more:
            # Expanded, each object would also be looked up for its metadata and labels, which takes most of the time.
            more["ResponseContent"] = _CONTENT[level]
        body = {"Level": ORTHANC_LEVEL[level], "Query": query, "Since": since, "Limit": limit, "Short": True, **more}
        page = self.transport.json("POST", "/tools/find", body=body, idempotent=True)
        assert isinstance(page, list)
        return page

    def _is_cut(self, level: Level, found: int, largest: int) -> bool:
        """Say whether a find that gave so many may have been cut by LimitFindResults, which paging does not get around.

        It was not if this server has given more, or gives one behind so many of all that there are.
        """
        if found < largest:
            return False
        # What came since is for `changes` to tell, and stands behind all else in a find of such a server.
        counts = self._counted or self.counts()
        if counts[level] <= found:
            return False
        # The limit is the same for patients, studies and series, and the fewer there are the sooner the server answers.
        alike = (level,) if level == "instance" else LEVELS[: depth(level) + 1]
        return not self._page(next(each for each in alike if counts[each] > found), {}, found, 1)

    def _to_rows(self, level: Level, answers: Iterable[Mapping[str, Any] | None]) -> list[Row]:
        rows: list[Row] = []
        doubtful: list[Row] = []
        known = INDEX_TAGS[level]
        for answer in answers:
            if not answer:
                continue
            if level == "instance" and (size := _file_size(answer)) is not None:
                self._sizes[answer["ID"]] = size
            texts = answer.get("MainDicomTags", {})
            if level == "study":
                texts = {**answer.get("PatientMainDicomTags", {}), **texts}
            values: dict[str, Value] = {}
            mangled = False
            for number, text in texts.items():
                tag = known.get(number)
                if tag is None or not text or not isinstance(text, str):
                    continue
                # Most texts are one plain word, for which there is nothing to do; there are many of them.
                value = (text,) if text.isalnum() and text.isascii() else from_text(text, tag.vr)
                mangled = mangled or is_mangled(text)
                if value is not None:
                    values[tag.name] = value
            children = tuple(answer.get(_CHILDREN.get(level, ""), ()))
            doubt = level == "study" and shows_undecoded_strings(values)
            row = Row(answer["ID"], answer.get(_PARENT[level], ""), children, values, doubt)
            if mangled or doubt:
                doubtful.append(row)
            rows.append(row)
        if not doubtful:
            return rows
        corrected = {row.key: row for row in self.reload_from_files(level, doubtful)}
        return [corrected.get(row.key, row) for row in rows]

    def reload_from_files(self, level: Level, rows: Sequence[Row]) -> Iterator[Row]:
        yield from map_ordered(partial(self._from_file, level), rows, total=len(rows), label="reading headers")

    def _from_file(self, level: Level, row: Row) -> Row:
        """Give a row whose values are those of one file, which the server decodes not at all."""
        key = row.key
        if level == "study":
            key = row.children[0]
        if level != "instance":
            key = self.transport.json("GET", f"/series/{key}")["Instances"][0]
        header = self.header(key)
        values = dict(row.values)
        for tag in INDEX_TAGS[level].values():
            # What the server left out is left out: only texts that are there may be mangled.
            if tag.name in values:
                values[tag.name] = read_value(header, tag)
        return replace(row, values=values)

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        columns: dict[str, dict[str, Value]] = {tag.name: {} for tag in tags}
        ways: dict[str, list[Tag]] = {"find": [], "json": [], "header": []}
        for tag in tags:
            ways[self._way(tag)].append(tag)
        if ways["find"]:
            self._fill_by_find(columns, ways["find"], series)
        if ways["json"]:
            self._fill_by_json(columns, ways["json"], series)
        if ways["header"]:
            wanted = [key for row in series for key in row.children if keys is None or key in keys]
            self._fill_by_header(columns, ways["header"], wanted)
        return columns

    def _way(self, tag: Tag) -> str:
        """Choose the cheapest way that gives the same value as reading the file would."""
        outermost, vr = tag.steps[0], tag.vr
        ambiguous = not tag.is_private and " or " in _dictionary_vr(tag)
        # Before 1.13.0 the 64-bit integers are null in every answer.
        if tag.is_private or ambiguous or vr in BINARY_VRS | {"SQ", "AT", "SV", "UV"} or outermost.group in (2, 0x7FE0):
            return "header"
        number = f"{outermost.group:04x},{outermost.element:04x}"
        capabilities = self.rest.capabilities
        # A tag that the server keeps at another level would be answered from the database, for one instance.
        is_answered_otherwise = number in capabilities.main_tags or number in _COMPUTED
        return "json" if is_answered_otherwise or not capabilities.extended_find else "find"

    def _fill_by_find(self, columns: dict[str, dict[str, Value]], tags: Sequence[Tag], series: Sequence[Row]) -> None:
        # Attachments are not used: asking for them makes the server read its database in one pass, ten times faster.
        numbers = sorted({CHARACTER_SET, *map(_number, tags)})
        more = {"RequestedTags": numbers, "ResponseContent": ["RequestedTags", "Parent", "Attachments"]}
        counts = self.counts() if len(series) > _UIDS else None
        whole = counts is not None and 2 * len(series) >= counts["series"]
        doubtful: dict[str, list[Tag]] = {}
        unread: dict[str, Tag] = {}
        for piece in [series] if whole else batches(series, _UIDS):
            uids = dict.fromkeys(str((row.values.get("SeriesInstanceUID") or ("",))[0]) for row in piece)
            query = {} if whole else {"SeriesInstanceUID": "\\".join(uids)}
            expected = {key for row in piece for key in row.children}
            total = counts["instance"] if counts is not None and whole else None
            for answer in self._find_expected("instance", query, expected, total, **more):
                found = answer.get("RequestedTags", {})
                for tag in tags:
                    # What a file lacks is there as null; what is not there was not looked for (StorageAccessOnFind).
                    # It is read below, and not for the instances of another patient's series of the same UID.
                    if _number(tag) not in found:
                        unread[tag.name] = tag
                        continue
                    value, sure = _value_in_json(found, tag)
                    columns[tag.name][answer["ID"]] = value
                    if not sure:
                        doubtful.setdefault(answer["ID"], []).append(tag)
        self._read_doubtful(columns, doubtful)
        if unread:
            self._fill_by_json(columns, list(unread.values()), series)

    def _fill_by_json(self, columns: dict[str, dict[str, Value]], tags: Sequence[Tag], series: Sequence[Row]) -> None:
        doubtful: dict[str, list[Tag]] = {}

        def ask(row: Row) -> list[tuple[str, Tag, tuple[Value, bool]]]:
            try:
                answer = self.transport.json_in_a_row(f"/series/{row.key}/instances-tags?short", self._buffer)
            except NotFoundError:
                # Deleted meanwhile, of which the index tells where values are missing.
                return []
            # An element that is there, and null, is too long or binary.
            return [
                (key, tag, _value_in_json(found, tag, null=_TOO_LONG)) for key, found in answer.items() for tag in tags
            ]

        # The server takes as long for these answers as reading them here: more at a time only wait for each other.
        for told in map_ordered(ask, series, workers=4, total=len(series), label="reading tags"):
            for key, tag, (value, sure) in told:
                columns[tag.name][key] = value
                if not sure:
                    doubtful.setdefault(key, []).append(tag)
        self._read_doubtful(columns, doubtful)

    def _read_doubtful(self, columns: dict[str, dict[str, Value]], doubtful: dict[str, list[Tag]]) -> None:
        tags = list({tag.name: tag for found in doubtful.values() for tag in found}.values())
        if tags:
            self._fill_by_header(columns, tags, list(doubtful))

    def _fill_by_header(self, columns: dict[str, dict[str, Value]], tags: Sequence[Tag], keys: Sequence[str]) -> None:
        headers = map_ordered(self.header, keys, total=len(keys), label="reading headers")
        with quiet():
            for key, header in zip(keys, headers, strict=True):
                for tag in tags:
                    columns[tag.name][key] = read_value(header, tag)

    def resolve(self, text: str) -> list[IdentifierMatch]:
        found: list[IdentifierMatch] = []
        if _ORTHANC_ID.match(text):
            for level, route in ROUTE.items():
                try:
                    self.transport.json("GET", f"/{route}/{text}")
                except NotFoundError:
                    continue
                found.append(IdentifierMatch("Orthanc id", level, text))
        if "*" in text or "?" in text:
            # The lookup refuses wildcards; no UID holds them, and a PatientID may.
            for row in self.search("study", _PATIENT_ID, (text,)):
                if row.values.get(_PATIENT_ID.name) == (text,):
                    found.append(IdentifierMatch(_PATIENT_ID.name, "patient", row.parent))
        else:
            found += self._looked_up(text)
        # The lookup does not know accession numbers.
        accession = parse_tag("AccessionNumber")
        for row in self.search("study", accession, (text,)):
            if row.values.get(accession.name) == (text,):
                found.append(IdentifierMatch(accession.name, "study", row.key))
        return list(dict.fromkeys(found))

    def _looked_up(self, text: str) -> Iterator[IdentifierMatch]:
        try:
            content = text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair stands in no text that was decoded
            return
        answers = self.transport.json("POST", "/tools/lookup", data=content, idempotent=True)
        levels = {name: level for level, name in ORTHANC_LEVEL.items()}
        for answer in answers:
            level = levels[answer["Type"]]
            tags = self.transport.json("GET", f"/{ROUTE[level]}/{answer['ID']}", params={"short": ""})["MainDicomTags"]
            for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                # Orthanc's lookup folds case and, before 1.12.11, took _ and % for wildcards.
                if str(tags.get(parse_tag(keyword).number, "")).strip() == text:
                    yield IdentifierMatch(keyword, level, answer["ID"])

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        if kind == "label":
            return read_label(self.rest.capabilities, self.description, self._find, name)
        return read_metadata(self.transport, self.rest.capabilities, self._find, name)

    def header(self, key: str) -> Dataset:
        return read_header(self._part_of_file(key), _HEADER_BYTES, self._scanner)

    def _part_of_file(self, key: str) -> Any:
        def read(start: int, stop: int) -> tuple[memoryview, bool]:
            """Read bytes of the file; True says that it is the whole."""
            size = self._sizes.get(key)
            # A range that ends behind the end of the file is refused, and a small file is as cheap whole.
            if not self.rest.capabilities.ranges or size is None or size <= stop:
                return self.read(key, self._buffer), True
            part = self.transport.read_into(f"/instances/{key}/attachments/dicom/data", self._buffer, (start, stop))
            # Where the server does not honour the range this is the whole file.
            return part, len(part) != stop - start

        return read

    def content(self, key: str) -> bytes:
        return self.transport.content("GET", f"/instances/{key}/file")

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        return self.transport.read_into(f"/instances/{key}/file", allocate)

    def save(self, key: str, path: Path) -> None:
        self.transport.download(f"/instances/{key}/file", path)

    def store(self, content: bytes | LongFile) -> tuple[str, str]:
        """Store a DICOM file, and give Orthanc's word for what became of it, and the key of the instance."""
        answer = self.rest.post("/instances", content)
        answer = answer[0] if isinstance(answer, list) else answer
        return str(answer.get("Status", "")), str(answer.get("ID", ""))

    def delete(self, level: Level, key: str) -> None:
        """Delete an object and all that lies below it; one that is gone already is no error."""
        with suppress(NotFoundError):
            self.rest.delete(f"/{ROUTE[level]}/{key}")

    def checksum(self, key: str) -> str | None:
        """Give the MD5 of the file as it is stored; None where the server may have transcoded it on arrival."""
        if self.rest.capabilities.transcodes:
            return None
        return self.transport.content("GET", f"/instances/{key}/attachments/dicom/md5").decode("ascii").strip()

    @property
    def main_dicom_tags(self) -> dict[Level, list[str]]:
        """The keywords that the server keeps in its database, level by level."""
        listed = self.rest.capabilities.tags_by_level
        if not listed:  # before Orthanc 1.11.0, which cannot be told to keep others
            return {level: list(keywords) for level, keywords in INDEXED.items()}
        return {level: [parse_tag(number).name for number in numbers] for level, numbers in listed.items()}

    def close(self) -> None:
        self.transport.close()

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_lock", "_buffer", "_scanner", "rest")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.rest = Rest(self.transport)
        self._scanner, self._buffer = Scanner(), ReusableBuffer()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Orthanc at {self.description}>"


def _file_size(instance: Mapping[str, Any]) -> int | None:
    if "FileSize" in instance:
        return int(instance["FileSize"])
    sizes = (each["UncompressedSize"] for each in instance.get("Attachments", ()) if each["ContentType"] == _DICOM_FILE)
    return next(map(int, sizes), None)


def _dictionary_vr(tag: Tag) -> str:
    try:
        return dictionary_VR(tag.leaf.number)
    except KeyError:
        return ""


def _number(tag: Tag) -> str:
    return f"{tag.steps[0].group:04x},{tag.steps[0].element:04x}"


def _queries(tag: Tag, patterns: Sequence[str]) -> list[str]:
    """Write wildcard patterns as Orthanc's find can take them without losing a match."""
    if tag.vr == "UI" and not any("*" in pattern or "?" in pattern for pattern in patterns):
        return ["\\".join(batch) for batch in batches(list(patterns), _UIDS)]
    if tag.vr == "UI" or len(patterns) > 8:
        return ["" if tag.vr == "UI" else "*"]
    safe = [re.sub(r"\*+", "*", _SAFE.sub("*", unicodedata.normalize("NFC", pattern))) for pattern in patterns]
    return list(dict.fromkeys(safe))


def _value_in_json(dataset: Mapping[str, Any], tag: Tag, null: object = None) -> tuple[Value, bool]:
    """Read a tag from Orthanc's short JSON; False: the file must be asked. ``null`` is what a null means."""
    texts: list[str | bytes] = []
    sure = True
    decodable = tag.vr not in TEXT_VRS or is_decodable(next(_walk_json(dataset, _CHARACTER_SET, 0)))
    for content in _walk_json(dataset, tag, 0, null):
        if content is _TOO_LONG or (isinstance(content, str) and (is_mangled(content) or not decodable)):
            sure = False
        elif isinstance(content, str):
            texts.extend(from_text(content, tag.vr) or ())
    return (tuple(texts) if texts else None), sure


_TOO_LONG = object()
_CHARACTER_SET = parse_tag(CHARACTER_SET)


def _walk_json(dataset: Mapping[str, Any], tag: Tag, place: int, null: object = None) -> Iterator[Any]:
    step = tag.steps[place]
    number = f"{step.group:04x},{step.element:04x}"
    content = dataset.get(number)
    if content is None and number in dataset:
        content = null
    if place == len(tag.steps) - 1 or content is _TOO_LONG:
        yield content
    elif isinstance(content, list):
        for item in content if step.item is None else content[step.item : step.item + 1]:
            yield from _walk_json(item, tag, place + 1, null)
