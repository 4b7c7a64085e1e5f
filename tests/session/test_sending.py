"""Sending to modalities and peers: how a target is named, and what is asked of the server."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.errors import SelectionError
from simple_orthanc.session.sending import Sent, send
from tests.session.rest_stand_in import RestStandIn, with_rest

CONFIGURED = {"/modalities": ["PACS", "both"], "/peers": ["research", "both", "a b/c"]}


@pytest.mark.parametrize(
    ("target", "route", "kind", "name"),
    [
        ("PACS", "/modalities/PACS/store", "modality", "PACS"),
        ("research", "/peers/research/store", "peer", "research"),
        ("peer:both", "/peers/both/store", "peer", "both"),
        ("modality:both", "/modalities/both/store", "modality", "both"),
        ("a b/c", "/peers/a%20b%2Fc/store", "peer", "a b/c"),
    ],
)
def test_exactly_what_is_selected_is_sent(target: str, route: str, kind: str, name: str) -> None:
    rest = RestStandIn(CONFIGURED)
    session: Any = with_rest(rest).select("1.2.1.2.1")
    assert send(session, target) == Sent(1, kind, name)
    assert rest.jobs == [(route, {"Resources": ["P1|1.2.1|1.2.1.2|1.2.1.2.1"]})]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("both", r"'both' is a modality and a peer: write modality:both or peer:both"),
        ("nowhere", r"has modality:PACS, modality:both, peer:research, peer:both, peer:a b/c\. Nothing was sent"),
        ("peer:PACS", r"'peer:PACS' is no modality or peer"),
        ("modality:", r"'modality:' is no modality or peer"),
    ],
)
def test_a_target_that_is_not_one_names_those_that_are(target: str, says: str) -> None:
    rest = RestStandIn(CONFIGURED)
    session: Any = with_rest(rest).select(Modality="CT")
    with pytest.raises(SelectionError, match=says):
        send(session, target)
    assert rest.jobs == []


def test_a_server_without_targets_says_so_and_the_whole_archive_is_not_sent() -> None:
    session: Any = with_rest(RestStandIn({"/modalities": [], "/peers": []}))
    with pytest.raises(SelectionError, match="which has none"):
        send(session, "PACS")
    rest = RestStandIn(CONFIGURED)
    session = with_rest(rest)
    with pytest.raises(SelectionError, match="the whole archive would be sent"):
        send(session, "PACS")
    assert send(session, "PACS", everything=True).instance_count == 4
    assert len(rest.jobs) == 1
