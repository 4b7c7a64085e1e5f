"""How undecided strings are decided: literal or wildcard."""

from __future__ import annotations

from datetime import date

import pytest

from simple_orthanc.selection.literals import decide, strings_with_matches, taken_literally, undecided_strings
from simple_orthanc.selection.predicates import (
    AnyOf,
    Between,
    IsMissing,
    Predicate,
    RangeString,
    Relation,
    StringIs,
    WholeValue,
)


def test_a_string_that_the_archive_holds_becomes_a_literal() -> None:
    literals, wildcards = {"T2*_GRE", "b"}, {"B*"}

    def decided(predicate: Predicate) -> Predicate:
        return decide(predicate, literals, wildcards)

    whole = WholeValue((StringIs("T2*_GRE"), StringIs("a")))
    assert decided(StringIs("T2*_GRE")) == StringIs("T2*_GRE", "exact")
    assert decided(StringIs("T2*")) == StringIs("T2*")
    assert decided(StringIs("B")) == StringIs("B")
    assert decided(StringIs("B*", cased=True)) == StringIs("B*", "like", cased=True)
    assert decided(StringIs("T2*_GRE", "like")) == StringIs("T2*_GRE", "like")
    assert decided(AnyOf((StringIs("b"), Relation("==", 1)))) == AnyOf((StringIs("b", "exact"), Relation("==", 1)))
    assert decided(whole) == WholeValue((StringIs("T2*_GRE", "exact"), StringIs("a")))
    assert decided(IsMissing()) == IsMissing()


def test_a_range_string_becomes_a_literal_or_a_range() -> None:
    days = Between(date(2020, 1, 1), date(2020, 1, 31))
    string = RangeString("20200101-20200131", days)
    assert decide(string, {"20200101-20200131"}, ()) == StringIs("20200101-20200131", "exact")
    assert decide(string, (), {"20200101-20200131"}) == days
    assert decide(string, (), ()) == string


def test_which_strings_are_undecided() -> None:
    days = RangeString("2020-2021", Between(None, date(2021, 1, 1)))
    whole = WholeValue((StringIs("T2*_GRE"), StringIs("a")))
    undecided = undecided_strings(AnyOf((whole, StringIs("c", "like"), StringIs("d", "exact"), days, IsMissing())))
    assert list(undecided) == [StringIs("T2*_GRE"), StringIs("a"), days]


@pytest.mark.parametrize(
    ("undecided", "values", "vr", "matching"),
    [
        (StringIs("t2*"), {"T2w"}, "LO", True),
        (StringIs("t2"), {"T2w"}, "LO", False),
        (StringIs("t2w"), {"T2W"}, "LO", True),
        (StringIs("t2w", cased=True), {"T2W"}, "LO", False),
        (StringIs("a?", cased=True), {"A1", "a2"}, "LO", True),
        (StringIs("45Y"), {"045Y"}, "AS", True),
        (StringIs("04*Y"), {"45Y"}, "AS", False),
        (StringIs("Doe^Jane"), {"Doe^Jane=X"}, "PN", True),
        (RangeString("2020-2021", Between(date(2020, 1, 1), date(2021, 1, 1))), {"20200601"}, "DA", True),
        (RangeString("2020-2021", Between(date(2020, 1, 1), date(2021, 1, 1))), {"20220601"}, "DA", False),
        (StringIs("*"), set(), "LO", False),
    ],
)
def test_which_strings_match_a_value(
    undecided: StringIs | RangeString, values: set[str], vr: str, matching: bool
) -> None:
    assert strings_with_matches([undecided], values, vr) == ({undecided.string} if matching else set())


def test_which_strings_were_taken_literally() -> None:
    days = RangeString("2020-2021", Between(None, date(2021, 1, 1)))
    given = AnyOf((StringIs("a*"), StringIs("plain"), StringIs("b*"), WholeValue((days,))))
    literals = decide(given, {"a*", "plain", "2020-2021"}, {"b*"})
    assert list(taken_literally(given, literals)) == ["a*", "2020-2021"]
    assert list(taken_literally(StringIs("a*", "exact"), StringIs("a*", "exact"))) == []
