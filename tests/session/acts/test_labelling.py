"""Labels and metadata are read back after they were written, on a server in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc import Orthanc, SelectionError, ServerError, UnsupportedError
from simple_orthanc.rest.objects.labels import Labels
from simple_orthanc.rest.objects.metadata import Metadata
from simple_orthanc.session.acts.labelling import level_of_selection
from tests.orthanc_stand_in import OrthancServer
from tests.session.sessions import source_of, three_series


@pytest.fixture
def stand_in() -> Iterator[OrthancServer]:
    with OrthancServer(source_of(three_series()).datasets) as running:
        yield running


@pytest.fixture
def session(stand_in: OrthancServer) -> Iterator[Orthanc]:
    with Orthanc(stand_in.url) as opened:
        yield opened


def test_the_level_is_the_one_at_which_the_selection_was_made(session: Orthanc) -> None:
    assert level_of_selection(session, None) == "study"
    assert level_of_selection(session.select(PatientID="P1"), None) == "study"
    assert level_of_selection(session.select(Modality="CT"), None) == "series"
    assert level_of_selection(session.select(InstanceNumber=1), None) == "instance"
    assert level_of_selection(session, "patient") == "patient"
    with pytest.raises(SelectionError, match="is not a level"):
        level_of_selection(session, "image")


def test_a_label_selects_what_it_was_given_to(session: Orthanc, stand_in: OrthancServer) -> None:
    table = session.select(Modality="CT").add_label("seen")
    assert table.values.tolist() == [
        ["series", "P1", "1.2.1", "1.2.1.1", 1, "labelled", ""],
        ["series", "P1", "1.2.1", "1.2.1.2", 2, "labelled", ""],
    ]
    assert sorted(stand_in.labels.values()) == [["seen"], ["seen"]]
    assert session.add_label("seen", dry_run=True).status.tolist() == ["already there"] * 2
    assert session.remove_label("other").status.tolist() == ["not there"] * 2
    assert session.remove_label("seen", dry_run=True).status.tolist() == ["would be unlabelled"] * 2
    assert session.remove_label("seen").status.tolist() == ["unlabelled"] * 2
    assert not any(stand_in.labels.values())


def test_metadata_has_what_was_there_before(session: Orthanc, stand_in: OrthancServer) -> None:
    session.select(PatientID="P2")
    assert session.set_metadata(1024, "first").previous_value.isna().tolist() == [True]
    table = session.set_metadata("1024", b"second")
    assert (table.status[0], table.previous_value[0]) == ("annotated", "first")
    assert session.set_metadata("1024", "second").status.tolist() == ["already there"]
    assert session.set_metadata("1024", "third", dry_run=True).status.tolist() == ["would be annotated"]
    assert [entries["1024"] for entries in stand_in.metadata.values() if entries] == ["second"]


def nothing(*_: Any) -> None:
    """Do nothing, in the place of a method that writes."""


def refuse(*_: Any) -> None:
    raise ServerError("The server refused.", status=403)


def test_a_server_that_only_pretends_is_found_out(session: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    session.select("1.2.1.1").add_label("old")
    monkeypatch.setattr(Labels, "add", nothing)
    monkeypatch.setattr(Labels, "discard", nothing)
    monkeypatch.setattr(Metadata, "__setitem__", nothing)
    for table, what in (
        (session.add_label("new"), "it has no label new"),
        (session.remove_label("old"), "it has still the label old"),
        (session.set_metadata("1024", "x"), "it has no value of the metadata 1024"),
    ):
        assert table.status.tolist() == ["failed"]
        assert what in table.message[0]


def test_what_is_refused_is_a_row(session: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    session.select(Modality="PT")
    monkeypatch.setattr(Labels, "add", refuse)
    assert session.add_label("new").message.tolist() == ["The server refused."]


def test_what_goes_in_the_meantime_is_gone(
    session: Orthanc, stand_in: OrthancServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: Any) -> None:
        stand_in.datasets = [dataset for dataset in stand_in.datasets if dataset.PatientID == "P1"]

    def refuse_after_loss(labels: Labels, name: str) -> None:
        lose()
        labels._address.get("labels")

    monkeypatch.setattr(Labels, "add", refuse_after_loss)
    session.select(Modality="PT")
    assert session.add_label("new").status.tolist() == ["gone"]
    assert session.instance_count == 0


def test_metadata_of_what_goes_in_the_meantime(
    session: Orthanc, stand_in: OrthancServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(metadata: Metadata, name: str, value: bytes) -> None:
        stand_in.datasets = []

    monkeypatch.setattr(Metadata, "__setitem__", lose)
    session.select(Modality="PT")
    assert session.set_metadata("1024", "x").status.tolist() == ["gone"]


@pytest.mark.parametrize(
    ("name", "value"), [(1023, "x"), ("Reader", "x"), ("١٠٢٤", "x"), ("", "x"), (True, "x"), ("1024", 7)]
)
def test_what_cannot_be_written_is_refused_before_anything_is_sent(
    session: Orthanc, stand_in: OrthancServer, name: Any, value: Any
) -> None:
    session.select(PatientID="P1")
    with pytest.raises(SelectionError):
        session.set_metadata(name, value)
    assert not any(stand_in.metadata.values())


def test_an_orthanc_without_labels() -> None:
    with OrthancServer(source_of(three_series()).datasets, "1.10.1") as server, Orthanc(server.url) as session:
        session.select(PatientID="P1")
        for verb in (session.labels, lambda: session.add_label("x"), lambda: session.remove_label("x")):
            with pytest.raises(UnsupportedError, match=r"need Orthanc 1\.12\.0.*set_metadata\(\"1024\""):
                verb()
        # It does not list the names of metadata that it knows.
        assert session.set_metadata("1024", "x").status.tolist() == ["annotated"]
