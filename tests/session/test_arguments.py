"""The arguments of select and exclude: what is refused before any request, and what identifiers name."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.multival import MultiValue

from simple_orthanc.errors import (
    AmbiguousSelectionError,
    OrthancError,
    SelectionError,
    UnknownTagError,
)
from simple_orthanc.selection.criteria import age, tag
from simple_orthanc.session import Session
from tests.memory_source import instance
from tests.session.sessions import session_of, source_of, three_series

pytestmark = pytest.mark.usefixtures("empty_selections")


@pytest.mark.parametrize(
    ("conditions", "tags", "error", "says"),
    [
        ((), {"PatientNme": "x"}, UnknownTagError, "Did you mean PatientName"),
        ((), {"StudyDate": "20200231"}, SelectionError, 'a date is written "20200131"'),
        ((), {"StudyDate": ("20201231", "20200101")}, SelectionError, "its low end lies above its high end"),
        ((), {"PatientName": ("A", "B")}, SelectionError, "give a list: ['A', 'B']"),
        ((), {"RequestAttributesSequence": "x"}, SelectionError, "name a tag in it"),
        ((), {"Modality": tag("Modality") == "CT"}, SelectionError, "Give a condition by itself"),
        ((5,), {}, SelectionError, "5 is neither a condition nor an identifier"),
        ((tag("Modality"),), {}, SelectionError, "is neither a condition nor an identifier"),
        (
            (tag("KVP").is_missing,),
            {},
            SelectionError,
            'tag("KVP").is_missing (to be called, with brackets) is neither',
        ),
        ((age,), {}, SelectionError, "age (to be called, with brackets) is neither a condition"),
        (({"Modality": "CT"},), {}, SelectionError, "write select(Modality='CT')"),
        # The good one beside it is not asked for either.
        (("1.2.1",), {"StudyDate": "never"}, SelectionError, "a date is written"),
        ((), {"Modality": "CT", "SliceThickness": "thin"}, SelectionError, "a number is written"),
    ],
)
@pytest.mark.parametrize("verb", ["select", "exclude", "selecting"])
def test_an_impossible_value_is_refused_before_any_request(
    conditions: tuple[Any, ...], tags: dict[str, Any], error: type[OrthancError], says: str, verb: str
) -> None:
    session = three_series().select(Modality="CT")
    before, asked = session.selection, source_of(session).requests
    with contextlib.ExitStack() as stack, pytest.raises(error, match=re.escape(says)):
        stack.enter_context(getattr(session, verb)(*conditions, **tags))
    assert source_of(session).requests == asked
    assert session.selection == before


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda session: session.reset("PatientNme"), "Did you mean PatientName"),
        (lambda session: session.sort_by("PatientNme"), "Did you mean PatientName"),
        (lambda session: session.sort_by("KVP", "up"), 'order=\'up\' is neither "ascending" nor "descending"'),
        (lambda session: session.get_dicom_tag("PatientNme"), "Did you mean PatientName"),
        (
            lambda session: session.get_dicom_tag("KVP", level="slice"),
            "level='slice' is not a level: choose one of patient, study",
        ),
        (lambda session: session.table("PatientNme"), "Did you mean PatientName"),
        (lambda session: session.table("KVP", level="slice"), "level='slice' is not a level"),
        (lambda session: session.table("file_count"), "choose one of study_count, series_count, instance_count"),
        (lambda session: session.value_counts("PatientNme"), "Did you mean PatientName"),
        (lambda session: session.PatientNme, "Did you mean PatientName"),
        (lambda session: session.undo(), "there are 0 steps to undo"),
        (lambda session: setattr(session, "selection", {"PatientNme": 1}), "Did you mean PatientName"),
        (lambda session: setattr(session, "selection", "CT"), 'selection = {"Modality": "CT"}, or None'),
        (lambda session: setattr(session, "selection", 5), "selection = 5: it is a dictionary of tags and values"),
        (lambda session: setattr(session, "selection", ["a"]), "selection = ['a']: it is a dictionary"),
        (lambda session: setattr(session, "selection", {"conditions": 5}), "its value is a list of conditions"),
        (lambda session: setattr(session, "selection", {"conditions": None}), "its value is a list of conditions"),
        (lambda session: setattr(session, "selection", {"conditions": "P1"}), "its value is a list of conditions"),
        (lambda session: Session(session._source, selection="CT"), "selection = 'CT': it is a dictionary"),  # type: ignore[arg-type]
        (lambda session: session.undo("1"), "undo('1'): the number of steps to undo is a whole number"),  # type: ignore[arg-type]
        (lambda session: session.undo(None), "undo(None): the number of steps"),  # type: ignore[arg-type]
        (lambda session: session.undo(1.0), "as in undo(2)"),  # type: ignore[arg-type]
    ],
)
def test_other_verbs_refuse_before_any_request_too(use: Callable[[Session], object], says: str) -> None:
    session = three_series()
    with pytest.raises(SelectionError, match=re.escape(says)):
        use(session)
    assert source_of(session).requests == 0


def test_values_of_a_header_can_be_given() -> None:
    session = three_series().select(PatientName=three_series().get_header(0).PatientName)
    assert session.instance_count == 3
    values = MultiValue(str, ["CT", "PT"])
    session.reset().select(Modality=values)
    values.append("US")
    assert session.selection == {"Modality": ["CT", "PT"]}
    with pytest.raises(SelectionError, match=r'frame\["PatientID"\]'):
        session.select(PatientID=session.table("PatientID"))
    assert session.select(PatientID=session.table("PatientID")["PatientID"]).instance_count == 4


def test_an_identifier_is_selected_by_itself() -> None:
    session = three_series()
    assert session.copy().select("1.2.1.2").selection == {"SeriesInstanceUID": "1.2.1.2"}
    assert session.copy().select(" 1.2.7 ").PatientNames == ["Roe^Rick"]
    assert session.copy().select("P1").series_count == 2
    assert session.copy().select("1.2.1.2.2", Modality="CT").instance_count == 1
    assert session.copy().exclude("P1").PatientIDs == ["P2"]
    by_key = session.copy().select("P1|1.2.1|1.2.1.2")
    assert by_key.selection == {"PatientID": "P1", "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.2"}
    assert by_key.instance_count == 2


def test_an_identifier_of_nothing_or_of_two_things() -> None:
    session = session_of(instance(1, patient="X"), instance(1, study="2", patient="Y", AccessionNumber="X"))
    with pytest.raises(SelectionError, match=r"'Z' is not a UID, .* of memory.* select\(PatientName=\"Z\"\)"):
        session.select("Z")
    with pytest.raises(AmbiguousSelectionError, match=r'has 2 meanings here: .*select\(PatientID="X"\)') as caught:
        session.select("X")
    assert set(caught.value.candidates) == {"PatientID of a patient", "AccessionNumber of a study"}
    assert session.selection == {}


def test_one_series_uid_under_two_patients_is_two_series() -> None:
    session = session_of(instance(1, patient="X"), instance(2, patient="Y"))
    assert session.series_count == 2
    with pytest.warns(UserWarning, match=r"1\.2\.1\.1 occurs 2 times in the archive.* 2 different series objects"):
        session.select("1.2.1.1")
    assert (session.patient_count, session.study_count, session.series_count, session.instance_count) == (2, 2, 2, 2)


def test_pixels_are_neither_searched_nor_listed() -> None:
    session = three_series()
    asked = source_of(session).requests
    for ask in (
        lambda: session.select(PixelData=None),
        lambda: session.select(tag("PixelData").is_missing()),
        lambda: session.get_dicom_tag("PixelData"),
        lambda: session.table("PixelData"),
        lambda: session.value_counts("PixelData"),
    ):
        with pytest.raises(SelectionError, match="holds pixels"):
            ask()
    assert source_of(session).requests == asked


def test_an_open_range_of_a_tag_in_any_item_is_a_range() -> None:
    path = "RadiopharmaceuticalInformationSequence.RadionuclideTotalDose"
    assert repr(tag(path) == (1e8, None)) == f'tag("{path}") between 100000000.0 and None'
