"""The folder that de-identified files are written to, and what is handed over."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from simple_orthanc.deidentification.copies import Copy
from simple_orthanc.errors import SelectionError
from simple_orthanc.session.acts.reports import Outcome
from simple_orthanc.session.deidentifying.results import Deidentified, TargetFolder, check_apart
from simple_orthanc.session.exports.staging import staging_folder

NAMES = ("S-1", "2.25.1", "2.25.2", "2.25.3")


def put(folder: Path, names: tuple[str, ...], content: bytes, **options: bool) -> Outcome:
    with TargetFolder(folder) as target:
        return target.put(Copy(content, names, {}), **options)


def test_a_file_is_written_once(tmp_path: Path) -> None:
    first = put(tmp_path, NAMES, b"content")
    path = tmp_path / "S-1" / "2.25.1" / "2.25.2" / "2.25.3.dcm"
    assert (first.status, first.values["path"]) == ("deidentified", str(path))
    assert path.read_bytes() == b"content"
    before = path.stat().st_mtime_ns
    assert put(tmp_path, NAMES, b"content").status == "already there"
    assert path.stat().st_mtime_ns == before


def test_another_file_of_that_name_stays(tmp_path: Path) -> None:
    put(tmp_path, NAMES, b"content")
    outcome = put(tmp_path, NAMES, b"Content")
    assert outcome.status == "conflict"
    assert "another file of this name" in outcome.message
    assert (tmp_path / "S-1" / "2.25.1" / "2.25.2" / "2.25.3.dcm").read_bytes() == b"content"


def test_two_objects_of_one_run_do_not_share_a_name(tmp_path: Path) -> None:
    with TargetFolder(tmp_path) as folder:
        assert folder.put(Copy(b"content", NAMES, {})).status == "deidentified"
        outcome = folder.put(Copy(b"content", ("s-1", *NAMES[1:]), {}))
    assert (outcome.status, "same new identifiers" in outcome.message) == ("conflict", True)


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "new"
    assert put(target, NAMES, b"content", dry_run=True).status == "would be deidentified"
    assert not target.exists()
    put(target, NAMES, b"content")
    assert put(target, NAMES, b"content", dry_run=True).status == "already there"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a\0b", "CON", "x" * 300, ""])
def test_hostile_identifiers_stay_below_the_folder(tmp_path: Path, name: str) -> None:
    outcome = put(tmp_path / "t", (name, name, name, name), b"content")
    assert outcome.status == "deidentified"
    path = Path(outcome.values["path"])
    assert (tmp_path / "t").resolve() in path.resolve().parents
    assert path.read_bytes() == b"content"


def test_a_folder_in_the_place_of_the_file_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "S-1" / "2.25.1" / "2.25.2" / "2.25.3.dcm").mkdir(parents=True)
    outcome = put(tmp_path, NAMES, b"content")
    assert outcome.status == "conflict"
    (tmp_path / "S-2").write_bytes(b"")
    outcome = put(tmp_path, ("S-2", *NAMES[1:]), b"content")
    assert (outcome.status, "cannot be written" in outcome.message) == ("failed", True)


@pytest.mark.parametrize(
    ("target", "originals"),
    [("scans", "scans"), ("scans/shared", "scans"), (".", "scans"), (".", "scans.zip"), ("link", "scans")],
)
def test_copies_are_kept_apart_from_originals(tmp_path: Path, target: str, originals: str) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans.zip").write_bytes(b"")
    os.symlink(tmp_path / "scans", tmp_path / "link")
    with pytest.raises(SelectionError, match=r"given away together.*scans-deidentified"):
        check_apart(tmp_path / target, tmp_path / originals)


def test_a_folder_beside_the_originals_is_apart(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for target in ("shared", "scans-deidentified", "scan"):
        check_apart(tmp_path / target, tmp_path / "scans")
    check_apart(tmp_path, None)


def test_the_representation_names_no_patient() -> None:
    table = pd.DataFrame({"PatientID": ["4711", "4711", "4712"], "status": ["deidentified", "deidentified", "failed"]})
    keys = pd.DataFrame({"old": ["4711"], "new": ["S01"]})
    made = Deidentified(table, pd.DataFrame(), keys)
    assert repr(made) == str(made) == "<Deidentified: 2 deidentified, 1 failed>"


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    with staging_folder(tmp_path) as folder:
        left = folder.name
    (tmp_path / left).mkdir()
    (tmp_path / left / "part").write_bytes(b"half")
    (tmp_path / f"{left}.lock").touch()
    assert put(tmp_path, NAMES, b"content").status == "deidentified"
    assert os.listdir(tmp_path) == ["S-1"]


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, content: write(path, content[:3]))
    outcome = put(tmp_path / "new", NAMES, b"content")
    assert (outcome.status, "3 of 7 bytes arrived" in outcome.message) == ("failed", True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def full(path: Path, content: bytes) -> int:
        write(path, content[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with TargetFolder(tmp_path / "new") as target:
        outcome = target.put(Copy(b"content", NAMES, {}))
        assert "disk is full" in target.is_full
    assert (outcome.status, "No space left" in outcome.message) == ("failed", True)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
