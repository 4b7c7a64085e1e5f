"""JSON is parsed unless few bytes of it would take much memory or time."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from simple_orthanc import limits
from simple_orthanc.errors import TransportError
from simple_orthanc.transport import Transport, json_reader
from simple_orthanc.transport.json_reader import UnreadableJsonError, read_json
from tests.http_stand_in import StandIn, always, reply

REFUSED = {
    "not JSON": (b"<html>", "not JSON"),
    "nothing": (b"", "not JSON"),
    "blanks": (b" " * 1000, "not JSON"),
    "cut": (b'{"a": 1', "not JSON"),
    "two values": (b"[] []", "not JSON"),
    "deep lists": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    "deep objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
    "deep and cut": (b'[{"a":' * 50_000, "nested too deeply"),
    "a million digits": (b"[" + b"9" * 1_000_000 + b"]", "thousands of digits"),
    "a negative number": (b'{"a":-' + b"9" * 5000 + b"}", "thousands of digits"),
    "empty lists": (b"[" + b"[]," * (1 << 21) + b"0]", "2,097,153 nearly empty lists"),
    "empty objects": (b"[" + b"{}," * (1 << 21) + b"0]", "nearly empty lists"),
    "short lists": (b"[" + b"[1]," * (1 << 21) + b"0]", "nearly empty lists"),
    "short numbers": (b"[" + b"1000," * 3_000_000 + b"0]", r"at least 3,000,001 plain values\. .*limits\.page_rows"),
    "short strings": (b"[" + b'"ab",' * 3_000_000 + b"0]", r"at least 3,000,001 plain values\. .*limits\.page_rows"),
    "digits": (b"[" + b"1," * 3_000_000 + b"0]", r"plain values\. .*limits\.page_rows"),
    "numbers in an object": (b'{"a": {"b": [' + b"1.5," * 3_000_000 + b"0]}}", r"plain values\. .*limits\.page_rows"),
    "not UTF-8": (b'["\xff\xfe"]', "not in UTF-8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str) -> None:
    content, reason = REFUSED[name]
    with pytest.raises(UnreadableJsonError, match=reason) as caught:
        read_json(content)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("value", [None, [], {"a": [1, 2.5, "\u00fc"]}, 10**400, [[]] * 1000, "9" * 10_000])
def test_everything_else_is_parsed(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value


def test_a_large_answer_with_much_in_it_is_parsed() -> None:
    rows = [{"00100020": {"vr": "LO", "Value": [str(number)]}} for number in range(100_000)]
    assert read_json(json.dumps(rows, separators=(",", ":")).encode()) == rows


@pytest.mark.parametrize("name", ["deep lists", "a million digits", "empty lists"])
def test_the_error_names_the_reason_and_the_server(name: str) -> None:
    content, reason = REFUSED[name]
    with StandIn(always(reply(content, headers={"Content-Type": "application/json"}))) as server:
        transport = Transport(server.url, patience=0)
        for read in (
            lambda: transport.json("GET", "/system"),
            lambda: transport.json_in_a_row("/system", lambda size: memoryview(bytearray(size))),
        ):
            with pytest.raises(TransportError, match=reason) as caught:
                read()
            assert server.url in str(caught.value)


def test_rows_beyond_the_limit_are_refused() -> None:
    with limits.changed(page_rows=3):
        assert read_json(b"[1, 2, 3]") == [1, 2, 3]
        assert read_json(b'{"a": [1, 2, 3, 4]}') == {"a": [1, 2, 3, 4]}
        with pytest.raises(UnreadableJsonError, match=r"4 rows\. .*limits\.page_rows = 3"):
            read_json(b"[1, 2, 3, 4]")


SMALL_OBJECTS = {
    "objects": b"[" + b'{"a":0},' * 30_000 + b"0]",
    "lists": b"[" + b"[1],   " * 40_000 + b"0]",
    "names": b"{" + b",".join(b'"%x":0' % number for number in range(20_000)) + b"}",
    "elements": b"[" + b'{"00080020":{"vr":"DA","Value":["20250101"]}},' * 5000 + b"0]",
    "strings": b"[" + b'"ab",' * 40_000 + b"0]",
    "numbers": b"[" + b"1000," * 40_000 + b"0]",
}


@pytest.mark.parametrize("name", SMALL_OBJECTS)
def test_the_memory_is_estimated_before_anything_is_parsed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_reader, "_WORTH_A_LOOK", 1000)
    content = SMALL_OBJECTS[name]
    tracemalloc.start()
    try:
        value = json.loads(content)
        taken = tracemalloc.get_traced_memory()[1] - len(content)
    finally:
        tracemalloc.stop()
    with limits.changed(json_memory=taken // 3), pytest.raises(UnreadableJsonError, match=r"limits\.json_memory = \d+"):
        read_json(content)
    with limits.changed(json_memory=taken * 2):
        assert read_json(content) == value


def test_what_honest_archives_answer_is_parsed() -> None:
    keys = b"[" + b",".join([b'"0d1c2b3a-0d1c2b3a-0d1c2b3a-0d1c2b3a-0d1c2b3a"'] * 1_000_000) + b"]"
    assert len(read_json(keys)) == 1_000_000
    table = json.dumps({"00283006": {"vr": "US", "Value": list(range(65_536))}}).encode()
    assert len(read_json(b"[" + b",".join([table] * 20) + b"]")) == 20
    # As many elements as a series of 1,000 slices has in one answer.
    element = b'"%08x": {"vr": "UI", "Value": ["1.2.840.10008.1.2.%d"]}'
    slices = [b"{" + b",".join(element % (tag, number) for tag in range(100)) + b"}" for number in range(1000)]
    assert len(read_json(b"[" + b",".join(slices) + b"]")) == 1000


def test_contours_are_not_taken_for_a_list_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_reader, "_WORTH_A_LOOK", 1000)
    contour = {"30060042": {"vr": "CS", "Value": ["CLOSED_PLANAR"]}, "30060050": {"vr": "DS", "Value": [1.5] * 600}}
    structure = {"30060040": {"vr": "SQ", "Value": [contour] * 300}}
    with limits.changed(page_rows=100_000):
        assert read_json(json.dumps([structure]).encode()) == [structure]
        with pytest.raises(UnreadableJsonError, match=r"limits\.page_rows"):
            read_json(json.dumps({"30060050": {"vr": "DS", "Value": [1.5] * 180_000}}).encode())
