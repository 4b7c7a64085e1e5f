"""What can be sent, as Orthanc ids."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from simple_orthanc.errors import EmptySelectionError, SelectionError
from simple_orthanc.rest.remote.resources import orthanc_ids


@pytest.mark.parametrize(
    ("what", "ids"),
    [
        ("a1", ["a1"]),
        (["a1", "b2", "a1"], ["a1", "b2"]),
        (SimpleNamespace(id="a1"), ["a1"]),
        ((SimpleNamespace(id="a1"), "b2"), ["a1", "b2"]),
        (iter(["a1"]), ["a1"]),
        ({"a1": "ignored"}, ["a1"]),
    ],
)
def test_ids_and_objects_with_ids_are_resources(what: Any, ids: list[str]) -> None:
    assert orthanc_ids(what) == ids


@pytest.mark.parametrize("what", [5, None, b"a1", [5], ["a1", None], "", [""], SimpleNamespace(id=5), object()])
def test_anything_else_is_refused(what: Any) -> None:
    with pytest.raises(SelectionError, match="cannot be sent: give a session, the Orthanc id"):
        orthanc_ids(what)


def test_nothing_is_not_sent() -> None:
    with pytest.raises(EmptySelectionError, match="nothing was sent"):
        orthanc_ids([])
