"""What is shown of a volume: its geometry in words, its values, and never an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from IPython.core.formatters import DisplayFormatter
from pydicom.dataset import Dataset

from simple_orthanc.volume import properties as module
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.properties import properties, volume_html, volume_text
from simple_orthanc.volume.volume import Volume
from tests.showing.test_html import HOSTILE, TAGS, Reader

IDENTITY = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def volume_of(array: np.ndarray, direction: tuple[float, ...] = IDENTITY, **options: Any) -> Volume:
    grid = Geometry((array.shape[-1], array.shape[-2], array.shape[-3]), (1.0, 1.25, 2.5), (-10.0, 5.0, 0.1), direction)
    return Volume(array, grid, options.pop("header", Dataset()), **options)


def test_the_geometry_in_the_order_of_the_array() -> None:
    shown = dict(properties(volume_of(np.arange(60, dtype=np.int16).reshape(3, 4, 5), units="HU")))
    assert shown == {
        "size": "3 x 4 x 5 (slice, row, column)",
        "spacing": "2.5 x 1.25 x 1 mm (slice, row, column)",
        "origin": "(-10, 5, 0.1) mm: x, y, z (LPS) of the first voxel's centre",
        "orientation": "slices follow each other towards H, rows towards P, columns towards L",
        "values": "int16 in HU, 120 B",
        "range": "0 to 59",
    }


def test_a_shear_and_oblique_axes_are_named() -> None:
    tilted = (1.0, 0.0, 0.0, 0.0, 1.0, 0.5, 0.0, 0.0, np.sqrt(0.75))
    shown = dict(properties(volume_of(np.zeros((3, 4, 5)), tilted)))
    assert "sheared" in shown["spacing"]
    assert "slices follow each other towards HP" in shown["orientation"]


def test_a_volume_without_geometry() -> None:
    shown = dict(properties(Volume(np.zeros((3, 4, 5), bool), None, Dataset())))
    assert shown["spacing"] == "not known: the objects have no position in the patient"
    assert shown["range"] == "0 voxels are True"
    assert "origin" not in shown
    assert "orientation" not in shown


def test_steps_labels_and_log() -> None:
    steps = volume_of(
        np.zeros((2, 3, 4, 5)),
        dims=("time", "slice", "row", "column"),
        coordinates={"time": (0.0, 7.5)},
        coordinate_units={"time": "s"},
        log=("one note", "another"),
    )
    assert dict(properties(steps))["steps"] == "2 along time, 0 to 7.5 s; the first one is shown"
    assert volume_text(steps).splitlines()[-2:] == ["log          one note", "log          another"]
    header = Dataset()
    header.SegmentSequence = []
    for number in range(1, 15):
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = number, f"part {number}"
        header.SegmentSequence.append(item)
    labelled = volume_of(np.zeros((3, 4, 5), np.uint8), header=header, units="label")
    assert dict(properties(labelled))["labels"].startswith("1 part 1, 2 part 2, ")
    assert dict(properties(labelled))["labels"].endswith("12 part 12, and 2 more")


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ("", "uint8, 60 B"),
        ("g/ml", "uint8 in g/ml, 60 B"),
        ("US", "uint8, in no stated unit, 60 B"),
        ("stored", "uint8, stored values, 60 B"),
        ("label", "uint8, numbers of segments, 60 B"),
        ("mask", "uint8, a mask, 60 B"),
    ],
)
def test_values_have_a_unit_or_a_kind(units: str, expected: str) -> None:
    assert dict(properties(volume_of(np.zeros((3, 4, 5), np.uint8), units=units)))["values"] == expected


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[[np.nan, 2.0, -1.5]]]), "-1.5 to 2"),
        (np.full((2, 2, 2), np.nan), "nan to nan"),
        (np.array([[[True, False, True]]]), "2 voxels are True"),
    ],
)
def test_the_range_leaves_out_what_is_no_number(array: np.ndarray, expected: str) -> None:
    assert dict(properties(volume_of(array)))["range"] == expected


def test_the_values_of_a_large_volume_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LOOKED_AT", 7)
    shown = dict(properties(volume_of(np.zeros((2, 2, 2)))))
    assert shown["range"] == "not computed, because the volume is large"


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (np.zeros((0, 4, 5)), {}),
        (np.zeros((3, 4)), {}),
        (np.zeros((3, 4, 5), object), {}),
        (np.zeros((3, 4, 5), complex), {}),
        (np.zeros((2, 3, 4, 5)), {"dims": ("b", "slice", "row", "column"), "coordinates": {}}),
        (np.zeros((3, 4, 5), np.uint8), {"units": "label"}),
    ],
)
def test_nothing_is_raised_by_what_is_broken(array: np.ndarray, options: dict[str, Any]) -> None:
    broken = Volume(array, None, Dataset(), **options)
    assert "Volume" in volume_html(broken)
    assert str(broken).startswith("Volume\n")


def test_a_notebook_shows_a_picture_and_python_one_line() -> None:
    volume = volume_of(np.arange(60).reshape(3, 4, 5))
    data, _ = DisplayFormatter().format(volume)
    assert 'src="data:image/png;base64,' in data["text/html"]
    assert data["text/plain"] == str(volume)
    assert "\n" not in repr(volume)


@given(HOSTILE)
def test_no_value_becomes_markup_or_steers_a_terminal(text: str) -> None:
    header = Dataset()
    header.add_new(0x0008103E, "LO", text)
    volume = volume_of(np.zeros((3, 4, 5)), header=header, units=text, log=(text,))
    reader = Reader(volume_html(volume))
    assert reader.tags <= TAGS
    assert {name for name, _ in reader.attributes} <= {"class", "alt", "src"}
    for shown in (repr(volume), str(volume), reader.text):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
