"""What is kept of folders: by whom it can be read, and what becomes of it when something goes wrong."""

from __future__ import annotations

import gzip
import json
import os
import stat
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.sources.folder import cache as folder_cache
from simple_orthanc.sources.folder.cache import FolderCache, cache_folder
from simple_orthanc.sources.folder.folder_index import Item


def item(path: str = "a", **more: object) -> Item:
    values: dict[str, object] = {
        "path": path,
        "member": None,
        "member_index": 0,
        "size": 10,
        "stamp": (10, 20, 30),
        "status": "indexed",
        "uid": "1.2",
        "chain": ("P", "1", "1.1", "1.2"),
        "serialized": ("[1]", "[2]", "[3]"),
    }
    return Item(**{**values, **more})  # type: ignore[arg-type]


def cache(tmp_path: Path, name: str = "what") -> FolderCache:
    return FolderCache(tmp_path / "cache" / "simple_orthanc", name)


names = st.text(max_size=8)
items = st.builds(
    item,
    path=st.text(max_size=8) | st.just("\udcff"),
    member=st.none() | names,
    member_index=st.integers(0, 9),
    size=st.integers(0, 2**40),
    status=st.sampled_from(["indexed", "not DICOM"]),
    uid=st.none() | names,
    message=names,
    chain=st.none() | st.tuples(names, names, names, names),
    serialized=st.none() | st.tuples(names, names, names),
    references=st.lists(names).map(tuple),
    digest=names,
)


@given(found=st.lists(items, max_size=6))
def test_a_kept_plan_is_returned(tmp_path_factory: pytest.TempPathFactory, found: list[Item]) -> None:
    kept = cache(tmp_path_factory.mktemp("cache"))
    by_path: dict[str, list[Item]] = {}
    for each in found:
        by_path.setdefault(each.path, []).append(each)
    kept.save(by_path)
    assert kept.load() == by_path
    assert [each.digest for listed in kept.load().values() for each in listed] == [
        each.digest for listed in by_path.values() for each in listed
    ]


def test_what_may_change_without_a_trace_is_not_kept(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    kept.save({"a": [item("a", is_settled=False)], "b": [item("b")]})
    assert kept.load() == {"b": [item("b")]}


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_no_other_user_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        kept = cache(tmp_path)
        kept.save({"a": [item()]})
    finally:
        os.umask(before)
    assert kept.path is not None
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700
    # Neither from what somebody has opened since.
    kept.path.parent.chmod(0o755)
    assert kept.load() == {"a": [item()]}
    assert stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_folder_that_is_anothers_or_a_link_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "simple_orthanc").symlink_to(tmp_path / "elsewhere")
    cache(tmp_path).save({"a": [item()]})
    assert cache(tmp_path).load() == {}
    assert list((tmp_path / "elsewhere").iterdir()) == []
    other = cache(tmp_path / "other")
    other.save({"a": [item()]})
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert other.load() == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        gzip.compress(b"nonsense", mtime=0),
        gzip.compress(b"[]", mtime=0),
        gzip.compress(b"{}", mtime=0),
        gzip.compress(b'{"of":null}', mtime=0),
        gzip.compress(b"[" * 100_000, mtime=0),
        gzip.compress(b"\xff\xfe", mtime=0),
    ],
)
def test_a_broken_cache_counts_as_none(tmp_path: Path, content: bytes) -> None:
    kept = cache(tmp_path)
    kept.save({"a": [item()]})
    assert kept.path is not None
    kept.path.write_bytes(content)
    assert kept.load() == {}
    kept.save({"a": [item()]})
    assert kept.load() == {"a": [item()]}


def test_every_byte_is_checked(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    kept.save({"a": [item(message="m" * 50)]})
    assert kept.path is not None
    content = kept.path.read_bytes()
    right = {"a": [item(message="m" * 50)]}
    for place in range(10, len(content)):
        kept.path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        assert kept.load() in ({}, right)
        kept.path.write_bytes(content[:place])
        assert kept.load() == {}


def test_rows_of_another_form_count_as_none(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    kept.save({"a": [item()]})
    assert kept.path is not None
    whole = json.loads(gzip.decompress(kept.path.read_bytes()))
    for files in (
        [["a", 1, 2, 3, [[1]]]],
        [["a"]],
        5,
        [["a", 1, 2, 3, [[None, 0, 1, "", "", "", "", [9], "", [], "", []]]]],
    ):
        kept.path.write_bytes(gzip.compress(json.dumps({**whole, "files": files}).encode()))
        assert kept.load() == {}


def test_another_folder_and_another_version_are_not_mixed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = cache(tmp_path, "one"), cache(tmp_path, "other")
    one.save({"a": [item()]})
    assert other.load() == {}
    assert one.path is not None
    assert other.path is not None
    os.replace(one.path, other.path)
    assert other.load() == {}
    one.save({"a": [item()]})
    monkeypatch.setattr(folder_cache, "_FORMAT", 10_000)
    assert one.load() == {}


def test_where_nothing_can_be_kept_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file" / "simple_orthanc", Path("/proc/nowhere/simple_orthanc")):
        kept = FolderCache(folder, "what")
        kept.save({"a": [item()]})
        assert kept.load() == {}


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = cache(tmp_path)
    kept.save({"a": [item()]})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        kept.save({"b": [item("b")]})
    assert kept.load() == {"a": [item()]}
    assert kept.path is not None
    assert list(kept.path.parent.iterdir()) == [kept.path]


def test_several_may_write_and_read_at_once(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    kept.save({"0": [item("0")]})
    found = []

    def work(number: int) -> None:
        for _ in range(20):
            kept.save({str(number): [item(str(number))]})
            found.append(kept.load())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = [{str(number): [item(str(number))]} for number in range(4)]
    assert len(found) == 80
    assert all(each in whole for each in found)


def test_unused_entries_are_forgotten(tmp_path: Path) -> None:
    old, used, new = cache(tmp_path, "old"), cache(tmp_path, "used"), cache(tmp_path, "new")
    for each in (old, used):
        each.save({"a": [item()]})
    long_ago = time.time() - 91 * 24 * 3600
    assert old.path is not None
    assert used.path is not None
    part = old.path.with_name(".part-x")
    part.touch()
    for path in (old.path, used.path, part):
        os.utime(path, (long_ago, long_ago))
    assert used.load()
    new.save({"a": [item()]})
    assert (old.path.exists(), used.path.exists(), part.exists()) == (False, True, False)


def test_the_place_of_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder(None) is None
    assert cache_folder(False) is None
    assert cache_folder(tmp_path) == tmp_path / "simple_orthanc"
    monkeypatch.setenv("SIMPLE_ORTHANC_CACHE", str(tmp_path / "mine"))
    assert cache_folder(None) == tmp_path / "mine" / "simple_orthanc"
    assert cache_folder(False) is None
    monkeypatch.delenv("SIMPLE_ORTHANC_CACHE")
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_folder(None) == tmp_path / "simple_orthanc"
        for wrong in ("", "relative"):
            monkeypatch.setenv("XDG_CACHE_HOME", wrong)
            assert cache_folder(None) == Path.home() / ".cache" / "simple_orthanc"
