"""What Orthanc answers for datasets in memory, with their files, labels and metadata."""

from __future__ import annotations

import hashlib
import io
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from simple_orthanc.phantom import as_bytes
from simple_orthanc.testing.answers import IDENTIFIERS, LEVELS, Answers, UnknownHereError

VERSION = "1.12.7"
_BINARY_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
# Orthanc's database leaves out longer values.
_LONGEST_VALUE = 256
# What Orthanc adds to a find beyond Orthanc 1.10.
_NEWER_OPTIONS = ("Labels", "LabelsConstraint", "MetadataQuery", "RequestedTags")


def chain(dataset: Dataset, level: str) -> tuple[str, ...]:
    """Return the identifiers from the patient down to a level."""
    return tuple(str(dataset.get(IDENTIFIERS[name], "")) for name in LEVELS[: LEVELS.index(level) + 1])


class DatasetArchive:
    """Datasets numbered level by level, those of one object in one range: an `answers.Archive`."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = sorted(datasets, key=lambda dataset: chain(dataset, "Instance"))
        # Of each level, the numbers of the first instances of its objects.
        self.firsts: dict[str, list[int]] = {}
        for level in LEVELS:
            first_of: dict[tuple[str, ...], int] = {}
            for number, dataset in enumerate(self.datasets):
                first_of.setdefault(chain(dataset, level), number)
            self.firsts[level] = list(first_of.values())
        self.patients, self.studies, self.series, self.instances = (len(self.firsts[level]) for level in LEVELS)

    def _owner(self, level: str, below: str, number: int) -> int:
        return bisect_right(self.firsts[level], self.firsts[below][number]) - 1

    def _inside(self, level: str, below: str, number: int) -> range:
        numbers = [other for other in range(len(self.firsts[below])) if self._owner(level, below, other) == number]
        return range(numbers[0], numbers[-1] + 1)

    def series_of(self, instance: int) -> int:
        """Return the number of an instance's series."""
        return self._owner("Series", "Instance", instance)

    def study_of(self, series: int) -> int:
        """Return the number of a series' study."""
        return self._owner("Study", "Series", series)

    def patient_of(self, study: int) -> int:
        """Return the number of a study's patient."""
        return self._owner("Patient", "Study", study)

    def studies_in(self, patient: int) -> range:
        """Return the numbers of a patient's studies."""
        return self._inside("Patient", "Study", patient)

    def series_in(self, study: int) -> range:
        """Return the numbers of a study's series."""
        return self._inside("Study", "Series", study)

    def instances_in(self, series: int) -> range:
        """Return the numbers of a series' instances."""
        return self._inside("Series", "Instance", series)


@dataclass
class _Filter:
    """What a find asks for beyond tags."""

    labels: Sequence[str] = ()
    constraint: str = "All"
    metadata: Mapping[str, str] = field(default_factory=dict)
    requested_tags: Sequence[str] = ()

    def accepts(self, labels: Iterable[str], metadata: Iterable[str]) -> bool:
        """Check whether an object with these labels and metadata is asked for."""
        if not set(self.metadata) <= set(metadata):
            return False
        present = [label in set(labels) for label in self.labels]
        if not present:
            return True
        return {"All": all(present), "Any": any(present), "None": not any(present)}[self.constraint]


class DatasetAnswers(Answers):
    """Answers as Orthanc does for datasets.

    Parameters
    ----------
    datasets : iterable of Dataset
        The archive.
    version : str
        "1.12.7", or an older version, whose find knows neither ResponseContent nor labels.
    labels, metadata : mapping
        Orthanc's id of an object to its labels, and to its metadata.
    to_file : callable
        Returns the file of a dataset.

    Examples
    --------
    >>> from simple_orthanc.testing import make_series
    >>> answers = DatasetAnswers(make_series((3, 4, 4), PatientID="P1"))
    >>> answers.answer("GET", "/statistics", {}, b"")["CountInstances"]
    3
    """

    archive: DatasetArchive

    def __init__(
        self,
        datasets: Iterable[Dataset],
        version: str = VERSION,
        labels: Mapping[str, Sequence[str]] | None = None,
        metadata: Mapping[str, Mapping[str, str]] | None = None,
        *,
        to_file: Callable[[Dataset], bytes] = as_bytes,
    ) -> None:
        self._version = version
        self._labels = {} if labels is None else labels
        self._metadata = {} if metadata is None else metadata
        self.keeps_md5 = True
        self._filter = _Filter()
        self._main_tags = {level: numbers.split(";") for level, numbers in super()._system()["MainDicomTags"].items()}
        archive = DatasetArchive(datasets)
        self._files = [to_file(dataset) for dataset in archive.datasets]
        self._json = [short_json(content) for content in self._files]
        self._known_tags = {level: [self._main(level, first) for first in archive.firsts[level]] for level in LEVELS}
        super().__init__(archive)
        for number in range(archive.instances):
            self.identifier("Instance", number)

    def file(self, identifier: str) -> bytes:
        """Return the file of an instance.

        Examples
        --------
        >>> from simple_orthanc.testing import make_series
        >>> answers = DatasetAnswers(make_series((3, 4, 4), PatientID="P1"))
        >>> answers.file(answers.identifier("Instance", 0))[128:132]
        b'DICM'
        """
        return self._files[self._numbers["Instance"][identifier]]

    def md5(self, identifier: str) -> str:
        """Return the MD5 of the file of an instance; "" if checksums are not kept.

        Examples
        --------
        >>> from simple_orthanc.testing import make_series
        >>> answers = DatasetAnswers(make_series((3, 4, 4), PatientID="P1"))
        >>> len(answers.md5(answers.identifier("Instance", 0)))
        32
        """
        content = self.file(identifier)
        return hashlib.md5(content, usedforsecurity=False).hexdigest() if self.keeps_md5 else ""

    def datasets_of(self, level: str, identifier: str) -> list[Dataset]:
        """Return the datasets of an object.

        Raises
        ------
        KeyError
            There is no such object.

        Examples
        --------
        >>> from simple_orthanc.testing import make_series
        >>> answers = DatasetAnswers(make_series((3, 4, 4), PatientID="P1"))
        >>> [dataset.PatientID for dataset in answers.datasets_of("Patient", answers.identifier("Patient", 0))]
        ['P1', 'P1', 'P1']
        """
        numbers = self._below(level, [self._numbers[level][identifier]], "Instance")
        return [self.archive.datasets[number] for number in numbers]

    def answer(self, method: str, path: str, arguments: Mapping[str, str], body: bytes) -> Any:
        """Answer a request with a value that is sent as JSON; see `Answers.answer`.

        Examples
        --------
        >>> from simple_orthanc.testing import make_series
        >>> answers = DatasetAnswers(make_series((3, 4, 4), PatientID="P1"))
        >>> len(answers.answer("GET", "/instances", {}, b""))
        3
        """
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
        if self._version != VERSION and {*_NEWER_OPTIONS, "ResponseContent"} & set(question):
            raise UnknownHereError(f"find with {sorted(question)}")
        self._filter = _Filter(
            question.get("Labels", ()),
            question.get("LabelsConstraint", "All"),
            question.get("MetadataQuery", {}),
            question.get("RequestedTags", ()),
        )
        try:
            return super()._find({name: value for name, value in question.items() if name not in _NEWER_OPTIONS})
        finally:
            self._filter = _Filter()

    def _matching(self, level: str, query: Mapping[str, str], candidates: Iterable[int] | None) -> Iterable[int]:
        for number in super()._matching(level, query, candidates):
            identifier = self.identifier(level, number)
            if self._filter.accepts(self._labels.get(identifier, ()), self._metadata.get(identifier, ())):
                yield number

    def _satisfies(self, level: str, number: int, tests: Mapping[str, Any]) -> bool:
        tags: dict[str, str] = {}
        for name, own in self._chain(level, number):
            tags |= self._tags(name, own)
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

    def _object(self, level: str, number: int, short: bool) -> dict[str, Any]:
        content = super()._object(level, number, short)
        return {**content, "Labels": list(self._labels.get(content["ID"], ()))}

    def _bulk(self, question: Mapping[str, Any]) -> list[Any]:
        answers = super()._bulk({**question, "Metadata": False})
        if question.get("Metadata"):
            for answer in answers:
                answer["Metadata"] = dict(self._metadata.get(answer["ID"], {}))
        return answers

    def _main(self, level: str, first: int) -> dict[str, str]:
        """Return the tags that the database keeps of an object, from its first instance."""
        tags = {"PatientName": ""} if level == "Patient" else {}
        for number in self._main_tags[level]:
            value = self._json[first].get(number)
            if isinstance(value, str) and 0 < len(value) <= _LONGEST_VALUE:
                tags[keyword_for_tag(int(number.replace(",", ""), 16))] = value
        return tags

    def _tags(self, level: str, number: int) -> dict[str, str]:
        return self._known_tags[level][number]

    def _image_tags(self, series: int) -> dict[str, str]:
        tags = self._tags("Instance", self.archive.firsts["Series"][series])
        return {name: tags[name] for name in ("ImageOrientationPatient",) if name in tags}

    def _size(self, instance: int) -> int:
        return len(self._files[instance])

    def _uuid(self, instance: int) -> str:
        # Another one for another file, as Orthanc's is.
        return str(uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(self._files[instance]).hexdigest()))


def short_json(content: bytes) -> dict[str, Any]:
    """Return a DICOM file as Orthanc's short JSON: number to string, to a list of items, or to null if it is binary."""
    with pydicom.config.disable_value_validation():
        return _short_json(pydicom.dcmread(io.BytesIO(content)))


def _short_json(dataset: Dataset) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for element in dataset:
        name = f"{element.tag.group:04x},{element.tag.element:04x}"
        if element.VR == "SQ":
            values[name] = [_short_json(item) for item in element.value]
        elif element.VR in _BINARY_VRS:
            values[name] = None
        else:
            is_list = isinstance(element.value, MultiValue | list)
            parts = element.value if is_list else [] if element.value is None else [element.value]
            values[name] = "\\".join(str(part) for part in parts)
    return values
