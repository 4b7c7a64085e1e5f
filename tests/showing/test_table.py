"""Tables that stand for objects, in terminals and notebooks."""

from __future__ import annotations

from IPython.core.formatters import DisplayFormatter, PlainTextFormatter

from simple_orthanc.showing.table import MOST_ROWS, ShownAsTable, Table, listing_table
from tests.showing.test_html import Reader


class Shown(ShownAsTable):
    def __repr__(self) -> str:
        return "<one line>"

    def _shown(self) -> Table:
        return Table("title\x1b", ["<a>"], [["<script>"]], 1234, "note <b>")


def test_a_terminal_shows_text_and_python_one_line() -> None:
    data, _ = DisplayFormatter().format(Shown(), include=["text/plain"])
    assert data == {"text/plain": "title\\x1b\n<a>\n<script>\nand 1,234 more\nnote <b>"}
    assert repr(Shown()) == str(Shown()) == "<one line>"


def test_inside_of_a_list_it_is_one_line() -> None:
    assert PlainTextFormatter()([Shown()]) == "[<one line>]"


def test_a_notebook_shows_html() -> None:
    data, _ = DisplayFormatter().format(Shown(), include=["text/html"])
    reader = Reader(data["text/html"])
    assert all(text in reader.text for text in ("title\\x1b", "<a>", "<script>", "and 1,234 more", "note <b>"))
    assert "script" not in reader.tags


def test_what_was_not_listed_names_the_call() -> None:
    assert listing_table("Jobs", None, ["ID"], "jobs.table()").note == "Not listed yet: jobs.table() lists them."


def test_the_last_listing_is_shown_up_to_a_number_of_rows() -> None:
    table = listing_table("Jobs", [{"ID": number} for number in range(MOST_ROWS + 5)], ["ID", "State"], "jobs.table()")
    assert (len(table.rows), table.more, table.rows[0]) == (MOST_ROWS, 5, [0, None])
    assert listing_table("Jobs", [], ["ID"], "jobs.table()").note.startswith("none, as listed last")
