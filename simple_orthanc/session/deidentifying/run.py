"""One call of `deidentify`: reads each selected file, de-identifies it, and hands it to a folder or to an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import repeat
from threading import Lock
from typing import Any, Protocol

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import WORKERS, map_ordered
from simple_orthanc.deidentification.copies import Copy, Deidentifier
from simple_orthanc.deidentification.pseudonyms import Pseudonyms
from simple_orthanc.deidentification.report import Tally
from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.errors import OrthancError, TransportError
from simple_orthanc.selection.source import Source
from simple_orthanc.selection.store import Store
from simple_orthanc.session.acts.lost_suv import suv_warnings
from simple_orthanc.session.acts.originals import OriginalError, is_source_alive, md5_of
from simple_orthanc.session.acts.reports import ActReport, Outcome, Target
from simple_orthanc.session.deidentifying.results import DONE, LEFT_OUT, Deidentified, TargetFolder
from simple_orthanc.session.uploads.files import Job, Uploader
from simple_orthanc.volume.mosaic import read_mosaic

_NEW = tuple(f"new_{keyword}" for keyword in IDENTIFIERS.values())
_COLUMNS = (*_NEW, "path", "warnings")
# What an upload calls what became of a file.
_STATUSES = {"stored": DONE, "stored, changed": DONE, "already stored": "already there", "conflict": "conflict"}
# A file, the dataset that is read from it, and the file of the copy.
_TIMES_IN_MEMORY = 3
_MOST_BYTES = 1 << 30
_LOOKED_AT = 16
_UNCERTAIN = f"not finished, so it may or may not be {DONE}"


class TakesUploads(Protocol):
    """A session on an archive that takes uploads."""

    def _uploader(self) -> Uploader: ...

    def _reread_after(self, error: BaseException) -> None: ...

    def _reread(self) -> Any: ...


class DeidentificationRun:
    """De-identifies some instances of a source.

    Parameters
    ----------
    source : Source
        The archive that is read.
    targets : sequence of Target
        The instances.
    deidentifier : Deidentifier
        Makes each copy.
    leaves_out : bool
        Whether objects that may show who the patient is are left out.
    """

    def __init__(
        self, source: Source, targets: Sequence[Target], deidentifier: Deidentifier, *, leaves_out: bool
    ) -> None:
        self._source, self._deidentifier, self._leaves_out = source, deidentifier, leaves_out
        self.report = ActReport(targets, DONE, _COLUMNS)
        self._tally = Tally()
        self._lock = Lock()

    def leave_out_copies(self, pseudonyms: Pseudonyms) -> None:
        """Leave out what earlier calls with this key have made of others: copies of copies are not meant."""
        uids = [target.identifiers[-1] or "" for target in self.report.pending]
        copies = pseudonyms.copies_among(uids)
        for target, uid in zip(self.report.pending, uids, strict=True):
            if uid in copies:
                self.report.set(target, Outcome(LEFT_OUT, "a copy of another selected object, made with this key"))

    def result(self) -> Deidentified:
        """Return the tables."""
        return Deidentified(self.report.table(), self._tally.table(), self._deidentifier.key_table())

    def into(self, target: TargetFolder | TakesUploads, *, dry_run: bool) -> None:
        """Hand the copies to a folder or to an archive; a dry run makes them and drops them.

        Raises
        ------
        TransportError
            A server went away; ``.table`` reports on each object. So it does for any other error, and for Ctrl-C.
        """
        if isinstance(target, TargetFolder):
            with target:
                self._each(lambda copy: target.put(copy, dry_run=dry_run), lambda: target.is_full)
        elif dry_run:
            self._each(lambda copy: Outcome(f"would be {DONE}"), lambda: "")
        else:
            self._upload(target)

    def _each(self, put: Callable[[Copy], Outcome], reason_to_stop: Callable[[], str]) -> None:
        begun: set[str] = set()

        def one(target: Target) -> None:
            if reason := reason_to_stop():
                self.report.set(target, Outcome("not tried", reason))
                return
            begun.add(target.key)
            try:
                copy = self._copy(target)
            except _NoCopyError as error:
                self.report.set(target, error.outcome)
            else:
                self._note(target, copy, put(copy))

        pending = self.report.pending
        with self.report.attached():
            try:
                workers = _workers(self._source, pending)
                for _ in map_ordered(one, pending, workers=workers, total=len(pending), label="de-identifying"):
                    pass
            except BaseException:
                for target in self.report.pending:
                    if target.key in begun:
                        self.report.set(target, Outcome("failed", _UNCERTAIN))
                raise

    def _copy(self, target: Target) -> Copy:
        """Make the copy of an instance.

        Raises
        ------
        _NoCopyError
            There is none; others may still be made.
        TransportError
            The source is gone.
        """
        try:
            content = self._source.content(target.key)
        except OrthancError as error:
            trouble = OriginalError(error)
            if trouble.may_be_the_source and not is_source_alive(self._source, target):
                raise
            raise _NoCopyError(trouble.outcome()) from None
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise _NoCopyError(Outcome("failed", f"cannot be read: {reason}")) from None
        try:
            copy = self._deidentifier.copy(content)
        except OrthancError as error:
            raise _NoCopyError(Outcome.failure(error)) from None
        if copy.suspicion and self._leaves_out:
            message = f"{copy.suspicion}; suspicious='keep' makes a copy nevertheless"
            raise _NoCopyError(Outcome(LEFT_OUT, message))
        return copy

    def _other(self, target: Target) -> Copy:
        """Make the copy of an instance for an archive, where it could replace an original of its identifiers."""
        copy = self._copy(target)
        if copy.identifiers == tuple(identifier or "" for identifier in target.identifiers):
            message = "the copy has all identifiers of its original, and could replace it: keep fewer of them"
            raise _NoCopyError(Outcome("failed", message))
        return copy

    def _note(self, target: Target, copy: Copy, outcome: Outcome) -> None:
        values = {
            **outcome.values,
            **dict(zip(_NEW, copy.identifiers, strict=True)),
            "warnings": "; ".join(copy.warnings),
        }
        if outcome.status not in ("failed", "conflict"):
            with self._lock:
                self._tally.add(copy.changes)
        self.report.set(target, Outcome(outcome.status, outcome.message, values, outcome.error))

    def _upload(self, session: TakesUploads) -> None:
        uploader = session._uploader()
        upload = _Upload(self._other, partial(_held, uploader.store))
        pending = self.report.pending
        with self.report.attached(), _reread_afterwards(session):
            try:
                reports = uploader.run([upload.job(target) for target in pending], True)
            except TransportError as error:
                if error.table is not None:
                    self._note_upload(upload, pending, error.table["status"], error.table["message"])
                # The report of this run takes the place of that of the upload.
                error.table = None
                raise
            except BaseException:
                self._note_upload(upload, pending, repeat("failed"), repeat(_UNCERTAIN))
                raise
            statuses = [report.status for report in reports]
            self._note_upload(upload, pending, statuses, [report.message for report in reports])
            if upload.gone is not None:
                raise upload.gone

    def _note_upload(
        self, upload: _Upload, targets: Sequence[Target], statuses: Iterable[str], messages: Iterable[str]
    ) -> None:
        for target, status, message in zip(targets, statuses, messages, strict=False):
            missing, copy = upload.missing.get(target.key), upload.copies.get(target.key)
            if missing is not None and copy is not None:
                self._note(target, copy, missing)
            elif missing is not None:
                self.report.set(target, missing)
            elif copy is not None:
                self._note(target, copy, Outcome(_STATUSES.get(status, "failed"), message))


class _Upload:
    """Jobs that make copies when they are sent, and what became of the making.

    Parameters
    ----------
    make : callable
        Makes the copy of an instance.
    held : callable
        Returns what becomes of a file that the archive holds something of already; None if it is to be sent. An archive
        may be set to overwrite what it holds.

    Attributes
    ----------
    copies : dict
        Key of the instance, to its copy without the content.
    missing : dict
        Key of the instance, to why no copy is sent.
    gone : OrthancError or None
        Why nothing can be read any more.
    """

    def __init__(self, make: Callable[[Target], Copy], held: Callable[[bytes], Outcome | None]) -> None:
        self._make, self._held = make, held
        self._senders: dict[tuple[str, ...], str] = {}
        self._lock = Lock()
        self.copies: dict[str, Copy] = {}
        self.missing: dict[str, Outcome] = {}
        self.gone: OrthancError | None = None

    def job(self, target: Target) -> Job:
        """Return the job for an instance."""
        return Job(None, None, lambda: self._read(target))

    def _read(self, target: Target) -> bytes:
        if self.gone is not None:
            raise self.gone
        try:
            copy = self._make(target)
        except _NoCopyError as error:
            self.missing[target.key] = error.outcome
            raise
        except OrthancError as error:
            self.gone = error
            raise
        is_first = target.key not in self.copies
        self.copies[target.key] = copy.without_content()
        # What was sent is read once more to be compared.
        outcome = self._not_sent(target, copy) if is_first else None
        if outcome is not None:
            self.missing[target.key] = outcome
            raise _NoCopyError(outcome)
        return copy.content

    def _not_sent(self, target: Target, copy: Copy) -> Outcome | None:
        with self._lock:
            sender = self._senders.setdefault(copy.identifiers, target.key)
        if sender != target.key:
            return Outcome("conflict", "another object of this selection has the same new identifiers")
        try:
            return self._held(copy.content)
        except OrthancError:
            # Sending it tells whether the archive is gone.
            return None


def _held(store: Store, content: bytes) -> Outcome | None:
    """Return the outcome for a file if an archive holds something under its identifiers; None if it is to be sent."""
    key = store.find(content)
    if key is None:
        return None
    (comparison,) = store.compare([(key, md5_of(content))])
    if comparison == "gone":
        return None
    if comparison == "another" and not store.transcodes:
        return Outcome("conflict", "not sent: the archive holds another file under its identifiers, and keeps it")
    return Outcome("already there", "" if comparison == "same" else "compared by its identifiers alone")


def _workers(source: Source, targets: Sequence[Target]) -> int:
    """Return how many copies are made at once, so that they fit into memory; by the sizes of some of the objects."""
    sizes = [1]
    for target in targets[:: len(targets) // _LOOKED_AT + 1]:
        # One that is gone is a row.
        with suppress(OrthancError):
            sizes.append(source.stored_file(target.key).size or 1)
    return max(1, min(WORKERS, _MOST_BYTES // (_TIMES_IN_MEMORY * max(sizes))))


def lost_uses(original: Dataset, copy: Dataset) -> list[str]:
    """Return warnings about what can be computed from the original, and not from the copy.

    Examples
    --------
    >>> lost_uses(Dataset(), Dataset())
    []
    """
    return [*lost_slices(original, copy), *suv_warnings(original, copy)]


def lost_slices(original: Dataset, copy: Dataset) -> list[str]:
    """Return a warning if the slices of a mosaic can be found in the original alone.

    Examples
    --------
    >>> lost_slices(Dataset(), Dataset())
    []
    """
    before = read_mosaic(original)
    if before is None or not before.positions:
        return []
    after = read_mosaic(copy)
    if after is not None and after.positions == before.positions:
        return []
    return ["the private elements that say where the slices of this mosaic lie are removed: it is no volume any more"]


class _NoCopyError(OrthancError):
    """There is no copy of an instance.

    Attributes
    ----------
    outcome : Outcome
        Why.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


@contextmanager
def _reread_afterwards(session: TakesUploads) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        session._reread_after(error)
        raise
    session._reread()
