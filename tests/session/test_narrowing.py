"""Select and exclude over an archive in memory: what they mean, and what explain tells of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value, comparable
from simple_orthanc.errors import (
    SelectionError,
)
from simple_orthanc.selection.conditions import Condition
from simple_orthanc.selection.criteria import exact, has_series, label, like, metadata, tag
from simple_orthanc.session import Session
from tests.memory_source import MemorySource, archives, instance, put_raw
from tests.session.sessions import (
    CONDITIONS,
    KEYWORDS,
    NAMES,
    SOURCES,
    quiet,
    session_of,
    source_of,
    three_series,
    two_spellings,
    uids,
)

pytestmark = pytest.mark.usefixtures("empty_selections")


def by_value(value: Any, name: str) -> Any:
    """Dates and times are listed as they stand, and compared by value."""
    found = (
        comparable(value, parse_tag(name).vr)
        if isinstance(value, str) and parse_tag(name).vr in ("DA", "TM", "DT")
        else None
    )
    return value if found is None else found


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
def test_an_unreadable_value_is_selected_by_its_exact_string(datasets: list[Dataset], name: str) -> None:
    for dataset in datasets[:1]:
        put_raw(dataset, name, "unknown")
        session = session_of(*datasets)
        found = session.select(**{name: exact("unknown")})
        assert dataset.SOPInstanceUID in uids(found)
        assert all(value in ("unknown", None) for value in found.get_dicom_tag(name, unique=False, level="instance"))


UNREADABLE = {"StudyDate": "20200231", "AcquisitionDate": "unknown", "AcquisitionTime": "106015"}


@pytest.mark.parametrize("name", list(UNREADABLE))
def test_an_invalid_date_can_be_selected_once_it_was_listed(name: str) -> None:
    text = UNREADABLE[name]
    first, other = instance(1, study="1"), instance(1, study="2")
    put_raw(first, name, text)
    session = session_of(first, other)
    with pytest.raises(SelectionError, match=rf"{name}='{text}': .* the string itself is exact\('{text}'\)"):
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
def test_several_values_where_the_standard_allows_one_are_selected_as_listed(name: str, text: str) -> None:
    first, other = instance(1, study="1"), instance(1, study="2", SeriesTime="10", ProtocolName="a\\bc", KVP="1")
    put_raw(first, name, text)
    session = session_of(first, other)
    assert text in session.get_dicom_tag(name)
    assert session.copy().select(**{name: text}).StudyInstanceUIDs == ["1.2.1"]
    assert session.copy().select(**{name: exact(text)}).StudyInstanceUIDs == ["1.2.1"]
    assert session.copy().exclude(**{name: [text]}).StudyInstanceUIDs == ["1.2.2"]


def test_a_stored_string_that_looks_like_a_range_matches_only_itself() -> None:
    text = "20200101-20200131"
    first, other = instance(1, study="1"), instance(1, study="2", StudyDate="20200115")
    put_raw(first, "StudyDate", text)
    session = session_of(first, other)
    assert session.copy().select(StudyDate=text).StudyInstanceUIDs == ["1.2.1"]
    assert session.copy().exclude(StudyDate=text).StudyInstanceUIDs == ["1.2.2"]
    found = session.copy().select(StudyDate=text)
    assert f"'{text}' is a value in the archive, so it alone is meant" in found.explain()["decided"][0]
    assert session_of(other).select(StudyDate=text).StudyInstanceUIDs == ["1.2.2"]
    assert session.copy().select(StudyDate=("20200101", "20200131")).StudyInstanceUIDs == ["1.2.2"]


def test_an_invalid_number_is_listed_and_selected_as_missing() -> None:
    wrong, missing, right = instance(1), instance(2), instance(3, KVP="120")
    put_raw(wrong, "KVP", "abc")
    session = session_of(wrong, missing, right)
    assert session.get_dicom_tag("KVP", unique=False) == [None, None, 120.0]
    assert session.copy().select(KVP=None).InstanceNumbers == [1, 2]
    assert session.copy().exclude(KVP=None).InstanceNumbers == [3]
    assert session.copy().select(~tag("KVP").is_missing()).InstanceNumbers == [3]
    assert session.copy().select(KVP=exact("abc")).InstanceNumbers == [1]


def plainly(datasets: Iterable[Dataset], condition: Condition) -> set[str]:
    """Filter headers in plain Python."""

    def one(dataset: Dataset) -> bool:
        def value(name: Any) -> Value:
            return read_value(dataset, name)

        masks = [[comparison.holds(value(comparison.field))] for comparison in condition.comparisons()]
        return condition.evaluate(masks)[0]

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


def test_exclude_is_the_complement_of_select() -> None:
    """Exclude leaves out what select keeps, also if a text stands as it is only in what another criterion left out."""
    session = session_of(
        instance(1, series="1", Modality="CT", ProtocolName="head"),
        instance(1, series="2", Modality="PT", ProtocolName="HEAD"),
    )
    assert session.copy().select(Modality="CT", ProtocolName="HEAD").Modalities == ["CT"]
    assert session.copy().exclude(Modality="CT", ProtocolName="HEAD").Modalities == ["PT"]


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
def test_a_string_keeps_its_meaning(other: str, again: Callable[[Session], object]) -> None:
    """A text stands in the archive as it is; that a criterion on the study is applied again before it is no matter."""
    session = two_spellings(other).select(SequenceName="*fl2d1")
    assert session.StudyDescriptions == ["y"]
    quiet(lambda: session.select(StudyDescription="x"))
    assert session.instance_count == 0
    quiet(lambda: again(session))
    assert session.instance_count == 0
    assert "'*fl2d1' is a value in the archive, so it alone is meant" in " ".join(session.explain()["decided"])
    assert session.reset("StudyDescription").StudyDescriptions == ["y"]


def test_a_string_that_matched_nothing_stays_literal_or_wildcard() -> None:
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
def test_exclude_is_the_complement_whatever_strings_mean(
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


def owners(session: Session, of: str) -> list[tuple[str, ...]]:
    """Return for each selected instance the identifiers of its study or patient."""
    names = ["PatientID", "StudyInstanceUID"] if of == "study" else ["PatientID"]
    columns = [session.get_dicom_tag(name, unique=False, level="instance") for name in names]
    return list(zip(*columns, strict=True))


@given(
    archives(),
    CONDITIONS,
    CONDITIONS,
    st.sampled_from(["study", "patient"]),
    st.booleans(),
    st.sampled_from(list(SOURCES)),
)
@pytest.mark.filterwarnings("ignore:PatientAge is missing")
def test_a_question_about_series_selects_what_a_loop_over_studies_selects(
    datasets: list[Dataset], inner: Condition, outer: Condition, of: Any, is_negated: bool, kind: str
) -> None:
    session = session_of(*datasets, **SOURCES[kind])
    holding = set(owners(session_of(*datasets).select(inner), of))
    narrowed = session.copy().select(outer)
    expected = [
        uid for uid, owner in zip(uids(narrowed), owners(narrowed, of), strict=True) if (owner in holding) != is_negated
    ]
    question = ~has_series(inner, of=of) if is_negated else has_series(inner, of=of)
    assert uids(narrowed.copy().select(question)) == expected
    assert uids(session_of(*datasets, **SOURCES[kind]).select(question, outer)) == expected
    kept = session_of(*datasets, **SOURCES[kind]).select(outer & question)
    assert uids(kept) == expected
    assert uids(kept.refresh()) == expected
    kept.selection = kept.selection
    assert uids(kept) == expected
    complement = narrowed.copy().exclude(question)
    assert sorted(uids(complement) + expected) == sorted(uids(narrowed))


def test_explain_names_a_literal() -> None:
    session = session_of(
        instance(1, series="1", SeriesDescription="T2*_GRE"), instance(1, series="2", SeriesDescription="T2x_GRE")
    )
    assert session.copy().select(SeriesDescription="T2?_GRE").series_count == 2
    assert session.copy().select(SeriesDescription=like("T2*_GRE")).series_count == 2
    session.select(SeriesDescription="T2*_GRE")
    assert session.SeriesDescriptions == ["T2*_GRE"]
    assert "'T2*_GRE' is a value in the archive, so it alone is meant" in session.explain()["decided"][0]


def test_explain_shows_where_and_how_many() -> None:
    session = three_series()
    assert session.explain().empty
    frame = session.select(PatientID="P1").select(KVP=120).explain()
    assert list(frame.columns) == ["criterion", "decided", "requests", "patients", "studies", "series", "instances"]
    assert list(frame["criterion"]) == ["PatientID == 'P1'", "KVP == 120"]
    assert list(frame["decided"]) == ["server, checked here", "here, in 3 files"]
    assert list(frame["instances"])[1] == 1
    assert frame["requests"].sum() == source_of(session).requests
    assert {str(kind) for kind in frame.dtypes} <= {"string", "str", "Int64"}


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


def test_a_selection_that_becomes_empty_names_the_criterion() -> None:
    session = three_series()
    with pytest.warns(
        UserWarning, match=r"Nothing is selected any more: no object satisfies Modality == 'US'\."
    ) as caught:
        session.select(Modality="US")
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="satisfies Modality == 'PT' among those already selected"):
        three_series().select(PatientID="P1").select(Modality="PT")
    with pytest.warns(UserWarning, match="satisfies Modality == 'PT' among those that the other criteria leave"):
        three_series().select(PatientID="P1", Modality="PT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session.select(KVP=120)
    assert (session.patient_count, session.instance_count, len(session), bool(session)) == (0, 0, 0, True)
    assert session.table().empty
    assert session.SeriesDescriptions == []
    assert list(session.series) == []


def test_labels_and_metadata_reach_down_from_any_level() -> None:
    session = three_series()
    source_of(session).server_fields = {
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
