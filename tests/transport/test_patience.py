"""How long requests are tried again, and which failures are worth it."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest

from simple_orthanc.errors import TransportError
from simple_orthanc.transport.failures import Cause, NetworkError
from simple_orthanc.transport.patience import Again, Attempts, Patience, after_failure, after_refusal
from tests.http_stand_in import QuickClock


@pytest.mark.parametrize("seconds", [0.0, 0.5, 20, 600])
def test_pauses_grow_and_end_with_the_patience(seconds: float, clock: QuickClock) -> None:
    for pause in Patience(seconds).pauses():
        clock.waited.append(pause)
    assert sum(clock.waited) == pytest.approx(seconds)
    for index, pause in enumerate(clock.waited[:-1]):
        longest = min(0.05 * 2**index, 2.0)
        assert longest / 2 <= pause <= longest


def test_pauses_differ_between_threads() -> None:
    assert len({next(Patience().pauses()) for _ in range(20)}) > 10


def test_the_number_of_pauses_can_be_limited() -> None:
    assert len(list(Patience().pauses(most=3))) == 3


def test_what_was_waited_before_counts(clock: QuickClock) -> None:
    for pause in Patience(5).pauses(spent=3):
        clock.waited.append(pause)
    assert sum(clock.waited) == pytest.approx(2)


def test_a_longer_pause_is_made_if_the_server_asks_for_it() -> None:
    pauses = Patience(20).pauses()
    assert pauses.after(7.0) == 7.0
    assert pauses.after(20.5) is None
    assert Patience(0).pauses().after(0.0) is None


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan, "20", None, True, (3, 20)])
def test_impossible_patience_is_refused(seconds: Any) -> None:
    with pytest.raises(TransportError, match="patience=20, or 0"):
        Patience(seconds)


def test_patience_is_picklable_and_compares_by_value() -> None:
    assert pickle.loads(pickle.dumps(Patience(3))) == Patience(3) != Patience()


def test_every_cause_has_a_rule() -> None:
    rules = {cause: after_failure(NetworkError(cause, "")) for cause in Cause}
    assert {cause for cause in Cause if rules[cause] is Again.ALL} == {
        Cause.REFUSED,
        Cause.CONNECT_TIMEOUT,
        Cause.UNREACHABLE,
        Cause.UNKNOWN_NAME,
    }
    assert after_failure(NetworkError(Cause.TLS, "", dropped=True)) is Again.READS
    assert rules[Cause.TLS] is rules[Cause.REQUEST] is Again.NEVER


def test_the_statuses_that_are_tried_again() -> None:
    again = {status for status in range(400, 600) if after_refusal(status, b"") is Again.READS}
    assert again == {429, 500, 502, 503, 504}
    for content in (b'{"OrthancStatus": 27}', b'{"OrthancStatus": -1}', b'{"OrthancStatus": "x"}'):
        assert after_refusal(500, content) is Again.NEVER
        assert after_refusal(503, content) is Again.READS


@pytest.mark.parametrize("harmless", [True, False])
def test_a_request_that_was_not_sent_is_always_sent_again(harmless: bool) -> None:
    attempts = Attempts(Patience(), harmless, True, 300)
    assert attempts.pause() == 0
    attempts.failed(NetworkError(Cause.REFUSED, ""), begun=False)
    assert attempts.pause() is not None
    assert not attempts.lost
    attempts.failed(NetworkError(Cause.DROPPED, ""), begun=False)
    assert (attempts.pause() is None) == (not harmless)
    assert attempts.lost


def test_an_attempt_that_took_long_leaves_the_patience_whole(clock: QuickClock) -> None:
    attempts = Attempts(Patience(), True, True, 300)
    clock.waited.append(100.0)
    attempts.failed(NetworkError(Cause.DROPPED, ""), begun=True)
    assert attempts.pause() is not None
    clock.waited.append(100.0)
    attempts.failed(NetworkError(Cause.DROPPED, ""), begun=True)
    assert attempts.pause() is None
    assert "tried 2 times in 200 s" in attempts.note


@pytest.mark.parametrize(
    ("cause", "is_repeated"), [(Cause.GARBLED, True), (Cause.DROPPED, True), (Cause.REFUSED, False)]
)
def test_a_slow_first_answer_that_cannot_be_read_is_requested_again(
    cause: Cause, is_repeated: bool, clock: QuickClock
) -> None:
    attempts = Attempts(Patience(), True, False, 300)
    clock.waited.append(4.0)
    attempts.failed(NetworkError(cause, ""), begun=False)
    assert (attempts.pause() is not None) == is_repeated
    clock.waited.append(4.0)
    attempts.failed(NetworkError(cause, ""), begun=False)
    assert attempts.pause() is None
