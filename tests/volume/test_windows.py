"""The window of a picture: the header's, or a default that is stated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.volume.windows import Window, default_window, windowed


def header(**attributes: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("attributes", "units", "low", "high"),
    [
        ({"Modality": "CT", "WindowCenter": 40, "WindowWidth": 400}, "HU", -160, 240),
        ({"Modality": "CT", "WindowCenter": [40, 600], "WindowWidth": [400, 1500]}, "HU", -160, 240),
        ({"Modality": "PT", "WindowCenter": 40, "WindowWidth": 400}, "BQML", 0, 1000),
        ({"Modality": "PT"}, "g/ml", 0, 1000),
        ({"Modality": "RTDOSE"}, "GY", 0, 1000),
        ({"Modality": "SEG"}, "label", 0, 1000),
    ],
)
def test_defaults(attributes: dict[str, Any], units: str, low: float, high: float) -> None:
    window = default_window(np.linspace(0, 1000, 5001), header(**attributes), units)
    assert (window.low, window.high) == pytest.approx((low, high))
    assert (window.center, window.width) == pytest.approx(((low + high) / 2, high - low))


@pytest.mark.parametrize(
    "attributes",
    [
        {"Modality": "MR", "WindowCenter": 40, "WindowWidth": 400},
        {"Modality": "CT"},
        {"Modality": "CT", "WindowCenter": 40, "WindowWidth": 0},
        {},
    ],
)
def test_percentiles_where_no_window_can_be_trusted(attributes: dict[str, Any]) -> None:
    window = default_window(np.arange(1001), header(**attributes), "HU" if attributes.get("Modality") == "CT" else "")
    assert (window.low, window.high) == pytest.approx((5, 995))
    assert "percentile" in window.source


def test_negative_pet_is_not_hidden() -> None:
    window = default_window(np.array([-2.0, 0.0, 5.0]), header(Modality="PT"), "BQML")
    assert (window.low, window.high) == (-2, 5)


@pytest.mark.parametrize("values", [np.full(5, 3), np.full(5, np.nan), np.zeros(5), np.array([])])
def test_values_without_a_range(values: np.ndarray) -> None:
    for modality in ("MR", "PT"):
        window = default_window(values, header(Modality=modality), "")
        assert window.high > window.low


def test_what_is_hidden_is_stated() -> None:
    values = np.concatenate([np.zeros(998), [50.0, -50.0], [np.nan]])
    assert Window(-1, 1, "as asked").describe(values, "HU") == (
        "window -1 to 1 HU (as asked); 0.1 % above (max 50), 0.1 % below (min -50)"
    )
    assert Window(-50, 50, "as asked").describe(values, "") == "window -50 to 50 (as asked)"
    assert "above" not in Window(-1, 60, "as asked").describe(values, "")


def test_a_single_voxel_of_many_is_not_rounded_away() -> None:
    values = np.zeros(3_000_000, np.float32)
    values[7] = 9
    assert "less than 0.0001 % above (max 9)" in Window(0, 1, "as asked").describe(values, "")


def test_grey_levels() -> None:
    assert windowed(np.array([-200, 40, 60, 500]), 40, 400).tolist() == [0, 128, 140, 255]
    assert windowed(np.array([-200, 500, np.nan]), 40, 400, invert=True).tolist() == [255, 0, 0]
    with pytest.raises(ValueError, match="width"):
        windowed(np.zeros(2), 0, 0)
