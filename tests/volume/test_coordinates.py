"""The fourth axis has a unit: seconds from the first step, milliseconds of echo, b-values, percent, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from pydicom.dataset import Dataset

from simple_orthanc.phantom import make_enhanced, make_series
from simple_orthanc.volume.volume import Volume
from tests.volume.helpers import read

GE = "GE MEDICAL SYSTEMS"
EPI: dict[str, Any] = {"modality": "MR", "ScanningSequence": ("EP", "GR")}


def steps(count: int = 3, **keywords: Any) -> list[Dataset]:
    """Make equal series at one place; a list has one value for each of them, or for each slice of each of them."""
    first: Dataset | None = None
    result = []
    for number in range(count):
        own = {name: value[number] if isinstance(value, list) else value for name, value in keywords.items()}
        own.setdefault("InstanceNumber", [3 * number + index for index in (1, 2, 3)])
        series = make_series((3, 4, 4), like=first, **own)
        first = first or series[0]
        result += series
    return result


def axis(series: list[Dataset], dims: str = "time") -> tuple[tuple[float, ...], str]:
    found = read(series, dims=dims)
    return pytest.approx(found.coordinates[dims]), found.coordinate_units[dims]


def of(*values: float, unit: str) -> tuple[Any, str]:
    return tuple(values), unit


def time_log(found: Volume) -> list[str]:
    return [note for note in found.log if note.startswith("time: ")]


class TestTime:
    def test_frame_reference_time_is_in_milliseconds(self) -> None:
        series = steps(modality="PT", FrameReferenceTime=[1000, 31000, 61000])
        assert axis(series) == of(0, 30, 60, unit="s")

    def test_a_clock_counts_from_the_first_step(self) -> None:
        series = steps(AcquisitionNumber=[1, 2, 3], AcquisitionTime=["235959.0", "000001.5", "000003.5"],
                       AcquisitionDate=["20200101", "20200102", "20200102"])  # fmt: skip
        assert axis(series) == of(0, 2.5, 4.5, unit="s")

    def test_a_count_takes_its_times_from_a_clock(self) -> None:
        times = [["100000", "100000.5", "100001"], ["100002", "100002.5", "100003"], ["100004", "100004.5", "100005"]]
        series = steps(TemporalPositionIdentifier=[1, 2, 3], AcquisitionTime=times, RepetitionTime=2000, **EPI)
        found = read(series, dims="time")
        assert found.coordinates["time"] == (0, 2, 4)
        assert found.coordinate_units["time"] == "s"
        assert time_log(found) == [
            "time: 3 steps, coordinates from TemporalPositionIdentifier",
            "time: seconds from the first step, by AcquisitionDateTime",
        ]
        assert found.slices is not None
        assert found.slices.time.tolist() == [0] * 3 + [2] * 3 + [4] * 3

    @pytest.mark.parametrize("manufacturer", [GE, "Philips"])
    def test_trigger_times_of_vendors_that_count_from_the_first_volume(self, manufacturer: str) -> None:
        series = steps(TemporalPositionIdentifier=[1, 2, 3], TriggerTime=[100, 1450, 2800], RepetitionTime=1000,
                       AcquisitionTime="100000", Manufacturer=manufacturer, **EPI)  # fmt: skip
        found = read(series, dims="time")
        assert found.coordinates["time"] == pytest.approx((0, 1.35, 2.7))
        assert any("1.35 s from step to step on average, but RepetitionTime is 1 s" in note for note in found.log)

    def test_trigger_times_of_others_do_not_count_volumes(self) -> None:
        series = steps(TemporalPositionIdentifier=[1, 2, 3], TriggerTime=[510, 520, 530], RepetitionTime=2000,
                       Manufacturer="SIEMENS", **EPI)  # fmt: skip
        assert axis(series) == of(0, 2, 4, unit="s")

    def test_the_temporal_resolution_is_in_milliseconds(self) -> None:
        series = steps(TemporalPositionIdentifier=[1, 2, 4], TemporalResolution=1500, modality="MR")
        assert axis(series) == of(0, 1.5, 4.5, unit="s")

    def test_the_repetition_time_of_echo_planar_images(self) -> None:
        series = steps(TemporalPositionIdentifier=[1, 2, 3], RepetitionTime=2500, **EPI)
        assert axis(series) == of(0, 2.5, 5, unit="s")

    def test_a_pause_of_ge_adds_to_the_repetition_time(self) -> None:
        series = steps(TemporalPositionIdentifier=[1, 2, 3], RepetitionTime=2000, Manufacturer=GE, **EPI)
        for header in series:
            header.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x7C, "FL", 3.0)
        assert axis(series) == of(0, 5, 10, unit="s")

    def test_the_time_that_philips_writes_into_each_dynamic(self) -> None:
        series = steps(TemporalPositionIdentifier=[1, 2, 3], Manufacturer="Philips", modality="MR")
        for number, header in enumerate(series):
            block = header.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            block.add_new(0xA0, "FL", 2.5 * (number // 3))
        assert axis(series) == of(0, 2.5, 5, unit="s")

    def test_the_repetition_time_of_other_sequences_is_no_step(self) -> None:
        series = steps(TemporalPositionIdentifier=[1, 2, 3], RepetitionTime=4, modality="MR", ScanningSequence="GR")
        found = read(series, dims="time")
        assert (found.coordinates["time"], found.coordinate_units["time"]) == ((1, 2, 3), "")
        assert "time: an index, as the headers do not tell the time between the steps" in found.log

    def test_content_time_orders_but_is_no_time(self) -> None:
        series = steps(ContentTime=["100000", "100007", "100009"], modality="MR", InstanceNumber=[[1] * 3] * 3)
        assert axis(series) == of(1, 2, 3, unit="")

    def test_content_time_counts_repetitions(self) -> None:
        times = ["100000", "100000.001", "100000.002"]
        series = steps(ContentTime=times, RepetitionTime=5865, InstanceNumber=[[1] * 3] * 3, **EPI)
        assert axis(series) == of(0, 5.865, 11.73, unit="s")

    def test_a_clock_that_does_not_rise_is_not_believed(self) -> None:
        series = steps(TemporalPositionIdentifier=[1, 2, 3], AcquisitionTime=["100000", "100002", "100001"])
        assert axis(series) == of(1, 2, 3, unit="")

    def test_enhanced_objects(self) -> None:
        image = make_enhanced(
            positions=[(0, 0, z) for _ in range(3) for z in (0, 2)],
            shape=(6, 4, 4),
            groups={
                "FrameContentSequence": {
                    "TemporalPositionIndex": [1, 1, 2, 2, 3, 3],
                    "FrameAcquisitionDateTime": [f"2020010110000{second}" for second in (0, 1, 2, 3, 4, 5)],
                }
            },
            modality="MR",
        )
        assert axis([image]) == of(0, 2, 4, unit="s")


class TestOtherAxes:
    def test_echo_times_are_in_milliseconds(self) -> None:
        assert axis(steps(modality="MR", EchoTime=[10, 20, 30]), "echo") == of(10, 20, 30, unit="ms")

    def test_numbers_of_echoes_are_an_index(self) -> None:
        assert axis(steps(modality="MR", EchoNumbers=[1, 2, 3]), "echo") == of(1, 2, 3, unit="")

    def test_trigger_times_are_seconds_from_the_first(self) -> None:
        assert axis(steps(modality="MR", TriggerTime=[20, 60, 100]), "phase") == of(0, 0.04, 0.08, unit="s")

    def test_percent_of_the_cycle(self) -> None:
        series = steps(modality="CT", NominalPercentageOfCardiacPhase=[0, 40, 80])
        assert axis(series, "phase") == of(0, 40, 80, unit="%")

    def test_b_values(self) -> None:
        series = steps(modality="MR", DiffusionBValue=[0.0, 500.0, 1000.0])
        assert axis(series, "b") == of(0, 500, 1000, unit="s/mm2")


@pytest.mark.parametrize(
    ("dims", "keywords", "step"),
    [
        ("time", {"modality": "PT", "FrameReferenceTime": [0, 30000, 60000]}, 30),
        ("phase", {"modality": "MR", "TriggerTime": [0, 40, 80]}, 0.04),
        ("time", {"TemporalPositionIdentifier": [1, 2, 3], "RepetitionTime": 2000, **EPI}, 2),
        (
            "b",
            {"modality": "MR", "DiffusionBValue": [0.0, 1000.0, 2000.0], "DiffusionGradientOrientation": (1, 0, 0)},
            None,
        ),
        ("echo", {"modality": "MR", "EchoTime": [10, 20, 30]}, None),
        ("phase", {"modality": "CT", "NominalPercentageOfCardiacPhase": [0, 10, 20]}, None),
        ("phase", {"modality": "MR", "TriggerTime": [0, 40, 180]}, None),
        ("time", {"modality": "MR", "TemporalPositionIdentifier": [1, 2, 3]}, None),
    ],
)
def test_files_have_the_step_and_the_unit(
    dims: str, keywords: dict[str, Any], step: float | None, tmp_path: Path
) -> None:
    found = read(steps(**keywords), dims=dims)
    path = found.save(tmp_path / "volume.nii.gz")
    for image in (nibabel.load(path), found.to_nibabel()):
        assert image.header["pixdim"][4] == pytest.approx(step or 0)
        assert image.header.get_xyzt_units() == ("mm", "sec" if step else "unknown")
    for read_back in (SimpleITK.ReadImage(str(path)), found.to_sitk()):
        assert read_back.GetSpacing()[3] == pytest.approx(step or 1)
        assert np.array_equal(SimpleITK.GetArrayFromImage(read_back), found.array)


class TestHeadersOfSteps:
    """A 4D volume has the header of its first step; that of another step has no value that is the first one's alone."""

    def test_of_an_echo(self) -> None:
        found = read(
            steps(modality="MR", EchoTime=[3, 9, 15.5], EchoNumbers=[1, 2, 3], RepetitionTime=500), dims="echo"
        )
        assert found[0].header is found.header
        headers = [found[1].header, found[-1].header, found[1:][1].header, found[::-1].header, found[2, 1:].header]
        assert [header.EchoTime for header in headers] == [9, 15.5, 15.5, 15.5, 15.5]
        assert {header.RepetitionTime for header in headers} == {500}
        assert not any("EchoNumbers" in header for header in headers)
        assert (found.header.EchoTime, found.header.EchoNumbers) == (3, 1)

    def test_of_a_time(self) -> None:
        series = steps(modality="PT", FrameReferenceTime=[1000, 31000, 61000], DecayFactor=[1.0, 1.1, 1.2])
        header = read(series, dims="time")[2].header
        assert (header.FrameReferenceTime, "DecayFactor" in header) == (61000, False)

    def test_of_another_clock(self) -> None:
        series = steps(modality="MR", AcquisitionTime=["100000", "100030", "100100"], FrameReferenceTime=7)
        header = read(series, dims="time")[1].header
        assert not {"AcquisitionTime", "FrameReferenceTime"} & {element.keyword for element in header}

    def test_it_is_written_so(self) -> None:
        found = read(
            steps(modality="MR", EchoTime=[3, 9, 15], ScanningSequence="GR", SequenceVariant="SP"), dims="echo"
        )
        assert [found[step].to_dicom()[0].EchoTime for step in range(3)] == [3, 9, 15]
