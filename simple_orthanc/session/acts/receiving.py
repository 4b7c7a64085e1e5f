"""What receives copies: a server that takes uploads, or a folder. Both look at what they hold first.

What is there and equal is "already there"; what is there and different is a "conflict", and stays as it is.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from simple_orthanc.errors import SelectionError, ServerError, TransportError
from simple_orthanc.files.paths import make_folders, put_new
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.session.acts.originals import Original, OriginalError, md5_of
from simple_orthanc.session.acts.reports import Outcome
from simple_orthanc.session.acts.transfers import CONFLICT, FAILED, NOT_TRIED, SENT, THERE
from simple_orthanc.session.exports.staging import staging_folder
from simple_orthanc.session.uploads.files import Gone, Job, Report, Sent, Uploader
from simple_orthanc.sources.dicomweb.checked_store import same_object
from simple_orthanc.sources.folder.folder_index import Item, identifier
from simple_orthanc.sources.folder.source import FolderSource

_STATUSES: Mapping[str, str] = {
    "stored": SENT,
    "stored, changed": SENT,
    "already stored": THERE,
    "conflict": CONFLICT,
}


@dataclass(frozen=True)
class Unchecked:
    """An instance that was taken, and not yet compared with what is held."""

    job: Job
    sent: Sent

    @property
    def outcome(self) -> Outcome:
        """What is known of it before it is compared."""
        outcome = _outcome(self.sent.report)
        return outcome if outcome.message else Outcome(outcome.status, "not compared with what the target holds")


class Receiver(Protocol):
    """What receives copies of instances; several threads call `take` at once."""

    def started(self) -> AbstractContextManager[None]:
        """Make ready for the time of a block, in which `take` is called."""
        ...

    def take(self, original: Original) -> Outcome | Unchecked:
        """Take an instance, unless it is there.

        Raises
        ------
        OriginalError
            It cannot be read from its source.
        TransportError
            What receives it does not answer any more, if `is_alive` agrees.
        """
        ...

    def check(self, taken: Sequence[Unchecked]) -> list[Outcome]:
        """Compare what was taken with what is held."""
        ...

    def is_alive(self) -> bool:
        """Check whether what receives the copies still answers."""
        ...


class ServerReceiver:
    """A server that takes uploads.

    Parameters
    ----------
    uploader : Uploader
        Sends files to it.
    allow_foreign_uids : bool
        Whether to send files whose study or series the server holds under another PatientID.
    """

    def __init__(self, uploader: Uploader, allow_foreign_uids: bool = False) -> None:
        self._store, self._uploader = uploader.store, uploader
        if allow_foreign_uids:
            uploader.allow_foreign_uids()
        self._is_gone = False

    def started(self) -> AbstractContextManager[None]:
        """Make nothing ready: a server needs nothing."""
        return nullcontext()

    def take(self, original: Original) -> Outcome | Unchecked:
        """Send an instance, unless the server holds it."""
        md5 = original.stored.md5
        if md5 is not None and self._store.md5_of(original.identifiers) == md5:
            return Outcome(THERE)
        content = original.read()
        try:
            held = self._held(content)
            if held is not None:
                return held
            sent = self._uploader.send(Job(None, None, lambda: content), test_dicom=True)
        finally:
            if isinstance(content, LongFile):
                content.close()
        if isinstance(sent, Gone):
            self._is_gone = True
            raise sent.error
        # The content is not kept until then: the rare file that differs is read once more.
        return Unchecked(Job(None, None, partial(_again, original)), sent) if sent.key else _outcome(sent.report)

    def _held(self, content: bytes | LongFile) -> Outcome | None:
        """Return the outcome for a file that the server holds; None if it holds nothing of it, or does not show it."""
        try:
            key = self._store.find(content)
            if key is None:
                return None
            (comparison,) = self._store.compare([(key, md5_of(content))])
        except ServerError:
            # A server may take what it does not show; the uploader then says that it was not compared.
            return None
        if comparison == "gone":
            return None
        if comparison == "same":
            return Outcome(THERE)
        if comparison == "unknown":
            return Outcome(THERE, "compared by its identifiers alone, since the target keeps no checksums")
        if self._store.transcodes:
            return Outcome(THERE, "compared by its identifiers alone, since the target transcodes what it stores")
        try:
            other = self._store.content(key)
        except (ServerError, SelectionError):
            # A store over DICOMweb has compared the elements already.
            other = b""
        return _judged(content, other, "the target holds another file under its identifiers, and keeps it")

    def check(self, taken: Sequence[Unchecked]) -> list[Outcome]:
        """Compare what was sent with what the server holds."""
        reports = self._uploader.compare([each.job for each in taken], [each.sent for each in taken])
        return [_outcome(report) for report in reports]

    def is_alive(self) -> bool:
        """Wait for the server to answer, as long as patience lasts, and return whether it does."""
        return not self._is_gone and self._store.is_alive()


def _judged(content: bytes | LongFile, held: bytes, conflict: str) -> Outcome:
    """Return the outcome for a file whose bytes are not those that are held: another file may hold the same object."""
    whole = content.whole() if isinstance(content, LongFile) else content
    if whole == held:
        return Outcome(THERE)
    if same_object(whole, held, transcoded=False):
        return Outcome(THERE, "in a file with other bytes, and equal in all elements")
    return Outcome(CONFLICT, conflict)


def _again(original: Original) -> bytes | LongFile:
    """Read an instance once more, for a comparison with what the server holds."""
    try:
        return original.read()
    except OriginalError as error:
        raise error.error from None


def _outcome(report: Report) -> Outcome:
    return Outcome(_STATUSES.get(report.status, FAILED), report.message)


class FolderReceiver:
    """A folder, which takes new files and never changes those that it holds.

    Parameters
    ----------
    source : FolderSource
        The folder.
    paths : mapping
        Key of an instance in the source that is copied, to the path of its file.
    """

    def __init__(self, source: FolderSource, paths: Mapping[str, Path]) -> None:
        self._source, self._paths = source, paths
        self._index = source.look_again()
        source.expect_changes()
        self._staged: Path | None = None
        self._numbers = itertools.count()
        self._is_full = ""

    @contextmanager
    def started(self) -> Iterator[None]:
        """Make a hidden folder for files that are not whole yet, for the time of a block.

        Raises
        ------
        SelectionError
            The folder cannot be written to.
        """
        folder = self._source.writable_folder()
        with ExitStack() as stack:
            try:
                self._staged = stack.enter_context(staging_folder(folder))
            except OSError as error:
                raise SelectionError(
                    f"{folder} cannot be written to: {error.strerror or error}. Nothing was sent. Give another folder, "
                    "or free some space."
                ) from None
            yield

    def take(self, original: Original) -> Outcome:
        """Write the file of an instance, unless the folder holds it, under whatever name."""
        item = self._index.instances.get(identifier(original.identifiers))
        if item is None and self._is_full:
            return Outcome(NOT_TRIED, self._is_full)
        try:
            return self._written(original) if item is None else self._compared(original, item)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._is_full = "the disk is full: free some space, and send again"
            act = "written to" if item is None else "compared with what is in"
            reason = f"cannot be {act} {self._source.description}: {error.strerror or error}"
            return Outcome(FAILED, reason, error=TransportError(f"{reason}."))

    def _written(self, original: Original) -> Outcome:
        path = self._paths[original.target.key]
        if not os.path.lexists(path):
            assert self._staged is not None
            part = self._staged / f"{next(self._numbers)}.dcm"
            original.save(part)
            make_folders(path.parent)
            if put_new(part, path):
                return Outcome(SENT)
        if original.stored.size is not None and path.is_file() and original.is_copy(path):
            return Outcome(THERE)
        return Outcome(CONFLICT, f"{path} is there, and is not this instance: move it away, and send again")

    def _compared(self, original: Original, item: Item) -> Outcome:
        """Compare an instance with the file that the folder holds of it."""
        files = self._source.files
        is_file = item.member is None and original.stored.size is not None
        if is_file and original.is_copy(Path(files.full(item.path))):
            return Outcome(THERE)
        held = f"{files.name(item)} has the same identifiers but different content"
        return _judged(original.read(), files.read(item), held)

    def check(self, taken: Sequence[Unchecked]) -> list[Outcome]:
        """Return nothing: what is written is whole, and `take` leaves nothing to be compared."""
        return []

    def is_alive(self) -> bool:
        """Return True: a folder is there, or each file says why not."""
        return True
