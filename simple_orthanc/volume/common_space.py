"""Whether the coordinates of two volumes are of one space: those of one patient, in one frame of reference.

The one rule for every verb at which two volumes meet. Coordinates in mm compare only within one frame of reference
(PS3.3 C.7.4.1), and a frame of reference is of one patient. What says neither is compared by its geometry alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import VolumeError
from simple_orthanc.showing.text import safe

_ALLOWED = "If one was registered to the other elsewhere, say so with allow_other_frame=True."


@dataclass(frozen=True)
class Space:
    """What is known of the space that coordinates are of.

    Attributes
    ----------
    patient : str
        PatientID; "" if it is not known.
    frame : str
        FrameOfReferenceUID; "" if it is not known.
    """

    patient: str = ""
    frame: str = ""


def space_of(value: Any) -> Space:
    """Return the space of a volume or a header; an array, a geometry and None say nothing of it.

    Examples
    --------
    >>> header = Dataset()
    >>> header.PatientID = "P1"
    >>> space_of(header)
    Space(patient='P1', frame='')
    """
    header = getattr(value, "header", value)
    if not isinstance(header, Dataset):
        return Space()
    return Space(elements.text(header, "PatientID").strip(), elements.text(header, "FrameOfReferenceUID").strip())


def check_common_space(one: Any, other: Any, one_name: str, other_name: str, advice: str = _ALLOWED) -> None:
    """Refuse two volumes whose coordinates are not of one space.

    Parameters
    ----------
    one, other : Space, or anything that has one
        A volume or a header has one, an array has none.
    one_name, other_name : str
        What they are called in a sentence that begins with the first.
    advice : str
        A sentence that says what to do where they were registered.

    Raises
    ------
    VolumeError
        They are known to be of two patients, or in two frames of reference.

    Examples
    --------
    >>> check_common_space(Space("P1", "1.2.3"), Space("P1", "1.2.3"), "The mask", "the image")
    >>> check_common_space(Space("P1"), Space("P2", "1.2.3"), "The mask", "the image")
    Traceback (most recent call last):
    simple_orthanc.errors.VolumeError: The mask is of the patient 'P1', and the image is of the patient 'P2': they have
    no common coordinates. If one was registered to the other elsewhere, say so with allow_other_frame=True.
    """
    first, second = (each if isinstance(each, Space) else space_of(each) for each in (one, other))
    if first.patient and second.patient and first.patient != second.patient:
        raise VolumeError(
            f"{one_name} is of the patient {first.patient!r}, and {other_name} is of the patient {second.patient!r}: "
            f"they have no common coordinates.{_spelling(first.patient, second.patient)} {advice}"
        )
    if first.frame and second.frame and first.frame != second.frame:
        raise VolumeError(
            f"{one_name} is in the frame of reference {safe(first.frame)}, and {other_name} is in "
            f"{safe(second.frame)}: they have no common coordinates. {advice}"
        )


def _spelling(one: str, other: str) -> str:
    """Return a sentence about two spellings of what may be one identifier, such as 12 and 0012; "" for others."""
    plain, other_plain = (re.sub(r"[\W_]|(?<!\d)0+(?=\d)", "", each).casefold() for each in (one, other))
    return " Both may be one identifier in two spellings." if plain == other_plain != "" else ""


def moved_into(header: Dataset, other: Any) -> tuple[Dataset, tuple[str, ...]]:
    """Return a header in the frame of reference of another volume or header, and notes for the log.

    Examples
    --------
    >>> header, other = Dataset(), Dataset()
    >>> header.FrameOfReferenceUID, other.FrameOfReferenceUID = "1.2.3", "1.2.4"
    >>> moved, notes = moved_into(header, other)
    >>> moved.FrameOfReferenceUID, notes
    ('1.2.4', ('from the frame of reference 1.2.3 into 1.2.4 without a transform (allow_other_frame=True)',))
    """
    mine, theirs = space_of(header).frame, space_of(other).frame
    if not mine or not theirs or mine == theirs:
        return header, ()
    note = f"from the frame of reference {mine} into {theirs} without a transform (allow_other_frame=True)"
    return in_frame(header, theirs), (note,)


def in_frame(header: Dataset, frame: str) -> Dataset:
    """Return a header in a frame of reference; itself if it is in that one or none is given.

    Examples
    --------
    >>> header = Dataset()
    >>> header.FrameOfReferenceUID = "1.2.3"
    >>> in_frame(header, "1.2.4").FrameOfReferenceUID, header.FrameOfReferenceUID
    ('1.2.4', '1.2.3')
    """
    if not frame or space_of(header).frame == frame:
        return header
    moved = Dataset()
    moved.update(header)
    # Both hold the same elements, so that setting a value would change the other one too.
    moved.pop("FrameOfReferenceUID", None)
    moved.FrameOfReferenceUID = frame
    return moved
