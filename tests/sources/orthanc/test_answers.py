"""JSON of another shape is asked for again, and is then an error."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.errors import TransportError
from simple_orthanc.sources.orthanc.answers import ask, has, is_ids, is_matches, is_object, is_objects, is_tags
from simple_orthanc.transport import Transport
from tests.http_stand_in import StandIn, reply

SHAPES: dict[str, tuple[Any, list[Any]]] = {
    "objects": (is_objects, [{"ID": "a"}, None]),
    "object": (is_object, {"ID": "a"}),
    "matches": (is_matches, [{"ID": "a", "Type": "Study"}]),
    "ids": (is_ids, ["a"]),
    "tags": (is_tags, {"a": {"0010,0010": "x"}}),
    "fields": (has(Last=int), {"Last": 1}),
}
OTHERS: list[Any] = [3, "x", None, [3], [[]], {"a": 1}, [{"ID": 3}]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("other", OTHERS, ids=repr)
def test_another_shape_is_asked_for_again(shape: str, other: Any) -> None:
    is_right, right = SHAPES[shape]
    with StandIn(lambda asked, count: reply(other if count < 2 else right)) as server:
        assert ask(Transport(server.url), "GET", "/x", is_right) == right
        assert len(server.asked) == 3


@pytest.mark.parametrize("shape", SHAPES)
def test_another_shape_is_an_error_at_last(shape: str) -> None:
    is_right, _ = SHAPES[shape]
    with StandIn(lambda asked, count: reply([3])) as server:
        with pytest.raises(TransportError, match=r"GET /x with JSON of another shape than Orthanc's \(list\)"):
            ask(Transport(server.url), "GET", "/x", is_right)
        assert len(server.asked) == 4


@pytest.mark.parametrize(
    "other", [[None], [{"ID": "a"}], [{"ID": "a", "Type": "Job"}], [{"ID": "a", "Type": ["Study"]}]]
)
def test_what_a_lookup_finds_has_a_level(other: Any) -> None:
    assert not is_matches(other)
    assert is_matches([])
