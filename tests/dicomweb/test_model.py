"""DICOM JSON: its values as strings, and whether they are known to be those of the file."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicomweb.model import has_element, read_count, read_json_value, read_string, text, texts
from simple_orthanc.errors import UnknownTagError


def element(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (element("PN", {"Alphabetic": "Doe^J"}), ["Doe^J"]),
        (element("PN", {"Alphabetic": "A", "Ideographic": "B", "Phonetic": "C"}), ["A=B=C"]),
        (element("PN", {"Phonetic": "C"}), ["==C"]),
        (element("PN", {"Alphabetic": None, "Ideographic": "B"}), ["=B"]),
        (element("PN", "Doe^J"), ["Doe^J"]),
        (element("DS", 1, 2.0, 2.5, "3.50"), ["1", "2", "2.5", "3.50"]),
        (element("IS", 7, "07"), ["7", "07"]),
        (element("LO", None, "a"), ["", "a"]),
        (element("LO", None), []),
        (element("LO", ""), []),
        (element("LO"), []),
        ({"vr": "LO"}, []),
        ({"vr": "LO", "Value": None}, []),
        ({"vr": "LO", "Value": "alone"}, ["alone"]),
        ({"vr": "OW", "BulkDataURI": "http://x"}, []),
    ],
)
def test_values_are_returned_as_strings(entry: dict[str, Any], found: list[str]) -> None:
    assert texts({"00091001": entry}, "00091001") == texts({"00091001": entry}, "0009,1001") == found
    assert text({"00091001": entry}, 0x00091001) == (found or [""])[0]


def test_strings_inside_sequences_are_found() -> None:
    items = [{"00080104": element("LO", "Liver")}, None, {}, {"00080104": element("LO", "Lung", "Heart")}]
    item = {"00082218": element("SQ", *items), "00080060": element("CS", "CT")}
    assert texts(item, "AnatomicRegionSequence.CodeMeaning") == ["Liver", "Lung", "Heart"]
    assert texts(item, "AnatomicRegionSequence[3].CodeMeaning") == ["Lung", "Heart"]
    assert texts(item, "AnatomicRegionSequence[9].CodeMeaning") == []
    assert texts(item, "RequestAttributesSequence.CodeMeaning") == texts({}, "Modality") == []
    assert texts(item, "Modality") == ["CT"]
    with pytest.raises(UnknownTagError):
        texts(item, "Modalty")


@pytest.mark.parametrize(
    ("keyword", "entry", "value", "is_known"),
    [
        ("SliceThickness", element("DS", 1.5), ("1.5",), True),
        ("SliceThickness", element("DS", "1.50"), ("1.50",), True),
        ("SliceThickness", element("DS", 2), ("2",), True),
        ("SliceThickness", element("DS", True), None, False),
        ("SliceThickness", {"vr": "DS"}, None, False),
        ("SliceThickness", element("LO", "1.5"), None, False),
        ("RadionuclideTotalDose", element("DS", 370000), ("370000",), True),
        ("RadionuclideTotalDose", element("DS", 3105032704), ("3105032704",), False),
        ("RadionuclideTotalDose", element("DS", -705032704), ("-705032704",), False),
        ("RadionuclideTotalDose", element("DS", "7400000000"), ("7400000000",), True),
        ("DiffusionBValue", element("FD", 1410065408), ("1410065408.0",), False),
        ("RecommendedDisplayFrameRateInFloat", element("FL", 1410065408), ("1410065408.0",), False),
        ("InstanceNumber", element("IS", 1215752191), ("1215752191",), False),
        ("SimpleFrameList", element("UL", 4294967295), ("4294967295",), True),
        ("PixelAspectRatio", element("IS", 2), ("2",), False),
        ("PixelAspectRatio", element("IS", 2, 1), ("2", "1"), True),
        ("ImagePositionPatient", element("DS", "1", "2"), ("1", "2"), False),
        ("LossyImageCompressionRatio", element("DS", "2.5"), ("2.5",), True),
        ("Rows", element("US", "512"), ("512",), True),
        ("Rows", element("US", "many"), None, False),
        ("DiffusionBValue", element("FD", 5), ("5.0",), True),
        ("DiffusionBValue", element("FD", "inf"), ("inf",), True),
        ("RecommendedDisplayFrameRateInFloat", element("FL", 0.1), ("0.10000000149011612",), True),
        ("RecommendedDisplayFrameRateInFloat", element("FL", 1e300), None, False),
        ("PatientName", element("PN", {"Alphabetic": "A", "Ideographic": "B"}), ("A=B",), True),
        ("PatientName", element("PN", {"Alphabetic": 7}), None, False),
        ("PatientName", element("PN", "A^B"), ("A^B",), True),
        ("SeriesDescription", element("LO", {"Alphabetic": "A"}), None, False),
        ("SeriesDescription", {"vr": "LO"}, None, True),
        ("SeriesDescription", {"vr": "LO", "BulkDataURI": "http://x"}, None, False),
        ("SeriesDescription", element("LO", "a\0b"), ("a",), False),
        ("SeriesDescription", "no element", None, False),
        ("ImageType", element("CS", "ORIGINAL", None, "M "), ("ORIGINAL", "", "M"), True),
    ],
)
def test_a_value_is_known_or_needs_the_file(keyword: str, entry: Any, value: Any, is_known: bool) -> None:
    tag = parse_tag(keyword)
    assert read_json_value({f"{tag.steps[0].number:08X}": entry}, tag) == (value, is_known)


def test_values_inside_sequences_are_those_of_all_items() -> None:
    items = [
        {"00080104": element("LO", "Liver")},
        None,
        {"00080104": {"vr": "LO"}},
        {"00080104": element("LO", "Lung")},
    ]
    item = {"00082218": element("SQ", *items)}
    tag = parse_tag("AnatomicRegionSequence.CodeMeaning")
    assert read_json_value(item, tag) == (("Liver", "Lung"), True)
    assert read_json_value({"00082218": element("SQ", {"00080104": {"vr": "SH"}})}, tag) == (None, False)
    assert has_element(item, tag)
    assert not has_element({"00082218": {"vr": "SQ"}}, tag)


def test_identifiers_and_counts() -> None:
    item = {"00100020": element("LO", "P1 "), "00201208": element("IS", 12), "00201206": element("IS", "x")}
    assert (read_string(item, "PatientID"), read_string(item, "StudyInstanceUID")) == ("P1", "")
    assert read_count(item, "NumberOfStudyRelatedInstances") == 12
    assert read_count(item, "NumberOfStudyRelatedSeries") is None
