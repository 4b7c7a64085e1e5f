"""What Tab offers at a place in code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import simple_orthanc
from simple_orthanc import AsyncSession, Folder, LocalOrthanc, Orthanc, tag
from simple_orthanc.session.completion.offers import complete
from tests.memory_source import instance
from tests.session.sessions import session_of, source_of, three_series
from tests.sources.pacs.stand_in import PacsServer


def offered(code: str, **names: Any) -> list[str]:
    found = complete(code, names)
    return [] if found is None else [text for text, _ in found.offers]


@pytest.fixture(scope="module")
def session() -> simple_orthanc.Session:
    """Return a session that has listed its archive, which answers no request any more."""
    session = three_series()
    session.describe("KVP", files=True)
    source_of(session).break_at(source_of(session).requests + 1, AssertionError("asked"))
    return session


def test_verbs_come_first_and_then_the_tags_that_are_there(session: simple_orthanc.Session) -> None:
    names = offered("session.", session=session)
    verbs = [name for name in names if name.islower()]
    assert names[: len(verbs)] == sorted(verbs)
    assert {"select", "table", "series_count"} < set(verbs)
    assert names[len(verbs) :][:2] == ["Modality", "SeriesDescription"]
    assert "StudyDate" not in names
    assert len(names) < 200


def test_any_keyword_is_completed(session: simple_orthanc.Session) -> None:
    assert "SliceThickness" in offered("session.Slic", session=session)
    assert "StudyDate" in offered("session.Stu", session=session)
    assert offered("session.slicethickn", session=session) == ["SliceThickness"]
    assert offered("session.sel", session=session) == ["select", "selecting", "selection"]
    assert offered("session._", session=session) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('session.select(Modality="', ["CT", "PT"]),
        ('session.exclude(Modality="P', ["PT"]),
        ("with session.selecting(Modality='", ["CT", "PT"]),
        ("session.select(Modality=", ['"CT"', '"PT"']),
        ("session.select(KVP=", ["100.0", "120.0"]),
        ('session.select(SeriesDescription=["head", "', ["head", "scout", "wb"]),
        ('session.select(Modality="CT").exclude(PatientName="D', ["Doe^Jane"]),
        ('session.exclude(SeriesDescription="\\d" "\\w").select(Modality="', ["CT", "PT"]),
        ('session.copy().reset().series[0].select(Modality="', ["CT", "PT"]),
        ('session.series[1:][0].select(Modality="', ["CT", "PT"]),
        ('sessions[0].select(Modality="', ["CT", "PT"]),
        ('sessions[1].select(Modality="', []),
        ('by_name["a"].select(Modality="', ["CT", "PT"]),
        ('holder.orthanc.select(Modality="', ["CT", "PT"]),
        ('session.select(Nonsense="', []),
        ('session.select("', []),
        ('session.table(level="', ["patient", "study", "series", "instance"]),
        ('session.table("KVP", varying="', ["na", "list"]),
        ('session.get_volume("SUVb', ["SUVbw", "SUVbsa"]),
        ('session.get_array(units="sto', ["stored"]),
        ("session.get_image(gaps=", ['"raise"', '"nan"']),
        ('session.get_volumes(gaps="', ["raise", "nan", "split"]),
        ('session.get_volume("stored", "raise", "', ["time", "echo", "b", "phase"]),
        ('session.save_volumes("x", dims="', ["time", "echo", "b", "phase"]),
        ('session.sort_by("KVP", "', ["ascending", "descending"]),
        ('session.save_volumes("x", format=".n', [".nii.gz", ".nrrd"]),
        ('session.get_volume().plot(plane="', ["axial", "coronal", "sagittal"]),
        ('session.get_volume().mip("', ["slice", "row", "column"]),
        ("session.PatientNames.so", ["sort"]),
        ("session.get_volume().arr", ["array"]),
        ("session.table().colu", ["columns"]),
        ("session.series_count.bit_c", ["bit_count"]),
        ("session.PatientNames[0].upp", ["upper"]),
        ("session.KVPs[0].is_", ["is_integer"]),
        ("for value in session.Modalities: value.upp", ["upper"]),
        ("[child for child in session.series if child.get_arr", ["get_array"]),
        ("session.series.ind", ["index"]),
        ("session.table(", ["level=", "varying="]),
        ('session.table("KVP", ', ["level=", "varying="]),
        ("session.nonsense", []),
        ("session.get_volume().array.so", []),
        ("session.table(nonsense", []),
        ("Orthanc.__new__(Orthanc).jobs.tab", []),
        ("session.table(level='study', va", ["varying=", "vars"]),
        (
            "session.get_volume('stored', ",
            ["gaps=", "dims=", "spacing=", "across_series=", "errors=", "slices=", "lazy="],
        ),
        ("session.select(oth", ["other"]),
        ("session.select(tag('KVP') > 1, (1 + oth", []),
        ("session.series[0].select(1 + oth", ["other"]),
        ("session.series[0].select(1 + ", []),
        ('print("session.', []),
        ('other.select(Modality="', []),
        ("len(", []),
        ("unknown.", []),
        ("session.nonsense.", []),
        ("session.select(Modality='CT')[0].", []),
    ],
)
def test_arguments(session: simple_orthanc.Session, code: str, expected: list[str]) -> None:
    names: dict[str, Any] = {
        "session": session,
        "sessions": [session],
        "by_name": {"a": session},
        "holder": SimpleNamespace(orthanc=session),
        "other": SimpleNamespace(select=lambda **tags: tags),
        "len": len,
    }
    assert offered(code, **names) == expected


@pytest.mark.parametrize(
    "call",
    [
        "table(",
        "value_counts(",
        "describe(",
        "get_dicom_tag(",
        "sort_by(",
        "reset(",
        "first(",
        "table([",
        "table('KVP', ",
    ],
)
def test_names_of_tags(session: simple_orthanc.Session, call: str) -> None:
    names = offered(f'session.{call}"', session=session)
    assert names[:2] == ["Modality", "SeriesDescription"]
    assert "StudyDate" not in names
    assert ("series_count" in names) == call.startswith("table")
    assert "StudyDate" in offered(f'session.{call}"StudyD', session=session)


def test_tags_to_select_by(session: simple_orthanc.Session) -> None:
    assert offered("session.select(", session=session)[:2] == ["Modality=", "SeriesDescription="]
    assert "Modality=" not in offered("session.select(Modality='CT', ", session=session)
    assert "StudyDate=" in offered("session.select(StudyDat", session=session)
    assert offered("session.select(tag", session=session, tag=tag, tagged=1) == ["tag", "tagged"]
    assert all(name.removesuffix("=").isidentifier() for name in offered("session.select(", session=session))


def test_without_a_session_the_usual_tags_are_offered() -> None:
    names: dict[str, Any] = {"Orthanc": Orthanc, "so": simple_orthanc, "tag": tag, "LocalOrthanc": LocalOrthanc}
    for opened in ("Orthanc('x')", "so.Folder('x')", "LocalOrthanc().connect()", "so.Orthanc.from_profile('x')"):
        assert offered(f"{opened}.select(", **names)[:2] == ["Modality=", "SeriesDescription="], opened
        assert {"get_volume", "PatientName"} < set(offered(f"{opened}.", **names)), opened
    assert "SliceThickness" in offered('tag("Sli', **names)
    assert offered("so.Orthanc().get_volume(gaps='", **names) == ["raise", "nan"]
    # The class itself is left to others.
    assert offered("Orthanc.", **names) == []
    assert offered("Orthanc(ho", **names) == ["host="]
    assert offered("so.Orth", **names) == []


def test_modalities_by_the_names_that_the_server_has_listed() -> None:
    with PacsServer([]) as server, Orthanc(server.url) as orthanc:
        assert offered('orthanc.modalities["', orthanc=orthanc) == []
        names = list(orthanc.modalities)
        requests = orthanc._source.requests
        assert offered('orthanc.modalities["', orthanc=orthanc) == names
        assert offered("orthanc.modalities['P", orthanc=orthanc) == ["PACS"]
        assert offered("orthanc.rest.rou", orthanc=orthanc) == ["routes"]
        assert offered("orthanc.jobs.tab", orthanc=orthanc) == ["table"]
        assert offered('other.modalities["', other=SimpleNamespace(modalities={"PACS": 1})) == []
        assert orthanc._source.requests == requests


def test_values_of_an_archive_that_nothing_is_known_of() -> None:
    assert offered("session.select(PatientSex='", session=three_series()) == ["F", "M", "O"]
    assert offered("Orthanc().select(Modality='C", Orthanc=Orthanc) == ["CT", "CR"]


def test_a_session_that_could_not_be_opened() -> None:
    half = Folder.__new__(Folder)
    assert {"select", "Modality"} < set(offered("half.", half=half))
    assert offered('half.select(PatientName="', half=half) == []


def test_a_condition_is_about_the_session_around_it(session: simple_orthanc.Session) -> None:
    names: dict[str, Any] = {"session": session, "tag": tag, "so": simple_orthanc}
    assert offered("session.select(so.has_series(SeriesDescription='", **names) == ["head", "scout", "wb"]
    assert offered("so.has_series(SeriesDescription='", **names) == []
    assert "StudyDate" not in offered('session.select(KVP=1).exclude(~(tag("', **names)
    assert "StudyDate" in offered('print(tag("', **names)


def test_an_asynchronous_session(session: simple_orthanc.Session) -> None:
    names = {"session": AsyncSession(session)}
    assert {"select", "assign", "Modality"} < set(offered("await session.", **names))
    assert offered('await session.select(Modality="', **names) == ["CT", "PT"]
    assert offered('(await session.select(KVP=1)).table(level="', **names) == ["patient", "study", "series", "instance"]


@pytest.mark.parametrize(
    ("code", "typed"),
    [
        ("session.series[0].nonsense", "nonsense"),
        ("session.KVPs[0].nonsense", "nonsense"),
        ("session.nothing.nonsense", "nonsense"),
        ("session.patients[0].get_volume().array.nonsense", "nonsense"),
        ("session.patients[0].table(nonsense", "nonsense"),
    ],
)
def test_nobody_evaluates_what_takes_requests(session: simple_orthanc.Session, code: str, typed: str) -> None:
    found = complete(code, {"session": session})
    assert found is not None
    assert (found.typed, found.offers, found.is_all) == (typed, [(typed, "value")], True)


@pytest.mark.parametrize("value", ['3" head', "it's", "back\\slash", "two\nlines", "\x1b[31mred", "T2*", "ü"])
@pytest.mark.parametrize("quote", ['"', "'", '"""', ""])
def test_what_is_offered_is_the_value_as_python_writes_it(value: str, quote: str) -> None:
    session = session_of(instance(1, SeriesDescription=value))
    session.describe()
    (found,) = offered(f"session.select(SeriesDescription={quote}", session=session)
    assert found.isprintable()
    assert eval(f"{quote}{found}{quote}") == value


@pytest.mark.parametrize(
    "before",
    [
        "other = session\n",
        "other = session.select(KVP=120)  \n",
        "for other in session.series:\n    ",
        "with session.selecting(KVP=120) as other:\n    ",
        "other = session\nother = other.copy()\n",
        "names = session.series\nfor other in names:\n    ",
        "other = 1\nother = session\n",
    ],
)
def test_names_that_the_same_code_binds(session: simple_orthanc.Session, before: str) -> None:
    assert offered(f'{before}other.select(Modality="', session=session) == ["CT", "PT"]


@pytest.mark.parametrize(
    "before", ["session = [\n", "session = session.nonsense()\n", "# session = 1\n", "session == 1\n"]
)
def test_a_name_whose_new_value_is_not_known_is_the_earlier_one(session: simple_orthanc.Session, before: str) -> None:
    assert offered(f'{before}session.select(Modality="', session=session) == ["CT", "PT"]


def test_nothing_of_the_user_is_executed(session: simple_orthanc.Session) -> None:
    class Dangerous:
        @property
        def session(self) -> object:
            raise AssertionError

        def __getattr__(self, name: str) -> object:
            raise AssertionError

        def __getitem__(self, name: object) -> object:
            raise AssertionError

        def __call__(self) -> object:
            raise AssertionError

    for code in ("x.", "x.session.", "x.y.z", "x[0].", "x().", "x.select(Modality='", "x(", "[x][0]."):
        assert offered(code, x=Dangerous()) == []
