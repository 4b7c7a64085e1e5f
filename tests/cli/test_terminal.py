"""What reaches a terminal, and how it is asked."""

from __future__ import annotations

import io
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.cli import terminal
from simple_orthanc.concurrency.progress import progress_is_shown
from simple_orthanc.errors import OrthancError


@given(st.text())
def test_a_message_is_one_line(text: str) -> None:
    assert len(terminal.one_line(text).splitlines()) <= 1


class Stream(io.TextIOWrapper):
    """A stream over memory, of a terminal or not."""

    def __init__(self, encoding: str, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._is_terminal = terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("encoding", "is_terminal", "written"),
    [
        ("ascii", False, "é山\n".encode()),
        ("ascii", True, "é山\n".encode()),
        ("latin-1", False, "é山\n".encode()),
        ("latin-1", True, b"\xe9\\u5c71\n"),
        ("utf-8", True, "é山\n".encode()),
    ],
)
def test_no_encoding_makes_a_character_fail(
    monkeypatch: pytest.MonkeyPatch, encoding: str, is_terminal: bool, written: bytes
) -> None:
    stream = Stream(encoding, is_terminal)
    monkeypatch.setattr(sys, "stdout", stream)
    terminal.prepare_streams()
    stream.write("é山\n")
    stream.flush()
    assert stream.buffer.getvalue() == written  # type: ignore[attr-defined]


def test_each_warning_is_printed_once_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.reporting(quiet=False, progress=True):
        for _ in range(3):
            warnings.warn("two\nlines\x1b[2J", stacklevel=1)
        warnings.warn("for programmers", DeprecationWarning, stacklevel=1)
        assert progress_is_shown()
    assert capsys.readouterr().err == "simple-orthanc: warning: two lines\\x1b[2J\n"
    with pytest.warns(UserWarning, match="as before"):
        warnings.warn("as before", stacklevel=1)


@pytest.mark.parametrize(("quiet", "progress"), [(True, True), (False, False)])
def test_quiet_and_no_progress(quiet: bool, progress: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.reporting(quiet, progress):
        warnings.warn("something", stacklevel=1)
        assert not progress_is_shown()
    assert ("something" in capsys.readouterr().err) is not quiet
    assert progress_is_shown()


def test_a_password_is_not_asked_for_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("secret\n"))
    monkeypatch.setattr(terminal, "_has_terminal", lambda: False)
    with pytest.raises(OrthancError, match="there is no terminal"):
        terminal.ask_secret("Password: ")
