"""From answers of a PACS to rows: what is unknown, and what an answer is about."""

from __future__ import annotations

import warnings

import pytest

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import UnsupportedError
from simple_orthanc.selection.predicates import StringIs
from tests.sources.contract import make_archive, make_dataset
from tests.sources.pacs.stand_in import DCMQRSCP, QRSCP, Habits, serving


@pytest.mark.parametrize("ignored", [DCMQRSCP, QRSCP])
def test_what_is_never_answered_is_unknown_and_not_missing(ignored: frozenset[str]) -> None:
    with serving(Habits(ignored=set(ignored))) as (source, _):
        for level in ("study", "series"):
            for row in source.listing(level):
                unknown = {name for name in ignored if source.indexed(parse_tag(name)) == level}
                assert row.unresolved_tags == unknown
                assert not unknown & set(row.values)


def test_a_value_that_one_study_lacks_is_missing() -> None:
    datasets = make_archive()
    for dataset in datasets[:5]:
        del dataset.StudyDescription
    with serving(datasets=datasets) as (source, _):
        rows = list(source.listing("study"))
        assert [row.unresolved_tags for row in rows] == [frozenset()] * 3
        assert sum("StudyDescription" not in row.values for row in rows) == 1


def test_what_became_known_meanwhile_is_known() -> None:
    with serving(Habits(ignored={"SeriesDescription"})) as (source, server):
        rows = list(source.listing("series"))
        assert all(row.unresolved_tags == {"SeriesDescription"} for row in rows)
        server.habits.ignored.clear()
        list(source.listing("series"))
        assert not any(row.unresolved_tags for row in source.reload_from_files("series", rows))


# Keys


def test_one_study_uid_of_two_patients_is_told_apart_or_refused() -> None:
    datasets = [make_dataset(1, "1", "1", "a"), make_dataset(2, "2", "1", "b")]
    with serving(datasets=datasets) as (source, server):
        assert source.counts()["study"] == 2
        # Orthanc itself asks for the patient at each level, and some PACS answer with it.
        assert {row.parent for row in source.listing("series")} == {"1.2.1/a", "1.2.1/b"}
        server.habits.is_relational = False
        with pytest.raises(UnsupportedError, match=r"exists under 2 patients \(a, b\)"):
            list(source.listing("series"))
        server.pacs = datasets[:1]
        source.revision()
        assert [row.parent for row in source.listing("series")] == ["1.2.1/a"]


def test_an_object_without_a_uid_is_left_out_with_a_warning() -> None:
    datasets = [make_dataset(1, "1", "1", "a"), make_dataset(2, "2", "2", "b")]
    del datasets[1].SeriesInstanceUID
    with serving(datasets=datasets) as (source, _):
        studies = list(source.listing("study"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert [row.parent for row in source.below("series", studies)] == ["1.2.1/a"]
        assert any("without a UID" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("text", ["a/b/c/d/e", "1.2.1/x", "/", "1.2.1/1.2.1.1/1.2.1.1.1/wrong"])
def test_what_looks_like_a_key_and_is_none_names_nothing(text: str) -> None:
    with serving() as (source, _):
        assert source.resolve(text) == []


def test_patients_are_asked_for_once_where_series_do_not_name_them() -> None:
    with serving(Habits(is_relational=False, is_cased=True)) as (source, server):
        found = list(source.search("study", parse_tag("PatientID"), StringIs("P1", "exact", True)))
        list(source.below("instance", list(source.below("series", found))))
        asked = [question for level, question in server.questions if level == "Study"]
        uids = sorted(question["StudyInstanceUID"] for question in asked if "StudyInstanceUID" in question)
        assert uids == ["1.2.2", "1.2.3"]
        source.revision()
        server.questions.clear()
        list(source.listing("instance"))
        assert [question for level, question in server.questions if level == "Study"] == [{}]
