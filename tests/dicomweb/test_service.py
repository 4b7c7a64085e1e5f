"""Credentials, certificates, proxies and retries apply to every transaction; no secret is shown."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc.dicomweb import Transactions
from simple_orthanc.errors import AuthenticationError, ServerError, TransportError
from simple_orthanc.transport import Transport
from tests.http_stand_in import QuickClock, StandIn, always, free_port, in_turn, reply

ITEM = {"00080018": {"vr": "UI", "Value": ["1.2.3.4"]}}
ANSWER = reply(json.dumps([ITEM]).encode(), headers={"Content-Type": "application/dicom+json"})
FILE = bytes(128) + b"DICM" + b"\x08\x00\x18\x00UI\x08\x001.2.3.4\0"
UIDS = ("1.2", "1.2.3", "1.2.3.4")

CALLS: list[Callable[[Transactions], Any]] = [
    lambda client: list(client.search_studies(limit=1)),
    lambda client: client.retrieve_instance_metadata(*UIDS),
    lambda client: client.retrieve_instance(*UIDS),
    lambda client: list(client.retrieve_series(*UIDS[:2])),
    lambda client: list(client.retrieve_frames(*UIDS, [1])),
    lambda client: client.retrieve_bulkdata("/bulk/1"),
    lambda client: client.retrieve_instance_rendered(*UIDS),
    lambda client: client.store([FILE]),
    lambda client: client.delete_study("1.2"),
]


def test_no_token_is_no_header() -> None:
    with StandIn(always(ANSWER)) as server:
        list(Transactions(Transport(server.url)).search_studies(limit=1))
        assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize("call", CALLS)
def test_a_token_is_requested_for_each_request(call: Callable[[Transactions], Any]) -> None:
    with StandIn(always(reply(b"", 401))) as server:
        tokens = iter(f"token-number-{number}" for number in range(9))
        client = Transactions(Transport(server.url, token=lambda: next(tokens)))
        for _ in range(2):
            with pytest.raises(AuthenticationError) as caught:
                call(client)
            assert "token-number" not in str(caught.value)
        sent = [asked.headers["authorization"] for asked in server.asked]
        assert sent == [f"Bearer token-number-{number}" for number in range(len(sent))]
        assert len(sent) == 2
        assert "token" not in repr(client)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("call", CALLS)
def test_a_busy_server_is_asked_again_when_it_wants(call: Callable[[Transactions], Any], status: int) -> None:
    busy = reply({"Message": "busy"}, status, {"Retry-After": "0.1"})
    with StandIn(always(busy)) as server:
        with pytest.raises(ServerError, match="busy") as caught:
            call(Transactions(Transport(server.url)))
        assert caught.value.status == status
        assert len(server.asked) > 10
        assert len({asked.body for asked in server.asked}) == 1


def test_retry_after_is_waited_for(clock: QuickClock) -> None:
    with StandIn(in_turn(reply(b"", 429, {"Retry-After": "3"}), ANSWER)) as server:
        assert list(Transactions(Transport(server.url)).search_studies(limit=1)) == [ITEM]
        assert clock.waited == [3]


@pytest.mark.parametrize("call", CALLS)
def test_a_refused_first_connection_is_given_up_soon(call: Callable[[Transactions], Any], clock: QuickClock) -> None:
    transport = Transport(f"http://127.0.0.1:{free_port()}/dicom-web")
    with pytest.raises(TransportError, match="No server answers"):
        call(Transactions(transport))
    assert sum(clock.waited) == pytest.approx(3)


def test_a_client_certificate_is_presented(certificate: tuple[Path, Path]) -> None:
    with StandIn(always(ANSWER), certificate=certificate) as server:
        assert server._context is not None
        server._context.verify_mode = ssl.CERT_REQUIRED
        server._context.load_verify_locations(certificate[0])
        with pytest.raises(TransportError):
            list(Transactions(Transport(server.url, verify=certificate[0])).search_studies(limit=1))
        shown = Transport(server.url, verify=certificate[0], cert=certificate)
        assert list(Transactions(shown).search_studies(limit=1)) == [ITEM]
        # A URL of plain HTTP for the same server, as one behind a proxy that ends TLS would give, leads nowhere else.
        with pytest.raises(TransportError, match="one server only"):
            Transactions(shown).retrieve_bulkdata(server.url.replace("https", "http") + "/bulk/1")


def test_bulk_data_behind_a_proxy_that_ends_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def request(self: Any, method: str, url: str, **options: Any) -> Any:
        asked.append(url)
        raise TransportError("stopped")

    monkeypatch.setattr("requests.Session.request", request)
    client = Transactions(Transport("https://pacs.example.org/dicom-web", token="a-secret-token"))
    for url in ("http://pacs.example.org/dicom-web/bulk/1", "https://PACS.example.org:443/dicom-web/bulk/1"):
        with pytest.raises(TransportError, match="stopped"):
            client.retrieve_bulkdata(url)
    assert asked == ["https://pacs.example.org/dicom-web/bulk/1"] * 2


def test_a_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with StandIn(always(ANSWER)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        client = Transactions(Transport("http://pacs.example.org/dicom-web"))
        assert client.retrieve_instance_metadata(*UIDS) == ITEM
        assert proxy.asked[0].path.startswith("http://pacs.example.org/dicom-web/studies/1.2/")
        # What comes over a network is packed, where it is text.
        assert proxy.asked[0].headers["accept-encoding"] == "gzip"


def test_a_redirect_to_another_server_is_not_followed() -> None:
    with StandIn(always(ANSWER)) as other:
        moved = reply(b"", 302, {"Location": f"{other.url}/studies"})
        with StandIn(always(moved)) as server:
            for call in CALLS:
                with pytest.raises(TransportError, match="not followed"):
                    call(Transactions(Transport(server.url, token="a-secret-token")))
        assert other.asked == []


def test_nothing_with_status_200_is_not_an_empty_answer() -> None:
    calls: list[Callable[[Transactions], Any]] = [
        lambda client: list(client.search_studies()),
        lambda client: list(client.search_instances(*UIDS[:2])),
        lambda client: client.retrieve_series_metadata(*UIDS[:2]),
    ]
    for call in calls:
        with StandIn(always(reply(b""))) as server, pytest.raises(TransportError, match="status 200 and nothing else"):
            call(Transactions(Transport(server.url, patience=0)))
        with StandIn(always(reply(b"", 204))) as server:
            assert call(Transactions(Transport(server.url))) == []
