"""An overview as text and HTML: nothing is left out, and no value becomes markup."""

from __future__ import annotations

from hypothesis import given

from simple_orthanc.session.display.overview import Overview, TagValues
from simple_orthanc.session.display.rendering import overview_html, overview_text
from simple_orthanc.session.display.tree import Branch
from tests.showing.test_html import HOSTILE, TAGS, Reader


def overview_of(text: str) -> Overview:
    branch = Branch(text, "1 study", (Branch(text, "1 series", (Branch(text),), text),), text)
    return Overview(
        text, text, {"series": 1}, [text], [TagValues("Modality", ((text, 1),), 2, 3)], [branch], text, [text]
    )


@given(HOSTILE)
def test_no_value_becomes_markup(text: str) -> None:
    reader = Reader(overview_html(overview_of(text)))
    assert reader.tags <= TAGS
    assert all(pair in [("class", "simple-orthanc"), ("open", None)] for pair in reader.attributes)
    escaped = text.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    assert reader.text.count(escaped) >= 10
    assert "2 other values" in reader.text
    assert "missing in 3" in reader.text


@given(HOSTILE)
def test_no_value_steers_a_terminal(text: str) -> None:
    shown = overview_text(overview_of(text))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "Modality  " in shown


def test_a_text_of_all_parts() -> None:
    branch = Branch("P1", "2 studies", (Branch("2024-01-02", "1 series"),), "and 1 more study")
    values = [TagValues("Modality", (("CT", 1200), ("MR", 3)), 4, 5), TagValues("StudyDate", (("2024-01-02", None),))]
    shown = overview_text(
        Overview("Folder", "/data", {"study": 2}, ["a == 1", "b == 2"], values, [branch], "and 3 more", ["Note."])
    )
    assert shown.splitlines() == [
        "Folder /data",
        "2 studies, selected by a == 1 & b == 2",
        "Modality   CT (1,200), MR (3), 4 other values, missing in 5",
        "StudyDate  2024-01-02",
        "",
        "P1: 2 studies",
        "├─ 2024-01-02: 1 series",
        "└─ and 1 more study",
        "and 3 more",
        "Note.",
    ]


def test_few_branches_are_unfolded_and_of_many_the_first() -> None:
    def shown(number: int) -> int:
        branches = [Branch(f"P{patient}", "", (Branch("study"),)) for patient in range(number)]
        return overview_html(Overview("x", "y", {}, [], branches=branches)).count("<details open>")

    assert shown(10) == 10
    assert shown(11) == 1
