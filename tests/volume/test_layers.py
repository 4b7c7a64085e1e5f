"""What goes to the graphics processor has the values of the volume, and each label its own name and colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from simple_orthanc.volume.layers import label_layers, texture_values

ALLOWED = {"uint8", "int16", "uint16", "float32"}
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", ">i2", ">u4", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_integers_never_wrap(dtype: str, data: st.DataObject) -> None:
    array = data.draw(arrays(np.dtype(dtype), (4,)))
    shown = texture_values(array, is_colour=False)
    assert shown.dtype.newbyteorder("=").name in ALLOWED
    if shown.dtype.kind == "f":
        assert np.array_equal(shown, array.astype(np.float32))
    else:
        assert shown.tolist() == [int(value) for value in array]


@given(arrays(np.float64, (4,), elements=st.floats(allow_nan=False, width=32)))
def test_floats_of_single_precision_keep_their_values(array: np.ndarray) -> None:
    largest = np.finfo(np.float32).max
    shown = texture_values(array, is_colour=False)
    assert shown.dtype == np.float32
    assert shown.tolist() == np.clip(array, -largest, largest).tolist()


def test_floats_beyond_single_precision_and_nan_are_shown_as_the_nearest_value() -> None:
    largest = float(np.finfo(np.float32).max)
    shown = texture_values(np.array([1e300, -np.inf, np.nan, 2.0]), is_colour=False)
    assert shown.tolist() == [largest, -largest, -largest, 2.0]
    assert texture_values(np.full(2, np.nan, np.float32), is_colour=False).tolist() == [0.0, 0.0]
    assert texture_values(np.zeros(0, np.int64), is_colour=False).size == 0


def test_colour_of_sixteen_bits_is_scaled() -> None:
    assert texture_values(np.array([0, 257, 65535], np.uint16), is_colour=True).tolist() == [0, 1, 255]
    colour = np.array([0, 7, 255], np.uint8)
    assert texture_values(colour, is_colour=True) is colour


def test_masks_that_overlap_are_in_different_layers_and_no_voxel_is_lost() -> None:
    rng = np.random.default_rng(0)
    masks = {f"mask {number}": rng.random((4, 5, 6)) < 0.3 for number in range(6)}
    layers = label_layers(masks, {})
    assert len(layers) > 1
    found = {name: layer.array == index for layer in layers for index, name in enumerate(layer.names, 1)}
    assert found.keys() == masks.keys()
    for name, mask in masks.items():
        assert np.array_equal(found[name], mask)


def test_hundreds_of_labels_keep_their_numbers_names_and_colours() -> None:
    array = np.arange(-150, 450).reshape(4, 10, 15)
    (layer,) = label_layers({"atlas": array}, {"atlas": {7: "thalamus"}})
    assert layer.array.dtype == np.uint16
    assert len(layer.names) == len(layer.colours) == 599
    assert layer.names[layer.array[array == 7][0] - 1] == "thalamus"
    assert layer.names[layer.array[array == -150][0] - 1] == "atlas -150"
    assert (layer.array[array == 0] == 0).all()


def test_an_empty_mask_still_has_its_name() -> None:
    (layer,) = label_layers({"nothing": np.zeros((1, 2, 2), bool)}, {})
    assert layer.names == ["nothing"]
    assert not layer.array.any()


def test_a_single_label_has_the_name_of_its_map_unless_it_has_its_own() -> None:
    array = np.array([0, 5], np.uint8)
    assert label_layers({"liver": array}, {})[0].names == ["liver"]
    assert label_layers({"map": array}, {"map": {5: "spleen"}})[0].names == ["spleen"]
