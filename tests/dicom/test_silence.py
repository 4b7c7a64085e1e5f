"""Warnings of a thread are left out while it is in a quiet block, and no thread waits for another."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom.silence import quiet


def warn(number: int) -> int:
    with quiet():
        warnings.warn("odd value", stacklevel=1)
    return number


def test_a_thread_in_a_quiet_block_can_wait_for_others_that_enter_one() -> None:
    done: list[int] = []

    def read() -> None:
        with quiet():
            done.extend(map_ordered(warn, range(20), total=20, label="reading"))

    # A thread of its own, since a deadlock would not end the test.
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(30)
    assert done == list(range(20))


def test_filters_are_restored_after_the_last_block_in_whatever_order_they_end() -> None:
    before = list(warnings.filters)
    with another_thread_in_a_block(), quiet():
        pass
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="odd value"):
        warnings.warn("odd value", stacklevel=1)


def test_warnings_of_other_threads_are_heard() -> None:
    with another_thread_in_a_block():
        with pytest.warns(UserWarning, match="heard"):
            warnings.warn("heard", stacklevel=1)
        with pytest.raises(UserWarning, match="error"):
            warnings.warn("error", stacklevel=1)
        with quiet():
            warnings.warn("odd value", stacklevel=1)


def test_filters_that_are_replaced_meanwhile_stay() -> None:
    with warnings.catch_warnings(record=True) as caught:
        with another_thread_in_a_block():
            warnings.simplefilter("always")
            with quiet():
                warnings.warn("odd value", stacklevel=1)
        warnings.warn("heard", stacklevel=1)
        warnings.warn("heard", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["heard", "heard"]
    with warnings.catch_warnings():
        warnings.resetwarnings()
        with quiet():
            warnings.warn("odd value", stacklevel=1)
            warnings.resetwarnings()
            with quiet():
                warnings.warn("odd value", stacklevel=1)


@contextmanager
def another_thread_in_a_block() -> Iterator[None]:
    entered, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with quiet():
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=stay)
    thread.start()
    entered.wait(30)
    yield
    leave.set()
    thread.join()


def test_an_error_ends_a_block() -> None:
    before = list(warnings.filters)
    with pytest.raises(ValueError, match="damaged"), quiet(), quiet():
        raise ValueError("damaged")
    assert list(warnings.filters) == before
