"""Which SOP class a derived series has."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.testing import make_series
from simple_orthanc.volume.writing.classes import CT, MR, PET, SECONDARY_CAPTURE, ImageClass, choose_class, modality_of


def chosen(header: Dataset, units: str, *, is_grey: bool = True, has_position: bool = True) -> ImageClass:
    return choose_class(header, units, is_grey=is_grey, has_position=has_position)


@pytest.mark.parametrize(
    ("modality", "units", "expected"),
    [
        ("CT", "HU", CT),
        ("CT", "g/ml", SECONDARY_CAPTURE),
        ("CT", "stored", SECONDARY_CAPTURE),
        ("MR", "stored", MR),
        ("MR", "ms", MR),
        ("PT", "BQML", PET),
        ("PT", "g/ml", PET),
        ("PT", "ms", SECONDARY_CAPTURE),
        ("US", "stored", SECONDARY_CAPTURE),
    ],
)
def test_by_modality_and_units(modality: str, units: str, expected: ImageClass) -> None:
    assert chosen(make_series(modality=modality)[0], units) is expected


@pytest.mark.parametrize(
    ("modality", "missing"), [("MR", "ScanningSequence"), ("PT", "FrameReferenceTime"), ("PT", "SeriesType")]
)
def test_what_the_class_demands_is_missing(modality: str, missing: str) -> None:
    header = make_series(modality=modality, **{missing: None})[0]
    assert chosen(header, "BQML") is SECONDARY_CAPTURE


def test_masks_colours_and_images_without_position() -> None:
    header = make_series(modality="MR")[0]
    assert chosen(header, "stored", is_grey=False) is SECONDARY_CAPTURE
    assert chosen(header, "stored", has_position=False) is SECONDARY_CAPTURE


@pytest.mark.parametrize(("kind", "expected"), [("GATED", SECONDARY_CAPTURE), ("DYNAMIC", PET), ("WHOLE BODY", PET)])
def test_types_of_pet_series(kind: str, expected: ImageClass) -> None:
    assert chosen(make_series(modality="PT", SeriesType=(kind, "IMAGE"))[0], "BQML") is expected


def test_the_modality_of_what_was_no_image() -> None:
    assert [modality_of(make_series(modality=name)[0]) for name in ("RTDOSE", "MR")] == ["OT", "MR"]
    assert modality_of(Dataset()) == "OT"
