"""The folders of local servers: nobody else can read them, and none is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simple_orthanc.errors import OrthancError
from simple_orthanc.local import folders
from simple_orthanc.local.folders import new_temporary_folder, prepare_folder, remove_abandoned
from simple_orthanc.local.guard import lock
from tests.other_users import public_folder, readable_by_others

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="permissions and processes of Linux")


@pytest.fixture
def public() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture
def temporary(public: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(public))
    return public


def test_a_new_folder_is_closed(public: Path) -> None:
    prepare_folder(public / "deep" / "mine")
    assert readable_by_others(public) == set()


def test_an_empty_folder_is_closed(public: Path) -> None:
    mine = public / "mine"
    mine.mkdir(mode=0o755)
    prepare_folder(mine)
    assert readable_by_others(public) == set()


def test_a_folder_of_an_earlier_version_is_closed(public: Path) -> None:
    mine = public / "mine"
    (mine / "storage" / "00").mkdir(parents=True)
    for name in ("storage/00/image", "orthanc.log", "simple-orthanc.lock"):
        (mine / name).write_text("JANE")
    for path in (mine, *mine.rglob("*")):
        path.chmod(0o777)
    prepare_folder(mine)
    assert readable_by_others(public) == set()
    assert (mine / "storage/00/image").read_text() == "JANE"


def test_a_folder_with_other_things_stays_open_and_the_server_in_it_is_closed(public: Path) -> None:
    mine = public / "mine"
    mine.mkdir()
    (mine / "notes.txt").touch()
    (mine / "storage").mkdir()
    (mine / "orthanc.log").write_text("JANE")
    for path in (mine, *mine.rglob("*")):
        path.chmod(0o755)
    prepare_folder(mine)
    assert readable_by_others(public) == {"mine", "mine/notes.txt"}


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o757])
def test_a_folder_in_which_others_may_write_is_refused(public: Path, mode: int) -> None:
    mine = public / "mine"
    mine.mkdir()
    (mine / "notes.txt").touch()
    mine.chmod(mode)
    with pytest.raises(OrthancError, match=r"Other users may write in the folder .* chmod go-w .*/mine") as caught:
        prepare_folder(mine)
    assert sorted(path.name for path in mine.iterdir()) == ["notes.txt"]
    subprocess.run(caught.value.message.rpartition("run: ")[2].split(), check=True)
    prepare_folder(mine)
    assert "mine/storage" not in readable_by_others(public)


@pytest.mark.parametrize("name", ["storage", "orthanc.log"])
@pytest.mark.parametrize("kind", ["link", "wrong kind"])
def test_what_others_may_have_put_in_the_place_of_a_file_is_refused(public: Path, name: str, kind: str) -> None:
    mine = public / "mine"
    mine.mkdir()
    target = public / "target"
    target.mkdir() if name == "storage" else target.touch()
    if kind == "link":
        (mine / name).symlink_to(target)
    elif name == "storage":
        (mine / name).touch()
    else:
        (mine / name).mkdir()
    before = target.stat().st_mode
    with pytest.raises(OrthancError, match="Choose another folder"):
        prepare_folder(mine)
    assert target.stat().st_mode == before


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("path", ["orthanc.log", "deep/orthanc.log"])
def test_a_pipe_in_the_place_of_the_log_is_refused_and_not_waited_for(public: Path, path: str, is_read: bool) -> None:
    log = public / "mine" / path
    log.parent.mkdir(parents=True)
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK) if is_read else None
    with pytest.raises(OrthancError, match=r"cannot use the folder .*: .*not a regular file.* Choose another folder"):
        prepare_folder(log.parent)
    if reader is not None:
        os.close(reader)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that belongs to another user")
@pytest.mark.parametrize("others", ["mine", "mine/storage", "mine/orthanc.log"])
@pytest.mark.parametrize("has_notes", [False, True])
def test_what_belongs_to_another_user_is_refused(public: Path, others: str, has_notes: bool) -> None:
    mine = public / "mine"
    (mine / "storage").mkdir(parents=True)
    (mine / "orthanc.log").touch()
    if has_notes:
        (mine / "notes.txt").touch()
    os.chown(public / others, 65534, 65534)
    with pytest.raises(OrthancError, match=r"belongs to another user .* chown 0 .*/mine") as caught:
        prepare_folder(mine)
    subprocess.run(caught.value.message.rpartition("run: ")[2].split(), check=True)
    prepare_folder(mine)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that belongs to another user")
def test_a_folder_of_root_may_hold_the_storage_of_a_user(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = public / "mine"
    (mine / "storage").mkdir(parents=True)
    for path in (mine / "storage", mine / "orthanc.log"):
        path.touch()
        os.chown(path, 65534, 65534)
    (mine / "notes.txt").touch()
    monkeypatch.setattr("os.geteuid", lambda: 65534)
    prepare_folder(mine)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("file", "file/mine"):
        with pytest.raises(OrthancError, match=r"cannot use the folder .* Choose another folder"):
            prepare_folder(tmp_path / path)


# Makes a folder, and is killed before it can remove it.
KILLED = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from simple_orthanc.local.folders import new_temporary_folder
print(new_temporary_folder(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def change_owner(folder: Path, **changes: object) -> None:
    marker = folder / folders.OWNER
    marker.write_text(json.dumps({**json.loads(marker.read_text()), **changes}))


def abandoned() -> Path:
    """Return a folder as a killed process leaves it: another process has its number by now."""
    folder = new_temporary_folder()
    change_owner(folder, started="before")
    (folder / "storage").mkdir()
    (folder / "storage" / "image").write_text("JANE")
    return folder


def test_the_next_start_removes_what_a_killed_process_left(temporary: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(temporary)]
    left = Path(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())
    assert left.parent == temporary
    assert readable_by_others(temporary) == set()
    new = new_temporary_folder()
    assert not left.exists()
    assert list(temporary.iterdir()) == [new]


@pytest.mark.usefixtures("temporary")
def test_folders_that_are_in_use_are_left() -> None:
    own = new_temporary_folder()
    locked = abandoned()
    descriptor = lock(str(locked / folders.LOCK))
    remove_abandoned()
    assert own.exists()
    assert locked.exists()
    assert descriptor is not None
    os.close(descriptor)
    remove_abandoned()
    assert own.exists()
    assert not locked.exists()


@pytest.mark.usefixtures("temporary")
def test_a_process_with_the_number_of_an_ended_one_is_another() -> None:
    left = abandoned()
    assert json.loads((left / folders.OWNER).read_text())["pid"] == os.getpid()
    remove_abandoned()
    assert not left.exists()


@pytest.mark.usefixtures("temporary")
def test_a_process_has_ended_when_it_is_killed_and_not_before() -> None:
    left = new_temporary_folder()
    with subprocess.Popen(["sleep", "60"]) as process:
        change_owner(left, pid=process.pid, started=folders._started(process.pid))
        remove_abandoned()
        assert left.exists()
        process.kill()
        # Ended, and not yet waited for.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        remove_abandoned()
        assert not left.exists()


OWNERS = {
    "another machine": {"host": "elsewhere"},
    "a number that is none": {"pid": "x"},
    "a list": [],
    "nothing": {},
}


@pytest.mark.parametrize("case", [*OWNERS, "none", "a link", "not JSON", "a pipe", "open to others", "another name"])
def test_what_is_not_surely_abandoned_is_left(temporary: Path, case: str) -> None:
    left = abandoned()
    marker = left / folders.OWNER
    content = marker.read_text()
    if case in OWNERS:
        given = OWNERS[case]
        full = {**json.loads(content), **given} if given and isinstance(given, dict) else given
        marker.write_text(json.dumps(full))
    elif case == "not JSON":
        marker.write_text("{")
    elif case == "open to others":
        left.chmod(0o755)
    elif case == "another name":
        left = left.rename(temporary / "mine")
    else:
        marker.unlink()
        if case == "a link":
            (temporary / "elsewhere").write_text(content)
            marker.symlink_to(temporary / "elsewhere")
        elif case == "a pipe":
            os.mkfifo(marker)
    remove_abandoned()
    assert (left / "storage" / "image").exists()


def test_a_link_in_the_place_of_a_folder_is_not_followed(temporary: Path) -> None:
    left = abandoned()
    real = left.rename(temporary / "real")
    left.symlink_to(real)
    remove_abandoned()
    assert (real / "storage" / "image").exists()


@pytest.mark.usefixtures("temporary")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that belongs to another user")
def test_a_folder_of_another_user_is_left() -> None:
    left = abandoned()
    os.chown(left, 65534, 65534)
    remove_abandoned()
    assert left.exists()
