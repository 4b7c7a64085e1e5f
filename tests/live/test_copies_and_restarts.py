"""Copies made by a server that is killed in the middle."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simple_orthanc import LocalOrthanc, Orthanc
from simple_orthanc.errors import TransportError
from simple_orthanc.local.server import free_port
from simple_orthanc.phantom import make_series
from tests.conftest import MakeServer
from tests.faults.restarts import killed

SLICES = 80
DEADLINE = 60.0


@pytest.fixture
def filled(make_server: MakeServer, tmp_path: Path) -> LocalOrthanc:
    """A server that keeps its folder and port, with one series of many slices and one of few."""
    server = make_server({"HttpPort": free_port()}, folder=tmp_path / "server")
    pixels = np.zeros((SLICES, 64, 64), np.int16)
    with server.connect() as session:
        session.upload_dataset(make_series(array=pixels, PatientID="P1", SeriesDescription="many"))
        session.upload_dataset(make_series((2, 4, 4), PatientID="P2", SeriesDescription="few"))
    return server


def in_the_middle_of_the_job(server: LocalOrthanc, session: Orthanc, results: list[Any]) -> threading.Thread:
    """Anonymize in a thread, and kill the server while it makes copies."""

    def run() -> None:
        try:
            results.append(session.anonymize(everything=True))
        except BaseException as error:
            results.append(error)

    worker = threading.Thread(target=run, daemon=True)
    with server.connect() as other:
        worker.start()
        while other.rest.get("/statistics")["CountInstances"] < SLICES + 2 + 10:
            assert worker.is_alive(), f"finished before the server was killed: {results}"
            time.sleep(0.002)
    killed(server)
    assert worker.is_alive(), "finished before the server was killed"
    return worker


def check_complete(session: Orthanc) -> None:
    """Check that there is exactly one copy of each original, and no note."""
    rest = session.rest
    origins = Counter(
        instance["AnonymizedFrom"]
        for series in rest.get("/series", {"expand": ""})
        for instance in rest.get(f"/series/{series['ID']}/instances")
        if "AnonymizedFrom" in instance
    )
    assert len(origins) == SLICES + 2
    assert set(origins.values()) == {1}
    assert rest.get("/statistics")["CountInstances"] == 2 * (SLICES + 2)
    assert not any("39921" in rest.get(f"/patients/{key}/metadata") for key in rest.get("/patients"))


def test_copies_are_complete_when_the_server_comes_back(filled: LocalOrthanc) -> None:
    with filled.connect() as session:
        results: list[Any] = []
        worker = in_the_middle_of_the_job(filled, session, results)
        time.sleep(1)
        filled.start()
        worker.join(DEADLINE)
        (table,) = results
        assert not isinstance(table, BaseException), table
        assert table.status.tolist() == ["anonymized"] * 2, table.message.tolist()
        check_complete(session)


def test_the_table_is_true_when_it_stays_away_and_the_same_call_finishes(filled: LocalOrthanc) -> None:
    with filled.connect(patience=0.5) as session:
        results: list[Any] = []
        worker = in_the_middle_of_the_job(filled, session, results)
        worker.join(DEADLINE)
        (error,) = results
        assert isinstance(error, TransportError), error
        statuses = dict(zip(error.table.PatientID, error.table.status, strict=True))
        assert statuses["P1"] == "failed"
        assert statuses["P2"] == "not tried"
        assert "same call" in error.table.message[0]
        filled.start()
        with filled.connect() as later:
            # The copies that are there in part are selected too, and do not become originals.
            table = later.anonymize(everything=True)
            assert set(table.status) <= {"anonymized", "already there", "skipped"}, table.message.tolist()
            check_complete(later)


def test_an_instance_that_cannot_be_read_fails_its_patient_alone_and_leaves_nothing(
    make_server: MakeServer, tmp_path: Path
) -> None:
    # Without a cache the file is read again.
    server = make_server({"MaximumStorageCacheSize": 0}, folder=tmp_path / "server")
    with server.connect() as session:
        for patient in ("P1", "P2"):
            session.upload_dataset(make_series((3, 4, 4), PatientID=patient))
        lost = session.select(PatientID="P2").get_dicom_tag("SOPInstanceUID")[1].encode()
        files = [path for path in (tmp_path / "server").rglob("*") if path.is_file() and path.stat().st_size < 5000]
        (file,) = [path for path in files if lost in path.read_bytes()]
        file.unlink()
        table = session.reset().anonymize(everything=True, level="patient")
        assert dict(zip(table.PatientID, table.status, strict=True)) == {"P1": "anonymized", "P2": "failed"}
        assert session.rest.get("/statistics")["CountInstances"] == 9
