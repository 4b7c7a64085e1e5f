"""What arrived is compared with what was asked for: which object it is, and whether it is all of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from simple_orthanc.dicomweb import Transactions
from simple_orthanc.errors import TransportError
from tests.dicomweb.messages import JSON, parts, transactions
from tests.http_stand_in import Asked, StandIn, reply
from tests.memory_source import as_file, instance

ASKED = ("1.2.1", "1.2.1.1", "1.2.1.1.1")
RIGHT = as_file(instance(1, study="1", series="1"))
NEXT = as_file(instance(2, study="1", series="1"))
OTHER_SERIES = as_file(instance(1, study="1", series="2"))
OTHER_STUDY = as_file(instance(1, study="2", series="1"))


def ui(value: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [value]}


def serving(*files: bytes, listed: list[str] | None = None) -> Callable[[Asked, int], bytes]:
    def script(asked: Asked, count: int) -> bytes:
        if not asked.path.partition("?")[0].endswith("/instances"):
            return parts(*files)
        if listed is None:
            return reply(b"", 404)
        start = int(asked.path.partition("offset=")[2] or 0)
        return reply(json.dumps([{"00080018": ui(uid)} for uid in listed[start:]]).encode(), headers=JSON)

    return script


RETRIEVALS: dict[str, Callable[[Transactions], Any]] = {
    "study": lambda client: list(client.retrieve_study(*ASKED[:1])),
    "series": lambda client: list(client.retrieve_series(*ASKED[:2])),
    "instance": lambda client: client.retrieve_instance(*ASKED),
}


@pytest.mark.parametrize(
    ("what", "wrong", "keyword"),
    [
        ("study", OTHER_STUDY, "StudyInstanceUID"),
        ("series", OTHER_STUDY, "StudyInstanceUID"),
        ("series", OTHER_SERIES, "SeriesInstanceUID"),
        ("instance", OTHER_STUDY, "StudyInstanceUID"),
        ("instance", OTHER_SERIES, "SeriesInstanceUID"),
        ("instance", NEXT, "SOPInstanceUID"),
    ],
)
def test_another_object_is_an_error(what: str, wrong: bytes, keyword: str) -> None:
    with StandIn(serving(wrong)) as server, pytest.raises(TransportError, match=f"another object: .*{keyword} '1.2"):
        RETRIEVALS[what](transactions(server))


@pytest.mark.parametrize("what", ["study", "series"])
def test_one_instance_twice_is_an_error(what: str) -> None:
    with StandIn(serving(RIGHT, RIGHT)) as server, pytest.raises(TransportError, match=r"1\.2\.1\.1\.1 twice"):
        RETRIEVALS[what](transactions(server))


@pytest.mark.parametrize("what", ["study", "series"])
def test_a_file_that_is_missing_is_an_error_after_the_others(what: str) -> None:
    listed = ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"]
    said = r"2 files, and a search lists 1 more: 1\.2\.1\.1\.3"
    with StandIn(serving(RIGHT, NEXT, listed=listed)) as server, pytest.raises(TransportError, match=said):
        RETRIEVALS[what](transactions(server))


@pytest.mark.parametrize("listed", [None, [], ["1.2.1.1.1"], ["1.2.1.1.2", "1.2.1.1.1"]])
@pytest.mark.parametrize("what", ["study", "series"])
def test_all_files_are_returned_whether_the_server_lists_them_or_not(what: str, listed: list[str] | None) -> None:
    with StandIn(serving(RIGHT, NEXT, listed=listed)) as server:
        assert RETRIEVALS[what](transactions(server)) == [RIGHT, NEXT]


@pytest.mark.parametrize(
    ("keyword", "number"),
    [("StudyInstanceUID", "0020000D"), ("SeriesInstanceUID", "0020000E"), ("SOPInstanceUID", "00080018")],
)
def test_metadata_of_another_object_are_an_error(keyword: str, number: str) -> None:
    item = {"0020000D": ui(ASKED[0]), "0020000E": ui(ASKED[1]), "00080018": ui(ASKED[2])}
    answers = {"right": reply([item]), "wrong": reply([{**item, number: ui("1.9")}])}
    with StandIn(lambda asked, _: answers["right"]) as server:
        client = transactions(server)
        assert client.retrieve_study_metadata(ASKED[0]) == client.retrieve_series_metadata(*ASKED[:2]) == [item]
        assert client.retrieve_instance_metadata(*ASKED) == item
    said = f"another object: {keyword} '1.9' instead of"
    with StandIn(lambda asked, _: answers["wrong"]) as server, pytest.raises(TransportError, match=said):
        transactions(server).retrieve_instance_metadata(*ASKED)
