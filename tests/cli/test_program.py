"""The command line as a program: exit statuses, one line for an error, help, start-up."""

from __future__ import annotations

import configparser
import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import simple_orthanc
from simple_orthanc import cli
from simple_orthanc.cli import build_parser, main
from simple_orthanc.phantom import as_bytes, make_series
from tests import stand_ins
from tests.command_line import PATIENCE, PROGRAM, WITH_STAND_INS, environment, in_pipe, on_terminal
from tests.http_stand_in import make_environment_plain

ESCAPE = "\x1b"
COMMANDS = re.findall(r"^    ([a-z]+) {2,}", build_parser().format_help(), re.MULTILINE)


@pytest.fixture(autouse=True)
def _sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simple_orthanc, "Folder", stand_ins.Folder, raising=False)
    for name in ("DICOMWEB_URL", "DICOMWEB_USERNAME", "DICOMWEB_PASSWORD", "DICOMWEB_TOKEN", "ORTHANC_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    for number, dataset in enumerate(make_series((3, 4, 5), seed=1, PatientID="P1", SeriesDescription="axial")):
        (made / f"{number}.dcm").write_bytes(as_bytes(dataset))
    return made


def test_the_program_is_declared() -> None:
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    assert setup["options.entry_points"]["console_scripts"].split() == [
        "simple-orthanc",
        "=",
        f"{main.__module__}:{main.__name__}",
    ]


def test_the_error_for_an_option_behind_the_command_shows_where_it_belongs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "series", "--folder=scans", "--where", "Modality=CT"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        "simple-orthanc: error: --folder belongs before the command: simple-orthanc --folder ... find "
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"\n  simple-orthanc {command}" in text or f" {command} " in text.partition("examples:")[2]
    if "--where" in text:
        assert "SliceThickness<=3" in text


def test_help_imports_nothing_heavy() -> None:
    source = (
        "import sys; from simple_orthanc.cli import main; main(['--help']); "
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    ended = in_pipe(program=(sys.executable, "-c", source))
    assert ended.status == 0
    assert set(ended.err.split()) & {"pandas", "SimpleITK", "matplotlib", "nibabel"} == set()
    assert set(ended.err.split()) >= {"simple_orthanc", "argparse"}


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"simple-orthanc {simple_orthanc.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nothing",),
        ("find",),
        ("find", "slices"),
        ("find", "series", "--limit", "-1"),
        ("find", "series", "--descending"),
        ("find", "series", "--columns", ","),
        ("--url", "http://a", "--folder", "b", "info"),
        ("--key", "k", "--url", "http://127.0.0.1:1", "info"),
        ("--password", "p", "info"),
        ("--folder", "x", "serve", "y"),
        ("volume", "a.mha", "--split", "--dims", "time"),
        ("show", "a.png", "--window", "1", "0"),
        ("show", "a.bmp", "P1"),
        ("frames", "out", "--numbers", "0"),
        ("frames", "out", "--transfer-syntax", "1.2.840.10008.1.2.4.50"),
        ("bulkdata", "x", "--range", "5-1"),
        ("rendered", "x.raw"),
        ("find", "--folder", "x", "series"),
        ("info", "--quiet"),
    ],
)
def test_a_wrong_command_line_is_status_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    written = capsys.readouterr()
    assert written.out == ""
    last = written.err.splitlines()[-1]
    assert last.startswith("simple-orthanc: error: ")
    assert re.search(r"\(see simple-orthanc( [a-z]+)? --help\)$", last)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--url", "http://127.0.0.1:1", "info"), "127.0.0.1:1"),
        (("--url", "ftp://x", "info"), "only http and https"),
        (("find", "series", "--where", "PatientNme=x"), "Did you mean PatientName"),
        (("find", "series", "--where", "Modality"), "is not a criterion"),
        (("find", "series", "--columns", "Modality,Nonsense"), "Nonsense"),
        (("find", "series", "--sort", "patient_count"), "patient_count"),
        (("volume", "a.dcm"), ".nii.gz"),
        (("volume", "no/such/folder/a.mha"), "no folder no/such/folder"),
        (("upload", "no-such-file"), "There is no no-such-file"),
        (("serve", "no-such-folder"), "not a folder"),
        (("anonymize", "--keep", "Nonsense"), "Nonsense"),
        (("anonymize", "--replace", "PatientID"), "TAG=VALUE"),
        (("anonymize", "--remove", '(0009,"GEMS",01)'), "plain tags only"),
    ],
)
def test_an_error_is_one_line_and_status_1(
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All but the first are found before anything is asked of a server, of which there is none."""
    make_environment_plain(monkeypatch)
    assert main(arguments) == 1
    written = capsys.readouterr()
    assert written.out == ""
    (line,) = written.err.splitlines()
    assert line.startswith("simple-orthanc: error: ")
    assert message in line


def test_a_source_that_is_only_read_refuses_to_change(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ("upload", str(folder)),
        ("delete", "series", "P1", "--yes"),
        ("anonymize", "P1"),
        ("send", "pacs", "P1"),
        ("rendered", "x.png", "P1"),
    ):
        assert main(["--folder", str(folder), *command]) == 1
        assert "Folder" in capsys.readouterr().err
    assert len(list(folder.iterdir())) == 3


def test_options_and_arguments_are_accepted_in_any_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for order in (
        ("find", "series", "P1", "--columns", "PatientID", "--format", "csv"),
        ("find", "--columns", "PatientID", "series", "--format", "csv", "P1"),
        ("find", "series", "--columns", "PatientID", "--format", "csv", "--where", "Modality=CT", "P1"),
    ):
        assert main(["--folder", str(folder), *order]) == 0
        assert capsys.readouterr().out == "PatientID\r\nP1\r\n"


def test_an_empty_selection_is_a_warning_for_tables_and_an_error_for_files(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = ("--where", "Modality=MR")
    assert main(["--folder", str(folder), "find", "series", *empty, "--format", "json"]) == 0
    written = capsys.readouterr()
    assert written.out == "[]\n"
    assert "warning: Nothing is selected any more" in written.err
    assert main(["--quiet", "--folder", str(folder), "find", "series", *empty, "--format", "csv"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["--quiet", "--folder", str(folder), "download", str(tmp_path / "out"), *empty]) == 1
    assert "Nothing is selected by" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_unexpected_error_is_one_line_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("lost\x1b[2J\nkey")

    monkeypatch.setattr(stand_ins.Folder, "table", broken)
    assert main(["--folder", str(folder), "find", "series"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "an unexpected KeyError" in line
    assert "--traceback" in line
    assert "\x1b" not in line
    assert main(["--traceback", "--folder", str(folder), "find", "series"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_status_130(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stand_ins.Folder, "table", interrupted)
    assert main(["--folder", str(folder), "find", "series"]) == cli.INTERRUPTED == 130
    assert capsys.readouterr().err == "simple-orthanc: interrupted\n"


def test_a_reader_that_is_gone_is_no_error() -> None:
    with subprocess.Popen(
        [*PROGRAM, "find", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) in (0, cli.CLOSED_PIPE)


def test_a_reader_of_a_table_that_is_gone_is_no_error(folder: Path) -> None:
    arguments = ["--folder", str(folder), "tags", "--all"]
    program = [*WITH_STAND_INS, *arguments]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == cli.CLOSED_PIPE


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        ended = subprocess.run(
            [*WITH_STAND_INS, "--folder", str(folder), "find", "series"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == b"simple-orthanc: error: No space left on device\n"


@pytest.mark.parametrize("variables", [{"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"LANG": "C"}])
def test_names_are_written_in_utf8_whatever_the_locale(folder: Path, variables: dict[str, str]) -> None:
    named = make_series((1, 4, 4), seed=2, PatientName="山田^太郎", SpecificCharacterSet="ISO_IR 192")[0]
    (folder / "name.dcm").write_bytes(as_bytes(named))
    ended = in_pipe(
        "--folder",
        folder,
        "find",
        "patients",
        "--columns",
        "PatientName",
        program=WITH_STAND_INS,
        env=variables,
    )
    assert ended.status == 0, ended.err
    assert "山田^太郎" in ended.out


def test_sigint_while_starting_work_is_quiet(folder: Path) -> None:
    """A real signal, to a program that waits for a password that never comes."""
    process = subprocess.Popen(
        [*PROGRAM, "--username", "x", "--password-file", "-", "info"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    deadline = time.monotonic() + PATIENCE
    while _reads(process.pid) is False:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (130, b"", b"simple-orthanc: interrupted\n")


def _reads(process: int) -> bool:
    """Whether a program waits for its standard input."""
    return Path(f"/proc/{process}/wchan").read_text() in ("pipe_read", "anon_pipe_read") or (
        "0x0" in (words := Path(f"/proc/{process}/syscall").read_text().split())[1:2] and words[0] == "0"
    )


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Series whose values are written to hurt whoever looks at them."""
    made = tmp_path / "hostile"
    made.mkdir()
    for number, (patient, description) in enumerate(
        [("=1+1", "one"), ("P1", f"evil{ESCAPE}[2J"), ("P4", 'a "b", c'), ("P5", "two\nlines")]
    ):
        (dataset,) = make_series((1, 4, 4), seed=number, PatientID=patient, SeriesDescription=description)
        (made / f"{number}.dcm").write_bytes(as_bytes(dataset))
    return made


def test_csv_is_that_of_rfc_4180(hostile: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("find", "series", "--columns", "PatientID,SeriesDescription", "--format", "csv")
    assert main(["--folder", str(hostile), *asked]) == 0
    written = capsys.readouterr()
    assert list(csv.reader(io.StringIO(written.out, newline=""))) == [
        ["PatientID", "SeriesDescription"],
        ["'=1+1", "one"],
        ["P1", f"evil{ESCAPE}[2J"],
        ["P4", 'a "b", c'],
        ["P5", "two\nlines"],
    ]
    assert written.out.count("\r\n") == 5
    assert "1 strings begin like a formula" in written.err
    assert main(["--folder", str(hostile), *asked, "--exact"]) == 0
    exact = capsys.readouterr()
    assert exact.out.splitlines()[1] == "=1+1,one"
    assert "formula" not in exact.err


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_hostile_value_does_not_reach_the_terminal(hostile: Path, form: str) -> None:
    arguments = ("--folder", hostile, "find", "series", "--columns", "SeriesDescription", "--format", form)
    shown = on_terminal(*arguments, program=WITH_STAND_INS)
    assert shown.status == 0
    assert "evil" in shown.out
    assert ESCAPE not in shown.out


def test_a_wide_table_fits_the_terminal_and_is_whole_in_a_pipe(folder: Path) -> None:
    uid = str(make_series((3, 4, 5), seed=1)[0].SeriesInstanceUID)
    arguments = ("--folder", folder, "find", "series")
    narrow = on_terminal(*arguments, program=WITH_STAND_INS, columns=80)
    table = narrow.out.splitlines()[:2]
    assert max(map(len, table)) <= 80
    assert "…" in table[1]
    assert uid not in narrow.out
    assert uid in in_pipe(*arguments, program=WITH_STAND_INS).out
