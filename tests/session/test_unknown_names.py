"""What the error of an unknown attribute proposes."""

from __future__ import annotations

import traceback

import pytest

from simple_orthanc import Folder, Orthanc, Session
from simple_orthanc.errors import UnknownTagError
from simple_orthanc.session.unknown_names import parse_name


@pytest.mark.parametrize(
    ("kind", "name", "advice"),
    [
        (Orthanc, "anonymise", "Did you mean anonymize?"),
        (Folder, "anonymise", "Did you mean anonymize, a verb of Orthanc?"),
        (Folder, "anonymize", "It is a verb of Orthanc. deidentify(to, key=...) makes de-identified copies"),
        (Session, "files", "It is a verb of Folder."),
        (Orthanc, "find", "Did you mean select?"),
        (Folder, "to_dataframe", "Did you mean table?"),
        (Folder, "columns", "Did you mean describe?"),
        (Orthanc, "get_voluem", "Did you mean get_volume, or get_volumes?"),
        (Orthanc, "getVolume", "Did you mean get_volume, or get_volumes?"),
        (Orthanc, "upload", "Did you mean upload_dataset, upload_document, or upload_file?"),
        (Folder, "volume", "Did you mean get_volume, or volume_table?"),
        (Folder, "", "dir() lists the verbs"),
        (Folder, "SeriesUID", "Did you mean SeriesInstanceUID"),
        (Folder, "StudyUID", "Did you mean StudyInstanceUID"),
        (Folder, "Name", "Did you mean PatientName"),
        (Folder, "Thickness", "Did you mean SliceThickness"),
        (Folder, "PatientNme", "Did you mean PatientName"),
        (Folder, "series_description", "Did you mean SeriesDescription?"),
        (Folder, "xyzzy", "dir() lists the verbs, and describe() the tags that are there."),
    ],
)
def test_verbs_and_keywords_are_proposed(kind: type[Session], name: str, advice: str) -> None:
    with pytest.raises(UnknownTagError) as caught:
        parse_name(kind, name)
    assert str(caught.value).startswith(f"{kind.__name__} has no {name!r}, and it is no DICOM keyword. {advice}")
    assert isinstance(caught.value, AttributeError)


def test_python_adds_no_proposal_of_its_own() -> None:
    session = Session.__new__(Session)
    with pytest.raises(UnknownTagError) as caught:
        session.get_voluem  # noqa: B018 - the attribute is what is tried
    shown = "".join(traceback.format_exception(caught.value))
    assert shown.count("Did you mean") == 1
