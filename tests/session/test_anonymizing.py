"""Anonymized copies: what is asked of the server, and what its answer must hold."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.errors import JobError, SelectionError, UnknownTagError, UnsupportedError
from simple_orthanc.session.anonymizing import AnonymizedSeries, anonymize, orthanc_tag
from tests.session.rest_stand_in import RestStandIn, with_rest

ANSWERS = {
    "/series/new": {"ParentStudy": "study", "MainDicomTags": {"SeriesInstanceUID": "9.2"}, "Instances": ["a", "b"]},
    "/series/old": {"MainDicomTags": {"SeriesInstanceUID": "1.2.1.2"}},
    "/series/new/metadata/AnonymizedFrom": "old\n",
    "/studies/study": {"PatientMainDicomTags": {"PatientID": "S1"}, "MainDicomTags": {"StudyInstanceUID": "9.1"}},
}
MADE = {"Content": {"Resources": [{"ID": "new", "Type": "Series"}, {"ID": "a", "Type": "Instance"}]}}


def test_the_new_series_are_listed_with_their_originals() -> None:
    rest = RestStandIn(ANSWERS, MADE)
    session: Any = with_rest(rest).select("1.2.1.2")
    assert anonymize(session, keep=["StudyDescription"]) == [AnonymizedSeries("S1", "9.1", "9.2", 2, "1.2.1.2")]
    ((path, body),) = rest.jobs
    assert path == "/tools/bulk-anonymize"
    assert body == {
        "Resources": ["P1|1.2.1|1.2.1.2"],
        "KeepSource": True,
        "Keep": ["StudyDescription"],
        "Remove": [],
        "Replace": {},
    }


@pytest.mark.parametrize("changed", [{"keep": ["PatientID"]}, {"replace": {"StudyInstanceUID": "9"}}])
def test_a_change_of_identifiers_is_forced(changed: dict[str, Any]) -> None:
    rest = RestStandIn(ANSWERS, MADE)
    session: Any = with_rest(rest).select("1.2.1.2")
    anonymize(session, **changed)
    assert rest.jobs[0][1]["Force"] is True


def test_an_original_that_is_not_known_any_more_is_missing() -> None:
    answers = {path: answer for path, answer in ANSWERS.items() if "metadata" not in path}
    session: Any = with_rest(RestStandIn(answers, MADE)).select("1.2.1.2")
    assert anonymize(session)[0].made_from is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("PatientID", "Replacing PatientID by 'X' would give one PatientID to 2 patients"),
        ("StudyInstanceUID", "2 studies"),
        ("SeriesInstanceUID", "3 series"),
        ("SOPInstanceUID", "4 instances"),
    ],
)
def test_several_objects_do_not_get_one_identifier(name: str, says: str) -> None:
    rest = RestStandIn(ANSWERS, MADE)
    session: Any = with_rest(rest)
    with pytest.raises(SelectionError, match=says):
        anonymize(session, replace={name: "X"}, everything=True)
    with pytest.raises(SelectionError, match="the whole archive would be anonymized"):
        anonymize(session)
    assert rest.jobs == []


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({}, "all of 2 copies have the identifiers"),
        ({"Content": {"Resources": [{"ID": "P1|1.2.1|1.2.1.2|1.2.1.2.1", "Type": "Instance"}]}}, "1 of 2 copies"),
    ],
)
def test_copies_that_replace_their_originals_are_an_error(made: dict[str, Any], says: str) -> None:
    session: Any = with_rest(RestStandIn(ANSWERS, made)).select("1.2.1.2")
    with pytest.raises(JobError, match=says):
        anonymize(session)


def test_tags_are_written_as_orthanc_takes_them() -> None:
    assert orthanc_tag("(0010,0010)") == "PatientName"
    for name in ('(0009,"GEMS",01)', "RequestAttributesSequence.ScheduledProcedureStepID"):
        with pytest.raises(UnsupportedError, match="plain tags only"):
            orthanc_tag(name)
    with pytest.raises(UnknownTagError):
        orthanc_tag("PatientNme")
