"""xarray, TorchIO and MONAI get the values at the place where they read them from the saved volume."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import xarray
from pydicom.dataset import Dataset

from simple_orthanc.errors import UnsupportedError, VolumeError
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.volume import Volume

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
FLIPPED = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
OBLIQUE = (0.8, -0.6, 0.0, 0.36, 0.48, 0.8, 0.48, 0.64, -0.6)
SHEARED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.28, 0.0, 0.0, 0.96)
DIRECTIONS = {"axial": AXIAL, "flipped": FLIPPED, "sagittal": SAGITTAL, "oblique": OBLIQUE}


def volume_of(array: np.ndarray, direction: tuple[float, ...] = OBLIQUE, **attributes: Any) -> Volume:
    """Return a volume with a size and a spacing of its own along each axis."""
    slices, rows, columns = array.shape[-3:] if "dims" in attributes or array.ndim == 3 else array.shape[:3]
    grid = Geometry((columns, rows, slices), (0.7, 1.3, 2.5), (-10.0, 20.25, 30.5), direction)  # type: ignore[arg-type]
    return Volume(array, grid, Dataset(), **attributes)


def numbers(dtype: Any, shape: tuple[int, ...] = (3, 4, 5)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def four_steps(axis: str = "time", unit: str = "s", values: tuple[float, ...] = (0.0, 2.0, 4.0, 6.0)) -> Volume:
    return volume_of(
        numbers(np.int16, (4, 3, 4, 5)),
        dims=(axis, "slice", "row", "column"),
        coordinates={axis: values},
        coordinate_units={axis: unit},
    )


VOLUMES = {
    **{name: volume_of(numbers(np.int16), direction, units="HU") for name, direction in DIRECTIONS.items()},
    "float32": volume_of(numbers(np.float32) / 3, units="SUVbw"),
    "float64": volume_of(numbers(np.float64) / 3),
    "uint8": volume_of(numbers(np.uint8)),
    "uint16": volume_of(numbers(np.uint16) + np.uint16(65000)),
    "int32": volume_of(numbers(np.int32) + 100_000),
    "uint32": volume_of(numbers(np.uint32) + np.uint32(2**32 - 1000)),
    "mask": volume_of(numbers(np.int16) > 100, units="mask"),
    "labels": volume_of(numbers(np.uint16) % np.uint16(3), units="label"),
    "4D": four_steps(),
    "turned part": volume_of(numbers(np.int16))[::-1, 1:, ::2],
    "big-endian": volume_of(numbers(">i2")),
    "one slice": volume_of(numbers(np.int16, (1, 4, 5))),
}
COLOUR = volume_of(numbers(np.uint8, (3, 4, 5, 3)), units="rgb")
# Of ITK, whose NIfTI files hold the direction in single precision.
TOLERANCE = 1e-4


@pytest.fixture(params=VOLUMES, scope="module")
def volume(request: pytest.FixtureRequest) -> Volume:
    return VOLUMES[request.param]


@pytest.fixture(scope="module")
def saved(volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return volume.save(tmp_path_factory.mktemp("saved") / "volume.nii.gz")


class TestXarray:
    def test_values_are_where_the_saved_file_has_them(self, volume: Volume, saved: Path) -> None:
        image = SimpleITK.ReadImage(str(saved))
        found = volume.to_xarray()
        matrix = np.reshape(found.attrs["direction"], (3, 3))
        first = found if found.ndim == 3 else found[1]
        for index in ((0, 0, 0), (-1, 1, 2), (0, -1, -1), (-1, -1, 0)):
            voxel = first[index]
            position = matrix @ [voxel.column.item(), voxel.row.item(), voxel.slice.item()]
            point = position.tolist() + ([2.0] if found.ndim == 4 else [])
            place = image.TransformPhysicalPointToContinuousIndex(point)
            assert np.allclose(place, np.round(place), atol=1e-3)
            assert image.GetPixel([round(number) for number in place]) == voxel.item()

    def test_the_array_is_not_copied(self, volume: Volume) -> None:
        assert np.shares_memory(volume.to_xarray().values, volume.array)

    def test_an_axial_volume_has_the_patients_coordinates(self) -> None:
        found = VOLUMES["axial"].to_xarray()
        assert found.dims == ("slice", "row", "column")
        assert found.column.values == pytest.approx([-10, -9.3, -8.6, -7.9, -7.2])
        assert found.row.values == pytest.approx([20.25, 21.55, 22.85, 24.15])
        assert found.slice.values == pytest.approx([30.5, 33, 35.5])
        assert found.attrs == {"units": "HU", "space": "LPS", "direction": AXIAL}
        assert {found[name].attrs["units"] for name in found.dims} == {"mm"}

    def test_a_sheared_volume_has_its_positions_too(self) -> None:
        sheared = volume_of(numbers(np.int16), SHEARED)
        assert sheared.geometry is not None
        found = sheared.to_xarray()[2, 3, 4]
        position = np.reshape(found.attrs["direction"], (3, 3)) @ [found.column, found.row, found.slice]
        assert position == pytest.approx(sheared.geometry.to_patient((2, 3, 4), "zyx"))

    def test_steps_have_their_coordinates(self) -> None:
        found = four_steps("echo", "ms", (5.0, 10.0, 15.0, 20.0)).to_xarray()
        assert found.dims == ("echo", "slice", "row", "column")
        assert found.echo.values.tolist() == [5, 10, 15, 20]
        assert found.echo.attrs == {"units": "ms"}
        assert found.sel(echo=15).equals(found[2])

    def test_gradient_directions_are_coordinates(self) -> None:
        vectors = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.6, 0.8))
        diffusion = four_steps("b", "s/mm2", (0.0, 1000.0, 1000.0, 1000.0))
        found = replace(diffusion, coordinates={**diffusion.coordinates, "direction": vectors}).to_xarray()
        assert [found[f"direction_{axis}"].values.tolist() for axis in "xyz"] == [list(part) for part in zip(*vectors)]  # noqa: B905
        assert found.b.attrs == {"units": "s/mm2"}

    def test_colour_has_channels(self) -> None:
        found = COLOUR.to_xarray()
        assert found.dims == ("slice", "row", "column", "channel")
        assert np.array_equal(found.sel(channel="G"), COLOUR.array[..., 1])

    def test_without_geometry_there_are_no_millimetres(self) -> None:
        found = Volume(numbers(np.int16), None, Dataset()).to_xarray()
        assert not found.coords
        assert found.attrs == {}

    def test_it_can_be_written_to_a_file(self, tmp_path: Path) -> None:
        found = VOLUMES["oblique"].to_xarray()
        found.to_netcdf(tmp_path / "volume.nc", engine="scipy")
        with xarray.open_dataarray(tmp_path / "volume.nc", engine="scipy") as back:
            assert back.equals(found)
            assert tuple(back.attrs["direction"]) == OBLIQUE

    def test_without_xarray_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "xarray", None)
        with pytest.raises(UnsupportedError, match=r'pip install "simple-orthanc\[xarray\]"'):
            COLOUR.to_xarray()


@pytest.fixture(scope="module")
def libraries() -> Iterator[tuple[Any, Any, Any]]:
    """PyTorch, TorchIO and MONAI."""
    import monai.transforms
    import torch
    import torchio

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch, torchio, monai
    torch.set_num_threads(threads)


@pytest.mark.pytorch
class TestPytorch:
    @pytest.mark.parametrize("name", ["axial", "uint16", "mask", "turned part", "4D"])
    def test_a_volume_is_a_tensor(self, name: str, libraries: tuple[Any, Any, Any]) -> None:
        volume = VOLUMES[name]
        tensor = libraries[0].as_tensor(volume)
        assert np.array_equal(tensor.numpy(), volume.array)
        assert np.shares_memory(tensor.numpy(), volume.array) == (name != "turned part")


@pytest.mark.pytorch
class TestTorchio:
    def test_it_is_what_torchio_reads(self, volume: Volume, saved: Path, libraries: tuple[Any, Any, Any]) -> None:
        torch, torchio, _ = libraries
        found = volume.to_torchio()
        kind = torchio.LabelMap if volume.units in ("mask", "label") else torchio.ScalarImage
        expected = kind(saved)
        assert type(found) is type(expected)
        assert found.shape == expected.shape
        assert found.data.dtype == expected.data.dtype
        assert torch.equal(found.data, expected.data)
        assert np.allclose(found.affine, expected.affine, atol=TOLERANCE)
        assert found["units"] == volume.units

    def test_colour_is_what_torchio_reads(self, tmp_path: Path, libraries: tuple[Any, Any, Any]) -> None:
        torch, torchio, _ = libraries
        found, expected = COLOUR.to_torchio(), torchio.ScalarImage(COLOUR.save(tmp_path / "colour.nii.gz"))
        assert found.shape == (3, 5, 4, 3)
        assert torch.equal(found.data, expected.data)

    def test_what_torchio_does_with_it_is_in_place(self, libraries: tuple[Any, Any, Any]) -> None:
        torchio = libraries[1]
        source = volume_of(numbers(np.int16, (8, 8, 8)))
        turned = torchio.ToCanonical()(source.to_torchio()).as_sitk()
        itself = source.to_sitk()
        assert source.geometry is not None
        for index in ((0, 0, 0), (7, 2, 5), (3, 7, 1)):
            point = source.geometry.to_patient(index, "xyz").tolist()
            assert turned[turned.TransformPhysicalPointToIndex(point)] == itself[index]

    def test_a_sheared_volume_is_refused_with_a_way_that_works(self, libraries: tuple[Any, Any, Any]) -> None:
        sheared = volume_of(numbers(np.int16), SHEARED, units="HU")
        with pytest.raises(VolumeError, match="resample=True"):
            sheared.to_torchio()
        assert Volume.from_sitk(sheared.to_sitk(resample=True), like=sheared).to_torchio()["units"] == "HU"


@pytest.mark.pytorch
# LoadImage makes a reader of each kind, also of DICOM by NVIDIA's decoders.
@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")
class TestMonai:
    def test_it_is_what_monai_reads(self, volume: Volume, saved: Path, libraries: tuple[Any, Any, Any]) -> None:
        torch, _, monai = libraries
        found = volume.to_monai()
        expected = monai.transforms.LoadImage(ensure_channel_first=True, dtype=None)(saved)
        assert type(found) is type(expected)
        assert found.shape == expected.shape
        assert torch.equal(found.as_tensor().double(), expected.as_tensor().double())
        assert torch.allclose(found.affine, expected.affine, atol=TOLERANCE)
        assert found.affine.dtype == expected.affine.dtype
        assert found.meta["space"] == expected.meta["space"]
        assert found.meta["spatial_shape"].tolist() == expected.meta["spatial_shape"].tolist()
        assert monai.transforms.EnsureChannelFirst()(found).shape == expected.shape
        assert np.allclose(found.meta["original_affine"], expected.meta["original_affine"], atol=TOLERANCE)

    def test_what_monai_does_with_it_is_in_place(self, libraries: tuple[Any, Any, Any]) -> None:
        monai = libraries[2]
        source = volume_of(numbers(np.int16, (8, 8, 8)), SHEARED)
        turned = monai.transforms.Orientation("RAS", labels=None)(source.to_monai())
        assert source.geometry is not None
        for index in ((0, 0, 0), (7, 2, 5), (3, 7, 1)):
            position = [*(source.geometry.to_patient(index, "xyz") * (-1, -1, 1)), 1]
            place = np.linalg.solve(turned.affine.numpy(), position)[:3].round().astype(int)
            assert turned[(0, *place)].item() == source.array[index[::-1]]

    def test_colour_has_channels_first(self, libraries: tuple[Any, Any, Any]) -> None:
        found = COLOUR.to_monai()
        assert np.array_equal(found.as_tensor().numpy(), COLOUR.array.T)


@pytest.mark.pytorch
@pytest.mark.parametrize("method", ["to_torchio", "to_monai"])
class TestTensors:
    @pytest.mark.parametrize("name", ["axial", "float32", "uint8", "int32", "mask", "4D"])
    def test_memory_is_shared(self, method: str, name: str, libraries: tuple[Any, Any, Any]) -> None:
        tensor = getattr(VOLUMES[name], method)()
        assert np.shares_memory(np.asarray(getattr(tensor, "data", tensor)), VOLUMES[name].array)

    @pytest.mark.parametrize(
        ("name", "dtype"), [("mask", "uint8"), ("uint16", "int32"), ("uint32", "int64"), ("float64", "float64")]
    )
    def test_types(self, method: str, name: str, dtype: str, libraries: tuple[Any, Any, Any]) -> None:
        assert getattr(VOLUMES[name], method)().data.dtype == getattr(libraries[0], dtype)

    def test_what_is_read_only_stays_so(self, method: str, libraries: tuple[Any, Any, Any]) -> None:
        array = numbers(np.int16)
        array.flags.writeable = False
        tensor = getattr(volume_of(array), method)()
        tensor.data[:] = 0
        assert array.max() > 0

    def test_what_they_cannot_hold_is_refused(self, method: str, libraries: tuple[Any, Any, Any]) -> None:
        with pytest.raises(VolumeError, match="no position"):
            getattr(Volume(numbers(np.int16), None, Dataset()), method)()
        steps = volume_of(
            numbers(np.uint8, (2, 3, 4, 5, 3)), dims=("time", "slice", "row", "column"), coordinates={"time": (0, 1)}
        )
        with pytest.raises(VolumeError, match=r"use volume\[0\]"):
            getattr(steps, method)()


@pytest.mark.parametrize(("method", "extra"), [("to_torchio", "torchio"), ("to_monai", "monai")])
def test_without_the_library_its_extra_is_named(method: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, extra, None)
    monkeypatch.setitem(sys.modules, "monai.data", None)
    with pytest.raises(UnsupportedError, match=rf'pip install "simple-orthanc\[{extra}\]"'):
        getattr(volume_of(numbers(np.int16)), method)()
