"""Worklist entries that the server offers, kept by its plugin, which answers here as its source does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc.errors import NotFoundError, ServerError, UnsupportedError
from simple_orthanc.rest.remote.worklists import Worklists
from tests.rest.remote.stand_in import Server, serving

STEP = {"Modality": "CT", "ScheduledProcedureStepStartDate": "20260131"}
ENTRY = {"PatientID": "P7", "PatientName": "Müller^Ute", "ScheduledProcedureStepSequence": [STEP, STEP]}


class Plugin(Server):
    """Keeps entries."""

    def __init__(self) -> None:
        super().__init__({"GET /worklists": self._listed, "POST /worklists/create": self._create})
        self.entries: dict[str, Any] = {}

    def _listed(self, body: Any) -> Any:
        return [{"ID": identifier, "Tags": tags} for identifier, tags in self.entries.items()]

    def _create(self, body: Any) -> Any:
        if "ScheduledProcedureStepSequence" not in body["Tags"] and not body.get("Force"):
            return {"Message": "Bad file format", "Details": "'Tags' is missing a sequence"}, 400
        identifier = f"w{len(self.entries) + 1}"
        self.entries[identifier] = body["Tags"]
        self.answers[f"DELETE /worklists/{identifier}"] = lambda _: self.entries.pop(identifier)
        return {"ID": identifier, "Path": f"/worklists/{identifier}"}


@pytest.fixture
def stand_in() -> Plugin:
    return Plugin()


@pytest.fixture
def worklists(stand_in: Plugin) -> Iterator[Worklists]:
    with serving(stand_in) as rest:
        yield Worklists(rest)


def test_entries_are_created_listed_and_removed(stand_in: Plugin, worklists: Worklists) -> None:
    assert list(worklists) == []
    assert len(worklists.table()) == 0
    assert bool(worklists)
    identifier = worklists.create(ENTRY)
    assert stand_in.entries[identifier] == {"SpecificCharacterSet": "ISO_IR 192", **ENTRY}
    assert worklists[identifier]["PatientName"] == "Müller^Ute"
    assert list(worklists) == [identifier]
    assert len(worklists) == 1
    assert identifier in worklists
    frame = worklists.table()
    assert frame["id"].tolist() == [identifier] * 2
    assert frame["Modality"].tolist() == ["CT", "CT"]
    assert frame["PatientID"].tolist() == ["P7", "P7"]
    del worklists[identifier]
    assert identifier not in worklists


def test_an_entry_that_the_plugin_refuses_is_an_error_unless_it_is_forced(worklists: Worklists) -> None:
    with pytest.raises(ServerError, match="is missing a sequence"):
        worklists.create({"PatientID": "P7"})
    assert worklists.create({"PatientID": "P7"}, force=True) == "w1"
    assert worklists.table().to_dict("records") == [
        {"id": "w1", "SpecificCharacterSet": "ISO_IR 192", "PatientID": "P7"}
    ]


def test_an_unknown_entry_names_the_known_ones(worklists: Worklists) -> None:
    worklists.create(ENTRY)
    with pytest.raises(NotFoundError, match="no worklist entry 'w9'; it has w1"):
        worklists["w9"]
    with pytest.raises(NotFoundError, match="no worklist entry 'w9'"):
        del worklists["w9"]


def test_without_the_plugin_all_of_it_is_unsupported(stand_in: Plugin, worklists: Worklists) -> None:
    stand_in.answers.clear()
    for act in (worklists.table, lambda: list(worklists), lambda: worklists["w1"], lambda: worklists.create(ENTRY)):
        with pytest.raises(UnsupportedError, match="which the worklists plugin adds"):
            act()
    before = len(stand_in.asked)
    assert repr(worklists).startswith("<Worklists of http")
    assert len(stand_in.asked) == before
