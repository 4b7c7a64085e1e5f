"""An attribute is found at the nearest level of a header that holds it."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.phantom import put


def item(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        put(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("own", "shared", "top", "expected"),
    [
        (3.0, 2.0, 1.0, [3.0]),
        (None, 2.0, 1.0, [2.0]),
        ("", 2.0, 1.0, [2.0]),
        (None, None, 1.0, [1.0]),
        ("", "", 1.0, [1.0]),
        (None, None, None, []),
    ],
)
def test_the_nearest_value_counts(own: Any, shared: Any, top: Any, expected: list[float]) -> None:
    header = item(SliceThickness=top)
    header.SharedFunctionalGroupsSequence = [item()]
    header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = [item(SliceThickness=shared)]
    header.PerFrameFunctionalGroupsSequence = [item(), item()]
    header.PerFrameFunctionalGroupsSequence[0].PixelMeasuresSequence = [item(SliceThickness=own)]
    first, second = elements.functional_groups(header, 2)
    found = elements.holder(header, first, "PixelMeasuresSequence", "SliceThickness")
    assert elements.numbers(found, "SliceThickness") == expected
    other = elements.holder(header, second, "PixelMeasuresSequence", "SliceThickness")
    assert elements.numbers(other, "SliceThickness") == [value for value in (shared, top) if value][:1]


def test_groups_without_frames_of_their_own_are_the_shared_one() -> None:
    header = item()
    header.SharedFunctionalGroupsSequence = [item()]
    assert [len(groups) for groups in elements.functional_groups(header, 3)] == [1, 1, 1]
    assert elements.functional_groups(item(), 2) == [(), ()]
