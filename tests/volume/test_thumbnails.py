"""Thumbnails of volumes: small PNGs whose planes are turned, lettered and windowed as a reader expects."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.thumbnails import thumbnail
from simple_orthanc.volume.volume import Volume

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def header(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def volume_of(
    array: np.ndarray, *, direction: tuple[float, ...] = IDENTITY, spacing: float = 1.0, **options: Any
) -> Volume:
    slices, rows, columns = array.shape[-4:-1] if options.pop("colour", False) else array.shape[-3:]
    grid = Geometry((columns, rows, slices), (1.0, 1.0, spacing), (0.0, 0.0, 0.0), direction)
    return Volume(array, grid, options.pop("header", Dataset()), **options)


def pixels(volume: Volume) -> np.ndarray:
    """Return (down, across, channel); the last channel is 0 beside the planes."""
    content = thumbnail(volume)
    assert content.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(content)))


def half_bright(axis: int, size: int = 60) -> np.ndarray:
    """Return a cube whose second half along an axis is bright."""
    array = np.zeros((size, size, size), np.int16)
    array[tuple(slice(size // 2, None) if each == axis else slice(None) for each in range(3))] = 1000
    return array


def test_the_planes_are_those_of_a_reader_whatever_their_order_in_the_array() -> None:
    # Increasing slices go to the head, so the head is bright: on top of the second and third plane.
    shown = pixels(volume_of(half_bright(0)))
    width = (shown.shape[1] - 12) // 3
    for number in (1, 2):
        pane = shown[:, number * (width + 6) : number * (width + 6) + width, 0]
        assert pane[30:60, 20:60].min() == 255
        assert pane[-60:-30, 20:60].max() == 0
    # The same patient, stored from the head down.
    turned = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    again = pixels(volume_of(np.ascontiguousarray(half_bright(0)[::-1]), direction=turned))
    assert np.array_equal(shown[:, width + 6 :], again[:, width + 6 :])


def test_all_planes_have_one_scale_in_mm() -> None:
    shown = pixels(volume_of(np.zeros((10, 40, 40), np.int16), spacing=2.0))
    is_drawn = shown[..., 1] == 255
    heights = is_drawn.sum(axis=0)
    # Ten slices of 2 mm are half as high as forty rows of 1 mm are.
    assert sorted(set(heights.tolist())) == [0, 88, 176]


def test_letters_are_drawn_where_the_sides_are_known() -> None:
    flat = np.full((60, 60, 60), 5, np.int16)
    lettered = pixels(volume_of(flat))
    assert len(np.unique(lettered[..., 0])) > 2
    unknown = pixels(Volume(flat, None, Dataset()))
    assert unknown.shape == (176, 176, 2)
    assert len(np.unique(unknown[..., 0])) == 1


def test_thin_planes_have_no_letters() -> None:
    shown = pixels(volume_of(np.full((3, 100, 100), 5, np.int16)))
    assert len(np.unique(shown[:, 182:, :][shown[:, 182:, 1] == 255][:, 0])) == 1


@pytest.mark.parametrize(
    ("tags", "inside", "outside"),
    [
        ({"Modality": "MR"}, 255, 0),
        ({"Modality": "PT"}, 0, 255),
        ({"Modality": "DX", "PhotometricInterpretation": "MONOCHROME1"}, 0, 255),
    ],
)
def test_high_values_are_bright_except_in_pet_and_monochrome1(tags: dict[str, str], inside: int, outside: int) -> None:
    array = np.zeros((60, 60, 60), np.int16)
    array[15:45, 15:45, 15:45] = 900
    shown = pixels(volume_of(array, header=header(**tags)))
    assert shown[88, 70, 0] == inside
    assert shown[30, 30, 0] == outside


def test_the_window_of_a_ct_is_that_of_its_header() -> None:
    array = np.full((60, 60, 60), 50, np.int16)
    shown = pixels(volume_of(array, header=header(WindowCenter=50, WindowWidth=100), units="HU"))
    assert shown[30, 30, 0] == 128


def test_a_hot_spot_that_is_drawn_is_inside_the_window_of_a_large_pet() -> None:
    array = np.ones((200, 200, 200), np.float32)
    array[100, 101, 103] = 40.0
    shown = pixels(volume_of(array, header=header(Modality="PT"), units="SUVbw"))
    assert shown[50, 50, 0] > 240


def test_segments_have_colours_that_are_not_mixed() -> None:
    array = np.zeros((60, 61, 67), np.uint8)
    array[:, 20:40], array[:, 40:] = 1, 11
    shown = pixels(volume_of(array, units="label"))
    # Above the letters, in a stripe across the rows.
    colours = {tuple(colour) for colour in shown[30:60, 60:120].reshape(-1, 4).tolist()}
    assert colours == {(0, 0, 0, 255), (230, 85, 75, 255)}
    # Number 11 has the colour of number 1 again.
    assert shown[150, 70].tolist() == [230, 85, 75, 255]


def test_colour_stays_colour() -> None:
    array = np.zeros((20, 60, 60, 3), np.uint16)
    array[..., 1] = 65535
    shown = pixels(volume_of(array, colour=True))
    assert shown[50, 50].tolist() == [0, 255, 0, 255]


def test_the_first_step_of_a_4d_volume_is_drawn() -> None:
    first, second = half_bright(1), half_bright(2)
    steps = Volume(
        np.stack([first, second]),
        volume_of(first).geometry,
        Dataset(),
        dims=("time", "slice", "row", "column"),
        coordinates={"time": (0.0, 1.0)},
    )
    assert np.array_equal(pixels(steps), pixels(volume_of(first)))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "float32", "float64"])
@pytest.mark.parametrize("fill", [0, 1])
def test_constant_volumes_of_any_type_have_thumbnails(dtype: str, fill: int) -> None:
    assert pixels(volume_of(np.full((6, 6, 6), fill, dtype))).shape == (176, 3 * 176 + 12, 2)


def test_what_is_not_finite_is_drawn() -> None:
    array = np.zeros((60, 60, 60), np.float32)
    array[:, :30], array[:, 30:40], array[:, 40:] = np.nan, np.inf, -np.inf
    shown = pixels(volume_of(array))
    assert shown[60, 60, 0] == 0
    assert shown[100, 60, 0] == 255


def test_pixels_that_compress_badly_make_a_smaller_picture() -> None:
    noise = np.random.default_rng(1).integers(0, 65536, (60, 400, 400, 3), np.uint16)
    content = thumbnail(volume_of(noise, colour=True))
    assert len(content) <= 40_000
    assert Image.open(io.BytesIO(content)).height < 176


def test_no_voxels_are_an_error() -> None:
    with pytest.raises(VolumeError, match=r"without voxels, of shape \(0, 4, 4\)"):
        thumbnail(Volume(np.zeros((0, 4, 4)), None, Dataset()))
