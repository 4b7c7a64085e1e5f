"""The small archive of the bench, the servers that hold it, and what they truly hold, asked without the library."""

from __future__ import annotations

import io
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from simple_orthanc.phantom import make_series
from tests.dicomweb_stand_in import DicomServer
from tests.faults.messages import Request, ask
from tests.http_stand_in import Asked
from tests.memory_source import as_file

SPACING = (2.5, 0.5, 0.5)
ORIGIN = (-8.0, -9.0, 30.0)
STUDIES = 6
SLICES = 20
SMALL = 5
_NUMBERS = itertools.count(1)


def _pixels(slices: int, seed: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.random.default_rng(seed).integers(-1000, 2000, (slices, 24, 24)).astype(np.int16)


@dataclass
class Series:
    """A series of files, with its pixels."""

    patient: str
    pixels: np.ndarray[Any, np.dtype[np.int16]]
    datasets: list[Dataset]
    files: dict[str, bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.files = {str(dataset.SOPInstanceUID): as_file(dataset) for dataset in self.datasets}


def make(patient: str, slices: int, seed: int, **tags: Any) -> Series:
    """Make a CT series with random pixels."""
    pixels = _pixels(slices, seed)
    datasets = make_series(
        array=pixels, spacing=SPACING, origin=ORIGIN, PatientID=patient, PatientName=f"Name^{patient}", **tags
    )
    return Series(patient, pixels, datasets)


def make_archive() -> list[Series]:
    """Make six studies: a CT of twenty slices, and five small ones of two other patients."""
    whole = [make("CT-1", SLICES, 1, StudyDate="20200101", SeriesDescription="the volume")]
    return whole + [
        make(f"OTHER-{number % 2}", 2, number, StudyDate=f"2021010{number}", SeriesDescription=f"small {number}")
        for number in range(2, STUDIES + 1)
    ]


def make_small() -> Series:
    """Make a series of a patient of its own, for one upload or one deletion."""
    number = next(_NUMBERS)
    return make(f"SMALL-{number:05d}", SMALL, 1000 + number, StudyDate="20220101")


def is_same(content: bytes, other: bytes) -> bool:
    """Check whether two DICOM files hold the same dataset; a server may have written its own header."""
    return content == other or _read(content) == _read(other)


def _read(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content))


class Server(Protocol):
    """A server below test.

    Attributes
    ----------
    name : str
        As in "Orthanc 1.10.1".
    url : str
        Its root.
    prefix : str
        The path of its DICOMweb service.
    lacks : set of (str, str)
        Protocols and the operations that it does not offer over them.
    counts : bool
        Whether it counts all that it holds, without a search.
    """

    name: str
    url: str
    prefix: str
    lacks: ClassVar[set[tuple[str, str]]]
    counts: ClassVar[bool]

    def put(self, files: Iterable[bytes]) -> None:
        """Store files."""

    def held(self, patient: str) -> dict[str, bytes]:
        """Return the files of a patient by their SOPInstanceUID."""

    def orthanc_id(self, dataset: Dataset) -> str:
        """Return the id of an instance in Orthanc's own API."""


class OrthancServer:
    """An Orthanc, asked through its own REST API."""

    prefix = "/dicom-web"
    lacks: ClassVar[set[tuple[str, str]]] = {("DICOMweb", "delete")}
    counts: ClassVar[bool] = True

    def __init__(self, url: str, version: str) -> None:
        self.url = url
        self.name = f"Orthanc {version}"

    def _ask(self, method: str, target: str, body: bytes = b"") -> bytes:
        answer = ask(self.url, Request(method, target, {}, body))
        assert answer.status == 200, f"{method} {target}: {answer.status} {answer.body[:200]!r}"
        return answer.body

    def put(self, files: Iterable[bytes]) -> None:
        """Store files."""
        for content in files:
            self._ask("POST", "/instances", content)

    def held(self, patient: str) -> dict[str, bytes]:
        """Return the files of a patient by their SOPInstanceUID."""
        query = {"Level": "Instance", "Query": {"PatientID": patient}, "Expand": True}
        instances = json.loads(self._ask("POST", "/tools/find", json.dumps(query).encode()))
        return {
            instance["MainDicomTags"]["SOPInstanceUID"]: self._ask("GET", f"/instances/{instance['ID']}/file")
            for instance in instances
        }

    def orthanc_id(self, dataset: Dataset) -> str:
        """Return the id of an instance in Orthanc's own API."""
        found = json.loads(self._ask("POST", "/tools/lookup", str(dataset.SOPInstanceUID).encode()))
        return str(next(match["ID"] for match in found if match["Type"] == "Instance"))


class ThreadSafeServer(DicomServer):
    """A DICOMweb server over datasets that many clients change at once."""

    changing = threading.Lock()

    def answer(self, asked: Asked, count: int) -> bytes:
        """Answer a request; changes one after the other."""
        if asked.method == "GET":
            return super().answer(asked, count)
        with self.changing:
            return super().answer(asked, count)

    def add(self, datasets: Iterable[Dataset]) -> None:
        """Hold further datasets."""
        with self.changing:
            self.datasets += datasets


class StandInServer:
    """A DICOMweb server over datasets in memory."""

    name = "a DICOMweb stand-in"
    prefix = "/dicom-web"
    lacks: ClassVar[set[tuple[str, str]]] = set()
    counts: ClassVar[bool] = False

    def __init__(self, server: ThreadSafeServer) -> None:
        self._server = server
        self.url = server.url

    def put(self, files: Iterable[bytes]) -> None:
        """Store files."""
        self._server.add(_read(content) for content in files)

    def held(self, patient: str) -> dict[str, bytes]:
        """Return the files of a patient by their SOPInstanceUID."""
        return {
            str(dataset.SOPInstanceUID): as_file(dataset)
            for dataset in list(self._server.datasets)
            if dataset.PatientID == patient
        }

    def orthanc_id(self, dataset: Dataset) -> str:
        """Return an id that no request contains."""
        return str(dataset.SOPInstanceUID)


def swapper(server: Server, dataset: Dataset) -> Callable[[str], str]:
    """Return a function that turns the address of an instance into that of another."""
    own_id = server.orthanc_id(dataset)
    path = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"

    def swap(target: str) -> str:
        target = re.sub(r"/instances/[0-9a-f-]{44}/", f"/instances/{own_id}/", target)
        target = re.sub(r"/studies/[\d.]+/series/[\d.]+", path, target)
        return re.sub(r"/instances/[\d.]{20,}", f"/instances/{dataset.SOPInstanceUID}", target)

    return swap


def is_file_request(request: Request) -> bool:
    """Check whether a request asks for an object or for the headers of a series."""
    return request.method == "GET" and bool(_FILE.search(request.path))


def is_listing(request: Request) -> bool:
    """Check whether a request asks for a list of objects."""
    if request.method == "POST":
        return request.path == "/tools/find"
    return request.method == "GET" and bool(_LISTING.search(request.path))


_FILE = re.compile(r"/instances/(?:[0-9a-f-]{44}/(?:file|attachments/dicom[^/]*/data)|[\d.]{20,})$|/metadata$")
_LISTING = re.compile(r"/(?:patients|studies|series|instances)$")
