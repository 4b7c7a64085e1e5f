"""Values of many rows as typed columns of a table."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.session.mapping.results import RESULT, Value

if TYPE_CHECKING:
    import pandas as pd


def result_columns(rows: Sequence[Mapping[str, Value] | None]) -> dict[str, pd.Series[Any]]:
    """Return the results of many rows as typed columns.

    Parameters
    ----------
    rows : sequence of mapping or None
        Values by column for each row, as `results.plain_values` returns them; None for a row without a result.

    Returns
    -------
    dict
        Columns by name, in the order in which they first occur. If there are none, one column "result".

    Examples
    --------
    >>> columns = result_columns([{"mean": 1.5}, None, {"mean": 2, "slices": 40}])
    >>> [(name, str(column.dtype), column.tolist()) for name, column in columns.items()]
    [('mean', 'Float64', [1.5, <NA>, 2.0]), ('slices', 'Int64', [<NA>, <NA>, 40])]
    """
    names = dict.fromkeys(name for row in rows if row is not None for name in row) or {RESULT: None}
    return {name: typed_column([None if row is None else row.get(name) for row in rows]) for name in names}


def typed_column(values: Sequence[Value]) -> pd.Series[Any]:
    """Return values as a column of the type that holds them all.

    Integers are Int64, other numbers Float64, strings string, truth values boolean, dates datetime64, durations
    timedelta64, tuples and mixtures object. Numbers are object if Float64 would round an integer. Missing values are
    NA, and a column of missing values is Float64.
    """
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int}:
        return pd.Series(values, dtype="Int64")
    if kinds <= {int, float} and all(value is None or float(value) == value for value in values):
        return pd.Series([None if value is None else float(value) for value in values], dtype="Float64")
    if kinds == {str}:
        return pd.Series(values, dtype="string")
    if kinds == {datetime.datetime}:
        return pd.Series(np.array(values, dtype="datetime64[us]"))
    if kinds == {datetime.timedelta}:
        return pd.Series(np.array(values, dtype="timedelta64[us]"))
    content = np.empty(len(values), dtype=object)
    content[:] = [pd.NA if value is None else value for value in values]
    return pd.Series(content)
