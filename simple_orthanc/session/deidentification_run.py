"""One call of `deidentify`: reads each selected file, de-identifies it, and hands it to a folder or to an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any, Protocol

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.deidentification.copies import Copy, Deidentifier
from simple_orthanc.deidentification.report import Tally
from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.errors import NotFoundError, OrthancError, SelectionError, TransportError
from simple_orthanc.selection.source import Source
from simple_orthanc.session.acts.reports import ActReport, Outcome, Target
from simple_orthanc.session.deidentified import DONE, LEFT_OUT, Deidentified, LeftOutError, TargetFolder
from simple_orthanc.session.unreadable import is_about_one_object
from simple_orthanc.session.uploads import Job, Uploader
from simple_orthanc.volume.mosaic import read_mosaic

_NEW = tuple(f"new_{keyword}" for keyword in IDENTIFIERS.values())
_COLUMNS = (*_NEW, "path", "warnings")
# What an upload calls what became of a file.
_STATUSES = {"stored": DONE, "stored, changed": DONE, "already stored": "already there"}


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
                self._each(lambda copy: target.put(copy.identifiers, copy.content, dry_run=dry_run))
        elif dry_run:
            self._each(lambda copy: Outcome(f"would be {DONE}"))
        else:
            self._upload(target)

    def _each(self, put: Callable[[Copy], Outcome]) -> None:
        def one(target: Target) -> tuple[Copy | None, Outcome]:
            try:
                copy = self._copy(target)
            except OrthancError as error:
                if not is_about_one_object(error):
                    raise
                return None, _failure(error)
            outcome = put(copy)
            return copy.without_content(), outcome

        pending = self.report.pending
        with self.report.attached():
            outcomes = map_ordered(one, pending, total=len(pending), label="de-identifying")
            for target, (copy, outcome) in zip(pending, outcomes, strict=True):
                self._note(target, copy, outcome)

    def _copy(self, target: Target) -> Copy:
        try:
            content = self._source.content(target.key)
        except (NotFoundError, SelectionError) as error:  # a folder raises the second
            raise _GoneError(error.message) from None
        except OrthancError:
            raise
        except (OSError, EOFError) as error:
            raise OrthancError(f"its file cannot be read: {getattr(error, 'strerror', None) or error}") from error
        copy = self._deidentifier.copy(content)
        if copy.suspicion and self._leaves_out:
            raise LeftOutError(f"{copy.suspicion}; suspicious='keep' makes a copy nevertheless")
        return copy

    def _note(self, target: Target, copy: Copy | None, outcome: Outcome) -> None:
        values = dict(outcome.values)
        if copy is not None:
            values |= {**dict(zip(_NEW, copy.identifiers, strict=True)), "warnings": "; ".join(copy.warnings)}
            if outcome.status != "failed":
                self._tally.add(copy.changes)
        self.report.set(target, Outcome(outcome.status, outcome.message, values, outcome.error))

    def _upload(self, session: TakesUploads) -> None:
        upload = _Upload(self._copy)
        pending = self.report.pending
        with self.report.attached(), _reread_afterwards(session):
            try:
                reports = session._uploader().run([upload.job(target) for target in pending], True)
            except TransportError as error:
                if error.table is not None:
                    self._note_upload(upload, pending, error.table["status"], error.table["message"])
                # The report of this run takes the place of that of the upload.
                error.table = None
                raise
            except BaseException:
                uncertain = repeat(f"interrupted, so it may or may not be {DONE}")
                self._note_upload(upload, pending, repeat("failed"), uncertain)
                raise
            statuses, messages = zip(*((report.status, report.message) for report in reports), strict=True)
            self._note_upload(upload, pending, statuses, messages)
            if upload.gone is not None:
                raise upload.gone

    def _note_upload(
        self, upload: _Upload, targets: Sequence[Target], statuses: Iterable[str], messages: Iterable[str]
    ) -> None:
        for target, status, message in zip(targets, statuses, messages, strict=False):
            error, copy = upload.failures.get(target.key), upload.copies.get(target.key)
            if error is not None:
                self._note(target, None, _failure(error))
            elif copy is not None:
                self._note(target, copy, Outcome(_STATUSES.get(status, "failed"), message))


class _Upload:
    """Jobs that make copies when they are sent, and what became of the making.

    Parameters
    ----------
    make : callable
        Makes the copy of an instance.

    Attributes
    ----------
    copies : dict
        Key of the instance, to its copy without the content.
    failures : dict
        Key of the instance, to why there is no copy.
    gone : OrthancError or None
        Why nothing can be read any more.
    """

    def __init__(self, make: Callable[[Target], Copy]) -> None:
        self._make = make
        self.copies: dict[str, Copy] = {}
        self.failures: dict[str, OrthancError] = {}
        self.gone: OrthancError | None = None

    def job(self, target: Target) -> Job:
        """Return the job for an instance."""
        return Job(None, None, lambda: self._read(target))

    def _read(self, target: Target) -> bytes:
        if self.gone is not None:
            raise self.gone
        try:
            copy = self._make(target)
        except OrthancError as error:
            if is_about_one_object(error):
                self.failures[target.key] = error
            else:
                self.gone = error
            raise
        self.copies[target.key] = copy.without_content()
        return copy.content


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


class _GoneError(OrthancError):
    """The archive does not hold an object any more."""


def _failure(error: OrthancError) -> Outcome:
    if isinstance(error, LeftOutError):
        return Outcome(LEFT_OUT, error.message)
    if isinstance(error, _GoneError):
        return Outcome("gone", error.message)
    return Outcome.failure(error)


@contextmanager
def _reread_afterwards(session: TakesUploads) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        session._reread_after(error)
        raise
    session._reread()
