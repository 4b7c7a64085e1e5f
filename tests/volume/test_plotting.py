"""Pictures have the right aspect and the right grey levels."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from simple_orthanc.errors import (
    UnsupportedError,
)
from simple_orthanc.phantom import ct_phantom, make_series
from tests.volume.helpers import (
    read,
)


class TestPlot:
    def test_plot_has_the_right_aspect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MPLBACKEND", "agg")
        import matplotlib.pyplot as plt

        slices = ct_phantom((12, 32, 32))
        figure = read(slices).plot()
        assert [axes.get_aspect() for axes in figure.axes] == pytest.approx([1, 2.5 / 1.5, 2.5 / 1.5])
        assert plt.get_fignums() == []
        figure.canvas.draw()
        array = np.random.default_rng(0).integers(0, 65535, (3, 4, 5, 3)).astype(np.uint16)
        read(make_series(array=array, modality="US")).plot().canvas.draw()

    def test_without_matplotlib_it_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("matplotlib", "matplotlib.pyplot"):
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UnsupportedError, match="pip install matplotlib"):
            read(ct_phantom((2, 8, 8))).plot()

    def test_plot_shows_monochrome1_inverted(self) -> None:
        array = np.zeros((2, 4, 4), np.int16)
        array[:, 0, 0] = 100
        drawn = {
            kind: np.asarray(
                read(make_series(array=array, PhotometricInterpretation=kind)).plot().axes[0].images[0].get_array()
            )
            for kind in ("MONOCHROME1", "MONOCHROME2")
        }
        assert drawn["MONOCHROME2"][0, 0] > drawn["MONOCHROME2"][3, 3]
        assert drawn["MONOCHROME1"][0, 0] < drawn["MONOCHROME1"][3, 3]
