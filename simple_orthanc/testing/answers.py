"""What Orthanc 1.12.7 answers for objects that are numbered level by level, whatever they are."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from simple_orthanc.sources.identity import KEYWORDS, orthanc_id

LEVELS = ("Patient", "Study", "Series", "Instance")
IDENTIFIERS = dict(zip(LEVELS, KEYWORDS, strict=True))
ROUTES = {"patients": "Patient", "studies": "Study", "series": "Series", "instances": "Instance"}
_PLURALS = {"Study": "Studies", "Series": "Series", "Instance": "Instances"}
_DATE = "20200101T120000"
_BYTES_PER_MB = 1024 * 1024


class UnknownHereError(Exception):
    """A question that a stand-in cannot answer."""


class Archive(Protocol):
    """Objects that are numbered level by level, those of one parent in one range."""

    patients: int
    studies: int
    series: int
    instances: int

    def series_of(self, instance: int) -> int:
        """Return the number of an instance's series."""
        ...

    def study_of(self, series: int) -> int:
        """Return the number of a series' study."""
        ...

    def patient_of(self, study: int) -> int:
        """Return the number of a study's patient."""
        ...

    def studies_in(self, patient: int) -> range:
        """Return the numbers of a patient's studies."""
        ...

    def series_in(self, study: int) -> range:
        """Return the numbers of a study's series."""
        ...

    def instances_in(self, series: int) -> range:
        """Return the numbers of a series' instances."""
        ...


class Answers(ABC):
    """Answers to Orthanc's requests that only read.

    A question that is not known raises `UnknownHereError`, so that a new habit of a client is seen, and not answered
    wrongly.

    Parameters
    ----------
    archive : Archive
        The objects.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._counts = {
            "Patient": archive.patients,
            "Study": archive.studies,
            "Series": archive.series,
            "Instance": archive.instances,
        }
        # Identifiers are added when a client is told of them too: those of instances, since it knows no others.
        self._numbers: dict[str, dict[str, int]] = {level: {} for level in LEVELS}
        self._number_all()

    def _number_all(self) -> None:
        for level in LEVELS[:-1]:
            for number in range(self._counts[level]):
                self.identifier(level, number)

    def identifier(self, level: str, number: int) -> str:
        """Return Orthanc's identifier of an object.

        Examples
        --------
        >>> from simple_orthanc.testing import make_series
        >>> from simple_orthanc.testing.dataset_answers import DatasetAnswers
        >>> DatasetAnswers(make_series((3, 4, 4), PatientID="P1")).identifier("Patient", 0)
        'bdaf1eca-33d4619e-80e8ca68-9a1b74a4-febbbb29'
        """
        chain = self._chain(level, number)
        identifier = orthanc_id([self._tags(name, own).get(IDENTIFIERS[name], "") for name, own in chain])
        self._numbers[level].setdefault(identifier, number)
        return identifier

    def answer(self, method: str, path: str, arguments: Mapping[str, str], body: bytes) -> Any:
        """Answer a request.

        Raises
        ------
        UnknownHereError
            The stand-in does not know the answer.
        KeyError
            There is no such object.
        """
        parts = path.strip("/").split("/")
        if method == "GET" and parts[0] in ROUTES:
            return self._resource(parts, arguments)
        if method == "POST" and path in ("/tools/find", "/tools/bulk-content"):
            question = json.loads(body)
            return self._find(question) if path == "/tools/find" else self._bulk(question)
        simple: dict[str, Callable[[], Any]] = {
            "/system": self._system,
            "/statistics": self._statistics,
            "/changes": lambda: self._changes(arguments),
        }
        if method != "GET" or path not in simple:
            raise UnknownHereError(f"{method} {path}")
        return simple[path]()

    def _system(self) -> dict[str, Any]:
        main = {
            "Patient": "0010,0010;0010,0020;0010,0030;0010,0040;0010,1000",
            "Study": "0008,0020;0008,0030;0008,0050;0008,0080;0008,0090;0008,0201;0008,1030;0020,000d;0020,0010;"
            "0032,1032;0032,1060",
            "Series": "0008,0021;0008,0031;0008,0060;0008,0070;0008,0201;0008,1010;0008,103e;0008,1070;0018,0010;"
            "0018,0015;0018,0024;0018,1030;0018,1090;0018,1400;0020,000e;0020,0011;0020,0037;0020,0105;0020,1002;"
            "0040,0244;0040,0245;0040,0254;0040,0275;0054,0081;0054,0101;0054,1000",
            "Instance": "0008,0012;0008,0013;0008,0018;0020,0012;0020,0013;0020,0032;0020,0037;0020,0100;0020,4000;"
            "0028,0008;0054,1330",
        }
        return {
            "ApiVersion": 27,
            "Capabilities": {"HasExtendedChanges": True, "HasExtendedFind": True},
            "CheckRevisions": False,
            "DatabaseBackendPlugin": None,
            "DatabaseVersion": 6,
            "DicomAet": "ORTHANC",
            "HasLabels": True,
            "IngestTranscoding": "",
            "MainDicomTags": main,
            "Name": "stand-in",
            "OverwriteInstances": False,
            "PluginsEnabled": True,
            "ReadOnly": False,
            "StorageCompression": False,
            "UserMetadata": {},
            "Version": "1.12.7",
        }

    def _statistics(self) -> dict[str, Any]:
        size = self._total_size()
        return {
            "CountPatients": self.archive.patients,
            "CountStudies": self.archive.studies,
            "CountSeries": self.archive.series,
            "CountInstances": self.archive.instances,
            "TotalDiskSize": str(size),
            "TotalDiskSizeMB": size // _BYTES_PER_MB,
            "TotalUncompressedSize": str(size),
            "TotalUncompressedSizeMB": size // _BYTES_PER_MB,
        }

    def _total_size(self) -> int:
        return sum(self._size(number) for number in range(self.archive.instances))

    def _changes(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Return the feed, one entry for each instance; Orthanc has others between them."""
        count = self.archive.instances
        since = count - 1 if "last" in arguments else int(arguments.get("since", 0))
        numbers = range(since, min(count, since + int(arguments.get("limit", 100))))
        changes = []
        for number in numbers:
            identifier = self.identifier("Instance", number)
            change = {"ChangeType": "NewInstance", "Date": _DATE, "ID": identifier, "Path": f"/instances/{identifier}"}
            changes.append({**change, "ResourceType": "Instance", "Seq": number + 1})
        last = numbers[-1] + 1 if numbers else since
        return {"Changes": changes, "Done": last >= count, "First": numbers[0] + 1 if numbers else since, "Last": last}

    def _resource(self, parts: Sequence[str], arguments: Mapping[str, str]) -> Any:
        level = ROUTES[parts[0]]
        short = "short" in arguments
        if len(parts) == 1:
            numbers = range(self._counts[level])
            since = int(arguments.get("since", 0))
            numbers = numbers[since : since + int(arguments["limit"])] if "limit" in arguments else numbers[since:]
            return self._listed(level, numbers, "expand" in arguments, short)
        number = self._numbers[level][parts[1]]
        if len(parts) == 2:
            return self._object(level, number, short)
        if len(parts) == 3 and parts[2] in ROUTES and LEVELS.index(ROUTES[parts[2]]) > LEVELS.index(level):
            wanted = ROUTES[parts[2]]
            return self._listed(wanted, self._below(level, [number], wanted), arguments.get("expand") != "false", short)
        parents = {above.lower(): (above, owner) for above, owner in self._chain(level, number)[:-1]}
        if len(parts) == 3 and parts[2] in parents:
            return self._object(*parents[parts[2]], short)
        raise UnknownHereError("/".join(parts))

    def _listed(self, level: str, numbers: Iterable[int], expand: bool, short: bool) -> list[Any]:
        if expand:
            return [self._object(level, number, short) for number in numbers]
        return [self.identifier(level, number) for number in numbers]

    def _bulk(self, question: Mapping[str, Any]) -> list[Any]:
        level = question.get("Level")
        if level not in LEVELS or question.get("Metadata", True):
            raise UnknownHereError(f"bulk-content {question}")
        numbers = [self._numbers[level][key] for key in question["Resources"] if key in self._numbers[level]]
        return self._listed(level, numbers, True, bool(question.get("Short")))

    def _find(self, question: Mapping[str, Any]) -> list[Any]:
        level = question["Level"]
        above = {f"Parent{name}": name for name in LEVELS[: LEVELS.index(level)]}
        known = {"Level", "Query", "Expand", "Short", "Since", "Limit", "CaseSensitive", "ResponseContent", *above}
        if set(question) - known or question.get("CaseSensitive"):
            raise UnknownHereError(f"find with {sorted(set(question) - known)}")
        query = {_keyword(name): value for name, value in question["Query"].items() if value not in ("", "*")}
        start = question.get("Since", 0)
        stop = start + question["Limit"] if question.get("Limit") else None
        candidates: Iterable[int] | None = None
        for name, parent in above.items():
            if name in question:
                number = self._numbers[parent].get(question[name])
                candidates = [] if number is None else self._below(parent, [number], level)
        numbers = islice(self._matching(level, query, candidates), start, stop)
        short = bool(question.get("Short"))
        if "ResponseContent" in question:
            return [self._content(level, number, short, question["ResponseContent"]) for number in numbers]
        return self._listed(level, numbers, bool(question.get("Expand")), short)

    def _content(self, level: str, number: int, short: bool, wanted: Sequence[str]) -> dict[str, Any]:
        """Return only what is asked about an object."""
        parts = {
            "MainDicomTags": ["MainDicomTags", "PatientMainDicomTags"],
            "Parent": [f"Parent{name}" for name in LEVELS],
            "Children": list(_PLURALS.values()),
            "Attachments": [],
        }
        if set(wanted) - set(parts):
            raise UnknownHereError(f"ResponseContent {sorted(set(wanted) - set(parts))}")
        names = {"ID", "Type", *(name for part in wanted for name in parts[part])}
        content = {name: value for name, value in self._object(level, number, short).items() if name in names}
        if "Attachments" in wanted:
            is_file = level == "Instance"
            file = {"ContentType": 1, "UncompressedSize": self._size(number), "Uuid": self._uuid(number)}
            content["Attachments"] = [file] if is_file else []
        return content

    def _matching(self, level: str, query: Mapping[str, str], candidates: Iterable[int] | None) -> Iterable[int]:
        """Apply the query to each candidate; without candidates, to those of the most selective tag."""
        tests = {keyword: pattern(value) for keyword, value in query.items()}
        numbers = self._candidates(level, query) if candidates is None else candidates
        return (number for number in numbers if self._satisfies(level, number, tests))

    def _satisfies(self, level: str, number: int, tests: Mapping[str, re.Pattern[str]]) -> bool:
        tags: dict[str, str] = {}
        for name, own in self._chain(level, number):
            tags |= self._tags(name, own)
        for keyword, test in tests.items():
            if keyword not in tags:
                raise UnknownHereError(f"find by {keyword} at level {level}")
            if not test.fullmatch(tags[keyword]):
                return False
        return True

    def _below(self, above: str, numbers: Iterable[int], level: str) -> Iterable[int]:
        if above == level:
            return numbers
        inside = {
            "Patient": self.archive.studies_in,
            "Study": self.archive.series_in,
            "Series": self.archive.instances_in,
        }
        child = LEVELS[LEVELS.index(above) + 1]
        return self._below(child, (inner for number in numbers for inner in inside[above](number)), level)

    def _chain(self, level: str, number: int) -> list[tuple[str, int]]:
        """Return an object and its parents, the patient first."""
        chain = [(level, number)]
        outward: dict[str, tuple[str, Callable[[int], int]]] = {
            "Instance": ("Series", self.archive.series_of),
            "Series": ("Study", self.archive.study_of),
            "Study": ("Patient", self.archive.patient_of),
        }
        while chain[0][0] in outward:
            above, owner = outward[chain[0][0]]
            chain.insert(0, (above, owner(chain[0][1])))
        return chain

    @abstractmethod
    def _tags(self, level: str, number: int) -> Mapping[str, str]:
        """Return the tags that Orthanc's database keeps of an object, by keyword."""

    @abstractmethod
    def _image_tags(self, series: int) -> Mapping[str, str]:
        """Return the tags of its first image that Orthanc keeps with a series."""

    @abstractmethod
    def _size(self, instance: int) -> int:
        """Return the size of the file of an instance in bytes."""

    def _uuid(self, instance: int) -> str:
        """Return the name of the file of an instance in the storage."""
        return self.identifier("Instance", instance)

    def _candidates(self, level: str, query: Mapping[str, str]) -> Iterable[int]:
        """Return the numbers of the objects of which a query is decided one by one."""
        return range(self._counts[level])

    def _object(self, level: str, number: int, short: bool) -> dict[str, Any]:
        tags = self._tags(level, number)
        content: dict[str, Any] = {"ID": self.identifier(level, number), "Type": level, "Labels": []}
        chain = self._chain(level, number)
        if level != "Patient":
            content[f"Parent{chain[-2][0]}"] = self.identifier(*chain[-2])
        if level != "Instance":
            below = LEVELS[LEVELS.index(level) + 1]
            children = [self.identifier(below, inner) for inner in self._below(level, [number], below)]
            content |= {_PLURALS[below]: children, "IsStable": True, "LastUpdate": _DATE}
        if level == "Study":
            content["PatientMainDicomTags"] = _written(self._tags(*chain[0]), short)
        elif level == "Series":
            # Orthanc keeps this tag of the image with the series.
            tags = {**tags, **self._image_tags(number)}
            content |= {"ExpectedNumberOfInstances": None, "Status": "Unknown"}
        elif level == "Instance":
            content |= {
                "FileSize": self._size(number),
                "FileUuid": self._uuid(number),
                "IndexInSeries": int(tags["InstanceNumber"]) if "InstanceNumber" in tags else None,
            }
        content["MainDicomTags"] = _written(tags, short)
        return content


def _written(tags: Mapping[str, str], short: bool) -> dict[str, str]:
    if not short:
        return dict(tags)
    return {f"{number >> 16:04x},{number & 0xFFFF:04x}": value for number, value in _numbered(tags)}


def _numbered(tags: Mapping[str, str]) -> list[tuple[int, str]]:
    return [(tag_for_keyword(keyword) or 0, value) for keyword, value in tags.items()]


def _keyword(name: str) -> str:
    return keyword_for_tag(int(name.replace(",", ""), 16)) if "," in name else name


def pattern(value: str) -> re.Pattern[str]:
    """Compile a query; like Orthanc's find, it ignores case."""
    patterns = (re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in alternatives(value))
    return re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL)


def alternatives(value: str) -> list[str]:
    """Split a query: Orthanc takes a list of values or wildcards, but not both in one."""
    return [value] if "*" in value or "?" in value else value.split("\\")
