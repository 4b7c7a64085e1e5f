"""What users noted with objects is there after these were modified in place."""

from __future__ import annotations

import pytest

from simple_orthanc import LocalOrthanc, Orthanc
from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.errors import ServerError
from simple_orthanc.phantom import make_series
from simple_orthanc.rest.objects.metadata import Metadata
from simple_orthanc.session.acts.annotations import Annotations
from simple_orthanc.session.acts.copy_groups import CopyGroup, group_by_patient
from simple_orthanc.session.acts.targets import exact_targets
from tests.conftest import MakeServer

KEPT = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]


def noted(session: Orthanc) -> list[tuple[str, list[str], dict[str, bytes]]]:
    """Return labels and metadata of users of each object."""
    rest = session.rest
    has_labels = rest.capabilities.labels
    return sorted(
        (
            each.id,
            sorted(each.labels) if has_labels else [],
            {name: each.metadata.read(name).value for name in each.metadata if name.isdecimal() or name == "Reader"},
        )
        for objects in (rest.patients, rest.studies, rest.series, rest.instances)
        for each in objects
    )


def group_of(session: Orthanc) -> CopyGroup:
    targets = exact_targets(session, "modified", everything=False)
    return group_by_patient(session._index, targets)[0]


def test_labels_and_metadata_stay(make_server: MakeServer) -> None:
    server: LocalOrthanc = make_server({"OverwriteInstances": True, "UserMetadata": {"Reader": 2000}})
    with server.connect() as session:
        # A study of one image is gone for a moment, with all that it is in.
        session.upload_dataset(make_series((1, 4, 4), seed=1, PatientID="P1"))
        session.upload_dataset(make_series((3, 4, 4), seed=2, PatientID="P2"))
        for patient in ("P1", "P2"):
            session.reset().select(PatientID=patient)
            for level in LEVELS:
                session.set_metadata("1024", f"{level} Ä".encode() + b"\xff\0", level)
                session.set_metadata("Reader", f"B of {level}", level)
                if session.rest.capabilities.labels:
                    session.add_label(f"of-{level}", level)
        before = noted(session)
        assert len(before) == 10
        assert all(len(values) == 2 for _, _, values in before)
        session.reset()
        table = session.modify({"StudyDescription": "new"}, keep=KEPT, everything=True)
        assert table.status.tolist() == ["modified"] * 2, table.message.tolist()
        assert session.StudyDescription == ["new"]
        assert noted(session) == before


@pytest.mark.one_version
def test_what_is_gone_is_left_out_and_a_refusal_is_an_error(orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    orthanc.upload_dataset(make_series((2, 4, 4), seed=1, PatientID="P1"))
    orthanc.select(PatientID="P1").set_metadata("1024", "a", "instance")
    annotations = Annotations(orthanc.rest, group_of(orthanc))
    first, second = orthanc.rest.instances
    first.delete()
    del second.metadata["1024"]

    def refuse(*_: object) -> None:
        raise ServerError("Refused.", status=500)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Metadata, "__setitem__", refuse)
        with pytest.raises(ServerError, match="Refused"):
            annotations.restore()
    annotations.restore()
    assert second.metadata["1024"] == "a"
    assert len(orthanc.rest.instances) == 1
    # What somebody has written since stays.
    second.metadata["1024"] = "b"
    annotations.restore()
    assert second.metadata["1024"] == "b"
