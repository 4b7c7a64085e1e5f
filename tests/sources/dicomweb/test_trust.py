"""JSON is believed only where it says what the file says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import TransportError
from simple_orthanc.sources.dicomweb.trust import CharacterLoss, first_of_each, is_whole, needs_file, read_sure_value
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply
from tests.memory_source import instance


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("KVP", False),
        ("PatientName", False),
        ("AnatomicRegionSequence.CodeMeaning", False),
        ("0009,1001", True),
        ("PixelPaddingValue", True),
        ("AnatomicRegionSequence", True),
        ("FrameIncrementPointer", True),
        ("SpecificCharacterSet", True),
        ("TransferSyntaxUID", True),
        ("PixelData", True),
    ],
)
def test_some_tags_need_the_file(name: str, needs: bool) -> None:
    assert needs_file(parse_tag(name)) == needs


@pytest.mark.parametrize(
    ("character_set", "description", "is_sure"),
    [
        (None, "T2", True),
        ("ISO_IR 192", "Schädel", True),
        ("UTF8", "T2", False),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", "T2", False),
        ("ISO_IR 100", "$B;3ED(B", False),
        ("ISO_IR 100", "a\ufffd", False),
    ],
)
def test_strings_of_an_unknown_character_set_are_not_sure(
    character_set: str | None, description: str, is_sure: bool
) -> None:
    item: dict[str, Any] = {"0008103E": {"vr": "LO", "Value": [description]}}
    if character_set is not None:
        item["00080005"] = {"vr": "CS", "Value": character_set.split("\\")}
    assert read_sure_value(item, parse_tag("SeriesDescription")) == ((description,), is_sure)
    # No character set changes these.
    item["0020000E"] = {"vr": "UI", "Value": ["1.2"]}
    assert read_sure_value(item, parse_tag("SeriesInstanceUID")) == (("1.2",), True)


def test_metadata_are_whole_with_every_element_but_pixels() -> None:
    header = instance(1, PixelData=b"\0\0", KVP="80")
    whole = {f"{int(tag):08X}": {} for tag in header.keys()}  # noqa: SIM118
    del whole["7FE00010"]
    assert is_whole(whole, header)
    del whole["00180060"]
    assert not is_whole(whole, header)


def test_the_first_of_each_leaves_out_numbers_of_others() -> None:
    def item(series: str, number: int) -> dict[str, Any]:
        return {
            "00100020": {"vr": "LO", "Value": ["p"]},
            "0020000E": {"vr": "UI", "Value": [series]},
            "00200013": {"vr": "IS", "Value": [number]},
            "00201209": {"vr": "IS", "Value": [99]},
        }

    firsts = first_of_each(
        [item("1", 1), item("2", 2), item("1", 3)],
        ("PatientID", "SeriesInstanceUID"),
        ("NumberOfSeriesRelatedInstances",),
    )
    assert [first["00200013"]["Value"] for first in firsts] == [[1], [2]]
    assert not any("00201209" in first for first in firsts)


@pytest.mark.parametrize(
    ("info", "loses"),
    [
        (reply({"DicomWebRoot": "/dicom-web/"}), True),
        (reply({"version": 1}), False),
        (reply([]), False),
        (reply(b"<html></html>"), False),
        (reply(b"", 404), False),
    ],
)
def test_only_orthancs_plugin_loses_characters(info: bytes, loses: bool) -> None:
    def script(asked: Asked, count: int) -> bytes:
        return info

    answer: Callable[[str], dict[str, Any]] = lambda name: {"00080005": {"vr": "CS", "Value": [name]}}  # noqa: E731
    with StandIn(script) as server:
        loss = CharacterLoss(Transport(server.url), "dicom-web")
        assert not loss.affects({})
        assert not loss.affects(answer("ISO_IR 192"))
        assert server.asked == []
        assert loss.affects(answer("ISO_IR 100")) == loss.affects(answer("ISO_IR 101")) == loses
        assert [asked.path for asked in server.asked] == ["/dicom-web/info"]


def test_a_lost_connection_says_nothing_of_the_server() -> None:
    def script(asked: Asked, count: int) -> bytes:
        return b"" if count == 0 else reply({"DicomWebRoot": "/dicom-web/"})

    with StandIn(script) as server:
        loss = CharacterLoss(Transport(server.url, patience=0), "dicom-web")
        answer = {"00080005": {"vr": "CS", "Value": ["ISO_IR 100"]}}
        with pytest.raises(TransportError):
            loss.affects(answer)
        assert loss.affects(answer)
