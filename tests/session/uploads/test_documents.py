"""Pictures and PDF files stored in an Orthanc, and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simple_orthanc import AmbiguousSelectionError, Orthanc, SelectionError, VolumeError
from simple_orthanc.phantom import make_series
from tests.volume.writing.files import PDF, file_of, pixels_of, smooth


def test_documents_of_a_study_in_an_orthanc(orthanc: Orthanc, tmp_path: Path) -> None:
    orthanc.upload_dataset(make_series((2, 4, 4), seed=1))
    files = {
        "deep.png": file_of(smooth(dtype=np.uint16)),
        "colour.png": file_of(smooth((24, 32, 3))),
        "photo.jpg": file_of(smooth((24, 32, 3)), "JPEG", quality=95, subsampling=0),
        "report.pdf": PDF,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        table = orthanc.upload_document(tmp_path / name, like=orthanc, SeriesDescription=name)
        assert list(table["status"]) == ["stored"]
        again = orthanc.upload_document(str(tmp_path / name), like=orthanc.copy().reset(), SeriesDescription=name)
        assert list(again["status"]) == ["already stored"]
    assert (orthanc.study_count, orthanc.series_count) == (1, 5)
    for name, content in files.items():
        orthanc.reset().select(SeriesDescription=name)
        (key,) = orthanc.get_orthanc_ids("instance")
        if name == "report.pdf":
            assert orthanc.rest.get(f"/instances/{key}/pdf") == PDF + b"\n"
            continue
        found, expected = orthanc.get_array()[0].astype(int), pixels_of(content)
        assert np.abs(found - expected).max() <= (2 if name == "photo.jpg" else 0)
        preview = pixels_of(orthanc.rest.get(f"/instances/{key}/preview"))
        assert preview.shape == expected.shape
        if name == "colour.png":
            assert np.array_equal(preview, expected)


def test_documents_of_a_new_study(orthanc: Orthanc, tmp_path: Path) -> None:
    paths = []
    for number in (1, 2):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(file_of(smooth((8, 8 + number))))
    table = orthanc.upload_document(
        paths, PatientID="P7", PatientName="王^小东", Modality="XC", SeriesDescription="Wunde"
    )
    assert list(table["status"]) == ["stored", "stored"]
    assert orthanc.PatientNames == ["王^小东"]
    assert (orthanc.series_count, orthanc.instance_count) == (1, 2)


@pytest.mark.one_version
def test_what_is_refused(orthanc: Orthanc, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(file_of(smooth()))
    with pytest.raises(SelectionError, match=r"missing\.png cannot be read: No such file"):
        orthanc.upload_document(tmp_path / "missing.png", PatientID="P1")
    with pytest.raises(SelectionError, match="not a regular file"):
        orthanc.upload_document(tmp_path, PatientID="P1")
    for nothing in (None, 5, b"a.png", [5]):
        with pytest.raises(SelectionError, match="Pass a string or a Path"):
            orthanc.upload_document(nothing, PatientID="P1")  # type: ignore[arg-type]
    with pytest.raises(VolumeError, match="like=str was given"):
        orthanc.upload_document(tmp_path / "a.png", like="P1")  # type: ignore[arg-type]
    orthanc.upload_dataset([*make_series((1, 4, 4), seed=1), *make_series((1, 4, 4), seed=2)])
    with pytest.raises(AmbiguousSelectionError, match="2 studies selected"):
        orthanc.upload_document(tmp_path / "a.png", like=orthanc)
    assert orthanc.refresh().instance_count == 2
