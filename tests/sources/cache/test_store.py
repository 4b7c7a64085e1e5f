"""The folder of a cache: its limit, its order, what it refuses, and what damage and killed processes do to it."""

from __future__ import annotations

import errno
import os
import pickle
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simple_orthanc import Cache, SelectionError
from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.sources.cache import entries, store
from simple_orthanc.sources.cache.entries import HEAD, Record

ARCHIVE = "http://127.0.0.1:8042"


def path_of(cache: Cache, key: str) -> str:
    return cache._store.path(ARCHIVE, key)


def put(cache: Cache, key: str, content: bytes, stamp: str = "1") -> None:
    record = Record(ARCHIVE, key, stamp, None, True)
    cache._store.add(path_of(cache, key), record, memoryview(content))


def get(cache: Cache, key: str, stamp: str = "1") -> bytes | None:
    def read(descriptor: int, entry: entries.Entry) -> bytes:
        return bytes(entries.read_content(descriptor, entry, lambda size: memoryview(bytearray(size))))

    found: bytes | None = cache._store.read(
        path_of(cache, key), lambda record: record[:3] == (ARCHIVE, key, stamp), read
    )
    return found


def size_of_entry(folder: Path, content: bytes) -> int:
    """Return how many bytes an entry with a content and a key of one character takes."""
    cache = Cache(folder)
    put(cache, "k", content)
    return cache.size


@pytest.mark.parametrize("length", [1, HEAD - 1, HEAD, HEAD + 1, 3_000_000])
def test_what_is_kept_is_read_again(tmp_path: Path, length: int) -> None:
    cache = Cache(tmp_path / "cache")
    content = random.Random(1).randbytes(length)
    assert get(cache, "a") is None
    put(cache, "a", content)
    assert get(cache, "a") == content
    assert get(cache, "a", stamp="2") is None
    assert get(Cache(tmp_path / "cache"), "a") == content
    assert get(pickle.loads(pickle.dumps(cache)), "a") == content


@pytest.mark.parametrize("length", [1, HEAD - 1, HEAD, HEAD + 1, 3_000_000])
def test_a_file_is_kept_as_its_bytes_are(tmp_path: Path, length: int) -> None:
    cache = Cache(tmp_path / "cache")
    content = random.Random(2).randbytes(length)
    (tmp_path / "file").write_bytes(content)
    cache._store.add_file(path_of(cache, "a"), Record(ARCHIVE, "a", "1", None, True), tmp_path / "file")
    assert get(cache, "a") == content


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        cache = Cache(tmp_path / "cache")
        put(cache, "a", b"content")
    finally:
        os.umask(old)
    for path in [cache.folder, *cache.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    # An empty folder that others can read becomes private.
    (tmp_path / "open").mkdir(mode=0o755)
    assert stat.S_IMODE(Cache(tmp_path / "open").folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("where", ["first", "head", "rest", "record", "footer", "cut", "longer", "empty"])
def test_what_is_damaged_is_a_miss_and_removed(tmp_path: Path, where: str) -> None:
    cache = Cache(tmp_path / "cache")
    content = random.Random(3).randbytes(HEAD + 5000)
    put(cache, "a", content)
    path = Path(path_of(cache, "a"))
    damaged = bytearray(path.read_bytes())
    positions = {"first": 0, "head": HEAD - 1, "rest": HEAD, "record": len(content) + 3, "footer": len(damaged) - 1}
    if where in positions:
        damaged[positions[where]] ^= 0x10
    else:
        damaged = {"cut": damaged[:-100], "longer": damaged + b"x", "empty": bytearray()}[where]
    path.write_bytes(damaged)
    assert get(cache, "a") is None
    assert not path.exists()
    put(cache, "a", content)
    assert get(cache, "a") == content


@settings(max_examples=60, deadline=None)
@given(flip=st.integers(0, 8 * 300 - 1))
def test_no_flipped_bit_is_returned(tmp_path_factory: pytest.TempPathFactory, flip: int) -> None:
    cache = Cache(tmp_path_factory.mktemp("flips") / "cache")
    put(cache, "a", bytes(300))
    path = Path(path_of(cache, "a"))
    damaged = bytearray(path.read_bytes())
    damaged[flip // 8 % len(damaged)] ^= 1 << flip % 8
    path.write_bytes(damaged)
    assert get(cache, "a") is None


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    one = size_of_entry(tmp_path / "probe", bytes(1000))
    cache = Cache(tmp_path / "cache", limit=3 * one)
    for key in "abc":
        put(cache, key, bytes(1000))
    assert get(cache, "a") is not None
    put(cache, "d", bytes(1000))
    assert [get(cache, key) is not None for key in "abcd"] == [True, False, True, True]
    put(cache, "e", bytes(one * 3))
    assert get(cache, "e") is None
    assert cache.size <= cache.limit


operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "get", "remove", "clear", "other"]), st.sampled_from("abcdefgh"), st.integers(1, 3)
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(operations=operations)
def test_random_operations_do_what_a_model_does(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    ending = size_of_entry(folder / "probe", bytes(1)) - 1
    caches = [Cache(folder / "cache", limit=5000), Cache(folder / "cache", limit=5000)]
    model: OrderedDict[str, bytes] = OrderedDict()
    for number, (what, key, units) in enumerate(operations):
        cache = caches[number % 2]
        if what in ("put", "other"):
            content = bytes([number % 256]) * (1000 * units - ending)
            put(cache, key, content)
            model.pop(key, None)
            while sum(len(kept) + ending for kept in model.values()) + 1000 * units > 5000:
                model.popitem(last=False)
            model[key] = content
        elif what == "get":
            assert get(cache, key) == model.get(key)
            if key in model:
                model.move_to_end(key)
        elif what == "remove":
            cache._store.remove(path_of(cache, key))
            model.pop(key, None)
        else:
            cache.clear()
            model.clear()
        assert cache.size == sum(len(kept) + ending for kept in model.values())
        assert len(cache) == len(model)
    assert {key: get(caches[0], key) for key in "abcdefgh"} == {key: model.get(key) for key in "abcdefgh"}


@pytest.mark.parametrize("names", [["image.dcm"], ["entries", "notes.txt"], ["CACHEDIR.TAG"]])
def test_a_folder_with_other_files_is_refused_and_left(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("mine")
    with pytest.raises(SelectionError, match="holds files that are not part of a cache"):
        Cache(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names, "mine")


def test_a_file_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SelectionError, match=r'file cannot be a cache: .* is a file\. Use a separate folder .*"~/'):
        Cache(tmp_path / "file")
    with pytest.raises(SelectionError, match=r"cannot be a cache: .* is a file\. Use a separate folder"):
        Cache(tmp_path / "file" / "below")
    with pytest.raises(SelectionError, match=r"A path was expected"):
        Cache("")


@pytest.mark.parametrize("limit", [0, -1, True, 0.5, float("inf"), float("nan"), "1 GB"])
def test_a_limit_is_a_number_of_bytes(tmp_path: Path, limit: object) -> None:
    with pytest.raises(SelectionError, match="is not a positive number of bytes"):
        Cache(tmp_path / "cache", limit=limit)  # type: ignore[arg-type]
    assert not (tmp_path / "cache").exists()


def test_a_limit_holds_until_another_is_given(tmp_path: Path) -> None:
    assert Cache(tmp_path / "cache").limit == 10_000_000_000
    assert Cache(tmp_path / "cache", limit=5e10).limit == 50_000_000_000
    assert Cache(tmp_path / "cache").limit == 50_000_000_000
    assert Cache(tmp_path / "cache", limit=7).limit == 7
    assert Cache(tmp_path / "cache").limit == 7
    for wrong in ("no number", "", "0", "-7"):
        (tmp_path / "cache" / "limit").write_text(wrong)
        assert Cache(tmp_path / "cache").limit == 10_000_000_000


def test_no_folder_has_a_nul_character_in_its_name() -> None:
    with pytest.raises(SelectionError, match=r"cache='a\\x00b' cannot be a folder: its name holds a NUL character"):
        Cache("a\0b")


def test_a_lower_limit_makes_room_at_once(tmp_path: Path) -> None:
    size = size_of_entry(tmp_path / "other", b"content")
    cache = Cache(tmp_path / "cache")
    for key in "abcd":
        put(cache, key, b"content")
    lower = Cache(tmp_path / "cache", limit=2 * size)
    assert lower.size == 2 * size
    assert [get(lower, key) for key in "abcd"] == [None, None, b"content", b"content"]
    # What another process has given is not a lower one.
    assert len(Cache(tmp_path / "cache", limit=9 * size)) == len(Cache(tmp_path / "cache")) == 2


def test_what_was_used_under_a_wrong_clock_goes_first(tmp_path: Path) -> None:
    size = size_of_entry(tmp_path / "other", b"content")
    cache = Cache(tmp_path / "cache", limit=3 * size)
    for key in "abc":
        put(cache, key, b"content")
        # In ten years: what is kept from now on must not go before it.
        os.utime(path_of(cache, key), (time.time() + 3e8,) * 2)
    for key in "defg":
        # As a new process, which looks through them again.
        put(Cache(tmp_path / "cache"), key, b"content")
    assert [key for key in "abcdefg" if get(cache, key)] == ["e", "f", "g"]
    part = cache.folder / "parts" / "left"
    part.touch()
    os.utime(part, (time.time() + 3e8,) * 2)
    Cache(tmp_path / "cache")
    assert not part.exists()


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: os.stat(tmp_path).st_uid + 1)
    with pytest.raises(SelectionError, match="belongs to another user") as caught:
        Cache(tmp_path)
    # No folder inside it is proposed.
    assert str(caught.value).count(str(tmp_path)) == 1


def test_other_files_that_come_later_stay(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    put(cache, "a", b"content")
    mine = cache.folder / "entries" / "notes.txt", cache.folder / "mine.txt"
    for path in mine:
        path.write_text("mine")
    cache.clear()
    assert len(cache) == 0
    assert all(path.read_text() == "mine" for path in mine)
    assert get(Cache(cache.folder), "a") is None


def test_a_full_disk_stops_keeping_with_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    put(cache, "a", b"content")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(entries, "write_all", fail)
    with pytest.warns(UserWarning, match="Nothing more is added to the cache .* No space left on device. Reading goes"):
        put(cache, "b", b"content")
    put(cache, "c", b"content")
    monkeypatch.undo()
    assert [get(cache, key) for key in "abc"] == [b"content", None, None]
    assert list((cache.folder / "parts").iterdir()) == []


def test_a_folder_that_is_gone_is_a_miss(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    put(cache, "a", b"content")
    (tmp_path / "cache").rename(tmp_path / "moved")
    assert get(cache, "a") is None
    assert (len(cache), cache.size) == (0, 0)
    cache.clear()
    with pytest.warns(UserWarning, match="Nothing more is added"):
        put(cache, "a", b"content")


def test_parts_of_killed_processes_are_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    for name, age in [("old", 3600), ("new", 1)]:
        part = cache.folder / "parts" / name
        part.touch()
        os.utime(part, (time.time() - age,) * 2)
    Cache(tmp_path / "cache")
    assert [path.name for path in (cache.folder / "parts").iterdir()] == ["new"]


def test_parts_on_a_disk_that_can_only_be_read_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    put(cache, "a", b"content")
    part = cache.folder / "parts" / "old"
    part.touch()
    os.utime(part, (1, 1))
    unlink = os.unlink

    def fail(path: str, **options: int) -> None:
        if os.path.dirname(path) == str(part.parent):
            raise OSError(errno.EROFS, "Read-only file system")
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", fail)
    assert get(Cache(tmp_path / "cache"), "a") == b"content"


def test_a_lock_that_nobody_releases_stops_no_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    put(cache, "a", b"content")
    monkeypatch.setattr(store, "_SECONDS_FOR_LOCK", 0.01)
    monkeypatch.setattr(store, "_SECONDS_BUSY", 0.0)
    held = store.lock_file(cache.folder / "total")
    assert held is not None
    put(cache, "b", b"content")
    assert (get(cache, "a"), get(cache, "b")) == (b"content", None)
    os.close(held)
    put(cache, "b", b"content")
    assert get(cache, "b") == b"content"


def test_an_error_while_it_is_decided_is_not_damage(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    put(cache, "a", b"content")

    def fail(record: Record) -> bool:
        raise SelectionError("The server does not answer.")

    with pytest.raises(SelectionError, match="does not answer"):
        cache._store.read(path_of(cache, "a"), fail, entries.read_head)
    assert get(cache, "a") == b"content"


def test_a_sum_that_is_wrong_is_counted_again(tmp_path: Path) -> None:
    one = size_of_entry(tmp_path / "probe", bytes(1000))
    cache = Cache(tmp_path / "cache", limit=3 * one)
    put(cache, "a", bytes(1000))
    for wrong in ["999999999", "no number", ""]:
        (cache.folder / "total").write_text(wrong)
        put(Cache(cache.folder, cache.limit), "b", bytes(1000))
        assert [get(cache, key) is not None for key in "ab"] == [True, True]
        assert int((cache.folder / "total").read_text()) == cache.size


_WRITER = """
import random, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from tests.sources.cache.test_store import ARCHIVE, get, put
from simple_orthanc import Cache
chance, cache = random.Random(int(sys.argv[2])), Cache(sys.argv[1], limit=int(sys.argv[3]))
print("begun", flush=True)
for _ in range(100000):
    key = chance.randrange(200)
    found = get(cache, str(key))
    if found is None:
        put(cache, str(key), bytes([key]) * (2000 + 10 * key))
    elif found != bytes([key]) * (2000 + 10 * key):
        print("wrong", key, flush=True)
"""


@pytest.mark.unmeasured
def test_processes_that_are_killed_leave_it_whole(tmp_path: Path) -> None:
    root, limit = str(Path(__file__).parents[3]), 200_000
    arguments = [sys.executable, "-c", _WRITER, str(tmp_path / "cache")]
    writers = [
        subprocess.Popen([*arguments, str(seed), str(limit), root], stdout=subprocess.PIPE, text=True)
        for seed in range(2)
    ]
    most = 0
    for round_, writer in enumerate(writers):
        assert writer.stdout is not None
        assert writer.stdout.readline() == "begun\n"
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            watched = Cache(tmp_path / "cache")
            # While nobody adds or removes.
            with watched._store._locked():
                most = max(most, watched.size)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        assert writer.stdout.read() == "", round_
        writer.stdout.close()
    assert 0 < most <= limit
    cache = Cache(tmp_path / "cache", limit=limit)
    assert len(list((cache.folder / "parts").iterdir())) <= len(writers)
    kept = {key: found for key in range(200) if (found := get(cache, str(key))) is not None}
    assert kept
    assert kept == {key: bytes([key]) * (2000 + 10 * key) for key in kept}
    put(cache, "more", bytes(100_000))
    assert cache.size <= limit
    assert int((cache.folder / "total").read_text()) >= cache.size


def test_threads_that_keep_files_at_once_all_keep_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path / "cache")
    held = threading.Lock()
    lock_file = store.lock_file

    def lock_once(path: Path) -> int | None:
        # Threads of one process do not ask for the lock of the folder at the same time.
        assert held.acquire(blocking=False)
        try:
            return lock_file(path)
        finally:
            held.release()

    monkeypatch.setattr(store, "lock_file", lock_once)
    keys = [f"{number:03d}" for number in range(100)]
    run_all(lambda key: put(cache, key, key.encode() * 100), keys, workers=8)
    assert len(cache) == 100
    assert [get(cache, key) for key in keys] == [key.encode() * 100 for key in keys]
    cache.clear()
    assert cache.size == 0
