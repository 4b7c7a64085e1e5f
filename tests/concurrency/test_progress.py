"""Progress bars: only where somebody looks, and only on what takes long."""

from __future__ import annotations

import io
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc.concurrency import progress
from simple_orthanc.concurrency.ahead import Ahead, Job, Sized
from simple_orthanc.concurrency.progress import progress_bar, progress_is_shown, show_progress
from simple_orthanc.concurrency.threads import map_ordered, run_all
from tests.terminal_stream import Terminal


@pytest.fixture(autouse=True)
def _no_notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    before = progress_is_shown()
    yield
    show_progress(before)


def written(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, late: bool, total: int | None) -> str:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "_SECONDS_BEFORE_PROGRESS", -1.0 if late else 60.0)
    results = map_ordered(lambda item: item, range(5), workers=2, total=total, label="reading headers")
    assert list(results) == [0, 1, 2, 3, 4]
    if total is not None:
        assert run_all(lambda item: item, range(5), workers=2, label="reading headers") == [0, 1, 2, 3, 4]
    return stream.getvalue()


def test_a_bar_appears_in_a_terminal_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = written(monkeypatch, terminal=True, late=True, total=5)
    assert shown.count("reading headers: ") >= 2
    assert "/5" in shown


@pytest.mark.parametrize(
    ("terminal", "late", "total", "shown"),
    [(False, True, 5, True), (True, False, 5, True), (True, True, None, True), (True, True, 5, False)],
)
def test_a_bar_appears_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, late: bool, total: int | None, shown: bool
) -> None:
    show_progress(shown)
    assert written(monkeypatch, terminal=terminal, late=late, total=total) == ""


def test_what_is_done_ahead_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> list[Sized[int]]:
        return [Sized(run_all(inner, range(3), workers=2, label="reading images")[1], 1)]

    def inner(number: int) -> int:
        return run_all(lambda each: each, range(number + 1), workers=2, label="reading headers")[-1]

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "_SECONDS_BEFORE_PROGRESS", -1.0)
    with Ahead((Job(1, work) for _ in range(4)), most=4, workers=2) as ahead:
        assert list(ahead) == [1] * 4
    assert stream.getvalue() == ""
    # Neither does what has no words.
    assert run_all(lambda each: each, range(3), workers=2) == [0, 1, 2]
    assert stream.getvalue() == ""
    assert work() == [Sized(1, 1)]
    assert "reading headers" in stream.getvalue()


def test_bars_of_several_threads_leave_the_filters_of_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import tqdm

    filters = list(warnings.filters)
    monkeypatch.setattr(sys, "stderr", Terminal())
    both = threading.Barrier(2)

    class Slow:
        def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
            if name == "tqdm.auto":
                time.sleep(0.05)

    def show() -> None:
        both.wait(10)
        with progress_bar(2, "reading"):
            pass

    monkeypatch.delitem(sys.modules, "tqdm.auto", raising=False)
    monkeypatch.delattr(tqdm, "auto", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Slow(), *sys.meta_path])
    threads = [threading.Thread(target=show) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert list(warnings.filters) == filters


def test_a_bar_appears_before_the_first_step_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = threading.Event()

    class Watched(Terminal):
        def write(self, text: str) -> int:
            if "anonymized" in text:
                shown.set()
            return super().write(text)

    monkeypatch.setattr(sys, "stderr", Watched())
    monkeypatch.setattr(progress, "_SECONDS_BEFORE_PROGRESS", 0.01)
    with progress_bar(2, "anonymized"):
        assert shown.wait(60)


def test_a_bar_goes_away_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "_SECONDS_BEFORE_PROGRESS", -1.0)
    with pytest.raises(ZeroDivisionError):
        list(map_ordered(lambda item: 1 // item, [2, 1, 0], workers=1, total=3, label="reading images"))
    assert "reading images" in stream.getvalue()
    assert stream.getvalue().endswith("\r")


def test_a_warning_stands_above_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_SECONDS_BEFORE_PROGRESS", -1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # Not the one of pytest.
        monkeypatch.setattr(warnings, "showwarning", shown := lambda message, *_: terminal.write(f"{message}\n"))
        with progress_bar(2, "reading") as advance:
            warnings.warn("one", stacklevel=1)
            with progress_bar(2, "finding"):
                warnings.warn("two", stacklevel=1)
            advance(1)
            warnings.warn("three", stacklevel=1)
        assert warnings.showwarning is shown
        warnings.warn("four", stacklevel=1)
    # Bars are taken away in any order, and the cursor may come from the one below.
    lines = terminal.getvalue().replace("\x1b[A", "\r").splitlines()
    assert [line for line in lines if line in ("one", "two", "three", "four")] == ["one", "two", "three", "four"]
    assert [line for line in lines if "reading" in line]


def test_a_warning_is_shown_where_others_have_changed_how(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(sys, "stderr", Terminal())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
        with progress_bar(2, "reading"):
            # A block of another thread, which ends later.
            during = warnings.catch_warnings()
            during.__enter__()
        during.__exit__(None, None, None)
        warnings.warn("between", stacklevel=1)
        with progress_bar(2, "reading"):
            warnings.warn("again", stacklevel=1)
    assert shown == ["between", "again"]


def test_bars_are_hidden_until_they_are_wanted_again() -> None:
    assert progress_is_shown()
    show_progress(False)
    assert not progress_is_shown()
    show_progress(True)
    assert progress_is_shown()
