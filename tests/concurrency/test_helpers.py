"""A pool of helper processes: what it answers, and what it raises."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simple_orthanc.concurrency.helpers import HelperEndedError, HelperPool, HelperTaskError, processors
from simple_orthanc.concurrency.threads import map_ordered

MODULE = """
import os
import time

def answer(head, body):
    if head == "raise":
        raise KeyError("no such thing")
    if head == "end":
        os._exit(7)
    if isinstance(head, list) and head[0] == "sleep":
        open(head[1], "w").close()
        time.sleep(60)
    if head == "print":
        print("noise")
    return [head, os.getpid()], body[::-1]
"""


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[HelperPool]:
    (tmp_path / "module.py").write_text(MODULE)
    pool = HelperPool(str(tmp_path / "module.py"))
    yield pool
    pool.close()


def test_before_the_start_there_is_no_helper(pool: HelperPool) -> None:
    assert pool.call("question") is None
    assert not pool.is_started


def test_a_message_is_answered(pool: HelperPool) -> None:
    assert pool.start(1)
    reply = pool.call({"a": [1, None]}, b"body")
    assert reply is not None
    (head, process), body = reply
    assert (head, body) == ({"a": [1, None]}, b"ydob")
    again = pool.call("print")
    assert again is not None
    assert again[0] == ["print", process]


def test_an_exception_is_told_by_its_type_and_its_message(pool: HelperPool) -> None:
    pool.start(1)
    with pytest.raises(HelperTaskError, match="no such thing") as caught:
        pool.call("raise")
    assert caught.value.kind == "KeyError"
    assert pool.call("question") is not None


def test_a_helper_that_ends_is_replaced(pool: HelperPool) -> None:
    pool.start(1)
    for _ in range(2):
        with pytest.raises(HelperEndedError, match="exit status 7"):
            pool.call("end")
    assert pool.call("question") is not None


def test_a_helper_that_was_lent_answers_nobody_else(pool: HelperPool) -> None:
    with pool.lend() as none:
        assert none is None
    pool.start(2)
    with pool.lend() as one, pool.lend() as other:
        assert one is not None
        assert other is not None
        processes = {helper.call("question")[0][1] for helper in (one, other, one, other)}
        assert len(processes) == 2
        with pytest.raises(HelperEndedError):
            one.call("end")
        assert not one.is_usable
    with pool.lend() as one, pool.lend() as other:
        assert one is not None
        assert other is not None
        assert len({helper.call("question")[0][1] for helper in (one, other)} & processes) == 1


def test_a_module_that_cannot_be_loaded_leaves_no_helper(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("raise RuntimeError")
    pool = HelperPool(str(tmp_path / "module.py"))
    try:
        pool.start(2)
        assert pool.call("question") is None
    finally:
        pool.close()


def test_after_the_end_nothing_is_asked(pool: HelperPool) -> None:
    pool.start(1)
    pool.close()
    with pytest.raises(RuntimeError, match="were ended"):
        pool.call("question")


def test_there_is_a_processor() -> None:
    assert processors() >= 1


@pytest.mark.parametrize("helpers", [1, 4])
def test_ctrl_c_ends_helpers_at_work_and_the_wait_for_one(pool: HelperPool, tmp_path: Path, helpers: int) -> None:
    pool.start(helpers)
    begun = tmp_path / "begun"

    def press() -> None:
        while not begun.exists():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(map_ordered(lambda item: pool.call(["sleep", str(begun)]), range(20), workers=4))
    # The helpers would sleep for a minute.
    assert time.monotonic() - before < 30
    assert pool.call("question") is not None
