"""The address and the token of the Orthanc that runs a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import Orthanc, TransportError, UnsupportedError, orthanc_sdk
from simple_orthanc.session.in_plugin import own_address
from tests.http_stand_in import StandIn, always, free_port, reply
from tests.session.watched_server import WatchedServer


@pytest.mark.parametrize(
    ("configuration", "address"),
    [
        ({}, "http://127.0.0.1:8042"),
        ({"HttpPort": 80, "RemoteAccessAllowed": True, "Name": "10.1.2.3"}, "http://127.0.0.1:80"),
        ({"SslEnabled": True, "HttpPort": 443}, "https://127.0.0.1:443"),
        ({"SslVerifyPeers": True}, "http://127.0.0.1:8042"),
        ({"HttpBindAddresses": []}, "http://127.0.0.1:8042"),
        ({"HttpBindAddresses": ["10.0.0.5", "127.0.0.1"]}, "http://127.0.0.1:8042"),
        ({"HttpBindAddresses": ["0.0.0.0"]}, "http://127.0.0.1:8042"),
        ({"HttpBindAddresses": ["10.0.0.5"], "HttpPort": 8043}, "http://10.0.0.5:8043"),
        ({"HttpBindAddresses": ["::1"]}, "http://[::1]:8042"),
        ({"HttpBindAddresses": ["::"]}, "http://[::1]:8042"),
        ({"HttpBindAddresses": ["fd00::7"]}, "http://[fd00::7]:8042"),
    ],
)
def test_the_address_is_on_this_machine(configuration: dict[str, Any], address: str) -> None:
    assert own_address(configuration) == address


def test_what_cannot_be_reached_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="HttpServerEnabled is false"):
        own_address({"HttpServerEnabled": False})
    with pytest.raises(UnsupportedError, match=r"from_plugin\(cert="):
        own_address({"SslEnabled": True, "SslVerifyPeers": True})
    assert own_address({"SslEnabled": True, "SslVerifyPeers": True}, has_certificate=True).startswith("https:")


def test_outside_of_orthanc_it_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r'this is not one.*Orthanc\("http://127\.0\.0\.1:8042"\)'):
        Orthanc.from_plugin()


def as_plugin(monkeypatch: pytest.MonkeyPatch, configuration: dict[str, Any]) -> None:
    monkeypatch.setattr(orthanc_sdk, "GenerateRestApiAuthorizationToken", lambda: "Bearer 12-34")
    monkeypatch.setattr(orthanc_sdk, "GetConfiguration", lambda: json.dumps(configuration))


def test_the_token_of_the_plugin_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with WatchedServer([]) as server:
        as_plugin(monkeypatch, {"HttpPort": server.port})
        with Orthanc.from_plugin(patience=0) as session:
            assert session.rest.get("/system")["Version"] == "1.12.7"
            assert "12-34" not in repr(session)
        assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer 12-34"}


def test_the_certificate_of_the_own_server_may_be_of_another_name(
    monkeypatch: pytest.MonkeyPatch, certificate: tuple[Path, Path]
) -> None:
    system = reply({"Version": "1.12.7", "ApiVersion": 27, "Last": 0})
    with StandIn(always(system), certificate=certificate) as server:
        as_plugin(monkeypatch, {"HttpPort": server.port, "SslEnabled": True})
        # Without a warning, which would be an error here.
        with Orthanc.from_plugin(patience=0) as session:
            assert session.rest.get("/system")["ApiVersion"] == 27
        with pytest.raises(TransportError, match="certificate"):
            Orthanc.from_plugin(patience=0, verify=True)


def test_a_server_that_does_not_listen_yet_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    as_plugin(monkeypatch, {"HttpPort": free_port()})
    with pytest.raises(
        TransportError, match=r"after its scripts were run: call from_plugin\(\) in a callback"
    ) as caught:
        Orthanc.from_plugin(patience=0)
    assert "12-34" not in str(caught.value)
