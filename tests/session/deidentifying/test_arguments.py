"""The arguments of `deidentify`: what cannot be is refused before anything is read or written."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import Folder
from simple_orthanc.errors import EmptySelectionError, SelectionError, UnknownTagError, UnsupportedError
from simple_orthanc.phantom import as_bytes, make_series
from tests.memory_source import instance
from tests.session.sessions import session_of

KEY = "correct horse battery staple"


def scans(folder: Path) -> Folder:
    folder.mkdir()
    (folder / "0.dcm").write_bytes(as_bytes(make_series((1, 4, 4), seed=1)[0]))
    return Folder(folder, cache=False)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"key": "short"}, SelectionError, "has 5 bytes"),
        ({"key": None}, SelectionError, "secret string.*none was given.*token_hex"),
        ({"profile": "full"}, SelectionError, "one profile"),
        ({"options": ["retain_everything"]}, SelectionError, "no option"),
        ({"options": ["retain_full_dates", "retain_modified_dates"]}, SelectionError, "one of the two"),
        ({"keep": ["PatientNme"]}, UnknownTagError, "PatientNme"),
        ({"keep": ["RequestAttributesSequence[0].StudyID"]}, UnsupportedError, "plain tag"),
        ({"keep": ['0009,"GEMS",0D']}, UnsupportedError, "retain_safe_private"),
        ({"replace": {"KVP": 120}}, SelectionError, "as strings"),
        ({"replace": "KVP"}, SelectionError, "maps tags"),
        ({"replace": {"SOPInstanceUID": "1.2"}}, SelectionError, "make one of them"),
        ({"options": None}, SelectionError, "options=None is no list"),
        ({"keep": 1.5}, SelectionError, "keep=1.5 is no list"),
        ({"layout": "{SOPInstanceUID:.9}.dcm"}, SelectionError, "could give two copies one name"),
        ({"suspicious": "skip"}, SelectionError, "suspicious='skip'"),
        ({"max_shift": 0}, SelectionError, "max_shift=0"),
        ({"prefix": "a^b"}, SelectionError, "prefix="),
        ({"pseudonyms": {"P1": "P1"}}, SelectionError, "one of the PatientIDs"),
        ({"everything": False}, SelectionError, "everything=True"),
    ],
)
def test_arguments_that_cannot_be(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    session = session_of(instance(1, patient="P1"), instance(2, patient="P1"))
    target = tmp_path / "copies"
    with pytest.raises(error, match=message):
        session.deidentify(target, **{"key": KEY, "everything": True, **arguments})
    assert not target.exists()


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (b"bytes", SelectionError, "go to a bytes"),
        (None, SelectionError, "go to a NoneType"),
        ("file.dcm", SelectionError, "is a file"),
        ("scans", SelectionError, "given away together"),
        ("scans/inside", SelectionError, "given away together"),
        (".", SelectionError, "given away together"),
    ],
)
def test_targets_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any, error: type[Exception], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = scans(tmp_path / "scans")
    (tmp_path / "file.dcm").write_bytes(b"")
    with pytest.raises(error, match=message):
        folder.deidentify(target, key=KEY, everything=True)
    assert sorted(os.listdir(tmp_path)) == ["file.dcm", "scans"]
    assert os.listdir(tmp_path / "scans") == ["0.dcm"]


def test_a_session_that_is_only_read_takes_no_copies(tmp_path: Path) -> None:
    folder = scans(tmp_path / "scans")
    with pytest.raises(UnsupportedError, match="is only read"):
        folder.deidentify(session_of(instance(1)), key=KEY, everything=True)
    with pytest.raises(SelectionError, match="given away together"):
        folder.deidentify(folder, key=KEY, everything=True)


def test_an_empty_selection_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        session = session_of(instance(1)).select(PatientID="nobody")
    with pytest.raises(EmptySelectionError):
        session.deidentify(tmp_path, key=KEY)


def test_pseudonyms_of_other_patients_are_warned_about(tmp_path: Path) -> None:
    session = session_of(instance(1, patient="0042")).select(PatientID="0042")
    with pytest.warns(UserWarning, match="None of the 1 selected patients is in pseudonyms") as caught:
        session.deidentify(tmp_path, key=KEY, pseudonyms={"42": "S01"})
    assert [warning.filename for warning in caught] == [__file__]
    assert "0042" not in str(caught[0].message)
    session.deidentify(tmp_path / "named", key=KEY, pseudonyms={"0042": "S01", "43": "S02"})


def test_a_call_without_a_key_says_what_a_key_is(tmp_path: Path) -> None:
    session = session_of(instance(1))
    with pytest.raises(SelectionError, match=r"key=\.\.\.\) needs a secret string.*none was given"):
        session.deidentify(tmp_path / "copies", everything=True)
    assert not (tmp_path / "copies").exists()
