"""The command `upload-volume`: the selection is the source, and the new series is printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simple_orthanc
from simple_orthanc import TransportError
from simple_orthanc.cli import main
from simple_orthanc.phantom import as_bytes
from tests.session.uploads.test_volumes import CT, MR, Uploading
from tests.volume.writing.files import file_of, smooth

SERVER = ["--dicomweb", "http://127.0.0.1:1/dicom-web", "upload-volume"]


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Uploading:
    """An archive with a CT and an MR, and a file result.nrrd computed from the CT."""
    session = Uploading([*CT, *MR])
    monkeypatch.setattr(simple_orthanc, "DicomWeb", lambda *_, **__: session.copy(), raising=False)
    monkeypatch.chdir(tmp_path)
    volume = session.copy().select(Modality="CT").get_volume()
    volume.with_array(volume.array + 1).save("result.nrrd")
    return session


def test_the_selection_is_the_source(archive: Uploading, capsys: pytest.CaptureFixture[str]) -> None:
    command = [*SERVER, "result.nrrd", "--where", "SeriesDescription=scan", "--tag", "SeriesDescription=a=b"]
    assert main(command) == 0
    uid = capsys.readouterr().out.strip()
    made = archive.copy().refresh().select(SeriesInstanceUID=uid)
    assert (made.StudyInstanceUIDs, made.SeriesDescriptions) == ([CT[0].StudyInstanceUID], ["a=b"])
    assert main(command) == 0
    assert "3 already stored" in capsys.readouterr().err


def test_each_slice_is_listed(archive: Uploading, capsys: pytest.CaptureFixture[str]) -> None:
    tags = ["--tag", "PatientID=P9", "--tag", "Modality=OT"]
    assert main([*SERVER, "result.nrrd", *tags, "--list", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("level,PatientID,")
    assert lines[1].startswith("instance,P9,")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["result.nrrd"], "PatientID"),
        (["result.nrrd", "--where", "PatientID=*"], "2 series"),
        (["missing.nrrd", "--where", "Modality=CT"], "no such file"),
        (["result.nrrd", "--tag", "SeriesDescription"], "KEYWORD=VALUE"),
        (["result.nrrd", "--where", "Modality=CT", "--tag", "SeriesDescripton=x"], "Did you mean SeriesDescription"),
    ],
)
def test_what_is_refused(
    archive: Uploading, options: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SERVER, *options]) == 1
    assert problem in capsys.readouterr().err


def test_a_folder_is_only_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.dcm").write_bytes(as_bytes(CT[0]))
    assert main(["--folder", str(tmp_path), "upload-volume", "x.nrrd"]) == 1
    assert "only read" in capsys.readouterr().err


def test_a_server_that_goes_away(
    archive: Uploading, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = TransportError(
        "gone", table=archive.upload_volume("result.nrrd", PatientID="P1", Modality="OT").assign(status="failed")
    )

    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Uploading, "upload_volume", fails)
    assert main([*SERVER, "result.nrrd", "--where", "Modality=CT"]) == 1
    assert capsys.readouterr().err.count("failed: instance") == 3


def test_a_label_map_in_a_file_becomes_a_segmentation(archive: Uploading, capsys: pytest.CaptureFixture[str]) -> None:
    ct = archive.copy().select(Modality="CT").get_volume()
    # As floats, which is how many programs save labels.
    ct.with_array((np.arange(ct.array.size).reshape(ct.shape) % 3).astype(np.float64)).save("labels.nii.gz")
    command = [SERVER[0], SERVER[1], "upload-masks", "labels.nii.gz", "--where", "Modality=CT", "--name", "2=liver"]
    assert main([*command, "--algorithm", "net 1.0", "--tag", "SeriesDescription=organs"]) == 0
    uid = capsys.readouterr().out.strip()
    made = archive.copy().refresh().select(SeriesInstanceUID=uid)
    assert (made.StudyInstanceUIDs, made.SeriesDescriptions) == ([CT[0].StudyInstanceUID], ["organs"])
    found = made.get_masks()
    assert list(found) == ["segment 1", "liver"]
    assert int(found["liver"].array.sum()) == ct.array.size // 3
    assert main([*command, "--name", "liver"]) == 1
    assert "LABEL=NAME" in capsys.readouterr().err


def test_documents_become_one_series(archive: Uploading, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(file_of(smooth((8, 8))))
    command = [SERVER[0], SERVER[1], "upload-document", "a.png", "b.png"]
    assert main([*command, "--tag", "PatientID=P9"]) == 0
    uid = capsys.readouterr().out.strip()
    made = archive.copy().refresh().select(SeriesInstanceUID=uid)
    assert (made.PatientIDs, made.instance_count) == (["P9"], 2)
    assert main(command) == 1
    assert "whose it is" in capsys.readouterr().err
    assert main(["--folder", ".", *command[2:]]) == 1
    assert "name a server" in capsys.readouterr().err
