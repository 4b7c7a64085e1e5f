"""The demo, from beginning to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import MakeServer

from simple_orthanc import demo
from simple_orthanc.phantom import CT_SPACING


def test_the_demo_shows_what_it_read(
    make_server: MakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import SimpleITK

    monkeypatch.setattr(demo, "LocalOrthanc", make_server)
    assert demo.main(tmp_path) == 0
    printed = capsys.readouterr().out
    assert "int16 (40, 128, 128), from -1000 to 1000" in printed
    assert "1 series, 40 instances" in printed
    image = SimpleITK.ReadImage(tmp_path / "volume.nii.gz")
    assert image.GetSize() == (128, 128, 40)
    assert image.GetSpacing() == pytest.approx(CT_SPACING[::-1])
    assert np.unique(SimpleITK.GetArrayFromImage(image)).size > 2
    assert (tmp_path / "volume.png").read_bytes().startswith(b"\x89PNG")


def test_without_orthanc_it_says_how_to_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORTHANC_PROGRAM", "/no/such/Orthanc")
    assert demo.main(tmp_path) == 1
    assert "sudo apt install orthanc" in capsys.readouterr().err
