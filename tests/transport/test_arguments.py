"""The arguments of a connection and its requests, refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.errors import TransportError
from simple_orthanc.transport import Transport
from tests.http_stand_in import StandIn, always, reply


@pytest.mark.parametrize("path", ["/a/../b", "/a/%2e%2e", "..", "/a/./b", "/a%2F..%2Fb"])
def test_a_path_cannot_climb(path: str) -> None:
    transport = Transport("http://127.0.0.1:1")
    with pytest.raises(TransportError, match="segment of dots"):
        transport.content("DELETE", path)
    assert transport.requests == 0


def test_a_number_sign_does_not_cut_the_path() -> None:
    with StandIn(always(reply([]))) as server:
        Transport(server.url).json("GET", "/labels/a#b?x=1")
        assert server.asked[0].path == "/labels/a%23b?x=1"


@pytest.mark.parametrize("timeout", [0, -1, (5,), (5, 0), (1, 2, 3), 1e30])
def test_impossible_timeouts_are_refused(timeout: object) -> None:
    with pytest.raises(TransportError, match="timeout="):
        Transport("http://127.0.0.1:8042", timeout=timeout)


@pytest.mark.parametrize("headers", [{1: "x"}, {"X-Name": 1}, {"X-Name": None}, {"X-Name": "a\nb"}, "X-Name: a"])
def test_headers_that_cannot_be_sent_are_refused(headers: Any) -> None:
    with pytest.raises(TransportError, match=r"[Hh]eader"):
        Transport("http://127.0.0.1:8042").content("GET", "/", headers=headers)


@pytest.mark.parametrize("value", [0, -1, "5", float("inf"), True])
def test_impossible_deadlines_and_rates_are_refused(value: Any) -> None:
    with pytest.raises(TransportError, match="deadline="):
        Transport("http://127.0.0.1:8042").content("GET", "/", deadline=value)
    if value != 0:
        with pytest.raises(TransportError, match="minimum_rate="):
            Transport("http://127.0.0.1:8042", minimum_rate=value)
