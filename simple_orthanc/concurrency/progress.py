"""Progress bars on what takes more than a second, in terminals and notebooks only."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import tqdm

_SECONDS_BEFORE_PROGRESS = 1.0
# One for the program, and not a context variable: a thread of the user's own would begin with the default again.
_is_shown = True
_own = threading.local()
_importing = threading.Lock()
_bars: list[tqdm.std.tqdm[Any]] = []
_showing = threading.Lock()
# What shows warnings while there are no bars.
_show_warning: Callable[..., Any] = warnings.showwarning


def show_progress(shown: bool) -> None:
    """Show or hide the progress bars of calls that take more than a second, in terminals and notebooks.

    Parameters
    ----------
    shown : bool
        False: none, for all sessions of this program; True: as at the beginning.

    Examples
    --------
    >>> import simple_orthanc
    >>> simple_orthanc.show_progress(False)
    >>> simple_orthanc.show_progress(True)
    """
    global _is_shown
    _is_shown = shown


def progress_is_shown() -> bool:
    """Check whether progress bars are shown where somebody can see them."""
    return _is_shown


def is_in_background() -> bool:
    """Check whether this thread shows no bars."""
    return getattr(_own, "is_in_background", False)


@contextmanager
def in_background(hidden: bool = True) -> Iterator[None]:
    """Show no bars in a block, in this thread and the `Crew` that it starts: nobody waits for what is done there."""
    before = is_in_background()
    _own.is_in_background = hidden
    try:
        yield
    finally:
        _own.is_in_background = before


@contextmanager
def progress_bar(total: int | None, label: str) -> Iterator[Callable[[int], object]]:
    """Show a progress bar inside a ``with`` block.

    Parameters
    ----------
    total : int, optional
        Number of steps; None shows no bar.
    label : str
        The text before the bar.

    Yields
    ------
    callable
        Called with the number of further steps that are done, from any thread.
    """
    # Whether stderr is a terminal is checked last, since that is a system call.
    is_wanted = total is not None and _is_shown and not is_in_background()
    if not is_wanted or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield lambda steps: None
        return
    _import_quietly()
    from tqdm.auto import tqdm

    lock = threading.Lock()
    with tqdm(total=total, desc=label, leave=False, delay=_SECONDS_BEFORE_PROGRESS) as bar:

        def advance(steps: int) -> None:
            with lock:
                bar.update(steps)

        # Also where the first step takes long.
        timer = threading.Timer(_SECONDS_BEFORE_PROGRESS + 0.1, advance, (0,))
        timer.daemon = True
        timer.start()
        _add(bar)
        try:
            yield advance
        finally:
            _remove(bar)
            timer.cancel()


def _add(bar: tqdm.std.tqdm[Any]) -> None:
    """Add a bar; warnings are shown above it until it is removed."""
    global _show_warning
    with _showing:
        _bars.append(bar)
        # It is already there if a `catch_warnings` block that began beside an earlier bar has put it back.
        if warnings.showwarning is not _show_above:
            _show_warning, warnings.showwarning = warnings.showwarning, _show_above


def _remove(bar: tqdm.std.tqdm[Any]) -> None:
    with _showing:
        _bars.remove(bar)
        if not _bars and warnings.showwarning is _show_above:
            warnings.showwarning = _show_warning


def _show_above(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    with above_bars():
        _show_warning(message, category, filename, lineno, file, line)


@contextmanager
def above_bars() -> Iterator[None]:
    """Clear the bars while a block writes lines to stdout or stderr, and draw them again below these lines."""
    is_drawn = any(bar.last_print_t >= bar.start_t + _SECONDS_BEFORE_PROGRESS for bar in list(_bars))
    if not is_drawn:
        yield
        return
    from tqdm.auto import tqdm

    with tqdm.external_write_mode():
        yield


def _import_quietly() -> None:
    # Once: the filters of warnings are those of all threads, and two that change them at a time leave them changed.
    with _importing:
        if "tqdm.auto" not in sys.modules:
            with warnings.catch_warnings():
                # A notebook without ipywidgets gets a bar of text, which needs no warning.
                warnings.simplefilter("ignore")
                import tqdm.auto  # noqa: F401
