"""Uploading to real servers: one row per file, nothing lost, nothing of the user's touched."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from simple_orthanc import LocalOrthanc, Orthanc, SelectionError, TransportError, limits
from simple_orthanc.files import streaming as long_files
from simple_orthanc.phantom import as_bytes, make_series
from tests.bombs import nested_dataset, nested_file


def by_name(table):
    return {(Path(row.path).name if isinstance(row.path, str) else None): row for row in table.itertuples()}


def tree_digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """A folder as users have them: DICOM among everything else."""
    folder = tmp_path / "pile"
    (folder / "inner" / "deeper").mkdir(parents=True)
    first, second, third, fourth, fifth = make_series(shape=(5, 4, 4), seed=11)
    (folder / "a.dcm").write_bytes(as_bytes(first))
    (folder / "no_extension").write_bytes(as_bytes(second))
    (folder / "again.dcm").write_bytes(as_bytes(first))
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "notes.txt").write_text("not an image")
    (folder / "truncated.dcm").write_bytes(as_bytes(third)[:200])
    shutil.copy(get_testdata_file("DICOMDIR"), folder / "DICOMDIR")
    (folder / "inner" / "c.dcm").write_bytes(as_bytes(fourth))
    (folder / "inner" / "deeper" / "d.dcm").write_bytes(as_bytes(fifth))
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("x/e.dcm", as_bytes(third))
        archive.writestr("readme.txt", "hello")
    (folder / "broken.zip").write_bytes((folder / "more.zip").read_bytes()[:-30])
    return folder


@pytest.mark.on_postgresql
def test_each_file_gets_its_row(orthanc: Orthanc, pile: Path) -> None:
    before = tree_digest(pile)
    table = orthanc.upload_folder(pile)
    assert list(table.columns) == ["path", "member", "status", "SOPInstanceUID", "message"]
    rows = by_name(table[table.member.isna()])
    statuses = {name: row.status for name, row in rows.items()}
    assert statuses == {
        "a.dcm": statuses["a.dcm"],
        "again.dcm": statuses["again.dcm"],
        "no_extension": "stored",
        "empty.dcm": "not DICOM",
        "notes.txt": "not DICOM",
        "truncated.dcm": "failed",
        "DICOMDIR": "skipped",
        "inner": "skipped",
        "broken.zip": "failed",
    }
    assert sorted([statuses["a.dcm"], statuses["again.dcm"]]) == ["already stored", "stored"]
    assert "recursive=True" in rows["inner"].message
    members = table[table.member.notna()].set_index("member").status.to_dict()
    assert members == {"x/e.dcm": "stored", "readme.txt": "not DICOM"}
    assert rows["a.dcm"].SOPInstanceUID == pydicom.dcmread(pile / "a.dcm").SOPInstanceUID
    assert orthanc.instance_count == 3
    assert tree_digest(pile) == before


def test_folders_inside_are_entered_when_asked(orthanc: Orthanc, pile: Path) -> None:
    (pile / "inner" / "circle").symlink_to(pile)
    table = orthanc.upload_folder(str(pile), recursive=True)
    rows = by_name(table[table.member.isna()])
    assert rows["d.dcm"].status == "stored"
    assert rows["circle"].status == "skipped"
    assert orthanc.instance_count == 5


def test_without_checks_the_server_decides_what_is_dicom(orthanc: Orthanc, pile: Path) -> None:
    table = orthanc.upload_file([pile / "notes.txt", pile / "a.dcm", "/no/such/file"], test_dicom=False)
    assert table.status.tolist() == ["not DICOM", "stored", "failed"]
    assert orthanc.instance_count == 1


@pytest.mark.on_postgresql
def test_uploading_again_is_harmless_and_another_content_is_a_conflict(orthanc: Orthanc) -> None:
    (image,) = make_series(shape=(1, 4, 4), seed=3)
    assert orthanc.upload_dataset(image).status.tolist() == ["stored"]
    assert orthanc.upload_dataset([image]).status.tolist() == ["already stored"]
    image.PixelData = (np.frombuffer(image.PixelData, "int16") + 1).tobytes()
    table = orthanc.upload_pydicom_dataset(image)
    assert table.status.tolist() == ["conflict"]
    assert "another file" in table.message[0]


@pytest.mark.on_postgresql
def test_datasets_are_not_changed_and_bad_ones_are_named(orthanc: Orthanc, tmp_path: Path) -> None:
    (image,) = make_series(shape=(1, 4, 4), seed=4)
    path = tmp_path / "mine.dcm"
    path.write_bytes(as_bytes(image))
    mine = pydicom.dcmread(path)
    before = path.read_bytes()
    del mine.file_meta
    plain = Dataset()
    plain.PatientID = "x"
    table = orthanc.upload_dataset([mine, plain])
    assert table.status.tolist() == ["stored", "failed"]
    assert "SOPClassUID" in table.message[1]
    assert not hasattr(mine, "file_meta")
    assert path.read_bytes() == before
    with pytest.raises(SelectionError, match="upload_dataset"):
        orthanc.upload_file(image)


@pytest.mark.on_postgresql
def test_bytes_and_zips_in_memory(orthanc: Orthanc) -> None:
    first, second = make_series(shape=(2, 4, 4), seed=5)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", as_bytes(second))
        archive.writestr("inner.zip", buffer.getvalue() or b"PK\x03\x04")
    table = orthanc.upload_file([as_bytes(first), buffer.getvalue()])
    assert table.status.tolist() == ["stored", "stored", "skipped"]


@pytest.mark.on_postgresql
def test_the_selection_stays_and_new_objects_are_found(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_series(shape=(2, 4, 4), seed=6, PatientID="one"))
    orthanc.select(PatientID="one")
    orthanc.upload_dataset(make_series(shape=(3, 4, 4), seed=7, PatientID="two"))
    assert orthanc.selection == {"PatientID": "one"}
    assert orthanc.instance_count == 2
    assert orthanc.reset().instance_count == 5


def test_an_upload_to_a_server_that_dies_names_the_stored_files(make_server, tmp_path: Path) -> None:
    folder = tmp_path / "database"
    images = make_series(shape=(12, 4, 4), seed=8)
    deadly = deeply_nested(images[6])
    files = []
    for place, image in enumerate(images):
        path = tmp_path / f"{place:02}.dcm"
        path.write_bytes(deadly if place == 6 else as_bytes(image))
        files.append(path)
    server: LocalOrthanc = make_server(folder=folder)
    session = server.connect(patience=0.5)
    with limits.changed(nesting=10**6), pytest.raises(TransportError) as caught:
        session.upload_file(files)
    table = caught.value.table
    assert len(table) == 12
    stored = table.status.isin(["stored", "already stored"])
    assert 0 < stored.sum() < 12
    server.stop()
    server.start()
    session = server.connect()
    assert session.instance_count >= stored.sum()
    rest = [path for path in files if path.name != "06.dcm"]
    random.Random(1).shuffle(rest)
    again = session.upload_file(rest)
    assert set(again.status) <= {"stored", "already stored"}
    assert session.instance_count == 11


def deeply_nested(image: Dataset) -> bytes:
    """A file whose sequences lie so deep in each other that Orthanc's process ends when it reads it."""
    content = as_bytes(image)
    opening = bytes.fromhex("0800 4011") + b"SQ\x00\x00\xff\xff\xff\xff" + bytes.fromhex("feff 00e0 ffffffff")
    marker = content.index(bytes.fromhex("0800 6000"))
    return content[:marker] + opening * 100_000 + content[marker:]


@pytest.mark.on_postgresql
def test_uploads_that_satisfy_the_criteria_are_selected(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_series(seed=1, PatientID="A"))
    orthanc.select(Modality="CT")
    orthanc.upload_dataset(make_series(seed=2, PatientID="B"))
    assert orthanc.series_count == 2
    assert orthanc.select(PatientID="B").series_count == 1


@pytest.mark.on_postgresql
def test_an_archive_that_changes_inside_selecting_is_seen_after_it(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_series(seed=1, PatientID="A") + make_series(seed=2, PatientID="B"))
    orthanc.select(Modality="CT")
    with orthanc.selecting(PatientID="A"):
        orthanc.delete_selected_patient()
    assert orthanc.series_count == 1
    assert orthanc.table("PatientID").PatientID.tolist() == ["B"]
    assert "1 series" in repr(orthanc)


def test_a_child_stays_the_same_object_when_it_is_refreshed(orthanc: Orthanc) -> None:
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    datasets = make_series(seed=1, PatientID="D", **uids) + make_series(seed=2, PatientID="E", **uids)
    orthanc.upload_dataset(datasets, allow_foreign_uids=True)
    assert orthanc.PatientIDs == ["D", "E"]
    child = orthanc.series[0]
    assert child.refresh().series_count == 1
    assert child.PatientID == ["D"]
    twin = orthanc.copy()
    twin.selection = child.selection
    assert twin.series_count == 1


def test_a_long_file_is_never_in_memory_as_a_whole(orthanc: Orthanc, tmp_path: Path) -> None:
    (image,) = make_series(shape=(1, 8, 8), seed=21)
    image.Rows, image.Columns = 5000, 4000
    image.PixelData = np.random.default_rng(5).bytes(2 * 5000 * 4000)
    content = as_bytes(image)
    assert len(content) > 2 * long_files.IN_MEMORY
    (tmp_path / "long.dcm").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "long.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("long.dcm", content)
    for name, status in (("long.dcm", "stored"), ("long.zip", "already stored")):
        tracemalloc.start()
        table = orthanc.upload_file(tmp_path / name)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert table.status.tolist() == [status]
        assert peak < long_files.IN_MEMORY / 2
    (key,) = orthanc.rest.get("/instances")
    assert orthanc.rest.get(f"/instances/{key}/file") == content


def test_files_whose_sequences_are_too_deep_are_left_out(orthanc: Orthanc, tmp_path: Path) -> None:
    for number, dataset in enumerate(make_series((47, 4, 4))):
        (tmp_path / f"{number:02}.dcm").write_bytes(as_bytes(dataset))
    for number, depth in ((10, 60), (20, 100), (30, 400)):
        (tmp_path / f"{number}-deep.dcm").write_bytes(nested_file(depth, stated=depth == 100, number=number))
    for _ in range(2):
        table = orthanc.upload_folder(tmp_path)
        deep = table[table["path"].str.contains("deep")]
        assert table.status.isin(["stored", "already stored"]).sum() == len(table) - len(deep) == 47
        assert deep.status.tolist() == ["failed"] * 3
        assert deep.SOPInstanceUID.tolist() == ["1.2.1.1.10", "1.2.1.1.20", "1.2.1.1.30"]
        assert deep.message.str.match("not sent: its sequences are nested 51 levels deep or more").all()
    assert orthanc.upload_dataset(nested_dataset(400)).status.tolist() == ["failed"]
    assert orthanc.instance_count == 47
