"""Every file that pydicom's package holds, through real servers: what pydicom reads, or an error of this library."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_charset_files, get_testdata_file, get_testdata_files
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut
from pydicom.uid import generate_uid

from simple_orthanc import InconsistentSlicesError, NoPixelDataError, Orthanc, VolumeError

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

PACKAGE = Path(pydicom.data.__file__).parent


def shipped(files: list[str]) -> dict[str, Path]:
    """Return the files inside the package by their names; others were downloaded at some time."""
    paths = [path for path in map(Path, sorted(set(files))) if path.is_file() and PACKAGE in path.parents]
    return {"/".join(path.relative_to(PACKAGE).parts[1:]): path for path in paths}


FILES = shipped(get_testdata_files())
# Orthanc says "Inexistent tag": what has no StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID cannot be stored.
NAMELESS = {
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "UN_sequence.dcm",
    "empty_charset_LEI.dcm",
    "meta_missing_tsyntax.dcm",
    "nested_priv_SQ.dcm",
    "no_meta_group_length.dcm",
    "priv_SQ.dcm",
}
# Orthanc says "Bad file format": cut off, or with an element longer than the file.
BROKEN = {"MR_truncated.dcm", "SC_rgb_jpeg.dcm", "rtplan_truncated.dcm"}
# pydicom reads these, and this library says why it does not.
REFUSED: dict[str, type[VolumeError]] = {
    # One frame, and three items of PerFrameFunctionalGroupsSequence: which place is its own nobody knows.
    "liver_1frame.dcm": InconsistentSlicesError,
    "liver_expb_1frame.dcm": InconsistentSlicesError,
}
# Read here with GDCM; pydicom's decoders that are installed do not read JPEG of 12 bits.
MORE = {"JPEG-lossy.dcm", "JPGExtended.dcm"}


def with_pydicom(path: Path) -> tuple[Dataset, NDArray[Any] | None]:
    """Read header and pixels, (frame, row, column), colour last; None where pydicom reads none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = dcmread(path, force=True)
        try:
            array = header.pixel_array
            if header.PhotometricInterpretation == "PALETTE COLOR":
                array = apply_color_lut(array, header)
        except Exception:
            return header, None
    return header, array if int(header.get("NumberOfFrames", 1) or 1) > 1 else array[np.newaxis]


def check(orthanc: Orthanc, name: str, path: Path) -> None:
    """Compare what the session reads with what pydicom reads of the file."""
    header, expected = with_pydicom(path)
    if expected is None and name not in MORE:
        with pytest.raises(VolumeError) as caught:
            orthanc.get_volume(units="stored")
        if "PixelData" not in header:
            assert type(caught.value) is NoPixelDataError
        return
    if name in REFUSED:
        with pytest.raises(REFUSED[name]):
            orthanc.get_volume(units="stored")
        return
    stored, values = orthanc.get_volume(units="stored"), orthanc.get_volume()
    if expected is None:
        assert stored.array.shape == (1, header.Rows, header.Columns)
        return
    assert stored.array.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(stored.array, expected)
    meaningful = apply_modality_lut(expected, header)
    if "DoseGridScaling" in header:
        # Of PS3.3 C.8.8.3, which pydicom leaves to its user; a dose grid has no Modality LUT.
        meaningful = expected * float(header.DoseGridScaling)
    np.testing.assert_allclose(values.array, meaningful, rtol=1e-6)


@pytest.mark.one_version
@pytest.mark.parametrize("name", FILES)
def test_as_pydicom_reads_it_or_one_of_our_errors(orthanc: Orthanc, name: str) -> None:
    path = FILES[name]
    (row,) = orthanc.upload_file(path).to_dict("records")
    if path.name.startswith("DICOMDIR"):
        assert row["status"] == "skipped"
    elif name in NAMELESS | BROKEN:
        assert row["status"] == "failed"
        assert ("Inexistent tag" if name in NAMELESS else "Bad file format") in row["message"]
    elif row["status"] != "stored":
        assert row["status"] == "not DICOM"
        assert path.suffix != ".dcm" or name == "no_meta.dcm"
    else:
        assert orthanc.get_header().SOPInstanceUID == row["SOPInstanceUID"]
        check(orthanc, name, path)


@pytest.mark.one_version
@pytest.mark.parametrize("name", sorted(NAMELESS))
def test_files_without_identifiers_are_read_once_they_have_some(orthanc: Orthanc, tmp_path: Path, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = dcmread(FILES[name], force=True)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID"):
            if not header.get(keyword):
                setattr(header, keyword, generate_uid())
        header.SOPClassUID = header.get("SOPClassUID") or "1.2.840.10008.5.1.4.1.1.7"
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        if "TransferSyntaxUID" not in header.file_meta:
            header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        header.save_as(tmp_path / name, enforce_file_format=True)
    assert orthanc.upload_file(tmp_path / name).status.tolist() == ["stored"]
    check(orthanc, name, tmp_path / name)


@pytest.mark.one_version
@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("MR_small_padded.dcm", "MR_small.dcm"),
        ("rtdose_rle.dcm", "rtdose.dcm"),
        ("rtdose_expb.dcm", "rtdose.dcm"),
        ("rtdose_rle_1frame.dcm", "rtdose_1frame.dcm"),
        ("SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm"),
        ("SC_rgb_rle.dcm", "SC_rgb_jpeg_gdcm.dcm"),
    ],
)
def test_lossless_equals_its_uncompressed_twin(orthanc: Orthanc, name: str, twin: str) -> None:
    assert orthanc.upload_file(FILES[name]).status.tolist() == ["stored"]
    expected = with_pydicom(FILES[twin])[1]
    np.testing.assert_array_equal(orthanc.get_array(units="stored"), expected)


CHARSETS = {name: path for name, path in shipped(get_charset_files()).items() if path.suffix == ".dcm"}


@pytest.mark.parametrize("name", CHARSETS)
def test_names_in_every_character_set(orthanc: Orthanc, name: str) -> None:
    header = dcmread(CHARSETS[name])
    if "StudyInstanceUID" not in header:
        assert "Inexistent tag" in orthanc.upload_file(CHARSETS[name]).message[0]
        return
    assert orthanc.upload_file(CHARSETS[name]).status.tolist() == ["stored"]
    written = str(header.PatientName)
    assert str(orthanc.get_header().PatientName) == written
    assert orthanc.PatientNames == [written]
    assert orthanc.copy().select(PatientName=written).instance_count == 1


def test_the_package_holds_what_is_tested() -> None:
    assert set(FILES) > NAMELESS | BROKEN | set(REFUSED) | MORE
    assert len(FILES) > 100
    assert str(get_testdata_file("CT_small.dcm", download=False)) == str(FILES["CT_small.dcm"])
