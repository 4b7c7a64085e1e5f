"""The session as a whole: tags as attributes, what is shown of it, and what Tab and help list."""

from __future__ import annotations

import inspect
import pydoc
import re
from collections.abc import Callable
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from simple_orthanc import DicomWeb, Folder, Orthanc, Session
from tests.memory_source import instance
from tests.session.sessions import SOURCES, session_of, source_of, three_series

pytestmark = pytest.mark.usefixtures("empty_selections")


def test_keywords_are_attributes_in_singular_and_plural() -> None:
    session = three_series()
    assert session.PatientName == session.PatientNames == ["Doe^Jane", "Roe^Rick"]
    assert session.Modalities == ["CT", "PT"]
    assert session.SeriesDescriptions == ["scout", "head", "wb"]
    assert session.KVPs == [120.0, 100.0]
    assert session.StudyDates == []


@pytest.mark.parametrize("name", ["nonsense", "patientname", "s", "es", "_ipython_display_", "_private", "__array__"])
def test_nonsense_is_not_an_attribute(name: str) -> None:
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


def shows(session: Session) -> str:
    written = f"{session!r} {session!s} {session._repr_html_()} {session.explain()} {session.selection}"
    return f"{written} {dir(session)} {bool(session)}"


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
    assert "scout" in str(session)
    assert "wb" not in str(session)


@pytest.mark.parametrize("kind", list(SOURCES))
def test_ipython_shows_the_several_lines_and_python_the_one(kind: str) -> None:
    session = three_series(**SOURCES[kind]).select(Modality="CT")
    session.table()
    shown = pretty(session)
    assert shown == str(session)
    assert len(shown.splitlines()) > 5
    assert "\n" not in repr(session)


def test_what_was_deleted_meanwhile_can_still_be_shown() -> None:
    session = three_series().select(Modality="CT")
    children = session.series
    source_of(session).datasets.clear()
    # The copy shares what is known of the archive.
    assert len(session.copy().reset().table()) == 0
    assert repr(session).endswith("selected by Modality == 'CT'>")
    assert "Modality == &#x27;CT&#x27;" in session._repr_html_()
    assert "2 sessions" in children._repr_html_()
    assert str(session)


def pretty(value: object) -> str:
    """Return what a terminal with IPython shows of a value."""
    return str(DisplayFormatter().format(value)[0]["text/plain"])


def test_hostile_values_are_escaped() -> None:
    hostile = "<script>alert(1)</script>"
    session = session_of(
        instance(1, PatientName=hostile, patient=hostile, Modality="CT", SeriesDescription=f"&{hostile}")
    )
    session.select(PatientName=hostile).select(Modality="CT")
    session.table()
    html = session._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 4


def test_tab_offers_keywords_and_verbs() -> None:
    offered = dir(three_series())
    assert {"PatientName", "SliceThickness", "select", "get_array", "series_count"} <= set(offered)
    assert "" not in offered
    assert len(offered) < 300


@pytest.mark.parametrize("looker", ["rlcompleter", "jedi.inference.compiled.access", "_pydevd_bundle.pydevd_resolver"])
def test_programs_that_read_all_attributes_read_no_tags(looker: str) -> None:
    scope: dict[str, Any] = {"__name__": looker}
    exec(
        "def look(value): return {name: getattr(value, name, None) for name in dir(value) if name[0].isupper()}", scope
    )
    session = three_series()
    assert set(scope["look"](session).values()) <= {None}
    assert source_of(session).requests == 0
    assert session.Modality == ["CT", "PT"]


VERBS = {
    *("close", "copy", "exclude", "explain", "refresh", "reset", "select", "selecting", "selection", "sort_by", "undo"),
    *("patient_count", "study_count", "series_count", "instance_count", "patients", "studies", "series", "instances"),
    *(
        "describe",
        "first",
        "get_all_dicom_tags",
        "get_dicom_tag",
        "table",
        "value_counts",
        "verify_index",
        "volume_table",
    ),
    *("download", "get_header", "get_headers", "get_instances"),
    *("get_array", "get_image", "get_volume", "get_volumes"),
}
ACTS = {
    *("delete", "delete_selected_patient", "delete_selected_study", "delete_selected_series", "rest"),
    *("upload_dataset", "upload_file", "upload_folder", "upload_pydicom_dataset"),
}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (Session, set()),
        (Folder, {"files"}),
        (DicomWeb, ACTS),
        (
            Orthanc,
            {
                *(*ACTS, "dicomweb", "get_orthanc_ids", "interface"),
                *("add_label", "remove_label", "labels", "set_metadata", "archive"),
            },
        ),
    ],
)
def test_tab_and_help_list_every_verb_with_what_it_does(kind: type[Session], more: set[str]) -> None:
    public = [name for name in dir(kind) if not name.startswith("_")]
    assert {*VERBS, *more} <= set(public)
    help_text = pydoc.plain(pydoc.render_doc(kind))
    for name in public:
        assert inspect.getdoc(getattr(kind, name)), name
        assert re.search(rf"^ \|  {name}\b", help_text, re.MULTILINE), name
    assert set(public) <= set(dir(kind.__new__(kind)))


def test_help_shows_the_summary_of_a_verb_once() -> None:
    help_text = pydoc.plain(pydoc.render_doc(Orthanc))
    for verb in (Session.select, Session.get_volume, Session.table):
        summary = (inspect.getdoc(verb) or "").splitlines()[0]
        assert help_text.count(summary) == 1
