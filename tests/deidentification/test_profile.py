"""The action for an attribute, with and without options."""

from __future__ import annotations

import pickle

import pytest
from pydicom.uid import CTImageStorage, PositronEmissionTomographyImageStorage, SegmentationStorage

from simple_orthanc.deidentification.profile import Action, Option, Profile
from simple_orthanc.deidentification.table import rows
from simple_orthanc.errors import SelectionError

SINGLE = [row for row in rows() if "x" not in row.pattern and "g" not in row.pattern]


def number(pattern: str) -> int:
    return int(pattern.strip("()").replace(",", ""), 16)


def test_a_simple_action_is_that_of_the_table() -> None:
    profile = Profile.of()
    for row in SINGLE:
        if "/" not in row.basic:
            assert profile.action(number(row.pattern)) is Action(row.basic), row


def test_a_compound_action_is_one_of_its_parts_or_a_value() -> None:
    profile = Profile.of()
    for row in SINGLE:
        if "/" in row.basic:
            parts = row.basic.replace("*", "").split("/")
            for sop_class in (CTImageStorage, SegmentationStorage):
                action = profile.action(number(row.pattern), sop_class=sop_class, path=["Nothing"])
                assert action is Action(parts[0]), row
            # Whatever the type in an unknown IOD is, a value is valid.
            assert profile.action(number(row.pattern)) in (Action.DUMMY, Action.REPLACE_UID), row


@pytest.mark.parametrize("option", list(Option))
def test_an_option_overrides_the_basic_profile(option: Option) -> None:
    profile, basic = Profile.of([option]), Profile.of()
    for row in SINGLE:
        action = profile.action(number(row.pattern))
        if option.value in row.options:
            assert action is Action(row.options[option.value]), row
        else:
            assert action is basic.action(number(row.pattern)), row


def test_of_two_options_the_one_that_cleans_is_followed() -> None:
    calibration = 0x00181200
    assert Profile.of(["retain_device_identity"]).action(calibration) is Action.KEEP
    assert Profile.of(["retain_device_identity", "retain_modified_dates"]).action(calibration) is Action.CLEAN


def test_the_type_in_the_iod_decides() -> None:
    acquisition_date = 0x00080022
    action = Profile.of().action
    assert action(acquisition_date, sop_class=CTImageStorage, path=["AcquisitionDate"]) is Action.REMOVE
    path = ["AcquisitionDate"]
    assert action(acquisition_date, sop_class=PositronEmissionTomographyImageStorage, path=path) is Action.EMPTY
    serial_number = 0x00181000
    assert action(serial_number, sop_class=SegmentationStorage, path=["DeviceSerialNumber"]) is Action.DUMMY


def test_options_that_contradict_are_refused() -> None:
    with pytest.raises(SelectionError, match="pass one of the two"):
        Profile.of(["retain_full_dates", "retain_modified_dates"])


@pytest.mark.parametrize(
    "lists",
    [
        {"keep": [0x00100010], "remove": [0x00100010]},
        {"keep": [0x00100010], "replace": {0x00100010: "x"}},
        {"remove": [0x00100010], "replace": {0x00100010: "x"}},
    ],
)
def test_a_tag_is_in_one_list_only(lists: dict[str, object]) -> None:
    with pytest.raises(SelectionError, match=r"\(0010,0010\) is in both"):
        Profile.of(**lists)  # type: ignore[arg-type]


def test_an_unknown_option_is_named_with_a_close_one() -> None:
    with pytest.raises(SelectionError, match="Did you mean 'retain_uids'") as caught:
        Profile.of(["retain_uid"])
    assert "clean_graphics" in str(caught.value)
    with pytest.raises(SelectionError, match="There is no option 'x'"):
        Profile.of("x")


def test_spellings_of_options() -> None:
    expected = Profile.of([Option.RETAIN_UIDS])
    assert Profile.of("Retain-UIDs") == Profile.of(["retain uids"]) == Profile.of(Option.RETAIN_UIDS) == expected


def test_an_attribute_without_a_row_has_no_action() -> None:
    assert Profile.of().action(0x00180050) is None


def test_profiles_can_be_pickled() -> None:
    profile = Profile.of(["retain_uids"], replace={0x00100010: "x"})
    again = pickle.loads(pickle.dumps(profile))
    assert again.options == profile.options
    assert dict(again.replace) == {0x00100010: "x"}
