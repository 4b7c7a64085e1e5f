"""The widget has the volume's own grid, values, window and overlays, and a picture for pages without a kernel."""

from __future__ import annotations

import gzip
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import nibabel
import numpy as np
import pytest
from ipyniivue import MultiplanarType, SliceType
from PIL import Image
from pydicom.dataset import Dataset

from simple_orthanc import Geometry, Volume, VolumeError
from simple_orthanc.phantom import make_segmentation, make_series
from simple_orthanc.volume.windows import default_window
from tests.volume.helpers import read

OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
GRID = Geometry((6, 5, 4), (2.0, 1.5, 3.0), (-10.0, 20.0, 5.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
SHEARED = Geometry((6, 5, 4), (1.0, 1.0, 2.0), (0, 0, 0), (1, 0, 0, 0, 1, 0.5**0.5, 0, 0, 0.5**0.5))


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Widgets are kept by ipywidgets until they are closed."""
    import ipywidgets

    yield
    ipywidgets.Widget.close_all()


def nifti_of(layer: Any) -> nibabel.Nifti1Image:
    data = gzip.decompress(layer.data) if layer.name.endswith(".gz") else layer.data
    return nibabel.Nifti1Image.from_bytes(data)


def values_of(layer: Any) -> np.ndarray:
    """The values in the order of `Volume.array`."""
    return np.asarray(nifti_of(layer).dataobj).T


def header_of(**tags: Any) -> Dataset:
    header = Dataset()
    for keyword, value in tags.items():
        setattr(header, keyword, value)
    return header


def volume_of(array: Any, geometry: Geometry | None = GRID, units: str = "HU", **tags: Any) -> Volume:
    return Volume(np.asarray(array), geometry, header_of(**tags), units=units)


def test_the_image_lies_where_the_volume_lies_and_has_its_values() -> None:
    volume = read(make_series((3, 4, 5), orientation=OBLIQUE, spacing=(1.5, 0.5, 2.0), origin=(7, -8, 9)))
    (layer,) = volume.view().volumes
    image = nifti_of(layer)
    assert volume.affine_ras is not None
    np.testing.assert_allclose(image.affine, volume.affine_ras, atol=1e-5)
    assert np.array_equal(values_of(layer), volume.array)
    assert image.get_data_dtype() == volume.dtype


def test_the_window_is_that_of_plot() -> None:
    ct = volume_of(np.arange(120, dtype=np.int16).reshape(4, 5, 6), WindowCenter=40, WindowWidth=80)
    (layer,) = ct.view().volumes
    assert (layer.cal_min, layer.cal_max, layer.colormap_invert) == (0, 80, False)
    pet = volume_of(np.arange(120, dtype=np.float32).reshape(4, 5, 6), units="BQML", Modality="PT")
    (layer,) = pet.view().volumes
    window = default_window(pet.array, pet.header, "BQML")
    assert (layer.cal_min, layer.cal_max, layer.colormap_invert) == (window.low, window.high, True)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "uint32", "int64", "float64", ">i2"])
def test_types_that_a_texture_cannot_hold_keep_their_values(dtype: str) -> None:
    array = (np.arange(120).reshape(4, 5, 6) % 100).astype(dtype)
    volume = volume_of(array)
    (layer,) = volume.view().volumes
    assert np.array_equal(values_of(layer), array)
    assert nifti_of(layer).get_data_dtype().name in ("uint8", "int16", "float32")


def test_large_integers_are_floats_and_not_wrapped() -> None:
    array = np.full((4, 5, 6), 3_000_000_000, np.uint32)
    (layer,) = volume_of(array).view().volumes
    assert np.array_equal(values_of(layer), array)


def test_nan_is_shown_as_the_smallest_value() -> None:
    array = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    array[0, 0, :2] = np.nan
    (layer,) = volume_of(array, units="").view().volumes
    assert values_of(layer)[0, 0].tolist() == [2, 2, 2, 3, 4, 5]


class TestOverlays:
    def test_masks_share_a_label_map_with_names_and_colours(self) -> None:
        masks = {name: np.zeros((4, 5, 6), bool) for name in ("liver", "spleen")}
        masks["liver"][0], masks["spleen"][2] = True, True
        image, layer = volume_of(np.zeros((4, 5, 6), np.int16)).view(masks).volumes
        assert np.array_equal(values_of(layer), masks["liver"] + 2 * masks["spleen"].astype(int))
        assert layer.colormap_label.labels == ["", "liver", "spleen"]
        table = np.reshape(layer.colormap_label.lut, (3, 4))
        assert table[:, 3].tolist() == [0, 255, 255]
        assert not np.array_equal(table[1], table[2])
        assert 0 < layer.opacity < 1 == image.opacity
        assert layer.name == "liver, spleen.nii.gz"
        np.testing.assert_allclose(nifti_of(layer).affine, nifti_of(image).affine)

    def test_a_label_map_keeps_the_names_of_its_segments(self) -> None:
        images = make_series((4, 5, 6))
        masks = {name: np.zeros((4, 5, 6), bool) for name in ("liver", "spleen")}
        masks["liver"][0], masks["spleen"][2] = True, True
        segmentation = read([make_segmentation(images, masks)])
        volume = read(images)
        _, layer = volume.view(segmentation.resample(like=volume)).volumes
        assert layer.colormap_label.labels == ["", "liver", "spleen"]
        (alone,) = segmentation.view().volumes
        assert alone.colormap_label.labels == ["", "liver", "spleen"]
        assert alone.opacity == 1
        assert np.array_equal(values_of(alone), segmentation.array)

    def test_floats_are_colours_from_transparent_to_their_maximum(self) -> None:
        uptake = np.arange(120, dtype=np.float64).reshape(4, 5, 6)
        _, layer = volume_of(np.zeros((4, 5, 6), np.int16)).view({"PET": uptake}).volumes
        assert (layer.colormap, layer.cal_max) == ("hot", 119)
        assert 0 < layer.cal_min < 0.01
        assert 0 < layer.opacity < 1
        assert np.array_equal(values_of(layer), uptake)

    def test_floats_without_anything_above_zero_are_transparent(self) -> None:
        _, layer = volume_of(np.zeros((4, 5, 6), np.int16)).view(np.full((4, 5, 6), -1.0)).volumes
        assert 0 < layer.cal_min < layer.cal_max

    def test_another_grid_is_refused(self) -> None:
        with pytest.raises(VolumeError, match=r"overlay\.resample\(like=image\)"):
            volume_of(np.zeros((4, 5, 6), np.int16)).view(np.zeros((4, 5, 7), bool))


def test_a_sheared_volume_is_resampled_with_its_overlay_and_a_warning() -> None:
    array = np.zeros((4, 5, 6), np.int16)
    array[:, 2, 3] = 100
    volume = volume_of(array, SHEARED)
    with pytest.warns(UserWarning, match="gantry tilt"):
        image, layer = volume.view(array > 0).volumes
    affine = nifti_of(image).affine[:3, :3]
    np.testing.assert_allclose(affine.T @ affine, np.diag(np.diag(affine.T @ affine)), atol=1e-5)
    expected = Volume.from_sitk(volume.to_sitk(resample=True))
    np.testing.assert_allclose(nifti_of(image).affine, expected.affine_ras, atol=1e-5)
    assert np.array_equal(values_of(image), expected.array)
    assert set(np.unique(values_of(layer))) == {0, 1}
    assert values_of(layer).shape == expected.shape


def test_a_sheared_volume_in_colour_and_one_of_steps() -> None:
    colour = volume_of(np.full((4, 5, 6, 3), (10, 20, 30), np.uint8), SHEARED, units="")
    with pytest.warns(UserWarning, match="gantry tilt"):
        (layer,) = colour.view().volumes
    drawn = np.asarray(nifti_of(layer).dataobj)
    assert drawn[3, 4, 0].tolist() == (10, 20, 30)
    steps = Volume(np.ones((2, 4, 5, 6), np.int16), SHEARED, Dataset(), dims=("time", "slice", "row", "column"))
    with pytest.warns(UserWarning, match="gantry tilt"):
        (layer,) = steps.view().volumes
    assert nifti_of(layer).shape[2:] == (4, 2)


def test_colour_stays_colour() -> None:
    array = np.random.default_rng(0).integers(0, 255, (4, 5, 6, 3)).astype(np.uint8)
    viewer = volume_of(array, units="").view()
    (layer,) = viewer.volumes
    stored = np.asarray(nifti_of(layer).dataobj)
    assert np.array_equal(np.stack([stored[name] for name in "RGB"], axis=-1).transpose(2, 1, 0, 3), array)
    assert not viewer.opts.is_colorbar


def test_steps_of_a_4d_volume_are_frames_with_a_curve() -> None:
    array = np.arange(240, dtype=np.int16).reshape(2, 4, 5, 6)
    viewer = Volume(array, GRID, Dataset(), dims=("time", "slice", "row", "column")).view()
    (layer,) = viewer.volumes
    assert nifti_of(layer).shape == (6, 5, 4, 2)
    assert viewer.graph.opacity == 1
    assert viewer.opts.multiplanar_layout == MultiplanarType.GRID
    assert layer.cal_max > array[0].max()
    assert volume_of(array[0]).view().graph.opacity == 0


def test_what_has_no_geometry_is_shown_as_it_is_stored_without_letters() -> None:
    viewer = volume_of(np.arange(120, dtype=np.int16).reshape(4, 5, 6), None).view()
    assert viewer.opts.slice_type == SliceType.AXIAL
    assert not viewer.opts.is_orientation_text_visible
    # In radiological pictures columns run to the left of the patient, and rows to the back.
    assert np.array_equal(nifti_of(viewer.volumes[0]).affine, np.diag([-1.0, -1.0, 1.0, 1.0]))


def test_sides_are_as_in_the_pictures_of_plot() -> None:
    options = volume_of(np.zeros((4, 5, 6), np.int16)).view().opts
    assert options.slice_type == SliceType.MULTIPLANAR
    assert options.is_radiological_convention
    assert options.sagittal_nose_left
    assert options.is_orientation_text_visible
    assert options.is_corner_orientation_text
    assert options.is_nearest_interpolation


@pytest.mark.parametrize("shape", [(1, 1, 3000), (600, 1000, 1000)])
def test_more_than_browsers_draw_is_refused_with_the_way_out(shape: tuple[int, int, int]) -> None:
    array = np.broadcast_to(np.zeros((), np.int16), shape)
    geometry = Geometry((shape[2], shape[1], shape[0]), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    with pytest.raises(VolumeError, match=r"volume\[\.\.\., ::2, ::2\]\.view\(\)"):
        Volume(array, geometry, Dataset()).view()


def test_a_page_without_a_kernel_shows_a_picture_in_its_place() -> None:
    volume = volume_of(np.arange(120, dtype=np.int16).reshape(4, 5, 6))
    viewer = volume.view({"liver": volume.array > 60})
    data, _ = viewer._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == viewer.model_id
    assert data["text/plain"] == repr(viewer) == f"{volume!r} with liver"
    picture = np.asarray(Image.open(BytesIO(b64decode(data["image/png"]))).convert("RGB"), int)
    assert picture.shape[1] > picture.shape[0] > 200
    assert (np.ptp(picture, axis=2) > 40).sum() > 500


def test_the_picture_is_not_known_to_pyplot() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    volume_of(np.zeros((4, 5, 6), np.int16)).view().picture()
    assert pyplot.get_fignums() == before


def test_the_copy_that_the_browser_sends_back_is_not_kept() -> None:
    (layer,) = volume_of(np.zeros((4, 5, 6), np.int16)).view().volumes
    chunk = {"chunk_index": 0, "total_chunks": 1, "data_type": "int16", "chunk": memoryview(bytes(240))}
    layer.set_state({"chunk_img_0": chunk, "opacity": 0.5})
    assert layer.img is None
    assert layer.opacity == 0.5


def test_integers_of_an_image_are_values_and_those_of_a_map_are_labels() -> None:
    volume = volume_of(np.zeros((4, 5, 6), np.int16))
    values = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    _, ct, organs = volume.view({"organs": values // 40, "ct": values - 60}).volumes
    assert (ct.colormap, ct.cal_max) == ("hot", 59.0)
    assert organs.colormap_label.labels == ["", "organs 1", "organs 2"]


def test_layers_have_names_that_can_be_read_and_do_no_harm() -> None:
    volume = volume_of(np.zeros((4, 5, 6), np.int16), Modality="CT")
    overlays = {"dose": np.ones((4, 5, 6), np.float32), "../<b>\x1b[2J" + "x" * 100: volume.array == 0}
    image, dose, labels = (layer.name for layer in volume.view(overlays).volumes)
    assert (image, dose) == ("CT.nii", "dose.nii")
    assert labels.startswith("..__b__[2Jxxx")
    assert labels.endswith("x….nii.gz")
    assert len(labels) < 70


def test_hostile_names_of_overlays_reach_no_terminal() -> None:
    volume = volume_of(np.zeros((4, 5, 6), np.int16))
    viewer = volume.view({"\x1b]0;owned\x07": volume.array > 0})
    assert "\x1b" not in repr(viewer)
    assert "\x07" not in viewer._repr_mimebundle_()[0]["text/plain"]


def test_nothing_of_the_patient_is_in_the_names_that_the_widget_keeps() -> None:
    volume = volume_of(np.zeros((4, 5, 6), np.int16), PatientName="Zwolle^Jane", SeriesDescription="Zwolle")
    for overlay in (volume.array > 0, volume, [volume, volume.with_array(volume.array.astype(np.float32))]):
        viewer = volume.view(overlay)
        # The program of the widget is in its state too: a failure would show it.
        is_kept = "Zwolle" in f"{viewer.get_state()} {viewer!r} {[layer.name for layer in viewer.volumes]}"
        assert not is_kept
