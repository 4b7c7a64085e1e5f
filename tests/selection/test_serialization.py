"""Conditions written as JSON mean the same when they are read again, and nothing else is read as one."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.selection.conditions import Condition
from simple_orthanc.selection.criteria import age, exact, has_series, label, like, metadata, tag
from simple_orthanc.selection.serialization import NotReadableError, NotWritableError, condition_from_json, to_json
from tests.session.sessions import CONDITIONS

SOME: list[Condition] = [
    tag("PatientName") == "Doe*",
    tag("PatientName") == exact("Doe*"),
    tag("StudyDate") == "20200101-20200131",
    tag("StudyDate").between(date(2020, 1, 1), None),
    tag("AcquisitionDateTime") > datetime(2020, 1, 1, 12, 30, 1, 5, timezone(timedelta(hours=2))),
    tag("StudyTime") >= timedelta(hours=10, microseconds=3),
    tag("PatientAge") > "030Y",
    tag("KVP").isin([100, 120.5, None]),
    tag("ImageType") == ("ORIGINAL", like("P*")),
    tag("SeriesDescription").matches(re.compile("^t1", re.IGNORECASE)),
    tag('(0009,"A MAKER",01)') != "x",
    tag("RequestAttributesSequence[0].ScheduledProcedureStepID").is_missing(),
    (age() >= 60) | ~(tag("Modality") == "CT"),
    has_series(Modality="SEG"),
    has_series(tag("Modality") == "PT", of="patient"),
    label("reviewed"),
    metadata("score") >= 2,
]


@pytest.mark.parametrize("condition", SOME, ids=str)
def test_a_condition_is_the_same_after_it_was_written(condition: Condition) -> None:
    again = condition_from_json(json.loads(json.dumps(to_json(condition))))
    assert again == condition
    assert (repr(again), str(again)) == (repr(condition), str(condition))


@given(CONDITIONS)
def test_any_condition_is_the_same_after_it_was_written_or_holds_a_function(condition: Condition) -> None:
    try:
        written = json.dumps(to_json(condition))
    except NotWritableError:
        assert "where" in str(condition)
    else:
        assert condition_from_json(json.loads(written)) == condition


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Comparison", "And", "Or", "Not", "field", "predicate", "left", "right", "inner", "tag"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_what_is_no_condition_is_refused(written: Any) -> None:
    with pytest.raises(NotReadableError):
        condition_from_json(written)


def comparison(predicate: Any, field: Any = None) -> Any:
    return {"Comparison": {"field": field or {"tag": "KVP"}, "predicate": predicate}}


@pytest.mark.parametrize(
    "written",
    [
        comparison({"Where": {"function": "os.system"}}),
        comparison({"StringIs": {"string": 1, "mode": "auto", "cased": False}}),
        comparison({"StringIs": {"string": "x", "mode": "auto"}}),
        comparison({"StringIs": {"string": "x", "mode": "no", "cased": False}}),
        comparison({"StringIs": {"string": "x", "mode": ["auto"], "cased": False}}),
        comparison({"Relation": {"operator": ">", "operand": "x"}}),
        comparison({"Relation": {"operator": ">", "operand": True}}),
        comparison({"Relation": {"operator": ">", "operand": {"date": "x"}}}),
        comparison({"Relation": {"operator": ">", "operand": {"microseconds": 10**40}}}),
        comparison({"Matches": {"pattern": {"pattern": "(", "flags": 0}}}),
        comparison({"Matches": {"pattern": {"pattern": "(" * 5000, "flags": 0}}}),
        comparison({"Matches": {"pattern": {"pattern": "a", "flags": 10**40}}}),
        comparison({"Matches": {"pattern": "a"}}),
        comparison({"AnyOf": {"predicates": {}}}),
        comparison({"IsSet": {}}, {"tag": "NoSuchTag"}),
        comparison({"IsSet": {}}, {"tag": 1}),
        comparison({"IsSet": {}}, {"IsSet": {}}),
        {"IsSet": {}},
        {"Not": {"inner": {"Tag": {"steps": []}}}},
    ],
    ids=str,
)
def test_a_damaged_condition_is_refused(written: Any) -> None:
    with pytest.raises(NotReadableError):
        condition_from_json(written)
