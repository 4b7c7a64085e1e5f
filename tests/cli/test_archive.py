"""Deleting asks first, and deletes no more than it named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import simple_orthanc
from simple_orthanc.cli import main
from simple_orthanc.phantom import as_bytes, make_series
from tests import stand_ins
from tests.command_line import WITH_STAND_INS, Terminal
from tests.dicomweb_stand_in import DicomServer
from tests.orthanc_stand_in import OrthancServer

WEB = ["--dicomweb", "http://127.0.0.1:1/dicom-web"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    """Return what the archive is asked, which holds one patient with a series of CT and one of MR."""
    transactions = stand_ins.Transactions()
    monkeypatch.setattr(stand_ins, "Transactions", lambda: transactions)
    monkeypatch.setattr(simple_orthanc, "DicomWeb", stand_ins.DicomWeb, raising=False)
    for seed, modality in enumerate(("CT", "MR")):
        for number, dataset in enumerate(make_series((2, 4, 5), seed=seed, modality=modality, PatientID="P1")):
            (tmp_path / f"{modality}{number}.dcm").write_bytes(as_bytes(dataset))
    monkeypatch.setenv("STAND_IN_FOLDER", str(tmp_path))
    return transactions.asked


def test_without_a_terminal_nothing_is_deleted_unless_told_to(
    asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WEB, "delete", "series", "--where", "Modality=CT"]) == 1
    assert "no terminal to ask on: use --yes. Nothing was deleted" in capsys.readouterr().err
    assert asked == []
    assert main([*WEB, "delete", "series", "--where", "Modality=CT", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("would be deleted: 1 series, 2 instances on ")
    assert asked == []
    assert main([*WEB, "delete", "series", "--where", "Modality=CT", "--yes"]) == 0
    assert capsys.readouterr().out.startswith("deleted: 1 series")
    ((act, level, _),) = asked
    assert (act, level) == ("delete", "series")


def test_more_than_what_is_selected_is_deleted_only_as_a_whole(
    asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*WEB, "delete", "instances", "--where", "Modality=CT", "--where", "InstanceNumber=1", "--yes"]
    assert main([*WEB, "delete", "patients", "--where", "Modality=CT", "--yes"]) == 1
    assert "--whole" in capsys.readouterr().err
    assert asked == []
    assert main(command) == 0
    assert [level for _, level, _ in asked] == ["instance"]


def test_the_whole_archive_is_deleted_only_with_everything(
    asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WEB, "delete", "studies", "--yes"]) == 1
    assert "On the command line that is --everything, and --where or an ID narrows" in capsys.readouterr().err
    assert asked == []
    assert main([*WEB, "delete", "studies", "--yes", "--everything"]) == 0
    assert {level for _, level, _ in asked} == {"study"}


@pytest.mark.parametrize("answer", ["n\n", "\n", "yess\n"])
def test_on_a_terminal_anything_but_yes_deletes_nothing(
    asked: list[tuple[Any, ...]], tmp_path: Path, answer: str
) -> None:
    terminal = Terminal(
        *WEB,
        "delete",
        "series",
        "--where",
        "Modality=CT",
        program=WITH_STAND_INS,
        env={"STAND_IN_FOLDER": str(tmp_path)},
    )
    terminal.wait_for(r"Delete 1 series[^?]*\?")
    terminal.type(answer)
    ended = terminal.end()
    assert (ended.status, "Nothing was deleted." in ended.out) == (1, True)


def test_what_is_selected_is_sent_to_a_folder_once(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new" / "folder"
    send = ["--folder", str(scans), "send", f"folder:{new}", "--where", "Modality=CT"]
    assert main([*send, "--dry-run"]) == 0
    assert capsys.readouterr().out == f"would be sent: 1 series, 2 instances to {new}\n"
    assert list(new.iterdir()) == []
    assert main(send) == 0
    assert capsys.readouterr().out == f"sent: 2 instances to {new}\n"
    (path, _) = sorted(new.rglob("*.dcm"))
    assert main(send) == 0
    assert capsys.readouterr().out == f"sent: 0 instances to {new}, and 2 already there\n"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert main(send) == 1
    printed = capsys.readouterr()
    assert printed.out == f"sent: 0 instances to {new}, and 1 already there\n"
    assert printed.err.startswith("conflict: series 1.2.826")


def test_the_whole_archive_is_sent_only_with_everything(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send = ["--folder", str(scans), "send", f"folder:{tmp_path / 'new'}"]
    assert main(send) == 1
    assert "On the command line that is --everything" in capsys.readouterr().err
    assert main([*send, "--everything"]) == 0
    assert capsys.readouterr().out.startswith("sent: 4 instances")


def test_what_is_sent_to_a_server_is_stored_there(scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with OrthancServer([]) as server:
        assert main(["--folder", str(scans), "send", server.url, "P1"]) == 0
        assert capsys.readouterr().out == f"sent: 4 instances to {server.url}\n"
        assert len(server.datasets) == 4
    with DicomServer([]) as web:
        assert main(["--folder", str(scans), "send", f"dicomweb:{web.root}", "P1"]) == 0
        assert capsys.readouterr().out == f"sent: 4 instances to {web.root}\n"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("PACS", "only an Orthanc server knows other machines by name"),
        ("folder:", "A path was expected"),
        ("folder:a\0b", "there can be no such folder"),
        ("profile:nobody", "The file of profiles"),
        ("http://127.0.0.1:1", "127.0.0.1:1"),
    ],
)
def test_targets_that_cannot_be_are_one_line(
    target: str, says: str, scans: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(scans))
    assert main(["--folder", str(scans), "send", target, "P1"]) == 1
    printed = capsys.readouterr()
    assert says in printed.err
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)
