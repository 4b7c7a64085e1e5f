"""What every session holds: a source, what is known of it, and the one attribute of state, its selection."""

from __future__ import annotations

import pickle
import secrets
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from simple_orthanc.concurrency.interruption import for_at_most
from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.dicom.tags import NUMBER_VRS, Tag
from simple_orthanc.dicom.values import Value, comparable
from simple_orthanc.errors import EmptySelectionError, OrthancError, SelectionError, UnknownTagError, stacklevel
from simple_orthanc.session.offline import offline_note
from simple_orthanc.session.reading.kept_plans import KeptPlans

if TYPE_CHECKING:
    from typing_extensions import Self

    from simple_orthanc.selection.packing import PackedSelection
    from simple_orthanc.selection.selection import Criterion, Selection
    from simple_orthanc.selection.source import Source

_SECONDS_AFTER_INTERRUPTION = 0.3
# What was read of the archive, or is soon made again.
_NOT_PICKLED = frozenset({"_index", "_settled", "_history", "_landed_at", "_plans"})


class SessionState:
    """The state of a session, and what its verbs share.

    `Narrowing`, `Looking` and `Reading` add the verbs. A verb computes a new immutable selection and stores it;
    everything else is immutable, or a cache of what the source has answered.

    Parameters
    ----------
    source : Source
        The archive.
    """

    def __init__(self, source: Source) -> None:
        from simple_orthanc.selection.index import Index
        from simple_orthanc.selection.selection import Selection

        self._source = source
        self._index = Index(source)
        self._settled = Selection()
        # What a pickle has brought, until it is needed.
        self._packed: PackedSelection | None = None
        self._landed_at = 0.0
        self._history: tuple[Selection, ...] = ()
        self._plans = KeptPlans()

    @property
    def _selection(self) -> Selection:
        """What is selected; that of a pickle is looked for when it is first needed."""
        packed = self._packed
        if packed is not None:
            from simple_orthanc.selection.packing import unpack

            self._selection = unpack(self._index, packed, self._landed_at)
        return self._settled

    @_selection.setter
    def _selection(self, selection: Selection) -> None:
        self._settled, self._packed = selection, None

    @property
    def _asked(self) -> Selection:
        """The criteria, steps and order of what is selected; its keys may not be known."""
        packed = self._packed
        return self._settled if packed is None else packed.asked

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse to assign to names that are not properties."""
        if name.startswith("_") or isinstance(getattr(type(self), name, None), property):
            object.__setattr__(self, name, value)
            return
        raise UnknownTagError(
            f"A session has no attribute {name!r} to assign to. To narrow it, write select({name}={value!r}) or "
            f'selection = {{"{name}": {value!r}}}.'
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return where the archive is and what is selected, and nothing that was read: a few kilobytes.

        Raises
        ------
        SelectionError
            A criterion cannot be pickled.
        """
        from simple_orthanc.selection.source import part_name

        for criterion in self._asked.criteria:
            _check_picklable(criterion)
        state = {name: value for name, value in vars(self).items() if name not in _NOT_PICKLED}
        if self._packed is None and self._settled.level is None:
            state["_settled"] = self._settled
        elif self._packed is None:
            from simple_orthanc.selection.packing import pack

            state["_packed"] = pack(self._index, self._settled)
            if part_name(self._source):
                # Some verbs look at other series of the selected patients.
                part: Any = self._source
                state["_source"] = part.narrowed_to_patients_of(self._settled.level, self._settled.keys)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what was pickled, without a request."""
        from simple_orthanc.selection.index import Index
        from simple_orthanc.selection.selection import Selection

        packed: PackedSelection | None = state["_packed"]
        mark = None if packed is None else packed.mark
        index = Index(state["_source"], None if mark is None else mark.revision)
        own = {"_index": index, "_landed_at": time.monotonic(), "_history": (), "_plans": KeptPlans()}
        self.__dict__.update({"_settled": Selection(), **state, **own})

    def __dask_tokenize__(self) -> str:
        """Return another token each time: Dask is not to take an earlier result for that of an archive that changes."""
        return secrets.token_hex(16)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return an independent session; what was read of the archive is shared."""
        twin: Self = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def copy(self) -> Self:
        """Return an independent session with the same selection.

        Each session shows the archive as it was when it was listed. One that uploads or deletes looks again by itself;
        the others do after `refresh`.

        Examples
        --------
        >>> ct = archive.select(Modality="CT")
        >>> low_dose = ct.copy().select(SeriesDescription="*low dose")
        >>> ct.series_count, low_dose.series_count
        (4, 1)
        """
        twin: Self = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _history=())
        return twin

    __copy__ = copy

    def refresh(self) -> Self:
        """Bring what is known of the archive up to date, and apply the criteria of the selection again.

        What has not changed is not read again. Where the source can report what was added, only that is read; where
        something was deleted or replaced, the studies and series are listed again.

        Returns
        -------
        Session
            The session itself, so that calls chain.

        Examples
        --------
        >>> from simple_orthanc.testing import make_series
        >>> other = orthanc.copy().select(Modality="CT")
        >>> table = orthanc.upload_dataset(make_series((2, 8, 8), seed=7, PatientID="NEW"))
        >>> other.series_count, other.refresh().series_count
        (4, 5)
        """
        index, settled, packed = self._index, self._settled, self._packed
        try:
            self._index = index.updated()
            self._selection = self._resolve(self._everything(), self._asked.criteria)
        except BaseException:
            self._index, self._settled, self._packed = index, settled, packed
            raise
        # Earlier selections were resolved on an archive that may have changed.
        self._history = ()
        return self

    def _on(self, source: Source, order: tuple[Tag, bool] | None = None) -> Self:
        """Return a session of the same kind on another source, with nothing selected."""
        from simple_orthanc.selection.index import Index
        from simple_orthanc.selection.selection import Selection

        twin = self.copy()
        twin._source, twin._index = source, Index(source)
        twin._selection, twin._plans = Selection(order=order), KeptPlans()
        return twin

    def _check_has_files(self) -> None:
        """Refuse to copy from an archive that hands over no files; a session on such a one overrides this."""

    def _reread_after(self, error: BaseException) -> None:
        """Re-read the archive after an error; if that fails too, only forget what is known of it."""
        from simple_orthanc.selection.index import Index

        try:
            # Ctrl-C is not to wait for a server that is mute.
            with nullcontext() if isinstance(error, Exception) else for_at_most(_SECONDS_AFTER_INTERRUPTION):
                self._reread()
        except (OrthancError, KeyboardInterrupt):
            self._index = Index(self._source)

    def _reread(self) -> Self:
        """Refresh the session without warnings: that deleted objects are not found any more is no surprise."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return self.refresh()

    def close(self) -> None:
        """Close the connections; the session connects again if it is used again.

        Examples
        --------
        >>> archive.close()

        At the end of a block it is called by itself:

        >>> from simple_orthanc import Folder
        >>> with Folder.example() as session:
        ...     print(session.patient_count)
        6
        """
        self._source.close()

    def __enter__(self) -> Self:
        """Return the session itself, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def _assign(self, selection: Selection) -> Self:
        """Store a complete selection, so that an error or Ctrl-C before this point has changed nothing."""
        with nullcontext() if self._packed is None else suppress(SelectionError):
            # What a pickle has brought may not be there any more, and then is nothing to come back to.
            self._history = (*self._history, self._selection)
        self._selection = selection
        return self

    def _everything(self, *, in_order: bool = True) -> Selection:
        """Return the selection of all that the source holds, in the order of `sort_by` or without it."""
        from simple_orthanc.selection.selection import Selection

        return Selection(order=self._asked.order if in_order else None)

    def _count(self, level: Level) -> int:
        from simple_orthanc.selection import resolving

        return resolving.count(self._index, self._selection, level)

    def _selected_keys(self, level: Level) -> list[str]:
        """Return the keys of the selected objects of a level."""
        from simple_orthanc.selection import resolving

        return resolving.keys_at(self._index, self._selection, level)

    def _resolve(self, selection: Selection, criteria: Sequence[Criterion]) -> Selection:
        """Narrow a selection by criteria, with a warning where nothing is left."""
        from simple_orthanc.selection import resolving

        narrowed = resolving.narrow(self._index, selection, *criteria)
        for position, step in enumerate(narrowed.steps[len(selection.steps) :], len(selection.steps)):
            if step.emptied:
                among = "already selected" if selection.steps else "that the other criteria leave"
                among = f" among those {among}." if position else "."
                what = f"Nothing is selected any more: no object satisfies {step.criterion}{among}"
                notes = [what, step.hint, step.note, offline_note(self._source)]
                warnings.warn(" ".join(filter(None, notes)), stacklevel=stacklevel())
            elif step.note:
                warnings.warn(step.note, stacklevel=stacklevel())
        return narrowed

    def _instances(self) -> list[str]:
        """Return the keys of the selected instances, in the order of `sort_by`, or else in the usual order."""
        keys = self._index.ordered("instance", self._selected_keys("instance"))
        if self._selection.order is None:
            return keys
        tag, descending = self._selection.order
        ranks = [_rank(value, tag) for value in self._index.column(tag, "instance", keys)]
        present = [position for position in range(len(keys)) if ranks[position] is not None]
        present.sort(key=lambda position: ranks[position] or (), reverse=descending)
        missing = [key for key, rank in zip(keys, ranks, strict=True) if rank is None]
        return [keys[position] for position in present] + missing

    def _kept_plans(self) -> KeptPlans:
        """Return the plans that are kept for the selection."""
        plans = self._plans
        if not plans.is_of(self._selection, self._index):
            plans = self._plans = KeptPlans(self._selection, self._index)
        return plans

    def _nonempty(self) -> list[str]:
        """Return the keys of the selected instances, of which there is at least one."""
        keys = self._instances()
        if not keys:
            raise self._empty()
        return keys

    def _empty(self) -> EmptySelectionError:
        criteria = " & ".join(self._criteria_texts())
        note = offline_note(self._source)
        if not criteria:
            return EmptySelectionError(
                " ".join(filter(None, ["There is nothing to read: the archive is empty.", note]))
            )
        hints = [step.hint for step in self._selection.steps if step.emptied]
        advice = (
            "explain() shows where the selection became empty; undo() and reset() remove criteria; refresh() looks for "
            "what has arrived since the archive was listed."
        )
        return EmptySelectionError(
            " ".join(filter(None, [f"Nothing is selected by {criteria}.", *hints, advice, note]))
        )

    def _criteria_texts(self) -> list[str]:
        return [str(criterion.condition) for criterion in self._asked.criteria]

    def _place(self) -> str:
        """Return where the archive is, and which cohort of it this is."""
        from simple_orthanc.selection.source import part_name

        return ", ".join(filter(None, [self._source.description, part_name(self._source)]))

    def _known(self) -> tuple[dict[Level, list[str]], dict[Level, int]]:
        """Return what is selected, and how much that is at each level, as far as that needs no request."""
        from simple_orthanc.selection import resolving
        from simple_orthanc.selection.index import NotKnownError

        packed = self._packed
        if packed is not None:
            return {}, dict(packed.counts)
        plans = self._kept_plans()
        if plans.shown is not None:
            return plans.shown
        known: tuple[dict[Level, list[str]], dict[Level, int]] = {}, {}
        # What is shown waits for no thread that reads the archive.
        with suppress(NotKnownError), self._index.offline(wait=False):
            keys = resolving.known_keys(self._index, self._selection)
            known = keys, resolving.known_counts(self._index, self._selection, keys)
        if len(known[0]) == len(LEVELS) - 1 and len(known[1]) == len(LEVELS):
            plans.shown = known
        return known


def _check_picklable(criterion: Criterion) -> None:
    try:
        pickle.dumps(criterion)
    except Exception as error:
        raise SelectionError(
            f"This session cannot be pickled, because of its criterion {criterion.condition}: {error}. Another process "
            "finds a function by its name, so write it with def at the top of a module, and not as a lambda or inside "
            "another function; or write it with tag(...), as in tag('KVP') > 100."
        ) from error


def _rank(value: Value, tag: Tag) -> tuple[Any, ...] | None:
    """Return what to sort a value by, or None where it is missing or cannot be read by the tag's VR."""
    if value is None:
        return None
    if tag.vr in NUMBER_VRS | {"DA", "TM", "DT", "AS"}:
        parts = tuple(comparable(part, tag.vr) for part in value)
        return None if any(part is None for part in parts) else parts
    return tuple(str(part) for part in value)
