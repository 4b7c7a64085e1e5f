"""The commands that make copies: what they read of their arguments, and what they print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simple_orthanc.cli import main
from simple_orthanc.cli.copies import replacement
from simple_orthanc.errors import SelectionError
from simple_orthanc.phantom import make_series
from simple_orthanc.session import Orthanc
from simple_orthanc.testing import OrthancStandIn


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("PatientID=S042", ("PatientID", "S042")),
        ("PatientID = S042", ("PatientID", " S042")),
        ("PatientName=a=b", ("PatientName", "a=b")),
        ('(0009,"A=B",01)=x', ('(0009,"A=B",01)', "x")),
        ("PatientID=", ("PatientID", "")),
    ],
)
def test_a_replacement_is_a_tag_and_the_rest(text: str, pair: tuple[str, str]) -> None:
    assert replacement(text) == pair


@pytest.mark.parametrize("text", ["PatientID", "=x", ""])
def test_a_replacement_without_a_tag_shows_the_right_form(text: str) -> None:
    with pytest.raises(SelectionError, match="write TAG=VALUE"):
        replacement(text)


@pytest.mark.parametrize("verb", ["anonymize", "modify"])
def test_options_are_those_of_the_verb_and_a_failure_is_the_exit_status(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[dict[str, Any]] = []

    def record(self: Orthanc, **options: Any) -> pd.DataFrame:
        asked.append(options)
        return pd.DataFrame({"level": ["series"], "status": ["failed"], "message": ["disk full"]})

    monkeypatch.setattr(Orthanc, verb, record)
    with OrthancStandIn(make_series((2, 4, 4), PatientID="P1")) as server:
        command = [verb, "P1", "--replace", "PatientID=S1", "--remove", "StudyID", "--whole", "--delete-originals"]
        assert main(["--url", server.url, *command, "--format", "json"]) == 1
    (options,) = asked
    private = {"anonymize": "keep_private", "modify": "remove_private"}[verb]
    assert options == {
        "keep": [],
        "replace": {"PatientID": "S1"},
        "remove": ["StudyID"],
        private: False,
        "everything": False,
        "whole": True,
        "delete_originals": True,
        "dry_run": False,
    }
    assert json.loads(capsys.readouterr().out) == [{"level": "series", "status": "failed", "message": "disk full"}]


def test_bad_values_are_refused_before_a_server_is_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--folder", str(tmp_path / "none"), "modify", "P1", "--replace", "StudyDate=2020-01-31"]) == 1
    assert "StudyDate was to become '2020-01-31'" in capsys.readouterr().err


def test_ids_of_the_server_are_for_machines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.DataFrame({"new_StudyInstanceUID": ["1.2"], "orthanc_id": ["a"], "new_orthanc_id": ["b"], "status": "x"})
    monkeypatch.setattr(Orthanc, "anonymize", lambda self, **options: table)
    with OrthancStandIn(make_series((2, 4, 4), PatientID="P1")) as server:
        for form, shown in (("table", False), ("csv", True), ("json", True)):
            assert main(["--url", server.url, "anonymize", "P1", "--format", form]) == 0
            out = capsys.readouterr().out
            assert ("orthanc_id" in out, "new_StudyInstanceUID" in out) == (shown, True)
