"""Where DICOM puts each tag, and the order of the levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import keyword_dict, tag_for_keyword

from simple_orthanc.dicom import levels
from simple_orthanc.dicom.levels import INDEXED, LEVELS, Level, deepest, depth, indexed_level, level_of_keyword


@pytest.mark.parametrize(
    ("level", "keywords"),
    [
        ("patient", "PatientName PatientID PatientBirthDate PatientSex OtherPatientIDs PatientComments"),
        ("study", "StudyInstanceUID StudyDate AccessionNumber StudyID PatientAge PatientWeight InstitutionName"),
        ("series", "SeriesInstanceUID Modality SeriesDescription Manufacturer FrameOfReferenceUID Units"),
        ("series", "RadiopharmaceuticalInformationSequence BodyPartExamined ProtocolName PatientPosition"),
        ("instance", "SOPInstanceUID InstanceNumber ImageType KVP SliceThickness ImageOrientationPatient"),
        ("instance", "SequenceName ContrastBolusAgent NumberOfFrames AcquisitionDate ContentTime Rows PixelData"),
        ("instance", "0009,100D NotAKeyword"),
    ],
)
def test_a_tag_belongs_to_the_level_where_dicom_puts_it(level: Level, keywords: str) -> None:
    assert {keyword: level_of_keyword(keyword) for keyword in keywords.split()} == dict.fromkeys(
        keywords.split(), level
    )


def test_every_name_in_the_lists_is_a_keyword() -> None:
    listed = [name for names in (levels._PATIENT, levels._STUDY, levels._SERIES) for name in names.split()]
    assert [name for name in listed if tag_for_keyword(name) is None] == []
    assert len(listed) == len(set(listed))


@given(st.sampled_from(sorted(keyword for keyword in keyword_dict if keyword)))
def test_every_keyword_has_one_of_the_four_levels(keyword: str) -> None:
    assert level_of_keyword(keyword) in LEVELS


def test_depth_counts_from_the_patient_down() -> None:
    assert [depth(level) for level in ("patient", "study", "series", "instance")] == [0, 1, 2, 3]


@given(st.lists(st.sampled_from(LEVELS), min_size=1))
def test_the_deepest_is_one_of_them_and_none_lies_deeper(some: list[Level]) -> None:
    found = deepest(*some)
    assert found in some
    assert all(depth(level) <= depth(found) for level in some)


def test_every_indexed_name_is_a_keyword_once_at_its_level() -> None:
    for keywords in INDEXED.values():
        assert [name for name in keywords if tag_for_keyword(name) is None] == []
        assert len(keywords) == len(set(keywords))


def test_the_index_holds_no_tag_above_the_level_where_dicom_puts_it() -> None:
    for level, keywords in INDEXED.items():
        assert all(depth(level_of_keyword(keyword)) <= depth(level) for keyword in keywords)


def test_tags_of_the_patient_are_held_with_the_study() -> None:
    assert {indexed_level(keyword) for keyword in INDEXED["patient"]} == {"study"}
    assert indexed_level("KVP") is None
