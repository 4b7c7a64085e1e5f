"""Instances as they are copied: small ones in memory, long ones through a temporary file that does not stay."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc.errors import NotFoundError, OrthancError, SelectionError, ServerError, TransportError
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.session.acts import originals
from simple_orthanc.session.acts.originals import Original, OriginalError, md5_of
from simple_orthanc.session.acts.reports import Target
from tests.memory_source import MemorySource, as_file, instance

DATASET = instance(1)
FILE = as_file(DATASET)


def original(source: Any, scratch: Path) -> Original:
    key = MemorySource.key(DATASET, "instance")
    return Original(source, Target("instance", key, ("P1", "1.2.1", "1.2.1.1", None), (key,)), scratch)


def test_a_small_file_is_read_at_once(tmp_path: Path) -> None:
    one = original(MemorySource([DATASET]), tmp_path)
    assert one.identifiers == ("P1", "1.2.1", "1.2.1.1", "")
    assert one.stored.size == len(FILE)
    content = one.read()
    assert content == FILE
    assert list(tmp_path.iterdir()) == []


def test_a_long_file_is_on_disk_as_long_as_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "IN_MEMORY", 100)
    content = original(MemorySource([DATASET]), tmp_path).read()
    assert isinstance(content, LongFile)
    assert len(list(tmp_path.iterdir())) == 1
    assert content.whole() == FILE
    assert md5_of(content) == md5_of(FILE)
    del content
    gc.collect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "status", "may_be_the_source"),
    [
        (NotFoundError("404", status=404), "gone", False),
        (SelectionError("it has changed since the folder was looked at"), "gone", False),
        (ServerError("500", status=500), "failed", False),
        (TransportError("another object", is_about_object=True), "failed", False),
        (TransportError("refused"), "failed", True),
    ],
)
@pytest.mark.parametrize("how", ["stored", "read", "save", "is_copy"])
def test_what_the_source_raises_is_told_apart(
    how: str, error: OrthancError, status: str, may_be_the_source: bool, tmp_path: Path
) -> None:
    class Broken(MemorySource):
        def fail(self, *_: object) -> Any:
            raise error

        stored_file = fail if how == "stored" else MemorySource.stored_file
        content = save = is_copy = fail

    one = original(Broken([DATASET]), tmp_path)
    uses = {
        "stored": lambda: one.stored,
        "read": one.read,
        "save": lambda: one.save(tmp_path / "x"),
        "is_copy": lambda: one.is_copy(tmp_path / "x"),
    }
    with pytest.raises(OriginalError) as caught:
        uses[how]()
    assert caught.value.outcome().status == status
    assert caught.value.outcome().message
    assert caught.value.may_be_the_source is may_be_the_source


def test_no_room_for_a_long_file_is_a_failure_of_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "IN_MEMORY", 100)
    with pytest.raises(OriginalError) as caught:
        original(MemorySource([DATASET]), tmp_path / "missing").read()
    assert caught.value.outcome().status == "failed"
    assert "No such file or directory" in caught.value.outcome().message
    assert not caught.value.may_be_the_source
