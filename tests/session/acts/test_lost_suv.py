"""What copies of PET images lack for standardized uptake values, and how the tables say so."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import Folder
from simple_orthanc.errors import NotFoundError
from simple_orthanc.session.acts.lost_suv import lost_for_suv
from simple_orthanc.testing import make_series
from tests.pixels.pet import pet
from tests.session.acts.copying_server import CopyingServer

KEY = "correct horse battery staple"


def copy_without(*keywords: str, **changes: str) -> Any:
    made = deepcopy(pet(**changes))
    for keyword in keywords:
        for header in (made, made.RadiopharmaceuticalInformationSequence[0]):
            if keyword in header:
                delattr(header, keyword)
    return made


@pytest.mark.parametrize(
    ("removed", "lost"),
    [
        ([], []),
        (["PatientName", "PatientSize", "PatientSex", "StudyDate"], []),
        (["PatientWeight"], ["PatientWeight"]),
        # The day of the injection is enough.
        (["SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime"], ["SeriesTime", "AcquisitionTime"]),
        (["RadiopharmaceuticalStartDateTime"], ["RadiopharmaceuticalStartDateTime"]),
        # No tag that is named brings it back.
        (["RadionuclideTotalDose"], []),
        (["RadiopharmaceuticalInformationSequence"], []),
    ],
)
def test_no_more_is_named_than_is_needed(removed: list[str], lost: list[str]) -> None:
    assert lost_for_suv(pet(), copy_without(*removed)) == lost


def test_dummy_times_give_another_suv_and_moved_dates_the_same() -> None:
    assert lost_for_suv(pet(), copy_without(SeriesTime="103000", AcquisitionTime="103000")) == [
        "SeriesTime",
        "AcquisitionTime",
    ]
    moved = copy_without(SeriesDate="20240102", AcquisitionDate="20240102")
    moved.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20240102100000.00"
    assert lost_for_suv(pet(), moved) == []


def test_other_images_and_those_without_an_suv_lose_none() -> None:
    assert lost_for_suv(pet(Modality="CT"), copy_without("PatientWeight", Modality="CT")) == []
    assert lost_for_suv(pet(PatientWeight=""), copy_without("PatientWeight", "SeriesTime")) == []


@pytest.fixture
def archive() -> Iterator[CopyingServer]:
    """A patient with PET and CT."""
    study = {"PatientID": "P1", "StudyInstanceUID": "1.2"}
    datasets = make_series((2, 4, 4), seed=1, modality="PT", **study) + make_series((2, 4, 4), seed=2, **study)
    with CopyingServer(datasets) as running:
        yield running


def test_the_row_of_a_pet_series_names_what_to_keep(archive: CopyingServer) -> None:
    with archive.connect(patience=0) as session:
        session.select(PatientID="P1")
        table = session.anonymize(remove=["PatientWeight"])
        says = "no SUV can be computed from the copy, which did not keep PatientWeight: add keep=['PatientWeight']"
        assert sorted(table.message) == ["", says]
        assert session.anonymize(level="study").message.tolist() == [""]


def test_a_copy_that_cannot_be_read_is_copied_all_the_same(
    archive: CopyingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content(self: object, key: str) -> bytes:
        raise NotFoundError("There is no such instance.", status=404)

    with archive.connect(patience=0) as session:
        session.select(Modality="PT")
        monkeypatch.setattr(type(session._source), "content", content)
        table = session.anonymize(remove=["PatientWeight"])
        assert (table.status.tolist(), table.message.tolist()) == (["anonymized"], [""])


def test_originals_that_go_are_compared_before(archive: CopyingServer) -> None:
    with archive.connect(patience=0) as session:
        table = session.select(Modality="PT").anonymize(remove=["PatientWeight"], delete_originals=True)
        assert "keep=['PatientWeight']; original deleted" in table.message[0]


@pytest.mark.parametrize(
    ("options", "lost", "advice"),
    [
        ([], "PatientWeight, SeriesTime, ", "['retain_patient_characteristics', 'retain_modified_dates']"),
        (["retain_modified_dates"], "PatientWeight:", "['retain_patient_characteristics']"),
        (["retain_patient_characteristics"], "keep SeriesTime, ", "['retain_modified_dates']"),
        (["retain_patient_characteristics", "retain_modified_dates"], "", ""),
    ],
)
def test_deidentify_names_the_options(options: list[str], lost: str, advice: str, tmp_path: Path) -> None:
    scan = Folder.example().select(Modality="PT", InstanceNumber=1)
    (warning,) = scan.deidentify(tmp_path / "copies", key=KEY, options=options).table.warnings
    assert lost in warning
    assert warning.endswith(f"add options={advice}" if advice else "")
