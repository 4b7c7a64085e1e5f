"""Values that users give, valid in the VR of their attribute or refused."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.deidentification.profile import Profile
from simple_orthanc.deidentification.replacing import replaced_value
from simple_orthanc.errors import SelectionError


@pytest.mark.parametrize(
    ("tag", "vr", "value", "expected"),
    [
        (0x00100010, "PN", "Doe^Jane", "Doe^Jane"),
        (0x00081030, "LO", "trial 7", "trial 7"),
        (0x00181020, "LO", "a\\b", ["a", "b"]),
        (0x00104000, "LT", "a\\b", "a\\b"),
        (0x00280010, "US", "512", 512),
        (0x00280106, "US or SS", "7", 7),
        (0x00189087, "FD", "1000.5", 1000.5),
        (0x00180060, "DS", "", ""),
        (0x00080020, "DA", "20200101", "20200101"),
    ],
)
def test_valid_values(tag: int, vr: str, value: str, expected: Any) -> None:
    assert replaced_value(tag, vr, value) == expected


@pytest.mark.parametrize(
    ("tag", "vr", "value", "message"),
    [
        (0x00180060, "DS", "high", r"KVP \(0018,0060\), which is not valid in its value representation DS"),
        (0x00280010, "US", "many", r"Rows \(0028,0010\)"),
        (0x00280010, "US", "1.5", "Rows"),
        (0x00080020, "DA", "2020-01-01", "StudyDate"),
        (0x00080060, "CS", "lower", "Modality"),
        (0x00100020, "LO", "x" * 65, "PatientID"),
        (0x00400275, "SQ", "x", "is a sequence, which no string can replace"),
        (0x7FE00010, "OB or OW", "x", "is of value representation OB"),
        (0x00720050, "AT", "x", "is of value representation AT"),
    ],
)
def test_others_are_refused(tag: int, vr: str, value: str, message: str) -> None:
    with pytest.raises(SelectionError, match=message) as caught:
        replaced_value(tag, vr, value)
    assert "http" not in str(caught.value)


def test_a_profile_refuses_them_at_once() -> None:
    with pytest.raises(SelectionError, match="KVP"):
        Profile.of(replace={0x00180060: "high"})
    assert Profile.of(replace={0x00091001: "anything"}).replace == {0x00091001: "anything"}
