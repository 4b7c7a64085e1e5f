"""The table of the frames of a volume, which is made on first access.

Few callers read it, and making it takes a tenth of the time that a small volume takes; the first one imports pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FrameTable:
    """What the table of the frames of a volume is made from.

    Attributes
    ----------
    index : sequence of int
        The number of the slice of each row.
    columns : tuple of (str, sequence)
        Name of each column and its values.

    Examples
    --------
    >>> FrameTable([0, 1], (("frame", [1, 1]),)).made()["frame"].to_dict()
    {0: 1, 1: 1}
    """

    index: Sequence[int]
    columns: tuple[tuple[str, Sequence[Any]], ...]

    def with_column(self, name: str, values: Sequence[Any]) -> FrameTable:
        """Return the table with one more column."""
        return FrameTable(self.index, (*self.columns, (name, values)))

    def made(self) -> pd.DataFrame:
        """Return the table as a DataFrame."""
        import pandas as pd

        columns: dict[str, Any] = {name: list(values) for name, values in self.columns}
        return pd.DataFrame(columns, index=pd.Index(self.index, name="slice"))


class MadeWhenRead:
    """An attribute of a dataclass: a table or None. A `FrameTable` becomes a DataFrame when it is first read."""

    def __set_name__(self, owner: type, name: str) -> None:
        """Note the name of the attribute."""
        self._name = name

    def __get__(self, instance: object | None, owner: type | None = None) -> pd.DataFrame | None:
        """Return the table; for the class itself None, the default of the field."""
        if instance is None:
            return None
        table: Any = vars(instance)[self._name]
        if isinstance(table, FrameTable):
            # Two threads may both make it: one of the two is kept.
            table = vars(instance)[self._name] = table.made()
        return table  # type: ignore[no-any-return]

    def __set__(self, instance: object, table: pd.DataFrame | FrameTable | None) -> None:
        """Keep a table, or what it is made from: only the constructor does, since the dataclass is frozen."""
        vars(instance)[self._name] = table


MADE_WHEN_READ = MadeWhenRead()
"""For the attribute of one dataclass."""
