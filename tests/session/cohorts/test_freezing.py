"""What `Session.freeze` writes down: what is selected, once, in the usual order, with the checksums of the files."""

from __future__ import annotations

import hashlib
import json
import operator
import pickle
from dataclasses import replace
from functools import reduce
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import (
    Cohort,
    CohortError,
    Condition,
    DicomWeb,
    EmptySelectionError,
    Folder,
    SelectionError,
    age,
    exact,
    has_series,
    label,
    metadata,
    tag,
)
from simple_orthanc.selection.cohort import FrozenCriterion, FrozenQuery
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.session import Session
from simple_orthanc.session.cohorts import freezing
from simple_orthanc.testing import OrthancStandIn, make_series
from tests.dicomweb_stand_in import DicomServer
from tests.memory_source import instance
from tests.session.sessions import session_of, source_of, three_series


def frozen_uids(cohort: Cohort) -> list[str]:
    return [str(uid) for uid in cohort.table("instance").SOPInstanceUID]


def test_exactly_what_is_selected_is_frozen() -> None:
    session = three_series()
    assert frozen_uids(session.freeze()) == session.get_dicom_tag("SOPInstanceUID", unique=False)
    session.select(Modality="CT")
    assert frozen_uids(session.freeze()) == ["1.2.1.1.1", "1.2.1.2.1", "1.2.1.2.2"]
    session.select(InstanceNumber=2)
    assert frozen_uids(session.freeze()) == ["1.2.1.2.2"]
    assert frozen_uids(session.reset().series[2].freeze()) == ["1.2.7.1.1"]


def test_the_checksums_are_those_of_the_files() -> None:
    session = three_series()
    table = session.freeze().table("instance")
    contents = [source_of(session).content(key) for key in session._instances()]
    assert table["md5"].tolist() == [hashlib.md5(content).hexdigest() for content in contents]
    assert table["size"].tolist() == list(map(len, contents))
    assert table["sha256"].isna().all()


def test_a_checksum_that_the_archive_knows_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    session = three_series()
    source = source_of(session)
    monkeypatch.setattr(
        type(source), "stored_file", lambda self, key: StoredFile(5, hashlib.md5(key.encode()).hexdigest())
    )
    session.instance_count  # noqa: B018
    before = source.requests
    assert session.freeze().table("instance")["size"].tolist() == [5] * 4
    assert not [what for what in source.asked[before:] if what.startswith(("content", "read"))]


def test_checksums_of_datasets_do_not_depend_on_the_file_meta_information() -> None:
    table = three_series().freeze(checksums="datasets").table("instance")
    assert table["sha256"].nunique() == 4
    assert table["md5"].notna().all()


def test_without_checksums_only_identifiers_are_frozen() -> None:
    table = three_series().freeze(checksums=None).table("instance")
    assert table[["size", "md5", "sha256"]].isna().all(axis=None)


def test_an_instance_that_is_gone_is_an_error_that_says_so() -> None:
    session = three_series()
    session.select(Modality="CT")
    del source_of(session).datasets[0]
    with pytest.raises(SelectionError, match="1 of 3 instances is not in the archive any more"):
        session.freeze()


def test_nothing_selected_is_nothing_to_freeze(empty_selections: None) -> None:
    with pytest.raises(EmptySelectionError, match="Nothing is selected by"):
        three_series().select(Modality="US").freeze()
    with pytest.raises(EmptySelectionError):
        session_of().freeze()


@pytest.mark.parametrize("checksums", ["md5", True, "", 1])
def test_checksums_that_there_are_not_are_refused(checksums: Any) -> None:
    with pytest.raises(SelectionError, match=r"checksums=.* is not valid"):
        three_series().freeze(checksums=checksums)


def test_one_uid_under_two_patients_is_two_objects() -> None:
    session = session_of(instance(1, patient="P1"), instance(1, patient="P2"))
    cohort = session.freeze()
    assert cohort.instance_count == cohort.patient_count == 2
    anonymous = session.freeze(identifiers=False)
    assert anonymous.instance_count == anonymous.patient_count == 2


def test_the_query_is_kept_with_its_meaning(tmp_path: Path) -> None:
    session = session_of(instance(1, SeriesDescription="T2*"), instance(1, series="2", SeriesDescription="T2w"))
    session.select(SeriesDescription="T2*").select(tag("InstanceNumber").where(lambda number: number > 0))
    session.sort_by("InstanceNumber", "descending")
    path = tmp_path / "t2.cohort"
    session.freeze(path)
    query = Cohort.load(path)._data.query
    assert query is not None
    assert [criterion.text for criterion in query.criteria] == [
        "SeriesDescription == 'T2*'",
        "InstanceNumber where <lambda>",
    ]
    assert query.criteria[0].condition == (tag("SeriesDescription") == exact("T2*"))
    assert query.unknown == ("InstanceNumber where <lambda>",)
    assert query.order is not None
    assert (query.order[0].name, query.order[1]) == ("InstanceNumber", True)


def test_without_identifiers_nothing_of_the_patient_is_in_the_file(tmp_path: Path) -> None:
    session = session_of(instance(1, patient="SECRET", PatientName="SECRET^A", Modality="CT"))
    session.select(PatientName="secret*", Modality="CT").select(~(tag("PatientID") == "x"))
    path = tmp_path / "public.cohort"
    cohort = session.freeze(path, identifiers=False)
    written = path.read_text()
    assert "secret" not in written.lower()
    assert "memory" not in written
    assert cohort.criteria == [
        "a criterion on PatientName, which was left out",
        "Modality == 'CT'",
        "a criterion on PatientID, which was left out",
    ]
    assert cohort.table("patient").PatientID.tolist() == [1]


@pytest.mark.parametrize(
    "condition",
    [
        tag("PatientAddress") == "SECRET",
        tag("PatientTelephoneNumbers") == "SECRET*",
        tag("AdmissionID") == "SECRET",
        tag("MedicalRecordLocator") == "SECRET",
        tag("PatientInstitutionResidence") == "SECRET",
        tag("PatientComments").matches("SECRET"),
        tag("SeriesDescription") == "SECRET",
        tag("StudyDate") == "20260203",
        tag("FrameOfReferenceUID") == "1.2.3.20260203",
        tag("EvaluatorName") == "SECRET",
        tag("PatientSpeciesDescription") == "SECRET",
        tag("OriginalAttributesSequence.ModifiedAttributesSequence.PatientID") == "SECRET",
        tag("RequestAttributesSequence.AccessionNumber") == "SECRET",
        tag("ReferencedPatientSequence.PatientID") == "SECRET",
        tag("SharedFunctionalGroupsSequence[0].FrameContentSequence.FrameComments") == "SECRET",
        tag("ReferencedStudySequence.StudyInstanceUID") == "1.2.3.20260203",
        tag('(0009,"ACME",10)') == "SECRET",
        tag("0009,1010") == "SECRET",
        tag('SharedFunctionalGroupsSequence.(0009,"ACME",10).Modality') == "SECRET",
        (age() > 2026) | (tag("Modality") == "SECRET"),
        has_series(tag("PatientAddress") == "SECRET"),
        label("SECRET"),
        metadata("SECRET") == "SECRET",
    ],
    ids=str,
)
def test_nothing_that_deidentification_would_remove_is_published(condition: Condition) -> None:
    criterion = FrozenCriterion(str(condition), str(condition), condition)
    data = replace(three_series().freeze()._data, query=FrozenQuery((criterion,)))
    query = freezing.with_or_without_identifiers(data, False).query
    assert query is not None
    (left_out,) = query.criteria
    assert left_out.condition is None
    assert left_out.text == left_out.meaning
    assert left_out.text.endswith(", which was left out")
    assert not any(value in left_out.text for value in ("SECRET", "2026"))


@pytest.mark.parametrize(
    "condition",
    [
        tag("Modality") == "CT",
        tag("SliceThickness") <= 3,
        tag("Manufacturer") == "ACME",
        tag("ModalitiesInStudy") == "CT",
        tag("SOPClassUID") == "1.2.3",
        tag("StudyInstanceUID") == "1.2.3",
        tag("SOPInstanceUID") == "1.2.3",
        tag("SharedFunctionalGroupsSequence[0].PixelMeasuresSequence.SliceThickness") <= 3,
        has_series(tag("Modality") == "CT"),
    ],
    ids=str,
)
def test_criteria_that_identify_nobody_are_published(condition: Condition) -> None:
    criterion = FrozenCriterion(str(condition), str(condition), condition)
    data = replace(three_series().freeze()._data, query=FrozenQuery((criterion,)))
    query = freezing.with_or_without_identifiers(data, False).query
    assert query is not None
    assert query.criteria == (criterion,)


def test_a_cohort_is_saved_without_identifiers_as_it_is_frozen_without_them(tmp_path: Path) -> None:
    session = session_of(instance(1, patient="SECRET", PatientName="SECRET^A", Modality="CT"))
    session.select(PatientName="secret*", Modality="CT")
    session.freeze(tmp_path / "frozen", identifiers=False)
    own = session.freeze()
    own.save(tmp_path / "saved", identifiers=False)
    frozen, saved = ((tmp_path / name).read_bytes().splitlines() for name in ("frozen", "saved"))
    assert [*frozen[:1], *frozen[2:]] == [*saved[:1], *saved[2:]]
    assert own.table("patient").PatientID.tolist() == ["SECRET"]
    again = Cohort.load(tmp_path / "saved")
    again.save(tmp_path / "again", identifiers=False)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "saved").read_bytes()
    assert again.digest == own.digest
    assert again != own


def test_a_criterion_that_a_file_does_not_hold_is_left_out_whole(tmp_path: Path) -> None:
    session = session_of(instance(1, patient="SECRET", Modality="CT"))
    session.select(tag("PatientID").where(lambda identifier: identifier == "SECRET") & (tag("PatientID") == "SECRET"))
    session.freeze(tmp_path / "own")
    Cohort.load(tmp_path / "own").save(tmp_path / "public", identifiers=False)
    assert "SECRET" not in (tmp_path / "public").read_text()
    assert Cohort.load(tmp_path / "public").criteria == ["a criterion, which was left out"]


@pytest.mark.parametrize("identifiers", [None, 0, "no"])
def test_identifiers_are_kept_or_left_out(identifiers: Any, tmp_path: Path) -> None:
    session = three_series()
    with pytest.raises(SelectionError, match="identifiers="):
        session.freeze(identifiers=identifiers)
    assert source_of(session).requests == 0
    with pytest.raises(SelectionError, match="identifiers="):
        session.freeze().save(tmp_path / "cohort", identifiers=identifiers)


def test_a_file_that_is_there_is_not_replaced_and_nothing_is_read_for_it(tmp_path: Path) -> None:
    session = three_series()
    (tmp_path / "cohort").write_text("kept")
    with pytest.raises(SelectionError, match="overwrite=True"):
        session.freeze(tmp_path / "cohort")
    assert source_of(session).requests == 0
    session.freeze(tmp_path / "cohort", overwrite=True)
    assert Cohort.load(tmp_path / "cohort").series_count == 3


def test_a_file_is_one_line_per_instance_and_has_no_password(tmp_path: Path) -> None:
    with OrthancStandIn(make_series((3, 4, 4))) as server:
        session = server.connect()
        session.select(Modality="CT").freeze(tmp_path / "ct.cohort")
        cohort = session.freeze()
        assert cohort.source == server.url
    lines = (tmp_path / "ct.cohort").read_text().splitlines()
    assert sum(isinstance(json.loads(line), list) for line in lines) == 3
    assert cohort.versions.keys() == {"simple_orthanc", "pydicom", "Orthanc"}


def test_cohorts_of_the_same_files_on_three_kinds_of_archive_are_equal(tmp_path: Path) -> None:
    slices = make_series((3, 4, 4))
    with OrthancStandIn(slices) as server:
        orthanc = server.connect()
        orthanc.download(tmp_path)
        cohorts = [orthanc.freeze(), Folder(tmp_path).freeze()]
    assert cohorts[0] == cohorts[1]
    assert cohorts[0].digest == cohorts[1].digest
    assert hash(cohorts[0]) == hash(cohorts[1])
    assert cohorts[0] != Folder(tmp_path).select(InstanceNumber=1).freeze()
    with DicomServer(slices) as server:
        assert DicomWeb(server.root).freeze(checksums=None) == Folder(tmp_path).freeze(checksums=None)


def test_many_series_are_listed_in_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = [instance(1, series=str(number)) for number in range(30)]
    session = session_of(*datasets).select(Modality=None)
    source = source_of(session)
    before = len(source.asked)
    monkeypatch.setattr(freezing, "SERIES_AT_ONCE", 10)
    session.freeze(checksums=None)
    assert len(source.asked) - before <= 6


def test_sets_of_cohorts() -> None:
    session = three_series()
    everything = session.freeze()
    ct, pt = (session.copy().select(Modality=name).freeze() for name in ("CT", "PT"))
    assert ct | pt == everything
    assert everything - pt == ct
    assert everything & pt == pt
    assert (ct & pt).instance_count == 0
    assert ct | ct == ct
    assert (ct | pt).criteria == []
    with pytest.raises(SelectionError, match="3 is not a cohort"):
        ct | 3  # type: ignore[operator]
    with pytest.raises(SelectionError, match="checksums"):
        ct | session.freeze(checksums=None)


def test_sets_of_cohorts_whose_instances_differ_are_refused() -> None:
    one, other = session_of(instance(1, KVP="100")).freeze(), session_of(instance(1, KVP="120")).freeze()
    assert one != other
    with pytest.raises(CohortError, match=r"1 instance has different checksums .*1\.2\.1\.1\.1"):
        one | other


def test_a_cohort_without_identifiers_is_combined_by_its_uids() -> None:
    session = three_series()
    public = session.freeze(identifiers=False)
    assert (public & session.copy().select(Modality="PT").freeze()).instance_count == 1


def test_patients_of_cohorts_without_identifiers_are_one_if_they_share_a_study() -> None:
    session = session_of(
        instance(1, patient="P1", study="1.1"),
        instance(2, patient="P1", study="1.1"),
        instance(3, patient="P2", study="1.2"),
    )
    first, second, third = (
        session.copy().select(InstanceNumber=number).freeze(identifiers=False) for number in (1, 2, 3)
    )
    assert (first | second).patient_count == (first | second).study_count == 1
    assert (first | third).patient_count == (first | third).study_count == 2
    assert (first | second | third).patient_count == 2
    assert (first | third) - third == first
    named = session.copy().select(PatientID="P2").freeze()
    assert (first | named).patient_count == (named | first).patient_count == 2
    assert (third | named) == third
    assert (named | third) == named


def test_the_order_in_which_cohorts_without_identifiers_are_combined_does_not_matter() -> None:
    session = session_of(*(instance(1, study=f"1.{number}") for number in range(1, 5)))
    pairs = [
        session.copy().select(StudyInstanceUID=[f"1.2.1.{one}", f"1.2.1.{other}"]).freeze(identifiers=False)
        for one, other in ((1, 2), (2, 3), (3, 4))
    ]
    parts = [
        session.copy().select(StudyInstanceUID=f"1.2.1.{number}").freeze(identifiers=False) for number in range(1, 5)
    ]
    expected = session.freeze(identifiers=False)
    for order in permutations([*pairs, parts[0], parts[3]]):
        assert reduce(operator.or_, order) == expected
    assert reduce(operator.or_, parts).patient_count == 4
    assert (parts[0] | parts[1] | pairs[0]).patient_count == (pairs[0] | parts[0] | parts[1]).patient_count == 1


def test_two_patient_ids_are_not_joined_by_a_cohort_without_them() -> None:
    named = session_of(instance(1, patient="P1", study="1"), instance(1, patient="P2", study="2")).freeze()
    other = session_of(instance(2, study="1"), instance(2, study="2"), instance(2, study="3")).freeze(identifiers=False)
    for both in (named | other, other | named):
        assert sorted(both.table("patient").PatientID) == ["P1", "P2"]
        assert both.study_count == 3


def test_a_uid_under_two_patients_is_not_lost_beside_a_cohort_without_identifiers() -> None:
    twice = session_of(instance(1, patient="P1"), instance(1, patient="P2")).freeze()
    public = session_of(instance(2)).freeze(identifiers=False)
    for combine in (lambda: twice | public, lambda: public - twice):
        with pytest.raises(CohortError, match="occurs under two patients"):
            combine()


def test_a_cohort_shows_what_it_is() -> None:
    cohort = three_series().select(Modality="CT").freeze()
    assert repr(cohort).startswith("<Cohort: 1 patient, 1 study, 2 series, 3 instances, frozen 20")
    assert "Modality == 'CT'" in repr(cohort)
    assert "1.2.1.2" in cohort._as_text()
    assert "1.2.1.2" in cohort._repr_html_()
    assert len(cohort) == 2
    assert bool(cohort - cohort)


def test_tables_of_every_level() -> None:
    cohort = three_series().freeze()
    assert cohort.table("patient").instance_count.tolist() == [3, 1]
    assert cohort.table("study").series_count.tolist() == [2, 1]
    assert list(cohort.table().columns) == ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "instance_count"]
    with pytest.raises(SelectionError):
        cohort.table("image")  # type: ignore[arg-type]


def test_a_path_that_cannot_be_written_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    session = three_series()
    for wrong in (tmp_path, tmp_path / "none" / "ct.cohort", "a\0b"):
        with pytest.raises(CohortError, match="cannot be written"):
            session.freeze(wrong)
    assert source_of(session).requests == 0


def test_a_cohort_can_be_pickled_whatever_its_criteria_are() -> None:
    cohort = three_series().select(tag("InstanceNumber").where(lambda number: number > 0), Modality="CT").freeze()
    again = pickle.loads(pickle.dumps(cohort))
    assert again == cohort
    assert again.criteria == cohort.criteria


def test_freezing_changes_nothing_of_the_session() -> None:
    session: Session = three_series().select(Modality="CT")
    before, known = session.selection, session._index
    session.freeze()
    assert session.selection == before
    assert session._index is known
    assert not known._rows["instance"]


def test_a_file_with_patients_is_private(tmp_path: Path) -> None:
    session = three_series()
    # What the user's mask leaves of a file that anybody may read.
    (tmp_path / "any").touch()
    session.freeze(tmp_path / "own.cohort")
    session.freeze(tmp_path / "public.cohort", identifiers=False)
    own, public, usual = ((tmp_path / name).stat().st_mode & 0o777 for name in ("own.cohort", "public.cohort", "any"))
    assert own == 0o600
    assert public == usual
