"""The index: what it requests, and how often."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection import index as index_module
from simple_orthanc.selection.index import ROW_LEVELS, Index, NotKnownError, part_of
from simple_orthanc.selection.predicates import StringIs
from simple_orthanc.selection.source import Row
from tests.memory_source import MemorySource, instance


def archive(patients: int = 2, studies: int = 2, series: int = 2, instances: int = 3) -> list[Dataset]:
    return [
        instance(i, series=str(s), study=f"{p}.{t}", patient=f"P{p}", SeriesDescription=f"d{s}", KVP=str(100 + i))
        for p in range(patients)
        for t in range(studies)
        for s in range(series)
        for i in range(instances)
    ]


def keys(source: MemorySource, level: Level) -> list[str]:
    return list(dict.fromkeys(source.key(dataset, level) for dataset in source.datasets))


def texts(index: Index, name: str, level: Level, rows: list[str]) -> list[str | None]:
    return [None if value is None else str(value[0]) for value in index.column(parse_tag(name), level, rows)]


def test_nothing_is_asked_before_it_is_needed() -> None:
    source = MemorySource(archive())
    Index(source)
    assert source.requests == 0


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_a_level_is_listed_once(level: Level) -> None:
    source = MemorySource(archive())
    index = Index(source)
    assert index.everything(level) == keys(source, level)
    assert index.is_listed(level)
    index.everything(level)
    index.load(level, keys(source, level))
    index.search(level, parse_tag("SeriesDescription"), StringIs("*"))
    assert [what for what in source.asked if what != "revision"] == [f"listing {level}"]


def test_counts_come_with_the_revision() -> None:
    source = MemorySource(archive())
    index = Index(source)
    index.begin()
    assert index.counts() == {"patient": 2, "study": 4, "series": 8, "instance": 24}
    index.begin()
    assert source.asked == ["revision"]


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize(("above", "below"), [("study", "series"), ("study", "instance"), ("series", "instance")])
def test_up_reverses_down(above: Level, below: Level, extra: bool) -> None:
    source = MemorySource(archive(), extra=extra)
    index = Index(source)
    chosen = keys(source, above)[1:2]
    inner = index.down(above, chosen, below)
    expected = [source.key(each, below) for each in source.datasets if source.key(each, above) == chosen[0]]
    assert inner == list(dict.fromkeys(expected))
    assert index.up(below, inner, above) == chosen * len(inner)
    assert index.up(below, inner, "patient") == ["P0"] * len(inner)
    # Few are wanted, so no level is listed whole.
    assert not any(what.startswith("listing") for what in source.asked)


def test_rows_are_fetched_through_their_parents_in_one_request() -> None:
    source = MemorySource(archive(instances=9))
    index = Index(source)
    index.load("series", keys(source, "series")[:2])
    before = source.requests
    inner = index.down("series", keys(source, "series")[:2], "instance")
    index.load("instance", inner)
    assert len(inner) == 18
    assert source.asked[before:] == ["below instance"]


def test_most_of_a_level_is_listed_rather_than_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    # To count takes a request, which few rows are not worth.
    monkeypatch.setattr(index_module, "_FEW", 5)
    source = MemorySource(archive())
    index = Index(source)
    index.load("series", keys(source, "series")[1:])
    assert "listing series" in source.asked
    assert not any(what.startswith(("rows", "below")) for what in source.asked)


def test_patients_have_no_rows_to_go_down_from() -> None:
    with pytest.raises(ValueError, match="start from studies"):
        Index(MemorySource(archive())).down("patient", ["P0"], "study")


@pytest.mark.parametrize("listed", [False, True])
def test_missing_rows_are_an_error(listed: bool) -> None:
    source = MemorySource(archive())
    index = Index(source)
    wanted = keys(source, "series")
    if listed:
        del source.datasets[-3:]
        index.everything("series")
    else:
        index.load("study", [source.key(each, "study") for each in source.datasets[-1:]])
        del source.datasets[-3:]
        wanted = wanted[-2:]
    with pytest.raises(SelectionError, match=r"1 of \d objects of level series is not known: .* refresh\(\)"):
        index.load("series", wanted)


@pytest.mark.parametrize(
    "use",
    [
        lambda index: index.counts(),
        lambda index: index.everything("study"),
        lambda index: index.search("study", parse_tag("PatientName"), StringIs("*")),
        lambda index: index.load("series", ["P0|1.2.0.0|1.2.0.0.0"]),
        lambda index: index.server_field("label", "x"),
        lambda index: index.column(parse_tag("KVP"), "instance", ["P0|1.2.0.0|1.2.0.0.0|1.2.0.0.0.0"]),
    ],
)
def test_nothing_is_asked_offline(use: Callable[[Index], object]) -> None:
    source = MemorySource(archive())
    index = Index(source)
    with index.offline(), pytest.raises(NotKnownError):
        use(index)
    assert source.requests == 0
    with index.offline():
        with index.offline():
            pass
        with pytest.raises(NotKnownError):
            use(index)
    use(index)
    before = source.requests
    with index.offline():
        use(index)
    assert before == source.requests > 0


def test_a_column_comes_from_the_row_or_from_above_or_from_the_files() -> None:
    source = MemorySource(archive())
    index = Index(source)
    rows = index.everything("instance")
    assert texts(index, "InstanceNumber", "instance", rows) == [str(each.InstanceNumber) for each in source.datasets]
    assert texts(index, "SeriesDescription", "instance", rows) == [each.SeriesDescription for each in source.datasets]
    assert texts(index, "PatientID", "instance", rows) == [each.PatientID for each in source.datasets]
    assert not any(what.startswith("columns") for what in source.asked)
    assert texts(index, "KVP", "instance", rows) == [each.KVP.original_string for each in source.datasets]
    assert source.asked[-1] == "columns KVP"


def test_files_are_read_once_and_several_tags_in_one_pass() -> None:
    source = MemorySource(archive())
    index = Index(source)
    rows = index.everything("instance")
    tags = [parse_tag(name) for name in ("KVP", "ImageType", "SeriesDescription")]
    index.read_files(tags, rows[:5])
    index.read_files(tags, rows[:5])
    index.read_files([tags[0]], rows[:2])
    assert [what for what in source.asked if what.startswith("columns")] == ["columns KVP ImageType"]
    index.read_files([tags[0]], rows)
    assert [what for what in source.asked if what.startswith("columns")] == ["columns KVP ImageType", "columns KVP"]


def test_reading_very_many_files_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "FILES_BEFORE_WARNING", 23)
    source = MemorySource(archive())
    index = Index(source)
    rows = index.everything("instance")
    index.read_files([parse_tag("KVP")], rows[:23])
    with pytest.warns(UserWarning, match=r"ImageType: the index does not hold this, so 24 files are read.*Ctrl-C"):
        index.read_files([parse_tag("ImageType")], rows)


def test_a_series_with_unreliable_strings_is_reloaded_once() -> None:
    source = MemorySource(archive())
    source.doubtful = {"P0|1.2.0.0"}
    index = Index(source)
    rows = index.everything("series")
    assert texts(index, "SeriesDescription", "series", rows) == ["d0", "d1"] * 4
    assert texts(index, "SeriesDescription", "series", rows) == ["d0", "d1"] * 4
    assert source.asked.count("reload series") == 1


# When the archive changes


def test_an_archive_that_has_not_changed_is_not_read_again() -> None:
    source = MemorySource(archive())
    index = Index(source)
    rows = index.everything("instance")
    index.everything("series")
    index.column(parse_tag("KVP"), "instance", rows)
    before = source.requests
    fresh = index.updated()
    fresh.everything("series")
    fresh.column(parse_tag("KVP"), "instance", rows)
    fresh.counts()
    assert source.asked[before:] == ["changes"]


TOLD: dict[Level, str] = {"study": "PatientID", "series": "SeriesDescription", "instance": "InstanceNumber KVP"}


def everything_about(index: Index) -> dict[str, list[list[str | None]]]:
    found: dict[str, list[list[str | None]]] = {}
    for level, names in TOLD.items():
        rows = index.ordered(level, index.everything(level))
        found[level] = [list(rows), *(texts(index, name, level, rows) for name in names.split())]
    return found


@given(st.data())
def test_an_updated_index_knows_what_a_new_one_would(data: st.DataObject) -> None:
    pool = archive(2, 2, 1, 2)
    source = MemorySource(data.draw(st.lists(st.sampled_from(pool), unique_by=id)))
    index = Index(source)
    for level in data.draw(st.sets(st.sampled_from(LEVELS[1:]))):
        index.everything(level)
    if data.draw(st.booleans()):
        everything_about(index)
    before = index.counts()
    kept = [dataset for dataset in source.datasets if data.draw(st.booleans())]
    replaced = [Dataset(dataset) for dataset in kept[:1] if data.draw(st.booleans())]
    for dataset in replaced:
        dataset.KVP, dataset.InstanceNumber = "1", 77
    added = [dataset for dataset in pool if dataset not in source.datasets and data.draw(st.booleans())]
    source.datasets = [*replaced, *kept[len(replaced) :], *added]
    fresh = index.updated()
    assert everything_about(fresh) == everything_about(Index(MemorySource(source.datasets)))
    assert fresh.counts() == MemorySource(source.datasets).counts()
    assert index.counts() == before


def test_server_fields_are_requested_once() -> None:
    source = MemorySource(archive())
    source.server_fields["label", "x"] = {"study": {"P0|1.2.0.0": ("x",)}}
    index = Index(source)
    assert index.server_field("label", "x") == {"study": {"P0|1.2.0.0": ("x",)}}
    index.server_field("label", "x")
    assert source.asked.count("server field label x") == 1


def test_what_has_been_seen_is_known_without_a_request() -> None:
    source = MemorySource([instance(1, StudyDescription="head", ProtocolName="a\\b")])
    index = Index(source)
    description, protocol = parse_tag("StudyDescription"), parse_tag("ProtocolName")
    assert not index.has_seen(description, "head")
    assert source.requests == 0
    index.everything("study")
    index.read_files([protocol], index.everything("instance"))
    asked = source.requests
    assert index.has_seen(description, "head")
    assert not index.has_seen(description, "Head")
    assert all(index.has_seen(protocol, text) for text in ("a", "b", "a\\b"))
    assert not index.has_seen(protocol, "b\\a")
    assert source.requests == asked


def test_another_thread_may_send_requests_while_one_is_offline() -> None:
    index, began, released = Index(MemorySource(archive())), threading.Event(), threading.Event()
    listed: list[str] = []

    def stay_offline() -> None:
        with index.offline():
            began.set()
            released.wait(10)

    threads = [threading.Thread(target=stay_offline)]
    threads[0].start()
    began.wait(10)
    threads.append(threading.Thread(target=lambda: listed.extend(index.everything("study"))))
    threads[1].start()
    # Time for the second thread to come to the index.
    threads[1].join(0.05)
    released.set()
    for thread in threads:
        thread.join(10)
    assert len(listed) == 4


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_threads_fill_one_index_together(level: Level) -> None:
    source = MemorySource(archive())
    index, barrier, listed = Index(source), threading.Barrier(4), []

    def fill() -> None:
        barrier.wait(10)
        listed.append(tuple(index.ordered(level, index.everything(level))))

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(listed) == 4
    assert len(set(listed)) == 1
    alone = MemorySource(archive())
    one = Index(alone)
    one.ordered(level, one.everything(level))
    assert source.requests == alone.requests


@pytest.mark.parametrize("level", ROW_LEVELS)
def test_a_part_knows_what_the_whole_knows_of_it(level: Level) -> None:
    source = MemorySource(archive())
    index = Index(source)
    for each in ROW_LEVELS:
        index.everything(each)
    index.read_files([parse_tag("KVP")], index.everything("instance")[:9])
    counts = index.counts()
    keys = index.everything(level)[1:3]
    before = source.requests
    part = part_of(index, level, keys)
    instances = part.down(level, keys, "instance")
    assert instances == index.down(level, keys, "instance")
    for above in LEVELS[: depth(level)]:
        assert part.up("instance", instances, above) == index.up("instance", instances, above)
    assert part.counts() == counts
    known = [key for key in instances if key in index.everything("instance")[:9]]
    assert part.column(parse_tag("KVP"), "instance", known) == index.column(parse_tag("KVP"), "instance", known)
    assert source.requests == before
    # Nothing else, and what it reads is its own.
    other = next(key for key in index.everything("study") if key not in part.up("instance", instances, "study"))
    part.load("study", [other])
    assert source.requests > before


def test_a_part_of_what_is_hardly_known_reads_the_rest() -> None:
    source = MemorySource(archive())
    index = Index(source)
    series = index.everything("series")[2:3]
    part = part_of(index, "series", series)
    instances = part.down("series", series, "instance")
    assert part.column(parse_tag("InstanceNumber"), "instance", instances) == [("0",), ("1",), ("2",)]
    assert not index._rows["instance"]
    assert part.updated().revision is not None


def test_what_is_not_known_is_not_looked_for_in_each_row() -> None:
    class Rows(dict[str, Row]):
        def values(self) -> Any:
            raise AssertionError("each row was looked at")

    index = Index(MemorySource(archive()))
    series = index.everything("series")
    instances = index.down("series", series[:1], "instance")
    # The first to ask makes a map of all instances.
    index.up("instance", instances, "series")
    index._rows["series"] = Rows(index._rows["series"])
    with pytest.raises(NotKnownError), index.offline():
        index.load("instance", instances)
    index.load("instance", instances)
    assert index.row("instance", instances[0]).parent == series[0]
