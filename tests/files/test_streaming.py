"""Files that are sent in pieces: the same bytes as the file's, whatever the pieces, or why not."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.files import streaming as long_files
from simple_orthanc.files.streaming import LongFile, read_file, read_member
from simple_orthanc.selection.store import StoreOutcome
from simple_orthanc.sources.identity import identity_in, orthanc_id
from simple_orthanc.sources.orthanc.source import OrthancSource
from simple_orthanc.transport import Transport
from tests.http_stand_in import StandIn, always, reply
from tests.memory_source import as_file, instance

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def _short_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_files, "IN_MEMORY", 100)


@given(counts=st.lists(st.integers(-1, 5000)), again=st.integers(0, len(CONTENT)))
def test_pieces_are_the_file(counts: list[int], again: int) -> None:
    file = LongFile(len(CONTENT), lambda: io.BytesIO(CONTENT))
    assert len(file) == len(CONTENT)
    for count in counts:
        place = file.tell()
        assert file.read(count) == (CONTENT[place:] if count < 0 else CONTENT[place : place + count])
    file.seek(again)
    assert file.read() == CONTENT[again:]
    assert file.read() == b""
    assert file.md5() == hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert file.whole() == CONTENT


@pytest.mark.usefixtures("_short_is_long")
def test_long_files_and_members_are_not_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(CONTENT)
    with zipfile.ZipFile(tmp_path / "zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("long", CONTENT)
        archive.writestr("short", b"short")
    with zipfile.ZipFile(tmp_path / "zip") as archive:
        assert read_member(archive, archive.getinfo("short")) == b"short"
        for file in (read_file(path), read_member(archive, archive.getinfo("long"))):
            assert isinstance(file, LongFile)
            assert file.beginning() == CONTENT
            assert file.read(1000) == CONTENT[:1000]
            file.seek(500)
            assert file.read() == CONTENT[500:]
            assert file.read(0) == b""
    (tmp_path / "short").write_bytes(b"short")
    assert read_file(tmp_path / "short") == b"short"


@pytest.mark.usefixtures("_short_is_long")
def test_a_file_that_cannot_be_read_to_its_end_has_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(CONTENT)
    file = read_file(path)
    assert isinstance(file, LongFile)
    path.write_bytes(CONTENT[:5000])
    with pytest.raises(OSError, match="it has become shorter"):
        file.whole()
    assert "shorter" in str(file.failure)
    # What has become longer is sent as it was.
    path.write_bytes(CONTENT + CONTENT)
    assert file.whole() == CONTENT

    stored = tmp_path / "zip"
    with zipfile.ZipFile(stored, "w") as archive:
        archive.writestr("long", CONTENT)
    damaged = bytearray(stored.read_bytes())
    damaged[5000] ^= 1
    stored.write_bytes(damaged)
    with zipfile.ZipFile(stored) as archive:
        member = read_member(archive, archive.getinfo("long"))
        assert isinstance(member, LongFile)
        with pytest.raises(OSError, match="Bad CRC-32"):
            member.md5()


def test_a_server_gets_the_file_with_its_length() -> None:
    content = as_file(instance(1))
    file = LongFile(len(content), lambda: io.BytesIO(content))
    key = orthanc_id(identity_in(io.BytesIO(content), len(content)))
    with StandIn(always(reply({"Status": "Success", "ID": key}))) as stand_in, Transport(stand_in.url) as transport:
        assert OrthancSource(transport).store.store(file) == StoreOutcome("stored", key)
        (asked,) = stand_in.asked
    assert asked.body == content
    assert asked.headers["content-length"] == str(len(content))
    assert "transfer-encoding" not in asked.headers
