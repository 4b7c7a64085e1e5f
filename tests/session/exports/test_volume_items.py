"""The volumes of a selection before they are read: as `get_volumes` groups them, or stacked along an axis."""

from __future__ import annotations

import re
from typing import Any

import pytest

from simple_orthanc.errors import SelectionError, VolumeError
from simple_orthanc.session import Session
from simple_orthanc.session.exports.volume_items import LayoutNamer, VolumeItem, VolumeItems, check_axes
from simple_orthanc.session.reading.volume_reader import VolumeRequest
from tests.session.exports.series import dwi, in_memory, one_series


def items_of(session: Session, *axes: str, **options: Any) -> list[VolumeItem]:
    request = VolumeRequest(**options)
    reader = session._volume_reader(request, many=True)
    return VolumeItems(reader, request, axes, LayoutNamer("{SeriesDescription}/{label}", ".nrrd")).all()


def test_they_are_those_of_get_volumes() -> None:
    session = in_memory(one_series(1), dwi())
    items = items_of(session)
    volumes = session.get_volumes()
    assert [item.label for item in items] == [label.partition(" - ")[2] for label in volumes]
    for item, volume in zip(items, volumes.values(), strict=True):
        assert item.read().array.tolist() == volume.array.tolist()
        assert item.bytes == volume.array.nbytes
        assert item.instance_count == 3


@pytest.mark.parametrize("axes", [("b",), ("time", "b"), ("echo", "b", "time")])
def test_series_are_stacked_along_the_first_axis_that_they_have(axes: tuple[str, ...]) -> None:
    session = in_memory(one_series(1), dwi())
    plain, stacked = items_of(session, *axes)
    assert (plain.label, stacked.label) == ("axial 3x4x5", "b")
    assert stacked.instance_count == 6
    volume = stacked.read()
    assert volume.dims[0] == "b"
    assert volume.array.tolist() == session.select(SeriesNumber=7).get_volume(dims="b").array.tolist()


def test_a_digest_is_of_the_images_their_grid_and_the_request() -> None:
    session = in_memory(dwi())
    digests = [item.digest for item in items_of(session)]
    assert digests == [item.digest for item in items_of(in_memory(dwi()[::-1]))]
    others = [
        *(item.digest for item in items_of(session, units="stored")),
        *(item.digest for item in items_of(session, "b")),
        *(item.digest for item in items_of(in_memory(dwi(origin=(0.0, 0.0, 1.0))))),
        *(item.digest for item in items_of(in_memory(dwi(8)))),
    ]
    assert len({*digests, *others}) == 9


def test_names_come_from_the_layout() -> None:
    items = items_of(in_memory(one_series(1), one_series(2)))
    namer = LayoutNamer("{SeriesDescription}.nrrd", ".nrrd")
    assert [str(named.path) for named in namer.names(items)] == ["series_1", "series_2"]
    with pytest.raises(SelectionError, match=r"'axial 3x4x5' of SeriesInstanceUID 1.2.3.1 and .*1.2.3.2 into one file"):
        LayoutNamer("{label}", ".nrrd").names(items)
    with pytest.raises(SelectionError, match=r"format='.nrrd' was requested"):
        LayoutNamer("{label}.mha", ".nrrd")


@pytest.mark.parametrize(
    ("sessions", "proposed"),
    [
        ([dwi()], "{SeriesDescription}-{label}"),
        ([dwi(7, SeriesDescription="d"), dwi(8, SeriesDescription="d")], "{SeriesDescription}-{SeriesNumber}-{label}"),
        (
            [one_series(1), one_series(2, SeriesNumber=1, SeriesDescription="series 1")],
            "{SeriesDescription}-{SeriesInstanceUID}-{label}",
        ),
    ],
)
def test_a_layout_that_separates_the_volumes_is_proposed(sessions: list[Any], proposed: str) -> None:
    items = items_of(in_memory(*sessions))
    with pytest.raises(SelectionError, match=re.escape(f"save_volumes(layout='{proposed}')")):
        LayoutNamer("{SeriesDescription}", ".nrrd").names(items)
    assert len(set(map(str, LayoutNamer(proposed, ".nrrd").names(items)))) == len(items)


@pytest.mark.parametrize("dims", [5, "phases", ["time", "x"], ("b", None)])
def test_axes_that_do_not_exist(dims: object) -> None:
    with pytest.raises(VolumeError, match="choose one or several of 'time', 'echo', 'b', 'phase'"):
        check_axes(dims)
    assert check_axes("b") == ("b",)
    assert check_axes(["b", "time"]) == ("b", "time")
