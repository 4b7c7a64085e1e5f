"""Retrieving: whole files, frames, bulk data and pictures, or an error; credentials go to one server only."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pytest

from simple_orthanc import limits
from simple_orthanc.dicomweb import Frame, Transactions, multipart
from simple_orthanc.errors import (
    OrthancError,
    SelectionError,
    ServerError,
    TransportError,
    UnsupportedError,
)
from simple_orthanc.transport import Transport
from tests.dicomweb.messages import JSON, UIDS, broken_off, file, parts, picky, transactions
from tests.http_stand_in import Asked, StandIn, always, in_turn, reply


def test_files_are_yielded_one_by_one_from_the_paths_of_the_standard() -> None:
    with StandIn(always(parts(file(1), file(2)))) as server:
        client = transactions(server, wado_prefix="wado/")
        assert list(client.retrieve_study("1.2")) == [file(1), file(2)]
        assert list(client.retrieve_series("1.2", "1.2.3")) == [file(1), file(2)]
        assert [asked.path for asked in server.asked] == ["/wado/studies/1.2", "/wado/studies/1.2/series/1.2.3"]
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        assert {asked.headers["accept"] for asked in server.asked} == {accept}
        assert {asked.headers["accept-encoding"] for asked in server.asked} == {"identity"}


@pytest.mark.parametrize("kind", ["application/dicom", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"])
def test_one_file_may_come_in_parts_or_by_itself(kind: str) -> None:
    for answer in (reply(file(1), headers={"Content-Type": kind}), parts(file(1)), parts(file(1), headers="")):
        with StandIn(always(answer)) as server:
            assert transactions(server).retrieve_instance(*UIDS) == file(1)
            assert list(transactions(server).retrieve_series(*UIDS[:2])) == [file(1)]


def test_a_file_is_yielded_before_the_next_has_arrived() -> None:
    with StandIn(always(parts(*[file(number, 2_000_000) for number in range(20)]))) as server:
        found = transactions(server).retrieve_study("1.2")
        assert server.asked == []
        assert next(found) == file(0, 2_000_000)
        found.close()


@pytest.mark.parametrize(("answer", "whole"), broken_off())
def test_a_series_that_breaks_off_is_an_error_after_its_whole_files(answer: bytes, whole: int) -> None:
    with StandIn(always(answer), idle=0.2) as server:
        found = transactions(server).retrieve_series("1.2", "1.2.3")
        assert list(islice(found, whole)) == [file(1), file(2)][:whole]
        with pytest.raises(TransportError):
            next(found)
        assert len(server.asked) == 1


def test_a_single_instance_that_breaks_off_is_asked_for_again() -> None:
    cut = parts(file(1), length=5000, extra={"X-Close": "yes"})
    with StandIn(in_turn(cut, None, parts(file(1)))) as server:
        assert transactions(server).retrieve_instance(*UIDS) == file(1)
        assert len(server.asked) == 3


def test_a_file_without_preamble_is_a_file() -> None:
    # As servers give it that keep what they were sent: a dataset, here of its SOPClassUID and some text.
    bare = b"\x08\x00\x16\x00UI\x04\x001.2\0" + b"\x08\x00\x60\x00CS\x02\x00CT"
    with StandIn(always(parts(bare))) as server:
        assert transactions(server).retrieve_instance(*UIDS) == bare
        assert list(transactions(server).retrieve_series(*UIDS[:2])) == [bare]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (parts(), "no file at all|nothing"),
        (parts(b"<html>", headers="Content-Type: text/html\r\n"), "text/html"),
        (parts(b"no file"), "something other than a DICOM file"),
        (parts(file(1), headers="Content-Type: application/pdf\r\n"), "application/pdf"),
        (reply(b"<html>Log in</html>", headers={"Content-Type": "text/html"}), "text/html"),
        (reply(file(1), headers={"Content-Type": "multipart/related"}), "no boundary"),
        (reply([{}]), "application/json"),
        (reply(b"", 204), "no file at all|nothing|no media type"),
    ],
)
def test_a_response_that_is_not_a_dicom_file_is_an_error(answer: bytes, said: str) -> None:
    calls: list[Callable[[Transactions], Any]] = [
        lambda client: list(client.retrieve_study("1.2")),
        lambda client: client.retrieve_instance(*UIDS),
    ]
    for call in calls:
        with StandIn(always(answer)) as server, pytest.raises(TransportError, match=said):
            call(transactions(server))


def test_two_files_for_one_instance_are_an_error() -> None:
    with StandIn(always(parts(file(1), file(2)))) as server, pytest.raises(TransportError, match="2 parts"):
        transactions(server).retrieve_instance(*UIDS)


def test_a_part_of_a_study_does_not_pass_as_the_whole() -> None:
    with StandIn(always(parts(file(1), status=206))) as server:
        found = transactions(server).retrieve_study("1.2")
        assert next(found) == file(1)
        with pytest.raises(TransportError, match="only 1 of the files"):
            next(found)


def test_an_endless_response_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "body_bytes", 10_000)
    with StandIn(always(parts(file(1, 20_000)))) as server:
        with pytest.raises(TransportError, match=r"limits\.body_bytes = 10000"):
            list(transactions(server).retrieve_study("1.2"))
        with pytest.raises(TransportError, match=r"limits\.body_bytes = 10000"):
            transactions(server).retrieve_instance(*UIDS)


def test_other_media_types_are_requested_if_the_first_is_refused() -> None:
    with StandIn(picky("application/dicom; transfer-syntax=*", reply(file(1), headers={}))) as server:
        client = transactions(server)
        assert client.retrieve_instance(*UIDS) == client.retrieve_instance(*UIDS) == file(1)
        # Asked for in three ways, then in the one that was taken.
        assert len(server.asked) == 4
    with StandIn(always(reply(b"", 406))) as server:
        with pytest.raises(ServerError) as caught:
            list(transactions(server).retrieve_series("1.2", "1.2.3"))
        assert (caught.value.status, len(server.asked)) == (406, 3)


def test_transfer_syntaxes_are_requested_in_turn() -> None:
    jpeg, raw = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.1"
    wanted = f'multipart/related; type="application/dicom"; transfer-syntax={raw}'
    for status in (406, 400):
        with StandIn(picky(wanted, parts(file(1)), status)) as server:
            client = transactions(server)
            assert list(client.retrieve_study("1.2", transfer_syntaxes=[jpeg, raw])) == [file(1)]
    # A single wish that is called wrong is wrong: it is asked for in other words only if these were never understood.
    with StandIn(in_turn(parts(file(1)), reply({"Message": "wrong"}, 400))) as server:
        client = transactions(server)
        assert client.retrieve_instance(*UIDS) == file(1)
        with pytest.raises(ServerError, match="wrong"):
            client.retrieve_instance(*UIDS)
        assert len(server.asked) == 2


@pytest.mark.parametrize("wrong", [["1.2\r\nX: y"], ["JPEG"], [], ["1.2, */*"]])
def test_invalid_transfer_syntaxes_are_refused(wrong: list[str]) -> None:
    with StandIn(always(parts(file(1)))) as server:
        with pytest.raises(SelectionError, match="transfer_syntaxes"):
            transactions(server).retrieve_study("1.2", transfer_syntaxes=wrong)
        assert server.asked == []


def test_metadata_are_returned_as_they_were_sent() -> None:
    item = {"00080018": {"vr": "UI", "Value": ["1.2.3.4"]}}
    with StandIn(always(reply(json.dumps([item]).encode(), headers=JSON))) as server:
        client = transactions(server)
        assert client.retrieve_study_metadata("1.2") == [item]
        assert client.retrieve_series_metadata("1.2", "1.2.3") == [item]
        assert client.retrieve_instance_metadata(*UIDS) == item
        assert [asked.path for asked in server.asked] == [
            "/studies/1.2/metadata",
            "/studies/1.2/series/1.2.3/metadata",
            "/studies/1.2/series/1.2.3/instances/1.2.3.4/metadata",
        ]
    for items in ([], [item, item]):
        answer = reply(json.dumps(items).encode(), headers=JSON)
        with StandIn(always(answer)) as server, pytest.raises(TransportError, match="datasets instead of one"):
            transactions(server).retrieve_instance_metadata(*UIDS)


def frame_headers(
    number: int | None, kind: str = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
) -> str:
    location = "" if number is None else f"Content-Location: http://x/studies/1.2/frames/{number}\r\n"
    return f"Content-Type: {kind}\r\n{location}"


def test_frames_have_their_transfer_syntax() -> None:
    answer = parts(b"abc", headers="Content-Type: image/jphc; transfer-syntax=1.2.840.10008.1.2.4.201\r\n")
    with StandIn(always(answer)) as server:
        found = list(transactions(server).retrieve_frames(*UIDS, [3], media_types=["image/jphc"]))
        assert found == [Frame(3, b"abc", "image/jphc", "1.2.840.10008.1.2.4.201")]
        assert server.asked[0].headers["accept"] == 'multipart/related; type="image/jphc"'
        assert server.asked[0].path == "/studies/1.2/series/1.2.3/instances/1.2.3.4/frames/3"


@pytest.mark.parametrize("order", [[3, 1, 2], [1, 2, 3], [2, 3, 1]])
def test_frames_are_yielded_in_the_order_requested(order: list[int]) -> None:
    contents = {number: bytes([number]) for number in order}
    sorted_ones = parts(*[contents[n] for n in (1, 2, 3)], headers=[frame_headers(n) for n in (1, 2, 3)])
    unnamed = parts(*[contents[n] for n in order], headers=[frame_headers(None)] * 3)
    for answer in (sorted_ones, unnamed):
        with StandIn(always(answer)) as server:
            found = list(transactions(server).retrieve_frames(*UIDS, order))
            assert [(frame.number, frame.content) for frame in found] == [(n, contents[n]) for n in order]
            assert server.asked[0].path.endswith(f"/frames/{','.join(map(str, order))}")


def test_many_frames_take_several_requests() -> None:
    def answer(asked: Asked, _: int) -> bytes:
        wanted = [int(number) for number in asked.path.rpartition("/")[2].split(",")]
        return parts(*[bytes([number]) for number in wanted], headers=frame_headers(None))

    with StandIn(answer) as server:
        found = list(transactions(server).retrieve_frames(*UIDS, range(1, 121)))
        assert [frame.content[0] for frame in found] == list(range(1, 121))
        assert len(server.asked) == 3


def test_one_frame_may_come_by_itself() -> None:
    with StandIn(always(reply(b"pixels", headers={"Content-Type": "application/octet-stream"}))) as server:
        assert list(transactions(server).retrieve_frames(*UIDS, [1])) == [
            Frame(1, b"pixels", "application/octet-stream", None)
        ]
        with pytest.raises(TransportError, match="without frame 2"):
            list(transactions(server).retrieve_frames(*UIDS, [1, 2]))


@pytest.mark.parametrize(
    "answer",
    [
        parts(b"a", b"b", b"c", headers=frame_headers(None)),
        parts(b"a", b"a", headers=[frame_headers(1), frame_headers(1)]),
        parts(b"a", b"z", headers=[frame_headers(1), frame_headers(9)]),
        parts(b"a", b"", headers=frame_headers(None)),
        parts(b"a", headers=frame_headers(1)),
        parts(b"a", b"b", headers=frame_headers(None), end=b""),
        parts(b"a", b"oops", headers=[frame_headers(1), "Content-Type: text/plain\r\n"]),
        reply(b"<html>", headers={"Content-Type": "text/html"}),
    ],
)
def test_frames_that_were_not_requested_are_an_error(answer: bytes) -> None:
    with StandIn(always(answer)) as server, pytest.raises(TransportError):
        list(transactions(server).retrieve_frames(*UIDS, [1, 2]))


@pytest.mark.parametrize(
    ("frames", "options", "error"),
    [
        ([], {}, SelectionError),
        ([0], {}, SelectionError),
        ([1, 1], {}, SelectionError),
        (["1"], {}, SelectionError),
        ([1], {"media_types": []}, SelectionError),
        ([1], {"media_types": ["image"]}, SelectionError),
        ([1], {"media_types": ["image/png\r\nX: y"]}, SelectionError),
        ([1], {"media_types": ["application/dicom+xml"]}, UnsupportedError),
    ],
)
def test_invalid_frame_numbers_are_refused(frames: Any, options: dict[str, Any], error: type[OrthancError]) -> None:
    with StandIn(always(reply(b""))) as server:
        with pytest.raises(error):
            transactions(server).retrieve_frames(*UIDS, frames, **options)
        assert server.asked == []


VALUE = bytes(range(200))


def bulk(asked: Asked, _: int) -> bytes:
    """A server that knows ranges, and gives a value by itself."""
    if "range" not in asked.headers:
        return parts(VALUE, headers="Content-Type: application/octet-stream\r\n")
    first, _, last = asked.headers["range"].removeprefix("bytes=").partition("-")
    end = min(int(last or 10**9), len(VALUE) - 1)
    if int(first) > end:
        return reply(b"", 416)
    told = {"Content-Range": f"bytes {first}-{end}/{len(VALUE)}", "Content-Type": "application/octet-stream"}
    return reply(VALUE[int(first) : end + 1], 206, told)


def without_ranges(asked: Asked, _: int) -> bytes:
    if not asked.headers["accept"].startswith("multipart"):
        return reply({"Message": "Bad request"}, 400)
    return parts(VALUE, headers="Content-Type: application/octet-stream\r\n")


@pytest.mark.parametrize("habit", [bulk, without_ranges])
def test_bulk_data_are_returned_whole_and_in_part(habit: Callable[[Asked, int], bytes]) -> None:
    with StandIn(habit) as server:
        client = transactions(server)
        url = f"{server.url}/studies/1.2/bulk/7fe00010"
        for address in (url, "/studies/1.2/bulk/7fe00010", "studies/1.2/bulk/7fe00010"):
            assert client.retrieve_bulkdata(address) == VALUE
        assert client.retrieve_bulkdata(url, (0, 9)) == VALUE[:10]
        assert client.retrieve_bulkdata(url, (50, 50)) == VALUE[50:51]
        assert client.retrieve_bulkdata(url, (190, None)) == VALUE[190:]
        assert client.retrieve_bulkdata(url, (190, 500)) == VALUE[190:]
        with pytest.raises((SelectionError, ServerError)):
            client.retrieve_bulkdata(url, (200, None))
        for wrong in ((-1, 5), (5, 4)):
            with pytest.raises(SelectionError, match="byte_range"):
                client.retrieve_bulkdata(url, wrong)
        assert {asked.path for asked in server.asked} == {"/studies/1.2/bulk/7fe00010"}


@pytest.mark.parametrize("told", ["bytes 0-4/200", "bytes 10-13/200", "bytes 10-99/200", "", "items 1"])
def test_another_range_than_requested_is_an_error(told: str) -> None:
    answer = reply(VALUE[:5], 206, {"Content-Range": told, "Content-Type": "application/octet-stream"})
    with StandIn(always(answer)) as server, pytest.raises(TransportError, match="another range of bytes"):
        transactions(server).retrieve_bulkdata("/bulk/1", (10, 14))


def test_bulk_data_of_another_server_are_not_requested() -> None:
    with StandIn(always(reply(b"stolen"))) as other, StandIn(bulk) as server:
        client = Transactions(Transport(f"{server.url}/dicom-web", token="a-secret-token"))
        for url in (
            f"{other.url}/bulk/1",
            f"http://x:y@127.0.0.1:{server.port}/bulk/1",
            f"http://127.0.0.1:{server.port}\\@evil.example/bulk/1",
            f"https://127.0.0.1:{server.port}/bulk/1",
            "http://evil.example/bulk/1",
            "http://[bad/bulk",
        ):
            with pytest.raises(TransportError, match="one server only") as caught:
                client.retrieve_bulkdata(url)
            assert "a-secret-token" not in str(caught.value)
        with pytest.raises(TransportError, match="segment of dots"):
            client.retrieve_bulkdata(f"{server.url}/dicom-web/../instances")
        assert other.asked == server.asked == []
        # What is beside the root of the service is still this server.
        assert client.retrieve_bulkdata(f"{server.url}/bulk/1?part=2") == VALUE
        assert [asked.path for asked in server.asked] == ["/bulk/1?part=2"]
        assert server.asked[0].headers["host"] == f"127.0.0.1:{server.port}"


def test_a_page_instead_of_bulk_data_is_an_error() -> None:
    for answer in (reply(b"<html>", headers={"Content-Type": "text/html"}), parts(b"a", b"b"), parts(), reply(b"")):
        with StandIn(always(answer)) as server, pytest.raises(TransportError):
            transactions(server).retrieve_bulkdata("/bulk/1")


def test_a_study_needs_the_memory_of_one_file() -> None:
    # Seen from outside: the server may not have been read far ahead of what was handed over.
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        for number in range(50):
            piece = b"--b\r\n\r\n" + file(number, 1 << 20) + b"\r\n"
            for start in range(0, len(piece), 1 << 16):
                sent += 1
                yield piece[start : start + (1 << 16)]
        yield b"--b--"

    found = multipart.read_parts(chunks(), "multipart/related; boundary=b", "an example")
    assert io.BytesIO(next(found).content).read() == file(0, 1 << 20)
    assert sent <= 18


def test_a_server_that_knows_no_star_is_asked_without_it() -> None:
    wanted = 'multipart/related; type="application/dicom"'
    with StandIn(picky(wanted, parts(file(1)), 400)) as server:
        client = transactions(server)
        assert client.retrieve_instance(*UIDS) == file(1)
        assert list(client.retrieve_series(*UIDS[:2])) == [file(1)]
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "gopher://127.0.0.1/x",
        "ftp://127.0.0.1/x",
        "data:text/plain,abc",
        "http://other.example.org/x",
        "HTTP://other.example.org/x",
        "//other.example.org/x",
        "//127.0.0.1:1/x",
    ],
)
def test_bulk_data_elsewhere_is_not_asked_for(url: str) -> None:
    with StandIn(always(reply(b"value", headers={"Content-Type": "application/octet-stream"}))) as server:
        with pytest.raises(TransportError, match="nothing was sent"):
            transactions(server).retrieve_bulkdata(url)
        assert server.asked == []
        address = server.url.partition(":")[2]
        assert transactions(server).retrieve_bulkdata(f"{address}/dicom-web/bulk/1") == b"value"
