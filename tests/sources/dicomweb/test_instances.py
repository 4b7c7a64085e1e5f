"""Headers and files are those of the instance that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import DicomWeb, TransportError
from simple_orthanc.phantom import make_series
from simple_orthanc.sources.keys import Key
from tests.dicomweb_stand_in import DicomServer
from tests.http_stand_in import always, reply
from tests.memory_source import as_file, instance
from tests.sources.dicomweb.conftest import Make


def test_headers_and_files_are_the_files(serve: Make, tmp_path: Path) -> None:
    image = instance(1, PixelData=bytes(range(16)), Rows=4, Columns=4, BitsAllocated=8, SliceThickness="1.50")
    server = serve([image], numbers=True)
    session = DicomWeb(server.root)
    header = session.get_header()
    assert "PixelData" not in header
    assert header.SliceThickness.original_string == "1.50"
    assert session.get_instances()[0].PixelData == bytes(range(16))
    (path,) = session.download(tmp_path)
    assert path.read_bytes() == as_file(image)
    assert sorted(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("pixels", [bytes(3 << 20), None], ids=["large pixels", "no pixels"])
def test_a_header_is_read_without_the_pixels(serve: Make, pixels: bytes | None) -> None:
    tags: dict[str, Any] = {"TextValue": "c" * 200_000, "KVP": "80"}
    tags |= {"EncapsulatedDocument": bytes(3 << 20)} if pixels is None else {"PixelData": pixels, "BitsAllocated": 8}
    image = instance(1, **tags)
    server = serve([image])
    header = DicomWeb(server.root).get_header()
    assert ("PixelData" not in header, header.TextValue, header.KVP) == (True, "c" * 200_000, 80)
    assert ("EncapsulatedDocument" in header) == (pixels is None)
    assert len(header) == len(image) - (pixels is not None)


def test_a_transfer_that_breaks_off_leaves_no_file(serve: Make, tmp_path: Path) -> None:
    server = serve([instance(1)])
    session = DicomWeb(server.root)
    assert session.instance_count == 1
    server.script = always(reply(b"--b1\r\n\r\nabc", headers={"Content-Type": "multipart/related; boundary=b1"}))
    with pytest.raises(TransportError):
        session._source.save(str(Key("P1", "1.2.1", "1.2.1.1", "1.2.1.1.1")), tmp_path / "a.dcm")
    assert list(tmp_path.iterdir()) == []


def answer_with(server: DicomServer, asked_for: Dataset, returned: Dataset) -> None:
    """Let the server return another file for an instance, as a cache with too short a key does."""
    ordinary, path = server.script, f"/instances/{asked_for.SOPInstanceUID}"
    body = b"--b1\r\nContent-Type: application/dicom\r\n\r\n" + as_file(returned) + b"\r\n--b1--\r\n"
    answer = reply(body, headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b1'})
    server.script = lambda asked, count: answer if asked.path.endswith(path) else ordinary(asked, count)


@pytest.mark.parametrize(
    "returned",
    [
        instance(2),
        instance(1, series="2"),
        instance(1, study="2"),
        instance(1, patient="p2"),
        instance(1, SeriesInstanceUID="1.2.9"),
    ],
    ids=["another instance", "another series", "another study", "another patient", "its UID in another series"],
)
def test_another_object_is_an_error_and_nothing_is_written(serve: Make, returned: Dataset, tmp_path: Path) -> None:
    server = serve([instance(1)])
    session = DicomWeb(server.root)
    answer_with(server, instance(1), returned)
    for read in (session.get_header, session.get_headers, session.get_instances, lambda: session.download(tmp_path)):
        with pytest.raises(TransportError, match=r"was asked for SOPInstanceUID .* and returned another object"):
            read()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("index", [0, 2, 4])
def test_a_slice_of_another_series_is_refused_in_a_volume(serve: Make, index: int) -> None:
    slices = make_series((5, 4, 4), seed=1, PatientID="p1", SeriesDescription="asked")
    others = make_series((5, 4, 4), seed=2, PatientID="p2", SeriesDescription="other")
    server = serve([*slices, *others])
    session = DicomWeb(server.root).select(SeriesDescription="asked")
    assert session.get_array().shape == (5, 4, 4)
    answer_with(server, slices[index], others[index])
    with pytest.raises(TransportError, match="returned another object"):
        session.get_array()


def test_a_patient_identifier_spelt_differently_is_not_another_object(serve: Make) -> None:
    image = instance(1, patient="Pé", SpecificCharacterSet="ISO_IR 192")
    server = serve([image])
    session = DicomWeb(server.root)
    assert session.PatientIDs == ["Pé"]
    answer_with(server, image, instance(1, patient="P?"))
    assert session.get_header().SOPInstanceUID == image.SOPInstanceUID
