"""A PACS is a session: DCMTK's dcmqrscp behind each version of Orthanc, and each version behind each other."""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import LocalOrthanc, Orthanc
from simple_orthanc.errors import JobError, UnsupportedError
from simple_orthanc.local.server import free_port
from simple_orthanc.phantom import make_series
from simple_orthanc.session.pacs import Pacs
from tests.conftest import HOW_TO_GET_ONE, NO_SERVER, empty, servers_of
from tests.dcmqrscp import TITLE, Dcmqrscp

pytestmark = pytest.mark.live

SHAPE = (3, 4, 4)
UNKNOWN = ["SeriesDescription", "OperatorsName", "BodyPartExamined"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = servers_of(metafunc.config).for_pairs or [NO_SERVER]
    if metafunc.definition.get_closest_marker("one_version"):
        names = names[:1]
    if "there" in metafunc.fixturenames:
        pairs = list(permutations(names, 2)) or [(names[0], names[0])]
        metafunc.parametrize(("here", "there"), pairs, indirect=True, ids=["-to-".join(pair) for pair in pairs])
    elif "here" in metafunc.fixturenames:
        metafunc.parametrize("here", names, indirect=True)


@dataclass(frozen=True)
class Node:
    """A server that takes DICOM, and knows the others and dcmqrscp."""

    name: str
    server: LocalOrthanc
    session: Orthanc
    title: str
    port: int


def studies() -> list[Dataset]:
    """Make two patients whose PatientIDs differ in case only: three studies, five series."""
    told: list[tuple[str, str, str, str, str]] = [
        ("1", "qr1", "Doe^Jane", "20200131", "CT"),
        ("1", "qr1", "Doe^Jane", "20200131", "MR"),
        ("2", "QR1", "Müller^Rémi", "20210131", "CT"),
        ("2", "QR1", "Müller^Rémi", "20210131", "PT"),
        ("3", "QR1", "王^小", "20220131", "MR"),
    ]
    found = []
    for number, (study, patient, name, day, modality) in enumerate(told, 1):
        tags = {
            "SpecificCharacterSet": "ISO_IR 192",
            "PatientID": patient,
            "PatientName": name,
            "StudyDate": day,
            "StudyID": study,
            "AccessionNumber": f"A{study}",
            "StudyInstanceUID": f"1.8.{study}",
            "SeriesInstanceUID": f"1.8.{study}.{number}",
            "SeriesNumber": number,
            "SeriesDescription": f"{modality} of {patient}",
            "Modality": modality,
        }
        found += make_series(SHAPE, seed=number, **tags)
    return found


@pytest.fixture(scope="module")
def nodes(request: pytest.FixtureRequest) -> Iterator[dict[str, Node]]:
    servers = servers_of(request.config)
    options = {"DicomServerEnabled": True, "DefaultEncoding": "Utf8"}
    options |= {f"DicomAlwaysAllow{what}": True for what in ("Echo", "Find", "Get", "Move", "Store")}
    with contextlib.ExitStack() as stack:
        made: dict[str, Node] = {}
        for name in servers.for_pairs:
            title, port = name.removeprefix("orthanc-").replace(".", "_").upper(), free_port()
            config = {**options, "DicomAet": title, "DicomPort": port}
            server = stack.enter_context(servers.make(name, config))
            made[name] = Node(name, server, stack.enter_context(server.connect()), title, port)
        for node in made.values():
            for name, other in made.items():
                if other is not node:
                    node.session.modalities.configure(
                        name.replace(".", "_"), aet=other.title, host="127.0.0.1", port=other.port
                    )
        yield made


@pytest.fixture
def here(nodes: dict[str, Node], request: pytest.FixtureRequest) -> Node:
    """The server that asks, with nothing in it."""
    return emptied(nodes, request.param)


@pytest.fixture
def there(nodes: dict[str, Node], request: pytest.FixtureRequest) -> Node:
    """The server that is asked, with nothing in it."""
    return emptied(nodes, request.param)


def emptied(nodes: dict[str, Node], name: str) -> Node:
    if name == NO_SERVER:
        pytest.fail(f"No Orthanc server was found: {HOW_TO_GET_ONE}.")
    empty(nodes[name].server)
    return nodes[name]


@pytest.fixture(scope="module")
def dcmqrscp(nodes: dict[str, Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dcmqrscp]:
    hosts = {node.title: node.port for node in nodes.values()}
    with Dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"), free_port(), hosts) as pacs:
        for node in nodes.values():
            node.session.modalities.configure("PACS", aet=TITLE, host="127.0.0.1", port=pacs.port)
        pacs.store(studies())
        yield pacs


@pytest.fixture
def pacs(dcmqrscp: Dcmqrscp, here: Node) -> Pacs:
    return here.session.modality("PACS")


def test_a_pacs_that_is_no_orthanc_is_selected_from_and_shown_as_one(pacs: Pacs, here: Node) -> None:
    here.session.upload_dataset(studies())
    orthanc = here.session.copy().reset().refresh()
    counts = (pacs.patient_count, pacs.study_count, pacs.series_count, pacs.instance_count)
    assert counts == (2, 3, 5, 15)
    columns = [
        "PatientID",
        "PatientName",
        "StudyDate",
        "StudyDescription",
        "Modality",
        "SeriesNumber",
        "instance_count",
    ]
    assert pacs.table(*columns, "SeriesInstanceUID").equals(orthanc.table(*columns, "SeriesInstanceUID"))
    assert sorted(pacs.PatientNames) == ["Doe^Jane", "Müller^Rémi", "王^小"]
    for criteria in (
        {"PatientName": "doe*"},
        {"PatientName": "MÜLLER^*"},
        {"PatientName": "王*"},
        {"PatientID": "QR1"},
        {"PatientID": "qr1", "Modality": "mr"},
        {"ModalitiesInStudy": "PT"},
        {"StudyDate": ("20210101", None), "SeriesNumber": [3, 5]},
        {"AccessionNumber": ["A1", "A3"]},
    ):
        for verb in ("select", "exclude"):
            shown = getattr(pacs.copy(), verb)(**criteria).SeriesInstanceUIDs
            assert shown == getattr(orthanc.copy(), verb)(**criteria).SeriesInstanceUIDs
    assert pacs.copy().select("1.8.2").series_count == 2
    assert pacs.copy().select("1.8.2.4").instance_count == 3
    assert here.session.rest.get("/queries") == []


@pytest.mark.one_version
def test_what_dcmqrscp_never_answers_with_is_not_missing(pacs: Pacs) -> None:
    for name in UNKNOWN:
        with pytest.raises(UnsupportedError, match=rf"^{name}: .*retrieve\(\)"):
            pacs.select(**{name: None})
    with pytest.warns(UserWarning, match=r"SeriesDescription.*unknown here, and not missing"):
        assert pacs.table(level="series").SeriesDescription.isna().all()


def test_exactly_what_is_selected_is_retrieved(pacs: Pacs, here: Node) -> None:
    session = pacs.copy().select(PatientID="QR1", Modality="CT").retrieve()
    assert session.SeriesDescriptions == ["CT of QR1"]
    expected = np.stack([dataset.pixel_array for dataset in studies() if dataset.SeriesInstanceUID == "1.8.2.3"])
    assert np.array_equal(session.get_array(units="stored"), expected)
    assert here.session.refresh().instance_count == 3
    images = pacs.copy().select(StudyID="1", Modality="CT", InstanceNumber=[1, 3])
    assert images.retrieve().instance_count == 2
    assert here.session.refresh().instance_count == 5
    again: Pacs = pickle.loads(pickle.dumps(pacs.select(StudyID="3")))
    assert again.retrieve(level="study").PatientNames == ["王^小"]


def test_c_get_needs_no_listener_and_a_newer_orthanc(pacs: Pacs, here: Node) -> None:
    pacs.select(PatientID="qr1")
    if here.server.version.startswith("1.10."):
        with pytest.raises(UnsupportedError, match=r"1\.12\.6 can"):
            pacs.retrieve("get")
    else:
        assert pacs.retrieve("get").series_count == 2


def test_names_that_orthanc_cannot_write_are_no_silent_mismatch(pacs: Pacs, here: Node) -> None:
    here.session.rest.put("/tools/default-encoding", "Latin1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with pytest.raises(UnsupportedError, match=r'ISO_IR 100.*"/tools/default-encoding", "Utf8"'):
                pacs.select(PatientName="王*")
        assert pacs.select(PatientName="müller*").study_count == 1
    finally:
        # As the error proposes.
        here.session.rest.put("/tools/default-encoding", "Utf8")
    assert pacs.refresh().reset().select(PatientName="王*").study_count == 1


def test_success_for_what_the_pacs_does_not_hold_any_more_is_an_error(pacs: Pacs, dcmqrscp: Dcmqrscp) -> None:
    pacs.select(PatientID="qr1")
    assert pacs.instance_count == 6
    dcmqrscp.forget()
    try:
        with pytest.raises(JobError, match=r"6 of 6 images did not arrive.*reported success"):
            pacs.retrieve()
    finally:
        dcmqrscp.store(studies())


def test_an_orthanc_behind_another_is_a_pacs_from_select_to_volume(here: Node, there: Node) -> None:
    there.session.upload_dataset(studies())
    name = there.name.replace(".", "_")
    pacs = here.session.modality(name)
    assert pacs.select(PatientName="doe^jane", SeriesDescription="ct OF*").SeriesDescriptions == ["CT of qr1"]
    session = pacs.retrieve()
    volume = session.get_volume(units="stored")
    assert volume.array.shape == SHAPE
    whole = there.session.copy().reset().refresh().select(SeriesInstanceUID="1.8.1.1").get_volume(units="stored")
    assert np.array_equal(volume.array, whole.array)
    assert here.session.refresh().instance_count == 3
