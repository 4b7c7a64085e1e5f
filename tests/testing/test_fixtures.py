"""The fixtures work where other programs' tests use them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Folder, LocalOrthanc, Orthanc, OrthancError, TransportError
from simple_orthanc.testing import OrthancStandIn, fixtures, make_series
from simple_orthanc.testing.fixtures import dicom_folder, empty_orthanc, local_orthanc, orthanc_stand_in

__all__ = ["dicom_folder", "empty_orthanc", "local_orthanc", "orthanc_stand_in"]


def test_the_stand_in_is_empty_each_time(orthanc_stand_in: OrthancStandIn) -> None:
    orthanc = orthanc_stand_in.connect()
    assert orthanc.instance_count == 0
    assert orthanc.upload_dataset(make_series()).status.tolist() == ["stored"] * 3


def test_a_folder_of_datasets(dicom_folder: Callable[[Iterable[Dataset]], Folder]) -> None:
    assert dicom_folder(make_series((3, 4, 5), seed=1)).get_array().shape == (3, 4, 5)
    assert dicom_folder(make_series((2, 4, 5), seed=2)).series_count == 2


@pytest.mark.live
@pytest.mark.parametrize("number", [1, 2])
def test_a_server_is_emptied_for_each_test(empty_orthanc: Orthanc, number: int) -> None:
    assert empty_orthanc.instance_count == 0
    empty_orthanc.upload_dataset(make_series((number, 4, 4)))
    assert empty_orthanc.instance_count == number


def test_without_orthanc_tests_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(server: LocalOrthanc) -> None:
        raise OrthancError("No Orthanc program was found.")

    monkeypatch.setattr(LocalOrthanc, "start", start)
    with pytest.raises(pytest.skip.Exception, match="No Orthanc program"):
        next(fixtures.local_orthanc.__wrapped__())


def test_an_orthanc_that_does_not_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(server: LocalOrthanc) -> None:
        raise TransportError("It ended before it answered.")

    monkeypatch.setattr(LocalOrthanc, "start", start)
    with pytest.raises(TransportError, match="ended before"):
        next(fixtures.local_orthanc.__wrapped__())


def test_they_are_a_plugin_of_pytest(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["simple_orthanc.testing.fixtures"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(orthanc_stand_in):\n    assert orthanc_stand_in.connect().study_count == 0\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout


def test_pytest_is_imported_only_for_the_fixtures() -> None:
    code = "import sys, simple_orthanc.testing; print('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
