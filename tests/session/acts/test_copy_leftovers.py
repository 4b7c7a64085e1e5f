"""Which copies a call has left that was cut short."""

from __future__ import annotations

from simple_orthanc.session.acts.copy_leftovers import CopiedSeries, incomplete, is_recent, left_behind
from simple_orthanc.session.acts.copy_notes import Note

NOTE = Note("mark", "ModifiedFrom", {"a": 2, "b": 3}, [], "20200101T120000")
WHOLE = CopiedSeries("1", "a", 2, "20200101T120005")
PART = CopiedSeries("2", "b", 1, "20200101T120007")
LATER = CopiedSeries("3", "a", 2, "20200101T120008")
NEXT_DAY = CopiedSeries("4", "b", 3, "20200102T080000")


def test_what_was_complete_before_the_incomplete_is_left_too() -> None:
    assert incomplete(NOTE, [WHOLE, PART, LATER, NEXT_DAY]) == [PART]
    assert left_behind(NOTE, [WHOLE, PART, LATER, NEXT_DAY]) == [WHOLE, PART]
    doubled = CopiedSeries("5", "a", 4, "20200101T120009")
    assert incomplete(NOTE, [doubled]) == [doubled]


def test_the_end_of_the_job_is_believed() -> None:
    assert left_behind(NOTE, [WHOLE, LATER, NEXT_DAY], ended="20200101T120008.123456") == [WHOLE, LATER]
    assert left_behind(NOTE, [WHOLE, LATER], ended="20200101T120004.5") == []


def test_without_any_trace_of_the_end_an_hour_is_allowed() -> None:
    assert left_behind(NOTE, [WHOLE, LATER, NEXT_DAY]) == [WHOLE, LATER]
    assert left_behind(NOTE, []) == []


def test_a_job_without_an_end_is_not_recent() -> None:
    assert not is_recent("", "20200101T120000")
    assert is_recent("20200101T120000", "20200101T120059")
    assert not is_recent("20191231T235959.9", "20200101T120000")
