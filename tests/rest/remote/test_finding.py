"""What a modality holds as a table, whatever habits it has."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.errors import SelectionError, UnknownTagError, UnsupportedError
from simple_orthanc.rest.remote.finding import (
    UNIQUE_KEYS,
    find_rows,
    listed_uids,
    read_question,
    to_frame,
    warn_of_limit,
)
from simple_orthanc.rest.remote.queries import Answers
from simple_orthanc.selection.criteria import exact, like
from tests.rest.remote.modality_stand_in import ModalityStandIn, study

HELD = [
    *study("P2", "Roe^Rick", "20210101", "1.2", CT=3, PT=2),
    *study("P1", "Doe^Jane", "20200102", "1.1", MR=2),
    *study("P1", "DOE^JANE", "20200101", "1.3", MR=1, CT=1),
]
HABITS: dict[str, Callable[[], ModalityStandIn]] = {
    "strict": lambda: ModalityStandIn(HELD),
    "repeating": lambda: ModalityStandIn(HELD, repeats=True),
    "ignoring": lambda: ModalityStandIn(HELD, ignored=["BodyPartExamined", "NumberOfStudyRelatedInstances"]),
}
each_habit = pytest.mark.parametrize("make", list(HABITS.values()), ids=list(HABITS))


class PatientsByName(ModalityStandIn):
    """Tells patients without an identifier apart by their names."""

    def __call__(self, level: Level, keys: Mapping[str, str]) -> Answers:
        if level != "patient":
            return super().__call__(level, keys)
        names = {instance["PatientName"] for instance in self.instances}
        return Answers([{"0010,0020": "", "0010,0010": name} for name in sorted(names)], frozenset())


def find(modality: ModalityStandIn, level: str, *columns: Any, as_written: bool = False, **tags: Any) -> pd.DataFrame:
    question = read_question(level, columns, tags, as_written)
    return to_frame(find_rows(modality, question, "PACS"), question, "PACS")


@each_habit
@pytest.mark.parametrize(
    ("level", "tags", "expected"),
    [
        ("study", {}, ["1.3", "1.1", "1.2"]),
        ("study", {"PatientName": "doe*"}, ["1.3", "1.1"]),
        ("study", {"PatientName": exact("Doe^Jane")}, ["1.1"]),
        ("study", {"PatientName": re.compile("^R")}, ["1.2"]),
        ("study", {"PatientID": "P1"}, ["1.3", "1.1"]),
        ("study", {"PatientID": "p1"}, []),
        ("study", {"PatientID": ["P1", "P2", "P3"]}, ["1.3", "1.1", "1.2"]),
        ("study", {"StudyDate": ("20200102", None)}, ["1.1", "1.2"]),
        ("study", {"StudyDate": ("20200102", "20201231"), "PatientID": "P1"}, ["1.1"]),
        ("study", {"StudyInstanceUID": ["1.2", "1.3"]}, ["1.3", "1.2"]),
        ("study", {"StudyDate": lambda day: day.year == 2021}, ["1.2"]),
    ],
)
def test_studies_are_found_as_by_select(
    make: Callable[[], ModalityStandIn], level: str, tags: dict[str, Any], expected: list[str]
) -> None:
    assert find(make(), level, **tags)["StudyInstanceUID"].tolist() == expected


@each_habit
@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PatientID": "P2"}, ["1.2.1", "1.2.2"]),
        ({"PatientName": "doe*", "Modality": "ct"}, ["1.3.2"]),
        ({"SeriesDescription": ["MR*", "pt series"]}, ["1.3.1", "1.1.1", "1.2.2"]),
        ({"SeriesNumber": 2}, ["1.3.2", "1.2.2"]),
        ({"SeriesInstanceUID": "1.2.2"}, ["1.2.2"]),
    ],
)
def test_series_are_found_study_by_study(
    make: Callable[[], ModalityStandIn], tags: dict[str, Any], expected: list[str]
) -> None:
    modality = make()
    frame = find(modality, "series", **tags)
    assert frame["SeriesInstanceUID"].tolist() == expected
    assert frame["PatientID"].notna().all()
    below = [keys for level, keys in modality.asked if level == "series"]
    assert all(keys["StudyInstanceUID"] and "PatientID" not in keys for keys in below)


@each_habit
def test_instances_are_found_series_by_series_in_order(make: Callable[[], ModalityStandIn]) -> None:
    modality = make()
    frame = find(modality, "instance", PatientID="P2", Modality="CT")
    assert frame["SOPInstanceUID"].tolist() == ["1.2.1.1", "1.2.1.2", "1.2.1.3"]
    assert frame["InstanceNumber"].tolist() == [1, 2, 3]
    assert frame["PatientID"].tolist() == ["P2"] * 3
    (keys,) = [keys for level, keys in modality.asked if level == "instance"]
    assert (keys["StudyInstanceUID"], keys["SeriesInstanceUID"]) == ("1.2", "1.2.1")


@each_habit
def test_patients_are_found_once_each(make: Callable[[], ModalityStandIn]) -> None:
    assert find(make(), "patient")["PatientID"].tolist() == ["P1", "P2"]
    assert find(make(), "patient", PatientID="P2")["PatientName"].tolist() == ["Roe^Rick"]


class Limited(ModalityStandIn):
    """Says how much there is, and answers with no more than one object below the studies."""

    def __call__(self, level: Level, keys: Mapping[str, str]) -> Answers:
        answers, sets = super().__call__(level, keys)
        for answer in answers:
            study_uid, series_uid = answer["0020,000d"], answer.get("0020,000e")
            inside = [held for held in self.instances if held["StudyInstanceUID"] == study_uid]
            answer["0020,1206"] = str(len({held["SeriesInstanceUID"] for held in inside}))
            answer["0020,1209"] = str(sum(held["SeriesInstanceUID"] == series_uid for held in inside))
        return Answers(answers if level == "study" else answers[:1], sets)


@pytest.mark.parametrize(
    ("level", "tags", "told"),
    [
        ("series", {"StudyInstanceUID": "1.2"}, "2 objects of level series .* lists 1"),
        ("series", {"Modality": "PT"}, "4 objects of level series .* lists 2"),
        ("instance", {"SeriesInstanceUID": "1.2.1"}, "3 objects of level instance .* lists 1"),
    ],
)
def test_a_list_that_a_limit_cuts_is_no_silent_miss(level: str, tags: dict[str, Any], told: str) -> None:
    with pytest.warns(UserWarning, match=rf"The PACS says that there are at least {told} of them"):
        find(Limited(HELD), level, **tags)


@pytest.mark.parametrize(
    ("level", "tags"), [("series", {"SeriesInstanceUID": "1.2.1"}), ("instance", {"SOPInstanceUID": "1.1.1.1"})]
)
def test_what_is_asked_for_by_itself_is_no_short_list(level: str, tags: dict[str, str]) -> None:
    held = [instance for instance in HELD if instance["StudyInstanceUID"] == "1.2" or level == "instance"]
    modality = Limited(held[:4] if level == "series" else study("P1", "Doe^Jane", "20200102", "1.1", MR=2))
    assert len(find(modality, level, **tags)) == 1


class Generous(ModalityStandIn):
    """Answers with everything, whatever is asked."""

    def __call__(self, level: Level, keys: Mapping[str, str]) -> Answers:
        above = {UNIQUE_KEYS[name] for name in LEVELS[1 : LEVELS.index(level)]}
        return super().__call__(level, {name: key if name in above else "" for name, key in keys.items()})


NAMES = ["Doe^Jane", "DOE^JANE", "doe^jane^^", "D*e^Jane", "Müller^Ute", "Roe", ""]
IDENTIFIERS = ["P1", "p1", "P*", "P10", "P 1", ""]
DATES = ["20200101", "20200131", "20210101", ""]
STRINGS = st.sampled_from([*NAMES, *IDENTIFIERS, "doe*", "P?", "*", "?*", "müller*"]).filter(bool)
ALTERNATIVES = STRINGS | STRINGS.map(exact) | STRINGS.map(like) | st.none()
DAYS = st.sampled_from(DATES[:3])
ASKED: dict[str, st.SearchStrategy[Any]] = {
    "PatientName": ALTERNATIVES | st.lists(ALTERNATIVES, min_size=1, max_size=3),
    "PatientID": ALTERNATIVES | st.lists(ALTERNATIVES, min_size=1, max_size=3),
    "StudyDate": DAYS
    | st.none()
    | st.tuples(DAYS, st.none())
    | st.lists(DAYS, min_size=1)
    | st.just("20200101-20200131"),
    "StudyInstanceUID": st.sampled_from(["1.0", "1.1", ["1.0", "1.2"], "1.*"]),
}
HOLDINGS = st.lists(
    st.tuples(st.sampled_from(IDENTIFIERS), st.sampled_from(NAMES), st.sampled_from(DATES)), min_size=1, max_size=5
)


@given(HOLDINGS, st.fixed_dictionaries({}, optional=ASKED))
def test_no_key_that_is_sent_leaves_out_a_match(studies: list[tuple[str, str, str]], tags: dict[str, Any]) -> None:
    held = [image for number, chosen in enumerate(studies) for image in study(*chosen, f"1.{number}", CT=1)]
    expected = find(Generous(held), "series", **tags)
    assert find(ModalityStandIn(held), "series", **tags).equals(expected)
    assert find(ModalityStandIn(held, repeats=True), "series", **tags).equals(expected)


def test_patients_without_an_identifier_are_not_one_patient() -> None:
    held = [*study("", "A^A", "20200101", "1.1", CT=1), *study("", "B^B", "20200101", "1.2", CT=1)]
    for modality in (ModalityStandIn(held), PatientsByName(held)):
        assert len(find(modality, "study")) == 2
    assert find(PatientsByName(held), "patient")["PatientName"].tolist() == ["A^A", "B^B"]


def test_columns_are_typed_and_named_as_asked() -> None:
    frame = find(ModalityStandIn(HELD), "series", "0010,0010", "StudyDate", "SeriesNumber", PatientID="P2")
    assert list(frame.columns) == ["0010,0010", "StudyDate", "SeriesNumber"]
    assert frame["StudyDate"].tolist() == [pd.Timestamp("2021-01-01")] * 2
    assert frame["SeriesNumber"].dtype == "Int64"
    assert frame.index.equals(pd.RangeIndex(2))
    empty = find(ModalityStandIn([]), "study")
    assert len(empty) == 0
    assert empty["StudyDate"].dtype == np.dtype("datetime64[us]")


def test_one_uid_under_two_patients_is_two_studies() -> None:
    held = [*study("P1", "A", "20200101", "1.1", CT=1), *study("P2", "B", "20200101", "1.1", MR=1)]
    assert find(ModalityStandIn(held), "study")["PatientID"].tolist() == ["P1", "P2"]


def test_a_string_that_the_modality_holds_is_meant_literally() -> None:
    held = study("P1", "A", "20200101", "1.1", CT=1, MR=1)
    held = [{**held[0], "SeriesDescription": "T2*"}, {**held[1], "SeriesDescription": "T2 TSE"}]
    assert find(ModalityStandIn(held), "series", SeriesDescription="T2*")["SeriesInstanceUID"].tolist() == ["1.1.1"]
    assert len(find(ModalityStandIn(held), "series", SeriesDescription="T2?*")) == 2


@pytest.mark.parametrize(
    ("level", "tags"),
    [
        ("study", {"StudyDescription": "x*"}),
        ("study", {"ModalitiesInStudy": "CT"}),
        ("series", {"BodyPartExamined": None}),
    ],
)
def test_a_tag_that_the_modality_leaves_out_decides_nothing_in_silence(level: str, tags: dict[str, Any]) -> None:
    modality = ModalityStandIn(HELD, ignored=list(tags))
    with pytest.raises(UnsupportedError, match=f"does not return {next(iter(tags))} at level {level}"):
        find(modality, level, **tags)
    assert len(find(ModalityStandIn([], ignored=list(tags)), level, **tags)) == 0


def test_a_column_that_the_modality_leaves_out_is_missing_with_a_warning_if_it_was_asked_for() -> None:
    modality = ModalityStandIn(HELD, ignored=["StudyDescription"])
    assert find(modality, "study")["StudyDescription"].isna().all()
    with pytest.warns(UserWarning, match="does not return StudyDescription at level study: these columns are NA"):
        frame = find(modality, "study", "StudyInstanceUID", "StudyDescription")
    assert frame["StudyDescription"].isna().all()


@pytest.mark.parametrize(
    ("count", "warned"), [(50, 0), (99, 0), (100, 1), (101, 1), (102, 0), (128, 1), (129, 1), (150, 1)]
)
def test_as_many_studies_as_a_limit_may_allow_are_warned_of(count: int, warned: int) -> None:
    held = [image for number in range(count) for image in study("P1", "A", "20200101", f"1.{number}", CT=1)]
    modality = ModalityStandIn(held)
    level: Level
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for level in ("study", "series"):
            everything = {UNIQUE_KEYS[level]: ""}
            warn_of_limit(modality(level, everything), level, everything, "PACS")
        # Of these as many were asked for.
        listed = {"StudyInstanceUID": "\\".join(f"1.{number}" for number in range(count))}
        warn_of_limit(modality("study", listed), "study", listed, "PACS")
    says = f"The PACS answered with exactly {count} objects of level study"
    assert [str(warning.message).startswith(says) for warning in caught] == [True] * warned


def test_a_modality_that_names_no_uid_is_an_error() -> None:
    with pytest.raises(UnsupportedError, match="without StudyInstanceUID"):
        find(ModalityStandIn(HELD, ignored=["StudyInstanceUID"]), "study")


def test_strings_as_written_are_left_to_the_modality() -> None:
    modality = ModalityStandIn(HELD)
    assert find(modality, "study", PatientName="Doe*", as_written=True)["StudyInstanceUID"].tolist() == ["1.1"]
    assert modality.asked[-1][1]["PatientName"] == "Doe*"


@pytest.mark.parametrize("character_set", ["ISO_IR 101", "ISO_IR 6", "ISO 2022 IR 6\\ISO 2022 IR 87"])
def test_characters_that_the_answers_may_lack_are_warned_of(character_set: str) -> None:
    held = study("P1", "Ørsted^Ïda", "20200101", "1.1", CT=1)
    with pytest.warns(UserWarning, match=r"answers in ISO.*, which lacks characters of PatientName .*ørsted"):
        frame = find(ModalityStandIn(held, character_set=character_set), "study", PatientName="ørsted*")
    assert len(frame) == 1


@pytest.mark.parametrize("character_set", ["ISO_IR 192", "ISO_IR 100", "ISO 2022 IR 6\\ISO 2022 IR 100"])
def test_characters_that_the_answers_have_are_not_warned_of(character_set: str) -> None:
    held = study("P1", "Ørsted^Ïda", "20200101", "1.1", CT=1)
    assert len(find(ModalityStandIn(held, character_set=character_set), "study", PatientName="ørsted*")) == 1


@pytest.mark.parametrize(
    ("level", "columns", "tags", "kind", "says"),
    [
        ("studies", (), {}, SelectionError, "is not a level"),
        ("study", (), {"Modality": "CT"}, SelectionError, "Modality belongs to the series.*ask at level 'series'"),
        ("study", (), {"KVP": 120}, SelectionError, "KVP belongs to the instance"),
        ("study", (), {"PatientNmae": "x"}, UnknownTagError, "PatientName"),
        ("study", (), {"StudyDate": "yesterday"}, SelectionError, "a date is written"),
        ("study", ("PixelData",), {}, SelectionError, "holds pixels"),
        ("study", ("ProcedureCodeSequence",), {}, SelectionError, "cannot be asked for by C-FIND"),
        ("study", ("0009,1001",), {}, SelectionError, "cannot be asked for by C-FIND"),
        ("study", (), {"ProcedureCodeSequence[0].CodeValue": "x"}, SelectionError, "cannot be asked for by C-FIND"),
    ],
)
def test_what_cannot_be_asked_raises_before_any_request(
    level: str, columns: tuple[str, ...], tags: dict[str, Any], kind: type[Exception], says: str
) -> None:
    modality = ModalityStandIn(HELD)
    with pytest.raises(kind, match=says):
        find(modality, level, *columns, **tags)
    assert modality.asked == []


def test_uids_are_those_of_one_series_each_once() -> None:
    answers = [
        {"0020,000e": "1.2.1 ", "0008,0018": "1.2.1.1"},
        {"0020,000e": "1.2.1", "0008,0018": "1.2.1.1 "},
        {"0020,000e": "1.2.2", "0008,0018": "1.2.2.1"},
        {"0008,0018": "1.2.1.2"},
        {"0020,000e": None, "0008,0018": None},
    ]
    assert listed_uids(answers, "1.2.1") == {"1.2.1.1", "1.2.1.2"}
