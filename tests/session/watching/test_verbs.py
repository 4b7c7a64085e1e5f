"""The feed of changes, and whether a server answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from simple_orthanc import Orthanc
from simple_orthanc.errors import AuthenticationError, NotFoundError, RequestTimeout, SelectionError, TransportError
from simple_orthanc.sources.orthanc import changes
from tests.http_stand_in import always, reply
from tests.session.watched_server import WatchedServer
from tests.sources.contract import make_dataset


@pytest.fixture
def watched() -> Iterator[WatchedServer]:
    with WatchedServer([make_dataset(number, "1", "1", "p1") for number in (1, 2, 3)]) as stand_in:
        assert isinstance(stand_in, WatchedServer)
        yield stand_in


@pytest.fixture
def orthanc(watched: WatchedServer) -> Iterator[Orthanc]:
    with Orthanc(watched.url, patience=0) as session:
        yield session


@pytest.mark.parametrize("page", [1, 2, 1000])
@pytest.mark.parametrize("is_extended", [True, False])
def test_changes_are_read_to_the_end(
    watched: WatchedServer, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch, page: int, is_extended: bool
) -> None:
    monkeypatch.setattr(changes.read_feed, "__defaults__", (None, page))
    watched.held.is_extended = is_extended
    every = list(orthanc.changes())
    assert [change.type for change in every] == ["NewInstance", "NewSeries", "NewStudy", "NewInstance", "NewInstance"]
    assert [change.level for change in every] == ["instance", "series", "study", "instance", "instance"]
    assert every[0].date == datetime(2026, 1, 1, 0, 0, 1, tzinfo=timezone.utc)
    assert [change.id for change in orthanc.changes(type="NewInstance")] == watched.ids("instance")
    assert [change.type for change in orthanc.changes(level="study")] == ["NewStudy"]
    assert list(orthanc.changes(type="NewStudy", level="series")) == []
    assert list(orthanc.changes(since=every[2])) == list(orthanc.changes(since=every[2].sequence)) == every[3:]
    assert list(orthanc.changes(since=every[-1])) == []


def test_changes_begin_to_be_read_when_the_first_is_taken(watched: WatchedServer, orthanc: Orthanc) -> None:
    before = len(watched.asked)
    feed = orthanc.changes()
    assert len(watched.asked) == before
    next(feed)
    assert len(watched.asked) == before + 1


def test_an_empty_page_is_not_the_end(orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"Seq": 9, "ChangeType": "NewStudy", "ID": "4c", "Date": "?"}
    pages = iter(
        [
            {"Changes": [], "Done": False, "Last": 5},
            {"Changes": [entry], "Done": True, "Last": 9},
        ]
    )
    monkeypatch.setattr(changes, "ask", lambda *_, **__: next(pages))
    assert list(orthanc.changes()) == [changes.Change(9, "NewStudy", None, "4c", None)]


def test_a_feed_that_does_not_go_on_is_an_error(orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "ask", lambda *_, **__: {"Changes": [], "Done": False, "Last": 5})
    with pytest.raises(TransportError, match="not the last one and ends at 5"):
        list(orthanc.changes())


def test_a_feed_that_ends_before_what_is_known_is_an_error(orthanc: Orthanc) -> None:
    with pytest.raises(SelectionError, match=r"ends with number 32, and what follows number 33 was asked for.*since="):
        list(orthanc.changes(since=33))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type": "NewSerie"}, "did you mean NewSeries"),
        ({"type": "what"}, "the types are AnonymizedPatient, "),
        ({"type": "Deleted"}, r"holds no deletions\. refresh\(\) finds them"),
        ({"level": "image"}, "'patient', 'study', 'series', 'instance'"),
        ({"since": "yesterday"}, "the number of a change"),
        ({"since": -1}, "the number of a change"),
        ({"since": True}, "the number of a change"),
    ],
)
def test_changes_that_cannot_be(orthanc: Orthanc, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        orthanc.changes(**arguments)


async def coroutine(session: Orthanc) -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (None, {}, "give a function"),
        (coroutine, {}, "coroutine function, which would not run"),
        (print, {"level": "instance"}, "'study' or 'series'"),
        (print, {"attempts": 0}, "of at least 1"),
        (print, {"poll": -1}, "poll=-1"),
        (print, {"retry_after": "60"}, "retry_after='60'"),
        (print, {"retry_after": float("inf")}, "retry_after=inf"),
        (print, {"poll": float("nan")}, "poll=nan"),
        (print, {"since": "now"}, "or 0 for everything"),
        (print, {"since": -1}, "or 0 for everything"),
        (print, {"since": 2**63}, "or 0 for everything"),
        (print, {"stop": 3}, "threading.Event"),
    ],
)
def test_watching_that_cannot_be(orthanc: Orthanc, function: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        orthanc.watch(function, **{"stop": lambda: True, **arguments})


def test_watching_ends_by_an_event_or_a_function(orthanc: Orthanc) -> None:
    event = Event()
    Timer(0.05, event.set).start()
    assert orthanc.watch(print, poll=600, stop=event).empty
    answers = iter([False, False, True])
    assert orthanc.watch(print, poll=600, stop=lambda: next(answers, True)).empty


def test_ctrl_c_between_two_looks_ends_the_watching(orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        assert seconds < 0.5
        raise KeyboardInterrupt

    monkeypatch.setattr("simple_orthanc.concurrency.interruption.pause", interrupt)
    with pytest.raises(KeyboardInterrupt):
        orthanc.watch(print, poll=600)


SYSTEM = reply({"Version": "1.12.7", "ApiVersion": 27})


@pytest.mark.parametrize(
    ("answer", "is_alive"),
    [(SYSTEM, True), (None, False), (reply({}, 503), False), (reply({}, 502), False), (reply({"a": 1}), False)],
)
def test_whether_a_server_is_alive(orthanc: Orthanc, watched: WatchedServer, answer: Any, is_alive: bool) -> None:
    watched.script = always(answer)
    before = len(watched.asked)
    assert orthanc.is_alive() is is_alive
    assert len(watched.asked) == before + 1


@pytest.mark.parametrize("seconds", [None, "3", -1, True, float("nan")])
def test_what_is_no_time_to_wait_is_refused(orthanc: Orthanc, watched: WatchedServer, seconds: Any) -> None:
    before = len(watched.asked)
    for act in (
        lambda: orthanc.is_alive(seconds),
        lambda: orthanc.is_alive(0),
        lambda: orthanc.wait_until_ready(seconds),
        lambda: Orthanc.when_ready(watched.url, within=seconds),
    ):
        with pytest.raises(SelectionError, match="give a number of seconds"):
            act()
    assert len(watched.asked) == before


def test_a_server_that_has_ended_is_not_alive() -> None:
    with WatchedServer([]) as stand_in, Orthanc(stand_in.url) as orthanc:
        assert orthanc.is_alive() is True
    assert orthanc.is_alive() is False


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, AuthenticationError), (404, NotFoundError)]
)
def test_a_refusal_is_an_error_and_not_death(
    orthanc: Orthanc, watched: WatchedServer, status: int, error: type[Exception]
) -> None:
    watched.script = always(reply({}, status))
    with pytest.raises(error):
        orthanc.is_alive()
    with pytest.raises(error):
        orthanc.wait_until_ready(5)


def test_a_server_is_waited_for(orthanc: Orthanc, watched: WatchedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simple_orthanc.session.watching.verbs._PAUSE", 0.01)
    before = len(watched.asked)
    answers = {before: None, before + 1: reply({}, 503)}
    watched.script = lambda asked, count: answers.get(count, SYSTEM)
    assert orthanc.wait_until_ready(30) is orthanc
    assert len(watched.asked) == before + 3


def test_waiting_has_an_end(orthanc: Orthanc, watched: WatchedServer) -> None:
    watched.script = always(None)
    with pytest.raises(RequestTimeout, match=r"did not answer in 0\.05 s.*wait_until_ready\(timeout=0\.1\)"):
        orthanc.wait_until_ready(0.05)


def test_a_server_that_starts_is_waited_for(watched: WatchedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simple_orthanc.session.watching.verbs._PAUSE", 0.01)
    script = watched.script
    answers = {0: None, 1: reply({}, 503)}
    watched.script = lambda asked, count: answers[count] if count in answers else script(asked, count)
    assert Orthanc.when_ready(watched.url, patience=0).series_count == 1
    watched.script = always(reply({}, 503))
    with pytest.raises(RequestTimeout, match=r"no usable answer in 0\.02 s\. The last attempt: .*503"):
        Orthanc.when_ready(watched.url, patience=0, within=0.02)
    watched.script = always(reply({}, 401))
    with pytest.raises(AuthenticationError):
        Orthanc.when_ready(watched.url, patience=0)


def test_the_file_of_the_state_is_a_path(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    orthanc.watch(print, state="~/state", stop=lambda: True)
    assert (tmp_path / "state").exists()
    with pytest.raises(SelectionError, match="an empty string was given"):
        orthanc.watch(print, state="", stop=lambda: True)
