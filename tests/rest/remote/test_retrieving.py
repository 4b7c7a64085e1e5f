"""What is retrieved, and whether it has arrived, whatever the job reports."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from simple_orthanc.errors import EmptySelectionError, JobError, SelectionError, UnsupportedError
from simple_orthanc.rest.remote.finding import find_rows, read_question, to_frame
from simple_orthanc.rest.remote.retrieving import Retrieval, check_arrived, read_retrieval
from tests.rest.remote.modality_stand_in import ModalityStandIn, study

HELD = [*study("P1", "A", "20200101", "1.1", CT=2, MR=1), *study("P2", "B", "20200101", "1.2", CT=1)]
SERIES = Retrieval("series", (("1.1", "1.1.1"),))
JOB: Any = SimpleNamespace(path="/modalities/PACS/move")


class Pacs:
    """Finds as `Modality.find` does in what a modality holds."""

    def __init__(self, modality: ModalityStandIn) -> None:
        self._modality = modality

    def find(self, level: str, *columns: Any, **tags: Any) -> pd.DataFrame:
        question = read_question(level, columns, tags, False)
        return to_frame(find_rows(self._modality, question, "PACS"), question, "PACS")


class Orthanc:
    """Holds instances, and lists them by study and by series."""

    def __init__(self, instances: list[Mapping[str, str]]) -> None:
        self._instances = instances

    def post(self, path: str, uid: str, *, idempotent: bool) -> list[dict[str, str]]:
        assert (path, idempotent) == ("/tools/lookup", True)
        names = {"Study": "StudyInstanceUID", "Series": "SeriesInstanceUID", "Instance": "SOPInstanceUID"}
        return [
            {"ID": f"{kind}-{uid}", "Type": kind}
            for kind, name in names.items()
            if any(instance[name] == uid for instance in self._instances)
        ]

    def get(self, path: str) -> list[dict[str, Any]]:
        _, route, identifier, below = path.split("/")
        name = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID"}[route]
        uid = identifier.partition("-")[2]
        assert below == "instances"
        return [{"MainDicomTags": instance} for instance in self._instances if instance[name] == uid]


def read(what: Any = None, level: str | None = None, **tags: Any) -> Retrieval:
    return read_retrieval(what, level, tags, Pacs(ModalityStandIn(HELD)).find, "PACS")


@pytest.mark.parametrize(
    ("what", "level", "tags", "expected"),
    [
        (None, None, {"StudyInstanceUID": "1.1"}, Retrieval("study", (("1.1",),))),
        (None, None, {"PatientID": "P1"}, Retrieval("study", (("1.1",),))),
        (None, "series", {"PatientID": "P1", "Modality": "CT"}, SERIES),
        (None, None, {"SeriesInstanceUID": "1.1.1"}, SERIES),
        (None, "patient", {"PatientID": "P1"}, Retrieval("study", (("1.1",),))),
        ({"StudyInstanceUID": "1.9"}, None, {}, Retrieval("study", (("1.9",),))),
        ([{"StudyInstanceUID": "1.1"}, {"StudyInstanceUID": "1.1"}], None, {}, Retrieval("study", (("1.1",),))),
        ({"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1"}, None, {}, SERIES),
        ({"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1"}, "study", {}, Retrieval("study", (("1.1",),))),
        ({"PatientID": "P2"}, None, {}, Retrieval("study", (("1.2",),))),
    ],
)
def test_rows_and_tags_are_read_as_distinct_objects(
    what: Any, level: str | None, tags: dict[str, Any], expected: Retrieval
) -> None:
    assert read(what, level, **tags) == expected


@pytest.mark.parametrize("level", ["patient", "study", "series", "instance"])
def test_tables_of_every_level_can_be_retrieved(level: str) -> None:
    frame = Pacs(ModalityStandIn(HELD, repeats=True)).find(level)
    retrieval = read(frame)
    assert retrieval.level == ("study" if level == "patient" else level)
    assert len(retrieval.chains) == {"patient": 2, "study": 2, "series": 3, "instance": 4}[level]
    assert all(len(resource) == len(retrieval.names) for resource in retrieval.resources())


@pytest.mark.parametrize(
    ("what", "level", "tags", "kind", "says"),
    [
        (None, None, {}, SelectionError, "Give either rows"),
        ({"StudyInstanceUID": "1.1"}, None, {"PatientID": "P1"}, SelectionError, "Give either rows"),
        (None, None, {"PatientID": "nobody"}, EmptySelectionError, "PACS holds no study with PatientID='nobody'"),
        ([], None, {}, EmptySelectionError, "No row was given"),
        (pd.DataFrame({"StudyInstanceUID": []}), None, {}, EmptySelectionError, "No row was given"),
        ({"SeriesInstanceUID": "1.1.1"}, None, {}, SelectionError, "lacks StudyInstanceUID"),
        ({"StudyInstanceUID": pd.NA}, None, {}, SelectionError, "lacks StudyInstanceUID"),
        ({"StudyInstanceUID": "1.1"}, "series", {}, SelectionError, "lacks SeriesInstanceUID"),
        ({"StudyDate": "20200101"}, None, {}, SelectionError, "lacks StudyInstanceUID and PatientID"),
        ({"StudyInstanceUID": "1.1"}, "studies", {}, SelectionError, "is not a level"),
        (5, None, {}, SelectionError, "is not what can be retrieved"),
        (["1.1"], None, {}, SelectionError, "is not what can be retrieved"),
        ("1.1", None, {}, SelectionError, "is not what can be retrieved"),
    ],
)
def test_what_cannot_be_retrieved_raises(
    what: Any, level: str | None, tags: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        read(what, level, **tags)


@pytest.mark.parametrize(
    "retrieval",
    [
        SERIES,
        Retrieval("study", (("1.1",), ("1.2",))),
        Retrieval("instance", (("1.1", "1.1.1", "1.1.1.2"), ("1.2", "1.2.1", "1.2.1.1"))),
    ],
)
@pytest.mark.parametrize("repeats", [False, True])
def test_what_has_arrived_passes_and_what_has_not_is_an_error(retrieval: Retrieval, repeats: bool) -> None:
    pacs: Any = Pacs(ModalityStandIn(HELD, repeats=repeats))
    complete: Any = Orthanc(HELD)
    check_arrived(complete, retrieval, pacs.find, JOB, "PACS")
    for partial in (Orthanc([]), Orthanc([instance for instance in HELD if instance["SOPInstanceUID"] != "1.1.1.2"])):
        with pytest.raises(JobError, match=r"ended as Success, and \d of \d instances did not arrive: .*1\.1\.1\.2"):
            check_arrived(partial, retrieval, pacs.find, JOB, "PACS")  # type: ignore[arg-type]


def test_a_uid_that_the_modality_does_not_list_has_not_arrived() -> None:
    unknown = Retrieval("study", (("1.9",),))
    nothing: Any = Orthanc([])
    with pytest.raises(JobError, match=r"1 of 1 objects, which PACS does not list, did not arrive: 1\.9"):
        check_arrived(nothing, unknown, Pacs(ModalityStandIn(HELD)).find, JOB, "PACS")


def test_a_modality_that_lists_no_instances_is_warned_of() -> None:
    def refuse(*arguments: Any, **tags: Any) -> pd.DataFrame:
        raise UnsupportedError("It does not answer at this level.")

    partial: Any = Orthanc(HELD[:1])
    with pytest.warns(UserWarning, match="not known whether all have arrived"):
        check_arrived(partial, SERIES, refuse, JOB, "PACS")
    with (
        pytest.warns(UserWarning, match="not known whether all"),
        pytest.raises(JobError, match="1 of 1 objects of level 'study' did not arrive"),
    ):
        check_arrived(partial, Retrieval("study", (("1.2",),)), refuse, JOB, "PACS")
