"""Labels and metadata as conditions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simple_orthanc import LocalOrthanc, Orthanc, SelectionError, UnsupportedError, label, metadata, tag
from tests.conftest import MakeServer, ask
from tests.live.archives import simple_file, store

pytestmark = pytest.mark.on_postgresql


def orthanc_id(server: LocalOrthanc, uid: str) -> str:
    return str(ask(server, "/tools/lookup", "POST", uid.encode())[0]["ID"])


@pytest.fixture
def filled(empty_server: LocalOrthanc) -> Iterator[Orthanc]:
    """Two studies of two series of two instances: series 1.2.<study>.<series>."""
    for study in (1, 2):
        for series in (1, 2):
            for number in (1, 2):
                uids = {"StudyInstanceUID": f"1.2.{study}", "SeriesInstanceUID": f"1.2.{study}.{series}"}
                store(empty_server, simple_file(0, SOPInstanceUID=f"1.2.{study}.{series}.{number}", **uids))
    with empty_server.connect() as session:
        yield session


@pytest.fixture
def labelled(empty_server: LocalOrthanc, filled: Orthanc) -> Orthanc:
    if empty_server.version.startswith("1.10"):
        with pytest.raises(UnsupportedError, match=r"1\.12\.0.*1\.10\.1"):
            filled.select(label("x"))
        pytest.skip(f"Orthanc {empty_server.version} has no labels")
    ask(empty_server, f"/studies/{orthanc_id(empty_server, '1.2.1')}/labels/done", "PUT", b"")
    ask(empty_server, f"/series/{orthanc_id(empty_server, '1.2.2.1')}/labels/done", "PUT", b"")
    ask(empty_server, f"/series/{orthanc_id(empty_server, '1.2.2.1')}/labels/Done", "PUT", b"")
    ask(empty_server, f"/series/{orthanc_id(empty_server, '1.2.2.2')}/labels/other", "PUT", b"")
    return filled


def test_a_label_applies_to_the_levels_below(labelled: Orthanc) -> None:
    labelled.select(label("done"))
    assert (labelled.study_count, labelled.series_count, labelled.instance_count) == (2, 3, 6)
    assert labelled.SeriesInstanceUIDs == ["1.2.1.1", "1.2.1.2", "1.2.2.1"]
    assert labelled.reset().exclude(label("done")).SeriesInstanceUIDs == ["1.2.2.2"]
    assert labelled.reset().select(label("Done")).SeriesInstanceUIDs == ["1.2.2.1"]
    both = label("done") & (tag("StudyInstanceUID") == "1.2.2")
    assert labelled.reset().select(both).SeriesInstanceUIDs == ["1.2.2.1"]
    either = label("other") | label("Done")
    assert labelled.reset().select(either).SeriesInstanceUIDs == ["1.2.2.1", "1.2.2.2"]


def test_a_label_that_no_object_has(labelled: Orthanc) -> None:
    with pytest.warns(UserWarning, match="Nothing is selected.*nowhere"):
        assert labelled.select(label("nowhere")).series_count == 0
    assert labelled.reset().exclude(label("nowhere")).series_count == 4


def test_refresh_sees_labels_come_and_go(empty_server: LocalOrthanc, labelled: Orthanc) -> None:
    labelled.select(label("other"))
    assert labelled.SeriesInstanceUIDs == ["1.2.2.2"]
    ask(empty_server, f"/series/{orthanc_id(empty_server, '1.2.1.2')}/labels/other", "PUT", b"")
    assert labelled.refresh().SeriesInstanceUIDs == ["1.2.1.2", "1.2.2.2"]
    ask(empty_server, f"/series/{orthanc_id(empty_server, '1.2.2.2')}/labels/other", "DELETE")
    assert labelled.refresh().SeriesInstanceUIDs == ["1.2.1.2"]


def test_labels_where_the_server_finds_few_at_once(make_server: MakeServer, server: LocalOrthanc) -> None:
    if server.version.startswith("1.10"):
        pytest.skip(f"Orthanc {server.version} has no labels")
    limited = make_server({"LimitFindResults": 4, "LimitFindInstances": 4})
    store(limited, *(simple_file(number, SeriesInstanceUID=f"1.2.3.{number}") for number in range(11)))
    for series in ask(limited, "/series"):
        ask(limited, f"/series/{series}/labels/all", "PUT", b"")
    assert limited.connect().select(label("all")).series_count == 11
    assert limited.connect().select(metadata("RemoteAET").is_missing()).series_count == 11


def test_metadata_at_every_level(empty_server: LocalOrthanc, filled: Orthanc) -> None:
    study, series = orthanc_id(empty_server, "1.2.1"), orthanc_id(empty_server, "1.2.2.1")
    instance = orthanc_id(empty_server, "1.2.2.2.2")
    ask(empty_server, f"/studies/{study}/metadata/1024", "PUT", b"Reader A")
    ask(empty_server, f"/series/{series}/metadata/1024", "PUT", b"reader a")
    ask(empty_server, f"/instances/{instance}/metadata/1024", "PUT", b"7")
    filled.select(metadata("1024") == "Reader A")
    assert filled.SeriesInstanceUIDs == ["1.2.1.1", "1.2.1.2", "1.2.2.1"]
    filled.reset().select(metadata("1024") == "reader*")
    assert (filled.series_count, filled.instance_count) == (3, 6)
    assert filled.reset().select(metadata("1024") > 5).SOPInstanceUIDs == ["1.2.2.2.2"]
    assert filled.reset().select(metadata("1024").is_missing()).SOPInstanceUIDs == ["1.2.2.2.1"]
    assert filled.reset().exclude(metadata("1024").is_missing()).instance_count == 7


def test_metadata_of_orthanc_itself_takes_few_requests(empty_server: LocalOrthanc, filled: Orthanc) -> None:
    before = filled._source.requests
    filled.select(metadata("ReceptionDate") > "20200101")
    assert filled.instance_count == 8
    # Four levels, each in one page or two, and the rows of three levels. Beside the first find of instances and that of
    # other objects, nobody waits for the one that shows whether they are cut.
    assert filled._source.requests - before <= 12 + 2


def test_metadata_that_the_configuration_names(make_server: MakeServer) -> None:
    server = make_server({"UserMetadata": {"Reader": 1025}})
    store(server, simple_file(1), simple_file(2, SeriesInstanceUID="1.2.3.5"))
    ask(server, f"/series/{orthanc_id(server, '1.2.3.5')}/metadata/Reader", "PUT", "Jürgen".encode())
    with server.connect() as session:
        assert session.select(metadata("Reader") == "jürgen").SeriesInstanceUIDs == ["1.2.3.5"]
        if not server.version.startswith("1.10"):
            assert session.reset().select(metadata("1025") == "Jürgen").SeriesInstanceUIDs == ["1.2.3.5"]
        if session.rest.capabilities.extended_find:
            with pytest.raises(SelectionError, match="no metadata of that name"):
                session.select(metadata("Raeder") == "x")
            assert session.series_count == 1
