"""Regions read from headers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Geometry, Volume, VolumeError
from simple_orthanc.phantom import make_series, make_structure_set
from simple_orthanc.volume.masks import (
    Region,
    contour_mask,
    contours,
    onto,
    segment_mask,
    segments,
    structures,
    unique_names,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
GRID = Geometry((6, 5, 4), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), AXIAL)
SQUARE = [[0.5, 0.5, 2.0], [3.5, 0.5, 2.0], [3.5, 2.5, 2.0], [0.5, 2.5, 2.0]]


def region(number: int = 1, kind: Any = "SEG") -> Region:
    return Region("GTV", number, kind, "1.2", "", (), frozenset())


def item(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def test_what_a_structure_set_names() -> None:
    images = make_series((4, 5, 6), spacing=(2.0, 1.0, 1.0), seed=1)
    header = make_structure_set(images, {"GTV": [SQUARE], "": []}, seed=2)
    first, second = structures(header)
    assert (first.name, first.number, first.kind, first.uid) == ("GTV", 1, "RTSTRUCT", header.SOPInstanceUID)
    assert first.frame_of_reference == images[0].FrameOfReferenceUID
    assert first.series == (images[0].SeriesInstanceUID,)
    assert first.images == {images[1].SOPInstanceUID}
    assert (second.name, second.images) == ("ROI 2", frozenset())
    mask = contour_mask(header, first, GRID)
    assert mask.array.sum() == 6
    assert mask.array[1, 1:3, 1:4].all()


@pytest.mark.parametrize(
    "missing", ["StructureSetROISequence", "ROIContourSequence", "ReferencedFrameOfReferenceSequence"]
)
def test_a_structure_set_that_lacks_a_part(missing: str) -> None:
    images = make_series((4, 5, 6), spacing=(2.0, 1.0, 1.0), seed=1)
    header = make_structure_set(images, {"GTV": [SQUARE]}, seed=2)
    delattr(header, missing)
    found = structures(header)
    assert len(found) == (0 if missing == "StructureSetROISequence" else 1)
    for each in found:
        assert len(contours(header, each)) == (0 if missing == "ROIContourSequence" else 1)


def test_numbers_that_are_no_points_name_the_region() -> None:
    header = make_structure_set(make_series((4, 5, 6), seed=1), {"GTV": [SQUARE]}, seed=2)
    header.ROIContourSequence[0].ContourSequence[0].ContourData = [1, 2]
    with pytest.raises(VolumeError, match="'GTV' has 2 numbers"):
        contours(header, structures(header)[0])


def test_what_a_segmentation_names() -> None:
    header = item(SOPInstanceUID="1.2", FrameOfReferenceUID="1.3")
    header.SegmentSequence = [
        item(SegmentNumber=2, SegmentLabel="Liver"),
        item(SegmentNumber=5),
        item(SegmentLabel="x"),
    ]
    header.ReferencedSeriesSequence = [
        item(SeriesInstanceUID="1.4", ReferencedInstanceSequence=[item(ReferencedSOPInstanceUID="1.5")])
    ]
    found = segments(header)
    assert [(each.name, each.number) for each in found] == [("Liver", 2), ("segment 5", 5)]
    assert (found[0].series, found[0].images, found[0].frame_of_reference) == (("1.4",), {"1.5"}, "1.3")


@pytest.mark.parametrize(
    ("kind", "values", "is_label_map", "inside"),
    [
        ("BINARY", [0, 1, 0], False, [False, True, False]),
        ("FRACTIONAL", [0.49, 0.5, 1.0], False, [False, True, True]),
        ("LABELMAP", [0, 1, 2], True, [False, False, True]),
    ],
)
def test_values_inside(kind: str, values: list[float], is_label_map: bool, inside: list[bool]) -> None:
    volume = Volume(np.array([[values]]), None, item(SegmentationType=kind), units="label")
    mask = segment_mask(volume, region(2), is_label_map)
    assert mask.array[0, 0].tolist() == inside
    assert mask.units == "mask"
    assert any("GTV" in line for line in mask.log)


def test_names_that_occur_again() -> None:
    both = [region(), region(kind="RTSTRUCT")]
    named = unique_names([*both, replace(region(), name="lesion")])
    assert list(named) == ["GTV (SEG)", "GTV (RTSTRUCT)", "lesion"]
    assert [each.kind for each in named.values()] == ["SEG", "RTSTRUCT", "SEG"]
    assert list(unique_names([*both, region(2)])) == ["GTV", "GTV (2)", "GTV (3)"]
    assert list(unique_names([replace(region(), name="GTV (SEG)"), *both])) == [
        "GTV (SEG)",
        "GTV (SEG) (2)",
        "GTV (RTSTRUCT)",
    ]


class TestOntoAnotherGrid:
    def test_the_same_grid_changes_nothing(self) -> None:
        mask = Volume(np.ones((4, 5, 6), bool), GRID, Dataset())
        assert onto(mask, GRID).array is mask.array

    def test_lost_objects_are_reported(self) -> None:
        mask = Volume(np.ones((4, 5, 6), bool), GRID, Dataset())
        half = Geometry((3, 5, 4), GRID.spacing, GRID.origin, AXIAL)
        moved = onto(mask, half)
        assert moved.shape == (4, 5, 3)
        assert any("0.5 of the region lies outside of the images" in line for line in moved.log)
        assert not onto(mask.with_array(np.zeros((4, 5, 6), bool)), half).array.any()

    def test_without_geometry(self) -> None:
        with pytest.raises(VolumeError, match="no position in the patient"):
            onto(Volume(np.ones((4, 5, 6), bool), None, Dataset()), GRID)
