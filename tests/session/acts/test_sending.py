"""Sending to modalities, peers and DICOMweb servers: how a target is named, and what is believed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simple_orthanc.errors import JobError, NotFoundError, SelectionError, ServerError, TransportError, UnsupportedError
from simple_orthanc.rest.remote.dicomweb_servers import DicomWebServer
from simple_orthanc.rest.remote.modalities import Modality
from simple_orthanc.rest.remote.peers import Peer
from simple_orthanc.session import Session
from simple_orthanc.session.acts import sending
from simple_orthanc.session.acts.sending import find_machine, send_to_machine
from tests.memory_source import MemorySource, instance
from tests.session.sessions import source_of

CONFIGURED = {
    "modalities": ["PACS", "both"],
    "peers": ["research", "both", "a b/c"],
    "dicomweb_servers": ["archive", "research"],
}
IMAGES = [
    *(instance(number) for number in (1, 2, 3)),
    *(instance(number, series="2") for number in (1, 2)),
    instance(1, series="1", study="2", patient="P2"),
]


class Job:
    """A job that has ended, or fails when it is waited for."""

    def __init__(self, content: Any, error: BaseException | None) -> None:
        self.content, self._error = content, error
        self.is_cancelled = False

    def wait(self, **_: object) -> None:
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        self.is_cancelled = True


class Remote:
    """What a machine holds and how it behaves.

    Attributes
    ----------
    held : set of str
        SOPInstanceUIDs.
    sent : list of list of str
        The UIDs of each job.
    """

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.sent: list[list[str]] = []
        self.jobs: list[Job] = []
        self.listed = 0
        self.is_alive = True
        self.take: Callable[[list[str]], tuple[list[str], BaseException | None]] = lambda uids: (uids, None)
        self.list: Callable[[set[str]], set[str]] = lambda held: held
        self.count: Callable[[int], int] = lambda count: count

    def store(self, keys: list[str], *, wait: bool) -> Any:
        uids = [key.rpartition("|")[2] for key in keys]
        self.sent.append(uids)
        taken, error = self.take(uids)
        self.held.update(taken)
        if isinstance(error, NotFoundError):
            raise error
        # The DICOMweb plugin writes counts as strings.
        self.jobs.append(Job({"InstancesCount": str(self.count(len(uids)))}, error))
        return self.jobs[-1]

    def instance_uids(self, study: str, series: str) -> set[str]:
        self.listed += 1
        return {uid for uid in self.list(self.held) if uid.startswith(f"{series}.")}


def machine_of(kind: type[Any], name: str, remote: Remote) -> Any:
    class Connected(kind):  # type: ignore[misc]
        def __init__(self) -> None:
            self.name = name

        store = staticmethod(remote.store)
        instance_uids = staticmethod(remote.instance_uids)

        def is_alive(self) -> bool:
            return remote.is_alive

    return Connected()


class NoPlugin(dict[str, Any]):
    """The DICOMweb servers of a server without the plugin."""

    def __iter__(self) -> Iterator[str]:
        raise UnsupportedError("There is no DICOMweb plugin.")


class SessionWithMachines(Session):
    """Three series in memory, on a server that knows other machines, all of which are one."""

    def __init__(self, configured: dict[str, list[str]] = CONFIGURED, has_plugin: bool = True) -> None:
        super().__init__(MemorySource(IMAGES))
        self._remote = Remote()
        kinds = {"modalities": Modality, "peers": Peer, "dicomweb_servers": DicomWebServer}
        self._machines = {
            kind: {name: machine_of(kinds[kind], name, self._remote) for name in names}
            for kind, names in configured.items()
        }
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


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_SECONDS_TO_LIST", 0.05)
    monkeypatch.setattr(sending, "_PAUSE", 0.01)


def sent(session: Any, target: str = "PACS", **options: Any) -> Any:
    return send_to_machine(session, target, **{"level": "series", "everything": False, "dry_run": False, **options})


# Names


@pytest.mark.parametrize(
    ("target", "kind", "name"),
    [
        ("PACS", Modality, "PACS"),
        ("peer:research", Peer, "research"),
        ("archive", DicomWebServer, "archive"),
        ("dicomweb:research", DicomWebServer, "research"),
        ("peer:both", Peer, "both"),
        ("modality:both", Modality, "both"),
        ("a b/c", Peer, "a b/c"),
    ],
)
def test_a_machine_is_found_by_its_name(target: str, kind: type[Any], name: str) -> None:
    session: Any = SessionWithMachines()
    machine = find_machine(session, target)
    assert isinstance(machine, kind)
    assert machine.name == name


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
    session: Any = SessionWithMachines().select(PatientID="P1")
    with pytest.raises(SelectionError, match=says):
        sent(session, target)
    assert session._remote.sent == []


def test_without_the_dicomweb_plugin_the_other_targets_are_known() -> None:
    session: Any = SessionWithMachines(has_plugin=False).select("1.2.1.2.1")
    assert sent(session, "research").status.tolist() == ["sent"]
    with pytest.raises(SelectionError, match=r"peer:a b/c. Nothing was sent"):
        sent(session, "archive")


def test_a_server_without_targets_says_so() -> None:
    session: Any = SessionWithMachines({"modalities": [], "peers": [], "dicomweb_servers": []})
    with pytest.raises(SelectionError, match="which has none"):
        sent(session)


# What is sent


@pytest.mark.parametrize("target", ["PACS", "archive"])
def test_exactly_what_is_selected_is_sent_once(target: str) -> None:
    session: Any = SessionWithMachines().select(InstanceNumber=[1, 2], PatientID="P1")
    assert sent(session, target, dry_run=True).status.tolist() == ["would be sent"] * 2
    assert session._remote.sent == []
    table = sent(session, target)
    assert session._remote.sent == [["1.2.1.1.1", "1.2.1.1.2"], ["1.2.1.2.1", "1.2.1.2.2"]]
    assert table.status.tolist() == ["sent", "sent"]
    assert table.message.tolist() == ["", ""]
    again = sent(session, target)
    assert again.status.tolist() == ["already there"] * 2
    assert "by which alone it can be compared" in again.message[0]
    assert len(session._remote.sent) == 2


def test_what_is_missing_is_sent() -> None:
    session: Any = SessionWithMachines().select("1.2.1.1")
    session._remote.held = {"1.2.1.1.2"}
    (row,) = sent(session).to_dict("records")
    assert session._remote.sent == [["1.2.1.1.1", "1.2.1.1.3"]]
    assert (row["status"], row["sent_count"], row["already_there_count"]) == ("sent", 2, 1)


def test_the_whole_archive_is_sent_if_that_is_allowed() -> None:
    session: Any = SessionWithMachines()
    with pytest.raises(SelectionError, match="whole archive would be sent"):
        sent(session)
    assert sent(session, everything=True, level="instance").status.tolist() == ["sent"] * 6


def test_a_peer_cannot_be_asked() -> None:
    session: Any = SessionWithMachines().select("1.2.1.1")
    for _ in range(2):
        (row,) = sent(session, "peer:research").to_dict("records")
        assert row["status"] == "sent"
        assert "was not verified: the peer 'research' cannot be asked what it holds" in row["message"]
    assert session._remote.listed == 0
    session._remote.count = lambda count: count - 1
    (row,) = sent(session, "peer:research").to_dict("records")
    assert row["status"] == "failed"
    assert "2 of 3 instances" in row["message"]


def test_a_machine_that_does_not_list_is_asked_once() -> None:
    def refuse(held: set[str]) -> set[str]:
        raise ServerError("Refused: out of resources.", status=500)

    session: Any = SessionWithMachines().select(PatientID="P1")
    session._remote.list = refuse
    table = sent(session)
    assert table.status.tolist() == ["sent", "sent"]
    assert "does not list its instances (Refused: out of resources)" in table.message[0]
    assert session._remote.listed == 1


def test_what_is_taken_and_not_listed_is_not_believed() -> None:
    session: Any = SessionWithMachines().select(PatientID="P1")
    session._remote.take = lambda uids: ([uid for uid in uids if uid != "1.2.1.1.2"], None)
    table = sent(session)
    assert table.status.tolist() == ["failed", "sent"]
    assert table.failed_count.tolist() == [1, 0]
    assert (
        "1 of 3 failed (1.2.1.1.2): the job reports success, and the modality 'PACS' does not list" in table.message[0]
    )


def test_what_is_listed_a_moment_later_has_arrived() -> None:
    session: Any = SessionWithMachines().select("1.2.1.1")
    remote = session._remote
    remote.list = lambda held: held if remote.listed > 3 else set()
    assert sent(session).status.tolist() == ["sent"]
    assert remote.listed == 4


def test_what_may_list_no_more_than_a_limit_is_not_said_to_lack_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "USUAL_LIMIT", 2)
    monkeypatch.setattr(sending, "may_be_limit", lambda count: count == 2)
    session: Any = SessionWithMachines().select("1.2.1.1")
    session._remote.list = lambda held: set(sorted(held)[:2])
    (row,) = sent(session).to_dict("records")
    assert row["status"] == "sent"
    assert "may list no more than 2 instances" in row["message"]


# What fails


def failing_at(number: int, error: BaseException, taken: int = 0) -> Any:
    """Let a job fail, after some of its instances have been taken."""
    count = iter(range(100))
    return lambda uids: (uids[:taken], error) if next(count) == number else (uids, None)


def test_a_series_that_is_refused_does_not_keep_the_rest() -> None:
    def refuse(uids: list[str]) -> Any:
        is_refused = uids[0].startswith("1.2.1.1.")
        return [], JobError("Sending failed: no presentation context.", status=500) if is_refused else None

    session: Any = SessionWithMachines()
    remote = session._remote
    remote.take = lambda uids: refuse(uids) if refuse(uids)[1] else (uids, None)
    table = sent(session, everything=True)
    assert table.status.tolist() == ["failed", "sent", "sent"]
    assert table.message[0] == "Sending failed: no presentation context."
    # All of it at once, and then three in a row by themselves.
    assert [len(uids) for uids in remote.sent] == [3, 1, 1, 1, 2, 1]
    # Calling it again sends what is left.
    remote.sent.clear()
    remote.take = lambda uids: (uids, None)
    assert sent(session, everything=True).status.tolist() == ["sent", "already there", "already there"]
    assert remote.sent == [["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"]]


def test_what_refuses_one_after_the_other_is_not_asked_for_each() -> None:
    session: Any = SessionWithMachines()
    source_of(session).datasets = [instance(number) for number in range(1, 9)]
    session._remote.take = lambda uids: ([], JobError("Sending failed: refused.", status=500))
    (row,) = sent(session, everything=True).to_dict("records")
    assert (row["status"], row["failed_count"], row["message"]) == ("failed", 8, "Sending failed: refused.")
    assert len(session._remote.sent) == 1 + 3


@pytest.mark.parametrize("target", ["PACS", "peer:research"])
def test_an_instance_that_cannot_be_sent_does_not_keep_the_others(target: str) -> None:
    def stop_at_the_second(uids: list[str]) -> Any:
        if "1.2.1.1.2" not in uids:
            return uids, None
        taken = uids[: uids.index("1.2.1.1.2")]
        return taken, JobError("Sending failed: inexistent file.", status=500)

    session: Any = SessionWithMachines()
    session._remote.take = stop_at_the_second
    table = sent(session, target, everything=True)
    assert table.status.tolist() == ["failed", "sent", "sent"]
    assert table.sent_count.tolist() == [2, 2, 1]
    assert "1 of 3 failed (1.2.1.1.2): Sending failed: inexistent file." in table.message[0]
    assert len(session._remote.held) == 5


@pytest.mark.parametrize("target", ["PACS", "peer:research", "archive"])
def test_a_machine_that_is_down_is_tried_once(target: str) -> None:
    def silent(held: set[str]) -> set[str]:
        raise ServerError("TCP Initialization Error", status=500)

    session: Any = SessionWithMachines()
    session._remote.take = lambda uids: ([], JobError("Sending failed: refused.", status=500))
    session._remote.list, session._remote.is_alive = silent, False
    table = sent(session, target, everything=True)
    assert table.status.tolist() == ["failed", "not tried", "not tried"]
    assert table.message[0] == "Sending failed: refused. What was sent before that may be there."
    assert "does not answer any more" in table.message[1]
    assert len(session._remote.sent) == 1


def test_what_has_gone_meanwhile_is_left_out() -> None:
    session: Any = SessionWithMachines().select("1.2.1.1")
    remote, source = session._remote, source_of(session)

    def go(uids: list[str]) -> Any:
        if "1.2.1.1.2" in uids:
            source.datasets = [each for each in source.datasets if each.SOPInstanceUID != "1.2.1.1.2"]
            return [], NotFoundError("holds no such id", status=404)
        return uids, None

    remote.take = go
    table = sent(session, level="instance")
    assert table.status.tolist() == ["sent", "gone", "sent"]
    # The same in one job.
    session = SessionWithMachines().select("1.2.1.1")
    remote, source = session._remote, source_of(session)
    remote.take = go
    (row,) = sent(session).to_dict("records")
    assert (row["sent_count"], row["failed_count"]) == (2, 1)
    assert "1 of 3 gone (1.2.1.1.2)" in row["message"]
    assert remote.sent == [["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"], ["1.2.1.1.1", "1.2.1.1.3"]]


def test_a_refusal_of_ids_that_are_there_is_a_failure() -> None:
    session: Any = SessionWithMachines().select("1.2.1.1")
    session._remote.take = lambda uids: ([], NotFoundError("the server knows no modality of that name", status=404))
    (row,) = sent(session).to_dict("records")
    assert (row["status"], len(session._remote.sent)) == ("failed", 1)
    assert "no modality of that name" in row["message"]


@pytest.mark.parametrize("error", [TransportError("refused"), KeyboardInterrupt()])
def test_the_end_of_the_server_and_ctrl_c_leave_the_table(error: BaseException) -> None:
    session: Any = SessionWithMachines()
    session._remote.take = failing_at(1, error)
    with pytest.raises(type(error)) as caught:
        sent(session, everything=True)
    table = vars(caught.value)["table"]
    assert table.status.tolist() == ["sent", "failed", "not tried"]
    assert "may or may not be sent" in table.message[1]
    assert session._remote.jobs[1].is_cancelled
