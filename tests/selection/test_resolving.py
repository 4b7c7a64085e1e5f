"""Resolving: the level of a selection, where criteria are decided, with how many requests, and what strings mean."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.selection import resolving
from simple_orthanc.selection.conditions import Condition
from simple_orthanc.selection.criteria import condition_for, exact, has_series, label, like, tag
from simple_orthanc.selection.index import Index
from simple_orthanc.selection.meanings import Meanings, with_known_meanings
from simple_orthanc.selection.selection import Criterion, Selection
from tests.memory_source import MemorySource, instance, put_raw

DATASETS = [
    instance(number, series=series, study=study, patient=patient, **tags)
    for patient, study, series, tags in [
        ("P1", "1", "1", {"Modality": "CT", "SeriesDescription": "head", "PatientName": "Doe^Jane", "KVP": "100"}),
        ("P1", "1", "2", {"Modality": "CT", "SeriesDescription": "HEAD", "PatientName": "Doe^Jane", "KVP": "120"}),
        ("P1", "2", "1", {"Modality": "PT", "SeriesDescription": "h*d", "PatientName": "Doe^Janet"}),
        ("P2", "3", "1", {"Modality": "CT", "SeriesDescription": "abdomen", "PatientName": "Roe^Rick", "KVP": "100"}),
    ]
    for number in (1, 2)
]


def make(**options: Any) -> tuple[MemorySource, Index]:
    source = MemorySource(DATASETS, **options)
    return source, Index(source)


def criterion(condition: Condition) -> Criterion:
    return Criterion(condition, "", condition)


def narrow(index: Index, *conditions: Condition) -> Selection:
    selection = Selection()
    for condition in conditions:
        selection = resolving.narrow(index, selection, criterion(condition))
    return selection


def given_for(**tags: Any) -> list[Condition]:
    return [condition_for(parse_tag(name), value) for name, value in tags.items()]


def endings(keys: list[str]) -> list[str]:
    return [key.rpartition("|")[2].removeprefix("1.2.") for key in keys]


def test_at_first_everything_is_selected_and_nothing_is_listed() -> None:
    source, index = make()
    selection = Selection()
    assert source.requests == 0
    assert [resolving.count(index, selection, level) for level in LEVELS] == [2, 3, 4, 8]
    assert source.asked == ["revision"]
    assert [len(resolving.keys_at(index, selection, level)) for level in LEVELS] == [2, 3, 4, 8]


@pytest.mark.parametrize(
    ("condition", "level", "counts"),
    [
        (tag("PatientName") == "doe*", "study", [1, 2, 3, 6]),
        (tag("PatientName").is_missing(), "study", [0, 0, 0, 0]),
        (tag("Modality") == "ct", "series", [2, 2, 3, 6]),
        (tag("InstanceNumber") == 1, "instance", [2, 3, 4, 4]),
        (tag("KVP") > 100, "instance", [1, 1, 1, 2]),
        ((tag("PatientName") == "doe*") & (tag("Modality") == "CT"), "series", [1, 1, 2, 4]),
        ((tag("PatientName") == "roe*") | (tag("KVP") > 100), "instance", [2, 2, 2, 4]),
        (~(tag("Modality") == "CT"), "series", [1, 1, 1, 2]),
        (~((tag("Modality") == "CT") & (tag("InstanceNumber") == 1)), "instance", [2, 3, 4, 5]),
        (~(~(tag("Modality") == "CT")), "series", [2, 2, 3, 6]),
    ],
)
@pytest.mark.parametrize("options", [{}, {"extra": True}, {"searchable": False}])
def test_a_criterion_is_decided_at_the_level_of_its_tags(
    condition: Condition, level: Level, counts: list[int], options: dict[str, Any]
) -> None:
    _, index = make(**options)
    selection = narrow(index, condition)
    assert selection.level == level
    assert [resolving.count(index, selection, each) for each in LEVELS] == counts
    assert [len(set(resolving.keys_at(index, selection, each))) for each in LEVELS] == counts


def test_the_level_goes_down_and_never_up_again() -> None:
    _, index = make()
    levels = []
    selection = Selection()
    for condition in given_for(PatientName="doe*", Modality="CT", InstanceNumber=1, PatientID="P1"):
        selection = resolving.narrow(index, selection, criterion(condition))
        levels.append(selection.level)
    assert levels == ["study", "series", "instance", "instance"]
    assert endings(list(selection.keys)) == ["1.1.1", "1.2.1"]
    assert endings(resolving.keys_at(index, selection, "study")) == ["1"]


def test_a_selection_never_changes() -> None:
    _, index = make()
    first = narrow(index, *given_for(Modality="CT"))
    before = (first.level, first.keys, first.criteria, first.steps)
    second = resolving.narrow(index, first, criterion(tag("KVP") > 100))
    assert second != first
    assert (first.level, first.keys, first.criteria, first.steps) == before
    assert len(second.criteria) == len(second.steps) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.keys = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "prepared", "condition", "decided"),
    [
        ({}, False, tag("Modality") == "CT", "server, checked here"),
        ({}, True, tag("Modality") == "CT", "here, from the index"),
        ({"searchable": False}, False, tag("Modality") == "CT", "here, from the index"),
        ({}, False, tag("SeriesNumber") == 1, "here, from the index"),
        ({}, False, tag("KVP") == 100, "here, in 8 files"),
        ({}, False, (tag("PatientID") == "P2") & (tag("KVP") == 100), "server, checked here; here, in 2 files"),
        ({}, False, (tag("KVP") == 100) & (tag("PatientID") == "P2"), "server, checked here; here, in 2 files"),
    ],
)
def test_where_a_criterion_is_decided(
    options: dict[str, Any], prepared: bool, condition: Condition, decided: str
) -> None:
    source, index = make(**options)
    if prepared:
        index.everything("series")
    before = source.requests
    (step,) = narrow(index, condition).steps
    assert step.decided == decided
    assert step.criterion == str(condition)
    assert step.requests == source.requests - before
    assert (step.requests == 0) == prepared


def test_counting_for_a_step_sends_no_request() -> None:
    source, index = make()
    selection = narrow(index, *given_for(PatientName="doe*"))
    before = source.requests
    assert resolving.known_counts(index, selection) == {"patient": 1, "study": 2, "series": 3}
    assert source.requests == before
    assert resolving.count(index, selection, "instance") == 6
    assert resolving.known_counts(index, selection) == {"patient": 1, "study": 2, "series": 3, "instance": 6}


@pytest.mark.parametrize(
    "criteria", [{}, {"PatientName": "doe*"}, {"Modality": "CT"}, {"KVP": 120}, {"PatientID": "nobody"}], ids=str
)
@pytest.mark.parametrize("listed", [(), ("study",), ("series",), ("study", "series"), LEVELS[1:]], ids=str)
def test_what_is_known_is_what_would_be_read(criteria: dict[str, Any], listed: tuple[Level, ...]) -> None:
    source, index = make()
    for level in listed:
        index.everything(level)
    selection = narrow(index, *given_for(**criteria)) if criteria else Selection()
    before = source.requests
    keys, counts = resolving.known_keys(index, selection), resolving.known_counts(index, selection)
    assert resolving.known_counts(index, selection, keys) == counts
    assert source.requests == before
    if {"study", "series"} <= set(listed):
        assert list(keys) == ["series", "study", "patient"]
    _, fresh = make()
    for level in LEVELS:
        everything = resolving.keys_at(fresh, selection, level)
        assert resolving.count(fresh, selection, level) == len(everything) == counts.get(level, len(everything))
        assert sorted(keys.get(level, everything)) == sorted(everything)


@pytest.mark.parametrize("options", [{}, {"extra": True}])
def test_a_string_that_the_archive_holds_anywhere_is_a_literal(options: dict[str, Any]) -> None:
    _, index = make(**options)
    everywhere = narrow(index, *given_for(SeriesDescription="h*d"))
    assert endings(resolving.keys_at(index, everywhere, "series")) == ["2.1"]
    assert "'h*d' is a value in the archive, so it alone is meant" in everywhere.steps[0].decided
    # Only the second study holds h*d, and yet it is not a wildcard in the first.
    _, index = make(**options)
    narrowed = narrow(index, *given_for(StudyInstanceUID="1.2.1", SeriesDescription="h*d"))
    assert narrowed.keys == ()
    _, index = make(**options)
    assert endings(resolving.keys_at(index, narrow(index, *given_for(SeriesDescription="h?d")), "series")) == ["2.1"]
    _, index = make(**options)
    assert endings(resolving.keys_at(index, narrow(index, *given_for(SeriesDescription="head")), "series")) == ["1.1"]
    _, index = make(**options)
    assert endings(resolving.keys_at(index, narrow(index, *given_for(SeriesDescription="Head")), "series")) == [
        "1.1",
        "1.2",
    ]


def test_a_string_that_matches_nothing_is_not_searched_elsewhere() -> None:
    source, index = make()
    narrow(index, *given_for(StudyInstanceUID="1.2.1", SeriesDescription="never"))
    assert [what for what in source.asked if what.startswith("search series")] == []


def test_a_chain_of_conditions_is_applied_one_after_the_other() -> None:
    both = (tag("KVP") == 100) & (tag("PatientName") == "Roe*")
    source, index = make()
    chained = narrow(index, both)
    one = source.requests
    source, index = make()
    in_turn = narrow(index, tag("PatientName") == "Roe*", tag("KVP") == 100)
    assert chained.keys == in_turn.keys
    assert one == source.requests
    assert not any(what.startswith("listing") for what in source.asked)


def test_labels_are_decided_at_their_own_level() -> None:
    source, index = make()
    source.server_fields["label", "x"] = {"patient": {}, "study": {"P1|1.2.1": ("x",)}, "series": {}, "instance": {}}
    selection = narrow(index, label("x"))
    assert selection.level == "study"
    assert endings(resolving.keys_at(index, selection, "study")) == ["1"]
    source.server_fields["label", "y"] = {"series": {"P1|1.2.1|1.2.1.2": ("y",)}, "patient": {"P2": ("y",)}}
    found = narrow(index, label("y"))
    assert endings(resolving.keys_at(index, found, "series")) == ["1.2", "3.1"]
    assert endings(resolving.keys_at(index, narrow(index, label("x"), label("y")), "series")) == ["1.2"]
    assert narrow(index, label("never")).keys == ()


def settled(condition: Condition, level: Level = "series", *, from_whole_archive: bool = True) -> str:
    """Return how a condition reads once its strings are decided on the first two series, or on all of them."""
    _, index = make()
    keys = index.everything(level)
    rows = resolving.Rows(level, keys if from_whole_archive else keys[:2], from_whole_archive, "here")
    return str(resolving.settle(index, condition, rows, Meanings(())))


@pytest.mark.parametrize("from_whole_archive", [True, False])
@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        # A value of the archive is a literal, also where only the rest of the archive holds it.
        ("h*d", "== exact 'h*d'"),
        ("head", "== exact 'head'"),
        # What matches otherwise is a wildcard, or is compared without case, for good.
        ("h*", "== like 'h*'"),
        ("Head", "== like 'Head'"),
        # What matches nothing stays undecided.
        ("x*", "== 'x*'"),
        (["h*d", "he*", "x?"], "in [exact 'h*d', like 'he*', 'x?']"),
        (exact("h*"), "== exact 'h*'"),
        (like("h*d"), "== like 'h*d'"),
        (None, "is missing"),
    ],
)
def test_where_it_is_decided_what_a_string_means(value: Any, meaning: str, from_whole_archive: bool) -> None:
    (condition,) = given_for(SeriesDescription=value)
    assert settled(condition, from_whole_archive=from_whole_archive) == f"SeriesDescription {meaning}"


def test_strings_of_a_tree_are_decided_one_by_one() -> None:
    field = tag("SeriesDescription")
    tree = ((field == "h*d") | ~(field == "a*")) & (tag("Modality") == "ct")
    assert settled(tree) == (
        "((SeriesDescription == exact 'h*d') | (not (SeriesDescription == like 'a*'))) & (Modality == like 'ct')"
    )


def test_an_earlier_decision_holds_again() -> None:
    source, index = make()
    first = narrow(index, *given_for(SeriesDescription="h*d"))
    source.datasets = [dataset for dataset in source.datasets if dataset.SeriesDescription != "h*d"]
    fresh = Index(source)
    again = resolving.narrow(fresh, Selection(), *first.criteria)
    assert again.keys == ()
    (condition,) = given_for(SeriesDescription="h*d")
    (known,) = with_known_meanings(first, [criterion(condition)])
    assert str(known.meaning) == "SeriesDescription == exact 'h*d'"
    assert endings(list(narrow(fresh, condition).keys)) == ["1.1", "1.2"]


@pytest.mark.parametrize("value", ["unknown", ["20200131", "unknown"]])
def test_an_unreadable_string_is_exact_once_the_archive_is_known_to_hold_it(value: Any) -> None:
    dataset = instance(1)
    put_raw(dataset, "StudyDate", "unknown")
    source = MemorySource([dataset])
    index, field = Index(source), parse_tag("StudyDate")
    assert resolving.exact_where_unreadable(index, field, value) is value
    assert source.requests == 0
    index.everything("study")
    marked = resolving.exact_where_unreadable(index, field, value)
    assert marked == (exact("unknown") if isinstance(value, str) else ["20200131", exact("unknown")])
    assert resolving.exact_where_unreadable(index, field, "never") == "never"


@pytest.mark.parametrize("options", [{}, {"extra": True}, {"searchable": False}])
@pytest.mark.parametrize(
    ("conditions", "series"),
    [
        ([has_series(Modality="PT")], ["2.1"]),
        ([has_series(Modality="PT", of="patient")], ["1.1", "1.2", "2.1"]),
        ([has_series(Modality="ct"), has_series(SeriesDescription="HEAD")], ["1.1", "1.2"]),
        ([has_series(KVP=120)], ["1.1", "1.2"]),
        ([has_series(KVP=120, SeriesDescription="head")], []),
        # The question is about the archive, whatever is selected.
        ([tag("KVP") == 100, has_series(KVP=120)], ["1.1"]),
        ([tag("Modality") == "PT", has_series(Modality="CT", of="patient")], ["2.1"]),
        ([tag("Modality") == "PT", has_series(Modality="CT")], []),
        ([~has_series(Modality="CT")], ["2.1"]),
        ([has_series(tag("Modality") != "CT")], ["2.1"]),
        ([has_series(Modality="PT") | (tag("PatientName") == "roe*")], ["2.1", "3.1"]),
        ([(tag("SeriesDescription") == "head") & has_series(KVP=120)], ["1.1"]),
        # A literal inside a question is one too.
        ([has_series(SeriesDescription="h*d")], ["2.1"]),
        ([tag("StudyInstanceUID") == "1.2.1", has_series(SeriesDescription=like("h*d"))], ["1.1", "1.2"]),
    ],
)
def test_questions_about_the_series_of_a_study(
    conditions: list[Condition], series: list[str], options: dict[str, Any]
) -> None:
    _, index = make(**options)
    assert endings(resolving.keys_at(index, narrow(index, *conditions), "series")) == series


def test_a_question_about_series_is_searched_for() -> None:
    source, index = make()
    (step,) = narrow(index, has_series(Modality="PT")).steps
    assert step.decided == "server, checked here"
    assert not any(what.startswith("listing") for what in source.asked)
    source, index = make()
    narrow(index, tag("PatientID") == "P1", has_series(Modality="PT"))
    assert not any(what.startswith("search series") for what in source.asked)


def test_of_many_studies_the_archive_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "_FEW_STUDIES", 1)
    source, index = make()
    selection = narrow(index, tag("PatientID") == "P*", has_series(Modality="PT"))
    assert endings(resolving.keys_at(index, selection, "study")) == ["2"]
    assert any(what.startswith("search series") for what in source.asked)


def series_read(monkeypatch: pytest.MonkeyPatch, *conditions: Condition) -> set[str]:
    """Return the series whose files are read for conditions of one call."""
    source, index = make()
    read: set[str] = set()
    columns = source.columns

    def noted(tags: Any, series: Any, keys: Any = None) -> Any:
        read.update(row.key for row in series)
        return columns(tags, series, keys)

    monkeypatch.setattr(source, "columns", noted)
    resolving.narrow(index, Selection(), *map(criterion, conditions))
    return set(endings(sorted(read)))


def test_a_question_that_reads_files_is_put_last(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = has_series(KVP=120)
    assert series_read(monkeypatch, asked, tag("Modality") == "PT") == {"2.1"}
    assert series_read(monkeypatch, asked & (tag("SeriesDescription") == "abdomen")) == {"3.1"}


def test_of_many_studies_no_other_files_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "_FEW_STUDIES", 1)
    asked = has_series(Modality="CT", KVP=120)
    assert series_read(monkeypatch, tag("PatientName") == "doe*", asked) == {"1.1", "1.2"}


def test_explain_tells_that_a_question_read_files() -> None:
    _, index = make()
    (step,) = narrow(index, has_series(KVP=120)).steps
    assert step.decided == "here, in the files of these studies"


@pytest.mark.parametrize("options", [{}, {"extra": True}])
def test_a_string_in_a_question_that_the_archive_holds_elsewhere_is_a_literal(options: dict[str, Any]) -> None:
    _, index = make(**options)
    assert narrow(index, tag("StudyInstanceUID") == "1.2.1", has_series(SeriesDescription="h*d")).keys == ()


def test_what_a_string_in_a_question_means_is_kept() -> None:
    source, index = make()
    first = narrow(index, has_series(SeriesDescription="h*d"))
    assert str(first.criteria[0].meaning) == "has_series(SeriesDescription == exact 'h*d')"
    assert "'h*d' is a value in the archive, so it alone is meant" in first.steps[0].decided
    source.datasets = [dataset for dataset in source.datasets if dataset.SeriesDescription != "h*d"]
    fresh = Index(source)
    assert resolving.narrow(fresh, Selection(), *first.criteria).keys == ()
    (known,) = with_known_meanings(first, [criterion(has_series(SeriesDescription="h*d"))])
    assert known.meaning == first.criteria[0].meaning
