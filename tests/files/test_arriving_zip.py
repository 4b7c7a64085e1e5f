"""Members of a zip that are read while it arrives: the same as afterwards, or none."""

from __future__ import annotations

import io
import random
import tracemalloc
import zipfile
from collections.abc import Iterator

import pytest

from simple_orthanc.files.arriving_zip import members_on_arrival

CONTENTS = [b"", b"a", bytes(5000), random.Random(1).randbytes(3000), b"the last one"]


class Unseekable(io.RawIOBase):
    """Makes a zip whose lengths follow behind the members."""

    def __init__(self) -> None:
        self.written = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.written += bytes(data)  # type: ignore[call-overload]
        return len(data)  # type: ignore[arg-type]


def zip_of(contents: list[bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"a folder/{number}", content)
    return buffer.getvalue()


def in_chunks(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("size", [1, 29, 30, 1000, 1 << 20])
def test_all_members_come(size: int, compression: int) -> None:
    archive = zip_of(CONTENTS, compression)
    assert list(members_on_arrival(in_chunks(archive, size), 5000)) == CONTENTS


def test_a_member_comes_with_its_last_byte() -> None:
    archive = zip_of(CONTENTS)
    taken = [0]

    def chunks() -> Iterator[bytes]:
        for chunk in in_chunks(archive, 1):
            taken[0] += 1
            yield chunk

    members = members_on_arrival(chunks(), 5000)
    with zipfile.ZipFile(io.BytesIO(archive)) as known:
        offsets = [member.header_offset for member in known.infolist()]
    for content, end in zip(CONTENTS[:-1], offsets[1:], strict=True):
        assert next(members) == content
        assert taken[0] == end


def test_what_is_too_long_is_passed_over_and_not_held() -> None:
    noise = random.Random(2).randbytes(4 << 20)
    archive = zip_of([b"one", noise, b"two", bytes(4 << 20), b"three"])
    tracemalloc.start()
    try:
        assert list(members_on_arrival(in_chunks(archive, 1 << 14), 10)) == [b"one", b"two", b"three"]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_cannot_be_packed_comes_although_it_has_grown() -> None:
    noise = random.Random(3).randbytes(300_000)
    archive = zip_of([noise])
    with zipfile.ZipFile(io.BytesIO(archive)) as known:
        assert known.infolist()[0].compress_size > len(noise)
    assert list(members_on_arrival([archive], len(noise))) == [noise]


@pytest.mark.parametrize(
    ("offset", "value"),
    [(14, 1), (22, -1), (22, 1), (40, 0xFF), (8, 99)],
    ids=["checksum", "shorter", "longer", "content", "compression"],
)
def test_a_damaged_member_is_left_out(offset: int, value: int) -> None:
    archive = bytearray(zip_of([b"one one one one one", b"two"]))
    archive[offset] = value if value > 1 else archive[offset] + value & 0xFF
    assert list(members_on_arrival([bytes(archive)], 100)) == [b"two"]


def test_a_member_holds_no_more_than_it_promises() -> None:
    archive = bytearray(zip_of([bytes(32 << 20), b"two"]))
    archive[22:26] = (500).to_bytes(4, "little")
    tracemalloc.start()
    try:
        assert list(members_on_arrival([bytes(archive)], 500)) == [b"two"]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("flag", [0x0001, 0x0008, 0x0020, 0x0040, 0x2000])
def test_nothing_comes_behind_what_is_not_plain(flag: int) -> None:
    archive = bytearray(zip_of([b"one", b"two"]))
    archive[6:8] = flag.to_bytes(2, "little")
    assert list(members_on_arrival([bytes(archive)], 100)) == []


def test_lengths_that_follow_a_member_are_not_guessed() -> None:
    stream = Unseekable()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one", b"one")
    assert list(members_on_arrival([stream.written], 100)) == []


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all, but long enough for the head of one", zip_of([])])
def test_no_zip_has_no_members(content: bytes) -> None:
    assert list(members_on_arrival([content], 100)) == []


def test_what_came_whole_comes_from_a_zip_that_is_cut() -> None:
    archive = zip_of(CONTENTS)
    with zipfile.ZipFile(io.BytesIO(archive)) as known:
        cut = known.infolist()[-1].header_offset + 35
    assert list(members_on_arrival([archive[:cut]], 5000)) == CONTENTS[:-1]
