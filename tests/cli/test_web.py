"""The commands for what DICOMweb servers give beside files."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless

import simple_orthanc
from simple_orthanc import NoPixelDataError, SelectionError, UnsupportedError
from simple_orthanc.cli import main, web
from simple_orthanc.phantom import as_bytes, make_enhanced, make_series
from tests import stand_ins

WEB = ["--dicomweb", "http://127.0.0.1:1/dicom-web"]


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> stand_ins.Transactions:
    """What a DICOMweb server is asked, whose archive is the folder ``files``."""
    service = stand_ins.Transactions()
    monkeypatch.setattr(stand_ins, "Transactions", lambda: service)
    monkeypatch.setattr(simple_orthanc, "DicomWeb", stand_ins.DicomWeb, raising=False)
    rendering: Any = types.ModuleType("simple_orthanc.dicomweb.rendering")
    rendering.Rendering = stand_ins.Rendering
    monkeypatch.setitem(sys.modules, "simple_orthanc.dicomweb.rendering", rendering)
    (tmp_path / "files").mkdir()
    for number, dataset in enumerate(make_series((2, 4, 5), seed=1)):
        (tmp_path / "files" / f"{number}.dcm").write_bytes(as_bytes(dataset))
    monkeypatch.setenv("STAND_IN_FOLDER", str(tmp_path / "files"))
    monkeypatch.chdir(tmp_path)
    return service


def uids() -> list[tuple[str, str, str]]:
    return [(d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID) for d in make_series((2, 4, 5), seed=1)]


def test_frames_are_asked_for_in_the_media_type_that_is_wanted(
    transactions: stand_ins.Transactions, tmp_path: Path
) -> None:
    assert main([*WEB, "frames", "out", "--media-type", "image/jp2"]) == 0
    assert transactions.asked == [("frames", *each, [1], ("image/jp2",)) for each in uids()]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == sorted(f"{instance}-0001.jp2" for _, _, instance in uids())


def test_a_transfer_syntax_is_asked_for_with_its_media_type(transactions: stand_ins.Transactions) -> None:
    chosen = uids()[0]
    wanted = ["--media-type", "image/jpeg", "--transfer-syntax", JPEGBaseline8Bit]
    assert main([*WEB, "frames", "out", chosen[2], *wanted]) == 0
    assert transactions.asked == [("frames", *chosen, [1], ("image/jpeg",), (JPEGBaseline8Bit,))]


def test_a_rendering_is_requested_with_its_options(transactions: stand_ins.Transactions, tmp_path: Path) -> None:
    chosen = uids()[0]
    for options, asked in (
        ([], ("rendered", *chosen, stand_ins.Rendering("image/png"))),
        (
            ["--window", "40", "400", "--viewport", "64", "32", "--quality", "90"],
            ("rendered", *chosen, stand_ins.Rendering("image/png", 90, (64, 32), (40.0, 400.0))),
        ),
        (["--frame", "2"], ("frames rendered", *chosen, [2], stand_ins.Rendering("image/png"))),
        (["--thumbnail"], ("thumbnail", *chosen, stand_ins.Rendering("image/png"))),
        (["--thumbnail", "--frame", "1"], ("frame thumbnail", *chosen, 1, stand_ins.Rendering("image/png"))),
    ):
        assert main([*WEB, "rendered", "a.png", chosen[2], *options]) == 0
        assert transactions.asked[-1] == asked
        assert (tmp_path / "a.png").read_bytes() == stand_ins.PICTURE


def test_one_picture_is_drawn_at_a_time(
    transactions: stand_ins.Transactions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WEB, "rendered", "a.png"]) == 1
    assert "2 are selected" in capsys.readouterr().err
    several = [stand_ins.Part(b"1"), stand_ins.Part(b"2")]
    monkeypatch.setattr(transactions, "retrieve_instance_rendered", lambda *_: several)
    assert main([*WEB, "rendered", "a.png", uids()[0][2]]) == 1
    assert "--frame N" in capsys.readouterr().err
    assert not Path("a.png").exists()


def test_bulk_data_goes_to_a_file_or_on(
    transactions: stand_ins.Transactions, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main([*WEB, "bulkdata", "/bulk", "a.raw"]) == 0
    assert Path("a.raw").read_bytes() == bytes(range(256))
    capfdbinary.readouterr()
    assert main([*WEB, "bulkdata", "/bulk", "--range", "0-9"]) == 0
    assert capfdbinary.readouterr().out == bytes(range(10))
    assert transactions.asked[-1] == ("bulkdata", "/bulk", (0, 9))


def test_exactly_what_is_selected_is_deleted(
    transactions: stand_ins.Transactions, capsys: pytest.CaptureFixture[str]
) -> None:
    patient, (study, series, instance) = "PHANTOM", uids()[1]
    assert main([*WEB, "delete", "series", instance, "--yes"]) == 1
    assert "1 instance that the selection left out" in capsys.readouterr().err
    assert transactions.asked == []
    assert main([*WEB, "delete", "instances", instance, "--yes"]) == 0
    assert main([*WEB, "delete", "series", "--where", "Modality=CT", "--yes"]) == 0
    assert main([*WEB, "delete", "studies", "--everything", "--yes"]) == 0
    assert transactions.asked == [
        ("delete", "instance", f"{patient}|{study}|{series}|{instance}"),
        ("delete", "series", f"{patient}|{study}|{series}"),
        ("delete", "study", f"{patient}|{study}"),
    ]


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_gdcm.dcm"])
def test_frames_of_compressed_files_are_those_of_the_file(name: str) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file(name, download=False)))
    frames = web._stored_frames(dataset)
    count = int(dataset.get("NumberOfFrames", 1))
    assert len(frames) == count
    again = pydicom.dcmread(str(get_testdata_file(name, download=False)))
    again.PixelData = encapsulate(frames)
    assert (again.pixel_array == dataset.pixel_array).all()
    assert web._suffix(dataset) != ".raw"


def test_frames_of_uncompressed_files() -> None:
    dataset = make_enhanced((3, 4, 5), seed=1)
    frames = web._stored_frames(dataset)
    assert b"".join(frames) == dataset.PixelData
    assert [len(frame) for frame in frames] == [4 * 5 * 2] * 3
    assert web._checked([3, 1], 3, "1.2") == [3, 1]
    with pytest.raises(SelectionError, match="has 3"):
        web._checked([4], 3, "1.2")
    dataset.PixelData = dataset.PixelData[:-2]
    with pytest.raises(NoPixelDataError, match="3 frames of 40 bytes"):
        web._stored_frames(dataset)


def test_frames_that_cannot_be_taken_apart() -> None:
    bits = make_series((1, 5, 5), seed=1)[0]
    bits.BitsAllocated, bits.NumberOfFrames = 1, 2
    with pytest.raises(UnsupportedError, match="whole bytes"):
        web._stored_frames(bits)
    del bits.PixelData
    with pytest.raises(NoPixelDataError):
        web._stored_frames(bits)


def test_suffixes() -> None:
    dataset = make_series((1, 4, 4), seed=1)[0]
    for syntax, suffix in ((JPEGBaseline8Bit, ".jpg"), (RLELossless, ".rle")):
        dataset.file_meta.TransferSyntaxUID = syntax
        assert web._suffix(dataset) == suffix


@pytest.mark.parametrize("text", ["", "0", "1,", "3-1", "a", "1-2-3", "²"])
def test_an_invalid_list_of_frames_is_refused(text: str) -> None:
    import argparse

    with pytest.raises(argparse.ArgumentTypeError):
        web.frame_numbers(text)


@pytest.mark.parametrize(
    "command", [["rendered", "a.png"], ["frames", "out", "--media-type", "image/jpeg"], ["difference", "--quick"]]
)
def test_what_has_changed_since_a_cohort_was_frozen_is_not_handed_over(
    transactions: stand_ins.Transactions, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    instance = uids()[0][2]
    assert main([*WEB, "freeze", "one.cohort", "--where", f"SOPInstanceUID={instance}"]) == 0
    opened = [*WEB, *command, *(["one.cohort"] if command[0] == "difference" else ["--cohort", "one.cohort"])]
    if command[0] != "difference":
        assert main(opened) == 0
        assert transactions.asked
    transactions.asked.clear()
    dataset = make_series((2, 4, 5), seed=1)[0]
    dataset.PixelData = bytes([7] * len(dataset.PixelData))
    (tmp_path / "files" / "0.dcm").write_bytes(as_bytes(dataset))
    assert main(opened) == 1
    assert not transactions.asked
    said = capsys.readouterr().err
    assert ("is not known" if command[0] == "difference" else "differs from what was frozen") in said
