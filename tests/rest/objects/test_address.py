"""Where an object is, and the error if it is not there."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import AuthenticationError, NotFoundError, ServerError, TransportError
from simple_orthanc.rest.objects.address import Address
from tests.http_stand_in import reply
from tests.rest.objects.server import KEY, STUDY, ObjectServer

ROUTES: list[tuple[Any, str]] = [
    ("patient", "patients"),
    ("study", "studies"),
    ("series", "series"),
    ("instance", "instances"),
]


@pytest.mark.parametrize(("level", "route"), ROUTES)
def test_an_unknown_object_is_named_by_level_and_id(level: Any, route: str) -> None:
    with ObjectServer({}) as server:
        address = Address(server.rest, level, "no/pe")
        with pytest.raises(
            NotFoundError, match=rf"holds no {level} with the id 'no/pe'.*rest\.{route}\.ids\(\)"
        ) as caught:
            address.get("labels")
        assert address.is_meant_by(caught.value)
        assert (caught.value.status, caught.value.path) == (404, f"/{route}/no/pe")
        assert server.calls[-1] == f"GET /{route}/no%2Fpe?short="


@pytest.mark.parametrize("status", [401, 403])
def test_a_user_who_may_not_look_is_not_told_that_there_is_nothing(status: int) -> None:
    with ObjectServer({"GET /studies/a": reply(b"", status)}) as server, pytest.raises(AuthenticationError):
        Address(server.rest, "study", "a").is_held()


def test_a_route_that_a_known_object_lacks_is_another_error() -> None:
    with ObjectServer({f"GET /studies/{KEY}": STUDY}) as server:
        address = Address(server.rest, "study", KEY)
        with pytest.raises(NotFoundError, match="labels") as caught:
            address.get("labels")
        assert not address.is_meant_by(caught.value)
        assert not address.is_meant_by(ServerError("500"))


@pytest.mark.parametrize("answer", [[], "text", None, 7])
def test_an_answer_of_another_shape(answer: Any) -> None:
    with ObjectServer({f"GET /studies/{KEY}": reply(answer)}) as server:
        address = Address(server.rest, "study", KEY)
        with pytest.raises(TransportError, match=f"answered GET /studies/{KEY} with something else than Orthanc does"):
            address.get_object()


@pytest.mark.parametrize("answer", [{}, "text", None, 7])
def test_an_answer_that_is_not_a_list(answer: Any) -> None:
    with (
        ObjectServer({f"GET /studies/{KEY}/labels": reply(answer)}) as server,
        pytest.raises(TransportError, match="something else"),
    ):
        Address(server.rest, "study", KEY).get_list("labels")
