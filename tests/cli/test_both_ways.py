"""The tables that show one job in Python and in a shell: both are the same call of the same verb."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import Orthanc, Session
from simple_orthanc.testing import OrthancStandIn, make_series
from tests.command_line import ROOT, in_process

TABLES = {
    path: re.findall(r"^\| [^|]+ \| `([^`]+)` \| `simple-orthanc ([^`]+)` \|$", (ROOT / path).read_text(), re.MULTILINE)
    for path in ("README.md", "docs/command-line.md")
}
ROWS = [row for rows in TABLES.values() for row in rows]
KEY = "a secret of more than sixteen bytes"


class Reached(BaseException):
    """Raised in the place of what a verb does."""


@pytest.fixture
def stand_in() -> Iterator[OrthancStandIn]:
    scan = make_series((2, 4, 4), seed=1, PatientID="P1", PatientName="JaneDoe", SeriesDescription="ct_scan")
    localizer = make_series((1, 4, 4), seed=2, like=scan[0], SeriesDescription="localizer")
    other = make_series((2, 4, 4), seed=3, modality="MR", PatientID="P2")
    with OrthancStandIn([*scan, *localizer, *other]) as server:
        yield server


def verb_of(call: str) -> str:
    """Return the verb of the session that a line of Python ends with."""
    names = [name for name in re.findall(r"\.(\w+)\(", call) if hasattr(Orthanc, name) and name != "select"]
    return names[0]


def plain(value: Any) -> Any:
    """Return an argument in the one form of all that mean the same."""
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()} or None
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(item) for item in value]
    if isinstance(value, Session):
        return value.SeriesInstanceUIDs
    return str(value) if isinstance(value, Path) else value


class Recorder:
    """Keeps what a verb was called with, and on which selection, and ends the call there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
        self.calls: list[tuple[list[str], dict[str, Any]]] = []
        original = getattr(Orthanc, verb)

        def record(session: Session, *arguments: Any, **options: Any) -> Any:
            bound = signature(original).bind(session, *arguments, **options)
            bound.apply_defaults()
            if bound.arguments.get("dry_run"):
                # The command line shows first what it asks about.
                return original(session, *arguments, **options)
            given = {name: plain(value) for name, value in bound.arguments.items() if name not in ("self", "key")}
            self.calls.append((session.SeriesInstanceUIDs, given))
            raise Reached

        monkeypatch.setattr(Orthanc, verb, record)


def test_the_readme_shows_the_main_verbs() -> None:
    verbs = {verb_of(call) for call, _ in TABLES["README.md"]}
    assert verbs >= {"table", "get_volume", "download", "save_volumes", "anonymize", "deidentify", "send", "delete"}


@pytest.mark.parametrize(("call", "command"), ROWS, ids=[command for _, command in ROWS])
def test_both_are_one_call(
    call: str, command: str, stand_in: OrthancStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scans").mkdir()
    (tmp_path / "smooth.nii.gz").touch()
    (tmp_path / "key.txt").write_text(KEY)
    (tmp_path / "key.txt").chmod(0o600)
    with Orthanc(stand_in.url) as orthanc:
        recorder = Recorder(monkeypatch, verb_of(call))
        with pytest.raises(Reached):
            eval(call, {"orthanc": orthanc, "key": KEY})
        with pytest.raises(Reached):
            in_process(*shlex.split(command), env={"ORTHANC_URL": stand_in.url}, cwd=tmp_path)
    in_python, in_shell = recorder.calls
    assert in_python == in_shell
