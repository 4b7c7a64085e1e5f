"""Groups of small series: which of their threads decode at the same time."""

from __future__ import annotations

import threading

import pytest

from simple_orthanc.concurrency.ahead import Sized
from simple_orthanc.concurrency.interruption import Interruption
from simple_orthanc.session.reading.prefetching import _Expansion


def most_at_once(expansion: _Expansion) -> int:
    """Return how many of three threads have a turn at the same time."""
    inside, counts, lock = [], list[int](), threading.Lock()
    are_there = threading.Barrier(3)

    def decode() -> None:
        are_there.wait(20)
        with expansion.turn():
            with lock:
                inside.append(0)
                counts.append(len(inside))
            threading.Event().wait(0.2)
            with lock:
                inside.pop()

    threads = [threading.Thread(target=decode) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return max(counts)


def test_files_that_are_not_compressed_are_decoded_one_series_at_a_time() -> None:
    expansion = _Expansion()
    expansion.learn(100, [Sized(None, 90)])
    assert most_at_once(expansion) == 1


def test_compressed_files_are_decoded_at_the_same_time() -> None:
    expansion = _Expansion()
    expansion.learn(100, [Sized(None, 300)])
    assert most_at_once(expansion) == 3


def test_an_error_leaves_the_turn_to_the_next() -> None:
    expansion = _Expansion()
    with pytest.raises(ValueError, match="damaged"), expansion.turn():
        raise ValueError("damaged")
    with expansion.turn():
        pass


def test_an_interruption_ends_the_wait_for_a_turn() -> None:
    expansion, call, errors = _Expansion(), Interruption(), list[BaseException]()

    def decode() -> None:
        with call:
            try:
                with expansion.turn():
                    pass
            except BaseException as error:
                errors.append(error)

    with expansion.turn():
        thread = threading.Thread(target=decode)
        thread.start()
        call.interrupt()
        thread.join(20)
    assert [type(error) for error in errors] == [KeyboardInterrupt]
