"""On every server a selection is what filtering the headers of all files in plain Python gives, at all four levels."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc import Folder, LocalOrthanc, Orthanc, age, exact, has_series, like, tag
from tests.conftest import MakeServer, empty
from tests.examples import examples
from tests.live.archives import LEVELS, Question, archives, header_of, key_of, keys_of, questions, simple_file, store

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

Narrow = Callable[[Orthanc], object]
Holds = Callable[[Dataset], bool]

# Each attempt to make a failure smaller is an upload, and the question that failed is in the message.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def assert_selected(session: Orthanc, kept: Sequence[Dataset]) -> None:
    for level, identifiers in LEVELS.items():
        columns = [session.get_dicom_tag(name, unique=False, level=level) for name in identifiers]
        rows = [tuple(value or "" for value in row) for row in zip(*columns, strict=True)]
        assert len(rows) == len(set(rows))
        wrong = set(rows) ^ keys_of(kept, level)
        assert not wrong, f"level {level}: {sorted(wrong)}, of {len(rows)} rows"
        assert getattr(session, f"{level}_count") == len(rows)


def condition_of(question: Question) -> Any:
    """Return a question as a condition, for the operators that join conditions."""
    if callable(question.value):
        return tag(question.name).where(question.value)
    return tag(question.name) == question.value if question.name else question.value


def joined(found: Sequence[Question], way: str) -> Any:
    tree, *others = [condition_of(question) for question in found]
    for other in others:
        tree = tree | other if way == "or" else tree & other
    return tree


@st.composite
def asked_of_series(
    draw: st.DrawFn, found: Sequence[Question], headers: Sequence[Dataset]
) -> tuple[str, Narrow, Holds]:
    """Ask for the studies or patients that have an instance for which all questions hold."""
    of: Literal["study", "patient"] = draw(st.sampled_from(["study", "patient"]))
    condition = has_series(joined(found, "and"), of=of)
    holding = [header for header in headers if all(question.holds(header) for question in found)]
    owners = keys_of(holding, of)
    return (
        f"{of} with {found}",
        lambda session: session.select(condition),
        lambda header: key_of(header, of) in owners,
    )


def asked_jointly(found: Sequence[Question], way: str) -> tuple[str, Narrow, Holds]:
    tree = joined(found, way)

    def all_hold(header: Dataset) -> bool:
        return all(question.holds(header) for question in found)

    if way == "not":
        return f"~({found})", lambda session: session.select(~tree), lambda header: not all_hold(header)
    holds = all_hold if way == "and" else lambda header: any(question.holds(header) for question in found)
    return f"{way} {found}", lambda session: session.select(tree), holds


@st.composite
def asked(draw: st.DrawFn, headers: Sequence[Dataset]) -> tuple[str, Narrow, Holds]:
    """Some questions at once, one after the other, joined to one condition, or excluded; and what is to be left."""
    way = draw(st.sampled_from(["select", "chain", "exclude", "and", "or", "not", "copy", "undo", "series"]))
    count = draw(st.integers(1, 3))
    found: list[Question] = [
        draw(questions(headers, alone=count == 1 and way not in ("undo", "series"))) for _ in range(count)
    ]
    # A keyword can be given once only.
    found = list({question.name or f"condition {place}": question for place, question in enumerate(found)}.values())
    tags = {question.name: question.value for question in found if question.name}
    conditions = [question.value for question in found if not question.name]

    def all_hold(header: Dataset) -> bool:
        return all(question.holds(header) for question in found)

    def chain(session: Orthanc) -> None:
        for question in found:
            session.select(**{question.name: question.value}) if question.name else session.select(question.value)

    if way == "series":
        return draw(asked_of_series(found, headers))
    if way in ("and", "or", "not"):
        return asked_jointly(found, way)
    if way == "exclude":
        return (
            f"exclude {found}",
            lambda session: session.exclude(*conditions, **tags),
            lambda header: not all_hold(header),
        )
    if way == "chain":
        return f"chain {found}", chain, all_hold
    if way == "undo":
        last = found[-1]

        def undone(session: Orthanc) -> None:
            session.select(Modality="CT")
            session.select(**{last.name: last.value}) if last.name else session.select(last.value)
            session.undo()

        return f"undo {last}", undone, lambda header: header.Modality == "CT"
    if way == "copy":

        def put_back(session: Orthanc) -> None:
            other = session.copy().select(*conditions, **tags)
            session.selection = other.selection

        return f"copy {found}", put_back, all_hold
    return f"select {found}", lambda session: session.select(*conditions, **tags), all_hold


def ask_all(server: LocalOrthanc, data: st.DataObject, questions_asked: int) -> None:
    files = data.draw(archives())
    empty(server)
    store(server, *files)
    headers = [header_of(content) for content in files]
    with server.connect() as session:
        for _ in range(questions_asked):
            what, narrow, holds = data.draw(asked(headers))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Nothing is selected any more")
                narrow(session)
            kept = [header for header in headers if holds(header)]
            try:
                assert_selected(session, kept)
            except AssertionError as error:
                raise AssertionError(f"{what} on {server.version}: {error}") from error
            session.reset()


@given(data=st.data())
@settings(max_examples=examples(16, thorough=400), phases=PHASES)
def test_selects_what_the_headers_say(server: LocalOrthanc, data: st.DataObject) -> None:
    server.start()
    ask_all(server, data, 15)


@pytest.mark.on_postgresql(only=True)
@given(data=st.data())
@settings(max_examples=examples(5, thorough=80), phases=PHASES)
def test_selects_on_postgresql_what_the_headers_say(server: LocalOrthanc, data: st.DataObject) -> None:
    ask_all(server, data, 15)


@pytest.mark.parametrize(
    "config",
    [
        {"LimitFindResults": 4, "LimitFindInstances": 4},
        {"StorageAccessOnFind": "Never"},
        {"StorageAccessOnFind": "Answers"},
    ],
    ids=["four results", "no files", "answers only"],
)
def test_selects_the_same_where_the_server_limits_its_results(make_server: MakeServer, config: dict[str, Any]) -> None:
    limited = make_server(config)

    @given(data=st.data())
    @settings(max_examples=examples(5, thorough=120), phases=PHASES, suppress_health_check=list(HealthCheck))
    def run(data: st.DataObject) -> None:
        ask_all(limited, data, 15)

    run()


def two_spellings() -> list[bytes]:
    first = [
        simple_file(number, PatientName="Meier^Anna", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1")
        for number in (1, 2)
    ]
    second = simple_file(3, PatientName="Mayer^Anna", StudyInstanceUID="1.2.2", SeriesInstanceUID="1.2.2.1")
    return [*first, second]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("Meier^Anna", (1, 1, 1, 2)),
        ("Mayer^Anna", (1, 1, 1, 1)),
        ("m*er^anna", (1, 2, 2, 3)),
        ("Meyer^Anna", (0, 0, 0, 0)),
    ],
)
def test_finds_one_patient_by_either_spelling(
    empty_server: LocalOrthanc, orthanc: Orthanc, name: str, counts: tuple[int, ...]
) -> None:
    files = two_spellings()
    store(empty_server, *files)
    if any(counts):
        orthanc.select(PatientName=name)
    else:
        with pytest.warns(UserWarning, match="Nothing is selected"):
            orthanc.select(PatientName=name)
    assert (orthanc.patient_count, orthanc.study_count, orthanc.series_count, orthanc.instance_count) == counts
    kept = [header for header in map(header_of, files) if name == "m*er^anna" or header.PatientName == name]
    assert_selected(orthanc, kept)
    if any(counts):
        assert set(orthanc.PatientNames) == {str(header.PatientName) for header in kept}
        assert set(orthanc.table("PatientName", level="series").PatientName) == set(orthanc.PatientNames)


def test_patients_that_differ_in_case_only_are_distinguished(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    store(empty_server, *(simple_file(number, PatientID=name) for number, name in enumerate(["abc", "ABC", "aBc"])))
    assert sorted(orthanc.PatientIDs) == ["ABC", "aBc", "abc"]
    for name in ("abc", "ABC", "aBc"):
        orthanc.reset().select(PatientID=name)
        assert (orthanc.patient_count, orthanc.instance_count, orthanc.PatientIDs) == (1, 1, [name])
    assert orthanc.reset().select(PatientID="?BC").PatientIDs == ["ABC"]


SPECIAL = ["T2*_GRE", "T2x_GRE", "t2*_gre", "[x]?", "[x]y", "100%", "1000", "a_b", "axb", "*", "?"]


@pytest.mark.on_postgresql
def test_a_string_that_the_archive_holds_matches_itself(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    store(
        empty_server,
        *(
            simple_file(number, SeriesInstanceUID=f"1.2.3.{number}", SeriesDescription=text)
            for number, text in enumerate(SPECIAL)
        ),
    )
    assert set(orthanc.SeriesDescriptions) == set(SPECIAL)
    for text in SPECIAL:
        assert orthanc.reset().select(SeriesDescription=text).SeriesDescriptions == [text]
        assert orthanc.reset().select(Modality="CT").select(SeriesDescription=text).SeriesDescriptions == [text]
        assert orthanc.reset().select(SeriesDescription=exact(text)).SeriesDescriptions == [text]
    assert "it alone is meant" in orthanc.reset().select(SeriesDescription="T2*_GRE").explain().decided[0]
    assert set(orthanc.reset().select(SeriesDescription=like("T2*_GRE")).SeriesDescriptions) == {
        "T2*_GRE",
        "T2x_GRE",
        "t2*_gre",
    }
    assert set(orthanc.reset().select(SeriesDescription="[x]*").SeriesDescriptions) == {"[x]?", "[x]y"}
    assert orthanc.reset().select(SeriesDescription=SPECIAL).series_count == len(SPECIAL)


def same(name: str, found: Any, value: Any) -> bool:
    # Dates compare by value, however they are written.
    return (found or "").replace(".", "") == value.replace(".", "") if name == "StudyDate" else bool(found == value)


@pytest.mark.on_postgresql
def test_every_value_that_a_table_shows_selects_its_rows(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    @given(data=st.data())
    @settings(max_examples=examples(5, thorough=120), phases=PHASES, suppress_health_check=list(HealthCheck))
    def run(data: st.DataObject) -> None:
        empty(empty_server)
        store(empty_server, *data.draw(archives()))
        session = empty_server.connect()
        whole = session.copy()
        names = [
            "PatientName",
            "PatientID",
            "StudyDescription",
            "StudyDate",
            "SeriesDescription",
            "SeriesNumber",
            "OperatorsName",
        ]
        names += ["KVP", "ImageType", "SliceThickness", "ImageComments", "SequenceName"]
        for name in names:
            values = whole.get_dicom_tag(name, unique=False, level="instance")
            uids = whole.get_dicom_tag("SOPInstanceUID", unique=False, level="instance")
            for value in whole.get_dicom_tag(name):
                session.reset().select(**{name: value})
                selected = session.get_dicom_tag("SOPInstanceUID", unique=False, level="instance")
                wanted = [uid for uid, found in zip(uids, values, strict=True) if same(name, found, value)]
                assert sorted(selected) == sorted(wanted), (name, value)
        session.close()

    run()


COHORT = [
    # Patient, PatientAge, PatientBirthDate, and of each series its modality, description and thickness.
    ("P1", "063Y", "", [("CT", "T1 axial", "1"), ("SEG", "liver", "")]),
    ("P2", "", "19600302", [("MR", "T1 sagittal", "1"), ("MR", "T2 axial", "5")]),
    ("P3", "", "19600301", [("CT", "thorax", "5")]),
    ("p4", "006M", "", [("MR", "T1 axial", "1")]),
]


def cohort() -> list[bytes]:
    files = []
    for patient, age_string, born, series in COHORT:
        for number, (modality, description, thickness) in enumerate(series):
            study = f"1.2.3.{COHORT.index((patient, age_string, born, series))}"
            tags = {"PatientID": patient, "PatientAge": age_string, "PatientBirthDate": born, "StudyDate": "20200301"}
            tags |= {"Modality": modality, "SeriesDescription": description, "SliceThickness": thickness}
            uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{number}"}
            uids["SOPInstanceUID"] = f"{study}.{number}.1"
            files.append(simple_file(1, **tags, **uids))
    return files


def test_ages_questions_about_series_and_hints(empty_server: LocalOrthanc, orthanc: Orthanc, tmp_path: Path) -> None:
    files = cohort()
    store(empty_server, *files)
    for number, content in enumerate(files):
        (tmp_path / str(number)).write_bytes(content)
    folder, over_dicomweb = Folder(tmp_path), orthanc.dicomweb
    both = [has_series(Modality="CT"), has_series(Modality="SEG")]
    hints = {
        "SeriesDescription='*T1*' matches 3 series": {"SeriesDescription": "T1"},
        "Modality=['CT', 'MR'] matches 5 series": {"Modality": "CT,MR"},
        "PatientID='p4' matches 1 study": {"PatientID": "P4"},
        "SliceThickness=1.0 matches 3 series; SliceThickness=5.0 matches 2 series": {"SliceThickness": 2},
    }
    for session in (orthanc, folder, over_dicomweb):
        assert session.copy().select(*both).PatientIDs == ["P1"]
        assert session.copy().select(Modality="SEG").select(has_series(Modality="CT")).Modalities == ["SEG"]
        assert session.copy().select(Modality="CT").exclude(*both).PatientIDs == ["P3"]
        assert session.copy().select(age() >= 60).PatientIDs == ["P1", "P3"]
        assert session.copy().select(age().between(None, 1)).PatientIDs == ["p4"]
        thin = session.copy().select(age() > 50, tag("SliceThickness") < 2, SeriesDescription="*T1*")
        assert thin.PatientIDs == ["P1", "P2"]
        session.table()
        for hint, tags in hints.items():
            with pytest.warns(UserWarning, match=re.escape(hint)):
                session.copy().select(**tags)
    with empty_server.connect() as fresh, pytest.warns(UserWarning, match="matches 3 series"):
        fresh.select(SeriesDescription="T1")


def test_thousands_of_uids_are_found_whichever_of_them_are_there(empty_server: LocalOrthanc) -> None:
    held = [f"1.2.3.5.{number}" for number in range(450)]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, uid in enumerate(held):
            archive.writestr(f"{number}.dcm", simple_file(number, SeriesInstanceUID=uid))
    # One request for all: each has its price.
    store(empty_server, packed.getvalue())
    asked = [uid for pair in zip(held, (f"1.2.3.6.{number}" for number in range(450)), strict=True) for uid in pair]
    asked += [f"1.2.3.7.{number}" for number in range(5000)]
    session = empty_server.connect().select(SeriesInstanceUID=asked)
    assert sorted(session.SeriesInstanceUIDs) == sorted(held)
    # The server is asked for some hundreds at a time, and for one page more where a page may not be the last.
    assert session._source.requests < 60
    assert session.exclude(SeriesInstanceUID=held[1:]).SeriesInstanceUIDs == held[:1]
