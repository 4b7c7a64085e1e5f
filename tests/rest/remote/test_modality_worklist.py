"""The worklist of a modality as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from simple_orthanc.errors import SelectionError, TransportError, UnknownTagError, UnsupportedError
from simple_orthanc.rest.remote.modality_worklist import find_worklist


def entry(patient: str, name: str, *steps: Mapping[str, str]) -> dict[str, Any]:
    return {"PatientID": patient, "PatientName": name, "ScheduledProcedureStepSequence": list(steps)}


def step(modality: str, date: str, identifier: str) -> dict[str, str]:
    return {
        "Modality": modality,
        "ScheduledProcedureStepStartDate": date,
        "ScheduledProcedureStepStartTime": "100000",
        "ScheduledProcedureStepID": identifier,
    }


ENTRIES = [
    entry("P2", "Roe^Rick", step("CT", "20260202", "s3")),
    entry("P1", "Doe^Jane", step("MR", "20260201", "s1"), step("CT", "20260201", "s2")),
]


class Ask:
    """Answers every query with all entries, as a modality does that matches nothing."""

    def __init__(self, answers: Any = ENTRIES) -> None:
        self._answers = answers
        self.asked: list[Mapping[str, Any]] = []

    def __call__(self, query: Mapping[str, Any]) -> Any:
        self.asked.append(query)
        return self._answers


def find(ask: Ask, *columns: Any, as_written: bool = False, **tags: Any) -> pd.DataFrame:
    return find_worklist(ask, columns, tags, as_written, "modality 'RIS'")


def steps(ask: Ask, **tags: Any) -> list[str]:
    return find(ask, "ScheduledProcedureStepID", **tags)["ScheduledProcedureStepID"].tolist()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, ["s1", "s2", "s3"]),
        ({"Modality": "ct"}, ["s2", "s3"]),
        ({"PatientName": "doe*"}, ["s1", "s2"]),
        ({"PatientID": "P2"}, ["s3"]),
        ({"ScheduledProcedureStepStartDate": ("20260202", None)}, ["s3"]),
        ({"Modality": ["MR", "PT"], "PatientID": ["P1", "P2"]}, ["s1"]),
    ],
)
def test_there_is_one_row_for_each_step_that_satisfies_all(tags: dict[str, Any], expected: list[str]) -> None:
    assert steps(Ask(), **tags) == expected


def test_keys_of_the_step_are_in_its_sequence() -> None:
    ask = Ask()
    find(ask, PatientID="P1", ScheduledProcedureStepStartDate="20260201", Modality="CT", PatientName="Doe*")
    (query,) = ask.asked
    assert query["SpecificCharacterSet"] == "ISO_IR 192"
    assert query["PatientID"] == "P1"
    assert query["PatientName"] == ""
    (sent,) = query["ScheduledProcedureStepSequence"]
    assert sent["ScheduledProcedureStepStartDate"] == "20260201"
    assert sent["Modality"] == ""
    assert "PatientID" not in sent
    find(ask, Modality="CT", as_written=True)
    assert ask.asked[-1]["ScheduledProcedureStepSequence"][0]["Modality"] == "CT"


def test_columns_are_typed() -> None:
    frame = find(Ask())
    assert frame["ScheduledProcedureStepStartDate"].tolist() == [
        pd.Timestamp(day) for day in ("2026-02-01", "2026-02-01", "2026-02-02")
    ]
    assert frame["AccessionNumber"].isna().all()
    with pytest.warns(UserWarning, match="does not return AccessionNumber in its worklist"):
        find(Ask(), "AccessionNumber")


def test_an_entry_without_a_step_is_a_row() -> None:
    assert find(Ask([{"PatientID": "P1"}]), "PatientID")["PatientID"].tolist() == ["P1"]
    assert len(find(Ask([]))) == 0


def test_what_cannot_be_decided_or_asked_raises() -> None:
    with pytest.raises(UnsupportedError, match="does not return AccessionNumber in its worklist"):
        find(Ask(), AccessionNumber="A1")
    with pytest.raises(UnknownTagError):
        find(Ask(), PatientNmae="x")
    with pytest.raises(SelectionError, match="cannot be asked for by C-FIND"):
        find(Ask(), "ScheduledProcedureStepSequence")
    with pytest.raises(TransportError, match="is not a list"):
        find(Ask({"a": 1}))
