"""The package data are the rows of the standard."""

from __future__ import annotations

from collections import Counter

from pydicom.datadict import dictionary_has_tag

from simple_orthanc.deidentification.profile import Option
from simple_orthanc.deidentification.table import row_of, rows, safe_private


def test_there_are_as_many_actions_as_in_the_standard() -> None:
    assert Counter(row.basic for row in rows()) == {
        "X": 384,
        "D": 92,
        "U": 54,
        "Z": 42,
        "X/D": 22,
        "X/Z": 11,
        "X/Z/D": 8,
        "Z/D": 6,
        "X/Z/U*": 2,
    }
    assert Counter(option for row in rows() for option in row.options) == {
        "retain_safe_private": 1,
        "retain_uids": 59,
        "retain_device_identity": 57,
        "retain_institution_identity": 10,
        "retain_patient_characteristics": 13,
        "retain_full_dates": 165,
        "retain_modified_dates": 165,
        "clean_descriptors": 125,
        "clean_structured_content": 3,
        "clean_graphics": 4,
    }


def test_every_option_is_a_column() -> None:
    assert {option for row in rows() for option in row.options} == {option.value for option in Option}


def test_single_attributes_are_found_by_their_number() -> None:
    single = [row for row in rows() if "x" not in row.pattern and "g" not in row.pattern]
    assert len(single) == 617
    for row in single:
        tag = int(row.pattern.strip("()").replace(",", ""), 16)
        assert row_of(tag) is row
        assert dictionary_has_tag(tag), row


def test_groups_that_repeat_and_private_attributes_are_found() -> None:
    for group in range(0x6000, 0x6020, 2):
        assert row_of(group << 16 | 0x3000).name == "Overlay Data"  # type: ignore[union-attr]
        assert row_of(group << 16 | 0x4000).name == "Overlay Comments"  # type: ignore[union-attr]
        assert row_of(group << 16 | 0x0010) is None
    for tag in (0x50003000, 0x50020005, 0x501E0010):
        assert row_of(tag).name == "Curve Data"  # type: ignore[union-attr]
    for tag in (0x00090010, 0x60013000, 0x7FE10010):
        assert row_of(tag).name == "Private Attributes"  # type: ignore[union-attr]


def test_safe_private_attributes_are_in_odd_groups() -> None:
    assert len(safe_private()) == 130
    assert all(group % 2 and element <= 0xFF for _, group, element in safe_private())
