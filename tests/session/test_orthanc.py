"""Where an Orthanc is, by the arguments of its session."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import Orthanc
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.session import connecting


def asked_url(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> str:
    """The address that a session asks first."""
    urls: list[str] = []

    def stop(url: str, **_: Any) -> None:
        urls.append(url)
        raise TransportError("stopped")

    monkeypatch.setattr(connecting, "Transport", stop)
    with pytest.raises(TransportError, match="stopped"):
        Orthanc(*arguments)
    return urls[0]


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        ((), "http://127.0.0.1:8042"),
        (("pacs",), "http://pacs:8042"),
        (("pacs", 80), "http://pacs:80"),
        (("pacs:80",), "http://pacs:80"),
        (("host/pacs/orthanc", 8043), "http://host:8043/pacs/orthanc"),
        (("host/pacs/orthanc",), "http://host:8042/pacs/orthanc"),
        (("host:8043/pacs/orthanc",), "http://host:8043/pacs/orthanc"),
        (("host/pacs/", 8043), "http://host:8043/pacs/"),
        (("10.0.0.1/a:b", 8043), "http://10.0.0.1:8043/a:b"),
        (("::1", 8043), "http://[::1]:8043"),
        (("::1/pacs", 8043), "http://[::1]:8043/pacs"),
        (("[::1]/pacs", 8043), "http://[::1]:8043/pacs"),
        (("https://pacs.example.org/orthanc",), "https://pacs.example.org/orthanc"),
    ],
)
def test_the_port_belongs_to_the_host(monkeypatch: pytest.MonkeyPatch, arguments: tuple[Any, ...], url: str) -> None:
    monkeypatch.delenv("ORTHANC_URL", raising=False)
    assert asked_url(monkeypatch, *arguments) == url


@pytest.mark.parametrize("arguments", [("host:80/pacs", 81), ("host:80", 81), ("http://host/pacs", 81)])
def test_two_ports_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(SelectionError, match="give the one or the other"):
        Orthanc(*arguments)
