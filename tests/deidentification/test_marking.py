"""What an object states of its de-identification."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.deidentification.marking import mark
from simple_orthanc.deidentification.profile import Option, Profile


def codes(dataset: Dataset) -> list[tuple[str, str]]:
    return [(item.CodeValue, item.CodingSchemeDesignator) for item in dataset.DeidentificationMethodCodeSequence]


@pytest.mark.parametrize(
    ("option", "code"),
    [
        (Option.CLEAN_GRAPHICS, "113103"),
        (Option.CLEAN_STRUCTURED_CONTENT, "113104"),
        (Option.CLEAN_DESCRIPTORS, "113105"),
        (Option.RETAIN_FULL_DATES, "113106"),
        (Option.RETAIN_MODIFIED_DATES, "113107"),
        (Option.RETAIN_PATIENT_CHARACTERISTICS, "113108"),
        (Option.RETAIN_DEVICE_IDENTITY, "113109"),
        (Option.RETAIN_UIDS, "113110"),
        (Option.RETAIN_SAFE_PRIVATE, "113111"),
        (Option.RETAIN_INSTITUTION_IDENTITY, "113112"),
    ],
)
def test_each_option_has_its_code_of_cid_7050(option: Option, code: str) -> None:
    dataset = Dataset()
    mark(dataset, Profile.of([option]))
    assert codes(dataset) == [("113100", "DCM"), (code, "DCM")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], "REMOVED"), (["retain_full_dates"], "UNMODIFIED"), (["retain_modified_dates"], "MODIFIED")],
)
def test_what_became_of_dates(options: list[str], expected: str) -> None:
    dataset = Dataset()
    mark(dataset, Profile.of(options))
    assert dataset.LongitudinalTemporalInformationModified == expected


def test_earlier_statements_are_replaced_except_those_about_pixels() -> None:
    dataset = Dataset()
    mark(dataset, Profile.of(["retain_uids"]))
    earlier = Dataset()
    earlier.CodeValue, earlier.CodingSchemeDesignator = "113101", "DCM"
    earlier.CodeMeaning = "Quidditch cleaned the pixels"
    dataset.DeidentificationMethodCodeSequence.append(earlier)
    dataset.DeidentificationMethod = "by hand"
    mark(dataset, Profile.of())
    assert codes(dataset) == [("113100", "DCM"), ("113101", "DCM")]
    meanings = [item.CodeMeaning for item in dataset.DeidentificationMethodCodeSequence]
    assert meanings == ["Basic Application Confidentiality Profile", "Clean Pixel Data Option"]
    assert "by hand" not in dataset.DeidentificationMethod
    assert len(dataset.DeidentificationMethod) <= 64
