"""Searches that lack rows: they are found in another way, or it is said how many are missing; never silently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simple_orthanc import DicomWeb, Session, TransportError
from tests.memory_source import MemorySource, instance
from tests.sources.dicomweb.conftest import Make, archive
from tests.sources.dicomweb.test_refusals import table


def lacking(fault: str, levels: set[str]) -> dict[str, set[str]]:
    """Return the peculiarities of a server whose searches at some levels find nothing, or all but the last."""
    return {fault: levels} if fault == "loses_last" else {"empty_across": levels, "empty_below": levels}


def uids(session: Session) -> list[str]:
    """Return the UID of each instance that is selected."""
    return sorted(header.SOPInstanceUID for header in session.get_headers())


@pytest.mark.parametrize("relational", [True, False], ids=["everywhere", "below one study"])
@pytest.mark.parametrize("fault", ["emptied", "loses_last"])
@pytest.mark.parametrize(
    "levels", [{"series"}, {"instances"}, {"series", "instances"}], ids=lambda levels: "+".join(sorted(levels))
)
def test_rows_that_a_search_lacks_are_found_in_metadata(
    serve: Make, levels: set[str], fault: str, relational: bool
) -> None:
    server = serve(archive(), relational=relational, **lacking(fault, levels))
    expected = Session(MemorySource(archive()))
    assert table(DicomWeb(server.root)) == table(expected)
    session = DicomWeb(server.root).select(StudyInstanceUID="1.2.2")
    assert (session.series_count, session.instance_count) == (2, 6)
    assert uids(session) == uids(expected.select(StudyInstanceUID="1.2.2"))
    assert DicomWeb(server.root).select(PatientID="P1").instance_count == 12


@pytest.mark.parametrize("fault", ["emptied", "loses_last"])
def test_images_are_found_though_nothing_lists_their_series(serve: Make, fault: str) -> None:
    server = serve([instance(number) for number in range(1, 21)])
    session = DicomWeb(server.root)
    assert session.study_count == 1
    vars(server.peculiar).update(lacking(fault, {"studies", "series", "instances"}))
    assert (session.select(PatientID="P1").instance_count, len(session.get_headers())) == (20, 20)


@pytest.mark.parametrize("withheld", [set(), {"NumberOfStudyRelatedSeries", "NumberOfSeriesRelatedInstances"}])
@pytest.mark.parametrize("levels", [{"series"}, {"instances"}], ids=lambda levels: "+".join(sorted(levels)))
def test_a_listed_object_is_never_empty(serve: Make, levels: set[str], withheld: set[str]) -> None:
    server = serve(archive(), withheld=withheld, counts=bool(withheld), **lacking("emptied", levels))
    session = DicomWeb(server.root)
    assert len(session.table("Modality")) == 6
    assert session.select(StudyInstanceUID="1.2.1").instance_count == 6


@pytest.mark.parametrize(
    ("peculiar", "says"),
    [
        (lacking("emptied", {"series"}), "2 objects of level series .* shows 0"),
        (lacking("emptied", {"instances"}), "6 objects of level instance .* shows 0"),
        ({"loses_last": {"series"}}, "2 objects of level series .* shows 1"),
        ({"loses_last": {"instances"}}, "6 objects of level instance .* shows 4"),
        ({**lacking("emptied", {"series"}), "counts": False}, "1 objects of level series .* shows 0"),
        ({**lacking("emptied", {"instances"}), "counts": False}, "2 objects of level instance .* shows 0"),
    ],
    ids=str,
)
def test_rows_that_are_nowhere_are_warned_of(serve: Make, peculiar: dict[str, Any], says: str) -> None:
    session = DicomWeb(serve(archive(), metadata="none", relational=False, **peculiar).root)
    session.select(StudyInstanceUID="1.2.2")
    with pytest.warns(UserWarning, match=says):
        print(session.instance_count)


def test_a_count_that_is_too_large_is_a_warning_and_not_an_error(serve: Make) -> None:
    session = DicomWeb(serve(archive(), counts_more=2).root).select(StudyInstanceUID="1.2.2")
    with pytest.warns(UserWarning, match=r"4 objects of level series .* shows 2"):
        assert session.series_count == 2
    with pytest.warns(UserWarning, match=r"10 objects of level instance .* shows 6"):
        assert session.instance_count == 6


@pytest.mark.parametrize("fault", ["emptied", "loses_last"])
@pytest.mark.parametrize("metadata", ["whole", "none"])
def test_a_study_that_counts_its_images_lacks_none_silently(serve: Make, fault: str, metadata: str) -> None:
    server = serve(
        archive(), withheld={"NumberOfSeriesRelatedInstances"}, metadata=metadata, **lacking(fault, {"instances"})
    )
    session = DicomWeb(server.root).select(StudyInstanceUID="1.2.2")
    if metadata == "whole":
        assert session.instance_count == 6
    else:
        with pytest.warns(UserWarning, match=r"(6 objects .* shows 5|2 objects .* shows 0)"):
            print(session.instance_count)


@pytest.mark.parametrize("levels", [{"instances"}, {"series", "instances"}, {"studies", "series", "instances"}])
def test_what_was_known_to_be_there_is_not_taken_for_deleted(serve: Make, levels: set[str]) -> None:
    server = serve(archive(), metadata="none")
    session = DicomWeb(server.root).select(PatientID="p1")
    assert session.series_count == 2
    vars(server.peculiar).update(lacking("emptied", levels))
    with pytest.warns(UserWarning, match=r"6 objects of level instance .* shows 0"):
        assert session.instance_count == 0


@pytest.mark.parametrize("gone", ["1.2.2", "1.2.2.1", "1.2.2.1.3"])
def test_what_was_deleted_meanwhile_is_no_loss(serve: Make, gone: str) -> None:
    server = serve(archive(), relational=False)
    session = DicomWeb(server.root).select(PatientID="P1")
    assert session.series_count == 4
    server.datasets = [
        dataset
        for dataset in server.datasets
        if gone not in (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    ]
    assert session.instance_count == 12 - {"1.2.2": 6, "1.2.2.1": 3, "1.2.2.1.3": 1}[gone]


@pytest.mark.parametrize("peculiar", [{}, {"missing_routes": {"instances"}}, {"relational": False}], ids=str)
def test_an_archive_without_studies_is_empty_after_one_more_search(serve: Make, peculiar: dict[str, Any]) -> None:
    server = serve([], **peculiar)
    session = DicomWeb(server.root)
    before = len(server.asked)
    assert (session.study_count, session.instance_count, len(session.table("Modality"))) == (0, 0, 0)
    assert len([asked for asked in server.asked[before:] if "limit=1" in asked.path.split("&")[-1]]) >= 1


@pytest.mark.parametrize(
    "ask",
    [
        lambda session: session.study_count,
        lambda session: session.table("Modality"),
        lambda session: session.select(PatientID="p1"),
    ],
    ids=["count", "table", "select"],
)
@pytest.mark.parametrize("missing", [set(), {"instances"}, {"series"}], ids=str)
def test_no_studies_of_an_archive_with_images_are_an_error(
    serve: Make, ask: Callable[[Session], object], missing: set[str]
) -> None:
    session = DicomWeb(serve(archive(), missing_routes=missing, **lacking("emptied", {"studies"})).root)
    with pytest.raises(TransportError, match=r"lists no studies, and finds .* in study 1\.2\.1"):
        ask(session)


def test_no_request_is_added_where_nothing_is_missing(serve: Make) -> None:
    server = serve(archive())
    session = DicomWeb(server.root)
    session.table("PatientID", "SeriesDescription", "instance_count")
    assert len([asked for asked in server.asked if asked.path.partition("?")[0].endswith("/metadata")]) == 0
    paths = [asked.path.partition("?")[0] for asked in server.asked]
    assert paths.count("/dicom-web/series") <= 2
    assert paths.count("/dicom-web/instances") <= 2
