"""A gallery has one picture per series, read by one request, and says of each what it is or why it is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pydicom.dataset import Dataset

from simple_orthanc import (
    AmbiguousSelectionError,
    DicomWeb,
    EmptySelectionError,
    Folder,
    LocalOrthanc,
    NoPixelDataError,
    Orthanc,
    SelectionError,
    Session,
    TransportError,
    UnsupportedError,
    VolumeError,
)
from simple_orthanc.phantom import as_bytes, make_enhanced, make_segmentation, make_series
from tests.memory_source import INDEXED, instance
from tests.session.sessions import session_of, source_of


def series(number: int, shape: tuple[int, int, int] = (3, 8, 10), **tags: Any) -> list[Dataset]:
    common = {"PatientID": "P1", "StudyInstanceUID": "1.2.3", "SeriesNumber": number, "SeriesDescription": f"s{number}"}
    return make_series(shape, seed=number, **{**common, **tags})


def labels(figure: Figure) -> list[str]:
    figure.canvas.draw()
    return [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]


def contents(figure: Figure) -> list[str]:
    """What stands in each place: the caption of its picture, or why there is none."""
    return [
        axes.get_xlabel() if axes.images else " ".join(text.get_text() for text in axes.texts).replace("\n", " ")
        for axes in figure.axes
    ]


def title(figure: Figure) -> str:
    return figure.texts[0].get_text()


def test_each_series_has_its_middle_slice_with_its_label_and_window() -> None:
    array = np.arange(3 * 8 * 10).reshape(3, 8, 10)
    ct = series(1, array=array, modality="CT", WindowCenter=40, WindowWidth=80)
    mr = series(2, array=array, modality="MR", SeriesDescription="t1")
    figure = session_of(*ct, *mr).gallery()
    assert labels(figure) == ["CT 1 s1 (3 images)", "MR 2 t1 (3 images)"]
    assert title(figure) == "2 series"
    first, second = (axes.images[0] for axes in figure.axes)
    assert np.array_equal(first.get_array(), array[1])
    assert first.get_clim() == (0, 80)
    assert contents(figure)[0] == "0 to 80 HU"
    assert second.get_clim() == tuple(np.percentile(array[1], (0.5, 99.5)))
    letters = [text.get_text() for text in figure.axes[0].texts]
    assert letters == ["R", "L", "A", "P"]


def test_slices_are_turned_for_a_reader() -> None:
    array = np.arange(3 * 8 * 10).reshape(3, 8, 10)
    figure = session_of(*series(1, array=array, orientation=(-1, 0, 0, 0, -1, 0))).gallery()
    assert np.array_equal(figure.axes[0].images[0].get_array(), array[1, ::-1, ::-1])


def test_one_object_of_each_series_is_read() -> None:
    session = session_of(*series(1), *series(2), *series(3))
    session.table("SeriesDescription", "SeriesNumber", "Modality", "InstanceNumber", level="instance")
    before = source_of(session).requests
    session.gallery()
    assert source_of(session).requests - before == 3


def test_only_selected_series_and_instances_are_drawn() -> None:
    array = np.arange(3 * 8 * 10).reshape(3, 8, 10)
    session = session_of(*series(1, array=array), *series(2, array=array))
    session.select(SeriesNumber=2, InstanceNumber=3)
    figure = session.gallery()
    assert labels(figure) == ["CT 2 s2"]
    assert np.array_equal(figure.axes[0].images[0].get_array(), array[2])


def test_more_than_the_limit_are_said_in_the_title_with_the_call_that_draws_them() -> None:
    session = session_of(*series(1, (1, 4, 4)), *series(2, (1, 4, 4)), *series(3, (1, 4, 4)))
    figure = session.gallery(columns=1, limit=2)
    assert title(figure) == "The first 2 of 3 series: gallery(limit=3) shows all"
    assert labels(figure) == ["CT 1 s1", "CT 2 s2"]
    left, below = (axes.get_position() for axes in figure.axes)
    assert left.x0 == pytest.approx(below.x0)
    assert left.y0 > below.y1


def test_series_with_one_name_are_told_apart() -> None:
    common = {"SeriesNumber": 1, "SeriesDescription": "t1"}
    dates = {"1.2.1": "20240101", "1.2.2": "20240102"}
    twins = [
        dataset
        for number, (uid, date) in enumerate(dates.items())
        for dataset in series(number, **common, StudyInstanceUID=uid, StudyDate=date)
    ]
    other = series(3, SeriesDescription="t2", StudyInstanceUID="1.2.1", StudyDate="20240101")
    figure = session_of(*twins, *other).gallery()
    assert labels(figure) == ["CT 1 t1, 20240101 (3 images)", "CT 3 t2 (3 images)", "CT 1 t1, 20240102 (3 images)"]


def test_positions_that_repeat_are_counted() -> None:
    first = series(1)
    again = series(2, SeriesInstanceUID=first[0].SeriesInstanceUID, SeriesNumber=1, SeriesDescription="s1")
    repeated = [*first, *again]
    assert labels(session_of(*repeated).gallery()) == ["CT 1 s1 (6 images at 3 positions)"]
    unknown = {"instance": "SOPInstanceUID InstanceNumber"}
    session = session_of(*repeated, indexed={**INDEXED, **unknown})
    assert labels(session.gallery()) == ["CT 1 s1 (6 images)"]


def test_hostile_labels_are_drawn_as_they_are() -> None:
    hostile = "$\\frac{x$ _a_ ^ \x1b[31m <b>"
    figure = session_of(*series(1, SeriesDescription=hostile)).gallery()
    assert labels(figure) == ["CT 1 $\\frac{x$ _a_ ^  [31m <b> (3 images)"]


class TestWhatIsNoPlainSlice:
    def test_a_report_has_no_images(self) -> None:
        figure = session_of(instance(Modality="SR"), *series(2)).gallery()
        assert sorted(contents(figure))[1] == "no images"

    def test_whole_slide_images_are_not_read(self) -> None:
        session = session_of(*series(1, Modality="SM"))
        session.table("Modality", "SeriesNumber", "SeriesDescription", "InstanceNumber", level="instance")
        before = source_of(session).requests
        assert contents(session.gallery()) == ["a whole-slide image, which is not read as a whole"]
        assert source_of(session).requests == before

    def test_pixels_that_cannot_be_decoded(self) -> None:
        broken = series(1)
        for dataset in broken:
            dataset.PixelData = dataset.PixelData[:10]
        whole = series(2)
        figure = session_of(*broken, *whole).gallery()
        why, drawn = contents(figure)
        assert drawn
        assert why.startswith("1.2.") or "bytes" in why or "truncated" in why

    def test_the_middle_frame_of_several(self) -> None:
        array = np.arange(5 * 8 * 10).reshape(5, 8, 10)
        figure = session_of(make_enhanced((5, 8, 10), array=array)).gallery()
        assert np.array_equal(figure.axes[0].images[0].get_array(), array[2])
        assert contents(figure)[0].endswith("\nframe 3 of 5")

    def test_the_first_of_several_volumes(self) -> None:
        masks = {name: np.zeros((5, 8, 10), bool) for name in ("liver", "spleen")}
        masks["liver"][1:4, 2:5, 2:5], masks["spleen"][:, 0, 0] = True, True
        images = series(1, (5, 8, 10))
        session = session_of(make_segmentation(images, masks))
        figure = session.gallery()
        assert np.array_equal(figure.axes[0].images[0].get_array(), masks["liver"][2])
        assert contents(figure) == ["0 to 1\nframe 2 of 3, volume 1 of 2"]

    def test_holes_between_slices_hide_nothing(self) -> None:
        array = np.arange(5 * 8 * 10).reshape(5, 8, 10)
        positions = [(0, 0, z) for z in (0, 1, 5, 6, 9)]
        holey = series(1, (5, 8, 10), array=array, ImagePositionPatient=positions)
        assert np.array_equal(session_of(*holey).gallery().axes[0].images[0].get_array(), array[2])

    def test_colour(self) -> None:
        array = np.random.default_rng(0).integers(0, 255, (1, 8, 10, 3)).astype(np.uint8)
        figure = session_of(*series(1, array=array, dtype="uint8", modality="US")).gallery()
        assert np.array_equal(figure.axes[0].images[0].get_array(), array[0])
        assert contents(figure) == ["colour"]


def test_a_lost_connection_is_no_picture_but_an_error() -> None:
    session = session_of(*series(1), *series(2))
    session.table("Modality", "SeriesNumber", "SeriesDescription", "InstanceNumber", level="instance")
    source_of(session).break_at(1, TransportError("The connection was refused."))
    with pytest.raises(TransportError, match="refused"):
        session.gallery()


def test_nothing_to_draw_and_what_cannot_be_asked() -> None:
    session = session_of(*series(1))
    for arguments in ({"columns": 0}, {"limit": -1}, {"limit": 2.5}, {"columns": "6"}):
        with pytest.raises(SelectionError, match="whole number from 1"):
            session.gallery(**arguments)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="Nothing is selected"):
        session.select(Modality="PT")
    with pytest.raises(EmptySelectionError):
        session.gallery()


def test_without_matplotlib_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    session = session_of(*series(1))
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnsupportedError, match=r'pip install "simple-orthanc\[plot\]"'):
        session.gallery()
    assert source_of(session).requests == 0


def opened_folder(path: Path, datasets: list[Dataset]) -> Folder:
    for number, dataset in enumerate(datasets):
        (path / f"{number}.dcm").write_bytes(as_bytes(dataset))
    return Folder(path, cache=False)


def check_views(session: Session) -> None:
    viewer = session.copy().select(SeriesNumber=1).view()
    assert viewer.description == repr(session.copy().select(SeriesNumber=1).get_volume())
    viewer.close()


def test_the_widget_of_the_selected_series(tmp_path: Path) -> None:
    session = opened_folder(tmp_path, [*series(1), *series(2)])
    check_views(session)
    volume = session.copy().select(SeriesNumber=1).get_volume()
    viewer = session.copy().select(SeriesNumber=1).view({"mask": volume.array > 0})
    assert [layer.name for layer in viewer.volumes] == ["CT.nii", "mask.nii.gz"]
    with pytest.raises(SelectionError, match="2 series are selected"):
        session.view()
    with pytest.raises(VolumeError, match=r"overlay\.resample"):
        session.select(SeriesNumber=1).view(np.zeros((1, 2, 3), bool))


def test_without_ipyniivue_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    session = session_of(*series(1))
    monkeypatch.delitem(sys.modules, "simple_orthanc.volume.niivue", raising=False)
    monkeypatch.setitem(sys.modules, "ipyniivue", None)
    with pytest.raises(UnsupportedError, match=r'pip install "simple-orthanc\[view\]"'):
        session.view()
    assert source_of(session).requests == 0


@pytest.mark.one_version
def test_every_source_draws_the_same(orthanc: Orthanc, empty_server: LocalOrthanc, tmp_path: Path) -> None:
    datasets = [*series(1, (5, 8, 10)), make_enhanced((5, 8, 10), SeriesNumber=2), *series(3, (1, 8, 10))]
    folder = opened_folder(tmp_path, datasets)
    orthanc.upload_folder(tmp_path)
    with DicomWeb(f"{empty_server.url}/dicom-web", *(empty_server.credentials or ())) as web:
        sheets = [session.gallery() for session in (folder, orthanc, web)]
    drawn = [[axes.images[0].get_array() for axes in sheet.axes] for sheet in sheets]
    for other in (1, 2):
        assert labels(sheets[other]) == labels(sheets[0])
        assert contents(sheets[other]) == contents(sheets[0])
        assert all(map(np.array_equal, drawn[0], drawn[other]))
    check_views(orthanc)


def test_orthanc_is_asked_once_for_each_picture(orthanc: Orthanc) -> None:
    for number in (1, 2, 3):
        orthanc.upload_dataset(series(number))
    # What the labels need is listed with the first.
    orthanc.gallery()
    before = orthanc._source.requests
    orthanc.gallery()
    assert orthanc._source.requests - before == 3


def test_a_thumbnail_is_the_picture_of_the_gallery() -> None:
    array = np.arange(3 * 8 * 10).reshape(3, 8, 10)
    images = series(1, array=array, modality="CT", WindowCenter=120, WindowWidth=80)
    session = session_of(*images)
    # Too small for letters: each pixel is one of the slice, windowed from 80 to 160.
    picture = session.thumbnail(size=20)
    assert (picture.mode, picture.size) == ("L", (20, 16))
    expected = np.clip((array[1] - 80.0) / 80, 0, 1) * 255
    assert np.abs(np.asarray(picture)[::2, ::2] - expected).max() <= 1
    assert session.thumbnail().size == (256, 205)
    turned = session_of(*series(1, array=array, orientation=(-1, 0, 0, 0, -1, 0), WindowCenter=120, WindowWidth=80))
    assert np.array_equal(np.asarray(turned.thumbnail(size=20)), np.asarray(picture)[::-1, ::-1])


def test_a_thumbnail_has_the_sides_of_the_voxels_in_mm() -> None:
    assert session_of(*series(1, spacing=(1.0, 2.0, 1.0))).thumbnail(size=80).size == (50, 80)


def test_one_object_is_read_for_a_thumbnail() -> None:
    session = session_of(*series(1, (9, 8, 10)))
    session.table("SeriesDescription", "SeriesNumber", "Modality", "InstanceNumber", level="instance")
    before = source_of(session).requests
    session.thumbnail()
    assert source_of(session).requests - before == 1


def test_a_thumbnail_of_colour_and_of_many_frames() -> None:
    colour = np.random.default_rng(1).integers(0, 256, (1, 8, 10, 3)).astype(np.uint8)
    picture = session_of(*make_series(array=colour, slope=None, intercept=None)).thumbnail(size=20)
    assert (picture.mode, picture.size) == ("RGB", (20, 16))
    assert np.array_equal(np.asarray(picture)[::2, ::2], colour[0])
    frames = np.zeros((5, 8, 10), np.int16)
    frames[2, 3, 4] = 100
    middle = np.asarray(session_of(make_enhanced(array=frames)).thumbnail(size=20))
    assert middle[6, 8] == 255
    assert (middle > 0).sum() == 4


@pytest.mark.parametrize("raw", [[1], [10], [1, 2, 3], [-1, 0, 9], [10, 11, 12, 13]])
def test_raw_data_in_the_middle_of_a_series_hides_no_image(raw: list[int]) -> None:
    (image,) = series(1, (1, 8, 10), InstanceNumber=5)
    others = [instance(100 + number, Modality="CT", SeriesNumber=1, InstanceNumber=number) for number in raw]
    for other in others:
        other.SeriesInstanceUID, other.StudyInstanceUID = image.SeriesInstanceUID, image.StudyInstanceUID
        other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66"
    expected = session_of(image)
    session = session_of(image, *others)
    assert np.array_equal(np.asarray(session.thumbnail(64)), np.asarray(expected.thumbnail(64)))
    assert contents(session.gallery()) == contents(expected.gallery())
    with pytest.raises(NoPixelDataError):
        session_of(*others).thumbnail()


@pytest.mark.parametrize("size", [0, -1, 15, 4097, 10**9, 1.5, "256", None, True])
def test_a_thumbnail_of_no_size_is_refused(size: Any) -> None:
    session = session_of(*series(1))
    with pytest.raises(SelectionError, match="thumbnail\\(\\) needs a whole number of pixels from 16 to 4096"):
        session.thumbnail(size)


def test_a_thumbnail_of_what_is_not_one_series_of_images_is_refused() -> None:
    session = session_of(*series(1), *series(2))
    with pytest.raises(AmbiguousSelectionError, match=r"2 series are selected.*gallery\(\) draws all"):
        session.thumbnail()
    with pytest.warns(UserWarning, match="Nothing is selected"):
        session.select(PatientID="nobody")
    with pytest.raises(EmptySelectionError):
        session.thumbnail()
    with pytest.raises(NoPixelDataError):
        session_of(instance(1, Modality="SR")).thumbnail()
    with pytest.raises(UnsupportedError, match="a whole-slide image, which is not read as a whole"):
        session_of(instance(1, Modality="SM")).thumbnail()
