"""Files that were replaced since they were listed are noticed by the feed of changes, once for the reads of a call."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from simple_orthanc.concurrency.interruption import Interruption, users_code
from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.errors import ServerError, TransportError
from simple_orthanc.sources.cache.kept_files import Stamp
from simple_orthanc.sources.orthanc import replacements
from simple_orthanc.sources.orthanc.changes import LastChange
from simple_orthanc.sources.orthanc.listed_files import ListedFile, ListedFiles
from simple_orthanc.sources.orthanc.replacements import Replacements


def entry(number: int, key: str) -> dict[str, Any]:
    return {"Seq": number, "ID": key, "ChangeType": "NewInstance"}


THIRD = LastChange.of(entry(3, "c"))


class Feed:
    """The part of a connection that reads a feed of changes."""

    url = "http://127.0.0.1:8042"

    def __init__(self) -> None:
        self.entries: list[tuple[int, str]] = [(1, "a"), (2, "b"), (3, "c")]
        self.asked = 0
        self.is_refused = False
        self.is_cut = False

    def repeat(self, read: Any) -> Any:
        return read()

    def json(self, method: str, path: str, params: dict[str, Any], **options: object) -> Any:
        assert (method, path) == ("GET", "/changes")
        self.asked += 1
        if self.is_refused:
            raise ServerError("no", status=403)
        if self.is_cut and "last" not in params:
            raise TransportError("The connection broke.")
        found = self.entries[-1:] if "last" in params else [each for each in self.entries if each[0] > params["since"]]
        changes = [entry(seq, key) for seq, key in found]
        return {"Changes": changes, "Done": True, "Last": self.entries[-1][0]}


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(replacements.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def listed() -> ListedFiles:
    files = ListedFiles()
    files.ask().take({key: ListedFile(8, uuid=f"{key}-1") for key in "abc"})
    return files


@pytest.fixture
def noted(feed: Any, listed: ListedFiles) -> Replacements:
    found = Replacements(feed, listed)
    found.note([], THIRD)
    return found


def current(noted: Replacements) -> str:
    """Return the keys of the instances that are as they were listed."""
    return "".join(key for key in "abc" if noted.is_current(key, Stamp(f"{key}-1 8")))


def last(feed: Feed) -> LastChange:
    return LastChange.of(entry(*feed.entries[-1]))


def keys_of(listed: ListedFiles) -> list[str]:
    return [key for key in "abc" if listed.get(key) is not None]


def test_a_read_by_itself_looks_after_it_began(clock: Clock, feed: Feed, noted: Replacements) -> None:
    for count in range(1, 4):
        clock.now += 0.000_001
        assert noted.is_current("a", Stamp("a-1 8"))
        assert feed.asked == count
    feed.entries.append((4, "a"))
    clock.now += 0.000_001
    assert not noted.is_current("a", Stamp("a-1 8"))


def test_a_look_that_ended_in_an_error_is_made_again(clock: Clock, feed: Feed, noted: Replacements) -> None:
    feed.entries.append((4, "a"))
    feed.is_cut = True
    with pytest.raises(TransportError):
        noted.is_current("a", Stamp("a-1 8"))
    feed.is_cut = False
    clock.now += 1
    assert current(noted) == "bc"


def test_the_reads_of_a_call_look_once(clock: Clock, feed: Feed, noted: Replacements) -> None:
    with Interruption():
        for _ in range(3):
            clock.now += 0.001
            assert current(noted) == "abc"
        assert feed.asked == 1
    clock.now += 0.001
    feed.entries.append((4, "b"))
    # The next call began after that.
    with Interruption():
        assert current(noted) == "ac"


def test_the_threads_of_a_call_share_a_look(feed: Feed, noted: Replacements) -> None:
    began = threading.Barrier(4)

    def read(key: str) -> bool:
        began.wait()
        return noted.is_current(key, Stamp(f"{key}-1 8"))

    assert run_all(read, "abca", workers=4) == [True] * 4
    assert feed.asked == 1


def test_a_call_does_not_believe_the_look_of_another(clock: Clock, feed: Feed, noted: Replacements) -> None:
    busy, other = Interruption(), Interruption()
    with busy:
        assert current(noted) == "abc"
    clock.now += 0.001
    feed.entries.append((4, "b"))
    clock.now += 0.001
    with other:
        assert not noted.is_current("b", Stamp("b-1 8"))


def test_each_read_of_a_function_that_a_user_maps_looks(clock: Clock, feed: Feed, noted: Replacements) -> None:
    with Interruption():
        assert current(noted) == "abc"
        with users_code():
            clock.now += 0.000_001
            assert noted.is_current("a", Stamp("a-1 8"))
            feed.entries.append((4, "a"))
            clock.now += 0.000_001
            assert not noted.is_current("a", Stamp("a-1 8"))
        assert feed.asked == 4  # three looks, and the entries that the last one found


def test_a_long_call_looks_now_and_then(clock: Clock, feed: Feed, noted: Replacements) -> None:
    with Interruption():
        for _ in range(1000):
            assert noted.is_current("a", Stamp("a-1 8"))
            clock.now += 0.002
    assert 4 <= feed.asked <= 5


def test_a_listing_on_its_way_does_not_bring_back_what_was_replaced(
    clock: Clock, feed: Feed, noted: Replacements, listed: ListedFiles
) -> None:
    asked, later = listed.ask(), ListedFile(8, uuid="b-2")
    answer = {key: ListedFile(8, uuid=f"{key}-1") for key in "abc"}
    feed.entries.append((4, "b"))
    # Another thread looks before the answer is here.
    assert current(noted) == "ac"
    asked.take(answer)
    assert keys_of(listed) == ["a", "c"]
    clock.now += 1
    assert current(noted) == "ac"
    listed.ask().take({"b": later})
    assert noted.is_current("b", Stamp("b-2 8"))


def test_a_listing_on_its_way_is_not_believed_where_the_feed_lost_its_place(
    clock: Clock, feed: Feed, noted: Replacements, listed: ListedFiles
) -> None:
    asked = listed.ask()
    feed.entries = [(1, "a"), (5, "c")]
    assert current(noted) == ""
    asked.take({"a": ListedFile(8, uuid="a-1")})
    assert keys_of(listed) == []


def test_another_session_that_notes_the_feed_leaves_a_listing_on_its_way_right(
    clock: Clock, feed: Feed, noted: Replacements, listed: ListedFiles
) -> None:
    first, second = listed.ask(), listed.ask()
    feed.entries.append((4, "a"))
    noted.catch_up(last(feed))
    first.take({"a": ListedFile(8, uuid="a-1")})
    noted.note(["b"], LastChange(5))
    second.take({key: ListedFile(8, uuid=f"{key}-1") for key in "ab"})
    assert keys_of(listed) == ["c"]


def test_what_was_stored_since_is_listed_no_more(
    clock: Clock, feed: Feed, noted: Replacements, listed: ListedFiles
) -> None:
    feed.entries.append((4, "b"))
    assert current(noted) == "ac"
    assert keys_of(listed) == ["a", "c"]
    listed.ask().take({"b": ListedFile(8, uuid="b-2")})
    clock.now += 1
    assert noted.is_current("b", Stamp("b-2 8"))
    assert not noted.is_current("b", Stamp("b-1 8"))


def test_of_a_feed_that_lost_its_place_nothing_is_believed(clock: Clock, feed: Feed, noted: Replacements) -> None:
    feed.entries = [(1, "a"), (5, "c")]
    assert current(noted) == ""


@pytest.mark.parametrize("entries", [[(1, "x"), (2, "y"), (3, "z")], [(1, "a"), (2, "b"), (3, "z"), (4, "c")]])
def test_of_another_feed_with_the_same_numbers_nothing_is_believed(
    clock: Clock, feed: Feed, noted: Replacements, entries: list[tuple[int, str]]
) -> None:
    feed.entries = entries
    assert current(noted) == ""


def test_a_server_that_was_empty_has_no_place_in_its_feed(clock: Clock, feed: Feed, noted: Replacements) -> None:
    noted.note([], LastChange(0))
    assert current(noted) == ""


def test_where_the_feed_may_not_be_read_the_list_is_believed(clock: Clock, feed: Feed, noted: Replacements) -> None:
    feed.is_refused = True
    feed.entries.append((4, "b"))
    assert current(noted) == "abc"
    feed.is_refused = False
    clock.now += 1
    assert current(noted) == "ac"


def test_the_md5_may_be_learnt_later(clock: Clock, noted: Replacements, listed: ListedFiles) -> None:
    listed.ask().take({"a": ListedFile(8, "0f", "a-1")})
    assert noted.is_current("a", Stamp("a-1 8"))


def test_another_look_at_the_archive_hides_nothing_from_what_was_listed_before(
    clock: Clock, feed: Feed, noted: Replacements, listed: ListedFiles
) -> None:
    feed.entries.append((4, "b"))
    noted.catch_up(last(feed))
    assert keys_of(listed) == ["a", "c"]
    assert current(noted) == "ac"


def test_what_was_listed_before_anything_was_noted_is_not_believed(
    clock: Clock, feed: Any, listed: ListedFiles
) -> None:
    found = Replacements(feed, listed)
    assert current(found) == ""
    listed.ask().take({"a": ListedFile(8, uuid="a-1")})
    clock.now += 1
    assert current(found) == "a"


def test_an_earlier_state_is_noted_once(clock: Clock, feed: Any, listed: ListedFiles) -> None:
    found = Replacements(feed, listed)
    found.note_first(LastChange.of(entry(1, "a")))
    found.note_first(THIRD)
    assert current(found) == "a"
