"""Objects that notebooks and IPython show as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simple_orthanc.showing.text import columns, safe

# Rows of a table that is shown without being asked for.
MOST_ROWS = 20


class Shown:
    """What notebooks show as HTML and IPython as lines of text, but as one line inside of a list or the like."""

    def _as_text(self) -> str:
        """Return the lines of text."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # IPython prefers a __repr__ to a _repr_pretty_ that was inherited.
        return {"text/plain": self._as_text(), "text/html": self._repr_html_()}


@dataclass(frozen=True)
class Table:
    """Rows of values with what is to be said of them.

    Attributes
    ----------
    title : str
        What the rows are.
    header : sequence of str
        The names of the columns.
    rows : sequence of sequence
        The first rows.
    more : int
        How many there are beside them.
    note : str
        What is said below the rows.
    """

    title: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    more: int = 0
    note: str = ""

    def text(self) -> str:
        """Write the table for a terminal.

        Examples
        --------
        >>> print(Table("2 volumes", ["label"], [["head"]], more=1).text())
        2 volumes
        label
        head
        and 1 more
        """
        lines = [safe(self.title)]
        if self.rows:
            lines.append(columns(self.header, self.rows))
        return "\n".join([*lines, *map(safe, self._remarks())])

    def html(self) -> str:
        """Write the table for a notebook."""
        from simple_orthanc.showing import html

        rows = [html.table(self.header, self.rows)] if self.rows else []
        return html.block(html.heading(self.title), *rows, *map(html.note, self._remarks()))

    def _remarks(self) -> list[str]:
        return [remark for remark in (f"and {self.more:,} more" if self.more else "", self.note) if remark]


def listing_table(title: str, listed: Sequence[Mapping[str, Any]] | None, names: Sequence[str], call: str) -> Table:
    """Return a table of what was listed last, or with the call that lists it.

    Parameters
    ----------
    title : str
        What is listed.
    listed : sequence of mapping or None
        Name to value; None if nothing was listed yet.
    names : sequence of str
        The names that are shown.
    call : str
        The call that lists it anew.

    Examples
    --------
    >>> print(listing_table("Jobs", None, ["ID"], "orthanc.jobs.table()").text())
    Jobs
    Not listed yet: orthanc.jobs.table() lists them.
    >>> print(listing_table("Jobs", [{"ID": "1"}], ["ID", "State"], "orthanc.jobs.table()").text())
    Jobs
    ID  State
    1
    as listed last; orthanc.jobs.table() lists them anew
    """
    if listed is None:
        return Table(title, note=f"Not listed yet: {call} lists them.")
    rows = [[row.get(name) for name in names] for row in listed[:MOST_ROWS]]
    note = f"as listed last; {call} lists them anew" if listed else f"none, as listed last; {call} lists them anew"
    return Table(title, names, rows, len(listed) - len(rows), note)


class ShownAsTable(Shown):
    """What a notebook and IPython show as a table; elsewhere it is the one line of its ``repr``."""

    def _shown(self) -> Table:
        """Return the table, without a request."""
        raise NotImplementedError

    def _as_text(self) -> str:
        return self._shown().text()

    def _repr_html_(self) -> str:
        return self._shown().html()
