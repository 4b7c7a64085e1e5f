"""A volume behaves as numpy, pickle and a notebook expect."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.phantom import make_series
from simple_orthanc.pixels.suv import SuvRecord
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.volume import Volume
from tests.volume.helpers import (
    read,
)

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


class TestManners:
    grid: ClassVar[Geometry] = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), IDENTITY)

    def test_numpy_takes_it(self) -> None:
        found = Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), self.grid, Dataset())
        assert np.shares_memory(np.asarray(found), found.array)
        assert np.mean(found) == 29.5  # type: ignore[call-overload]
        assert np.asarray(found, dtype=np.float32).dtype == np.float32
        copied = np.array(found, copy=True)
        copied[:] = 0
        assert found.array.max() == 59
        with pytest.raises(ValueError, match="copied"):
            found.__array__(np.float32, copy=False)

    def test_window_does_not_wrap(self) -> None:
        found = Volume(np.array([[[-1000, 0, 40, 240, 3000]]], np.int16), None, Dataset())
        assert found.window(40, 400)[0, 0].tolist() == [0, 102, 128, 255, 255]
        nothing = Volume(np.full((1, 1, 1), np.nan, np.float32), None, Dataset())
        assert nothing.window(40, 400).tolist() == [[[0]]]
        with pytest.raises(ValueError, match="positive"):
            found.window(40, 0)

    def test_repr_and_html_are_short_and_escaped(self) -> None:
        header = Dataset()
        header.SeriesDescription = "<script>alert(1)</script>"
        found = Volume(np.zeros((3, 4, 5), np.int16), self.grid, header, units="HU", log=("a < b",))
        assert repr(found) == "<Volume 3 x 4 x 5 (slice, row, column) int16 HU, voxels of 2 x 1 x 1 mm>"
        html = found._repr_html_()
        assert "<script>" not in html
        assert "a &lt; b" in html
        assert "no geometry" in repr(Volume(np.zeros((3, 4, 5)), None, Dataset()))

    def test_repr_names_the_kind_of_an_suv_and_no_unspecified_unit(self) -> None:
        found = Volume(np.zeros((3, 4, 5), np.float32), None, Dataset(), units="g/ml", suv=SuvRecord("SUVlbm", "", ""))
        assert repr(found) == "<Volume 3 x 4 x 5 (slice, row, column) float32 SUVlbm (g/ml), no geometry>"
        assert " bool mask, " in repr(found.with_array(found.array > 1, units="mask"))
        assert " float32, " in repr(replace(found, units="US", suv=None))

    def test_pickle(self) -> None:
        found = read(make_series((3, 4, 5)))
        again = pickle.loads(pickle.dumps(found))
        assert np.array_equal(again.array, found.array)
        assert again.geometry == found.geometry
        assert np.allclose(again.affine, found.affine)
