"""What users of simple-orthanc 0.9 type: each documented example, against pydicom reading the same files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

import simple_orthanc
from simple_orthanc import AmbiguousSelectionError, EmptySelectionError, LocalOrthanc, Orthanc, SelectionError
from simple_orthanc.phantom import as_bytes, make_series

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured


@pytest.fixture
def files() -> list[bytes]:
    """Two patients, three studies, four series."""
    jane: dict[str, Any] = {"PatientName": "JaneDoe", "PatientID": "J1"}
    first = {**jane, "StudyInstanceUID": "1.2.1", "StudyDescription": "CT Examination"}
    scan = {"SeriesDescription": "ct_scan", "SeriesInstanceUID": "1.2.1.1", "SeriesNumber": 1, "KVP": "120"}
    scout = {"SeriesDescription": "scout", "SeriesInstanceUID": "1.2.1.2", "SeriesNumber": 2}
    second = {**jane, "StudyInstanceUID": "1.2.2", "StudyDescription": "Follow-up"}
    john = {
        "PatientName": "JohnDoe",
        "PatientID": "J2",
        "StudyInstanceUID": "1.3.1",
        "StudyDescription": "MR Examination",
    }
    series = [
        *make_series((4, 6, 5), seed=1, SliceLocation=[4.0, 3.0, 2.0, 10.0], **first, **scan),
        *make_series((2, 6, 5), seed=2, **first, **scout),
        *make_series((1, 6, 5), seed=3, SeriesInstanceUID="1.2.2.1", SeriesDescription="ct_scan", **second),
        *make_series(
            (3, 6, 5), seed=4, modality="MR", SeriesInstanceUID="1.3.1.1", SeriesDescription="mr_scan", **john
        ),
    ]
    return [as_bytes(dataset) for dataset in series]


@pytest.fixture
def archive(orthanc: Orthanc, files: list[bytes]) -> Orthanc:
    assert set(orthanc.upload_file(files).status) == {"stored"}
    return orthanc


def read(files: list[bytes]) -> list[Dataset]:
    return [pydicom.dcmread(io.BytesIO(content)) for content in files]


def test_connect(empty_server: LocalOrthanc) -> None:
    orthanc = simple_orthanc.Orthanc(
        host="127.0.0.1", port=empty_server.port, username="orthanc_user", password="orthanc_password"
    )
    assert (orthanc.patient_count, orthanc.study_count, orthanc.series_count, orthanc.instance_count) == (0, 0, 0, 0)


def test_counts(archive: Orthanc) -> None:
    counts = archive.patient_count, archive.study_count, archive.series_count, archive.instance_count
    assert counts == (2, 3, 4, 10)
    assert len(archive) == 4


def test_values_of_tags(archive: Orthanc, files: list[bytes]) -> None:
    headers = read(files)
    assert archive.PatientNames == archive.PatientName == ["JaneDoe", "JohnDoe"]
    assert set(archive.SeriesDescriptions) == {header.SeriesDescription for header in headers}
    assert set(archive.SOPInstanceUIDs) == {header.SOPInstanceUID for header in headers}
    assert archive.KVP == [120.0]
    assert archive.Rows == [6]


def test_select_narrows_counts_and_values(archive: Orthanc) -> None:
    archive.select(PatientName="JaneDoe", StudyDescription="CT Examination")
    assert (archive.patient_count, archive.study_count, archive.series_count, archive.instance_count) == (1, 1, 2, 6)
    assert archive.selection == {"PatientName": "JaneDoe", "StudyDescription": "CT Examination"}
    assert archive.PatientName == ["JaneDoe"]
    assert archive.SeriesDescriptions == ["ct_scan", "scout"]


def test_reset(archive: Orthanc) -> None:
    archive.select(PatientName="JaneDoe", StudyDescription="CT Examination")
    archive.reset("PatientName")
    assert archive.selection == {"StudyDescription": "CT Examination"}
    assert archive.reset("PatientName").series_count == 2
    archive.reset()
    assert archive.selection == {}
    assert archive.series_count == 4


def test_download(archive: Orthanc, files: list[bytes], tmp_path: Path) -> None:
    paths = archive.download(tmp_path / "files")
    assert sorted(path.read_bytes() for path in paths) == sorted(files)
    (one,) = archive.select(StudyDescription="Follow-up").download()
    assert one.is_absolute()
    assert one.read_bytes() in files


def test_upload_file_list_and_folder(orthanc: Orthanc, files: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    names = []
    for place, content in enumerate(files):
        name = tmp_path / ("inner" if place > 7 else ".") / f"image{place}"
        name.write_bytes(content)
        names.append(str(name))
    orthanc.upload_file(names[0], test_dicom=True)
    assert orthanc.instance_count == 1
    orthanc.upload_file(names[:3], test_dicom=True)
    assert orthanc.instance_count == 3
    orthanc.upload_folder(str(tmp_path), test_dicom=True)
    assert orthanc.instance_count == 8
    orthanc.upload_folder(str(tmp_path), test_dicom=True, recursive=True)
    orthanc.refresh()
    assert orthanc.instance_count == 10


def test_delete(archive: Orthanc) -> None:
    with pytest.raises(SelectionError, match="everything=True"):
        archive.delete_selected_patient()
    archive.select(SeriesDescription="scout").delete_selected_series()
    assert archive.series_count == 0
    assert archive.reset().series_count == 3
    archive.select(PatientName="JaneDoe")
    with pytest.raises(AmbiguousSelectionError, match="2 objects of level study"):
        archive.delete_selected_study()
    archive.select(StudyDescription="Follow-up").delete_selected_study()
    assert archive.reset().study_count == 2
    archive.select(PatientID="J2").delete_selected_patient()
    with pytest.raises(EmptySelectionError):
        archive.delete_selected_patient()
    assert archive.reset().PatientNames == ["JaneDoe"]


def test_deleting_everything_must_be_asked_for(archive: Orthanc) -> None:
    archive.delete_selected_patient(everything=True)
    assert archive.instance_count == 0


def test_refresh_keeps_the_selection(archive: Orthanc) -> None:
    archive.select(PatientName="JohnDoe")
    archive.rest.post("/instances", as_bytes(make_series((1, 6, 5), seed=9, PatientName="JohnDoe", PatientID="J3")[0]))
    assert archive.instance_count == 3
    archive.refresh()
    assert archive.instance_count == 4
    assert archive.selection == {"PatientName": "JohnDoe"}


def test_headers(archive: Orthanc, files: list[bytes]) -> None:
    by_uid = {header.SOPInstanceUID: header for header in read(files)}
    header = archive.select(StudyDescription="Follow-up").get_header()
    expected = by_uid[header.SOPInstanceUID]
    del expected.PixelData
    assert header == expected
    assert header.file_meta == expected.file_meta
    archive.reset().select(SeriesInstanceUID="1.2.1.1")
    assert [h.InstanceNumber for h in archive.get_headers()] == [1, 2, 3, 4]
    (first,) = archive.get_headers(index=0, silent=False)
    assert first.InstanceNumber == 1
    with pytest.raises(AmbiguousSelectionError, match=r"get_header\(0\)"):
        archive.get_header()


def test_pixels(archive: Orthanc, files: list[bytes]) -> None:
    array = archive.select(SeriesInstanceUID="1.2.1.1").get_array()
    expected = np.stack([h.pixel_array for h in read(files) if h.SeriesInstanceUID == "1.2.1.1"])
    assert array.shape == (4, 6, 5)
    assert np.array_equal(array, expected)


def test_sort_by(archive: Orthanc) -> None:
    archive.select(SeriesInstanceUID="1.2.1.1")
    before = archive.get_array()
    archive.sort_by("SliceLocation")
    assert archive.SliceLocation == [2.0, 3.0, 4.0, 10.0]
    assert [header.SliceLocation for header in archive.get_headers()] == [2.0, 3.0, 4.0, 10.0]
    archive.sort_by("InstanceNumber", order="descending")
    assert [header.InstanceNumber for header in archive.get_headers()] == [4, 3, 2, 1]
    assert [image.InstanceNumber for image in archive.get_instances()] == [4, 3, 2, 1]
    assert np.array_equal(archive.get_array(), before)


def test_lists_that_are_not_unique(archive: Orthanc) -> None:
    assert archive.get_dicom_tag("PatientName", unique=False) == ["JaneDoe", "JohnDoe"]
    assert archive.get_dicom_tag("PatientName", unique=False, level="study") == ["JaneDoe", "JaneDoe", "JohnDoe"]


def test_all_tags(archive: Orthanc, files: list[bytes]) -> None:
    several = archive.get_all_dicom_tags()
    assert {"PatientName", "SeriesDescription", "SOPInstanceUID"} <= set(several)
    header = next(h for h in read(files) if h.SeriesInstanceUID == "1.3.1.1")
    single = archive.select(SeriesInstanceUID="1.3.1.1").get_all_dicom_tags()
    assert set(single) == {element.keyword for element in header if element.keyword != "PixelData"}


def test_main_tags(archive: Orthanc) -> None:
    fast_tags = archive.interface.main_dicom_tags
    assert "PatientName" in fast_tags["patient"]
    assert "StudyDescription" in fast_tags["study"]
    assert "SeriesDescription" in fast_tags["series"]
    assert "InstanceNumber" in fast_tags["instance"]


def test_one_line(
    archive: Orthanc, empty_server: LocalOrthanc, monkeypatch: pytest.MonkeyPatch, files: list[bytes]
) -> None:
    monkeypatch.setenv("ORTHANC_URL", empty_server.url)
    image = Orthanc().select(PatientName="JohnDoe", SeriesDescription="mr_scan").get_array()
    expected = np.stack([h.pixel_array for h in read(files) if h.SeriesInstanceUID == "1.3.1.1"])
    assert np.array_equal(image, expected)
