"""Real servers: no object is refused as another one, however its identifiers are written, and another one is."""

from __future__ import annotations

import io
import urllib.request
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import DicomWeb, LocalOrthanc, Orthanc, TransportError
from simple_orthanc.phantom import make_series
from simple_orthanc.sources.identity import identity_of, orthanc_id
from tests.http_stand_in import Asked, StandIn, reply
from tests.live.archives import simple_file, store

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

PATIENTS: dict[str, Any] = {
    "plain": "P1",
    "empty": "",
    "padded": "  p 2 ",
    "two values": "a\\b",
    "Latin": "Pätient",
    "long": "x" * 70,
    "signs": "a|b/c%d*",
}


@pytest.mark.parametrize("patient", PATIENTS.values(), ids=PATIENTS)
@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_no_identifier_is_mistaken_for_another(
    empty_server: LocalOrthanc, orthanc: Orthanc, patient: str, tmp_path: Path
) -> None:
    store(empty_server, simple_file(1, PatientID=patient, SpecificCharacterSet="ISO_IR 100"))
    for number, session in enumerate((orthanc, DicomWeb(f"{empty_server.url}/dicom-web"))):
        assert session.get_header().SOPInstanceUID == "1.2.3.4.1"
        assert session.get_instances()[0].SOPInstanceUID == "1.2.3.4.1"
        assert len(session.download(tmp_path / str(number))) == 1


def test_the_id_of_an_instance_is_computed_as_orthanc_does(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    images = make_series((3, 4, 4), PatientID="P1")
    orthanc.upload_dataset(images)
    assert {orthanc_id(identity_of(image)) for image in images} == set(orthanc.rest.get("/instances"))


@pytest.mark.parametrize("read", ["header", "headers", "instances", "array", "download"])
def test_a_cache_that_mixes_up_files_is_found_out(
    empty_server: LocalOrthanc, orthanc: Orthanc, read: str, tmp_path: Path
) -> None:
    series = {name: make_series((5, 8, 8), PatientID=name, seed=number) for number, name in enumerate(("P1", "P2"))}
    for images in series.values():
        orthanc.upload_dataset(images)
    mixed_up = {orthanc_id(identity_of(images[2])): images[2] for images in series.values()}
    wrong = dict(zip(mixed_up, reversed(list(mixed_up)), strict=True))

    def forward(asked: Asked, count: int) -> bytes:
        path = asked.path
        for key, other in wrong.items():
            path = path.replace(f"/{key}/file", f"/{other}/file")
            path = path.replace(f"/{key}/attachments", f"/{other}/attachments")
        headers = {name: asked.headers[name] for name in ("range", "content-type") if name in asked.headers}
        request = urllib.request.Request(
            empty_server.url + path, data=asked.body or None, headers=headers, method=asked.method
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            kind = answer.headers.get("Content-Type", "text/plain")
            return reply(answer.read(), answer.status, {"Content-Type": kind})

    calls: dict[str, Any] = {
        "header": lambda session: session.get_header(2),
        "headers": lambda session: session.get_headers(),
        "instances": lambda session: session.get_instances(),
        "array": lambda session: session.get_array(),
        "download": lambda session: session.download(tmp_path),
    }
    with StandIn(forward) as proxy:
        session = Orthanc(proxy.url).select(PatientID="P2")
        with pytest.raises(TransportError, match="PatientID 'P1' instead of 'P2'"):
            calls[read](session)
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert pydicom.dcmread(path).PatientID == "P2"


def test_a_file_is_the_same_object_however_it_is_read(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    image: Dataset = make_series((1, 4, 4), PatientID="P1")[0]
    orthanc.upload_dataset(image)
    content = orthanc.rest.get(f"/instances/{orthanc_id(identity_of(image))}/file")
    assert identity_of(pydicom.dcmread(io.BytesIO(content))) == identity_of(image)
