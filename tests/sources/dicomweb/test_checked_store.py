"""Storing one file over DICOMweb: what is sent, and how the outcome is told from what the server holds."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from simple_orthanc.errors import NotFoundError, ServerError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.sources.dicomweb.checked_store import CheckedStore, same_object

Change = Callable[[Dataset], None]


class Result(NamedTuple):
    status: str
    message: str = ""


STORED = Result("stored")


class ServerStandIn:
    """Holds one file, or none, and answers what it is told to."""

    def __init__(self, held: bytes | None = None, result: Result = STORED, takes: bool = True) -> None:
        self.held, self._result, self._takes = held, result, takes
        self.stored: list[bytes] = []

    def store(self, content: bytes) -> list[Result]:
        self.stored.append(content)
        if self._takes:
            self.held = content
        return [self._result]

    def search_instances(
        self, study: str, series: str, query: dict[str, str], *, fields: list[str]
    ) -> list[dict[str, Any]]:
        assert study
        assert series
        assert fields == ["PatientID"]
        if self.held is None:
            raise NotFoundError("nothing", status=404)
        header = pydicom.dcmread(io.BytesIO(self.held))
        uid, patient = str(header.SOPInstanceUID), str(header.PatientID)
        assert query == {"SOPInstanceUID": uid}
        return [{"00080018": {"vr": "UI", "Value": [uid]}, "00100020": {"vr": "LO", "Value": [patient]}}]

    def retrieve_instance(self, *uids: str) -> bytes:
        assert len(uids) == 3
        assert self.held is not None
        return self.held


def stored(server: ServerStandIn, content: bytes) -> tuple[str, str]:
    return store_on(server).store(content)


def store_on(server: ServerStandIn) -> CheckedStore:
    return CheckedStore(server, lambda: None, lambda: iter(()))  # type: ignore[arg-type]


def file(change: Change = lambda dataset: None) -> bytes:
    (dataset,) = make_series((1, 4, 4), seed=1)
    change(dataset)
    return as_bytes(dataset)


def test_a_new_file_is_stored() -> None:
    server = ServerStandIn()
    assert stored(server, file()) == ("stored", "")
    assert server.stored == [file()]


def test_a_file_that_the_server_holds_is_not_sent_again() -> None:
    server = ServerStandIn(held=file())
    status, comparison = stored(server, file())
    assert (status, comparison) == ("already stored", "same")
    assert server.stored == []
    assert store_on(server).compare([(comparison, "")]) == ["same"]


def test_another_file_that_the_server_keeps_is_told() -> None:
    other = file(lambda dataset: setattr(dataset, "SeriesDescription", "other"))
    kept = ServerStandIn(held=other, result=Result("already stored"), takes=False)
    status, comparison = stored(kept, file())
    assert (status, comparison) == ("already stored", "another")
    assert store_on(kept).compare([(comparison, "")]) == ["another"]
    replaced = ServerStandIn(held=other, result=Result("already stored"))
    assert stored(replaced, file()) == ("stored", "same")


def test_an_object_of_another_patient_is_another_one() -> None:
    server = ServerStandIn(held=file(lambda dataset: setattr(dataset, "PatientID", "OTHER")), takes=False)
    status, _ = stored(server, file())
    assert status == "stored"
    assert len(server.stored) == 1


@pytest.mark.parametrize(
    ("result", "says"), [(Result("failed", "out of resources"), "out of resources"), (Result("lost"), "says nothing")]
)
def test_a_refusal_is_an_error(result: Result, says: str) -> None:
    with pytest.raises(ServerError, match=says):
        stored(ServerStandIn(result=result), file())


def test_a_dataset_without_the_preamble_gets_one() -> None:
    server = ServerStandIn()
    stored(server, file()[132:])
    assert server.stored[0][128:132] == b"DICM"
    assert same_object(server.stored[0], file())


def _rewritten() -> bytes:
    (dataset,) = make_series((1, 4, 4), seed=1)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.file_meta.ImplementationVersionName = "OTHER"
    return as_bytes(dataset)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (file(), True),
        (_rewritten(), True),
        (file(lambda dataset: setattr(dataset, "PatientID", "OTHER")), False),
        (file(lambda dataset: setattr(dataset, "PixelData", bytes(range(32)))), False),
        (
            file(lambda dataset: dataset.__delitem__("SeriesDescription") if "SeriesDescription" in dataset else None),
            True,
        ),
        (b"no DICOM", False),
        (b"", False),
    ],
)
def test_objects_are_compared_element_by_element(other: bytes, same: bool) -> None:
    assert same_object(file(), other) is same
    assert same_object(other, file()) is same
