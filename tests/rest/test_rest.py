"""What an Orthanc is asked first, and what is no Orthanc."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simple_orthanc.errors import TransportError
from simple_orthanc.rest import Rest
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply
from tests.rest.test_capabilities import SYSTEM


def one_answer(answer: bytes) -> StandIn:
    return StandIn(lambda asked, count: answer)


def test_system_is_asked_once() -> None:
    with one_answer(reply(SYSTEM)) as server:
        rest = Rest(Transport(server.url))
        assert rest.capabilities.version == (1, 12, 7)
        assert rest.capabilities.labels
        assert [asked.path for asked in server.asked] == ["/system"]
        assert rest.connect()["ApiVersion"] == 28
        assert repr(rest) == f"<REST API of {server.url}>"


@pytest.mark.parametrize(
    "body", [{}, [], {"Version": "3.0"}, {"ApiVersion": 5}, b"<html>Welcome to nginx", json.dumps("Orthanc").encode()]
)
def test_a_server_that_is_not_orthanc_is_an_error(body: Any) -> None:
    def script(asked: Asked, count: int) -> bytes:
        return reply(body) if not isinstance(body, bytes) else reply(body, headers={"Content-Type": "text/html"})

    with StandIn(script) as server, pytest.raises(TransportError, match=r"it is not Orthanc: its /system .* 8042"):
        Rest(Transport(server.url)).connect()
