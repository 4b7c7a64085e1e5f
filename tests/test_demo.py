"""The demo, from beginning to end."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Geometry, Volume, demo
from simple_orthanc.sources.folder.example import example_folder
from tests.conftest import MakeServer


@pytest.mark.one_version
def test_the_demo_shows_the_volume_that_it_read(
    make_server: MakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import SimpleITK

    monkeypatch.setattr(demo, "LocalOrthanc", make_server)
    assert demo.main(tmp_path) == 0
    printed = capsys.readouterr().out
    assert f"  {len(list(example_folder().rglob('*.dcm')))} stored\n" in printed
    assert "int16 (40, 128, 128), from -1" in printed
    assert "1 series, 40 instances" in printed
    image = SimpleITK.ReadImage(tmp_path / "volume.nii.gz")
    assert image.GetSize() == (128, 128, 40)
    assert np.unique(SimpleITK.GetArrayFromImage(image)).size > 2
    assert (tmp_path / "volume.png").read_bytes().startswith(b"\x89PNG")


def test_without_orthanc_it_reads_the_same_files_from_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import SimpleITK

    monkeypatch.setenv("ORTHANC_PROGRAM", "/no/such/Orthanc")
    assert demo.main(tmp_path / "demo") == 0
    printed = capsys.readouterr().out
    first, *_ = printed.splitlines()
    assert "the same files are read from a folder" in first
    assert "sudo apt install orthanc" in first
    assert "int16 (40, 128, 128), from -1" in printed
    assert "1 series, 40 instances" in printed
    assert SimpleITK.ReadImage(tmp_path / "demo" / "volume.nii.gz").GetSize() == (128, 128, 40)


def test_without_matplotlib_only_the_picture_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    demo.save(
        Volume(
            np.zeros((2, 3, 4), np.int16),
            Geometry((4, 3, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1)),
            Dataset(),
        ),
        tmp_path / "demo",
    )
    assert 'pip install "simple-orthanc[plot]"' in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["volume.nii.gz"]


def test_a_program_that_does_not_run_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "Orthanc"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("ORTHANC_PROGRAM", str(program))
    assert demo.main(tmp_path / "demo") == 1
    assert "ended before it answered" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
