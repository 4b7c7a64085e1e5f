"""What a condition means: tests over values, trees over tests, and the patterns that stand in for them at a source."""

from __future__ import annotations

import pickle
import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value, from_text, from_texts
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.conditions import (
    And,
    AnyOf,
    Between,
    Comparison,
    Condition,
    IsMissing,
    Mask,
    Matches,
    Not,
    Or,
    Predicate,
    Relation,
    ServerField,
    StringIs,
    StringMode,
    Where,
    WholeValue,
    fold,
    is_identifier,
    literals,
    name_forms,
    parts_of,
    settle,
    wildcard_patterns,
)
from tests.memory_source import wildcard_match

DECOMPOSED = unicodedata.normalize("NFD", "Müller")


@pytest.mark.parametrize(
    ("test", "value", "vr", "held"),
    [
        (StringIs("ct"), "CT", "CS", True),
        (StringIs("ct", cased=True), "CT", "LO", False),
        (StringIs("ct"), "CTA", "LO", False),
        (StringIs("c*"), "CTA", "LO", True),
        (StringIs("?t"), "CT", "LO", True),
        (StringIs("?t"), "CTA", "LO", False),
        (StringIs("*"), "", "LO", False),
        (StringIs("a.c"), "abc", "LO", False),
        (StringIs("[x]?"), "[X]1", "LO", True),
        (StringIs("a*b"), "a\nb", "LT", True),
        (StringIs("MÜLLER"), DECOMPOSED, "LO", True),
        (StringIs("m?ller"), DECOMPOSED, "LO", True),
        (StringIs("PRIMARY"), "ORIGINAL\\PRIMARY", "CS", True),
        (StringIs("ORIGINAL\\PRIMARY"), "ORIGINAL\\PRIMARY", "CS", False),
        (StringIs("T2*", "exact"), "T2*", "LO", True),
        (StringIs("T2*", "exact"), "T2*_GRE", "LO", False),
        (StringIs("t2*", "exact"), "T2*", "LO", False),
        (StringIs("T2*", "like"), "T2*_GRE", "LO", True),
        (StringIs("Doe^Jane"), "DOE^JANE^^", "PN", True),
        (StringIs("Doe^Jane^^^"), "Doe^Jane", "PN", True),
        (StringIs("Doe"), "Doe^Jane", "PN", False),
        (StringIs("Doe*"), "Doe^Jane", "PN", True),
        (StringIs("山田^太郎"), "Yamada^Tarou=山田^太郎=やまだ^たろう", "PN", True),
        (StringIs("やまだ^たろう"), "Yamada^Tarou=山田^太郎=やまだ^たろう", "PN", True),
        (StringIs("yamada^tarou"), "Yamada^Tarou=山田^太郎", "PN", True),
        (StringIs("Yamada^Tarou^=山田^太郎^^"), "Yamada^Tarou=山田^太郎", "PN", True),
        (StringIs("太郎"), "Yamada^Tarou=山田^太郎", "PN", False),
        (StringIs("Yamada^Tarou", "exact"), "Yamada^Tarou=山田^太郎", "PN", False),
        (IsMissing(), "", "LO", True),
        (IsMissing(), "x", "LO", False),
        (Relation("==", 1), "1.0", "DS", True),
        (Relation("==", 1.0), "+1", "IS", True),
        (Relation("<", 3), "5\\2", "DS", True),
        (Relation(">", 3), "x", "DS", False),
        (Relation("==", date(2020, 1, 31)), "2020.01.31", "DA", True),
        (Relation(">=", date(2020, 1, 31)), "20200130", "DA", False),
        (Relation("==", timedelta(hours=10)), "100000.000", "TM", True),
        (Relation("==", datetime(2020, 1, 31, 9, 30)), "20200131103000+0100", "DT", True),
        (Relation("<", 365.0), "011M", "AS", True),
        (Relation("<", date(2020, 1, 1)), "5", "DS", False),
        (Between(1, 3), "3", "DS", True),
        (Between(None, 3), "-9", "DS", True),
        (Between(1, None), "0.99", "DS", False),
        # One value must lie in the range: one below and one above do not make it.
        (Between(1, 3), "0\\5", "DS", False),
        (Between(1, 3), "x", "DS", False),
        (WholeValue((Relation("==", 1), Relation("==", 2))), "1.0\\2", "DS", True),
        (WholeValue((Relation("==", 1), Relation("==", 2))), "2\\1", "DS", False),
        (WholeValue((Relation("==", 1),)), "1\\2", "DS", False),
        (WholeValue((StringIs("a"), IsMissing())), "A\\", "LO", True),
        (WholeValue((StringIs("a"), IsMissing())), "A\\b", "LO", False),
        (WholeValue((Relation("==", 1), IsMissing())), "1\\x", "DS", True),
        (WholeValue(()), "", "LO", True),
        (AnyOf((StringIs("a*"), StringIs("b"))), "B", "LO", True),
        (AnyOf((StringIs("a*"), IsMissing())), "", "LO", True),
        (AnyOf(()), "a", "LO", False),
        (AnyOf(()), "", "LO", False),
        (Matches(re.compile("T[12]")), "axT2w", "LO", True),
        (Matches(re.compile("^T[12]")), "axT2w", "LO", False),
        (Matches(re.compile("")), "", "LO", False),
        (Where(lambda number: number > 2), "1\\3", "DS", True),
        (Where(lambda number: number > 2), "x", "DS", False),
        (Where(lambda text: True), "", "LO", False),
    ],
)
def test_when_a_test_holds(test: Predicate, value: str, vr: str, held: bool) -> None:
    assert test.holds(from_text(value, vr), vr) is held


@pytest.mark.parametrize("test", [StringIs("x"), Matches(re.compile("x")), AnyOf((StringIs("x"),))])
def test_bytes_hold_no_text(test: Predicate) -> None:
    assert not test.holds((b"x",), "OB")


@pytest.mark.parametrize(
    "test",
    [
        StringIs("*"),
        StringIs("*", "like"),
        StringIs("", "exact"),
        Relation("==", 0),
        Relation("<", 1),
        Between(None, 3),
        AnyOf((StringIs("*"), Relation("<", 1))),
        Matches(re.compile("")),
        Where(lambda value: True),
        WholeValue((IsMissing(),)),
    ],
)
def test_what_is_missing_satisfies_nothing_but_missing(test: Predicate) -> None:
    assert not test.holds(None, "LO")
    assert not test.holds(None, "DS")
    assert IsMissing().holds(None, "LO")


def test_identifiers_are_compared_with_regard_to_case() -> None:
    identifiers = ["SOPInstanceUID", "StudyInstanceUID", "SOPClassUID", "PatientID", "AccessionNumber", "StudyID"]
    assert all(is_identifier(parse_tag(keyword)) for keyword in identifiers)
    assert not any(is_identifier(parse_tag(keyword)) for keyword in ("PatientName", "SeriesDescription", "Modality"))


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("Doe^Jane^^", ("Doe^Jane",)),
        ("Doe^Jane^^=", ("Doe^Jane",)),
        ("A^B^=C^D^ = E", ("A^B=C^D=E", "A^B", "C^D", "E")),
        ("=山田^太郎", ("=山田^太郎", "山田^太郎")),
        ("", ("",)),
    ],
)
def test_the_forms_of_a_person_name(name: str, forms: tuple[str, ...]) -> None:
    assert name_forms(name) == forms


@given(st.text())
def test_folding_twice_is_folding_once_and_case_does_not_matter(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    assert fold(unicodedata.normalize("NFD", text)) == once


# Trees

ROWS: list[Value] = [None, ("1",), ("2",), ("2", "3"), ("x",)]
LEAVES = st.sampled_from(
    [
        Comparison(parse_tag(keyword), test)
        for keyword in ("SliceThickness", "KVP")
        for test in (
            IsMissing(),
            Relation("==", 2),
            Relation(">", 1),
            Between(2, 3),
            AnyOf((Relation("==", 1), IsMissing())),
        )
    ]
)
TREES: st.SearchStrategy[Condition] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.builds(And, inner, inner), st.builds(Or, inner, inner), st.builds(Not, inner)),
    max_leaves=8,
)


def leaf_mask(leaf: Comparison) -> Mask:
    return [leaf.holds(value) for value in ROWS]


def mask(condition: Condition) -> Mask:
    return condition.mask(leaf_mask)


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
def test_the_parts_of_a_chain_joined_again_mean_the_same(condition: Condition) -> None:
    parts = list(parts_of(condition))
    assert not any(isinstance(part, And) for part in parts)
    joined = [all(held) for held in zip(*(mask(part) for part in parts), strict=True)]
    assert joined == mask(condition)


@given(TREES)
def test_a_tree_keeps_its_leaves_and_equals_its_copies(condition: Condition) -> None:
    leaves = list(condition.comparisons())
    assert leaves
    same = condition.map(lambda leaf: leaf)
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


@pytest.mark.parametrize(
    "use",
    [lambda: bool(A), lambda: A and B, lambda: A or B, lambda: not A, lambda: 1 if A & B else 0, lambda: any([A])],
)
def test_a_condition_has_no_truth_value(use: Callable[[], object]) -> None:
    with pytest.raises(SelectionError, match=r"Join conditions with & \| ~ and put each in brackets") as caught:
        use()
    assert "between(80, 120)" in str(caught.value)


@pytest.mark.parametrize("other", [100, "CT", True, None, parse_tag("KVP")])
def test_a_condition_is_joined_with_conditions_only(other: Any) -> None:
    with pytest.raises(SelectionError, match=r"Comparisons need brackets: \(tag\(\"KVP\"\) > 100\) &"):
        A & other
    with pytest.raises(SelectionError, match=r"\| joins two conditions"):
        A | other


# What texts mean


def test_a_text_that_stands_in_the_archive_means_itself_alone() -> None:
    present = {"T2*_GRE", "b"}.__contains__
    whole = WholeValue((StringIs("T2*_GRE"), StringIs("a")))
    assert settle(StringIs("T2*_GRE"), present) == StringIs("T2*_GRE", "exact")
    assert settle(StringIs("T2*"), present) == StringIs("T2*")
    assert settle(StringIs("B"), present) == StringIs("B")
    assert settle(StringIs("T2*_GRE", "like"), present) == StringIs("T2*_GRE", "like")
    assert settle(AnyOf((StringIs("b"), Relation("==", 1))), present) == AnyOf(
        (StringIs("b", "exact"), Relation("==", 1))
    )
    assert settle(whole, present) == WholeValue((StringIs("T2*_GRE", "exact"), StringIs("a")))
    assert settle(IsMissing(), present) == IsMissing()
    assert list(literals(AnyOf((whole, StringIs("c", "like"), StringIs("d"))))) == ["T2*_GRE", "a", "d"]


LETTERS = "aAbÄ*?^= _%"
WORDS = st.text(LETTERS, max_size=6)
TEXT_TESTS = st.builds(StringIs, WORDS, st.sampled_from(["auto", "like", "exact"]), st.booleans())


@given(
    st.one_of(TEXT_TESTS, st.lists(TEXT_TESTS, max_size=3).map(lambda tests: AnyOf(tuple(tests)))),
    st.lists(WORDS, min_size=1, max_size=3),
    st.sampled_from(["LO", "PN", "CS", "UI"]),
)
def test_patterns_never_lose_what_a_test_holds_for(test: Predicate, texts: list[str], vr: str) -> None:
    value = from_texts(texts[:1] if vr == "UI" else texts, vr)
    patterns = wildcard_patterns(test, vr)
    assert patterns is not None
    if test.holds(value, vr):
        joined = "\\".join(str(part) for part in value or ())
        assert any(wildcard_match(pattern, joined) for pattern in patterns)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("A^^=B", "A=B"),
        ("A=B^", "A^^ = B^^"),
        ("A?B", "A^ =B"),
        ("*B", "A^=B^ "),
        ("B", "A=B^^"),
        ("Müller", f"{DECOMPOSED}^^"),
    ],
)
def test_patterns_find_names_whatever_stands_between_their_groups(wanted: str, name: str) -> None:
    test, value = StringIs(wanted), from_text(name, "PN")
    assert test.holds(value, "PN")
    assert any(wildcard_match(pattern, str((value or ("",))[0])) for pattern in wildcard_patterns(test, "PN") or ())


@pytest.mark.parametrize(("wanted", "age"), [("045Y", "45Y"), ("45Y", "045Y"), ("007D", "7D"), ("000D", "0D")])
@pytest.mark.parametrize("mode", ["auto", "like"])
def test_patterns_find_ages_however_many_digits_they_have(wanted: str, age: str, mode: StringMode) -> None:
    test = StringIs(wanted, mode)
    assert test.holds((age,), "AS")
    assert any(wildcard_match(pattern, age) for pattern in wildcard_patterns(test, "AS") or ())
    assert not StringIs(wanted, "exact").holds((age,), "AS")


def test_which_tests_have_patterns() -> None:
    assert wildcard_patterns(StringIs("1.2.3"), "UI") == ("1.2.3",)
    assert wildcard_patterns(StringIs("CT"), "CS") == ("*CT*",)
    assert wildcard_patterns(AnyOf((StringIs("a"), StringIs("a"))), "CS") == ("*a*",)
    assert wildcard_patterns(AnyOf(()), "CS") == ()
    for test in (
        IsMissing(),
        Relation("==", 1),
        AnyOf((StringIs("a"), IsMissing())),
        WholeValue((StringIs("a"),)),
        Where(bool),
    ):
        assert wildcard_patterns(test, "CS") is None
