"""Which of the threads that read small series decode at the same time."""

from __future__ import annotations

import threading

import pytest

from simple_orthanc.concurrency.interruption import Interruption
from simple_orthanc.session.reading.decoding_turns import DecodingTurns


def most_at_once(turns: DecodingTurns) -> int:
    """Return how many of three threads have a turn at the same time."""
    inside, counts, lock = [], list[int](), threading.Lock()
    are_there = threading.Barrier(3)

    def decode() -> None:
        are_there.wait(20)
        with turns.turn():
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
    turns = DecodingTurns()
    turns.learn(100, 90)
    assert most_at_once(turns) == 1


def test_compressed_files_are_decoded_at_the_same_time() -> None:
    turns = DecodingTurns()
    turns.learn(100, 300)
    assert most_at_once(turns) == 3


def test_an_error_leaves_the_turn_to_the_next() -> None:
    turns = DecodingTurns()
    with pytest.raises(ValueError, match="damaged"), turns.turn():
        raise ValueError("damaged")
    with turns.turn():
        pass


def test_an_interruption_ends_the_wait_for_a_turn() -> None:
    turns, call, errors = DecodingTurns(), Interruption(), list[BaseException]()

    def decode() -> None:
        with call:
            try:
                with turns.turn():
                    pass
            except BaseException as error:
                errors.append(error)

    with turns.turn():
        thread = threading.Thread(target=decode)
        thread.start()
        call.interrupt()
        thread.join(20)
    assert [type(error) for error in errors] == [KeyboardInterrupt]
