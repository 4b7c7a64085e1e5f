"""The table of a map: one row for each object, whatever became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS
from simple_orthanc.session.mapping.calls import Row
from simple_orthanc.session.mapping.columns import result_columns
from simple_orthanc.session.mapping.results import ERROR, SECONDS

if TYPE_CHECKING:
    import pandas as pd


def as_table(
    identifiers: Sequence[Sequence[str | None]], rows: Sequence[Row | None], depth: int | None = None
) -> pd.DataFrame:
    """Return rows as a table: identifiers, results, error and seconds.

    Parameters
    ----------
    identifiers : sequence of sequence of str or None
        PatientID and UIDs of each object, from the patient down to its level.
    rows : sequence of Row or None
        None for an object that was not tried.
    depth : int, optional
        Number of identifiers of an object; needed if there are no rows.
    """
    import pandas as pd

    count = len(identifiers[0]) if identifiers else depth or 0
    columns: dict[str, pd.Series] = {}
    for position, level in enumerate(LEVELS[:count]):
        columns[IDENTIFIERS[level]] = pd.Series([each[position] for each in identifiers], dtype="string")
    columns.update(result_columns([None if row is None else row.values for row in rows]))
    columns[ERROR] = pd.Series(["not tried" if row is None else row.error for row in rows], dtype="string")
    columns[SECONDS] = pd.Series([None if row is None else row.seconds for row in rows], dtype="Float64")
    return pd.DataFrame(columns)
