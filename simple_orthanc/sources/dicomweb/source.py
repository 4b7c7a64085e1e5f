"""A DICOMweb server as a source: what it is asked for each question of a session.

What such a server is trusted with, and why
-------------------------------------------
- Filters are sent where no server can leave out a match: see `simple_orthanc.sources.filters`. Everything else
  is listed. What comes is always decided here.
- A filter that finds nothing is believed if the same filter finds an object that is known to be there.
- A study or series has something in it: a search that finds nothing there is not believed.
- Several UIDs in one filter are asked for once; what did not come is asked for by itself.
- A server that refuses to list is searched as well as it can, with a warning where it may leave out a match.
- Counts that the server gives are compared with what it shows. What is missing is looked for in metadata; what is still
  missing is warned of.
- How answers become rows, and which of their values are sure: see `simple_orthanc.sources.dicomweb.rows`.
- How values of images are read: see `simple_orthanc.sources.dicomweb.metadata`.

What cannot be
--------------
DICOMweb names a study, series or instance by its UID alone: see `simple_orthanc.sources.dicomweb.instances`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.landing import LandsOnce
from simple_orthanc.concurrency.threads import READERS, WORKERS, map_ordered
from simple_orthanc.dicom.levels import LEVELS, Level, depth, indexed_level
from simple_orthanc.dicom.tags import TEXT_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.dicomweb.model import read_string
from simple_orthanc.errors import (
    AuthenticationError,
    ServerError,
    TransportError,
    UnsupportedError,
    stacklevel,
)
from simple_orthanc.files.walker import Buffer
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.predicates import Predicate, StringIs
from simple_orthanc.selection.source import IdentifierMatch, Revision, Row, batches
from simple_orthanc.sources.cache.cache import Cache, kept_files
from simple_orthanc.sources.dicomweb.completion import Completion
from simple_orthanc.sources.dicomweb.deleting import delete_object
from simple_orthanc.sources.dicomweb.instances import InstanceReader
from simple_orthanc.sources.dicomweb.metadata import MetadataReader
from simple_orthanc.sources.dicomweb.queries import (
    CANNOT_SEARCH,
    UIDS_AT_ONCE,
    Queries,
)
from simple_orthanc.sources.dicomweb.rows import RowBuilder
from simple_orthanc.sources.dicomweb.trust import CharacterLoss
from simple_orthanc.sources.dicomweb.versions import StoredVersions
from simple_orthanc.sources.filters import Filter, filters_for, loose_filters_for, misses_nothing
from simple_orthanc.sources.identity import identity_of
from simple_orthanc.sources.keys import UID_TAGS, Key, is_uid
from simple_orthanc.sources.unlisted import UnlistedFiles, UntoldChanges
from simple_orthanc.transport import Transport

_DAY = re.compile(r"[0-9.]+")

_HINT = (
    "Give the root of the service: Orthanc's is /dicom-web below its own, as in 'http://127.0.0.1:8042/dicom-web', and "
    "other servers have theirs."
)


class DicomWebSource(UnlistedFiles, UntoldChanges, LandsOnce):
    """A DICOMweb server; see `simple_orthanc.selection.source.Source` for the methods.

    Parameters
    ----------
    transport : Transport
        The connection.
    rest : Transactions
        The transactions over it.
    root : str
        Path of the service below the address of the connection.
    cache : Cache, optional
        Where files that were read are kept.
    """

    def __init__(self, transport: Transport, rest: Transactions, root: str = "", cache: Cache | None = None) -> None:
        self.transport, self.rest, self._root, self.cache = transport, rest, root, cache
        self._queries = Queries(transport, rest, root)
        self._rows = RowBuilder(self._queries, CharacterLoss(transport, root))
        self._completion = Completion(self._queries, self._rows)
        self._versions = StoredVersions(transport, root)
        self._kept = None if cache is None else kept_files(cache, self.description, self._versions.is_current)
        stamp = None if cache is None else self._versions.stamp
        self._instances = InstanceReader(rest, self._rows, self.description, self._kept, stamp)
        self._metadata = MetadataReader(rest, self._queries, self._rows, self._instances)

    _pickled = ("transport", "rest", "_root", "cache")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the connection, and nothing that was read."""
        DicomWebSource.__init__(self, *state.values())

    def __repr__(self) -> str:
        """Show the address, never a password."""
        return f"<DICOMweb at {self.description}>"

    @property
    def description(self) -> str:
        """The address of the service."""
        return self._queries.description

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self.transport.requests

    def connect(self) -> None:
        """Ask for one study; a server that refuses to list need only search for one.

        Raises
        ------
        TransportError
            If nothing answers there, or not as DICOMweb does.
        """
        try:
            first = self._queries.first_study()
        except AuthenticationError:
            raise
        except ServerError as error:
            if error.status not in CANNOT_SEARCH:
                raise
            raise TransportError(f"{self.description} does not answer as DICOMweb does. {_HINT} {error}") from None
        except TransportError:
            if self._queries.is_orthanc():
                raise TransportError(f"{self.description} is an Orthanc, and not its DICOMweb. {_HINT}") from None
            raise
        # An empty list says nothing of who sent it.
        if first is None and self._queries.is_orthanc():
            raise TransportError(f"{self.description} is an Orthanc, and not its DICOMweb. {_HINT}")

    def counts(self) -> Mapping[Level, int]:
        """Count everything at each level, from what the studies say if all of them say it and nothing contradicts."""
        studies = self._queries.all_studies()
        keys = {(read_string(study, "PatientID"), read_string(study, "StudyInstanceUID")) for study in studies}
        levels: tuple[Level, ...] = ("series", "instance")
        counted = {level: self._queries.total(level) for level in levels}
        for level in levels:
            if counted[level] is None or len(keys) < len(studies) or self._queries.is_contradicted():
                counted[level] = len({row.key for row in self.listing(level)})
        return {
            "patient": len({patient for patient, _ in keys}),
            "study": len(keys),
            "series": counted["series"] or 0,
            "instance": counted["instance"] or 0,
        }

    def revision(self) -> Revision:
        """Return a new state: DICOMweb does not say what has changed."""
        self._queries.forget()
        self._versions.forget()
        return Revision(None)

    def indexed(self, tag: Tag) -> Level | None:
        """Return the level whose rows carry a tag, None if only the files hold it."""
        return indexed_level(tag.name)

    def searchable(self, tag: Tag, predicate: Predicate) -> bool:
        """Check whether `search` finds rows by a predicate; what cannot be sent as a filter is listed."""
        if filters_for(tag, predicate) is not None:
            return True
        is_string = self.indexed(tag) in ("study", "series") and tag.vr in TEXT_VRS | {"CS", "UI"}
        return is_string and loose_filters_for(predicate) is not None

    def listing(self, level: Level) -> Iterator[Row]:
        """List every row of a level.

        Warns
        -----
        UserWarning
            If the server says that it holds more than it shows.
        """
        if level == "study":
            yield from self._rows.build(level, self._queries.all_studies())
            return
        answers = self._queries.across(level, {})
        expected = self._queries.expected(level)
        self._rows.note_patients(self._queries.all_studies())
        if answers is not None and len(answers) >= expected:
            yield from self._rows.build(level, answers)
            yield from self._in_studies(level, self._queries.studies_without(answers))
            return
        above: Level = LEVELS[depth(level) - 1]
        rows = list(self._below_each(level, list(self.listing(above))))
        if len(rows) < expected:
            # The studies were counted earlier, and some may have been deleted since.
            self._queries.forget()
            expected = self._queries.expected(level)
        if len(rows) < expected:
            warnings.warn(
                f"{self.description} says that it holds {expected} objects of level {level}, and shows {len(rows)}: a "
                f"limit of the server hides the others.",
                stacklevel=stacklevel(),
            )
        yield from rows

    def _in_studies(self, level: Level, studies: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """List every row of a level in some studies, one by one."""
        rows = self._rows.build("study", studies)
        for lower in LEVELS[depth("series") : depth(level) + 1]:
            rows = list(self._below_each(lower, rows))
        return rows

    def search(self, level: Level, tag: Tag, predicate: Predicate) -> Iterator[Row]:
        """List at least the rows for which a predicate holds, as far as the server shows them.

        Warns
        -----
        UserWarning
            If the server refuses to list, and its own comparison may leave out a match.
        """
        filters = filters_for(tag, predicate)
        rows = None if filters is None else self._matching(level, tag, predicate, filters)
        yield from self._listed_or_loosely(level, tag, predicate) if rows is None else rows

    def _listed_or_loosely(self, level: Level, tag: Tag, predicate: Predicate) -> Collection[Row]:
        try:
            return list(self.listing(level))
        except ServerError as error:
            loose = loose_filters_for(predicate) if self._queries.refuses_listing(error) else None
            rows = None if loose is None else self._matching(level, tag, predicate, loose, is_checked=False)
            if rows is None:
                raise
        if not misses_nothing(predicate):
            warnings.warn(
                f"{self.description} refuses to list everything, so {tag.name} {predicate} was decided by the server: "
                "what it compares otherwise, by case, accents or parts of a name, may be missing. Select by "
                "PatientID, AccessionNumber, StudyDate or a UID to be sure.",
                stacklevel=stacklevel(),
            )
        return rows

    def _matching(
        self, level: Level, tag: Tag, predicate: Predicate, filters: Sequence[Filter], *, is_checked: bool = True
    ) -> Collection[Row] | None:
        """Search by filters; None if the server refuses one, or, if checked, may not match by this attribute at all."""
        keyword = tag.keyword
        if keyword == UID_TAGS[level]:
            found = self._queries.by_uids(level, [item.value for item in filters])
            if found is None or (is_checked and not found and not self._queries.finds_by_uid(level)):
                return None
            return list({row.key: row for row in self._rows.build(level, found)}.values())
        rows: dict[str, Row] = {}
        # That one form of a filter finds a match says nothing of the others.
        is_proven: dict[str, bool] = {}

        def ask(item: Filter) -> list[dict[str, Any]] | None:
            return self._queries.across(level, {keyword: item.value})

        # Two are not worth threads, each of which would check what the server understands.
        workers = 1 if len(filters) <= 2 else self._queries.at_once(4)
        for item, answers in zip(filters, map_ordered(ask, filters, workers=workers), strict=True):
            if answers is None and not item.is_optional:
                return None
            found_rows = self._rows.build(level, answers or (), is_narrowed=True)
            rows.update((row.key, row) for row in found_rows)
            form = _DAY.sub("{}", item.value) if tag.vr == "DA" else "{}"
            is_match = any(predicate.holds(row.values.get(tag.name), tag.vr) for row in found_rows)
            is_proven[form] = is_proven.get(form, False) or is_match
        unproven = [form for form, proven in is_proven.items() if not proven]
        if level != "study" or not is_checked or all(self._queries.matches_by(keyword, form) for form in unproven):
            return rows.values()
        return None

    def below(self, level: Level, parents: Sequence[Row]) -> Iterator[Row]:
        """List at least the rows of a level below these rows of the level above."""
        found: dict[str, dict[str, Row]] = {row.key: {} for row in parents}
        if len(parents) > 1:
            for row in self._by_list(level, [Key.parse(row.key) for row in parents]):
                if row.parent in found:
                    found[row.parent][row.key] = row
        # A server that knows no lists of UIDs finds nothing, or only the first.
        incomplete = {
            row.key: row
            for row in parents
            if not found[row.key] or len(found[row.key]) < self._rows.child_counts.get(row.key, 0)
        }
        for row in self._below_each(level, list(incomplete.values())):
            found[row.parent].setdefault(row.key, row)
        if level == "instance":
            self._completion.complete_studies(found)
            self._note_kept(parents, found)
        for rows in found.values():
            yield from rows.values()

    def _note_kept(self, series: Sequence[Row], found: Mapping[str, Mapping[str, Row]]) -> None:
        """Note what was found in some series, for files of it that are kept."""
        if self._kept is not None:
            whole = [replace(row, children=tuple(found[row.key]), has_unknown_children=False) for row in series]
            self._kept.note("series", whole)
            for rows in found.values():
                self._kept.note("instance", rows.values())

    def _by_list(self, level: Level, parents: Sequence[Key]) -> Iterator[Row]:
        above: Level = LEVELS[depth(level) - 1]
        uids = dict.fromkeys(parent[depth(above)] for parent in parents)

        def ask(batch: Sequence[str]) -> list[dict[str, Any]]:
            return self._queries.across(level, {UID_TAGS[above]: ",".join(batch)}) or []

        for answers in map_ordered(
            ask, list(batches(list(filter(is_uid, uids)), UIDS_AT_ONCE)), workers=self._queries.at_once(4)
        ):
            yield from self._rows.build(level, answers)

    def _below_each(self, level: Level, parents: Sequence[Row]) -> Iterator[Row]:
        wanted = {row.key for row in parents}
        # One UID under two patients is asked for once.
        keys: dict[Key, list[str]] = {}
        for row in parents:
            keys.setdefault(Key.parse(row.key)._replace(patient=""), []).append(row.key)
        shown = expected = 0
        ask = partial(self._queries.below, level)
        for (parent, names), (answers, is_searched) in zip(
            keys.items(),
            map_ordered(ask, list(keys), workers=self._queries.at_once(WORKERS), total=len(keys), label="listing"),
            strict=True,
        ):
            build = self._rows.build if is_searched else self._rows.build_of_images
            rows = build(level, answers, parent)
            if len(rows) < self._completion.expected(names):
                hidden, held = self._completion.hidden(level, parent, names, {row.key for row in rows})
                rows += hidden
                if len(rows) < held:
                    shown, expected = shown + len(rows), expected + held
            yield from (row for row in rows if row.parent in wanted)
        self._completion.warn_if_missing(level, shown, expected)

    def rows(self, level: Level, keys: Sequence[str]) -> Iterator[Row]:
        """List the rows with these keys; those of objects that were deleted are left out."""
        wanted = set(keys)
        if level == "study":
            answers = self._queries.by_uids(level, [Key.parse(key).study for key in keys])
            rows = self._rows.build(level, answers) if answers is not None else self.listing(level)
        else:
            parents = {str(Key.parse(key).parent): None for key in keys}
            rows = self._below_each(level, [Row(parent, "") for parent in parents])
        yield from {row.key: row for row in rows if row.key in wanted}.values()

    def reload_from_files(self, level: Level, rows: Sequence[Row], tag: Tag | None = None) -> Iterator[Row]:
        """Re-read rows with unresolved tags from metadata and files."""
        return self._metadata.reload_from_files(level, rows)

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        """Read tags of the instances of some series: name of tag, to key of instance, to value."""
        return self._metadata.columns(tags, series, keys)

    def resolve(self, text: str) -> list[IdentifierMatch]:
        """Find what an identifier names: a UID, AccessionNumber, PatientID or key."""
        if "/" in text:
            found = self._resolve_key(text)
            if found:
                return found
        questions: list[tuple[Level, str]] = [(level, tag) for level, tag in UID_TAGS.items() if level != "patient"]
        questions += [("study", "PatientID"), ("study", "AccessionNumber")]
        if not is_uid(text):
            questions = questions[-2:]

        def ask(question: tuple[Level, str]) -> list[IdentifierMatch]:
            level, name = question
            predicate = StringIs(text, "exact")
            rows = [row for row in self.search(level, parse_tag(name), predicate) if row.values.get(name) == (text,)]
            if name == "PatientID":
                return [IdentifierMatch(name, "patient", row.parent) for row in rows]
            return [IdentifierMatch(name, level, row.key) for row in rows]

        return list(dict.fromkeys(meaning for meanings in map_ordered(ask, questions) for meaning in meanings))

    def _resolve_key(self, text: str) -> list[IdentifierMatch]:
        key = Key.parse(text)
        level = LEVELS[sum(map(bool, key[1:]))]
        if level == "patient" or str(key) != text:
            return []
        return [IdentifierMatch("DICOMweb key", level, row.key) for row in self.rows(level, [text])]

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        """Refuse: DICOMweb has neither labels nor metadata of a server.

        Raises
        ------
        UnsupportedError
            Always.
        """
        raise UnsupportedError(
            f"{kind}({name!r}): DICOMweb has no {'labels' if kind == 'label' else 'metadata of a server'}. If "
            f"{self.description} is an Orthanc, open its own address with Orthanc(...)."
        )

    def stored_file(self, key: str) -> StoredFile:
        """Return that nothing is known of a file before it is read."""
        return StoredFile()

    def read_together(self, series: Sequence[Row]) -> dict[str, Buffer]:
        """Read the files of some series, one request for each."""
        return self._instances.series(series)

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        """Return how many files, or headers, are best read at a time: more where the server is far away."""
        return self.transport.at_once(nearby=WORKERS if headers else READERS)

    def header(self, key: str) -> Dataset:
        """Read the header of an instance from its file, without pixels."""
        return self._instances.header(Key.parse(key))

    def content(self, key: str) -> bytes:
        """Read the file of an instance."""
        return self._instances.content(Key.parse(key))

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read the file of an instance, into memory of its own unless it is in the cache."""
        return self._instances.read(Key.parse(key), allocate)

    def check_identity(self, key: str, header: Dataset) -> None:
        """Raise a TransportError if a header is not that of the instance."""
        self._instances.check_identity(Key.parse(key), identity_of(header))

    def save(self, key: str, path: Path) -> None:
        """Write the file of an instance; `path` appears only when the file is complete."""
        self._instances.save(Key.parse(key), path)

    def is_copy(self, key: str, path: Path) -> bool:
        """Check whether a file on disk is that of an instance, by its identifiers, and whether it is whole."""
        return self._instances.is_copy(Key.parse(key), path)

    def delete(self, level: Level, key: str) -> bool:
        """Delete an object and everything below it; return False if it was gone already.

        Raises
        ------
        UnsupportedError
            If the server does not offer it; or if the object shares its UID with one of another patient, so that
            nobody can say which of them would be deleted.
        """
        if level == "patient":
            studies = [row.key for row in self.listing("study") if row.parent == key]
            was_there = [self.delete("study", study) for study in studies]
            return any(was_there)
        return delete_object(self.rest, self._queries, self._rows, level, Key.parse(key))

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()
