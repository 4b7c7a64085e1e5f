"""UIDs, and those that DICOM has assigned."""

from __future__ import annotations

import pytest

from simple_orthanc.deidentification.uids import is_registered, is_uid


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
