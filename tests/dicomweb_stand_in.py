"""A DICOMweb server over datasets, on 127.0.0.1, with the peculiarities of real ones."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pydicom
from pydicom.dataset import Dataset

from tests.http_stand_in import Asked, StandIn, reply
from tests.memory_source import as_file

UIDS = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
LEVELS = list(UIDS)
# What a server must give without being asked (PS3.18, tables 10.6.3-3 to 10.6.3-5), as far as it is of use here.
REQUIRED = {
    "studies": """
        StudyDate StudyTime AccessionNumber ReferringPhysicianName PatientName PatientID PatientBirthDate PatientSex
        StudyInstanceUID StudyID
    """,
    "series": "Modality SeriesDescription SeriesInstanceUID SeriesNumber",
    "instances": "SOPClassUID SOPInstanceUID InstanceNumber Rows Columns BitsAllocated NumberOfFrames",
}
COUNTS = {
    "studies": {"NumberOfStudyRelatedSeries": "series", "NumberOfStudyRelatedInstances": "instances"},
    "series": {"NumberOfSeriesRelatedInstances": "instances"},
    "instances": {},
}


MOST_KEPT = 1000
_JSON: dict[int, tuple[Dataset, str]] = {}


@dataclass
class Peculiar:
    """How a server differs from one that offers everything in the standard.

    Attributes
    ----------
    numbers : bool
        Decimal and integer strings are numbers.
    deaf_to_fields : bool
        Only what must be given is given, whatever is asked for.
    withheld : set of str
        Keywords that searches never give, numbers of what lies below included.
    deaf_to_offset : bool
        Every page is the first.
    most : int or None
        At most so many results in one answer.
    lists : bool
        Filters may list several UIDs.
    relational : bool
        Series and instances may be searched across studies.
    counts : bool
        Searches say how much lies below.
    names_patients : bool
        Series and instances come with the identifiers of what they lie in.
    renames : dict of str to str
        PatientIDs that series and instances come with instead of those of their study.
    folds_case : bool
        Case does not matter in filters.
    ranges : bool
        Filters of dates may be ranges.
    never_matched : set of str
        Keywords of which no index is kept: a filter by one finds nothing.
    refuses_listing : int
        The status of the answer to a search without a filter, 0 for none; a limit of one is allowed.
    refuses_even_one : bool
        A limit of one is not allowed either.
    refuses_fields : set of str
        Levels at which includefield is answered with 400.
    missing_routes : set of str
        Levels that cannot be searched, below others or not: 404.
    empty_across, empty_below : set of str
        Levels of which searches across studies, or below one, find nothing.
    hidden : set of str
        UIDs of objects that searches do not show; counts and metadata have them.
    loses_last : set of str
        Levels at which the last result of each search is missing.
    counts_more : int
        How many more objects than there are lie below each, if searches say it.
    metadata : str
        "whole"; "none": there are none; "some": such as InstanceNumber, and nothing else.
    tags_are_one_text : bool
        Several values come as one text with backslashes.
    names_are_texts : bool
        Names of persons come as texts, and not as objects.
    unsearchable : set of str
        UIDs of studies that a search for series or instances cannot meet without failing.
    deletes : bool
        Studies and series can be deleted.
    """

    numbers: bool = False
    deaf_to_fields: bool = False
    withheld: set[str] = field(default_factory=set)
    deaf_to_offset: bool = False
    most: int | None = None
    lists: bool = True
    relational: bool = True
    counts: bool = True
    names_patients: bool = True
    renames: dict[str, str] = field(default_factory=dict)
    folds_case: bool = False
    ranges: bool = True
    never_matched: set[str] = field(default_factory=set)
    refuses_listing: int = 0
    refuses_even_one: bool = False
    refuses_fields: set[str] = field(default_factory=set)
    missing_routes: set[str] = field(default_factory=set)
    empty_across: set[str] = field(default_factory=set)
    empty_below: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    loses_last: set[str] = field(default_factory=set)
    counts_more: int = 0
    metadata: str = "whole"
    tags_are_one_text: bool = False
    names_are_texts: bool = False
    unsearchable: set[str] = field(default_factory=set)
    deletes: bool = True


class DicomServer(StandIn):
    """Serves datasets below ``/dicom-web``; `datasets` may be changed while it runs. `shown` counts search results."""

    def __init__(self, datasets: Iterable[Dataset], peculiar: Peculiar | None = None) -> None:
        self.datasets = list(datasets)
        self.peculiar = peculiar or Peculiar()
        self.shown: Counter[str] = Counter()
        self._as_json: dict[int, tuple[Dataset, dict[str, Any]]] = {}
        self._uids: dict[int, tuple[Dataset, dict[str, str]]] = {}
        super().__init__(self.answer)
        self.root = f"{self.url}/dicom-web"

    def answer(self, asked: Asked, count: int) -> bytes:
        parts = urlsplit(asked.path)
        segments = [unquote(segment) for segment in parts.path.split("/")[1:]]
        if not segments or segments[0] != "dicom-web":
            return reply({"Message": "Unknown resource"}, 404)
        if asked.method == "POST":
            return self.store(asked)
        return self.get(asked.method, segments[1:], parse_qsl(parts.query, keep_blank_values=True))

    def get(self, method: str, segments: list[str], query: list[tuple[str, str]]) -> bytes:
        named = dict(zip(segments[::2], segments[1::2], strict=False))
        inside = [
            each
            for each in self.datasets
            if all(self.uids(each)[kind] == uid for kind, uid in named.items() if kind in UIDS)
        ]
        if not set(segments[::2]) <= {*LEVELS, "metadata"}:
            return reply({"Message": "Unknown resource"}, 404)
        if method == "DELETE":
            if not self.peculiar.deletes:
                return reply(b"", 405)
            self.datasets = [each for each in self.datasets if each not in inside]
            return reply(b"", 204 if inside else 404)
        if segments[-1] == "metadata":
            return self.metadata(inside)
        if len(segments) % 2:
            return self.search(
                segments[-1],
                inside,
                query,
                is_relational=len(segments) < 2 * LEVELS.index(segments[-1]) + 1,
                is_everywhere=len(segments) == 1,
            )
        if not inside:
            return reply({"Message": "Unknown instance"}, 404)
        body = b"".join(b"--b1\r\nContent-Type: application/dicom\r\n\r\n" + as_file(each) + b"\r\n" for each in inside)
        return reply(
            body + b"--b1--\r\n", headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b1'}
        )

    def metadata(self, inside: list[Dataset]) -> bytes:
        if self.peculiar.metadata == "none" or not inside:
            return reply({"Message": "no metadata"}, 404)
        items = [self.to_json(each) for each in inside]
        if self.peculiar.metadata == "some":
            keep = {"SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "InstanceNumber"}
            items = [{tag: value for tag, value in item.items() if keyword(tag) in keep} for item in items]
        return dicom_json(items)

    def search(
        self,
        level: str,
        inside: list[Dataset],
        query: list[tuple[str, str]],
        *,
        is_relational: bool,
        is_everywhere: bool,
    ) -> bytes:
        if is_relational and not self.peculiar.relational:
            return reply({"Message": "not below several studies"}, 400)
        if refusal := self.refusal(level, query, is_everywhere=is_everywhere):
            return refusal
        if level in (self.peculiar.empty_across if is_everywhere else self.peculiar.empty_below):
            return reply(b"", 204)
        wanted = set(REQUIRED[level].split())
        start, limit = 0, self.peculiar.most or 10**9
        for name, text in query:
            if name == "includefield" and not self.peculiar.deaf_to_fields:
                wanted |= {keyword(part) for part in text.split(",")}
            elif name == "limit":
                limit = min(limit, int(text))
            elif name == "offset":
                start = 0 if self.peculiar.deaf_to_offset else int(text)
            elif name not in ("includefield", "fuzzymatching"):
                inside = [each for each in inside if self.matches(each, keyword(name), text)]
        if self.peculiar.names_patients and level != "studies":
            wanted |= {"PatientID", *list(UIDS.values())[: LEVELS.index(level)]}
        if level != "studies" and any(each.StudyInstanceUID in self.peculiar.unsearchable for each in inside):
            return reply({"Message": "Bad type for a parameter"}, 400)
        groups: dict[tuple[str, ...], list[Dataset]] = {}
        for each in inside:
            above = ["PatientID", *list(UIDS.values())[: LEVELS.index(level) + 1]]
            groups.setdefault(tuple(str(each.get(name, "")) for name in above), []).append(each)
        found = [
            self.result(level, group, wanted - self.peculiar.withheld)
            for group in groups.values()
            if str(group[0][UIDS[level]].value) not in self.peculiar.hidden
        ]
        found = found[: -1 if level in self.peculiar.loses_last else None][start : start + limit]
        self.shown[level] += len(found)
        return dicom_json(found) if found else reply(b"", 204)

    def refusal(self, level: str, query: list[tuple[str, str]], *, is_everywhere: bool) -> bytes | None:
        names = {name for name, _ in query}
        if level in self.peculiar.missing_routes:
            return reply({"Message": "Unknown resource"}, 404)
        if level in self.peculiar.refuses_fields and "includefield" in names:
            return reply({"Message": "unsupported attribute"}, 400)
        is_broad = is_everywhere and names <= {"includefield", "limit", "offset"}
        is_one = ("limit", "1") in query and not self.peculiar.refuses_even_one
        if self.peculiar.refuses_listing and is_broad and not is_one:
            return reply({"errorMessage": "narrow your query"}, self.peculiar.refuses_listing)
        return None

    def matches(self, dataset: Dataset, name: str, text: str) -> bool:
        value = str(dataset.get(name, "")).rstrip()
        if name in self.peculiar.never_matched:
            return False
        if name == "StudyDate" and "-" in text and self.peculiar.ranges:
            low, _, high = text.partition("-")
            return bool(value) and low <= value and (not high or value <= high)
        texts = text.split(",") if self.peculiar.lists and name in UIDS.values() else [text]
        if self.peculiar.folds_case:
            return value.lower() in [each.lower() for each in texts]
        return value in texts

    def result(self, level: str, group: list[Dataset], wanted: set[str]) -> dict[str, Any]:
        known = {tag: value for tag, value in self.to_json(group[0]).items() if keyword(tag) in wanted}
        patient = self.peculiar.renames.get(str(group[0].get("PatientID", "")))
        if patient is not None and level != "studies":
            known["00100020"] = {"vr": "LO", "Value": [patient]}
        for name, below in COUNTS[level].items() if self.peculiar.counts else ():
            count = len({str(each[UIDS[below]].value) for each in group}) + self.peculiar.counts_more
            if name not in self.peculiar.withheld:
                known[f"{pydicom.datadict.tag_for_keyword(name):08X}"] = {"vr": "IS", "Value": [count]}
        return known

    def uids(self, dataset: Dataset) -> dict[str, str]:
        # With the dataset, so that no other gets its address.
        if id(dataset) not in self._uids:
            self._uids[id(dataset)] = dataset, {kind: str(dataset[name].value) for kind, name in UIDS.items()}
        return self._uids[id(dataset)][1]

    def to_json(self, dataset: Dataset) -> dict[str, Any]:
        if id(dataset) not in self._as_json:
            whole: dict[str, Any] = json.loads(json_of(dataset))
            for element in whole.values():
                self.twist(element)
            self._as_json[id(dataset)] = dataset, whole
        return self._as_json[id(dataset)][1]

    def twist(self, element: dict[str, Any]) -> None:
        values = element.get("Value")
        if not values:
            return
        if element["vr"] in ("DS", "IS"):
            kind: type = float if element["vr"] == "DS" else int
            element["Value"] = [kind(value) if self.peculiar.numbers else str(value) for value in values]
        elif element["vr"] == "PN" and self.peculiar.names_are_texts:
            element["Value"] = [
                "=".join(value.get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
                for value in values
            ]
        elif self.peculiar.tags_are_one_text and all(isinstance(value, str) for value in values):
            element["Value"] = ["\\".join(values)]

    def store(self, asked: Asked) -> bytes:
        boundary = asked.headers["content-type"].rpartition("boundary=")[2].strip('"').encode()
        sops = []
        for part in asked.body.split(b"--" + boundary)[1:-1]:
            dataset = pydicom.dcmread(io.BytesIO(part.partition(b"\r\n\r\n")[2]))
            if all(each.SOPInstanceUID != dataset.SOPInstanceUID for each in self.datasets):
                self.datasets.append(dataset)
            sops.append(
                {
                    "00081150": {"vr": "UI", "Value": [dataset.SOPClassUID]},
                    "00081155": {"vr": "UI", "Value": [dataset.SOPInstanceUID]},
                }
            )
        return reply(
            json.dumps({"00081199": {"vr": "SQ", "Value": sops}}).encode(),
            headers={"Content-Type": "application/dicom+json"},
        )


def json_of(dataset: Dataset) -> str:
    """Return a dataset as JSON, which is kept for the servers of other tests."""
    if id(dataset) not in _JSON:
        if len(_JSON) > MOST_KEPT:
            _JSON.clear()
        with pydicom.config.disable_value_validation():
            # Through a file, since raw elements cannot be written as JSON.
            _JSON[id(dataset)] = dataset, pydicom.dcmread(io.BytesIO(as_file(dataset))).to_json()
    return _JSON[id(dataset)][1]


@cache
def keyword(tag: str) -> str:
    """Return the keyword of eight digits, or the keyword itself."""
    found = pydicom.datadict.keyword_for_tag(int(tag, 16)) if len(tag) == 8 and tag.isalnum() else ""
    return found or tag


def dicom_json(items: list[dict[str, Any]]) -> bytes:
    return reply(json.dumps(items).encode(), headers={"Content-Type": "application/dicom+json"})
