"""What is uploaded as a volume is read again as that volume, through real servers."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simple_orthanc import DicomWeb, LocalOrthanc, Orthanc, TransportError
from simple_orthanc.phantom import ct_phantom
from simple_orthanc.selection.store import StoreOutcome
from simple_orthanc.sources.orthanc.storing import OrthancStore
from simple_orthanc.testing import make_series
from tests.conftest import MakeServer
from tests.examples import examples
from tests.faults.restarts import USER, killed
from tests.http_stand_in import free_port
from tests.volume.writing.volumes import assert_same, random_volume, slope_of


@pytest.mark.unmeasured
@given(seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=examples(6, thorough=200),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_random_volumes_come_back(server: LocalOrthanc, seed: int) -> None:
    volume = random_volume(np.random.default_rng(seed))
    with server.connect() as session:
        table = session.upload_volume(volume)
        assert set(table.status) <= {"stored", "already stored"}
        session.select(SeriesInstanceUID=table.SeriesInstanceUID[0])
        assert session.instance_count == len(volume.array)
        assert_same(volume, session.get_volume(), *slope_of(session.get_header(0)))


def test_a_result_lies_beside_its_source(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(ct_phantom((6, 32, 32)))
    volume = orthanc.select(SeriesDescription="ct_scan").get_volume()
    table = orthanc.upload_volume(volume.array > 0, like=orthanc, SeriesDescription="not air", SeriesNumber=2)
    assert list(table.status) == ["stored"] * 6
    # The selection stays, and the result belongs to the same study.
    assert orthanc.series_count == 1
    orthanc.reset().select(PatientID="CT-PHANTOM")
    assert (orthanc.study_count, orthanc.SeriesDescriptions) == (1, ["ct_scan", "not air"])
    back = orthanc.select(SeriesDescription="not air").get_volume()
    assert np.array_equal(back.array, volume.array > 0)
    assert back.geometry == volume.geometry
    assert orthanc.get_header(0).SourceImageSequence[0].ReferencedSOPInstanceUID == volume.header.SOPInstanceUID


@pytest.mark.one_version
def test_a_server_that_dies_in_the_middle_leaves_a_true_table_and_the_same_call_finishes(
    make_server: MakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server({"HttpPort": free_port(), "RegisteredUsers": USER}, folder=tmp_path)
    values = np.random.default_rng(1).normal(size=(40, 16, 16))
    with server:
        with server.connect() as session:
            session.upload_dataset(make_series((40, 16, 16), seed=5))
            volume = session.get_volume()
        with server.connect(patience=0.2) as session:
            monkeypatch.setattr(OrthancStore, "store", dying_at(20, server))
            with pytest.raises(TransportError) as caught:
                session.upload_volume(values, like=volume)
        table = caught.value.table
        monkeypatch.undo()
        server.start()
        with server.connect() as session:
            held = set(session.select(SeriesInstanceUID=table.SeriesInstanceUID[0]).get_dicom_tag("SOPInstanceUID"))
            known = set(table.SOPInstanceUID[table.status == "stored"])
            assert 10 < len(known) <= len(held) < 40
            assert known <= held
            again = session.upload_volume(values, like=volume)
            assert set(again.status) == {"stored", "already stored"}
            assert list(again.SOPInstanceUID) == list(table.SOPInstanceUID)
            assert session.instance_count == 40


def dying_at(number: int, server: LocalOrthanc) -> Callable[[OrthancStore, Any], StoreOutcome]:
    """Return a function that stores, and kills the server before one of its calls."""
    store, calls, lock = OrthancStore.store, itertools.count(1), threading.Lock()

    def store_until(self: OrthancStore, content: Any) -> StoreOutcome:
        with lock:
            if next(calls) == number:
                killed(server)
        return store(self, content)

    return store_until


@pytest.mark.one_version
def test_over_dicomweb(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_series((3, 8, 9), modality="PT", seed=1))
    session = orthanc.dicomweb
    assert isinstance(session, DicomWeb)
    volume = session.get_volume()
    values = replace(volume, array=np.linspace(0, 1e4, volume.array.size).reshape(volume.shape))
    table = session.upload_volume(values, SeriesDescription="made")
    assert list(table.status) == ["stored"] * 3
    back = session.select(SeriesInstanceUID=table.SeriesInstanceUID[0]).get_volume()
    assert back.units == "BQML"
    assert np.abs(back.array - values.array).max() <= 1e4 / 65534 / 2 * 1.01
