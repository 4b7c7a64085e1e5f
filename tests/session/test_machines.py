"""The other machines that a server knows, as attributes of a session, and what a session sends to them."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from simple_orthanc import Orthanc
from simple_orthanc.errors import EmptySelectionError, SelectionError
from simple_orthanc.rest.remote.dicomweb_servers import DicomWebServers
from simple_orthanc.rest.remote.modalities import Modalities
from simple_orthanc.rest.remote.peers import Peers
from simple_orthanc.rest.remote.transfers import Transfers
from simple_orthanc.rest.remote.worklists import Worklists
from tests.memory_source import instance
from tests.orthanc_stand_in import OrthancServer
from tests.session.sessions import source_of, three_series


@pytest.fixture
def http() -> Iterator[OrthancServer]:
    with OrthancServer(source_of(three_series()).datasets) as http:
        yield http


@pytest.fixture
def session(http: OrthancServer) -> Iterator[Orthanc]:
    with Orthanc(http.url) as session:
        yield session


def test_machines_are_attributes_that_ask_nothing_by_themselves(http: OrthancServer, session: Orthanc) -> None:
    before = len(http.asked)
    kinds: dict[str, Any] = {
        "modalities": Modalities,
        "peers": Peers,
        "dicomweb_servers": DicomWebServers,
        "transfers": Transfers,
        "worklists": Worklists,
    }
    for name, kind in kinds.items():
        assert isinstance(getattr(session, name), kind)
        assert http.url in repr(getattr(session, name))
        assert name in dir(session)
    assert len(http.asked) == before


def test_what_a_session_sends_is_exactly_what_it_selects(session: Orthanc) -> None:
    sent = session._resources_of(session.copy().select(SeriesInstanceUID="1.2.1.2"), False)
    assert sent == session.copy().select(SeriesInstanceUID="1.2.1.2").get_orthanc_ids()
    one = session.copy().select("1.2.1.2.1")
    assert one.series_count == 1
    assert session._resources_of(one, False) == one.get_orthanc_ids("instance")
    assert len(session._resources_of(one, False)) == 1


def test_a_session_that_selects_nothing_or_everything_sends_nothing(session: Orthanc) -> None:
    with pytest.raises(SelectionError, match="the whole archive would be sent"):
        session._resources_of(session, False)
    assert len(session._resources_of(session, True)) == session.series_count
    with pytest.warns(UserWarning, match="Nothing is selected"):
        empty = session.copy().select(PatientID="nobody")
    with pytest.raises(EmptySelectionError, match="nothing was sent"):
        session._resources_of(empty, False)


def test_a_session_on_another_server_sends_nothing(session: Orthanc) -> None:
    says = "is not a session on http.* Upload the images to it first"
    with (
        OrthancServer([instance()]) as other,
        Orthanc(other.url) as elsewhere,
        pytest.raises(SelectionError, match=says),
    ):
        session._resources_of(elsewhere, True)


def test_ids_and_objects_are_sent_as_they_are(session: Orthanc) -> None:
    assert session._resources_of([SimpleNamespace(id="a"), "b"], False) == ["a", "b"]
