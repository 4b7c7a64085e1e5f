"""Peers: other Orthanc servers that the server knows."""

from __future__ import annotations

import pytest

from simple_orthanc.errors import ServerError
from simple_orthanc.rest.remote.peers import Peers
from tests.rest.remote.stand_in import Server, serving
from tests.rest.remote.test_configured import ARCHIVE, ids_of


def test_the_system_and_the_version_of_a_peer_are_asked_of_it() -> None:
    stand_in = Server({"GET /peers/research/system": lambda body: {"Version": "1.13.0"}})
    stand_in.configured["peers"]["research"] = ARCHIVE
    with serving(stand_in) as rest:
        peer = Peers(rest, ids_of)["research"]
        assert peer.system() == {"Version": "1.13.0"}
        assert peer.version == "1.13.0"


def test_a_peer_that_does_not_answer_is_an_error() -> None:
    details = {"Message": "Error in the network protocol", "Details": "libCURL error: Could not connect to server"}
    stand_in = Server({"GET /peers/research/system": lambda body: (details, 500)})
    stand_in.configured["peers"]["research"] = ARCHIVE
    with serving(stand_in) as rest, pytest.raises(ServerError, match="Could not connect to server"):
        Peers(rest, ids_of)["research"].system()
