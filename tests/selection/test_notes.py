"""Notes on criteria that left something: ages that they could not decide, or that contradict birth dates."""

from __future__ import annotations

import re

import pytest

from simple_orthanc.selection.conditions import Condition
from simple_orthanc.selection.criteria import age, tag
from simple_orthanc.session import Session
from tests.memory_source import MemorySource, instance

ARCHIVE = [
    instance(1, series="1", study="1", patient="P1", PatientAge="060Y"),
    instance(1, series="1", study="2", patient="P2", PatientBirthDate="19500101", StudyDate="20200101"),
]


@pytest.mark.parametrize(
    ("condition", "meant", "studies"),
    [
        (tag("PatientAge") > 59, "age() > 59", 2),
        (tag("PatientAge") >= "060Y", "age() >= 60", 2),
        (tag("PatientAge") == 60, "age() == 60", 1),
        (tag("PatientAge").between(None, 60.5), "age().between(None, 60.5)", 1),
    ],
)
def test_the_note_on_ages_keeps_the_relation(condition: Condition, meant: str, studies: int) -> None:
    session = Session(MemorySource(ARCHIVE))
    with pytest.warns(UserWarning, match=re.escape(f"StudyDate, as in select({meant}).")):
        session.select(condition)
    assert session.reset().select(eval(meant, {"age": age})).study_count == studies


def test_the_note_on_ages_that_are_written_as_strings_proposes_no_relation() -> None:
    session = Session(MemorySource(ARCHIVE))
    with pytest.warns(UserWarning, match=r"falls back on PatientBirthDate and StudyDate\.$"):
        session.select(PatientAge="060Y")


@pytest.mark.parametrize(
    ("condition", "way_out", "studies"),
    [
        (age() > 60, "age().is_missing() selects them.", 1),
        (~(age() > 60), "So they stay selected; exclude(age().is_missing()) leaves them out.", 2),
        (age() != 70, "So they stay selected; exclude(age().is_missing()) leaves them out.", 2),
        (~((age() > 60) & (tag("PatientID") == "P*")), "So they stay selected;", 2),
        (~(~(age() > 60)), "age().is_missing() selects them.", 1),
    ],
)
def test_the_note_on_unknown_ages_says_what_becomes_of_them(condition: Condition, way_out: str, studies: int) -> None:
    session = Session(MemorySource([*ARCHIVE, instance(1, series="1", study="3", patient="P3")]))
    with pytest.warns(UserWarning, match=re.escape(f"no comparison holds for these. {way_out}")):
        session.select(condition)
    assert session.study_count == studies
    assert ("P3" in session.PatientIDs) == way_out.startswith("So")
