"""A cohort opened on any archive is what was frozen, nothing else, and nothing that has changed is read."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import (
    CohortError,
    Folder,
    Orthanc,
    OrthancError,
    SelectionError,
    UnsupportedError,
    VolumeError,
    has_series,
    tag,
)
from simple_orthanc.session import Session
from simple_orthanc.session.cohorts.cohort import Cohort
from simple_orthanc.sources.folder.source import FolderSource
from simple_orthanc.testing import OrthancStandIn, make_series
from tests.memory_source import MemorySource, instance
from tests.session.cohorts.archives import OPENERS, changed, make_archive, session_on, uids
from tests.session.sessions import session_of, source_of, three_series
from tests.sources.contract import Archive


@pytest.fixture
def datasets() -> list[Dataset]:
    return make_archive()


@pytest.fixture(params=OPENERS)
def archive(request: pytest.FixtureRequest, datasets: list[Dataset], tmp_path: Path) -> Iterator[Archive]:
    (tmp_path / "archive").mkdir()
    with OPENERS[request.param](datasets, tmp_path / "archive") as opened:
        yield opened


def replace(archive: Archive, dataset: Dataset, **tags: object) -> None:
    archive.delete(dataset)
    archive.store(changed(dataset, **tags))


def frozen_elsewhere(datasets: list[Dataset], **tags: Any) -> Cohort:
    return session_of(*datasets).select(**tags).freeze()


def test_it_is_what_was_frozen_whatever_else_is_there(archive: Archive, datasets: list[Dataset]) -> None:
    cohort = frozen_elsewhere(datasets, Modality="CT", StudyInstanceUID=["1.2.1", "1.2.3"])
    session = session_on(archive)
    session.select(Modality="MR")
    opened = cohort.open(session)
    expected = uids(session_of(*datasets).select(Modality="CT", StudyInstanceUID=["1.2.1", "1.2.3"]))
    assert uids(opened) == expected
    assert (opened.patient_count, opened.study_count, opened.series_count, opened.instance_count) == (2, 2, 2, 6)
    assert type(opened) is type(session)
    assert session.selection == {"Modality": "MR"}
    assert opened.selection == {}
    assert opened.freeze() == cohort


def test_it_is_narrowed_within_and_reset_to_what_was_frozen(archive: Archive, datasets: list[Dataset]) -> None:
    opened = frozen_elsewhere(datasets, Modality="CT").open(session_on(archive))
    assert uids(opened.select(StudyDate="20200102")) == ["1.2.2.1.1", "1.2.2.1.2", "1.2.2.1.3"]
    assert opened.reset().instance_count == 9
    assert sorted(uids(opened.select(InstanceNumber=2))) == ["1.2.1.1.2", "1.2.2.1.2", "1.2.3.1.2"]
    assert opened.undo().instance_count == 9
    assert uids(opened.select("1.2.1.1.3")) == ["1.2.1.1.3"]
    assert opened.reset().exclude(StudyDate="20200102").series_count == 2
    with pytest.raises(SelectionError):
        opened.reset().select("1.2.1.2.1")
    assert uids(opened.reset().series[2]) == ["1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"]
    assert opened.refresh().instance_count == 9


def test_a_part_of_a_series_stays_a_part(archive: Archive, datasets: list[Dataset]) -> None:
    opened = frozen_elsewhere(datasets, InstanceNumber=2, Modality="CT").open(session_on(archive))
    assert uids(opened) == ["1.2.2.1.2", "1.2.3.1.2", "1.2.1.1.2"]
    assert opened.table("KVP", "instance_count").instance_count.tolist() == [1, 1, 1]
    assert [header.InstanceNumber for header in opened.get_headers()] == [2, 2, 2]
    assert len(opened.get_instances()) == 3


def get_volume(session: Session) -> float:
    return float(session.get_volume().array.mean())


READS: dict[str, Callable[[Session, Path], object]] = {
    "get_headers": lambda session, folder: session.get_headers(),
    "get_header": lambda session, folder: session.get_header(),
    "get_instances": lambda session, folder: session.get_instances(),
    "download": lambda session, folder: session.download(folder / "files"),
    "column": lambda session, folder: session.table("KVP"),
    "values": lambda session, folder: session.get_dicom_tag("ImageComments"),
    "select": lambda session, folder: session.select(tag("KVP") > 100),
    "save_volumes": lambda session, folder: session.save_volumes(folder / "volumes", errors="raise"),
    "get_volume": lambda session, folder: session.get_volume(),
    "get_volumes_lazily": lambda session, folder: list(session.get_volumes_lazily()),
    "slices": lambda session, folder: session.get_volume(slices=slice(0, 1)),
    "lazy": lambda session, folder: session.get_volume(lazy=True).compute(),
    "thumbnail": lambda session, folder: session.thumbnail(),
    "map": lambda session, folder: session.map(get_volume, errors="raise"),
    "verify_index": lambda session, folder: session.verify_index(),
    "freeze": lambda session, folder: session.freeze(),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_that_has_changed_is_read(
    archive: Archive, datasets: list[Dataset], tmp_path: Path, read: str, when: str
) -> None:
    cohort = frozen_elsewhere(datasets, SOPInstanceUID="1.2.2.1.2")
    other = next(dataset for dataset in datasets if dataset.SOPInstanceUID == "1.2.2.1.2")
    if when == "before":
        replace(archive, other)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "1 of 1 instances of the cohort of .* has changed")
        opened = cohort.open(session_on(archive))
    if when == "after":
        opened.instance_count  # noqa: B018
        replace(archive, other)
    # A folder notices by itself that a file has changed since it was looked at.
    notices = when == "after" and isinstance(archive.source, FolderSource)
    with pytest.raises(
        OrthancError, match="has changed since" if notices else "differs from what was frozen"
    ) as failure:
        READS[read](opened, tmp_path)
    assert notices or isinstance(failure.value, (CohortError, VolumeError))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "archive" not in path.parts]


def test_what_has_not_changed_is_read_beside_what_has(archive: Archive, datasets: list[Dataset]) -> None:
    cohort = frozen_elsewhere(datasets, SeriesInstanceUID="1.2.2.1")
    replace(archive, next(dataset for dataset in datasets if dataset.SOPInstanceUID == "1.2.2.1.2"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "1 of 3 instances of the cohort of .* has changed")
        opened = cohort.open(session_on(archive))
    with pytest.warns(
        UserWarning, match="1 of 3 instances cannot be read and is left out: .*differs from what was frozen"
    ):
        headers = opened.get_headers(errors="report")
    assert [header.InstanceNumber for header in headers] == [1, 3]


def test_missing_instances_are_counted_and_left_out_on_request(archive: Archive, datasets: list[Dataset]) -> None:
    cohort = frozen_elsewhere(datasets, Modality="CT")
    archive.delete(datasets[0])
    with pytest.raises(
        CohortError, match=r"1 of 9 instances of the cohort of .* is not in .* \(1\.2\.1\.1\.1\)\. Store"
    ):
        cohort.open(session_on(archive))
    with pytest.warns(UserWarning, match=r"1 of 9 instances .*, and is left out\."):
        opened = cohort.open(session_on(archive), missing="warn")
    assert opened.instance_count == 8
    assert "1.2.1.1.1" not in uids(opened)


def test_an_archive_that_holds_nothing_of_it_is_an_error(archive: Archive) -> None:
    cohort = session_of(instance(1, study="9")).freeze()
    with pytest.raises(CohortError, match="1 of 1 instances"):
        cohort.open(session_on(archive), missing="warn")


def test_an_object_of_another_patient_is_not_that_of_the_cohort(archive: Archive, datasets: list[Dataset]) -> None:
    others = [changed(dataset, PatientID="P9") for dataset in datasets[:3]]
    with pytest.raises(CohortError, match="3 of 3 instances"):
        session_of(*others).freeze().open(session_on(archive))


def test_a_cohort_without_patients_is_found_by_its_uids(archive: Archive, datasets: list[Dataset]) -> None:
    cohort = session_of(*datasets).select(Modality="MR").freeze(identifiers=False)
    opened = cohort.open(session_on(archive))
    assert opened.instance_count == 6
    assert len(opened.get_headers()) == 6


def test_it_is_pickled_with_what_was_frozen_alone(archive: Archive, datasets: list[Dataset]) -> None:
    opened = frozen_elsewhere(datasets, Modality="CT").open(session_on(archive))
    again = pickle.loads(pickle.dumps(opened))
    assert uids(again) == uids(opened)
    assert again.reset().instance_count == 9


def test_a_child_of_it_is_pickled_without_other_patients(archive: Archive, datasets: list[Dataset]) -> None:
    opened = frozen_elsewhere(datasets, Modality="CT").open(session_on(archive))
    child = opened.select(StudyDate="20200102").series[0]
    requests = archive.source.requests
    pickled = pickle.dumps(child)
    again = pickle.loads(pickled)
    assert archive.source.requests == requests
    assert repr(again) == repr(child)
    assert uids(again) == uids(child)
    assert again.selection == child.selection
    # Verbs look at the other series of the patient, too, so that all that was frozen of the patient is in the pickle.
    patient = opened.copy().reset().select(PatientID=child.PatientID[0])
    assert again.copy().reset().instance_count == patient.instance_count
    # An archive in memory is in the pickle.
    assert isinstance(archive.source, MemorySource) or b"1.2.1.1.3" not in pickled


def test_what_a_landed_part_of_it_knows_of_its_patient_is_what_it_knew(archive: Archive) -> None:
    opened = session_on(archive).freeze().open(session_on(archive))
    whole = ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfPatientRelatedInstances")
    parts = [opened.copy().select(Modality="CT", InstanceNumber=2), opened.copy().select(has_series(Modality="MR"))]
    for part in [*parts, *opened.series, *opened.instances, opened.patients[-1]]:
        again = pickle.loads(pickle.dumps(part))
        assert again.table(*whole).to_dict() == part.table(*whole).to_dict()
        with_mr = [
            each.copy().select(has_series(Modality="MR")) if each.instance_count else each for each in (part, again)
        ]
        assert uids(with_mr[1]) == uids(with_mr[0])
        assert uids(again.refresh()) == uids(part)


def test_masks_of_a_cohort_are_the_same_where_they_land() -> None:
    opened = Folder.example().freeze().open(Folder.example())
    for modality in ("SEG", "RTSTRUCT"):
        part = opened.copy().select(PatientID="EX-002", Modality=modality)
        expected, masks = part.get_masks(), pickle.loads(pickle.dumps(part)).get_masks()
        assert {name: mask.array.shape for name, mask in masks.items()} == {
            "liver": (40, 128, 128),
            "lesion": (40, 128, 128),
        }
        assert all(np.array_equal(masks[name].array, expected[name].array) for name in expected)


@pytest.mark.parametrize("archive", [kind for kind in OPENERS if kind != "memory"], indirect=True)
def test_what_lands_and_is_gone_or_has_changed_is_an_error(archive: Archive, datasets: list[Dataset]) -> None:
    opened = frozen_elsewhere(datasets, Modality="CT").open(session_on(archive))
    gone, other = (pickle.dumps(series) for series in opened.series[1:3])
    for dataset in datasets:
        if dataset.SOPInstanceUID == "1.2.3.1.2":
            archive.delete(dataset)
        if dataset.SOPInstanceUID == "1.2.1.1.1":
            replace(archive, dataset)
    # Six of its patient were frozen.
    with pytest.raises(CohortError, match=r"1 of 6 instances .* is not in .*1\.2\.3\.1\.2"):
        pickle.loads(gone).get_headers()
    with pytest.raises(CohortError, match="differs from what was frozen"):
        pickle.loads(other).get_headers()


# What does not depend on the kind of archive


def test_a_uid_under_two_patients_is_found_under_the_one_that_was_frozen() -> None:
    session = session_of(instance(1, patient="P1", KVP="1"), instance(1, patient="P2", KVP="2"))
    cohort = session.copy().select(PatientID="P2").freeze()
    assert cohort.open(session).get_dicom_tag("KVP") == [2]
    public = session.copy().select(PatientID="P2").freeze(identifiers=False)
    with pytest.raises(CohortError, match="occurs under 2 patients"):
        public.open(session)


def test_two_patients_that_are_one_elsewhere_are_not_taken_for_half_of_what_was_frozen() -> None:
    two = session_of(instance(1, patient="P1", KVP="1"), instance(1, patient="P2", KVP="2"))
    public = two.freeze(identifiers=False)
    with pytest.raises(CohortError, match="under two patients"):
        public.open(session_of(instance(1, patient="P1", KVP="1")))


@pytest.mark.parametrize("kvp", ["1", "2"])
def test_of_two_patients_whose_ids_differ_in_spaces_alone_none_is_taken_for_the_other(kvp: str) -> None:
    # Orthanc has two such patients where a file in Implicit VR ends its PatientID with a space; values have none.
    session = session_of(instance(1, patient="P1", KVP="1"), instance(1, patient="P1 ", KVP="2"))
    cohort = session.copy().select(KVP=kvp).freeze(checksums=None)
    with pytest.raises(CohortError, match=r"occurs 2 times in .* under equivalent PatientIDs"):
        cohort.open(session)


def test_an_identifier_in_a_message_cannot_move_the_cursor() -> None:
    hostile = "1.2\x1b[2J"
    session = session_of(instance(1))
    frozen = session.freeze()
    (series,) = frozen._data.series
    series = dataclasses.replace(series, instances=(series.instances[0]._replace(uid=hostile),))
    with pytest.raises(CohortError, match="is not in") as caught:
        Cohort(dataclasses.replace(frozen._data, series=(series,))).open(session)
    assert "\x1b" not in str(caught.value)


def test_the_order_is_that_of_the_frozen_session() -> None:
    session = session_of(*(instance(number) for number in range(1, 5)))
    cohort = session.sort_by("InstanceNumber", "descending").freeze()
    assert uids(cohort.open(session.copy().reset())) == ["1.2.1.1.4", "1.2.1.1.3", "1.2.1.1.2", "1.2.1.1.1"]


def test_another_encoding_of_the_same_dataset_is_the_same_with_checksums_of_datasets(tmp_path: Path) -> None:
    from simple_orthanc import Folder

    slices = make_series((2, 4, 4))
    for number, dataset in enumerate(slices):
        dataset.file_meta.SourceApplicationEntityTitle = "HERE"
        dataset.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    here = Folder(tmp_path, cache=False)
    strict, lenient = here.freeze(), here.freeze(checksums="datasets")
    for number, dataset in enumerate(slices):
        dataset.file_meta.SourceApplicationEntityTitle = "THERE"
        dataset.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    there = Folder(tmp_path, cache=False)
    assert len(lenient.open(there).get_headers()) == 2
    assert lenient.open(there).get_volume().array.shape == (2, 4, 4)
    with pytest.warns(UserWarning, match="2 of 2 instances of the cohort of .* have changed"):
        opened = strict.open(there)
    with pytest.raises(CohortError, match='freeze with checksums="datasets"'):
        opened.get_headers()


def test_without_checksums_nothing_is_compared() -> None:
    session = three_series()
    cohort = session.freeze(checksums=None)
    source_of(session).datasets[0].KVP = "80"
    opened = cohort.open(session)
    assert len(opened.get_headers()) == 4


def test_finding_takes_as_many_requests_however_much_else_is_there() -> None:
    def requests(others: int) -> int:
        datasets = [instance(1, series=str(number)) for number in range(30 + others)]
        session = session_of(*datasets)
        cohort = session.copy().select(SeriesInstanceUID=[f"1.2.1.{number}" for number in range(30)]).freeze()
        before = source_of(session).requests
        cohort.open(session)
        return source_of(session).requests - before

    assert requests(0) == requests(300) <= 7


@pytest.mark.parametrize("wrong", [None, "session", 3, Session])
def test_what_is_no_session_is_refused(wrong: Any) -> None:
    with pytest.raises(SelectionError, match=r"pass a session on an archive"):
        three_series().freeze().open(wrong)


@pytest.mark.parametrize("wrong", ["ignore", None, True])
def test_a_wrong_way_to_take_missing_ones_is_refused(wrong: Any) -> None:
    session = three_series()
    with pytest.raises(SelectionError, match="missing="):
        session.freeze().open(session, missing=wrong)


def test_a_cohort_opened_on_an_opened_cohort_is_on_the_archive() -> None:
    session = three_series()
    ct, pt = (session.copy().select(Modality=name).freeze() for name in ("CT", "PT"))
    assert pt.open(ct.open(session)).Modalities == ["PT"]


def test_it_shows_which_cohort_it_is() -> None:
    session = three_series()
    opened = session.copy().select(Modality="CT").freeze().open(session)
    assert repr(opened).startswith("<Session memory, cohort of 20")
    assert "1 patient, 1 study, 2 series, 3 instances" in repr(opened)
    assert "cohort of 20" in opened._repr_html_()


def test_it_is_opened_from_a_cache_without_the_server(tmp_path: Path) -> None:
    with OrthancStandIn([*make_series((4, 4, 4)), *make_series((2, 4, 4), seed=3, Modality="MR")]) as server:
        session = Orthanc(server.url, cache=tmp_path / "cache")
        cohort, everything = session.copy().select(Modality="CT").freeze(), session.freeze()
        cohort.open(session).get_volume()
    offline = Orthanc(server_url(session), cache=tmp_path / "cache", offline=True)
    opened = cohort.open(offline)
    assert opened.get_volume().array.shape == (4, 4, 4)
    assert len(opened.get_headers()) == 4
    assert opened.table("KVP").KVP.tolist() == [120]
    assert opened.freeze() == cohort
    assert pickle.loads(pickle.dumps(opened.series[0])).instance_count == 4
    assert not cohort.difference(offline)
    with pytest.raises(CohortError, match=r"2 of 6 instances .* are not in .*offline"):
        everything.open(offline)
    with pytest.raises(UnsupportedError, match="offline"):
        opened.delete()


def server_url(session: Orthanc) -> str:
    return session._source.description


# Acting


@pytest.fixture
def orthanc() -> Iterator[Orthanc]:
    with OrthancStandIn(make_series((4, 4, 4)) + make_series((2, 4, 4), seed=3, Modality="MR")) as server:
        yield server.connect()


def test_an_act_takes_exactly_what_was_frozen(orthanc: Orthanc) -> None:
    cohort = orthanc.copy().select(Modality="CT", InstanceNumber=[1, 2]).freeze()
    opened = cohort.open(orthanc)
    with pytest.raises(SelectionError, match=r"2 instances that the selection left out"):
        opened.delete("series")
    assert opened.delete("instance").status.tolist() == ["deleted"] * 2
    assert orthanc.refresh().instance_count == 4
    assert opened.instance_count == 0


def test_an_act_needs_no_further_selection(orthanc: Orthanc) -> None:
    opened = orthanc.copy().select(Modality="MR").freeze().open(orthanc)
    assert opened.delete().status.tolist() == ["deleted"]
    assert orthanc.refresh().Modalities == ["CT"]


def test_nothing_is_done_with_what_has_changed(orthanc: Orthanc) -> None:
    session = orthanc.copy().select(Modality="MR")
    cohort, header = session.freeze(), session.get_instances()[0]
    opened = cohort.open(orthanc)
    session.delete("instance", dry_run=False)
    header.KVP = "80"
    orthanc.upload_dataset(header)
    with pytest.raises(CohortError, match="1 of 2 instances"):
        cohort.open(orthanc)
    for act in (opened.delete, lambda: opened.archive("mr.zip")):
        with pytest.raises((CohortError, SelectionError)):
            act()
    assert orthanc.refresh().copy().select(Modality="MR").instance_count == 1


def test_what_is_gone_does_not_end_an_act(orthanc: Orthanc) -> None:
    opened = orthanc.copy().select(Modality="CT").freeze().open(orthanc)
    orthanc.copy().select(Modality="CT", InstanceNumber=1).delete("instance")
    assert set(opened.delete("instance").status) <= {"deleted", "gone"}
    assert "CT" not in orthanc.refresh().Modalities


def test_uploads_and_the_rest_api_go_to_the_archive(orthanc: Orthanc) -> None:
    opened = orthanc.copy().select(Modality="MR").freeze().open(orthanc)
    opened.upload_dataset(make_series((1, 4, 4), seed=8, Modality="US"))
    assert opened.Modalities == ["MR"]
    assert "US" in orthanc.refresh().Modalities
    assert opened.rest.get("/statistics")["CountInstances"] == 7
