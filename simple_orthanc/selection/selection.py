"""What is selected, as plain immutable data: keys of rows, and the criteria that led to them.

`simple_orthanc.selection.resolving` makes selections, by asking an archive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.selection.conditions import Condition


@dataclass(frozen=True)
class Criterion:
    """One thing that was asked for.

    Attributes
    ----------
    condition : Condition
        What it means.
    tag : str
        The one tag that it is about, "" if it is about several.
    given : object
        The value as the user gave it, or the condition itself.
    settled : Condition, optional
        The condition with its strings decided, literal or wildcard, as far as that is known. A criterion that is
        applied again therefore keeps its meaning. None: never applied.
    """

    condition: Condition
    tag: str
    given: Any
    settled: Condition | None = None

    @property
    def meaning(self) -> Condition:
        """The condition, as far as its strings are decided."""
        return self.condition if self.settled is None else self.settled


@dataclass(frozen=True)
class Step:
    """How one criterion was decided.

    Attributes
    ----------
    criterion : str
        The condition as users read it.
    decided : str
        Where it was decided (by the server, from the index, in the files), and which strings were taken literally.
    requests : int
        How many requests that took.
    counts : dict
        How much was left at each level, where counting needs no request.
    emptied : bool
        Whether this criterion left nothing.
    hint : str
        What would have matched, where this criterion left nothing and that is known.
    note : str
        What else users should know of how it was decided.
    """

    criterion: str
    decided: str
    requests: int
    counts: dict[Level, int]
    emptied: bool = False
    hint: str = ""
    note: str = ""


@dataclass(frozen=True)
class Selection:
    """The objects selected.

    Attributes
    ----------
    level : str or None
        The deepest level at which a criterion was decided; whatever lies below its keys is selected too. None: the
        whole archive, of which nothing has been listed yet.
    keys : tuple of str
        Keys of rows of that level.
    criteria, steps : tuple
        What was asked, and how each criterion was decided.
    order : (Tag, bool), optional
        What instances are sorted by, and whether in descending order. None: the archive's own order.
    """

    level: Level | None = None
    keys: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    steps: tuple[Step, ...] = field(default=(), compare=False)
    order: tuple[Tag, bool] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left; False while nothing has been looked for."""
        return self.level is not None and not self.keys
