"""Storing: every file has a result, nothing is sent in part or left out silently, and files stay on disk."""

from __future__ import annotations

import io
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicomweb import Stored, storing
from simple_orthanc.errors import (
    AuthenticationError,
    NotFoundError,
    ServerError,
    TransportError,
    UnsupportedError,
)
from tests.dicomweb.stored_files import JSON, accepting, answer, dataset, entry, file, files_in, transactions
from tests.http_stand_in import Asked, StandIn, always, in_turn, reply


def test_files_bytes_and_datasets_are_stored_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(file(1))
    with StandIn(accepting) as server:
        client = transactions(server, stow_prefix="stow")
        results = client.store(thing for thing in [str(path), path, file(2), dataset(3)])
        assert results == [
            Stored(str(path), "1.2.1", "stored"),
            Stored(str(path), "1.2.1", "stored"),
            Stored(None, "1.2.2", "stored"),
            Stored(None, "1.2.3", "stored"),
        ]
        (asked,) = server.asked
        assert files_in(asked) == [file(1), file(1), file(2), file(3)]
        assert (asked.method, asked.path) == ("POST", "/stow/studies")
        kind = r'multipart/related; type="application/dicom"; boundary=[0-9a-f]{40}'
        assert re.fullmatch(kind, asked.headers["content-type"])
        assert int(asked.headers["content-length"]) == len(asked.body)
        for single in (path, file(2), dataset(3)):
            assert [result.status for result in client.store(single, study="1.2")] == ["stored"]
        assert server.asked[-1].path == "/stow/studies/1.2"


@pytest.mark.parametrize("lost", [None, reply(b"", 503), reply(b"", 429, {"Retry-After": "0"})])
def test_what_is_sent_again_is_sent_whole(lost: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "large.dcm"
    path.write_bytes(file(1, 3_000_000))

    def losing(asked: Asked, count: int) -> bytes | None:
        return lost if count < 2 else accepting(asked, count)

    with StandIn(losing) as server:
        assert [result.status for result in transactions(server).store([path, file(2)])] == ["stored", "stored"]
        assert len(server.asked) == 3
        for asked in server.asked:
            assert files_in(asked) == [path.read_bytes(), file(2)]


def test_each_instance_has_its_result() -> None:
    stored = [entry("1.2.1"), entry("1.2.2", warning=0xB000)]
    failed = [entry("1.2.3", failure=0x0122), entry("1.2.4", failure=0x0111), entry("1.2.5", failure=0xC123)]
    other = [{"00081197": {"vr": "US", "Value": [0xA700]}}]
    for status in (200, 202, 400, 409):
        with StandIn(always(answer(stored, [*failed, entry("1.2.99")], other, status))) as server:
            results = transactions(server).store([file(number) for number in range(1, 7)])
        assert [(result.SOPInstanceUID, result.status, result.reason) for result in results] == [
            ("1.2.1", "stored", None),
            ("1.2.2", "stored, changed", 0xB000),
            ("1.2.3", "failed", 0x0122),
            ("1.2.4", "already stored", 0x0111),
            ("1.2.5", "failed", 0xC123),
            ("1.2.6", "no answer", None),
        ]
        assert [result.message for result in results] == [
            "",
            "the server changed the value of some element (B000H)",
            "the server does not store this SOP class (0122H)",
            "an instance with this SOPInstanceUID is stored already (0111H)",
            "the server cannot understand the dataset (C123H)",
            "The server did not report on this instance; search for it. "
            "It reported on another one that it did not name: the server is out of resources (A700H)",
        ]


def test_an_instance_given_twice_has_two_results() -> None:
    both = answer([entry("1.2.1")], [entry("1.2.2"), entry("1.2.2", failure=0x0110)])
    with StandIn(always(both)) as server:
        results = transactions(server).store([file(1), file(1), file(2), file(2)])
        assert [(result.status, result.reason) for result in results] == [
            ("stored", None),
            ("stored", None),
            ("failed", None),
            ("failed", 0x0110),
        ]


def test_files_that_are_not_dicom_are_reported_and_not_sent(tmp_path: Path) -> None:
    note, missing = tmp_path / "note.txt", tmp_path / "missing.dcm"
    note.write_text("hello")
    without_uid = bytes(128) + b"DICM" + b"\x08\x00\x60\x00CS\x02\x00CT"
    with StandIn(accepting) as server:
        results = transactions(server).store([note, missing, b"nonsense", without_uid, tmp_path, file(1)])
        assert [(result.path, result.status) for result in results] == [
            (str(note), "not DICOM"),
            (str(missing), "failed"),
            (None, "not DICOM"),
            (None, "not DICOM"),
            (str(tmp_path), "failed"),
            (None, "stored"),
        ]
        assert [files_in(asked) for asked in server.asked] == [[file(1)]]
        assert transactions(server).store([]) == []
        assert [result.status for result in transactions(server).store(note)] == ["not DICOM"]
        assert len(server.asked) == 1


def test_what_cannot_be_a_file_is_reported_and_the_rest_is_stored() -> None:
    with StandIn(accepting) as server:
        results = transactions(server).store([7, file(1), Dataset(), None])
        assert [result.status for result in results] == ["not DICOM", "stored", "not DICOM", "not DICOM"]
        assert "int" in results[0].message
        assert "SOPClassUID" in results[2].message


def test_what_its_character_set_cannot_hold_is_not_sent() -> None:
    lossy = dataset(1)
    lossy.SpecificCharacterSet, lossy.PatientName = "ISO_IR 100", "Иванов"
    with StandIn(accepting) as server:
        first, second = transactions(server).store([lossy, file(2)])
        assert (first.status, second.status) == ("failed", "stored")
        assert "PatientName" in first.message
        assert "'ISO_IR 100'" in first.message
        assert [files_in(asked) for asked in server.asked] == [[file(2)]]


def test_many_files_go_in_several_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MOST_FILES", 4)
    monkeypatch.setattr(storing, "MOST_BYTES", 100_000)
    sizes = [0, 0, 0, 0, 0, 70_000, 70_000, 200_000, 0, 0]
    with StandIn(accepting) as server:
        results = transactions(server).store(file(number, size) for number, size in enumerate(sizes))
        assert [result.SOPInstanceUID for result in results] == [f"1.2.{number}" for number in range(10)]
        assert {result.status for result in results} == {"stored"}
        assert [len(files_in(asked)) for asked in server.asked] == [4, 2, 1, 1, 2]


def test_a_request_that_is_too_large_is_halved() -> None:
    def small(asked: Asked, count: int) -> bytes:
        return reply(b"", 413) if len(files_in(asked)) > 2 else accepting(asked, count)

    with StandIn(small) as server:
        results = transactions(server).store([file(number) for number in range(5)])
        assert [(result.SOPInstanceUID, result.status) for result in results] == [
            (f"1.2.{number}", "stored") for number in range(5)
        ]
    with StandIn(lambda asked, count: reply(b"", 507) if count == 2 else small(asked, count)) as server:
        results = transactions(server).store([file(number) for number in range(4)])
        assert [result.status for result in results] == ["stored", "stored", "failed", "failed"]
    with StandIn(always(reply(b"", 413))) as server, pytest.raises(ServerError) as caught:
        transactions(server).store([file(1)])
    assert caught.value.status == 413


def test_a_connection_lost_for_good_lists_the_result_of_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "MOST_FILES", 2)
    path = tmp_path / "last.dcm"
    path.write_bytes(file(9))

    def dying(asked: Asked, count: int) -> bytes | None:
        return accepting(asked, count) if count == 0 else None

    with StandIn(dying) as server:
        with pytest.raises(TransportError) as caught:
            transactions(server).store([file(1), b"no", file(2), file(3), file(4), file(5), path])
        table = caught.value.table
        assert list(table["status"]) == [
            "stored",
            "not DICOM",
            "stored",
            "no answer",
            "no answer",
            "not sent",
            "not sent",
        ]
        assert list(table.columns) == ["path", "SOPInstanceUID", "status", "reason", "message"]
        assert table["path"].iloc[-1] == str(path)


def test_a_refusal_of_all_is_an_error() -> None:
    for status, error in (
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, NotFoundError),
        (500, ServerError),
    ):
        with StandIn(always(reply({"Message": "No"}, status))) as server, pytest.raises(error, match="No"):
            transactions(server).store([file(1)])


def test_a_refusal_of_later_files_keeps_the_results_of_the_earlier_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MOST_FILES", 2)

    def filling(asked: Asked, count: int) -> bytes:
        return accepting(asked, count) if count == 0 else reply({"Message": "Disk full"}, 507)

    with StandIn(filling) as server:
        results = transactions(server).store([file(number) for number in range(5)])
        assert [result.status for result in results] == ["stored", "stored", "failed", "failed", "not sent"]
        assert "Disk full" in results[2].message
        assert len(server.asked) == 2


def test_a_file_that_changes_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(file(1, 500_000))
    body = storing.MultipartBody([storing._Candidate(str(path), "1.2.1", path, path.stat().st_size)], "b")
    body.read(100)
    path.write_bytes(b"")
    with pytest.raises(TransportError, match="changed while it was sent"):
        body.read()
    path.unlink()
    body.seek(0)
    with pytest.raises(TransportError, match="changed while it was sent"):
        body.read()
    body.close()


def test_a_body_is_read_as_often_as_needed_and_in_any_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(file(1, 10_000))
    candidates = [storing._Candidate(None, "1", path, path.stat().st_size), storing._Candidate(None, "2", b"", 0)]
    with storing.MultipartBody(candidates, "b") as body:
        whole = body.readall()
        assert len(whole) == len(body) == body.tell() == body.seek(0, 2)
        assert body.read(1) == b""
        for size in (1, 7, 4096, 100_000):
            assert body.seek(0) == 0
            assert b"".join(iter(lambda size=size: body.read(size), b"")) == whole
        with pytest.raises(io.UnsupportedOperation):
            body.seek(5)


def test_files_are_not_held_in_memory(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.dcm" for number in range(8)]
    for number, path in enumerate(paths):
        path.write_bytes(file(number, 4 << 20))
    candidates = [storing._candidate(path) for path in paths]
    tracemalloc.start()
    try:
        with storing.MultipartBody([one for one in candidates if isinstance(one, storing._Candidate)], "b") as body:
            assert sum(len(piece) for piece in iter(lambda: body.read(1 << 16), b"")) > 32 << 20
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_files_that_were_sent_are_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "MOST_BYTES", 1 << 20)

    def answering(asked: Asked, count: int) -> bytes:
        found = accepting(asked, count)
        asked.body = b""
        return found

    with StandIn(answering) as server:
        client = transactions(server)
        client.store(file(0))
        tracemalloc.start()
        try:
            results = client.store(file(number, 1 << 20) for number in range(40))
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
        finally:
            tracemalloc.stop()
        assert {result.status for result in results} == {"stored"}


def deleting(status: int, holds: bool) -> Callable[[Asked, int], bytes]:
    item = {"0020000D": {"vr": "UI", "Value": ["1.2"]}, "0020000E": {"vr": "UI", "Value": ["1.2.3"]}}
    item["00080018"] = {"vr": "UI", "Value": ["1.2.3.4"]}
    found = reply(json.dumps([item] if holds else []).encode(), headers=JSON)
    return lambda asked, _: reply(b"", status) if asked.method == "DELETE" else found


def test_deleting_where_it_is_offered() -> None:
    for status in (200, 204):
        with StandIn(deleting(status, False)) as server:
            client = transactions(server, delete_prefix="delete")
            client.delete_study("1.2")
            client.delete_series("1.2", "1.2.3")
            client.delete_instance("1.2", "1.2.3", "1.2.3.4")
            assert [(asked.method, asked.path) for asked in server.asked] == [
                ("DELETE", "/delete/studies/1.2"),
                ("DELETE", "/delete/studies/1.2/series/1.2.3"),
                ("DELETE", "/delete/studies/1.2/series/1.2.3/instances/1.2.3.4"),
            ]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_deleting_where_it_is_not_offered(status: int) -> None:
    with StandIn(deleting(status, True)) as server:
        client = transactions(server)
        for call in (
            lambda: client.delete_study("1.2"),
            lambda: client.delete_series("1.2", "1.2.3"),
            lambda: client.delete_instance("1.2", "1.2.3", "1.2.3.4"),
        ):
            with pytest.raises(UnsupportedError, match=rf"does not offer deleting .* answered {status}"):
                call()


def test_deleting_a_missing_object_is_not_found() -> None:
    with StandIn(deleting(404, False)) as server, pytest.raises(NotFoundError):
        transactions(server).delete_study("1.2")
    with StandIn(in_turn(reply(b"", 404), reply(b"", 500))) as server, pytest.raises(NotFoundError):
        transactions(server).delete_study("1.2")
