"""Objects that are sent together: read together, in order, and only as many as are computed in a short time."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from simple_orthanc import Folder, SelectionError
from simple_orthanc.session.mapping.parcels import SECONDS, Parcel, ParcelSize
from simple_orthanc.session.mapping.run import Run
from tests.session.mapping.computing import folder_of, number_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return folder_of(tmp_path_factory.mktemp("parcels") / "files")


def run_of(session: Folder, level: str = "series") -> Run[Folder]:
    return Run(session, level, number_of, raises=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["patient", "study", "series", "instance"])
@pytest.mark.parametrize("positions", [[0], [0, 1], [1]])
def test_objects_arrive_in_their_order(folder: Folder, level: str, positions: list[int]) -> None:
    run = run_of(folder, level)
    parcel: Parcel = pickle.loads(run.parcel(positions))
    sent = [session.table("SOPInstanceUID", level="instance") for session in map(run.child, positions)]
    arrived = [session.table("SOPInstanceUID", level="instance") for session in parcel.sessions()]
    assert parcel.count == len(positions)
    assert all(one.equals(other) for one, other in zip(arrived, sent, strict=True))


def test_parts_of_series_and_another_order_arrive(folder: Folder) -> None:
    session = folder.copy().select(InstanceNumber=(1, 2)).sort_by("InstanceNumber", "descending")
    run = run_of(session, "instance")
    parcel: Parcel = pickle.loads(run.parcel([2, 7, 11]))
    uids = session.get_dicom_tag("SOPInstanceUID", unique=False)
    arrived = [each.get_dicom_tag("SOPInstanceUID")[0] for each in parcel.sessions()]
    assert arrived == [uids[2], uids[7], uids[11]]


def test_others_than_were_sent_are_refused(folder: Folder) -> None:
    parcel: Parcel = pickle.loads(run_of(folder).parcel([0, 1]))
    with pytest.raises(SelectionError, match="3 objects of level 'series' were sent, and there are 2"):
        Parcel(parcel.session, parcel.level, 3).sessions()


def test_a_parcel_is_small(folder: Folder, tmp_path: Path) -> None:
    assert len(run_of(folder).parcel(range(6))) < 6 * 4096


@pytest.mark.parametrize(
    ("seconds", "left", "workers", "size"),
    [(SECONDS, 1000, 2, 1), (SECONDS / 10, 1000, 2, 10), (0.0, 1000, 2, 32), (0.0, 20, 2, 5), (60.0, 20, 2, 1)],
)
def test_parcels_are_as_large_as_is_computed_soon(seconds: float, left: int, workers: int, size: int) -> None:
    sizes = ParcelSize()
    assert sizes.next(left, workers) == 1
    sizes.add(seconds)
    assert sizes.next(left, workers) == size
