"""JSON is parsed unless few bytes of it would take much memory or time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simple_orthanc import limits
from simple_orthanc.errors import TransportError
from simple_orthanc.transport import Transport
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
