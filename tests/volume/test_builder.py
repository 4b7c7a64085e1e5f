"""A volume that is filled while its slices arrive is the one that is assembled when all of them are there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.errors import PixelDecodeError, VolumeError
from simple_orthanc.phantom import make_series
from simple_orthanc.pixels.conversion import volume_bytes
from simple_orthanc.pixels.stored import remove_pixels, stored_values
from simple_orthanc.volume.assembly import assemble
from simple_orthanc.volume.builder import VolumeBuilder
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from simple_orthanc.volume.volume import Volume
from tests.examples import examples


def assembled(series: Sequence[Dataset], units: str, gaps: str = "raise", dims: str | None = None) -> Volume:
    chosen = choose_volume(plan_stacks(series), dims=dims, gaps=gaps)
    return assemble(chosen, series, lambda index: stored_values(series[index]), units=units, gaps=gaps)


def drafted(
    series: Sequence[Dataset], units: str, gaps: str = "raise", dims: str | None = None, again: Any = None
) -> Volume:
    headers = [Dataset() for _ in series]
    builder = VolumeBuilder(range(len(series)), headers, units)
    for index, dataset in enumerate(series):
        headers[index] = dataset
        builder.add(index, dataset, stored_values(dataset))
    chosen = choose_volume(plan_stacks(headers), dims=dims, gaps=gaps)
    return builder.finish(chosen, again or (lambda index: stored_values(series[index])), gaps)


def assert_same(found: Volume, expected: Volume) -> None:
    assert found.array.dtype == expected.array.dtype
    np.testing.assert_array_equal(found.array, expected.array)
    assert found.geometry == expected.geometry
    assert (found.units, found.dims, found.coordinates) == (expected.units, expected.dims, expected.coordinates)
    assert found.log == expected.log
    assert (found.padding_mask is None) == (expected.padding_mask is None)
    if expected.padding_mask is not None:
        np.testing.assert_array_equal(found.padding_mask, expected.padding_mask)
    assert found.slices is not None
    assert expected.slices is not None
    assert found.slices.equals(expected.slices)


def never(_: int) -> Any:
    raise AssertionError("everything was there")


@settings(max_examples=examples(60))
@given(
    order=st.permutations(range(6)),
    slope=st.sampled_from([1, 2, 0.5]),
    intercept=st.sampled_from([0, -1024, 0.25]),
    bits=st.sampled_from([12, 16]),
    units=st.sampled_from(["modality", "stored"]),
    padded=st.booleans(),
)
def test_the_order_of_the_slices_does_not_matter(
    order: list[int], slope: float, intercept: float, bits: int, units: str, padded: bool
) -> None:
    tags: dict[str, Any] = {"PixelPaddingValue": 3} if padded else {}
    series = make_series((6, 3, 4), bits_stored=bits, slope=slope, intercept=intercept, seed=1, **tags)
    shuffled = [series[place] for place in order]
    assert_same(drafted(shuffled, units, again=never), assembled(series, units))


def test_slices_with_slopes_of_their_own() -> None:
    series = make_series((4, 3, 4), modality="PT", slope=[0.5, 1, 2, 0.25], intercept=0, Units="BQML")
    assert_same(drafted(series, "modality", again=never), assembled(series, "modality"))


@pytest.mark.parametrize("place", [0, 2])
def test_one_slice_that_needs_another_type_changes_that_of_all(place: int) -> None:
    series = make_series((4, 3, 4), slope=1, intercept=-1024)
    series[place].RescaleSlope = 0.5
    asked: list[int] = []

    def again(index: int) -> Any:
        asked.append(index)
        return stored_values(series[index])

    assert_same(drafted(series, "modality", again=again), assembled(series, "modality"))
    # What had been kept is not asked for once more: a float among integers finds no room, integers do among floats.
    assert asked == ([] if place == 0 else [0, 1, 3])


def test_missing_slices_become_nan() -> None:
    series = [dataset for number, dataset in enumerate(make_series((6, 3, 4))) if number != 2]
    assert_same(drafted(series[::-1], "modality", "nan", again=never), assembled(series[::-1], "modality", "nan"))


def test_a_fourth_dimension() -> None:
    second = make_series((3, 3, 4), seed=5, TemporalPositionIdentifier=2)
    first = make_series((3, 3, 4), seed=6, TemporalPositionIdentifier=1, like=second[0])
    mixed = [one for pair in zip(second, first, strict=True) for one in pair]
    assert_same(drafted(mixed, "modality", dims="time", again=never), assembled(mixed, "modality", dims="time"))


def test_standardized_uptake_values_are_made_of_what_was_stored() -> None:
    tags = {
        "Units": "BQML",
        "PatientWeight": 70,
        "CorrectedImage": ("DECY", "ATTN"),
        "DecayCorrection": "START",
        "SeriesTime": "120000",
        "AcquisitionTime": "120000",
    }
    agent = Dataset()
    agent.RadiopharmaceuticalStartTime, agent.RadionuclideTotalDose, agent.RadionuclideHalfLife = "110000", 3e8, 6586
    series = make_series((3, 3, 4), modality="PT", RadiopharmaceuticalInformationSequence=[[agent]] * 3, **tags)
    try:
        expected = assembled(series, "SUVbw")
    except VolumeError as error:
        with pytest.raises(type(error)):
            drafted(series, "SUVbw")
    else:
        assert_same(drafted(series, "SUVbw", again=never), expected)


def test_colour_without_samples_per_pixel() -> None:
    array = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
    series = make_series(array=array, slope=None, intercept=None, SamplesPerPixel=None)
    np.testing.assert_array_equal(assembled(series, "modality").array, array)
    assert_same(drafted(series, "modality", again=never), assembled(series, "modality"))
    assert volume_bytes(series[0]) == array[0].nbytes


def test_pixels_of_another_shape_are_refused() -> None:
    series = make_series((3, 4, 4))
    with pytest.raises(PixelDecodeError, match=r"\(1, 4, 4\).*\(1, 4, 4, 3\)"):
        assemble(choose_volume(plan_stacks(series)), series, lambda index: np.zeros((1, 4, 4, 3), np.int16))


@pytest.mark.parametrize(("name", "changes"), [("f4", {"BitsAllocated": 16}), ("f8", {"BitsAllocated": 32})])
def test_floats_that_the_headers_do_not_announce_are_refused(name: str, changes: dict[str, int]) -> None:
    series = make_series(array=np.full((3, 2, 2), 0.1, name), slope=None, intercept=None, **changes)
    arrays = [stored_values(dataset) for dataset in series]
    for dataset in series:
        remove_pixels(dataset)
    with pytest.raises(PixelDecodeError, match=f"decode to {np.dtype(name).name}"):
        assemble(choose_volume(plan_stacks(series)), series, lambda index: arrays[index])


def test_memory_that_is_used_again_does_no_harm() -> None:
    series = make_series((4, 3, 4), seed=2)
    series[1].Rows, series[1].Columns = 4, 3
    series[1].PixelData = series[1].PixelData
    shared = np.empty((1, 3, 4), np.int16)
    headers = list(series)
    builder = VolumeBuilder(range(4), headers, "modality")
    expected = [stored_values(dataset).copy() for dataset in series]
    for index, dataset in enumerate(series):
        shared.reshape(-1)[:] = expected[index].reshape(-1)
        builder.add(index, dataset, shared.reshape(expected[index].shape)[:])
    shared[:] = -1
    groups = [stack for stack in plan_stacks(headers) if stack.slices == 1]
    volume = builder.finish(groups, never)
    np.testing.assert_array_equal(volume.array, stored_values(series[1]))
