"""A session at a glance: values that are there, ranges, and what is not known, in words."""

from __future__ import annotations

import threading

import pytest

from simple_orthanc import Session
from simple_orthanc.session.display import overview as module
from simple_orthanc.session.display.overview import Overview, TagValues
from tests.memory_source import instance
from tests.session.sessions import quiet, session_of, source_of, three_series


def seen(session: Session) -> Overview:
    before = source_of(session).requests
    overview = session._overview()
    assert source_of(session).requests == before
    return overview


def values(session: Session) -> dict[str, TagValues]:
    return {each.tag: each for each in seen(session).values}


def test_nothing_is_known_of_an_archive_that_was_not_asked() -> None:
    shown = seen(three_series())
    assert (shown.counts, shown.values, shown.branches) == ({}, (), ())
    assert [note.partition(":")[0] for note in shown.notes] == ["Nothing is listed yet"]


def test_a_session_that_was_only_counted_does_not_say_that_nothing_is_listed() -> None:
    session = three_series()
    assert session.patient_count == 2
    shown = seen(session)
    assert shown.counts
    assert [note.partition(":")[0] for note in shown.notes] == ["Only the counts are known yet"]


def test_values_are_counted_by_series_and_studies() -> None:
    datasets = [
        instance(1, series=str(number), study="1", Modality="CT" if number < 3 else "PT", StudyDescription="head")
        for number in range(5)
    ]
    datasets.append(instance(1, study="2", StudyDate="20240131"))
    datasets.append(instance(1, study="3", StudyDate="20240229"))
    session = session_of(*datasets)
    session.table()
    shown = values(session)
    assert shown["Modality"] == TagValues("Modality", (("CT", 3), ("PT", 2)), 0, 2)
    assert shown["StudyDescription"] == TagValues("StudyDescription", (("head", 1),), 0, 2)
    assert shown["StudyDate"] == TagValues("StudyDate", (("2024-01-31 to 2024-02-29", None),), 0, 1)
    # A tag that is missing everywhere cannot be filtered on.
    assert "SeriesDescription" not in shown


def test_the_frequent_values_are_shown_and_the_others_counted() -> None:
    session = session_of(
        *(
            instance(1, series=f"{name}{number}", SeriesDescription=f"s{name}")
            for name in range(9)
            for number in range(name + 1)
        )
    )
    session.table()
    shown = values(session)["SeriesDescription"]
    assert shown.values == tuple((f"s{name}", name + 1) for name in range(8, 2, -1))
    assert shown.remarks == ["3 other values"]
    assert TagValues("x", (), 1, 2).remarks == ["1 other value", "missing in 2"]


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["20240131", "20240131"], (("2024-01-31", None),)),
        (["20240131", "nonsense"], (("2024-01-31", None),)),
        (["nonsense"], ()),
    ],
)
def test_a_range_is_that_of_the_dates_that_can_be_read(dates: list[str], expected: tuple[object, ...]) -> None:
    session = session_of(*(instance(1, study=str(number), StudyDate=day) for number, day in enumerate(dates)))
    quiet(session.table)
    assert values(session)["StudyDate"].values == expected


def test_what_is_no_date_is_counted_beside_the_range() -> None:
    days = ["20200101", "2020.01.01", "never", "00000000"]
    session = session_of(*(instance(1, study=str(number), StudyDate=day) for number, day in enumerate(days)))
    quiet(session.table)
    assert values(session)["StudyDate"] == TagValues("StudyDate", (("2020-01-01", None),), 2, 0)


def test_only_what_is_selected_is_counted() -> None:
    session = three_series()
    session.table()
    session.select(Modality="CT")
    assert values(session)["Modality"].values == (("CT", 2),)
    assert seen(session).criteria == ["Modality == 'CT'"]


def test_what_only_the_files_hold_is_named_with_the_call_that_reads_it() -> None:
    session = three_series()
    session.table()
    (note,) = seen(session).notes
    assert note == 'Not known yet: BodyPartExamined. describe("BodyPartExamined") reads the values.'


def test_a_selection_of_studies_shows_what_is_known_of_studies() -> None:
    session = three_series().select(PatientName="Doe*")
    shown = seen(session)
    assert "The series are not listed yet: table() lists them." in shown.notes
    assert [branch.title for branch in shown.branches] == ["P1 Doe^Jane"]


def test_an_empty_selection_names_the_way_back() -> None:
    session = three_series()
    session.table()
    with pytest.warns(UserWarning, match="Nothing is selected"):
        session.select(Modality="MR")
    shown = seen(session)
    assert shown.branches == ()
    assert "explain()" in shown.notes[-1]
    assert "undo()" in shown.notes[-1]


def test_an_empty_selection_shows_what_would_match() -> None:
    session = three_series()
    session.table()
    with pytest.warns(UserWarning, match="Nothing is selected"):
        session.select(SeriesDescription="hea")
    assert session._selection.steps[-1].hint == seen(session).notes[0] != ""


def test_of_a_large_archive_the_first_series_are_counted_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_COUNTED", 3)
    session = session_of(*(instance(1, series=str(number), Modality="CT") for number in range(5)))
    session.table()
    assert values(session)["Modality"].values == (("CT", 3),)
    assert "Values are those of the first 3 of 5 series." in seen(session).notes


def test_strings_that_may_be_garbled_are_not_shown_before_they_are_read_again() -> None:
    session = session_of(instance(1, Modality="CT", SeriesDescription="x"))
    source = source_of(session)
    source.doubtful = {row.key for row in source.listing("study")}
    for level in ("study", "series"):
        session._index.everything(level)
    assert "SeriesDescription" not in values(session)
    assert any("SeriesDescription" in note for note in seen(session).notes)


def test_nothing_waits_for_a_thread_that_reads_the_archive() -> None:
    session = three_series()
    session.table()
    shown: list[str] = []

    children = session.studies

    def show() -> None:
        shown.extend([session._repr_html_(), repr(session), children._repr_html_()])

    with session._index.offline():
        thread = threading.Thread(target=show)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
    html, line, table = shown
    assert "Another thread is reading the archive" in html
    assert line == "<Session memory: the whole archive>"
    assert "2 sessions" in table
    assert "scout" in session._repr_html_()
