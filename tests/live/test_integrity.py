"""Lengths and checksums of files agree with what each Orthanc lists, however it is set to keep them."""

from __future__ import annotations

from pathlib import Path

import pytest

from simple_orthanc.phantom import as_bytes, make_series
from tests.conftest import MakeServer

SERIES = make_series((3, 64, 64), seed=1)


def test_compressed_files_have_the_checksums_of_the_files_that_were_sent(
    make_server: MakeServer, tmp_path: Path
) -> None:
    session = make_server({"StorageCompression": True}).connect()
    assert list(session.upload_dataset(SERIES)["status"]) == ["stored"] * 3
    assert list(session.upload_dataset(SERIES)["status"]) == ["already stored"] * 3
    paths = session.download(tmp_path)
    assert sorted(path.read_bytes() for path in paths) == sorted(map(as_bytes, SERIES))
    assert session.get_array()[:, 0, 0].tolist() == [0, 1, 2]


def test_a_server_that_keeps_no_checksums_is_named_once(make_server: MakeServer, tmp_path: Path) -> None:
    session = make_server({"StoreMD5ForAttachments": False}).connect()
    with pytest.warns(UserWarning, match="StoreMD5ForAttachments is false") as warned:
        table = session.upload_dataset(SERIES)
    assert len(warned) == 1
    assert list(table["status"]) == ["stored"] * 3
    assert len(session.download(tmp_path)) == 3
    assert session.get_array().shape == (3, 64, 64)
