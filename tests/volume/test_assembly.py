"""Planned stacks become arrays with the right values at the right millimetres."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from simple_orthanc import Folder
from simple_orthanc.errors import (
    InconsistentSlicesError,
    MissingSlicesError,
    PixelDecodeError,
    SuvError,
)
from simple_orthanc.phantom import CT_RODS, as_bytes, ct_phantom, make_enhanced, make_series, put
from simple_orthanc.pixels import suv
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.volume.assembly import array_bytes, assemble
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from tests.volume.helpers import (
    first_values,
    random_series,
    read,
    read_all,
    stored_of,
)


class TestValues:
    def test_shuffled_series_comes_back_in_order(self) -> None:
        array, series = random_series(intercept=-24, spacing=(2, 0.7, 1.3))
        found = read([series[index] for index in (3, 0, 4, 1, 2)])
        assert np.array_equal(found.array, array - 24)
        assert found.array.dtype == np.int32  # 16 bits stored and an intercept do not fit int16
        assert found.units == "HU"
        assert found.header.SOPInstanceUID == series[0].SOPInstanceUID
        assert found.slices is not None
        assert found.slices.SOPInstanceUID.tolist() == [header.SOPInstanceUID for header in series]
        assert found.slices.position.tolist() == [(0, 0, 2.0 * number) for number in range(5)]
        assert found.slices.index.tolist() == list(range(5))
        assert found.slices.frame.tolist() == [1] * 5

    def test_phantom_rods_are_at_their_millimetres(self) -> None:
        slices = ct_phantom((10, 128, 128))
        found = read(slices[::-1])
        assert found.geometry is not None
        assert found.array.dtype == np.int16
        for rod in CT_RODS:
            z, y, x = np.rint(found.geometry.to_index((rod.x, rod.y, 10.0), "zyx")).astype(int)
            assert found.array[z, y, x] == rod.hounsfield
        z, y, x = np.rint(found.geometry.to_index((0, 40, -10.0), "zyx")).astype(int)
        assert found.array[z, y, x] == 0

    def test_rescale_is_per_slice(self) -> None:
        series = make_series(
            array=np.full((3, 4, 4), 100, np.int16), slope=[0.5, 1.0, 1.5], modality="PT", Units="BQML"
        )
        found = read(series)
        assert first_values(found) == [50, 100, 150]
        assert found.array.dtype == np.float32
        assert found.units == "BQML"
        assert found.slices is not None
        assert found.slices.slope.tolist() == [0.5, 1.0, 1.5]
        swapped = make_series(array=np.full((2, 4, 4), 101, np.int16), slope=[1.0, 0.5], modality="PT")
        assert first_values(read(swapped)) == [101, 50.5]

    @pytest.mark.parametrize(
        ("modality", "lacking"),
        [
            ("CT", ("RescaleSlope",)),
            ("CT", ("RescaleIntercept",)),
            ("PT", ("RescaleSlope",)),
            ("PT", ("RescaleSlope", "RescaleIntercept")),
        ],
    )
    @pytest.mark.parametrize("which", [0, 2])
    def test_what_one_slice_lacks_and_others_state_is_not_assumed(
        self, modality: str, lacking: tuple[str, ...], which: int
    ) -> None:
        array, series = random_series(modality=modality, slope=2, intercept=-24, Units="BQML", PatientWeight=None)
        for keyword in lacking:
            del series[which][keyword]
        with pytest.raises(InconsistentSlicesError, match=rf"{lacking[0]} .* is missing in 1 of 5 slices") as caught:
            read(series)
        assert f"InstanceNumber {which + 1}" in caught.value.message
        assert list(caught.value.groups.values()) == [1, 4]
        assert np.array_equal(read(series, units="stored").array, array)

    def test_what_one_slice_lacks_may_be_a_matter_of_course(self) -> None:
        array, series = random_series(modality="PT", Units="BQML", slope=[1, 2, 1, 2, 3])
        del series[3].RescaleIntercept
        assert np.array_equal(read(series).array, array * np.array([1, 2, 1, 2, 3]).reshape(5, 1, 1))
        array, series = random_series(modality="CT")
        del series[3].RescaleSlope
        assert np.array_equal(read(series).array, array)

    def test_what_one_frame_lacks_and_others_state_is_not_assumed(self) -> None:
        image = make_enhanced((4, 4, 4), modality="CT", slope=[1, 2, 3, 4], intercept=[5, 5, 5, 5])
        del image.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence[0].RescaleIntercept
        with pytest.raises(InconsistentSlicesError, match=r"RescaleIntercept .* is missing in 1 of 4 slices.* frame 2"):
            read([image])

    @pytest.mark.parametrize("units", ["real world", "philips"])
    def test_intercepts_of_other_units_are_not_assumed_either(self, units: str) -> None:
        series = make_series((3, 4, 4), modality="MR", Manufacturer="Philips")
        for number, header in enumerate(series):
            mapping, code = Dataset(), Dataset()
            code.CodeValue = "1"
            mapping.RealWorldValueSlope, mapping.MeasurementUnitsCodeSequence = 2.0, [code]
            block = header.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            block.add_new(0x0E, "FL", 2.0)
            if number != 1:
                mapping.RealWorldValueIntercept = 7.0
                block.add_new(0x0D, "FL", 7.0)
            header.RealWorldValueMappingSequence = [mapping]
        with pytest.raises(InconsistentSlicesError, match="is missing in 1 of 3 slices"):
            read(series, units=units)

    def test_stored_values_on_request(self) -> None:
        array, series = random_series(intercept=-1024)
        found = read(series, units="stored")
        assert np.array_equal(found.array, array)
        assert found.array.dtype == np.int16
        assert found.units == "stored"

    def test_unsigned_with_intercept_does_not_wrap(self) -> None:
        found = read(make_series(array=np.zeros((2, 4, 4), np.uint16), intercept=-1024))
        assert found.array.min() == -1024

    def test_signed_and_unsigned_slices_are_promoted(self) -> None:
        signed = make_series(array=np.full((2, 4, 4), -5, np.int16))
        unsigned = make_series(array=np.full((2, 4, 4), 60000, np.uint16), origin=(0, 0, 2), like=signed[0])
        assert first_values(read(signed + unsigned)) == [-5, -5, 60000, 60000]

    def test_monochrome1_is_unchanged(self) -> None:
        series = make_series(array=np.full((2, 4, 4), 100, np.int16), PhotometricInterpretation="MONOCHROME1")
        found = read(series)
        assert (found.array == 100).all()
        assert (found.window(100, 200) == 128).all()
        assert (found.window(0, 200) == 0).all()

    def test_padding_is_a_mask(self) -> None:
        array = np.zeros((2, 4, 4), np.int16)
        array[1, 0, 0] = -2000
        found = read(make_series(array=array, PixelPaddingValue=-2000, intercept=-24))
        assert found.padding_mask is not None
        assert np.argwhere(found.padding_mask).tolist() == [[1, 0, 0]]
        assert found.array[1, 0, 0] == -2024
        assert read(make_series()).padding_mask is None

    def test_colour_keeps_its_type_and_is_the_last_axis(self) -> None:
        array = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8)
        found = read(make_series(array=array, modality="US", ImagePositionPatient=None, ImageOrientationPatient=None))
        assert np.array_equal(found.array, array)
        assert found.array.dtype == np.uint8
        assert found.is_colour
        assert found.affine is None

    def test_frames_that_are_not_as_the_header_says(self) -> None:
        series = make_series((2, 4, 4))
        with pytest.raises(PixelDecodeError, match=r"1 frame\(s\) of 4 rows and 4 columns were expected"):
            assemble(plan_stacks(series)[0], series, lambda index: np.zeros((1, 3, 4), np.int16))

    def test_each_object_is_asked_for_once(self) -> None:
        image = make_enhanced((4, 4, 4), positions=[(0, 0, z) for z in (3, 1, 2, 0)])
        asked = []

        def stored(index: int) -> np.ndarray:
            asked.append(index)
            return stored_values(image)

        assert first_values(assemble(plan_stacks([image])[0], [image], stored)) == [3, 1, 2, 0]
        assert asked == [0]

    def test_problem_of_the_stack_is_raised(self) -> None:
        series = make_series((3, 4, 4), ImagePositionPatient=[(0, 0, 0), (0, 0, 2), (0, 0, 5)])
        with pytest.raises(InconsistentSlicesError, match="unevenly"):
            assemble(plan_stacks(series)[0], series, stored_of(series))

    def test_units_must_agree(self) -> None:
        series = make_series(modality="PT", Units=["BQML", "BQML", "CNTS"])
        with pytest.raises(InconsistentSlicesError, match=r"BQML \(2 slices\), CNTS \(1 slice\)"):
            read(series)


class TestHoles:
    def test_missing_slices_are_nan(self) -> None:
        series = make_series((3, 4, 4), ImagePositionPatient=[(0, 0, 0), (0, 0, 2), (0, 0, 6)])
        with pytest.raises(MissingSlicesError):
            read(series)
        found = read(series, gaps="nan")
        assert found.array.dtype == np.float32
        assert np.array_equal(found.array[:, 0, 0], [0, 1, np.nan, 2], equal_nan=True)
        assert found.geometry is not None
        assert found.geometry.size == (4, 4, 4)
        assert any("NaN" in note for note in found.log)
        assert found.slices is not None
        assert found.slices.index.tolist() == [0, 1, 3]

    def test_runs(self) -> None:
        series = make_series((3, 4, 4), ImagePositionPatient=[(0, 0, 0), (0, 0, 2), (0, 0, 6)])
        assert {label: first_values(found) for label, found in read_all(series, gaps="split").items()} == {
            "axial 3x4x4 run 1": [0, 1],
            "axial 3x4x4 run 2": [2],
        }


class TestFourDimensions:
    def test_times_are_the_first_axis(self) -> None:
        base = make_series(array=np.arange(3, dtype=np.int16)[:, None, None] + np.zeros((3, 4, 5), np.int16))
        series = list(base)
        for time in (1, 2):
            series += make_series(array=base[0].pixel_array + np.full((3, 4, 5), 10 * time, np.int16), like=base[0])
        for number, header in enumerate(series):
            header.TemporalPositionIdentifier = 3 - number // 3
        found = read(series, dims="time")
        assert found.dims == ("time", "slice", "row", "column")
        assert found.coordinates == {"time": (1.0, 2.0, 3.0)}
        assert found.array.shape == (3, 3, 4, 5)
        assert found.array[:, :, 0, 0].tolist() == [[20, 20, 20], [10, 10, 10], [0, 1, 2]]
        assert found.slices is not None
        assert found.slices.time.tolist() == [1] * 3 + [2] * 3 + [3] * 3
        image = found.to_sitk()
        assert image.GetSize() == (5, 4, 3, 3)
        assert image.GetSpacing() == (1, 1, 1, 1)
        assert image.GetOrigin() == (0, 0, 0, 0)
        assert np.array_equal(SimpleITK.GetArrayFromImage(image), found.array)
        assert found.plot() is not None
        assert "3 x 3 x 4 x 5 (time, slice, row, column)" in repr(found)

    def test_a_time_point_with_a_hole_is_refused(self) -> None:
        base = make_series((4, 4, 4), TemporalPositionIdentifier=1)
        later = make_series((4, 4, 4), TemporalPositionIdentifier=2, like=base[0])
        with pytest.raises(MissingSlicesError, match="time 2"):
            read(base + later[:1] + later[2:], dims="time")
        found = read(base + later[:1] + later[2:], dims="time", gaps="nan")
        assert np.array_equal(found.array[1, :, 0, 0], [0, np.nan, 2, 3], equal_nan=True)
        assert not np.isnan(found.array[0]).any()


class TestMultiFrame:
    def test_shared_rescale_and_frame_order(self) -> None:
        array = np.array([5, 6, 7], np.int16)[:, None, None] + np.zeros((3, 4, 5), np.int16)
        positions = [(0, 0, 4), (0, 0, 0), (0, 0, 2)]
        image = make_enhanced(array=array, positions=positions, slope=2.0, intercept=-1000, modality="CT")
        found = read([image])
        assert first_values(found) == [-988, -986, -990]
        assert found.units == "HU"
        assert found.slices is not None
        assert found.slices.frame.tolist() == [2, 3, 1]

    def test_rescale_of_each_frame(self) -> None:
        image = make_enhanced(array=np.full((2, 4, 4), 100, np.int16), slope=[1.0, 0.5], modality="PT")
        assert first_values(read([image])) == [100, 50]

    def test_dose_in_gray(self) -> None:
        dose = make_series(
            array=np.full((1, 4, 4), 1_000_000, np.uint32), modality="RTDOSE", slope=None, intercept=None
        )[0]
        dose.DoseGridScaling, dose.DoseUnits, dose.NumberOfFrames = "1e-6", "GY", 2
        dose.GridFrameOffsetVector = [0, 3]
        dose.PixelData = dose.PixelData * 2
        found = read([dose])
        assert first_values(found) == [1.0, 1.0]
        assert found.units == "GY"
        assert found.spacing == (1, 1, 3)


class TestUptake:
    def test_a_traceback_says_once_why_there_is_no_suv(self) -> None:
        with pytest.raises(SuvError, match=r"PatientWeight .* is missing.*units=\"modality\"") as caught:
            read(make_series((2, 4, 4), modality="PT", Units="BQML"), units="SUVbw")
        assert "".join(traceback.format_exception(caught.value)).count("PatientWeight (0010,1030)") == 1

    def test_suv_keeps_its_record(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []

        record = suv.SuvRecord("SUVbw", "by hand", "BQML", warnings=("weight taken for grams",))

        def scale(headers: list[Dataset], kind: str) -> tuple[list[float], suv.SuvRecord]:
            asked.append((len(headers), kind))
            return [2.0, 3.0, 4.0], record

        monkeypatch.setattr(suv, "suv_scale", scale)
        series = make_series(array=np.full((3, 4, 4), 10, np.int16), slope=[1, 2, 3], modality="PT", Units="BQML")
        put(series[0], "PatientWeight", 70)
        found = read(series, units="SUVbw")
        assert asked == [(3, "SUVbw")]
        assert first_values(found) == [20, 60, 120]
        assert found.units == "g/ml"
        assert found.suv == record
        assert "weight taken for grams" in found.log
        assert found.array.dtype == np.float32
        assert found.slices is not None
        assert found.slices.slope.tolist() == [2, 6, 12]


def with_slope(image: Dataset, slope: float) -> Dataset:
    image.RescaleSlope = str(slope)
    return image


@pytest.mark.parametrize("units", ["modality", "stored"])
@pytest.mark.parametrize(
    "series",
    [
        make_series((3, 4, 5)),
        make_series((3, 4, 5), slope=0.5),
        make_series((3, 4, 5), dtype="uint16", BitsStored=16, intercept=-1024),
        make_series((3, 4, 5), dtype="uint8", slope=None, intercept=None),
        make_series((3, 4, 5), dtype="float32", slope=None, intercept=None),
        make_series((3, 4, 5), dtype="uint32", slope=1e-6),
        [with_slope(image, slope) for image, slope in zip(make_series((3, 4, 5)), (1, 2, 0.25), strict=True)],
    ],
    ids=["int16", "slope", "int32", "uint8", "float32", "uint32", "slopes of their own"],
)
def test_the_size_in_bytes_is_that_of_the_array(series: list[Dataset], units: str, tmp_path: Path) -> None:
    stacks = plan_stacks(series)
    arrays = [stored_values(dataset) for dataset in series]
    volume = assemble(choose_volume(stacks), series, lambda index: arrays[index], units=units)
    assert array_bytes(stacks[0], series, units) == volume.array.nbytes
    for number, dataset in enumerate(series):
        (tmp_path / f"{number}.dcm").write_bytes(as_bytes(dataset))
    folder = Folder(tmp_path, cache=False)
    if units == "modality":
        assert folder.volume_table().bytes.tolist() == [folder.get_volume().array.nbytes]
