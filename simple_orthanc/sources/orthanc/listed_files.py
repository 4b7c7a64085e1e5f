"""The files of instances as an Orthanc server listed them, without those that were replaced since.

The feed of changes shows what was replaced. It may be read while another thread waits for a listing, which the server
may have made before, with the former file. So each request for a listing is announced, and files that are found to be
replaced before its answer arrives are not taken from it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from simple_orthanc.sources.cache.kept_files import Stamp

# Orthanc's number for an attachment that is the DICOM file itself.
_DICOM_FILE = 1


class ListedFile(NamedTuple):
    """The file of an instance, as the server lists it.

    Attributes
    ----------
    size : int
        Its length in bytes.
    md5 : str or None
        Its MD5 in hexadecimal; None if that is not known.
    uuid : str or None
        Its name in the server's storage, another one for each file that is stored; None if that is not known.
    """

    size: int
    md5: str | None = None
    uuid: str | None = None

    @property
    def stamp(self) -> Stamp | None:
        """What tells this file from every other of the same instance; None if that is not known."""
        version = self.uuid or self.md5
        return None if version is None else Stamp(f"{version} {self.size}", self.md5)

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> ListedFile | None:
        """Read the answer to a listing or a find; None if it does not describe the file.

        Examples
        --------
        >>> ListedFile.of({"ID": "4ac2", "FileSize": 1024})
        ListedFile(size=1024, md5=None, uuid=None)
        >>> ListedFile.of({"Attachments": [{"ContentType": 1, "UncompressedSize": "8", "UncompressedMD5": "0f"}]})
        ListedFile(size=8, md5='0f', uuid=None)
        """
        if "FileSize" in answer:
            return cls(int(answer["FileSize"]), uuid=answer.get("FileUuid"))
        for attachment in answer.get("Attachments", ()):
            if attachment["ContentType"] == _DICOM_FILE:
                md5 = attachment.get("UncompressedMD5") or None
                return cls(int(attachment["UncompressedSize"]), md5, attachment.get("Uuid"))
        return None

    def difference(self, size: int, md5: Callable[[], str] | None) -> str | None:
        """Return how a file that arrived differs, or None if it does not.

        Parameters
        ----------
        size : int
            Its length in bytes.
        md5 : callable, optional
            Computes its MD5; None leaves that comparison out.
        """
        if size != self.size:
            return f"{size} bytes instead of {self.size}"
        if md5 is not None and self.md5 is not None and md5() != self.md5:
            return f"{size} bytes with another MD5 than the server lists, so that some of them are wrong"
        return None


class ListedFiles:
    """The files by Orthanc's ids of their instances. Several threads may use it.

    Examples
    --------
    >>> files = ListedFiles()
    >>> asked = files.ask()
    >>> files.forget(["4ac2"])
    >>> asked.take({"4ac2": ListedFile(1024), "9e01": ListedFile(2048)})
    >>> files.get("4ac2"), files.get("9e01").size
    (None, 2048)
    """

    def __init__(self) -> None:
        self._files: dict[str, ListedFile] = {}
        # The listings that were requested, as long as a thread waits for them.
        self._asked: weakref.WeakSet[Asked] = weakref.WeakSet()
        self._lock = threading.Lock()

    def get(self, key: str) -> ListedFile | None:
        """Return the file of an instance; None if it was not listed, or was replaced since."""
        return self._files.get(key)

    @property
    def is_unused(self) -> bool:
        """Whether nothing is listed, nor on its way."""
        with self._lock:
            return not self._files and not self._asked

    def ask(self) -> Asked:
        """Announce a listing; called before the request for it is sent."""
        asked = Asked(self)
        with self._lock:
            self._asked.add(asked)
        return asked

    def forget(self, keys: Iterable[str] | None) -> None:
        """Forget files that may have been replaced, also in listings that are on their way; None: all."""
        with self._lock:
            for asked in self._asked:
                asked.replaced = None if keys is None or asked.replaced is None else asked.replaced.union(keys)
            if keys is None:
                self._files.clear()
            else:
                for key in keys:
                    self._files.pop(key, None)

    def take(self, files: Mapping[str, ListedFile], asked: Asked) -> None:
        """Add what a listing that was announced holds."""
        with self._lock:
            if asked.replaced is not None:
                self._files.update((key, file) for key, file in files.items() if key not in asked.replaced)


class Asked:
    """A listing that is on its way.

    Attributes
    ----------
    replaced : frozenset of str or None
        The instances whose files were replaced since it was announced; None if that may be any.
    """

    def __init__(self, files: ListedFiles) -> None:
        self._listed = files
        self.replaced: frozenset[str] | None = frozenset()

    def take(self, files: Mapping[str, ListedFile]) -> None:
        """Take the files from the listing when it is here, except for those that were replaced meanwhile."""
        self._listed.take(files, self)
