"""Cohorts on the command line: frozen, opened by other commands, and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simple_orthanc.cli import main


def test_what_is_frozen_is_opened_by_other_commands(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, path = ["--folder", str(scans)], str(tmp_path / "ct.cohort")
    assert main([*source, "freeze", path, "--where", "Modality=CT"]) == 0
    assert "1 series, 2 instances" in capsys.readouterr().out
    assert main([*source, "find", "series", "--cohort", path, "--columns", "Modality", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"Modality": "CT"}]
    assert main([*source, "download", str(tmp_path / "out"), "--cohort", path, "--where", "InstanceNumber=1"]) == 0
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1


def test_a_file_is_not_replaced_unless_told_to(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--folder", str(scans), "freeze", str(tmp_path / "all.cohort"), "--checksums", "none"]
    assert main(command) == 0
    assert main(command) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--no-identifiers"]) == 0
    assert '"P1"' not in (tmp_path / "all.cohort").read_text()


def test_a_difference_is_listed_and_is_the_exit_status(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, path = ["--folder", str(scans)], str(tmp_path / "ct.cohort")
    assert main([*source, "freeze", path, "--where", "Modality=CT"]) == 0
    assert main([*source, "difference", path, "--format", "json"]) == 0
    (scans / "CT1.dcm").unlink()
    capsys.readouterr()
    assert main([*source, "difference", path, "--format", "json", "--quick"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["difference"], row["PatientID"]) == ("gone", "P1")
    assert main([*source, "find", "series", "--cohort", path]) == 1
    assert "1 of 2 instances" in capsys.readouterr().err


def test_what_is_not_known_of_a_difference_is_told_beside_what_is(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, path = ["--folder", str(scans)], str(tmp_path / "ct.cohort")
    command = [*source, "freeze", path, "--no-identifiers", "--where", "Modality=CT", "--where", "PatientID=P1"]
    assert main(command) == 0
    capsys.readouterr()
    assert main([*source, "difference", path, "--format", "json"]) == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out) == []
    assert "What is new" in shown.err
    (scans / "CT1.dcm").unlink()
    assert main([*source, "difference", path, "--format", "json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row["difference"] == "gone"


def test_a_file_that_is_no_cohort_is_an_error(scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("no cohort")
    assert main(["--folder", str(scans), "find", "series", "--cohort", str(tmp_path / "notes.txt")]) == 1
    assert "is not the file of a cohort" in capsys.readouterr().err
