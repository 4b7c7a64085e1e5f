"""The credentials that the constructors share."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from simple_orthanc import DicomWeb, Orthanc, transport
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.session.connecting import open_transport
from simple_orthanc.transport import Transport
from simple_orthanc.transport.secret import hide, reveal

SHARED = ["selection", "auth", "token", "headers", "verify", "cert", "timeout", "patience", "minimum_rate", "http"]


@pytest.mark.parametrize(
    ("username", "password", "auth", "used"),
    [
        (None, None, None, None),
        (None, None, ("jane", "secret"), ("jane", "secret")),
        ("jane", "secret", None, ("jane", "secret")),
        ("jane", None, None, ("jane", "")),
        (None, "secret", None, ("", "secret")),
    ],
)
def test_a_username_is_one_way_to_authenticate(
    monkeypatch: pytest.MonkeyPatch, username: str | None, password: str | None, auth: Any, used: Any
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        transport, "Transport", lambda url, auth, **options: calls.append((url, {"auth": reveal(auth), **options}))
    )
    open_transport("http://127.0.0.1:1", username, hide(password), auth=hide(auth), timeout=3)
    assert calls == [("http://127.0.0.1:1", {"auth": used, "timeout": 3})]


def test_two_ways_to_authenticate_are_refused() -> None:
    for username, password in (("jane", None), (None, "secret"), ("", "")):
        with pytest.raises(SelectionError, match="username and password or auth, not both"):
            open_transport("http://127.0.0.1:1", username, password, auth=("jane", "secret"))


@pytest.mark.parametrize("kind", [Orthanc, DicomWeb])
def test_an_impossible_patience_is_refused(kind: Any) -> None:
    with pytest.raises(TransportError, match="patience is -1"):
        kind("http://127.0.0.1:1", patience=-1)
    with pytest.raises(TransportError, match="minimum_rate is -1"):
        kind("http://127.0.0.1:1", minimum_rate=-1)


def test_the_constructors_share_names_and_defaults() -> None:
    orthanc, dicomweb = (inspect.signature(kind).parameters for kind in (Orthanc, DicomWeb))
    connection = inspect.signature(Transport).parameters
    for name in SHARED:
        assert orthanc[name] == dicomweb[name]
        if name != "selection":
            assert orthanc[name].default == connection[name].default
