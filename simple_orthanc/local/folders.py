"""The folders of local servers: closed to other users of the machine, and removed where nothing else can remove them.

A temporary folder is removed by the process that made it, or else by the guard of its server. If both were killed, the
next server that the same user starts removes it. It is recognised by a file in it that says which process made it, and
by the lock of the guard, which nobody holds any more.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import stat
import sys
import tempfile
from pathlib import Path

from simple_orthanc.errors import OrthancError
from simple_orthanc.files.opening import not_regular
from simple_orthanc.files.paths import make_folders
from simple_orthanc.local.guard import lock

STORAGE = "storage"
LOG = "orthanc.log"
LOCK = "simple-orthanc.lock"
OWNER = "simple-orthanc.owner"
PREFIX = "simple-orthanc-"
_OWNER_BYTES = 1000
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def new_temporary_folder() -> Path:
    """Make a temporary folder that only this user can enter, after removing those that killed processes left."""
    remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    with open(open_private(folder / OWNER), "w", encoding="utf-8") as stream:
        json.dump({"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}, stream)
    return folder


def prepare_folder(folder: Path) -> None:
    """Make the folder of a server if it is missing, and close to other users what the server keeps in it.

    A folder that holds nothing else is closed itself. In any other, only the storage and the files of the server are.

    Raises
    ------
    OrthancError
        There can be no such folder, or other users may write in it or own what the server keeps in it.
    """
    try:
        make_folders(folder)
        if os.name == "posix":
            _check_owner(folder, folder)
            if all(_is_of_a_server(name) for name in os.listdir(folder)):
                folder.chmod(0o700)
            elif stat.S_IMODE(folder.stat().st_mode) & 0o022:
                raise OrthancError(
                    f"Other users may write in the folder {folder}, and could replace the files of a server there. "
                    f"Choose a folder of its own for the server, or run: chmod go-w {folder}"
                )
        storage = folder / STORAGE
        with contextlib.suppress(FileExistsError):
            storage.mkdir(mode=0o700)
        if os.name == "posix":
            if not stat.S_ISDIR(storage.lstat().st_mode):
                raise OrthancError(f"{storage} is not a folder, so no server can store in it. Choose another folder.")
            _check_owner(storage, folder)
            storage.chmod(0o700)
        os.close(open_private(folder / LOG, os.O_CREAT | os.O_APPEND))
        if os.name == "posix":
            _check_owner(folder / LOG, folder)
    except OSError as error:
        reason = f"{error.strerror or error}"
    else:
        return
    raise OrthancError(f"The server cannot use the folder {folder}: {reason}. Choose another folder.")


def _check_owner(path: Path, folder: Path) -> None:
    """Raise an error if a path belongs to another user than this one and root, who may do anything to it."""
    owner, user = path.lstat().st_uid, os.geteuid()
    if owner not in (user, 0):
        raise OrthancError(
            f"{path} belongs to another user (number {owner}), who could read or replace the files of a server in "
            f"{folder}. Choose a folder of its own for the server, or run: chown {user} {path}"
        )


def _is_of_a_server(name: str) -> bool:
    return name in (STORAGE, LOG, LOCK, OWNER) or (name.startswith(PREFIX) and name.endswith(".json"))


def open_private(path: Path, flags: int = os.O_CREAT | os.O_EXCL) -> int:
    """Open a regular file for writing that only this user can read, never through a link; return its descriptor.

    Raises
    ------
    NotRegularError
        A pipe or something else is there, which is not waited for.
    OSError
        It cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | flags | _NO_FOLLOW | _NO_WAIT, 0o600)
    except OSError as error:
        # A pipe that nobody reads, or a socket.
        raise not_regular(path) if error.errno == errno.ENXIO else error from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise not_regular(path)
        if os.name == "posix":
            # It may be there from a version that left it open.
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove_old_configurations(folder: Path, current: Path) -> None:
    """Remove the configurations, which hold passwords, that killed servers left in a folder."""
    for path in folder.glob(f"{PREFIX}*.json"):
        if path != current:
            path.unlink(missing_ok=True)


def remove_abandoned() -> None:
    """Remove the temporary folders of this user's processes that were killed together with their guards."""
    if not sys.platform.startswith("linux"):
        # Elsewhere nothing tells a process from a later one with the same number.
        return
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and _is_private(entry) and _is_ownerless(Path(entry.path)):
                _remove_unlocked(Path(entry.path))


def _is_private(entry: os.DirEntry[str]) -> bool:
    """Check whether this is a real folder that this user made, and nobody else can enter."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _is_ownerless(folder: Path) -> bool:
    """Check whether the process that made a folder, on this machine, has ended."""
    try:
        descriptor = os.open(folder / OWNER, os.O_RDONLY | _NO_WAIT | _NO_FOLLOW)
        with open(descriptor, encoding="utf-8") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return False
            owner = json.loads(stream.read(_OWNER_BYTES))
        return bool(owner["host"] == socket.gethostname() and owner["started"] != _started(int(owner["pid"])))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _remove_unlocked(folder: Path) -> None:
    """Remove a folder, unless a guard holds its lock: that one removes it, or serves a process of another container."""
    with contextlib.suppress(OSError):
        descriptor = lock(str(folder / LOCK), patience=0)
        if descriptor is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


def _started(pid: int) -> str:
    """Return when a process started, as no other with its number did; "" if it has ended or nothing can tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name of the program, in brackets, may itself hold spaces and brackets.
        state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    # The 22nd field counts clock ticks since the machine started (proc_pid_stat(5)); a zombie has ended.
    return "" if state in (b"Z", b"X") else f"{boot} {fields[18].decode()}"
