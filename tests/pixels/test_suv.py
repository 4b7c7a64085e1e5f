"""Standardized uptake values: every unit, every decay correction, and every refusal by its tag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from simple_orthanc.errors import SuvError
from simple_orthanc.pixels.conversion import apply_rescale
from simple_orthanc.pixels.rescale import read_rescale
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.pixels.suv import suv_scale
from tests.pixels.pet import DOSE, GA68, left, one, pet


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
    def test_conversion_of_stored_suv_equals_that_from_activity(
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

    @pytest.mark.parametrize("turned", [False, True])
    @pytest.mark.parametrize(
        ("other", "tag"),
        [
            ({"RadiopharmaceuticalStartDateTime": "20250101093000"}, "RadiopharmaceuticalStartDateTime"),
            ({"RadiopharmaceuticalStartDateTime": None}, "RadiopharmaceuticalStartDateTime"),
            ({"RadiopharmaceuticalStartTime": "093000"}, "RadiopharmaceuticalStartTime"),
            ({"SeriesTime": "103000"}, "SeriesTime"),
            ({"SeriesDate": "20241231"}, "SeriesDate"),
        ],
    )
    def test_times_that_differ_between_images(self, other: dict[str, Any], tag: str, turned: bool) -> None:
        headers = [pet(), pet(), pet(**other)]
        with pytest.raises(SuvError, match=f"The images differ in .*{tag}"):
            suv_scale(headers[::-1] if turned else headers)

    def test_times_that_are_written_in_another_way_are_the_same(self) -> None:
        alike = pet(RadiopharmaceuticalStartDateTime="20250101100000", SeriesTime="1100")
        factors, _ = suv_scale([pet(), alike, pet(SeriesTime=None)])
        assert factors == [one(pet())] * 3

    def test_two_injections(self) -> None:
        header = pet()
        header.RadiopharmaceuticalInformationSequence.append(header.RadiopharmaceuticalInformationSequence[0])
        with pytest.raises(SuvError, match="0054,0016"):
            suv_scale([header])

    def test_what_was_asked(self) -> None:
        for arguments in ({"kind": "SUV"}, {"reference": "mine"}):
            with pytest.raises(SuvError, match=r"is not valid; choose"):
                suv_scale([pet()], **arguments)
        with pytest.raises(SuvError, match="no image"):
            suv_scale([])


@pytest.mark.parametrize(
    "tags",
    [
        {"RadionuclideHalfLife": "1e-300"},
        {"RadionuclideHalfLife": "1e-3"},
        {"RadionuclideTotalDose": "1e308", "PatientWeight": "1e-300"},
        {"RadionuclideTotalDose": "1e-300"},
        {"PatientWeight": "1e-320"},
    ],
)
def test_factors_that_no_patient_has(tags: dict[str, str]) -> None:
    with pytest.raises(
        SuvError, match=r"factor would be 0, negative or infinite: PatientWeight \(0010,1030\)|more than 10 half-lives"
    ):
        suv_scale([pet(**tags)])
