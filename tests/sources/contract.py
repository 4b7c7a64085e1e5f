"""The contract of a source as tests: what every `simple_orthanc.selection.source.Source` must do, offline.

A new source subclasses `SourceTests` and says in `open_archive` how datasets become an archive of its kind.
"""

from __future__ import annotations

import abc
import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import get_args

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.dicom.tags import NUMBER_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value, comparable
from simple_orthanc.errors import NotFoundError, SelectionError, UnsupportedError
from simple_orthanc.selection.predicates import (
    AnyOf,
    Between,
    Operator,
    Predicate,
    RangeString,
    Relation,
    StringIs,
)
from simple_orthanc.selection.source import Row, Source
from tests.memory_source import IDENTIFIERS, as_file, instance

ROW_LEVELS: tuple[Level, ...] = ("study", "series", "instance")
INDEXED = [
    *("PatientID", "PatientName", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *("StudyDescription", "SeriesNumber", "Modality", "SeriesDescription", "OperatorsName", "InstanceNumber"),
    *("ImagePositionPatient", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
]
NOT_INDEXED = [
    *("KVP", "ImageType", "SliceThickness", "PixelSpacing", "Rows", "ImageComments", "AcquisitionDateTime"),
    *('0009,"A MAKER",01', "RequestAttributesSequence[0].ScheduledProcedureStepID", "SelectorULValue"),
]
SEARCHES: list[tuple[str, Predicate]] = [
    *(("PatientName", StringIs(string)) for string in ("*doe*", "DOE^J?N*", "Roe^Rick")),
    *(("PatientName", StringIs(string, "exact")) for string in ("Doe^Jane", "doe^jane", "Roe*")),
    *(("PatientID", StringIs(string, cased=True)) for string in ("p1", "P1", "*", "?1", "p2")),
    *(("AccessionNumber", StringIs(string, cased=True)) for string in ("A2", "nothing", "a2", "A2*")),
    ("AccessionNumber", AnyOf((StringIs("A1", cased=True), StringIs("A3", cased=True)))),
    ("StudyID", StringIs("2", "exact")),
    ("StudyDescription", StringIs("SCHÄDEL")),
    *(("StudyInstanceUID", StringIs(string, cased=True)) for string in ("1.2.2", "*2", "1.2.9")),
    ("StudyInstanceUID", AnyOf(tuple(StringIs(string, cased=True) for string in ("1.2.1", "1.2.3", "1.2.9")))),
    *(("StudyDate", Relation(operator, date(2020, 1, 2))) for operator in get_args(Operator)),
    *(("StudyDate", Between(*ends)) for ends in ((date(2020, 1, 1), date(2020, 1, 2)), (None, date(2020, 1, 1)))),
    ("StudyDate", RangeString("20200102-", Between(date(2020, 1, 2), None))),
    *(("SeriesDescription", StringIs(string)) for string in ("T2*_GRE 1", "*t2*")),
    ("SeriesDescription", StringIs("T2*_GRE 1", "exact")),
    ("OperatorsName", StringIs("*op^b*")),
    ("Modality", StringIs("ct")),
    ("SOPInstanceUID", StringIs("1.2.2.1.1", cased=True)),
]


def make_archive() -> list[Dataset]:
    """Make 3 studies of 2 patients, whose PatientIDs differ in case only; 6 series, 15 instances."""
    datasets = []
    studies = [("1", "p1", "Doe^Jane"), ("2", "P1", "Roe^Rick"), ("3", "P1", "Roe^Rick")]
    for study, patient, name in studies:
        for series, modality in (("1", "CT"), ("2", "MR")):
            for number in range(1, 3 + (modality == "CT")):
                datasets.append(make_dataset(number, series, study, patient, PatientName=name, Modality=modality))
    return datasets


def make_dataset(number: int, series: str, study: str, patient: str, **tags: object) -> Dataset:
    """Make one instance; what it has besides follows from its study, series and number."""
    of_study: dict[str, object] = {
        "StudyDate": f"2020010{study}",
        "StudyTime": "103000.5",
        "StudyID": study,
        "AccessionNumber": f"A{study}",
        "StudyDescription": "Schädel" if study == "3" else "head",
        "SpecificCharacterSet": "ISO_IR 100",
    }
    of_series = {"SeriesNumber": series, "SeriesDescription": f"T2*_GRE {series}", "OperatorsName": ["Op^A", "Op^B"]}
    of_image = {
        "ImagePositionPatient": ["0", "0", str(2.5 * number)],
        "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "PixelSpacing": ["0.50", "0.5"],
        "Rows": 4,
        "Columns": 4,
        "BitsAllocated": 16,
        "PixelData": bytes(32),
    }
    if number == 1:
        of_image |= {"KVP": "1.20E2", "ImageComments": "c" * 300, "SliceThickness": "2.50"}
    dataset = instance(number, series=series, study=study, patient=patient, **of_study, **of_series, **of_image, **tags)
    dataset["PixelData"].VR = "OW"
    dataset.private_block(0x0009, "A MAKER", create=True).add_new(0x01, "LO", f"private {number}")
    step = Dataset()
    step.ScheduledProcedureStepID = f"S{series}"
    dataset.RequestAttributesSequence = [step]
    return dataset


@dataclass
class Archive:
    """An archive while a test uses it.

    Attributes
    ----------
    source : Source
        The source under test.
    store, delete : function
        Change the archive behind the source's back.
    set_server_field : function, optional
        Gives the object of a level, which a dataset belongs to, a field of the server: the label "reviewed", or the
        metadata entry of this name with the value "yes". None: a source of this kind has no such fields.
    """

    source: Source
    store: Callable[[Dataset], None]
    delete: Callable[[Dataset], None]
    set_server_field: Callable[[str, Dataset, Level], None] | None = None


class SourceTests(abc.ABC):
    """What every source must do; each test opens an archive of `make_archive`."""

    @classmethod
    @abc.abstractmethod
    def open_archive(cls, datasets: Sequence[Dataset], folder: Path) -> AbstractContextManager[Archive]:
        """Open an archive of datasets; `folder` is an empty folder to use."""

    @pytest.fixture(scope="class")
    @classmethod
    def datasets(cls) -> list[Dataset]:
        return make_archive()

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, datasets: list[Dataset], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
        """The source of an archive that the tests of a class share, and only read."""
        with cls.open_archive(datasets, tmp_path_factory.mktemp("archive")) as archive:
            yield archive.source

    @pytest.fixture
    def archive(self, datasets: list[Dataset], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
        """An archive that a test may change."""
        with self.open_archive(datasets, tmp_path_factory.mktemp("archive")) as archive:
            yield archive

    # What it says without being asked

    def test_it_has_a_description(self, source: Source) -> None:
        assert source.description
        assert "password" not in source.description

    def test_only_questions_about_the_archive_send_requests(self, source: Source) -> None:
        before = source.requests
        for tag in map(parse_tag, INDEXED + NOT_INDEXED):
            home = source.indexed(tag)
            assert home is None or home in ROW_LEVELS
            assert home is not None or not source.searchable(tag, StringIs("1", "exact"))
        assert source.requests == before
        list(source.listing("study"))
        assert source.requests >= before

    # Rows

    def test_it_counts_every_level(self, source: Source) -> None:
        assert dict(source.counts()) == {"patient": 2, "study": 3, "series": 6, "instance": 15}

    @pytest.mark.parametrize("level", ROW_LEVELS)
    def test_a_listing_has_each_object_once(self, source: Source, level: Level, datasets: list[Dataset]) -> None:
        rows = list(source.listing(level))
        assert len({row.key for row in rows}) == len(rows) == source.counts()[level]
        assert identifiers(rows, level) == {str(dataset[IDENTIFIERS[level]].value) for dataset in datasets}

    def test_rows_know_what_they_are_in(self, source: Source) -> None:
        rows = {level: {row.key: row for row in source.listing(level)} for level in ROW_LEVELS}
        assert len({row.parent for row in rows["study"].values()}) == 2
        for above, level in (("study", "series"), ("series", "instance")):
            inside: dict[str, set[str]] = {key: set() for key in rows[above]}  # type: ignore[index]
            for row in rows[level].values():  # type: ignore[index]
                inside[row.parent].add(row.key)
            for key, row in rows[above].items():  # type: ignore[index]
                assert row.has_unknown_children or set(row.children) == inside[key]

    @pytest.mark.parametrize("level", ROW_LEVELS)
    def test_rows_hold_what_the_files_hold(self, source: Source, level: Level, datasets: list[Dataset]) -> None:
        tags = [tag for tag in map(parse_tag, INDEXED) if source.indexed(tag) == level]
        assert tags
        rows = resolved(source, level, source.listing(level))
        for row in rows:
            dataset = dataset_of(row, level, datasets)
            for tag in tags:
                assert meaning(row.values.get(tag.name), tag) == meaning(read_value(dataset, tag), tag)

    def test_a_search_leaves_nothing_out(self, source: Source, datasets: list[Dataset]) -> None:
        searched = 0
        for name, predicate in SEARCHES:
            tag = parse_tag(name)
            home = source.indexed(tag)
            if home is None or not source.searchable(tag, predicate):
                continue
            rows = list(source.search(home, tag, predicate))
            assert len({row.key for row in rows}) == len(rows)
            assert identifiers(rows, home) >= {
                str(dataset[IDENTIFIERS[home]].value)
                for dataset in datasets
                if predicate.holds(read_value(dataset, tag), tag.vr)
            }
            searched += 1
        assert searched

    @pytest.mark.parametrize("count", [1, 2, 3])
    @pytest.mark.parametrize(("above", "level"), [("study", "series"), ("series", "instance")])
    def test_what_is_below_rows_is_found(
        self, source: Source, above: Level, level: Level, count: int, datasets: list[Dataset]
    ) -> None:
        parents = list(source.listing(above))[:count]
        inside = {
            str(dataset[IDENTIFIERS[level]].value) for row in parents for dataset in datasets_in(row, above, datasets)
        }
        keys = {row.key for row in parents}
        rows = [row for row in source.below(level, parents) if row.parent in keys]
        assert identifiers(rows, level) == inside
        assert len({row.key for row in rows}) == len(rows)

    @pytest.mark.parametrize("level", ROW_LEVELS)
    def test_rows_are_found_by_their_keys(self, source: Source, level: Level) -> None:
        rows = {row.key: row for row in source.listing(level)}
        wanted = list(rows)[::2]
        found = {row.key: row for row in source.rows(level, wanted)}
        assert found.keys() == set(wanted)
        assert {key: row.parent for key, row in found.items()} == {key: rows[key].parent for key in wanted}
        assert list(source.rows(level, [])) == []

    @pytest.mark.parametrize("level", ["series", "instance"])
    def test_rows_read_from_files_hold_what_the_files_hold(
        self, source: Source, level: Level, datasets: list[Dataset]
    ) -> None:
        rows = list(source.listing(level))[:2]
        read = {row.key: row for row in source.reload_from_files(level, rows)}
        assert read.keys() == {row.key for row in rows}
        tags = [tag for tag in map(parse_tag, INDEXED) if source.indexed(tag) == level]
        for row in read.values():
            dataset = dataset_of(row, level, datasets)
            assert not row.unresolved_tags
            for tag in tags:
                assert meaning(row.values.get(tag.name), tag) == meaning(read_value(dataset, tag), tag)

    # What only files hold

    def test_columns_hold_what_the_files_hold(self, source: Source, datasets: list[Dataset]) -> None:
        tags = [tag for tag in map(parse_tag, NOT_INDEXED) if source.indexed(tag) is None]
        assert len(tags) == len(NOT_INDEXED)
        columns = source.columns(tags, series_rows(source))
        assert set(columns) == {tag.name for tag in tags}
        uids = uid_of_each(source)
        for tag in tags:
            expected = {str(dataset.SOPInstanceUID): meaning(read_value(dataset, tag), tag) for dataset in datasets}
            assert {uids[key]: meaning(value, tag) for key, value in columns[tag.name].items()} == expected

    def test_columns_can_be_read_of_some_instances(self, source: Source, datasets: list[Dataset]) -> None:
        tag = parse_tag("SliceThickness")
        series = series_rows(source)
        wanted = frozenset(series[0].children[:1] + series[1].children[-1:])
        column = source.columns([tag], series[:2], wanted)[tag.name]
        assert wanted <= set(column) <= {key for row in series[:2] for key in row.children}
        uids = uid_of_each(source)
        by_uid = {str(dataset.SOPInstanceUID): dataset for dataset in datasets}
        for key in wanted:
            assert meaning(column[key], tag) == meaning(read_value(by_uid[uids[key]], tag), tag)

    # Identifiers

    @pytest.mark.parametrize(
        ("text", "tag", "level", "number"),
        [
            ("1.2.2", "StudyInstanceUID", "study", 1),
            ("1.2.2.1", "SeriesInstanceUID", "series", 1),
            ("1.2.2.1.1", "SOPInstanceUID", "instance", 1),
            ("A3", "AccessionNumber", "study", 1),
            ("p1", "PatientID", "patient", 1),
            ("P1", "PatientID", "patient", 1),
        ],
    )
    def test_identifiers_name_objects(self, source: Source, text: str, tag: str, level: Level, number: int) -> None:
        matches = [match for match in source.resolve(text) if match.tag == tag]
        assert [match.level for match in matches] == [level] * number
        for match in matches:
            if level == "patient":
                rows = [row for row in source.listing("study") if row.parent == match.key]
                assert {row.values["PatientID"] for row in rows} == {(text,)}
            else:
                (row,) = source.rows(level, [match.key])
                assert row.values[tag] == (text,)

    @pytest.mark.parametrize("text", ["1.2.9", "a3", "1.2.2.1.1.1", "A*", "?1", "", "Doe^Jane", "\udc80"])
    def test_an_unknown_identifier_names_nothing(self, source: Source, text: str) -> None:
        assert list(source.resolve(text)) == []

    @pytest.mark.parametrize("level", ROW_LEVELS)
    def test_a_row_is_named_by_the_sources_own_identifier(self, source: Source, level: Level) -> None:
        for row in list(source.listing(level))[:2]:
            own = [match for match in source.resolve(row.key) if match.key == row.key]
            assert [(match.level, match.key) for match in own] in ([(level, row.key)], [])

    # Labels and metadata

    @pytest.mark.parametrize("kind", ["label", "metadata"])
    def test_fields_of_the_server_are_found_or_refused(
        self, archive: Archive, datasets: list[Dataset], kind: str
    ) -> None:
        source = archive.source
        if archive.set_server_field is None:
            with pytest.raises(UnsupportedError, match=rf"{kind}\('reviewed'\)"):
                source.server_field(kind, "reviewed")
            return
        for level in LEVELS:
            archive.set_server_field(kind, datasets[0], level)
        found = source.server_field(kind, "reviewed")
        for level in LEVELS:
            assert list(found[level].values()) == [("reviewed",) if kind == "label" else ("yes",)]
        for level in ROW_LEVELS:
            (row,) = source.rows(level, list(found[level]))
            assert dataset_of(row, level, datasets) is datasets[0]

    # Files

    def test_a_header_is_that_of_the_file_without_its_pixels(self, source: Source, datasets: list[Dataset]) -> None:
        for key, uid in list(uid_of_each(source).items())[:3]:
            (dataset,) = (dataset for dataset in datasets if dataset.SOPInstanceUID == uid)
            header = source.header(key)
            assert "PixelData" not in header
            tags = [parse_tag(name) for name in [*INDEXED, *NOT_INDEXED]]
            assert [read_value(header, tag) for tag in tags] == [read_value(dataset, tag) for tag in tags]

    def test_the_header_of_an_instance_is_that_of_the_instance(self, source: Source) -> None:
        for row in source.listing("instance"):
            source.check_identity(row.key, source.header(row.key))

    def test_files_are_read_byte_by_byte(self, source: Source, datasets: list[Dataset], tmp_path: Path) -> None:
        files = {str(dataset.SOPInstanceUID): as_file(dataset) for dataset in datasets}
        sizes: list[int] = []

        def allocate(size: int) -> memoryview:
            sizes.append(size)
            return memoryview(bytearray(size))

        uids = dict(list(uid_of_each(source).items())[:3])
        target = tmp_path / "saved"
        target.mkdir()
        for key, uid in uids.items():
            known = source.stored_file(key)
            assert known.size in (None, len(files[uid]))
            assert known.md5 in (None, hashlib.md5(files[uid]).hexdigest())
            assert source.content(key) == files[uid]
            assert bytes(source.read(key, allocate)) == files[uid]
            assert set(sizes) <= {len(files[uid]) for uid in uids.values()}
            source.save(key, target / f"{uid}.dcm")
            assert (target / f"{uid}.dcm").read_bytes() == files[uid]
        assert {path.name for path in target.iterdir()} == {f"{uid}.dcm" for uid in uids.values()}

    def test_what_is_read_together_are_the_files(self, source: Source, datasets: list[Dataset]) -> None:
        files = {str(dataset.SOPInstanceUID): as_file(dataset) for dataset in datasets}
        uids = uid_of_each(source)
        series = list(source.listing("series"))
        held = {child.parent for child in source.below("instance", series)}
        for key, content in source.read_together([row for row in series if row.key in held]).items():
            assert content == files[uids[key]]

    def test_a_file_on_disk_is_compared_with_an_instance(
        self, source: Source, datasets: list[Dataset], tmp_path: Path
    ) -> None:
        files = {str(dataset.SOPInstanceUID): as_file(dataset) for dataset in datasets}
        (one, uid), (other, _) = list(uid_of_each(source).items())[:2]
        target = tmp_path / "copy"
        target.write_bytes(files[uid])
        assert source.is_copy(one, target)
        assert not source.is_copy(other, target)
        for damaged in (files[uid][:-1], files[uid][: len(files[uid]) // 2], b"", b"not DICOM"):
            target.write_bytes(damaged)
            assert not source.is_copy(one, target)

    @pytest.mark.parametrize("how", ["header", "content", "read", "save"])
    def test_an_instance_that_is_gone_is_an_error(
        self, archive: Archive, datasets: list[Dataset], tmp_path: Path, how: str
    ) -> None:
        source, target = archive.source, tmp_path / "saved"
        target.mkdir()
        key = next(key for key, uid in uid_of_each(source).items() if uid == datasets[0].SOPInstanceUID)
        archive.delete(datasets[0])
        uses: Mapping[str, Callable[[], object]] = {
            "header": lambda: source.header(key),
            "content": lambda: source.content(key),
            "read": lambda: source.read(key, lambda size: memoryview(bytearray(size))),
            "save": lambda: source.save(key, target / "file.dcm"),
        }
        with pytest.raises((NotFoundError, SelectionError)):
            uses[how]()
        assert list(target.iterdir()) == []

    # Changes

    def test_an_archive_that_stays_the_same_has_no_changes(self, source: Source) -> None:
        revision = source.revision()
        assert revision.counts is None or dict(revision.counts) == dict(source.counts())
        changes = source.changes(revision)
        assert changes.added is None or (changes.added == frozenset() and not changes.removed)

    def test_additions_are_reported(self, archive: Archive) -> None:
        source = archive.source
        revision = source.revision()
        before = {row.key for row in source.listing("instance")}
        stored = make_dataset(9, "1", "4", "P2", PatientName="New^Person", Modality="CT")
        archive.store(stored)
        changes = source.changes(revision)
        after = {row.key: row for row in source.listing("instance")}
        assert identifiers((after[key] for key in after.keys() - before), "instance") == {"1.2.4.1.9"}
        assert changes.added is None or changes.added == after.keys() - before
        assert source.counts()["patient"] == 3
        again = source.changes(changes.revision)
        assert again.added is None or again.added == frozenset()

    def test_deletions_are_reported(self, archive: Archive, datasets: list[Dataset]) -> None:
        source = archive.source
        revision = source.revision()
        row = next(row for row in source.listing("instance") if dataset_of(row, "instance", datasets) is datasets[0])
        archive.delete(datasets[0])
        changes = source.changes(revision)
        assert changes.removed
        assert row.key not in {other.key for other in source.listing("instance")}
        assert list(source.rows("instance", [row.key])) == []
        assert source.counts()["instance"] == len(datasets) - 1

    # Use

    def test_it_can_be_used_by_several_threads_at_once(self, source: Source) -> None:
        def use(_: int) -> object:
            series = series_rows(source)
            return (
                sorted(row.key for row in source.listing("instance")),
                source.columns([parse_tag("KVP")], series),
                source.content(series[0].children[0]),
                source.header(series[0].children[0]).SOPInstanceUID,
            )

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(use, range(8)))
        assert all(answer == answers[0] for answer in answers)

    def test_it_can_be_used_again_after_it_was_closed(self, archive: Archive) -> None:
        source = archive.source
        key = next(iter(source.listing("instance"))).key
        content = source.content(key)
        source.close()
        assert source.content(key) == content
        source.close()
        source.close()

    def test_it_can_be_pickled(self, source: Source) -> None:
        rows = {row.key: row.parent for row in source.listing("series")}
        again: Source = pickle.loads(pickle.dumps(source))
        assert {row.key: row.parent for row in again.listing("series")} == rows
        assert again.description == source.description
        again.close()


def identifiers(rows: Iterable[Row], level: Level) -> set[str]:
    """Return the UIDs of rows."""
    return {str((row.values.get(IDENTIFIERS[level]) or ("",))[0]) for row in rows}


def datasets_in(row: Row, level: Level, datasets: Iterable[Dataset]) -> list[Dataset]:
    """Return the datasets that belong to a row."""
    (uid,) = identifiers([row], level)
    return [dataset for dataset in datasets if dataset[IDENTIFIERS[level]].value == uid]


def dataset_of(row: Row, level: Level, datasets: Iterable[Dataset]) -> Dataset:
    """Return the first dataset that belongs to a row."""
    return datasets_in(row, level, datasets)[0]


def meaning(value: Value, tag: Tag) -> object:
    """Return what makes two values equal: numbers may be spelt in several ways."""
    return tuple(comparable(part, tag.vr) for part in value) if value is not None and tag.vr in NUMBER_VRS else value


def joined(value: Value) -> str:
    """Return a value as one string, with backslashes between several values."""
    return "\\".join(str(part) for part in value or ())


def resolved(source: Source, level: Level, rows: Iterable[Row]) -> list[Row]:
    """Return rows, after those with unresolved tags have been read from files, as an index does when it needs one."""
    rows = list(rows)
    unresolved = [row for row in rows if row.unresolved_tags]
    read = {row.key: row for row in source.reload_from_files(level, unresolved)} if unresolved else {}
    return [read.get(row.key, row) for row in rows]


def series_rows(source: Source) -> list[Row]:
    """Return the rows of all series, with their children, in the order of their UIDs."""
    rows = sorted(source.listing("series"), key=lambda row: joined(row.values["SeriesInstanceUID"]))
    if any(row.has_unknown_children for row in rows):
        inside: dict[str, list[str]] = {row.key: [] for row in rows}
        for row in source.below("instance", rows):
            inside[row.parent].append(row.key)
        for row in rows:
            row.children = tuple(inside[row.key])
    return rows


def uid_of_each(source: Source) -> dict[str, str]:
    """Return the SOPInstanceUID of each instance by its key."""
    return {row.key: joined(row.values["SOPInstanceUID"]) for row in source.listing("instance")}
