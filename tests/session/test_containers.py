"""The selection as a dictionary, and child sessions as a sequence."""

from __future__ import annotations

import pickle
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.errors import (
    SelectionError,
)
from simple_orthanc.selection.conditions import Condition
from simple_orthanc.selection.criteria import exact, tag
from simple_orthanc.session import Session
from tests.memory_source import MemorySource, archives, instance
from tests.session.sessions import CONDITIONS, KEYWORDS, quiet, session_of, source_of, three_series, two_spellings, uids

pytestmark = pytest.mark.usefixtures("empty_selections")


@given(archives(1), KEYWORDS, CONDITIONS, CONDITIONS)
def test_a_selection_can_be_put_back(datasets: list[Dataset], tags: dict[str, Any], a: Condition, b: Condition) -> None:
    session = session_of(*datasets).select(a, **tags).exclude(b)
    put = session_of(*datasets)
    put.selection = session.selection
    assert set(uids(put)) == set(uids(session))
    assert put.selection.keys() == session.selection.keys()
    assert set(uids(Session(MemorySource(datasets), selection=session.selection))) == set(uids(session))


def test_the_selection_is_what_was_given() -> None:
    spanning = (tag("KVP") > 100) | (tag("Modality") == "PT")
    given_tags = {"Modality": ["CT", "PT"], "StudyDate": None, "0018,0050": (1, 3)}
    session = three_series().select(spanning, **given_tags)
    expected = {"Modality": ["CT", "PT"], "StudyDate": None, "SliceThickness": (1, 3), "conditions": [spanning]}
    assert session.selection == expected
    session.select(Modality="CT", SeriesDescription=exact("head"))
    assert repr(session.selection["Modality"]) == repr((tag("Modality") == ["CT", "PT"]) & (tag("Modality") == "CT"))
    session.selection = None
    assert session.selection == {}
    assert session.instance_count == 4
    session.selection = {}
    assert session.undo(2).selection == {
        **expected,
        "Modality": session.selection["Modality"],
        "SeriesDescription": exact("head"),
    }


def test_the_selection_is_a_copy_that_cannot_be_changed() -> None:
    modalities = ["CT"]
    session = three_series().select(Modality=modalities, KVP=(100, 120))
    modalities.append("PT")
    found = session.selection
    assert found == {"Modality": ["CT"], "KVP": (100, 120)}
    assert repr(found) == "{'Modality': ['CT'], 'KVP': (100, 120)}"
    found["Modality"].append("PT")
    assert session.selection["Modality"] == ["CT"]
    with pytest.raises(SelectionError, match=r"write select\(\*\*\{'Modality': 'XX'\}\)"):
        found["Modality"] = "XX"
    for change in (
        lambda: found.update(Modality="XX"),
        lambda: found.pop("Modality"),
        lambda: found.clear(),
        lambda: found.setdefault("Rows", 5),
        lambda: found.__delitem__("Modality"),
        lambda: found.__ior__({"Rows": 5}),
    ):
        with pytest.raises(SelectionError, match=r"reset\(tag\)"):
            change()
    assert type(found.copy()) is type(found | {}) is dict
    again = pickle.loads(pickle.dumps(session.selection))
    assert again == session.selection
    session.reset().selection = again
    assert session.selection == again


@pytest.mark.parametrize(
    "values",
    [{"CT"}, frozenset({"CT"}), {"CT": 1}.keys(), pd.Series(["CT"]), pd.Index(["CT"]), MultiValue(str, ["CT"])],
)
def test_any_collection_can_be_put_back(values: Any) -> None:
    session = three_series().select(Modality=values)
    again = pickle.loads(pickle.dumps(session))
    again.selection = session.selection
    assert again.instance_count == session.instance_count == 3


def test_a_selection_that_was_put_away_keeps_its_meaning_on_the_same_archive() -> None:
    session = two_spellings("afl2d1").select(SequenceName="*fl2d1")
    quiet(lambda: session.select(StudyDescription="x"))
    kept = session.selection
    session.reset()
    quiet(lambda: setattr(session, "selection", kept))
    assert session.instance_count == 0
    # Elsewhere the text may stand in no file, and means what it means there.
    other = session_of(instance(1, StudyDescription="x", SequenceName="afl2d1"))
    other.selection = kept
    assert other.instance_count == 1


@given(archives(1), KEYWORDS, st.sampled_from(LEVELS))
def test_children_divide_the_selection_and_leave_it_alone(
    datasets: list[Dataset], tags: dict[str, Any], level: str
) -> None:
    session = session_of(*datasets).select(**tags)
    plain = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}[level]
    children = getattr(session, plain)
    before = session.selection, uids(session)
    parts = [uids(child) for child in children]
    assert sorted(uid for part in parts for uid in part) == sorted(before[1])
    assert all(getattr(child, f"{level}_count") == 1 for child in children)
    assert len(children) == getattr(session, f"{level}_count")
    for child in children:
        child.sort_by("KVP").select(InstanceNumber=0)
    assert (session.selection, uids(session)) == before


def test_children_are_a_sequence() -> None:
    series = three_series().select(Modality="CT").series
    assert [child.SeriesDescriptions for child in series] == [["scout"], ["head"]]
    assert series[-1].instance_count == 2
    assert [child.SeriesDescriptions for child in series[1:]] == [["head"]]
    assert repr(series) == "<2 sessions>"
    chain = {"PatientID": series[0].PatientID[0], "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.1"}
    assert series[0].selection == {"Modality": "CT", **chain}
    with pytest.raises(IndexError):
        series[2]


def test_children_are_those_of_the_moment_they_were_asked_for() -> None:
    session = three_series().select(Modality="CT")
    children = session.series
    session.reset().select(Modality="PT").sort_by("KVP")
    source_of(session).datasets.append(instance(3, series="2", Modality="CT"))
    session.refresh()
    child = children[1]
    chain = {"PatientID": "P1", "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.2"}
    assert child.selection == {"Modality": "CT", **chain}
    assert child.instance_count == 2
    assert child.refresh().instance_count == 3
    walked = []
    for each in session.reset().series:
        session.select(Modality="PT")
        walked.append((set(each.selection) == set(chain), each.copy().refresh().series_count))
    assert walked == [(True, 1)] * 3


def test_a_child_explains_all_its_criteria() -> None:
    parent = three_series().select(Modality="CT")
    child = parent.series[1]
    frame = child.explain()
    assert list(frame["criterion"]) == [
        "Modality == 'CT'",
        "PatientID == exact 'P1'",
        "StudyInstanceUID == exact '1.2.1'",
        "SeriesInstanceUID == exact '1.2.1.2'",
    ]
    assert list(frame["series"]) == [2, 1, 1, 1]
    assert list(frame["requests"])[1:] == [0, 0, 0]
    assert len(child.refresh().explain()) == 4
    assert len(parent.explain()) == 1
