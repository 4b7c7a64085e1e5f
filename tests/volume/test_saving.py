"""A saved file appears whole or not at all, and what was there before stays until then."""

from __future__ import annotations

import doctest
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume import saving
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.volume import Volume

SUFFIXES = (".nii.gz", ".nrrd", ".mha")


def noise(*shape: int, dims: tuple[str, ...] = (), **fields: object) -> Volume:
    array = np.random.default_rng(1).integers(-32768, 32767, shape).astype(np.int16)
    size = (shape[-1], shape[-2], shape[-3])
    grid = Geometry(size, (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    return replace(Volume(array, grid, Dataset(), dims=(*dims, "slice", "row", "column")), **fields)


def dwi() -> Volume:
    directions = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    return noise(2, 9, 40, 40, dims=("b",), coordinates={"b": (0.0, 1000.0), "direction": directions})


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """Let files grow to this many bytes, as on a disk that is full then."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_examples() -> None:
    assert doctest.testmod(saving).failed == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
class TestWholeFiles:
    def test_an_older_file_is_replaced(self, suffix: str, tmp_path: Path) -> None:
        target = tmp_path / f"volume{suffix}"
        target.write_bytes(b"older")
        found = noise(3, 4, 5)
        assert found.save(target) == target
        assert np.array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(target))), found.array)
        assert [file.name for file in tmp_path.iterdir()] == [target.name]

    @pytest.mark.parametrize("shape", [(9, 40, 40), (2, 9, 40, 40)])
    @pytest.mark.parametrize("size", [0, 300, 5000, 20000])
    def test_a_full_disk_keeps_the_older_file(
        self, suffix: str, size: int, shape: tuple[int, ...], tmp_path: Path
    ) -> None:
        target = tmp_path / f"volume{suffix}"
        found = noise(*shape, dims=("time",) * (len(shape) - 3), coordinates={"time": (0.0, 1.0)})
        found.save(target)
        older = target.read_bytes()
        with (
            full_after(size),
            pytest.raises(VolumeError, match=r"volume.* could not be written.* older file .* unchanged"),
        ):
            found.save(target)
        assert target.read_bytes() == older
        assert [file.name for file in tmp_path.iterdir()] == [target.name]

    def test_a_missing_folder(self, suffix: str, tmp_path: Path) -> None:
        with pytest.raises(VolumeError, match=r"there is no folder .*missing\. Create it"):
            noise(3, 4, 5).save(tmp_path / "missing" / f"volume{suffix}")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_in_place_of_the_folder(self, suffix: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(VolumeError, match="there is no folder"):
            noise(3, 4, 5).save(tmp_path / "file" / f"volume{suffix}")

    def test_a_folder_of_that_name(self, suffix: str, tmp_path: Path) -> None:
        (tmp_path / f"volume{suffix}").mkdir()
        with pytest.raises(VolumeError, match="it is a folder"):
            noise(3, 4, 5).save(tmp_path / f"volume{suffix}")
        assert [file.name for file in tmp_path.iterdir()] == [f"volume{suffix}"]

    @pytest.mark.parametrize("name", ["n" * 300, "null\0"])
    def test_an_impossible_name(self, suffix: str, name: str, tmp_path: Path) -> None:
        with pytest.raises(VolumeError):
            noise(3, 4, 5).save(tmp_path / (name + suffix))
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written_to(
        self, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if os.geteuid() == 0:  # root may write everywhere

            def refuse(path: Path, *args: object, **keywords: object) -> None:
                raise PermissionError(13, "Permission denied", str(path))

            monkeypatch.setattr(Path, "touch", refuse)
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        try:
            with pytest.raises(VolumeError, match="Permission denied"):
                noise(3, 4, 5).save(tmp_path / f"volume{suffix}")
            assert list(tmp_path.iterdir()) == []
        finally:
            tmp_path.chmod(stat.S_IRWXU)


@pytest.mark.parametrize("name", ["volume.png", "volume", "volume.nii", "volume.gz", ".nrrd.txt"])
def test_an_unknown_suffix(name: str, tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match=r"supported formats are \.nii\.gz, \.nrrd, \.mha"):
        noise(3, 4, 5).save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


class TestCompanions:
    def test_they_are_written_beside_the_image(self, tmp_path: Path) -> None:
        dwi().save(tmp_path / "sub.01.NII.gz")
        assert sorted(file.name for file in tmp_path.iterdir()) == ["sub.01.NII.gz", "sub.01.bval", "sub.01.bvec"]

    def test_a_full_disk_keeps_the_older_ones(self, tmp_path: Path) -> None:
        for name in ("dwi.bval", "dwi.bvec", "dwi.nii.gz"):
            (tmp_path / name).write_bytes(b"older")
        with full_after(5000), pytest.raises(VolumeError, match="could not be written"):
            dwi().save(tmp_path / "dwi.nii.gz")
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == dict.fromkeys(
            ("dwi.bval", "dwi.bvec", "dwi.nii.gz"), b"older"
        )

    def test_other_formats_have_none(self, tmp_path: Path) -> None:
        dwi().save(tmp_path / "dwi.nrrd")
        assert [file.name for file in tmp_path.iterdir()] == ["dwi.nrrd"]
