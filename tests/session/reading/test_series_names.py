"""How several series are told apart in messages."""

from __future__ import annotations

import re

import pytest

from simple_orthanc.errors import (
    AmbiguousSelectionError,
)
from tests.memory_source import instance
from tests.session.sessions import session_of, three_series

pytestmark = pytest.mark.usefixtures("empty_selections")


def test_one_volume_of_two_series_is_refused_with_the_call_that_separates_them() -> None:
    session = three_series()
    with pytest.raises(
        AmbiguousSelectionError, match=r"3 series are selected.*select\(SeriesDescription='scout'\)"
    ) as caught:
        session.get_array()
    assert len(caught.value.candidates) == 3
    assert "'head' 1.2.1.2" in caught.value.candidates[1]


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({}, "select(SeriesInstanceUID='1.2.1.1')"),
        ({"SeriesDescription": ["a", "a"]}, "select(SeriesInstanceUID='1.2.1.1')"),
        ({"SeriesDescription": ["a", "b"]}, "select(SeriesDescription='a')"),
        ({"SeriesNumber": ["3", "4"]}, "select(SeriesNumber=3)"),
    ],
)
def test_the_separating_call(tags: dict[str, list[str]], says: str) -> None:
    one, other = ({name: values[place] for name, values in tags.items()} for place in (0, 1))
    session = session_of(instance(1, series="1", **one), instance(1, series="2", **other))
    with pytest.raises(AmbiguousSelectionError, match=re.escape(says)):
        session.get_volume()
