"""Filters: which predicates are sent to a server, so that no match is missed whatever it makes of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import from_text
from simple_orthanc.selection.predicates import (
    AnyOf,
    Between,
    IsMissing,
    Matches,
    Operator,
    Predicate,
    RangeString,
    Relation,
    StringIs,
    StringMode,
    Where,
    WholeValue,
    is_identifier,
)
from simple_orthanc.sources.filters import Filter, filters_for, loose_filters_for, misses_nothing

Compares = Callable[[str, str], bool]


def values_of(name: str, predicate: Predicate) -> list[str] | None:
    filters = filters_for(parse_tag(name), predicate)
    return None if filters is None else [item.value for item in filters]


def identifier(string: str, mode: StringMode = "auto") -> StringIs:
    return StringIs(string, mode, cased=True)


@pytest.mark.parametrize("name", ["PatientID", "AccessionNumber", "StudyID"])
@pytest.mark.parametrize("string", ["P1", "007", "LIDC-IDRI_0001", "a.b", "1e5"])
@pytest.mark.parametrize("mode", ["auto", "exact", "like"])
def test_plain_identifiers_are_sent(name: str, string: str, mode: StringMode) -> None:
    assert values_of(name, identifier(string, mode)) == [string]


@pytest.mark.parametrize("name", ["PatientID", "AccessionNumber", "StudyID"])
@pytest.mark.parametrize("string", ["P*", "P?", "a b", "Müller", "a,b", "a\\b", "a%b", "", "a/b", "a+b", "(1)"])
def test_other_identifiers_are_listed(name: str, string: str) -> None:
    assert values_of(name, identifier(string)) is None
    assert values_of(name, StringIs(string)) is None


@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_uids_are_sent_however_many(name: str) -> None:
    uids = [f"1.2.{number}" for number in range(100)]
    assert values_of(name, AnyOf(tuple(map(identifier, uids)))) == uids
    assert values_of(name, identifier("1.2*")) is None
    assert values_of(name, AnyOf((identifier("1.2"), IsMissing()))) is None


def test_few_other_values_are_sent_and_many_listed() -> None:
    few, many = (AnyOf(tuple(identifier(f"P{number}") for number in range(count))) for count in (20, 21))
    assert len(values_of("PatientID", few) or ()) == 20
    assert values_of("PatientID", many) is None
    assert values_of("PatientID", AnyOf(())) == []


@pytest.mark.parametrize(
    "predicate",
    [
        StringIs("Doe^Jane"),
        StringIs("Doe^Jane", "like"),
        StringIs("Müller", "exact"),
        StringIs("山田^太郎", "exact"),
        StringIs("Yamada^Tarou=山田^太郎", "exact"),
        Matches(re.compile("Doe")),
        Where(bool),
        IsMissing(),
        WholeValue((StringIs("Doe^Jane"),)),
    ],
)
def test_names_that_servers_compare_otherwise_are_listed(predicate: Predicate) -> None:
    assert values_of("PatientName", predicate) is None


def test_exact_names_are_sent_with_and_without_empty_groups() -> None:
    assert values_of("PatientName", StringIs("Doe^Jane", "exact")) == ["Doe^Jane", "Doe^Jane=*"]


@pytest.mark.parametrize("name", ["StudyDescription", "Modality", "SeriesDescription", "ReferringPhysicianName"])
def test_what_servers_need_not_match_is_listed(name: str) -> None:
    assert values_of(name, StringIs("CT", "exact")) is None


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        (Relation("==", date(2020, 1, 31)), ["20200131", "2020.01.31"]),
        (Relation(">", date(2020, 1, 31)), ["20200131-", "2020.01.31-"]),
        (Relation("<=", date(45, 1, 2)), ["-00450102", "-0045.01.02"]),
        (Between(date(2020, 1, 1), date(2020, 2, 1)), ["20200101-20200201", "2020.01.01-2020.02.01"]),
        (Between(None, date(2020, 2, 1)), ["-20200201", "-2020.02.01"]),
        (RangeString("20200101-", Between(date(2020, 1, 1), None)), ["20200101-", "2020.01.01-"]),
        (Between(None, None), None),
        (Relation("==", datetime(2020, 1, 1)), None),
        (Relation("==", 3), None),
        (StringIs("20200131", "exact"), None),
    ],
)
def test_days_are_sent_in_both_forms(predicate: Predicate, expected: list[str] | None) -> None:
    assert values_of("StudyDate", predicate) == expected
    assert values_of("PatientBirthDate", predicate) is None
    assert values_of("StudyTime", predicate) is None


def test_only_the_old_form_of_a_date_may_be_refused() -> None:
    new, old = filters_for(parse_tag("StudyDate"), Relation("==", date(2020, 1, 31))) or ()
    assert (new.is_optional, old.is_optional) == (False, True)


# What servers make of a filter. Each compares the whole element, as one string.
COMPARISONS: dict[str, Compares] = {
    "literally": lambda sent, held: sent == held,
    "in any case": lambda sent, held: sent.lower() == held.lower(),
    "with wildcards": lambda sent, held: (
        re.fullmatch(re.escape(sent).replace(r"\*", ".*").replace(r"\?", "."), held) is not None
    ),
}
CHARACTERS = st.sampled_from("aAbB01._-*? ^=,\\%ä")


def is_in_range(sent: str, held: str) -> bool:
    low, dash, high = sent.partition("-")
    return low <= held and (not high or held <= high) if dash else sent == held


@given(
    st.sampled_from(["PatientID", "AccessionNumber", "StudyID", "PatientName", "StudyInstanceUID"]),
    st.text(CHARACTERS, min_size=1, max_size=4),
    st.text(CHARACTERS, min_size=1, max_size=4),
    st.sampled_from(["auto", "exact", "like"]),
    st.sampled_from(sorted(COMPARISONS)),
    st.booleans(),
)
def test_no_server_misses_a_match(
    name: str, held: str, asked: str, mode: StringMode, compares: str, is_same: bool
) -> None:
    tag = parse_tag(name)
    predicate = StringIs(held if is_same else asked, mode, cased=is_identifier(tag))
    value = from_text(held, tag.vr)
    filters = filters_for(tag, predicate)
    # An identifier of several values breaks DICOM; spaces around a value carry no meaning to a server.
    if filters is None or value is None or len(value) > 1 or not predicate.holds(value, tag.vr):
        return
    assert any(COMPARISONS[compares](item.value, held.strip()) for item in filters)


@given(
    st.dates(min_value=date(1900, 1, 1)),
    st.dates(min_value=date(1900, 1, 1)),
    st.sampled_from(["%Y%m%d", "%Y.%m.%d"]),
    st.sampled_from(["==", "<", "<=", ">", ">="]),
)
def test_no_server_misses_a_day(held: date, asked: date, written: str, operator: Operator) -> None:
    value = held.strftime(written)
    for day in (held, asked):
        predicate = Relation(operator, day)
        if predicate.holds((value,), "DA"):
            filters = filters_for(parse_tag("StudyDate"), predicate) or ()
            assert any(is_in_range(item.value, value) for item in filters)


def test_loose_filters_are_those_of_strings() -> None:
    assert loose_filters_for(StringIs("Doe*")) == (Filter("Doe*"),)
    assert loose_filters_for(AnyOf((StringIs("a"), StringIs("b")))) == (Filter("a"), Filter("b"))
    for predicate in (IsMissing(), AnyOf(()), AnyOf((StringIs("a"), IsMissing())), StringIs("")):
        assert loose_filters_for(predicate) is None
    assert misses_nothing(StringIs("T2*", "exact"))
    assert misses_nothing(StringIs("doe", "exact"))
    assert not misses_nothing(StringIs("T2*"))
    assert not misses_nothing(StringIs("Schädel", "exact"))
