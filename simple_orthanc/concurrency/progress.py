"""Progress bars on what takes more than a second, in terminals and notebooks only."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SECONDS_BEFORE_PROGRESS = 1.0
# One for the program, and not a context variable: a thread of the user's own would begin with the default again.
_is_shown = True


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
    if total is None or not _is_shown or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield lambda steps: None
        return
    with warnings.catch_warnings():
        # A notebook without ipywidgets gets a bar of text, which needs no warning.
        warnings.simplefilter("ignore")
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
        try:
            yield advance
        finally:
            timer.cancel()
