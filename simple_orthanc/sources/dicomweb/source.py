"""A DICOMweb server as a source: what it is asked, and how its answers become rows and values.

What such a server is trusted with, and why
-------------------------------------------
- Filters are sent for whole identifiers of plain characters only. Servers differ in whether case matters and in what
  they make of wildcards (Orthanc's plugin before 1.24 takes a percent-encoded ``*`` for a star), letters with accents
  and names, and nothing in an answer shows that something was left out; so all else is listed, and decided here.
- Several UIDs in one filter are asked for once; whatever did not come is asked for by itself.
- A tag that a search has given for any object of a level is one that the server searches. One that never came may be
  missing everywhere, or be withheld: such tags stay unanswered in their rows, and files are looked at once somebody
  asks (`DicomWebSource.reload_from_files`).
- Orthanc's plugin 1.7 writes the texts of searches in the server's DefaultEncoding (Latin-1), and says so; letters that
  it cannot write are lost without a trace. Such texts count as unanswered too, but for plain identifiers.
- Orthanc answers for an image's ImageOrientationPatient with that of the series' first image, so it is never searched.
- Values of images are read from the metadata of a series, if its first instance's metadata have all that the file has:
  a server may be told to keep less. What JSON cannot say with certainty is read from the file:
  see `simple_orthanc.sources.dicomweb.dicom_json`.

What cannot be
--------------
DICOMweb names a study, series or instance by its UID alone. Where one UID stands under two patients, rows tell them
apart as long as the server names the patient in them, but only one of the two can be read: the other raises.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from pydicom import dcmread
from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import TEXT_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value, read_value
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.errors import (
    AuthenticationError,
    NotFoundError,
    OrthancError,
    ServerError,
    TransportError,
    UnsupportedError,
    stacklevel,
)
from simple_orthanc.files.fast_headers import PIXELS, Scanner
from simple_orthanc.files.partial import read_header
from simple_orthanc.files.tag_reader import quiet
from simple_orthanc.selection.source import Changes, IdentifierMatch, Revision, Row, batches
from simple_orthanc.sources.charset_check import shows_undecoded_strings
from simple_orthanc.sources.dicomweb.dicom_json import holds, needs_file, number_of, read_json, text_of
from simple_orthanc.sources.index_tags import BY_NUMBER, LEVEL_OF
from simple_orthanc.transport import Transport

# How many UIDs one filter lists: a URL of 4,000 characters is taken everywhere.
_UIDS = 50
# Of more rows with unanswered tags than this, so many are looked at, evenly spread, before all are.
_SAMPLE = 60

_HINT = (
    "Give the root of the service: Orthanc's is /dicom-web below its own, as in 'http://127.0.0.1:8042/dicom-web', and "
    "other servers have theirs."
)
UID_TAGS: dict[Level, str] = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
_NUMBER_OF_CHILDREN: dict[Level, str] = {
    "study": "NumberOfStudyRelatedSeries",
    "series": "NumberOfSeriesRelatedInstances",
}
_TEXTS: dict[Level, frozenset[str]] = {
    level: frozenset(tag.name for tag in tags.values() if tag.vr in TEXT_VRS) for level, tags in BY_NUMBER.items()
}
_PATIENT_ID = parse_tag("PatientID")
# How much of a large file is tried at first.
_HEADER_BYTES = 64 * 1024
_NEVER_SEARCHED = frozenset({"ImageOrientationPatient"})
_SEARCHED: dict[Level, tuple[Tag, ...]] = {
    level: tuple(tag for tag in tags.values() if tag.name not in _NEVER_SEARCHED) for level, tags in BY_NUMBER.items()
}
_IDENTIFIERS = ("PatientID", "AccessionNumber", "StudyID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
# What no server can take for anything else, and no encoding of a URL changes.
_PLAIN = re.compile(r"[A-Za-z0-9.-]+\Z")
_UID = re.compile(r"[0-9.]+\Z")
# An origin server need not search below one study, or for what it keeps no index of.
_CANNOT_SEARCH = (400, 404, 405, 413, 414, 422, 501)


class Key(NamedTuple):
    """The identifiers that name an object; those below it are empty."""

    patient: str
    study: str = ""
    series: str = ""
    instance: str = ""

    @classmethod
    def parse(cls, key: str) -> Key:
        """Read a key: the UIDs from the study's on, and the PatientID."""
        *uids, patient = key.split("/")
        return cls(unquote(patient), *map(unquote, uids))

    def __str__(self) -> str:
        uids = [uid for uid in (self.study, self.series, self.instance) if uid]
        return "/".join([*(quote(uid, safe="") for uid in uids), quote(self.patient, safe=" ")])

    @property
    def parent(self) -> Key:
        """What the object lies in."""
        if self.instance:
            return self._replace(instance="")
        return self._replace(series="") if self.series else self._replace(study="")


# What a study says of how much there is in it (PS3.18, table 10.6.3-3).
_NUMBER_IN_STUDY: dict[Level, str] = {
    "series": "NumberOfStudyRelatedSeries",
    "instance": "NumberOfStudyRelatedInstances",
}
# What Orthanc says of how much there is in it.
_STATISTICS: dict[Level, str] = {"study": "CountStudies", "series": "CountSeries", "instance": "CountInstances"}
# Where Orthanc's plugin answers unless it is told otherwise.
_ROOT_ON_ORTHANC = "dicom-web"


class DicomWebSource:
    """A DICOMweb server; see `simple_orthanc.selection.source.Source` for the methods.

    Parameters
    ----------
    transport : Transport
        The connection.
    rest : Transactions
        The transactions over it.
    root : str
        Where, below the address of the connection, the service is.
    """

    def __init__(self, transport: Transport, rest: Transactions, root: str = "") -> None:
        self.transport, self.rest, self._root = transport, rest, root
        # Names of tags that searches have given; what a study's UID stands under; how much there is in what; which rows
        # hold something that may be wrong.
        self._given: dict[Level, set[str]] = {level: set() for level in LEVELS}
        self._patients: dict[str, set[str]] = {}
        self._numbers: dict[str, int] = {}
        self._unsure: dict[Level, set[str]] = {level: set() for level in LEVELS}
        self._studies: list[dict[str, Any]] | None = None
        self._held: dict[Level, int] = {}
        # Whether metadata of a series, and of an instance, hold all that files do.
        self._trusts_metadata: dict[Level, bool] = {}
        self._loses_letters: bool | None = None
        self._lock = threading.Lock()

    @property
    def description(self) -> str:
        return f"{self.transport.url}/{self._root}" if self._root else self.transport.url

    @property
    def requests(self) -> int:
        return self.transport.requests

    def connect(self) -> None:
        """Ask for one study.

        Raises
        ------
        TransportError
            Nothing answers there, or not as DICOMweb does.
        """
        try:
            found = next(iter(self.rest.search_studies(limit=1)), None)
        except AuthenticationError:
            raise
        except ServerError as error:
            if error.status not in _CANNOT_SEARCH:
                raise
            raise TransportError(f"{self.description} does not answer as DICOMweb does. {_HINT} {error}") from None
        except TransportError:
            if self._is_orthanc():
                raise TransportError(f"{self.description} is an Orthanc, and not its DICOMweb. {_HINT}") from None
            raise
        # An empty list says nothing of who gave it.
        if found is None and self._is_orthanc():
            raise TransportError(f"{self.description} is an Orthanc, and not its DICOMweb. {_HINT}")

    def _is_orthanc(self) -> bool:
        """Say whether Orthanc's own REST API is where DICOMweb should be."""
        if self._root:
            return False
        try:
            system = self.transport.json("GET", "/system")
        except (ServerError, TransportError):
            return False
        return isinstance(system, dict) and "ApiVersion" in system

    # What there is

    def counts(self) -> Mapping[Level, int]:
        studies = self._all_studies()
        keys = {(text_of(study, "PatientID"), text_of(study, "StudyInstanceUID")) for study in studies}
        levels: tuple[Level, ...] = ("series", "instance")
        counted = {level: self._sum(level) for level in levels}
        for level in levels:
            if counted[level] is None or len(keys) < len(studies) or self._is_contradicted():
                counted[level] = len({row.key for row in self.listing(level)})
        return {
            "patient": len({patient for patient, _ in keys}),
            "study": len(keys),
            "series": counted["series"] or 0,
            "instance": counted["instance"] or 0,
        }

    def revision(self) -> Revision:
        self._studies = None
        return Revision(None)

    def changes(self, since: Revision) -> Changes:
        return Changes(self.revision(), None, True)

    def indexed(self, tag: Tag) -> Level | None:
        return LEVEL_OF.get(tag.name)

    def searchable(self, tag: Tag) -> bool:
        # Whatever is no plain identifier is listed, and compared here.
        if tag.name == "SOPInstanceUID":
            return True
        return self.indexed(tag) in ("study", "series") and tag.vr in TEXT_VRS | {"CS", "UI"}

    def _all_studies(self) -> list[dict[str, Any]]:
        if self._studies is None:
            self._studies = list(self._search("study", {}))
            self._held = self._statistics() if self._studies else {}
            self._warn_if_cut()
        return self._studies

    def _statistics(self) -> dict[Level, int]:
        """Ask an Orthanc how much it holds; nothing where that is no Orthanc, or does not say it."""
        url, root = self.transport.url, self._root
        if not root:
            url, _, root = url.rpartition("/")
        if root != _ROOT_ON_ORTHANC:
            return {}
        held: object = None
        # Another kind of server, or a user who may not ask this.
        with suppress(OrthancError):
            held = self.transport.json("GET", f"{url}/statistics")
        counts = {level: held.get(name) if isinstance(held, Mapping) else None for level, name in _STATISTICS.items()}
        return {level: count for level, count in counts.items() if isinstance(count, int)}

    def _hides_studies(self) -> bool:
        return self._held.get("study", 0) > len(self._studies or ())

    def _warn_if_cut(self) -> None:
        """Warn of what an Orthanc hides: before 1.12 its plugin hides what is beyond LimitFindResults."""
        if self._hides_studies():
            own = self.transport.url if self._root else self.transport.url.rpartition("/")[0]
            warnings.warn(
                f"{self.description} shows {len(self._studies or ())} studies, and its Orthanc holds "
                f"{self._held['study']}: what LimitFindResults in its configuration hides is not found here. "
                f"Orthanc({own!r}) finds all.",
                stacklevel=stacklevel(),
            )

    def _sum(self, level: Level) -> int | None:
        """Add up what the studies say of how much is in them; None: not all say it."""
        numbers = [number_of(study, _NUMBER_IN_STUDY[level]) for study in self._all_studies()]
        return None if None in numbers else sum(number or 0 for number in numbers)

    def _is_contradicted(self) -> bool:
        """Say whether the server itself holds another number of objects than its studies say.

        Orthanc's plugin 1.7 says of a study what one of its files says, if that says anything of such numbers.
        """
        for level in _NUMBER_IN_STUDY:
            told, held = self._sum(level), self._held.get(level)
            if told is not None and held is not None and (told > held or (told < held and not self._hides_studies())):
                return True
        return False

    def listing(self, level: Level) -> Iterator[Row]:
        if level == "study":
            yield from self._to_rows(level, self._all_studies())
            return
        answers = self._across(level, {})
        told = self._told(level)
        if answers is not None and len(answers) >= told:
            yield from self._to_rows(level, answers)
            return
        above: Level = LEVELS[depth(level) - 1]
        rows = list(self._below_each(level, list(self.listing(above))))
        if len(rows) < told:
            warnings.warn(
                f"{self.description} says that it holds {told} objects of level {level}, and shows {len(rows)}: what a "
                f"limit of the server hides is not found here.",
                stacklevel=stacklevel(),
            )
        yield from rows

    def _told(self, level: Level) -> int:
        """Say how much there is at a level by what the studies say of themselves; 0 where nobody says it."""
        if self._is_contradicted():
            return 0 if self._hides_studies() else self._held[level]
        return self._sum(level) or 0

    def _across(self, level: Level, filters: Mapping[str, str]) -> list[dict[str, Any]] | None:
        """Search a level of the whole archive; None: this server cannot, or does not say what lies in what."""
        try:
            answers = list(self._search(level, filters))
        except ServerError as error:
            if error.status not in _CANNOT_SEARCH:
                raise
            return None
        above = [UID_TAGS[each] for each in LEVELS[1 : depth(level)]]
        return answers if all(text_of(answer, name) for answer in answers for name in above) else None

    def _search(
        self, level: Level, filters: Mapping[str, str], inside: Key | None = None, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        above = [UID_TAGS[each] for each in LEVELS[: depth(level)]]
        more = [_NUMBER_OF_CHILDREN[level]] if level in _NUMBER_OF_CHILDREN else []
        more += ["NumberOfStudyRelatedInstances"] if level == "study" else []
        fields = list(dict.fromkeys([*above, *(tag.name for tag in _SEARCHED[level]), *more]))
        if level == "study":
            return self.rest.search_studies(filters, fields=fields, limit=limit)
        study = inside.study if inside else None
        if level == "series":
            return self.rest.search_series(study, filters, fields=fields, limit=limit)
        series = inside.series or None if inside else None
        return self.rest.search_instances(study, series, filters, fields=fields, limit=limit)

    def search(self, level: Level, tag: Tag, patterns: Sequence[str]) -> Iterator[Row]:
        if tag.name not in _IDENTIFIERS or not all(_PLAIN.match(pattern) for pattern in patterns):
            yield from self.listing(level)
            return
        rows: dict[str, Row] = {}
        for answers in map_ordered(lambda text: self._across(level, {tag.keyword: text}), patterns):
            if answers is None:
                yield from self.listing(level)
                return
            rows.update((row.key, row) for row in self._to_rows(level, answers))
        yield from rows.values()

    def below(self, level: Level, parents: Sequence[Row]) -> Iterator[Row]:
        wanted = {row.key: row for row in parents}
        found: dict[str, int] = dict.fromkeys(wanted, 0)
        if len(parents) > 1:
            for row in self._by_list(level, [Key.parse(row.key) for row in parents]):
                if row.parent in found:
                    found[row.parent] += 1
                    yield row
        # A server that knows no lists of UIDs finds nothing, or only the first.
        lacking = [row for key, row in wanted.items() if not found[key] or found[key] < self._numbers.get(key, 0)]
        yield from self._below_each(level, lacking)

    def _by_list(self, level: Level, parents: Sequence[Key]) -> Iterator[Row]:
        above: Level = LEVELS[depth(level) - 1]
        uids = list(dict.fromkeys(parent[depth(above)] for parent in parents))
        plain = [uid for uid in uids if _UID.match(uid)]

        def ask(batch: Sequence[str]) -> list[dict[str, Any]]:
            return self._across(level, {UID_TAGS[above]: ",".join(batch)}) or []

        for answers in map_ordered(ask, list(batches(plain, _UIDS)), workers=4):
            yield from self._to_rows(level, answers)

    def _below_each(self, level: Level, parents: Sequence[Row]) -> Iterator[Row]:
        wanted = {row.key for row in parents}
        # One UID under two patients is asked for once.
        keys = list({Key.parse(row.key)._replace(patient=""): None for row in parents})

        ask = partial(self._listed_in, level)
        for parent, (answers, is_searched) in zip(
            keys, map_ordered(ask, keys, total=len(keys), label="listing"), strict=True
        ):
            rows = self._to_rows(level, answers, parent, is_searched=is_searched)
            yield from (row for row in rows if row.parent in wanted)

    def _listed_in(self, level: Level, parent: Key, limit: int | None = None) -> tuple[list[dict[str, Any]], bool]:
        """List what lies in a study or series, and say whether a search gave it; what is gone has nothing in it.

        Where the server cannot search there, its metadata say what there is: Orthanc's plugin 1.20 and 1.24 answer 400
        to every search that meets a long text inside RequestAttributesSequence, and to these of nothing else.
        """
        try:
            return list(self._search(level, {}, parent, limit)), True
        except NotFoundError:
            return [], True
        except ServerError as error:
            if error.status not in _CANNOT_SEARCH and error.status < 500:
                raise
            try:
                if parent.series:
                    metadata = self.rest.retrieve_series_metadata(parent.study, parent.series)
                else:
                    metadata = self.rest.retrieve_study_metadata(parent.study)
            except OrthancError:
                raise error from None
        return _first_of_each(level, metadata), False

    def rows(self, level: Level, keys: Sequence[str]) -> Iterator[Row]:
        wanted = set(keys)
        if level == "study":
            uids = list(dict.fromkeys(Key.parse(key).study for key in keys))
            found = set()
            for batch in batches([uid for uid in uids if _UID.match(uid)], _UIDS):
                for row in self._to_rows(level, self._across(level, {"StudyInstanceUID": ",".join(batch)}) or []):
                    found.add(row.key)
                    if row.key in wanted:
                        yield row
            for key in wanted - found:
                yield from self._exactly(level, Key.parse(key))
            return
        parents = {str(Key.parse(key).parent): None for key in keys}
        for row in self._below_each(level, [Row(parent, "") for parent in parents]):
            if row.key in wanted:
                yield row

    def _exactly(self, level: Level, key: Key) -> list[Row]:
        uid = key[depth(level)]
        rows = self._to_rows(level, self._search(level, {UID_TAGS[level]: uid})) if uid else []
        return [row for row in rows if row.key == str(key)]

    # From answers to rows

    def _to_rows(
        self,
        level: Level,
        answers: Iterable[Mapping[str, Any]],
        inside: Key | None = None,
        *,
        is_searched: bool = True,
    ) -> list[Row]:
        listed = list(answers)
        rows: list[Row] = []
        given: set[str] = set()
        for answer, key in zip(listed, self._keys(level, listed, inside), strict=True):
            if key is None:
                continue
            name = str(key)
            values: dict[str, Value] = {}
            unsure: set[str] = set()
            for tag in _SEARCHED[level]:
                value, sure = read_json(answer, tag)
                if value is not None:
                    values[tag.name] = value
                if not sure:
                    unsure.add(tag.name)
                if is_searched and holds(answer, tag):
                    given.add(tag.name)
            if not is_searched:
                # A server may be told to keep less in metadata, and these say nothing of what its searches give.
                unsure.update(tag.name for tag in BY_NUMBER[level].values() if tag.name not in values)
            doubt = level == "study" and shows_undecoded_strings(values)
            if doubt or self._has_lost_letters(answer):
                unsure.update(text for text in _TEXTS[level] if not _is_plain_identifier(text, values))
            if unsure:
                self._unsure[level].add(name)
            number = number_of(answer, _NUMBER_OF_CHILDREN[level]) if level in _NUMBER_OF_CHILDREN else None
            if number is not None:
                self._numbers[name] = number
            unknown = level != "instance"
            rows.append(Row(name, str(key.parent), (), values, doubt, unknown, frozenset(unsure)))
        twice = len(rows) - len({row.key for row in rows})
        if twice:
            warnings.warn(
                f"{self.description} lists {twice} objects of level {level} twice under the same identifiers. DICOMweb "
                f"cannot tell the two apart, and they are taken for one, of which perhaps nothing can be read.",
                stacklevel=stacklevel(),
            )
        with self._lock:
            self._given[level] |= given
            never_given = frozenset(tag.name for tag in BY_NUMBER[level].values()) - self._given[level]
        if never_given:
            for row in rows:
                row.unresolved_tags |= never_given
        return rows

    def _has_lost_letters(self, answer: Mapping[str, Any]) -> bool:
        """Say whether texts were put into a character set that may not hold them all, before they became JSON."""
        if text_of(answer, "SpecificCharacterSet") in ("", "ISO_IR 192"):
            return False
        if self._loses_letters is None:
            # Other servers name the character set of the file, and write its texts as they are.
            try:
                info = self.transport.json("GET", f"/{self._root}/info" if self._root else "/info")
                self._loses_letters = isinstance(info, dict) and "DicomWebRoot" in info
            except (ServerError, TransportError):
                self._loses_letters = False
        return self._loses_letters

    def _keys(self, level: Level, answers: Sequence[Mapping[str, Any]], inside: Key | None) -> list[Key | None]:
        """Name what was found; None: it has no UID, and so no name in DICOMweb."""
        known = inside or Key("")
        keys: list[Key | None] = []
        for answer in answers:
            uids = [text_of(answer, UID_TAGS[each]) or known[depth(each)] for each in LEVELS[1 : depth(level) + 1]]
            keys.append(Key(text_of(answer, "PatientID"), *uids) if all(uids) else None)
        nameless = sum(key is None for key in keys)
        if nameless:
            self._warn_of_nameless(level, nameless)
        if level == "study":
            for key in keys:
                if key is not None:
                    self._patients.setdefault(key.study, set()).add(key.patient)
            return keys
        # Some servers name the patient with studies only.
        silent = {
            key.study for key, answer in zip(keys, answers, strict=True) if key and not holds(answer, _PATIENT_ID)
        }
        patients = self._patients_of(silent)
        return [
            key._replace(patient=patients[key.study]) if key and not holds(answer, _PATIENT_ID) else key
            for key, answer in zip(keys, answers, strict=True)
        ]

    def _patients_of(self, studies: set[str]) -> dict[str, str]:
        """Find the one patient of each study."""
        unknown = [study for study in studies if study not in self._patients]
        if len(unknown) > 1 or (unknown and not _UID.match(unknown[0])):
            self._to_rows("study", self._all_studies())
        elif unknown:
            self._to_rows("study", self._search("study", {"StudyInstanceUID": unknown[0]}))
        patients = {}
        for study in studies:
            found = self._patients.get(study) or {""}
            if len(found) > 1:
                raise UnsupportedError(
                    f"StudyInstanceUID {study} stands under {len(found)} patients ({', '.join(sorted(found))}), and "
                    f"{self.description} does not say with its series whose they are. DICOMweb cannot tell them apart."
                )
            patients[study] = next(iter(found))
        return patients

    def _warn_of_nameless(self, level: Level, count: int) -> None:
        warnings.warn(
            f"{self.description} has {count} objects of level {level} without a UID, or does not say it: DICOMweb "
            f"cannot address these, and they are left out.",
            stacklevel=stacklevel(),
        )

    def reload_from_files(self, level: Level, rows: Sequence[Row]) -> Iterator[Row]:
        given, unsure = self._given[level], self._unsure[level]
        lacking = []
        for row in rows:
            if row.unresolved_tags and row.unresolved_tags <= given and row.key not in unsure:
                yield replace(row, unresolved_tags=frozenset())
            else:
                lacking.append(row)
        # Rows of which nothing is unsure may lack tags that are nowhere.
        absent = [row for row in lacking if row.key not in unsure and row.unresolved_tags.isdisjoint(_NEVER_SEARCHED)]
        if len(absent) > _SAMPLE:
            chosen = [absent[place * len(absent) // _SAMPLE] for place in range(_SAMPLE)]
            read = self._read_rows(level, chosen)
            if all(row.unresolved_tags.isdisjoint(now.values) for row, now in zip(chosen, read, strict=True)):
                yield from (replace(row, unresolved_tags=frozenset()) for row in absent)
                settled = {row.key for row in absent}
                lacking = [row for row in lacking if row.key not in settled]
        yield from self._read_rows(level, lacking)

    def _read_rows(self, level: Level, rows: Sequence[Row]) -> list[Row]:
        """Give rows whose values are those of one file each; one that cannot be read is left as it is."""
        tags = list(BY_NUMBER[level].values())
        unread: list[str] = []
        found: dict[str, dict[str, Value]] = {}
        if level == "instance":
            for series in dict.fromkeys(row.parent for row in rows):
                keys = frozenset(row.key for row in rows if row.parent == series)
                found.update(self._of_instances(Key.parse(series), keys, tags, unread))
        else:

            def read(row: Row) -> dict[str, dict[str, Value]]:
                first = self._first_instance(Key.parse(row.key))
                if first is None:
                    return {}
                key = str(first)
                values = self._of_instances(first.parent, frozenset([key]), tags, unread)
                return {row.key: values[key]} if key in values else {}

            for values in map_ordered(read, rows, total=len(rows), label="reading metadata"):
                found.update(values)
        if unread:
            warnings.warn(
                f"{len(unread)} files that were needed to be sure of what searches say could not be read, so that some "
                f"of it may be missing or misspelt. The first problem: {unread[0]}",
                stacklevel=stacklevel(),
            )
        return [_answered(row, found.get(row.key, {})) for row in rows]

    def _of_instances(
        self, series: Key, keys: frozenset[str], tags: Sequence[Tag], unread: list[str]
    ) -> dict[str, dict[str, Value]]:
        """Read tags of some instances of a series; those that cannot be read are missing, with a word on why."""
        found: dict[str, dict[str, Value]] = {}
        doubtful = set(keys)
        if self._stands_twice(series):
            pass
        elif len(keys) == 1:
            (name,) = keys
            with suppress(ServerError):
                key = Key.parse(name)
                metadata = self.rest.retrieve_instance_metadata(key.study, key.series, key.instance)
                if self._metadata_are_whole("instance", series, [metadata]):
                    answers = [(name, tag, *read_json(metadata, tag)) for tag in tags]
                    found = {name: {tag.name: value for _, tag, value, _ in answers}}
                    doubtful = {name for _, _, _, sure in answers if not sure}
        else:
            answers = [answer for answer in self._of_series(str(series), tags) if answer[0] in keys]
            for name, tag, value, _ in answers:
                found.setdefault(name, {})[tag.name] = value
            doubtful = set(keys - found.keys()) | {name for name, _, _, sure in answers if not sure}
        for name in doubtful:
            try:
                header = self.header(name)
            except (ServerError, UnsupportedError) as error:
                unread.append(str(error))
            else:
                found[name] = {tag.name: read_value(header, tag) for tag in tags}
        return found

    def _first_instance(self, key: Key) -> Key | None:
        """Find an instance of a study or series."""
        if not key.series:
            try:
                answers = list(self._search("instance", {}, key, None if self._stands_twice(key) else 1))
            except ServerError as error:
                if error.status not in _CANNOT_SEARCH and error.status < 500:
                    raise
                answers = []
            if not all(text_of(answer, "SeriesInstanceUID") for answer in answers) or not answers:
                # The standard does not ask for searching the instances of a whole study.
                series = self._keys("series", self._listed_in("series", key, 1)[0], key)
                return self._first_instance(series[0]) if series and series[0] else None
        else:
            answers, _ = self._listed_in("instance", key, None if self._stands_twice(key) else 1)
        found = [each for each in self._keys("instance", answers, key) if each and each.patient == key.patient]
        return found[0] if found else None

    # Values of images

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        columns: dict[str, dict[str, Value]] = {tag.name: {} for tag in tags}
        from_files = [tag for tag in tags if needs_file(tag)]
        from_metadata = [tag for tag in tags if not needs_file(tag)]
        wanted: dict[str, list[str]] = {row.key: list(row.children) for row in series}
        if keys is not None:
            wanted = {row.key: [] for row in series}
            for key in keys:
                wanted.setdefault(str(Key.parse(key).parent), []).append(key)
        doubtful: dict[str, list[Tag]] = {}
        if from_metadata:
            read = partial(self._of_series, tags=from_metadata)
            names = [row.key for row in series]
            answers = map_ordered(read, names, workers=4, total=len(names), label="reading metadata")
            for name, answer in zip(names, answers, strict=True):
                for key, tag, value, sure in answer:
                    if keys is None or key in keys:
                        columns[tag.name][key] = value
                        if not sure:
                            doubtful.setdefault(key, []).append(tag)
                for key in wanted.get(name, ()):
                    if key not in columns[from_metadata[0].name]:
                        doubtful[key] = list(from_metadata)
        for key in (key for each in wanted.values() for key in each):
            if from_files:
                doubtful.setdefault(key, []).extend(from_files)
        headers = map_ordered(self.header, list(doubtful), total=len(doubtful), label="reading headers")
        with quiet():
            for (key, lacking), header in zip(doubtful.items(), headers, strict=True):
                for tag in lacking:
                    columns[tag.name][key] = read_value(header, tag)
        return columns

    def _of_series(self, name: str, tags: Sequence[Tag]) -> list[tuple[str, Tag, Value, bool]]:
        """Read tags of all instances of a series from its metadata; nothing where they cannot be trusted."""
        series = Key.parse(name)
        try:
            answers = self.rest.retrieve_series_metadata(series.study, series.series)
            if not self._metadata_are_whole("series", series, answers):
                return []
        except ServerError:
            # Servers refuse metadata for reasons of their own; the files are there all the same.
            return []
        found = []
        for answer in answers:
            uid = text_of(answer, "SOPInstanceUID")
            if uid and (not self._stands_twice(series) or text_of(answer, "PatientID") == series.patient):
                key = str(series._replace(instance=uid))
                found += [(key, tag, *read_json(answer, tag)) for tag in tags]
        return found

    def _metadata_are_whole(self, level: Level, series: Key, answers: Sequence[Mapping[str, Any]]) -> bool:
        """Say whether metadata hold every element that the file has; looked up once for series and once for instances.

        A server may be told to keep less of series only.
        """
        if level not in self._trusts_metadata and answers:
            first = answers[0]
            with quiet():
                header = self.header(str(series._replace(instance=text_of(first, "SOPInstanceUID"))))
            in_file = {f"{int(tag):08X}" for tag in header.keys() if tag.element and tag not in PIXELS}  # noqa: SIM118
            self._trusts_metadata[level] = in_file <= set(first)
        return self._trusts_metadata.get(level, True)

    # Identifiers and files

    def resolve(self, text: str) -> list[IdentifierMatch]:
        if "/" in text:
            found = self._resolve_key(text)
            if found:
                return found
        questions: list[tuple[Level, str]] = [(level, tag) for level, tag in UID_TAGS.items() if level != "patient"]
        questions += [("study", "PatientID"), ("study", "AccessionNumber")]
        if not _UID.match(text):
            questions = questions[-2:]

        def ask(question: tuple[Level, str]) -> list[IdentifierMatch]:
            level, name = question
            rows = [row for row in self.search(level, parse_tag(name), (text,)) if row.values.get(name) == (text,)]
            if name == "PatientID":
                return [IdentifierMatch(name, "patient", row.parent) for row in rows]
            return [IdentifierMatch(name, level, row.key) for row in rows]

        return list(dict.fromkeys(found for each in map_ordered(ask, questions) for found in each))

    def _resolve_key(self, text: str) -> list[IdentifierMatch]:
        key = Key.parse(text)
        level = LEVELS[sum(map(bool, key[1:]))]
        if level == "patient" or str(key) != text:
            return []
        return [IdentifierMatch("DICOMweb key", level, row.key) for row in self.rows(level, [text])]

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        raise UnsupportedError(
            f"{kind}({name!r}): DICOMweb knows no {'labels' if kind == 'label' else 'metadata of a server'}. Where "
            f"{self.description} is an Orthanc, open its own address with Orthanc(...)."
        )

    def header(self, key: str) -> Dataset:
        parsed = Key.parse(key)
        header = None
        with suppress(ServerError, TransportError), self.rest.open_instance(*parsed[1:]) as (chunks, whole):
            content = b"".join(chunks) if whole else b""
            header = _read_header(content) if whole else _read_beginning(chunks)
        # Whatever went wrong is said by retrieving the whole.
        header = _read_header(self._file(parsed)) if header is None else header
        self._check_patient(parsed, header)
        return header

    def content(self, key: str) -> bytes:
        parsed = Key.parse(key)
        content = self._file(parsed)
        if self._stands_twice(parsed):
            self._check_patient(parsed, dcmread(io.BytesIO(content), force=True, specific_tags=["PatientID"]))
        return content

    def read(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        return memoryview(self.content(key))

    def _stands_twice(self, key: Key) -> bool:
        return len(self._patients.get(key.study, ())) > 1

    def _file(self, key: Key) -> bytes:
        try:
            return self.rest.retrieve_instance(key.study, key.series, key.instance)
        except (NotFoundError, TransportError):
            # Orthanc finds none where it would have to choose between two; others give both.
            if not self._stands_twice(key):
                raise
        raise self._ambiguous(key, "and the server gives neither, or both")

    def _check_patient(self, key: Key, header: Dataset) -> None:
        if self._stands_twice(key):
            value = read_value(header, _PATIENT_ID)
            found = str(value[0]) if value else ""
            if found != key.patient:
                raise self._ambiguous(key, f"and the server gives that of patient {found!r}")

    def _ambiguous(self, key: Key, given: str) -> UnsupportedError:
        return UnsupportedError(
            f"SOPInstanceUID {key.instance} of patient {key.patient!r} cannot be read from {self.description}: its "
            f"StudyInstanceUID stands under {len(self._patients[key.study])} patients, DICOMweb addresses by UIDs "
            f"alone, {given}. Exclude these studies, or read them otherwise (an Orthanc with Orthanc(...))."
        )

    def save(self, key: str, path: Path) -> None:
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_bytes(self.content(key))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def delete(self, level: Level, key: str) -> None:
        """Delete an object and all that lies below it; one that is gone already is no error.

        Raises
        ------
        UnsupportedError
            The server does not offer it; or the object shares its UID with one of another patient, in which case
            nobody could say which of them would go.
        """
        if level == "patient":
            for row in [row for row in self.listing("study") if row.parent == key]:
                self.delete("study", row.key)
            return
        named = Key.parse(key)
        self._patients.pop(named.study, None)
        self._to_rows("study", self._search("study", {"StudyInstanceUID": named.study}))
        if self._stands_twice(named):
            raise UnsupportedError(
                f"StudyInstanceUID {named.study} stands under {len(self._patients[named.study])} patients. DICOMweb "
                f"deletes by UIDs alone, and might delete the other's. Nothing was deleted."
            )
        with suppress(NotFoundError):
            if level == "study":
                self.rest.delete_study(named.study)
            elif level == "series":
                self.rest.delete_series(named.study, named.series)
            else:
                self.rest.delete_instance(named.study, named.series, named.instance)

    def close(self) -> None:
        self.transport.close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<DICOMweb at {self.description}>"


def _answered(row: Row, found: Mapping[str, Value]) -> Row:
    values = {name: value for name, value in found.items() if value is not None}
    return replace(row, values={**row.values, **values}, unresolved_tags=frozenset())


def _first_of_each(level: Level, metadata: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the metadata of one instance for each object of a level, without what files say of numbers of others."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    for answer in metadata:
        first.setdefault((text_of(answer, "PatientID"), text_of(answer, UID_TAGS[level])), answer)
    counts = {f"{parse_tag(name).steps[0].number:08X}" for name in _NUMBER_OF_CHILDREN.values()}
    return [{name: value for name, value in answer.items() if name not in counts} for answer in first.values()]


def _is_plain_identifier(name: str, values: Mapping[str, Value]) -> bool:
    value = values.get(name)
    return name in _IDENTIFIERS and value is not None and _PLAIN.match(str(value[0])) is not None


def _read_header(content: bytes) -> Dataset:
    return dcmread(io.BytesIO(content), force=True, stop_before_pixels=True)


def _read_beginning(chunks: Iterator[bytes]) -> Dataset | None:
    """Read a header while its file arrives; None: the file ended before its pixels, if it has any."""
    content = bytearray()

    def read(start: int, stop: int) -> tuple[bytes, bool]:
        while len(content) < stop:
            chunk = next(chunks, None)
            if chunk is None:
                raise EOFError
            content.extend(chunk)
        return bytes(content[start:stop]), False

    try:
        header = read_header(read, _HEADER_BYTES, Scanner())
    except EOFError:
        return None
    return header if "SOPInstanceUID" in header else None
