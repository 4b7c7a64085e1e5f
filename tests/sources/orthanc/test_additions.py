"""What an Orthanc has stored since a state, by its feed of changes."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from simple_orthanc.sources.orthanc import additions
from simple_orthanc.sources.orthanc.additions import Additions
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply


class Feed(StandIn):
    """A server with a feed of changes."""

    def __init__(self, page: int = 1000) -> None:
        self.entries: list[dict[str, Any]] = []
        self.page = page
        super().__init__(self._answer)

    def _answer(self, asked: Asked, count: int) -> bytes:
        since = int(parse_qs(urlsplit(asked.path).query)["since"][0])
        after = [entry for entry in self.entries if entry["Seq"] > since]
        shown = after[: self.page]
        return reply({"Changes": shown, "Done": shown == after, "Last": shown[-1]["Seq"] if shown else since})

    def __enter__(self) -> Feed:
        return self

    def store(self, *keys: str, kind: str = "NewInstance") -> int:
        for key in keys:
            self.entries.append({"Seq": len(self.entries) + 1, "ChangeType": kind, "ID": key})
        return len(self.entries)


def test_instances_stored_since_a_state_are_counted() -> None:
    with Feed() as feed:
        before = feed.store("a", "b")
        known = Additions(Transport(feed.url))
        assert known.count("ab", before, 0) == 0
        feed.store("b", "c")
        feed.store("a", kind="StableSeries")
        assert known.count("ab", before, time.monotonic()) == 1
        # Of an earlier state all is read again.
        assert known.count("ab", 0, 0) == 2
        assert known.count("ab", before, 0) == 1


def test_one_look_serves_all_that_landed_before_it() -> None:
    with Feed() as feed:
        before = feed.store("a")
        known = Additions(Transport(feed.url))
        landed = time.monotonic()
        for _ in range(5):
            assert known.count("a", before, landed) == 0
        assert len(feed.asked) == 1
        feed.store("a")
        assert known.count("a", before, landed) == 0
        assert known.count("a", before, time.monotonic()) == 1
        assert len(feed.asked) == 2


def test_only_what_is_new_is_read() -> None:
    with Feed(page=2) as feed:
        before = feed.store("a")
        feed.store(*"bcdefg")
        known = Additions(Transport(feed.url))
        assert known.count("ag", before, 0) == 1
        assert len(feed.asked) == 3
        feed.store("a")
        assert known.count("ag", before, time.monotonic()) == 2
        assert len(feed.asked) == 4


def test_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "_MOST_KEPT", 3)
    with Feed() as feed:
        before = feed.store("a")
        feed.store(*"bcdef")
        known = Additions(Transport(feed.url))
        assert known.count("b", before, 0) == 1
        assert known.count("b", feed.store("x"), 0) == 0
        assert known.count("b", before, 0) == 1
