"""Blocks of HTML: no value becomes markup, and nothing depends on style or scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.showing import html

TAGS = {"div", "style", "p", "b", "small", "ul", "li", "code", "details", "summary", "img"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}
HOSTILE = st.text("<>&\"' /scriptonload=:;`\x1b\u202e", min_size=1, max_size=20)


class Reader(HTMLParser):
    """The tags, attributes and text of well-formed HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.extend(attrs)
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data


MAKERS: list[Callable[[str], str]] = [
    html.value,
    html.code,
    html.note,
    html.heading,
    lambda text: html.heading("Folder", text),
    lambda text: html.table([text], [[text]]),
    lambda text: html.properties([(text, text)]),
    lambda text: html.block(html.listed([html.foldable(html.value(text), html.note(text), is_open=True)])),
]


@pytest.mark.parametrize("make", MAKERS)
@given(hostile=HOSTILE)
def test_no_value_becomes_markup(make: Callable[[str], str], hostile: str) -> None:
    reader = Reader(make(hostile))
    assert reader.tags <= TAGS
    assert all(pair in [("class", "simple-orthanc"), ("open", None)] for pair in reader.attributes)
    assert "\x1b" not in reader.text
    assert "\u202e" not in reader.text
    assert hostile.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e") in reader.text


def test_colours_are_those_of_the_page() -> None:
    style = html.block().partition("<style>")[2].partition("</style>")[0]
    colours = re.findall(r"(?:color|background|border\S*): *([^;}]+)", style)
    assert colours
    assert all(re.search(r"inherit|none|currentColor|collapse", colour) for colour in colours)


def test_long_values_are_cut() -> None:
    reader = Reader(html.table(["tag"], [["x" * 10_000]]))
    assert 50 < len(reader.text) < 80
    assert "…" in reader.text
