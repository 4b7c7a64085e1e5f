"""Searches of a DICOMweb server through the plugin: pages, paths, and the JSON model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from simple_orthanc.errors import TransportError
from simple_orthanc.rest.remote.dicomweb_search import search


def item(uid: str, **values: Any) -> dict[str, Any]:
    return {"0020000D": {"vr": "UI", "Value": [uid]}, **values}


class Get:
    """Answers page by page as a DICOMweb server does."""

    def __init__(self, items: list[Any], *, page: int = 2, ignores_offset: bool = False) -> None:
        self._items, self._page, self._ignores_offset = items, page, ignores_offset
        self.asked: list[tuple[str, dict[str, str]]] = []

    def __call__(self, uri: str, arguments: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        assert headers == {"Accept": "application/dicom+json"}
        self.asked.append((uri, dict(arguments)))
        offset = 0 if self._ignores_offset else int(arguments["offset"])
        return self._items[offset : offset + self._page] or b""


@pytest.mark.parametrize("ignores_offset", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_all_pages_are_read_until_one_brings_nothing_new(count: int, ignores_offset: bool) -> None:
    get = Get([item(f"1.{number}") for number in range(count)], ignores_offset=ignores_offset)
    found = search(get, "study", {"StudyInstanceUID": ""})
    expected = min(count, 2) if ignores_offset else count
    assert [answer["0020,000d"] for answer in found.answers] == [f"1.{number}" for number in range(expected)]
    assert len(get.asked) <= count + 2
    assert found.character_sets == {"ISO_IR 192"}


def test_unique_keys_are_the_path_and_the_rest_are_filters_and_fields() -> None:
    get = Get([])
    search(get, "study", {"PatientID": "P1", "StudyDate": "20200101-", "StudyDescription": ""})
    search(get, "series", {"StudyInstanceUID": "1.2", "Modality": "", "SeriesInstanceUID": ""})
    search(get, "instance", {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1", "SOPInstanceUID": ""})
    assert [uri for uri, _ in get.asked] == ["/studies", "/studies/1.2/series", "/studies/1.2/series/1.2.1/instances"]
    assert get.asked[0][1] == {
        "PatientID": "P1",
        "StudyDate": "20200101-",
        "includefield": "00100020,00080020,00081030",
        "offset": "0",
    }
    assert set(get.asked[1][1]) == set(get.asked[2][1]) == {"includefield", "offset"}


def test_each_uid_of_a_list_is_a_search_of_its_own() -> None:
    get = Get([])
    search(get, "study", {"StudyInstanceUID": "1.1\\1.2\\1.3"})
    assert [arguments["StudyInstanceUID"] for _, arguments in get.asked] == ["1.1", "1.2", "1.3"]


def test_values_are_strings_as_in_a_c_find() -> None:
    values = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]},
        "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
        "00201208": {"vr": "IS", "Value": [3]},
        "00081030": {"vr": "LO"},
        "00081032": {"vr": "SQ", "Value": [{}]},
        "00080050": {"vr": "SH", "Value": [None]},
        "00420011": {"vr": "OB", "BulkDataURI": "http://h/1"},
    }
    (answer,) = search(Get([item("1.2", **values)]), "study", {"StudyInstanceUID": ""}).answers
    assert answer == {
        "0020,000d": "1.2",
        "0010,0010": "Yamada^Tarou=山田^太郎",
        "0008,0061": "CT\\MR",
        "0020,1208": "3",
        "0008,1030": "",
        "0008,1032": None,
        "0008,0050": "",
        "0042,0011": None,
    }


@pytest.mark.parametrize("answer", ["<html>", {"a": 1}, b"binary", [5], ["x"]])
def test_an_answer_in_another_format_is_an_error(answer: Any) -> None:
    with pytest.raises(TransportError, match="answered to /studies with something else"):
        search(lambda uri, arguments, headers: answer, "study", {"StudyInstanceUID": ""})
