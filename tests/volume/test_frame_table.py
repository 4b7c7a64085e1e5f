"""The table of the frames of a volume: made when it is read, and the same however the volume got there."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pandas as pd
import pytest

from simple_orthanc.phantom import make_series
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.volume.assembly import assemble
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from simple_orthanc.volume.frame_table import FrameTable
from simple_orthanc.volume.volume import Volume


def made(count: int = 3) -> Volume:
    series = make_series((count, 4, 5), spacing=(2.0, 1.0, 1.0), slope=2.0)
    return assemble(choose_volume(plan_stacks(series)), series, lambda index: stored_values(series[index]))


def is_made(volume: Volume) -> bool:
    return not isinstance(vars(volume)["slices"], FrameTable)


def test_the_table_is_made_when_it_is_first_read() -> None:
    volume = made()
    repr(volume)
    assert not is_made(volume)
    table = volume.slices
    assert table is not None
    assert table.index.name == "slice"
    assert table.index.to_list() == [0, 1, 2]
    assert list(table.columns) == ["SOPInstanceUID", "frame", "position", "slope"]
    assert [position[2] for position in table["position"]] == [0.0, 2.0, 4.0]
    assert table["slope"].to_list() == [2.0] * 3
    assert volume.slices is table


WAYS: dict[str, Callable[[Volume], Volume]] = {
    "pickled": lambda volume: pickle.loads(pickle.dumps(volume)),
    "copied": copy.copy,
    "copied deeply": copy.deepcopy,
    "replaced": lambda volume: replace(volume, units="HU"),
    "all of it": lambda volume: volume[:, :, :],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_read_before", [False, True])
def test_the_table_is_the_same_in_copies(way: str, is_read_before: bool) -> None:
    volume = made()
    if is_read_before:
        assert volume.slices is not None
    copied = WAYS[way](volume)
    assert copied.slices is not None
    assert volume.slices is not None
    pd.testing.assert_frame_equal(copied.slices, volume.slices)


def test_a_table_of_the_user_is_kept_and_no_table_is_none() -> None:
    table = pd.DataFrame({"frame": [1]})
    array = np.zeros((1, 2, 2))
    volume = made()
    assert Volume(array, None, volume.header, slices=table).slices is table
    assert Volume(array, None, volume.header).slices is None
    assert replace(volume, slices=None).slices is None
    assert next(field for field in fields(Volume) if field.name == "slices").default is None


def test_the_table_cannot_be_assigned() -> None:
    volume = made()
    with pytest.raises(FrozenInstanceError):
        volume.slices = None  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del volume.slices
    assert volume.slices is not None


def test_what_is_changed_in_the_table_stays_changed() -> None:
    volume = made()
    assert volume.slices is not None
    volume.slices["quality"] = [1, 2, 3]
    assert volume.slices["quality"].to_list() == [1, 2, 3]
    part = volume[1:].slices
    assert part is not None
    assert part["quality"].to_list() == [2, 3]


READING = """
import sys
from simple_orthanc.phantom import make_series
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.volume.assembly import assemble
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
series = make_series((3, 4, 5))
volume = assemble(choose_volume(plan_stacks(series)), series, lambda index: stored_values(series[index]))
print(volume, "pandas" in sys.modules)
volume.slices
print("pandas" in sys.modules)
"""


def test_a_volume_is_read_without_pandas() -> None:
    words = subprocess.run([sys.executable, "-c", READING], capture_output=True, text=True, check=True).stdout.split()
    assert (words[-2], words[-1]) == ("False", "True")
