"""How many requests browsing takes: as many for two thousand series as for twenty."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pytest

from simple_orthanc import LocalOrthanc, Orthanc, tag
from simple_orthanc.selection import index as index_module
from simple_orthanc.transport import Transport
from tests.conftest import MakeServer
from tests.live.archives import file_bytes, simple_file, store

MANY = 2000


@lru_cache(maxsize=1)
def many_series() -> bytes:
    """A zip of series of one instance each, two to a study, four to a patient."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(MANY):
            attributes = {
                "PatientID": f"p{number // 4}",
                "PatientName": f"Doe^J{number // 4}",
                "StudyInstanceUID": f"1.9.{number // 2}",
                "StudyDate": "20200101",
                "SeriesInstanceUID": f"1.9.{number // 2}.{number}",
                "SeriesDescription": f"description {number % 7}",
                "SeriesNumber": str(number),
                "SOPInstanceUID": f"1.9.{number // 2}.{number}.1",
                "KVP": str(80 + 20 * (number % 3)),
            }
            archive.writestr(f"{number}.dcm", file_bytes(attributes))
    return buffer.getvalue()


@contextmanager
def at_most(session: Orthanc, most: int) -> Iterator[None]:
    before = session._source.requests
    yield
    sent = session._source.requests - before
    assert sent <= most, f"{sent} requests, where {most} are enough"


def test_requests_do_not_grow_with_the_archive(empty_server: LocalOrthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    # From a server that answers slowly, as under load, long listings come in several pages.
    monkeypatch.setattr(Transport, "is_nearby", True)
    store(empty_server, many_series())
    session = empty_server.connect()
    assert session.series_count == MANY
    assert session._source.requests <= 3

    session = empty_server.connect()
    # Where rows come from a find, another request for each level tells what there is.
    extended = session.rest.capabilities.extended_find
    with at_most(session, 5 if extended else 4):
        assert len(session.SeriesDescriptions) == 7
    session = empty_server.connect()
    with at_most(session, 7 if extended else 4):
        table = session.table("PatientName", "StudyDate", "SeriesDescription", "SeriesNumber", "instance_count")
    assert len(table) == MANY
    assert table.SeriesNumber.tolist()[:3] == [0, 1, 2]
    with at_most(session, 0):
        assert session.table("PatientID", "study_count", "series_count", level="patient").series_count.sum() == MANY
        assert repr(session).count("2,000 series") == 1
        assert session.value_counts("SeriesDescription").sum() == MANY

    session = empty_server.connect()
    with at_most(session, 4):
        session.select(PatientName="Doe^J77")
        counts = (session.patient_count, session.study_count, session.series_count, session.instance_count)
    assert counts == (1, 2, 4, 4)
    with at_most(session, 0):
        assert "4 series" in repr(session)
        assert "Doe^J77" in session._repr_html_()
        assert session.select().series_count == 4
        assert session.explain().requests.tolist()[0] <= 3

    session = empty_server.connect()
    # Before Orthanc 1.12.5 only the files of one series at a time can be asked for.
    with at_most(session, 10 if extended else 7 + MANY):
        values = session.get_dicom_tag("KVP", unique=False)
    assert sorted(set(values)) == [80.0, 100.0, 120.0]
    assert len(values) == MANY
    with at_most(session, 0):
        assert session.select(KVP=100).series_count == sum(value == 100 for value in values)
        assert session.reset().select(tag("KVP") > 100).instance_count == sum(value == 120 for value in values)


@pytest.mark.on_postgresql
def test_pages_are_read_to_the_end(
    empty_server: LocalOrthanc, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simple_orthanc.sources.orthanc.find.PAGE", 4)
    store(empty_server, *(simple_file(number, SeriesInstanceUID=f"1.2.3.{number}", KVP="80") for number in range(12)))
    assert len(orthanc.SeriesInstanceUIDs) == 12
    assert orthanc.select(Modality="C*").series_count == 12
    assert empty_server.connect().select(Modality="C*").series_count == 12
    assert empty_server.connect().select(KVP=80).instance_count == 12
    assert empty_server.connect().select(SeriesInstanceUID="1.2.3.*").instance_count == 12


@pytest.mark.parametrize("most", [0, 3])
def test_objects_stored_after_counting_hide_nothing(make_server: MakeServer, most: int) -> None:
    server = make_server({"LimitFindResults": most, "LimitFindInstances": most})
    orthanc = server.connect()
    store(server, *(simple_file(number, SeriesInstanceUID=f"1.2.3.{number}") for number in range(3)))
    orthanc.refresh()
    assert orthanc.series_count == 3
    store(server, *(simple_file(number, SeriesInstanceUID=f"1.2.3.{number}") for number in range(3, 40)))
    assert {f"1.2.3.{number}" for number in range(3)} <= set(orthanc.SeriesInstanceUIDs)
    assert len(orthanc.refresh().SeriesInstanceUIDs) == orthanc.series_count == 40
    assert orthanc.instance_count == len(orthanc.table(level="instance")) == 40


@pytest.mark.on_postgresql
@pytest.mark.parametrize("change", ["stored", "deleted"])
def test_a_change_between_two_pages_hides_nothing_else(
    empty_server: LocalOrthanc, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr("simple_orthanc.sources.orthanc.find.PAGE", 4)
    files = [simple_file(number, SeriesInstanceUID=f"1.2.3.{number}") for number in range(60)]
    store(empty_server, *files[:40])
    orthanc.refresh()
    ask = orthanc._source.transport.json
    changed: list[bool] = []

    def answer(method: str, path: str, **options: Any) -> Any:
        page = ask(method, path, **options)
        wanted = options.get("body", options.get("params", {}))
        if not changed and wanted.get("Since", wanted.get("since", 0)) >= 4 and "eries" in str(wanted) + path:
            changed.append(True)
            if change == "stored":
                store(empty_server, *files[40:])
            else:
                for series in orthanc.rest.get("/series")[:3]:
                    orthanc.rest.delete(f"/series/{series}")
        return page

    monkeypatch.setattr(orthanc._source.transport, "json", answer)
    found = set(orthanc.SeriesInstanceUIDs)
    assert changed
    held = {each["MainDicomTags"]["SeriesInstanceUID"] for each in ask("GET", "/series", params={"expand": ""})}
    assert held & {f"1.2.3.{number}" for number in range(40)} <= found
    assert set(orthanc.refresh().SeriesInstanceUIDs) == held


def test_reading_many_files_warns_beforehand_and_can_be_interrupted(
    empty_server: LocalOrthanc, orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "FILES_BEFORE_WARNING", 5)
    store(empty_server, *(simple_file(number, KVP="80") for number in range(6)))
    orthanc.select(PatientID="p1")
    before, explained = orthanc.selection, orthanc.explain()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(orthanc._source, "columns", interrupted)
        with pytest.warns(UserWarning, match="KVP.*6 files are read.*Ctrl-C"), pytest.raises(KeyboardInterrupt):
            orthanc.select(Modality="CT", KVP=80)
    assert orthanc.selection == before
    assert orthanc.explain().equals(explained)
    assert orthanc.instance_count == 6
    with pytest.warns(UserWarning, match="6 files are read"):
        assert orthanc.select(KVP=80).instance_count == 6
    # What was read is kept.
    with at_most(orthanc, 0):
        assert orthanc.reset().select(PatientID="p1", KVP=80).instance_count == 6


def test_explain_shows_where_each_criterion_was_decided(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    for number in range(4):
        store(empty_server, simple_file(number, SeriesInstanceUID=f"1.2.3.{number % 2}", KVP=str(80 + 20 * number)))
    orthanc.select(PatientName=None, KVP=(90, None)).exclude(SeriesInstanceUID="1.2.3.0")
    table = orthanc.explain()
    assert list(table.columns) == ["criterion", "decided", "requests", "patients", "studies", "series", "instances"]
    assert table.criterion.tolist() == [
        "PatientName is missing",
        "KVP between 90 and None",
        "not (SeriesInstanceUID == '1.2.3.0')",
    ]
    assert "4 files" in table.decided[1]
    assert table.requests[1] > 0
    assert table.instances.tolist()[1:] == [3, 2]
    assert table.series.tolist()[1:] == [2, 1]
