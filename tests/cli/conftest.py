"""A folder for the command line, which runs in the process of the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from simple_orthanc.phantom import as_bytes, make_series


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no progress bars on a stderr that is read.

    A notebook, unlike a terminal, would show them there, and another test may have made this process look like one.
    """
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with a series of CT and one of MR."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for seed, modality in enumerate(("CT", "MR")):
        for number, dataset in enumerate(make_series((2, 4, 5), seed=seed, modality=modality, PatientID="P1")):
            (folder / f"{modality}{number}.dcm").write_bytes(as_bytes(dataset))
    return folder
