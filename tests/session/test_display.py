"""How things look: words for counts, escaped HTML, and the line that a warning points to."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from types import CodeType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.errors import stacklevel
from simple_orthanc.session import display
from simple_orthanc.session.display import counted, session_html, session_text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([1, 1, 1, 1], "1 patient, 1 study, 1 series, 1 instance"),
        ([0, 2, 2, 1000000], "0 patients, 2 studies, 2 series, 1,000,000 instances"),
    ],
)
def test_counts_as_words(numbers: list[int], text: str) -> None:
    assert counted(dict(zip(LEVELS, numbers, strict=True))) == text
    # Always from the patient down, in whatever order they come.
    assert counted(dict(reversed(list(zip(LEVELS, numbers, strict=True))))) == text


def test_a_session_on_one_line() -> None:
    assert session_text("Folder", "/data", {}, []) == "<Folder /data: the whole archive>"
    text = session_text("Orthanc", "http://x", {"series": 1}, ["Modality == 'CT'", "KVP > 100"])
    assert text == "<Orthanc http://x: 1 series, selected by Modality == 'CT' & KVP > 100>"


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[object] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.extend(attrs)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


OWN_TAGS = {"div", "p", "b", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td"}
HOSTILE = st.text("<>&\"' /scriptonload=:;`", min_size=1, max_size=12).filter(str.strip)


@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, st.integers(0, 3))
def test_no_value_can_become_markup(kind: str, where: str, criterion: str, cell: str, more: int) -> None:
    reader = Reader()
    reader.feed(session_html(kind, where, {"series": 1}, [criterion], [criterion], [[cell]], more))
    reader.close()
    assert reader.tags <= OWN_TAGS
    assert reader.attributes == []
    assert reader.open == []
    found = "".join(reader.text)
    assert kind in found
    assert where in found
    assert found.count(criterion) >= 2
    assert cell in found
    assert ("and" in found and f"{more:,} more" in found) or not more


def test_what_is_not_there_is_left_out() -> None:
    assert session_html("Session", "x", {}, [], [], [], 0) == "<div><p><b>Session</b> x: the whole archive</p></div>"


def compiled(text: str, name: str) -> CodeType:
    return compile(text, name, "exec")


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_warning_points_to_the_users_line_however_deep_it_rises(depth: int) -> None:
    """Functions compiled under the name of a file of the package stand for its own."""
    inner = "import warnings\ndef step(left, stacklevel):\n    if left: return step(left - 1, stacklevel)\n"
    inner += "    warnings.warn('deep', stacklevel=stacklevel())\n"
    names: dict[str, object] = {}
    exec(compiled(inner, display.__file__), names)
    step = names["step"]
    assert callable(step)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        step(depth, stacklevel)
        line = sys._getframe().f_lineno - 1
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]


def test_a_warning_in_a_with_block_points_to_the_user_too() -> None:
    source = "import contextlib, warnings\n@contextlib.contextmanager\ndef opened(stacklevel):\n"
    source += "    warnings.warn('deep', stacklevel=stacklevel())\n    yield\n"
    names: dict[str, object] = {}
    exec(compiled(source, display.__file__), names)
    opened = names["opened"]
    assert callable(opened)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with opened(stacklevel):
            pass
    assert [warning.filename for warning in caught] == [__file__]


def test_the_users_own_line_is_level_one() -> None:
    @contextlib.contextmanager
    def mine() -> Iterator[int]:
        yield stacklevel()

    assert stacklevel() == 1
    with mine() as level:
        assert level == 1
