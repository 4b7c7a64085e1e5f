"""Sessions from pickles on real servers: the same answers, few requests, and what has changed meanwhile."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import LocalOrthanc, Orthanc, Session, tag
from simple_orthanc.concurrency import landing
from simple_orthanc.errors import SelectionError
from simple_orthanc.testing import make_series
from tests.conftest import MakeServer


def archive() -> list[list[Dataset]]:
    return [make_series((4, 8, 8), seed=number, PatientID=f"P{number // 2}") for number in range(4)]


@pytest.fixture
def orthanc(make_server: MakeServer) -> Orthanc:
    server = make_server({"OverwriteInstances": True, "AuthenticationEnabled": True})
    session: Orthanc = server.connect()
    for series in archive():
        session.upload_dataset(series)
    return session


def landed(content: bytes) -> Session:
    landing._landed.clear()
    session: Session = pickle.loads(content)
    return session


def test_children_are_small_and_the_same(orthanc: Orthanc) -> None:
    orthanc.select(tag("InstanceNumber") > 1)
    orthanc.table("Rows", level="instance")
    for children in (orthanc.patients, orthanc.studies, orthanc.series, orthanc.instances):
        content = pickle.dumps(children[-1])
        assert len(content) < 4096
        twin = landed(content)
        assert twin.table(level="instance").equals(children[-1].table(level="instance"))
        assert twin.explain().equals(children[-1].explain())
    child = orthanc.series[0]
    assert np.array_equal(landed(pickle.dumps(child)).get_array(), child.get_array())


def test_a_child_takes_three_requests_more_than_in_its_own_process(orthanc: Orthanc) -> None:
    children = list(orthanc.series)
    before = orthanc._source.requests
    children[0].get_volume()
    here = orthanc._source.requests - before
    contents = [pickle.dumps(child) for child in children[1:]]
    first = landed(contents[0])
    first.get_volume()
    there = first._source.requests
    for content in contents[1:]:
        again = pickle.loads(content)
        again.get_volume()
        # Its row, the feed of changes, and the row of its study.
        assert again._source.requests - there <= here + 3
        there = again._source.requests
    assert first._source.requests == again._source.requests


def test_it_lands_in_another_process_with_the_password(orthanc: Orthanc) -> None:
    expected = [child.get_array().sum() for child in orthanc.series]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(_sum, orthanc.series)) == expected


def _sum(child: Session) -> int:
    return int(child.get_array().sum())


def test_what_was_replaced_deleted_or_added_is_an_error(orthanc: Orthanc) -> None:
    series = {child.SeriesInstanceUID[0]: pickle.dumps(child) for child in orthanc.series}
    replaced, deleted, added, same = archive()
    other = orthanc.copy()
    replaced[1].PixelData = bytes(len(replaced[1].PixelData))
    assert list(other.upload_dataset(replaced[1])["status"]) == ["stored"]
    other.select(SOPInstanceUID=deleted[2].SOPInstanceUID).delete("instance")
    added[0].SOPInstanceUID = "1.2.3.4"
    other.upload_dataset(added[0])
    for changed, how in ((replaced, "1 of its 4 instances were stored again"), (deleted, "3 now"), (added, "5 now")):
        twin = landed(series[changed[0].SeriesInstanceUID])
        with pytest.raises(SelectionError, match=how):
            twin.get_array()
        assert twin.refresh().instance_count == len(changed) + {"3 now": -1, "5 now": 1}.get(how, 0)
    assert landed(series[same[0].SeriesInstanceUID]).get_array().shape == (4, 8, 8)


def test_what_came_after_the_session_was_opened_is_no_change(make_server: MakeServer) -> None:
    server: LocalOrthanc = make_server({})
    session, looked, other = server.connect(), server.connect(), server.connect()
    first, second, *_ = archive()
    other.upload_dataset(first)
    contents = [pickle.dumps(child) for child in session.series]
    assert landed(contents[0]).instance_count == 4
    # Found by a search, after the archive was first looked at.
    assert looked.series_count == 1
    other.upload_dataset(second)
    found = looked.select(SeriesInstanceUID=second[0].SeriesInstanceUID)
    assert landed(pickle.dumps(found.series[0])).instance_count == 4
