"""What users write to make conditions: comparisons of tags, labels and metadata, and what is refused."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value, from_text
from simple_orthanc.errors import SelectionError, UnknownTagError
from simple_orthanc.selection.conditions import Comparison, Condition, Not
from simple_orthanc.selection.criteria import (
    TagField,
    age,
    condition_for,
    exact,
    has_series,
    label,
    like,
    metadata,
    tag,
)


def holds(condition: Condition, string: str | None) -> bool:
    """Check whether a condition on one tag holds for an element written so; None: it is missing."""
    (comparison,) = condition.comparisons()
    value: Value = None if string is None else from_text(string, comparison.field.vr)
    return condition.evaluate([[comparison.holds(value)]])[0]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PixelData", "x", "holds pixels, which are not searched"),
        ("RequestAttributesSequence", "x", 'tag("RequestAttributesSequence[0].CodeMeaning") == ...'),
        ("RequestAttributesSequence", ["x"], "is a sequence and has no value of its own"),
        ("RequestAttributesSequence", re.compile("x"), "is a sequence and has no value of its own"),
        ("RequestAttributesSequence", lambda value: True, "is a sequence and has no value of its own"),
        ("PatientID", pd.DataFrame({"PatientID": ["P1"]}), 'name the column that is meant, as in frame["PatientID"]'),
        ("Modality", tag("Modality"), "Give a condition by itself"),
        ("Modality", tag("Modality") == "CT", "not select(Modality=tag(\"Modality\") == 'CT')"),
    ],
)
def test_what_a_condition_cannot_be_made_of(name: str, value: Any, says: str) -> None:
    with pytest.raises(SelectionError, match=re.escape(says)):
        condition_for(parse_tag(name), value)


def test_a_sequence_can_be_missing() -> None:
    assert holds(condition_for(parse_tag("RequestAttributesSequence"), None), None)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: tag("PatientName") > "A", "PatientName holds strings (PN) and has no order"),
        (lambda: tag("SeriesDescription") <= "A", "use == with wildcards, isin([...]) or matches(...)"),
        (lambda: tag("PatientName").between("A", "B"), "has no order"),
        (lambda: tag("SeriesDescription") < 3, "has no order"),
        (lambda: tag("RequestAttributesSequence") < 3, "has no order"),
        (lambda: tag("SliceThickness") < "thin", "a number is written"),
        (lambda: tag("SliceThickness") < None, "a number is written"),
        (lambda: tag("StudyDate") >= "20200231", "a date is written"),
        (lambda: tag("StudyDate") >= 2020, "a date is written"),
        (lambda: tag("PatientAge") >= -18, "an age is a number of years"),
        (lambda: tag("SliceThickness").between(3, 1), "the range is empty"),
        (lambda: tag("SliceThickness").between(None, None), "a range needs at least one end"),
        (lambda: tag("Modality").isin("CT"), "isin takes a list: tag(\"Modality\").isin(['CT'])"),
        (lambda: tag("Modality").isin(pd.DataFrame({"Modality": ["CT"]})), 'as in frame["Modality"]'),
        (lambda: tag("Modality").isin(5), 'isin takes a list: tag("Modality").isin([5])'),  # type: ignore[arg-type]
        (lambda: tag("Modality").isin(None), "isin takes a list"),  # type: ignore[arg-type]
        (lambda: tag("Modality").isin(b"CT"), "isin takes a list"),
        (lambda: tag("Modality").isin(exact("CT")), "isin([exact('CT')])"),  # type: ignore[arg-type]
        (lambda: tag("Modality").matches("("), "'(' is not a regular expression"),
        (lambda: tag("Modality").matches(5), "5 is not a regular expression"),  # type: ignore[arg-type]
        (lambda: tag("Modality").where("CT"), "where takes a function"),  # type: ignore[arg-type]
        (lambda: tag("RequestAttributesSequence") == "x", "is a sequence and has no value of its own"),
        (lambda: tag("KVP") == (tag("Modality") == "CT"), "Give a condition by itself"),
        (lambda: exact(5), "exact(...) takes a string, and 5 is of type int"),  # type: ignore[arg-type]
        (lambda: like(None), "like(...) takes a string"),  # type: ignore[arg-type]
        (lambda: label(5), "label(...) takes a string"),  # type: ignore[arg-type]
        (lambda: metadata(5), "metadata(...) takes a string"),  # type: ignore[arg-type]
    ],
)
def test_comparisons_that_are_not_possible_are_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(SelectionError, match=re.escape(says)):
        make()


@pytest.mark.parametrize("use", [bool, lambda field: field and 1, lambda field: not field, lambda field: field or 1])
@pytest.mark.parametrize("field", [tag("KVP"), metadata("RemoteAET")])
def test_a_tag_is_not_a_condition(use: Callable[[TagField], object], field: TagField) -> None:
    with pytest.raises(SelectionError, match=r"is a tag, not a condition: compare it, as in .* == "):
        use(field)


def test_a_chained_comparison_is_refused() -> None:
    with pytest.raises(SelectionError, match=r"for a range use tag\(\"KVP\"\)\.between\(80, 120\)"):
        _ = 80 < tag("KVP") < 120


@pytest.mark.parametrize(
    ("make", "reads"),
    [
        (lambda: has_series(Modality="SEG"), """has_series(tag("Modality") == 'SEG')"""),
        (lambda: has_series(tag("Rows") > 1, of="patient"), """has_series(tag("Rows") > 1, of="patient")"""),
        (
            lambda: has_series(~label("x"), Modality="CT", Rows=2),
            """has_series(((~(label('x') is set)) & (tag("Modality") == 'CT')) & (tag("Rows") == 2))""",
        ),
        (lambda: ~has_series(age() > 60), "~(has_series(age() > 60))"),
    ],
)
def test_how_questions_about_series_read(make: Callable[[], Condition], reads: str) -> None:
    condition = make()
    assert repr(condition) == reads
    assert pickle.loads(pickle.dumps(condition)) == condition
    assert str(condition).startswith(("has_series(", "not (has_series("))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: has_series(), "has_series() asks nothing"),
        (lambda: has_series("CT"), "has_series('CT'): write a condition, or a tag and its value"),  # type: ignore[arg-type]
        (lambda: has_series(tag("KVP").is_missing), "is_missing (to be called, with brackets)): write a condition"),  # type: ignore[arg-type]
        (lambda: has_series(~has_series(Modality="CT")), "a series has no series"),
        (lambda: has_series(Modality="CT", of="series"), 'of is "study" or "patient"'),  # type: ignore[arg-type]
        (lambda: has_series(StudyDate="never"), "a date is written"),
        (lambda: has_series(Modalty="CT"), "Did you mean Modality"),
    ],
)
def test_questions_about_series_that_are_not_possible_are_refused(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(SelectionError, match=re.escape(says)):
        make()


@pytest.mark.parametrize("string", ["T2*_GRE", "it's", "a\\b", ""])
def test_how_exact_and_like_read(string: str) -> None:
    for marked in (exact(string), like(string)):
        assert eval(repr(marked), {"exact": exact, "like": like}) == marked


def test_a_tag_cannot_be_a_key() -> None:
    with pytest.raises(TypeError):
        hash(tag("KVP"))


def test_an_unknown_tag_is_refused_at_once() -> None:
    with pytest.raises(UnknownTagError, match="Did you mean PatientName"):
        tag("PatientNme")


@pytest.mark.parametrize(
    ("make", "text", "held"),
    [
        (lambda field: field == 2, "2.0", True),
        (lambda field: field != 2, "2.0", False),
        (lambda field: field != 2, "3", True),
        (lambda field: field != 2, None, True),
        (lambda field: field < 2, "1.9", True),
        (lambda field: field < 2, "2", False),
        (lambda field: field <= 2, "2", True),
        (lambda field: field > 2, "2", False),
        (lambda field: field > 2, "2.1", True),
        (lambda field: field >= 2, "2", True),
        (lambda field: field < 2, None, False),
        (lambda field: field < "2", "1", True),
        # Python swaps the sides.
        (lambda field: field < 2, "1", True),
        (lambda field: field.between(1, 2), "2", True),
        (lambda field: field.between(None, 2), None, False),
        (lambda field: field.isin([1, 2]), "1.0", True),
        (lambda field: field.isin(iter([1, None])), None, True),
        (lambda field: field.isin([]), "1", False),
        (lambda field: field.matches("^1"), "1.5", True),
        (lambda field: field.matches(re.compile("5$")), "1.5", True),
        (lambda field: field.is_missing(), None, True),
        (lambda field: field.is_missing(), "0", False),
        (lambda field: ~field.is_missing(), "0", True),
        (lambda field: field.where(lambda number: number == 1.5), "1.50", True),
        (lambda field: field == None, None, True),  # noqa: E711 - how a missing value is asked for
        (lambda field: field != None, None, False),  # noqa: E711
    ],
)
def test_what_a_comparison_means(make: Callable[[TagField], Condition], text: str | None, held: bool) -> None:
    assert holds(make(tag("SliceThickness")), text) is held


def test_order_of_dates_times_date_times_and_ages() -> None:
    assert holds(tag("StudyDate") > date(2020, 1, 31), "20200201")
    assert holds(tag("StudyTime") < "10:30", "102959.9")
    assert holds(tag("AcquisitionDateTime") <= datetime(2020, 1, 1), "20200101010000+0100")
    assert holds(tag("PatientAge") < "002Y", "023M")
    assert not holds(tag("PatientAge") < "002Y", "024M")


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_comparisons_of_numbers_are_those_of_numbers(one: float, other: float) -> None:
    field, text = tag("SelectorFDValue"), repr(one)
    assert holds(field < other, text) == (one < other)
    assert holds(field <= other, text) == (one <= other)
    assert holds(field > other, text) == (one > other)
    assert holds(field >= other, text) == (one >= other)
    assert holds(field == other, text) == (one == other)
    assert holds(field != other, text) == (one != other)
    assert holds(field.between(min(one, other), max(one, other)), text)


@pytest.mark.parametrize("name", ["KVP", "SeriesDescription", "ImageType", "StudyDate"])
@pytest.mark.parametrize("value", [None, "20200131", ["20200131", None], re.compile("x")])
def test_unequal_is_the_complement_of_equal(name: str, value: Any) -> None:
    condition = tag(name) != value
    assert condition == Not(condition_for(parse_tag(name), value))


def test_labels_and_metadata() -> None:
    assert repr(label("reviewed")) == "label('reviewed') is set"
    assert holds(label("reviewed"), "reviewed")
    assert not holds(label("reviewed"), None)
    assert holds(metadata("RemoteAET") == "scanner*", "SCANNER1")
    assert holds(metadata("RemoteAET") != "scanner", None)
    assert holds(metadata("Count") > 5, "7")
    assert not holds(metadata("Count") > 5, "5")
    assert holds(metadata("Count").between(1, "7"), "7.0")
    assert holds(metadata("Count") == 7, "7")
    assert holds(metadata("Count").where(str.isdigit), "7")
    assert holds(metadata("RemoteAET").is_missing(), None)


_UPDATED = "20261128T211724"


@pytest.mark.parametrize("name", ["LastUpdate", "ReceptionDate"])
@pytest.mark.parametrize(
    "condition",
    [
        lambda field: field > "20200101",
        lambda field: field >= "20261128T211724",
        lambda field: field <= "2026-11-28 21:17:24",
        lambda field: field < datetime(2026, 11, 28, 21, 17, 25),
        lambda field: field > date(2026, 11, 28),
        lambda field: field > np.datetime64("2026-11-27"),
        lambda field: field > pd.Timestamp("2026-11-27"),
        lambda field: field == "20261128211724",
        lambda field: field == datetime(2026, 11, 28, 21, 17, 24),
        lambda field: field == "2026*",
        lambda field: field == exact(_UPDATED),
        lambda field: field == ("20261128", None),
        lambda field: field == "20261101-20261201",
        lambda field: field == [date(2020, 1, 1), datetime(2026, 11, 28, 21, 17, 24)],
        lambda field: field != "20261128",
        lambda field: field.between(None, date(2026, 11, 29)),
        lambda field: field.isin(pd.Series([datetime(2026, 11, 28, 21, 17, 24)])),
        lambda field: field.matches("^2026"),
        lambda field: field.where(lambda string: string > "20200101"),
        lambda field: field == (lambda string: string > "20200101"),
        lambda field: ~field.is_missing(),
    ],
)
def test_dates_of_metadata_are_date_times(name: str, condition: Callable[[TagField], Condition]) -> None:
    assert holds(condition(metadata(name)), _UPDATED)
    assert not holds(~condition(metadata(name)), _UPDATED)


@pytest.mark.parametrize(
    "condition",
    [
        lambda field: field > datetime(2026, 1, 1),
        lambda field: field.between(date(2026, 1, 1), None),
        lambda field: field == (date(2026, 1, 1), None),
        lambda field: field == [datetime(2026, 3, 4, 5, 6)],
        lambda field: field == np.array(["2026-03-04T05:06"], dtype="datetime64[s]"),
    ],
)
def test_an_entry_of_ones_own_is_a_date_if_it_is_compared_with_one(
    condition: Callable[[TagField], Condition],
) -> None:
    assert holds(condition(metadata("ReviewedAt")), "2026-03-04T05:06:00")
    assert not holds(condition(metadata("ReviewedAt")), "2019-03-04")
    assert not holds(condition(metadata("ReviewedAt")), "yes")


@pytest.mark.parametrize("name", ["AnonymizedFrom", "ModifiedFrom", "RemoteAET", "TransferSyntax"])
def test_strings_of_metadata_have_no_order(name: str) -> None:
    assert holds(metadata(name) == "1e5", "1e5")
    assert not holds(metadata(name) == "1e5", "100000")
    for wrong in (lambda: metadata(name) > "5", lambda: metadata(name).between(1, 2), lambda: metadata(name) == (1, 2)):
        with pytest.raises(SelectionError, match="strings"):
            wrong()


def test_a_wrong_date_of_metadata_shows_the_right_form() -> None:
    with pytest.raises(SelectionError, match=r"metadata\('LastUpdate'\).*a date-time is written"):
        metadata("LastUpdate") > "yesterday"  # noqa: B015


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (tag("KVP"), 'tag("KVP")'),
        (tag("0018,0050"), 'tag("SliceThickness")'),
        (metadata("RemoteAET"), "metadata('RemoteAET')"),
    ],
)
def test_how_a_field_reads(field: TagField, text: str) -> None:
    assert repr(field) == text


def test_conditions_survive_pickle() -> None:
    condition = (tag("KVP") > 100) & ~(tag("Modality") == ["CT", exact("PT")]) | tag("PatientName").matches("x")
    again = pickle.loads(pickle.dumps(condition))
    assert again == condition
    assert all(isinstance(comparison, Comparison) for comparison in again.comparisons())
