"""What a PACS is asked, what it refuses, and what its limits hide."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.times import parse_date
from simple_orthanc.errors import ServerError, UnsupportedError
from simple_orthanc.selection.predicates import AnyOf, Between, Predicate, StringIs
from tests.sources.contract import make_dataset
from tests.sources.pacs.stand_in import COUNTS, Habits, serving


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


@pytest.mark.parametrize("limit", [10, 11, 16, 17])
@pytest.mark.parametrize("days", [range(1, 30), [1, 1, 1, *range(1, 22)], sorted(range(1, 26), reverse=True)])
def test_what_a_limit_hides_is_found_by_dates_with_a_warning(days: Sequence[int], limit: int) -> None:
    habits = Habits(limit=limit, ignored=set(COUNTS))
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
