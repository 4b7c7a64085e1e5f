"""The notebooks run on any machine, and give the outputs and the pictures that are stored in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from simple_orthanc.local.server import LocalOrthanc
from tests.notebooks import NOTEBOOKS, Kernel, Output, clean, kernel, outputs_of

# They start a server of their own.
WITH_SERVER = ("quickstart", "share")
NAMES = {"quickstart", "find", "volumes", "pet", "diffusion", "masks", "cohort", "share"}

# The same code is measured by other tests.
pytestmark = pytest.mark.unmeasured


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with pytest.MonkeyPatch.context() as patch, kernel(tmp_path_factory.mktemp("kernel")) as made:
        # A kernel shows pictures with a backend of its own.
        patch.delenv("MPLBACKEND", raising=False)
        yield made


def named(path: Path) -> str:
    return path.stem


def check(running: Kernel, path: Path) -> None:
    """Compare what a notebook shows with what it has stored."""
    stored = nbformat.read(path, as_version=4)
    executed = running.execute(path)
    for before, now in zip(stored.cells, executed.cells, strict=True):
        for one, other in zip(outputs_of(before), outputs_of(now), strict=True):
            assert other.kind != "stderr", other.text
            assert (one.kind, one.text) == (other.kind, other.text), before.source
            assert (one.picture is None) == (other.picture is None), before.source
            if other.picture is not None:
                assert is_drawn(other), before.source
                # Each version of matplotlib has a layout of its own.
                assert one.program != other.program or is_alike(one, other), before.source
    assert any(output.picture is not None for cell in executed.cells for output in outputs_of(cell))
    assert stored == clean(nbformat.from_dict(stored)), "It was stored by another program: make notebooks"


def is_drawn(output: Output) -> bool:
    """Whether a picture shows something in most of its rows and columns."""
    picture = output.picture
    assert picture is not None
    rows, columns = (picture.std(axis=axes) > 10 for axes in ((1, 2), (0, 2)))
    return bool(rows.mean() > 0.5 and columns.mean() > 0.5)


def is_alike(one: Output, other: Output) -> bool:
    """Whether two pictures are of the same size, within letters, and look alike."""
    assert one.picture is not None
    assert other.picture is not None
    if np.abs(np.subtract(one.picture.shape, other.picture.shape)).max() > 12:
        return False
    rows, columns, _ = np.minimum(one.picture.shape, other.picture.shape)
    difference = one.picture[:rows, :columns].astype(int) - other.picture[:rows, :columns]
    return float(np.abs(difference).mean()) < 12


def test_all_are_there() -> None:
    assert {path.stem for path in NOTEBOOKS} == NAMES


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem not in WITH_SERVER], ids=named)
@pytest.mark.filterwarnings("default")
def test_without_a_server(running: Kernel, path: Path) -> None:
    check(running, path)


@pytest.mark.one_version
@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem in WITH_SERVER], ids=named)
@pytest.mark.filterwarnings("default")
def test_with_a_server(running: Kernel, path: Path, server: LocalOrthanc) -> None:
    check(running, path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_nothing_of_the_machine_is_stored(path: Path) -> None:
    content = path.read_text(encoding="utf-8")
    shown = [text for cell in nbformat.read(path, as_version=4).cells for text in shown_by(cell)]
    for text in shown:
        assert not re.search(r"/tmp/|/home/|/root/|/work/|127\.0\.0\.1|localhost|0x[0-9a-f]{8}", text), text
    assert '"stderr"' not in content
    assert "Where to go on" in content


def shown_by(cell: Any) -> Iterator[str]:
    """Yield what a cell shows in letters."""
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        yield from (value for kind, value in output.get("data", {}).items() if kind != "image/png")
