"""Blocks of HTML for notebooks: every value is escaped, and colours are those of the page.

A block can be read where a page removes its style, as GitHub and notebooks that are not trusted do: structure is in
``details``, lists and tables, which need neither style nor scripts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from simple_orthanc.showing.text import brief, safe

_CLASS = "simple-orthanc"
# The important ones replace stripes, alignment and bullets that JupyterLab gives to every table and list.
_STYLE = f"""<style>
.{_CLASS} {{ color: inherit; line-height: 1.45; overflow-x: auto }}
.{_CLASS} p {{ margin: 0.2em 0 }}
.{_CLASS} ul {{ margin: 0; padding-left: 1.4em; list-style: none !important }}
.{_CLASS} summary {{ cursor: pointer }}
.{_CLASS} summary:hover {{ text-decoration: underline; text-underline-offset: 0.2em }}
.{_CLASS} small {{ opacity: 0.7; font-size: inherit }}
.{_CLASS} code {{ background: none; color: inherit }}
.{_CLASS} table {{ border-collapse: collapse; margin: 0.4em 0; color: inherit }}
.{_CLASS} tr {{ background: none !important }}
.{_CLASS} th, .{_CLASS} td {{
  text-align: left !important; vertical-align: top; padding: 0.15em 1.2em 0.15em 0; white-space: pre-wrap;
  border: none; border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent)
}}
.{_CLASS} img {{ margin: 0.4em 0; max-width: 100% }}
</style>"""


def block(*parts: str) -> str:
    """Put parts into one block with its style."""
    return f'{_STYLE}<div class="{_CLASS}">{"".join(parts)}</div>'


def value(content: object, room: int = 60) -> str:
    """Write a value of an archive: one line, cut, and escaped.

    Examples
    --------
    >>> value("<script>"), value("x" * 10, 4)
    ('&lt;script&gt;', 'xxx…')
    """
    return escape(brief(content, room))


def paragraph(*parts: str) -> str:
    """Put parts that are HTML already into a paragraph."""
    return f"<p>{''.join(parts)}</p>"


def heading(kind: str, rest: str = "") -> str:
    """Write what a thing is, and after it what is known of it at a glance."""
    return paragraph(f"<b>{escape(safe(kind))}</b>", f" {escape(safe(rest))}" if rest else "")


def note(content: str) -> str:
    """Write a remark that stands back behind what it is about."""
    return paragraph(f"<small>{escape(safe(content))}</small>")


def code(content: str, room: int = 400) -> str:
    """Write an expression as code."""
    return f"<code>{value(content, room)}</code>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table; its cells are cut and escaped.

    Examples
    --------
    >>> table(["a"], [["<b>"]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{value(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{value(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def properties(pairs: Iterable[tuple[str, str]]) -> str:
    """Write names and values, one pair in a row.

    Examples
    --------
    >>> properties([("units", "HU")])
    '<table><tbody><tr><th>units</th><td>HU</td></tr></tbody></table>'
    """
    rows = "".join(f"<tr><th>{value(name)}</th><td>{value(content, 400)}</td></tr>" for name, content in pairs)
    return f"<table><tbody>{rows}</tbody></table>"


def listed(items: Iterable[str]) -> str:
    """Make a list of items that are HTML already."""
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def foldable(summary: str, content: str, *, is_open: bool = False) -> str:
    """Make a block that unfolds at a click, of parts that are HTML already.

    Examples
    --------
    >>> foldable("more", "<p>all of it</p>")
    '<details><summary>more</summary><p>all of it</p></details>'
    """
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>{content}</details>"
