"""A session on a folder: what it reports of the files, and that it is only read."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import Cache, Folder, SelectionError
from simple_orthanc.errors import UnknownTagError
from tests.memory_source import as_file, instance


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.dcm").write_bytes(as_file(instance(1, Modality="CT")))
    (folder / "inner" / "b").write_bytes(as_file(instance(1, study="2", Modality="MR")))
    (folder / "notes.txt").write_text("no image")
    return folder


def test_a_folder_is_read_with_or_without_the_folders_inside_it(scans: Path) -> None:
    assert Folder(scans).instance_count == 2
    assert Folder(str(scans), recursive=False).Modalities == ["CT"]


def test_a_selection_is_made_at_once(scans: Path) -> None:
    assert Folder(scans, selection={"Modality": "MR"}).StudyInstanceUIDs == ["1.2.2"]


def test_files_reports_on_each_file_in_the_order_of_paths(scans: Path) -> None:
    table = Folder(scans).files
    assert list(table.columns) == ["path", "member", "status", "SOPInstanceUID", "message"]
    names = [os.path.relpath(path, scans) for path in table["path"]]
    assert list(zip(names, table["status"], strict=True)) == [
        ("a.dcm", "indexed"),
        (os.path.join("inner", "b"), "indexed"),
        ("notes.txt", "not DICOM"),
    ]


@pytest.mark.parametrize("verb", ["upload_file", "upload_folder", "delete_selected_patient"])
def test_a_folder_is_only_read(scans: Path, verb: str) -> None:
    with pytest.raises(UnknownTagError, match=rf"Folder has no '{verb}'.* It is a verb of .*Orthanc"):
        getattr(Folder(scans), verb)


def test_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="missing"):
        Folder(tmp_path / "missing")


def test_a_folder_without_dicom_warns(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no DICOM"):
        assert Folder(tmp_path).instance_count == 0


def test_refresh_finds_what_was_added_and_removed(scans: Path) -> None:
    session = Folder(scans)
    (scans / "c").write_bytes(as_file(instance(1, study="3", Modality="PT")))
    (scans / "a.dcm").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert session.refresh().Modalities == ["MR", "PT"]


def test_a_session_is_picklable(scans: Path) -> None:
    again = pickle.loads(pickle.dumps(Folder(scans).select(Modality="CT")))
    assert again.PatientIDs == ["P1"]
    assert again.get_header().Modality == "CT"


def test_the_example_is_named_and_the_same_in_other_processes() -> None:
    session = Folder.example()
    assert repr(session) == "<Folder example: 6 patients, 7 studies, 16 series, 661 instances>"
    again = pickle.loads(pickle.dumps(session.select(Modality="PT")))
    assert repr(again).startswith("<Folder example:")
    assert again.get_header(0).PatientID == "EX-003"
    assert Folder.example().files["path"].equals(Folder.example().files["path"])


def test_the_example_leaves_nothing_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SIMPLE_ORTHANC_CACHE", str(tmp_path))
    assert Folder.example().series_count == 16
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"offline": True}, {"offline": False}])
def test_a_folder_needs_no_cache_of_files(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(SelectionError, match=r"A folder needs no cache of files: .* Orthanc and DicomWeb; here cache="):
        Folder(tmp_path, **options)
    with pytest.raises(SelectionError, match="A folder needs no cache of files"):
        Folder(tmp_path, cache=Cache(tmp_path / "cache"))  # type: ignore[arg-type]
