"""A session on a folder: what is part of the archive, what is told of the rest, and what happens when files change."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from simple_orthanc import Folder, Session, label, metadata, phantom, tag
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import (
    EmptySelectionError,
    SelectionError,
    UnknownTagError,
    UnsupportedError,
)
from simple_orthanc.sources.folder import processes as looking
from tests.examples import examples
from tests.memory_source import MemorySource, archives, as_file, instance
from tests.session.uploads.test_files import dicomdir, zipped
from tests.sources.folder.folders import (
    ALL,
    Reads,
    answers,
    counts,
    opened_quietly,
    rows,
    statuses,
    write,
)


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


def test_folders_inside_are_entered_if_wanted(top: Path) -> None:
    folder = Folder(top, recursive=False)
    assert counts(folder) == [2, 2, 2, 3]
    assert rows(folder)["a"] == ("skipped", "a folder: recursive=True enters it")


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


def test_a_folder_has_no_labels_and_metadata(top: Path) -> None:
    folder = Folder(top)
    for condition in (label("x"), metadata("RemoteAET") == "x"):
        with pytest.raises(UnsupportedError, match="labels and metadata are what an Orthanc server attaches"):
            folder.select(condition)
    for name in ("upload_file", "upload_folder", "delete_selected_series"):
        assert not hasattr(folder, name)
        with pytest.raises(AttributeError, match=r"It is a verb of .*Orthanc"):
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
            (each, rf'an object of type {type(each).__name__} was given. Pass a string or a Path: Folder\("scans"\)')
            for each in (5, b"x", [".."])
        ),
        (None, "of type NoneType"),
        ("", "an empty string"),
    ],
)
def test_anything_but_a_path_is_refused_with_the_right_form(path: Any, says: str) -> None:
    with pytest.raises(SelectionError, match=says):
        Folder(path)


def test_a_cache_that_is_no_path_is_refused(top: Path) -> None:
    with pytest.raises(SelectionError, match="cache=False for none"):
        Folder(top, cache=5)  # type: ignore[arg-type]


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


def test_what_a_killed_copy_left_is_no_part_of_the_archive(tmp_path: Path) -> None:
    content = as_file(instance(1))
    (tmp_path / "b.dcm").write_bytes(content)
    (tmp_path / ".0123456789abcdef.part").write_bytes(content[:-10])
    os.link(tmp_path / "b.dcm", tmp_path / ".fedcba9876543210.part")
    (tmp_path / ".simple_orthanc-0123456789abcdef").mkdir()
    (tmp_path / ".simple_orthanc-0123456789abcdef" / "0.dcm").write_bytes(content[:-10])
    (tmp_path / ".simple_orthanc-0123456789abcdef.lock").touch()
    (tmp_path / ".mine.part").write_bytes(as_file(instance(2)))
    found = rows(Folder(tmp_path, cache=False))
    assert {name: status for name, (status, _) in found.items()} == {
        ".0123456789abcdef.part": "skipped",
        ".fedcba9876543210.part": "skipped",
        ".simple_orthanc-0123456789abcdef": "skipped",
        ".simple_orthanc-0123456789abcdef.lock": "skipped",
        ".mine.part": "indexed",
        "b.dcm": "indexed",
    }
    assert "left behind by a copy that was killed" in found[".0123456789abcdef.part"][1]
