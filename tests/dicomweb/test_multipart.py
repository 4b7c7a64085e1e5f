"""Messages of several parts: whatever they hold and however they are cut, read whole or refused, in linear time."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc import limits
from simple_orthanc.dicomweb import multipart
from simple_orthanc.dicomweb.multipart import Part, read_parts
from simple_orthanc.errors import TransportError

KIND = "multipart/related; boundary=b"


def message(
    contents: Iterable[bytes], boundary: str = "b", newline: bytes = b"\r\n", length: bool = False, header: bytes = b""
) -> bytes:
    lines = []
    for content in contents:
        told = b"Content-Length: %d" % len(content) + newline if length else b""
        lines += [b"--" + boundary.encode() + newline + header + told + newline + content + newline]
    return b"".join(lines) + b"--" + boundary.encode() + b"--" + newline


def cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def read(body: bytes, kind: str = KIND, size: int = 7) -> list[bytes]:
    return [part.content for part in read_parts(cut(body, size), kind, "an example")]


PIECES = st.sampled_from(
    [b"\r\n--b", b"\r\n--bb\r\n", b"\n--b\n", b"--b--", b"\r", b"\n", b"\r\n", b"\r\n--", b"--b\r\n", b" ", b"x", b"\0"]
)
BINARY = st.one_of(st.lists(PIECES, max_size=8).map(b"".join), st.binary(max_size=60))
# What would be a boundary in a message whose lines end in CR LF.
BOUNDARY = re.compile(rb"(\r\n|\A)--b(--)?[ \t]*(\r\n|\r?\Z)")


@given(
    st.lists(BINARY, max_size=5),
    st.integers(1, 50),
    st.booleans(),
    st.sampled_from([b"", b"preamble\r\n", b"\r\n", b"--bb\r\n"]),
    st.sampled_from([b"", b"epilogue", b"\r\n--b\r\n\r\nno part\r\n--b--"]),
)
def test_any_content_is_returned_unchanged(
    contents: list[bytes], size: int, length: bool, preamble: bytes, epilogue: bytes
) -> None:
    if not length:
        contents = [content for content in contents if not BOUNDARY.search(content)]
    body = preamble + message(contents, length=length) + epilogue
    assert read(body, size=size) == contents


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.integers(1, 30), st.data())
def test_a_message_cut_anywhere_is_an_error_after_the_whole_parts(
    contents: list[bytes], size: int, data: st.DataObject
) -> None:
    contents = [content.replace(b"b", b"") for content in contents]
    body = message(contents).removesuffix(b"\r\n")
    shorter = body[: data.draw(st.integers(0, len(body) - 1))]
    came: list[bytes] = []
    with pytest.raises(TransportError):
        came.extend(part.content for part in read_parts(cut(shorter, size), KIND, "an example"))
    assert came == contents[: len(came)]


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("multipart/related; boundary=simple", "simple"),
        ('multipart/related; type="application/dicom"; boundary="with space; and=signs"', "with space; and=signs"),
        ("Multipart/Related; BOUNDARY=Case", "Case"),
        ('multipart/related; type="application/octet-stream; transfer-syntax=1.2.3"; boundary=a-b', "a-b"),
        ("multipart/related;boundary=----=_Part_1.2;type=application/dicom", "----=_Part_1.2"),
        ('multipart/related; boundary="quoted \\" mark"', 'quoted " mark'),
        ("multipart/mixed;\r\n\tboundary=folded", "folded"),
    ],
)
def test_boundaries_are_read_quoted_or_not(kind: str, boundary: str) -> None:
    assert read(message([b"one", b"two"], boundary), kind) == [b"one", b"two"]


@pytest.mark.parametrize(
    "kind", ["multipart/related", "multipart/related; boundary=", 'multipart/related; boundary=""']
)
def test_a_missing_boundary_is_an_error(kind: str) -> None:
    with pytest.raises(TransportError, match="no boundary"):
        read(message([b"one"]), kind)
    with pytest.raises(TransportError, match="boundary"):
        read(message([b"one"]), f"multipart/related; boundary={'x' * 3000}")


def test_lines_may_end_in_lf_alone_and_then_crlf_is_data() -> None:
    assert read(message([b"one\r", b"\r\n--b\r\n"], newline=b"\n")) == [b"one\r", b"\r\n--b\r\n"]
    assert read(message([b"one\n--b\n\ntwo"])) == [b"one\n--b\n\ntwo"]


def test_padding_after_boundaries_and_parts_without_header_or_content() -> None:
    assert read(b"--b \t\r\n\r\none\r\n--b\r\n\r\n--b\r\n\r\n\r\n--b-- \t") == [b"one", b"", b""]
    assert read(b"--b--") == read(b"--b--\r\nepilogue") == []
    assert read(message([b""], length=True)) == [b""]


def test_parts_have_their_media_type_and_location() -> None:
    header = b"Content-Type: image/JP2; transfer-syntax=1.2.840.10008.1.2.4.90\r\nContent-Location: /frames/2\r\n"
    assert list(read_parts([message([b"x"], header=header)], KIND, "an example")) == [
        Part(b"x", "image/jp2", "1.2.840.10008.1.2.4.90", "/frames/2")
    ]
    # An answer that is not in parts is one part.
    assert list(read_parts([b"a", b"b"], 'application/dicom; transfer-syntax="1.2"', "an example")) == [
        Part(b"ab", "application/dicom", "1.2")
    ]
    assert "secret" not in repr(Part(b"secret"))


@pytest.mark.parametrize("announced", [2, 4, 40, 10**15])
def test_a_wrong_length_is_an_error(announced: int) -> None:
    body = b"--b\r\nContent-Length: %d\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--" % announced
    with pytest.raises(TransportError):
        read(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Please log in</html>", "not where it should begin"),
        (b"", "not where it should begin"),
        (b"x" * 200_000, "not where it should begin"),
        (b"--b\r\n" + b"x" * 200_000, "header of part 1 does not end"),
        (b"--b\r\n" + b"a: b\r\n" * 101 + b"\r\nx\r\n--b--", "101 lines"),
        (b"--b\r\nno header line\r\n\r\nx\r\n--b--", "a line without a colon"),
        (b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\nx\r\n--b--", "encoded"),
        (b"--b\r\nContent-Encoding: gzip\r\n\r\nx\r\n--b--", "encoded"),
        (b"--b\r\n\r\nx\r\n--b\r\n\r\ny", "after 1 whole parts"),
        (b"--b\r\n\r\nx\r\n--b-", "after 0 whole parts"),
    ],
)
def test_an_invalid_message_is_an_error(body: bytes, said: str) -> None:
    with pytest.raises(TransportError, match=said) as caught:
        read(body, size=4096)
    assert "an example" in str(caught.value)


@pytest.mark.parametrize("kind", [KIND, "application/dicom"])
@pytest.mark.parametrize("length", [b"", b"Content-Length: 999999999999\r\n"])
def test_an_endless_part_is_given_up(kind: str, length: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "body_bytes", 1 << 20)
    asked = 0

    def endless() -> Iterator[bytes]:
        nonlocal asked
        yield b"--b\r\n" + length + b"\r\n"
        while True:
            asked += 1
            yield bytes(1 << 16)

    with pytest.raises(TransportError, match="1048576 bytes"):
        list(read_parts(endless(), kind, "an example"))
    assert asked <= 18


def test_an_endless_epilogue_is_not_read() -> None:
    def endless() -> Iterator[bytes]:
        yield message([b"one"])
        for _ in range(100):
            yield bytes(1 << 16)
        pytest.fail("read on")

    assert [part.content for part in read_parts(endless(), KIND, "an example")] == [b"one"]


class CountingBuffer(multipart.MessageBuffer):
    """Counts the bytes that are searched and copied."""

    work = 0

    def more(self) -> bool:
        before = len(self.data)
        found = super().more()
        CountingBuffer.work += len(self.data) - before
        return found

    def find(self, wanted: bytes, start: int) -> int:
        found = super().find(wanted, start)
        CountingBuffer.work += (len(self.data) if found < 0 else found) - start
        return found

    def take(self, length: int) -> bytes:
        CountingBuffer.work += length
        return super().take(length)


def work_for(number: int, size: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> int:
    monkeypatch.setattr(multipart, "MessageBuffer", CountingBuffer)
    CountingBuffer.work = 0
    body = message([bytes(number)], **options)
    kind = f"multipart/related; boundary={options.get('boundary', 'b')}"
    assert [len(content) for content in read(body, kind=kind, size=size)] == [number]
    return CountingBuffer.work


@pytest.mark.parametrize("counted", [False, True])
def test_the_work_is_in_proportion_to_the_length(counted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Searched once, copied in and out of the buffer; and a little for the seams between chunks.
    long = 60_000_000
    assert work_for(long, 1 << 16, monkeypatch, length=counted) <= 3.1 * long
    short = 200_000
    for size in (1, 10, 1000, short):
        work = work_for(short, size, monkeypatch, length=counted, boundary="b" * 40)
        assert work <= (3 + 50 / size) * short + 1000, size


def test_near_boundaries_do_not_make_it_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MessageBuffer", CountingBuffer)
    CountingBuffer.work = 0
    content = b"\r\n--bx" * 50_000
    assert read(message([content]), size=1 << 14) == [content]
    assert CountingBuffer.work <= 4 * len(content)


def test_only_one_part_is_held_at_a_time() -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(50):
            yield b"--b\r\n\r\n" + bytes(1 << 20) + b"\r\n"
        yield b"--b--"

    tracemalloc.start()
    try:
        assert sum(len(part.content) for part in read_parts(parts(), KIND, "an example")) == 50 << 20
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_parts_without_end_are_given_up() -> None:
    chunks = repeat(b"--b\r\n\r\nx\r\n", 1000)
    with limits.changed(parts=100), pytest.raises(TransportError, match=r"more than 100 parts\. .*limits\.parts = 100"):
        list(read_parts(chunks, "multipart/related; boundary=b", "an example"))


@pytest.mark.parametrize("before", [b"", b"--b\r\n\r\nx\r\n"])
def test_a_header_without_end_names_the_limit(before: bytes) -> None:
    chunks = chain([before + b"--b\r\nX-Some: "], repeat(b"x" * 1000, 1000))
    with pytest.raises(TransportError, match=r"limits\.part_header_bytes = 65536"):
        list(read_parts(chunks, "multipart/related; boundary=b", "an example"))


@pytest.mark.parametrize("length", ["9" * 5000, "1" + "0" * 30, str(1 << 33)])
def test_an_impossible_length_of_a_part_is_an_error(length: str) -> None:
    body = f"--b\r\nContent-Length: {length}\r\n\r\nx\r\n--b--".encode()
    with pytest.raises(TransportError, match="an example"):
        list(read_parts([body], "multipart/related; boundary=b", "an example"))
