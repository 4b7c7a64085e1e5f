"""A PACS as a source: what it is asked by C-FIND for each question of a session.

What a PACS is trusted with, and why
------------------------------------
- Keys are sent where no PACS can leave out a match: see `simple_orthanc.sources.filters`. Some compare with regard to
  case and others do not, some compare names part by part, and some ignore a key that they do not know, so that names
  and other strings in any case are decided here.
- Series are asked for study by study, and images series by series: a PACS need not answer anything else. A UID alone is
  asked for once, and if nothing is found, it is believed only of a PACS that finds what it holds in this way.
- A study or series has something in it: if nothing or less than it says is found, there is a warning.
- A PACS that refuses to list is searched as well as it can, with a warning where it may leave out a match.
- What it never sends is not missing, but unknown: a condition on it is an error, and a table shows NA with a warning.

What cannot be
--------------
C-FIND reads no file: whatever needs one raises, and names `Pacs.retrieve`. It reports no changes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import TEXT_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import ServerError, UnsupportedError, stacklevel
from simple_orthanc.rest import Rest
from simple_orthanc.rest.remote.queries import Answer
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.predicates import Predicate, StringIs
from simple_orthanc.selection.source import IdentifierMatch, Revision, Row
from simple_orthanc.sources.filters import Filter, loose_filters_for, misses_nothing
from simple_orthanc.sources.keys import UID_TAGS, Key, is_uid
from simple_orthanc.sources.pacs.queries import ASKED, Queries, is_refusal, keys_for
from simple_orthanc.sources.pacs.rows import RowBuilder
from simple_orthanc.sources.pacs.unknown import needs_retrieval, tell_unknown
from simple_orthanc.sources.unlisted import UnlistedFiles, UntoldChanges
from simple_orthanc.transport import Transport

# Each query is a connection of its own to the PACS, which may allow few.
_WORKERS = 4


class PacsSource(UnlistedFiles, UntoldChanges):
    """A PACS behind an Orthanc server; see `simple_orthanc.selection.source.Source` for the methods.

    Parameters
    ----------
    transport : Transport
        The connection to the server.
    modality : str
        The name of the PACS in the configuration of the server.
    timeout : int, optional
        Seconds that the server waits for each answer of the PACS.
    """

    def __init__(self, transport: Transport, modality: str, timeout: int | None = None) -> None:
        self.transport, self.modality, self._timeout = transport, modality, timeout
        self._finds: dict[Level, bool] = {}
        self.rest = transport.kept(Rest)
        self._queries = Queries(self.rest, self.modality, self.description, self._timeout)
        self._rows = RowBuilder(self._answers_about_study, self.description)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the connection and the name, and nothing that was answered."""
        return PacsSource, (self.transport, self.modality, self._timeout)

    def __repr__(self) -> str:
        """Show the PACS and the address of the server, never a password."""
        return f"<PACS {self.description}>"

    @property
    def description(self) -> str:
        """The name of the PACS, and the URL of the server."""
        return f"{self.modality!r} through {self.transport.url}"

    @property
    def requests(self) -> int:
        """How many requests have been sent to the server."""
        return self.transport.requests

    @property
    def lossy_character_sets(self) -> set[str]:
        """Character sets in which Orthanc wrote answers, and which may lack characters of the PACS."""
        return self._queries.lossy_character_sets

    @property
    def timeout(self) -> int | None:
        """Seconds that the server waits for each answer of the PACS."""
        return self._timeout

    @property
    def image_counts(self) -> Mapping[str, int]:
        """Key of a study or series to how many images the PACS says are in it."""
        series = {key: count for key, count in list(self._rows.child_counts.items()) if Key.parse(key).series}
        return {**self._rows.image_counts, **series}

    def counts(self) -> Mapping[Level, int]:
        """Count everything at each level, from what the studies say if all of them say it."""
        studies = {row.key: row for row in self.listing("study")}
        series: int | None = _total(studies, self._rows.child_counts)
        images: int | None = _total(studies, self._rows.image_counts)
        if series is None:
            series = len({row.key for row in self.listing("series")})
        if images is None:
            images = len({row.key for row in self.listing("instance")})
        patients = {row.parent for row in studies.values()}
        return {"patient": len(patients), "study": len(studies), "series": series, "instance": images}

    def revision(self) -> Revision:
        """Return a new state: a PACS does not say what has changed."""
        self._rows.forget()
        self._finds.clear()
        self._queries.lossy_character_sets.clear()
        return Revision(None)

    def indexed(self, tag: Tag) -> Level | None:
        """Return the level whose rows hold a tag; None if C-FIND is not asked for it."""
        return next((level for level, tags in ASKED.items() if tag.name in tags), None)

    def searchable(self, tag: Tag, predicate: Predicate) -> bool:
        """Check whether `search` finds rows by a predicate; what cannot be sent as a key is listed."""
        level = self.indexed(tag)
        if level is None:
            return False
        if level != "study":
            # The PACS need not search below more than one study.
            return tag.name == UID_TAGS[level] and keys_for(tag, predicate) is not None
        is_string = tag.vr in TEXT_VRS | {"CS", "UI"}
        return keys_for(tag, predicate) is not None or (is_string and loose_filters_for(predicate) is not None)

    # Rows

    def listing(self, level: Level) -> Iterator[Row]:
        """List every row of a level: below the studies, study by study."""
        if level == "study":
            answers = self._queries.studies({})
            self._rows.note_patients(answers)
            yield from self._rows.build(level, answers)
        else:
            yield from self.below(level, list(self.listing(LEVELS[depth(level) - 1])))

    def search(self, level: Level, tag: Tag, predicate: Predicate) -> Iterator[Row]:
        """List at least the rows for which a predicate holds, as far as the PACS shows them.

        Warns
        -----
        UserWarning
            If the PACS refuses to list, and its own comparison may leave out a match.
        """
        filters = keys_for(tag, predicate)
        if level != "study":
            rows = self._by_uids(level, tag, filters or ())
            yield from self.listing(level) if rows is None else rows
        elif filters is not None:
            yield from self._studies(tag, filters)
        else:
            yield from self._listed_or_loosely(tag, predicate)

    def _studies(self, tag: Tag, filters: Sequence[Filter]) -> Sequence[Row]:
        def ask(item: Filter) -> list[Answer]:
            try:
                return self._queries.studies({tag.name: item.value})
            except ServerError as error:
                if not (item.is_optional and is_refusal(error)):
                    raise
                return []

        # One or two are not worth threads.
        workers = 1 if len(filters) <= 2 else _WORKERS
        answers = [answer for answers in map_ordered(ask, filters, workers=workers) for answer in answers]
        return self._rows.build("study", answers)

    def _listed_or_loosely(self, tag: Tag, predicate: Predicate) -> Sequence[Row]:
        try:
            return list(self.listing("study"))
        except ServerError as error:
            loose = loose_filters_for(predicate) if is_refusal(error) else None
            if loose is None:
                raise
        rows = self._studies(tag, loose)
        if not misses_nothing(predicate):
            warnings.warn(
                f"{self.description} refuses to list everything, so {tag.name} {predicate} was decided by the PACS: "
                "what it compares otherwise, by case, accents or parts of a name, may be missing. Select by "
                "PatientID, AccessionNumber, StudyDate or StudyInstanceUID first to be sure.",
                stacklevel=stacklevel(),
            )
        return rows

    def _by_uids(self, level: Level, tag: Tag, filters: Sequence[Filter]) -> Sequence[Row] | None:
        """Find series or images by their UIDs alone; None if the PACS may not find what it holds in this way."""
        rows: dict[str, Row] = {}
        for item in filters:
            found = self._by_uid(level, tag, item.value)
            if not found and not self._finds_by_uid(level, tag):
                return None
            rows.update((row.key, row) for row in found)
        return list(rows.values())

    def _by_uid(self, level: Level, tag: Tag, uid: str) -> list[Row]:
        try:
            answers = self._queries.find(level, {tag.name: uid})
        except ServerError as error:
            if not is_refusal(error):
                raise
            return []
        # The PACS may have ignored the key, or not say in which study it is.
        above = [parse_tag(UID_TAGS[upper]).number for upper in LEVELS[1 : depth(level)]]
        named = [answer for answer in answers if all(answer.get(number) for number in above)]
        return [row for row in self._rows.build(level, named) if row.values.get(tag.name) == (uid,)]

    def _finds_by_uid(self, level: Level, tag: Tag) -> bool:
        """Check whether the PACS finds an object that it holds by its UID alone; asked once."""
        if level not in self._finds:
            rows = list(self.listing("study"))[:1]
            for lower in LEVELS[depth("series") : depth(level) + 1]:
                rows = list(self.below(lower, rows[:1]))[:1]
            if not rows:
                return False
            self._finds[level] = bool(self._by_uid(level, tag, Key.parse(rows[0].key)[depth(level)]))
        return self._finds[level]

    def below(self, level: Level, parents: Sequence[Row]) -> Iterator[Row]:
        """List the rows of a level below these rows of the level above, one question for each of these.

        Warns
        -----
        UserWarning
            Less is found than the PACS says there is.
        """
        wanted = {row.key for row in parents}
        # One UID under two patients is asked for once.
        keys: dict[Key, list[str]] = {}
        for row in parents:
            keys.setdefault(Key.parse(row.key)._replace(patient=""), []).append(row.key)
        named = [Key.parse(names[0]) for names in keys.values()]
        shown = expected = 0

        def ask(key: Key) -> list[Answer]:
            answers = self._queries.below(level, key)
            # Asked for here, in several threads, if it is needed.
            self._rows.find_patients(answers, key)
            return answers

        # A caller that takes only the first rows must not leave queries on the server that have not been removed.
        answers = list(map_ordered(ask, named, workers=_WORKERS, total=len(named), label="listing"))
        for key, names, found in zip(named, keys.values(), answers, strict=True):
            rows = self._rows.build(level, found, key)
            if len(rows) < self._told(names) and self._is_held(key):
                # Asked for again, since it may have become less.
                told = self._told(names)
                shown, expected = shown + min(len(rows), told), expected + told
            yield from (row for row in rows if row.parent in wanted)
        if shown < expected:
            warnings.warn(
                f"{self.description} says that there are at least {expected} objects of level {level} in some of its "
                f"studies or series, and shows {shown} of them. The others cannot be selected; retrieve() of whole "
                "studies, with level='study', brings what the PACS hands over.",
                stacklevel=stacklevel(),
            )

    def _told(self, names: Sequence[str]) -> int:
        """Return how many objects are in some studies or series: at least one in each."""
        return sum(self._rows.child_counts.get(name, 1) for name in names)

    def _is_held(self, key: Key) -> bool:
        """Check whether the PACS still lists a study or series; if not, it was deleted meanwhile."""
        level: Level = "series" if key.series else "study"
        if key.series:
            answers = self._queries.below("series", key._replace(series=""))
        else:
            answers = self._answers_about_study(key.study)
        return any(row.key == str(key) for row in self._rows.build(level, answers, key if key.series else None))

    def _answers_about_study(self, uid: str) -> list[Answer]:
        return self._queries.find("study", {"StudyInstanceUID": uid})

    def rows(self, level: Level, keys: Sequence[str]) -> Iterator[Row]:
        """List the rows with these keys; those of objects that were deleted are left out."""
        wanted = set(keys)
        if level == "study":
            uids = list(dict.fromkeys(Key.parse(key).study for key in keys))
            found = map_ordered(self._answers_about_study, uids, workers=_WORKERS)
            rows = self._rows.build(level, [answer for answers in found for answer in answers])
        else:
            parents = dict.fromkeys(str(Key.parse(key).parent) for key in keys)
            rows = list(self.below(level, [Row(parent, "") for parent in parents]))
        yield from (row for row in rows if row.key in wanted)

    def reload_from_files(self, level: Level, rows: Sequence[Row], tag: Tag | None = None) -> Iterator[Row]:
        """Return the rows as they are, but for what the PACS has shown since: a PACS reads no files.

        Warns
        -----
        UserWarning
            A value is unknown.

        Raises
        ------
        UnsupportedError
            A value is unknown, and a condition depends on it.
        """
        current = self._rows.resolved(level, rows)
        unknown = {name for row in current for name in row.unresolved_tags if tag is None or name == tag.name}
        if unknown:
            tell_unknown(unknown, self.description)
        yield from current

    def resolve(self, text: str) -> list[IdentifierMatch]:
        """Find what an identifier names: a UID, AccessionNumber, PatientID or key."""
        key = Key.parse(text)
        level = LEVELS[sum(map(bool, key[1:]))]
        if level != "patient" and str(key) == text:
            named = [IdentifierMatch("PACS key", level, row.key) for row in self.rows(level, [text])]
            if named:
                return named
        patients = self._exactly("study", "PatientID", text)
        matches = [IdentifierMatch("PatientID", "patient", row.parent) for row in patients]
        studies = self._exactly("study", "AccessionNumber", text)
        matches += [IdentifierMatch("AccessionNumber", "study", row.key) for row in studies]
        levels: list[Level] = ["study", "series", "instance"] if is_uid(text) else []
        for level in levels:
            rows = self._exactly(level, UID_TAGS[level], text)
            matches += [IdentifierMatch(UID_TAGS[level], level, row.key) for row in rows]
            # A UID is that of one object, and to look for others may take a question for each series.
            if rows:
                break
        return list(dict.fromkeys(matches))

    def _exactly(self, level: Level, name: str, text: str) -> list[Row]:
        """Find the rows in which a tag is exactly a string."""
        tag, predicate = parse_tag(name), StringIs(text, "exact")
        rows = self.search(level, tag, predicate) if self.searchable(tag, predicate) else self.listing(level)
        return [row for row in rows if row.values.get(name) == (text,)]

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        """Refuse: C-FIND has neither labels nor metadata of a server.

        Raises
        ------
        UnsupportedError
            Always.
        """
        raise UnsupportedError(
            f"{kind}({name!r}): C-FIND has no {'labels' if kind == 'label' else 'metadata of a server'}. On the "
            "session that retrieve() returns there are those of the Orthanc."
        )

    # Files

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        """Refuse: only the files hold these tags.

        Raises
        ------
        UnsupportedError
            Always.
        """
        raise needs_retrieval(", ".join(tag.name for tag in tags), self.description)

    def stored_file(self, key: str) -> StoredFile:
        """Refuse: a PACS tells nothing of files."""
        self._refuse(key)

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        """Return 1: a PACS hands over no file."""
        return 1

    def header(self, key: str) -> Dataset:
        """Refuse: a PACS hands over no file."""
        self._refuse(key)

    def content(self, key: str) -> bytes:
        """Refuse: a PACS hands over no file."""
        self._refuse(key)

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Refuse: a PACS hands over no file."""
        self._refuse(key)

    def check_identity(self, key: str, header: Dataset) -> None:
        """Refuse: a PACS hands over no file."""
        self._refuse(key)

    def save(self, key: str, path: Path) -> None:
        """Refuse: a PACS hands over no file."""
        self._refuse(key)

    def is_copy(self, key: str, path: Path) -> bool:
        """Refuse: a PACS hands over no file to compare with."""
        self._refuse(key)

    def _refuse(self, key: str) -> NoReturn:
        raise needs_retrieval(f"The file of {Key.parse(key).instance}", self.description)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()


def _total(rows: Mapping[str, Row], counts: Mapping[str, int]) -> int | None:
    return sum(counts[key] for key in rows) if all(key in counts for key in rows) else None
