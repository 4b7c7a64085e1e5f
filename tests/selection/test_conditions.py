"""Trees of conditions: what they evaluate to, what they are made of, and how they read."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.conditions import (
    And,
    Comparison,
    Condition,
    Mask,
    Not,
    Or,
    ServerField,
    all_comparisons,
    conjuncts,
)
from simple_orthanc.selection.criteria import age, has_series, tag
from simple_orthanc.selection.predicates import (
    AnyOf,
    Between,
    IsMissing,
    Matches,
    Relation,
    StringIs,
    Where,
    WholeValue,
)

ROWS: list[Value] = [None, ("1",), ("2",), ("2", "3"), ("x",)]
COMPARISONS = st.sampled_from(
    [
        Comparison(parse_tag(keyword), predicate)
        for keyword in ("SliceThickness", "KVP")
        for predicate in (
            IsMissing(),
            Relation("==", 2),
            Relation(">", 1),
            Between(2, 3),
            AnyOf((Relation("==", 1), IsMissing())),
        )
    ]
)
TREES: st.SearchStrategy[Condition] = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(st.builds(And, inner, inner), st.builds(Or, inner, inner), st.builds(Not, inner)),
    max_leaves=8,
)


def test_an_error_of_a_users_function_names_the_tag_the_value_and_the_error() -> None:
    condition = Comparison(parse_tag("PatientAge"), Where(lambda years: years > 60))
    with pytest.raises(
        SelectionError, match=r"PatientAge where <lambda>: the function raised TypeError: .*'060Y'.*use age\(\)"
    ):
        condition.holds(("060Y",))
    nested = Comparison(parse_tag("KVP"), AnyOf((StringIs("x"), Where(lambda kvp: 1 / kvp))))
    with pytest.raises(
        SelectionError, match=r"KVP .* raised ZeroDivisionError: .* called with 0\.0, which is of type float"
    ):
        nested.holds(("0",))
    assert not nested.holds(None)


def test_comparisons_inside_a_question_about_series_are_comparisons_too() -> None:
    inner = tag("Modality") == "CT"
    tree = has_series(inner) & (age() > 60)
    assert [str(comparison) for comparison in all_comparisons(tree)] == [
        *("has_series(Modality == 'CT')", "Modality == 'CT'", "age() > 60")
    ]
    assert len(list(tree.comparisons())) == 2


def mask(condition: Condition) -> Mask:
    return condition.evaluate([[comparison.holds(value) for value in ROWS] for comparison in condition.comparisons()])


@given(TREES, TREES)
def test_the_laws_of_de_morgan(a: Condition, b: Condition) -> None:
    assert mask(~(a & b)) == mask(~a | ~b)
    assert mask(~(a | b)) == mask(~a & ~b)
    assert mask(~~a) == mask(a)


@given(TREES, TREES, TREES)
def test_distribution_and_order(a: Condition, b: Condition, c: Condition) -> None:
    assert mask(a & (b | c)) == mask((a & b) | (a & c))
    assert mask(a & b) == mask(b & a)
    assert mask(a | b) == mask(b | a)


@given(TREES)
def test_a_complement_is_exact(a: Condition) -> None:
    assert [x != y for x, y in zip(mask(a), mask(~a), strict=True)] == [True] * len(ROWS)


@given(TREES)
def test_the_conjuncts_joined_again_select_the_same(condition: Condition) -> None:
    parts = list(conjuncts(condition))
    assert not any(isinstance(part, And) for part in parts)
    joined = [all(held) for held in zip(*(mask(part) for part in parts), strict=True)]
    assert joined == mask(condition)


@given(TREES)
def test_a_tree_keeps_its_comparisons_and_equals_its_copies(condition: Condition) -> None:
    comparisons = list(condition.comparisons())
    assert comparisons
    same = condition.with_comparisons(comparisons)
    assert same == condition
    assert type(same) is type(condition)
    assert repr(same) == repr(condition)
    again = pickle.loads(pickle.dumps(condition))
    assert mask(again) == mask(condition)
    assert str(again) == str(condition)


A, B = Comparison(parse_tag("KVP"), Relation(">", 100)), Comparison(parse_tag("Modality"), StringIs("CT"))


def test_how_conditions_read() -> None:
    assert str(A & ~B) == "(KVP > 100) & (not (Modality == 'CT'))"
    assert repr(A | ~B) == '(tag("KVP") > 100) | (~(tag("Modality") == \'CT\'))'
    assert str(Comparison(parse_tag("KVP"), Between(None, 3))) == "KVP between None and 3"
    assert str(Comparison(parse_tag("KVP"), AnyOf((Relation("==", 1), IsMissing())))) == "KVP in [1, is missing]"
    assert str(Comparison(parse_tag("StudyDate"), Relation("<", date(2020, 1, 31)))) == "StudyDate < '2020-01-31'"
    assert (
        str(Comparison(parse_tag("ImageType"), WholeValue((StringIs("A"), StringIs("B"))))) == "ImageType == ('A', 'B')"
    )
    assert str(Comparison(ServerField("metadata", "RemoteAET"), StringIs("X"))) == "metadata('RemoteAET') == 'X'"
    assert str(Comparison(parse_tag("KVP"), Matches(re.compile("1.")))) == "KVP matches '1.'"


def test_comparisons_are_replaced_from_left_to_right() -> None:
    tree = (A | ~B) & A
    first, second, third = (Comparison(parse_tag("KVP"), Relation("==", number)) for number in (1, 2, 3))
    assert tree.with_comparisons([first, second, third]) == (first | ~second) & third


def test_and_differs_from_or() -> None:
    assert (A & B) != (A | B)
    assert And(A, B) == A & B
    assert hash(A & B) == hash(And(A, B))


@pytest.mark.parametrize(
    "use",
    [lambda: bool(A), lambda: A and B, lambda: A or B, lambda: not A, lambda: 1 if A & B else 0, lambda: any([A])],
)
def test_a_condition_has_no_truth_value(use: Callable[[], object]) -> None:
    with pytest.raises(SelectionError, match=r"Join conditions with & \| ~ and put each in brackets") as caught:
        use()
    assert "between(80, 120)" in str(caught.value)


def test_a_method_that_was_not_called_is_no_condition() -> None:
    method: Any = tag("KVP").is_missing
    with pytest.raises(SelectionError, match=r'and tag\("KVP"\).is_missing \(to be called, with brackets\) is not one'):
        A | method


@pytest.mark.parametrize("other", [100, "CT", True, None, parse_tag("KVP")])
def test_a_condition_is_joined_with_conditions_only(other: Any) -> None:
    with pytest.raises(SelectionError, match=r"Comparisons need brackets: \(tag\(\"KVP\"\) > 100\) &"):
        A & other
    with pytest.raises(SelectionError, match=r"\| joins two conditions"):
        A | other
