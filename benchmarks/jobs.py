"""The jobs: what is timed against what, on a running server that holds an archive."""

from __future__ import annotations

import io
import math
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import requests

from benchmarks import session
from benchmarks.archive import Archive, expected_kvp, patient_tags, series_tags
from benchmarks.images import PATIENT, Images, digest
from benchmarks.relay import Relay
from benchmarks.resources import peak_memory
from benchmarks.timing import ROUNDS, Contestant, Timing, interleaved
from benchmarks.wire import Wire, file_path, read_files
from simple_orthanc import Orthanc

OURS = "ours"
FLOOR = "floor"

# A way that would take longer than this is measured on a sample of its requests.
_SAMPLED_FROM = 20.0
_PROBE = 20
_SAMPLE = 50
# Each round reads the whole archive, which takes seconds.
_ROUNDS_OF_LONG = 3


@dataclass
class Job:
    """The results of one job.

    Attributes
    ----------
    name : str
        As bars name it.
    title : str
        What is done.
    timings : dict
        Contestant to times; ours first.
    figures : dict
        What is not a time: requests, bytes, memory.
    """

    name: str
    title: str
    timings: dict[str, Timing] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A running server and its content.

    Attributes
    ----------
    url : str
        The server's.
    version : tuple of int
        Of Orthanc.
    archive, numbers : Archive, range
        Which small instances it holds.
    series : tuple of Images
        Which series with real pixels it holds.
    """

    url: str
    version: tuple[int, ...]
    archive: Archive
    numbers: range
    series: tuple[Images, ...]
    rounds: int = ROUNDS

    def images(self, description: str) -> Images:
        """Return a series by its description."""
        return next(images for images in self.series if images.description == description)

    @property
    def instance_count(self) -> int:
        """Number of instances."""
        return len(self.numbers) + sum(len(images.files) for images in self.series)

    @property
    def series_count(self) -> int:
        """Number of series."""
        return 1 + self.archive.series_of(self.numbers[-1]) + len(self.series)


Peers = Callable[..., dict[str, Contestant]]
"""Returns the other clients' contestants for a job, by the name of the job: ``peers("volume", url=..., ...)``."""


def no_peers(job: str, **arguments: Any) -> dict[str, Contestant]:
    """Return no contestants."""
    return {}


def volume(place: Place, name: str, title: str, description: str, peers: Peers, **options: Any) -> Job:
    """Time a volume in one line against the same bytes over the wire, and the same files on the local disk."""
    images = place.images(description)
    right = partial(_is_array, images.digest)
    contestants = {
        OURS: Contestant(lambda: session.volume(place.url, images, **options), right),
        FLOOR: Contestant(lambda: read_files(place.url, images.instances), lambda size: bool(size == images.size)),
    }
    # Neither reads a fourth dimension, and SimpleITK's GDCM is not the usual decoder of compressed slices.
    if name == "volume":
        contestants["SimpleITK, local files"] = Contestant(
            lambda: _simpleitk(images), partial(_is_image, images.digest)
        )
    contestants["pydicom, local files"] = Contestant(lambda: _pydicom(images), right)
    if name.startswith("JPEG"):
        contestants["pydicom, all processors"] = Contestant(lambda: _decoded(images), right)
    contestants |= peers(
        name, url=place.url, description=description, series=images.series, uid=images.uid, digest=images.digest
    )
    return Job(name, title, interleaved(contestants, place.rounds))


def _is_array(wanted: str, array: Any) -> bool:
    return digest(array) == wanted


def _is_image(wanted: str, image: Any) -> bool:
    import SimpleITK

    return digest(SimpleITK.GetArrayViewFromImage(image)) == wanted


def _simpleitk(images: Images) -> Any:
    """Read with the names of the files known and in order, and without a copy to numpy: the least SimpleITK can do."""
    import SimpleITK

    # SimpleITK has no types.
    library: Any = SimpleITK
    reader = library.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in images.files])
    return reader.Execute()


def _pydicom(images: Images) -> Any:
    """Decode one after the other, on one processor: GDCM would start threads of its own."""
    if not hasattr(os, "sched_setaffinity"):
        return _decoded(images)
    allowed = os.sched_getaffinity(0)
    # For this thread, and those that it starts.
    os.sched_setaffinity(0, {min(allowed)})
    try:
        return _decoded(images)
    finally:
        os.sched_setaffinity(0, allowed)


def _decoded(images: Images) -> Any:
    array = np.empty((len(images.files), *images.shape[-2:]), np.int16)
    for number, path in enumerate(images.files):
        dataset = pydicom.dcmread(path)
        array[number] = dataset.pixel_array
        array[number] += int(dataset.get("RescaleIntercept", 0))
    return array.reshape(images.shape)


def headers(place: Place, name: str, title: str, peers: Peers) -> Job:
    """Time headers without pixels against fetching the files whole and parsing the same headers."""
    images = place.images("ct_volume")
    contestants = {
        OURS: Contestant(lambda: session.headers(place.url, images), partial(_are_headers, images)),
        "whole files": Contestant(lambda: _whole_files(place.url, images), partial(_are_headers, images)),
    }
    if name == "headers":
        contestants[FLOOR] = Contestant(lambda: read_files(place.url, images.instances))
    contestants |= peers(
        "headers", url=place.url, description=images.description, uid=images.uid, digest=str(len(images.files))
    )
    job = Job(name, title.format(len(images.files)), interleaved(contestants, place.rounds))
    with Relay(place.url) as relay:
        session.headers(relay.url, images)
    job.figures = {"share of the bytes": relay.received / images.size, "requests": relay.requests}
    return job


def _whole_files(url: str, images: Images) -> list[pydicom.Dataset]:
    def one(instance: str) -> pydicom.Dataset:
        content = io.BytesIO(wire.ask("GET", file_path(instance)))
        return pydicom.dcmread(content, stop_before_pixels=True)

    with Wire(url) as wire:
        return wire.each(one, images.instances)


def _are_headers(images: Images, found: Sequence[pydicom.Dataset]) -> bool:
    wanted = [pydicom.dcmread(path, stop_before_pixels=True) for path in images.files]
    return list(found) == wanted


def upload(place: Place, peers: Peers) -> Job:
    """Time an upload against a loop with one kept connection; what was uploaded is deleted before each."""
    images = place.images("ct_volume")
    folder = images.files[0].parent

    def delete() -> None:
        requests.delete(f"{place.url}/series/{images.series}", timeout=600)

    def is_stored(_: Any) -> bool:
        with Wire(place.url) as wire:
            return len(wire.json(f"/series/{images.series}")["Instances"]) == len(images.files)

    contestants = {
        OURS: Contestant(lambda: session.upload(place.url, folder), is_stored, delete),
        "plain loop": Contestant(lambda: _plain_loop(place.url, images), is_stored, delete),
    }
    for name, contestant in peers("upload", url=place.url, folder=str(folder)).items():
        contestants[name] = Contestant(contestant.run, is_stored, delete, note=contestant.note)
    title = f"upload of {len(images.files)} files, {images.size / 1e6:.0f} MB"
    return Job("upload", title, interleaved(contestants, place.rounds))


def _plain_loop(url: str, images: Images) -> None:
    with requests.Session() as http_session:
        for path in images.files:
            http_session.post(f"{url}/instances", data=path.read_bytes(), timeout=600).raise_for_status()


def bare_request(url: str) -> list[Any]:
    """List all series with their main tags on a new connection, and parse the answer."""
    with Wire(url) as wire:
        found: list[Any] = wire.json("/series?expand")
    return found


def column(place: Place, peers: Peers) -> Job:
    """Time the descriptions of all series on a fresh session."""
    named = {series_tags(number)["SeriesDescription"] for number in range(place.series_count - len(place.series))}
    wanted = named | {images.description for images in place.series}
    contestants = {
        OURS: Contestant(lambda: session.column(place.url), lambda found: set(found) == wanted),
        "bare request": Contestant(lambda: bare_request(place.url), lambda found: len(found) == place.series_count),
        "one request per series": _one_by_one(place.url),
        **peers("column", url=place.url, digest=" ".join(sorted(wanted))),
    }
    return Job("column", f"descriptions of {place.series_count:,} series", interleaved(contestants, place.rounds))


def _one_by_one(url: str) -> Contestant:
    """Ask for each series on one kept connection, or for a sample of them where all would take long."""

    def ask(identifiers: Sequence[str]) -> list[Any]:
        with Wire(url) as wire:
            return [wire.json(f"/series/{identifier}") for identifier in identifiers]

    with Wire(url) as wire:
        series: list[str] = wire.json("/series")
    random.Random(1).shuffle(series)
    began = time.perf_counter()
    ask(series[:_PROBE])
    expected = (time.perf_counter() - began) / min(_PROBE, len(series)) * len(series)
    sample, share, note = series, 1.0, ""
    if expected > _SAMPLED_FROM:
        sample = series[:_SAMPLE]
        share = len(sample) / len(series)
        note = f"from a sample of {len(sample)}"
    return Contestant(lambda: ask(sample), share=share, note=note)


def table(place: Place) -> Job:
    """Time a table of all series with columns of three levels."""
    count = place.series_count
    contestants = {
        OURS: Contestant(
            lambda: session.table(place.url),
            lambda found: found.shape == (count, 5) and not found.isna().any(axis=None),
        ),
        "bare request": Contestant(lambda: bare_request(place.url), lambda found: len(found) == count),
    }
    return Job("table", f"table of {count:,} series, five columns", interleaved(contestants, place.rounds))


def first_table(folder: Path, archive: Archive, count: int, rounds: int) -> Job:
    """Time the first table of a folder of small files against pydicom's reading of their headers.

    Parameters
    ----------
    folder : Path
        Where the files are made; nothing of it is known before.
    archive : Archive
        What is in it: the first instances of the archive.
    count : int
        Number of files.
    rounds : int
        How often each is timed.
    """
    folder.mkdir()
    for number, content in enumerate(archive.files(range(count))):
        (folder / f"{number}.dcm").write_bytes(content)
    series = 1 + archive.series_of(count - 1)

    def by_pydicom() -> list[pydicom.Dataset]:
        return [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.iterdir()]

    contestants = {
        OURS: Contestant(lambda: session.folder_table(folder), lambda found: len(found) == series),
        "pydicom, headers": Contestant(by_pydicom, lambda found: len(found) == count),
    }
    return Job("first table", f"first table of {count:,} small files", interleaved(contestants, rounds))


def kvp(place: Place) -> Job:
    """Time a tag that is not in the server's database, for every instance, against the cheapest ways of the server."""
    wanted: Counter[float] = Counter()
    for number in place.numbers:
        value = expected_kvp(place.archive.series_of(number), number)
        wanted[math.inf if value is None else float(value)] += 1
    for images in place.series:
        wanted[math.inf if images.description.startswith("mr_") else 120.0] += len(images.files)

    def is_right(found: Sequence[Any]) -> bool:
        return Counter(math.inf if value is None else float(value) for value in found) == wanted

    ways = {name: Contestant(run, is_right) for name, run in _ways_to_kvp(place).items()}
    rounds = min(place.rounds, _ROUNDS_OF_LONG)
    timings = interleaved({OURS: Contestant(lambda: session.kvp(place.url), is_right), **ways}, rounds)
    ended = {name: timings[name].median for name in ways if timings[name].right}
    best = min(ended, key=lambda name: ended[name] or math.inf)
    timings["cheapest single way"] = Timing(list(timings[best].seconds), True, note=best)
    return Job("KVP", f"KVP of {place.instance_count:,} instances", timings)


def _ways_to_kvp(place: Place) -> Mapping[str, Callable[[], list[Any]]]:
    def found_by(content: dict[str, Any]) -> list[Any]:
        question = {"Level": "Instance", "Query": {}, "RequestedTags": ["KVP"], **content}
        with Wire(place.url) as wire:
            return [answer["RequestedTags"].get("KVP") or None for answer in wire.json("/tools/find", question)]

    def tags_of(route: str) -> list[Any]:
        def one(identifier: str) -> list[Any]:
            answer = wire.json(f"/{route}/{identifier}/instances-tags?simplify")
            return [tags.get("KVP") or None for tags in answer.values()]

        with Wire(place.url) as wire:
            return [value for values in wire.each(one, wire.json(f"/{route}")) for value in values]

    if place.version < (1, 12, 5):
        return {f"instances-tags of {route}": partial(tags_of, route) for route in ("series", "patients")}
    # Without Attachments the server would look up each instance by itself.
    return {"find, Attachments": partial(found_by, {"ResponseContent": ["RequestedTags", "Parent", "Attachments"]})}


def typical_patient(archive: Archive) -> int:
    """Return the number of the first patient with two studies and four series, as there is one in every archive."""
    for patient in range(archive.patients):
        studies = archive.studies_in(patient)
        if len(studies) == 2 and sum(len(archive.series_in(study)) for study in studies) == 4:
            return patient
    raise ValueError(f"no patient of {archive} has two studies and four series")


def one_patient(place: Place) -> Job:
    """Time selecting a patient and counting at four levels, and count the requests, without those of connecting."""
    patient = typical_patient(place.archive)
    name = patient_tags(patient)["PatientName"]
    studies = place.archive.studies_in(patient)
    series = [number for study in studies for number in place.archive.series_in(study)]
    wanted = (1, len(studies), len(series), sum(len(place.archive.instances_in(number)) for number in series))
    contestants = {OURS: Contestant(lambda: session.one_patient(place.url, name), lambda found: found == wanted)}
    job = Job("one patient", "select one patient by name, count at four levels", interleaved(contestants, place.rounds))
    with Relay(place.url) as relay:
        Orthanc(relay.url).close()
        connecting = relay.requests
        session.one_patient(relay.url, name)
        job.figures = {"requests": relay.requests - 2 * connecting, "requests to connect": connecting}
    return job


def memory(place: Place) -> Job:
    """Measure the memory of the one-line volume."""
    job = Job("memory", "peak resident memory of the one-line volume")
    job.figures = peak_memory(place.url, place.images("mr_warm"), place.images("ct_volume"))
    return job


def warm(place: Place) -> None:
    """Do small jobs, so that everything imported on first use is loaded for all runs, and none of the archive is."""
    small = place.images("mr_warm")
    session.volume(place.url, small)
    session.headers(place.url, small)
    with Orthanc(place.url) as orthanc:
        orthanc.select(PatientName=PATIENT, SeriesDescription=small.description).table("KVP")
    read_files(place.url, small.instances)
