"""A session on a folder: what is part of the archive, what is told of the rest, and what happens when files change."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
import pytest
from hypothesis import given, settings
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from simple_orthanc import Folder, Session, label, metadata, phantom, tag
from simple_orthanc.concurrency import helpers
from simple_orthanc.dicom.header import quiet
from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.errors import (
    EmptySelectionError,
    SelectionError,
    TransportError,
    UnknownTagError,
    UnsupportedError,
)
from simple_orthanc.session.uploads import Uploader, jobs_in_folder
from simple_orthanc.sources.folder import files as folder_files
from simple_orthanc.sources.folder import processes as looking
from tests.examples import examples
from tests.memory_source import MemorySource, archives, as_file, instance
from tests.session.test_uploads import dicomdir, without_preamble, zipped

DICOMDIR = get_testdata_file("DICOMDIR", download=False)


def write(top: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


def rows(folder: Folder) -> dict[str, tuple[str, str]]:
    """Give what became of each file: name (and member) to status and message."""
    found = {}
    source = folder._source
    for row in folder.files.itertuples():
        path = os.path.relpath(str(row.path), source._top).replace(os.sep, "/")  # type: ignore[attr-defined]
        found[path if pd.isna(row.member) else f"{path}!{row.member}"] = (str(row.status), str(row.message))
    return found


def statuses(folder: Folder) -> dict[str, str]:
    return {name: status for name, (status, _) in rows(folder).items()}


def counts(session: Session) -> list[int]:
    return [getattr(session, f"{level}_count") for level in LEVELS]


def opened_quietly(path: Path, **options: Any) -> Folder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Folder(path, **options)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder of two patients, three studies, four series and seven instances."""
    folder = tmp_path / "top"
    write(folder, {"a/1": as_file(instance(1)), "a/2.dcm": as_file(instance(2)), "a/3": as_file(instance(3))})
    write(folder, {"a/b/4": as_file(instance(1, series="2")), "c": as_file(instance(1, study="2"))})
    write(folder, {"d": as_file(instance(1, patient="P2")), "e": as_file(instance(2, patient="P2"))})
    return folder


# The archive


def test_the_archive_of_a_folder(top: Path) -> None:
    folder = Folder(top)
    assert repr(folder) == f"<Folder {top}: 2 patients, 3 studies, 4 series, 7 instances>"
    assert counts(folder) == [2, 3, 4, 7]
    assert len(folder) == 4
    assert folder.PatientIDs == ["P1", "P2"]
    assert set(statuses(folder).values()) == {"indexed"}
    assert list(folder.files.columns) == ["path", "member", "status", "SOPInstanceUID", "message"]
    assert {str(kind) for kind in folder.files.dtypes} == {"string"}
    assert counts(folder.select(PatientID="P2")) == [1, 1, 1, 2]
    assert folder.reset().select("1.2.2").PatientIDs == ["P1"]
    assert [child.instance_count for child in folder.reset().series] == [3, 1, 1, 2]
    explained = folder.reset().select(PatientID="P1", Modality=None).explain()
    assert explained.decided.tolist() == ["here, from the index"] * 2
    assert explained.requests.tolist() == [0, 0]


def test_one_uid_under_two_patients_is_two_objects(top: Path) -> None:
    folder = Folder(top)
    with pytest.warns(UserWarning, match="occurs 2 times in the archive"):
        folder.select("1.2.1.1.1")
    assert counts(folder) == [2, 2, 2, 2]
    key = folder._source.resolve("P1")[0].key
    assert folder.reset().select(key).PatientIDs == ["P1"]
    with pytest.raises(SelectionError, match="is no UID"):
        folder.select("1.2.3.4.5.6")


def test_folders_inside_are_entered_if_wanted(top: Path) -> None:
    folder = Folder(top, recursive=False)
    assert counts(folder) == [2, 2, 2, 3]
    assert rows(folder)["a"] == ("skipped", "a folder: recursive=True enters it")


def test_one_file_speaks_for_its_study_and_one_for_its_series(tmp_path: Path) -> None:
    write(tmp_path, {"b/1": as_file(instance(1, PatientName="b", SeriesDescription="b"))})
    write(tmp_path, {"a/9": as_file(instance(2, series="2", PatientName="a", SeriesDescription="of another"))})
    write(tmp_path, {"b/0": as_file(instance(3, PatientName="c", SeriesDescription="c"))})
    folder = Folder(tmp_path)
    assert folder.PatientNames == ["a"]
    assert sorted(folder.SeriesDescriptions) == ["c", "of another"]
    assert set(folder.verify_index().problem) == {"differs inside the study", "differs inside the series"}


def answers(session: Session) -> list[Any]:
    """Give what a session says of an archive: counts, tables, and what each of its own values selects."""
    found: list[Any] = [counts(session)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for level in LEVELS:
            found.append(session.table(level=level).to_dict("list"))
            more = ("SliceThickness", "PixelSpacing", "AcquisitionDateTime", "ImageType", "PatientAge", "ProtocolName")
            found.append(session.table(*more, level=level, varying="list").to_dict("list"))
        for name in ("PatientName", "StudyDate", "SeriesNumber", "SeriesDescription", "SliceThickness", "ImageType"):
            values = session.get_dicom_tag(name)
            found.append((name, values))
            for value in values:
                selected = session.copy().select(**{name: value})
                found.append(selected.get_dicom_tag("SOPInstanceUID", unique=False, level="instance"))
                left = session.copy().exclude(**{name: value})
                found.append(left.get_dicom_tag("SOPInstanceUID", unique=False, level="instance"))
    return found


@given(datasets=archives(least=1))
@settings(max_examples=examples(15))
def test_the_same_answers_as_from_memory(tmp_path_factory: pytest.TempPathFactory, datasets: list[Dataset]) -> None:
    top = tmp_path_factory.mktemp("archive")
    reference = []
    with quiet():
        for number, dataset in enumerate(datasets):
            dataset.SpecificCharacterSet = "ISO_IR 192"
            content = as_file(dataset)
            (top / f"{number:03}").write_bytes(content)
            reference.append(pydicom.dcmread(io.BytesIO(content)))
        expected = answers(Session(MemorySource(reference)))
    assert repr(answers(Folder(top))) == repr(expected)


def test_the_answers_do_not_depend_on_a_cache_nor_on_a_zip(top: Path, tmp_path: Path) -> None:
    expected = repr(answers(Folder(top)))
    for _ in range(2):
        assert repr(answers(Folder(top, cache=tmp_path))) == expected
    shutil.make_archive(str(tmp_path / "packed"), "zip", top)
    assert repr(answers(Folder(tmp_path / "packed.zip"))) == expected


def test_what_a_folder_has_not(top: Path) -> None:
    folder = Folder(top)
    for condition in (label("x"), metadata("RemoteAET") == "x"):
        with pytest.raises(UnsupportedError, match="labels and metadata are what an Orthanc server attaches"):
            folder.select(condition)
    for name in ("upload_file", "upload_folder", "delete_selected_series"):
        assert not hasattr(folder, name)
        with pytest.raises(AttributeError, match="A folder is only read"):
            getattr(folder, name)
    with pytest.raises(UnknownTagError, match="no DICOM keyword"):
        _ = folder.PatientNme
    assert "files" in dir(folder)


def test_no_filter_is_ever_dropped(tmp_path: Path) -> None:
    tags = {"StationName": "ct1", "KVP": "80"}
    write(
        tmp_path,
        {f"{each}": as_file(instance(each, study=f"{each}", StudyDate=f"200{each}0101", **tags)) for each in (1, 2, 3)},
    )
    folder = Folder(tmp_path)
    dates = {"20020101-20031231": 2, "-20010101": 1, ("20020101", None): 2, "200?0101": 3}
    for wanted, left in dates.items():
        assert folder.reset().select(StudyDate=wanted).study_count == left, wanted
    for criterion in (
        {"StudyDate": "19000101-19000102"},
        {"StationName": "ct2"},
        {"KVP": (100, None)},
        {"0009,0010": "x"},
    ):
        with pytest.warns(UserWarning, match="Nothing is selected any more"):
            folder.reset().select(**criterion)
        assert counts(folder) == [0, 0, 0, 0]
    with pytest.raises(UnknownTagError):
        folder.reset().select(StudyDat="20010101")
    assert folder.selection == {}


# Reading


@pytest.mark.parametrize(
    "name",
    [
        *("MR_small_implicit.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm"),
        *("MR_small_jp2klossless.dcm", "image_dfl.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_rle_32bit.dcm"),
    ],
)
def test_no_transfer_syntax_is_refused(tmp_path: Path, name: str) -> None:
    path = Path(str(get_testdata_file(name, download=False)))
    folder = Folder(write(tmp_path / "top", {"x": path.read_bytes()}))
    expected = pydicom.dcmread(path)
    assert folder.get_instances() == [expected]
    assert [copied.read_bytes() for copied in folder.download(tmp_path / "copies")] == [path.read_bytes()]
    assert np.array_equal(folder.get_array("stored").squeeze(), expected.pixel_array)


def test_headers_and_files_are_those_on_the_disk(top: Path, tmp_path: Path) -> None:
    folder = Folder(top).select(PatientID="P1", SeriesInstanceUID="1.2.1.1")
    assert [header.InstanceNumber for header in folder.get_headers()] == [1, 2, 3]
    assert folder.get_instances()[1] == pydicom.dcmread(top / "a" / "2.dcm")
    paths = folder.download(tmp_path / "copies")
    assert [path.read_bytes() for path in paths] == [(top / "a" / name).read_bytes() for name in ("1", "2.dcm", "3")]
    # Over themselves, too.
    before = {path: path.read_bytes() for path in paths}
    again = Folder(tmp_path / "copies")
    assert sorted(again.download(tmp_path / "copies")) == sorted(paths)
    assert {path: path.read_bytes() for path in paths} == before
    assert len(list((tmp_path / "copies").rglob("*"))) == 3 + len(paths)


@pytest.mark.parametrize("packed", [False, True])
def test_volumes(tmp_path: Path, packed: bool) -> None:
    slices = phantom.ct_phantom((12, 32, 32))
    files = {f"{number}": phantom.as_bytes(each) for number, each in enumerate(slices)}
    if packed:
        (tmp_path / "x.zip").write_bytes(zipped(**files))
    else:
        write(tmp_path, files)
    with Folder(tmp_path) as folder:
        volume = folder.get_volume()
        expected = np.stack([each.pixel_array.astype(int) - 1024 for each in slices])
        assert np.array_equal(volume.array, expected)
        assert volume.geometry is not None
        assert volume.geometry.spacing == pytest.approx((1.5, 1.5, 2.5))
        assert len(folder.get_volumes()) == 1
        assert folder.volume_table().slices.tolist() == [12]
        assert [header.pixel_array.tobytes() for header in folder.get_instances()] == [
            each.pixel_array.tobytes() for each in slices
        ]
    # A closed session opens its files again.
    assert folder.get_header(0).Rows == 32


@pytest.mark.parametrize("name", ["brainix-flair", "comunix"])
def test_real_series(shared_data: Path, name: str) -> None:
    folder = Folder(shared_data / name)
    for series in folder.series:
        headers = series.get_headers()
        assert len(headers) == series.instance_count
        for label_, volume in series.get_volumes().items():
            files = series.copy().get_instances()
            stored = np.stack([each.pixel_array for each in files])
            assert volume.array.shape[-2:] == stored.shape[-2:], label_


def test_columns_are_read_from_the_files(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "BATCH", 2)
    for waiting in (0.002, -1.0):
        # In one thread, and in several as where files are waited for.
        monkeypatch.setattr(looking, "_WAITING", waiting)
        folder = Folder(top)
        assert folder.get_dicom_tag("SOPClassUID") == ["1.2.840.10008.5.1.4.1.1.7"]
        assert folder.select(tag("TransferSyntaxUID") == "1.2.840.10008.1.2.1").instance_count == 7


# What is DICOM


def listing(*files: str) -> bytes:
    """Write a DICOMDIR that lists some files."""
    dataset = Dataset()
    dataset.FileSetID = "SET"
    records = []
    for name in files:
        record = Dataset()
        record.RecordInUseFlag = 0 if name.startswith("-") else 0xFFFF
        record.DirectoryRecordType = "IMAGE"
        with quiet():
            record.ReferencedFileID = name.removeprefix("-").split("/")
        records.append(record)
    dataset.DirectoryRecordSequence = Sequence(records)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID("1.2.840.10008.1.3.10")
    dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3")
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    stream = io.BytesIO()
    with quiet():
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def nameless() -> bytes:
    dataset = instance(1)
    del dataset.SeriesInstanceUID
    dataset.StudyInstanceUID = ""
    return as_file(dataset)


def image() -> bytes:
    return phantom.as_bytes(phantom.make_series((1, 8, 8), seed=1)[0])


KINDS: dict[str, tuple[bytes, str, str]] = {
    "explicit": (without_preamble(instance(1), implicit=False, little=True), "indexed", ""),
    "implicit": (without_preamble(instance(2), implicit=True, little=True), "indexed", ""),
    "big": (without_preamble(instance(3), implicit=False, little=False), "indexed", ""),
    "empty": (b"", "not DICOM", "the file is empty"),
    "notes.txt": (b"notes", "not DICOM", "neither the DICM prefix"),
    "report.pdf": (b"%PDF-1.4", "not DICOM", "neither the DICM prefix"),
    "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(200), "not DICOM", "neither the DICM prefix"),
    "zeros": (bytes(1000), "not DICOM", "neither the DICM prefix"),
    "almost": (b"\x08\x00\x05\x00not really DICOM at all", "not DICOM", "neither the DICM prefix"),
    "bare prefix": (bytes(128) + b"DICM", "incomplete", "it has no StudyInstanceUID"),
    "nameless": (nameless(), "incomplete", "it has no StudyInstanceUID and no SeriesInstanceUID, without which"),
    "cut": (image()[:-1], "unreadable", "cut off"),
    "cut early": (image()[:700], "unreadable", "cut off"),
    "DICOMDIR": (dicomdir(), "skipped", "a DICOMDIR: a list of files"),
    "no zip": (b"PK\x03\x04", "unreadable", "a broken zip"),
    "cut zip": (zipped(a=as_file(instance(9)))[:-30], "unreadable", "a broken zip"),
    "empty zip": (zipped(), "skipped", "a zip without files"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_becomes_of_a_file(tmp_path: Path, name: str) -> None:
    content, status, message = KINDS[name]
    write(tmp_path, {name: content})
    found = rows(opened_quietly(tmp_path))[name]
    assert found[0] == status
    assert message in found[1]


def test_one_warning_counts_what_should_have_been_dicom(tmp_path: Path) -> None:
    write(tmp_path, {name: content for name, (content, _, _) in KINDS.items()})
    write(tmp_path, {"slice.DCM": b"notes", "x.dcm": b""})
    with pytest.warns(UserWarning, match="should be DICOM") as caught:
        folder = Folder(tmp_path)
    (warning,) = caught
    assert str(warning.message) == (
        f"8 files in {tmp_path} should be DICOM and are not used: 2 are called DICOM and are not; 2 lack an "
        f"identifier; 4 cannot be read. Folder.files lists them."
    )
    assert warning.filename == __file__
    assert folder.instance_count == 3
    # Told once.
    assert folder.refresh().instance_count == 3
    write(tmp_path, {"y.dcm": b""})
    with pytest.warns(UserWarning, match=r"^1 files in .*: 1 are called DICOM and are not"):
        folder.refresh()


def test_other_files_are_no_reason_to_warn(tmp_path: Path) -> None:
    write(tmp_path, {"a": as_file(instance(1)), "notes.txt": b"notes", "b.pdf": b"%PDF", "Thumbs.db": bytes(300)})
    assert counts(Folder(tmp_path)) == [1, 1, 1, 1]


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=f"There is no DICOM object in {tmp_path}"):
        folder = Folder(tmp_path)
    assert counts(folder) == [0, 0, 0, 0]
    assert len(folder.table()) == len(folder.files) == 0
    assert folder.PatientNames == []
    with pytest.raises(EmptySelectionError, match="the archive is empty"):
        folder.get_volume()
    folder.refresh()
    write(tmp_path, {"a": as_file(instance(1))})
    assert counts(folder.refresh()) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "mode", "kind"), [("scans.tar.gz", "w:gz", "a gzip file"), ("scans.tar", "w", "a tar archive")]
)
def test_a_packed_folder_is_refused_and_opens_once_it_is_unpacked(
    tmp_path: Path, name: str, mode: Any, kind: str
) -> None:
    (tmp_path / "image.dcm").write_bytes(as_file(instance(1)))
    with tarfile.open(tmp_path / name, mode) as archive:
        archive.add(tmp_path / "image.dcm", "image.dcm")
    with pytest.raises(SelectionError, match=f"is {kind}, which is not opened. Unpack it, and open the folder"):
        Folder(tmp_path / name)
    (tmp_path / "unpacked").mkdir()
    with tarfile.open(tmp_path / name) as archive:
        member = archive.extractfile("image.dcm")
        assert member is not None
        (tmp_path / "unpacked" / "image.dcm").write_bytes(member.read())
    assert Folder(tmp_path / "unpacked", cache=False).instance_count == 1


def test_compressed_images_in_a_folder_are_warned_about(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.dcm.gz").write_bytes(gzip.compress(as_file(instance(number))))
    (tmp_path / "notes.txt.gz").write_bytes(gzip.compress(b"notes"))
    (tmp_path / "image.dcm").write_bytes(as_file(instance(9)))
    with pytest.warns(UserWarning, match="3 are compressed with gzip, and must be unpacked first"):
        assert Folder(tmp_path, cache=False).instance_count == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda top: top / "nowhere", "no such folder or file"),
        (lambda top: top / "c", "is a single file, neither a zip nor a DICOMDIR"),
        (lambda top: top / "gone", "neither a folder nor a file"),
        (lambda top: top / "pipe", "neither a folder nor a file"),
        (lambda top: top / "listing", "lists no files"),
    ],
)
def test_what_cannot_be_opened(top: Path, make: Callable[[Path], Path], says: str) -> None:
    (top / "gone").symlink_to(top / "nowhere at all")
    os.mkfifo(top / "pipe")
    (top / "listing").write_bytes(dicomdir())
    with pytest.raises(SelectionError, match=says):
        Folder(make(top))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        *(
            (each, rf'of type {type(each).__name__}. Give a text or a Path: Folder\("scans"\)')
            for each in (5, b"x", [".."])
        ),
        (None, "of type NoneType"),
        ("", "an empty text"),
    ],
)
def test_what_is_no_path_is_refused_with_the_right_form(path: Any, says: str) -> None:
    with pytest.raises(SelectionError, match=says):
        Folder(path)


def test_a_cache_that_is_no_path_is_refused(top: Path) -> None:
    with pytest.raises(SelectionError, match="cache=False for none"):
        Folder(top, cache=5)  # type: ignore[arg-type]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_row(top: Path) -> None:
    (top / "c").chmod(0)
    (top / "a").chmod(0)
    try:
        with pytest.warns(UserWarning, match="2 cannot be read"):
            folder = Folder(top)
    finally:
        (top / "a").chmod(0o700)
    assert rows(folder)["a"] == ("unreadable", "the folder cannot be read: Permission denied")
    assert rows(folder)["c"] == ("unreadable", "the file cannot be read: Permission denied")


def test_a_file_that_fails_while_it_is_read_is_a_row_and_is_tried_again(
    top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(folder_files, "SLOWEST_CLOCK", 0)
    with monkeypatch.context() as patch:
        patch.setattr(folder_files, "read_tags", failing)
        folder = opened_quietly(top, cache=tmp_path)
        assert set(rows(folder).values()) == {("unreadable", "the file cannot be read: Input/output error")}
    assert counts(Folder(top, cache=tmp_path)) == counts(folder.refresh()) == [2, 3, 4, 7]


def test_links_in_a_circle_and_pipes(top: Path) -> None:
    (top / "a" / "up").symlink_to(top)
    (top / "a" / "b" / "self").symlink_to(top / "a" / "b" / "self")
    (top / "twin").symlink_to(top / "a")
    (top / "z").symlink_to(top / "c")
    os.mkfifo(top / "pipe")
    with pytest.warns(UserWarning, match="1 cannot be read"):
        folder = Folder(top)
    assert counts(folder) == [2, 3, 4, 7]
    found = statuses(folder)
    names = ("a/up", "twin", "z", "pipe", "a/b/self")
    assert [found[name] for name in names] == ["skipped"] * 4 + ["unreadable"]


def test_duplicates_and_conflicts(tmp_path: Path) -> None:
    one, other = as_file(instance(1, StudyDescription="aa")), as_file(instance(1, StudyDescription="bb"))
    longer = as_file(instance(1, StudyDescription="c" * 10))
    write(tmp_path, {"b": other, "a/x": one, "c": one, "d": longer, "z.zip": zipped(m=one), "e": as_file(instance(2))})
    with pytest.warns(UserWarning, match="2 have the SOPInstanceUID of another file, and another content"):
        folder = Folder(tmp_path)
    assert rows(folder) == {
        "a/x": ("indexed", ""),
        "b": ("conflict", f"not used: {os.path.join('a', 'x')} has the same SOPInstanceUID, and another content"),
        "c": ("duplicate", f"the same file as {os.path.join('a', 'x')}"),
        "d": ("conflict", f"not used: {os.path.join('a', 'x')} has the same SOPInstanceUID, and another content"),
        "e": ("indexed", ""),
        "z.zip!m": ("duplicate", f"the same file as {os.path.join('a', 'x')}"),
    }
    assert counts(folder) == [1, 1, 1, 2]
    assert folder.StudyDescriptions == ["aa"]


def test_uploading_agrees_on_what_is_dicom(tmp_path: Path) -> None:
    write(tmp_path, {name: content for name, (content, _, _) in KINDS.items()})
    write(tmp_path, {"z.zip": zipped(a=as_file(instance(5)), b=b"notes", c=zipped(x=b""), d=dicomdir())})
    sent: list[bytes] = []

    def store(content: bytes) -> tuple[str, str]:
        sent.append(content)
        return "Success", "key"

    uploaded = Uploader(store, lambda key: None, lambda: True).run(jobs_in_folder(tmp_path, True), True)
    folder = opened_quietly(tmp_path)
    reports = {(os.path.basename(str(each.path)), each.member): each.status for each in uploaded}
    expected = {"indexed": "stored", "incomplete": "stored", "unreadable": "stored"}
    for name, status in statuses(folder).items():
        path, _, member = name.partition("!")
        said = reports[path, member or None]
        broken_zip = said == "failed"
        assert said == expected.get(status, status) or (broken_zip and status == "unreadable"), name
    assert len(reports) == len(folder.files)


# Zips


def test_the_members_of_a_zip(tmp_path: Path) -> None:
    members = {"a": as_file(instance(1)), "in__b.dcm": as_file(instance(2)), "c.dcm": b"notes", "d": dicomdir()}
    write(tmp_path, {"x/study.zip": zipped(**members, e=zipped(f=as_file(instance(3))))})
    with pytest.warns(UserWarning, match="1 are called DICOM and are not"):
        folder = Folder(tmp_path)
    assert statuses(folder) == {
        "x/study.zip!a": "indexed",
        "x/study.zip!in/b.dcm": "indexed",
        "x/study.zip!c.dcm": "not DICOM",
        "x/study.zip!d": "skipped",
        "x/study.zip!e": "skipped",
    }
    assert [header.InstanceNumber for header in folder.get_headers()] == [1, 2]
    paths = folder.download(tmp_path / "copies")
    assert [path.read_bytes() for path in paths] == [members["a"], members["in__b.dcm"]]
    alone = opened_quietly(tmp_path / "x" / "study.zip")
    assert counts(alone) == counts(folder)
    assert folder.get_dicom_tag("SOPClassUID") == ["1.2.840.10008.5.1.4.1.1.7"]


def test_members_of_one_name_and_of_hostile_names(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        for number, name in enumerate(["same", "same", "../../up", "/etc/passwd"]):
            archive.writestr(name, as_file(instance(number)))
    (tmp_path / "x.zip").write_bytes(stream.getvalue())
    folder = Folder(tmp_path)
    assert [header.InstanceNumber for header in folder.get_headers()] == [0, 1, 2, 3]
    paths = folder.download(tmp_path / "copies")
    assert all(path.is_relative_to(tmp_path / "copies") for path in paths)


def test_broken_and_locked_members_are_rows(tmp_path: Path) -> None:
    broken = bytearray(zipped(a=as_file(instance(1)), b=as_file(instance(2))))
    broken[60] ^= 0xFF
    locked = bytearray(zipped(a=as_file(instance(3)), b=as_file(instance(4))))
    locked[6] |= 1
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    # Broken behind the header, where only the checksum of the whole shows it.
    late = bytearray(zipfile_stored(a=image()))
    late[late.index(b"PK\x01\x02") - 20] ^= 0xFF
    write(tmp_path, {"broken.zip": bytes(broken), "locked.zip": bytes(locked), "late.zip": bytes(late)})
    with pytest.warns(UserWarning, match="3 cannot be read"):
        folder = Folder(tmp_path)
    found = rows(folder)
    assert [found[f"{name}.zip!a"][0] for name in ("broken", "locked", "late")] == ["unreadable"] * 3
    assert "encrypted" in found["locked.zip!a"][1]
    assert "CRC" in found["late.zip!a"][1]
    assert folder.instance_count == 2


def zipfile_stored(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_many_zips(tmp_path: Path) -> None:
    write(tmp_path, {f"{number}.zip": zipped(a=as_file(instance(number))) for number in range(12)})
    folder = Folder(tmp_path)
    assert [header.InstanceNumber for header in folder.get_headers()] == list(range(12))
    assert len(folder.get_headers()) == 12


# DICOMDIR


def test_a_dicomdir_restricts_to_what_it_lists(tmp_path: Path) -> None:
    files = {"images/im1": as_file(instance(1)), "IMAGES2/IM2": as_file(instance(2)), "other": as_file(instance(3))}
    write(tmp_path, {**files, "DICOMDIR": listing("IMAGES/IM1", "IMAGES2/IM2", "IMAGES/GONE", "-UNUSED", "../OUT")})
    with pytest.warns(UserWarning, match="2 are listed in a DICOMDIR and not there"):
        listed = Folder(tmp_path / "DICOMDIR")
    assert listed.get_dicom_tag("InstanceNumber") == [1, 2]
    assert rows(listed) == {
        "../OUT": ("missing", "listed in DICOMDIR, and not there"),
        "DICOMDIR": ("skipped", "a DICOMDIR: a list of files, not an object"),
        "IMAGES/GONE": ("missing", "listed in DICOMDIR, and not there"),
        "IMAGES2/IM2": ("indexed", ""),
        "images/im1": ("indexed", ""),
        "other": ("skipped", "not listed in the DICOMDIR"),
    }
    with pytest.warns(UserWarning, match="2 are listed in a DICOMDIR and not there"):
        assert Folder(tmp_path).get_dicom_tag("InstanceNumber") == [1, 2, 3]
    # Of folders that are not entered nobody knows.
    with pytest.warns(UserWarning, match="1 are listed in a DICOMDIR and not there"):
        Folder(tmp_path, recursive=False)


def test_real_dicomdirs() -> None:
    assert DICOMDIR is not None
    folder = Folder(DICOMDIR)
    assert counts(folder) == [2, 6, 13, 31]
    assert set(statuses(folder).values()) == {"indexed", "skipped"}


def test_a_dicomdir_in_a_zip_and_one_that_is_broken(tmp_path: Path) -> None:
    members = {"disk__IM1": as_file(instance(1)), "disk__DICOMDIR": listing("IM1", "IM2")}
    broken = listing("IM1")
    write(tmp_path, {"x.zip": zipped(**members), "y/DICOMDIR": broken[: len(broken) - 20]})
    with pytest.warns(UserWarning, match="1 are listed in a DICOMDIR and not there"):
        folder = Folder(tmp_path)
    assert rows(folder)["x.zip!disk/IM2"] == ("missing", "listed in disk/DICOMDIR, and not there")
    assert statuses(folder)["y/DICOMDIR"] == "skipped"
    assert folder.instance_count == 1


# What changes


class Reads:
    """Counts the files that are looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        look = looking.look
        # Otherwise what was written just now is read again.
        monkeypatch.setattr(folder_files, "SLOWEST_CLOCK", 0)
        monkeypatch.setattr(looking, "look", lambda *met: self.paths.append(met[1]) or look(*met))

    def take(self) -> list[str]:
        paths, self.paths = self.paths, []
        return sorted(path.replace(os.sep, "/") for path in paths)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    return Reads(monkeypatch)  # type: ignore[return-value]


ALL = ["a/1", "a/2.dcm", "a/3", "a/b/4", "c", "d", "e"]


def test_a_file_is_read_once(top: Path, tmp_path: Path, reads: Reads) -> None:
    folder = Folder(top, cache=tmp_path)
    assert reads.take() == ALL
    expected = repr(answers(folder))
    folder.refresh()
    again = Folder(top, cache=tmp_path)
    assert reads.take() == []
    assert repr(answers(again)) == expected
    (top / "c").write_bytes(as_file(instance(1, study="2", PatientName="new")))
    (top / "f").write_bytes(as_file(instance(1, study="3")))
    (top / "a" / "3").unlink()
    assert counts(Folder(top, cache=tmp_path)) == [2, 4, 5, 7]
    assert reads.take() == ["c", "f"]
    assert counts(Folder(top, recursive=False, cache=tmp_path)) == [2, 3, 3, 4]
    reads.take()
    Folder(top, cache=tmp_path)
    Folder(top, recursive=False, cache=tmp_path)
    assert reads.take() == []
    Folder(top, cache=False)
    assert reads.take() == ["a/1", "a/2.dcm", "a/b/4", "c", "d", "e", "f"]


def test_a_file_that_changed_a_moment_ago_is_read_again(
    top: Path, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_files, "SLOWEST_CLOCK", 10**18)
    Folder(top, cache=tmp_path)
    reads.take()
    Folder(top, cache=tmp_path).refresh()
    assert reads.take() == sorted(ALL * 2)


def test_a_file_with_its_old_size_and_time_is_seen_to_be_another(top: Path, tmp_path: Path, reads: Reads) -> None:
    folder = Folder(top, cache=tmp_path)
    reads.take()
    before = (top / "c").stat()
    (top / "c").write_bytes((top / "c").read_bytes().replace(b"P1", b"P9"))
    os.utime(top / "c", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert folder.refresh().PatientIDs == ["P1", "P2", "P9"]
    assert Folder(top, cache=tmp_path).PatientIDs == ["P1", "P2", "P9"]
    assert reads.take() == ["c"]


def test_refreshing(top: Path) -> None:
    folder = Folder(top).select(PatientID="P1")
    assert counts(folder) == [1, 2, 3, 5]
    write(top, {"g": as_file(instance(7)), "h": as_file(instance(7, patient="P3"))})
    assert counts(folder) == [1, 2, 3, 5]
    assert counts(folder.refresh()) == [1, 2, 3, 6]
    assert counts(folder.copy().reset()) == [3, 4, 5, 9]
    (top / "c").unlink()
    assert counts(folder.refresh()) == [1, 1, 2, 5]
    (top / "a" / "1").write_bytes(as_file(instance(1, PatientName="renamed")))
    assert folder.refresh().PatientNames == ["renamed"]
    # A file that comes first by path speaks for its study from now on.
    write(top, {"a/0": as_file(instance(8, PatientName="first"))})
    assert folder.refresh().PatientNames == ["first"]
    assert counts(folder) == [1, 1, 2, 6]
    shutil.rmtree(top / "a")
    folder.refresh()
    assert counts(folder) == [1, 1, 1, 1]
    (top / "g").unlink()
    with pytest.warns(UserWarning, match="Nothing is selected any more"):
        folder.refresh()
    assert counts(folder) == [0, 0, 0, 0]


def test_a_folder_is_the_same_by_any_path(
    top: Path, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(top.parent)
    folder = Folder(top.name, cache=tmp_path)
    assert reads.take() == ALL
    monkeypatch.chdir("/")
    (top / "c").unlink()
    assert counts(folder.refresh()) == [2, 2, 3, 6]
    assert counts(Folder(str(top), cache=tmp_path)) == [2, 2, 3, 6]
    assert reads.take() == []


def test_the_settings_of_pydicom_are_left_alone(top: Path) -> None:
    def settings_now() -> list[Any]:
        config = pydicom.config
        modes = [config.settings.reading_validation_mode, config.settings.writing_validation_mode]
        return [*modes, config.convert_wrong_length_to_UN, config.datetime_conversion, config.use_DS_decimal]

    before = settings_now()
    write(top, {"cut": as_file(instance(9))[:-20], "note": b"hello"})
    folder = opened_quietly(top).select(StudyInstanceUID="1.2.2")
    assert statuses(folder)["cut"] != "indexed"
    assert folder.KVPs == []
    (top / "c").unlink()
    with pytest.raises(SelectionError):
        folder.get_header()
    assert settings_now() == before


def test_refreshing_before_anything_was_asked(top: Path) -> None:
    folder = Folder(top)
    (top / "c").unlink()
    assert counts(folder.refresh()) == [2, 2, 3, 6]


def test_what_changed_since_is_not_taken_for_what_it_was(top: Path, tmp_path: Path) -> None:
    folder = Folder(top).select(StudyInstanceUID="1.2.2")
    (top / "c").write_bytes(as_file(instance(5)))
    for read in (folder.get_header, folder.get_instances, lambda: folder.download(tmp_path), lambda: folder.KVP):
        with pytest.raises(SelectionError, match=r"is gone, or has changed.*refresh\(\) looks again"):
            read()
    (top / "c").unlink()
    with pytest.raises(SelectionError, match="is gone, or has changed"):
        folder.get_header()
    assert list(tmp_path.rglob("*.part")) == []


def test_a_zip_that_changed_or_went_bad(tmp_path: Path) -> None:
    write(tmp_path, {"x.zip": zipped(a=as_file(instance(1)))})
    folder = Folder(tmp_path)
    assert folder.get_header().InstanceNumber == 1
    write(tmp_path, {"x.zip": zipped(a=as_file(instance(1)), b=as_file(instance(2)))})
    with pytest.raises(SelectionError, match="has changed"):
        folder.get_header()
    assert len(folder.refresh().get_headers()) == 2
    (tmp_path / "x.zip").unlink()
    with pytest.raises(SelectionError, match="is gone"):
        folder.get_headers()


def test_what_fails_while_it_is_read(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Folder(top).select(StudyInstanceUID="1.2.2")
    folder.get_header()

    class Failing(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(folder._source.files, "opened", lambda item: Failing())  # type: ignore[attr-defined]
    for read in (folder.get_header, folder.get_instances, lambda: folder.KVP):
        with pytest.raises(TransportError, match="cannot be read: Input/output error"):
            read()


def test_two_sessions_of_one_folder(top: Path) -> None:
    folder = Folder(top)
    other = folder.copy()
    assert len(other.table(level="instance")) == 7
    (top / "c").unlink()
    folder.refresh()
    with pytest.raises(SelectionError, match="is no longer in"):
        other.select(StudyInstanceUID="1.2.2").get_header()
    assert counts(other.reset().refresh()) == [2, 2, 3, 6]


def test_ctrl_c_keeps_what_was_read(top: Path, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    look = looking.look

    def interrupted(full: str, path: str, stamp: tuple[int, int, int]) -> Any:
        if path == "c":
            raise KeyboardInterrupt
        return look(full, path, stamp)

    with monkeypatch.context() as patch:
        patch.setattr(looking, "look", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Folder(top, cache=tmp_path)
    assert reads.take() == ["a/1", "a/2.dcm", "a/3", "a/b/4"]
    assert counts(Folder(top, cache=tmp_path)) == [2, 3, 4, 7]
    assert reads.take() == ["c", "d", "e"]


def test_a_session_is_pickled_with_what_it_knows(top: Path, reads: Reads) -> None:
    folder = Folder(top).select(PatientID="P1")
    folder.get_header(0)
    reads.take()
    twin = pickle.loads(pickle.dumps(folder))
    assert repr(twin) == repr(folder)
    assert twin.get_header(2) == folder.get_header(2)
    assert counts(twin) == counts(folder)
    assert reads.take() == []
    (top / "c").unlink()
    assert counts(twin.refresh()) == [1, 1, 2, 4]


def test_in_a_process_pool(tmp_path: Path) -> None:
    write(tmp_path, {"x.zip": zipped(a=as_file(instance(1))), "b": as_file(instance(1, study="2"))})
    folder = Folder(tmp_path)
    folder.get_headers()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(Session.get_header, list(folder.series)) == folder.get_headers()


# Many files


def numbered() -> bytes:
    """Give a file in which the last six letters of the SOPInstanceUID can be replaced."""
    with quiet():
        return as_file(instance(1, SOPInstanceUID="1.2.3.000000"))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    base = numbered()
    top = tmp_path / "many"
    for number in range(600):
        write(top, {f"{number // 100}/{number}": base.replace(b"1.2.3.000000", b"1.2.3.1%05d" % number)})
    write(top, {"x.zip": zipped(a=as_file(instance(1))), "notes.txt": b"notes", "\udcff": as_file(instance(2))})
    return top


def test_helpers_look_as_this_process_does(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Folder(many)
    with monkeypatch.context() as patch:
        patch.setattr(looking, "WORTH_HELPERS", 1)
        patch.setattr(looking, "processors", lambda: 2)
        patch.setattr(looking, "_BATCH_OF_HELPER", 50)
        helped = Folder(many)
        # What a helper cannot do is done here.
        program = many.parent / "program.py"
        program.write_text("raise SystemExit(1)")
        patch.setattr(helpers, "_PROGRAM", program)
        unhelped = Folder(many)
        patch.setattr(subprocess, "Popen", _refused)
        lonely = Folder(many)
    assert alone.instance_count == 602
    for other in (helped, unhelped, lonely):
        pd.testing.assert_frame_equal(alone.files, other.files)
        assert alone._source.index.instances == other._source.index.instances  # type: ignore[attr-defined]


def _refused(*_: object, **__: object) -> None:
    raise OSError(11, "Resource temporarily unavailable")


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        return
    write(tmp_path / "top", {"\udcff.dcm": as_file(instance(1)), "\udcff.zip": zipped(a=as_file(instance(2)))})
    for _ in range(2):
        folder = Folder(tmp_path / "top", cache=tmp_path)
        assert folder.instance_count == 2
        assert len(folder.get_headers()) == 2
        assert folder.files.path[0].endswith("\\xff.dcm")


def test_many_thousand_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = numbered()
    top = tmp_path / "many"
    for folder in range(20):
        (top / f"{folder}").mkdir(parents=True)
        for number in range(1000):
            place = folder * 1000 + number
            (top / f"{folder}" / f"{number}").write_bytes(base.replace(b"1.2.3.000000", b"1.2.3.2%05d" % place))
    # Helper processes read some of them, and take what was written just now for unsettled.
    time.sleep(folder_files.SLOWEST_CLOCK / 1e9 + 0.1)
    Folder(top, cache=tmp_path)

    def nothing_is_read(*_: object, **__: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(looking, "look", nothing_is_read)
    monkeypatch.setattr(subprocess, "Popen", nothing_is_read)
    folder = Folder(top, cache=tmp_path)
    assert counts(folder) == [1, 1, 1, 20_000]
    assert counts(folder.select(SOPInstanceUID="1.2.3.219999")) == [1, 1, 1, 1]
