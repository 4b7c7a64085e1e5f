"""Sending to modalities, peers and DICOMweb servers: how a target is named, and what it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.session import Session
from simple_orthanc.session.sending import Sent, send
from tests.memory_source import MemorySource
from tests.session.sessions import source_of, three_series

CONFIGURED = {
    "modalities": ["PACS", "both"],
    "peers": ["research", "both", "a b/c"],
    "dicomweb_servers": ["archive", "research"],
}


class Machines(dict[str, Any]):
    """The machines of one kind, which write down what they are sent."""

    def __init__(self, kind: str, names: list[str], sent: list[Any]) -> None:
        super().__init__({name: self._machine(f"{kind} {name}", sent) for name in names})

    @staticmethod
    def _machine(label: str, sent: list[Any]) -> Any:
        def store(what: Session, *, everything: bool) -> Any:
            sent.append((label, what.get_dicom_tag("SOPInstanceUID"), everything))
            # The DICOMweb plugin writes counts as strings.
            return SimpleNamespace(content={"InstancesCount": str(what.instance_count)})

        return SimpleNamespace(store=store)


class NoPlugin(dict[str, Any]):
    """The DICOMweb servers of a server without the plugin."""

    def __iter__(self) -> Iterator[str]:
        raise UnsupportedError("There is no DICOMweb plugin.")


class SessionWithMachines(Session):
    """The three series in memory, on a server that knows other machines."""

    def __init__(self, configured: dict[str, list[str]], has_plugin: bool = True) -> None:
        super().__init__(MemorySource(source_of(three_series()).datasets))
        self._sent: list[Any] = []
        self._machines = {kind: Machines(kind, names, self._sent) for kind, names in configured.items()}
        self._has_plugin = has_plugin

    @property
    def modalities(self) -> Any:
        """The modalities."""
        return self._machines["modalities"]

    @property
    def peers(self) -> Any:
        """The peers."""
        return self._machines["peers"]

    @property
    def dicomweb_servers(self) -> Any:
        """The DICOMweb servers."""
        return self._machines["dicomweb_servers"] if self._has_plugin else NoPlugin()


@pytest.mark.parametrize(
    ("target", "machine", "kind", "name"),
    [
        ("PACS", "modalities PACS", "modality", "PACS"),
        ("peer:research", "peers research", "peer", "research"),
        ("archive", "dicomweb_servers archive", "DICOMweb server", "archive"),
        ("dicomweb:research", "dicomweb_servers research", "DICOMweb server", "research"),
        ("peer:both", "peers both", "peer", "both"),
        ("modality:both", "modalities both", "modality", "both"),
        ("a b/c", "peers a b/c", "peer", "a b/c"),
    ],
)
def test_exactly_what_is_selected_is_sent(target: str, machine: str, kind: str, name: str) -> None:
    session: Any = SessionWithMachines(CONFIGURED).select("1.2.1.2.1")
    assert send(session, target) == Sent(1, kind, name)
    assert session._sent == [(machine, ["1.2.1.2.1"], False)]


def test_the_whole_archive_is_sent_if_that_is_allowed() -> None:
    session: Any = SessionWithMachines(CONFIGURED)
    assert send(session, "PACS", everything=True).instance_count == session.instance_count
    assert session._sent[0][2] is True


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("both", r"'both' is a modality and a peer: write modality:both or peer:both"),
        ("research", r"'research' is a peer and a DICOMweb server: write peer:research or dicomweb:research"),
        ("nowhere", r"has modality:PACS, modality:both, peer:research, .*, dicomweb:research\. Nothing was sent"),
        ("peer:PACS", r"'peer:PACS' is no modality, peer or DICOMweb server"),
        ("modality:", r"'modality:' is no modality, peer or DICOMweb server"),
    ],
)
def test_a_target_that_is_not_one_names_those_that_are(target: str, says: str) -> None:
    session: Any = SessionWithMachines(CONFIGURED).select(Modality="CT")
    with pytest.raises(SelectionError, match=says):
        send(session, target)
    assert session._sent == []


def test_without_the_dicomweb_plugin_the_other_targets_are_known() -> None:
    session: Any = SessionWithMachines(CONFIGURED, has_plugin=False).select("1.2.1.2.1")
    assert send(session, "research") == Sent(1, "peer", "research")
    with pytest.raises(SelectionError, match=r"peer:a b/c. Nothing was sent"):
        send(session, "archive")


def test_a_server_without_targets_says_so() -> None:
    session: Any = SessionWithMachines({"modalities": [], "peers": [], "dicomweb_servers": []})
    with pytest.raises(SelectionError, match="which has none"):
        send(session, "PACS")
