"""What an error proposes to select or to leave out is what remains."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.phantom import make_enhanced, make_series
from simple_orthanc.volume.choosing import plan_stacks
from simple_orthanc.volume.proposals import argument, exclusion_of, selection_of


def two(first: dict[str, Any], second: dict[str, Any], modality: str = "MR") -> list[Dataset]:
    images = make_series(modality=modality, **first)
    return images + make_series(modality=modality, like=images[0], **{"InstanceNumber": [4, 5, 6], **second})


def selections(headers: list[Dataset]) -> list[str | None]:
    stacks = plan_stacks(headers)
    return [selection_of(stack, stacks) for stack in stacks]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"EchoNumbers": 1}, {"EchoNumbers": 2}, ["EchoNumbers=1", "EchoNumbers=2"]),
        ({"EchoTime": 4.6}, {"EchoTime": 1234567.25}, ["EchoTime=4.6", "EchoTime=1234567.25"]),
        (
            {"ImageType": ("ORIGINAL", "PRIMARY", "M")},
            {"ImageType": ("ORIGINAL", "PRIMARY", "P")},
            ["ImageType=('ORIGINAL', 'PRIMARY', 'M')", "ImageType=('ORIGINAL', 'PRIMARY', 'P')"],
        ),
        # An archive holds one SeriesNumber and one SeriesDescription for a series, and times are no values to type.
        ({"SeriesNumber": 1}, {"SeriesNumber": 2}, ["InstanceNumber=(1, 3)", "InstanceNumber=(4, 6)"]),
        ({"SeriesDescription": "a"}, {"SeriesDescription": "b"}, ["InstanceNumber=(1, 3)", "InstanceNumber=(4, 6)"]),
        (
            {"AcquisitionTime": "120000"},
            {"AcquisitionTime": "130000"},
            ["InstanceNumber=(1, 3)", "InstanceNumber=(4, 6)"],
        ),
        (
            {"InstanceNumber": [1, 3, 5]},
            {"InstanceNumber": [2, 4, 6]},
            ["InstanceNumber=[1, 3, 5]", "InstanceNumber=[2, 4, 6]"],
        ),
        ({"spacing": (1, 2, 2)}, {"spacing": (1, 3, 3)}, ["PixelSpacing=(2, 2)", "PixelSpacing=(3, 3)"]),
        ({"shape": (3, 4, 4)}, {"shape": (3, 8, 6)}, ["Rows=4, Columns=4", "Rows=8, Columns=6"]),
    ],
)
def test_selections(first: dict[str, Any], second: dict[str, Any], expected: list[str]) -> None:
    assert selections(two(first, second)) == expected


def test_frames_of_one_object_cannot_be_selected_apart() -> None:
    groups = {"MREchoSequence": {"EffectiveEchoTime": [5.0, 2.5]}}
    assert selections([make_enhanced((2, 4, 4), positions=[(0, 0, 0)] * 2, groups=groups)]) == [None, None]


def test_nothing_that_select_knows() -> None:
    images = make_series(InstanceNumber=1, SeriesNumber=1)
    assert selections(images + make_series(InstanceNumber=1, SeriesNumber=2, like=images[0])) == [None, None]


@pytest.mark.parametrize(
    ("odd", "missing", "expected"),
    [
        ({}, "DiffusionBValue", "DiffusionBValue=None"),
        ({"ImageType": ("DERIVED", "PRIMARY", "ADC")}, "DiffusionBValue", 'ImageType="DERIVED"'),
        ({"DiffusionBValue": 3.0}, "", "DiffusionBValue=3"),
        ({"DiffusionBValue": 700.0}, "", "InstanceNumber=(4, 6)"),
    ],
)
def test_exclusions(odd: dict[str, Any], missing: str, expected: str) -> None:
    usual = {"DiffusionBValue": 700.0, "ImageType": ("ORIGINAL", "PRIMARY")}
    stacks = plan_stacks(two(usual, {"ImageType": ("ORIGINAL", "PRIMARY"), **odd}))
    left_out = [plane for stack in stacks for plane in stack.planes if (plane.instance_number or 0) > 3]
    assert exclusion_of(left_out, stacks, missing) == expected


def test_a_tuple_of_one_value() -> None:
    assert argument("ImageType", ("ORIGINAL",)) == "ImageType=('ORIGINAL',)"
