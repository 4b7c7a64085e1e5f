"""Every pair of versions: echo, find at four levels, move, get, store, worklists, peers and DICOMweb servers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from simple_orthanc import LocalOrthanc, Orthanc, UnsupportedError
from simple_orthanc.errors import AuthenticationError, EmptySelectionError, JobError, ServerError
from simple_orthanc.local.server import free_port
from tests.conftest import HOW_TO_GET_ONE, NO_SERVER, TWIN, servers_of
from tests.live.archives import file_bytes

pytestmark = pytest.mark.live

USER, PASSWORD = "jane", "wonder-land-4711"
INSTANCES = 3
# Inside Orthanc's package, beside the plugins that are found.
WORKLISTS = "libModalityWorklists.so"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = servers_of(metafunc.config).for_pairs
    if "here" in metafunc.fixturenames:
        pairs = list(permutations(names, 2)) or [(NO_SERVER, NO_SERVER)]
        metafunc.parametrize(("here", "there"), pairs, indirect=True, ids=["-to-".join(pair) for pair in pairs])


@dataclass(frozen=True)
class Node:
    """A server that knows the others."""

    name: str
    server: LocalOrthanc
    session: Orthanc
    port: int

    @property
    def title(self) -> str:
        """Its AE title."""
        return title_of(self.name)

    @property
    def patient(self) -> str:
        """The patient that it holds."""
        return f"{self.name}-patient"

    def count(self, patient: str) -> int:
        """Count the instances of a patient that it holds now."""
        found = self.session.rest.post("/tools/find", {"Level": "Instance", "Query": {"PatientID": patient}})
        return len(found)

    def forget(self, patient: str) -> None:
        """Delete a patient."""
        for identifier in self.session.rest.post("/tools/find", {"Level": "Patient", "Query": {"PatientID": patient}}):
            self.session.rest.delete(f"/patients/{identifier}")


def title_of(name: str) -> str:
    return name.upper().replace(".", "_")[-16:]


def files_of(name: str) -> list[bytes]:
    """Return the files of one patient: a study with one series."""
    return [
        file_bytes(
            {
                "PatientID": f"{name}-patient",
                "PatientName": "Müller^Ute",
                "StudyDate": "20200131",
                "StudyInstanceUID": f"1.7.{number_of(name)}",
                "SeriesInstanceUID": f"1.7.{number_of(name)}.1",
                "SeriesNumber": "1",
                "Modality": "CT",
                "SOPInstanceUID": f"1.7.{number_of(name)}.1.{instance}",
                "InstanceNumber": str(instance),
            }
        )
        for instance in range(1, INSTANCES + 1)
    ]


def number_of(name: str) -> str:
    return name.removeprefix("orthanc-").replace(".", "").replace(TWIN, "2")


def worklist_file() -> Dataset:
    step = Dataset()
    step.Modality = "CT"
    step.ScheduledStationAETitle = "STATION"
    step.ScheduledProcedureStepStartDate = "20260131"
    step.ScheduledProcedureStepStartTime = "100000"
    entry = Dataset()
    entry.SpecificCharacterSet = "ISO_IR 192"
    entry.PatientID = "W1"
    entry.PatientName = "Müller^Ute"
    entry.ScheduledProcedureStepSequence = [step]
    entry.file_meta = FileMetaDataset()
    entry.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    entry.file_meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    entry.file_meta.MediaStorageSOPInstanceUID = "1.7.1"
    return entry


@pytest.fixture(scope="module")
def nodes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """One server of each version, which know each other in all three ways."""
    servers = servers_of(request.config)
    folder = tmp_path_factory.mktemp("worklists")
    worklist_file().save_as(folder / "one.wl", enforce_file_format=True)
    (folder / "lockfile").touch()
    ports = {name: free_port() for name in servers.for_pairs}
    found: dict[str, Node] = {}
    with contextlib.ExitStack() as stack:
        for name in servers.for_pairs:
            plugins = servers.recipe(name)["config"]["Plugins"]
            beside = Path(plugins[0]).with_name(WORKLISTS)
            config = {
                "RegisteredUsers": {USER: PASSWORD},
                "DicomServerEnabled": True,
                "DicomPort": ports[name],
                "DicomAet": title_of(name),
                "Plugins": [*plugins, str(beside)],
                "Worklists": {"Enable": True, "Database": str(folder)},
            }
            server = stack.enter_context(servers.make(name, config))
            session = stack.enter_context(server.connect())
            session.upload_file(files_of(name))
            found[name] = Node(name, server, session, ports[name])
        for here in found.values():
            for there in found.values():
                configure(here, there)
        yield found


def configure(here: Node, there: Node) -> None:
    name = there.title
    here.session.modalities.configure(name, aet=there.title, host="127.0.0.1", port=there.port, timeout=10)
    login = {"username": USER, "password": PASSWORD, "timeout": 10}
    here.session.peers.configure(name, url=f"{there.server.url}/", **login)
    here.session.dicomweb_servers.configure(name, url=f"{there.server.url}/dicom-web/", **login)


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Node:
    """The server that asks."""
    return node_of(request)


@pytest.fixture
def there(request: pytest.FixtureRequest) -> Node:
    """The server that is asked."""
    return node_of(request)


def node_of(request: pytest.FixtureRequest) -> Node:
    if request.param == NO_SERVER:
        pytest.fail(f"No Orthanc server was found: {HOW_TO_GET_ONE}.")
    nodes: dict[str, Node] = request.getfixturevalue("nodes")
    return nodes[request.param]


def test_a_modality_of_another_version(here: Node, there: Node) -> None:
    modality: Any = here.session.modalities[there.title]
    modality.echo(timeout=5)
    found = {}
    for level, count in {"patient": 1, "study": 1, "series": 1, "instance": INSTANCES}.items():
        frame = modality.find(level, PatientID=there.patient, PatientName="müller*")
        found[level] = frame
        assert len(frame) == count
        assert frame["PatientID"].unique().tolist() == [there.patient]
    assert here.session.rest.get("/queries") == []
    ways = ["move"]
    if here.session.rest.capabilities.version >= (1, 12, 6):
        ways.append("get")
    else:
        with pytest.raises(UnsupportedError, match="C-GET needs"):
            modality.retrieve(found["study"], how="get")
    for way in ways:
        assert modality.retrieve(found["series"], how=way).state == "Success"
        assert here.count(there.patient) == INSTANCES
        here.forget(there.patient)
    one = here.session.copy().select(PatientID=here.patient, InstanceNumber=[1, 3])
    assert modality.store(one, commit=True, timeout=5).content["InstancesCount"] == 2
    assert there.count(here.patient) == 2
    there.forget(here.patient)


def test_an_unknown_study_is_never_retrieved(nodes: dict[str, Node]) -> None:
    there = next(iter(nodes.values()))
    for here in list(nodes.values())[1:]:
        modality = here.session.modalities[there.title]
        with pytest.raises(EmptySelectionError, match="holds no study"):
            modality.retrieve(StudyInstanceUID="1.7.9")
        # Orthanc 1.12.7 reports success for a C-GET that brings nothing.
        with pytest.raises(JobError, match=r"did not arrive: 1\.7\.9|does not hold what was asked for"):
            modality.retrieve({"StudyInstanceUID": "1.7.9"}, how="get", timeout=1)


def test_the_worklist_of_another_version(here: Node, there: Node) -> None:
    frame = here.session.modalities[there.title].find_worklist(
        Modality="CT", ScheduledProcedureStepStartDate="20260131"
    )
    assert frame["PatientID"].tolist() == ["W1"]
    assert frame["PatientName"].tolist() == ["Müller^Ute"]
    assert frame["ScheduledStationAETitle"].tolist() == [("STATION",)]


def test_a_peer_of_another_version(here: Node, there: Node) -> None:
    peer = here.session.peers[there.title]
    assert peer.version == there.name.removeprefix("orthanc-").removesuffix(TWIN)
    assert peer.store(here.session.copy().select(PatientID=here.patient), compress=True).state == "Success"
    assert there.count(here.patient) == INSTANCES
    there.forget(here.patient)


def test_a_dicomweb_server_of_another_version(here: Node, there: Node) -> None:
    server: Any = here.session.dicomweb_servers[there.title]
    for level, count in {"study": 1, "series": 1, "instance": INSTANCES}.items():
        assert len(server.find(level, PatientID=there.patient)) == count
    assert server.retrieve(PatientID=there.patient).state == "Success"
    assert here.count(there.patient) == INSTANCES
    here.forget(there.patient)
    assert server.store(here.session.copy().select(PatientID=here.patient)).state == "Success"
    assert there.count(here.patient) == INSTANCES
    there.forget(here.patient)


def test_a_machine_that_is_down_or_refuses_is_an_error(nodes: dict[str, Node]) -> None:
    for node in nodes.values():
        session = node.session
        machines: Any = {
            "modality": session.modalities.configure("DEAD", aet="DEAD", host="127.0.0.1", port=1),
            "peer": session.peers.configure("DEAD", url="http://127.0.0.1:1/"),
        }
        with pytest.raises(ServerError, match="Nothing listens at its host and port"):
            machines["modality"].echo(timeout=2)
        with pytest.raises(ServerError, match="Nothing listens at its host and port"):
            machines["peer"].system()
        for machine in machines.values():
            with pytest.raises(JobError, match="Nothing listens at its host and port"):
                machine.store(session.copy().select(PatientID=node.patient))
        login = {"username": USER, "password": "another-one", "timeout": 5}
        stranger = session.peers.configure("STRANGER", url=node.server.url, **login)
        with pytest.raises(ServerError, match="It refused: check the user and password"):
            stranger.system()
        server = session.dicomweb_servers.configure("STRANGER", url=f"{node.server.url}/dicom-web/", **login)
        with pytest.raises(AuthenticationError, match=r"asked by .* answered 401 to /studies"):
            server.find()
        del session.peers["STRANGER"], session.dicomweb_servers["STRANGER"]
        del session.modalities["DEAD"]
        del session.peers["DEAD"]
        assert "DEAD" not in session.modalities
