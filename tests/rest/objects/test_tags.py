"""Tags as Orthanc's JSON has them."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import TransportError, UnknownTagError
from simple_orthanc.errors import UnknownNameError
from simple_orthanc.rest.objects.tags import Tags, content_path, ignore_length, read_tags, too_long


def string(name: str, value: str | None, **more: str) -> dict[str, Any]:
    return {"Name": name, "Type": "String", "Value": value, **more}


CODE = {"0008,0100": string("CodeValue", "1"), "0008,0104": {"Name": "CodeMeaning", "Type": "TooLong", "Value": None}}
FULL = {
    "0008,0060": string("Modality", "CT"),
    "0008,103e": string("SeriesDescription", "ct scan"),
    "0008,1032": {
        "Name": "ProcedureCodeSequence",
        "Type": "Sequence",
        "Value": [{"0008,0100": string("CodeValue", "0")}, CODE],
    },
    "0009,0010": string("PrivateCreator", "ACME1"),
    "0009,1001": string("Unknown Tag & Data", "q", PrivateCreator="ACME1"),
    "0011,0010": string("PrivateCreator", "ACME2"),
    "0011,1001": string("Unknown Tag & Data", "r", PrivateCreator="ACME2"),
    "0020,4000": {"Name": "ImageComments", "Type": "TooLong", "Value": None},
    "7fe0,0010": {"Name": "PixelData", "Type": "Null", "Value": None},
}


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("Modality", "CT"),
        ("SeriesDescription", "ct scan"),
        ("0008,103E", "ct scan"),
        ("0008,103e", "ct scan"),
        ("(0008,103E)", "ct scan"),
        (0x0008103E, "ct scan"),
        ("PixelData", None),
        ("0009,1001", "q"),
        ('(0009,"ACME1",01)', "q"),
        ('(0011,"ACME2",01)', "r"),
        ("ProcedureCodeSequence[1].CodeValue", "1"),
        ("0008,1032[0].0008,0100", "0"),
        ("ProcedureCodeSequence.CodeValue", "0"),
    ],
)
def test_a_tag_in_every_spelling(tag: Any, value: str | None) -> None:
    tags = Tags(FULL)
    assert tags[tag] == value
    assert tag in tags


@pytest.mark.parametrize(
    "tag",
    [
        "KVP",
        "0018,0060",
        '(0009,"ACME2",01)',
        "ProcedureCodeSequence[2].CodeValue",
        "ProcedureCodeSequence[0].CodeMeaning",
    ],
)
def test_a_tag_that_is_missing(tag: str) -> None:
    tags = Tags(FULL)
    assert tag not in tags
    assert (tags.get(tag), tags.get(tag, "x")) == (None, "x")
    with pytest.raises(UnknownNameError, match=r"The object has no .*list\(tags\) has the 9"):
        tags[tag]


def test_a_tag_that_does_not_exist() -> None:
    with pytest.raises(UnknownTagError, match="Did you mean Modality"):
        Tags(FULL)["Modalty"]
    assert "Modalty" not in Tags(FULL)
    assert None not in Tags(FULL)


def test_a_sequence_is_a_list_of_tags() -> None:
    first, second = Tags(FULL)["ProcedureCodeSequence"]
    assert (first["CodeValue"], second["CodeValue"], list(first)) == ("0", "1", ["CodeValue"])
    assert Tags({"0008,1032": {"Type": "Sequence", "Value": None}})["ProcedureCodeSequence"] == []


def test_names_lead_back_to_their_values_and_no_private_one_hides_another() -> None:
    tags = Tags(FULL)
    assert len(list(tags)) == len(set(tags)) == len(tags) == 9
    assert {name: tags[name] for name in tags if name != "ProcedureCodeSequence"} == {
        name: value for name, value in tags.simplified.items() if name != "ProcedureCodeSequence"
    }
    assert (tags.simplified["0009,1001"], tags.simplified["0011,1001"]) == ("q", "r")
    assert tags.simplified["ProcedureCodeSequence"] == [{"CodeValue": "0"}, {"CodeValue": "1", "CodeMeaning": None}]
    assert tags.full == FULL
    assert repr(tags) == "<9 tags>"


def test_an_odd_number_is_its_own_name() -> None:
    assert list(Tags({"odd": string("x", "y")})) == ["odd"]


# Values that are left out for their length


def other(answer: object) -> TransportError:
    return TransportError(f"something else: {answer!r}")


def test_long_values_are_asked_for_in_one_request() -> None:
    asked: list[str] = []

    def read(query: str) -> Any:
        asked.append(query)
        whole = {**FULL, "0020,4000": string("ImageComments", "c" * 400)}
        whole["0008,1032"] = {"Type": "Sequence", "Value": [{"0008,0104": string("CodeMeaning", "m" * 400)}]}
        return whole if query else FULL

    tags = read_tags(read, other)
    assert asked == ["", "?ignore-length=0008-0104,0020-4000"]
    assert tags["ImageComments"] == "c" * 400
    assert tags["ProcedureCodeSequence[0].CodeMeaning"] == "m" * 400


def test_tags_without_long_values_take_one_request() -> None:
    asked: list[str] = []

    def read(query: str) -> Any:
        asked.append(query)
        return {"0008,0060": string("Modality", "CT")}

    assert read_tags(read, other)["Modality"] == "CT"
    assert asked == [""]


@pytest.mark.parametrize("answer", [None, [], "text", {"0008,0060": "CT"}])
def test_an_answer_without_tags(answer: Any) -> None:
    with pytest.raises(TransportError, match="something else"):
        read_tags(lambda query: answer, other)
    with pytest.raises(TransportError, match="something else"):
        read_tags(lambda query: answer if query else FULL, other)


def test_the_query_for_long_values() -> None:
    assert too_long(FULL) == {"0020,4000", "0008,0104"}
    assert ignore_length(too_long(FULL)) == "?ignore-length=0008-0104,0020-4000"


@pytest.mark.parametrize(
    ("tag", "path"),
    [
        ("PatientID", ["0010-0020"]),
        ("0009,100D", ["0009-100d"]),
        ("ProcedureCodeSequence[0].CodeValue", ["0008-1032", "0", "0008-0100"]),
        ("0008,1110[2].0040,A170[1].CodeValue", ["0008-1110", "2", "0040-a170", "1", "0008-0100"]),
    ],
)
def test_the_path_of_a_value(tag: str, path: list[str]) -> None:
    assert content_path(tag) == path


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ('(0009,"ACME",01)', "give the number that it has in the file"),
        ("ProcedureCodeSequence.CodeValue", "does not say which item"),
        ("PatientNme", "Did you mean PatientName"),
    ],
)
def test_a_path_that_names_no_value(tag: str, says: str) -> None:
    with pytest.raises(UnknownTagError, match=says):
        content_path(tag)
