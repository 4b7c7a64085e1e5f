"""Headers and files are those of the instance that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import (
    DicomWeb,
    TransportError,
)
from simple_orthanc.sources.dicomweb.keys import Key
from tests.http_stand_in import always, reply
from tests.memory_source import as_file, instance
from tests.sources.dicomweb.conftest import Make


def test_headers_and_files_are_the_files(serve: Make, tmp_path: Path) -> None:
    image = instance(1, PixelData=bytes(range(16)), Rows=4, Columns=4, BitsAllocated=8, SliceThickness="1.50")
    server = serve([image], numbers=True)
    session = DicomWeb(server.root)
    header = session.get_header()
    assert "PixelData" not in header
    assert header.SliceThickness.original_string == "1.50"
    assert session.get_instances()[0].PixelData == bytes(range(16))
    (path,) = session.download(tmp_path)
    assert path.read_bytes() == as_file(image)
    assert sorted(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("pixels", [bytes(3 << 20), None], ids=["large pixels", "no pixels"])
def test_a_header_is_read_without_the_pixels(serve: Make, pixels: bytes | None) -> None:
    tags: dict[str, Any] = {"TextValue": "c" * 200_000, "KVP": "80"}
    tags |= {"EncapsulatedDocument": bytes(3 << 20)} if pixels is None else {"PixelData": pixels, "BitsAllocated": 8}
    image = instance(1, **tags)
    server = serve([image])
    header = DicomWeb(server.root).get_header()
    assert ("PixelData" not in header, header.TextValue, header.KVP) == (True, "c" * 200_000, 80)
    assert ("EncapsulatedDocument" in header) == (pixels is None)
    assert len(header) == len(image) - (pixels is not None)


def test_what_breaks_off_leaves_no_file(serve: Make, tmp_path: Path) -> None:
    server = serve([instance(1)])
    session = DicomWeb(server.root)
    assert session.instance_count == 1
    server.script = always(reply(b"--b1\r\n\r\nabc", headers={"Content-Type": "multipart/related; boundary=b1"}))
    with pytest.raises(TransportError):
        session._source.save(str(Key("P1", "1.2.1", "1.2.1.1", "1.2.1.1.1")), tmp_path / "a.dcm")
    assert list(tmp_path.iterdir()) == []
