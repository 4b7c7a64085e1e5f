"""Datasets of DICOM JSON become pydicom datasets, also where servers write it in their own way."""

from __future__ import annotations

import base64
import io
import json
import struct
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from simple_orthanc.dicomweb import bulk_data_uris, to_dataset
from simple_orthanc.errors import TransportError


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def through(vr: str, *values: Any, tag: str = "00091001") -> Any:
    return to_dataset({tag: element(vr, *values)})[int(tag, 16)].value


def sample() -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.StudyDate = "20200101"
    dataset.StudyTime = "101010.5"
    dataset.AcquisitionDateTime = "20200101101010+0100"
    dataset.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    dataset.OtherPatientNames = ["A^B", "C^D"]
    dataset.PatientComments = "back\\slash and\nline"
    dataset.PatientAge = "042Y"
    dataset.SliceThickness = "2.50"
    dataset.PixelSpacing = ["0.1234567890123", "1e-5"]
    dataset.InstanceNumber = "07"
    dataset.Rows = 512
    dataset.FrameIncrementPointer = [0x00181063, 0x00181065]
    dataset.DiffusionBValue = 1e300
    dataset.RecommendedDisplayFrameRateInFloat = 1.5
    dataset.add_new(0x00091001, "UV", 2**64 - 1)
    dataset.add_new(0x00091002, "SV", [-(2**63), 2**53 + 1])
    dataset.add_new(0x00091003, "UN", b"\0\1")
    dataset.add_new(0x00091004, "FD", [float("inf"), 0.1])
    dataset.add_new(0x00091005, "UR", "http://x/y?a=1")
    dataset.PixelData = bytes(8)
    dataset["PixelData"].VR = "OW"
    dataset.StudyDescription = ""
    region = Dataset()
    region.CodeMeaning = "Liver"
    dataset.AnatomicRegionSequence = [region, Dataset()]
    dataset.RequestAttributesSequence = []
    return dataset


def test_what_pydicom_writes_is_read_back() -> None:
    dataset = sample()
    item = json.loads(json.dumps(dataset.to_json_dict(), allow_nan=True))
    back = to_dataset(item)
    assert back.keys() == dataset.keys()
    for wanted in dataset:
        found = back[wanted.tag]
        assert found.VR == wanted.VR
        assert found.value == wanted.value or not (found.value or wanted.value), wanted
    # It can be written as a file, and is then still the same.
    back.file_meta = FileMetaDataset()
    back.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    back.SOPClassUID, back.SOPInstanceUID = "1.2", "1.2.3"
    buffer = io.BytesIO()
    back.save_as(buffer, enforce_file_format=True)
    assert pydicom.dcmread(io.BytesIO(buffer.getvalue())).PatientName == dataset.PatientName


@given(st.floats(allow_nan=False), st.integers(-(2**63), 2**64 - 1))
def test_numbers_are_read_from_numbers_and_strings(real: float, whole: int) -> None:
    for given_as in (real, repr(real)):
        assert through("FD", given_as) == real
        if abs(real) != float("inf"):
            assert float(through("DS", given_as)) == real
    for given_as in (whole, str(whole)):
        assert through("SV" if whole < 2**63 else "UV", given_as) == whole
        assert abs(whole) > 2**31 or through("IS", given_as) == whole


def test_the_string_of_a_decimal_is_kept() -> None:
    assert str(through("DS", "1.50")) == "1.50"
    assert [str(value) for value in through("DS", "1.50", 2.5, 3)] == ["1.50", "2.5", "3"]
    assert through("DS", 0.1234567890123456789) == 0.12345678901234568
    assert through("IS", 12.0) == 12
    assert through("DS", "many") == "many"
    assert through("FD", "NaN") != through("FD", "NaN")
    assert through("FL", "-Infinity") == float("-inf")


def test_what_is_missing_is_empty() -> None:
    for vr in ("DS", "IS", "LO", "PN", "UI", "US", "FD", "OB", "UN", "SQ"):
        for entry in ({"vr": vr}, {"vr": vr, "Value": None}, {"vr": vr, "Value": []}, element(vr, None)):
            dataset = to_dataset({"00091001": entry})
            if vr != "SQ" or entry != element("SQ", None):
                assert not dataset[0x00091001].value, (vr, entry)
    assert through("LO", None, "a") == ["", "a"]


def test_bulk_data_are_fetched_or_left_out() -> None:
    inner = {"00091004": {"vr": "OB", "BulkDataURI": "u3"}}
    item = {
        "7FE00010": {"vr": "OW", "BulkDataURI": "u1"},
        "00091002": {"vr": "FD", "BulkDataURI": "u2"},
        "00091003": element("SQ", {}, inner),
        "00204000": {"vr": "LT", "BulkDataURI": "u4"},
        "00080008": {"vr": "CS", "BulkDataURI": "u5"},
    }
    assert bulk_data_uris(item) == {
        "7FE00010": "u1",
        "00091002": "u2",
        "00091003[1].00091004": "u3",
        "00204000": "u4",
        "00080008": "u5",
    }
    contents = {"u1": b"pp", "u2": struct.pack("<2d", 1, 0.1), "u3": b"x", "u4": "ä\\b ".encode(), "u5": b"A\\B"}
    dataset = to_dataset(item, contents.__getitem__)
    assert dataset.PixelData == b"pp"
    assert list(dataset[0x00091002].value) == [1, 0.1]
    assert dataset[0x00091003].value[1][0x00091004].value == b"x"
    assert dataset.ImageComments == "ä\\b"
    assert dataset.ImageType == ["A", "B"]
    without = to_dataset(item)
    assert set(without.keys()) == {0x00091003}
    assert list(without[0x00091003].value) == [Dataset(), Dataset()]


def test_deviations_of_some_servers_are_read() -> None:
    item = {
        "00020010": element("UI", "1.2.840.10008.1.2"),
        "00080000": element("UL", 100),
        "00080060": {"Value": ["CT"]},
        "00091001": {"vr": "OB", "InlineBinary": [base64.b64encode(b"abc").decode()]},
        "00091002": element("UN", "a", "b"),
        "00080005": element("CS", "ISO_IR 100"),
        "00091003": element("AT", "00180050", 0x00180060),
    }
    dataset = to_dataset(item)
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    assert set(dataset.keys()) == {0x00080005, 0x00080060, 0x00091001, 0x00091002, 0x00091003}
    assert dataset["Modality"].VR == "CS"
    assert dataset[0x00091001].value == b"abc"
    assert dataset[0x00091002].value == b"a\\b"
    assert list(dataset[0x00091003].value) == [0x00180050, 0x00180060]


@pytest.mark.parametrize(
    "entry",
    [
        element("SQ", 7),
        element("SQ", "text"),
        element("US", "many"),
        element("US", 1.5),
        element("FD", {}),
        element("OB", 7),
        element("AT", "zz"),
        {"vr": "OB", "InlineBinary": "not base64!"},
        {"vr": "OB", "InlineBinary": 7},
    ],
)
def test_elements_outside_the_model_are_an_error(entry: dict[str, Any]) -> None:
    with pytest.raises(TransportError, match="00091001"):
        to_dataset({"00091001": entry})
    with pytest.raises(TransportError, match="is not in the DICOM JSON model"):
        to_dataset({"no number": entry})
