"""The response to a store request: read as JSON or XML, and never a success if it names no instance."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.dicomweb.stored_files import JSON, file, files_in, transactions
from tests.http_stand_in import Asked, StandIn, always, reply

XML = b"""<?xml version="1.0" encoding="utf-8"?>
<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">
<DicomAttribute tag="00081199" vr="SQ"><Item number="1">
<DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2.1</Value></DicomAttribute></Item></DicomAttribute>
<DicomAttribute tag="00081198" vr="SQ"><Item number="1">
<DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2.2</Value></DicomAttribute>
<DicomAttribute tag="00081197" vr="US"><Value number="1">272</Value></DicomAttribute></Item></DicomAttribute>
</NativeDicomModel>"""


@pytest.mark.parametrize("headers", [{"Content-Type": "application/dicom+xml"}, {}, {"Content-Type": "text/plain"}])
def test_a_response_in_xml_is_read(headers: dict[str, str]) -> None:
    with StandIn(always(reply(XML, 202, headers))) as server:
        results = transactions(server).store([file(1), file(2)])
        assert [(result.status, result.reason) for result in results] == [("stored", None), ("failed", 0x0110)]


def test_a_server_that_answers_in_xml_only_is_asked_for_that() -> None:
    def picky(asked: Asked, _: int) -> bytes:
        return reply(XML) if asked.headers["accept"] == "application/dicom+xml" else reply(b"", 406)

    with StandIn(picky) as server:
        client = transactions(server)
        assert client.store([file(1)])[0].status == client.store([file(1)])[0].status == "stored"
        assert [len(files_in(asked)) for asked in server.asked] == [1, 1, 1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"<html>Thank you</html>",
        b"<unclosed",
        b"7",
        b"[" * 100_000,
        b'{"00081199": {"vr": "SQ"}}',
        b'{"00081199": {"vr": "SQ", "Value": "x"}, "00081198": 7}',
        b'<!DOCTYPE x [<!ENTITY a "1.2.1">]><NativeDicomModel><DicomAttribute tag="00081199"/></NativeDicomModel>',
    ],
)
def test_a_response_that_names_no_instance_is_not_a_success(body: bytes) -> None:
    for status, said in ((200, "no answer"), (409, "failed")):
        with StandIn(always(reply(body, status, JSON))) as server:
            results = transactions(server).store([file(1), file(2)])
            assert [result.SOPInstanceUID for result in results] == ["1.2.1", "1.2.2"]
            # An empty list of what was stored says nothing of these two.
            assert {result.status for result in results} <= {said, "no answer"}
            assert all(result.message for result in results)


COMMENT = {
    "00741048": {"vr": "SQ", "Value": [{"00000902": {"vr": "LO", "Value": ["DICOM100: StudyDate is not a date"]}}]}
}
COMMENT_IN_XML = b"""<NativeDicomModel><DicomAttribute tag="00081198" vr="SQ"><Item number="1">
<DicomAttribute tag="00081155" vr="UI"><Value number="1">1.2.1</Value></DicomAttribute>
<DicomAttribute tag="00741048" vr="SQ"><Item number="1"><DicomAttribute tag="00000902" vr="LO">
<Value number="1">DICOM100: StudyDate is not a date</Value></DicomAttribute></Item></DicomAttribute>
</Item></DicomAttribute></NativeDicomModel>"""


def entry(**elements: Any) -> dict[str, Any]:
    return {"00081155": {"vr": "UI", "Value": ["1.2.1"]}, **elements}


def report(tag: str, item: dict[str, Any]) -> bytes:
    return json.dumps({tag: {"vr": "SQ", "Value": [item]}}).encode()


def code(number: int) -> dict[str, Any]:
    return {"vr": "US", "Value": [number]}


@pytest.mark.parametrize("status", [200, 202, 409])
@pytest.mark.parametrize(
    ("warning", "words"),
    [(0xB000, "changed the value"), (0xB006, "left some elements out"), (0xB007, "does not match"), (0xB999, "B999H")],
)
def test_what_the_server_changed_is_said(status: int, warning: int, words: str) -> None:
    body = report("00081199", entry(**{"00081196": code(warning)}))
    with StandIn(always(reply(body, status, JSON))) as server:
        (result,) = transactions(server).store(file(1))
    assert (result.status, result.reason) == ("stored, changed", warning)
    assert words in result.message


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (report("00081198", entry(**{"00081197": code(0xA900)}, **COMMENT)), "failed", 0xA900),
        (report("00081198", entry(**COMMENT)), "failed", None),
        (report("00081199", entry(**{"00081196": code(0xB000)}, **COMMENT)), "stored, changed", 0xB000),
        (report("00081199", entry(**COMMENT)), "stored, changed", None),
        (report("0008119A", {"00081197": code(0xA900), **COMMENT}), "no answer", None),
        (COMMENT_IN_XML, "failed", None),
    ],
)
def test_the_words_of_the_server_are_repeated(body: bytes, status: str, reason: int | None) -> None:
    with StandIn(always(reply(body, 200, JSON))) as server:
        (result,) = transactions(server).store(file(1))
    assert (result.status, result.reason) == (status, reason)
    assert "DICOM100: StudyDate is not a date" in result.message


def test_words_without_an_end_are_cut() -> None:
    words = entry(**{"00000902": {"vr": "LO", "Value": ["no " * 10_000]}})
    with StandIn(always(reply(report("00081198", words), 409, JSON))) as server:
        assert len(transactions(server).store(file(1))[0].message) < 500


def test_a_warning_of_zero_is_none() -> None:
    with StandIn(always(reply(report("00081199", entry(**{"00081196": code(0)})), 200, JSON))) as server:
        (result,) = transactions(server).store(file(1))
    assert (result.status, result.message) == ("stored", "")
