"""Servers that refuse, or hide: another way is found, or what is missing is said with its size."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import DicomWeb, NotFoundError, Session
from tests.http_stand_in import Asked, reply
from tests.memory_source import MemorySource, instance
from tests.sources.dicomweb.conftest import Make, archive

TAGS = ("PatientID", "StudyDescription", "SeriesDescription", "Modality", "SliceThickness")


def table(session: Session) -> list[dict[str, Any]]:
    return session.table(*TAGS, "SeriesInstanceUID", "instance_count").fillna("").to_dict("records")


@pytest.mark.parametrize("levels", [{"studies"}, {"series"}, {"instances"}, {"studies", "series", "instances"}])
def test_a_server_that_refuses_fields_is_asked_without_them(serve: Make, levels: set[str]) -> None:
    server = serve(archive(), refuses_fields=levels)
    session = DicomWeb(server.root)
    assert table(session) == table(Session(MemorySource(archive())))
    refused = [asked.path for asked in server.asked if "includefield" in asked.path]
    for level in levels:
        # Each level is asked once with fields, and the refusal is remembered.
        assert len([path for path in refused if path.partition("?")[0].endswith(f"/{level}")]) <= 2
    assert session.reset().select(PatientID="p1").series_count == 2


def test_a_level_that_took_fields_keeps_taking_them(serve: Make) -> None:
    server = serve(archive(), unsearchable={"1.2.2"})
    session = DicomWeb(server.root)
    assert session.series_count == 6
    assert session.refresh().select(StudyInstanceUID="1.2.1").series_count == 2
    assert "includefield" in server.asked[-2].path


@pytest.mark.parametrize(
    "missing", [{"series"}, {"instances"}, {"series", "instances"}], ids=lambda levels: "+".join(sorted(levels))
)
@pytest.mark.parametrize("counts", [True, False])
def test_a_listing_that_must_exist_is_found_in_metadata(serve: Make, missing: set[str], counts: bool) -> None:
    server = serve(archive(), missing_routes=missing, counts=counts)
    expected = Session(MemorySource(archive()))
    session = DicomWeb(server.root)
    assert table(session) == table(expected)
    assert (session.series_count, session.instance_count) == (6, 18)
    assert DicomWeb(server.root).select(KVP=80).series_count == expected.select(KVP=80).series_count


def test_series_are_found_in_the_images_of_a_study(serve: Make) -> None:
    session = DicomWeb(serve(archive(), missing_routes={"series"}, metadata="none").root)
    assert session.series_count == 6
    assert session.select(Modality="CT", StudyInstanceUID="1.2.1").instance_count == 3


def test_a_listing_that_exists_nowhere_is_an_error_and_not_empty(serve: Make) -> None:
    session = DicomWeb(serve(archive(), missing_routes={"series", "instances"}, metadata="none").root)
    with pytest.raises(NotFoundError, match="series"):
        session.table("SeriesDescription")
    assert session.study_count == 3


def test_what_was_deleted_meanwhile_is_empty(serve: Make) -> None:
    server = serve(archive(), lists=False)
    session = DicomWeb(server.root)
    assert session.study_count == 3
    server.datasets = [dataset for dataset in server.datasets if dataset.StudyInstanceUID != "1.2.2"]
    ordinary = server.script

    def gone(asked: Asked, count: int) -> bytes:
        return reply(b"", 404) if "/studies/1.2.2/" in asked.path else ordinary(asked, count)

    server.script = gone
    assert len(session.table("SeriesDescription")) == 4


@pytest.mark.parametrize("hidden", [{"1.2.2.1"}, {"1.2.1.1", "1.2.1.2"}, {"1.2.3.2.2"}])
def test_what_a_search_hides_is_found_in_metadata(serve: Make, hidden: set[str]) -> None:
    session = DicomWeb(serve(archive(), hidden=hidden, relational=False).root)
    assert table(session) == table(Session(MemorySource(archive())))
    assert session.instance_count == 18


@pytest.mark.parametrize(("hidden", "shown"), [({"1.2.2.1"}, "2 objects of level series .* shows 1")])
def test_what_cannot_be_found_is_said_with_its_size(serve: Make, hidden: set[str], shown: str) -> None:
    session = DicomWeb(serve(archive(), hidden=hidden, relational=False, metadata="none").root)
    with pytest.warns(UserWarning, match=shown):
        session.select(StudyInstanceUID="1.2.2").table("Modality")


def test_a_count_that_changed_meanwhile_is_no_reason_to_warn(serve: Make) -> None:
    server = serve(archive(), relational=False)
    session = DicomWeb(server.root)
    assert session.study_count == 3
    server.datasets = [dataset for dataset in server.datasets if dataset.SeriesInstanceUID != "1.2.2.1"]
    assert len(session.table("SeriesDescription")) == 5


@pytest.mark.parametrize("empty", [{"series"}, {"instances"}, {"series", "instances"}])
def test_a_listing_that_finds_nothing_is_not_believed_where_there_must_be_something(
    serve: Make, empty: set[str]
) -> None:
    expected = table(Session(MemorySource(archive())))
    for peculiar in ({"empty_across": empty}, {"empty_below": empty}, {"empty_across": empty, "empty_below": empty}):
        server = serve(archive(), counts=False, **peculiar)
        assert DicomWeb(server.root).select(SeriesInstanceUID="1.2.2.1").instance_count == 3
        assert DicomWeb(server.root).select("1.2.2.1.2").series_count == 1
        session = DicomWeb(server.root)
        assert (session.series_count, session.instance_count) == (6, 18)
        assert table(session) == expected


def test_what_has_nothing_in_it_is_said(serve: Make) -> None:
    empty = {"instances"}
    session = DicomWeb(serve(archive(), counts=False, empty_across=empty, empty_below=empty, metadata="none").root)
    with pytest.warns(UserWarning, match="at least 2 objects of level instance .* shows 0"):
        assert session.select(StudyInstanceUID="1.2.2").instance_count == 0


@pytest.mark.parametrize("peculiar", [{}, {"counts": False}, {"relational": False}, {"lists": False, "counts": False}])
def test_what_is_in_a_study_is_that_of_its_one_patient(serve: Make, peculiar: dict[str, Any]) -> None:
    server = serve(archive(), renames={"p1": "p1x"}, **peculiar)
    session = DicomWeb(server.root).select(PatientID="p1")
    assert (session.series_count, session.instance_count) == (2, 6)
    session = DicomWeb(server.root)
    assert (session.select(Modality="CT").series_count, session.instance_count) == (3, 9)
    assert session.reset().select(StudyInstanceUID=["1.2.1", "1.2.2"]).series_count == 4
    assert session.reset().table("SeriesInstanceUID", "PatientID").PatientID.tolist() == ["P1"] * 4 + ["p1"] * 2


@pytest.mark.parametrize("names_patients", [True, False])
def test_one_uid_of_two_patients_is_told_apart_after_a_filter(serve: Make, names_patients: bool) -> None:
    both = [instance(1, study="1", patient=patient, StudyDate="20200101", StudyTime="10") for patient in ("P1", "P2")]
    both[1].SeriesInstanceUID, both[1].SOPInstanceUID = "1.2.1.9", "1.2.1.9.1"
    server = serve(both, names_patients=names_patients, deaf_to_fields=not names_patients)
    session = DicomWeb(server.root).select(PatientID="P1")
    if names_patients:
        assert session.SeriesInstanceUIDs == ["1.2.1.1"]
        assert session.get_header().PatientID == "P1"
    else:
        with pytest.raises(NotImplementedError, match="exists under 2 patients"):
            session.table("SeriesInstanceUID")
