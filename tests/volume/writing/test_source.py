"""What a derived series takes from its source."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO

from simple_orthanc.errors import AmbiguousSelectionError, VolumeError
from simple_orthanc.phantom import as_bytes, make_enhanced
from simple_orthanc.testing import make_series
from simple_orthanc.volume.volume import Volume
from simple_orthanc.volume.writing.source import copied, find_source, patient_and_study
from tests.volume.helpers import read
from tests.volume.writing.volumes import grid, source


class Session:
    """What a session gives of its selection."""

    def __init__(self, headers: list[Dataset]) -> None:
        self._headers = headers

    def get_headers(self) -> list[Dataset]:
        return self._headers


def uids(found: Any, volume: Any, index: int = 0) -> list[str]:
    return [image.uid for image in found.references(volume, index)]


class TestFindSource:
    def test_a_volume_is_its_own_source(self) -> None:
        volume = source("CT")
        assert volume.slices is not None
        found = find_source(volume, None)
        assert found.grid_is_same
        assert uids(found, volume, 2) == [volume.slices["SOPInstanceUID"][2]]

    def test_a_slice_that_was_missing_has_no_source(self) -> None:
        volume = source("CT")
        assert volume.slices is not None
        assert uids(find_source(replace(volume, slices=volume.slices.drop(index=1)), None), volume, 1) == []

    def test_another_grid_refers_to_what_lies_there(self) -> None:
        volume = source("CT")
        assert volume.slices is not None
        table = list(volume.slices["SOPInstanceUID"])
        # The grid keeps its middle: its slices lie at -0.5, 0.5, 1.5, ... mm, those of the source at 0, 2 and 4.
        finer = volume.resample(spacing=(1, 1, 1))
        assert [uids(find_source(finer, None), finer, index) for index in range(3)] == [table[:1], table[:2], table[:2]]
        assert uids(find_source(finer, volume), finer, 1) == table[:2]
        without = replace(finer, sources=None)
        assert uids(find_source(without, None), finer) == [volume.header.SOPInstanceUID]

    def test_a_projection_refers_to_all(self) -> None:
        volume = source("CT")
        across = volume.mip("row")
        assert [len(uids(find_source(across, None), across, index)) for index in range(3)] == [1, 1, 1]
        assert len(uids(find_source(volume.mip("slice"), None), volume.mip("slice"))) == 3

    def test_an_image_computed_elsewhere(self) -> None:
        volume = source("CT")
        assert volume.slices is not None
        back = Volume.from_sitk(volume.to_sitk(), like=volume)
        assert uids(find_source(back, None), back, 1) == [volume.slices["SOPInstanceUID"][1]]

    def test_the_same_grid_refers_slice_by_slice(self) -> None:
        volume, other = source("CT"), source("MR", like=make_series(seed=1)[0])
        assert other.slices is not None
        assert uids(find_source(volume, other), volume, 1) == [other.slices["SOPInstanceUID"][1]]

    def test_a_header(self) -> None:
        volume, header = source("CT"), make_series(like=make_series(seed=1)[0])[0]
        assert uids(find_source(volume, header), volume, 2) == [header.SOPInstanceUID]

    def test_a_session_on_one_series(self) -> None:
        volume = source("CT")
        headers = make_series((3, 4, 5), spacing=(2, 1, 1), like=volume.header)
        assert uids(find_source(volume, Session(headers)), volume, 1) == [headers[1].SOPInstanceUID]

    def test_a_session_on_several_series(self) -> None:
        with pytest.raises(AmbiguousSelectionError, match="2 series") as caught:
            find_source(source("CT"), Session([*make_series(seed=1), *make_series(seed=2)]))
        assert len(caught.value.candidates) == 2

    def test_frames_of_one_object(self) -> None:
        volume = read([make_enhanced((3, 4, 5), seed=1)])
        (image,) = find_source(volume, None).references(volume, 2)
        assert (image.uid, image.frame) == (volume.header.SOPInstanceUID, 3)
        (item,) = volume.to_dicom()[2].SourceImageSequence
        assert item.ReferencedFrameNumber == 3

    def test_slices_without_positions(self) -> None:
        table = pd.DataFrame({"SOPInstanceUID": ["1.2", "1.3"]}, index=pd.Index([0, 1], name="slice"))
        like = replace(source("US"), slices=table, geometry=None)
        other = replace(source("CT"), geometry=grid(origin=(0, 0, 7)))
        assert uids(find_source(other, like), other) == ["1.2", "1.3"]

    def test_another_frame_of_reference_is_refused(self) -> None:
        volume, other = source("CT"), source("MR", seed=2)
        for like in (other, other.header, Session([other.header])):
            with pytest.raises(VolumeError, match=r"no common coordinates.*header=like\.header"):
                find_source(volume, like)
        find_source(replace(volume, header=other.header), other)
        find_source(replace(volume, geometry=None), other)

    def test_anything_else_is_refused(self) -> None:
        with pytest.raises(VolumeError, match="like=str"):
            find_source(source("CT"), "CT")


class TestCopied:
    def test_texts_can_be_written_in_another_character_set(self) -> None:
        item = Dataset()
        item.PatientID, item.IssuerOfPatientID = "P2", "Klinik Süd"
        (dataset,) = make_series((1, 2, 2), SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen")
        dataset.OtherPatientIDsSequence = [item]
        header = pydicom.dcmread(DicomBytesIO(as_bytes(dataset)))
        target = patient_and_study(header)
        target.SpecificCharacterSet = "ISO_IR 192"
        buffer = DicomBytesIO()
        pydicom.dcmwrite(buffer, target, implicit_vr=False, little_endian=True)
        assert "Müller^Jürgen".encode() in buffer.getvalue()
        assert "Klinik Süd".encode() in buffer.getvalue()

    def test_nothing_is_shared_with_the_header(self) -> None:
        header = make_series(modality="PT")[0]
        taken = copied(header, ["RadiopharmaceuticalInformationSequence", "CorrectedImage", "NoSuchThing"])
        taken.CorrectedImage[0] = "OTHER"
        taken.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = 1
        assert header.CorrectedImage[0] == "NORM"
        assert header.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose != 1

    def test_malformed_values_are_taken_as_they_are_without_warnings(self) -> None:
        (dataset,) = make_series((1, 2, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.PatientBirthDate = "19.1.1970"
        assert patient_and_study(dataset).PatientBirthDate == "19.1.1970"
