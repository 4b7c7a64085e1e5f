"""Where the cursor is in code that is being written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.session.completion.place import Argument, Attribute, Key, place_at_end


@pytest.mark.parametrize(
    ("code", "owner", "typed"),
    [
        ("orthanc.", "orthanc", ""),
        ("orthanc.Pat", "orthanc", "Pat"),
        ("print(orthanc.Pat", "orthanc", "Pat"),
        ("x = 3 + orthanc.Pat", "orthanc", "Pat"),
        ("so.Orthanc('a', \"b)\").Pat", "so.Orthanc('a', \"b)\")", "Pat"),
        ("orthanc.select(Modality='CT').series[0].", "orthanc.select(Modality='CT').series[0]", ""),
        ("await session.select(a=[1, 2]).x", "session.select(a=[1, 2])", "x"),
        ("(orthanc\n   .select(Modality='CT')\n   .ta", "orthanc\n   .select(Modality='CT')", "ta"),
        ("(await session.copy()).ta", "(await session.copy())", "ta"),
        ("first(a).b[0](1).c", "first(a).b[0](1)", "c"),
        ("!echo it's\northanc.P", "orthanc", "P"),
        ("# it's (\northanc.P", "orthanc", "P"),
        ('"""it\'s ( """ + orthanc.P', "orthanc", "P"),
    ],
)
def test_behind_a_dot(code: str, owner: str, typed: str) -> None:
    assert place_at_end(code) == Attribute(owner, typed)


@pytest.mark.parametrize(
    "code",
    [
        *("", "orthanc", "orthanc # .", "'orthanc.", "x = (", "x = [", "f(a + ", "f(a == ", "f(x=1 + ", "(.a"),
        *("f'{orthanc.", 'f(rb"', 'f(f"{a', 'f({"a": "', 'f("a" + "', 'f([a + "', 'x["a", "', 'x[f"', "f(lambda x: "),
        *("f(b, (c, x=",),
    ],
)
def test_elsewhere(code: str) -> None:
    assert place_at_end(code) is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("s.select(", ("s.select", "", 0, set(), "", "", False)),
        ("s.select(Mod", ("s.select", "", 0, set(), "", "Mod", False)),
        ("s.select(a, KVP=1, Mod", ("s.select", "", 1, {"KVP"}, "", "Mod", False)),
        ("s.select(Modality=", ("s.select", "Modality", 0, set(), "", "", False)),
        ("s.select(Modality = C", ("s.select", "Modality", 0, set(), "", "C", False)),
        ("s.select(Modality='", ("s.select", "Modality", 0, set(), "'", "", False)),
        ('s.select(\n    KVP=120,\n    Modality="C', ("s.select", "Modality", 0, {"KVP"}, '"', "C", False)),
        ("s.select(SeriesDescription=\"it's, (", ("s.select", "SeriesDescription", 0, set(), '"', "it's, (", False)),
        ('s.select(A="x", B=u"""y', ("s.select", "B", 0, {"A"}, '"""', "y", False)),
        ("s.select(Modality=['CT', 'M", ("s.select", "Modality", 0, set(), "'", "M", True)),
        ("s.select(StudyDate=(None, '2", ("s.select", "StudyDate", 0, set(), "'", "2", True)),
        ("s.select(StudyDate=(", ("s.select", "StudyDate", 0, set(), "", "", True)),
        ('s.table("KVP", "', ("s.table", "", 1, set(), '"', "", False)),
        ('s.table(["KVP", "', ("s.table", "", 0, set(), '"', "", True)),
        ('f(s.select(A="b", C="d").table("', ('s.select(A="b", C="d").table', "", 0, set(), '"', "", False)),
        ("f(x == 1, y", ("f", "", 1, set(), "", "y", False)),
    ],
)
def test_in_an_argument(code: str, expected: tuple[str, str, int, set[str], str, str, bool]) -> None:
    function, keyword, position, used, quote, typed, in_list = expected
    place = place_at_end(code)
    assert isinstance(place, Argument)
    assert replace(place, outer="") == Argument(function, keyword, position, frozenset(used), quote, typed, in_list)


@pytest.mark.parametrize(
    ("code", "outer"),
    [
        ("f(", ""),
        ("(f(", ""),
        ("s.select(tag('", "s.select"),
        ("s.select(~(tag('a') | [tag('", "s.select"),
        ("a(b(c(", "b"),
    ],
)
def test_the_call_around_it(code: str, outer: str) -> None:
    place = place_at_end(code)
    assert isinstance(place, Argument)
    assert place.outer == outer


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('orthanc.modalities["', Key("orthanc.modalities", '"', "")),
        ("x = 1 + masks['GT", Key("masks", "'", "GT")),
        ('f(orthanc.get_volumes()[ "a[b', Key("orthanc.get_volumes()", '"', "a[b")),
    ],
)
def test_in_a_subscript(code: str, expected: Key) -> None:
    assert place_at_end(code) == expected


@given(st.text(alphabet="ab.=,([{}])'\"\\\n #f"))
def test_any_text_has_a_place_or_none(code: str) -> None:
    place = place_at_end(code)
    assert place is None or code.endswith(place.typed)
