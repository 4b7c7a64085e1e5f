"""The transfers accelerator plugin, which answers here as its integration tests expect."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from simple_orthanc.errors import (
    JobError,
    NotFoundError,
    SelectionError,
    UnknownNameError,
    UnsupportedError,
)
from simple_orthanc.rest.remote.transfers import RemoteTransfer, Transfers
from tests.rest.remote.stand_in import Server, serving
from tests.rest.remote.test_configured import ARCHIVE, ids_of


@pytest.fixture
def stand_in() -> Server:
    levels = {"a1": "Study", "b2": "Series"}
    stand_in = Server(
        {
            "GET /transfers/peers": lambda body: {"far": "installed", "near": "bidirectional"},
            "POST /transfers/send": lambda body: {"ID": "j1", "Path": "/jobs/j1"},
            "POST /transfers/pull": lambda body: {"ID": "j1", "Path": "/jobs/j1"},
            "POST /tools/bulk-content": lambda body: [
                {"ID": identifier, "Type": levels[identifier]}
                for identifier in body["Resources"]
                if identifier in levels
            ],
        }
    )
    stand_in.configured["peers"] = {"far": ARCHIVE, "near": ARCHIVE}
    end(stand_in, "Success", {"TotalInstances": 3})
    return stand_in


@pytest.fixture
def transfers(stand_in: Server) -> Iterator[Transfers]:
    with serving(stand_in) as rest:
        yield Transfers(rest, ids_of)


def end(stand_in: Server, state: str, content: Any, **fields: Any) -> None:
    stand_in.answers["GET /jobs/j1"] = lambda body: {"ID": "j1", "State": state, "Content": content, **fields}


def asked(stand_in: Server, route: str) -> Any:
    return next(body for _, path, body in stand_in.asked if path == route)


def test_what_is_sent_has_its_level(stand_in: Server, transfers: Transfers) -> None:
    assert transfers.peers() == {"far": "installed", "near": "bidirectional"}
    job: Any = transfers.send(["a1", "b2"], "far", compress=False)
    assert job.state == "Success"
    assert asked(stand_in, "/transfers/send") == {
        "Peer": "far",
        "Compression": "none",
        "Resources": [{"Level": "Study", "ID": "a1"}, {"Level": "Series", "ID": "b2"}],
    }


def test_what_is_pulled_has_the_level_that_is_given(stand_in: Server, transfers: Transfers) -> None:
    transfers.pull(["a1", SimpleNamespace(id="c3", level="instance")], "far", level="series")
    assert asked(stand_in, "/transfers/pull") == {
        "Peer": "far",
        "Compression": "gzip",
        "Resources": [{"Level": "Series", "ID": "a1"}, {"Level": "Instance", "ID": "c3"}],
    }
    assert transfers.pull("a1", "far").state == "Success"


@pytest.mark.parametrize(
    ("state", "content", "fields", "says"),
    [
        ("Failure", {}, {"ErrorDetails": "Could not connect to server"}, "failed: .*Nothing listens"),
        ("Success", {"TotalInstances": 0}, {}, "no instance that was transferred"),
        ("Success", {}, {}, "no instance that was transferred"),
    ],
)
def test_a_transfer_that_fails_or_moves_nothing_is_an_error(
    state: str, content: Any, fields: dict[str, Any], says: str, stand_in: Server, transfers: Transfers
) -> None:
    end(stand_in, state, content, **fields)
    for act in (transfers.send, transfers.pull):
        with pytest.raises(JobError, match=says):
            act("a1", "far")


def test_a_peer_that_pulls_is_not_waited_for(stand_in: Server, transfers: Transfers) -> None:
    answer = {"Peer": "near", "RemoteJob": "j9", "URL": "http://10.0.0.8:8042/"}
    stand_in.answers["POST /transfers/send"] = lambda body: answer
    assert transfers.send("a1", "near") == RemoteTransfer("near", "j9", "http://10.0.0.8:8042/")


def test_nothing_is_sent_that_cannot_be(stand_in: Server, transfers: Transfers) -> None:
    with pytest.raises(UnknownNameError, match="no peer 'nowhere'; it knows far, near"):
        transfers.send("a1", "nowhere")
    with pytest.raises(UnknownNameError, match="no peer 'nowhere'"):
        transfers.pull("a1", "nowhere")
    with pytest.raises(NotFoundError, match="with the Orthanc id c3, so nothing was sent"):
        transfers.send(["a1", "c3"], "far")
    compress: Any = "gzip"
    with pytest.raises(SelectionError, match="neither True nor False"):
        transfers.send("a1", "far", compress=compress)
    level: Any = "studies"
    with pytest.raises(SelectionError, match="is not a level"):
        transfers.pull("a1", "far", level=level)
    assert not [path for _, path, _ in stand_in.asked if path.startswith("/transfers")]


def test_without_the_plugin_all_of_it_is_unsupported(stand_in: Server, transfers: Transfers) -> None:
    for route in ("GET /transfers/peers", "POST /transfers/send", "POST /transfers/pull"):
        del stand_in.answers[route]
    for act in (transfers.peers, lambda: transfers.send("a1", "far"), lambda: transfers.pull("a1", "far")):
        with pytest.raises(UnsupportedError, match="which the transfers accelerator plugin adds"):
            act()
