"""The order that holds everywhere, whatever the order of the source."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.selection.index import Index
from tests.memory_source import MemorySource, instance
from tests.selection.test_index import texts

ORDERED = [
    instance(1, patient="A", study="9", StudyDate="20200101"),
    instance(2, patient="A", study="9", StudyDate="20200101"),
    instance(10, patient="A", study="9", StudyDate="20200101"),
    instance(1, patient="A", study="8", StudyDate="20200101", StudyTime="0900", series="1", SeriesNumber="2"),
    instance(1, patient="A", study="8", StudyDate="20200101", StudyTime="0900", series="0", SeriesNumber="10"),
    instance(1, patient="A", study="8", StudyDate="20200101", StudyTime="0900", series="2"),
    instance(1, patient="A", study="1", StudyDate="20210101"),
    instance(1, patient="A", study="2"),
    instance(1, patient="B", study="0", StudyDate="19990101"),
    instance(1, patient="", study="0.1", StudyDate="19990101"),
]
# A study with a time comes before one of the same day without.
EXPECTED = ["8.1.1", "8.0.1", "8.2.1", "9.1.1", "9.1.2", "9.1.10", "1.1.1", "2.1.1", "0.1.1", "0.1.1.1"]


@given(st.permutations(ORDERED))
def test_the_order_does_not_depend_on_the_source(shuffled: list[Dataset]) -> None:
    source = MemorySource(shuffled)
    index = Index(source)
    found = index.ordered("instance", index.everything("instance"))
    assert [key.rpartition("|")[2] for key in found] == [f"1.2.{ending}" for ending in EXPECTED]
    for level in ("series", "study"):
        above = list(dict.fromkeys(index.up("instance", found, level)))
        assert index.ordered(level, index.everything(level)) == above


def test_numbers_are_sorted_by_value_however_they_are_spelt() -> None:
    numbers = {"a": "02", "b": "2", "c": "+2", "d": "1", "e": "010", "f": "9", "g": None, "h": "0000000000000000002"}
    datasets = [
        instance(1, study="1", series=str(place), **({} if number is None else {"SeriesNumber": number}))
        for place, number in enumerate(numbers.values())
    ]
    index = Index(MemorySource(datasets))
    found = index.ordered("series", index.everything("series"))
    assert texts(index, "SeriesInstanceUID", "series", found) == [
        f"1.2.1.{place}" for place in (3, 0, 1, 2, 7, 5, 4, 6)
    ]


_POSITION, _NUMBER = Tag("ImagePositionPatient"), Tag("SeriesNumber")
AXIAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]


@pytest.mark.parametrize("turned", [1, -1])
@pytest.mark.parametrize(("orientation", "axis"), [(AXIAL, 2), (SAGITTAL, 0)])
def test_slices_are_sorted_along_their_normal_whatever_their_numbers(
    orientation: list[int], axis: int, turned: int
) -> None:
    places = [0.0, 2.5, 5.0, 7.5, 100.0, -3.0]
    datasets = []
    for number, place in enumerate(places):
        position = [10.0, 20.0, 30.0]
        position[axis] = turned * place
        datasets.append(instance(99 - number, ImagePositionPatient=position, ImageOrientationPatient=orientation))
    random.Random(1).shuffle(datasets)
    index = Index(MemorySource(datasets))
    found = index.ordered("instance", index.everything("instance"))
    rows = [value or () for value in index.column(parse_tag("ImagePositionPatient"), "instance", found)]
    along = [float(value[axis]) for value in rows]
    # The normal of the sagittal orientation points to -x.
    assert along == sorted(along, reverse=axis == 0)


def test_slices_at_one_position_are_sorted_by_number_and_those_without_position_come_last() -> None:
    def at(number: int, z: float | None) -> Dataset:
        if z is None:
            return instance(number)
        return instance(number, ImagePositionPatient=[0, 0, z], ImageOrientationPatient=AXIAL)

    datasets = [at(3, 1.0), at(1, None), at(2, 1.0000001), at(10, 1.0), at(4, 0.0)]
    odd = instance(5, ImagePositionPatient=[0, 0], ImageOrientationPatient=AXIAL)
    index = Index(MemorySource([*datasets, odd]))
    found = index.ordered("instance", index.everything("instance"))
    assert texts(index, "InstanceNumber", "instance", found) == ["4", "2", "3", "10", "1", "5"]


@pytest.mark.parametrize("odd", ["NaN", "inf", "-inf", "1e308"])
def test_a_position_that_is_not_finite_counts_as_missing(odd: str) -> None:
    # Across all three directions, so that what is finite but very large does not stay so either.
    orientation = [1, -1, 0, 1, 1, -2] if odd == "1e308" else AXIAL
    for places in (["3", odd, "1", "2"], ["1", odd, "2", "3"], ["2", "3", odd, "1"]):
        datasets = []
        for number, place in enumerate(places):
            dataset = instance(number, ImageOrientationPatient=orientation)
            content = "\\".join([place] * 3).encode()
            dataset[_POSITION] = RawDataElement(_POSITION, "DS", len(content), content, 0, False, True)
            datasets.append(dataset)
        index = Index(MemorySource(datasets))
        found = index.ordered("instance", index.everything("instance"))
        assert texts(index, "ImagePositionPatient", "instance", found) == ["1", "2", "3", odd]


def test_a_number_too_large_for_a_float_is_sorted_by_value() -> None:
    datasets = []
    for place, number in enumerate(["9" * 400, "1", "8" * 400]):
        dataset = instance(1, study="1", series=str(place))
        dataset[_NUMBER] = RawDataElement(_NUMBER, "IS", len(number), number.encode(), 0, False, True)
        datasets.append(dataset)
    index = Index(MemorySource(datasets))
    found = index.ordered("series", index.everything("series"))
    assert [text[0] for text in texts(index, "SeriesNumber", "series", found) if text] == ["1", "8", "9"]
