"""Series that are computed in a row in threads: listed and read together, in groups that are forgotten again."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import Session
from simple_orthanc.session.mapping import neighbours
from simple_orthanc.session.mapping.neighbours import Neighbours
from tests.session.reading.test_lazy_volumes import TogetherSource
from tests.session.reading.test_siblings import SERIES, archive, rows_read


def mean(session: Any) -> float:
    return float(session.get_volume().array.mean())


def described(session: Any) -> str:
    return str(session.SeriesInstanceUIDs[0])


def expected(source: TogetherSource) -> list[float]:
    session = Session(TogetherSource(source.datasets))
    return [float(volume.array.mean()) for volume in session.get_volumes().values()]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("together", [7, 256])
def test_a_map_reads_small_series_together(monkeypatch: pytest.MonkeyPatch, workers: int, together: int) -> None:
    monkeypatch.setattr(neighbours, "_GROUP_SIZE", together)
    source = TogetherSource(archive())
    session = Session(source)
    assert list(session.map(mean, workers=workers)["result"]) == expected(source)
    groups = -(-SERIES // together)
    # The first ones of each group show that volumes are read.
    assert sum(source.together) >= SERIES - 5 * groups
    assert len(source.together) < SERIES / 2
    # What was read is not kept with the session.
    assert not session._index._rows["instance"]


def test_a_map_that_needs_no_instances_reads_none() -> None:
    source = TogetherSource(archive())
    session = Session(source)
    assert list(session.map(described)["result"]) == session.get_dicom_tag("SeriesInstanceUID", unique=False)
    assert rows_read(source) == 0
    assert source.together == []


def test_parts_of_series_and_of_a_selection_are_those_that_are_selected() -> None:
    source = TogetherSource(archive())
    session = Session(source).select(PatientID=["P03", "P11"])
    assert list(session.map(mean)["result"]) == [expected(source)[3], expected(source)[11]]
    shapes = session.select(InstanceNumber=(1, 2)).map(lambda series: series.get_volume().shape[0])
    assert list(shapes["result"]) == [2, 2]


def test_few_groups_are_kept_and_others_than_expected_are_made_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_GROUP_SIZE", 8)
    session = Session(TogetherSource(archive()))
    keys = list(session.series._keys)
    alone: list[int] = []

    def by_itself(position: int) -> Session:
        alone.append(position)
        return session.series[position]

    made = Neighbours(session, keys, by_itself)
    for position, uid in enumerate(session.get_dicom_tag("SeriesInstanceUID", unique=False)):
        assert described(made.child(position)) == uid
        assert len(made._groups) <= 2
    assert not alone
    made.leave()
    assert not made._groups
    assert described(Neighbours(session, keys[::-1], by_itself).child(2)) == described(session.series[2])
    assert alone == [2]
