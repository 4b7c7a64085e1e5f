"""Random volumes to write, and the law that what is read again is what was written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc import Geometry, Volume
from simple_orthanc.testing import make_series
from simple_orthanc.volume.regrid import sliced
from tests.volume.helpers import read

TYPES = ("bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64")
MODALITIES = ("CT", "MR", "PT", "US", "RTDOSE")
EMPTY = Dataset()


def grid(
    size: tuple[int, int, int] = (5, 4, 3),
    spacing: tuple[float, float, float] = (1.0, 1.0, 2.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Geometry:
    return Geometry(size, spacing, origin, (1, 0, 0, 0, 1, 0, 0, 0, 1))


def source(modality: str = "CT", shape: tuple[int, int, int] = (3, 4, 5), **keywords: Any) -> Volume:
    """Return a volume read from a valid series of a modality."""
    keywords = {"spacing": (2.0, 1.0, 1.0), "seed": 1, "SeriesDescription": "scan", **keywords}
    return read(make_series(shape, modality=modality, **keywords))


def volume_of(array: Any, modality: str = "CT", units: str | None = None, **fields: Any) -> Volume:
    """Return a volume of these values on the grid of a series of a modality."""
    values = np.asarray(array)
    shape = values.shape[:3]
    like = source(modality, (shape[0], shape[1], shape[2]))
    return replace(like, array=values, units=like.units if units is None else units, **fields)


def _direction(rng: np.random.Generator) -> np.ndarray:
    """Return an axial, oblique, or mirrored direction matrix."""
    matrix = np.eye(3)[rng.permutation(3)] if rng.random() < 0.3 else np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return matrix * rng.choice([-1, 1], 3)


def _values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    kind = str(rng.choice([*TYPES, *FLOATS, *FLOATS, "constant", "denormal", "large", "narrow", "colour"]))
    if kind == "colour":
        return rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    if kind == "bool":
        return rng.random(shape) < 0.5
    if kind in TYPES:
        limits = np.iinfo(kind)
        low, high = sorted(rng.integers(limits.min, limits.max, 2, dtype=kind, endpoint=True).tolist())
        return rng.integers(low, high, shape, dtype=kind, endpoint=True)
    values = rng.normal(size=shape)
    if kind == "constant":
        return np.full(shape, values.flat[0])
    if kind == "denormal":
        return values * 1e-310
    if kind == "large":
        return values * 1e30
    if kind == "narrow":
        return 310.0 + values * 10.0 ** -rng.integers(0, 12)
    return (values * 10.0 ** rng.integers(-3, 4)).astype(kind)


def random_volume(rng: np.random.Generator) -> Volume:
    """Return a volume of random type, values, padding, spacing, orientation, modality and units."""
    shape = tuple(int(number) for number in rng.integers(1, 7, 3))
    like = source(str(rng.choice(MODALITIES)), (2, 3, 4), seed=int(rng.integers(1000)))
    columns, rows, slices = (float(value) for value in rng.uniform(0.1, 10, 3))
    origin = rng.uniform(-500, 500, 3)
    a, b, c, d, e, f, g, h, i = _direction(rng).ravel().tolist()
    place = Geometry(
        (shape[2], shape[1], shape[0]), (columns, rows, slices), tuple(origin.tolist()), (a, b, c, d, e, f, g, h, i)
    )
    values = _values(rng, shape)
    mask = rng.random(shape) < 0.2 if rng.random() < 0.3 and values.ndim == 3 and values.dtype != bool else None
    if values.dtype.kind == "f" and rng.random() < 0.4:
        values[rng.random(shape) < 0.2] = np.nan
    units = like.units if rng.random() < 0.6 else str(rng.choice(["", "ms", "g/ml", "mm2/s", "1/s", "label"]))
    return Volume(values, place, like.header, units=units, padding_mask=mask, log=("made up",))


def expected_units(volume: Volume, is_rescaled: bool) -> str:
    """Return the units that are read again."""
    if volume.is_colour:
        return "stored"
    if volume.units in ("", "stored"):
        return "US" if is_rescaled else "stored"
    return volume.units


def padding_of(volume: Volume) -> np.ndarray:
    """Return where a written volume holds no image: NaN, and its padding unless it is a mask."""
    shape = volume.array.shape[:3]
    nothing = np.isnan(volume.array) if volume.array.dtype.kind == "f" else np.zeros(shape, bool)
    if volume.padding_mask is None or volume.array.dtype == bool or volume.units in ("label", "mask"):
        return nothing
    return np.asarray(nothing | volume.padding_mask)


def assert_same(written: Volume, back: Volume, slope: float, is_rescaled: bool) -> None:
    """Compare a volume with what was read again: values to half a step, geometry, padding and units."""
    grid_back, padded = back.geometry, back.padding_mask
    array = back.array
    assert written.geometry is not None
    assert grid_back is not None
    normal = np.cross(*np.reshape(written.geometry.direction, (3, 3)).T[:2])
    if normal @ np.reshape(written.geometry.direction, (3, 3))[:, 2] < 0:
        # Slices are read in the order along their normal.
        size = grid_back.size
        grid_back = sliced(grid_back, [range(size[2])[::-1], range(size[1]), range(size[0])])
        array, padded = array[::-1], None if padded is None else padded[::-1]
    assert grid_back.isclose(written.geometry, 1e-9)
    assert np.allclose(grid_back.affine, written.geometry.affine, rtol=0, atol=1e-9)
    assert back.units == expected_units(written, is_rescaled)
    nothing = padding_of(written)
    assert np.array_equal(np.zeros(nothing.shape, bool) if padded is None else padded, nothing)
    if not is_rescaled:
        kept = ~nothing
        assert np.array_equal(array[kept].astype(object), written.array[kept].astype(object))
        return
    values = written.array[~nothing].astype(np.float64)
    rounding = 4 * np.spacing(np.abs(values)) + (
        np.spacing(np.abs(values).astype(np.float32)) if array.dtype == np.float32 else 0
    )
    error = np.abs(array[~nothing].astype(np.float64) - values)
    assert (error <= slope / 2 + rounding).all()


def slope_of(dataset: Dataset) -> tuple[float, bool]:
    """Return the slope of a written object, and whether its values differ from the stored ones."""
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return slope, (slope, intercept) != (1, 0)
