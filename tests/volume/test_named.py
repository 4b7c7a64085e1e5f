"""Several masks may be given as a list; their names are their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from weakref import WeakSet

import numpy as np
import pytest

from simple_orthanc import Volume, VolumeError
from simple_orthanc.volume.named import by_name
from tests.volume.helpers import random_series, read


@pytest.fixture(scope="module")
def ct() -> Volume:
    return read(random_series()[1])


def test_masks_of_a_list_have_their_own_names(ct: Volume) -> None:
    bright = replace(ct.with_array(ct.array > 0, "mask"), name="bright")
    dark = replace(ct.with_array(ct.array < 0, "mask"), name="dark")
    assert list(ct.statistics([bright, dark, ct.array > 9, bright]).index) == ["bright", "dark", "mask", "bright (2)"]
    figure = ct.plot(overlay=[bright, dark])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["bright", "dark"]
    assert "with bright, dark" in repr(ct.view(overlay=(bright, dark)))


def test_the_masks_of_a_mapping_are_read_one_after_the_other(ct: Volume) -> None:
    alive: WeakSet[Volume] = WeakSet()
    most = []

    class Reading(Mapping[str, Volume]):
        def __getitem__(self, name: str) -> Volume:
            most.append(len(alive))
            mask = ct.with_array(ct.array > 0, "mask")
            alive.add(mask)
            return mask

        def __iter__(self) -> Iterator[str]:
            return iter("abcd")

        def __len__(self) -> int:
            return 4

    assert list(ct.statistics(Reading()).index) == list("abcd")
    assert max(most) <= 2


def test_nested_lists_are_an_array(ct: Volume) -> None:
    inside = ct.array > 0
    assert [name for name, _ in by_name(inside.tolist(), lambda _: "mask")] == ["mask"]
    assert ct.statistics(inside.tolist())["voxels"].tolist() == [np.count_nonzero(inside)]


def test_an_empty_list_is_refused(ct: Volume) -> None:
    with pytest.raises(VolumeError, match="shape"):
        ct.statistics([])
    with pytest.raises(VolumeError, match="shape"):
        ct.plot(overlay=[])
