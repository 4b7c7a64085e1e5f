"""Traps of values through real servers: types, units, bits, twins, and standardized uptake values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from simple_orthanc import InconsistentSlicesError, Orthanc, SuvError
from simple_orthanc.phantom import make_series
from tests.live import traps_in_space as space
from tests.live import traps_in_values as values
from tests.live.trap_checks import follow, load
from tests.live.traps import Trap
from tests.live.traps_in_values import left, pet

pytestmark = [pytest.mark.one_version, pytest.mark.unmeasured]


@pytest.mark.parametrize(
    ("trap", "dtype", "unit"),
    [
        (values.slopes, "float32", "BQML"),
        (values.slopes_first_whole, "float32", "BQML"),
        (values.modality_lut, "int16", "HU"),
        (values.real_world, "float32", "mm2/s"),
        (values.philips_scaling, "int32", "Philips"),
        (values.monochrome1, "int16", "US"),
        (values.padding, "int32", "HU"),
        (values.twelve_bits_signed, "int16", "stored"),
        (values.eight_bits_signed, "int16", "HU"),
        (values.thirty_two_bits, "int32", "stored"),
        (values.floats, "float32", "stored"),
        (values.doubles, "float64", "stored"),
        (values.planes, "uint8", "stored"),
        (values.palette, "uint16", "stored"),
        (values.negative_intercept, "int32", "HU"),
        (space.two_pixel_types, "int32", "HU"),
        (space.dose_relative, "float64", "GY"),
        (space.segmentation, "uint8", "label"),
        (space.fractional_segmentation, "float32", "PROBABILITY"),
        (space.enhanced_shared_rescale, "int32", "HU"),
        (values.suv_bqml, "float32", "g/ml"),
    ],
    ids=lambda value: value.name if isinstance(value, Trap) else None,
)
def test_type_and_unit(orthanc: Orthanc, trap: Trap, dtype: str, unit: str) -> None:
    volume = load(orthanc, trap).get_volume(units=trap.units)
    assert (volume.array.dtype.name, volume.units) == (dtype, unit)


@pytest.mark.parametrize(
    ("trap", "stored"),
    [(values.slopes, [100, 100, 100]), (values.padding, [-2000, -1995, 24]), (values.negative_intercept, [0, 65535]),
     (values.modality_lut, [1, 0, 9]), (space.two_pixel_types, [-5, -5, 60000])],
    ids=lambda value: value.name if isinstance(value, Trap) else None,
)  # fmt: skip
def test_stored_values_keep_their_type(orthanc: Orthanc, trap: Trap, stored: list[int]) -> None:
    volume = load(orthanc, trap).get_volume(units="stored")
    assert volume.array[:, 0, 0].tolist() == stored
    types = {np.dtype(f"{'ui'[header.PixelRepresentation]}2") for header in trap.case.headers}
    assert volume.array.dtype == np.result_type(*types)
    assert volume.units == "stored"


def test_padding_is_a_mask(orthanc: Orthanc) -> None:
    volume = load(orthanc, values.padding).get_volume()
    assert volume.padding_mask is not None
    assert volume.padding_mask[:, 0, 0].tolist() == [True, True, False]
    assert volume.padding_mask.shape == volume.array.shape


def test_the_slope_of_each_slice_is_in_the_table(orthanc: Orthanc) -> None:
    assert load(orthanc, values.slopes).get_volume().slices.slope.tolist() == [0.5, 1.0, 1.5]


def test_inverted_grey_is_inverted_for_display_only(orthanc: Orthanc) -> None:
    volume = load(orthanc, values.monochrome1).get_volume()
    assert volume.array[:, 0, 0].tolist() == [100, 4000]
    shown = volume.window(2000, 4000)[:, 0, 0]
    assert shown[0] > 200 > 50 > shown[1]


@pytest.mark.parametrize("name", [*values.NATIVE, *values.COMPRESSED, "JPEG lossless"])
def test_equal_to_the_uncompressed_twin(orthanc: Orthanc, name: str) -> None:
    trap = {**values.NATIVE, **values.COMPRESSED, "JPEG lossless": values.jpeg_lossless}[name]
    found = load(orthanc, trap).get_volume(units="stored")
    syntaxes = {header.file_meta.TransferSyntaxUID for header in orthanc.get_headers()}
    # The server stored what it was given.
    assert syntaxes == {header.file_meta.TransferSyntaxUID for header in trap.case.headers}
    assert found.array.dtype == np.int16
    assert np.array_equal(found.array, values.grey())


@pytest.mark.parametrize("trap", [values.rle_colour, values.jpeg_2000_colour, values.jpeg_ls_colour])
def test_colour_is_an_image_of_vectors(orthanc: Orthanc, trap: Trap) -> None:
    session = load(orthanc, trap)
    assert session.get_volume().is_colour
    image = session.get_image(assume_geometry=True)
    assert image.GetNumberOfComponentsPerPixel() == 3
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), values.colours())


def test_two_kilovoltages_are_two_groups_and_not_one_value(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_series((4, 4, 4), seed=1, KVP=[80, 80, 120, 120]))
    with pytest.raises(InconsistentSlicesError, match="KVP") as caught:
        orthanc.get_volume()
    assert set(caught.value.groups) == {"kV 80", "kV 120"}
    assert orthanc.copy().select(KVP=80).get_volume().array[:, 0, 0].tolist() == [0, 1]
    assert orthanc.get_dicom_tag("KVP") == [80, 120]
    with pytest.warns(UserWarning, match="KVP"):
        assert orthanc.table("KVP").KVP.isna().tolist() == [True]
    assert orthanc.table("KVP", varying="list").KVP.tolist() == [[80, 120]]


HALF_HOUR_LATE = {"SeriesTime": "113000", "FrameReferenceTime": "450000", "ActualFrameDuration": 603000}
AFTER_MIDNIGHT = {"SeriesTime": "003000", "AcquisitionTime": "003000"}
WEIGHT = 70_000
INJECTED = "RadiopharmaceuticalStartDateTime"
BARE_TIME = "RadiopharmaceuticalStartTime"
# The formulas, by hand for 70 kg, 1.75 m: Janmahasatian's lean mass, Du Bois's surface, Sugawara's weight, of women.
LEAN = 9270 * 70 / (8780 + 244 * 70 / 1.75**2) * 1000
SURFACE = 0.007184 * 70**0.425 * 175**0.725 * 1e4
IDEAL = (45.5 + 0.91 * (175 - 152)) * 1000


@pytest.mark.parametrize(
    ("units", "changes", "drug", "factor"),
    [
        ("SUVbw", {}, {}, WEIGHT / left(3600)),
        ("SUVlbm", {}, {}, LEAN / left(3600)),
        ("SUVbsa", {}, {}, SURFACE / left(3600)),
        ("SUVibw", {}, {}, IDEAL / left(3600)),
        ("SUVbw", {"Units": "GML"}, {}, 1.0),
        ("SUVlbm", {"Units": "GML", "SUVType": "BW"}, {}, LEAN / WEIGHT),
        ("SUVbsa", {"Units": "CM2ML", "SUVType": "BSA"}, {}, 1.0),
        ("SUVbw", {"Units": "CM2ML", "SUVType": "BSA"}, {}, WEIGHT / SURFACE),
        ("SUVbw", {"Units": "CPS", "CorrectedImage": ("DECY", "ATTN", "DCAL")}, {}, 1000 * WEIGHT / left(3600)),
        ("SUVbw", {"DecayCorrection": "ADMIN"}, {}, WEIGHT / left(0)),
        ("SUVbw", HALF_HOUR_LATE, {}, WEIGHT / left(3600 + 299.9129 - 450)),
        ("SUVbw", {"PatientWeight": "70000"}, {}, WEIGHT / left(3600)),
        ("SUVbw", {}, {INJECTED: None, BARE_TIME: "100000"}, WEIGHT / left(3600)),
        ("SUVbw", AFTER_MIDNIGHT, {INJECTED: None, BARE_TIME: "233000"}, WEIGHT / left(3600)),
        ("SUVbw", {}, {"RadionuclideHalfLife": "4062.6"}, WEIGHT / left(3600, 4062.6)),
    ],
)  # fmt: skip
def test_standardized_uptake(
    orthanc: Orthanc, units: str, changes: dict[str, Any], drug: dict[str, Any], factor: float
) -> None:
    orthanc.upload_file(values.files_of(pet(changes, **drug)))
    volume = orthanc.get_volume(units=units)
    np.testing.assert_allclose(volume.array[:, 0, 0], [1000 * factor, 2000 * factor], rtol=1e-5)
    assert volume.units == ("cm2/ml" if units == "SUVbsa" else "g/ml")
    assert volume.suv is not None
    assert volume.suv.kind == units
    assert np.array_equal(orthanc.get_array(units=units), volume.array)


def counts(element: int, factor: str) -> list[Dataset]:
    series = pet({"Units": "CNTS", "Manufacturer": "Philips Medical Systems"})
    for header in series:
        header.private_block(0x7053, "Philips PET Private Group", create=True).add_new(element, "DS", factor)
    return series


@pytest.mark.parametrize(("element", "factor"), [(0x00, 0.25), (0x09, 0.25 * WEIGHT / left(3600))])
def test_counts_of_philips(orthanc: Orthanc, element: int, factor: float) -> None:
    orthanc.upload_file(values.files_of(counts(element, "0.25")))
    np.testing.assert_allclose(orthanc.get_array(units="SUVbw")[:, 0, 0], [1000 * factor, 2000 * factor], rtol=1e-6)


def test_private_moment_of_ge(orthanc: Orthanc) -> None:
    series = pet({**HALF_HOUR_LATE, "Manufacturer": "GE MEDICAL SYSTEMS"})
    for header in series:
        header.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20250101105500.00")
    orthanc.upload_file(values.files_of(series))
    volume = orthanc.get_volume(units="SUVbw")
    np.testing.assert_allclose(volume.array[0, 0, 0], 1000 * WEIGHT / left(3300), rtol=1e-6)
    assert "GE" in volume.suv.reference_time_source


@pytest.mark.parametrize(
    ("changes", "drug", "named"),
    [
        ({"Units": "CNTS"}, {}, "Units (0054,1001)"),
        ({"Units": "PROPCNTS"}, {}, "Units (0054,1001)"),
        ({"Units": "PROPCPS"}, {}, "Units (0054,1001)"),
        ({"Units": "1CM"}, {}, "Units (0054,1001)"),
        ({"Units": None}, {}, "Units (0054,1001)"),
        ({"PatientWeight": None}, {}, "PatientWeight (0010,1030)"),
        ({"PatientWeight": "0"}, {}, "PatientWeight (0010,1030)"),
        ({"DecayCorrection": None}, {}, "DecayCorrection (0054,1102)"),
        ({"CorrectedImage": ("DECY",)}, {}, "CorrectedImage (0028,0051)"),
        ({"CorrectedImage": ("ATTN",)}, {}, "CorrectedImage (0028,0051)"),
        ({"RescaleIntercept": -1}, {}, "RescaleIntercept (0028,1052)"),
        ({}, {"RadionuclideTotalDose": None}, "RadionuclideTotalDose (0018,1074)"),
        ({}, {"RadionuclideTotalDose": "0"}, "RadionuclideTotalDose (0018,1074)"),
        ({}, {"RadionuclideHalfLife": None}, "RadionuclideHalfLife (0018,1075)"),
        ({}, {INJECTED: None}, "RadiopharmaceuticalStartDateTime (0018,1078)"),
        ({"Units": "CPS"}, {}, "DoseCalibrationFactor (0054,1322)"),
        ({**HALF_HOUR_LATE, "FrameReferenceTime": None}, {}, "FrameReferenceTime (0054,1300)"),
    ],
)
def test_refused_by_the_name_of_the_tag(
    orthanc: Orthanc, changes: dict[str, Any], drug: dict[str, Any], named: str
) -> None:
    orthanc.upload_file(values.files_of(pet(changes, **drug)))
    with pytest.raises(SuvError) as caught:
        orthanc.get_array(units="SUVbw")
    assert named in caught.value.message
    assert follow(orthanc, caught.value).keys() == {'get_volume(units="modality")'}


def test_a_dose_in_megabecquerel_is_logged(orthanc: Orthanc) -> None:
    volume = load(orthanc, values.suv_megabecquerel).get_volume(units="SUVbw")
    assert any("MBq" in warning for warning in volume.suv.warnings)
    assert volume.suv.total_dose == pytest.approx(values.DOSE)


@pytest.mark.parametrize("name", ["0_0", "1_0", "2_0", "2_1", "3_1", "3_2", "4_0", "4_1"])
def test_reference_objects(orthanc: Orthanc, shared_data: Path, name: str) -> None:
    folder = shared_data / "suv-dro" / name
    assert set(orthanc.upload_folder(folder / "PT").status) == {"stored"}
    volume = orthanc.select(Modality="PT").get_volume(units="SUVbw")
    mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "mask" / "DRO_mask.nii.gz"))) > 0
    assert mask.shape == volume.array.shape
    inside: NDArray[Any] = volume.array[mask]
    assert [round(float(value), 2) for value in (inside.min(), np.median(inside), inside.max())] == [0.20, 1.00, 4.00]
    source = {"2_0": "none", "2_1": "none", "3_1": "the administration", "3_2": "AcquisitionTime"}.get(
        name, "SeriesDate"
    )
    assert volume.suv.reference_time_source.startswith(source)


def test_a_file_is_stored_unchanged(orthanc: Orthanc) -> None:
    """No transcoding between upload and download, for the twins to mean anything."""
    (path,) = load(orthanc, values.jpeg_2000_colour).select(InstanceNumber=1).download()
    assert path.read_bytes() == values.jpeg_2000_colour.case.files[0]
