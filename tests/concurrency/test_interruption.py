"""Waits of worker threads end with the call that they work for."""

from __future__ import annotations

import threading

import pytest

from simple_orthanc.concurrency.interruption import Interruption, check, current, ended_by, for_at_most, pause
from simple_orthanc.concurrency.threads import run_all


def test_outside_of_a_call_nothing_is_registered() -> None:
    assert current() is None
    check()
    pause(0)
    with ended_by(lambda: pytest.fail("there is nothing to end")):
        pass


def test_an_interruption_ends_the_waits_that_are_registered() -> None:
    call, ended = Interruption(), []
    with call:
        assert current() is call
        with ended_by(lambda: ended.append("over")):
            pass
        with ended_by(lambda: ended.append("during")):
            check()
            call.interrupt()
            with pytest.raises(KeyboardInterrupt):
                check()
        with pytest.raises(KeyboardInterrupt), ended_by(lambda: ended.append("after")):
            pytest.fail("not reached")
        with pytest.raises(KeyboardInterrupt):
            pause(60)
    assert ended == ["during"]
    assert current() is None


def test_one_wait_that_cannot_be_ended_does_not_keep_the_others() -> None:
    call, ended = Interruption(), threading.Event()

    def fail() -> None:
        raise OSError("closed already")

    for end in (fail, ended.set, fail):
        call.add(end)
    call.interrupt()
    assert ended.is_set()


def test_an_outer_call_interrupts_the_inner_until_that_is_over() -> None:
    outer = Interruption()
    inner, over = Interruption(outer), Interruption(outer)
    over.close()
    outer.interrupt()
    assert (inner.happened, over.happened) == (True, False)
    with pytest.raises(KeyboardInterrupt):
        Interruption(outer)


def test_the_waits_of_a_block_end_in_time() -> None:
    with for_at_most(60):
        assert current() is not None
    assert current() is None
    with pytest.raises(KeyboardInterrupt), for_at_most(0.01):
        pause(60)
    outer = Interruption()
    with outer:
        with pytest.raises(KeyboardInterrupt), for_at_most(0.01):
            run_all(lambda item: pause(60), range(4))
        assert current() is outer
        check()
