"""Errors name what was asked, what was found and what to do next."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import (
    DuplicateSlicesError,
    InconsistentSlicesError,
    MissingSlicesError,
)
from simple_orthanc.phantom import make_series
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from tests.volume.helpers import (
    at,
)


class TestProblems:
    def test_hole_names_its_place(self) -> None:
        with pytest.raises(MissingSlicesError, match=r"1 between 2 and 6.*gaps=\"nan\"") as caught:
            choose_volume(plan_stacks(at(0, 2, 6)))
        assert caught.value.gaps == ((2.0, 6.0, 1),)
        assert pickle.loads(pickle.dumps(caught.value)).gaps == caught.value.gaps

    @pytest.mark.parametrize("values", [(0, 2, 4.1, 6.3), (0, 2, 5)])
    def test_uneven_spacing_is_refused(self, values: tuple[float, ...]) -> None:
        with pytest.raises(InconsistentSlicesError, match="unevenly spaced: gaps from 2"):
            choose_volume(plan_stacks(at(*values)), gaps="nan")

    def test_uneven_spacing_names_the_tag_that_parts_it(self) -> None:
        series = at(0, 2, 4, 7.5, 10.5, 13.5, AcquisitionNumber=[1, 1, 1, 2, 2, 2])
        with pytest.raises(InconsistentSlicesError, match=r"select\(AcquisitionNumber=1\)"):
            choose_volume(plan_stacks(series))

    def test_duplicates_are_named(self) -> None:
        series = at(0, 2, 4, 2)
        with pytest.raises(
            DuplicateSlicesError, match=r"1 position.*2 mm: InstanceNumber 2.*InstanceNumber 4"
        ) as caught:
            choose_volume(plan_stacks(series), gaps="nan")
        assert caught.value.positions == ((2.0, (series[1].SOPInstanceUID, series[3].SOPInstanceUID)),)
        assert plan_stacks(series)[0].geometry is None

    def test_tiles_of_one_plane_are_not_duplicates(self) -> None:
        series = make_series((2, 4, 4), ImagePositionPatient=[(0, 0, 0), (4, 0, 0)])
        with pytest.raises(InconsistentSlicesError, match="side by side"):
            choose_volume(plan_stacks(series))

    def test_mosaic_is_refused_by_name(self) -> None:
        series = make_series(
            (2, 64, 64), spacing=(1, 20, 20), modality="MR", ImageType=("ORIGINAL", "PRIMARY", "M", "MOSAIC")
        )
        with pytest.raises(InconsistentSlicesError, match=r"2 mosaic\(s\) .* lack NumberOfImagesInMosaic"):
            choose_volume(plan_stacks(series))


def rounded(spacing: float, unit: float, count: int = 11, **tags: Any) -> list[Dataset]:
    """Make slices whose positions, but not their SliceLocation, are rounded to a unit in mm."""
    heights = [spacing * number for number in range(1, count + 1)]
    written = [float(f"{round(height / unit) * unit:.6f}") for height in heights]
    return at(*written, **{"SliceLocation": heights, "InstanceNumber": [*range(1, count + 1)], **tags})


class TestRoundedPositions:
    @pytest.mark.parametrize(("spacing", "unit"), [(1.25, 1), (0.62, 0.1), (3.3, 1), (0.15, 0.1)])
    @pytest.mark.parametrize("gaps", ["raise", "nan"])
    def test_are_no_missing_slices(self, spacing: float, unit: float, gaps: str) -> None:
        with pytest.raises(InconsistentSlicesError) as caught:
            choose_volume(plan_stacks(rounded(spacing, unit)), gaps=gaps)
        message = str(caught.value)
        assert f"rounded to {unit:g} mm" in message
        assert f"By SliceLocation they are {spacing:g} mm apart" in message
        assert "gaps=" not in message
        assert "exclude" not in message

    @pytest.mark.parametrize("backwards", [False, True])
    def test_that_put_two_slices_at_one_place_exclude_none(self, backwards: bool) -> None:
        series = rounded(0.6, 1)
        if backwards:
            for number, image in enumerate(series):
                image.InstanceNumber = 20 - number
        with pytest.raises(InconsistentSlicesError, match=r"rounded to 1 mm.*get_instances\(\)") as caught:
            choose_volume(plan_stacks(series))
        assert "exclude" not in str(caught.value)

    def test_without_slice_location(self) -> None:
        with pytest.raises(InconsistentSlicesError, match="rounded to 1 mm"):
            choose_volume(plan_stacks(rounded(0.6, 1, SliceLocation=None)))

    def test_a_slice_that_is_there_twice_is_a_duplicate(self) -> None:
        series = at(0, 2, 4, 4, 6, SliceLocation=[0, 2, 4, 4, 6], InstanceNumber=[1, 2, 3, 4, 5])
        with pytest.raises(DuplicateSlicesError, match=r"exclude\(SOPInstanceUID"):
            choose_volume(plan_stacks(series))

    def test_of_finely_written_positions_are_uneven(self) -> None:
        with pytest.raises(InconsistentSlicesError, match="resample them"):
            choose_volume(plan_stacks(at(0, 2.02, 4.13, 6.35, 8.01, InstanceNumber=[1, 2, 3, 4, 5])))
