"""What IPython shows of an error: the message, the user's own line, the causes, and how to see all of it."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from simple_orthanc.errors import OrthancError, SelectionError
from simple_orthanc.showing.tracebacks import rendered

ALL = "%tb Plain shows the whole traceback."


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    InteractiveShell.clear_instance()
    # Without a history, which would be a file that is written when this process ends.
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config, colors="nocolor")
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


def shown(shell: InteractiveShell, source: str) -> str:
    with capture_output() as captured:
        shell.run_cell(source, store_history=True)
    return str(captured.stdout)


def test_a_notebook_shows_the_message_and_the_users_line(shell: InteractiveShell) -> None:
    source = "from simple_orthanc import Folder\ndef mine():\n    return Folder('/nowhere')\nmine()"
    lines = shown(shell, source).splitlines()
    assert lines[0].startswith("SelectionError: /nowhere: no such folder")
    assert lines[1:] == ["", "Cell In[1], line 3", "----> return Folder('/nowhere')", "", ALL]


def test_the_whole_traceback_can_be_asked_for(shell: InteractiveShell) -> None:
    shown(shell, "from simple_orthanc import Folder\nFolder('/nowhere')")
    with capture_output() as captured:
        shell.run_line_magic("tb", "Plain")
    assert "sources/folder/source.py" in captured.stdout
    assert ALL not in captured.stdout


@pytest.mark.parametrize(("mode", "is_whole"), [("Plain", True), ("Verbose", True), ("Minimal", False)])
def test_a_mode_that_the_user_has_chosen_is_kept(shell: InteractiveShell, mode: str, is_whole: bool) -> None:
    with capture_output():
        shell.run_line_magic("xmode", mode)
    text = shown(shell, "from simple_orthanc import Folder\nFolder('/nowhere')")
    assert ("sources/folder/source.py" in text) == is_whole
    assert ALL not in text
    assert "SelectionError" in text


def test_of_causes_only_the_first_line_is_shown() -> None:
    inner, cause, error = KeyError("inner"), ValueError("cause\nmore of it"), OrthancError("message")
    cause.__context__, error.__cause__ = inner, cause
    lines = rendered(error)
    assert lines[0] == "OrthancError: message"
    assert lines[-4:] == ["Caused by ValueError: cause", "Raised while handling KeyError: 'inner'", "", ALL]


def test_a_cause_that_was_suppressed_stays_so() -> None:
    error = OrthancError("message")
    error.__context__ = KeyError("secret")
    assert "secret" in "\n".join(rendered(error))
    error.__suppress_context__ = True
    assert "secret" not in "\n".join(rendered(error))


def test_causes_in_a_circle_end() -> None:
    first, second = OrthancError("first"), OrthancError("second")
    first.__cause__, second.__cause__ = second, first
    assert rendered(first) == ["OrthancError: first", "", "Caused by OrthancError: second", "", ALL]


def test_nothing_in_a_message_steers_a_terminal() -> None:
    assert rendered(SelectionError("a\x1b[2Jb\nnext"))[:2] == ["SelectionError: a\\x1b[2Jb", "next"]


def test_with_blocks_of_the_library_are_not_the_users_line() -> None:
    @contextlib.contextmanager
    def opened() -> Iterator[None]:
        raise OrthancError("message")
        yield

    with pytest.raises(OrthancError) as caught, opened():
        pass
    lines = rendered(caught.value)
    assert lines[2].startswith(f"File {__file__}, line ")
    assert lines[3] == "----> with pytest.raises(OrthancError) as caught, opened():"


def test_an_error_that_was_never_raised_is_its_message() -> None:
    assert rendered(OrthancError("message")) == ["OrthancError: message", "", ALL]


def test_a_statement_of_a_few_lines_is_shown_whole(shell: InteractiveShell) -> None:
    source = "from simple_orthanc import Folder\nif 1:\n    scans = (\n        Folder('/nowhere')\n        .select())"
    assert shown(shell, source).splitlines()[2:] == [
        "Cell In[1], line 4",
        "----> scans = (",
        "          Folder('/nowhere')",
        "          .select())",
        "",
        ALL,
    ]
    many = "from simple_orthanc import Folder\n[\n" + "0,\n" * 9 + "Folder('/nowhere')]"
    assert shown(shell, many).splitlines()[3:] == ["----> Folder('/nowhere')]", "", ALL]


def test_source_that_cannot_be_parsed_or_read_is_no_obstacle(shell: InteractiveShell) -> None:
    text = shown(shell, "from simple_orthanc import Folder\nasync def wait(): pass\nawait wait()\nFolder('/nowhere')")
    assert "----> Folder('/nowhere')" in text
    text = shown(shell, "exec(compile('import simple_orthanc as s\\ns.Folder(1)', 'nowhere.py', 'exec'))")
    assert "File nowhere.py, line 2\n\n" in text


@pytest.mark.parametrize(
    "call",
    [
        "Orthanc('127.0.0.1', 8042, 'jane', 'wonderland')",
        "simple_orthanc.DicomWeb(url, 'jane', 'wonderland')",
        "orthanc.peers.configure('far', url=url, Password='wonderland')",
        "folder.deidentify('shared', key='wonderland')",
        "fetch('http://jane:wonderland@host/')",
    ],
)
def test_a_line_that_may_hold_a_secret_is_only_named(shell: InteractiveShell, call: str) -> None:
    shown(shell, "from simple_orthanc.errors import OrthancError")
    assert "----> raise" in shown(shell, "raise OrthancError('message')  # get_volume(dims='b')")
    text = shown(shell, f"raise OrthancError('message')  # {call}")
    assert text.splitlines() == ["OrthancError: message", "", "Cell In[3], line 1", "", ALL]
