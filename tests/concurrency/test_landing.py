"""Pickles of one object are one object in a process, and pickles of equal ones are not."""

from __future__ import annotations

import pickle
import threading
import weakref
from typing import Any

import pytest

from simple_orthanc.concurrency import landing
from simple_orthanc.concurrency.landing import LandsOnce


class Connection(LandsOnce):
    def __init__(self, address: str) -> None:
        self.address, self.learned = address, ["much"]

    _pickled = ("address",)


class Itself(Connection):
    _is_its_own_twin = True

    def __setstate__(self, state: Any) -> None:
        vars(self).update(state, learned=[])


def test_all_pickles_of_an_object_are_one_where_they_land() -> None:
    origin = Connection("a")
    first, second = (pickle.loads(pickle.dumps(origin)) for _ in range(2))
    assert first is second is not origin
    assert first.address == "a"
    assert not hasattr(first, "learned")
    assert pickle.loads(pickle.dumps(first)) is first


def test_equal_objects_stay_apart() -> None:
    one, other = (pickle.loads(pickle.dumps(Connection("a"))) for _ in range(2))
    assert one is not other


def test_one_may_be_its_own_twin_as_long_as_it_lives() -> None:
    origin = Itself("a")
    content = pickle.dumps(origin)
    assert pickle.loads(content) is origin
    del origin
    assert pickle.loads(content).learned == []


def test_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "_MOST_KEPT", 2)
    contents = [pickle.dumps(Connection(str(number))) for number in range(4)]
    kept = weakref.ref(pickle.loads(contents[0]))
    for content in contents[1:3]:
        # Used again, so that it is not the longest unused.
        assert pickle.loads(contents[0]) is kept()
        pickle.loads(content)
    assert kept() is not None
    pickle.loads(contents[2])
    pickle.loads(contents[3])
    assert kept() is None


def test_many_threads_get_one() -> None:
    content, got = pickle.dumps(Connection("a")), []
    threads = [threading.Thread(target=lambda: got.append(pickle.loads(content))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, got))) == 1
