"""Pictures do not mislead: marks and letters are where a reader expects them, and what a window hides is stated."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from simple_orthanc import Geometry, UnsupportedError, Volume, VolumeError
from simple_orthanc.phantom import ct_phantom, make_series
from tests.volume.helpers import read

# Grey levels of the marks, out of 255.
LEFT, FRONT, HEAD = 250, 170, 90
# Along x (to the left), y (to the back), z (to the head).
SIZE = (24, 20, 16)
EVERY_ORIENTATION = [
    (axes, signs) for axes in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
]


def handedness(axes: tuple[int, ...], signs: tuple[int, ...]) -> float:
    return float(np.linalg.det(np.eye(3)[list(axes)]) * np.prod(signs))


# The 24 right-handed ones that slices along their normal have, and some mirrored ones, as of some mosaics.
ORIENTATIONS = [each for each in EVERY_ORIENTATION if handedness(*each) > 0]
ORIENTATIONS += [each for each in EVERY_ORIENTATION if handedness(*each) < 0][::5]
# The letters at the left, right, top and bottom edge.
EDGES = {"axial": "RLAP", "coronal": "RLHF", "sagittal": "APHF"}


def marked() -> NDArray[np.uint8]:
    """A phantom (x, y, z) with a bar at the left, the front and the head, through all three middle planes."""
    array = np.zeros(SIZE, np.uint8)
    middle = [slice(size // 2 - 2, size // 2 + 3) for size in SIZE]
    array[-4:-1, middle[1], middle[2]] = LEFT
    array[middle[0], 1:4, middle[2]] = FRONT
    array[middle[0], middle[1], -4:-1] = HEAD
    return array


def turned(axes: tuple[int, ...], signs: tuple[int, ...], **attributes: Any) -> Volume:
    """The phantom with its index axes (column, row, slice) along these patient axes, in these directions."""
    array = marked().transpose(axes)
    flips = tuple(slice(None, None, sign) for sign in signs)
    direction = np.zeros((3, 3))
    origin = np.zeros(3)
    for index_axis, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        direction[axis, index_axis] = sign
        origin[axis] = 0 if sign > 0 else SIZE[axis] - 1
    geometry = Geometry(
        tuple(array.shape), (1.0, 1.0, 1.0), tuple(map(float, origin)), tuple(map(float, direction.ravel()))
    )
    return Volume(np.ascontiguousarray(array[flips].transpose(2, 1, 0)), geometry, Dataset(), **attributes)


def centre_of(figure: Figure, axes: Any, grey: int) -> NDArray[np.float64]:
    """Where on the drawn picture a grey level is, across and down, as shares of the panel."""
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    box = axes.get_window_extent()
    height = drawn.shape[0]
    panel = drawn[round(height - box.y1) : round(height - box.y0), round(box.x0) : round(box.x1)]
    # Letters are coloured, marks are grey.
    hit = (np.abs(panel - grey) <= 3).all(axis=-1)
    assert hit.sum() > 20
    down, across = np.nonzero(hit)
    return np.array([np.median(across) / panel.shape[1], np.median(down) / panel.shape[0]])


def panels(figure: Figure) -> dict[str, Any]:
    return {axes.get_title().split(",")[0]: axes for axes in figure.axes if axes.get_title()}


def letters(axes: Any) -> str:
    return "".join(text.get_text() for text in axes.texts)


@pytest.mark.unmeasured
@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_marks_and_labels_are_where_a_reader_expects_them(axes: tuple[int, ...], signs: tuple[int, ...]) -> None:
    figure = turned(axes, signs).plot(window=(127.5, 255), colorbar=False)
    figure.set_dpi(60)
    figure.canvas.draw()
    drawn = panels(figure)
    assert {plane: letters(each) for plane, each in drawn.items()} == EDGES
    across, down = centre_of(figure, drawn["axial"], LEFT)
    assert across > 0.75
    assert 0.3 < down < 0.7
    across, down = centre_of(figure, drawn["axial"], FRONT)
    assert 0.3 < across < 0.7
    assert down < 0.25
    assert centre_of(figure, drawn["coronal"], LEFT)[0] > 0.75
    assert centre_of(figure, drawn["coronal"], HEAD)[1] < 0.3
    assert centre_of(figure, drawn["sagittal"], FRONT)[0] < 0.25
    assert centre_of(figure, drawn["sagittal"], HEAD)[1] < 0.3


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS[::5])
def test_axes_carry_patient_coordinates(axes: tuple[int, ...], signs: tuple[int, ...]) -> None:
    drawn = panels(turned(axes, signs).plot())
    assert drawn["axial"].get_xlabel() == "x in mm (LPS)"
    assert drawn["axial"].images[0].get_extent() == pytest.approx([-0.5, SIZE[0] - 0.5, SIZE[1] - 0.5, -0.5])
    assert drawn["coronal"].images[0].get_extent() == pytest.approx([-0.5, SIZE[0] - 0.5, -0.5, SIZE[2] - 0.5])
    assert drawn["sagittal"].images[0].get_extent() == pytest.approx([-0.5, SIZE[1] - 0.5, -0.5, SIZE[2] - 0.5])
    assert f"z = {SIZE[2] // 2 if signs[axes.index(2)] > 0 else SIZE[2] - 1 - SIZE[2] // 2} mm" in (
        drawn["axial"].get_title()
    )


def test_pixels_have_the_shape_that_they_have_in_the_patient() -> None:
    volume = read(ct_phantom((12, 32, 32)))
    for axes in panels(volume.plot()).values():
        left, right, bottom, top = axes.images[0].get_extent()
        rows, columns = axes.images[0].get_array().shape
        assert axes.get_aspect() == 1
        assert {round(abs(right - left) / columns, 6), round(abs(top - bottom) / rows, 6)} <= {1.5, 2.5}


def test_an_oblique_volume_is_drawn_in_its_own_planes() -> None:
    cosine, sine = np.cos(0.5), np.sin(0.5)
    slices = make_series((4, 6, 5), orientation=(cosine, 0, sine, 0, 1, 0), spacing=(1.0, 1.0, 2.0))
    drawn = panels(read(slices).plot())
    assert [text.get_text() for text in drawn["axial"].texts] == ["RF", "LH", "A", "P"]
    assert drawn["axial"].get_xlabel() == "mm from the centre"
    assert "oblique" in drawn["axial"].get_title()


def test_one_plane_and_one_slice() -> None:
    volume = turned((0, 1, 2), (1, 1, 1))
    (axes,) = panels(volume.plot(plane="sagittal", slice=-1)).values()
    assert axes.get_title().startswith(f"sagittal, column {SIZE[0] - 1}")
    (axes,) = panels(volume.plot(slice=3)).values()
    assert axes.get_title() == "axial, slice 3, z = 3 mm"
    for wrong in ({"slice": 16}, {"slice": -17}, {"plane": "top"}, {"window": (1, 0)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            volume.plot(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("axis", "title"), [("slice", "axial"), ("row", "coronal"), ("column", "sagittal")])
def test_a_projection_is_drawn_in_its_plane_alone(axis: str, title: str) -> None:
    grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    figure = Volume(np.arange(60).reshape(3, 4, 5), grid, Dataset()).mip(axis).plot(colorbar=False)
    (plane,) = figure.axes
    assert plane.get_title().startswith(title)


def test_without_geometry_the_slices_are_drawn_as_they_are_stored() -> None:
    header = Dataset()
    header.PatientOrientation = ["L", "F"]
    volume = Volume(np.arange(24).reshape(2, 3, 4), None, header)
    (axes,) = panels(volume.plot()).values()
    assert letters(axes) == "RLHF"
    assert np.array_equal(axes.images[0].get_array(), volume.array[1])
    with pytest.raises(VolumeError, match="without geometry"):
        volume.plot(plane="axial")


@pytest.mark.parametrize("value", [None, "", "L", ["X", "Y"], ["A", ""]])
def test_an_odd_patient_orientation_adds_no_labels(value: Any) -> None:
    header = Dataset()
    if value is not None:
        header.PatientOrientation = value
    drawn = panels(Volume(np.ones((1, 3, 4)), None, header).plot())
    assert set(letters(next(iter(drawn.values())))) <= {"A", "P"}


class TestWhatIsShown:
    def test_a_hot_spot_in_pet_is_seen(self) -> None:
        array = np.ones((9, 9, 9), np.float32)
        array[4, 4, 4] = 8
        header = Dataset()
        header.Modality = "PT"
        figure = Volume(array, turned((0, 1, 2), (1, 1, 1))[:9, :9, :9].geometry, header, units="SUVbw").plot()
        drawn = figure.axes[0].images[0]
        assert (drawn.norm.vmin, drawn.norm.vmax, drawn.get_cmap().name) == (0, 8, "gray_r")
        shades = drawn.to_rgba(drawn.get_array())[..., 0]
        assert shades[4, 4] == 0
        assert shades[0, 0] > 0.8
        assert figure.axes[-1].get_ylabel() == "SUVbw"

    def test_what_lies_beyond_the_window_is_stated(self) -> None:
        array = np.random.default_rng(0).normal(100, 10, (8, 32, 32)).astype(np.float32)
        array[4, 3, 3] = 5000
        header = Dataset()
        header.Modality = "MR"
        caption = Volume(array, None, header).plot().get_suptitle().replace("\n", " ")
        assert "0.5 to 99.5 percentile" in caption
        assert "above (max 5000)" in caption

    def test_the_window_of_a_ct_is_that_of_its_header(self) -> None:
        volume = read(ct_phantom((4, 16, 16)))
        volume.header.WindowCenter, volume.header.WindowWidth = [50, 500], [400, 2000]
        figure = volume.plot()
        assert (figure.axes[0].images[0].norm.vmin, figure.axes[0].images[0].norm.vmax) == (-150, 250)
        assert "WindowCenter" in figure.get_suptitle()

    def test_monochrome1_is_drawn_inverted(self) -> None:
        array = np.zeros((2, 4, 4), np.int16)
        array[:, 0, 0] = 100
        names = {
            kind: read(make_series(array=array, PhotometricInterpretation=kind))
            .plot()
            .axes[0]
            .images[0]
            .get_cmap()
            .name
            for kind in ("MONOCHROME1", "MONOCHROME2")
        }
        assert names == {"MONOCHROME1": "gray_r", "MONOCHROME2": "gray"}

    def test_colour_of_sixteen_bits(self) -> None:
        array = np.random.default_rng(0).integers(0, 65535, (3, 4, 5, 3)).astype(np.uint16)
        figure = read(make_series(array=array, modality="US")).plot()
        figure.canvas.draw()
        drawn = np.asarray(figure.axes[0].images[0].get_array())
        assert drawn.max() <= 1
        assert len(figure.axes) == 3

    def test_a_colour_bar_can_be_left_out_and_a_colour_map_chosen(self) -> None:
        figure = turned((0, 1, 2), (1, 1, 1)).plot(colorbar=False, cmap="viridis")
        assert len(figure.axes) == 3
        assert figure.axes[0].images[0].get_cmap().name == "viridis"

    def test_a_value_that_is_everywhere_the_same(self) -> None:
        Volume(np.full((2, 3, 4), 7, np.int16), None, Dataset()).plot().canvas.draw()
        Volume(np.full((2, 3, 4), np.nan), None, Dataset()).plot().canvas.draw()


class TestOverlays:
    def test_a_mask_lies_over_the_image_and_is_named(self) -> None:
        volume = turned((2, 0, 1), (1, -1, 1))
        mask = volume.with_array(volume.array == LEFT)
        figure = volume.plot(overlay={"tumour": mask}, window=(127.5, 255))
        axial = panels(figure)["axial"]
        shown = np.asarray(axial.images[1].get_array())
        assert np.array_equal(shown[..., 3] > 0, np.asarray(axial.images[0].get_array()) == LEFT)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["tumour"]

    def test_a_mask_that_was_computed_is_not_named_after_the_images(self) -> None:
        volume = read(make_series((2, 4, 4), SeriesDescription="PET FDG"))
        figure = volume.plot(overlay=volume.with_array(volume.array > volume.array.min(), units="mask"))
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mask"]

    def test_labels_have_colours_of_their_own(self) -> None:
        volume = turned((0, 1, 2), (1, 1, 1))
        labels = np.zeros(volume.shape, np.uint8)
        labels[volume.array == LEFT], labels[volume.array == FRONT] = 1, 2
        figure = volume.plot(overlay=labels)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["overlay 1", "overlay 2"]
        colours = {patch.get_facecolor() for patch in figure.legends[0].get_patches()}
        assert len(colours) == 2

    def test_values_are_drawn_as_colours(self) -> None:
        volume = turned((0, 1, 2), (1, 1, 1))
        figure = volume.plot(overlay={"dose": volume.array.astype(np.float32)})
        assert panels(figure)["axial"].images[1].get_cmap().name == "hot"

        assert [axes.get_ylabel() for axes in figure.axes[3:]] == ["", "dose"]

    @pytest.mark.parametrize(
        "values", [np.arange(-20, 20), np.arange(20).repeat(2) * 40, np.arange(40) * 25], ids=["CT", "few", "MR"]
    )
    def test_integers_of_an_image_are_values_and_not_labels(self, values: NDArray[np.int64]) -> None:
        header = make_series((1, 2, 2), SeriesDescription="second day")[0]
        image = Volume(np.zeros((4, 20, 20), np.int16), None, Dataset())
        other = np.resize(values, 1600).reshape(4, 20, 20) + (np.arange(1600) % 400).reshape(4, 20, 20)
        figure = image.plot(overlay=Volume(other.astype(np.int16), None, header, units="HU"))
        assert figure.axes[0].images[1].get_cmap().name == "hot"
        assert [axes.get_ylabel() for axes in figure.axes[1:]] == ["", "second day (HU)"]
        assert not figure.legends
        figure.canvas.draw()

    def test_values_are_named_where_no_bar_is_drawn_or_nothing_is_seen(self) -> None:
        volume = turned((0, 1, 2), (1, 1, 1))
        overlays = {"dose": volume.array.astype(float), "none": np.full(volume.shape, -1.0)}
        figure = volume.plot(overlay=overlays, colorbar=False)
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert texts == [f"dose, 0 to {volume.array.max():.4g}", "none (nothing above 0)"]

    def test_labels_of_a_segmentation_have_their_names(self) -> None:
        volume = turned((0, 1, 2), (1, 1, 1))
        array = (volume.array == LEFT) + 7 * (volume.array == FRONT).astype(np.uint8)
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = 7, "kidney"
        header = Dataset()
        header.SegmentSequence = [item]
        figure = volume.plot(overlay={"organs": Volume(array, volume.geometry, header, units="label")})
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["organs 1", "kidney"]

    @pytest.mark.parametrize("plane", [None, "axial"])
    def test_a_map_of_many_labels_leaves_room_for_the_image(self, plane: Any) -> None:
        volume = Volume(
            np.zeros((12, 40, 40), np.int16),
            Geometry((40, 40, 12), (1, 1, 4), (0, 0, 0), tuple(np.eye(3).ravel())),
            Dataset(),
        )
        labels = (np.arange(volume.array.size) % 150).reshape(volume.shape).astype(np.int16)
        labels[6] = 149
        figure = volume.plot(plane=plane, overlay={"segmentation of the whole body": labels})
        figure.canvas.draw()
        (legend,) = figure.legends
        texts = [text.get_text() for text in legend.get_texts()]
        assert len(texts) == 24
        assert texts[-1] == "and 126 more"
        if plane:
            assert texts[0] == "segmentation of the whole body 149"
        inside = legend.get_window_extent()
        assert inside.x0 >= 0
        assert inside.x1 <= figure.bbox.x1
        assert all(axes.get_window_extent().y0 > inside.y1 for axes in figure.axes)
        assert figure.axes[0].get_window_extent().height > 100

    def test_an_overlay_on_another_grid_is_refused_and_the_way_out_works(self) -> None:
        volume = turned((0, 1, 2), (1, 1, 1))
        mask = volume.with_array(volume.array > 0)[::2]
        with pytest.raises(VolumeError, match=r"overlay.resample\(like=image\)"):
            volume.plot(overlay=mask)
        volume.plot(overlay=mask.resample(like=volume))
        assert volume.geometry is not None
        elsewhere = Volume(mask.array[:1].repeat(16, axis=0), volume[:, ::-1].geometry, Dataset())
        with pytest.raises(VolumeError, match="elsewhere in the patient"):
            volume.plot(overlay=elsewhere)


def test_names_are_drawn_as_they_are_and_not_as_formulas() -> None:
    volume = read(make_series((2, 4, 4), SeriesDescription="$x^{2$ a_b"))
    figure = volume.plot(overlay={"$\\nonsense{$": volume.array > 0})
    figure.canvas.draw()
    assert figure.get_suptitle().startswith("$x^{2$ a_b, ")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["$\\nonsense{$"]


def test_control_characters_are_escaped() -> None:
    volume = read(make_series((2, 4, 4), SeriesDescription="a\x07b"))
    figure = volume.plot(overlay={"\x1b[31m": volume.array > 0})
    figure.canvas.draw()
    assert figure.get_suptitle().startswith("a\\x07b, ")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["\\x1b[31m"]


def test_without_matplotlib_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnsupportedError, match=r'pip install "simple-orthanc\[plot\]"'):
        read(ct_phantom((2, 8, 8))).plot()


def test_a_long_title_stays_inside_the_figure() -> None:
    header = Dataset()
    header.SeriesDescription = "CT of the abdomen in the portal venous phase, thin slices"
    grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    figure = Volume(np.zeros((3, 4, 5), np.int16), grid, header, units="HU").plot(plane="axial")
    figure.canvas.draw()
    (title,) = [text for text in figure.texts if text.get_text() == figure.get_suptitle()]
    box, page = title.get_window_extent(), figure.bbox
    assert (page.x0 <= box.x0, box.x1 <= page.x1, box.y1 <= page.y1) == (True, True, True)
