"""A text by itself: a UID, AccessionNumber, PatientID or Orthanc's own identifier."""

from __future__ import annotations

import pytest

from simple_orthanc import AmbiguousSelectionError, LocalOrthanc, Orthanc, SelectionError
from tests.conftest import ask
from tests.live.archives import simple_file, store


@pytest.fixture
def filled(empty_server: LocalOrthanc, orthanc: Orthanc) -> Orthanc:
    store(
        empty_server,
        simple_file(1, PatientID="p1", AccessionNumber="ACC1"),
        simple_file(2, PatientID="p1", AccessionNumber="ACC1", SeriesInstanceUID="1.2.3.5"),
        simple_file(3, PatientID="p2", AccessionNumber="p1", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1"),
        simple_file(4, PatientID="P3", AccessionNumber="acc1", StudyInstanceUID="1.2.5", SeriesInstanceUID="1.2.5.1"),
        simple_file(5, PatientID="x_1", StudyInstanceUID="1.2.6", SeriesInstanceUID="1.2.6.1"),
        simple_file(6, PatientID="xa1", StudyInstanceUID="1.2.7", SeriesInstanceUID="1.2.7.1"),
    )
    return orthanc


@pytest.mark.parametrize(
    ("text", "selection", "instances"),
    [
        ("1.2.3", {"StudyInstanceUID": "1.2.3"}, 2),
        ("1.2.3.5", {"SeriesInstanceUID": "1.2.3.5"}, 1),
        ("1.2.3.4.2", {"SOPInstanceUID": "1.2.3.4.2"}, 1),
        (" 1.2.3.4.2 ", {"SOPInstanceUID": "1.2.3.4.2"}, 1),
        ("ACC1", {"AccessionNumber": "ACC1"}, 2),
        ("acc1", {"AccessionNumber": "acc1"}, 1),
        ("p2", {"PatientID": "p2"}, 1),
        ("P3", {"PatientID": "P3"}, 1),
        ("x_1", {"PatientID": "x_1"}, 1),
        ("xa1", {"PatientID": "xa1"}, 1),
    ],
)
def test_one_meaning(filled: Orthanc, text: str, selection: dict[str, str], instances: int) -> None:
    assert filled.select(text).selection == selection
    assert filled.instance_count == instances


def test_two_meanings_are_refused(filled: Orthanc) -> None:
    with pytest.raises(AmbiguousSelectionError, match="2 meanings") as caught:
        filled.select("p1")
    assert sorted(caught.value.candidates) == ["AccessionNumber of a study", "PatientID of a patient"]
    assert filled.selection == {}
    assert filled.select(PatientID="p1").instance_count == 2


@pytest.mark.parametrize("text", ["P*1", "a?", "**"])
def test_a_star_in_an_identifier_is_a_star(empty_server: LocalOrthanc, orthanc: Orthanc, text: str) -> None:
    other = {"StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.4.1"}
    store(empty_server, simple_file(1, PatientID=text), simple_file(2, PatientID="Px1", AccessionNumber="ab", **other))
    assert orthanc.select(text).get_dicom_tag("PatientID") == [text]
    store(empty_server, simple_file(3, PatientID="p3", AccessionNumber=text, StudyInstanceUID="1.2.5"))
    with pytest.raises(AmbiguousSelectionError, match="2 meanings"):
        orthanc.refresh().reset().select(text)


@pytest.mark.parametrize("text", ["p3", "1.2.99", "", "nothing", "x%1", "%", "x_a", "P*", "1.2.?", "a\\b", "\udc80"])
def test_no_meaning_is_refused(filled: Orthanc, text: str) -> None:
    with pytest.raises(SelectionError, match=r"select\(PatientName="):
        filled.select(text)
    assert filled.instance_count == 6


@pytest.mark.parametrize(
    ("route", "uid", "counts"),
    [
        ("patients", "p1", (1, 1, 2, 2)),
        ("studies", "1.2.4", (1, 1, 1, 1)),
        ("series", "1.2.3.5", (1, 1, 1, 1)),
        ("instances", "1.2.3.4.1", (1, 1, 1, 1)),
    ],
)
def test_identifiers_of_orthanc(
    empty_server: LocalOrthanc, filled: Orthanc, route: str, uid: str, counts: tuple[int, ...]
) -> None:
    level = route.capitalize().removesuffix("s") if route != "studies" else "Study"
    level = "Series" if route == "series" else level
    found = [each["ID"] for each in ask(empty_server, "/tools/lookup", "POST", uid.encode()) if each["Type"] == level]
    filled.select(found[0])
    assert (filled.patient_count, filled.study_count, filled.series_count, filled.instance_count) == counts
    again = empty_server.connect(selection=filled.selection)
    assert again.instance_count == counts[-1]


def test_one_series_uid_under_two_patients_is_two_series(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    store(empty_server, simple_file(1, PatientID="p1"), simple_file(2, PatientID="p2"))
    with pytest.warns(UserWarning, match=r"1\.2\.3\.4 occurs 2 times in the archive"):
        orthanc.select("1.2.3.4")
    assert (orthanc.patient_count, orthanc.study_count, orthanc.series_count, orthanc.instance_count) == (2, 2, 2, 2)
    assert orthanc.table("PatientID", "SeriesInstanceUID").PatientID.tolist() == ["p1", "p2"]
    with pytest.raises(AmbiguousSelectionError, match=r"select\(PatientID='p1'\)"):
        orthanc.get_volume()
    assert orthanc.select(PatientID="p2").series_count == 1


def test_several_strings_narrow_together(filled: Orthanc) -> None:
    assert filled.select("ACC1", "1.2.3.5").instance_count == 1
    assert filled.reset().exclude("ACC1").instance_count == 4
