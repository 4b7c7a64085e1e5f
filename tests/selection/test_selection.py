"""The selection as plain data: when it is empty, what makes two equal, and that nothing changes it."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import replace

import pytest

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.selection.criteria import exact, tag
from simple_orthanc.selection.selection import Criterion, Selection, Step

ASKED = Criterion(tag("SeriesDescription") == "T2*", "SeriesDescription", "T2*")
STEP = Step("SeriesDescription == 'T2*'", "here, from the index", 0, {"series": 1})


def test_it_is_empty_only_once_something_was_looked_for() -> None:
    assert not Selection().is_empty
    assert Selection("study").is_empty
    assert not Selection("study", ("key",)).is_empty


def test_how_it_was_decided_does_not_make_it_another() -> None:
    selection = Selection("series", ("key",), (ASKED,), (STEP,))
    assert selection == replace(selection, steps=())
    assert selection != replace(selection, keys=())
    assert selection != replace(selection, order=(parse_tag("InstanceNumber"), True))


def test_a_criterion_means_its_condition_until_it_is_settled() -> None:
    assert ASKED.meaning == ASKED.condition
    literal = tag("SeriesDescription") == exact("T2*")
    settled = replace(ASKED, settled=literal)
    assert settled.meaning == literal
    assert settled.condition == ASKED.condition


def test_it_survives_pickle_and_cannot_be_changed() -> None:
    selection = Selection("series", ("key",), (ASKED,), (STEP,))
    again = pickle.loads(pickle.dumps(selection))
    assert again == selection
    assert again.steps == selection.steps
    with pytest.raises(dataclasses.FrozenInstanceError):
        selection.keys = ()  # type: ignore[misc]
