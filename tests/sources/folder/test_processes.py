"""Many files are looked at by helper processes, with the same result."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from simple_orthanc import Folder
from simple_orthanc.concurrency import helpers
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.sources.folder import files as folder_files
from simple_orthanc.sources.folder import processes as looking
from tests.memory_source import as_file, instance
from tests.session.uploads.test_files import zipped
from tests.sources.folder.folders import (
    counts,
    write,
)


def numbered() -> bytes:
    """Return a file in which the last six characters of the SOPInstanceUID can be replaced."""
    with quiet():
        return as_file(instance(1, SOPInstanceUID="1.2.3.000000"))


@pytest.fixture
def many(tmp_path: Path) -> Path:
    base = numbered()
    top = tmp_path / "many"
    for number in range(600):
        write(top, {f"{number // 100}/{number}": base.replace(b"1.2.3.000000", b"1.2.3.1%05d" % number)})
    write(top, {"x.zip": zipped(a=as_file(instance(1))), "notes.txt": b"notes", "\udcff": as_file(instance(2))})
    return top


def test_helpers_look_as_this_process_does(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Folder(many)
    with monkeypatch.context() as patch:
        patch.setattr(looking, "WORTH_HELPERS", 1)
        patch.setattr(looking, "processors", lambda: 2)
        patch.setattr(looking, "_BATCH_OF_HELPER", 50)
        helped = Folder(many)
        # What a helper cannot do is done here.
        program = many.parent / "program.py"
        program.write_text("raise SystemExit(1)")
        patch.setattr(helpers, "_PROGRAM", program)
        unhelped = Folder(many)
        patch.setattr(subprocess, "Popen", _refused)
        lonely = Folder(many)
    assert alone.instance_count == 602
    for other in (helped, unhelped, lonely):
        pd.testing.assert_frame_equal(alone.files, other.files)
        assert alone._source.index.instances == other._source.index.instances  # type: ignore[attr-defined]


def _refused(*_: object, **__: object) -> None:
    raise OSError(11, "Resource temporarily unavailable")


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        return
    write(tmp_path / "top", {"\udcff.dcm": as_file(instance(1)), "\udcff.zip": zipped(a=as_file(instance(2)))})
    for _ in range(2):
        folder = Folder(tmp_path / "top", cache=tmp_path)
        assert folder.instance_count == 2
        assert len(folder.get_headers()) == 2
        assert folder.files.path[0].endswith("\\xff.dcm")


def test_many_thousand_files_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = numbered()
    top = tmp_path / "many"
    for folder in range(20):
        (top / f"{folder}").mkdir(parents=True)
        for number in range(1000):
            place = folder * 1000 + number
            (top / f"{folder}" / f"{number}").write_bytes(base.replace(b"1.2.3.000000", b"1.2.3.2%05d" % place))
    # Helper processes read some of them, and take what was written just now for unsettled.
    time.sleep(folder_files.SLOWEST_CLOCK / 1e9 + 0.1)
    Folder(top, cache=tmp_path)

    def nothing_is_read(*_: object, **__: object) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(looking, "look", nothing_is_read)
    monkeypatch.setattr(subprocess, "Popen", nothing_is_read)
    folder = Folder(top, cache=tmp_path)
    assert counts(folder) == [1, 1, 1, 20_000]
    assert counts(folder.select(SOPInstanceUID="1.2.3.219999")) == [1, 1, 1, 1]
