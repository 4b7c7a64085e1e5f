"""Copies from every kind of source to every kind of archive, whatever goes away meanwhile."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import DicomWeb, Folder, Orthanc
from simple_orthanc.errors import NotFoundError, OrthancError, SelectionError, TransportError, UnsupportedError
from simple_orthanc.session import Session
from simple_orthanc.session.acts import copying, originals
from simple_orthanc.session.acts.receiving import ServerReceiver
from simple_orthanc.session.acts.transfers import Transfer, plan_transfer
from simple_orthanc.session.uploads.files import Uploader
from tests.dicomweb_stand_in import DicomServer
from tests.memory_source import MemorySource, as_file, instance
from tests.orthanc_stand_in import OrthancServer
from tests.session.sessions import session_of, source_of
from tests.session.store_stand_in import Server

IMAGES = [
    *(instance(number, Rows=1) for number in (1, 2, 3)),
    *(instance(number, series="2", Rows=1) for number in (1, 2)),
]
OTHER = instance(9, patient="OTHER", study="9", Rows=1)
KINDS = ["folder", "orthanc", "dicomweb"]


@contextlib.contextmanager
def archive(kind: str, datasets: Sequence[Dataset], folder: Path) -> Iterator[Session]:
    """Open a session on an archive of a kind."""
    if kind == "folder":
        folder.mkdir()
        for number, dataset in enumerate(datasets):
            (folder / f"{number}.dcm").write_bytes(as_file(dataset))
        yield Folder(folder, cache=False)
    elif kind == "orthanc":
        with OrthancServer(datasets) as server, Orthanc(server.url, patience=0.1) as session:
            yield session
    else:
        with DicomServer(datasets) as server, DicomWeb(server.root, patience=0.1) as session:
            yield session


@pytest.mark.parametrize("there", KINDS)
@pytest.mark.parametrize("here", [*KINDS, "memory"])
def test_every_source_is_copied_to_every_archive(here: str, there: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        if here == "memory":
            source: Session = session_of(*IMAGES)
        else:
            source = stack.enter_context(archive(here, IMAGES, tmp_path / "here"))
        to = stack.enter_context(archive(there, [OTHER], tmp_path / "there"))
        assert to.instance_count == 1
        source.select(PatientID="P1")
        planned = source.send(to, dry_run=True)
        assert planned.status.tolist() == ["would be sent"] * 2
        assert to.refresh().instance_count == 1
        table = source.send(to)
        assert table.status.tolist() == ["sent", "sent"], table.message.tolist()
        assert table.sent_count.tolist() == [3, 2]
        # The other session knows of it.
        assert to.instance_count == 6
        assert [each.SOPInstanceUID for each in to.select(PatientID="P1").get_headers()] == [
            each.SOPInstanceUID for each in IMAGES
        ]
        again = source.send(to, level="instance")
        assert again.status.tolist() == ["already there"] * 5, again.message.tolist()
        assert to.reset().refresh().instance_count == 6
        if there == "folder":
            files = {path.read_bytes() for path in (tmp_path / "there").rglob("*.dcm")}
            assert files == {as_file(each) for each in [*IMAGES, OTHER]}


def test_exactly_what_is_selected_is_copied(tmp_path: Path) -> None:
    with archive("orthanc", [OTHER], tmp_path) as to:
        table = session_of(*IMAGES).select(InstanceNumber=[1, 2]).send(to)
        assert table.instance_count.tolist() == [2, 2]
        assert to.select(PatientID="P1").instance_count == 4


def test_other_archives_are_told_from_the_same(tmp_path: Path) -> None:
    with archive("folder", IMAGES, tmp_path / "here") as here, archive("orthanc", IMAGES, tmp_path) as server:
        (tmp_path / "here" / "inner").mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            inner = Folder(tmp_path / "here" / "inner", cache=False)
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "here")
        assert isinstance(server, Orthanc)
        port = server._source.description.rpartition(":")[2]
        for session, to in (
            (here, here),
            (here, here.copy()),
            (here, inner),
            (here, Folder(link, cache=False)),
            (server, server.copy()),
            (server, Orthanc("localhost", int(port))),
        ):
            with pytest.raises(SelectionError, match="already, so nothing was sent"):
                session.select(PatientID="P1").send(to)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("http://h:8042", "http://h:8042/dicom-web", True),
        ("http://h:8042/dicom-web/", "http://h:8042/", True),
        ("http://localhost:8042", "http://127.0.0.1:8042", True),
        ("http://h:8042", "http://h:8043", False),
        ("http://h/one", "http://h/two", False),
        ("http://h", "http://h/pacs/dicom-web", False),
    ],
)
def test_servers_are_told_apart_by_their_addresses(one: str, other: str, is_same: bool) -> None:
    sessions = [session_of(*IMAGES), session_of(*IMAGES)]
    for session, address in zip(sessions, (one, other), strict=True):
        source_of(session).description = address
    with pytest.raises(SelectionError) if is_same else contextlib.nullcontext():
        copying.check_archives_differ(*sessions)


def test_a_target_that_is_only_read_is_refused(tmp_path: Path) -> None:
    with archive("folder", [OTHER], tmp_path / "there") as to:
        memory = session_of(OTHER)
        with pytest.raises(UnsupportedError, match="a Session is only read"):
            to.select(PatientID="OTHER").send(memory)


def test_the_first_may_be_gone_already(tmp_path: Path) -> None:
    with archive("folder", [OTHER], tmp_path / "there") as to:
        source = session_of(*IMAGES)
        key = source.select(PatientID="P1")._instances()[0]

        class Gone(MemorySource):
            def stored_file(self, key: str) -> Any:
                raise NotFoundError("404", status=404)

            def save(self, one: str, path: Path) -> None:
                if one == key:
                    raise NotFoundError("404", status=404)
                super().save(one, path)

        table = Session(Gone(IMAGES)).select(PatientID="P1").send(to, level="instance")
        assert table.status.tolist() == ["gone", "sent", "sent", "sent", "sent"]


# What goes wrong with one instance


class Broken(MemorySource):
    """Raises errors for some instances."""

    def __init__(self, errors: dict[str, BaseException]) -> None:
        super().__init__(IMAGES)
        self.errors = errors
        self.is_alive = True

    def content(self, key: str) -> bytes:
        uid = key.rpartition("|")[2]
        if uid in self.errors:
            raise self.errors[uid]
        return super().content(key)

    def rows(self, level: Any, keys: Sequence[str]) -> Any:
        if not self.is_alive:
            raise TransportError("refused")
        return super().rows(level, keys)


def transfer_of(source: MemorySource) -> Transfer:
    return plan_transfer(Session(source), "instance", everything=True)


def copied(source: MemorySource, server: Server) -> Any:
    transfer = transfer_of(source)
    copying.copy(source, transfer, ServerReceiver(Uploader(server)))
    return transfer.report.table()


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_WORKERS", 1)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("404", status=404), "gone"),
        (SelectionError("changed since the folder was looked at"), "gone"),
        (TransportError("another object", is_about_object=True), "failed"),
        (TransportError("the stream broke"), "failed"),
    ],
)
def test_an_instance_that_cannot_be_read_is_a_row(error: OrthancError, status: str) -> None:
    server = Server()
    table = copied(Broken({"1.2.1.1.2": error}), server)
    assert table.status.tolist() == ["sent", status, "sent", "sent", "sent"]
    assert len(server.held) == 4


def test_a_conflict_is_a_row() -> None:
    server = Server()
    server.held["1.2.1.1.2"] = as_file(OTHER)
    table = copied(MemorySource(IMAGES), server)
    assert table.status.tolist() == ["sent", "conflict", "sent", "sent", "sent"]
    assert server.held["1.2.1.1.2"] == as_file(OTHER)


def test_an_error_of_the_target_about_one_instance_is_a_row() -> None:
    class Picky(Server):
        def find(self, content: Any) -> str | None:
            if b"1.2.1.1.2" in content:
                raise self.error
            return super().find(content)

    server = Picky()
    for error in (TransportError("cut off"), TransportError("other", is_about_object=True), SelectionError("odd")):
        server.error = error  # type: ignore[attr-defined]
        assert copied(MemorySource(IMAGES), server).status[1] == "failed"


def test_long_files_go_through_a_scratch_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, one_at_a_time: None
) -> None:
    monkeypatch.setattr(originals, "IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    most: list[int] = []

    class Counting(Server):
        def store(self, content: Any) -> Any:
            most.append(sum(1 for path in tmp_path.rglob("*") if path.is_file()))
            return super().store(content)

    server = Counting()
    assert copied(MemorySource(IMAGES), server).status.tolist() == ["sent"] * 5
    assert set(server.held.values()) == {as_file(each) for each in IMAGES}
    assert most == [1] * 5
    assert list(tmp_path.iterdir()) == []


def test_what_was_sent_is_compared_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_AT_ONCE", 2)
    compared: list[int] = []

    class Comparing(Server):
        def compare(self, files: Any) -> list[Any]:
            compared.append(len(files))
            return super().compare(files)

    assert copied(MemorySource(IMAGES), Comparing()).status.tolist() == ["sent"] * 5
    assert compared == [2, 2, 1]


# What goes away for good


@pytest.mark.parametrize("dies_at", [0, 2, 4])
def test_a_target_that_dies_in_the_middle(dies_at: int) -> None:
    class Dying(Server):
        gate = threading.Lock()

        def store(self, content: Any) -> Any:
            with self.gate:
                self.does_answer = self.does_answer and len(self.held) < dies_at
                return super().store(content)

    server = Dying()
    with pytest.raises(
        TransportError, match=r"\d of 5 objects (is|are) known to be sent.*connection refused"
    ) as caught:
        copied(MemorySource(IMAGES), server)
    table = caught.value.table
    sent = set(table.SOPInstanceUID[table.status == "sent"])
    assert sent <= set(server.held)
    assert set(table.status) <= {"sent", "failed", "not tried"}
    # What is not tried is not there.
    assert not set(table.SOPInstanceUID[table.status == "not tried"]) & set(server.held)
    again = Server()
    again.held = server.held
    table = copied(MemorySource(IMAGES), again)
    assert table.status.tolist().count("already there") == dies_at
    assert table.status.tolist().count("sent") == 5 - dies_at


def test_a_target_that_dies_before_it_could_be_compared_is_told(one_at_a_time: None) -> None:
    class Dying(Server):
        def compare(self, files: Any) -> list[Any]:
            raise TransportError("connection reset")

    with pytest.raises(TransportError, match="connection reset") as caught:
        copied(MemorySource(IMAGES), Dying())
    table = caught.value.table
    assert set(table.status) == {"sent"}
    assert set(table.message) == {"not compared with what the target holds"}


def test_a_source_that_dies_in_the_middle(one_at_a_time: None) -> None:
    source = Broken({"1.2.1.1.3": TransportError("refused")})
    transfer, server = transfer_of(source), Server()
    source.is_alive = False
    with pytest.raises(TransportError, match="refused") as caught:
        copying.copy(source, transfer, ServerReceiver(Uploader(server)))
    assert caught.value.table.status.tolist() == ["sent", "sent", "failed", "not tried", "not tried"]
    assert "may or may not be sent" in caught.value.table.message[2]
    assert len(server.held) == 2


def test_ctrl_c_leaves_the_table(one_at_a_time: None) -> None:
    server = Server()
    server.answers = [None, KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt) as caught:
        copied(MemorySource(IMAGES), server)
    table = vars(caught.value)["table"]
    assert table.status.tolist() == ["sent", "failed", "not tried", "not tried", "not tried"]


@pytest.mark.parametrize("error", [TransportError("gone"), KeyboardInterrupt()])
def test_the_other_session_stays_usable_after_an_error(
    error: BaseException, tmp_path: Path, one_at_a_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with archive("folder", [OTHER], tmp_path / "there") as to:
        source = Broken({"1.2.1.1.2": error})
        session = Session(source).select(PatientID="P1")
        save: Callable[..., None] = source.save

        def failing(key: str, path: Path) -> None:
            source.is_alive = False
            source.content(key)
            save(key, path)

        monkeypatch.setattr(source, "save", failing)
        with pytest.raises(type(error)) as caught:
            session.send(to)
        assert vars(caught.value)["table"].status.tolist() == ["failed", "not tried"]
        assert to.instance_count == 2
        assert {path.name for path in (tmp_path / "there").rglob("*") if path.is_file()} == {"0.dcm", "1.2.1.1.1.dcm"}


def test_a_target_that_goes_away_at_the_end_leaves_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Any) -> None:
        raise TransportError("refused")

    with archive("folder", [OTHER], tmp_path / "there") as to:
        monkeypatch.setattr(Folder, "_reread", gone)
        with pytest.raises(TransportError, match="2 of 2 objects are known to be sent") as caught:
            session_of(*IMAGES).select(PatientID="P1").send(to)
        assert caught.value.table.status.tolist() == ["sent", "sent"]
        monkeypatch.undo()
        assert to.reset().refresh().instance_count == 6
