"""An Orthanc with a PACS behind it, on 127.0.0.1: C-FIND, C-MOVE and C-GET, with the habits of real PACS."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydicom.dataset import Dataset

from simple_orthanc import Orthanc
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import LEVELS, level_of_keyword
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.session.pacs import Pacs
from simple_orthanc.sources.pacs.source import PacsSource
from simple_orthanc.testing.answers import IDENTIFIERS
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, reply
from tests.orthanc_stand_in import OrthancServer
from tests.sources.contract import make_archive

COUNTS = {
    "NumberOfStudyRelatedSeries": ("Study", "Series"),
    "NumberOfStudyRelatedInstances": ("Study", "Instance"),
    "NumberOfSeriesRelatedInstances": ("Series", "Instance"),
}


@dataclass
class Habits:
    """What a PACS does in its own way.

    Attributes
    ----------
    is_cased : bool
        Whether it compares names and the like with regard to case.
    ignored : set of str
        Keywords that it neither compares nor answers with.
    is_relational : bool
        Whether it compares keys of other levels than that of the question, and answers with them.
    repeats : bool
        Whether it answers once for each image, at every level.
    refused : dict of str to str
        Level to the status with which it refuses it.
    refuses_everything : str
        The status with which it refuses questions without a filter, "" if it does not.
    limit : int, optional
        How many answers it sends at most.
    character_set : str
        The character set in which Orthanc writes the answers.
    lost : set of str
        SOPInstanceUIDs that never arrive, although it reports success.
    failing : dict of str to str
        UID to the reason why its retrieval fails.
    """

    is_cased: bool = False
    ignored: set[str] = field(default_factory=set)
    is_relational: bool = True
    repeats: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    refuses_everything: str = ""
    limit: int | None = None
    character_set: str = "ISO_IR 192"
    lost: set[str] = field(default_factory=set)
    failing: dict[str, str] = field(default_factory=dict)


# DCMTK's dcmqrscp answers with no descriptions of series and no numbers, and pynetdicom's qrscp with each image.
DCMQRSCP = frozenset({"SeriesDescription", "OperatorsName", "ModalitiesInStudy", "InstitutionName", *COUNTS})
QRSCP = frozenset({"StudyDescription", *DCMQRSCP})


class PacsServer(OrthancServer):
    """An Orthanc that holds `datasets`, and knows the PACS "PACS", which holds `pacs`.

    ``questions`` are the queries as they were sent, ``retrieved`` the bodies of retrievals, by route,
    ``cancelled`` the jobs that were cancelled.
    """

    def __init__(
        self, pacs: Iterable[Dataset], habits: Habits | None = None, version: str = "1.12.7", method: str = "C-MOVE"
    ) -> None:
        super().__init__([], version)
        self.pacs, self.habits = list(pacs), habits or Habits()
        self.questions: list[tuple[str, dict[str, str]]] = []
        self.retrieved: list[tuple[str, dict[str, Any]]] = []
        self.cancelled: list[str] = []
        self._is_old, self._method = version < "1.12", method
        self._queries: dict[str, list[Any]] = {}
        self._strings: dict[tuple[int, str], str] = {}
        self._jobs: dict[str, dict[str, Any]] = {}

    @property
    def open_queries(self) -> int:
        """How many queries have not been removed."""
        return len(self._queries)

    def _answer(self, asked: Asked, count: int) -> bytes:
        path = urlsplit(asked.path).path
        body = json.loads(asked.body) if path.startswith("/modalities/") and asked.body else {}
        if path == "/modalities":
            return reply(["other", "PACS"])
        if path == "/modalities/PACS/configuration":
            return reply({"AET": "PACS"} if self._is_old else {"AET": "PACS", "RetrieveMethod": self._method})
        if path == "/modalities/PACS/query":
            return self._query(body)
        if path.startswith("/queries/"):
            number = path.split("/")[2]
            return reply(self._queries.pop(number) and {}) if asked.method == "DELETE" else reply(self._queries[number])
        if path.startswith("/modalities/PACS/") and not (path.endswith("/get") and self._is_old):
            return self._retrieve(path.rpartition("/")[2], body)
        if path.endswith("/cancel"):
            self.cancelled.append(path.split("/")[2])
            return reply({})
        if path.startswith("/jobs/"):
            return reply(self._jobs[path.split("/")[2]])
        return super()._answer(asked, count)

    # C-FIND

    def _query(self, body: Mapping[str, Any]) -> bytes:
        level, keys = (
            body["Level"],
            {name: key for name, key in body["Query"].items() if name != "SpecificCharacterSet"},
        )
        assert body["Query"]["SpecificCharacterSet"] == "ISO_IR 192"
        self.questions.append((level, {name: key for name, key in keys.items() if key}))
        status = self.habits.refused.get(level, "")
        if not any(keys.values()):
            status = status or self.habits.refuses_everything
        if status:
            details = f"C-FIND SCU to AET PACS has failed with DIMSE status {status}"
            return reply({"Message": "Error in the network protocol", "Details": details}, 500)
        number = f"q{len(self.questions)}"
        self._queries[number] = [self._written(level, answer, keys) for answer in self._matching(level, keys)]
        return reply({"ID": number, "Path": f"/queries/{number}"})

    def _matching(self, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        known = {name: key for name, key in keys.items() if name not in self.habits.ignored and key}
        if not self.habits.is_relational:
            above = [IDENTIFIERS[name.capitalize()] for name in LEVELS[1 : LEVELS.index(level.lower())]]  # type: ignore[arg-type]
            known = {name: key for name, key in known.items() if name in above or _is_of(name, level)}
        tests = [self._test(name, key, 0 if self.habits.is_cased else re.IGNORECASE) for name, key in known.items()]
        found = [dataset for dataset in self.pacs if all(test(dataset) for test in tests)]
        if not self.habits.repeats:
            found = list({self._chain(dataset, level): dataset for dataset in reversed(found)}.values())
        return found[: self.habits.limit]

    def _test(self, name: str, key: str, flags: int) -> Callable[[Dataset], bool]:
        """Return a function that compares a dataset with a key as C-FIND does."""
        if name.endswith("UID"):
            return lambda dataset: str(dataset.get(name, "")) in key.split("\\")
        if name == "StudyDate" and "-" in key:
            low, _, high = key.replace(".", "").partition("-")
            return lambda dataset: (low or "0") <= self._string(dataset, name) <= (high or "9")
        pattern = re.compile(re.escape(key).replace(r"\*", ".*").replace(r"\?", "."), flags)
        return lambda dataset: pattern.fullmatch(self._string(dataset, name)) is not None

    def _string(self, dataset: Dataset, name: str) -> str:
        # By identity: nobody changes a dataset that is served, and to read a value takes long.
        known = (id(dataset), name)
        if known not in self._strings:
            value = read_value(dataset, parse_tag(name)) if hasattr(dataset, name) else None
            self._strings[known] = "\\".join(str(part) for part in value or ())
        return self._strings[known]

    def _chain(self, dataset: Dataset, level: str) -> tuple[str, ...]:
        return tuple(
            self._string(dataset, name) for name in list(IDENTIFIERS.values())[: list(IDENTIFIERS).index(level) + 1]
        )

    def _written(self, level: str, dataset: Dataset, keys: Mapping[str, str]) -> dict[str, Any]:
        written = {"0008,0005": _element("SpecificCharacterSet", self.habits.character_set)}
        # Orthanc asks for these besides.
        own = ["PatientID", "AccessionNumber", *(IDENTIFIERS[name.capitalize()] for name in LEVELS[1:])]
        for name in [*keys, *own[: 2 + LEVELS.index(level.lower())]]:  # type: ignore[arg-type]
            if name in self.habits.ignored or not (self.habits.is_relational or name in keys):
                continue
            value = str(self._count(dataset, *COUNTS[name])) if name in COUNTS else self._string(dataset, name)
            if self.habits.character_set == "ISO_IR 100":
                value = value.encode("latin-1", "ignore").decode("latin-1")
            written[parse_tag(name).number] = _element(name, value)
        return written

    def _count(self, dataset: Dataset, level: str, below: str) -> int:
        own = self._chain(dataset, level)
        return len({self._chain(other, below) for other in self.pacs if self._chain(other, level) == own})

    # C-MOVE and C-GET

    def _retrieve(self, method: str, body: dict[str, Any]) -> bytes:
        self.retrieved.append((method, {name: body[name] for name in ("Level", "Resources")}))
        uids = [resource[IDENTIFIERS[body["Level"]]] for resource in body["Resources"]]
        reason = next((self.habits.failing[uid] for uid in uids if uid in self.habits.failing), "")
        if not reason:
            keyword = IDENTIFIERS[body["Level"]]
            absent = self.habits.lost | {str(dataset.SOPInstanceUID) for dataset in self.datasets}
            for dataset in self.pacs:
                if str(dataset[keyword].value) in uids and str(dataset.SOPInstanceUID) not in absent:
                    self.datasets.append(dataset)
        if self._is_old:
            return reply({"Message": "Error in the network protocol", "Details": reason}, 500) if reason else reply({})
        number = f"j{len(self.retrieved)}"
        self._jobs[number] = {"ID": number, "State": "Failure" if reason else "Success", "Type": "DicomMoveScu"}
        self._jobs[number] |= {"ErrorCode": 9, "ErrorDetails": reason} if reason else {"Content": {}, "Progress": 100}
        return reply({"ID": number, "Path": f"/jobs/{number}"})


def _is_of(name: str, level: str) -> bool:
    home = level_of_keyword(name)
    return ("study" if home == "patient" else home) == level.lower()


def _element(name: str, value: str) -> dict[str, Any]:
    return {"Name": name, "Type": "String", "Value": value}


@contextmanager
def opened(server: PacsServer) -> Iterator[Pacs]:
    """Yield a session on the PACS of a server."""
    with server, Orthanc(server.url, patience=0) as orthanc:
        yield orthanc.modality("PACS")


@contextmanager
def serving(
    habits: Habits | None = None, datasets: Sequence[Dataset] | None = None
) -> Iterator[tuple[PacsSource, PacsServer]]:
    """Yield the source of a PACS, and its server."""
    found = make_archive() if datasets is None else datasets
    with PacsServer(found, habits) as server, Transport(server.url, patience=0) as transport:
        yield PacsSource(transport, "PACS"), server
