"""UIDs, and those that DICOM has assigned."""

from __future__ import annotations

import pytest

from simple_orthanc.deidentification.uids import is_registered, is_uid, without_uids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2", True),
        ("2.25.0", True),
        ("3.1", False),
        ("1..2", False),
        ("1.2.", False),
        ("", False),
        ("1." * 40, False),
    ],
)
def test_uids(text: str, expected: bool) -> None:
    assert is_uid(text) is expected


def test_registered_uids_are_known_one_by_one() -> None:
    assert is_registered("1.2.840.10008.1.4.1.1")
    assert not is_registered("1.2.840.10008.471108")
    assert not is_registered("")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("from 2.25.329800735698586629295641978511506172918", "from "),
        ("1.2.826.0.1.3680043.9999.4.5.6", ""),
        ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2"),
        ("syngo 1.2.3.4.5, 2.25.1", "syngo 1.2.3.4.5, 2.25.1"),
        ("101.2.3.4.5.6.7", "101.2.3.4.5.6.7"),
    ],
)
def test_uids_are_found_in_text(text: str, rest: str) -> None:
    assert without_uids(text) == rest
