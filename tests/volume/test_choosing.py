"""One volume, several along an axis, or the error that names the call."""

from __future__ import annotations

import pytest

from simple_orthanc.errors import (
    InconsistentSlicesError,
    MissingSlicesError,
    VolumeError,
)
from simple_orthanc.phantom import make_series
from simple_orthanc.volume.choosing import apply_gaps, choose_volume, plan_stacks, summarize
from tests.volume.helpers import (
    at,
)


class TestGaps:
    def test_hole_filled_keeps_places(self) -> None:
        (stack,) = choose_volume(plan_stacks(at(0, 2, 6)), gaps="nan")
        assert stack.slice_indices == (0, 1, 3)
        assert stack.slices == 4
        assert stack.geometry is not None
        assert stack.geometry.size[2] == 4
        assert stack.geometry.spacing[2] == 2.0
        assert any("NaN" in note and "2" in note for note in stack.log)

    def test_hole_split_into_runs(self) -> None:
        runs = apply_gaps(plan_stacks(at(0, 2, 4, 8, 12, 14, InstanceNumber=[1, 2, 3, 5, 7, 8])), gaps="split")
        assert [run.slices for run in runs] == [3, 1, 2]
        assert [run.geometry.origin[2] for run in runs if run.geometry] == [0, 8, 12]
        assert [run.geometry.spacing[2] for run in runs if run.geometry] == [2, 2, 2]
        with pytest.raises(VolumeError, match="get_volumes"):
            choose_volume(plan_stacks(at(0, 2, 6)), gaps="split")
        with pytest.raises(VolumeError, match='"raise", "nan" or "split"'):
            apply_gaps(plan_stacks(at(0, 2)), gaps="zero")


class TestAxes:
    def test_incomplete_time_point_is_named(self) -> None:
        base = make_series((4, 4, 4), TemporalPositionIdentifier=1)
        other = make_series((4, 4, 4), TemporalPositionIdentifier=2, like=base[0])
        found = plan_stacks(base + other[:1] + other[2:])
        assert [type(stack.problem) for stack in found] == [type(None), MissingSlicesError]
        with pytest.raises(MissingSlicesError, match="time 2"):
            choose_volume(found, dims="time")
        with pytest.raises(InconsistentSlicesError, match="not all of the 2 volumes have the grid of time 1"):
            choose_volume(plan_stacks(base + other[:-1]), dims="time")

    def test_axes_are_ordered_by_coordinate(self) -> None:
        base = make_series(modality="MR", EchoNumbers=2, EchoTime=9.2)
        series = [*base, *make_series(modality="MR", EchoNumbers=1, EchoTime=4.6, like=base[0])]
        steps = choose_volume(plan_stacks(series), dims="echo")
        assert [stack.step for stack in steps] == [("echo", 4.6), ("echo", 9.2)]
        assert any("EchoTime in ms" in note for note in steps[0].log)
        with pytest.raises(InconsistentSlicesError, match=r'get_volume\(dims="echo"\)'):
            choose_volume(plan_stacks(series))
        with pytest.raises(InconsistentSlicesError, match=r'get_volume\(dims="echo"\)'):
            choose_volume(plan_stacks(series), dims="time")
        with pytest.raises(VolumeError, match="'time', 'echo', 'b', 'phase'"):
            choose_volume(plan_stacks(series), dims="z")
        with pytest.raises(InconsistentSlicesError, match="no position repeats"):
            choose_volume(plan_stacks(base), dims="echo")


class TestSummary:
    def test_row_of_a_regular_and_of_a_broken_stack(self) -> None:
        row = summarize(plan_stacks(make_series((3, 4, 5), spacing=(2, 0.7, 1.3)))[0])
        assert row == {
            "label": "axial 3x4x5",
            "slices": 3,
            "rows": 4,
            "columns": 5,
            "spacing": (2.0, 0.7, 1.3),
            "regular": True,
            "reason": "",
            "contradiction": "",
        }
        broken = summarize(plan_stacks(at(0, 2, 6))[0])
        assert not broken["regular"]
        assert "1 slice is missing" in broken["reason"]
        assert broken["spacing"] is None
