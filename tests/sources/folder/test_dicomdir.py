"""What a DICOMDIR lists, and one that cannot be read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from simple_orthanc.sources.folder.dicomdir import read_references


def test_a_real_one() -> None:
    path = get_testdata_file("DICOMDIR", download=False)
    assert path is not None
    found = read_references(io.BytesIO(Path(str(path)).read_bytes()))
    assert len(found) == len(set(found)) == 31
    assert all((Path(str(path)).parent / name).is_file() for name in found)


def test_one_that_cannot_be_read() -> None:
    class Failing(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError("gone")

    with pytest.raises(ValueError, match="it cannot be read: gone"):
        read_references(Failing())
    assert read_references(io.BytesIO(bytes(128) + b"DICM")) == ()
