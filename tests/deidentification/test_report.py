"""Counts of what became of attributes, which hold no value of any object."""

from __future__ import annotations

from simple_orthanc.deidentification.engine import Change
from simple_orthanc.deidentification.profile import Action
from simple_orthanc.deidentification.report import Tally, count

CHANGES = [
    Change("StudyInstanceUID", 0x0020000D, Action.REPLACE_UID, "changed"),
    Change("RequestAttributesSequence[0].StudyInstanceUID", 0x0020000D, Action.REPLACE_UID, "changed"),
    Change("RequestAttributesSequence[12].StudyInstanceUID", 0x0020000D, Action.REPLACE_UID, "changed"),
    Change("PatientComments", 0x00104000, Action.REMOVE, "removed"),
]


def test_items_of_a_sequence_are_one_attribute() -> None:
    counts = count(CHANGES)
    assert sorted(counts.values()) == [1, 1, 2]
    assert (0x0020000D, "RequestAttributesSequence.StudyInstanceUID", "U", "changed") in counts


def test_objects_are_added_up_in_the_order_of_tags() -> None:
    tally = Tally()
    tally.add(count(CHANGES))
    tally.add(count([Change("PatientComments", 0x00104000, Action.REMOVE, "kept"), CHANGES[0]]))
    assert tally.table().values.tolist() == [
        ["0010,4000", "PatientComments", "X", 1, 0, 1],
        ["0020,000D", "RequestAttributesSequence.StudyInstanceUID", "U", 0, 2, 0],
        ["0020,000D", "StudyInstanceUID", "U", 0, 2, 0],
    ]


def test_without_objects_the_table_has_its_columns() -> None:
    assert list(Tally().table().columns) == ["tag", "path", "action", "kept", "changed", "removed"]
