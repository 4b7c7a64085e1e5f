"""Which tags are kept, replaced and removed, and which values are refused."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pytest

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import SelectionError, UnknownTagError, UnsupportedError
from simple_orthanc.session.acts.tag_changes import TagChanges, dicom_string, plain_tag

ONE_HOUR_EAST = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("name", "value", "string"),
    [
        ("PatientWeight", 70, "70"),
        ("PatientWeight", 1 / 3, "0.33333333333333"),
        ("Rows", 512, "512"),
        ("StudyDate", date(2020, 1, 31), "20200131"),
        ("StudyTime", time(14, 3), "140300.000000"),
        ("AcquisitionDateTime", datetime(2020, 1, 31, 14, 3), "20200131140300.000000"),
        ("AcquisitionDateTime", datetime(2020, 1, 31, 14, 3, tzinfo=ONE_HOUR_EAST), "20200131140300.000000+0100"),
        ("AcquisitionDateTime", date(2020, 1, 31), "20200131"),
        ("ImageType", ("DERIVED", "SECONDARY"), "DERIVED\\SECONDARY"),
        ("PixelSpacing", "0.5\\0.25", "0.5\\0.25"),
        ("PatientComments", "a\\b\nc", "a\\b\nc"),
        ("PatientName", "Müller^王", "Müller^王"),
        ("StudyID", None, ""),
        ("StudyDate", "", ""),
    ],
)
def test_values_are_written_as_dicom_strings(name: str, value: Any, string: str) -> None:
    assert dicom_string(parse_tag(name), value) == string


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("StudyDate", "2020-01-31", "as in 20200131"),
        ("StudyDate", "20200231", "a day that there is"),
        ("StudyDate", "20200101-20200201", "a day that there is"),
        ("StudyDate", 20200131, "a day that there is"),
        ("StudyDate", datetime(2020, 1, 31), "of type datetime"),
        ("StudyTime", "25", "a time as 143000"),
        ("PatientWeight", "heavy", "no value of it"),
        ("PatientWeight", True, "of type bool"),
        ("PatientWeight", float("nan"), "no value of it"),
        ("PatientWeight", 10**400, "no value of it"),
        ("Rows", 10**400, "no value of it"),
        ("SeriesDescription", "a\ud800", "cannot be written"),
        ("ImageComments", "a\ud800", "cannot be written"),
        ("PatientID", "a\ud800", "cannot be written"),
        ("Rows", "many", "no value of it"),
        ("Rows", 70000, "no value of it"),
        ("PatientSex", "m", "capital letters"),
        ("StudyInstanceUID", "1.02", "no value of it"),
        ("SeriesDescription", "x" * 65, "exceeds the maximum length"),
        ("SeriesDescription", ["a", "b"], "one value only"),
        ("SeriesDescription", "a\nb", "control character"),
        ("SeriesDescription", b"bytes", "of type bytes"),
    ],
)
def test_a_value_that_cannot_be_one_is_refused(name: str, value: Any, says: str) -> None:
    if name == "StudyDate" and value == 20200131:
        # A number that reads as a date is one.
        assert dicom_string(parse_tag(name), value) == "20200131"
        return
    with pytest.raises(SelectionError, match=says):
        dicom_string(parse_tag(name), value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"keep": "PatientID"}, r"keep=\['StudyDescription'\]"),
        ({"remove": 7}, "give a list of tags"),
        ({"replace": ["PatientID"]}, "give a dict"),
        ({"remove": ["StudyInstanceUID"]}, "without it there is no object"),
        ({"replace": {"PatientID": " "}}, "without it there is no object"),
        ({"keep": ["0010,0010"], "remove": ["PatientName"]}, "both in keep and in remove"),
        ({"replace": {"PatientName": "x"}, "remove": ["PatientName"]}, "both in replace and in remove"),
    ],
)
def test_arguments_that_contradict_are_refused(changes: dict[str, Any], says: str) -> None:
    given = {"keep": (), "replace": {}, "remove": (), **changes}
    with pytest.raises(SelectionError, match=says):
        TagChanges.parse(**given)


def test_tags_that_the_server_cannot_change_are_refused() -> None:
    assert plain_tag("(0010,0010)").keyword == "PatientName"
    for name in ('(0009,"GEMS",01)', "RequestAttributesSequence.ScheduledProcedureStepID"):
        with pytest.raises(UnsupportedError, match="plain tags only"):
            plain_tag(name)
    for name in ("PixelData", "TransferSyntaxUID", "SpecificCharacterSet"):
        with pytest.raises(UnsupportedError, match="how a file is encoded"):
            plain_tag(name)
    for name, says in (
        ("0009,1001", "private"),
        ("ReferencedImageSequence", "items"),
        ("RedPaletteColorLookupTableData", "bytes"),
    ):
        with pytest.raises(UnsupportedError, match=says):
            TagChanges.parse((), {name: "x"}, ())
    with pytest.raises(UnknownTagError, match="PatientName"):
        plain_tag("PatientNme")


@pytest.mark.parametrize(
    ("replace", "remove", "level"),
    [
        ({"PatientID": "x"}, (), "patient"),
        ({"WindowWidth": "1"}, ("StudyDescription",), "study"),
        ({"SeriesDescription": "x"}, (), "series"),
        ({"WindowWidth": "1"}, (), "instance"),
        ({}, (), "instance"),
    ],
)
def test_the_level_is_the_highest_of_what_changes(replace: dict[str, str], remove: tuple[str, ...], level: str) -> None:
    assert TagChanges.parse((), replace, remove).level == level


def test_a_change_of_identifiers_is_forced() -> None:
    assert "Force" not in TagChanges.parse(["StudyDate"], {"PatientName": "x"}, ()).fields()
    for changes in (TagChanges.parse(["PatientID"], {}, ()), TagChanges.parse((), {"StudyInstanceUID": "9"}, ())):
        assert changes.fields()["Force"] is True


def test_a_private_element_is_kept_with_its_creator() -> None:
    changes = TagChanges.parse(["0009,1001", "StudyDate", "0009,1002", "0009,11ff", "0011,0010"], {}, ())
    kept = ["0009,1001", "0008,0020", "0009,1002", "0009,11ff", "0011,0010", "0009,0010", "0009,0011"]
    assert changes.fields()["Keep"] == kept
    assert TagChanges.parse(["0009,1001", "0009,0010"], {}, ()).fields()["Keep"] == ["0009,1001", "0009,0010"]


@pytest.mark.parametrize("changes", [{"replace": {"Rows": 5}}, {"remove": ["0028,0103"]}])
def test_what_describes_the_stored_pixels_is_not_changed(changes: dict[str, Any]) -> None:
    with pytest.raises(SelectionError, match=r"how the stored pixels are to be read.*upload_volume"):
        TagChanges.parse(**{"keep": (), "replace": {}, "remove": (), **changes})
