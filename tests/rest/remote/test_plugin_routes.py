"""A route that a plugin adds is unsupported without it."""

from __future__ import annotations

import pytest

from simple_orthanc.errors import NotFoundError, ServerError, UnsupportedError
from simple_orthanc.rest.remote.plugin_routes import needing_plugin


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("no", status=404, path="/transfers/send", details="Unknown resource; OrthancStatus 17"),
        NotFoundError("no", status=404, path="/transfers/send"),
        ServerError("no", status=405, path="/transfers/send"),
    ],
)
def test_an_unknown_route_names_the_plugin(error: ServerError) -> None:
    says = r"no route /transfers/send, which the plugin adds\. Get it there\."
    with pytest.raises(UnsupportedError, match=says), needing_plugin("the plugin", "Get it there."):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("no", status=404, details="Accessing an inexistent item; OrthancStatus 7"),
        ServerError("no", status=500),
    ],
)
def test_any_other_error_stays_as_it_is(error: ServerError) -> None:
    with pytest.raises(type(error)) as caught, needing_plugin("the plugin", "Get it there."):
        raise error
    assert caught.value is error


def test_without_an_error_nothing_happens() -> None:
    with needing_plugin("the plugin", "Get it there."):
        pass
