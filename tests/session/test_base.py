"""The session over an archive in memory: what select means, what each verb changes, and what sends no request."""

from __future__ import annotations

import contextlib
import copy
import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value, comparable, read_value
from simple_orthanc.errors import (
    AmbiguousSelectionError,
    EmptySelectionError,
    OrthancError,
    SelectionError,
    UnknownTagError,
)
from simple_orthanc.selection.conditions import Condition
from simple_orthanc.selection.criteria import exact, label, like, metadata, tag
from simple_orthanc.session import Session
from tests.memory_source import INDEXED, LEVEL_OF_NAME, MemorySource, archives, instance, put_raw

NAMES = [*LEVEL_OF_NAME, "PatientID", "InstanceNumber"]
# The same archive behind sources that know more or less of it, and answer more or less exactly.
SOURCES: dict[str, dict[str, Any]] = {
    "as a server": {},
    "generous": {"extra": True},
    "without search": {"searchable": False},
    "that knows only what orders": {
        "indexed": {
            "study": "PatientID StudyInstanceUID StudyDate StudyTime",
            "series": "SeriesInstanceUID SeriesNumber",
            "instance": "SOPInstanceUID InstanceNumber ImagePositionPatient ImageOrientationPatient",
        }
    },
    "that knows much": {"indexed": {**INDEXED, "series": INDEXED["series"] + " ProtocolName"}},
}


@pytest.fixture(autouse=True)
def _empty_selections_are_no_concern() -> Iterator[None]:
    """Here warnings are asked for where they matter; an archive made at random has many empty selections."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Nothing is selected any more")
        yield


def uids(session: Session) -> list[str]:
    return session.get_dicom_tag("SOPInstanceUID", unique=False)


def session_of(*datasets: Dataset, **options: Any) -> Session:
    return Session(MemorySource(datasets, **options))


def source_of(session: Session) -> MemorySource:
    source = session._source
    assert isinstance(source, MemorySource)
    return source


def quiet(action: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        action()


def by_value(value: Any, name: str) -> Any:
    """Dates and times are listed as they stand, and compared by value."""
    found = (
        comparable(value, parse_tag(name).vr)
        if isinstance(value, str) and parse_tag(name).vr in ("DA", "TM", "DT")
        else None
    )
    return value if found is None else found


# What select means


@given(archives(), st.sampled_from(NAMES), st.sampled_from(list(SOURCES)))
def test_every_value_that_was_listed_selects_exactly_its_rows(datasets: list[Dataset], name: str, kind: str) -> None:
    session = session_of(*datasets, **SOURCES[kind])
    rows = dict(zip(uids(session), session.get_dicom_tag(name, unique=False, level="instance"), strict=True))
    for value in session.get_dicom_tag(name):
        expected = {uid for uid, each in rows.items() if by_value(each, name) == by_value(value, name)}
        assert expected
        found = session.copy().select(**{name: value})
        assert set(uids(found)) == expected
        assert set(uids(session.copy().select(**{name: [value]}))) == expected
        fresh = session_of(*datasets, **SOURCES[kind])
        # What is no date is a value only where it has been seen; the selection then says so by itself.
        assert set(uids(fresh.select(**found.selection))) == expected
    unknown = {uid for uid, each in rows.items() if each is None}
    assert set(uids(session.copy().select(**{name: None}))) == unknown
    assert set(uids(session.copy().select(tag(name).is_missing()))) == unknown


@given(archives(), st.sampled_from(NAMES))
def test_every_value_of_a_table_selects_exactly_its_rows(datasets: list[Dataset], name: str) -> None:
    session = session_of(*datasets)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*cannot be read as")
        frame = session.table("SOPInstanceUID", name, level="instance")
    present = frame[frame[name].notna()]
    for value in present[name].unique():
        expected = set(present["SOPInstanceUID"][[each == value for each in present[name]]])
        assert set(uids(session.copy().select(**{name: value}))) == expected


@given(archives(), st.sampled_from(["StudyDate", "AcquisitionDateTime", "SliceThickness"]))
def test_what_cannot_be_read_is_selected_by_its_exact_text(datasets: list[Dataset], name: str) -> None:
    for dataset in datasets[:1]:
        put_raw(dataset, name, "unknown")
        session = session_of(*datasets)
        found = session.select(**{name: exact("unknown")})
        assert dataset.SOPInstanceUID in uids(found)
        assert all(value in ("unknown", None) for value in found.get_dicom_tag(name, unique=False, level="instance"))


UNREADABLE = {"StudyDate": "20200231", "AcquisitionDate": "unknown", "AcquisitionTime": "103015.123456789"}


@pytest.mark.parametrize("name", list(UNREADABLE))
def test_a_value_that_is_no_date_can_be_selected_once_it_was_seen(name: str) -> None:
    text = UNREADABLE[name]
    first, other = instance(1, study="1"), instance(1, study="2")
    put_raw(first, name, text)
    session = session_of(first, other)
    with pytest.raises(SelectionError, match=rf"{name}='{text}': .* the text itself is exact\('{text}'\)"):
        session.select(**{name: text})
    assert source_of(session).requests == 0
    assert session.get_dicom_tag(name) == [text]
    assert session.copy().select(**{name: text}).StudyInstanceUIDs == ["1.2.1"]
    assert session.copy().select(**{name: [text, None]}).instance_count == 2
    assert session.copy().exclude(**{name: text}).StudyInstanceUIDs == ["1.2.2"]
    session.select(**{name: text})
    assert session.selection == {name: exact(text)}
    assert session.refresh().StudyInstanceUIDs == ["1.2.1"]
    with pytest.raises(SelectionError, match="is written"):
        session.select(**{name: "never"})


@pytest.mark.parametrize(("name", "text"), [("KVP", "1\\x"), ("SeriesTime", "9999\\10"), ("ProtocolName", "a\\b*")])
def test_several_values_where_the_standard_allows_one_are_selected_as_they_are_listed(name: str, text: str) -> None:
    first, other = instance(1, study="1"), instance(1, study="2", SeriesTime="10", ProtocolName="a\\bc", KVP="1")
    put_raw(first, name, text)
    session = session_of(first, other)
    assert text in session.get_dicom_tag(name)
    assert session.copy().select(**{name: text}).StudyInstanceUIDs == ["1.2.1"]
    assert session.copy().select(**{name: exact(text)}).StudyInstanceUIDs == ["1.2.1"]
    assert session.copy().exclude(**{name: [text]}).StudyInstanceUIDs == ["1.2.2"]


def test_a_stored_text_that_reads_as_a_range_is_meant_alone() -> None:
    text = "20200101-20200131"
    first, other = instance(1, study="1"), instance(1, study="2", StudyDate="20200115")
    put_raw(first, "StudyDate", text)
    session = session_of(first, other)
    assert session.copy().select(StudyDate=text).StudyInstanceUIDs == ["1.2.1"]
    assert session.copy().exclude(StudyDate=text).StudyInstanceUIDs == ["1.2.2"]
    found = session.copy().select(StudyDate=text)
    assert f"'{text}' stands in the archive, so it alone is meant" in found.explain()["decided"][0]
    assert session_of(other).select(StudyDate=text).StudyInstanceUIDs == ["1.2.2"]
    assert session.copy().select(StudyDate=("20200101", "20200131")).StudyInstanceUIDs == ["1.2.2"]


def test_a_number_that_is_none_is_listed_and_selected_as_missing() -> None:
    wrong, missing, right = instance(1), instance(2), instance(3, KVP="120")
    put_raw(wrong, "KVP", "abc")
    session = session_of(wrong, missing, right)
    assert session.get_dicom_tag("KVP", unique=False) == [None, None, 120.0]
    assert session.copy().select(KVP=None).InstanceNumbers == [1, 2]
    assert session.copy().exclude(KVP=None).InstanceNumbers == [3]
    assert session.copy().select(~tag("KVP").is_missing()).InstanceNumbers == [3]
    assert session.copy().select(KVP=exact("abc")).InstanceNumbers == [1]


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    st.sampled_from(
        [
            tag("PatientName") == like("doe*"),
            tag("PatientName") == like("山田^太郎"),
            tag("PatientName").is_missing(),
            tag("PatientID") == exact("a"),
            tag("PatientID") == like("b?"),
            tag("PatientSex") == "M",
            tag("StudyDate") == date(2020, 1, 31),
            tag("StudyDate") > "20200131",
            tag("StudyDate").matches("^2020"),
            tag("StudyTime").between("10:00", "10:30"),
            tag("SeriesNumber") == 1,
            tag("SeriesNumber").isin([1, None]),
            tag("SeriesDescription") == like("t2*"),
            tag("SeriesDescription") == exact("T2*_GRE"),
            tag("SeriesDescription").isin([like("[x]?"), like("ä")]),
            tag("SeriesDescription").where(str.islower),
            tag("Modality") != "CT",
            tag("ProtocolName").is_missing(),
            tag("ProtocolName") == exact("head"),
            tag("SliceThickness") <= 1,
            tag("PixelSpacing") == (1, 2),
            tag("PixelSpacing") > 1,
            tag("ImageType") == exact("A"),
            tag("AcquisitionDateTime") == "202001310930",
            tag("PatientAge").is_missing(),
            tag("PatientAge") >= "001Y",
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=4,
)


def plainly(datasets: Iterable[Dataset], condition: Condition) -> set[str]:
    """Filter headers in plain Python."""

    def one(dataset: Dataset) -> bool:
        def value(name: Any) -> Value:
            return read_value(dataset, name)

        return condition.mask(lambda leaf: [leaf.holds(value(leaf.field))])[0]

    return {str(dataset.SOPInstanceUID) for dataset in datasets if one(dataset)}


@given(archives(), CONDITIONS, st.sampled_from(list(SOURCES)))
def test_a_selection_is_what_filtering_all_headers_gives(
    datasets: list[Dataset], condition: Condition, kind: str
) -> None:
    expected = plainly(datasets, condition)
    session = session_of(*datasets, **SOURCES[kind]).select(condition)
    assert set(uids(session)) == expected
    kept = [dataset for dataset in datasets if dataset.SOPInstanceUID in expected]
    for level in LEVELS:
        rows = {MemorySource.key(dataset, level) for dataset in kept}
        assert getattr(session, f"{level}_count") == len(rows) == len(session.table("PatientID", level=level))
    assert len(session) == session.series_count
    assert bool(session) is True


@given(archives(), CONDITIONS, CONDITIONS, st.sampled_from(list(SOURCES)))
def test_conditions_in_one_call_or_one_after_the_other(
    datasets: list[Dataset], a: Condition, b: Condition, kind: str
) -> None:
    def fresh() -> Session:
        return session_of(*datasets, **SOURCES[kind])

    expected = uids(fresh().select(a, b))
    assert uids(fresh().select(a).select(b)) == expected
    assert uids(fresh().select(b).select(a)) == expected
    assert uids(fresh().select(a & b)) == expected


KEYWORDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "PatientName": st.sampled_from(["doe^jane", "Doe^J*", "*", None, ["山田^太郎", "x"]]),
        "SeriesDescription": st.sampled_from(["T2*_GRE", "t2*", "[x]?", ["[x]?", None], re.compile("x")]),
        "ProtocolName": st.sampled_from(["head", "h*", "HEAD", ["h*", "a"], "a\\b"]),
        "Modality": st.sampled_from(["ct", ["CT", "PT"], None]),
        "ImageType": st.sampled_from(["a*", ("A*", "B"), "A", None]),
        "StudyDate": st.sampled_from([date(2020, 1, 31), ("20200101", None), "2020*"]),
        "SliceThickness": st.sampled_from([1, (None, 1.2), None]),
    },
)


@given(archives(), KEYWORDS, KEYWORDS, st.sampled_from(list(SOURCES)))
def test_exclude_is_the_exact_complement_of_select(
    datasets: list[Dataset], before: dict[str, Any], given_tags: dict[str, Any], kind: str
) -> None:
    session = session_of(*datasets, **SOURCES[kind]).select(**before)
    everything = uids(session)
    kept = set(uids(session.copy().select(**given_tags)))
    left_out = set(uids(session.copy().exclude(**given_tags))) if given_tags else set()
    assert kept | left_out == set(everything)
    assert not kept & left_out


@given(archives(), KEYWORDS, st.sampled_from(["PatientName", "SeriesDescription", "AccessionNumber"]))
def test_the_order_of_criteria_on_searchable_tags_does_not_matter(
    datasets: list[Dataset], given_tags: dict[str, Any], name: str
) -> None:
    given_tags = {key: value for key, value in given_tags.items() if key not in ("ProtocolName", "ImageType", name)}
    for value in session_of(*datasets).get_dicom_tag(name):
        expected = uids(session_of(*datasets).select(**given_tags, **{name: value}))
        assert uids(session_of(*datasets).select(**given_tags).select(**{name: value})) == expected
        assert uids(session_of(*datasets).select(**{name: value}).select(**given_tags)) == expected


def test_one_patient_with_two_spellings_is_found_by_either() -> None:
    session = session_of(
        instance(1, study="1", PatientName="Doe^Jane"),
        instance(1, study="2", PatientName="Doe^Janet"),
        instance(1, study="3", PatientName="Roe^Rick", patient="P2"),
    )
    for name, study in (("Doe^Jane", "1.2.1"), ("doe^janet", "1.2.2")):
        found = session.copy().select(PatientName=name)
        assert found.StudyInstanceUIDs == [study]
        assert [getattr(found, f"{level}_count") for level in LEVELS] == [1, 1, 1, 1]
    assert session.patient_count == 2
    assert session.PatientNames == ["Doe^Jane", "Doe^Janet", "Roe^Rick"]


def test_any_of_several_values_satisfies_even_where_the_standard_allows_one() -> None:
    session = session_of(
        instance(1, ProtocolName="a\\b"), instance(2, ProtocolName="a"), instance(3, ProtocolName="b\\a")
    )
    assert session.ProtocolNames == ["a", "a\\b", "b\\a"]
    assert session.copy().select(ProtocolName="a").InstanceNumbers == [1, 2, 3]
    assert session.copy().select(ProtocolName="a\\b").InstanceNumbers == [1]


def test_exclude_means_what_select_meant() -> None:
    """Exclude leaves out what select keeps, also if a text stands as it is only in what another criterion left out."""
    session = session_of(
        instance(1, series="1", Modality="CT", ProtocolName="head"),
        instance(1, series="2", Modality="PT", ProtocolName="HEAD"),
    )
    assert session.copy().select(Modality="CT", ProtocolName="HEAD").Modalities == ["CT"]
    assert session.copy().exclude(Modality="CT", ProtocolName="HEAD").Modalities == ["PT"]


def two_spellings(other: str) -> Session:
    """Two studies with a tag that only the files know: a text, and one that this text means too."""
    return session_of(
        instance(1, study="1", StudyDescription="x", SequenceName=other),
        instance(1, study="2", StudyDescription="y", SequenceName="*fl2d1"),
    )


@pytest.mark.parametrize("other", ["afl2d1", "*FL2D1"])
@pytest.mark.parametrize(
    "again",
    [
        lambda session: session.refresh(),
        lambda session: setattr(session, "selection", session.selection),
        lambda session: setattr(session, "selection", {**session.selection, "Modality": None}),
        lambda session: session.select(Modality=None).reset("Modality"),
    ],
)
def test_a_text_keeps_its_meaning(other: str, again: Callable[[Session], object]) -> None:
    """A text stands in the archive as it is; that a criterion on the study is applied again before it is no matter."""
    session = two_spellings(other).select(SequenceName="*fl2d1")
    assert session.StudyDescriptions == ["y"]
    quiet(lambda: session.select(StudyDescription="x"))
    assert session.instance_count == 0
    quiet(lambda: again(session))
    assert session.instance_count == 0
    assert "'*fl2d1' stands in the archive, so it alone is meant" in " ".join(session.explain()["decided"])
    assert session.reset("StudyDescription").StudyDescriptions == ["y"]


def test_a_text_that_found_nothing_may_still_mean_either() -> None:
    session = session_of()
    quiet(lambda: session.select(SequenceName="*fl2d1"))
    source_of(session).datasets.append(instance(1, SequenceName="afl2d1"))
    assert session.refresh().instance_count == 1
    source_of(session).datasets.append(instance(2, SequenceName="*fl2d1"))
    assert session.refresh().instance_count == 2
    fresh = session_of(*source_of(session).datasets)
    assert fresh.select(SequenceName="*fl2d1").InstanceNumbers == [2]


@pytest.mark.parametrize("other", ["afl2d1", "*FL2D1"])
def test_exclude_decides_in_the_order_of_select(other: str) -> None:
    session = two_spellings(other)
    condition = (tag("StudyDescription") == "x") & tag("SliceThickness").is_missing()
    kept = uids(session.copy().select(condition, SequenceName="*fl2d1"))
    left_out = uids(session.copy().exclude(condition, SequenceName="*fl2d1"))
    assert sorted(kept + left_out) == uids(session)
    assert kept == uids(session.copy().select(condition & (tag("SequenceName") == "*fl2d1"))) == ["1.2.1.1.1"]


def test_explain_counts_a_criterion_once_all_of_it_was_applied() -> None:
    condition = (tag("PatientID") == "P1") & (tag("KVP") == 120)
    frame = three_series().select(condition, Modality="CT").explain()
    assert list(frame["criterion"]) == ["Modality == 'CT'", str(condition)]
    assert list(frame["series"]) == [2, 1]
    assert list(frame["decided"])[1] == "server, checked here; here, in 3 files"


OPEN_TEXTS: st.SearchStrategy[Condition] = st.recursive(
    st.sampled_from(
        [
            tag("ProtocolName") == "h*",
            tag("ProtocolName") == ["HEAD", "a"],
            tag("ImageType") == "a*",
            tag("SeriesDescription") == "T2*_GRE",
            tag("PatientName") == "doe^j*",
            tag("PatientSex") == "m",
            tag("Modality") == "CT",
            tag("SliceThickness") <= 1,
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=4,
)


@given(archives(1), st.lists(OPEN_TEXTS, min_size=1, max_size=3), KEYWORDS, st.sampled_from(list(SOURCES)))
def test_exclude_is_the_complement_whatever_texts_mean(
    datasets: list[Dataset], conditions: list[Condition], tags: dict[str, Any], kind: str
) -> None:
    kept = uids(session_of(*datasets, **SOURCES[kind]).select(*conditions, **tags))
    left_out = uids(session_of(*datasets, **SOURCES[kind]).exclude(*conditions, **tags))
    assert sorted(kept + left_out) == sorted(uids(session_of(*datasets)))


@given(archives(1), OPEN_TEXTS, OPEN_TEXTS, KEYWORDS, st.sampled_from(list(SOURCES)))
def test_what_is_applied_again_selects_the_same(
    datasets: list[Dataset], a: Condition, b: Condition, tags: dict[str, Any], kind: str
) -> None:
    session = session_of(*datasets, **SOURCES[kind]).select(a).exclude(b).select(**tags)
    expected = uids(session)
    assert uids(session.copy().refresh()) == expected
    session.selection = session.selection
    assert uids(session) == expected


def test_a_literal_is_said_in_explain() -> None:
    session = session_of(
        instance(1, series="1", SeriesDescription="T2*_GRE"), instance(1, series="2", SeriesDescription="T2x_GRE")
    )
    assert session.copy().select(SeriesDescription="T2?_GRE").series_count == 2
    assert session.copy().select(SeriesDescription=like("T2*_GRE")).series_count == 2
    session.select(SeriesDescription="T2*_GRE")
    assert session.SeriesDescriptions == ["T2*_GRE"]
    assert "'T2*_GRE' stands in the archive, so it alone is meant" in session.explain()["decided"][0]


def test_explain_says_where_and_how_many() -> None:
    session = three_series()
    assert session.explain().empty
    frame = session.select(PatientID="P1").select(KVP=120).explain()
    assert list(frame.columns) == ["criterion", "decided", "requests", "patients", "studies", "series", "instances"]
    assert list(frame["criterion"]) == ["PatientID == 'P1'", "KVP == 120"]
    assert list(frame["decided"]) == ["server, checked here", "here, in 3 files"]
    assert list(frame["instances"])[1] == 1
    assert frame["requests"].sum() == source_of(session).requests
    assert {str(kind) for kind in frame.dtypes} <= {"string", "str", "Int64"}


# What is refused, before any request


@pytest.mark.parametrize(
    ("conditions", "tags", "error", "says"),
    [
        ((), {"PatientNme": "x"}, UnknownTagError, "Did you mean PatientName"),
        ((), {"StudyDate": "20200231"}, SelectionError, 'a date is written "20200131"'),
        ((), {"StudyDate": ("20201231", "20200101")}, SelectionError, "its low end lies above its high end"),
        ((), {"PatientName": ("A", "B")}, SelectionError, "give a list: ['A', 'B']"),
        ((), {"RequestAttributesSequence": "x"}, SelectionError, "name a tag in it"),
        ((), {"Modality": tag("Modality") == "CT"}, SelectionError, "A condition stands by itself"),
        ((5,), {}, SelectionError, "5 is neither a condition nor an identifier"),
        ((tag("Modality"),), {}, SelectionError, "is neither a condition nor an identifier"),
        (({"Modality": "CT"},), {}, SelectionError, "write select(Modality='CT')"),
        # The good one beside it is not asked for either.
        (("1.2.1",), {"StudyDate": "never"}, SelectionError, "a date is written"),
        ((), {"Modality": "CT", "SliceThickness": "thin"}, SelectionError, "a number is written"),
    ],
)
@pytest.mark.parametrize("verb", ["select", "exclude", "selecting"])
def test_what_cannot_be_meant_is_refused_before_any_request(
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
        (lambda session: session.get_dicom_tag("KVP", level="slice"), "level='slice' is none of patient, study"),
        (lambda session: session.table("PatientNme"), "Did you mean PatientName"),
        (lambda session: session.table("KVP", level="slice"), "level='slice' is none of"),
        (lambda session: session.table("file_count"), "there are study_count, series_count, instance_count"),
        (lambda session: session.value_counts("PatientNme"), "Did you mean PatientName"),
        (lambda session: session.PatientNme, "Did you mean PatientName"),
        (lambda session: session.undo(), "there are 0 steps to take back"),
        (lambda session: setattr(session, "selection", {"PatientNme": 1}), "Did you mean PatientName"),
        (lambda session: setattr(session, "selection", "CT"), 'selection = {"Modality": "CT"}, or None'),
        (lambda session: setattr(session, "selection", 5), "selection = 5: it is a dictionary of tags and values"),
        (lambda session: setattr(session, "selection", ["a"]), "selection = ['a']: it is a dictionary"),
        (lambda session: setattr(session, "selection", {"conditions": 5}), "under this name stands a list"),
        (lambda session: setattr(session, "selection", {"conditions": None}), "under this name stands a list"),
        (lambda session: setattr(session, "selection", {"conditions": "P1"}), "under this name stands a list"),
        (lambda session: Session(session._source, selection="CT"), "selection = 'CT': it is a dictionary"),  # type: ignore[arg-type]
        (lambda session: session.undo("1"), "undo('1'): how many steps to take back is a whole number"),  # type: ignore[arg-type]
        (lambda session: session.undo(None), "undo(None): how many steps"),  # type: ignore[arg-type]
        (lambda session: session.undo(1.0), "as in undo(2)"),  # type: ignore[arg-type]
    ],
)
def test_other_verbs_refuse_before_any_request_too(use: Callable[[Session], object], says: str) -> None:
    session = three_series()
    with pytest.raises(SelectionError, match=re.escape(says)):
        use(session)
    assert source_of(session).requests == 0


# State


def three_series(**options: Any) -> Session:
    return session_of(
        instance(1, series="1", Modality="CT", SeriesDescription="scout", KVP="120", PatientName="Doe^Jane"),
        instance(1, series="2", Modality="CT", SeriesDescription="head", KVP="100", PatientName="Doe^Jane"),
        instance(2, series="2", Modality="CT", SeriesDescription="head", PatientName="Doe^Jane"),
        instance(1, study="7", patient="P2", Modality="PT", SeriesDescription="wb", PatientName="Roe^Rick"),
        **options,
    )


def test_nothing_given_changes_nothing() -> None:
    session = three_series()
    assert session.select() is session
    assert session.exclude() is session
    assert source_of(session).requests == 0
    assert session.selection == {}
    with pytest.raises(SelectionError):
        session.undo()


def test_calls_chain_and_narrow() -> None:
    session = three_series()
    assert session.select(Modality="CT").exclude(SeriesDescription="scout") is session
    assert session.SeriesDescriptions == ["head"]
    assert session.exclude(tag("KVP").is_missing()).instance_count == 1


def test_undo_takes_back_step_by_step() -> None:
    session = three_series()
    counts = [session.instance_count]
    for narrow in (
        lambda: session.select(Modality="CT"),
        lambda: session.exclude(SeriesDescription="scout"),
        lambda: session.reset("Modality"),
        lambda: setattr(session, "selection", {"KVP": 120}),
        lambda: session.reset(),
    ):
        narrow()
        counts.append(session.instance_count)
    assert counts == [4, 3, 2, 3, 1, 4]
    with pytest.raises(SelectionError, match=r"undo\(6\): there are 5 steps to take back"):
        session.undo(6)
    with pytest.raises(SelectionError, match=r"undo\(0\)"):
        session.undo(0)
    assert session.undo() is session
    assert session.instance_count == counts[4]
    assert session.undo(2).instance_count == counts[2]
    assert session.undo(2).instance_count == counts[0]
    assert session.selection == {}


def test_reset_of_one_tag_keeps_the_others() -> None:
    session = three_series().select(Modality="CT", KVP=120).select(tag("Modality") != "PT")
    session.reset("0008,0060")
    assert session.selection == {"KVP": 120}
    session.reset("PatientName")
    assert session.selection == {"KVP": 120}
    assert session.undo().instance_count == 1
    assert set(session.selection) == {"Modality", "KVP"}
    spanning = three_series().select((tag("KVP") == 120) | (tag("Modality") == "PT"))
    assert spanning.reset("KVP").instance_count == 2
    assert spanning.reset().instance_count == 4


def test_selecting_narrows_inside_the_block_only() -> None:
    session = three_series().select(Modality="CT")
    with session.selecting(SeriesDescription="head") as inner:
        assert inner is session
        assert session.instance_count == 2
        session.select(KVP=100)
        assert session.instance_count == 1
    assert session.instance_count == 3
    with pytest.raises(RuntimeError), session.selecting(SeriesDescription="head"):
        raise RuntimeError
    assert session.selection == {"Modality": "CT"}
    session.undo()
    assert session.selection == {}


def test_a_copy_is_independent() -> None:
    session = three_series().select(Modality="CT")
    twin = session.copy()
    assert twin.selection == session.selection
    twin.select(SeriesDescription="head").sort_by("InstanceNumber", "descending")
    assert (session.instance_count, twin.instance_count) == (3, 2)
    assert uids(twin) == ["1.2.1.2.2", "1.2.1.2.1"]
    session.reset()
    assert twin.instance_count == 2
    with pytest.raises(SelectionError, match="there are 1 steps"):
        twin.undo(2)


@given(archives(1), KEYWORDS, CONDITIONS, CONDITIONS)
def test_a_selection_can_be_put_back(datasets: list[Dataset], tags: dict[str, Any], a: Condition, b: Condition) -> None:
    session = session_of(*datasets).select(a, **tags).exclude(b)
    put = session_of(*datasets)
    put.selection = session.selection
    assert set(uids(put)) == set(uids(session))
    assert put.selection.keys() == session.selection.keys()
    assert set(uids(Session(MemorySource(datasets), selection=session.selection))) == set(uids(session))


def test_the_selection_is_what_was_given() -> None:
    spanning = (tag("KVP") > 100) | (tag("Modality") == "PT")
    given_tags = {"Modality": ["CT", "PT"], "StudyDate": None, "0018,0050": (1, 3)}
    session = three_series().select(spanning, **given_tags)
    expected = {"Modality": ["CT", "PT"], "StudyDate": None, "SliceThickness": (1, 3), "conditions": [spanning]}
    assert session.selection == expected
    session.select(Modality="CT", SeriesDescription=exact("head"))
    assert repr(session.selection["Modality"]) == repr((tag("Modality") == ["CT", "PT"]) & (tag("Modality") == "CT"))
    session.selection = None
    assert session.selection == {}
    assert session.instance_count == 4
    session.selection = {}
    assert session.undo(2).selection == {
        **expected,
        "Modality": session.selection["Modality"],
        "SeriesDescription": exact("head"),
    }


def test_the_selection_is_a_copy_that_cannot_be_changed() -> None:
    modalities = ["CT"]
    session = three_series().select(Modality=modalities, KVP=(100, 120))
    modalities.append("PT")
    found = session.selection
    assert found == {"Modality": ["CT"], "KVP": (100, 120)}
    assert repr(found) == "{'Modality': ['CT'], 'KVP': (100, 120)}"
    found["Modality"].append("PT")
    assert session.selection["Modality"] == ["CT"]
    with pytest.raises(SelectionError, match=r"write select\(\*\*\{'Modality': 'XX'\}\)"):
        found["Modality"] = "XX"
    for change in (
        lambda: found.update(Modality="XX"),
        lambda: found.pop("Modality"),
        lambda: found.clear(),
        lambda: found.setdefault("Rows", 5),
        lambda: found.__delitem__("Modality"),
        lambda: found.__ior__({"Rows": 5}),
    ):
        with pytest.raises(SelectionError, match=r"reset\(tag\)"):
            change()
    assert type(found.copy()) is type(found | {}) is dict
    again = pickle.loads(pickle.dumps(session.selection))
    assert again == session.selection
    session.reset().selection = again
    assert session.selection == again


@pytest.mark.parametrize(
    "values",
    [{"CT"}, frozenset({"CT"}), {"CT": 1}.keys(), pd.Series(["CT"]), pd.Index(["CT"]), MultiValue(str, ["CT"])],
)
def test_any_collection_can_be_put_back(values: Any) -> None:
    session = three_series().select(Modality=values)
    again = pickle.loads(pickle.dumps(session))
    again.selection = session.selection
    assert again.instance_count == session.instance_count == 3


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


def test_a_selection_that_was_put_away_keeps_its_meaning_on_the_same_archive() -> None:
    session = two_spellings("afl2d1").select(SequenceName="*fl2d1")
    quiet(lambda: session.select(StudyDescription="x"))
    kept = session.selection
    session.reset()
    quiet(lambda: setattr(session, "selection", kept))
    assert session.instance_count == 0
    # Elsewhere the text may stand in no file, and means what it means there.
    other = session_of(instance(1, StudyDescription="x", SequenceName="afl2d1"))
    other.selection = kept
    assert other.instance_count == 1


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OrthancError("gone"), MemoryError()])
@pytest.mark.parametrize(
    "verb",
    [
        lambda session: session.select(SeriesDescription="head", KVP=100),
        lambda session: session.exclude(SeriesDescription="head", KVP=100),
        lambda session: session.select(tag("KVP") > 100).select(ImageType="A"),
        lambda session: setattr(session, "selection", {"KVP": 100, "ImageType": "A"}),
        lambda session: session.refresh(),
        lambda session: session.select("1.2.7"),
    ],
)
def test_what_is_interrupted_changes_nothing(verb: Callable[[Session], object], trouble: BaseException) -> None:
    tried = three_series().select(Modality="CT", PatientName="Doe*")
    before = source_of(tried).requests
    quiet(lambda: verb(tried))
    steps = source_of(tried).requests - before
    assert steps
    for step in range(1, steps + 1):
        session = three_series().select(Modality="CT", PatientName="Doe*")
        source_of(session).break_at(step, trouble)
        with pytest.raises(type(trouble)):
            quiet(partial(verb, session))
        if "ImageType" not in session.selection and "KVP" in session.selection:
            # The first of two calls was complete.
            session.undo()
        assert session.selection == {"Modality": "CT", "PatientName": "Doe*"}
        source_of(session).trouble = None
        assert uids(session) == ["1.2.1.1.1", "1.2.1.2.1", "1.2.1.2.2"]
        quiet(partial(verb, session))


def test_a_selection_that_becomes_empty_names_the_criterion() -> None:
    session = three_series()
    with pytest.warns(
        UserWarning, match=r"Nothing is selected any more: no object satisfies Modality == 'US'\."
    ) as caught:
        session.select(Modality="US")
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="satisfies Modality == 'PT' among those selected before it"):
        three_series().select(PatientID="P1").select(Modality="PT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.select(KVP=120)
    assert (session.patient_count, session.instance_count, len(session), bool(session)) == (0, 0, 0, True)
    assert session.table().empty
    assert session.SeriesDescriptions == []
    assert list(session.series) == []


@pytest.mark.parametrize("verb", ["get_header", "get_headers", "get_instances", "get_volume", "get_array", "download"])
def test_reading_nothing_raises(verb: str) -> None:
    session = three_series()
    quiet(lambda: session.select(Modality="US"))
    with pytest.raises(EmptySelectionError, match=r"Nothing is selected by Modality == 'US'\. explain\(\) shows where"):
        getattr(session, verb)()
    with pytest.raises(EmptySelectionError, match="the archive is empty"):
        getattr(session_of(), verb)()


# Addressing


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
    with pytest.raises(SelectionError, match=r"'Z' is no UID, .* of memory.* select\(PatientName=\"Z\"\)"):
        session.select("Z")
    with pytest.raises(AmbiguousSelectionError, match=r'has 2 meanings here: .*select\(PatientID="X"\)') as caught:
        session.select("X")
    assert set(caught.value.candidates) == {"PatientID of a patient", "AccessionNumber of a study"}
    assert session.selection == {}


def test_one_series_uid_under_two_patients_is_two_series() -> None:
    session = session_of(instance(1, patient="X"), instance(2, patient="Y"))
    assert session.series_count == 2
    with pytest.warns(UserWarning, match=r"1\.2\.1\.1 stands 2 times in the archive.* 2 different series objects"):
        session.select("1.2.1.1")
    assert (session.patient_count, session.study_count, session.series_count, session.instance_count) == (2, 2, 2, 2)


# Labels and metadata


def test_labels_and_metadata_reach_down_from_any_level() -> None:
    session = three_series()
    source_of(session).attached_to = {
        ("label", "keep"): {"patient": {"P2": ("keep",)}, "series": {"P1|1.2.1|1.2.1.1": ("keep",)}},
        ("metadata", "RemoteAET"): {"instance": {"P1|1.2.1|1.2.1.2|1.2.1.2.2": ("SCANNER",)}},
        ("metadata", "Count"): {"study": {"P1|1.2.1": ("7",), "P2|1.2.7": ("x",)}},
    }
    assert session.copy().select(label("keep")).SeriesDescriptions == ["scout", "wb"]
    assert session.copy().exclude(label("keep")).SeriesDescriptions == ["head"]
    assert session.copy().select(~label("keep"), Modality="CT").instance_count == 2
    assert uids(session.copy().select(metadata("RemoteAET") == "scan*")) == ["1.2.1.2.2"]
    assert session.copy().select(metadata("RemoteAET").is_missing()).instance_count == 3
    assert session.copy().select(metadata("Count") > 5).PatientIDs == ["P1"]
    assert session.copy().select(metadata("Count") == 7).PatientIDs == ["P1"]
    quiet(lambda: session.select(label("never")))
    assert session.instance_count == 0
    assert list(session.selection) == ["conditions"]


# Attributes


def test_keywords_are_attributes_in_singular_and_plural() -> None:
    session = three_series()
    assert session.PatientName == session.PatientNames == ["Doe^Jane", "Roe^Rick"]
    assert session.Modalities == ["CT", "PT"]
    assert session.SeriesDescriptions == ["scout", "head", "wb"]
    assert session.KVPs == [120.0, 100.0]
    assert session.StudyDates == []


@pytest.mark.parametrize("name", ["nonsense", "patientname", "s", "es", "_ipython_display_", "_private", "__array__"])
def test_nonsense_is_no_attribute(name: str) -> None:
    session = three_series()
    assert not hasattr(session, name)
    assert getattr(session, name, "default") == "default"
    with pytest.raises(AttributeError):
        getattr(session, name)
    assert source_of(session).requests == 0


@pytest.mark.parametrize("name", ["PatientName", "patient", "Modality", "table", "select", "sort"])
def test_assigning_to_an_attribute_is_refused(name: str) -> None:
    session = three_series()
    with pytest.raises(AttributeError, match=rf"no attribute '{name}' to assign to.*select\({name}='x'\)"):
        setattr(session, name, "x")
    with pytest.raises(AttributeError):
        session.series_count = 5  # type: ignore[misc]


# What is shown


def shows(session: Session) -> str:
    return f"{session!r} {session._repr_html_()} {dir(session)} {bool(session)} {session.explain()} {session.selection}"


@pytest.mark.parametrize(
    "prepare",
    [
        lambda session: session,
        lambda session: session.select(PatientName="Doe*"),
        lambda session: session.select(KVP=120),
        lambda session: session.select(Modality="CT").exclude(KVP=120),
        lambda session: session.table() is not None and session,
        lambda session: session.studies[0],
        lambda session: session.sort_by("KVP"),
    ],
)
@pytest.mark.parametrize("kind", list(SOURCES))
def test_showing_sends_no_request(prepare: Callable[[Session], Session], kind: str) -> None:
    session = prepare(three_series(**SOURCES[kind]))
    source = source_of(session)
    before = source.requests
    shows(session)
    assert source.requests == before
    source.break_at(1, AssertionError("asked"))
    shows(session)


def test_what_a_session_looks_like() -> None:
    session = three_series()
    assert repr(session) == "<Session memory: the whole archive>"
    session.select(Modality="CT")
    assert repr(session) == "<Session memory: 1 study, 2 series, 3 instances, selected by Modality == 'CT'>"
    session.table()
    assert repr(session) == "<Session memory: 1 patient, 1 study, 2 series, 3 instances, selected by Modality == 'CT'>"
    html = session._repr_html_()
    assert all(text in html for text in ("2 series", "<code>Modality == &#x27;CT&#x27;</code>", "scout", "head"))
    assert "wb" not in html


def test_hostile_values_are_escaped() -> None:
    hostile = "<script>alert(1)</script>"
    session = session_of(
        instance(1, PatientName=hostile, patient=hostile, Modality="CT", SeriesDescription=f"&{hostile}")
    )
    session.select(PatientName=hostile).select(Modality="CT")
    html = session._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 3


def test_many_rows_are_not_all_shown() -> None:
    session = session_of(*(instance(1, series=str(number), Modality="CT") for number in range(1300)))
    html = session.select(Modality="CT")._repr_html_()
    assert html.count("<tr>") == 6
    assert "and 1,295 more" in html
    assert "1,300 series" in html


def test_tab_offers_keywords_and_verbs() -> None:
    offered = dir(three_series())
    assert {"PatientName", "SliceThickness", "select", "get_array", "series_count"} <= set(offered)
    assert "" not in offered


# Order


NUMBERED = [instance(number, KVP=kvp) for number, kvp in enumerate(["100", "20", None, "1e2", "3"], 1) if kvp]


def test_sorting_is_numeric_stable_and_puts_the_missing_last() -> None:
    session = session_of(*NUMBERED, instance(6), instance(7, KVP="100.0"))
    numbers = [session.sort_by("KVP", order).get_dicom_tag("InstanceNumber") for order in ("ascending", "descending")]
    assert numbers == [[5, 2, 1, 4, 7, 6], [1, 4, 7, 2, 5, 6]]
    assert [int(header.InstanceNumber) for header in session.get_headers()] == numbers[1]
    assert [int(each.InstanceNumber) for each in session.get_instances()] == numbers[1]
    assert [child.InstanceNumbers[0] for child in session.instances] == numbers[1]
    assert list(session.table("InstanceNumber", level="instance")["InstanceNumber"]) == numbers[1]
    assert session.reset().InstanceNumbers == [1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("AcquisitionTime", ["11", "0930", "103000", "x"], [2, 3, 1, 4]),
        ("PatientAge", ["010Y", "011M", "003W"], [3, 2, 1]),
        ("ProtocolName", ["b", "a", "B"], [3, 2, 1]),
        ("AcquisitionDateTime", ["20200101+0100", "20200101"], [1, 2]),
    ],
)
def test_sorting_by_other_kinds(name: str, values: list[str], expected: list[int]) -> None:
    datasets = []
    for number, value in enumerate(values, 1):
        datasets.append(instance(number))
        put_raw(datasets[-1], name, value)
    session = session_of(*datasets).sort_by(name)
    assert session.InstanceNumbers == expected


@given(archives(1), st.sampled_from(NAMES), st.booleans())
def test_sorting_keeps_the_same_instances(datasets: list[Dataset], name: str, descending: bool) -> None:
    session = session_of(*datasets)
    plain = uids(session)
    found = uids(session.sort_by(name, "descending" if descending else "ascending"))
    assert sorted(found) == sorted(plain)


# Children


@given(archives(1), KEYWORDS, st.sampled_from(LEVELS))
def test_children_divide_the_selection_and_leave_it_alone(
    datasets: list[Dataset], tags: dict[str, Any], level: str
) -> None:
    session = session_of(*datasets).select(**tags)
    plain = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}[level]
    children = getattr(session, plain)
    before = session.selection, uids(session)
    parts = [uids(child) for child in children]
    assert sorted(uid for part in parts for uid in part) == sorted(before[1])
    assert all(getattr(child, f"{level}_count") == 1 for child in children)
    assert len(children) == getattr(session, f"{level}_count")
    for child in children:
        child.sort_by("KVP").select(InstanceNumber=0)
    assert (session.selection, uids(session)) == before


def test_children_are_a_sequence() -> None:
    series = three_series().select(Modality="CT").series
    assert [child.SeriesDescriptions for child in series] == [["scout"], ["head"]]
    assert series[-1].instance_count == 2
    assert [child.SeriesDescriptions for child in series[1:]] == [["head"]]
    assert repr(series) == "<2 sessions>"
    chain = {"PatientID": series[0].PatientID[0], "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.1"}
    assert series[0].selection == {"Modality": "CT", **chain}
    with pytest.raises(IndexError):
        series[2]


def test_children_are_those_of_the_moment_they_were_asked_for() -> None:
    session = three_series().select(Modality="CT")
    children = session.series
    session.reset().select(Modality="PT").sort_by("KVP")
    source_of(session).datasets.append(instance(3, series="2", Modality="CT"))
    session.refresh()
    child = children[1]
    chain = {"PatientID": "P1", "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.2"}
    assert child.selection == {"Modality": "CT", **chain}
    assert child.instance_count == 2
    assert child.refresh().instance_count == 3
    walked = []
    for each in session.reset().series:
        session.select(Modality="PT")
        walked.append((set(each.selection) == set(chain), each.copy().refresh().series_count))
    assert walked == [(True, 1)] * 3


def test_a_child_explains_all_its_criteria() -> None:
    parent = three_series().select(Modality="CT")
    child = parent.series[1]
    frame = child.explain()
    assert list(frame["criterion"]) == [
        "Modality == 'CT'",
        "PatientID == exact 'P1'",
        "StudyInstanceUID == exact '1.2.1'",
        "SeriesInstanceUID == exact '1.2.1.2'",
    ]
    assert list(frame["series"]) == [2, 1, 1, 1]
    assert list(frame["requests"])[1:] == [0, 0, 0]
    assert len(child.refresh().explain()) == 4
    assert len(parent.explain()) == 1


# Reading


def test_headers_one_and_all() -> None:
    session = three_series()
    with pytest.raises(AmbiguousSelectionError, match=r"4 instances are selected.*get_header\(0\)"):
        session.get_header()
    assert session.get_header(1).SOPInstanceUID == session.get_headers()[1].SOPInstanceUID == "1.2.1.2.1"
    assert [header.SOPInstanceUID for header in session.get_headers(index=-1)] == ["1.2.7.1.1"]
    with pytest.raises(SelectionError, match="index 4: 4 instances are selected, so it goes from 0 to 3"):
        session.get_header(4)
    assert session.select("1.2.7").get_header().PatientName == "Roe^Rick"


@pytest.mark.parametrize("index", ["0", "", 0.0, 1.5, True, [0, 1], slice(0, 2), "1.2.1.2"])
def test_an_index_is_a_whole_number(index: Any) -> None:
    session = three_series()
    for read in (session.get_header, session.get_headers):
        with pytest.raises(SelectionError, match=rf"index {re.escape(repr(index))}: .* as in get_header\(0\)"):
            read(index)
    assert session.get_header(np.int64(1)).SOPInstanceUID == "1.2.1.2.1"


def test_one_volume_of_two_series_is_refused_with_the_call_that_separates_them() -> None:
    session = three_series()
    with pytest.raises(
        AmbiguousSelectionError, match=r"3 series are selected.*select\(SeriesDescription='scout'\)"
    ) as caught:
        session.get_array()
    assert len(caught.value.candidates) == 3
    assert "'head' 1.2.1.2" in caught.value.candidates[1]


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({}, "select(SeriesInstanceUID='1.2.1.1')"),
        ({"SeriesDescription": ["a", "a"]}, "select(SeriesInstanceUID='1.2.1.1')"),
        ({"SeriesDescription": ["a", "b"]}, "select(SeriesDescription='a')"),
        ({"SeriesNumber": ["3", "4"]}, "select(SeriesNumber=3)"),
    ],
)
def test_the_separating_call(tags: dict[str, list[str]], says: str) -> None:
    one, other = ({name: values[place] for name, values in tags.items()} for place in (0, 1))
    session = session_of(instance(1, series="1", **one), instance(1, series="2", **other))
    with pytest.raises(AmbiguousSelectionError, match=re.escape(says)):
        session.get_volume()


def test_all_tags_of_one_series_and_of_several() -> None:
    dataset = instance(1, KVP="120")
    block = dataset.private_block(0x0009, "ACME", create=True)
    block.add_new(0x01, "LO", "x")
    session = session_of(dataset)
    assert session.get_all_dicom_tags()[-3:] == ["SeriesInstanceUID", "InstanceNumber", "0009,1001"] or (
        '(0009,"ACME",01)' in session.get_all_dicom_tags()
    )
    assert {"KVP", "PatientID"} <= set(session.get_all_dicom_tags())
    assert not any("ACME" in name for name in session.get_all_dicom_tags(include_private=False))
    for name in session.get_all_dicom_tags():
        assert session.get_dicom_tag(name)
    several = three_series().get_all_dicom_tags()
    assert "PatientName" in several
    assert not any(name.endswith("_count") for name in several)


# Keeping house


def test_refresh_keeps_the_selection_and_finds_what_is_new() -> None:
    session = three_series().select(Modality="CT")
    source_of(session).datasets.append(instance(1, series="3", Modality="CT", SeriesDescription="new"))
    assert session.series_count == 2
    assert session.refresh() is session
    assert session.SeriesDescriptions == ["scout", "head", "new"]
    assert session.selection == {"Modality": "CT"}
    with pytest.raises(SelectionError, match="there are 0 steps"):
        session.undo()
    del source_of(session).datasets[:3]
    assert session.refresh().SeriesDescriptions == ["new"]


def test_a_session_closes_its_source() -> None:
    with three_series() as session:
        assert not source_of(session).closed
    assert source_of(session).closed


def test_a_session_survives_pickle() -> None:
    session = three_series().select(tag("KVP") > 100, Modality="CT").sort_by("KVP")
    again = pickle.loads(pickle.dumps(session))
    assert again.selection == session.selection
    assert uids(again) == uids(session) == ["1.2.1.1.1"]
    again.reset()
    assert session.instance_count == 1


def test_a_criterion_that_cannot_be_pickled_is_named() -> None:
    session = three_series().select(Modality="CT").select(KVP=lambda number: number > 100)
    for _ in range(2):
        with pytest.raises(SelectionError, match=r"because of its criterion KVP where <lambda>.* write it with def"):
            pickle.dumps(session)
        # It can be copied all the same, and undone, but is pickled with its history.
        assert copy.copy(session).instance_count == session.copy().instance_count
        session.select(Modality="CT")
    session.reset()
    with pytest.raises(SelectionError, match="because of its criterion"):
        pickle.dumps(session)
    assert pickle.loads(pickle.dumps(session.copy())).instance_count == 4


def test_value_counts() -> None:
    counted = three_series().value_counts("Modality")
    assert dict(counted) == {"CT": 2, "PT": 1}
    assert list(counted) == [2, 1]
    kvp = three_series().value_counts("KVP")
    assert {None if value is pd.NA else value: int(count) for value, count in kvp.items()} == {
        120.0: 1,
        100.0: 1,
        None: 2,
    }
    assert dict(three_series().value_counts("Modality", level="instance")) == {"CT": 3, "PT": 1}


def test_how_many_requests_common_calls_take() -> None:
    session = three_series()
    session.select(PatientName="Doe*")
    assert [session.patient_count, session.study_count, session.series_count, session.instance_count] == [1, 1, 2, 3]
    assert source_of(session).requests <= 4
    fresh = three_series()
    assert fresh.SeriesDescriptions == ["scout", "head", "wb"]
    assert source_of(fresh).requests <= 3


def test_the_order_of_instances_comes_back_with_the_selection() -> None:
    session = three_series()
    session.sort_by("InstanceNumber", order="descending")
    descending = session.InstanceNumber
    with session.selecting(Modality="CT"):
        session.sort_by("InstanceNumber")
    assert session.InstanceNumber == descending
    assert session.reset().InstanceNumber == descending[::-1]
    assert session.undo().InstanceNumber == descending


def test_undo_keeps_a_later_order() -> None:
    session = session_of(instance(1, Modality="CT"), instance(2, Modality="CT"), instance(3, series="2", Modality="PT"))
    session.select(Modality="CT").sort_by("InstanceNumber", "descending")
    assert session.InstanceNumbers == [2, 1]
    assert session.undo().InstanceNumbers == [3, 2, 1]
    with pytest.raises(SelectionError, match="there are 0 steps"):
        session.undo()
    session.select(Modality="CT").reset().sort_by("InstanceNumber")
    assert session.undo(2).InstanceNumbers == [1, 2, 3]


def test_assigning_none_resets_the_order_too() -> None:
    session = session_of(instance(1), instance(2)).sort_by("InstanceNumber", "descending")
    session.selection = {}
    assert session.InstanceNumbers == [2, 1]
    session.selection = None
    assert session.InstanceNumbers == [1, 2]
    assert session.undo().InstanceNumbers == [2, 1]


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
