"""Sidecars: BIDS's names and units, nothing that identifies unless asked for, and JSON whatever the header holds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.phantom import make_enhanced, make_series
from simple_orthanc.session.exports.sidecars import (
    describe_volume,
    read_json,
    read_number,
    read_text,
    unequal_digests,
    write_json,
)
from simple_orthanc.volume.volume import Volume
from tests.memory_source import put_raw


def described(header: Dataset, identifiers: bool = False, **fields: Any) -> dict[str, Any]:
    volume = Volume(np.zeros((1, 2, 2), np.int16), None, header, **fields)
    return describe_volume(volume, identifiers=identifiers)


def test_times_are_in_seconds_and_names_those_of_bids() -> None:
    header = make_series(
        (1, 2, 2),
        modality="MR",
        RepetitionTime=2300,
        EchoTime=2.98,
        InversionTime=900,
        FlipAngle=9,
        MagneticFieldStrength=3,
        Manufacturer="SIEMENS",
        ManufacturerModelName="Prisma",
        ScanningSequence=("GR", "IR"),
        SoftwareVersions=("syngo", "VE11"),
    )[0]
    entries = described(header)
    expected = {
        **{"RepetitionTime": 2.3, "EchoTime": 0.00298, "InversionTime": 0.9, "FlipAngle": 9},
        **{"MagneticFieldStrength": 3, "Manufacturer": "SIEMENS", "ManufacturersModelName": "Prisma"},
        **{"ScanningSequence": "GR_IR", "SoftwareVersions": "syngo_VE11", "Modality": "MR"},
    }
    assert {key: entries[key] for key in expected} == expected
    assert entries["ConversionSoftware"] == "simple_orthanc"


def test_enhanced_objects_hold_them_elsewhere() -> None:
    header = make_enhanced((2, 4, 4))
    timing, echo = Dataset(), Dataset()
    timing.RepetitionTime = "500"
    echo.EffectiveEchoTime = 4.6
    shared = header.SharedFunctionalGroupsSequence[0]
    shared.MRTimingAndRelatedParametersSequence = [timing]
    shared.MREchoSequence = [echo]
    assert read_number(header, "RepetitionTime") == 500
    entries = described(header)
    assert (entries["RepetitionTime"], entries["EchoTime"]) == (0.5, 0.0046)
    assert read_text(header, "ReceiveCoilName") == ""


def test_pet() -> None:
    header = make_series((1, 2, 2), modality="PT")[0]
    tracer, nuclide = Dataset(), Dataset()
    nuclide.CodeMeaning = "^18^Fluorine"
    tracer.Radiopharmaceutical, tracer.RadionuclideTotalDose = "FDG", "370000000"
    tracer.RadionuclideCodeSequence = [nuclide]
    header.RadiopharmaceuticalInformationSequence = [tracer]
    entries = described(header, units="BQML")
    assert entries["Units"] == "Bq/mL"
    assert (entries["TracerName"], entries["TracerRadionuclide"]) == ("FDG", "^18^Fluorine")
    assert (entries["InjectedRadioactivity"], entries["InjectedRadioactivityUnits"]) == (370, "MBq")


IDENTIFYING = ("PatientID", "PatientName", "PatientBirthDate", "AccessionNumber", "StudyDate", "InstitutionName")


def test_what_identifies_is_there_on_request_alone() -> None:
    header = make_series((1, 2, 2), **dict.fromkeys(IDENTIFYING, "20200131"))[0]
    assert "20200131" not in write_json(described(header))
    assert {described(header, identifiers=True)[keyword] for keyword in IDENTIFYING} == {"20200131"}


def test_the_fourth_axis() -> None:
    header = make_series((1, 2, 2), modality="MR", RepetitionTime=50, EchoTime=5)[0]
    array = np.zeros((2, 1, 2, 2), np.int16)
    dims = ("time", "slice", "row", "column")
    times = Volume(array, None, header, dims=dims, coordinates={"time": (0.0, 2.5)}, coordinate_units={"time": "s"})
    entries = describe_volume(times)
    assert (entries["Dimension"], entries["DimensionUnits"], entries["DimensionCoordinates"]) == ("time", "s", [0, 2.5])
    # Of a time series BIDS means the time from one volume to the next.
    assert (entries["RepetitionTime"], entries["RepetitionTimeExcitation"]) == (2.5, 0.05)
    echoes = Volume(
        *(array, None, header),
        dims=("echo", *dims[1:]),
        coordinates={"echo": (5.0, float("nan"))},
        coordinate_units={"echo": "ms"},
    )
    assert describe_volume(echoes)["EchoTime"] == [0.005, None]


@given(st.text(max_size=12), st.text(alphabet="0123456789.eE-+x", max_size=9))
def test_a_sidecar_is_json_whatever_the_header_holds(text: str, number: str) -> None:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("RepetitionTime", "EchoTime", "FlipAngle", "KVP"):
        put_raw(header, keyword, number)
    header.SeriesDescription = text
    written = write_json(described(header, identifiers=True))
    assert read_json(written.encode("utf-8")) == json.loads(written)


@pytest.mark.parametrize("content", [b"", b"mine", b"[1]", b"\xff", b"[" * 100_000, b"null"])
def test_what_is_no_sidecar_has_no_entries(content: bytes) -> None:
    assert read_json(content) == {}


def test_digests_that_differ() -> None:
    listed = {"FileDigests": {".nii.gz": "a", ".bval": "b"}}
    assert unequal_digests(listed, {".nii.gz": "a", ".bval": "b"}) == []
    assert unequal_digests(listed, {".nii.gz": "x", ".bval": "b"}) == [".nii.gz"]
    assert unequal_digests(listed, {".nii.gz": "a"}) == [".bval"]
    for damaged in ({}, {"FileDigests": None}, {"FileDigests": {}}, {"FileDigests": [1]}):
        assert unequal_digests(damaged, {".nii.gz": "a"}) == [".nii.gz"]
