"""An overview of a session as lines of text, and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from simple_orthanc.session.display.overview import Overview, TagValues
from simple_orthanc.session.display.tree import Branch, lines
from simple_orthanc.session.display.words import extent
from simple_orthanc.showing import html
from simple_orthanc.showing.text import brief, safe

_ROOM = 32
# So many branches are shown unfolded.
_MOST_OPEN = 20


def overview_text(seen: Overview) -> str:
    """Write an overview for a terminal.

    Examples
    --------
    >>> values = [TagValues("KVP", (("120", 1),))]
    >>> print(overview_text(Overview("Folder", "/data", {"series": 1}, ["Modality == 'CT'"], values)))
    Folder /data
    1 series, selected by Modality == 'CT'
    KVP  120 (1)
    """
    selected = f"selected by {' & '.join(seen.criteria)}" if seen.criteria else ""
    amount = ", ".join(part for part in (extent(seen.counts, seen.criteria), selected) if part)
    written = [f"{seen.kind} {seen.where}", amount]
    parts = [*map(safe, written)]
    parts += _values_text(seen.values)
    if seen.branches:
        parts += ["", *lines(seen.branches)]
    return "\n".join([*parts, *map(safe, [*([seen.more] if seen.more else []), *seen.notes])])


def _values_text(values: Sequence[TagValues]) -> list[str]:
    if not values:
        return []
    width = max(len(each.tag) for each in values)
    return [f"{each.tag:<{width}}  {_in_words(each)}" for each in values]


def _in_words(values: TagValues) -> str:
    shown = [brief(value, _ROOM) + (f" ({number:,})" if number is not None else "") for value, number in values.values]
    return ", ".join([*shown, *values.remarks])


def overview_html(seen: Overview) -> str:
    """Write an overview for a notebook; every value is escaped."""
    amount = extent(seen.counts, seen.criteria)
    parts = [html.heading(seen.kind, seen.where), *([html.paragraph(escape(amount))] if amount else [])]
    if seen.criteria:
        parts.append(html.paragraph("selected by ", " and ".join(html.code(text) for text in seen.criteria)))
    if seen.values:
        rows = "".join(f"<tr><th>{escape(each.tag)}</th><td>{_values_html(each)}</td></tr>" for each in seen.values)
        parts.append(f"<table><tbody>{rows}</tbody></table>")
    if seen.branches:
        parts.append(_branches_html(seen.branches, seen.more, is_open=_size(seen.branches) <= _MOST_OPEN))
    return html.block(*parts, *map(html.note, seen.notes))


def _values_html(values: TagValues) -> str:
    shown = [
        html.value(value, _ROOM) + (f" <small>({number:,})</small>" if number is not None else "")
        for value, number in values.values
    ]
    return ", ".join([*shown, *(f"<small>{escape(remark)}</small>" for remark in values.remarks)])


def _size(branches: Sequence[Branch]) -> int:
    return sum(1 + _size(branch.children) for branch in branches)


def _branches_html(branches: Sequence[Branch], more: str, *, is_open: bool) -> str:
    """Write branches as a list; the first of each is unfolded, or all where there are few."""
    items = [_branch_html(branch, is_open=is_open, is_first=number == 0) for number, branch in enumerate(branches)]
    return html.listed([*items, *([f"<small>{html.value(more)}</small>"] if more else [])])


def _branch_html(branch: Branch, *, is_open: bool, is_first: bool) -> str:
    title = html.value(branch.title) + (f" <small>{html.value(branch.detail)}</small>" if branch.detail else "")
    if not branch.children and not branch.more:
        return title
    inside = _branches_html(branch.children, branch.more, is_open=is_open)
    return html.foldable(title, inside, is_open=is_open or is_first)
