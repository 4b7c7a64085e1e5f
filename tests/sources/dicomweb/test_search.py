"""Searching: what is sent as a filter, what that transfers, and that nothing is missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc import DicomWeb, ServerError, Session, exact, tag
from tests.memory_source import MemorySource, instance
from tests.sources.dicomweb.conftest import Make


def large_archive(studies: int) -> list[Dataset]:
    """Make one image per study and patient; every tenth study is of 2021, every other of 2020."""
    return [
        instance(
            1,
            study=str(number),
            patient=f"P{number:04d}",
            AccessionNumber=f"A{number}",
            StudyID=f"S_{number}",
            StudyDate=f"{2021 if number % 10 == 0 else 2020}0102",
            StudyTime="1030",
            PatientName=f"Doe^J{number:04d}",
            Modality="CT",
        )
        for number in range(studies)
    ]


@pytest.mark.parametrize(
    ("name", "value", "requests"),
    [
        ("PatientID", "P0024", 3),
        ("AccessionNumber", "A24", 3),
        ("StudyID", "S_24", 3),
        ("StudyInstanceUID", "1.2.24", 3),
        ("PatientID", ["P0024"], 3),
        # Two check that the server decodes what is encoded in a URL, and one looks for the name with empty groups.
        ("PatientName", exact("Doe^J0024"), 6),
    ],
)
def test_one_study_of_many_is_found_by_one_search(serve: Make, name: str, value: Any, requests: int) -> None:
    server = serve(large_archive(60))
    session = DicomWeb(server.root).select(**{name: value})
    assert len(server.asked) <= requests
    assert session.study_count == 1
    assert session.series_count == 1
    assert server.shown["studies"] <= requests - 1
    assert server.shown["series"] == 1
    assert session.reset().study_count == 60


def test_days_are_found_by_one_search_in_each_form(serve: Make) -> None:
    server = serve([*large_archive(50), instance(1, study="old", StudyDate="2021.01.03", StudyTime="10")])
    for value in ("20210102", ("20210101", "20211231"), "20210101-20211231", tag("StudyDate").isin(["20210102"])):
        condition = [value] if not isinstance(value, (str, tuple)) else []
        session = DicomWeb(server.root)
        server.shown.clear()
        session.select(*condition, **({} if condition else {"StudyDate": value}))
        assert session.study_count == (5 if value == "20210102" or condition else 6)
        assert server.shown["studies"] <= 6


@pytest.mark.parametrize(
    "criteria", [("StudyDate", "PatientID"), ("PatientID", "StudyDate"), ("Modality", "PatientID")]
)
def test_the_most_selective_criterion_is_sent(serve: Make, criteria: tuple[str, str]) -> None:
    values = {"StudyDate": ("20200101", None), "PatientID": "P0024", "Modality": "CT"}
    server = serve(large_archive(40))
    session = DicomWeb(server.root).select(**{name: values[name] for name in criteria})
    assert session.series_count == 1
    assert server.shown["studies"] <= 2


def test_a_series_is_found_before_names_are_compared(serve: Make) -> None:
    server = serve(large_archive(40))
    session = DicomWeb(server.root).select(PatientName="doe^j0024", SeriesInstanceUID="1.2.24.1")
    assert session.series_count == 1
    assert server.shown["studies"] <= 5


@pytest.mark.parametrize(
    "narrow",
    [
        lambda session: session.exclude(PatientID="P0004"),
        lambda session: session.select(tag("PatientID") != "P0004"),
        lambda session: session.select(~(tag("PatientID") == "P0004")),
        lambda session: session.select(PatientID=None),
        lambda session: session.select(PatientID=lambda value: value.endswith("4")),
        lambda session: session.select(PatientID="*4"),
        lambda session: session.select((tag("PatientID") == "P0004") | (tag("StudyID") == "S_5")),
        lambda session: session.select(PatientID="P0004").reset().exclude(PatientID="P0005"),
        lambda session: session.select(PatientID="P0004").reset(),
        lambda session: session.select(StudyDate=("20210101", None)).exclude(PatientID="P0010"),
        lambda session: session.select(PatientID="P0004").undo().select(StudyDate="20210102"),
    ],
)
@pytest.mark.filterwarnings("ignore:Nothing is selected")
def test_what_is_not_asked_for_is_not_forgotten(serve: Make, narrow: Callable[[Session], Session]) -> None:
    datasets = large_archive(30)
    session, expected = DicomWeb(serve(datasets).root), Session(MemorySource(datasets))
    assert narrow(session).StudyInstanceUIDs == narrow(expected).StudyInstanceUIDs
    assert (session.patient_count, session.instance_count) == (expected.patient_count, expected.instance_count)


def test_a_refresh_sends_the_filter_again(serve: Make) -> None:
    server = serve(large_archive(40))
    session = DicomWeb(server.root).select(PatientID="P0024")
    server.datasets.append(instance(1, study="new", patient="P0024", StudyDate="20200103", StudyTime="10"))
    server.shown.clear()
    assert session.refresh().study_count == 2
    assert server.shown["studies"] == 2


@pytest.mark.parametrize("folds_case", [True, False])
@pytest.mark.parametrize("held", ["p0004", "P0004 ", "0004", "P0004x", "P*004", "Pä004", ""])
@pytest.mark.filterwarnings("ignore:Nothing is selected")
def test_other_spellings_are_decided_here(serve: Make, held: str, folds_case: bool) -> None:
    datasets = large_archive(10)
    for name in ("PatientID", "AccessionNumber", "StudyID"):
        setattr(datasets[3], name, held)
    server = serve(datasets, folds_case=folds_case)
    for name in ("PatientID", "AccessionNumber", "StudyID"):
        for value in ("P0004", "p0004", "0004", "004", held or None):
            session, expected = DicomWeb(server.root), Session(MemorySource(datasets))
            found = session.select(**{name: value}).StudyInstanceUIDs
            assert found == expected.select(**{name: value}).StudyInstanceUIDs, (name, value)


@pytest.mark.parametrize(
    ("peculiar", "criteria"),
    [
        ({"never_matched": {"AccessionNumber"}}, {"AccessionNumber": "A4"}),
        ({"never_matched": {"StudyID"}}, {"StudyID": "S_4"}),
        ({"never_matched": {"PatientID"}}, {"PatientID": ["P0004", "P0005"]}),
        ({"ranges": False}, {"StudyDate": ("20210101", None)}),
        ({"ranges": False}, {"StudyDate": ("20210101", "20220101")}),
        # That one form of a filter is understood does not mean that another is.
        ({"ranges": False}, {"StudyDate": ["20200102", "20210101-20211231"]}),
        ({"ranges": False}, {"StudyDate": ["20200102", ("20210101", None)]}),
        ({"ranges": False}, {"StudyDate": [(None, "20191231"), "20200102", ("20210101", None)]}),
    ],
)
def test_a_filter_that_finds_nothing_is_not_believed_without_a_check(
    serve: Make, peculiar: dict[str, Any], criteria: dict[str, Any]
) -> None:
    datasets = large_archive(30)
    session = DicomWeb(serve(datasets, **peculiar).root).select(**criteria)
    assert session.StudyInstanceUIDs == Session(MemorySource(datasets)).select(**criteria).StudyInstanceUIDs


def test_what_is_nowhere_is_found_out_without_a_listing(serve: Make) -> None:
    server = serve(large_archive(40))
    with pytest.warns(UserWarning, match="Nothing is selected"):
        session = DicomWeb(server.root).select(PatientID="nobody")
    assert session.study_count == 0
    assert server.shown["studies"] <= 2


# Servers that refuse to list


@pytest.mark.parametrize(("status", "limit_of_one"), [(400, True), (403, False), (413, True), (413, False)])
@pytest.mark.parametrize(
    "criteria",
    [
        {"PatientID": "P0004"},
        {"AccessionNumber": "A4", "PatientName": "doe^j0004"},
        {"PatientName": "DOE*", "StudyInstanceUID": "1.2.4"},
        {"StudyID": "S_4", "Modality": "ct"},
        {"SeriesInstanceUID": "1.2.4.1"},
        {"StudyDate": ("20200101", None), "PatientID": "P0004"},
    ],
)
def test_a_server_that_refuses_to_list_is_searched(
    serve: Make, status: int, limit_of_one: bool, criteria: dict[str, Any]
) -> None:
    server = serve(large_archive(5), refuses_listing=status, refuses_even_one=not limit_of_one)
    session = DicomWeb(server.root, selection=criteria)
    assert session.StudyInstanceUIDs == ["1.2.4"]
    assert session.get_headers()[0].PatientID == "P0004"
    assert DicomWeb(server.root).select(**criteria).study_count == 1


def test_a_server_that_refuses_to_list_decides_names_with_a_warning(serve: Make) -> None:
    session = DicomWeb(serve(large_archive(10), refuses_listing=413).root)
    with pytest.warns(UserWarning, match=r"refuses to list everything, so PatientName == 'Doe\^J0004' was decided by"):
        assert session.select(PatientName="Doe^J0004").study_count == 1
    # The name itself is found by every server.
    assert session.reset().select(PatientName=exact("Doe^J0004")).study_count == 1


@pytest.mark.parametrize("status", [400, 403, 413])
def test_the_refusal_names_what_to_do(serve: Make, status: int) -> None:
    session = DicomWeb(serve(large_archive(3), refuses_listing=status).root)
    for use in (
        lambda: session.study_count,
        lambda: session.table(),
        lambda: session.exclude(PatientID="P0001"),
        lambda: session.select(StudyDescription=None),
    ):
        with pytest.raises(ServerError, match=r"refused to list all its studies.*select\(PatientID=\.\.\.\)") as raised:
            use()
        assert raised.value.status == status
