"""Two volumes meet only where they have common coordinates: those of one patient, in one frame of reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Folder, Geometry, Volume, VolumeError
from simple_orthanc.phantom import make_series
from simple_orthanc.volume.common_space import Space, check_common_space, in_frame

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((6, 5, 4), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), AXIAL)
FRAME, OTHER_FRAME = "1.2.3", "1.2.4"
FLAG = "allow_other_frame=True"


def volume(patient: str | None = "A", frame: str | None = FRAME, **changes: Any) -> Volume:
    header = make_series((4, 5, 6), PatientID=patient, FrameOfReferenceUID=frame)[0]
    return replace(Volume(np.arange(120.0).reshape(4, 5, 6), GRID, header, units="HU"), **changes)


def mask(patient: str | None = "A", frame: str | None = FRAME) -> Volume:
    return volume(patient, frame, array=np.arange(120).reshape(4, 5, 6) > 100, units="mask")


def steps(image: Volume) -> Volume:
    """Two time steps of a volume."""
    array, dims = np.stack([image.array, image.array]), ("time", *image.dims)
    return replace(image, array=array, dims=dims, coordinates={"time": (0.0, 2.0)})


# Each takes what was read, and a mask of something else.
ALLOWING: dict[str, Callable[..., Any]] = {
    "resample": lambda image, other, **given: other.resample(like=image, **given),
    "statistics": lambda image, other, **given: image.statistics({"liver": other}, **given),
    "plot": lambda image, other, **given: image.plot(overlay={"liver": other}, **given),
    "view": lambda image, other, **given: image.view(overlay={"liver": other}, **given),
}
REFUSING: dict[str, Callable[..., Any]] = {
    "with_array": lambda image, other: image.with_array(other),
    "indexing": lambda image, other: image[other],
    "indexing each step": lambda image, other: steps(image)[:, other],
    "indexing one step": lambda image, other: steps(image)[0, other],
    "to_dicom": lambda image, other: other.to_dicom(like=image),
    "masks_to_dicom": lambda image, other: image.masks_to_dicom({"liver": other}),
    "masks of two kinds": lambda image, other: image.masks_to_dicom({"one": image.array > 3, "two": other}),
    "to_parametric_map": lambda image, other: other.with_array(other.array * 2.5, "HU").to_parametric_map(like=image),
}
EVERY = {**ALLOWING, **REFUSING}


@pytest.mark.parametrize("join", EVERY.values(), ids=EVERY)
class TestEveryJoin:
    def test_another_patient_is_refused(self, join: Callable[..., Any]) -> None:
        with pytest.raises(VolumeError, match=r"of the patient '[AB]'.* of the patient '[AB]'.*no common coordinates"):
            join(volume("A"), mask("B", OTHER_FRAME))

    def test_another_patient_without_a_frame_of_reference_is_refused(self, join: Callable[..., Any]) -> None:
        with pytest.raises(VolumeError, match="of the patient"):
            join(volume("A"), mask("B", None))

    def test_another_frame_of_reference_is_refused(self, join: Callable[..., Any]) -> None:
        with pytest.raises(VolumeError, match=r"frame of reference 1\.2\.[34].* 1\.2\.[34].*no common coordinates"):
            join(volume("A"), mask("A", OTHER_FRAME))

    def test_one_space_is_taken(self, join: Callable[..., Any]) -> None:
        join(volume(), mask())

    def test_what_says_neither_patient_nor_frame_is_taken(self, join: Callable[..., Any]) -> None:
        join(volume(), replace(mask(), header=Dataset()))


@pytest.mark.parametrize("join", ALLOWING.values(), ids=ALLOWING)
def test_what_was_registered_elsewhere_is_allowed_by_name(join: Callable[..., Any]) -> None:
    for other in (mask("B", OTHER_FRAME), mask("A", OTHER_FRAME), mask("B")):
        with pytest.raises(VolumeError, match=FLAG):
            join(volume(), other)
        join(volume(), other, allow_other_frame=True)


@pytest.mark.parametrize("join", [REFUSING["to_dicom"], REFUSING["masks_to_dicom"]], ids=["image", "masks"])
def test_what_is_written_of_another_patient_gets_the_header_of_its_source(join: Callable[..., Any]) -> None:
    image, other = volume(), mask("B", OTHER_FRAME)
    with pytest.raises(VolumeError, match=r"replace\(\w+, header=\w+\.header\)"):
        join(image, other)
    join(image, replace(other, header=image.header))


def test_the_patient_is_named_before_the_shape() -> None:
    other = replace(mask("B", OTHER_FRAME), array=np.ones((2, 5, 6), bool))
    for join in ("statistics", "plot", "view"):
        with pytest.raises(VolumeError, match="of the patient 'B'") as caught:
            ALLOWING[join](volume(), other)
        assert "resample" not in str(caught.value)


def test_arrays_have_no_patient() -> None:
    image = volume()
    assert image.statistics(image.array > 100)["voxels"].tolist() == [19]
    assert image.with_array(image.array * 2).array[0, 0, 1] == 2
    assert image.resample(like=GRID).array.shape == image.shape


def test_values_of_another_place_are_not_taken_for_those_of_this_one() -> None:
    moved = replace(mask(), geometry=replace(GRID, origin=(0.0, 0.0, 50.0)))
    for join in ("with_array", "indexing"):
        with pytest.raises(VolumeError, match=r"elsewhere.*resample\(like=.*\.array"):
            REFUSING[join](volume(), moved)


class TestAfterResampling:
    def test_the_frame_of_reference_is_that_of_the_grid(self) -> None:
        image, other = volume(), mask("A", OTHER_FRAME)
        moved = other.resample(like=image, allow_other_frame=True)
        assert moved.header.FrameOfReferenceUID == FRAME
        assert other.header.FrameOfReferenceUID == OTHER_FRAME
        assert all(part in moved.log[-1] for part in (FRAME, OTHER_FRAME, FLAG))
        assert image.statistics(moved)["voxels"].tolist() == [19]
        with pytest.raises(VolumeError, match="frame of reference"):
            other.statistics(moved)

    def test_the_patient_stays(self) -> None:
        moved = mask("B", OTHER_FRAME).resample(like=volume(), allow_other_frame=True)
        assert moved.header.PatientID == "B"
        with pytest.raises(VolumeError, match="of the patient 'B'"):
            volume().statistics(moved)

    def test_within_one_space_the_header_is_the_same(self) -> None:
        other = mask()
        assert other.resample(like=volume(), allow_other_frame=True).header is other.header


class TestTheExampleArchive:
    def test_masks_of_one_patient_are_not_measured_in_the_pet_of_another(self) -> None:
        archive = Folder.example()
        pet = archive.copy().select(PatientID="EX-003", Modality="PT").get_volume(units="SUVbw")
        regions = archive.copy().select(PatientID="EX-002", Modality=["SEG", "RTSTRUCT"]).get_masks()
        with pytest.raises(VolumeError, match=r"'EX-002'.*'EX-003'"):
            pet.statistics(regions)
        for region in regions.values():
            with pytest.raises(VolumeError, match=r"'EX-002'.*'EX-003'"):
                region.resample(like=pet)
        with pytest.raises(VolumeError, match="'EX-00"):
            archive.copy().select(PatientID="EX-002", Modality="SEG").get_masks(like=pet)["liver"]

    def test_a_later_study_of_a_patient_has_other_coordinates(self) -> None:
        first, later = Folder.example().select(SeriesDescription="T1 MPRAGE", PatientID="EX-001").get_volumes().values()
        with pytest.raises(VolumeError, match="frame of reference"):
            later.resample(like=first)

    def test_contours_know_their_frame_of_reference(self) -> None:
        archive = Folder.example().select(PatientID="EX-002")
        ct = archive.copy().select(Modality="CT").get_volume()
        contoured = archive.copy().select(Modality="RTSTRUCT").get_masks()["liver"]
        assert contoured.header.FrameOfReferenceUID == ct.header.FrameOfReferenceUID
        with pytest.raises(VolumeError, match="frame of reference"):
            replace(ct, header=in_frame(ct.header, OTHER_FRAME)).statistics(contoured)

    def test_a_pet_and_the_ct_of_its_scanner_have_one_frame_of_reference(self) -> None:
        archive = Folder.example().select(PatientID="EX-003")
        pet = archive.copy().select(Modality="PT").get_volume()
        ct = archive.copy().select(Modality="CT").get_volume()
        assert pet.resample(like=ct).shape == ct.shape


def test_a_message_is_safe_to_print() -> None:
    with pytest.raises(VolumeError) as caught:
        check_common_space(Space("a\x1b[31m"), Space("b"), "The mask", "the image")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("12", "0012", True),
        ("p-012", "P012", True),
        ("P12", "P0012", True),
        ("0", "000", True),
        ("12", "120", False),
        ("102", "12", False),
        ("A1", "B1", False),
        ("-", "--", False),
    ],
)
def test_an_identifier_in_another_spelling_is_named_as_such(one: str, other: str, alike: bool) -> None:
    with pytest.raises(VolumeError, match="they have no common coordinates") as refused:
        check_common_space(Space(one), Space(other), "The mask", "the image")
    assert ("one identifier in two spellings" in str(refused.value)) == alike
