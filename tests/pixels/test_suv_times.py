"""The time of the injection, and the time to which the pixels are decay corrected."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.errors import SuvError
from simple_orthanc.pixels.suv import suv_scale
from simple_orthanc.pixels.suv_times import average_time
from tests.pixels.pet import DOSE, F18, ZR89, left, one, pet


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
