"""Figures are known to pyplot, and a notebook shows each of them once."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Volume


def test_pyplot_knows_the_figures_of_a_loop() -> None:
    volume = Volume(np.arange(60).reshape(3, 4, 5), None, Dataset())
    figures = [volume.plot(slice=index) for index in range(3)]
    assert [plt.figure(number) for number in plt.get_fignums()] == figures


@pytest.mark.parametrize(("backend", "shown"), [(None, [0, 1, 2, 1, 1, 1]), ("agg", [0, 1, 0, 0, 1, 0])])
def test_a_notebook_shows_each_figure_once(
    monkeypatch: pytest.MonkeyPatch, backend: str | None, shown: list[int]
) -> None:
    if backend is None:
        monkeypatch.delenv("MPLBACKEND", raising=False)
    else:
        monkeypatch.setenv("MPLBACKEND", backend)
    import nbclient
    import nbformat

    make = (
        "import numpy as np\nfrom pydicom.dataset import Dataset\nfrom simple_orthanc import Volume\n"
        "volume = Volume(np.arange(24).reshape(2, 3, 4), None, Dataset())"
    )
    cells = [
        make,
        "kept = volume.plot()\nkept",
        "for index in range(2):\n    volume.plot(slice=index)",
        "import matplotlib.pyplot as plt\nvolume.plot();\nplt.show()",
        "kept",
        "kept = volume.plot();",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    pictures = [sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in notebook.cells]
    assert pictures == shown
