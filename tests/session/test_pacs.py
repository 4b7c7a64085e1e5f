"""A session on a PACS: what is decided here, what raises, and what became of what was to be retrieved."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc import Condition, Orthanc, age, has_series, label, tag
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import (
    EmptySelectionError,
    JobError,
    SelectionError,
    UnknownNameError,
    UnsupportedError,
)
from simple_orthanc.rest.jobs import Job
from simple_orthanc.session.pacs import Pacs
from tests.sources.contract import make_archive, make_dataset
from tests.sources.pacs.stand_in import COUNTS, DCMQRSCP, Habits, PacsServer, opened


@pytest.fixture
def behind() -> PacsServer:
    return PacsServer(make_archive())


@pytest.fixture
def pacs(behind: PacsServer) -> Iterator[Pacs]:
    with opened(behind) as pacs:
        yield pacs


# Opening


def test_a_session_is_opened_without_asking_the_pacs(pacs: Pacs, behind: PacsServer) -> None:
    assert repr(pacs) == f"<Pacs 'PACS' through {behind.url}: the whole archive>"
    assert behind.questions == []


def test_an_unknown_name_is_an_error_with_the_known_ones(behind: PacsServer) -> None:
    with behind, Orthanc(behind.url) as orthanc, pytest.raises(UnknownNameError, match=r"'PAX'.*other, PACS"):
        orthanc.modality("PAX")


@pytest.mark.parametrize("timeout", [0, -1, 2.5, "5", True])
def test_a_timeout_that_orthanc_does_not_take_is_refused(behind: PacsServer, timeout: Any) -> None:
    with behind, Orthanc(behind.url) as orthanc, pytest.raises(SelectionError, match="not a whole number of seconds"):
        orthanc.modality("PACS", timeout=timeout)


# Selecting


@pytest.mark.parametrize("habits", [Habits(), Habits(is_cased=True, is_relational=False, repeats=True)])
@pytest.mark.parametrize(
    ("criteria", "series"),
    [
        ({"PatientName": "doe*"}, 2),
        ({"PatientName": "DOE^JANE", "Modality": "ct"}, 1),
        ({"PatientID": "P1"}, 4),
        ({"PatientID": "p1"}, 2),
        ({"ModalitiesInStudy": "MR", "PatientID": "p1"}, 2),
        ({"StudyDate": ("20200102", None)}, 4),
        ({"StudyDescription": "SCHÄDEL"}, 2),
        ({"SeriesDescription": "T2*_GRE 1"}, 3),
        ({"SeriesDescription": ["t2*2", "nothing"]}, 3),
        ({"NumberOfSeriesRelatedInstances": 2}, 3),
        ({"StudyID": [2, 3], "SeriesNumber": 2}, 2),
    ],
)
def test_a_selection_means_the_same_as_everywhere(habits: Habits, criteria: dict[str, Any], series: int) -> None:
    with opened(PacsServer(make_archive(), habits)) as pacs:
        assert pacs.copy().select(**criteria).series_count == series
        assert pacs.exclude(**criteria).series_count == 6 - series


def test_values_tables_and_counts_are_shown(pacs: Pacs) -> None:
    assert (pacs.patient_count, pacs.study_count, pacs.series_count, pacs.instance_count) == (2, 3, 6, 15)
    assert pacs.select(Modality="MR").SeriesDescriptions == ["T2*_GRE 2"]
    frame = pacs.table("PatientID", "StudyDate", "SeriesDescription", "instance_count")
    assert frame.PatientID.tolist() == ["P1", "P1", "p1"]
    assert frame.instance_count.tolist() == [2, 2, 2]
    assert pacs.value_counts("PatientName").to_dict() == {"Roe^Rick": 1, "Doe^Jane": 1}
    assert [series.instance_count for series in pacs.series] == [2, 2, 2]
    assert len(pacs.table(level="instance")) == 6


def test_selections_are_undone_reset_and_explained(pacs: Pacs) -> None:
    pacs.select(PatientID="P1").select(Modality="CT")
    assert pacs.series_count == 2
    assert pacs.explain().decided.tolist() == ["server, checked here", "here, from the index"]
    assert pacs.undo().series_count == 4
    assert pacs.reset().study_count == 3
    pacs.selection = {"StudyID": "2"}
    assert pacs.study_count == 1


def test_what_the_pacs_searches_for_comes_first(pacs: Pacs, behind: PacsServer) -> None:
    assert pacs.select(PatientName="doe*", PatientID="p?", StudyDescription="head").study_count == 1
    assert behind.questions[0] == ("Study", {"PatientID": "p?"})
    # Whether a name is literally doe* is asked too; nothing lists the whole PACS.
    assert all(question for _, question in behind.questions)
    assert pacs.selection == {"PatientID": "p?", "PatientName": "doe*", "StudyDescription": "head"}
    assert pacs.reset().select(PatientID="P*").PatientIDs == ["P1"]


def test_images_are_ordered_by_their_numbers(pacs: Pacs) -> None:
    pacs.select(PatientID="p1", Modality="CT")
    assert pacs.get_dicom_tag("InstanceNumber", level="instance") == [1, 2, 3]


def test_refreshing_shows_what_was_added_and_deleted(pacs: Pacs, behind: PacsServer) -> None:
    pacs.select(Modality="CT")
    assert pacs.instance_count == 9
    del behind.pacs[0]
    assert pacs.refresh().instance_count == 8


@pytest.mark.parametrize("name", ["SeriesDescription", "OperatorsName", "InstitutionName"])
def test_nothing_is_selected_by_what_the_pacs_never_answers_with(name: str) -> None:
    with opened(PacsServer(make_archive(), Habits(ignored=set(DCMQRSCP)))) as pacs:
        pacs.select(PatientID="P1")
        for narrow in (pacs.select, pacs.exclude):
            for value in ("x", None):
                with pytest.raises(UnsupportedError, match=rf"^{name}: .*retrieve\(\)"):
                    narrow(**{name: value})
        with pytest.raises(UnsupportedError, match=name):
            pacs.select(tag("Modality").isin(["CT"]) & tag(name).matches("x"))
        assert pacs.selection == {"PatientID": "P1"}
        with pytest.warns(UserWarning, match=rf"^{name}: .*unknown here, and not missing"):
            assert getattr(pacs, name) == []


def test_a_table_warns_once_of_all_that_the_pacs_never_answers_with() -> None:
    with opened(PacsServer(make_archive(), Habits(ignored=set(DCMQRSCP)))) as pacs:
        with pytest.warns(UserWarning, match="^InstitutionName, OperatorsName, SeriesDescription: ") as caught:
            frame = pacs.table()
        assert len(caught) == 1
        assert frame.SeriesDescription.isna().all()
        assert frame.Modality.tolist() == ["CT", "MR"] * 3


@pytest.mark.parametrize("name", ["KVP", "ImagePositionPatient", '0009,"A MAKER",01', "Rows"])
def test_tags_that_only_files_hold_raise_before_any_question(name: str, pacs: Pacs, behind: PacsServer) -> None:
    with pytest.raises(UnsupportedError, match=r"hands over no files.*retrieve\(\)"):
        pacs.select(**{name: 1})
    assert behind.questions == []
    with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
        pacs.select(PatientID="p1").table(name)


@pytest.mark.parametrize("condition", [age() > 60, has_series(age() > 60), has_series(Modality="CT", KVP=120)])
def test_conditions_that_need_files_raise_before_any_question(
    condition: Condition, pacs: Pacs, behind: PacsServer
) -> None:
    with pytest.raises(UnsupportedError, match=r"^(PatientAge|KVP).*hands over no files.*retrieve\(\)"):
        pacs.select(condition)
    assert behind.questions == []


@pytest.mark.parametrize("habits", [Habits(), Habits(is_cased=True, is_relational=False, repeats=True)])
def test_questions_about_series_mean_the_same_as_everywhere(habits: Habits) -> None:
    with opened(PacsServer(make_archive(), habits)) as pacs:
        mr = has_series(Modality="MR", StudyInstanceUID="1.2.1")
        assert pacs.copy().select(mr, has_series(Modality="CT")).StudyInstanceUIDs == ["1.2.1"]
        assert pacs.copy().select(Modality="CT").exclude(mr).series_count == 2


@pytest.mark.parametrize("written", ["王*", "王^小 ωmega"])
def test_characters_that_orthanc_leaves_out_are_no_silent_mismatch(written: str) -> None:
    datasets = make_archive()
    for dataset in datasets[:5]:
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = "王^小 Ωmega"
    habits = Habits(character_set="ISO_IR 100")
    with opened(PacsServer(datasets, habits)) as pacs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            with pytest.raises(UnsupportedError, match=r'ISO_IR 100.*rest\.put\("/tools/default-encoding", "Utf8"\)'):
                pacs.select(PatientName=written)
        assert pacs.selection == {}
        assert pacs.copy().select(StudyDescription="schädel").study_count == 1
        habits.character_set = "ISO_IR 192"
        assert pacs.refresh().select(PatientName=written).study_count == 1


def test_labels_are_refused(pacs: Pacs) -> None:
    with pytest.raises(UnsupportedError, match=r"C-FIND has no labels.*retrieve\(\)"):
        pacs.select(label("reviewed"))


@pytest.mark.parametrize(
    "read",
    [
        Pacs.get_header,
        Pacs.get_headers,
        Pacs.get_instances,
        Pacs.get_volume,
        Pacs.get_array,
        Pacs.get_image,
        Pacs.get_volumes,
        Pacs.get_masks,
        Pacs.view,
        Pacs.volume_table,
        Pacs.download,
        Pacs.verify_index,
    ],
)
def test_reading_raises_before_any_question(read: Any, pacs: Pacs, behind: PacsServer) -> None:
    with pytest.raises(UnsupportedError, match=r"Reading: .*retrieve\(\) brings what is selected"):
        read(pacs)
    assert behind.questions == []


@pytest.mark.parametrize("read", [Pacs.gallery, Pacs.thumbnail, Pacs.get_volumes_lazily])
def test_pictures_and_loops_raise_before_any_question(read: Any, pacs: Pacs, behind: PacsServer) -> None:
    with pytest.raises(UnsupportedError, match=r"retrieve\(\) brings what is selected"):
        read(pacs)
    assert behind.questions == []


def test_the_tags_that_can_be_asked_for_are_listed_without_a_question(pacs: Pacs, behind: PacsServer) -> None:
    assert {"PatientName", "Modality", "InstanceNumber"} <= set(pacs.get_all_dicom_tags())
    assert behind.questions == []


def test_what_can_be_filtered_on_is_asked_study_by_study_only_where_something_is_selected(
    pacs: Pacs, behind: PacsServer
) -> None:
    frame = pacs.describe()
    assert frame.tag[:2].tolist() == ["StudyDescription", "StudyDate"]
    assert "Modality" not in frame.tag.tolist()
    assert {level for level, _ in behind.questions} == {"Study"}
    frame = pacs.select(PatientID="P1").describe()
    assert frame.tag[0] == "Modality"
    assert "SliceThickness" not in frame.tag.tolist()
    assert pacs.describe("Modality").distinct.tolist() == [2]
    assert pacs.first("PatientID") in ("P1", "p1")


@pytest.mark.parametrize("describe", [lambda pacs: pacs.describe(files=True), lambda pacs: pacs.describe("KVP")])
def test_what_only_files_hold_is_not_described(describe: Any, pacs: Pacs) -> None:
    with pytest.raises(UnsupportedError, match=r"retrieve\(\) brings"):
        describe(pacs.select(PatientID="P1"))


# Retrieving


def held(server: PacsServer) -> set[str]:
    return {str(dataset.SOPInstanceUID) for dataset in server.datasets}


@pytest.mark.parametrize("version", ["1.10.1", "1.12.7"])
@pytest.mark.parametrize(
    ("criteria", "level", "resources"),
    [
        ({"PatientID": "p1"}, "Study", [[{"StudyInstanceUID": "1.2.1"}]]),
        (
            {"PatientID": "P1", "Modality": "MR"},
            "Series",
            [
                [{"StudyInstanceUID": "1.2.2", "SeriesInstanceUID": "1.2.2.2"}],
                [{"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.2"}],
            ],
        ),
        (
            {"StudyID": "2", "Modality": "CT", "InstanceNumber": [1, 3]},
            "Instance",
            [
                [
                    {"StudyInstanceUID": "1.2.2", "SeriesInstanceUID": "1.2.2.1", "SOPInstanceUID": "1.2.2.1.1"},
                    {"StudyInstanceUID": "1.2.2", "SeriesInstanceUID": "1.2.2.1", "SOPInstanceUID": "1.2.2.1.3"},
                ]
            ],
        ),
    ],
)
def test_exactly_what_is_selected_is_retrieved(
    version: str, criteria: dict[str, Any], level: str, resources: list[list[dict[str, str]]]
) -> None:
    server = PacsServer(make_archive(), version=version)
    with opened(server) as pacs:
        selected = {
            *pacs.select(**criteria).get_dicom_tag("SOPInstanceUID", level="instance"),
        }
        session = pacs.retrieve()
        key = list(resources[0][0])[-1]
        bodies = [body for _, body in server.retrieved]
        assert {body["Level"] for body in bodies} == {level}
        sent = sorted(([*body["Resources"]] for body in bodies), key=lambda batch: batch[0][key])
        assert [sorted(batch, key=lambda resource: resource[key]) for batch in sent] == resources
        assert held(server) == selected
        assert isinstance(session, Orthanc)
        assert set(session.get_dicom_tag("SOPInstanceUID", level="instance")) == selected
        assert session.get_header(0).PatientID == session.PatientIDs[0]


def test_whole_studies_or_single_images_can_be_asked_for(pacs: Pacs, behind: PacsServer) -> None:
    pacs.select(PatientID="p1", Modality="CT")
    assert pacs.retrieve(level="study").instance_count == 5
    assert pacs.retrieve(level="instance").instance_count == 3
    assert [body["Level"] for _, body in behind.retrieved] == ["Study", "Instance"]
    with pytest.raises(SelectionError, match='none of "study", "series" and "instance"'):
        pacs.retrieve(level="patient")


def test_what_the_server_held_before_is_not_in_the_session(pacs: Pacs, behind: PacsServer) -> None:
    behind.datasets += make_archive()[-2:]
    assert pacs.select(PatientID="p1").retrieve().study_count == 1
    assert pacs.retrieve().reset().study_count == 2


@pytest.mark.parametrize(
    ("how", "method", "route"),
    [(None, "C-MOVE", "move"), (None, "C-GET", "get"), ("get", "C-MOVE", "get"), ("move", "C-GET", "move")],
)
def test_the_way_is_chosen_or_configured(how: str | None, method: str, route: str) -> None:
    server = PacsServer(make_archive(), method=method)
    with opened(server) as pacs:
        pacs.select(PatientID="p1").retrieve(how)
        assert [way for way, _ in server.retrieved] == [route]


def test_c_get_is_refused_by_an_old_server_with_the_version_that_has_it() -> None:
    server = PacsServer(make_archive(), version="1.10.1")
    with opened(server) as pacs:
        pacs.select(PatientID="p1")
        with pytest.raises(UnsupportedError, match=r'Orthanc 1\.10\.1 cannot.*1\.12\.6 can.*how="move"'):
            pacs.retrieve("get")
        with pytest.raises(SelectionError, match=r'neither "move" .* nor "get"'):
            pacs.retrieve("both")
        assert server.retrieved == []


@pytest.mark.parametrize("habits", [Habits(), Habits(ignored=set(COUNTS)), Habits(refused={"Instance": "0xA900"})])
@pytest.mark.parametrize("lost", [{"1.2.1.1.2"}, {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"}])
def test_success_with_something_missing_is_an_error(habits: Habits, lost: set[str]) -> None:
    server = PacsServer(make_archive(), Habits(**{**vars(habits), "lost": lost}))
    with opened(server) as pacs:
        pacs.select(PatientID="p1", Modality="CT")
        with pytest.raises(JobError, match=rf"{len(lost)} of 3 images did not arrive.*refresh\(\)") as caught:
            pacs.retrieve()
        if not habits.refused:
            assert min(lost) in str(caught.value)
        server.habits.lost = set()
        assert pacs.retrieve().instance_count == 3


@pytest.mark.parametrize(("level", "incomplete"), [("study", "1.2.1"), ("series", "1.2.1.1")])
def test_more_of_one_object_does_not_hide_what_is_missing_of_another(level: Level, incomplete: str) -> None:
    server = PacsServer(make_archive(), Habits(refused={"Instance": "0xA900"}, lost={"1.2.1.1.2"}))
    server.datasets += [make_dataset(number, "1", "2", "P1") for number in (8, 9)]
    with opened(server) as pacs:
        pacs.select(PatientID=["p1", "P1"])
        with pytest.raises(JobError, match=rf"1 of 15 images did not arrive.*reported success: {incomplete}\."):
            pacs.retrieve(level=level)
        server.habits.lost = set()
        assert pacs.retrieve(level=level).instance_count == 17


def test_what_the_pacs_does_not_know_any_more_is_an_error(pacs: Pacs, behind: PacsServer) -> None:
    pacs.select(PatientID="p1")
    assert pacs.instance_count == 5
    behind.pacs = [dataset for dataset in behind.pacs if dataset.PatientID != "p1"]
    with pytest.raises(
        JobError,
        match=r"5 of 5 images did not arrive.*reported success.*or sent elsewhere, if the PACS has another",
    ):
        pacs.retrieve()


@pytest.mark.parametrize("criteria", [{"PatientID": "p1"}, {"PatientID": ["p1", "P1"]}, {"StudyID": [1, 2]}])
def test_what_was_deleted_before_its_images_were_listed_is_an_error(
    criteria: dict[str, Any], pacs: Pacs, behind: PacsServer
) -> None:
    studies = pacs.select(**criteria).study_count
    behind.pacs = [dataset for dataset in behind.pacs if dataset.PatientID != "p1"]
    told = rf"Nothing arrived of 1 of {studies} objects of level study .*reported success: 1\.2\.1\."
    with pytest.raises(JobError, match=told):
        pacs.retrieve()


def test_a_series_without_listed_images_is_retrieved_all_the_same(behind: PacsServer) -> None:
    class Hiding(PacsServer):
        def _matching(self, level: str, keys: Any) -> Any:
            is_hidden = level == "Instance" and keys["SeriesInstanceUID"] == "1.2.1.1"
            return [] if is_hidden else super()._matching(level, keys)

    server = Hiding(make_archive())
    with opened(server) as pacs:
        pacs.select(PatientID="p1")
        with pytest.warns(UserWarning, match="at least 3 objects of level instance.* shows 0"):
            assert pacs.retrieve().instance_count == 5
        server.datasets.clear()
        server.habits.lost = {f"1.2.1.1.{number}" for number in (1, 2, 3)}
        with pytest.raises(JobError, match="Nothing arrived of 1 of 2 objects of level series"):
            pacs.retrieve(level="series")


def test_without_lists_and_numbers_success_is_doubted() -> None:
    server = PacsServer(make_archive(), Habits(ignored=set(COUNTS), refused={"Instance": "0xA900"}))
    with opened(server) as pacs:
        pacs.select(PatientID="p1")
        with pytest.warns(UserWarning, match="nobody knows whether all of them are among the 5"):
            assert pacs.retrieve().study_count == 1
        server.datasets.clear()
        server.habits.lost = {str(dataset.SOPInstanceUID) for dataset in server.pacs}
        with pytest.raises(JobError, match="holds nothing of it"):
            pacs.retrieve()


@pytest.mark.parametrize("version", ["1.10.1", "1.12.7"])
def test_a_failed_step_is_an_error_with_the_reason(version: str) -> None:
    reason = 'C-MOVE SCU to AET "PACS" has failed with DIMSE status 0xA801'
    server = PacsServer(make_archive(), Habits(failing={"1.2.2": reason}), version)
    with opened(server) as pacs:
        pacs.select(PatientID="P1")
        with pytest.raises(JobError, match=r"study 1\.2\.2 .*C-MOVE failed: .*0xA801.*AE title.*how=\"get\""):
            pacs.retrieve()
        assert held(server) <= {str(d.SOPInstanceUID) for d in server.pacs if d.StudyInstanceUID == "1.2.3"}


def test_nothing_is_retrieved_where_nothing_was_selected(pacs: Pacs, behind: PacsServer) -> None:
    with pytest.raises(SelectionError, match=r"whole PACS.*everything=True"):
        pacs.retrieve()
    assert behind.questions == []
    with pytest.warns(UserWarning, match="Nothing is selected"):
        pacs.select(PatientID="nobody")
    with pytest.raises(EmptySelectionError):
        pacs.retrieve()
    assert behind.retrieved == []
    assert pacs.reset().retrieve(everything=True).study_count == 3


def test_each_child_session_can_be_retrieved(pacs: Pacs) -> None:
    pacs.select(Modality="CT")
    assert [series.retrieve().instance_count for series in pacs.series] == [3, 3, 3]


# As other sessions


def test_a_session_can_be_pickled_and_used_again_after_it_was_closed(pacs: Pacs, behind: PacsServer) -> None:
    pacs.select(PatientID="p1")
    again: Pacs = pickle.loads(pickle.dumps(pacs))
    assert again.series_count == 2
    assert again.retrieve().instance_count == 5
    pacs.close()
    assert pacs.series_count == 2


def test_nothing_of_the_session_that_it_came_from_is_kept(behind: PacsServer) -> None:
    behind.datasets += make_archive()
    with behind, Orthanc(behind.url) as orthanc:
        orthanc.select(tag("PatientID").where(lambda value: value == "P1"))
        pacs = orthanc.modality("PACS").select(PatientID="p1")
        again: Pacs = pickle.loads(pickle.dumps(pacs))
        assert again.retrieve().PatientIDs == ["p1"]
        assert orthanc.study_count == 2


def test_the_time_for_an_answer_of_the_pacs_is_the_servers(behind: PacsServer) -> None:
    with behind, Orthanc(behind.url) as orthanc:
        orthanc.modality("PACS", timeout=7).select(PatientID="p1").retrieve()
        sent = [
            json.loads(asked.body)
            for asked in behind.asked
            if asked.path.startswith("/modalities/PACS/") and asked.body
        ]
        assert len(sent) > 3
        assert {body["Timeout"] for body in sent} == {7}


def test_no_password_is_shown(behind: PacsServer) -> None:
    with behind, Orthanc(behind.url, username="jane", password="wonderland") as orthanc:
        pacs = orthanc.modality("PACS").select(PatientID="p1")
        assert "wonderland" not in repr(pacs) + repr(pacs._source) + pacs._repr_html_()


def test_an_interrupted_selection_changes_nothing(
    pacs: Pacs, behind: PacsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pacs.select(PatientID="P1")
    with monkeypatch.context() as patch:
        patch.setattr(pacs._source._queries, "below", interrupt)  # type: ignore[attr-defined]
        with pytest.raises(KeyboardInterrupt):
            pacs.select(Modality="CT")
    assert pacs.selection == {"PatientID": "P1"}
    assert pacs.series_count == 4
    assert behind.open_queries == 0


def test_an_interrupted_retrieval_cancels_its_job(
    pacs: Pacs, behind: PacsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pacs.select(PatientID="p1")
    monkeypatch.setattr(Job, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pacs.retrieve()
    assert behind.cancelled == ["j1"]


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_what_is_selected_on_a_pacs_is_not_sent(pacs: Pacs, behind: PacsServer) -> None:
    for to in ("PACS", pacs._server):
        with pytest.raises(UnsupportedError, match=r"What is selected: .*hands over no files.*retrieve\(\)"):
            pacs.send(to)
    with pytest.raises(UnsupportedError, match=r"What is selected: .*retrieve\(\)"):
        pacs.deidentify("copies", key="correct horse battery staple")
    assert behind.questions == []
