"""Instances of a source, as they are copied: read once, checked, and never more in memory than a few megabytes of each.

A file that is longer than what is sent at once goes through a temporary file, which is checked before the first byte
of it is sent on.
"""

from __future__ import annotations

import hashlib
import secrets
import weakref
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from simple_orthanc.errors import NotFoundError, OrthancError, SelectionError, TransportError
from simple_orthanc.files.opening import open_regular
from simple_orthanc.files.streaming import IN_MEMORY, LongFile
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.source import Source
from simple_orthanc.session.acts.reports import Outcome, Target
from simple_orthanc.session.acts.transfers import FAILED, GONE


class OriginalError(Exception):
    """An instance of the source cannot be read; everything else that fails is the fault of what receives it.

    Attributes
    ----------
    error : OrthancError
        What the source raised.
    """

    def __init__(self, error: OrthancError) -> None:
        super().__init__(error.message)
        self.error = error

    def outcome(self) -> Outcome:
        """Return what became of the instance."""
        if isinstance(self.error, NotFoundError):
            return Outcome(GONE, "not in the archive any more", error=self.error)
        if isinstance(self.error, SelectionError):
            return Outcome(GONE, self.error.message, error=self.error)
        return Outcome(FAILED, f"cannot be read: {self.error.message}", error=self.error)

    @property
    def may_be_the_source(self) -> bool:
        """Whether the source itself may be gone, and not this instance alone."""
        return isinstance(self.error, TransportError) and not self.error.is_about_object


def is_source_alive(source: Source, instance: Target) -> bool:
    """Check whether a source still answers, after the answer about one of its instances was lost."""
    try:
        list(source.rows("instance", [instance.key]))
    except OrthancError:
        return False
    return True


@dataclass(frozen=True)
class Original:
    """An instance of the source.

    Attributes
    ----------
    source : Source
        Where it is.
    target : Target
        What it is: its key and identifiers.
    scratch : Path
        A folder for files that are too long for memory.
    """

    source: Source
    target: Target
    scratch: Path

    @property
    def identifiers(self) -> tuple[str, str, str, str]:
        """PatientID, StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID, "" for one that is missing."""
        patient, study, series, instance = (text or "" for text in self.target.identifiers)
        return patient, study, series, instance

    @cached_property
    def stored(self) -> StoredFile:
        """What the source tells of the file without reading it."""
        try:
            return self.source.stored_file(self.target.key)
        except OrthancError as error:
            raise OriginalError(error) from None

    def read(self) -> bytes | LongFile:
        """Read the file, or return it to be read in pieces.

        Raises
        ------
        OriginalError
            It is gone, or cannot be read.
        """
        size = self.stored.size
        try:
            if size is None or size <= IN_MEMORY:
                return self.source.content(self.target.key)
            path = self.scratch / secrets.token_hex(8)
            self.source.save(self.target.key, path)
        except OrthancError as error:
            raise OriginalError(error) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise OriginalError(TransportError(f"{self.scratch}: {reason}", is_about_object=True)) from None
        content = LongFile(path.stat().st_size, lambda: open_regular(path))
        # Nobody knows better than the interpreter when it was read for the last time.
        weakref.finalize(content, _remove, path)
        return content

    def is_copy(self, path: Path) -> bool:
        """Check whether a file on disk has the bytes of the instance, whose source tells length and checksum.

        Raises
        ------
        OriginalError
            It is gone, or cannot be read.
        """
        try:
            return self.source.is_copy(self.target.key, path)
        except OrthancError as error:
            raise OriginalError(error) from None

    def save(self, path: Path) -> None:
        """Write the file; what is at the path is replaced once it is whole.

        Raises
        ------
        OriginalError
            It is gone, or cannot be read.
        OSError
            It cannot be written.
        """
        try:
            self.source.save(self.target.key, path)
        except OrthancError as error:
            raise OriginalError(error) from None


def md5_of(content: bytes | LongFile) -> str:
    """Return the MD5 of a file in hexadecimal."""
    if isinstance(content, LongFile):
        return content.md5()
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
