"""Standardized uptake values: every unit, every decay correction, and every refusal by its tag."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from simple_orthanc.errors import SuvError
from simple_orthanc.pixels.conversion import apply_rescale
from simple_orthanc.pixels.rescale import read_rescale
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.pixels.suv import suv_scale
from simple_orthanc.pixels.suv_times import average_time

F18, GA68, ZR89 = 6586.2, 4062.6, 282276.0
DOSE = 368_080_000.0


def pet(**changes: Any) -> Dataset:
    """Make the header of a PET image: 70 kg, F-18, injected at 10:00, series and acquisition at 11:00."""
    header = Dataset()
    values: dict[str, Any] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128",
        "SOPInstanceUID": "1.2.3",
        "Modality": "PT",
        "Manufacturer": "Synthetic",
        "SeriesDate": "20250101",
        "SeriesTime": "110000",
        "AcquisitionDate": "20250101",
        "AcquisitionTime": "110000.000",
        "PatientSex": "F",
        "PatientWeight": "70",
        "PatientSize": "1.75",
        "CorrectedImage": ["DECY", "ATTN", "SCAT"],
        "Units": "BQML",
        "DecayCorrection": "START",
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "ActualFrameDuration": "300000",
        "FrameReferenceTime": "150000",
    }
    item = {
        "RadiopharmaceuticalStartDateTime": "20250101100000.00",
        "RadionuclideTotalDose": str(DOSE),
        "RadionuclideHalfLife": str(F18),
    }
    nested = Dataset()
    for name in [*changes]:
        if name in item or name == "RadiopharmaceuticalStartTime":
            item[name] = changes.pop(name)
    values.update(changes)
    for target, source in ((header, values), (nested, item)):
        for name, value in source.items():
            if value is not None:
                setattr(target, name, value)
    header.RadiopharmaceuticalInformationSequence = [nested]
    return header


def one(header: Dataset, kind: str = "SUVbw") -> float:
    """Return the factor of one image."""
    (factor,), _ = suv_scale([header], kind)
    return factor


def left(seconds: float, half_life: float = F18, dose: float = DOSE) -> float:
    """Return the dose that is left after some seconds."""
    return dose * 2 ** (-seconds / half_life)


class TestReferenceObjects:
    """The digital reference objects of OncoRay."""

    @pytest.mark.parametrize("name", ["0_0", "1_0", "2_0", "2_1", "3_1", "3_2", "4_0", "4_1"])
    def test_minimum_median_maximum(self, name: str, shared_data: Path) -> None:
        import SimpleITK

        folder = shared_data / "suv-dro" / name
        slices = [dcmread(path) for path in sorted((folder / "PT").glob("*.dcm"))]
        slices.sort(key=lambda header: float(header.ImagePositionPatient[2]))
        factors, record = suv_scale(slices)
        values = np.stack(
            [
                apply_rescale(stored_values(header)[0], read_rescale(header), np.float64) * factor
                for header, factor in zip(slices, factors, strict=True)
            ]
        )
        mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "mask" / "DRO_mask.nii.gz"))) > 0
        assert mask.shape == values.shape
        found = [round(float(statistic(values[mask])), 2) for statistic in (np.min, np.median, np.max)]
        assert found == [0.20, 1.00, 4.00], record
        assert record.reference_time_source.startswith(
            {"2_0": "none", "2_1": "none", "3_1": "the administration", "3_2": "AcquisitionTime"}.get(
                name, "SeriesDate"
            )
        )


class TestReferenceTime:
    def test_start_of_the_series(self) -> None:
        (factor,), record = suv_scale([pet()])
        assert factor == pytest.approx(70_000 / left(3600))
        assert record.reference_time == datetime(2025, 1, 1, 11)
        assert record.administration_time == datetime(2025, 1, 1, 10)
        assert record.dose_at_reference == pytest.approx(left(3600))
        assert (record.units_in, record.weight, record.half_life, record.warnings) == ("BQML", 70, F18, ())
        assert "SeriesTime" in record.reference_time_source

    def test_series_may_begin_before_the_acquisition(self) -> None:
        assert one(pet(AcquisitionTime="113000")) == pytest.approx(70_000 / left(3600))

    def test_series_later_than_the_acquisition_falls_back_to_the_frame_reference_time(self) -> None:
        header = pet(
            SeriesTime="113000", AcquisitionTime="110230", FrameReferenceTime="450000", ActualFrameDuration="603000"
        )
        (factor,), record = suv_scale([header])
        expected = 3600 + 150 + average_time(F18, 603) - 450
        assert factor == pytest.approx(70_000 / left(expected))
        assert "FrameReferenceTime" in record.reference_time_source
        assert "average" in record.reference_time_source

    def test_earliest_acquisition_decides(self) -> None:
        first = pet(SeriesTime="110100", FrameReferenceTime="150000")
        second = pet(SeriesTime="110100", AcquisitionTime="110500", FrameReferenceTime="450000")
        factors, record = suv_scale([second, first])
        assert "FrameReferenceTime" in record.reference_time_source
        assert factors[0] == pytest.approx(factors[1])
        assert suv_scale([second])[1].reference_time_source.startswith("SeriesDate")

    @pytest.mark.parametrize("creator", [True, False])
    @pytest.mark.parametrize(
        ("group", "element", "name", "manufacturer", "maker"),
        [
            (0x0009, 0x0D, "GEMS_PETD_01", "GE MEDICAL SYSTEMS", "GE"),
            (0x0071, 0x22, "SIEMENS MED PT", "SIEMENS", "Siemens"),
            (0x0009, 0x0D, "GEMS_PETD_01", "Synthetic", "GE"),
        ],
    )
    def test_private_moment(
        self, group: int, element: int, name: str, manufacturer: str, maker: str, creator: bool
    ) -> None:
        header = pet(SeriesTime="120000", Manufacturer=manufacturer)
        if creator:
            block = header.private_block(group, name, create=True)
            block.add_new(element, "DT", "20250101110000.00")
        else:
            header.add_new((group << 16) + 0x1000 + element, "UN", b"20250101110000.00 ")
        (factor,), record = suv_scale([header])
        assert factor == pytest.approx(70_000 / left(3600))
        assert record.reference_time_source.startswith(f"{maker} private")

    def test_private_element_of_another_maker_is_not_believed(self) -> None:
        header = pet(SeriesTime="120000", Manufacturer="SIEMENS")
        header.add_new(0x0009100D, "UN", b"20250101103000")
        assert "FrameReferenceTime" in suv_scale([header])[1].reference_time_source
        header = pet(SeriesTime="120000")
        header.add_new(0x00090010, "LO", "SOMEBODY ELSE")
        header.add_new(0x0009100D, "UN", b"20250101103000")
        assert "FrameReferenceTime" in suv_scale([header])[1].reference_time_source

    def test_private_moment_that_contradicts_the_series_is_a_warning(self) -> None:
        header = pet(AcquisitionTime="111000")
        header.add_new(0x0009100D, "UN", b"20250101110500")
        (factor,), record = suv_scale([header])
        assert factor == pytest.approx(70_000 / left(3600))
        assert any("(0009,100D)" in warning for warning in record.warnings)

    def test_ge_counts_the_frame_reference_time_from_the_start_of_the_frame(self) -> None:
        header = pet(SeriesTime="120000", Manufacturer="GE MEDICAL SYSTEMS", AcquisitionTime="110230")
        (factor,), record = suv_scale([header])
        assert factor == pytest.approx(70_000 / left(3600))
        assert "average" not in record.reference_time_source

    def test_frame_reference_time_by_name(self) -> None:
        header = pet(AcquisitionTime="111000", FrameReferenceTime="600000")
        (factor,), _ = suv_scale([header], reference="frame reference time")
        assert factor == pytest.approx(70_000 / left(3600 + average_time(F18, 300)))

    def test_administration_needs_no_decay(self) -> None:
        (factor,), record = suv_scale([pet(DecayCorrection="ADMIN", SeriesTime=None)])
        assert factor == pytest.approx(70_000 / DOSE)
        assert "ADMIN" in record.reference_time_source
        assert record.administration_time == record.reference_time == datetime(2025, 1, 1, 10)

    def test_no_correction_is_by_image(self) -> None:
        headers = [
            pet(DecayCorrection="NONE", AcquisitionTime=time, CorrectedImage=["ATTN"]) for time in ("110000", "111500")
        ]
        factors, record = suv_scale(headers)
        mean = average_time(F18, 300)
        assert factors == pytest.approx([70_000 / left(3600 + mean), 70_000 / left(4500 + mean)])
        assert "each image" in record.reference_time_source
        assert record.warnings == ()

    @given(half_life=st.floats(60, 1e6), duration=st.floats(0.1, 7200))
    def test_average_time_has_the_mean_activity(self, half_life: float, duration: float) -> None:
        rate = np.log(2) / half_life
        mean = -np.expm1(-rate * duration) / (rate * duration)
        assert np.exp(-rate * average_time(half_life, duration)) == pytest.approx(mean, rel=1e-6)
        assert 0 <= average_time(half_life, duration) <= duration / 2 * (1 + 1e-6)


class TestAdministrationTime:
    def test_time_alone(self) -> None:
        header = pet(RadiopharmaceuticalStartDateTime=None, RadiopharmaceuticalStartTime="100000.5")
        assert one(header) == pytest.approx(70_000 / left(3599.5))

    def test_date_and_time_win_over_time_alone(self) -> None:
        assert one(pet(RadiopharmaceuticalStartTime="090000")) == pytest.approx(70_000 / left(3600))

    @pytest.mark.parametrize(
        "given_at",
        [
            {"RadiopharmaceuticalStartDateTime": None, "RadiopharmaceuticalStartTime": "233000"},
            {"RadiopharmaceuticalStartDateTime": "20250101233000"},
        ],
    )
    def test_over_midnight(self, given_at: dict[str, Any]) -> None:
        header = pet(
            SeriesDate="20250102", AcquisitionDate="20250102", SeriesTime="003000", AcquisitionTime="003000", **given_at
        )
        _, record = suv_scale([header])
        assert record.administration_time == datetime(2025, 1, 1, 23, 30)
        assert one(header) == pytest.approx(70_000 / left(3600))

    def test_shifted_date_keeps_its_time_of_day_and_warns(self) -> None:
        header = pet(RadiopharmaceuticalStartDateTime="19600607100000")
        (factor,), record = suv_scale([header])
        assert factor == pytest.approx(70_000 / left(3600))
        assert any("(0018,1078)" in warning for warning in record.warnings)

    def test_long_half_life_needs_the_date(self) -> None:
        full = pet(RadionuclideHalfLife=str(ZR89), RadiopharmaceuticalStartDateTime="20241229110000")
        assert one(full) == pytest.approx(70_000 / left(3 * 86400, ZR89))
        bare = pet(
            RadionuclideHalfLife=str(ZR89), RadiopharmaceuticalStartDateTime=None, RadiopharmaceuticalStartTime="100000"
        )
        with pytest.raises(SuvError, match=r"0018,1078"):
            suv_scale([bare])

    def test_dynamic_scan_begins_before_the_injection(self) -> None:
        header = pet(RadiopharmaceuticalStartDateTime=None, RadiopharmaceuticalStartTime="110030")
        (factor,), record = suv_scale([header])
        assert factor == pytest.approx(70_000 / left(-30))
        assert record.warnings

    def test_impossibly_long_ago(self) -> None:
        header = pet(RadiopharmaceuticalStartDateTime=None, RadiopharmaceuticalStartTime="130000")
        with pytest.raises(SuvError, match="half-lives"):
            suv_scale([header])

    def test_offset_from_utc(self) -> None:
        header = pet(RadiopharmaceuticalStartDateTime="20250101090000+0000", TimezoneOffsetFromUTC="+0100")
        assert one(header) == pytest.approx(70_000 / left(3600))


class TestUnits:
    def test_gallium(self) -> None:
        assert one(pet(RadionuclideHalfLife=str(GA68))) == pytest.approx(70_000 / left(3600, GA68))

    def test_megabecquerel_and_grams_are_recognised(self) -> None:
        (factor,), record = suv_scale([pet(RadionuclideTotalDose="368.08", PatientWeight="70000")])
        assert factor == pytest.approx(70_000 / left(3600))
        assert record.total_dose == pytest.approx(DOSE)
        assert record.weight == 70
        assert len(record.warnings) == 2

    def test_stored_by_body_weight(self) -> None:
        header = pet(Units="GML", DecayCorrection=None, PatientWeight=None)
        factors, record = suv_scale([header, header])
        assert factors == [1.0, 1.0]
        assert record.total_dose is None

    @pytest.mark.parametrize(
        ("stored", "sex", "mass"),
        [
            ("LBM", "M", 1.10 * 70 - 120 * 0.16),
            ("LBMJAMES128", "M", 1.10 * 70 - 128 * 0.16),
            ("LBMJAMES128", "F", 1.07 * 70 - 148 * 0.16),
            ("LBMJANMA", "M", 9270 * 70 / (6680 + 216 * 70 / 1.75**2)),
            ("LBMJANMA", "F", 9270 * 70 / (8780 + 244 * 70 / 1.75**2)),
            ("IBW", "M", 72.38),
            ("IBW", "F", 66.43),
            # The mean of the two factors, not of the two masses.
            ("IBW", "O", 2 / (1 / 72.38 + 1 / 66.43)),
        ],
    )
    def test_stored_by_another_mass(self, stored: str, sex: str, mass: float) -> None:
        header = pet(Units="GML", SUVType=stored, PatientSex=sex)
        assert one(header) == pytest.approx(70 / mass)
        assert bool(suv_scale([header])[1].warnings) == (sex == "O")

    def test_stored_by_body_surface(self) -> None:
        surface = 0.007184 * 70**0.425 * 175**0.725
        assert one(pet(Units="CM2ML")) == pytest.approx(70_000 / (surface * 10_000))
        assert one(pet(Units="CM2ML", SUVType="BSA"), "SUVbsa") == 1.0

    @pytest.mark.parametrize(
        ("kind", "mass"),
        [
            ("SUVlbm", 9270 * 70 / (8780 + 244 * 70 / 1.75**2) * 1000),
            ("SUVlbmjames128", (1.07 * 70 - 148 * 0.16) * 1000),
            ("SUVibw", 66_430),
            ("SUVbsa", 0.007184 * 70**0.425 * 175**0.725 * 10_000),
        ],
    )
    def test_kinds_from_activity(self, kind: str, mass: float) -> None:
        assert one(pet(), kind) == pytest.approx(mass / left(3600))

    @given(
        weight=st.floats(3, 200),
        height=st.floats(1.4, 2.1),
        # Of sex O each step takes the mean of two factors, so the way there and back does not cancel out.
        sex=st.sampled_from("MF"),
        kind=st.sampled_from(["SUVbw", "SUVlbm", "SUVibw", "SUVbsa"]),
    )
    def test_converting_what_is_stored_gives_the_same_as_from_activity(
        self, weight: float, height: float, sex: str, kind: str
    ) -> None:
        body = {"PatientWeight": f"{weight:.4f}", "PatientSize": f"{height:.4f}", "PatientSex": sex}
        stored = {"SUVbw": "BW", "SUVlbm": "LBMJANMA", "SUVibw": "IBW", "SUVbsa": "BSA"}[kind]
        header = pet(Units="CM2ML" if stored == "BSA" else "GML", SUVType=stored, **body)
        assert one(pet(**body), kind) * one(header) == pytest.approx(one(pet(**body)))

    @pytest.mark.parametrize("creator", [True, False])
    @pytest.mark.parametrize("value", [("DS", "0.0005"), ("UN", b"0.0005"), ("FD", 0.0005)])
    def test_counts_with_philips_factor(self, creator: bool, value: tuple[str, Any]) -> None:
        header = pet(Units="CNTS")
        if creator:
            header.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, *value)
        else:
            header.add_new(0x70531000, *value)
        assert one(header) == pytest.approx(0.0005)

    def test_counts_with_philips_activity_factor(self) -> None:
        header = pet(Units="CNTS")
        header.add_new(0x70531000, "DS", "0")
        header.add_new(0x70531009, "DS", "2.5")
        assert one(header) == pytest.approx(2.5 * 70_000 / left(3600))

    def test_counts_per_second(self) -> None:
        size = {"PixelSpacing": [4, 4], "SliceThickness": "5"}
        assert one(pet(Units="CPS", CorrectedImage=["ATTN", "DECY", "DCAL"], **size)) == pytest.approx(
            70_000 / left(3600) / 0.08
        )
        assert one(pet(Units="CPS", DoseCalibrationFactor="3", **size)) == pytest.approx(3 * 70_000 / left(3600) / 0.08)

    def test_height_in_centimetres(self) -> None:
        assert one(pet(PatientSize="175"), "SUVibw") == pytest.approx(one(pet(), "SUVibw"))


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "tag"),
        [
            ({"PatientWeight": None}, "0010,1030"),
            ({"PatientWeight": "0"}, "0010,1030"),
            ({"RadionuclideTotalDose": None}, "0018,1074"),
            ({"RadionuclideTotalDose": "-5"}, "0018,1074"),
            ({"RadionuclideHalfLife": None}, "0018,1075"),
            ({"RadiopharmaceuticalStartDateTime": None}, "0018,1072"),
            ({"RadiopharmaceuticalStartDateTime": "2025"}, "0018,1072"),
            ({"AcquisitionTime": None}, "0008,0032"),
            ({"SeriesTime": "120000", "FrameReferenceTime": None}, "0054,1300"),
            ({"SeriesTime": "120000", "ActualFrameDuration": None}, "0018,1242"),
            ({"DecayCorrection": "NONE", "ActualFrameDuration": None}, "0018,1242"),
            ({"DecayCorrection": None}, "0054,1102"),
            ({"Units": None}, "0054,1001"),
            ({"Units": "PROPCNTS"}, "0054,1001"),
            ({"Units": "PROPCPS"}, "0054,1001"),
            ({"Units": "1CM"}, "0054,1001"),
            ({"Units": "CNTS"}, "7053,1000"),
            ({"Units": "CPS"}, "0018,0050"),
            ({"Units": "GML", "SUVType": "BSA"}, "0054,1006"),
            ({"Units": "CM2ML", "SUVType": "BW"}, "0054,1006"),
            ({"Units": "GML", "SUVType": "IBW", "PatientSex": None}, "0010,0040"),
            ({"Units": "GML", "SUVType": "IBW", "PatientSex": "X"}, "0010,0040"),
            ({"Units": "GML", "SUVType": "IBW", "PatientSize": None}, "0010,1020"),
            ({"Units": "GML", "SUVType": "IBW", "PatientSize": "0"}, "0010,1020"),
            ({"RescaleIntercept": "-1"}, "0028,1052"),
            ({"CorrectedImage": ["DECY"]}, "0028,0051"),
            ({"CorrectedImage": ["ATTN"]}, "0054,1102"),
        ],
    )
    def test_by_the_name_of_the_tag(self, changes: dict[str, Any], tag: str) -> None:
        with pytest.raises(SuvError, match=tag):
            suv_scale([pet(**changes)])

    def test_missing_corrections_are_a_warning(self) -> None:
        assert any("0028,0051" in warning for warning in suv_scale([pet(CorrectedImage=None)])[1].warnings)

    def test_images_that_differ(self) -> None:
        with pytest.raises(SuvError, match="0010,1030"):
            suv_scale([pet(), pet(PatientWeight="71")])
        with pytest.raises(SuvError, match="0018,1074"):
            suv_scale([pet(), pet(RadionuclideTotalDose="3e8")])
        with pytest.raises(SuvError, match="0054,1001"):
            suv_scale([pet(), pet(Units="GML")])

    def test_two_injections(self) -> None:
        header = pet()
        header.RadiopharmaceuticalInformationSequence.append(header.RadiopharmaceuticalInformationSequence[0])
        with pytest.raises(SuvError, match="0054,0016"):
            suv_scale([header])

    def test_what_was_asked(self) -> None:
        for arguments in ({"kind": "SUV"}, {"reference": "mine"}):
            with pytest.raises(SuvError, match=r"was asked; it can be"):
                suv_scale([pet()], **arguments)
        with pytest.raises(SuvError, match="no image"):
            suv_scale([])
