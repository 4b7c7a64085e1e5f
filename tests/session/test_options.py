"""The choices that types name are those that the verbs take."""

from __future__ import annotations

from typing import get_args

import pytest

from simple_orthanc.errors import SelectionError, VolumeError
from simple_orthanc.pixels.rescale import UNITS
from simple_orthanc.pixels.suv import SUV_KINDS
from simple_orthanc.session.options import Dims, Gaps, GapsOfMany, ImageFormat, OnError, SortOrder, Units
from simple_orthanc.session.reading.unreadable import check_errors
from simple_orthanc.volume.axes import AXES
from simple_orthanc.volume.choosing import check_gaps, check_options
from simple_orthanc.volume.saving import SUFFIXES
from tests.session.sessions import three_series


def test_units() -> None:
    assert set(get_args(Units)) == {*UNITS, *SUV_KINDS}


def test_gaps() -> None:
    for gaps in get_args(GapsOfMany):
        check_gaps(gaps)
    with pytest.raises(VolumeError):
        check_gaps("other")
    assert set(get_args(GapsOfMany)) == {*get_args(Gaps), "split"}


def test_dims() -> None:
    for dims in get_args(Dims):
        check_options("raise", dims)
    with pytest.raises(VolumeError):
        check_options("raise", "other")
    assert set(get_args(Dims)) == set(AXES)


def test_errors() -> None:
    for errors in get_args(OnError):
        check_errors(errors)
    with pytest.raises(SelectionError):
        check_errors("other")


def test_formats() -> None:
    assert get_args(ImageFormat) == SUFFIXES


def test_orders() -> None:
    for order in get_args(SortOrder):
        three_series().sort_by("KVP", order)
    with pytest.raises(SelectionError):
        three_series().sort_by("KVP", "other")  # type: ignore[arg-type]
