"""Peers: other Orthanc servers that the server knows."""

from __future__ import annotations

import pytest

from simple_orthanc.errors import JobError, ServerError
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
    with (
        serving(stand_in) as rest,
        pytest.raises(
            ServerError, match=r"The peer 'research' did not answer: .*Could not connect to server.*Nothing listens"
        ),
    ):
        Peers(rest, ids_of)["research"].system()


def test_what_is_sent_to_a_peer_is_a_job_that_is_never_permissive() -> None:
    description = {"ID": "j1", "State": "Success", "Content": {"InstancesCount": 2, "FailedInstancesCount": 0}}
    stand_in = Server(
        {
            "POST /peers/research/store": lambda body: {"ID": "j1", "Path": "/jobs/j1"},
            "GET /jobs/j1": lambda body: description,
        }
    )
    stand_in.configured["peers"]["research"] = ARCHIVE
    with serving(stand_in) as rest:
        peer = Peers(rest, ids_of)["research"]
        assert peer.store("a1", compress=True).content["InstancesCount"] == 2
        body = next(body for method, path, body in stand_in.asked if path.endswith("/store"))
        assert body["Resources"] == ["a1"]
        assert body["Compress"] is True
        assert body["Permissive"] is False
        description["Content"] = {"InstancesCount": 2, "FailedInstancesCount": 1}
        with pytest.raises(JobError, match="1 of 2 instances failed"):
            peer.store("a1")
        description |= {"State": "Failure", "ErrorDetails": "libCURL error: Could not connect to server"}
        with pytest.raises(JobError, match=r"Sending to the peer 'research' failed: .*Nothing listens"):
            peer.store("a1")


def test_whether_a_peer_answers() -> None:
    stand_in = Server({"GET /peers/research/system": lambda body: {"Version": "1.13.0"}})
    stand_in.configured["peers"]["research"] = ARCHIVE
    with serving(stand_in) as rest:
        peer = Peers(rest, ids_of)["research"]
        assert peer.is_alive()
        stand_in.answers = {"GET /peers/research/system": lambda body: ({"Message": "Error in the network"}, 500)}
        assert not peer.is_alive()
