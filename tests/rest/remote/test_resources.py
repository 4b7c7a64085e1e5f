"""What can be sent, as Orthanc ids."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from simple_orthanc.errors import EmptySelectionError, NotFoundError, SelectionError, ServerError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.remote.dicomweb_servers import DicomWebServers
from simple_orthanc.rest.remote.modalities import Modalities
from simple_orthanc.rest.remote.peers import Peers
from simple_orthanc.rest.remote.resources import orthanc_ids
from tests.rest.remote.stand_in import Server, serving

SENDING: dict[str, Callable[[Rest, list[str]], Any]] = {
    "/modalities/far/store": lambda rest, ids: Modalities(rest, ids_of)["far"].store(ids),
    "/modalities/far/storage-commitment": lambda rest, ids: Modalities(rest, ids_of)["far"].commit(ids),
    "/peers/far/store": lambda rest, ids: Peers(rest, ids_of)["far"].store(ids),
    "/dicom-web/servers/far/stow": lambda rest, ids: DicomWebServers(rest, ids_of)["far"].store(ids),
}


def ids_of(what: Any, everything: bool) -> list[str]:
    return orthanc_ids(what)


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


@pytest.mark.parametrize("route", SENDING)
@pytest.mark.parametrize("status", [400, 404])
def test_an_unknown_id_is_named_as_orthanc_does_not(route: str, status: int) -> None:
    held = [{"ID": "a1", "Type": "Instance", "MainDicomTags": {"0008,0018": "1.2.1"}}]
    stand_in = Server(
        {
            f"POST {route}": lambda body: ({"Message": "Unknown resource"}, status),
            "POST /tools/bulk-content": lambda body: held,
        }
    )
    for kind in stand_in.configured:
        stand_in.configured[kind]["far"] = {}
    with serving(stand_in) as rest:
        with pytest.raises(NotFoundError, match=r"no patient, .* or instance with the Orthanc id c3, so nothing was"):
            SENDING[route](rest, ["a1", "c3"])
        # Refused for another reason.
        with pytest.raises(ServerError, match=f"answered {status}.*{route}"):
            SENDING[route](rest, ["a1"])
