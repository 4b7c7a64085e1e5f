"""What copies must hold, and which patients they may join."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level
from simple_orthanc.dicom.tags import Tag, parse_tag
from simple_orthanc.dicom.values import from_text
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.objects import Patient, Resources, Series
from simple_orthanc.rest.objects.tags import ignore_length
from simple_orthanc.session.acts.copy_groups import CopyGroup
from simple_orthanc.session.acts.copy_traces import Copies
from simple_orthanc.session.acts.tag_changes import TagChanges
from simple_orthanc.session.display import counted

# What Orthanc keeps of a patient once, whatever the number of studies.
PATIENT_TAGS = ("PatientName", "PatientBirthDate", "PatientSex", "OtherPatientIDs")
_LONGEST_SHOWN = 80
_ASCII_ONLY = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})


def check_identifiers(changes: TagChanges, groups: Sequence[CopyGroup], counts: Mapping[Level, int], done: str) -> None:
    """Refuse to make one object of several by giving them one identifier.

    Parameters
    ----------
    changes : TagChanges
        What is replaced.
    groups : sequence of CopyGroup
        What is copied; each is of one patient.
    counts : mapping
        Number of selected studies, series and instances.
    done : str
        The past participle for messages.

    Raises
    ------
    SelectionError
        Several objects would get one identifier.
    """
    counts = {**counts, "patient": len(groups)}
    for level in LEVELS:
        name = IDENTIFIERS[level]
        if name in changes.replaced and counts[level] > 1:
            raise SelectionError(
                f"Replacing {name} by {changes.replaced[name]!r} would give one {name} to "
                f"{counted({level: counts[level]})}, and so make one of them: select one at a time. Nothing was {done}."
            )


def check_patient(rest: Rest, group: CopyGroup, patient_id: str, changed: Mapping[str, str], example: str) -> None:
    """Refuse copies whose patient is on the server already under another name, birth date or sex.

    Orthanc, up to 1.13.0, keeps these once per PatientID, by the first object that arrived, so that its tables would
    say of the copies what is not in their files.

    Parameters
    ----------
    rest : Rest
        The server.
    group : CopyGroup
        What is copied.
    patient_id : str
        The PatientID of the copies.
    changed : mapping
        Those of `PATIENT_TAGS` that the copies have otherwise than the originals, with their values.
    example : str
        The beginning of a call that gives another PatientID, such as ``"modify("``.

    Raises
    ------
    SelectionError
        The values differ.
    """
    patient = Patient(rest, group.patient)
    own = patient.main_dicom_tags
    # Only what has no PatientID keeps none, and an empty one cannot be looked up.
    for held in rest.patients.lookup_all(patient_id) if patient_id.strip() else [patient]:
        other = held.main_dicom_tags
        differing = [
            name
            for name in PATIENT_TAGS
            if _plain(other.get(name)) != _plain(changed[name] if name in changed else own.get(name))
        ]
        if differing:
            raise SelectionError(
                f"The copies would belong to the patient with PatientID {patient_id!r}, whom the server has with "
                f"another {' and '.join(differing)}: one patient would have two. Give the copies a PatientID that is "
                f"not there yet, {example}replace={{'PatientID': ..., ...}}), or the values that the patient has, "
                f"replace={{'{differing[0]}': ..., ...}}. Nothing was changed."
            )


def check_uids(rest: Rest, changes: TagChanges, group: CopyGroup) -> None:
    """Refuse copies with UIDs that the server has already, among whose objects they would be mixed.

    Parameters
    ----------
    rest : Rest
        The server.
    changes : TagChanges
        What is kept and replaced.
    group : CopyGroup
        What is copied.

    Raises
    ------
    SelectionError
        A new UID is one of another object, or kept UIDs are there for the new patient.
    """
    known: dict[Level, Resources[Any]] = {"study": rest.studies, "series": rest.series, "instance": rest.instances}
    for level, objects in known.items():
        name = IDENTIFIERS[level]
        uid = changes.replaced.get(name)
        if uid is not None and objects.lookup_all(uid):
            raise SelectionError(
                f"The server has a {level} with {name} {uid!r}, and the copies would be mixed with it: give a UID that "
                "is not there yet, or none, for a new one. Nothing was changed."
            )
    patient_id = changes.replaced.get("PatientID")
    if patient_id is None or "StudyInstanceUID" not in changes.kept:
        return
    for uid in dict.fromkeys(Series(rest, key).study.dicom_id for key in group.series):
        if any(held.patient_main_dicom_tags.get("PatientID") == patient_id for held in rest.studies.lookup_all(uid)):
            raise SelectionError(
                f"The server has the study {uid} of the patient with PatientID {patient_id!r}, and the copies would be "
                "mixed with it, since they keep StudyInstanceUID: leave it out of keep. Nothing was changed."
            )


def _plain(value: str | None) -> str:
    return (value or "").rstrip(" ^\0").casefold()


def wrong_values(rest: Rest, changes: TagChanges, copies: Copies) -> str:
    """Return what is wrong with new values in copies, by one instance of each series; "" for nothing."""
    for instance in copies.series.values() if changes.changed else ():
        header = read_tags(rest, f"/instances/{instance}/tags", changes)
        if problem := wrong_header(changes, header):
            return problem
    return ""


def read_tags(rest: Rest, path: str, changes: TagChanges) -> dict[str, Any]:
    """Read tags by number, with replaced values whole however long they are.

    Parameters
    ----------
    rest : Rest
        The server.
    path : str
        A route that returns tags, or the tags of several instances by their Orthanc ids.
    changes : TagChanges
        What is replaced.

    Raises
    ------
    TransportError
        The answer is something else.
    """
    # Orthanc refuses an empty list.
    query = f"{ignore_length(tag.number for tag in changes.replace)}&short" if changes.replace else "?short"
    answer = rest.get(path + query)
    if not isinstance(answer, dict):
        raise TransportError(f"{rest.url} answered something else than tags to GET {path}.", is_about_object=True)
    return answer


def wrong_header(changes: TagChanges, header: Mapping[str, object]) -> str:
    """Return what is wrong with new values in a header as Orthanc writes it with ``short``; "" for nothing.

    Examples
    --------
    >>> changes = TagChanges.parse((), {"PatientName": "Doe^Jane"}, ["StudyID"])
    >>> wrong_header(changes, {"0010,0010": "Doe^Jane "}), wrong_header(changes, {"0010,0010": "Doe"})
    ('', "PatientName of a copy is 'Doe', and was to become 'Doe^Jane'")
    """
    characters = str(header.get(parse_tag("SpecificCharacterSet").number) or "")
    for tag, wanted in changes.replace.items():
        found = str(header.get(tag.number) or "")
        if not _same(tag, found, wanted):
            return f"{tag} of a copy is {_cut(found)}, and was to become {_cut(wanted)}" + _about_characters(
                wanted, characters
            )
        if not wanted.isascii() and characters.strip() in _ASCII_ONLY:
            return f"{tag} was to become {_cut(wanted)}" + _about_characters(wanted, characters)
    kept = [tag for tag in changes.remove if tag.number in header]
    return f"{kept[0]} of a copy is there, and was to be removed" if kept else ""


def _same(tag: Tag, found: str, wanted: str) -> bool:
    if tag.vr in ("FL", "FD") and found and wanted:
        return math.isclose(float(found), float(wanted), rel_tol=1e-6)
    return from_text(found, tag.vr) == from_text(wanted, tag.vr) or found.strip(" \0") == wanted.strip(" \0")


def _cut(value: str) -> str:
    return repr(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}...")


def _about_characters(wanted: str, characters: str) -> str:
    if wanted.isascii():
        return ""
    return (
        f": the files name {characters or 'no character set'}, so that not all of its characters can be written; use "
        "those of ASCII"
    )
