"""A part is not taken for the whole where headers announce more."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import InconsistentSlicesError
from simple_orthanc.phantom import make_enhanced, make_series
from simple_orthanc.volume.choosing import choose_volume, plan_stacks, summarize


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"NumberOfSlices": 47}, "NumberOfSlices is 47, but there are 3 positions"),
        ({"ImagesInAcquisition": 60}, "ImagesInAcquisition is 60, but there are 3 images"),
        ({"NumberOfTemporalPositions": 2}, "NumberOfTemporalPositions is 2, but there are 1 images at a position"),
    ],
)
def test_a_line_in_the_log_and_a_column(tags: dict[str, Any], expected: str) -> None:
    (stack,) = choose_volume(plan_stacks(make_series((3, 4, 4), modality="PT", **tags)))
    assert expected in stack.log
    assert summarize(stack)["contradiction"] == expected
    assert summarize(stack)["regular"]


@pytest.mark.parametrize(
    "tags",
    [
        {"NumberOfSlices": 3},
        {"ImagesInAcquisition": 3},
        {"ImagesInAcquisition": 1},
        {"NumberOfTemporalPositions": 1},
        {},
    ],
)
def test_nothing_where_they_agree(tags: dict[str, Any]) -> None:
    (stack,) = plan_stacks(make_series((3, 4, 4), modality="PT", **tags))
    assert stack.contradiction == ""


def test_images_are_counted_by_acquisition() -> None:
    series = make_series((6, 4, 4), AcquisitionNumber=[1] * 3 + [2] * 3, ImagesInAcquisition=3)
    assert plan_stacks(series)[0].contradiction == ""
    assert "there are 2 images" in plan_stacks(series[1:])[0].contradiction


def parts(make: Any, total: int | None) -> list[Dataset]:
    first: Dataset | None = None
    result = []
    for number in (1, 2):
        first = make(number, first, {"ConcatenationUID": "1.2.3", "InConcatenationTotalNumber": total})
        result.append(first)
    return result


def enhanced(number: int, like: Dataset | None, tags: dict[str, Any]) -> Dataset:
    return make_enhanced(
        (3, 4, 4), origin=(0, 0, 3 * number), InConcatenationNumber=number, like=like, modality="CT", **tags
    )


@pytest.mark.parametrize("total", [2, None])
def test_a_concatenation_is_one_volume(total: int | None) -> None:
    (stack,) = choose_volume(plan_stacks(parts(enhanced, total)))
    assert stack.slices == 6


@pytest.mark.parametrize(("lacking", "total"), [(1, 2), (2, 2), (1, None)])
def test_one_object_of_a_concatenation_is_not_the_whole(lacking: int, total: int | None) -> None:
    objects = parts(enhanced, total)
    del objects[lacking - 1]
    with pytest.raises(InconsistentSlicesError, match=rf"stored in 2 objects.*InConcatenationNumber {lacking} are"):
        choose_volume(plan_stacks(objects))
