"""A function is called for each new object once, whatever happens to it, to the server and to the program."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pandas as pd
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Orthanc
from simple_orthanc.errors import AuthenticationError, TransportError
from simple_orthanc.session.watching import watcher
from simple_orthanc.session.watching.watcher import Watcher
from tests.session.watched_server import WatchedServer
from tests.sources.contract import make_dataset

Step = Callable[[], object]


def image(number: int, series: str = "1", study: str = "1") -> Dataset:
    return make_dataset(number, series, study, "p1")


@pytest.fixture
def watched() -> Iterator[WatchedServer]:
    with WatchedServer([image(1)]) as stand_in:
        assert isinstance(stand_in, WatchedServer)
        yield stand_in


@pytest.fixture
def orthanc(watched: WatchedServer) -> Iterator[Orthanc]:
    with Orthanc(watched.url, patience=0) as session:
        yield session


class Calls:
    """A function that notes the objects it is called for, and fails where a test says so."""

    def __init__(self, fails: Callable[[int], Exception | None] = lambda count: None) -> None:
        self.objects: list[tuple[str, int]] = []
        self.count = 0
        self._fails = fails

    def __call__(self, session: Orthanc) -> None:
        self.count += 1
        error = self._fails(self.count)
        if error is not None:
            raise error
        (uid,) = session.get_dicom_tag("SeriesInstanceUID") if session.series_count == 1 else ("several",)
        self.objects.append((uid.rpartition(".")[2], session.instance_count))


def nothing() -> None:
    """Let the watcher look once more."""


def watch(orthanc: Orthanc, calls: Callable[[Any], object], *steps: Step, **options: Any) -> pd.DataFrame:
    """Watch without pauses: after each look at the server one step is carried out, and after the last one it ends."""
    stop, left = Event(), [*steps, nothing]

    def step(self: Watcher[Orthanc]) -> None:
        left.pop(0)()
        if not left:
            stop.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watcher, "_wait", step)
        return orthanc.watch(calls, stop=stop, **{"retry_after": 0, **options})


def test_what_is_new_is_called_for_and_what_was_there_is_not(watched: WatchedServer, orthanc: Orthanc) -> None:
    calls = Calls()
    table = watch(orthanc, calls, lambda: watched.datasets.extend([image(2, "2"), image(3, "2"), image(4, "3")]))
    assert calls.objects == [("2", 2), ("3", 1)]
    assert table.empty
    assert list(table.columns) == ["level", "id", "attempts", "given_up", "error"]


@pytest.mark.parametrize("is_extended", [True, False])
def test_everything_is_called_for_from_the_beginning(
    watched: WatchedServer, orthanc: Orthanc, is_extended: bool
) -> None:
    watched.held.is_extended = is_extended
    watched.datasets += [image(2, "2"), image(3, "3", "2")]
    for level, expected in (("series", [("1", 1), ("2", 1), ("3", 1)]), ("study", [("several", 2), ("3", 1)])):
        for stable in (True, False):
            calls = Calls()
            watch(orthanc, calls, level=level, stable=stable, since=0)
            assert calls.objects == expected


def test_what_still_arrives_at_the_first_start_is_called_for(watched: WatchedServer, orthanc: Orthanc) -> None:
    watched.datasets.append(image(2, "2"))
    _, arriving = watched.ids("series")
    watched.held.arriving = {arriving}
    calls = Calls()
    watch(orthanc, calls, nothing, lambda: watched.held.arriving.clear(), nothing)
    assert calls.objects == [("2", 1)]


def test_what_still_arrives_is_found_behind_any_number_of_entries(
    watched: WatchedServer, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "_LATEST", 10)
    watched.datasets += [image(number, str(number)) for number in (2, 3, 4)]
    watched.held.arriving = set(watched.ids("series")[1:])
    calls = Calls()
    watch(orthanc, calls, lambda: watched.held.arriving.clear(), nothing)
    assert sorted(calls.objects) == [("2", 1), ("3", 1), ("4", 1)]


def test_an_object_is_called_for_once_it_is_stable(watched: WatchedServer, orthanc: Orthanc) -> None:
    calls, early = Calls(), Calls()
    new = image(2, "2")
    watched.held.arriving = {watched.identifier_of(new, "series")}

    def complete() -> None:
        assert calls.objects == []
        watched.datasets.append(image(3, "2"))
        watched.held.arriving.clear()

    watch(orthanc, calls, lambda: watched.datasets.append(new), nothing, nothing, complete)
    assert calls.objects == [("2", 2)]
    watched.held.arriving = {watched.identifier_of(image(4, "4"), "series")}
    watch(orthanc, early, lambda: watched.datasets.append(image(4, "4")), stable=False)
    assert early.objects == [("4", 1)]


@pytest.mark.parametrize(("again", "expected"), [(True, [("2", 1), ("2", 2)]), (False, [("2", 1)])])
def test_an_object_that_has_grown_is_called_for_again(
    watched: WatchedServer, orthanc: Orthanc, again: bool, expected: list[tuple[str, int]]
) -> None:
    calls = Calls()
    steps = (lambda: watched.datasets.append(image(2, "2")), nothing, lambda: watched.datasets.append(image(3, "2")))
    watch(orthanc, calls, *steps, again=again)
    assert calls.objects == expected


def test_what_the_feed_repeats_is_called_for_once(watched: WatchedServer, orthanc: Orthanc, tmp_path: Path) -> None:
    calls = Calls()
    watched.datasets.append(image(2, "2"))
    watch(orthanc, calls, since=0, state=tmp_path / "state")
    # The same objects have entries again, with larger numbers.
    watched.held.replace_database(watched.datasets, last=5)
    watch(orthanc, calls, nothing, state=tmp_path / "state")
    assert calls.objects == [("1", 1), ("2", 1)]


def test_the_next_run_continues_where_the_last_one_ended(
    watched: WatchedServer, orthanc: Orthanc, tmp_path: Path
) -> None:
    first, second = Calls(), Calls()
    watch(orthanc, first, lambda: watched.datasets.append(image(2, "2")), state=tmp_path / "state")
    watched.datasets.append(image(3, "3"))
    watch(orthanc, second, state=tmp_path / "state")
    assert (first.objects, second.objects) == ([("2", 1)], [("3", 1)])


def test_ctrl_c_in_a_call_keeps_what_was_done_and_what_was_not(
    watched: WatchedServer, orthanc: Orthanc, tmp_path: Path
) -> None:
    watched.datasets += [image(2, "2"), image(3, "3")]
    first, second = Calls(), Calls()

    def interrupted(session: Orthanc) -> None:
        if first.count == 1:
            raise KeyboardInterrupt
        first(session)

    with pytest.raises(KeyboardInterrupt):
        watch(orthanc, interrupted, since=0, state=tmp_path / "state")
    watch(orthanc, second, state=tmp_path / "state")
    assert (first.objects, second.objects) == ([("1", 1)], [("2", 1), ("3", 1)])


def test_a_failing_function_is_called_again_and_holds_up_nothing(watched: WatchedServer, orthanc: Orthanc) -> None:
    calls = Calls(lambda count: ValueError("no") if count in (1, 3) else None)
    watched.datasets.append(image(2, "2"))
    with pytest.warns(UserWarning, match=r"failed, attempt . of 5: ValueError: no\. It is tried again in 0 s") as seen:
        table = watch(orthanc, calls, nothing, nothing, nothing, nothing, since=0)
    assert len(seen) == 2
    assert calls.objects == [("2", 1), ("1", 1)]
    assert table.empty


def test_what_always_fails_is_given_up_reported_and_tried_in_the_next_run(
    watched: WatchedServer, orthanc: Orthanc, tmp_path: Path
) -> None:
    calls = Calls(lambda count: ValueError(f"no {count}"))
    with pytest.warns(UserWarning, match=r"attempt . of 2: ValueError: no .\. It is (not )?tried again in") as seen:
        table = watch(orthanc, calls, *[nothing] * 6, since=0, attempts=2, state=tmp_path / "state")
    assert calls.count == len(seen) == 2
    (row,) = table.to_dict("records")
    (series,) = watched.ids("series")
    assert row == {"level": "series", "id": series, "attempts": 2, "given_up": True, "error": "ValueError: no 2"}
    later = Calls()
    assert watch(orthanc, later, state=tmp_path / "state").empty
    assert later.objects == [("1", 1)]


def test_an_object_that_failed_and_was_deleted_is_dropped(watched: WatchedServer, orthanc: Orthanc) -> None:
    calls = Calls(lambda count: ValueError("no") if count == 1 else None)
    watched.datasets.append(image(2, "2"))
    steps = (lambda: watched.datasets.pop(0), nothing)
    with pytest.warns(UserWarning, match="attempt 1 of 5"):
        assert watch(orthanc, calls, *steps, since=0).empty
    assert calls.objects == [("2", 1)]


def test_an_object_that_is_deleted_before_its_call_is_dropped(
    watched: WatchedServer, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.datasets.append(image(2, "2"))
    calls, call_for = Calls(), Watcher._call_for

    def after_deletion(self: Watcher[Orthanc], key: str, updated: str) -> None:
        if calls.count == 0:
            del watched.datasets[0]
            calls.count = 1
        call_for(self, key, updated)

    monkeypatch.setattr(Watcher, "_call_for", after_deletion)
    assert watch(orthanc, calls, nothing, nothing, since=0).empty
    assert calls.objects == [("2", 1)]


def test_an_object_that_cannot_be_opened_holds_up_nothing(
    watched: WatchedServer, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.datasets.append(image(2, "2"))
    broken, open_session = watched.ids("series")[0], watcher.session_on

    def session_on(session: Orthanc, level: Any, key: str) -> Orthanc | None:
        if key == broken:
            raise TransportError("cut", is_about_object=True)
        return open_session(session, level, key)

    monkeypatch.setattr(watcher, "session_on", session_on)
    calls = Calls()
    with pytest.warns(UserWarning, match="attempt . of 2: TransportError: cut"):
        table = watch(orthanc, calls, nothing, nothing, since=0, attempts=2)
    assert calls.objects == [("2", 1)]
    assert table["id"].tolist() == [broken]


def test_a_server_that_is_away_is_waited_for(watched: WatchedServer, orthanc: Orthanc) -> None:
    calls = Calls()

    def away() -> None:
        watched.status = 503

    def back() -> None:
        watched.status = 200
        watched.datasets.append(image(2, "2"))

    with pytest.warns(UserWarning, match="could not be watched, and is asked again every 5 s") as seen:
        watch(orthanc, calls, nothing, away, nothing, nothing, back, nothing)
    assert len(seen) == 1
    assert calls.objects == [("2", 1)]


def test_a_server_that_goes_away_in_a_call_costs_no_attempt(watched: WatchedServer, orthanc: Orthanc) -> None:
    def away(count: int) -> Exception | None:
        watched.status = 503 if count == 1 else 200
        return TransportError("gone") if count == 1 else None

    def back() -> None:
        watched.status = 200

    calls = Calls(away)
    with pytest.warns(UserWarning, match="could not be watched") as seen:
        watch(orthanc, calls, nothing, nothing, back, nothing, since=0, attempts=1)
    assert len(seen) == 1
    assert calls.objects == [("1", 1)]


def test_another_password_ends_the_watching(watched: WatchedServer, orthanc: Orthanc) -> None:
    def refuse() -> None:
        watched.status = 401

    with pytest.raises(AuthenticationError):
        watch(orthanc, Calls(), nothing, refuse, nothing)


@pytest.mark.parametrize(
    ("count", "last", "shift", "epoch"),
    [
        # It has fewer entries, another one with the number that was read last, one of another type, or older ones only.
        (2, 0, 0, 2027),
        (3, 1, 0, 2027),
        (3, 0, 1, 2027),
        (3, 50, 0, 2025),
    ],
)
def test_a_replaced_database_is_noticed(
    watched: WatchedServer, orthanc: Orthanc, tmp_path: Path, count: int, last: int, shift: int, epoch: int
) -> None:
    watched.datasets += [image(2, "2"), image(3, "3")]
    watch(orthanc, Calls(), since=0, state=tmp_path / "state")
    watched.held.epoch, watched.held.shift = epoch, shift
    watched.held.replace_database([image(1), image(5, "5"), image(6, "6")][:count], last=last)
    calls = Calls()
    with pytest.warns(UserWarning, match="is not the one that was read up to number 30") as seen:
        watch(orthanc, calls, nothing, nothing, state=tmp_path / "state")
    assert len(seen) == 1
    assert calls.objects == [("5", 1), ("6", 1)][: count - 1]


def test_deleted_objects_do_not_look_like_a_replaced_database(
    watched: WatchedServer, orthanc: Orthanc, tmp_path: Path
) -> None:
    watched.datasets += [image(2, "2"), image(3, "3")]
    calls = Calls()
    watch(orthanc, calls, state=tmp_path / "state", since=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch(orthanc, calls, lambda: watched.datasets.pop(), nothing, state=tmp_path / "state")
        watch(orthanc, calls, lambda: watched.datasets.clear(), nothing, state=tmp_path / "state")
        watch(orthanc, calls, lambda: watched.datasets.append(image(7, "7")), nothing, state=tmp_path / "state")
    assert calls.objects == [("1", 1), ("2", 1), ("3", 1), ("7", 1)]


def test_the_criteria_of_the_session_apply(watched: WatchedServer, orthanc: Orthanc) -> None:
    watched.datasets += [image(2, "2"), image(3, "3", "2")]
    kept = watched.datasets[1].SeriesInstanceUID
    calls = Calls()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch(orthanc.select(SeriesInstanceUID=kept), calls, level="study", since=0)
    assert calls.objects == [("2", 1)]
    # The session that watches is as it was.
    assert orthanc.series_count == 1


@pytest.mark.parametrize("options", [{"again": False}, {"stable": False}, {"stable": False, "again": False}])
def test_what_is_left_out_is_called_for_once_it_is_selected(
    watched: WatchedServer, orthanc: Orthanc, options: dict[str, bool]
) -> None:
    calls = Calls()
    steps = (
        lambda: watched.datasets.append(image(2, "2", "2")),
        nothing,
        lambda: watched.datasets.append(image(3, "3", "2")),
        nothing,
        lambda: watched.datasets.append(image(4, "3", "2")),
        nothing,
    )
    watch(orthanc.select(SeriesNumber=[1, 3]), calls, *steps, level="study", **options)
    assert calls.objects == [("3", 1)]


def test_one_look_at_a_quiet_server_is_one_request(watched: WatchedServer, orthanc: Orthanc) -> None:
    before: list[int] = []
    watch(orthanc, Calls(), nothing, lambda: before.append(len(watched.asked)), nothing, nothing)
    assert len(watched.asked) - before[0] == 3
