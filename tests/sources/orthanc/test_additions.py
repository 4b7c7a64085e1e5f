"""What an Orthanc has stored since a state, by its feed of changes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from simple_orthanc.selection.source import Mark, Revision
from simple_orthanc.sources.orthanc import additions
from simple_orthanc.sources.orthanc.additions import Additions
from simple_orthanc.sources.orthanc.changes import LastChange
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply


class Feed(StandIn):
    """A server with a feed of changes."""

    def __init__(self, page: int = 1000) -> None:
        self.entries: list[dict[str, Any]] = []
        self.page = page
        # Seconds since the last store of each instance.
        self.ages: dict[str, float] = {}
        super().__init__(self._answer)

    def _answer(self, asked: Asked, count: int) -> bytes:
        if asked.path == "/tools/now":
            return reply(written(0).encode())
        if asked.path == "/tools/bulk-content":
            keys = json.loads(asked.body)["Resources"]
            dates = {key: {"ReceptionDate": written(self.ages[key])} if key in self.ages else {} for key in keys}
            return reply([{"ID": key, "Metadata": date} for key, date in dates.items()])
        since = int(parse_qs(urlsplit(asked.path).query)["since"][0])
        after = [entry for entry in self.entries if entry["Seq"] > since]
        shown = after[: self.page]
        return reply({"Changes": shown, "Done": shown == after, "Last": shown[-1]["Seq"] if shown else since})

    def __enter__(self) -> Feed:
        return self

    def store(self, *keys: str, kind: str = "NewInstance", age: float = 0) -> LastChange:
        for key in keys:
            entry = {"Seq": len(self.entries) + 1, "ChangeType": kind, "ID": key, "Date": written(age)}
            self.entries.append(entry)
            self.ages[key] = age
        return LastChange.of(self.entries[-1])


def written(age: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=age)).strftime("%Y%m%dT%H%M%S")


def count(known: Additions, keys: str, since: LastChange, landed: float | None = None, age: float = 0) -> int:
    """Count what was replaced of instances whose series has the same name in upper case."""
    mark, at = Mark(Revision(since), time.time() - age), time.monotonic() if landed is None else landed
    return known.count_replaced(mark, list(keys), at, lambda found: [key.upper() for key in found])


def test_instances_stored_since_a_state_are_counted() -> None:
    with Feed() as feed:
        before = feed.store("a", "b")
        known = Additions(Transport(feed.url))
        assert count(known, "ab", before) == 0
        feed.store("b", "c")
        feed.store("a", kind="StableSeries")
        assert count(known, "ab", before) == 1
        # Of an earlier state all is read again.
        assert count(known, "ab", LastChange(0), 0) == 2
        assert count(known, "ab", before, 0) == 1


def test_one_look_serves_all_that_landed_before_it() -> None:
    with Feed() as feed:
        before = feed.store("a")
        known = Additions(Transport(feed.url))
        landed = time.monotonic()
        for _ in range(5):
            assert count(known, "a", before, landed) == 0
        assert len(feed.asked) == 1
        feed.store("a")
        assert count(known, "a", before, landed) == 0
        assert count(known, "a", before) == 1
        assert len(feed.asked) == 2


def test_only_what_is_new_is_read() -> None:
    with Feed(page=2) as feed:
        before = feed.store("a")
        feed.store(*"bcdefg")
        known = Additions(Transport(feed.url))
        assert count(known, "ag", before) == 1
        # Each look begins with the last entry that is known.
        assert len(feed.asked) == 4
        feed.store("a")
        assert count(known, "ag", before) == 2
        assert len(feed.asked) == 5


def test_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "_MOST_KEPT", 3)
    with Feed() as feed:
        before = feed.store("a")
        feed.store(*"bcdef")
        known = Additions(Transport(feed.url))
        assert count(known, "b", before) == 1
        assert count(known, "b", feed.store("x")) == 0
        assert count(known, "b", before) == 1


def test_a_look_from_an_earlier_state_meanwhile_changes_no_count() -> None:
    with Feed() as feed:
        before = feed.store("x")
        feed.store("a")
        feed.store("A", kind="NewSeries")
        known = Additions(Transport(feed.url))

        def series_of(instances: Sequence[str]) -> list[str]:
            # As another thread leaves it while it reads the feed anew.
            known._stored = {}
            return [key.upper() for key in instances]

        assert known.count_replaced(Mark(Revision(before), time.time()), ["a"], time.monotonic(), series_of) == 0


@pytest.mark.parametrize(("age", "replaced"), [(0, 0), (59, 0), (65, 2), (600, 2)])
def test_a_series_that_came_before_the_pickle_is_not_replaced(age: float, replaced: int) -> None:
    """Series A and B came a minute ago, after the first look at the archive; an instance of C was stored again."""
    with Feed() as feed:
        before = feed.store("c")
        feed.store("a", "b", age=60)
        feed.store("A", "B", kind="NewSeries", age=60)
        known = Additions(Transport(feed.url))
        assert count(known, "abc", before, age=age) == replaced
        feed.store("c")
        assert count(known, "abc", before, age=age) == replaced + 1
        # Without knowing series all of it counts.
        assert known.count_replaced(Mark(Revision(before), time.time()), list("abc"), 0, None) == 3


@pytest.fixture
def few_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "_MOST_PAGES", 2)


def pages_asked(feed: Feed) -> int:
    return sum(asked.path.startswith("/changes") for asked in feed.asked)


@pytest.mark.usefixtures("few_pages")
def test_of_a_long_feed_the_times_of_the_instances_decide() -> None:
    with Feed(page=2) as feed:
        before = feed.store(*"abcd", age=1000)
        feed.store("a", *"uvwxyz", age=500)
        known = Additions(Transport(feed.url))
        assert count(known, "abcd", before, age=990) == 1
        assert pages_asked(feed) == 2
        # Behind all that was read.
        feed.store("c", *map(str, range(100)), age=100)
        assert count(known, "abcd", before, age=990) == 2
        assert pages_asked(feed) == 2
        assert count(known, "bd", before, age=990) == 0
        # A later state is looked up from there.
        later = feed.store("e", age=50)
        feed.store("d", age=10)
        assert count(known, "cd", later, age=45) == 1


@pytest.mark.usefixtures("few_pages")
@pytest.mark.parametrize(("age", "replaced"), [(0, 0), (59, 0), (65, 2), (600, 2)])
def test_of_a_long_feed_a_new_series_is_not_replaced(age: float, replaced: int) -> None:
    with Feed(page=2) as feed:
        before = feed.store("c", "d", age=2000)
        feed.store(*"uvwxyz", age=1000)
        feed.store("a", "b", age=60)
        known = Additions(Transport(feed.url))
        assert count(known, "ab", before, age=age) == replaced
        feed.store("c")
        mark = Mark(Revision(before), time.time() - age)
        assert known.count_replaced(
            mark, list("abcd"), 0, lambda keys: ["CD" if key in "cd" else key for key in keys]
        ) == (replaced + 1)


@pytest.mark.usefixtures("few_pages")
def test_an_instance_without_a_time_counts_as_stored_behind_a_long_feed() -> None:
    with Feed(page=2) as feed:
        before = feed.store("a", "b", age=2000)
        feed.store(*"uvwxyz", age=1000)
        del feed.ages["b"]
        known = Additions(Transport(feed.url))
        mark = Mark(Revision(before), time.time())
        assert known.count_replaced(mark, ["a", "b"], 0, lambda keys: ["A"] * len(keys)) == 1


@pytest.mark.parametrize("is_new", [False, True], ids=["cleared", "another database"])
@pytest.mark.parametrize("is_read", [False, True], ids=["before the first look", "between looks"])
def test_if_the_feed_was_cleared_the_times_of_the_instances_decide(is_new: bool, is_read: bool) -> None:
    with Feed() as feed:
        before = feed.store(*"abcd", age=1000)
        known = Additions(Transport(feed.url))
        if is_read:
            assert count(known, "abcd", before, age=500) == 0
        feed.store("b", age=100)
        if is_new:
            feed.entries.clear()
        else:
            feed.entries[:] = [{**entry, "ChangeType": "StableSeries"} for entry in feed.entries[5:]]
        assert count(known, "abcd", before, age=500) == 1
        assert count(known, "acd", before, age=500) == 0
        # Pickled after the replacement.
        assert count(known, "abcd", before, age=50) == 0


@pytest.mark.parametrize("is_read", [False, True], ids=["before the first look", "between looks"])
@pytest.mark.parametrize("more", [0, 3])
def test_a_database_with_the_same_numbers_is_not_taken_for_the_former_one(is_read: bool, more: int) -> None:
    with Feed() as feed:
        before = feed.store(*"abcd", age=1000)
        known = Additions(Transport(feed.url))
        if is_read:
            assert count(known, "abcd", before, age=500) == 0
        feed.entries.clear()
        after = feed.store(*"abcd", age=100)
        feed.store(*"xyz"[:more], age=90)
        assert count(known, "abcd", before, age=500) == 4
        # Pickled from the new one.
        assert count(known, "abcd", after, age=50) == 0
        assert count(known, "abcd", before, age=500) == 4


def test_if_the_last_object_is_gone_the_rest_of_the_feed_is_believed() -> None:
    with Feed() as feed:
        before = feed.store(*"abcd", age=1000)
        known = Additions(Transport(feed.url))
        feed.store("a", age=600)
        feed.store("b", age=100)
        del feed.entries[3]
        assert count(known, "abc", before, age=500) == 2


@pytest.mark.usefixtures("few_pages")
def test_of_a_long_feed_that_was_cleared_the_times_decide() -> None:
    with Feed(page=2) as feed:
        before = feed.store(*"abcd", age=1000)
        feed.store("b", age=400)
        feed.store(*map(str, range(20)), age=100)
        del feed.entries[:10]
        known = Additions(Transport(feed.url))
        assert count(known, "abcd", before, age=500) == 1


def test_what_is_interrupted_is_read_by_the_next_call() -> None:
    with Feed() as feed:
        before = feed.store("a")
        known = Additions(Transport(feed.url))
        later = feed.store("b")
        assert count(known, "a", later) == 0
        feed.store("a")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(known, "_read", interrupted)
            with pytest.raises(KeyboardInterrupt):
                count(known, "a", before, 0)
        assert count(known, "a", before, 0.5) == 1


def interrupted() -> None:
    raise KeyboardInterrupt
