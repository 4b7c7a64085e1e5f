"""An axis has only coordinates that headers hold, and the error names the group without one and how to leave it out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import InconsistentSlicesError
from simple_orthanc.phantom import make_enhanced, make_series
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from tests.volume.helpers import labels

ADC = ("DERIVED", "PRIMARY", "DIFFUSION", "ADC")


def joined(*variants: dict[str, Any], modality: str = "MR") -> list[Dataset]:
    """Make three slices of each variant at the same positions of one series."""
    first = make_series(modality=modality, **variants[0])
    series = list(first)
    for number, tags in enumerate(variants[1:], 1):
        numbers = [3 * number + 1, 3 * number + 2, 3 * number + 3]
        series += make_series(modality=modality, like=first[0], **{"InstanceNumber": numbers, **tags})
    return series


def steps(headers: list[Dataset], axis: str) -> list[float]:
    return [stack.step[1] for stack in choose_volume(plan_stacks(headers), dims=axis) if stack.step]


class TestMissingValues:
    @pytest.mark.parametrize(
        ("axis", "keyword", "values"),
        [
            ("b", "DiffusionBValue", (500.0, 1000.0)),
            ("echo", "EchoTime", (4.6, 9.2)),
            ("echo", "EchoNumbers", (1, 2)),
            ("time", "TemporalPositionIdentifier", (1, 2)),
            ("time", "AcquisitionNumber", (1, 2)),
            ("time", "FrameReferenceTime", (0, 30000)),
            ("phase", "NominalPercentageOfCardiacPhase", (0.0, 50.0)),
            ("phase", "TriggerTime", (10, 60)),
        ],
    )
    def test_a_group_without_the_value_is_no_step(self, axis: str, keyword: str, values: tuple[Any, Any]) -> None:
        complete = [{keyword: value} for value in values]
        assert len(steps(joined(*complete), axis)) == 2
        with pytest.raises(InconsistentSlicesError) as caught:
            choose_volume(plan_stacks(joined(*complete, {})), dims=axis)
        assert f"has no {keyword}" in str(caught.value)
        assert f'exclude({keyword}=None).get_volume(dims="{axis}")' in str(caught.value)

    def test_a_map_with_a_b_value_of_its_own_is_no_step(self) -> None:
        images = ({"DiffusionBValue": 0.0}, {"DiffusionBValue": 800.0})
        for derived in ({"ImageType": ADC}, {"ImageType": ADC, "DiffusionBValue": 800.0}):
            with pytest.raises(
                InconsistentSlicesError, match=r"derived from the others.*exclude\(ImageType="
            ) as caught:
                choose_volume(
                    plan_stacks(joined(*({**tags, "ImageType": ("ORIGINAL", "PRIMARY")} for tags in images), derived)),
                    dims="b",
                )
            assert list(caught.value.groups.values()) == [3, 3, 3]

    def test_private_b_values(self) -> None:
        series = joined({}, {}, {})
        for image, b in zip(series, [0] * 3 + [1000] * 3, strict=False):
            image.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", str(b))
        with pytest.raises(InconsistentSlicesError, match=r"no b \(InstanceNumber 7 to 9\) has no DiffusionBValue"):
            choose_volume(plan_stacks(series), dims="b")
        assert steps(series[:6], "b") == [0.0, 1000.0]

    def test_frames_of_an_enhanced_object(self) -> None:
        image = make_enhanced((3, 4, 4), positions=[(0, 0, 0)] * 3)
        for frame, b in zip(image.PerFrameFunctionalGroupsSequence, (0.0, 700.0), strict=False):
            frame.MRDiffusionSequence = [Dataset()]
            frame.MRDiffusionSequence[0].DiffusionBValue = b
        with pytest.raises(InconsistentSlicesError, match=r"frame 3 of InstanceNumber 1\) has no DiffusionBValue"):
            choose_volume(plan_stacks([image]), dims="b")

    def test_only_one_group_with_a_value_is_read_without_an_axis(self) -> None:
        with pytest.raises(InconsistentSlicesError, match=r"exclude\(DiffusionBValue=None\)\.get_volume\(\)"):
            choose_volume(plan_stacks(joined({"DiffusionBValue": 700.0}, {})), dims="b")


class TestOrder:
    def test_enhanced_objects_of_one_volume_each_are_steps_of_b(self) -> None:
        series: list[Dataset] = []
        for number, b in enumerate((0.0, 1000.0), 1):
            groups = {
                "MRDiffusionSequence": {"DiffusionBValue": b},
                "FrameContentSequence": {"TemporalPositionIndex": number},
            }
            series.append(
                make_enhanced((3, 4, 4), groups=groups, InstanceNumber=number, like=series[0] if series else None)
            )
        assert labels(series) == ["b 0", "b 1000"]
        assert steps(series, "b") == [0.0, 1000.0]

    def test_repetitions_are_steps_of_time(self) -> None:
        series = joined({}, {}, {})
        assert labels(series) == ["repetition 1", "repetition 2", "repetition 3"]
        assert steps(series, "time") == [1.0, 2.0, 3.0]
        (first, *_) = choose_volume(plan_stacks(series), dims="time")
        assert "repetitions are told apart by the order of InstanceNumber alone" in first.log

    def test_two_traces_are_steps_of_their_own(self) -> None:
        zeros = {"DiffusionGradientOrientation": (0.0, 0.0, 0.0)}
        series = joined({"DiffusionBValue": 500.0, **zeros}, {"DiffusionBValue": 1000.0, **zeros})
        assert steps(series, "b") == [500.0, 1000.0]

    def test_a_trace_among_directions_is_no_step(self) -> None:
        directions = [{"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": tuple(row)} for row in np.eye(3)[:2]]
        trace = {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": (0.0, 0.0, 0.0)}
        series = joined({"DiffusionBValue": 0.0}, *directions, trace)
        assert labels(series) == ["b 0", "b 1000 gradient 1", "b 1000 gradient 2", "b 1000 trace"]
        with pytest.raises(InconsistentSlicesError, match=r"alike.*exclude\(InstanceNumber=\(10, 12\)\)"):
            choose_volume(plan_stacks(series), dims="b")
