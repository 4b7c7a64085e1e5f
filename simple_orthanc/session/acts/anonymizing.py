"""Anonymized copies of what is selected, made by an Orthanc server beside their originals."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.objects import Patient
from simple_orthanc.session.acts.copy_checks import PATIENT_TAGS, check_patient, check_uids
from simple_orthanc.session.acts.copy_groups import CopyGroup, CopyOrder
from simple_orthanc.session.acts.copy_runs import CopyOptions, make_copies
from simple_orthanc.session.acts.lost_suv import suv_message
from simple_orthanc.session.acts.tag_changes import UIDS, TagChanges
from simple_orthanc.session.orthanc_state import OrthancState

if TYPE_CHECKING:
    import pandas as pd

EDITION = "2021b"
"""The newest edition of PS3.15, table E.1-1, that Orthanc 1.10.1, 1.12.7 and 1.13.0 all know."""

_METHOD = "0012,0063"


def anonymize(session: OrthancState, changes: TagChanges, keep_private: bool, options: CopyOptions) -> pd.DataFrame:
    """Store anonymized copies of exactly what is selected; see `MakesCopies.anonymize`."""
    _check_kept(session.rest, changes)
    order = CopyOrder(
        "anonymized",
        "/tools/bulk-anonymize",
        _fields(session.rest, changes, keep_private),
        "AnonymizedFrom",
        keeps_patient="PatientID" in changes.kept,
    )

    def refuse(group: CopyGroup) -> None:
        check_uids(session.rest, changes, group)
        own = Patient(session.rest, group.patient)
        patient_id = own.dicom_id if order.keeps_patient else changes.replaced.get("PatientID")
        if patient_id is not None:
            # What is not kept becomes something else, the name a new one.
            changed = dict.fromkeys(PATIENT_TAGS, "") | {"PatientName": "Anonymized"} | changes.replaced
            check_patient(
                session.rest,
                group,
                patient_id,
                {name: value for name, value in changed.items() if name not in changes.kept},
                "anonymize(",
            )

    return make_copies(session, order, changes, options, refuse, partial(suv_message, session.rest, session._source))


def _fields(rest: Rest, changes: TagChanges, keep_private: bool) -> dict[str, Any]:
    fields = {**changes.fields(), "DicomVersion": EDITION}
    if keep_private:
        fields["KeepPrivateTags"] = True
    is_basic = not (keep_private or changes.keep or changes.changed)
    if not is_basic and rest.capabilities.version < (1, 11) and _METHOD not in fields["Replace"]:
        # Newer versions write this by themselves; Orthanc 1.10.1 writes nothing unless all is by the profile.
        version = ".".join(map(str, rest.capabilities.version))
        fields["Replace"] = {**fields["Replace"], _METHOD: f"Orthanc {version}"}
    return fields


def _check_kept(rest: Rest, changes: TagChanges) -> None:
    """Refuse to keep identifiers where copies would take the place of their originals or be mixed with them."""
    kept = [name for name in UIDS if name in changes.kept]
    if kept and "PatientID" in changes.kept:
        raise SelectionError(
            f"Copies that keep PatientID and {' and '.join(kept)} would take the place of their originals, or be mixed "
            "with them: keep only PatientID, or give the copies another one, as in replace={'PatientID': 'S042'}."
        )
    if len(kept) == len(UIDS) and rest.get("/system").get("OverwriteInstances") is False:
        # Orthanc 1.12.7 and 1.13.0 refuse it for another patient too; Orthanc 1.10.1 has no such field.
        raise UnsupportedError(
            "This server makes no anonymized copies that keep StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID "
            "together, since its option OverwriteInstances is false: leave one of them out of keep."
        )
