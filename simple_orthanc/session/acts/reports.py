"""What becomes of each object that a verb acts on: one row per object, and true at every moment.

How a verb walks its objects
----------------------------
1. **Plan.** `targets` refuses what must be refused before anything is changed (nothing is selected, the selection was
   never narrowed, whole objects would take more with them), and lists the objects as they are in the archive now. An
   object that is not there any more is "gone" from here on, which is no error.
2. **Dry run.** `ActReport.planned` is the table with "would be deleted" and the like. Nothing was sent that changes
   anything.
3. **Act.** `ActReport.walk` calls a function for one object after the other; a verb that acts on many objects with one
   request writes their outcomes by `ActReport.set`, inside `ActReport.attached`. What a server refuses is a row,
   "failed" with the reason, and the next object is tried.
4. **Verify.** The verb reads back what it did, and corrects by `ActReport.set` what is not as the server answered.
5. **Table.** `ActReport.table`.

If the server is gone for good, or Ctrl-C is pressed, the error carries the same table as ``.table``: what was done, for
the object in whose turn it happened that it may or may not have been, and "not tried" for all others. Calling the verb
again does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level, depth
from simple_orthanc.errors import OrthancError, ServerError, TransportError
from simple_orthanc.showing.text import agreeing

if TYPE_CHECKING:
    import pandas as pd


KEY_COLUMN = "orthanc_id"
# After so many lost answers in a row a server that still answers other requests is given up: each takes as long as the
# patience of the connection.
_MOST_LOST = 3
# What proxies answer for a server that is away.
_FROM_PROXIES = (502, 503, 504)


@dataclass(frozen=True)
class Target:
    """An object that a verb acts on.

    Attributes
    ----------
    level : str
        Its level.
    key : str
        The source's own key of it; on an Orthanc its id.
    identifiers : tuple
        PatientID, StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID, as deep as its level; None where missing.
    instances : tuple of str
        Keys of the instances that it holds, as far as the act touches them; of an instance its own.
    is_gone : bool
        Whether the archive does not hold it any more.
    """

    level: Level
    key: str
    identifiers: tuple[str | None, ...]
    instances: tuple[str, ...] = ()
    is_gone: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of an object.

    Attributes
    ----------
    status : str
        The past participle of the verb, "already there", "gone", "failed" or "not tried".
    message : str
        Why, where that is not what was asked for.
    values : mapping
        Values of the columns that only this verb has.
    error : OrthancError, optional
        The error behind a failure.
    """

    status: str
    message: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    error: OrthancError | None = None

    @classmethod
    def failure(cls, error: OrthancError) -> Outcome:
        """Make the outcome of an object that an error was about."""
        return cls("failed", error.message, error=error)


class ActReport:
    """The rows of an act, "not tried" at first.

    Parameters
    ----------
    targets : sequence of Target
        The objects, in the order of the rows.
    done : str
        The past participle of the verb, such as ``"deleted"``: the status of success.
    columns : sequence of str
        Names of further columns, in front of ``instance_count``. Those that end in ``_count`` hold integers, all others
        strings. "orthanc_id" is that of each object, whatever became of it.

    Examples
    --------
    >>> study = Target("study", "a key", ("P1", "1.2.3"), ("first", "second"))
    >>> report = ActReport([study], "deleted")
    >>> report.planned()[["level", "PatientID", "instance_count", "status"]].values.tolist()
    [['study', 'P1', 2, 'would be deleted']]
    >>> report.walk(lambda target: Outcome("deleted"), is_alive=lambda: True, label="deleting")
    >>> report.table().status.tolist()
    ['deleted']
    """

    def __init__(self, targets: Sequence[Target], done: str, columns: Sequence[str] = ()) -> None:
        self.targets = list(targets)
        self.done = done
        self._columns = tuple(columns)
        self._what_happened = "The server went away"
        self._outcomes: dict[tuple[Level, str], Outcome] = {
            _name(target): Outcome("gone", "not in the archive any more") for target in self.targets if target.is_gone
        }

    @property
    def pending(self) -> list[Target]:
        """The objects without an outcome, in the order of the rows."""
        return [target for target in self.targets if _name(target) not in self._outcomes]

    def outcome(self, target: Target) -> Outcome:
        """Return what is known to have become of an object."""
        return self._outcomes.get(_name(target), Outcome("not tried"))

    def set(self, target: Target, outcome: Outcome) -> None:
        """Write down what became of an object, in place of what was known before."""
        self._outcomes[_name(target)] = outcome

    def having(self, status: str) -> list[Target]:
        """List the objects of a status."""
        return [target for target in self.targets if self.outcome(target).status == status]

    @property
    def first_error(self) -> OrthancError | None:
        """The error behind the first failure, with the table as its ``.table``; None if nothing failed."""
        for target in self.having("failed"):
            outcome = self.outcome(target)
            error = outcome.error or OrthancError(outcome.message)
            vars(error)["table"] = self.table()
            return error
        return None

    # Acting

    def walk(self, act: Callable[[Target], Outcome], *, is_alive: Callable[[], bool], label: str) -> None:
        """Act on each pending object, one after the other.

        Parameters
        ----------
        act : callable
            Acts on one object. An error of the library that it raises is the outcome of that object.
        is_alive : callable
            Returns whether the server answers; called after an answer was lost.
        label : str
            The label of the progress bar, such as ``"deleting"``.

        Raises
        ------
        TransportError
            The server is gone, or three answers in a row were lost; ``.table`` reports on each object.
        KeyboardInterrupt
            With the same ``.table``.
        """
        pending, unknown, lost = self.pending, f"so it may or may not be {self.done}", 0
        with self.attached(), progress_bar(len(pending), label) as advance:
            for target in pending:
                self.attempt([target], partial(self._act, target, act), is_alive=is_alive, unknown=unknown)
                advance(1)
                error = self.outcome(target).error
                lost = lost + 1 if error is not None and is_unanswered(error) else 0
                if error is not None and lost == _MOST_LOST:
                    self._what_happened = f"{_MOST_LOST} answers in a row were lost"
                    raise _as_transport_error(error)

    def _act(self, target: Target, act: Callable[[Target], Outcome]) -> None:
        self.set(target, act(target))

    def attempt(
        self, targets: Sequence[Target], act: Callable[[], None], *, is_alive: Callable[[], bool], unknown: str
    ) -> None:
        """Act once on some objects; an error of the library is the outcome of all of them.

        Parameters
        ----------
        targets : sequence of Target
            The objects.
        act : callable
            Acts on them, and writes down what became of each.
        is_alive : callable
            Returns whether the server answers; called after an answer was lost.
        unknown : str
            What may have become of them if it is not known, as in "so it may or may not be deleted".

        Raises
        ------
        TransportError
            The server is gone.
        KeyboardInterrupt
            Ctrl-C was pressed.
        """
        try:
            act()
        except OrthancError as error:
            gone = _gone(error, is_alive)
            outcome = Outcome.failure(error)
            if gone is not None:
                outcome = Outcome("failed", f"the server went away meanwhile, {unknown}", error=gone)
            self._set_all(targets, outcome)
            if gone is not None:
                raise gone from None
        except BaseException:
            self._set_all(targets, Outcome("failed", f"interrupted, {unknown}"))
            raise

    def _set_all(self, targets: Sequence[Target], outcome: Outcome) -> None:
        for target in targets:
            self.set(target, outcome)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Attach the table, as ``.table``, to any error that leaves the block."""
        try:
            yield
        except BaseException as error:
            if isinstance(error, TransportError) and error.table is None and not error.is_about_object:
                error.args = (self._explained(error),)
            vars(error)["table"] = self.table()
            raise

    def _explained(self, error: TransportError) -> str:
        done = len(self.having(self.done))
        return (
            f"{self._what_happened}: {done} of {len(self.targets)} objects {agreeing(done, 'are')} known to be "
            f"{self.done}; .table lists which. Calling it again does the rest. {error.message}"
        )

    # The table

    def planned(self) -> pd.DataFrame:
        """Return the table of a dry run: what would be done with each object."""
        return self._frame(Outcome(f"would be {self.done}"))

    def table(self) -> pd.DataFrame:
        """Return the table: what is known to have become of each object."""
        return self._frame(Outcome("not tried"))

    def _frame(self, otherwise: Outcome) -> pd.DataFrame:
        import pandas as pd

        levels = LEVELS[: max((depth(target.level) for target in self.targets), default=0) + 1]
        outcomes = [self._outcomes.get(_name(target), otherwise) for target in self.targets]
        content: dict[str, list[Any]] = {"level": [target.level for target in self.targets]}
        for position, level in enumerate(levels):
            content[IDENTIFIERS[level]] = [
                target.identifiers[position] if position < len(target.identifiers) else None for target in self.targets
            ]
        for name in self._columns:
            content[name] = [outcome.values.get(name) for outcome in outcomes]
        if KEY_COLUMN in content:
            content[KEY_COLUMN] = [target.key for target in self.targets]
        content["instance_count"] = [len(target.instances) for target in self.targets]
        content["status"] = [outcome.status for outcome in outcomes]
        content["message"] = [outcome.message for outcome in outcomes]
        return pd.DataFrame(
            {
                name: pd.Series(values, dtype="Int64" if name.endswith("_count") else "string")
                for name, values in content.items()
            }
        )


def is_unanswered(error: OrthancError) -> bool:
    """Check whether an error leaves open if the server has done what it was asked.

    Examples
    --------
    >>> is_unanswered(ServerError("Bad Gateway", status=502)), is_unanswered(ServerError("Forbidden", status=403))
    (True, False)
    """
    if isinstance(error, TransportError):
        return not error.is_about_object
    return isinstance(error, ServerError) and error.status in _FROM_PROXIES


def _gone(error: OrthancError, is_alive: Callable[[], bool]) -> TransportError | None:
    """Return the error of a server that does not answer any more, None if it does."""
    if not is_unanswered(error) or is_alive():
        return None
    return _as_transport_error(error)


def _as_transport_error(error: OrthancError) -> TransportError:
    return error if isinstance(error, TransportError) else TransportError(error.message)


def _name(target: Target) -> tuple[Level, str]:
    return target.level, target.key
