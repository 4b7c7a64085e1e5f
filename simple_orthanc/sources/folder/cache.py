"""Keep what is known of the files of a folder on disk, so that a file is read once as long as it does not change.

There is one file for each folder, in the user's own cache folder. It holds what the headers say of patients, so nobody
else may read it. It is replaced as a whole and has a checksum, so that several processes, a full disk or a lost
connection at worst mean that headers are read again. A cache that is damaged in any way is ignored.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import stat
import sys
import tempfile
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from simple_orthanc import limits
from simple_orthanc.files.opening import open_regular
from simple_orthanc.files.paths import make_folders, path_text
from simple_orthanc.sources.folder.folder_index import TAGS, Item

VARIABLE = "SIMPLE_ORTHANC_CACHE"

# To be raised when the same file is read otherwise than before.
_FORMAT = 2
_SECONDS_KEPT = 90 * 24 * 3600


def cache_folder(given: str | os.PathLike[str] | Literal[False] | None) -> Path | None:
    """Return the folder in which caches are kept: one of its own in a folder that may hold other things.

    Parameters
    ----------
    given : path, False or None
        A path: in this folder. False: nowhere. None: in the folder that ``SIMPLE_ORTHANC_CACHE`` names, nowhere if it
        is empty, and in the platform's folder for caches if it is not set.

    Returns
    -------
    Path or None
        None if nothing is to be kept, or there is no folder for it.
    """
    if given is None:
        given = os.environ.get(VARIABLE)
        given = False if given == "" else given
    try:
        if given is not None:
            if given is False:
                return None
            folder = path_text(given, 'cache="caches", or cache=False for none')
            return Path(folder).expanduser().absolute() / "simple_orthanc"
        if sys.platform == "win32":
            base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            # A relative one is to be ignored (XDG Base Directory Specification).
            wanted = os.environ.get("XDG_CACHE_HOME", "")
            base = Path(wanted) if os.path.isabs(wanted) else Path.home() / ".cache"
    except RuntimeError:  # this user has no home
        return None
    return base / "simple_orthanc"


class FolderCache:
    """The cache of one folder.

    Parameters
    ----------
    folder : Path or None
        Where caches are kept; None keeps nothing.
    name : str
        What the cache is of: a path, and how it is read.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._folder = folder
        self._name = name
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        self.path = None if folder is None else folder / f"folder-{digest}.json.gz"

    def load(self) -> dict[str, list[Item]]:
        """Return what is known: path to the items of that file."""
        if self.path is None:
            return {}
        try:
            if not _is_private(self.path.parent):
                return {}
            with open_regular(self.path) as file, gzip.GzipFile(fileobj=file) as stream:
                content = json.loads(stream.read(limits.decompressed_bytes))
            known = _items(content) if content["of"] == self._of() else {}
        except (
            OSError,
            EOFError,
            zlib.error,
            ValueError,
            KeyError,
            TypeError,
            IndexError,
            RecursionError,
            MemoryError,
        ):
            return {}
        with contextlib.suppress(OSError):
            # What is used is not forgotten.
            os.utime(self.path)
        return known

    def save(self, items: Mapping[str, Sequence[Item]]) -> None:
        """Keep the items of files by their paths, in place of what was kept; errors of the disk are ignored."""
        if self._folder is None or self.path is None:
            return
        with contextlib.suppress(OSError):
            make_folders(self._folder)
            if not _is_private(self._folder):
                return
            # Readable by nobody else from the first byte on.
            handle, part = tempfile.mkstemp(prefix=".part-", dir=self._folder)
            try:
                with open(handle, "wb") as stream:
                    stream.write(gzip.compress(self._written(items), compresslevel=1))
                os.replace(part, self.path)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(part)
            self._forget()

    def _of(self) -> list[Any]:
        return [_FORMAT, self._name, [tag.number for tags in TAGS.values() for tag in tags]]

    def _written(self, items: Mapping[str, Sequence[Item]]) -> bytes:
        # What the files of a study or series say of it is nearly always the same.
        texts: dict[str, int] = {}
        chains: dict[str, int] = {}
        files = []
        for path, found in items.items():
            if not all(item.is_settled for item in found):
                continue
            rows = [_written_item(item, texts, chains) for item in found]
            files.append([path, *found[0].stamp, rows])
        content = {"of": self._of(), "texts": list(texts), "identifiers": list(chains), "files": files}
        return json.dumps(content, separators=(",", ":")).encode("ascii")

    def _forget(self) -> None:
        """Remove the caches of folders that were not opened for long, and the parts that a killed process left."""
        assert self._folder is not None
        for path in [*self._folder.glob("folder-*.json.gz"), *self._folder.glob(".part-*")]:
            with contextlib.suppress(OSError):
                age = time.time() - path.stat().st_mtime
                if age > (_SECONDS_KEPT if path.name.startswith("folder-") else 24 * 3600):
                    path.unlink()


def _is_private(folder: Path) -> bool:
    """Make a folder private, and check that no other user can read or write it."""
    if sys.platform == "win32":
        return True  # the user's own folder is nobody else's
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return False
    if found.st_mode & 0o077:
        os.chmod(folder, 0o700)
    return True


def _written_item(item: Item, texts: dict[str, int], identifiers: dict[str, int]) -> list[Any]:
    chain = item.chain and [identifiers.setdefault(each, len(identifiers)) for each in item.chain[:3]]
    shared = item.serialized and [texts.setdefault(text, len(texts)) for text in item.serialized[:2]]
    row: list[Any] = [item.member, item.member_index, item.size, item.status, item.uid, item.message, item.digest]
    return [*row, chain, item.chain and item.chain[3], shared, item.serialized and item.serialized[2], item.references]


def _items(content: Any) -> dict[str, list[Item]]:
    texts, identifiers = content["texts"], content["identifiers"]
    found: dict[str, list[Item]] = {}
    for path, *stamp, rows in content["files"]:
        size, changed, entered = stamp
        found[path] = [_item(path, (size, changed, entered), row, texts, identifiers) for row in rows]
    return found


def _item(
    path: str, stamp: tuple[int, int, int], row: Iterable[Any], texts: Sequence[str], identifiers: Sequence[str]
) -> Item:
    member, member_index, size, status, uid, message, digest, chain, instance, shared, text, references = row
    whole_chain = None if chain is None else (*(identifiers[number] for number in chain), instance)
    whole_texts = None if shared is None else (*(texts[number] for number in shared), text)
    return Item(
        path=path,
        member=member,
        member_index=member_index,
        size=size,
        stamp=stamp,
        status=status,
        uid=uid,
        message=message,
        chain=whole_chain,
        serialized=whole_texts,
        references=tuple(references),
        digest=digest,
    )
