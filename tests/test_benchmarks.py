"""The benchmark measures what it says: its data, its clock, its stand-in server, and its verdicts."""

from __future__ import annotations

import hashlib
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1

from benchmarks import cohorts, growth, jobs, report, summary
from benchmarks.archive import Archive, expected_kvp, orthanc_id, patient_tags, series_tags
from benchmarks.bars import BARS, Bar
from benchmarks.images import digest, make_compressed, make_ct, make_time_series
from benchmarks.jobs import FLOOR, OURS, Job, Place
from benchmarks.link import LINK, UNPACKED, measure, tasks
from benchmarks.relay import Relay
from benchmarks.throttle import ROUND_TRIP, Flow, Lane, Link
from benchmarks.timing import Contestant, Elsewhere, SkippedError, Timing, interleaved
from benchmarks.wire import Wire, read_files, store
from benchmarks.workload import Size, make_cohort
from simple_orthanc.local.server import LocalOrthanc
from simple_orthanc.testing.answers import pattern

SMALL = Archive(300)
# What is not the same in two archives with the same content, or not known to the stand-in.
VOLATILE = {"LastUpdate", "IsStable", "FileUuid", "FileSize", "IndexInSeries"}
VOLATILE |= {"Uuid", "CompressedMD5", "CompressedSize", "UncompressedMD5", "UncompressedSize"}


@given(st.integers(1, 3_000_000))
def test_every_object_of_an_archive_has_one_owner(instances: int) -> None:
    archive = Archive(instances)
    assert archive.studies_in(archive.patients - 1).stop == archive.studies
    assert archive.series_in(archive.studies - 1).stop == archive.series
    assert archive.instances_in(archive.series - 1).stop == instances
    for series in {0, archive.series // 2, archive.series - 1}:
        numbers = archive.instances_in(series)
        assert {archive.series_of(number) for number in numbers} == {series}
        assert series in archive.series_in(archive.study_of(series))


def test_the_default_archive_has_the_counts_it_promises() -> None:
    archive = Archive()
    assert (archive.patients, archive.studies, archive.series, archive.instances) == (581, 1103, 2111, 20_000)


def test_an_archive_is_made_of_dicom_files() -> None:
    for number, content in enumerate(SMALL.files(range(40))):
        dataset = pydicom.dcmread(io.BytesIO(content))
        series = SMALL.series_of(number)
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID
        assert dataset.SeriesDescription == series_tags(series)["SeriesDescription"]
        assert dataset.pixel_array.shape == (8, 8)
        kvp = dataset.get("KVP")
        assert (None if kvp is None else str(kvp)) == expected_kvp(series, number)


def test_the_ct_is_the_same_every_time(tmp_path: Path) -> None:
    first, again = (make_ct(tmp_path / name, (3, 32, 32)) for name in ("a", "b"))
    assert first.digest == again.digest
    assert first.instances == again.instances
    values = np.stack([pydicom.dcmread(path).pixel_array for path in first.files]).astype(np.int16) - 1024
    assert digest(values) == first.digest
    assert values.std() > 10


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLosslessSV1])
def test_compressed_copies_hold_the_same_values_as_a_series_of_their_own(tmp_path: Path, syntax: str) -> None:
    original = make_ct(tmp_path / "ct", (4, 32, 32))
    copy = make_compressed(tmp_path / "copy", original, 3, syntax)
    datasets = [pydicom.dcmread(path) for path in copy.files]
    assert {dataset.file_meta.TransferSyntaxUID for dataset in datasets} == {syntax}
    values = np.stack([dataset.pixel_array for dataset in datasets]).astype(np.int16) - 1024
    assert digest(values) == copy.digest
    wanted = np.stack([pydicom.dcmread(path).pixel_array for path in original.files[:3]])
    assert np.array_equal(values + 1024, wanted)
    assert not {copy.series, *copy.instances} & {original.series, *original.instances}


def test_a_digest_distinguishes_arrays() -> None:
    array = np.arange(12, dtype=np.int16).reshape(3, 2, 2)
    assert digest(array) == digest(array.astype(np.float32)[..., None])
    assert digest(array) != digest(array[::-1])
    assert digest(array) != digest(array.reshape(3, 4, 1))
    assert digest(array + 0.5) == "not 16-bit integers"


def test_contestants_take_turns() -> None:
    order: list[str] = []
    ways = {name: Contestant(lambda name=name: order.append(name)) for name in "abc"}  # type: ignore[misc]
    timings = interleaved(ways, 4)
    assert "".join(order) == "abc" + "bca" + "cab" + "abc"
    assert all(len(timing.seconds) == 4 for timing in timings.values())


def test_slow_contestants_run_less_often() -> None:
    seconds = {"quick": 0.1, "long": 6.0, "longest": 11.0}
    ways = {name: Contestant(lambda each=each: Elsewhere(each, "")) for name, each in seconds.items()}  # type: ignore[misc]
    timings = interleaved(ways, 5)
    assert {name: len(timing.seconds) for name, timing in timings.items()} == {"quick": 5, "long": 2, "longest": 1}


def test_a_sample_is_scaled_to_the_whole_job() -> None:
    way = Contestant(lambda: Elsewhere(0.5, ""), share=0.25, note="from a sample")
    timing = interleaved({"a": way}, 3)["a"]
    assert timing.median == 2.0
    assert timing.note == "from a sample"


def test_wrong_and_failing_contestants_are_seen() -> None:
    def fail() -> None:
        raise SkippedError("not installed")

    timings = interleaved({"wrong": Contestant(lambda: 3, lambda found: found == 4), "none": Contestant(fail)}, 2)
    assert timings["wrong"].right is False
    assert timings["none"].error == "not installed"
    assert timings["none"].median is None
    text = report.table([Job("volume", "a volume", timings)])
    assert "wrong result" in text
    assert "not installed" in text


def job(ours: float, **others: float) -> Job:
    named = {OURS: ours, **{name.replace("_", " "): seconds for name, seconds in others.items()}}
    return Job("column", "descriptions", {name: Timing([seconds], True) for name, seconds in named.items()})


def test_a_bar_is_missed_above_its_ratio_only() -> None:
    bar = next(bar for bar in BARS if bar.job == "column" and bar.against == "bare request")
    at, above = (
        report.judge([job(seconds, bare_request=1.0, one_request_per_series=1000)], (1, 10, 1), peers=False)
        for seconds in (bar.at_most, bar.at_most + 0.01)
    )
    assert [verdict.met for verdict in at] == [True]
    assert report.missed(at, "Orthanc 1.10.1") == []
    assert [verdict.met for verdict in above] == [False]
    assert report.missed(above, "Orthanc 1.10.1") == [
        "Orthanc 1.10.1: column, against bare request: 1.41 instead of 1.40"
    ]


def test_bars_hold_for_their_versions_and_their_contestants() -> None:
    column = job(1, bare_request=1, one_request_per_series=100, PyOrthanc=10)
    found = {
        (numbers, peers): [verdict.bar.against for verdict in report.judge([column], numbers, peers)]
        for numbers in ((1, 10, 1), (1, 12, 7))
        for peers in (False, True)
    }
    assert found == {
        ((1, 10, 1), False): ["bare request"],
        ((1, 10, 1), True): ["bare request"],
        ((1, 12, 7), False): ["bare request", "one request per series"],
        ((1, 12, 7), True): ["bare request", "one request per series", "PyOrthanc"],
    }


def test_a_wrong_result_meets_no_bar() -> None:
    column = job(0.001, bare_request=1.0)
    column.timings[OURS].right = False
    (verdict,) = report.judge([column], (1, 10, 1), peers=False)
    assert not verdict.met
    other = Job("4D", "a job without a bar", {OURS: Timing([1.0], False)})
    assert [each.met for each in report.judge([other], (1, 10, 1), peers=False)] == [False]


def test_a_failed_measurement_misses_its_bar() -> None:
    column = job(1.0)
    (verdict,) = report.judge([column], (1, 10, 1), peers=False)
    assert not verdict.met
    assert "bare request" in verdict.reason


def test_every_bar_can_be_met_and_is_unique() -> None:
    assert len({(bar.job, bar.against, bar.versions) for bar in BARS}) == len(BARS)
    assert all(bar.at_most > 0 and (bar.aim is None or bar.aim < bar.at_most) for bar in BARS)
    assert Bar("a", "b", 1.0, ((1, 12), (99,))).holds_for((1, 12, 0))
    assert not Bar("a", "b", 1.0, ((1, 10), (1, 11))).holds_for((1, 11))


@pytest.fixture(scope="module")
def imitation() -> Iterator[str]:
    with growth.stand_in(SMALL.instances) as url:
        yield url


def same_everywhere(answer: Any) -> Any:
    """What must be equal in the answers of two servers with the same archive."""
    if isinstance(answer, dict):
        return {name: same_everywhere(value) for name, value in answer.items() if name not in VOLATILE}
    if isinstance(answer, list):
        return sorted((same_everywhere(each) for each in answer), key=lambda each: json.dumps(each, sort_keys=True))
    return answer


NAME = patient_tags(2)["PatientName"]
STUDY = SMALL.studies_in(2)[0]
STUDY_ID = orthanc_id("BENCH0000002", f"1.2.826.0.1.3680043.8.498.1.{STUDY}")
QUESTIONS: list[tuple[str, dict[str, Any] | None]] = [
    *((f"/{route}?expand", None) for route in ("patients", "studies", "series", "instances")),
    *((f"/{route}?expand&short", None) for route in ("studies", "series", "instances")),
    ("/instances", None),
    (f"/studies/{STUDY_ID}", None),
    (f"/studies/{STUDY_ID}/series?expand&short", None),
    ("/tools/find", {"Level": "Study", "Query": {"PatientName": NAME.lower()}, "Expand": True, "Short": True}),
    ("/tools/find", {"Level": "Study", "Query": {"PatientName": "*" + NAME[2:6] + "*"}, "Expand": True, "Short": True}),
    ("/tools/find", {"Level": "Series", "Query": {"PatientName": f"{NAME[:3]}*\\nobody"}, "Expand": False}),
    ("/tools/find", {"Level": "Series", "Query": {"PatientName": f"{NAME}\\nobody"}, "Expand": False}),
    ("/tools/find", {"Level": "Series", "Query": {"SeriesDescription": "T2**"}, "Expand": True}),
    ("/tools/find", {"Level": "Series", "Query": {"0008,0060": "MR", "StudyDescription": "Head"}, "Expand": True}),
    (
        "/tools/find",
        {"Level": "Instance", "Query": {"SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2.3"}, "Expand": True},
    ),
    ("/tools/find", {"Level": "Patient", "Query": {"PatientID": "*"}, "Expand": True}),
    *(
        ("/tools/find", {"Level": level, "Query": {}, "Short": True, "ResponseContent": ["MainDicomTags", *more]})
        for level, more in {"Study": ["Parent"], "Series": ["Parent", "Children"], "Instance": ["Attachments"]}.items()
    ),
    ("/tools/find", {"Level": "Series", "Query": {}, "ParentStudy": STUDY_ID, "ResponseContent": ["Parent"]}),
    ("/tools/find", {"Level": "Instance", "Query": {}, "ParentStudy": STUDY_ID, "ResponseContent": []}),
    ("/tools/find", {"Level": "Patient", "Query": {"PatientName": "nobody"}, "Expand": True}),
    ("/tools/bulk-content", {"Resources": [STUDY_ID], "Level": "Study", "Short": True, "Metadata": False}),
]


def test_the_tables_of_the_readme_are_those_of_the_run() -> None:
    text = summary.README.read_text(encoding="utf-8")
    run = json.loads(summary.RUN.read_text(encoding="utf-8"))
    assert summary.written(text, run) == text


def test_a_summary_names_failed_and_wrong_results() -> None:
    timings = {
        OURS: {"seconds": [0.5], "median": 0.5, "right": True},
        "floor": {"seconds": [0.25], "median": 0.25},
        "PyOrthanc": {"seconds": [5.0], "median": 5.0, "right": False},
        "beren": {"seconds": [], "median": None, "error": "it does not"},
    }
    growing = {"timings": {"9 instances": {"median": 0.01}}, "figures": {"requests, 9 instances": 6}}
    run = {
        "date": "2026-01-02T03:04:05+00:00",
        "minutes": 7.4,
        "python": "3.11",
        "processors": 2,
        "packages": {"numpy": "2"},
        "orthanc": {
            "1.12": {
                "jobs": [
                    {"job": "volume", "title": "a volume", "timings": timings, "figures": {}},
                    {"job": "upload", "title": "an upload", "timings": {OURS: {"median": None}}, "figures": {}},
                    {"job": "growth", "title": "growth", **growing},
                ],
                "bars": [
                    {"job": "volume", "against": "floor", "at_most": 1.4, "measured": 2.0, "met": False},
                    {"job": "upload", "against": "plain loop", "at_most": 1.0, "measured": None, "met": False},
                ],
            }
        },
    }
    lines = summary.summary(run).splitlines()
    assert lines[0].startswith("2026-01-02, in 7 minutes. Python 3.11, 2 processors. numpy 2.")
    assert "| a volume | 0.50 s | 2 |  |  |  | 0.10 (wrong result) |  |  |  |  |" in lines
    assert "| an upload | failed |  |  |  |  |  |  |  |  |  |" in lines
    assert "| volume: floor | 1.40 | 2 | **missed** |" in lines
    assert "| upload: plain loop | 1 |  | **missed** |" in lines
    assert lines[-1] == "| 1.12 | 6 requests, 10.0 ms |"


def test_the_stand_in_answers_as_orthanc_does(empty_server: LocalOrthanc, imitation: str) -> None:
    if not empty_server.version.startswith("1.12."):
        pytest.skip("the stand-in is Orthanc 1.12")
    store(empty_server.url, [SMALL.zipped(range(SMALL.instances))])
    with Wire(empty_server.url) as real, Wire(imitation) as imitated:
        for path, body in QUESTIONS:
            wanted, found = real.json(path, body), imitated.json(path, body)
            assert same_everywhere(found) == same_everywhere(wanted), path
        counts = [wire.json("/statistics") for wire in (real, imitated)]
        for name in ("CountPatients", "CountStudies", "CountSeries", "CountInstances"):
            assert counts[0][name] == counts[1][name]
        systems = [wire.json("/system") for wire in (real, imitated)]
        assert systems[0]["MainDicomTags"] == systems[1]["MainDicomTags"]
        assert set(systems[1]) <= set(systems[0])
        changes = [wire.json("/changes?last") for wire in (real, imitated)]
        assert changes[0].keys() == changes[1].keys()
        assert changes[0]["Changes"][0].keys() == changes[1]["Changes"][0].keys()


def test_the_stand_in_pages(imitation: str) -> None:
    with Wire(imitation) as wire:
        whole = wire.json("/series")
        assert wire.json("/series?since=5&limit=7") == whole[5:12]
        question = {"Level": "Series", "Query": {}}
        assert wire.json("/tools/find", {**question, "Since": 30, "Limit": 20}) == whole[30:]
        assert wire.json("/changes?since=298&limit=10")["Done"] is True
        assert [each["Seq"] for each in wire.json("/changes?since=10&limit=3")["Changes"]] == [11, 12, 13]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/jobs", None, 501),
        ("/tools/find", {"Level": "Series", "Query": {"KVP": "120"}}, 501),
        ("/tools/find", {"Level": "Series", "Query": {}, "Labels": ["a"]}, 501),
        ("/series/none", None, 404),
    ],
)
def test_the_stand_in_refuses_what_it_does_not_know(
    imitation: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    answer = requests.request("GET" if body is None else "POST", imitation + path, json=body, timeout=10)
    assert answer.status_code == status


def test_a_session_works_on_the_stand_in(imitation: str) -> None:
    (step,) = growth.steps([(imitation, SMALL, "stand-in")], rounds=1)
    assert step.instances == SMALL.instances
    assert len(step.client) == len(step.seconds) == 4
    assert step.requests > 2


def test_cohorts_are_selected_frozen_and_mapped_over(imitation: str) -> None:
    found = list(cohorts.steps(imitation, 12))
    assert [each.series for each in found] == [12, 12, 12, 12, 12, 3, 9]
    by_name = {each.name.partition(",")[0]: each for each in found}
    assert by_name["pickle and land"].requests == 0
    assert by_name["select"].requests < 10
    (first, *lines) = list(cohorts.report([(31, found)]))[1:]
    assert first.startswith("| ---:")
    assert all(line.startswith("| 31 series | ") for line in lines)


def test_the_files_of_the_stand_in_are_those_of_its_checksums(imitation: str) -> None:
    with Wire(imitation) as wire:
        question = {"Level": "Instance", "Query": {}, "Limit": 2, "ResponseContent": ["Attachments"]}
        for answer in wire.json("/tools/find", question):
            content = requests.get(f"{imitation}/instances/{answer['ID']}/file", timeout=10).content
            (attachment,) = answer["Attachments"]
            assert attachment["UncompressedSize"] == len(content)
            assert attachment["UncompressedMD5"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert requests.get(f"{imitation}/instances/{'0' * 44}/file", timeout=10).status_code == 404


@pytest.mark.parametrize(("query", "count"), [("BENCH000000*", 10), ("*BENCH0000001", 1), ("*", 11), ("nobody", 0)])
def test_the_stand_in_finds_patients_by_their_ids(imitation: str, query: str, count: int) -> None:
    with Wire(imitation) as wire:
        found = wire.json("/tools/find", {"Level": "Patient", "Query": {"PatientID": query}})
    assert len(found) == min(count, SMALL.patients)


def test_growth_compares_the_largest_with_the_smallest() -> None:
    small = growth.Step(1000, "Orthanc", 8, 10_000, [0.010, 0.011, 0.030], [0.1])
    large = growth.Step(1_000_000, "stand-in", 12, 10_000, [0.022], [0.1])
    found = growth.judged([small, large])
    assert found.figures["requests, largest to smallest"] == 1.5
    assert found.figures["client time, largest to smallest"] == pytest.approx(2.0)
    assert not any(verdict.met for verdict in report.judge([found], (1, 12, 7), peers=False))


def test_a_relay_counts_requests_and_bytes(imitation: str) -> None:
    with Relay(imitation) as relay, Wire(relay.url) as wire:
        heads = [requests.get(relay.url + "/system", timeout=10) for _ in range(2)]
        body = wire.ask("POST", "/tools/find", json.dumps({"Level": "Series", "Query": {}}).encode())
    assert relay.requests == 3
    content = sum(len(answer.content) for answer in heads) + len(body)
    assert content < relay.received < content + 3 * 1000


def test_a_lane_passes_its_rate_in_turns_among_connections() -> None:
    lane = Lane(rate=1000.0, delay=0.5)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        long, short = Flow(ours, theirs), Flow(theirs, ours)
        assert lane.next_event() is None
        lane.put(long, bytes(24 << 10), now=10.0)
        lane.put(short, b"x" * 100, now=10.0)
        lane.put(short, b"", now=10.0)
        assert lane.next_event() == 0.0
        # Looked at late: no byte is later for that.
        arrived = lane.arrivals(now=100.0)
    assert [(flow is long, len(content)) for flow, content in arrived] == [
        *((True, 8192), (False, 100), (True, 8192), (False, 0), (True, 8192))
    ]
    assert lane.next_event() is None
    lane.put(long, bytes(1000), now=200.0)
    assert lane.arrivals(now=200.0) == []
    assert lane.next_event() == pytest.approx(201.5)
    assert lane.arrivals(now=201.4) == []
    assert len(lane.arrivals(now=201.5)) == 1


def test_a_lane_counts_from_when_it_was_free() -> None:
    lane = Lane(rate=1000.0, delay=0.0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        flow = Flow(ours, theirs)
        for number in range(4):
            lane.put(flow, bytes(1000), now=10.0 + number / 10)
        times = []
        while (event := lane.next_event()) is not None:
            times += [event] * len(lane.arrivals(event))
    assert times == pytest.approx([11.0, 12.0, 13.0, 14.0])


def test_a_link_passes_what_is_sent_and_counts_it(imitation: str) -> None:
    direct = requests.get(imitation + "/series?expand", timeout=10).content
    with Link(imitation, rate=1e9, round_trip=0.05) as link:
        before = link.figures()
        began, together = time.monotonic(), threading.Barrier(6, timeout=60)

        def ask(path: str) -> bytes:
            # So that each thread asks twice, however late it starts.
            together.wait()
            return wire.ask("GET", path)

        with Wire(link.url) as wire:
            bodies = wire.each(ask, ["/series?expand"] * 12, connections=6)
        # Each connection waits for two round trips before its first answer, and for one before its second.
        assert time.monotonic() - began >= 0.15
        passed = link.figures().since(before)
        assert bodies == [direct] * 12
        assert (passed.requests, passed.connections, passed.most_connections) == (12, 6, 6)
        assert 12 * len(direct) < passed.received < 12 * (len(direct) + 1000)
        assert passed.sent > 12 * len("GET /series?expand")
        assert link.seconds_for(passed) == pytest.approx(passed.received / 1e9 + 0.05)
    with pytest.raises(requests.ConnectionError):
        requests.get(link.url + "/system", timeout=10)


def test_a_link_does_not_pass_more_than_its_rate(imitation: str) -> None:
    with Link(imitation, rate=2e5, round_trip=0.0) as link, Wire(link.url) as wire:
        before, began = link.figures(), time.monotonic()
        while link.figures().since(before).received < 1e5:
            wire.each(lambda path: wire.ask("GET", path), ["/series?expand"] * 8, connections=4)
        seconds = time.monotonic() - began
        assert seconds >= 0.9 * link.figures().since(before).received / 2e5


def test_a_server_that_is_not_there_closes_the_connections_of_a_link() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Link(f"http://127.0.0.1:{port}", round_trip=0.0) as link, pytest.raises(requests.ConnectionError):
        requests.get(link.url, timeout=10)


def test_what_a_link_costs_is_measured_on_every_version(empty_server: LocalOrthanc, tmp_path: Path) -> None:
    volume = make_ct(tmp_path / "ct", (6, 32, 32))
    cohort = make_cohort(tmp_path / "cohort", Size(series=3, slices=(4, 16, 16)))
    for images in (volume, *cohort):
        store(empty_server.url, [path.read_bytes() for path in images.files])
    for task in tasks(volume, cohort, 4):
        job = measure(task, empty_server.url, rounds=1)
        for name, timing in job.timings.items():
            assert (timing.error, timing.right is False) == ("", False), (job.name, name)
        assert job.timings[OURS].right
        assert job.figures["requests"] > 0
        assert job.figures[LINK] > 0.5
        assert (UNPACKED in job.figures) == (task.unpacked is not None)
        assert job.timings[OURS].seconds[0] > ROUND_TRIP


def test_the_jobs_are_right_on_every_version(empty_server: LocalOrthanc, tmp_path: Path) -> None:
    series = (
        make_ct(tmp_path / "ct", (6, 32, 32)),
        make_time_series(tmp_path / "times", (2, 3, 16, 16)),
        make_time_series(tmp_path / "warm", (1, 4, 16, 16), "mr_warm", seed=3),
    )
    store(empty_server.url, [SMALL.zipped(range(SMALL.instances))])
    for images in series:
        store(empty_server.url, [path.read_bytes() for path in images.files])
    numbers = tuple(map(int, empty_server.version.split(".")))
    place = Place(empty_server.url, numbers, SMALL, range(SMALL.instances), series, rounds=1)
    jobs.warm(place)
    done = [
        jobs.volume(place, "volume", "", "ct_volume", jobs.no_peers),
        jobs.volume(place, "4D", "", "mr_times", jobs.no_peers, dims="time"),
        jobs.headers(place, "headers", "", jobs.no_peers),
        jobs.upload(place, jobs.no_peers),
        jobs.column(place, jobs.no_peers),
        jobs.table(place),
        jobs.kvp(place),
        jobs.one_patient(place),
    ]
    for each in done:
        for name, timing in each.timings.items():
            assert (timing.error, timing.right is False) == ("", False), (each.name, name)
            assert timing.seconds, (each.name, name)
    assert done[0].timings[FLOOR].right
    assert done[-1].figures["requests"] > 0
    assert read_files(place.url, series[0].instances) == series[0].size
    found = jobs.memory(place)
    assert found.figures["array in MB"] == pytest.approx(6 * 32 * 32 * 2 / 1e6)
    assert found.figures["risen by MB"] > 0


def test_the_first_table_of_a_folder_is_right(tmp_path: Path) -> None:
    job = jobs.first_table(tmp_path / "small", SMALL, SMALL.instances, 1)
    assert [(timing.error, timing.right) for timing in job.timings.values()] == [("", True)] * 2


def test_patterns_are_those_of_orthanc() -> None:
    wildcards, values = pattern("Ab?d*"), pattern("a.b\\c")
    assert [bool(wildcards.fullmatch(text)) for text in ("abcd", "ABXDEF", "abd", "xabcd")] == [
        True,
        True,
        False,
        False,
    ]
    assert [bool(values.fullmatch(text)) for text in ("A.B", "c", "axb", "a.b\\c")] == [True, True, False, False]
