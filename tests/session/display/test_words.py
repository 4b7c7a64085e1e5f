"""A session in words."""

from __future__ import annotations

import pytest

from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.session.display.words import counted, session_text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([1, 1, 1, 1], "1 patient, 1 study, 1 series, 1 instance"),
        ([0, 2, 2, 1000000], "0 patients, 2 studies, 2 series, 1,000,000 instances"),
    ],
)
def test_counts_as_words(numbers: list[int], text: str) -> None:
    assert counted(dict(zip(LEVELS, numbers, strict=True))) == text
    # Always from the patient down, in whatever order they come.
    assert counted(dict(reversed(list(zip(LEVELS, numbers, strict=True))))) == text


def test_a_session_on_one_line() -> None:
    assert session_text("Folder", "/data", {}, []) == "<Folder /data: the whole archive>"
    assert session_text("Folder", "/data", {}, ["KVP > 100"]) == "<Folder /data: selected by KVP > 100>"
    text = session_text("Orthanc", "http://x", {"series": 1}, ["Modality == 'CT'", "KVP > 100"])
    assert text == "<Orthanc http://x: 1 series, selected by Modality == 'CT' & KVP > 100>"


def test_nothing_on_the_line_steers_a_terminal() -> None:
    assert session_text("Folder", "/data/\x1b[2J", {}, []) == "<Folder /data/\\x1b[2J: the whole archive>"
