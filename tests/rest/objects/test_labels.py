"""Labels of one object as a set."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import NotFoundError, SelectionError, UnsupportedError
from simple_orthanc.rest.objects import Study
from tests.rest.objects.server import KEY, STUDY, ObjectServer, text
from tests.rest.test_capabilities import SYSTEM

ROUTE = f"/studies/{KEY}/labels"


def test_labels_are_a_set() -> None:
    with ObjectServer({f"GET {ROUTE}": ["done", "Done"]}) as server:
        labels = Study(server.rest, KEY).labels
        assert (sorted(labels), len(labels), "done" in labels, "DONE" in labels) == (["Done", "done"], 2, True, False)
        assert labels | {"new"} == {"done", "Done", "new"}
        assert labels == {"done", "Done"}
        assert repr(labels) == f"<labels of study {KEY}>"


def test_labels_are_added_and_taken_away() -> None:
    with ObjectServer(
        {f"PUT {ROUTE}/a-1": text(""), f"DELETE {ROUTE}/a-1": text(""), f"GET {ROUTE}": ["a-1"]}
    ) as server:
        labels = Study(server.rest, KEY).labels
        labels.add("a-1")
        labels.discard("a-1")
        labels.remove("a-1")
        with pytest.raises(KeyError):
            labels.remove("b")
        assert [call for call in server.calls if "PUT" in call or "DELETE" in call] == [
            f"PUT {ROUTE}/a-1",
            *[f"DELETE {ROUTE}/a-1"] * 2,
        ]


@pytest.mark.parametrize("label", ["", "a.b", "a b", "ä", "a" * 65, "a\n", "../x", None, 7, b"a"])
def test_a_bad_label_is_refused_before_any_request(label: Any) -> None:
    with ObjectServer({}) as server:
        labels = Study(server.rest, KEY).labels
        for change in (labels.add, labels.discard):
            with pytest.raises(SelectionError, match=r"cannot be a label, and nothing was sent.*at most 64"):
                change(label)
        assert server.calls == []


def test_a_version_without_labels() -> None:
    old = {**SYSTEM, "Version": "1.10.1", "HasLabels": False}
    with ObjectServer({f"GET /studies/{KEY}": STUDY}, old) as server:
        labels = Study(server.rest, KEY).labels
        for use in (labels.add, labels.discard, lambda name: list(labels), lambda name: name in labels):
            with pytest.raises(UnsupportedError, match=r"need Orthanc 1\.12\.0.*is Orthanc 1\.10\.1"):
                use("a")  # type: ignore[operator]
        assert server.calls == ["GET /system"]


def test_labels_of_an_unknown_object() -> None:
    with ObjectServer({}) as server:
        labels = Study(server.rest, "nope").labels
        for use in (labels.add, labels.discard, lambda name: list(labels)):
            with pytest.raises(NotFoundError, match="holds no study with the id 'nope'"):
                use("a")  # type: ignore[operator]
