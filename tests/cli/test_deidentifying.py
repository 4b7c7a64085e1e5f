"""The command `deidentify`: the key comes from anywhere but the command line, and what was done is said."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest

from simple_orthanc.cli import main
from simple_orthanc.phantom import as_bytes, make_series
from tests.command_line import Terminal

KEY = "correct horse battery staple"


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options that open a folder with two patients, one of whose images has text in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMPLE_ORTHANC_KEY", raising=False)
    monkeypatch.setenv("SIMPLE_ORTHANC_CACHE", "")
    (tmp_path / "scans").mkdir()
    for number in range(3):
        image = make_series((1, 4, 4), seed=number, PatientID=f"P{number // 2}", StudyDescription="knee")[0]
        image.BurnedInAnnotation = "YES" if number == 1 else "NO"
        (tmp_path / "scans" / f"{number}.dcm").write_bytes(as_bytes(image))
    key = tmp_path / "key.txt"
    key.write_text(f"{KEY}\n")
    key.chmod(0o600)
    return ["--folder", "scans", "deidentify"]


def files() -> list[str]:
    return sorted(str(path) for path in Path("shared").rglob("*.dcm"))


def test_the_key_is_read_from_a_file_or_the_environment(
    scans: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*scans, "shared", "--key-file", "key.txt", "--everything"]) == 0
    output = capsys.readouterr()
    assert output.out == "2 deidentified, 1 left out in shared\n"
    assert "left out: instance" in output.err
    assert "BurnedInAnnotation is YES" in output.err
    made = files()
    assert len(made) == 2
    monkeypatch.setenv("SIMPLE_ORTHANC_KEY", KEY)
    assert main([*scans, "shared", "--everything", "--keep-suspicious"]) == 0
    assert capsys.readouterr().out == "2 already there, 1 deidentified in shared\n"
    assert set(made) < set(files())
    monkeypatch.delenv("SIMPLE_ORTHANC_KEY")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    assert main([*scans, "shared", "--key-file", "-", "--everything"]) == 0
    assert capsys.readouterr().out == "2 already there, 1 left out in shared\n"


def test_the_key_is_asked_for_on_a_terminal(scans: list[str], tmp_path: Path) -> None:
    terminal = Terminal(*scans, "shared", "--where", "PatientID=P1", cwd=tmp_path)
    terminal.wait_for("Key of the de-identification: ")
    terminal.type(f"{KEY}\n")
    ended = terminal.end()
    assert (ended.status, "1 deidentified in shared" in ended.out, KEY in ended.out) == (0, True, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--key-file FILE"),
        (["--key-file", "short.txt"], "has 5 bytes"),
        (["--key-file", "key.txt"], "On the command line that is --everything"),
        (["--key-file", "key.txt", "--everything", "--option", "retain"], "The options: retain_safe_private"),
        (["--key-file", "key.txt", "--everything", "--pseudonyms", "none.csv"], "none.csv: it cannot be read"),
        (["--key-file", "key.txt", "--everything", "--pseudonyms", "wrong.csv"], "without the columns new and old"),
        (["--key-file", "key.txt", "--everything", "--replace", "KVP"], "write TAG=VALUE"),
    ],
)
def test_what_cannot_be_is_an_error(
    scans: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    Path("short.txt").write_text("short")
    Path("wrong.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr("simple_orthanc.cli.terminal._has_terminal", lambda: False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert main([*scans, "shared", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not Path("shared").exists()


def test_options_and_tables(scans: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("names.csv").write_text("old,new\nP1,S01\nP0,0042\n")
    common = ["--key-file", "key.txt", "--everything", "--keep-suspicious", "--pseudonyms", "names.csv"]
    changes = ["--keep", "StudyDescription", "--remove", "KVP", "--replace", "Manufacturer=ACME"]
    keys = ["--print", "keys", "--format", "csv"]
    assert main([*scans, "shared", *common, *changes, *keys, "--dry-run"]) == 0
    output = capsys.readouterr()
    assert {"PatientID,P1,S01,", "PatientID,P0,0042,"} <= set(output.out.split("\r\n"))
    assert "3 would be deidentified" in output.err
    assert not Path("shared").exists()
    assert main([*scans, "shared", *common, *changes, "--print", "attributes", "--format", "csv"]) == 0
    assert "PatientBirthDate" in capsys.readouterr().out
    headers = list(map(pydicom.dcmread, files()))
    assert {header.PatientID for header in headers} == {"S01", "0042"}
    assert {(header.StudyDescription, header.Manufacturer, "KVP" in header) for header in headers} == {
        ("knee", "ACME", False)
    }
    assert main([*scans, "shared", *common, *changes, "--print", "objects", "--format", "csv"]) == 0
    assert capsys.readouterr().out.count("already there") == 3


def test_a_copy_that_cannot_be_made_fails_the_command(scans: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*scans, "shared", "--key-file", "key.txt", "--everything"]) == 0
    Path(files()[0]).write_bytes(b"another")
    assert main([*scans, "shared", "--key-file", "key.txt", "--everything"]) == 1
    assert "another file of this name" in capsys.readouterr().err
