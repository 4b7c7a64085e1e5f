"""Labels and metadata are found at each level, or it is said why they cannot be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.sources.orthanc.source import OrthancSource
from simple_orthanc.transport import Transport
from tests.orthanc_stand_in import OrthancServer
from tests.sources.contract import make_archive

NEW, OLD = "1.12.7", "1.10.1"


@pytest.fixture
def stand_in(request: pytest.FixtureRequest) -> Iterator[OrthancServer]:
    with OrthancServer(make_archive(), getattr(request, "param", NEW)) as stand_in:
        yield stand_in


@pytest.fixture
def source(stand_in: OrthancServer) -> Iterator[OrthancSource]:
    with Transport(stand_in.url) as transport:
        yield OrthancSource(transport)


def test_a_label_is_found_at_each_level(stand_in: OrthancServer, source: OrthancSource) -> None:
    first = stand_in.datasets[0]
    levels = ("patient", "study", "series", "instance")
    for level in levels:
        stand_in.labels[stand_in.identifier_of(first, level)] = ["reviewed", "other"]
    found = source.server_field("label", "reviewed")
    assert found == {level: {stand_in.identifier_of(first, level): ("reviewed",)} for level in levels}
    assert source.server_field("label", "nobody") == {level: {} for level in levels}


@pytest.mark.parametrize("stand_in", [OLD], indirect=True)
def test_a_server_without_labels_names_the_version_that_has_them(source: OrthancSource) -> None:
    with pytest.raises(UnsupportedError, match=r"Labels need Orthanc 1\.12\.0; .* is Orthanc 1\.10\.1"):
        source.server_field("label", "reviewed")


@pytest.mark.parametrize("stand_in", [NEW, OLD], indirect=True)
def test_metadata_is_found_at_each_level(stand_in: OrthancServer, source: OrthancSource) -> None:
    first, other = stand_in.datasets[0], stand_in.datasets[-1]
    stand_in.metadata[stand_in.identifier_of(first, "series")] = {"RemoteAET": "SCANNER"}
    stand_in.metadata[stand_in.identifier_of(other, "instance")] = {"RemoteAET": "PACS", "LastUpdate": "20200101"}
    found = source.server_field("metadata", "RemoteAET")
    assert found["series"] == {stand_in.identifier_of(first, "series"): ("SCANNER",)}
    assert found["instance"] == {stand_in.identifier_of(other, "instance"): ("PACS",)}
    assert found["study"] == found["patient"] == {}


def test_metadata_that_the_server_does_not_know_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from simple_orthanc.errors import NotFoundError
    from simple_orthanc.rest import Rest
    from simple_orthanc.sources.orthanc.labels import read_metadata

    def find(*_: object, **__: object) -> list[dict[str, object]]:
        raise NotFoundError("Inexistent item")

    with OrthancServer(make_archive()) as stand_in, Transport(stand_in.url) as transport:
        capabilities = Rest(transport).capabilities
        with pytest.raises(SelectionError, match="no metadata of that name"):
            read_metadata(transport, capabilities, find, "Nonsense")
