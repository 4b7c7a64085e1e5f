"""Acting on what is selected, on each version of Orthanc: at each level, across objects, and on what is gone."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simple_orthanc import LocalOrthanc, Orthanc, SelectionError, TransportError, UnsupportedError, label, metadata
from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level, depth
from simple_orthanc.errors import EmptySelectionError
from simple_orthanc.local.server import free_port
from simple_orthanc.session.acts import archives
from simple_orthanc.testing import orthanc_id_of
from tests.conftest import MakeServer, ask
from tests.faults.restarts import USER, in_the_middle, killed
from tests.live.archives import header_of, simple_file, store

# PatientID, study, series and number of instances.
SERIES = [("P1", 1, 1, 2), ("P1", 1, 2, 2), ("P1", 2, 1, 1), ("P2", 3, 1, 1)]
# One object of each level, with the number of its instances, and an object that it is a part of.
ONE: dict[Level, tuple[dict[str, Any], int]] = {
    "patient": ({"PatientID": "P1"}, 5),
    "study": ({"StudyInstanceUID": "1.2.1"}, 4),
    "series": ({"SeriesInstanceUID": "1.2.1.1"}, 2),
    "instance": ({"SOPInstanceUID": "1.2.1.1.1"}, 1),
}
LABEL = pytest.mark.parametrize("verb", ["add_label", "set_metadata"])
LEVEL = pytest.mark.parametrize("level", LEVELS)


def files() -> list[bytes]:
    found = []
    for patient, study, series, count in SERIES:
        uids = {"PatientID": patient, "StudyInstanceUID": f"1.2.{study}", "SeriesInstanceUID": f"1.2.{study}.{series}"}
        for number in range(1, count + 1):
            uid = f"1.2.{study}.{series}.{number}"
            found.append(simple_file(0, SOPInstanceUID=uid, InstanceNumber=number, Modality="CT", **uids))
    return found


@pytest.fixture
def filled(empty_server: LocalOrthanc) -> Iterator[Orthanc]:
    store(empty_server, *files())
    with empty_server.connect() as session:
        yield session


def held(server: LocalOrthanc) -> set[str]:
    """Return the SOPInstanceUIDs that the server holds, asked without the library."""
    return {row["MainDicomTags"]["SOPInstanceUID"] for row in ask(server, "/instances?expand")}


def part_of(level: Level) -> dict[str, Any]:
    """Return what selects a part of an object only."""
    below = LEVELS[depth(level) + 1]
    return ONE[below][0]


# Deleting


@LEVEL
def test_what_is_selected_is_deleted(empty_server: LocalOrthanc, filled: Orthanc, level: Level) -> None:
    selection, count = ONE[level]
    before = held(empty_server)
    filled.select(**selection)
    meant = set(filled.get_dicom_tag("SOPInstanceUID"))
    planned = filled.delete(level, dry_run=True)
    assert held(empty_server) == before
    table = filled.delete(level)
    assert list(table.columns) == [
        "level",
        *(IDENTIFIERS[each] for each in LEVELS[: depth(level) + 1]),
        *("instance_count", "status", "message"),
    ]
    assert (planned.status.tolist(), table.status.tolist()) == (["would be deleted"], ["deleted"])
    assert table.drop(columns="status").equals(planned.drop(columns="status"))
    assert table.instance_count.tolist() == [len(meant)] == [count]
    assert held(empty_server) == before - meant
    assert filled.instance_count == 0
    assert filled.reset().instance_count == 6 - count


@pytest.mark.parametrize("level", LEVELS[:-1])
def test_what_holds_more_is_not_deleted(empty_server: LocalOrthanc, filled: Orthanc, level: Level) -> None:
    filled.select(**part_of(level))
    with pytest.raises(SelectionError, match=r"left out \(1\.2\..*, which would be deleted too.*whole=True"):
        filled.delete(level)
    if level != "series":
        with pytest.raises(SelectionError, match="whole=True"):
            getattr(filled, f"delete_selected_{level}")()
    assert len(held(empty_server)) == 6
    assert filled.delete(level, whole=True).instance_count.tolist() == [ONE[level][1]]
    assert len(held(empty_server)) == 6 - ONE[level][1]


def test_a_selection_across_series_is_deleted_image_by_image(empty_server: LocalOrthanc, filled: Orthanc) -> None:
    filled.select(InstanceNumber=1)
    with pytest.raises(SelectionError, match="2 instances that the selection left out"):
        filled.delete("series")
    assert filled.delete("instance").status.tolist() == ["deleted"] * 4
    assert held(empty_server) == {"1.2.1.1.2", "1.2.1.2.2"}


def test_nothing_is_deleted_where_nothing_is_selected(empty_server: LocalOrthanc, filled: Orthanc) -> None:
    with pytest.warns(UserWarning, match="Nothing is selected"):
        filled.select(PatientID="P9")
    with pytest.raises(EmptySelectionError, match="so nothing was deleted"):
        filled.delete()
    assert len(held(empty_server)) == 6


def test_the_whole_archive_is_deleted_only_in_these_words(empty_server: LocalOrthanc, filled: Orthanc) -> None:
    with pytest.raises(SelectionError, match="everything=True"):
        filled.delete("patient")
    assert filled.delete("patient", everything=True).PatientID.tolist() == ["P1", "P2"]
    assert held(empty_server) == set()


@pytest.mark.on_postgresql
def test_what_is_gone_and_what_has_arrived_since(empty_server: LocalOrthanc, filled: Orthanc) -> None:
    filled.select(PatientID=["P1", "P2"])
    filled.table(level="instance")
    other = empty_server.connect()
    other.select("1.2.3").delete("study")
    store(empty_server, simple_file(0, PatientID="P1", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.9"))
    with pytest.raises(SelectionError, match=r"1 series that the selection left out \(1\.2\.1\.9\)"):
        filled.delete("study")
    table = filled.delete("series")
    assert dict(zip(table.SeriesInstanceUID, table.status, strict=True)) == {
        **{"1.2.1.1": "deleted", "1.2.1.2": "deleted", "1.2.2.1": "deleted"},
        "1.2.3.1": "gone",
    }
    assert len(held(empty_server)) == 1


def test_what_a_server_forbids_is_a_row(make_server: MakeServer, server: LocalOrthanc, tmp_path: Path) -> None:
    script = tmp_path / "filter.lua"
    script.write_text(
        "function IncomingHttpRequestFilter(method, uri)\n"
        "  return method ~= 'DELETE' or not string.find(uri, KEPT, 1, true)\nend\n"
    )
    key = orthanc_id_of(header_of(files()[0]), "series")
    script.write_text(f"KEPT = '{key}'\n" + script.read_text())
    guarded = make_server({"LuaScripts": [str(script)]})
    store(guarded, *files())
    with guarded.connect() as session:
        table = session.select(PatientID="P1").delete()
        assert dict(zip(table.SeriesInstanceUID, table.status, strict=True)) == {
            "1.2.1.1": "failed",
            "1.2.1.2": "deleted",
            "1.2.2.1": "deleted",
        }
        assert "403" in table.message[0]
        assert session.SeriesInstanceUIDs == ["1.2.1.1"]


@pytest.mark.one_version
def test_a_server_killed_in_the_middle_is_waited_for(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server({"HttpPort": free_port(), "RegisteredUsers": USER}, folder=tmp_path)
    with server, server.connect() as session:
        session.upload_file(many())
        session.select(PatientID="MANY")
        table = in_the_middle(server, session, 60, lambda: session.set_metadata("1024", "x", "instance"))
        assert table.status.tolist() == ["annotated"] * MANY
        assert session.set_metadata("1024", "x", "instance").status.tolist() == ["already there"] * MANY
        table = in_the_middle(server, session, 20, lambda: session.delete("instance"))
        assert set(table.status) <= {"deleted", "gone"}
        assert len(table) == MANY
        assert session.rest.get("/statistics")["CountInstances"] == 0


@pytest.mark.one_version
def test_an_archive_of_a_server_that_dies_is_not_there(
    make_server: MakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server({"HttpPort": free_port(), "RegisteredUsers": USER}, folder=tmp_path / "server")
    wait = archives.wait_or_cancel

    def wait_after_death(job: Any, **options: Any) -> Any:
        killed(server)
        return wait(job, **options)

    with server:
        with server.connect() as session:
            session.upload_file(many())
        with server.connect(patience=0.2) as session:
            session.select(PatientID="MANY")
            monkeypatch.setattr(archives, "wait_or_cancel", wait_after_death)
            with pytest.raises(TransportError):
                session.archive(tmp_path / "a.zip")
            assert not (tmp_path / "a.zip").exists()
            monkeypatch.undo()
            server.start()
            assert len(members(session.archive(tmp_path / "a.zip"))) == MANY


@pytest.mark.one_version
def test_a_server_that_is_gone_leaves_a_table_that_is_true(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server({"HttpPort": free_port(), "RegisteredUsers": USER}, folder=tmp_path)
    with server:
        with server.connect() as session:
            session.upload_file(many())
        with server.connect(patience=0.2) as session:
            session.select(PatientID="MANY")
            session._delete_object = dying_at(20, session._delete_object, server)  # type: ignore[method-assign]
            with pytest.raises(TransportError, match=r"19 of 60 objects are known to be deleted") as caught:
                session.delete("instance")
        table = caught.value.table
        assert table.status.tolist() == ["deleted"] * 19 + ["failed"] + ["not tried"] * 40
        assert "may or may not be deleted" in table.message[19]
        server.start()
        left = set(server.connect().get_dicom_tag("SOPInstanceUID"))
        assert left == set(table.SOPInstanceUID[19:])
        with server.connect() as session:
            assert session.select(PatientID="MANY").delete("instance").status.tolist() == ["deleted"] * 41


MANY = 60


def many() -> list[bytes]:
    return [simple_file(number, PatientID="MANY") for number in range(MANY)]


def dying_at(number: int, delete: Callable[[Level, str], bool], server: LocalOrthanc) -> Callable[[Level, str], bool]:
    """Return a function that deletes, and kills the server before one of its calls."""
    calls = []

    def delete_until(level: Level, key: str) -> bool:
        calls.append(key)
        if len(calls) == number:
            killed(server)
        return delete(level, key)

    return delete_until


# Labels and metadata


def write(session: Orthanc, verb: str, *arguments: Any, **options: Any) -> pd.DataFrame:
    """Write a label or metadata."""
    given = ("seen",) if verb == "add_label" else ("1024", "Müller")
    table: pd.DataFrame = getattr(session, verb)(*given, *arguments, **options)
    return table


def selects(verb: str) -> Any:
    return label("seen") if verb == "add_label" else metadata("1024") == "Müller"


DONE = {"add_label": "labelled", "set_metadata": "annotated"}


@LABEL
@LEVEL
def test_what_is_selected_is_labelled(filled: Orthanc, verb: str, level: Level) -> None:
    if verb == "add_label" and not filled.rest.capabilities.labels:
        with pytest.raises(UnsupportedError, match=r"Labels need Orthanc 1\.12\.0; .* 1\.10\.1.*set_metadata"):
            filled.select(PatientID="P1").add_label("seen")
        return
    selection, count = ONE[level]
    filled.select(**selection)
    given = {"level": "patient"} if level == "patient" else {}
    planned = write(filled, verb, **given, dry_run=True)
    assert set(planned.status) == {f"would be {DONE[verb]}"}
    assert set(planned.level) == {level}
    table = write(filled, verb, **given)
    assert table.status.tolist() == [DONE[verb]]
    assert write(filled, verb, **given).status.tolist() == ["already there"]
    assert filled.reset().select(selects(verb)).instance_count == count
    with pytest.raises(SelectionError, match="the whole archive would be"):
        write(filled.reset(), verb)


@LABEL
@pytest.mark.parametrize("level", LEVELS[:-1])
def test_what_holds_more_is_not_labelled(filled: Orthanc, verb: str, level: Level) -> None:
    filled.select(**part_of(level))
    if verb == "add_label" and not filled.rest.capabilities.labels:
        with pytest.raises(UnsupportedError, match=r"1\.12\.0"):
            write(filled, verb, level)
        return
    with pytest.raises(SelectionError, match=f"left out.*would be {DONE[verb]} too"):
        write(filled, verb, level)
    assert write(filled, verb, level, whole=True).status.tolist() == [DONE[verb]]
    assert filled.reset().select(selects(verb)).instance_count == ONE[level][1]


def test_labels_are_listed_and_removed(empty_server: LocalOrthanc, filled: Orthanc) -> None:
    if not filled.rest.capabilities.labels:
        for verb in (filled.labels, lambda: filled.select("1.2.1").remove_label("a")):
            with pytest.raises(UnsupportedError, match=r"1\.12\.0"):
                verb()
        return
    assert len(filled.labels()) == 0
    filled.select("1.2.1").add_label("b")
    filled.add_label("a", "patient", whole=True)
    filled.reset().select("1.2.1.1").add_label("a")
    filled.reset().select("1.2.3.1.1").add_label("A")
    rows = filled.reset().labels().fillna("")
    assert rows.values.tolist() == [
        ["patient", "P1", "", "", "", "a"],
        ["study", "P1", "1.2.1", "", "", "b"],
        ["series", "P1", "1.2.1", "1.2.1.1", "", "a"],
        ["instance", "P2", "1.2.3", "1.2.3.1", "1.2.3.1.1", "A"],
    ]
    assert filled.select("1.2.1.2").labels().label.tolist() == ["a", "b"]
    assert filled.reset().select(PatientID=["P1", "P2"]).remove_label("b").status.tolist() == [
        *("unlabelled", "not there", "not there")
    ]
    assert ask(empty_server, "/tools/labels") == ["A", "a"]
    with pytest.raises(SelectionError, match="cannot be a label, and nothing was sent"):
        filled.add_label("two words")


def test_metadata_names_are_those_of_the_configuration(make_server: MakeServer) -> None:
    server = make_server({"UserMetadata": {"Reader": 1025}})
    store(server, *files())
    with server.connect() as session:
        session.select(PatientID="P1")
        assert session.set_metadata("Reader", "A").status.tolist() == ["annotated"] * 2
        table = session.set_metadata(1025, b"B")
        assert table.previous_value.tolist() == ["A", "A"]
        if session.rest.capabilities.version < (1, 12):
            # It does not list the names that it knows.
            unknown = session.set_metadata("Raeder", "A")
            assert set(unknown.status) == {"failed"}
            message = unknown.message[0]
        else:
            with pytest.raises(SelectionError) as caught:
                session.set_metadata("Raeder", "A")
            message = str(caught.value)
            assert "names Reader under UserMetadata" in message
        assert "The server has no metadata 'Raeder' that can be written" in message
        for name, value in ((1023, "x"), ("", "x"), (1024, 3)):
            with pytest.raises(SelectionError):
                session.set_metadata(name, value)  # type: ignore[arg-type]


def test_what_is_gone_is_not_labelled(empty_server: LocalOrthanc, filled: Orthanc) -> None:
    filled.select(PatientID=["P1", "P2"])
    filled.table(level="study")
    empty_server.connect().select(PatientID="P2").delete("study")
    assert filled.set_metadata("1024", "x").status.tolist() == ["annotated", "annotated", "gone"]
    if filled.rest.capabilities.labels:
        assert filled.reset().select(PatientID="P1").add_label("x").status.tolist() == ["labelled"] * 2


# Archives


def members(path: Path) -> dict[str, bytes]:
    """Return the files of a zip other than its DICOMDIR, by SOPInstanceUID."""
    with zipfile.ZipFile(path) as archive:
        contents = [archive.read(name) for name in archive.namelist() if not name.endswith("DICOMDIR")]
    return {str(header_of(content).SOPInstanceUID): content for content in contents}


@pytest.mark.parametrize("media", [False, True])
def test_exactly_what_is_selected_is_archived(filled: Orthanc, tmp_path: Path, media: bool) -> None:
    by_uid = {str(header_of(content).SOPInstanceUID): content for content in files()}
    selections = [selection for selection, _ in ONE.values()]
    for number, selection in enumerate([*selections, {"InstanceNumber": 1}, {"PatientID": ["P1", "P2"]}]):
        path = filled.reset().select(**selection).archive(tmp_path / f"{number}.zip", media=media)
        uids = filled.get_dicom_tag("SOPInstanceUID")
        assert members(path) == {uid: by_uid[uid] for uid in uids}
        with zipfile.ZipFile(path) as archive:
            assert ("DICOMDIR" in archive.namelist()) == media
    assert len(list(tmp_path.iterdir())) == 6


def test_a_file_that_is_there_is_kept(filled: Orthanc, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"mine")
    with pytest.raises(SelectionError, match="the whole archive would be archived"):
        filled.archive(tmp_path / "b.zip")
    filled.select(PatientID="P2")
    with pytest.raises(SelectionError, match=r"already, and nothing was archived.*overwrite=True"):
        filled.archive(path)
    assert path.read_bytes() == b"mine"
    filled.archive(path, overwrite=True)
    assert list(members(path)) == ["1.2.3.1.1"]
    for wrong in (tmp_path, tmp_path / "none" / "a.zip", "", 7):
        with pytest.raises(SelectionError):
            filled.archive(wrong)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.one_version
def test_what_the_server_cannot_read_is_no_archive(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server({"MaximumStorageCacheSize": 0}, folder=tmp_path / "server")
    store(server, *files())
    with server.connect() as session:
        lost = session.rest.instances[orthanc_id_of(header_of(files()[0]))].description["FileUuid"]
        (stored,) = (tmp_path / "server").rglob(lost)
        stored.unlink()
        session.select(PatientID="P1")
        with pytest.raises(TransportError, match="has 5 instances, and the zip holds 4: the server leaves out"):
            session.archive(tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_what_is_gone_cannot_be_archived(empty_server: LocalOrthanc, filled: Orthanc, tmp_path: Path) -> None:
    filled.select(PatientID=["P1", "P2"])
    filled.table(level="series")
    empty_server.connect().select(PatientID="P2").delete("study")
    with pytest.raises(SelectionError, match="1 of 4 selected objects is not in the archive any more"):
        filled.archive(tmp_path / "a.zip")
    assert len(members(filled.refresh().archive(tmp_path / "a.zip"))) == 5
