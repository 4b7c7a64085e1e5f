"""Where an Orthanc is, by the arguments of its session."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from simple_orthanc import Orthanc, transport
from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.errors import NotFoundError, SelectionError, TransportError
from simple_orthanc.phantom import make_series
from simple_orthanc.session.orthanc import _address_hint
from tests.http_stand_in import StandIn, always, reply
from tests.orthanc_stand_in import OrthancServer


def asked_url(monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> str:
    """The address that a session asks first."""
    urls: list[str] = []

    def stop(url: str, **_: Any) -> None:
        urls.append(url)
        raise TransportError("stopped")

    monkeypatch.setattr(transport, "Transport", stop)
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
        (("http://pacs:8042/app/explorer.html",), "http://pacs:8042"),
        (("http://pacs:8042/app/explorer.html#study?uuid=1f-2e",), "http://pacs:8042"),
        (("http://pacs:8042/ui/app/",), "http://pacs:8042"),
        (("https://pacs.example.org/orthanc/ui/app/#/filtered-studies?x=1",), "https://pacs.example.org/orthanc"),
        (("http://pacs:8042/ui/app/index.html",), "http://pacs:8042"),
        (("pacs/orthanc/ui/app", 8043), "http://pacs:8043/orthanc"),
        (
            ("http://pacs:8042/ohif/viewer?StudyInstanceUIDs=1.2.3&url=../studies/1f-2e/ohif-dicom-json",),
            "http://pacs:8042",
        ),
        (("http://pacs/orthanc/stone-webviewer/index.html?study=1.2.3",), "http://pacs/orthanc"),
        (("http://pacs:8042/volview/index.html?names=[a.zip]&urls=[../studies/1/archive]",), "http://pacs:8042"),
        (("http://pacs:8042/dicom-web",), "http://pacs:8042"),
        (("http://pacs:8042/dicom-web/studies/",), "http://pacs:8042"),
        # Roots of their own.
        (("http://pacs/dicom-web-2",), "http://pacs/dicom-web-2"),
        (("http://pacs/app",), "http://pacs/app"),
        (("http://pacs/ui/application",), "http://pacs/ui/application"),
    ],
)
def test_the_port_belongs_to_the_host(monkeypatch: pytest.MonkeyPatch, arguments: tuple[Any, ...], url: str) -> None:
    monkeypatch.delenv("ORTHANC_URL", raising=False)
    assert asked_url(monkeypatch, *arguments) == url


def test_a_browsers_address_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTHANC_URL", "http://pacs:8042/ui/app/")
    assert asked_url(monkeypatch) == "http://pacs:8042"


def test_an_address_below_the_root_is_explained() -> None:
    with (
        StandIn(always(reply(status=404))) as server,
        pytest.raises(NotFoundError, match=r"/viewers is not the root of an Orthanc: give what precedes /app/explorer"),
    ):
        Orthanc(f"{server.url}/viewers")


@pytest.mark.parametrize("url", ["http://localhost:4242", "http://localhost:104", "https://localhost:11112"])
def test_a_port_of_the_dicom_protocol_is_explained(url: str) -> None:
    (port,) = url.rsplit(":", 1)[1:]
    hint = _address_hint(TransportError(), url)
    assert f"{port} is a usual port of the DICOM protocol" in hint
    assert "Orthanc's port is 8042" in hint


@pytest.mark.parametrize("url", ["http://localhost:8042", "http://localhost:14242", "http://localhost/4242"])
def test_other_ports_are_not(url: str) -> None:
    assert _address_hint(TransportError(), url) == ""


@pytest.mark.parametrize("arguments", [("host:80/pacs", 81), ("host:80", 81), ("http://host/pacs", 81)])
def test_two_ports_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(SelectionError, match="give the one or the other"):
        Orthanc(*arguments)


ASKING = {"default_encoding", "dicomweb", "log_level", "plugins", "system"} | {f"{level}_count" for level in LEVELS}


def what_a_server_has(orthanc: Orthanc) -> dict[str, object]:
    """Return what a session hands out as attributes, without plain answers of the server."""
    names = {name for name in dir(Orthanc) if isinstance(getattr(Orthanc, name, None), property)} - ASKING
    objects = ["rest.patients", "rest.studies", "rest.series", "rest.instances", "rest.routes"]
    return {name: operator.attrgetter(name)(orthanc) for name in [*sorted(names), *objects]}


def test_nothing_that_a_notebook_shows_of_a_server_asks_it() -> None:
    with OrthancServer(make_series((3, 4, 4))) as server, Orthanc(server.url) as orthanc:
        shown = what_a_server_has(orthanc)
        assert {"jobs", "modalities", "peers", "dicomweb_servers", "worklists", "series", "rest"} <= shown.keys()
        shown |= {"session": orthanc, "volumes": orthanc.get_volumes()}
        before = len(server.asked)
        for value in shown.values():
            data, _ = DisplayFormatter().format(value)
            assert data["text/plain"]
            assert repr(value)
            assert str(value)
        assert len(server.asked) == before
