"""Grids of parts, of other spacings and of projections keep each voxel at its millimetres."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc import Geometry, VolumeError
from simple_orthanc.volume.regrid import axis_number, flattened, kept_ranges, resampled, sliced, with_spacing

COSINE, SINE = np.cos(0.4), np.sin(0.4)
OBLIQUE = Geometry((9, 7, 5), (0.7, 1.3, 2.5), (-3.0, 4.0, 5.0), (COSINE, -SINE, 0, SINE, COSINE, 0, 0, 0, 1))
SHEARED = Geometry((9, 7, 5), (0.7, 1.3, 2.5), (-3.0, 4.0, 5.0), (1, 0, 0, 0, 1, 0.28, 0, 0, 0.96))


@given(st.tuples(st.slices(5), st.slices(7), st.slices(9)), st.sampled_from([OBLIQUE, SHEARED]))
def test_each_voxel_of_a_part_stays_where_it_is(key: tuple[slice, slice, slice], grid: Geometry) -> None:
    shape = grid.size[::-1]
    places = grid.to_patient(np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1), order="zyx")
    kept = places[key]
    if 0 in kept.shape:
        with pytest.raises(VolumeError, match="Nothing is left"):
            kept_ranges(key, shape)
        return
    ranges = kept_ranges(key, shape)
    assert ranges is not None
    part = sliced(grid, ranges)
    indices = np.stack(np.meshgrid(*map(np.arange, part.size[::-1]), indexing="ij"), axis=-1)
    assert np.allclose(part.to_patient(indices, order="zyx"), kept)
    assert min(part.spacing) > 0


@given(st.lists(st.floats(0.3, 6), min_size=3, max_size=3))
def test_another_spacing_covers_the_same_space(spacing: list[float]) -> None:
    finer = with_spacing(OBLIQUE, spacing)
    assert finer.spacing == pytest.approx(spacing)
    assert finer.direction == pytest.approx(OBLIQUE.direction)
    middle = [(size - 1) / 2 for size in OBLIQUE.size]
    assert finer.to_patient([(size - 1) / 2 for size in finer.size], order="xyz") == pytest.approx(
        OBLIQUE.to_patient(middle, order="xyz")
    )
    for new, old, step, before in zip(finer.size, OBLIQUE.size, spacing, OBLIQUE.spacing, strict=True):
        assert abs(new * step - old * before) <= max(step / 2, step - old * before) + 1e-9


@pytest.mark.parametrize("spacing", [0, -1, (1, 2), (1, 2, float("nan")), (1, 2, 0), float("inf")])
def test_an_invalid_spacing_is_refused(spacing: Any) -> None:
    with pytest.raises(ValueError, match="spacing="):
        with_spacing(OBLIQUE, spacing)


@pytest.mark.parametrize(("source", "target"), [(OBLIQUE, SHEARED), (SHEARED, OBLIQUE), (OBLIQUE, OBLIQUE)])
def test_a_linear_field_is_resampled_exactly(source: Geometry, target: Geometry) -> None:
    def field(grid: Geometry) -> np.ndarray[Any, Any]:
        indices = np.stack(np.meshgrid(*map(np.arange, grid.size[::-1]), indexing="ij"), axis=-1)
        return grid.to_patient(indices, order="zyx") @ [1.0, -2.0, 0.5] + 7

    new = resampled(field(source), source, target, "linear", float("nan"))
    indices = np.stack(np.meshgrid(*map(np.arange, target.size[::-1]), indexing="ij"), axis=-1)
    within = source.to_index(target.to_patient(indices, order="zyx"), order="zyx")
    limits = np.array(source.size[::-1]) - 1
    inside = ((within >= 0) & (within <= limits)).all(axis=-1)
    assert inside.any()
    assert np.allclose(new[inside], field(target)[inside])
    beyond = ((within < -0.51) | (within > limits + 0.51)).any(axis=-1)
    assert np.isnan(new[beyond]).all()


def test_a_mask_keeps_its_type() -> None:
    mask = np.zeros(OBLIQUE.size[::-1], bool)
    mask[2, 3, 4] = True
    new = resampled(mask, OBLIQUE, OBLIQUE, "nearest", 0)
    assert new.dtype == bool
    assert np.array_equal(new, mask)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_projection_lies_in_the_middle(axis: int) -> None:
    flat = flattened(OBLIQUE, axis)
    assert flat.size[2 - axis] == 1
    assert flat.spacing[2 - axis] == pytest.approx(OBLIQUE.spacing[2 - axis] * OBLIQUE.size[2 - axis])
    middle = [(size - 1) / 2 for size in OBLIQUE.size]
    own = [0.0 if size == 1 else (size - 1) / 2 for size in flat.size]
    assert flat.to_patient(own, order="xyz") == pytest.approx(OBLIQUE.to_patient(middle, order="xyz"))


def test_names_of_axes() -> None:
    assert [axis_number(axis) for axis in ("slice", "row", "column", 0, -1)] == [0, 1, 2, 0, 2]
    for wrong in ("z", 3, True, None):
        with pytest.raises(ValueError, match="axis="):
            axis_number(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [3, (1, slice(None)), np.array([0, 1]), None, "a"])
def test_other_keys_are_numpys(key: Any) -> None:
    assert kept_ranges(key, (4, 5, 6)) is None


def test_more_slices_than_axes() -> None:
    with pytest.raises(IndexError, match="3 axes"):
        kept_ranges((slice(None),) * 4, (4, 5, 6))


def test_an_interpolated_mask_holds_what_is_inside_by_half() -> None:
    grid = Geometry((16, 16, 8), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    mask = np.zeros((8, 16, 16), bool)
    mask[2:6, 4:12, 4:12] = True
    finer = resampled(mask, grid, with_spacing(grid, (1.0, 1.0, 1.0)), "linear", 0.0)
    assert finer.dtype == bool
    # Truncated, it was 384.
    assert finer.sum() == 2 * mask.sum()
