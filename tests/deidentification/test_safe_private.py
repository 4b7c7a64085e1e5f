"""Private elements that stay, found by their creators."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.deidentification.engine import deidentify_dataset
from simple_orthanc.deidentification.profile import Profile
from simple_orthanc.deidentification.safe_private import safe_elements
from simple_orthanc.deidentification.table import safe_private
from tests.deidentification.identities import PlainIdentity
from tests.deidentification.objects import read, written

SAFE = Profile.of(["retain_safe_private"])


def scan(creator: str = "SIEMENS MR HEADER", block: int = 0x10) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3"
    dataset.PatientName = "Quidditch^Harry"
    dataset.add_new(0x00190000 | block, "LO", creator)
    start = 0x00190000 | block << 8
    dataset.add_new(start | 0x0C, "IS", "1000")
    dataset.add_new(start | 0x0E, "FD", [0.0, 0.6, 0.8])
    dataset.add_new(start | 0x0D, "CS", "DIRECTIONAL")
    dataset.add_new(start | 0x08, "LO", "Quidditch was here")
    return dataset


@pytest.mark.parametrize("block", [0x10, 0x11, 0xFF])
def test_safe_elements_stay_wherever_their_block_lies(block: int) -> None:
    after, changes = deidentify_dataset(scan(block=block), SAFE, PlainIdentity())
    again = read(written(after))
    found = again.private_block(0x0019, "SIEMENS MR HEADER")
    assert (found[0x0C].value, found[0x0E].value, found[0x0D].value) == (1000, [0.0, 0.6, 0.8], "DIRECTIONAL")
    assert 0x08 not in found
    assert len([change for change in changes if change.tag >> 16 == 0x0019 and change.outcome == "kept"]) == 4


@pytest.mark.parametrize("profile", [Profile.of(), SAFE])
def test_elements_of_others_are_removed(profile: Profile) -> None:
    creator = "SIEMENS MR HEADER" if profile is not SAFE else "QUIDDITCH MAKER"
    after, _ = deidentify_dataset(scan(creator), profile, PlainIdentity())
    assert [element.tag for element in after if element.tag.is_private] == []


def test_elements_without_a_creator_are_removed() -> None:
    dataset = scan()
    del dataset[0x00190010]
    assert safe_elements(dataset) == {}


def test_a_name_in_a_safe_element_is_removed() -> None:
    dataset = scan()
    dataset[0x0019100D].value = "QUIDDITCH"
    after, _ = deidentify_dataset(dataset, SAFE, PlainIdentity())
    assert b"quidditch" not in written(after).lower()
    assert after[0x0019100D].value == "REMOVED"


@pytest.mark.parametrize(("vr", "value"), [("OB", b"a letter about another"), ("UT", "a letter"), ("DA", "20200102")])
def test_an_element_of_another_kind_than_the_list_has_is_removed(vr: str, value: object) -> None:
    dataset = scan()
    dataset.add_new(0x0019100C, vr, value)
    after, _ = deidentify_dataset(dataset, SAFE, PlainIdentity())
    assert 0x0019100C not in after
    assert 0x0019100E in after


def test_a_uid_in_a_safe_element_is_replaced() -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3"
    block = dataset.private_block(0x0099, "NQHeader", create=True)
    block.add_new(0x02, "UI", "1.2.3.4")
    after, _ = deidentify_dataset(dataset, SAFE, PlainIdentity())
    assert after.private_block(0x0099, "NQHeader")[0x02].value == PlainIdentity().uid("1.2.3.4")


def test_a_safe_sequence_is_treated_as_others_are() -> None:
    dataset, item = Dataset(), Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66", "1.2.3"
    item.PatientComments = "Quidditch"
    item.add_new(0x01190010, "LO", "SIEMENS Ultrasound SC2000")
    item.add_new(0x01191005, "UL", 7)
    block = dataset.private_block(0x0119, "SIEMENS Ultrasound SC2000", create=True)
    block.add_new(0x02, "SQ", [item])
    after, _ = deidentify_dataset(dataset, SAFE, PlainIdentity())
    kept = after.private_block(0x0119, "SIEMENS Ultrasound SC2000")[0x02].value[0]
    assert [int(element.tag) for element in kept] == [0x01190010, 0x01191005]


def test_elements_of_unknown_vr_are_read_by_the_vr_of_the_list() -> None:
    dataset = scan()
    dataset[0x0019100C].VR = "UN"
    dataset[0x0019100C].value = b"1000"
    dataset.add_new(0x0019100D, "UN", b"QUIDDITCH ")
    after, _ = deidentify_dataset(dataset, SAFE, PlainIdentity())
    assert after[0x0019100C].value == b"1000"
    assert 0x0019100D not in after


def test_creators_have_the_length_of_their_vr() -> None:
    assert all(len(creator) <= 64 for creator, _, _ in safe_private())
