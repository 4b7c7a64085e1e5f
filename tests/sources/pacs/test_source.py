"""A PACS keeps the contract of sources as far as it can, and names retrieve() where it cannot."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.times import parse_date
from simple_orthanc.errors import ServerError, UnsupportedError
from simple_orthanc.selection.predicates import AnyOf, Between, Predicate, StringIs
from simple_orthanc.selection.source import Source
from simple_orthanc.sources.pacs.source import PacsSource, deciding
from simple_orthanc.transport import Transport
from tests.sources.contract import Archive, SourceTests, make_archive, make_dataset
from tests.sources.pacs.stand_in import COUNTS, DCMQRSCP, QRSCP, Habits, PacsServer


@contextmanager
def serving(
    habits: Habits | None = None, datasets: Sequence[Dataset] | None = None
) -> Iterator[tuple[PacsSource, PacsServer]]:
    """Yield the source of a PACS, and its server."""
    found = make_archive() if datasets is None else datasets
    with PacsServer(found, habits) as server, Transport(server.url, patience=0) as transport:
        yield PacsSource(transport, "PACS"), server


class TestPacs(SourceTests):
    habits = Habits()

    @classmethod
    @contextmanager
    def open_archive(cls, datasets: Sequence[Dataset], folder: Path) -> Iterator[Archive]:
        with serving(cls.habits, datasets) as (source, server):
            yield Archive(source, server.pacs.append, server.pacs.remove)
        assert server.open_queries == 0

    @pytest.mark.parametrize("level", ["series", "instance"])
    def test_rows_read_from_files_hold_what_the_files_hold(
        self, source: Source, level: Level, datasets: list[Dataset]
    ) -> None:
        # There is nothing to correct.
        rows = list(source.listing(level))[:2]
        assert list(source.reload_from_files(level, rows)) == rows

    def test_columns_hold_what_the_files_hold(self, source: Source, datasets: list[Dataset]) -> None:
        with pytest.raises(UnsupportedError, match=r"KVP, SliceThickness: .*retrieve\(\)"):
            source.columns([parse_tag("KVP"), parse_tag("SliceThickness")], list(source.listing("series")))

    def test_columns_can_be_read_of_some_instances(self, source: Source, datasets: list[Dataset]) -> None:
        with pytest.raises(UnsupportedError, match=r"Rows: .*retrieve\(\)"):
            source.columns([parse_tag("Rows")], list(source.listing("series"))[:1], frozenset("k"))

    def test_a_header_is_that_of_the_file_without_its_pixels(self, source: Source, datasets: list[Dataset]) -> None:
        key = next(iter(source.listing("instance"))).key
        with pytest.raises(UnsupportedError, match=r"hands over no files.*retrieve\(\)"):
            source.header(key)

    def test_the_header_of_an_instance_is_that_of_the_instance(self, source: Source) -> None:
        with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
            source.check_identity("1.2.1/1.2.1.1/1.2.1.1.1/p1", make_dataset(1, "1", "1", "p1"))

    def test_files_are_read_byte_by_byte(self, source: Source, datasets: list[Dataset], tmp_path: Path) -> None:
        key = next(iter(source.listing("instance"))).key
        with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
            source.content(key)
        with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
            source.save(key, tmp_path / "file.dcm")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("how", ["read"])
    def test_an_instance_that_is_gone_is_an_error(
        self, archive: Archive, datasets: list[Dataset], tmp_path: Path, how: str
    ) -> None:
        with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
            archive.source.read("1.2.1/1.2.1.1/1.2.1.1.1/p1", lambda size: memoryview(bytearray(size)))

    def test_it_can_be_used_by_several_threads_at_once(self, source: Source) -> None:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: sorted(row.key for row in source.listing("instance")), range(8)))
        assert all(answer == answers[0] for answer in answers)

    def test_it_can_be_used_again_after_it_was_closed(self, archive: Archive) -> None:
        rows = list(archive.source.listing("series"))
        archive.source.close()
        assert list(archive.source.listing("series")) == rows
        archive.source.close()
        archive.source.close()


class TestStrictPacs(TestPacs):
    """A PACS that compares with regard to case, keys of the level of the question alone, and counts nothing."""

    habits = Habits(is_cased=True, is_relational=False, repeats=True, ignored=set(COUNTS))


# What a PACS does not answer with


@pytest.mark.parametrize("ignored", [DCMQRSCP, QRSCP])
def test_what_is_never_answered_is_unknown_and_not_missing(ignored: frozenset[str]) -> None:
    with serving(Habits(ignored=set(ignored))) as (source, _):
        for level in ("study", "series"):
            for row in source.listing(level):
                unknown = {name for name in ignored if source.indexed(parse_tag(name)) == level}
                assert row.unresolved_tags == unknown
                assert not unknown & set(row.values)


def test_a_value_that_one_study_lacks_is_missing() -> None:
    datasets = make_archive()
    for dataset in datasets[:5]:
        del dataset.StudyDescription
    with serving(datasets=datasets) as (source, _):
        rows = list(source.listing("study"))
        assert [row.unresolved_tags for row in rows] == [frozenset()] * 3
        assert sum("StudyDescription" not in row.values for row in rows) == 1


def test_what_became_known_meanwhile_is_known() -> None:
    with serving(Habits(ignored={"SeriesDescription"})) as (source, server):
        rows = list(source.listing("series"))
        assert all(row.unresolved_tags == {"SeriesDescription"} for row in rows)
        server.habits.ignored.clear()
        list(source.listing("series"))
        assert not any(row.unresolved_tags for row in source.reload_from_files("series", rows))


@pytest.mark.parametrize("name", ["SeriesDescription", "OperatorsName"])
def test_a_condition_on_what_is_unknown_raises_and_a_table_warns(name: str) -> None:
    with serving(Habits(ignored=set(DCMQRSCP))) as (source, _):
        rows = list(source.listing("series"))
        with deciding(), pytest.raises(UnsupportedError, match=rf"^{name}: .*retrieve\(\)"):
            list(source.reload_from_files("series", rows, parse_tag(name)))
        with pytest.warns(UserWarning, match=rf"^{name}: .* unknown here, and not missing.*retrieve\(\)"):
            assert list(source.reload_from_files("series", rows, parse_tag(name))) == rows


# What it is asked


@pytest.mark.parametrize(
    ("name", "predicate", "sent"),
    [
        ("PatientID", StringIs("p1", cased=True), ["p1"]),
        ("PatientID", StringIs("p*", "exact", cased=True), ["p*"]),
        ("PatientID", StringIs("p?*", cased=True), ["p?*"]),
        ("PatientID", StringIs("*", cased=True), [None]),
        ("PatientID", StringIs("ä*", cased=True), [None]),
        ("AccessionNumber", StringIs("A2", "exact"), ["A2"]),
        (
            "AccessionNumber",
            AnyOf(tuple(StringIs(f"A{n}", cased=True) for n in range(30))),
            [f"A{n}" for n in range(30)],
        ),
        ("StudyID", AnyOf((StringIs("1*", cased=True), StringIs("2", cased=True))), ["1*", "2"]),
        ("StudyID", AnyOf((StringIs("1*", cased=True), StringIs("ä", cased=True))), [None]),
        ("StudyInstanceUID", StringIs("1.2.2", cased=True), ["1.2.2"]),
        ("PatientName", StringIs("doe*"), [None]),
        ("PatientName", StringIs("Doe^Jane"), [None]),
        ("StudyDescription", StringIs("head"), [None]),
    ],
)
def test_only_keys_that_cannot_miss_a_match_are_sent(name: str, predicate: Predicate, sent: list[str | None]) -> None:
    with serving() as (source, server):
        list(source.search("study", parse_tag(name), predicate))
        asked = [question.get(name) for level, question in server.questions if level == "Study"]
        assert sorted(map(str, asked)) == sorted(map(str, sent))


def test_the_unique_keys_of_all_levels_above_are_sent() -> None:
    with serving() as (source, server):
        list(source.listing("instance"))
        above = {
            "Study": set(),
            "Series": {"StudyInstanceUID"},
            "Instance": {"StudyInstanceUID", "SeriesInstanceUID"},
        }
        assert {level for level, _ in server.questions} == set(above)
        assert all(set(question) == above[level] for level, question in server.questions)


def test_a_uid_alone_is_searched_for_once() -> None:
    predicate = StringIs("1.2.2.1", "exact", True)
    with serving() as (source, server):
        found = source.search("series", parse_tag("SeriesInstanceUID"), predicate)
        assert {"1.2.2/1.2.2.1/P1"} <= {row.key for row in found}
        # The second is for the patients that its study is of.
        assert server.questions == [
            ("Series", {"SeriesInstanceUID": "1.2.2.1"}),
            ("Study", {"StudyInstanceUID": "1.2.2"}),
        ]
        assert list(source.search("series", parse_tag("SeriesInstanceUID"), StringIs("1.9", "exact", True))) == []


def test_a_uid_that_a_pacs_does_not_search_for_is_looked_for_everywhere() -> None:
    class Deaf(PacsServer):
        def _matching(self, level: str, keys: object) -> list[Dataset]:
            assert isinstance(keys, dict)
            asks_alone = level == "Series" and keys.get("SeriesInstanceUID") and not keys.get("StudyInstanceUID")
            return [] if asks_alone else super()._matching(level, keys)

    with Deaf(make_archive()) as server, Transport(server.url, patience=0) as transport:
        source = PacsSource(transport, "PACS")
        rows = source.search("series", parse_tag("SeriesInstanceUID"), StringIs("1.2.2.1", "exact", True))
        assert "1.2.2/1.2.2.1/P1" in {row.key for row in rows}


# Refusals and limits


@pytest.mark.parametrize("status", ["0xA700", "0xA900", "0xC000"])
@pytest.mark.parametrize("level", ["Series", "Instance"])
def test_a_level_that_is_refused_is_named(level: str, status: str) -> None:
    told = rf"refuses to search at the level {level.lower()}.*{status}"
    with serving(Habits(refused={level: status})) as (source, _), pytest.raises(UnsupportedError, match=told):
        list(source.listing("instance"))


def test_a_pacs_that_refuses_to_list_is_searched_by_names_with_a_warning() -> None:
    with serving(Habits(refuses_everything="0xA700", is_cased=True)) as (source, _):
        name = parse_tag("PatientName")
        with pytest.warns(UserWarning, match="refuses to list everything.*may be missing"):
            rows = list(source.search("study", name, StringIs("Doe*")))
        assert [row.values["PatientName"] for row in rows] == [("Doe^Jane",)]
        with pytest.raises(ServerError, match=r"0xA700.*narrow by"):
            list(source.listing("study"))


def test_a_dead_pacs_is_no_refusal() -> None:
    with serving() as (source, server):
        server.habits.refuses_everything = "none at all: it is dead"
        with pytest.raises(ServerError, match="Check that it runs"):
            list(source.search("study", parse_tag("PatientName"), StringIs("Doe*")))


def many_studies(days: Sequence[int]) -> list[Dataset]:
    """Make studies of one image on these days of a month; 0 is no day."""
    found = []
    for number, day in enumerate(days):
        dataset = make_dataset(1, "1", str(number), f"p{number}")
        dataset.StudyDate = f"202001{day:02d}" if day else ""
        found.append(dataset)
    return found


LIMITED = Habits(limit=10, ignored=set(COUNTS))


@pytest.mark.parametrize("one_more", [0, 1])
@pytest.mark.parametrize("days", [range(1, 30), [1, 1, 1, *range(1, 22)], sorted(range(1, 26), reverse=True)])
def test_what_a_limit_hides_is_found_by_dates_with_a_warning(days: Sequence[int], one_more: int) -> None:
    habits, limit = Habits(limit=10 + one_more, ignored=set(COUNTS)), 10 + one_more
    told = rf"answers with {limit} studies at most, and holds more: {len(days) - limit} others .* StudyDate may still"
    with serving(habits, many_studies(days)) as (source, _), pytest.warns(UserWarning, match=told):
        assert len(list(source.listing("study"))) == len(days)


@pytest.mark.parametrize("sent", ["20200103-20200128", "20200103-", "-20200128"])
def test_what_a_limit_hides_in_a_range_of_dates_is_found(sent: str) -> None:
    low, _, high = sent.partition("-")
    predicate = Between(parse_date(low), parse_date(high))
    wanted = [day for day in range(1, 31) if (low or "0") <= f"202001{day:02d}" <= (high or "9")]
    with serving(LIMITED, many_studies(range(1, 31))) as (source, _), pytest.warns(UserWarning, match="10 studies at"):
        rows = list(source.search("study", parse_tag("StudyDate"), predicate))
    assert len(rows) == len(wanted)


@pytest.mark.parametrize("days", [[5] * 24, [0] * 24])
def test_a_limit_that_dates_do_not_show_is_not_known_of(days: Sequence[int]) -> None:
    # Ten studies of one day, or without one, are no sign of a limit.
    with serving(LIMITED, many_studies(days)) as (source, _):
        assert len(list(source.listing("study"))) == 10


def test_of_one_day_more_may_be_missing_than_dates_show() -> None:
    told = "Studies without a StudyDate, or of one day, may still be missing"
    with serving(LIMITED, many_studies([*[5] * 24, 7, 8])) as (source, _), pytest.warns(UserWarning, match=told):
        assert len(list(source.listing("study"))) == 12


def test_as_many_as_a_usual_limit_on_one_day_may_be_one() -> None:
    told = "exactly 100 studies, which may be the most"
    habits = Habits(limit=100, ignored=set(COUNTS))
    with serving(habits, many_studies([0] * 102)) as (source, _), pytest.warns(UserWarning, match=told):
        assert len(list(source.listing("study"))) == 100


@pytest.mark.parametrize("count", [9, 10, 20, 21])
def test_a_round_number_that_is_no_limit_is_not_warned_of(count: int) -> None:
    with serving(Habits(ignored=set(COUNTS)), many_studies(range(1, count + 1))) as (source, server):
        assert len(list(source.listing("study"))) == count
        assert len(server.questions) == (1 if count == 9 else 4)


def test_less_than_a_study_says_is_warned_of() -> None:
    class Hiding(PacsServer):
        def _matching(self, level: str, keys: object) -> list[Dataset]:
            assert isinstance(keys, dict)
            return super()._matching(level, keys)[: 1 if level == "Series" else None]

    with Hiding(make_archive()) as server, Transport(server.url, patience=0) as transport:
        source = PacsSource(transport, "PACS")
        with pytest.warns(UserWarning, match="at least 6 objects of level series.* shows 3"):
            assert len(list(source.listing("series"))) == 3


def test_a_study_that_was_deleted_meanwhile_is_not_warned_of() -> None:
    with serving() as (source, server):
        rows = list(source.listing("study"))
        server.pacs = [dataset for dataset in server.pacs if dataset.StudyInstanceUID != "1.2.1"]
        assert len(list(source.below("series", rows))) == 4


# Keys


def test_one_study_uid_of_two_patients_is_told_apart_or_refused() -> None:
    datasets = [make_dataset(1, "1", "1", "a"), make_dataset(2, "2", "1", "b")]
    with serving(datasets=datasets) as (source, server):
        assert source.counts()["study"] == 2
        # Orthanc itself asks for the patient at each level, and some PACS answer with it.
        assert {row.parent for row in source.listing("series")} == {"1.2.1/a", "1.2.1/b"}
        server.habits.is_relational = False
        with pytest.raises(UnsupportedError, match=r"exists under 2 patients \(a, b\)"):
            list(source.listing("series"))
        server.pacs = datasets[:1]
        source.revision()
        assert [row.parent for row in source.listing("series")] == ["1.2.1/a"]


def test_an_object_without_a_uid_is_left_out_with_a_warning() -> None:
    datasets = [make_dataset(1, "1", "1", "a"), make_dataset(2, "2", "2", "b")]
    del datasets[1].SeriesInstanceUID
    with serving(datasets=datasets) as (source, _):
        studies = list(source.listing("study"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert [row.parent for row in source.below("series", studies)] == ["1.2.1/a"]
        assert any("without a UID" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("text", ["a/b/c/d/e", "1.2.1/x", "/", "1.2.1/1.2.1.1/1.2.1.1.1/wrong"])
def test_what_looks_like_a_key_and_is_none_names_nothing(text: str) -> None:
    with serving() as (source, _):
        assert source.resolve(text) == []


# Characters


@pytest.mark.parametrize(
    ("name", "is_seen"), [("王^小", True), ("Yamada^Tarou=山田^太郎", True), ("Müller^Rémi", False), ("Ωmega^A", False)]
)
def test_names_of_which_nothing_is_left_are_warned_of_once(name: str, is_seen: bool) -> None:
    dataset = make_dataset(1, "1", "1", "p")
    dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 192", name
    with serving(Habits(character_set="ISO_IR 100"), [dataset]) as (source, _):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert len(list(source.listing("study"))) == len(list(source.listing("study"))) == 1
        told = [str(warning.message) for warning in caught]
        assert len(told) == is_seen
        assert all("Characters are missing in names" in message and "default-encoding" in message for message in told)
        assert source.lossy_character_sets == {"ISO_IR 100"}
