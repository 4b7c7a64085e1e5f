"""A tag that nobody knew beforehand is found and named."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import DuplicateSlicesError, InconsistentSlicesError
from simple_orthanc.phantom import make_series
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from tests.volume.helpers import labels


def two(numbers: bool = False, **tags: tuple[Any, Any]) -> list[Dataset]:
    first = make_series(modality="MR", **{keyword: values[0] for keyword, values in tags.items()})
    second = make_series(modality="MR", like=first[0], **{keyword: values[1] for keyword, values in tags.items()})
    if numbers:
        for number, image in enumerate(second, 4):
            image.InstanceNumber = number
    return first + second


@pytest.mark.parametrize(
    ("keyword", "values", "expected"),
    [
        ("ImageComments", ("rest", "stress"), ["ImageComments rest", "ImageComments stress"]),
        ("ScanOptions", ("FS", "PFP"), ["ScanOptions FS", "ScanOptions PFP"]),
        ("NominalInterval", (800, 950), ["NominalInterval 800", "NominalInterval 950"]),
        ("SpacingBetweenSlices", (1.5, 2.5), ["SpacingBetweenSlices 1.5", "SpacingBetweenSlices 2.5"]),
    ],
)
@pytest.mark.parametrize("numbers", [False, True])
def test_public_tags(keyword: str, values: tuple[Any, Any], expected: list[str], numbers: bool) -> None:
    assert labels(two(numbers, **{keyword: values})) == expected


@pytest.mark.parametrize("maker", ["", "Hitachi", "A maker that is not known"])
def test_private_tags(maker: str) -> None:
    series = two()
    for number, image in enumerate(series):
        image.Manufacturer = maker
        image.private_block(0x0051, "A CREATOR", create=True).add_new(0x17, "LO", ("left", "right")[number // 3])
    assert labels(series) == ["(0051,1017) left", "(0051,1017) right"]
    with pytest.raises(InconsistentSlicesError, match=r"\(0051,1017\) left \(3 images"):
        choose_volume(plan_stacks(series))


def test_a_private_counter_is_a_repetition() -> None:
    series = two(numbers=True)
    for number, image in enumerate(series):
        image.private_block(0x0051, "A CREATOR", create=True).add_new(0x17, "IS", str(7 + number // 3))
    assert labels(series) == ["repetition 1", "repetition 2"]
    for number, image in enumerate(series):
        image.private_block(0x0051, "A CREATOR").add_new(0x18, "IS", str(7 - number // 3))
    assert labels(series) == ["(0051,1018) 6", "(0051,1018) 7"]


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": (40, 400)},
        {"InstanceCreationTime": ("120000", "130000")},
        {"IrradiationEventUID": ("1.2.3", "1.2.4")},
    ],
)
def test_an_attribute_without_information_separates_nothing(tags: dict[str, tuple[Any, Any]]) -> None:
    with pytest.raises(DuplicateSlicesError):
        choose_volume(plan_stacks(two(**tags)))


def test_a_value_must_cover_all_positions() -> None:
    series = two(ImageComments=("rest", "stress"))
    series[2].ImageComments, series[5].ImageComments = "other", "stress"
    with pytest.raises(DuplicateSlicesError):
        choose_volume(plan_stacks(series))
