"""Notes and marks on a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simple_orthanc.phantom import make_series
from simple_orthanc.session.acts.copy_notes import MARK, NOTE, Note, Notes
from simple_orthanc.testing import OrthancStandIn

ONE_OF_NO_TIME = '{"mark": "a", "trace": "b", "series": {}, "before": [], "begun": "noon"}'


@pytest.fixture
def archive() -> Iterator[OrthancStandIn]:
    with OrthancStandIn(make_series((2, 4, 4))) as server:
        yield server


def test_a_note_is_written_read_and_removed(archive: OrthancStandIn) -> None:
    with archive.connect() as session:
        (patient,) = session.get_orthanc_ids("patient")
        notes, note = Notes(session.rest), Note("a:b", "ModifiedFrom", {"series": 2}, ["older copy"], "20200101T120000")
        assert notes.read(patient) is None
        notes.write(patient, note)
        assert notes.read(patient) == note
        notes.write(patient, note, "job")
        assert notes.read(patient) == Note(
            "a:b", "ModifiedFrom", {"series": 2}, ["older copy"], "20200101T120000", "job"
        )
        notes.remove(patient)
        notes.remove(patient)
        assert notes.read(patient) is None


@pytest.mark.parametrize("written", ["", "of somebody", "[]", "3", '{"mark": "a"}', ONE_OF_NO_TIME])
def test_what_is_no_note_is_none(archive: OrthancStandIn, written: str) -> None:
    with archive.connect() as session:
        (patient,) = session.get_orthanc_ids("patient")
        archive.metadata[patient] = {NOTE: written}
        assert Notes(session.rest).read(patient) is None


def test_series_are_marked(archive: OrthancStandIn) -> None:
    with archive.connect() as session:
        (series,) = session.get_orthanc_ids("series")
        notes = Notes(session.rest)
        assert notes.mark_of(series) == notes.mark_of("gone") == ""
        notes.mark(series, "a:b")
        assert notes.mark_of(series) == "a:b"
        assert archive.metadata[series] == {MARK: "a:b"}
