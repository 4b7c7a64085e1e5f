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
from simple_orthanc.selection.store import StoreOutcome
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
        self.held_after: bytes | None = None
        # What searching, or retrieving, is refused with.
        self.refusals: dict[str, ServerError] = {}

    def store(self, content: bytes, *, repeat: bool) -> list[Result]:
        # What may have been carried out is not repeated before the server has been asked.
        assert not repeat
        self.stored.append(content)
        if self._takes:
            self.held = content
        self.held = self.held_after or self.held
        return [self._result]

    def search_instances(
        self, study: str, series: str, query: dict[str, str], *, fields: list[str]
    ) -> list[dict[str, Any]]:
        assert study
        assert series
        assert fields == ["PatientID"]
        if "search" in self.refusals:
            raise self.refusals["search"]
        if self.held is None:
            raise NotFoundError("nothing", status=404)
        header = pydicom.dcmread(io.BytesIO(self.held))
        uid, patient = str(header.SOPInstanceUID), str(header.PatientID)
        assert query == {"SOPInstanceUID": uid}
        return [{"00080018": {"vr": "UI", "Value": [uid]}, "00100020": {"vr": "LO", "Value": [patient]}}]

    def retrieve_instance(self, *uids: str) -> bytes:
        assert len(uids) == 3
        assert self.held is not None
        if "retrieve" in self.refusals:
            raise self.refusals["retrieve"]
        return self.held


def stored(server: ServerStandIn, content: bytes) -> StoreOutcome:
    return store_on(server).store(content)


def store_on(server: ServerStandIn) -> CheckedStore:
    return CheckedStore(server, lambda: None, lambda: iter(()))  # type: ignore[arg-type]


def file(change: Change = lambda dataset: None) -> bytes:
    (dataset,) = make_series((1, 4, 4), seed=1)
    change(dataset)
    return as_bytes(dataset)


def test_a_new_file_is_stored() -> None:
    server = ServerStandIn()
    assert stored(server, file()) == StoreOutcome("stored")
    assert server.stored == [file()]


def test_a_file_that_the_server_holds_is_not_sent_again() -> None:
    server = ServerStandIn(held=file())
    status, comparison, _ = stored(server, file())
    assert (status, comparison) == ("already stored", "same")
    assert server.stored == []
    assert store_on(server).compare([(comparison, "")]) == ["same"]


def test_another_file_that_the_server_keeps_is_told() -> None:
    other = file(lambda dataset: setattr(dataset, "SeriesDescription", "other"))
    kept = ServerStandIn(held=other, result=Result("already stored"), takes=False)
    status, comparison, _ = stored(kept, file())
    assert (status, comparison) == ("already stored", "another")
    assert store_on(kept).compare([(comparison, "")]) == ["another"]
    replaced = ServerStandIn(held=other, result=Result("already stored"))
    assert stored(replaced, file()) == StoreOutcome("stored")


def test_an_object_of_another_patient_is_another_one() -> None:
    kept = ServerStandIn(held=file(lambda dataset: setattr(dataset, "PatientID", "OTHER")), takes=False)
    store = store_on(kept)
    status, key, _ = store.store(file())
    assert (status, store.compare([(key, "")])) == ("stored", ["another"])
    assert len(kept.stored) == 1


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (Result("failed", "out of resources"), "out of resources$"),
        (Result("no answer"), "says nothing about it; it does not hold it"),
        (Result("no answer", "It reported on another one."), "another one.; it does not hold it"),
        (Result("already stored", "stored already (0111H)"), r"0111H\); it does not hold it"),
    ],
)
def test_what_is_not_there_afterwards_is_an_error(result: Result, says: str) -> None:
    with pytest.raises(ServerError, match=says):
        stored(ServerStandIn(result=result, takes=False), file())


OTHER = file(lambda dataset: setattr(dataset, "SeriesDescription", "other"))
OF_ANOTHER_PATIENT = file(lambda dataset: setattr(dataset, "PatientID", "OTHER"))


@pytest.mark.parametrize(
    ("before", "result", "after", "outcome"),
    [
        (None, Result("stored, changed", "B000H"), OTHER, StoreOutcome("stored, changed", "", "B000H")),
        (OTHER, Result("stored, changed", "B006H"), OTHER, StoreOutcome("stored, changed", "", "B006H")),
        (None, Result("no answer"), file(), StoreOutcome("stored")),
        (OTHER, Result("no answer"), file(), StoreOutcome("stored")),
        (None, Result("already stored"), file(), StoreOutcome("already stored", "same")),
        (OTHER, Result("no answer"), OTHER, StoreOutcome("already stored", "another")),
        (OTHER, Result("failed", "B00EH"), OTHER, StoreOutcome("already stored", "another")),
        (None, Result("failed", "B00EH"), OTHER, StoreOutcome("already stored", "another")),
        (OF_ANOTHER_PATIENT, Result("failed", "A900H"), OF_ANOTHER_PATIENT, StoreOutcome("already stored", "another")),
        (None, Result("no answer"), OF_ANOTHER_PATIENT, StoreOutcome("already stored", "another")),
    ],
)
def test_the_outcome_is_what_the_server_holds(
    before: bytes | None, result: Result, after: bytes, outcome: StoreOutcome
) -> None:
    server = ServerStandIn(held=before, result=result, takes=False)
    server.held_after = after
    assert stored(server, file()) == outcome


def test_a_new_file_that_was_damaged_on_its_way_is_told() -> None:
    damaged = file(lambda dataset: setattr(dataset, "PixelData", bytes(range(32))))
    server = ServerStandIn(takes=False)
    server.held_after = damaged
    store = store_on(server)
    status, key, _ = store.store(file())
    assert (status, store.compare([(key, "")]), store.content(key)) == ("stored", ["another"], damaged)


def test_a_new_file_that_is_not_shown_yet_is_stored_with_a_message() -> None:
    status, key, message = stored(ServerStandIn(takes=False), file())
    assert (status, key) == ("stored", "")
    assert "does not show it yet" in message


@pytest.mark.parametrize("what", ["search", "retrieve"])
@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_what_the_server_does_not_show_is_stored_without_a_comparison(what: str, status: int) -> None:
    for held, result in ((None, STORED), (file(), STORED), (file(), Result("already stored", "0111H"))):
        server = ServerStandIn(held=held, result=result)
        server.refusals[what] = ServerError("not for you", status=status)
        outcome, key, message = stored(server, file())
        assert (outcome, key, len(server.stored)) == (result.status, "", 1)
        assert "not compared with what the server holds" in message
        assert "not for you" in message
    for refused in (Result("failed", "A700H"), Result("no answer", "It says nothing.")):
        server = ServerStandIn(result=refused)
        server.refusals[what] = ServerError("not for you", status=status)
        with pytest.raises(ServerError, match=refused.message):
            stored(server, file())


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_nothing_is_sent_before_the_server_says_what_it_holds_if_it_may(status: int) -> None:
    server = ServerStandIn()
    server.refusals["search"] = ServerError("later", status=status)
    with pytest.raises(ServerError, match="later"):
        stored(server, file())
    assert server.stored == []


def test_what_was_refused_and_is_held_is_stored_with_the_words_of_the_server() -> None:
    server = ServerStandIn(result=Result("failed", "StudyDate failed validation"))
    status, key, message = stored(server, file())
    assert (status, key) == ("stored", "")
    assert "refused it, and holds it all the same: StudyDate failed validation" in message


def test_what_is_held_with_other_values_after_no_answer_is_changed() -> None:
    server = ServerStandIn(result=Result("no answer"), takes=False)
    server.held_after = OTHER
    status, _, message = stored(server, file())
    assert (status, message[:29]) == ("stored, changed", "the server did not report on ")


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
