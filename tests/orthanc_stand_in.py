"""An Orthanc server over datasets, on 127.0.0.1: the stand-in of the benchmark, with files, labels and metadata."""

from __future__ import annotations

import hashlib
import io
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from benchmarks import stand_in
from benchmarks.archive import orthanc_id
from benchmarks.stand_in import UnknownHereError
from tests.http_stand_in import Asked, StandIn, reply
from tests.memory_source import as_file

IDENTIFIERS = {
    "Patient": "PatientID",
    "Study": "StudyInstanceUID",
    "Series": "SeriesInstanceUID",
    "Instance": "SOPInstanceUID",
}
LEVELS = list(IDENTIFIERS)
BINARY_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
# Orthanc's database leaves out longer values.
LONGEST_VALUE = 256


def chain(dataset: Dataset, level: str) -> tuple[str, ...]:
    """Return the identifiers from the patient down to a level."""
    return tuple(str(dataset.get(IDENTIFIERS[name], "")) for name in LEVELS[: LEVELS.index(level) + 1])


class DatasetArchive:
    """Datasets numbered as the benchmark's archive numbers its objects: level by level, each object's in one range."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = sorted(datasets, key=lambda dataset: chain(dataset, "Instance"))
        # For each level the number of the first instance of each object.
        self.firsts: dict[str, list[int]] = {}
        for level in LEVELS:
            chains = [chain(dataset, level) for dataset in self.datasets]
            self.firsts[level] = [number for number, own in enumerate(chains) if own not in chains[:number]]
        self.patients, self.studies, self.series, self.instances = (len(self.firsts[level]) for level in LEVELS)

    def _owner(self, level: str, below: str, number: int) -> int:
        return bisect_right(self.firsts[level], self.firsts[below][number]) - 1

    def _inside(self, level: str, below: str, number: int) -> range:
        numbers = [other for other in range(len(self.firsts[below])) if self._owner(level, below, other) == number]
        return range(numbers[0], numbers[-1] + 1)

    def series_of(self, instance: int) -> int:
        return self._owner("Series", "Instance", instance)

    def study_of(self, series: int) -> int:
        return self._owner("Study", "Series", series)

    def patient_of(self, study: int) -> int:
        return self._owner("Patient", "Study", study)

    def studies_in(self, patient: int) -> range:
        return self._inside("Patient", "Study", patient)

    def series_in(self, study: int) -> range:
        return self._inside("Study", "Series", study)

    def instances_in(self, series: int) -> range:
        return self._inside("Series", "Instance", series)


@dataclass
class Filter:
    """What a find asks for beyond tags."""

    labels: Sequence[str] = ()
    metadata: Mapping[str, str] | None = None
    requested_tags: Sequence[str] = ()


class DatasetStandIn(stand_in.StandIn):
    """Answers as Orthanc does for datasets.

    Parameters
    ----------
    datasets : list of Dataset
        The archive.
    version : str
        "1.12.7", or an older version, whose find knows neither ResponseContent nor labels.
    labels, metadata : dict
        Orthanc's id of an object to its labels, and to its metadata.
    """

    def __init__(
        self,
        datasets: Iterable[Dataset],
        version: str,
        labels: Mapping[str, Sequence[str]],
        metadata: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._version, self._labels, self._metadata = version, labels, metadata
        self.keeps_md5 = True
        self._filter = Filter()
        self._main_tags = {level: numbers.split(";") for level, numbers in super()._system()["MainDicomTags"].items()}
        archive: Any = DatasetArchive(datasets)
        self._files = [as_file(dataset) for dataset in archive.datasets]
        self._json = [short_json(content) for content in self._files]
        self._known_tags = {level: [self._main(level, first) for first in archive.firsts[level]] for level in LEVELS}
        super().__init__(archive)
        for number in range(archive.instances):
            self.identifier("Instance", number)

    def file(self, identifier: str) -> bytes:
        """Return the file of an instance."""
        return self._files[self._numbers["Instance"][identifier]]

    def md5(self, identifier: str) -> str:
        """Return the MD5 of the file of an instance; "" if checksums are not kept."""
        return hashlib.md5(self.file(identifier)).hexdigest() if self.keeps_md5 else ""

    def answer(self, method: str, path: str, arguments: Mapping[str, str], body: bytes) -> Any:
        """Answer a request with what becomes JSON; see the benchmark's stand-in."""
        if (method, path) == ("POST", "/tools/lookup"):
            return list(self._look_up(body.decode()))
        parts = path.strip("/").split("/")
        if parts[0] == "series" and parts[2:] == ["instances-tags"]:
            numbers = self.archive.instances_in(self._numbers["Series"][parts[1]])
            return {self.identifier("Instance", number): self._json[number] for number in numbers}
        return super().answer(method, path, arguments, body)

    def _look_up(self, identifier: str) -> Iterator[dict[str, str]]:
        for level in LEVELS:
            for number in range(self._counts[level]):
                # Orthanc's lookup ignores case.
                if self._tags(level, number).get(IDENTIFIERS[level], "").lower() == identifier.lower():
                    yield {"ID": self.identifier(level, number), "Type": level}

    def _system(self) -> dict[str, Any]:
        system = super()._system()
        if self._version != system["Version"]:
            for name in ("Capabilities", "HasLabels", "MainDicomTags", "UserMetadata"):
                del system[name]
        return {**system, "Version": self._version}

    def _find(self, question: Mapping[str, Any]) -> list[Any]:
        names = {"Labels": (), "MetadataQuery": None, "RequestedTags": (), "LabelsConstraint": None}
        if self._version != "1.12.7" and {*names, "ResponseContent"} & set(question):
            raise UnknownHereError(f"find with {sorted(question)}")
        labels, metadata, requested, _ = (question.get(name, default) for name, default in names.items())
        self._filter = Filter(labels, metadata, requested)
        try:
            return super()._find({name: value for name, value in question.items() if name not in names})
        finally:
            self._filter = Filter()

    def _matching(self, level: str, query: Mapping[str, str], candidates: Iterable[int] | None) -> Iterable[int]:
        for number in super()._matching(level, query, candidates):
            identifier = self.identifier(level, number)
            if not set(self._filter.labels) <= set(self._labels.get(identifier, ())):
                continue
            if set(self._filter.metadata or ()) <= set(self._metadata.get(identifier, ())):
                yield number

    def _candidates(self, level: str, query: Mapping[str, str]) -> Iterable[int]:
        return range(self._counts[level])

    def _satisfies(self, level: str, number: int, tests: Mapping[str, Any]) -> bool:
        tags: dict[str, str] = {}
        for name, each in self._chain(level, number):
            tags |= self._tags(name, each)
        return all(test.fullmatch(tags.get(keyword, "")) for keyword, test in tests.items())

    def _content(self, level: str, number: int, short: bool, wanted: Sequence[str]) -> dict[str, Any]:
        own = {"RequestedTags", "Labels", "Metadata"}
        content = super()._content(level, number, short, [name for name in wanted if name not in own])
        identifier = self.identifier(level, number)
        for attachment in content.get("Attachments", ()):
            attachment["UncompressedMD5"] = self.md5(identifier)
        if "Labels" in wanted:
            content["Labels"] = list(self._labels.get(identifier, ()))
        if "Metadata" in wanted:
            content["Metadata"] = dict(self._metadata.get(identifier, {}))
        if "RequestedTags" in wanted:
            tags = self._json[number]
            # What a file lacks is there as null.
            content["RequestedTags"] = {name: tags.get(name) for name in self._filter.requested_tags}
        return content

    def _bulk(self, question: Mapping[str, Any]) -> list[Any]:
        answers = super()._bulk({**question, "Metadata": False})
        if question.get("Metadata"):
            for answer in answers:
                answer["Metadata"] = dict(self._metadata.get(answer["ID"], {}))
        return answers

    def _main(self, level: str, first: int) -> dict[str, str]:
        """Return the tags that the database keeps of an object, from its first instance."""
        found = {"PatientName": ""} if level == "Patient" else {}
        for number in self._main_tags[level]:
            value = self._json[first].get(number)
            if isinstance(value, str) and 0 < len(value) <= LONGEST_VALUE:
                found[pydicom.datadict.keyword_for_tag(int(number.replace(",", ""), 16))] = value
        return found

    def _tags(self, level: str, number: int) -> dict[str, str]:
        return self._known_tags[level][number]

    def _image_tags(self, series: int) -> dict[str, str]:
        tags = self._tags("Instance", self.archive.firsts["Series"][series])
        return {name: tags[name] for name in ("ImageOrientationPatient",) if name in tags}

    def _size(self, instance: int) -> int:
        return len(self._files[instance])


def short_json(content: bytes) -> dict[str, Any]:
    """Return a DICOM file as Orthanc's short JSON: number to string, to a list of items, or to null if it is binary."""
    with pydicom.config.disable_value_validation():
        return _short_json(pydicom.dcmread(io.BytesIO(content)))


def _short_json(dataset: Dataset) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in dataset:
        name = f"{element.tag.group:04x},{element.tag.element:04x}"
        if element.VR == "SQ":
            found[name] = [_short_json(item) for item in element.value]
        elif element.VR in BINARY_VRS:
            found[name] = None
        else:
            several = isinstance(element.value, (MultiValue, list))
            parts = element.value if several else [] if element.value is None else [element.value]
            found[name] = "\\".join(str(part) for part in parts)
    return found


class OrthancServer(StandIn):
    """Serves datasets as Orthanc; `datasets`, `labels` and `metadata` may be changed while it runs.

    ``labels`` and ``metadata`` are by Orthanc's id, which `identifier_of` returns. `keeps_md5` may be set to False, and
    `send_file` to a function that returns what is sent in place of a file: called with Orthanc's id, the file or the
    part of it that was asked for, and how often it was asked for before.

    So may `answer_upload`, which returns the response to an upload (called with Orthanc's answer and the number of
    uploads before), `keep_upload`, which decides whether it is stored (called with the dataset and that number), and
    `change_answer`, which returns other JSON than the right answer (called with the path, that answer, and how often
    the path was asked for before).
    """

    def __init__(self, datasets: Iterable[Dataset], version: str = "1.12.7") -> None:
        self.datasets = list(datasets)
        self.labels: dict[str, list[str]] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.keeps_md5 = True
        self.send_file: Callable[[str, bytes, int], bytes] = lambda key, content, count: content
        self.answer_upload: Callable[[dict[str, Any], int], bytes] = lambda answer, count: reply(answer)
        self.keep_upload: Callable[[Dataset, int], bool] = lambda dataset, count: True
        self.uploads = 0
        self.change_answer: Callable[[str, Any, int], Any] = lambda path, answer, count: answer
        self._sent: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._version = version
        self._answering = threading.Lock()
        self._stand_in: DatasetStandIn | None = None
        self._answered_for: list[int] = []
        self._feed: list[tuple[int, Dataset]] = []
        self._last = 0
        super().__init__(self._answer)

    @staticmethod
    def identifier_of(dataset: Dataset, level: str) -> str:
        """Return Orthanc's id of the object of a level that a dataset is in."""
        return orthanc_id(*chain(dataset, level.capitalize()))

    def _answer(self, asked: Asked, count: int) -> bytes:
        parts = urlsplit(asked.path)
        arguments = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        with self._answering:
            archive = self._archive()
            try:
                if parts.path.endswith(("/file", "/attachments/dicom/data")):
                    key = parts.path.split("/")[2]
                    self._sent[key] += 1
                    return self._file(key, archive.file(key), asked)
                if parts.path.endswith("/attachments/dicom/md5"):
                    md5 = archive.md5(parts.path.split("/")[2])
                    return reply(md5.encode(), headers={"Content-Type": "text/plain"}) if md5 else reply({}, 404)
                if (asked.method, parts.path) == ("POST", "/instances"):
                    self.uploads += 1
                    return self.answer_upload(self._store(asked.body), self.uploads - 1)
                if parts.path == "/changes":
                    return reply(self._changes(arguments))
                answer = archive.answer(asked.method, parts.path, arguments, asked.body)
                self._answered[parts.path] += 1
                return reply(self.change_answer(parts.path, answer, self._answered[parts.path] - 1))
            except KeyError:
                return reply({"Message": "Unknown resource", "HttpStatus": 404}, 404)
            except UnknownHereError as error:
                return reply({"Message": f"The stand-in does not know: {error}", "HttpStatus": 501}, 501)

    def _archive(self) -> DatasetStandIn:
        """Return what answers for the datasets that there are now."""
        if self._stand_in is None or [id(dataset) for dataset in self.datasets] != self._answered_for:
            self._note_changes()
            self._stand_in = DatasetStandIn(self.datasets, self._version, self.labels, self.metadata)
            self._stand_in.keeps_md5 = self.keeps_md5
            self._answered_for = [id(dataset) for dataset in self.datasets]
        return self._stand_in

    def _note_changes(self) -> None:
        """Add what was stored to the feed, and take out what was deleted, as Orthanc does."""
        present = {id(dataset) for dataset in self.datasets}
        self._feed = [entry for entry in self._feed if id(entry[1]) in present]
        noted = {id(dataset) for _, dataset in self._feed}
        for dataset in self.datasets:
            if id(dataset) not in noted:
                self._last += 1
                self._feed.append((self._last, dataset))

    def _changes(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        entries = [
            {"ChangeType": "NewInstance", "ID": self.identifier_of(dataset, "Instance"), "Seq": number}
            for number, dataset in self._feed
        ]
        if "last" in arguments:
            return {"Changes": entries[-1:], "Done": True, "Last": self._last}
        since, limit = int(arguments["since"]), int(arguments["limit"])
        entries = [entry for entry in entries if entry["Seq"] > since]
        return {"Changes": entries[:limit], "Done": len(entries) <= limit, "Last": self._last}

    def _file(self, key: str, content: bytes, asked: Asked) -> bytes:
        count = self._sent[key] - 1
        span = asked.headers.get("range", "").removeprefix("bytes=")
        if not span:
            return reply(self.send_file(key, content, count), headers={"Content-Type": "application/dicom"})
        first, last = (int(end) for end in span.split("-"))
        if last >= len(content):
            return reply(b"", 416)
        headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}", "Content-Type": "application/dicom"}
        return reply(self.send_file(key, content[first : last + 1], count), 206, headers)

    def _store(self, content: bytes) -> dict[str, Any]:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        key = self.identifier_of(dataset, "Instance")
        is_held = any(self.identifier_of(held, "Instance") == key for held in self.datasets)
        if not is_held and self.keep_upload(dataset, self.uploads - 1):
            self.datasets.append(dataset)
        return {"ID": key, "Path": f"/instances/{key}", "Status": "AlreadyStored" if is_held else "Success"}
