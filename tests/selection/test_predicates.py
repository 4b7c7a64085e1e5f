"""Predicates over values, and the patterns that a source searches by."""

from __future__ import annotations

import pickle
import re
import unicodedata
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.times import DAYS_IN_YEAR
from simple_orthanc.dicom.values import from_text, from_texts
from simple_orthanc.selection.predicates import (
    AnyOf,
    Between,
    IsMissing,
    Matches,
    Predicate,
    Relation,
    StringIs,
    StringMode,
    Where,
    WholeValue,
    fold,
    is_identifier,
    name_forms,
    wildcard_patterns,
)
from tests.memory_source import folded

DECOMPOSED = unicodedata.normalize("NFD", "Müller")


def wildcard_match(pattern: str, text: str) -> bool:
    """Check whether a pattern of ``*`` and ``?`` matches a string in any case, without the library's code."""
    expression = re.escape(folded(pattern)).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, folded(text), re.DOTALL) is not None


@pytest.mark.parametrize(
    ("predicate", "value", "vr", "held"),
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
        (Where(lambda string: True), "", "LO", False),
    ],
)
def test_when_a_predicate_holds(predicate: Predicate, value: str, vr: str, held: bool) -> None:
    assert predicate.holds(from_text(value, vr), vr) is held


@pytest.mark.parametrize("predicate", [StringIs("x"), Matches(re.compile("x")), AnyOf((StringIs("x"),))])
def test_bytes_hold_no_string(predicate: Predicate) -> None:
    assert not predicate.holds((b"x",), "OB")


@pytest.mark.parametrize(
    "predicate",
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
def test_what_is_missing_satisfies_only_the_predicate_of_it(predicate: Predicate) -> None:
    assert not predicate.holds(None, "LO")
    assert not predicate.holds(None, "DS")
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


LETTERS = "aAbÄ*?^= _%"
WORDS = st.text(LETTERS, max_size=6)
STRING_PREDICATES = st.builds(StringIs, WORDS, st.sampled_from(["auto", "like", "exact"]), st.booleans())
NUMBERS = st.sampled_from(["1", "+1.0", "1.5", "045Y", "45Y", "x", ""])
RELATIONS = st.builds(Relation, st.sampled_from(["==", "<"]), st.sampled_from([1, 1.0, 1.5, 45 * DAYS_IN_YEAR]))


@given(
    st.lists(st.one_of(STRING_PREDICATES, st.builds(StringIs, NUMBERS), RELATIONS, st.just(IsMissing())), max_size=6),
    st.lists(WORDS | NUMBERS, max_size=3),
    st.sampled_from(["LO", "PN", "CS", "UI", "AS", "DS", "IS", "UN", "OB"]),
)
def test_any_of_several_holds_where_one_of_them_does(predicates: list[Predicate], texts: list[str], vr: str) -> None:
    value = from_texts(texts, vr)
    several = AnyOf(tuple(predicates))
    assert several.holds(value, vr) == any(predicate.holds(value, vr) for predicate in predicates)
    copy = pickle.loads(pickle.dumps(several))
    assert copy == several
    assert copy.holds(value, vr) == several.holds(value, vr)


def test_ten_thousand_values_are_not_compared_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = range(10_000)
    exact = AnyOf(tuple(StringIs(f"1.2.{number}", "exact") for number in numbers))
    names = AnyOf(tuple(StringIs(f"Doe^{number}") for number in numbers))
    thickness = AnyOf(tuple(Relation("==", number) for number in numbers))
    size = len(pickle.dumps(exact))
    for kind in (StringIs, Relation):
        monkeypatch.delattr(kind, "holds")
    assert exact.holds(("1.2.9999",), "UI")
    assert not exact.holds(("1.2.10000",), "UI")
    assert names.holds(("DOE^9999^^",), "PN")
    assert thickness.holds(("9999.0",), "DS")
    assert not thickness.holds(("0.5",), "DS")
    # What is made to look values up is not pickled.
    assert len(pickle.dumps(exact)) == size


@given(
    st.one_of(
        STRING_PREDICATES, st.lists(STRING_PREDICATES, max_size=3).map(lambda predicates: AnyOf(tuple(predicates)))
    ),
    st.lists(WORDS, min_size=1, max_size=3),
    st.sampled_from(["LO", "PN", "CS", "UI"]),
)
def test_patterns_match_whatever_a_predicate_holds_for(predicate: Predicate, texts: list[str], vr: str) -> None:
    value = from_texts(texts[:1] if vr == "UI" else texts, vr)
    patterns = wildcard_patterns(predicate, vr)
    assert patterns is not None
    if predicate.holds(value, vr):
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
def test_patterns_find_names_whatever_is_between_their_groups(wanted: str, name: str) -> None:
    predicate, value = StringIs(wanted), from_text(name, "PN")
    assert predicate.holds(value, "PN")
    assert any(
        wildcard_match(pattern, str((value or ("",))[0])) for pattern in wildcard_patterns(predicate, "PN") or ()
    )


@pytest.mark.parametrize(("wanted", "age"), [("045Y", "45Y"), ("45Y", "045Y"), ("007D", "7D"), ("000D", "0D")])
@pytest.mark.parametrize("mode", ["auto", "like"])
def test_patterns_find_ages_however_many_digits_they_have(wanted: str, age: str, mode: StringMode) -> None:
    predicate = StringIs(wanted, mode)
    assert predicate.holds((age,), "AS")
    assert any(wildcard_match(pattern, age) for pattern in wildcard_patterns(predicate, "AS") or ())
    assert not StringIs(wanted, "exact").holds((age,), "AS")


def test_which_predicates_have_patterns() -> None:
    assert wildcard_patterns(StringIs("1.2.3"), "UI") == ("1.2.3",)
    assert wildcard_patterns(StringIs("CT"), "CS") == ("*CT*",)
    assert wildcard_patterns(AnyOf((StringIs("a"), StringIs("a"))), "CS") == ("*a*",)
    assert wildcard_patterns(AnyOf(()), "CS") == ()
    for predicate in (
        IsMissing(),
        Relation("==", 1),
        AnyOf((StringIs("a"), IsMissing())),
        WholeValue((StringIs("a"),)),
        Where(bool),
    ):
        assert wildcard_patterns(predicate, "CS") is None


def test_of_many_values_the_first_are_shown() -> None:
    strings = [StringIs(f"1.2.{number}") for number in range(30)]
    assert str(AnyOf(tuple(strings))) == "in ['1.2.0', '1.2.1', '1.2.2' and 27 more]"
    assert str(WholeValue(tuple(Relation("==", number) for number in range(3000)))) == "== (0, 1, 2 and 2,997 more)"
    assert str(AnyOf(tuple(strings[:12]))).count("1.2.") == 12
