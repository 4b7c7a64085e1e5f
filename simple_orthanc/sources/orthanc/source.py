"""An Orthanc server as a source: what is requested of it, and how its answers become rows and values.

What the server is trusted with, and why
----------------------------------------
- The tags of the index (`simple_orthanc.dicom.levels.INDEXED`) are in the database of every Orthanc since 1.4.2.
  Orthanc also keeps with the series some tags that DICOM puts into the image (ImageOrientationPatient, SequenceName,
  ContrastBolusAgent ...): there the first instance stands for all, so these tags are read from every file.
- The database leaves out values of more than 256 characters, so tags that may be longer (ImageComments,
  OtherPatientIDs) are read from the files too.
- Orthanc cannot decode every combination of character sets: a string that may be mangled is read again from a DICOM
  file. See `simple_orthanc.sources.charset_check`.

`simple_orthanc.sources.orthanc.find` finds objects, and `simple_orthanc.sources.orthanc.columns` reads tags of files.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import WORKERS, map_ordered, run_all
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import INDEXED, Level, indexed_level
from simple_orthanc.dicom.tags import INDEX_TAGS, Tag, is_searchable, parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import NotFoundError, OrthancError, ServerError
from simple_orthanc.files.walker import Buffer
from simple_orthanc.rest import Rest
from simple_orthanc.rest.levels import ORTHANC_LEVEL, ROUTE
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.predicates import Predicate, wildcard_patterns
from simple_orthanc.selection.source import Changes, IdentifierMatch, Mark, Revision, Row, SeriesOf, batches
from simple_orthanc.sources.cache.cache import Cache, kept_files
from simple_orthanc.sources.orthanc.additions import Additions
from simple_orthanc.sources.orthanc.answers import ask, has, is_matches
from simple_orthanc.sources.orthanc.archived import ArchiveReader
from simple_orthanc.sources.orthanc.changes import LastChange, read_changes, read_last
from simple_orthanc.sources.orthanc.columns import ColumnReader
from simple_orthanc.sources.orthanc.files import FileReader
from simple_orthanc.sources.orthanc.find import MAX_IDS, Finder, queries_for
from simple_orthanc.sources.orthanc.find_limit import MAX_UIDS, Observed
from simple_orthanc.sources.orthanc.labels import read_label, read_metadata
from simple_orthanc.sources.orthanc.listed_files import Asked, ListedFile, ListedFiles
from simple_orthanc.sources.orthanc.listings import Listings
from simple_orthanc.sources.orthanc.replacements import Replacements
from simple_orthanc.sources.orthanc.rows import RowsOfAnswers
from simple_orthanc.sources.orthanc.storing import OrthancStore
from simple_orthanc.transport import Transport

_UID_OF_PARENT = {"series": "StudyInstanceUID", "instance": "SeriesInstanceUID"}
_PATIENT_ID, _ACCESSION_NUMBER = parse_tag("PatientID"), parse_tag("AccessionNumber")
_IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}\Z")


class OrthancSource:
    """An Orthanc server, through its REST API; see `simple_orthanc.selection.source.Source` for the methods.

    Parameters
    ----------
    transport : Transport
        The connection.
    checksums : bool, optional
        Whether the MD5s of files are compared; see `simple_orthanc.sources.orthanc.files.FileReader`.
    cache : Cache, optional
        Keeps files that have been read.

    Attributes
    ----------
    rest : Rest
        The REST API over the connection.
    cache : Cache or None
        Keeps files that have been read.
    """

    def __init__(self, transport: Transport, checksums: bool | None = None, cache: Cache | None = None) -> None:
        self.transport, self._checksums, self.cache = transport, checksums, cache
        self._observed = Observed()
        self._last_change: LastChange | None = None
        self._requests_before = 0
        self._listed_files = ListedFiles()
        self._values_of_files: dict[str, Mapping[str, Value]] = {}
        self.rest = transport.kept(Rest)
        self._finder = Finder(self.transport, self.rest, self._observed)
        self._replacements = Replacements(self.transport, self._listed_files)
        self._kept = None if cache is None else kept_files(cache, self.description, self._replacements.is_current)
        self._reader = FileReader(self.transport, self.rest, self._listed_files, self._checksums, self._kept)
        self._listings = Listings(self._finder)
        self._archives = ArchiveReader(self.transport, self.rest, self._reader)
        self._columns = ColumnReader(self.transport, self.rest, self._finder, self._reader.header)

    @property
    def description(self) -> str:
        """The URL of the server, without user name and password."""
        return self.transport.url

    @property
    def requests(self) -> int:
        """How many requests have been sent."""
        return self.transport.requests

    # What there is

    def counts(self) -> Mapping[Level, int]:
        """Count everything, at each level."""
        return self._finder.count()

    def revision(self) -> Revision:
        """Return the state that the archive is in."""
        last, self._last_change = self._last_change, None
        # Requests sent since may have changed the server.
        if last is None or self.requests != self._requests_before:
            last = self._read_last()
        self._forget()
        if self.cache is not None:
            self._replacements.catch_up(last)
        return Revision(last, self.counts())

    def connect(self) -> None:
        """Ask what the server can do and, at the same time, for the end of its feed of changes, as `watch` does.

        Raises
        ------
        OrthancError
            Nothing answers there, or what answers is not Orthanc.
        """

        def watch() -> bool:
            with suppress(OrthancError):
                self.watch()
                return True
            return False

        asked: list[Callable[[], Any]] = [self.rest.connect, watch]
        _, is_watched = run_all(lambda ask: ask(), asked, workers=2)
        if not is_watched:
            self.watch()

    def watch(self) -> None:
        """Note the end of the server's feed of changes; the next `revision` starts from there."""
        self._last_change = self._read_last()
        self._requests_before = self.requests
        if self.cache is not None:
            self._replacements.catch_up(self._last_change)

    def _read_last(self) -> LastChange | None:
        try:
            return read_last(self.transport)
        except ServerError:
            # While the feed cannot be read, the archive can be, but not from a cache.
            if self.cache is not None:
                raise
            return None

    def changes(self, since: Revision) -> Changes:
        """Find out what has changed in the archive since a revision."""
        changes = read_changes(self.transport, since)
        self._forget()
        # What the server listed about a file does not hold for the one that replaced it.
        self._replacements.note(changes.added, changes.revision.token)
        if changes.revision.counts is not None:
            self._observed.counts = changes.revision.counts
        return changes

    def _forget(self) -> None:
        """Forget whatever may be out of date.

        Only after the feed of changes was read: what other threads list before that may lack what is in the feed.
        """
        # A new dictionary: what another thread is reading belongs to the old one.
        self._values_of_files = {}
        self._listings.forget()

    def mark(self, revision: Revision | None, instances: Sequence[str] | None) -> Mark | None:
        """Return the last change in a state; None if this user may not read the feed of changes."""
        token = None if revision is None else revision.token
        return Mark(Revision(token), time.time()) if isinstance(token, LastChange) else None

    def replaced_since(self, mark: Mark, instances: Sequence[str], at: float, series_of: SeriesOf | None = None) -> int:
        """Count the instances that were stored again since a state."""
        self._replacements.note_first(mark.revision.token)
        return self.transport.kept(Additions).count_replaced(mark, instances, at, series_of)

    def indexed(self, tag: Tag) -> Level | None:
        """Return the level whose rows hold a tag; None if only the files hold it."""
        return indexed_level(tag.name)

    def searchable(self, tag: Tag, predicate: Predicate) -> bool:
        """Check whether `search` can find rows by a predicate of a tag."""
        return is_searchable(tag) and wildcard_patterns(predicate, tag.vr) is not None

    # Rows

    def listing(self, level: Level) -> Iterator[Row]:
        """Yield every row of a level."""
        asked = self._listed_files.ask()
        answers, rows = self._listings.all(level)
        yield from self._to_rows(level, asked, answers, rows)

    def search(self, level: Level, tag: Tag, predicate: Predicate) -> Iterator[Row]:
        """Yield at least the rows for which a predicate holds."""
        yield from self._search(level, tag, wildcard_patterns(predicate, tag.vr) or ())

    def _search(self, level: Level, tag: Tag, patterns: Sequence[str]) -> Iterator[Row]:
        """Yield at least the rows with a value that matches one of the wildcard patterns."""
        seen: set[str] = set()
        for query in queries_for(tag, patterns):
            for row in self._to_rows(level, self._listed_files.ask(), self._finder.find(level, {tag.keyword: query})):
                if row.key not in seen:
                    seen.add(row.key)
                    yield row

    def below(self, level: Level, parents: Sequence[Row]) -> Iterator[Row]:
        """Yield at least the rows of a level whose parents are these rows of the level above."""
        if len(parents) == 1:
            # Takes half the time of a find by UID.
            yield from self._below_one(level, parents[0])
            return
        if self._finder.is_quicker_by_id and not any(row.has_unknown_children for row in parents):
            yield from self._rows_by_id(level, [key for row in parents for key in row.children])
            return
        keyword = _UID_OF_PARENT[level]
        uids = [str((row.values.get(keyword) or ("",))[0]) for row in parents]
        parent_keys = {row.key for row in parents}
        parent_keys_with_rows: set[str] = set()
        children: dict[str, set[str]] = {}
        for row, uid in zip(parents, uids, strict=True):
            if uid:
                children.setdefault(uid, set()).update(row.children)
        for batch in batches(list(children), MAX_UIDS):
            expected = set().union(*(children[uid] for uid in batch))
            asked = self._listed_files.ask()
            found = self._finder.find_expected(level, {keyword: "\\".join(batch)}, expected)
            answers = self._finder.completed(level, found, expected)
            rows = [row for row in self._to_rows(level, asked, answers) if row.parent in parent_keys]
            parent_keys_with_rows.update(row.parent for row in rows)
            yield from rows
        for row, uid in zip(parents, uids, strict=True):
            if not uid or (row.has_unknown_children and row.key not in parent_keys_with_rows):
                yield from self._below_one(level, row)

    def _below_one(self, level: Level, parent: Row) -> list[Row]:
        return self._to_rows(level, self._listed_files.ask(), self._finder.below(level, parent.key, parent.children))

    def rows(self, level: Level, keys: Sequence[str]) -> Iterator[Row]:
        """Yield the rows with these keys."""
        if len(keys) > MAX_IDS and self._finder.is_listed_sooner(level, len(keys)):
            wanted = set(keys)
            yield from (row for row in self.listing(level) if row.key in wanted)
        else:
            yield from self._rows_by_id(level, keys)

    def _rows_by_id(self, level: Level, keys: Sequence[str]) -> list[Row]:
        asked = self._listed_files.ask()
        return self._to_rows(level, asked, self._finder.completed(level, self._finder.by_id(level, keys), keys))

    def _to_rows(
        self, level: Level, asked: Asked, answers: Iterable[Mapping[str, Any]], made: RowsOfAnswers | None = None
    ) -> list[Row]:
        """Return the rows for answers to a request that `asked` announced; some may have been made already."""
        answers = list(answers)
        rows, doubtful = (made or RowsOfAnswers(level)).of(answers)
        described = answers if level == "instance" else ()
        asked.take({each["ID"]: file for each in described if (file := ListedFile.of(each)) is not None})
        if self._kept is not None:
            self._kept.note(level, rows)
        if not doubtful:
            return rows
        corrected = {row.key: row for row in self.reload_from_files(level, doubtful)}
        return [corrected.get(row.key, row) for row in rows]

    def reload_from_files(self, level: Level, rows: Sequence[Row], tag: Tag | None = None) -> Iterator[Row]:
        """Yield rows with values from one file of each, which are decoded here rather than by the server."""
        workers = self.transport.at_once(nearby=WORKERS)
        read = partial(self._from_file, level)
        yield from map_ordered(read, rows, workers=workers, total=len(rows), label="reading headers")

    def _from_file(self, level: Level, row: Row) -> Row:
        in_file = self._indexed_values(self._instance_of(level, row))
        # What the server left out stays left out: only strings that are present can be mangled.
        names = [tag.name for tag in INDEX_TAGS[level].values() if tag.name in row.values]
        return replace(row, values={**row.values, **{name: in_file[name] for name in names}})

    def _instance_of(self, level: Level, row: Row) -> str:
        """Return the key of one instance of an object."""
        if level == "instance":
            return row.key
        if level == "series" and row.children:
            return row.children[0]
        series = row.key
        if level == "study":
            series = (
                row.children[0] if row.children else next((each.key for each in self._below_one("series", row)), "")
            )
        return str(ask(self.transport, "GET", f"/series/{series}", has(Instances=list))["Instances"][0])

    def _indexed_values(self, key: str) -> Mapping[str, Value]:
        """Read the indexed tags of an instance from its file, and remember them until the next look for changes.

        A study, its first series and the first instance of that series are read from the same file, and a series is
        read again if its study has unreliable strings.
        """
        known = self._values_of_files
        values = known.get(key)
        if values is None:
            header = self.header(key)
            tags = {tag.name: tag for level in INDEX_TAGS.values() for tag in level.values()}
            values = {name: read_value(header, tag) for name, tag in tags.items()}
            known[key] = values
        return values

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        """Read tags from the files of some series: name of tag, to key of instance, to value."""
        return self._columns.read(tags, series, keys)

    # Identifiers, labels and metadata

    def resolve(self, text: str) -> list[IdentifierMatch]:
        """Find what an identifier names: a UID, AccessionNumber, PatientID or Orthanc id."""
        matches: list[IdentifierMatch] = []
        if _ORTHANC_ID.match(text):
            for level, route in ROUTE.items():
                try:
                    self.transport.json("GET", f"/{route}/{text}")
                except NotFoundError:
                    continue
                matches.append(IdentifierMatch("Orthanc id", level, text))
        if "*" in text or "?" in text:
            # The lookup refuses wildcards; no UID contains them, but a PatientID may.
            for row in self._rows_with(_PATIENT_ID, text):
                matches.append(IdentifierMatch(_PATIENT_ID.name, "patient", row.parent))
        else:
            matches += self._look_up(text)
        # The lookup does not know accession numbers.
        for row in self._rows_with(_ACCESSION_NUMBER, text):
            matches.append(IdentifierMatch(_ACCESSION_NUMBER.name, "study", row.key))
        return list(dict.fromkeys(matches))

    def _rows_with(self, tag: Tag, value: str) -> Iterator[Row]:
        return (row for row in self._search("study", tag, (value,)) if row.values.get(tag.name) == (value,))

    def _look_up(self, text: str) -> Iterator[IdentifierMatch]:
        try:
            content = text.encode()
        except UnicodeEncodeError:  # no decoded value contains half of a surrogate pair
            return
        answers = ask(self.transport, "POST", "/tools/lookup", is_matches, data=content, idempotent=True)
        levels = {name: level for level, name in ORTHANC_LEVEL.items()}
        for answer in answers:
            level = levels[answer["Type"]]
            path = f"/{ROUTE[level]}/{answer['ID']}"
            tags = ask(self.transport, "GET", path, has(MainDicomTags=dict), params={"short": ""})["MainDicomTags"]
            for keyword in _IDENTIFIERS:
                # Orthanc's lookup ignores case and, before 1.12.11, treats _ and % as wildcards.
                if str(tags.get(parse_tag(keyword).number, "")).strip() == text:
                    yield IdentifierMatch(keyword, level, answer["ID"])

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        """Return the objects that have a label, or the values of a metadata entry, by level and key."""
        if kind == "label":
            return read_label(self.rest.capabilities, self.description, self._finder.find, name)
        return read_metadata(self.transport, self.rest.capabilities, self._finder.find, name)

    # Files

    def stored_file(self, key: str) -> StoredFile:
        """Return the length of an instance's file, and its MD5 unless the server keeps none."""
        return self._reader.stored_file(key)

    def listed_file(self, key: str) -> StoredFile:
        """Return the length and the MD5 of an instance's file, as far as the server has listed them."""
        return self._reader.listed_file(key)

    def compared_md5(self, key: str) -> str | None:
        """Return the MD5 that reads of an instance are compared with; None if they are not."""
        return self._reader.compared_md5(key)

    def stored_md5(self, key: str) -> str | None:
        """Return the MD5 of the file that the server has now; None if it keeps no MD5s."""
        return self._reader.stored_md5(key)

    def read_together(self, series: Sequence[Row]) -> dict[str, Buffer]:
        """Read the small files of some series, from one archive if that is quicker, else by pipelined requests."""
        files = self._archives.read(series)
        others = [key for row in series for key in row.children if key not in files]
        return {**files, **self._reader.read_several(others)}

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        """Return how many files, or headers, are best read at a time: more if the server is far away."""
        return self._reader.at_once(keys, headers)

    def header(self, key: str) -> Dataset:
        """Read an instance's header: exact, from the DICOM bytes, without pixels."""
        return self._reader.header(key)

    def content(self, key: str) -> bytes:
        """Read an instance's DICOM file."""
        return self._reader.content(key)

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read an instance's DICOM file into memory of its length that `allocate` provides, or into other memory."""
        return self._reader.read(key, allocate)

    def check_identity(self, key: str, header: Dataset) -> None:
        """Raise a TransportError if a header is not that of the instance."""
        self._reader.check_identity(key, header)

    def save(self, key: str, path: Path) -> None:
        """Write an instance's DICOM file; the path appears only when the file is complete."""
        self._reader.save(key, path)

    def is_copy(self, key: str, path: Path) -> bool:
        """Check whether a file on disk is that of an instance, by its identifiers, length and MD5."""
        return self._reader.is_copy(key, path)

    # What changes the server

    @property
    def store(self) -> OrthancStore:
        """The server as uploads need it."""
        # What is sent is compared with what the server holds now.
        return OrthancStore(self.transport, self.rest, self._finder, self._reader.without_cache())

    def delete(self, level: Level, key: str) -> bool:
        """Delete an object and all that lies below it; return False if it was gone already."""
        try:
            self.rest.delete(f"/{ROUTE[level]}/{key}")
        except NotFoundError:
            return False
        return True

    @property
    def main_dicom_tags(self) -> dict[Level, list[str]]:
        """The keywords that the server keeps in its database, level by level."""
        listed = self.rest.capabilities.tags_by_level
        if not listed:  # Orthanc before 1.11.0, which cannot be configured to keep others
            return {level: list(keywords) for level, keywords in INDEXED.items()}
        return {level: [parse_tag(number).name for number in numbers] for level, numbers in listed.items()}

    def close(self) -> None:
        """Close the connections; they are opened again when needed."""
        self.transport.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the connection, and nothing that was read."""
        return OrthancSource, (self.transport, self._checksums, self.cache)

    def __repr__(self) -> str:
        """Show the address, never a password."""
        return f"<Orthanc at {self.description}>"
