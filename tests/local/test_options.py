"""The configuration of a local server: checked, with a login, closed to others by default."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import LocalOrthanc
from simple_orthanc.errors import SelectionError
from simple_orthanc.local.options import configuration, new_login
from simple_orthanc.transport.secret import Secret
from tests.secrets_in_tracebacks import leaks

SECRET = "w0nderland"


def whole(config: dict[str, Any]) -> dict[str, Any]:
    given = Secret(config)
    made = configuration(given, new_login(given), Path("/folder"), "mine", iter([1234, 5678]).__next__)
    assert repr(made) == "***"
    options: dict[str, Any] = made.reveal()
    return options


def test_every_start_has_a_login_of_its_own() -> None:
    first, second = whole({}), whole({})
    for options in (first, second):
        ((user, password),) = options["RegisteredUsers"].items()
        assert options["AuthenticationEnabled"] is True
        assert user.startswith("user-")
        assert len(password) == 32
    assert first["RegisteredUsers"] != second["RegisteredUsers"]
    assert first["RemoteAccessAllowed"] is False
    assert first["HttpBindAddresses"] == ["127.0.0.1"]
    assert first["DicomServerEnabled"] is False
    assert first["HttpPort"] == 1234


@pytest.mark.parametrize("users", [{}, None])
def test_authentication_without_users_has_the_random_one(users: Any) -> None:
    options = whole({"AuthenticationEnabled": True, "RegisteredUsers": users})
    assert len(options["RegisteredUsers"]) == 1


def test_own_users_replace_the_random_one() -> None:
    config = {"RegisteredUsers": {"jane": SECRET, "john": "other"}}
    assert whole(config)["RegisteredUsers"] == config["RegisteredUsers"]
    login = new_login(Secret(config))
    assert login is not None
    assert (login[0], login[1].reveal()) == ("jane", SECRET)
    assert SECRET not in repr(login)


@pytest.mark.parametrize("config", [{}, {"RegisteredUsers": {"jane": SECRET}}])
def test_authentication_can_be_turned_off(config: dict[str, Any]) -> None:
    off = {**config, "AuthenticationEnabled": False}
    assert new_login(Secret(off)) is None
    assert whole(off)["AuthenticationEnabled"] is False


def test_what_the_user_gives_wins_except_for_the_name() -> None:
    options = whole({"StableAge": 60, "Name": "theirs", "RemoteAccessAllowed": True, "DicomServerEnabled": True})
    assert (options["StableAge"], options["Name"], options["DicomPort"]) == (60, "mine", 5678)
    assert "HttpBindAddresses" not in options


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SECRET, "config is of type str; give a dict"),
        ([SECRET], "config is of type list"),
        ({5: SECRET}, "an option whose name is not a string"),
        ({"HttpPort": SECRET}, "HttpPort in config is not a port"),
        ({"HttpPort": 0, "X": SECRET}, "integer from 1 to 65535"),
        ({"HttpPort": 65536, "X": SECRET}, "integer from 1 to 65535"),
        ({"HttpPort": 80.5, "X": SECRET}, "integer from 1 to 65535"),
        ({"HttpPort": True, "X": SECRET}, "integer from 1 to 65535"),
        ({"RegisteredUsers": ["jane", SECRET]}, "no dict of users and passwords"),
        ({"RegisteredUsers": {"jane": [SECRET]}}, "no dict of users and passwords"),
        ({"RegisteredUsers": {"jane": ""}, "X": SECRET}, "no dict of users and passwords"),
        ({"RegisteredUsers": {"jane:doe": SECRET}}, "A user in RegisteredUsers has a colon in the name"),
        ({"RegisteredUsers": {"jane": SECRET, ":": "x"}}, "choose a name without one"),
        ({"DicomWeb": {"Servers": {"a": (SECRET, {1, 2})}}}, "The option DicomWeb in config has a value"),
        ({"X": object(), "Y": SECRET}, "The option X in config"),
        ({"X": math.nan, "Y": SECRET}, "The option X in config"),
    ],
)
def test_odd_options_are_refused_and_not_shown(config: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=message) as caught:
        LocalOrthanc(config=config)
    assert leaks(caught.value, SECRET) == []


@pytest.mark.parametrize(
    "timeout",
    [10**400, Fraction(10**400), -(10**400), math.nan, 0, -1, "30", None, 1j],
    ids=lambda value: str(value)[:9],
)
def test_odd_timeouts_are_refused(timeout: Any) -> None:
    with pytest.raises(SelectionError, match="give seconds above 0"):
        LocalOrthanc(timeout=timeout)


def test_an_option_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["X"] = endless
    with pytest.raises(SelectionError, match="The option X in config"):
        LocalOrthanc(config=endless)
