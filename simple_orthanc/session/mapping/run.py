"""One map over the objects of a selection: which are left to compute, and what becomes of each."""

from __future__ import annotations

import pickle
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from simple_orthanc.concurrency.progress import above_bars
from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level, depth
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import OrthancError
from simple_orthanc.selection.index import NotKnownError
from simple_orthanc.selection.source import known_files
from simple_orthanc.session.mapping.calls import Outcome, Row
from simple_orthanc.session.mapping.checkpoint import Checkpoint, ObjectKey, contents_of
from simple_orthanc.session.mapping.functions import name_of
from simple_orthanc.session.mapping.neighbours import Neighbours
from simple_orthanc.session.mapping.parcels import Parcel
from simple_orthanc.session.mapping.table import as_table

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.selection.source import Row as IndexRow
    from simple_orthanc.session.looking import Looking

Child = TypeVar("Child", bound="Looking")

# The run is given up after so many objects in a row for which the source did not answer: each takes as long as the
# connection keeps trying.
_MOST_LOST = 3


class Run(Generic[Child]):
    """The objects of one map, and their rows, which may finish in any order and in any thread.

    Parameters
    ----------
    session : Session
        The session whose selected objects they are. It may be narrowed while this runs.
    level : str
    function : callable
    raises : bool
        Whether the first error ends the run.

    Attributes
    ----------
    function : callable
    pending : list of int
        Positions of the objects that are left to compute.
    """

    def __init__(self, session: Child, level: Level, function: Callable[[Any], Any], raises: bool) -> None:
        self.function, self._level, self._raises = function, level, raises
        self._session = session.copy()
        columns = session._columns(level)
        self._children = session._children(level)
        self._index = session._index
        above = LEVELS[: depth(level) + 1]
        values = [columns.values(parse_tag(IDENTIFIERS[each])) for each in above]
        self._identifiers = [tuple(_first(each) for each in row) for row in zip(*values, strict=True)]
        # A UID that occurs twice does not identify an object: such rows are never taken from a checkpoint.
        self._repeated = {each for each, count in Counter(self._identifiers).items() if count > 1}
        self._rows: list[Row | None] = [None] * len(self._identifiers)
        self.pending = list(range(len(self._rows)))
        self._checkpoint: Checkpoint | None = None
        self._lock = threading.Lock()
        self._is_over = False
        self._lost, self._has_usable = 0, False
        self._shown: dict[Any, Any] = {}

    def child(self, position: int) -> Child:
        """Return the session of an object, with an index of its own: what it reads is released with it."""
        from simple_orthanc.selection.index import part_of

        child = self._children[position]
        selection = child._selection
        child._index = part_of(child._index, selection.level or "study", selection.keys)
        return child

    @contextmanager
    def children(self) -> Iterator[Callable[[int], Child]]:
        """Yield a function from position to session; inside the block, whole series are read ahead."""
        selection = self._session._selection
        if self._level != "series" or selection.level == "instance" or selection.order is not None:
            yield self.child
            return
        pending = list(self.pending)
        ranks = {position: rank for rank, position in enumerate(pending)}
        keys = [self._children._keys[position] for position in pending]
        neighbours = Neighbours(self._session, keys, lambda rank: self.child(pending[rank]))
        try:
            yield lambda position: neighbours.child(ranks[position])
        finally:
            neighbours.leave()

    def parcel(self, positions: Sequence[int]) -> bytes:
        """Pickle objects for another process."""
        children = [self.child(position) for position in positions]
        keys = tuple(key for child in children for key in child._selection.keys)
        level = children[0]._selection.level or "study"
        rows, files = self._rows_of(level, keys), self._files_of(level, keys)
        if len(children) == 1:
            return pickle.dumps(Parcel(children[0], rows=rows, files=files))
        together = self._session.copy()
        together._selection = replace(self._session._selection, level=level, keys=keys)
        return pickle.dumps(Parcel(together, self._level, len(children), rows, files))

    def _rows_of(self, level: Level, keys: Sequence[str]) -> dict[Level, list[IndexRow]]:
        """Return the rows of some objects and what contains them; for studies also their series, if known."""
        rows: dict[Level, list[IndexRow]] = {}
        above: Level
        for above in ("series", "study"):
            if depth(above) <= depth(level):
                owners = dict.fromkeys(self._index.up(level, keys, above))
                rows[above] = [self._index.row(above, owner) for owner in owners]
        own: Level = "series" if level == "study" else level
        with suppress(NotKnownError), self._index.offline():
            inside = self._index.down(level, keys, own)
            self._index.load(own, inside)
            rows[own] = [self._index.row(own, key) for key in inside]
        return rows

    def _files_of(self, level: Level, keys: Sequence[str]) -> object | None:
        """Return what the source knows of the files of some objects, as far as that needs no request."""
        with suppress(NotKnownError), self._index.offline():
            return known_files(self._session._source, self._index.down(level, keys, "instance"))
        return None

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take the rows that a checkpoint has, except those with errors, and add further rows to it."""
        self._checkpoint = checkpoint
        known = {key.identifiers for key, row in checkpoint.rows.items() if row.error is None}
        left = []
        for position in self.pending:
            row = None
            if self._identifiers[position] in known and (key := self._key(position)) is not None:
                row = checkpoint.rows.get(key)
            if row is None or row.error is not None:
                left.append(position)
            else:
                self._rows[position], self._has_usable = row, True
        self.pending = left

    def _key(self, position: int) -> ObjectKey | None:
        """Return the key of an object in a checkpoint.

        None if its identifiers occur twice, or its contents are not known: the archive may have changed, or may not
        answer, which is no reason to end the run.
        """
        if self._identifiers[position] in self._repeated:
            return None
        try:
            instances = self.child(position)._selected_keys("instance")
        except OrthancError:
            return None
        return ObjectKey(self._identifiers[position], contents_of(instances))

    def finish(self, position: int, outcome: Outcome) -> None:
        """Record what became of an object.

        Raises
        ------
        Exception
            The error of the function, if the first error ends the run.
        SelectionError
            The function has only returned values that a row cannot hold so far; or the checkpoint cannot be written.
        OrthancError
            The source did not answer for several objects in a row.
        """
        outcome = self._shown_here(outcome)
        key = self._key(position) if self._checkpoint is not None else None
        with self._lock:
            if self._is_over:
                return
            self._rows[position] = outcome.row
            if self._checkpoint is not None and key is not None:
                self._checkpoint.add(key, outcome.row)
            self._lost = self._lost + 1 if outcome.is_lost else 0
            is_hopeless = self._lost == _MOST_LOST or (outcome.is_unusable and not self._has_usable)
            self._has_usable |= outcome.failure is None
        if outcome.failure is not None and (self._raises or is_hopeless):
            self._name_object(outcome.failure, position)
            raise outcome.failure

    def _shown_here(self, outcome: Outcome) -> Outcome:
        """Show what was printed and warned of in another process; a filter may turn a warning into an error."""
        if any(outcome.printed):
            with above_bars():
                for stream, printed in zip((sys.stdout, sys.stderr), outcome.printed, strict=True):
                    stream.write(printed)
        for warned in outcome.warned:
            try:
                with self._lock:
                    warnings.warn_explicit(*warned, registry=self._shown)
            except Warning as error:
                return outcome.failed_with(error)
        return outcome

    def _name_object(self, error: BaseException, position: int) -> None:
        identifiers = zip((IDENTIFIERS[level] for level in LEVELS), self._identifiers[position], strict=False)
        note = f"{name_of(self.function)} was called for " + ", ".join(f"{name} {value}" for name, value in identifiers)
        if sys.version_info >= (3, 11):
            error.add_note(note)

    def end(self) -> None:
        """Accept no further rows, and finish the checkpoint."""
        with self._lock:
            self._is_over = True
        if self._checkpoint is not None:
            self._checkpoint.close()

    def table(self) -> pd.DataFrame:
        """Return the rows so far; objects that were not computed are "not tried"."""
        return as_table(self._identifiers, self._rows, depth(self._level) + 1)


def _first(values: Sequence[Any]) -> str | None:
    value = values[0]
    return str(value[0]) if value else None
