"""How a session looks in a notebook: text and HTML of plain data, escaped, without a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.session.state import SessionState

_PLURAL: dict[Level, str] = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}


def counted(counts: Mapping[Level, int]) -> str:
    """Write counts in words.

    Examples
    --------
    >>> counted({"patient": 1, "study": 2, "series": 1200})
    '1 patient, 2 studies, 1,200 series'
    """
    words = [(counts[level], level) for level in LEVELS if level in counts]
    return ", ".join(f"{number:,} {level if number == 1 else _PLURAL[level]}" for number, level in words)


def location(session: SessionState) -> str:
    """Return where a session's images are: a URL without a password, or a path."""
    return session._source.description


def session_text(kind: str, where: str, counts: Mapping[Level, int], criteria: Sequence[str]) -> str:
    """Write a session on one line.

    Examples
    --------
    >>> session_text("Orthanc", "http://127.0.0.1:8042", {"series": 3}, ["Modality == 'CT'"])
    "<Orthanc http://127.0.0.1:8042: 3 series, selected by Modality == 'CT'>"
    """
    parts = [counted(counts) or "the whole archive"]
    if criteria:
        parts.append(f"selected by {' & '.join(criteria)}")
    return f"<{kind} {where}: {', '.join(parts)}>"


def session_html(
    kind: str,
    where: str,
    counts: Mapping[Level, int],
    criteria: Sequence[str],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    more: int,
) -> str:
    """Write a session as HTML: counts, criteria and the first rows; every value is escaped."""
    lines = [f"<p><b>{escape(kind)}</b> {escape(where)}: {escape(counted(counts) or 'the whole archive')}</p>"]
    if criteria:
        lines.append("<ul>" + "".join(f"<li><code>{escape(text)}</code></li>" for text in criteria) + "</ul>")
    if rows:
        head = "".join(f"<th>{escape(name)}</th>" for name in header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        lines.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        if more:
            lines.append(f"<p>and {more:,} more</p>")
    return "<div>" + "".join(lines) + "</div>"
