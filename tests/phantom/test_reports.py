"""A report is in the study of its image, and is read from a file."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from simple_orthanc import phantom


def test_a_report_is_in_the_study_of_its_image() -> None:
    (image,) = phantom.make_series((1, 4, 4), seed=1, PatientID="P7", StudyDate="20210203")
    made = phantom.make_report(image, {"Finding": "A nodule.", "Impression": "Benign."}, seed=2, SeriesNumber=9)
    report = pydicom.dcmread(BytesIO(phantom.as_bytes(made)))
    assert report.SOPClassUID.name == "Basic Text SR Storage"
    assert (report.PatientID, report.StudyDate, report.SeriesNumber) == ("P7", "20210203", 9)
    assert report.StudyInstanceUID == image.StudyInstanceUID
    assert report.SeriesInstanceUID != image.SeriesInstanceUID
    read = {item.ConceptNameCodeSequence[0].CodeMeaning: item.TextValue for item in report.ContentSequence}
    assert read == {"Finding": "A nodule.", "Impression": "Benign."}
    assert phantom.as_bytes(phantom.make_report(image, read, seed=2, SeriesNumber=9)) == phantom.as_bytes(made)


def test_an_unknown_heading_is_an_error() -> None:
    (image,) = phantom.make_series((1, 4, 4))
    with pytest.raises(KeyError, match="Opinion"):
        phantom.make_report(image, {"Opinion": "None."})
