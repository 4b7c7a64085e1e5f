"""Files that a proxy cut, changed or mixed up are read again, or are an error; nothing of them is kept."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import NotFoundError, SelectionError, TransportError
from simple_orthanc.session.orthanc import Orthanc
from simple_orthanc.sources.cache.kept_files import KEPT_HEADERS
from simple_orthanc.sources.orthanc.listed_files import ListedFile
from tests.memory_source import as_file, instance
from tests.orthanc_stand_in import OrthancServer

VERSIONS = ["1.10.1", "1.12.7"]
# Long enough for headers to be read from a part.
PIXELS = bytes(range(256)) * 400


def connect(archive: OrthancServer, checksums: bool | None = None, patience: float = 0.02) -> Orthanc:
    return Orthanc(archive.url, patience=patience, checksums=checksums)


def image(number: int, pixels: bytes = PIXELS) -> Dataset:
    return instance(number, Rows=320, Columns=320, BitsAllocated=8, SamplesPerPixel=1, PixelData=pixels)


@pytest.fixture(params=VERSIONS)
def archive(request: pytest.FixtureRequest) -> Iterator[OrthancServer]:
    with OrthancServer([image(1), image(2)], request.param) as running:
        yield running


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "two thirds": lambda whole: whole[: len(whole) * 2 // 3],
    "all but one byte": lambda whole: whole[:-1],
    "nothing": lambda whole: b"",
    "one byte more": lambda whole: whole + b"\0",
    "a page": lambda whole: b"<html>Please log in</html>",
    "cut in the header": lambda whole: whole[:300],
}


def flip(whole: bytes) -> bytes:
    return whole[:-1000] + bytes([whole[-1000] ^ 1]) + whole[-999:]


def read_headers(session: Orthanc, folder: Path) -> int:
    return len(session.get_headers())


def read_instances(session: Orthanc, folder: Path) -> int:
    return sum(found.PixelData == PIXELS for found in session.get_instances())


def download(session: Orthanc, folder: Path) -> int:
    expected = [as_file(image(1)), as_file(image(2))]
    return sum(path.read_bytes() == content for path, content in zip(session.download(folder), expected, strict=True))


def read_pixels(session: Orthanc, folder: Path) -> int:
    source = session._orthanc
    return sum(
        bytes(source.read(key, lambda size: memoryview(bytearray(size)))[-10:]) == PIXELS[-10:] for key in keys(session)
    )


def keys(session: Orthanc) -> list[str]:
    return session.get_orthanc_ids("instance")


READS = [read_headers, read_instances, download, read_pixels]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("cut", CUTS)
def test_a_file_that_is_cut_once_is_read_again(
    archive: OrthancServer, cut: str, read: Callable[[Orthanc, Path], int], tmp_path: Path
) -> None:
    archive.send_file = lambda key, content, count: CUTS[cut](content) if count == 0 else content
    assert read(connect(archive, patience=20), tmp_path) == 2


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("cut", CUTS)
def test_a_file_that_stays_cut_is_an_error_and_nothing_is_written(
    archive: OrthancServer, cut: str, read: Callable[[Orthanc, Path], int], tmp_path: Path
) -> None:
    session = connect(archive)
    damaged = keys(session)[1]
    archive.send_file = lambda key, content, count: CUTS[cut](content) if key == damaged else content
    size = len(as_file(image(2)))
    with pytest.raises(
        TransportError, match=rf"instance {damaged}, and returned \d+ bytes instead of {size}\."
    ) as caught:
        read(session, tmp_path)
    assert caught.value.is_about_object
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] in ([], ["1.2.1.1.1.dcm"])


@pytest.mark.parametrize(("version", "read"), [("1.10.1", download), ("1.12.7", download), ("1.12.7", read_instances)])
def test_a_flipped_bit_is_read_again(version: str, read: Callable[[Orthanc, Path], int], tmp_path: Path) -> None:
    with OrthancServer([image(1), image(2)], version) as archive:
        archive.send_file = lambda key, content, count: flip(content) if count == 0 else content
        assert read(connect(archive, patience=20), tmp_path) == 2
        archive.send_file = lambda key, content, count: flip(content)
        with pytest.raises(TransportError, match="with another MD5 than the server lists"):
            read(connect(archive), tmp_path / "other")
        assert not list((tmp_path / "other").rglob("*.dcm"))


@pytest.mark.parametrize(
    ("version", "checksums", "is_compared"),
    [
        ("1.10.1", None, False),
        ("1.10.1", True, True),
        ("1.12.7", None, True),
        ("1.12.7", True, True),
        ("1.12.7", False, False),
    ],
)
@pytest.mark.parametrize("read", [read_pixels, read_instances])
def test_checksums_are_compared_where_they_are_listed_or_on_request(
    version: str, checksums: bool | None, is_compared: bool, read: Callable[[Orthanc, Path], int], tmp_path: Path
) -> None:
    with OrthancServer([image(1), image(2)], version) as archive:
        archive.send_file = lambda key, content, count: flip(content)
        session = connect(archive, checksums)
        assert session.instance_count == 2
        if is_compared:
            with pytest.raises(TransportError, match="another MD5"):
                read(session, tmp_path)
        else:
            assert read(session, tmp_path) in (0, 2)
        twin = pickle.loads(pickle.dumps(session))
        assert twin._orthanc._reader._checksums is checksums


def test_checksums_cost_a_request_per_file_only_where_they_are_not_listed(
    archive: OrthancServer, tmp_path: Path
) -> None:
    session = connect(archive)
    session.download(tmp_path)
    asked = [asked.path for asked in archive.asked if asked.path.endswith("/md5")]
    assert len(asked) == (2 if archive.version == "1.10.1" else 0)


def test_a_file_that_was_replaced_since_it_was_listed_is_the_right_one(archive: OrthancServer, tmp_path: Path) -> None:
    session = connect(archive)
    assert len(keys(session)) == 2
    for number, pixels in enumerate((PIXELS[:-2], PIXELS[::-1])):
        archive.datasets = [image(1, pixels), image(2)]
        assert session.download(tmp_path / str(number))[0].read_bytes() == as_file(image(1, pixels))
        assert session.get_headers()[0].SOPInstanceUID == "1.2.1.1.1"


def test_a_copy_of_a_file_that_was_replaced_since_it_was_listed_is_no_copy(
    archive: OrthancServer, tmp_path: Path
) -> None:
    session = connect(archive)
    session.download(tmp_path)
    archive.send_file = lambda key, content, count: content[:-1]
    assert len(session.download(tmp_path)) == 2
    archive.datasets = [image(1, PIXELS[::-1]), image(2)]
    with pytest.raises(SelectionError, match="under 1 of 2 names there is something other"):
        session.download(tmp_path)


def test_a_copy_is_compared_although_another_thread_forgets_what_was_listed(
    archive: OrthancServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = connect(archive)
    first, _ = keys(session)
    reader = session._orthanc._reader
    ask = reader.stored_md5

    def forget(key: str) -> str | None:
        md5 = ask(key)
        reader._listed.forget(None)
        return md5

    monkeypatch.setattr(reader, "stored_md5", forget)
    reader._listed.forget(None)
    path = tmp_path / "other"
    path.write_bytes(as_file(image(1, PIXELS[::-1])))
    assert not reader.is_copy(first, path)
    assert reader.stored_file(first).md5 == ask(first)


def test_the_length_of_a_copy_is_compared_on_a_server_without_checksums(archive: OrthancServer, tmp_path: Path) -> None:
    archive.keeps_md5 = False
    session = connect(archive)
    with pytest.warns(UserWarning, match="StoreMD5ForAttachments is false"):
        session.download(tmp_path / "all")
    reader = session._orthanc._reader
    reader._listed.forget(None)
    path = tmp_path / "shorter"
    path.write_bytes(as_file(image(1, PIXELS[:-2])))
    assert not reader.is_copy(keys(session)[0], path)


def test_a_server_without_checksums_is_told_of_once(archive: OrthancServer, tmp_path: Path) -> None:
    archive.keeps_md5 = False
    session = connect(archive)
    with pytest.warns(UserWarning, match="StoreMD5ForAttachments is false") as told:
        assert download(session, tmp_path) == 2
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert download(session, tmp_path) == 2
    archive.send_file = lambda key, content, count: content[:-1]
    with pytest.raises(TransportError, match="bytes instead of"):
        download(session, tmp_path / "again")


def test_what_is_gone_is_not_taken_for_a_server_without_checksums(archive: OrthancServer, tmp_path: Path) -> None:
    session = connect(archive)
    first, _ = keys(session)
    archive.datasets = [image(2)]
    with pytest.raises(NotFoundError):
        session.download(tmp_path)
    assert not session._orthanc._reader._keeps_none.is_set()
    with pytest.raises(NotFoundError):
        session._orthanc._reader.stored_md5(first)


@pytest.mark.parametrize(
    ("size", "md5", "difference"),
    [
        (8, "0f", None),
        (7, "0f", "7 bytes instead of 8"),
        (9, None, "9 bytes instead of 8"),
        (8, "00", "8 bytes with another MD5"),
        (8, None, None),
    ],
)
def test_length_and_checksum_are_compared(size: int, md5: str | None, difference: str | None) -> None:
    found = ListedFile(8, "0f").difference(size, None if md5 is None else lambda: md5)
    assert (found is None) == (difference is None)
    assert re.match(difference or "", found or "")
    assert ListedFile(8).difference(size, lambda: "00") in (None, f"{size} bytes instead of 8")


def test_length_and_md5_are_known_without_reading_a_file(archive: OrthancServer) -> None:
    session, content = connect(archive), as_file(image(1))
    key = keys(session)[0]
    assert session._orthanc.stored_file(key) == (len(content), hashlib.md5(content).hexdigest())
    assert not any(asked.path.endswith("/file") for asked in archive.asked)
    with pytest.raises(NotFoundError):
        session._orthanc.stored_file("0" * 44)


def test_headers_that_are_kept_are_read_by_few_threads(archive: OrthancServer, tmp_path: Path) -> None:
    def threads(session: Orthanc) -> int:
        return session._source.at_once(session.get_orthanc_ids("instance"), headers=True)

    first = Orthanc(archive.url, cache=tmp_path / "cache")
    assert threads(first) > KEPT_HEADERS
    first.get_headers()
    assert threads(first) == KEPT_HEADERS
    assert threads(Orthanc(archive.url, cache=tmp_path / "cache")) == KEPT_HEADERS
    # One that is missing has to be fetched.
    kept = sorted(path for path in (tmp_path / "cache" / "entries").rglob("*") if path.is_file())
    kept[0].unlink()
    assert threads(first) > KEPT_HEADERS
    assert threads(connect(archive)) > KEPT_HEADERS
