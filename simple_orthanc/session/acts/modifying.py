"""Modified copies of what is selected, or modification in place, by an Orthanc server."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level, depth
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import SelectionError, stacklevel
from simple_orthanc.rest.levels import ORTHANC_LEVEL
from simple_orthanc.rest.objects import Patient
from simple_orthanc.selection import tables
from simple_orthanc.session.acts.copy_checks import PATIENT_TAGS, check_patient, check_uids
from simple_orthanc.session.acts.copy_groups import CopyGroup, CopyOrder
from simple_orthanc.session.acts.copy_runs import CopyOptions, make_copies
from simple_orthanc.session.acts.modifying_in_place import modify_in_place
from simple_orthanc.session.acts.tag_changes import UIDS, TagChanges
from simple_orthanc.session.acts.targets import check_narrowed
from simple_orthanc.session.orthanc_state import OrthancState

if TYPE_CHECKING:
    import pandas as pd

DONE = "modified"
# Objects that name others by their UIDs, which Orthanc leaves as they are when it modifies.
_REFERRING = frozenset(
    ["SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "RTRECORD", "SR", "PR", "KO", "REG", "RWV", "FID", "M3D"]
)


def modify(session: OrthancState, changes: TagChanges, remove_private: bool, options: CopyOptions) -> pd.DataFrame:
    """Store modified copies of exactly what is selected, or modify it in place; see `MakesCopies.modify`."""
    _check_changes(changes, remove_private)
    level = _level(changes)
    order = CopyOrder(DONE, "/tools/bulk-modify", _fields(changes, level, remove_private), "ModifiedFrom")
    if set(UIDS) <= changes.kept and "PatientID" not in changes.replaced:
        return modify_in_place(session, order, changes, level, options)

    def refuse(group: CopyGroup) -> None:
        check_uids(session.rest, changes, group)
        changed = {tag.keyword: changes.replaced.get(tag.keyword, "") for tag in changes.changed}
        patient_id = changes.replaced.get("PatientID", Patient(session.rest, group.patient).dicom_id)
        if "PatientID" in changed or not changed.keys().isdisjoint(PATIENT_TAGS):
            check_patient(session.rest, group, patient_id, changed, "modify(")

    check_narrowed(session, DONE, options.everything)
    # With its UIDs a study goes on referring to itself.
    referring = "" if set(UIDS) <= changes.kept else _referring(session, options)
    table = make_copies(session, order, changes, options, refuse)
    if referring and level in ("patient", "study") and (table.status == DONE).any():
        warnings.warn(
            f"The copies of {referring} refer to images of the original study by their UIDs, since Orthanc changes no "
            "UID inside a sequence. anonymize() does.",
            stacklevel=stacklevel(),
        )
    return table


def _level(changes: TagChanges) -> Level:
    """Return the level whose objects become new ones.

    Below the series there is none: an instance with a new UID in the series of its original would double that series.
    """
    given = [level for level in LEVELS if IDENTIFIERS[level] in changes.replaced]
    return LEVELS[min(depth(level) for level in (*given, changes.level, "series"))]


def _fields(changes: TagChanges, level: Level, remove_private: bool) -> dict[str, Any]:
    fields = {**changes.fields(), "Level": ORTHANC_LEVEL[level]}
    if remove_private:
        fields["RemovePrivateTags"] = True
    return fields


def _check_changes(changes: TagChanges, remove_private: bool) -> None:
    others = sorted(str(tag) for tag in changes.keep if tag.keyword not in UIDS)
    if others:
        raise SelectionError(
            f"modify was to keep {', '.join(others)}: it keeps every tag that is neither replaced nor removed, and "
            f"keep= takes {', '.join(UIDS)}, which are new otherwise. Leave the others out."
        )
    if not (changes.changed or remove_private):
        raise SelectionError(
            "Nothing was to be modified: name tags and their new values, as in replace={'StudyDescription': 'CT head'}."
        )
    kept = [name for name in UIDS if name in changes.kept]
    if kept and len(kept) < len(UIDS) and "PatientID" not in changes.replaced:
        raise SelectionError(
            f"Copies that keep only {' and '.join(kept)} would be mixed with their originals, so that one object would "
            f"have two kinds of values. Leave keep out, for copies with new UIDs; or modify in place with "
            f"keep={list(UIDS)}."
        )


def _referring(session: OrthancState, options: CopyOptions) -> str:
    """Return the selected modalities whose objects refer to others; refuse to delete what their copies refer to.

    Orthanc leaves the UIDs inside sequences as they are.
    """
    index = session._index
    keys = tables.row_keys(index, session._selection, "series")
    modalities = [str((value or ("",))[0]) for value in index.column(parse_tag("Modality"), "series", keys)]
    referring = ", ".join(sorted(_REFERRING.intersection(modalities)))
    if referring and options.delete_originals and len(keys) > 1:
        raise SelectionError(
            f"The selection holds {referring}, whose copies would go on referring to the originals by their "
            f"UIDs, and these were to be deleted. Leave delete_originals out, select them without what they refer to, "
            f"or modify in place with keep={list(UIDS)}. Nothing was modified."
        )
    return referring
