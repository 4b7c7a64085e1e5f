"""Each version sends to each other one in every way, and what is said to be there is there."""

from __future__ import annotations

import contextlib
import copy
import io
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pydicom
import pytest

from simple_orthanc import DicomWeb, Folder, LocalOrthanc, Orthanc, Session, testing
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.local.server import free_port
from simple_orthanc.session.acts import originals
from tests.conftest import HOW_TO_GET_ONE, NO_SERVER, MakeServer, ask, empty, servers_of
from tests.dcmqrscp import TITLE, Dcmqrscp
from tests.faults.restarts import USER, in_the_middle, killed
from tests.killed import contents, run_killed, stamps

# The same code is measured with archives in memory.
pytestmark = [pytest.mark.live, pytest.mark.unmeasured]

# A server with this script says that it stored what it then does not hold: always, or by C-STORE alone.
NEVER, UNWANTED = "never", "not by C-STORE"
FILTER = f"""
function ReceivedInstanceFilter(dicom, origin)
    if dicom.PatientComments == '{NEVER}' then return false end
    return dicom.PatientComments ~= '{UNWANTED}' or origin.RequestOrigin ~= 'DicomProtocol'
end
"""
P1: dict[str, Any] = {"PatientID": "P1", "PatientName": "Müller^Ute", "SpecificCharacterSet": "ISO_IR 192"}
IMAGES = [
    *testing.make_series((3, 8, 8), seed=1, StudyInstanceUID="1.9.1", SeriesInstanceUID="1.9.1.1", **P1),
    *testing.make_series((2, 8, 8), seed=2, StudyInstanceUID="1.9.1", SeriesInstanceUID="1.9.1.2", **P1),
]
FILES = {testing.as_bytes(each) for each in IMAGES}
OBJECTS = {(str(each.SOPInstanceUID), each.PixelData) for each in IMAGES}


@dataclass(frozen=True)
class Node:
    """A server that knows the others."""

    server: LocalOrthanc
    session: Orthanc
    title: str
    port: int

    def objects(self) -> set[tuple[str, bytes]]:
        """Read what it holds now: DICOM's own protocol changes the file meta information."""
        datasets = [pydicom.dcmread(io.BytesIO(content)) for content in self.files()]
        return {(str(each.SOPInstanceUID), each.PixelData) for each in datasets}

    def files(self) -> set[bytes]:
        """Read all files that it holds now, without the code under test."""
        rest = self.session.rest
        return {rest.get(f"/instances/{key}/file") for key in rest.get("/instances")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = servers_of(metafunc.config).for_pairs or [NO_SERVER]
    pairs = list(permutations(names, 2)) or [(names[0], names[0])]
    if "there" in metafunc.fixturenames:
        if metafunc.definition.get_closest_marker("one_version"):
            pairs = pairs[-1:]
        metafunc.parametrize(("here", "there"), pairs, indirect=True, ids=["-to-".join(pair) for pair in pairs])
    elif "here" in metafunc.fixturenames:
        metafunc.parametrize("here", names, indirect=True)


@pytest.fixture(scope="module")
def nodes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """One server of each version, which would overwrite what it holds, and know each other in all three ways."""
    servers = servers_of(request.config)
    script = tmp_path_factory.mktemp("lua") / "filter.lua"
    script.write_text(FILTER)
    options = {"DicomServerEnabled": True, "OverwriteInstances": True, "LuaScripts": [str(script)]}
    options |= {f"DicomAlwaysAllow{what}": True for what in ("Echo", "Find", "Get", "Move", "Store")}
    with contextlib.ExitStack() as stack:
        made: dict[str, Node] = {}
        for name in servers.for_pairs:
            title, port = name.removeprefix("orthanc-").replace(".", "_").upper(), free_port()
            server = stack.enter_context(servers.make(name, {**options, "DicomAet": title, "DicomPort": port}))
            made[name] = Node(server, stack.enter_context(server.connect(patience=5)), title, port)
        for node, other in permutations(made.values(), 2):
            node.session.modalities.configure(other.title, aet=other.title, host="127.0.0.1", port=other.port)
            node.session.peers.configure(other.title, url=f"{other.server.url}/", timeout=10)
            node.session.dicomweb_servers.configure(other.title, url=f"{other.server.url}/dicom-web/", timeout=10)
        yield made


@pytest.fixture
def here(nodes: dict[str, Node], request: pytest.FixtureRequest) -> Node:
    """The server that sends, with two series in it."""
    node = emptied(nodes, request.param)
    node.session.upload_file(list(FILES))
    return node


@pytest.fixture
def there(nodes: dict[str, Node], request: pytest.FixtureRequest) -> Node:
    """The server that is sent to, with nothing in it."""
    return emptied(nodes, request.param)


def emptied(nodes: dict[str, Node], name: str) -> Node:
    if name == NO_SERVER:
        pytest.fail(f"No Orthanc server was found: {HOW_TO_GET_ONE}.")
    empty(nodes[name].server)
    nodes[name].session.reset().refresh()
    return nodes[name]


def changed() -> bytes:
    """Return the first image with another comment."""
    other = copy.deepcopy(IMAGES[0])
    other.PatientComments = "another"
    return testing.as_bytes(other)


def statuses(table: Any) -> list[str]:
    found: list[str] = table.status.tolist()
    return found


# To machines by name


@pytest.mark.parametrize("kind", ["modality", "peer", "dicomweb"])
def test_series_are_sent_to_a_machine_once(kind: str, here: Node, there: Node) -> None:
    session, target = here.session.select(PatientID="P1"), f"{kind}:{there.title}"
    assert statuses(session.send(target, dry_run=True)) == ["would be sent"] * 2
    assert there.files() == set()
    table = session.send(target)
    assert statuses(table) == ["sent", "sent"], table.message.tolist()
    assert table.sent_count.tolist() == [3, 2]
    assert ("not verified" in table.message[0]) is (kind == "peer")
    assert there.objects() == OBJECTS
    # A part of what is missing, and all that is there.
    there.session.rest.delete(f"/instances/{testing.orthanc_id_of(IMAGES[0])}")
    jobs = len(here.session.rest.get("/jobs"))
    table = session.send(target, level="instance")
    expected = ["sent"] * 5 if kind == "peer" else ["sent"] + ["already there"] * 4
    assert sorted(statuses(table), reverse=True) == expected
    if kind != "peer" and jobs < 10:
        assert len(here.session.rest.get("/jobs")) == jobs + 1
    assert there.objects() == OBJECTS
    # The same objects are no conflict, although a modality got files with other file meta information.
    assert statuses(session.send(there.session)) == ["already there"] * 2


@pytest.mark.one_version
def test_what_a_modality_takes_and_does_not_keep_was_not_sent(here: Node, there: Node) -> None:
    refused = testing.make_series((2, 8, 8), seed=3, SeriesInstanceUID="1.9.1.3", PatientComments=UNWANTED, **P1)
    here.session.upload_dataset(refused)
    table = here.session.select(PatientID="P1").send(f"modality:{there.title}")
    assert sorted(statuses(table)) == ["failed", "sent", "sent"]
    assert "the job reports success" in " ".join(table.message)
    assert there.objects() == OBJECTS


@pytest.mark.one_version
def test_a_machine_that_is_down_or_mute_is_a_row_within_its_timeout(here: Node, there: Node) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]
        machines = {
            "down": here.session.modalities.configure("down", aet="DOWN", host="127.0.0.1", port=1, timeout=2),
            "mute": here.session.modalities.configure("mute", aet="MUTE", host="127.0.0.1", port=port, timeout=1),
            "peer": here.session.peers.configure("peer", url="http://127.0.0.1:1/", timeout=2),
            "web": here.session.dicomweb_servers.configure("web", url="http://127.0.0.1:1/dicom-web/", timeout=2),
        }
        session = here.session.select(PatientID="P1")
        for name in machines:
            start = time.monotonic()
            table = session.send(name)
            assert time.monotonic() - start < 15
            assert statuses(table) == ["failed", "not tried"]
            assert f"{name!r} failed" in table.message[0]
            assert "does not answer any more" in table.message[1]
            assert session.send(name, dry_run=True).status.tolist() == ["would be sent"] * 2


@pytest.mark.one_version
def test_dcmqrscp_is_sent_to_once(here: Node, tmp_path: Path) -> None:
    with Dcmqrscp(tmp_path, free_port(), {here.title: here.port}) as pacs:
        here.session.modalities.configure("PACS", aet=TITLE, host="127.0.0.1", port=pacs.port)
        session = here.session.select(PatientID="P1")
        assert statuses(session.send("PACS")) == ["sent", "sent"]
        assert here.session.modalities["PACS"].instance_uids("1.9.1", "1.9.1.1") == {
            str(each.SOPInstanceUID) for each in IMAGES[:3]
        }
        assert statuses(session.send("PACS")) == ["already there"] * 2
        pacs.forget()


# To sessions


@pytest.mark.parametrize("how", ["session", "modality"])
def test_exactly_what_is_selected_is_sent(how: str, here: Node, nodes: dict[str, Node]) -> None:
    """Selections of each level, the last two of parts of series."""
    names = list(nodes)
    there = nodes[names[(list(nodes.values()).index(here) + 1) % len(names)]]
    uid = str(IMAGES[0].SOPInstanceUID)
    selections: list[tuple[dict[str, Any], list[int]]] = [
        ({"PatientID": "P1"}, [3, 2]),
        ({"StudyInstanceUID": "1.9.1"}, [3, 2]),
        ({"SeriesInstanceUID": "1.9.1.2"}, [2]),
        ({"SOPInstanceUID": uid}, [1]),
        ({"InstanceNumber": [1, 2]}, [2, 2]),
        ({"InstanceNumber": [3]}, [1]),
    ]
    for selection, counts in selections:
        emptied(nodes, names[list(nodes.values()).index(there)])
        session = here.session.reset().select(**selection)
        table = session.send(there.session if how == "session" else f"modality:{there.title}")
        assert set(statuses(table)) == {"sent"}
        assert table.instance_count.tolist() == table.sent_count.tolist() == counts
        wanted = set(session.get_dicom_tag("SOPInstanceUID", unique=False, level="instance"))
        assert {name for name, _ in there.objects()} == wanted
        assert len(wanted) == sum(counts)


def test_files_are_copied_between_servers_once(here: Node, there: Node) -> None:
    session = here.session.select(PatientID="P1")
    table = session.send(there.session)
    assert statuses(table) == ["sent", "sent"], table.message.tolist()
    assert there.files() == FILES
    assert there.session.instance_count == 5
    before = there.session._source.requests
    assert statuses(session.send(there.session)) == ["already there"] * 2
    # The MD5 of each, and no file.
    assert there.session._source.requests - before < 20
    # What is there and different stays, although this server would replace it.
    there.session.upload_file(changed())
    assert statuses(session.send(there.session)) == ["conflict", "already there"]
    assert there.files() == FILES - {testing.as_bytes(IMAGES[0])} | {changed()}


@pytest.mark.one_version
def test_long_files_are_copied_in_pieces(here: Node, there: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "IN_MEMORY", 100)
    session = here.session.select(PatientID="P1")
    assert statuses(session.send(there.session)) == ["sent", "sent"]
    assert there.files() == FILES
    there.session.upload_file(changed())
    assert statuses(session.send(there.session)) == ["conflict", "already there"]


def test_files_are_copied_over_dicomweb_once(here: Node, there: Node) -> None:
    session = here.session.select(PatientID="P1")
    with DicomWeb(f"{there.server.url}/dicom-web") as web:
        table = session.send(web)
        assert statuses(table) == ["sent", "sent"], table.message.tolist()
        assert web.instance_count == 5
        assert statuses(session.send(web)) == ["already there"] * 2
        there.session.upload_file(changed())
        assert statuses(session.send(web)) == ["conflict", "already there"]
    with DicomWeb(f"{here.server.url}/dicom-web") as web:
        assert statuses(web.select(PatientID="P1").send(there.session)) == ["conflict", "already there"]
        empty(there.server)
        assert statuses(web.send(there.session)) == ["sent", "sent"]
    assert there.files() == FILES


def test_files_are_copied_to_and_from_folders(here: Node, tmp_path: Path) -> None:
    top = tmp_path / "target"
    top.mkdir()
    (top / "other.dcm").write_bytes(testing.as_bytes(testing.make_series((1, 4, 4), seed=9, PatientID="P9")[0]))
    folder = Folder(top, cache=False)
    sources: list[Session] = [here.session.select(PatientID="P1")]
    sources.append(DicomWeb(f"{here.server.url}/dicom-web").select(PatientID="P1"))
    assert statuses(sources[0].send(folder)) == ["sent", "sent"]
    files = contents(top)
    assert set(files.values()) - {files["other.dcm"]} == FILES
    for source in sources:
        assert statuses(source.send(folder)) == ["already there"] * 2
    assert contents(top) == files
    assert folder.instance_count == 6
    empty(here.server)
    sources[1].close()
    for to in (here.session, here.session.dicomweb):
        assert statuses(folder.select(PatientID="P1").send(to.reset())) == (
            ["sent"] * 2 if to is here.session else ["already there"] * 2
        )
    assert here.files() == FILES


def test_a_server_is_no_target_for_what_it_holds(here: Node) -> None:
    session = here.session.select(PatientID="P1")
    for to in (here.session.copy(), here.session.dicomweb):
        with pytest.raises(SelectionError, match="already, so nothing was sent"):
            session.send(to)


def test_what_has_gone_and_what_is_damaged_are_rows(here: Node, there: Node) -> None:
    session = here.session.select(PatientID="P1")
    assert session.instance_count == len(session.get_headers()) == 5
    here.session.rest.delete(f"/instances/{testing.orthanc_id_of(IMAGES[1])}")
    table = session.send(there.session, level="instance")
    assert sorted(statuses(table)) == ["gone", "sent", "sent", "sent", "sent"]
    # On the way, between the plan and the copy.
    empty(there.server)
    table = session.send(f"modality:{there.title}", level="instance")
    assert sorted(statuses(table)) == ["gone", "sent", "sent", "sent", "sent"]
    assert len(there.files()) == 4


def test_a_filter_is_told(here: Node, tmp_path: Path) -> None:
    refused = testing.make_series((2, 8, 8), seed=3, SeriesInstanceUID="1.9.1.3", PatientComments=NEVER, **P1)
    for number, each in enumerate([*refused, IMAGES[0]]):
        (tmp_path / f"{number}.dcm").write_bytes(testing.as_bytes(each))
    table = Folder(tmp_path, cache=False).select(PatientID="P1").send(here.session, level="instance")
    assert sorted(statuses(table)) == ["already there", "failed", "failed"]
    assert "the server's filter refused it" in table.message.tolist()


# Killed in the middle


def big_archive(server: LocalOrthanc, count: int) -> Orthanc:
    session = server.connect(patience=2)
    session.upload_dataset(testing.make_series((count, 64, 64), seed=7, PatientID="KILLED"))
    return session.refresh().select(PatientID="KILLED")


def kill_after(server: LocalOrthanc, count: int) -> threading.Thread:
    """Kill a server once it holds some instances."""

    def run() -> None:
        while ask(server, "/statistics")["CountInstances"] < count:
            time.sleep(0.005)
        killed(server)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.one_version
@pytest.mark.parametrize("how", ["session", "modality"])
def test_a_target_that_is_killed_leaves_a_true_table(how: str, make_server: MakeServer, tmp_path: Path) -> None:
    port = free_port()
    config = {"HttpPort": free_port(), "DicomServerEnabled": True, "DicomPort": port, "DicomAlwaysAllowFind": True}
    target = make_server({**config, "DicomAlwaysAllowStore": True}, folder=tmp_path / "target")
    # Orthanc's own job takes 0.1 s for each.
    count = 200 if how == "session" else 50
    with big_archive(make_server(), count) as session:
        session.modalities.configure("TARGET", aet="TARGET", host="127.0.0.1", port=port, timeout=3)
        to: Any = "TARGET" if how == "modality" else target.connect(patience=1)
        options: dict[str, Any] = {"level": "instance"} if how == "session" else {}
        thread = kill_after(target, 10)
        if how == "session":
            with pytest.raises(TransportError, match="server went away") as caught:
                session.send(to, **options)
            table = caught.value.table
        else:
            table = session.send(to, **options)
            assert statuses(table) == ["failed"]
            assert "What was sent before that may be there" in table.message[0]
        thread.join()
        target.start()
        with target.connect() as there:
            held = set(there.reset().get_dicom_tag("SOPInstanceUID", unique=False, level="instance"))
            assert 10 <= len(held) < count
            if how == "session":
                assert len(table) == count
                assert set(table.SOPInstanceUID[table.status == "sent"]) <= held
                assert not set(table.SOPInstanceUID[table.status == "not tried"]) & held
            again = session.send(to, **options)
            assert int(again.sent_count.sum()) == count - len(held)
            assert int(again.already_there_count.sum()) == len(held)
            assert there.refresh().instance_count == count


@pytest.mark.one_version
def test_a_target_that_comes_back_in_time_is_waited_for(make_server: MakeServer, tmp_path: Path) -> None:
    target = make_server({"HttpPort": free_port(), "RegisteredUsers": USER}, folder=tmp_path / "target")
    with big_archive(make_server(), 200) as session, target.connect() as to:
        table = in_the_middle(target, to, 60, lambda: session.send(to))
        assert statuses(table) == ["sent"]
        assert to.refresh().instance_count == 200


@pytest.mark.one_version
def test_a_copy_to_a_folder_that_is_killed_is_finished(make_server: MakeServer, tmp_path: Path) -> None:
    with big_archive(make_server(), 30) as session:
        (tmp_path / "target").mkdir()
        session.download(tmp_path / "whole")
        (tmp_path / "target" / "other.dcm").write_bytes(testing.as_bytes(IMAGES[0]))
        body = f"""
orthanc = Orthanc({session._source.description!r}).select(PatientID="KILLED")
orthanc.send(Folder({str(tmp_path / "target")!r}, cache=False))
"""
        run_killed(body, 10)
        before = stamps(tmp_path / "target")
        folder = Folder(tmp_path / "target", cache=False)
        held = folder.instance_count
        assert 2 <= held < 31
        table = session.send(folder, level="instance")
        assert sorted(statuses(table)) == ["already there"] * (held - 1) + ["sent"] * (31 - held)
        files = contents(tmp_path / "target")
        assert files.pop("other.dcm") == testing.as_bytes(IMAGES[0])
        assert files == contents(tmp_path / "whole")
        # Nothing that was there was written again, and nothing else is left.
        after = stamps(tmp_path / "target")
        assert {name: after[name] for name in before if name in after and "part" not in name} == {
            name: stamp for name, stamp in before.items() if name.endswith(".dcm") and not name.startswith(".")
        }


def test_an_instance_that_the_server_cannot_read_is_a_row_and_the_rest_is_sent(
    make_server: MakeServer, nodes: dict[str, Node], tmp_path: Path
) -> None:
    there = nodes[list(nodes)[-1]]
    # Without a cache the file is read again.
    server = make_server({"MaximumStorageCacheSize": 0, "DicomAet": "BROKEN"}, folder=tmp_path / "server")
    with server.connect(patience=1) as session:
        session.upload_file(list(FILES))
        lost = str(IMAGES[1].SOPInstanceUID)
        uuid = session.rest.instances[testing.orthanc_id_of(IMAGES[1])].description["FileUuid"]
        (stored,) = (tmp_path / "server").rglob(uuid)
        stored.unlink()
        session.modalities.configure("C", aet=there.title, host="127.0.0.1", port=there.port)
        session.peers.configure("P", url=f"{there.server.url}/")
        session.dicomweb_servers.configure("W", url=f"{there.server.url}/dicom-web/")
        session.refresh().select(PatientID="P1")
        for to in ("C", "P", "W", there.session):
            emptied(nodes, list(nodes)[-1])
            table = session.send(to)
            assert statuses(table) == ["failed", "sent"], (to, table.message.tolist())
            assert table.sent_count.tolist() == [2, 2], (to, table.message.tolist())
            assert lost in table.message[0]
            assert there.objects() == {(uid, pixels) for uid, pixels in OBJECTS if uid != lost}
