"""Compressed series through real servers, decoded by helper processes."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless

from simple_orthanc import Orthanc, PixelDecodeError
from simple_orthanc.concurrency import helpers
from simple_orthanc.phantom import make_series
from simple_orthanc.pixels import processes as decoding_processes

pytestmark = pytest.mark.one_version


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Two helpers for any read; every one that is started."""
    found: list[subprocess.Popen[bytes]] = []
    start = helpers._popen

    def popen(module: str, preload: str) -> subprocess.Popen[bytes]:
        found.append(start(module, preload))
        return found[-1]

    monkeypatch.setattr(helpers, "_popen", popen)
    monkeypatch.setattr(decoding_processes, "_SECONDS_EACH", 1e-12)
    monkeypatch.setattr(decoding_processes, "processors", lambda: 2)
    return found


def compressed(series: list[Dataset], syntax: UID) -> list[Dataset]:
    for dataset in series:
        dataset.compress(syntax, generate_instance_uid=False)
    return series


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=["JPEG 2000", "JPEG-LS"])
def test_a_compressed_series_is_decoded_by_helpers(
    orthanc: Orthanc, started: list[subprocess.Popen[bytes]], syntax: UID
) -> None:
    array = np.random.default_rng(5).integers(0, 4000, (30, 70, 66)).astype("uint16")
    orthanc.upload_dataset(compressed(make_series(array=array, intercept=-1000, seed=1), syntax))
    volume = orthanc.get_volume()
    np.testing.assert_array_equal(volume.array, array.astype("int32") - 1000)
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
    (label,) = orthanc.get_volumes()
    np.testing.assert_array_equal(orthanc.get_volumes()[label].array, volume.array)
    assert len(started) == 4
    assert all(process.returncode is not None for process in started)


def test_a_corrupt_object_is_named_and_no_helper_remains(
    orthanc: Orthanc, started: list[subprocess.Popen[bytes]]
) -> None:
    series = compressed(make_series((20, 70, 66), seed=2), JPEG2000Lossless)
    series[11].PixelData = series[11].PixelData[:40] + bytes(60) + series[11].PixelData[100:]
    orthanc.upload_dataset(series)
    with pytest.raises(PixelDecodeError, match=str(series[11].SOPInstanceUID)):
        orthanc.get_array()
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
    orthanc.exclude(SOPInstanceUID=series[11].SOPInstanceUID)
    assert orthanc.get_volume(gaps="nan").array.shape[1:] == (70, 66)


def test_a_short_read_starts_no_helper(orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(module: str, preload: str) -> subprocess.Popen[bytes]:
        raise AssertionError(f"a helper was started for {preload}")

    monkeypatch.setattr(helpers, "_popen", refuse)
    series = compressed(make_series((6, 70, 66), seed=3), JPEG2000Lossless)
    orthanc.upload_dataset(series)
    array = orthanc.get_array()
    np.testing.assert_array_equal(array, np.stack([dataset.pixel_array for dataset in series]))
