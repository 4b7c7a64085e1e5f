"""What became of each attribute in many objects: counts, and no values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from simple_orthanc.deidentification.engine import Change

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES = ("kept", "changed", "removed")
_ITEM = re.compile(r"\[\d+\]")

Counts = Mapping[tuple[int, str, str, str], int]
"""Tag, path without the numbers of items, code of the action, and outcome, to the number of elements."""


def count(changes: Iterable[Change]) -> Counts:
    """Count what became of the elements of one object.

    Examples
    --------
    >>> from simple_orthanc.deidentification.profile import Action
    >>> path = "RequestAttributesSequence[{}].StudyInstanceUID"
    >>> changes = [Change(path.format(item), 0x0020000D, Action.REPLACE_UID, "changed") for item in range(2)]
    >>> list(count(changes).items())
    [((2097165, 'RequestAttributesSequence.StudyInstanceUID', 'U', 'changed'), 2)]
    """
    return Counter((change.tag, _ITEM.sub("", change.path), change.action.value, change.outcome) for change in changes)


class Tally:
    """The counts of many objects.

    Examples
    --------
    >>> from simple_orthanc.deidentification.profile import Action
    >>> tally = Tally()
    >>> tally.add(count([Change("PatientBirthDate", 0x00100030, Action.EMPTY, "changed")]))
    >>> tally.table().to_dict("records")
    [{'tag': '0010,0030', 'path': 'PatientBirthDate', 'action': 'Z', 'kept': 0, 'changed': 1, 'removed': 0}]
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str, str, str]] = Counter()

    def add(self, counts: Counts) -> None:
        """Add the counts of an object."""
        self._counts.update(counts)

    def table(self) -> pd.DataFrame:
        """Return one row per attribute, path and action, in the order of tags."""
        import pandas as pd

        rows: dict[tuple[int, str, str], dict[str, int]] = {}
        for (tag, path, action, outcome), number in self._counts.items():
            rows.setdefault((tag, path, action), dict.fromkeys(OUTCOMES, 0))[outcome] += number
        keys = sorted(rows)
        columns: dict[str, list[str]] = {
            "tag": [f"{tag >> 16:04X},{tag & 0xFFFF:04X}" for tag, _, _ in keys],
            "path": [path for _, path, _ in keys],
            "action": [action for _, _, action in keys],
        }
        numbers = {name: [rows[key][name] for key in keys] for name in OUTCOMES}
        return pd.DataFrame({**columns, **numbers}).astype(
            {**dict.fromkeys(columns, "string"), **dict.fromkeys(numbers, "Int64")}
        )
