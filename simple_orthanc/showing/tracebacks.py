"""What IPython and notebooks show of an error of this library: its message, the user's own line, and the causes.

IPython calls ``_render_traceback_`` of an exception that has it, in place of its own tracebacks. The short form stands
for IPython's default mode only: a traceback in a mode chosen with ``%xmode``, or for once with ``%tb Plain``, is
IPython's.
"""

from __future__ import annotations

import ast
import contextlib
import linecache
import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from simple_orthanc.showing.text import safe

# Frames in these files are not the user's own.
INNER = (os.path.dirname(os.path.dirname(__file__)) + os.sep, contextlib.__file__)
# A line that opens a connection or names a secret may hold it, and tracebacks end in logs and stored notebooks.
_MAY_HOLD_SECRET = re.compile(
    r"orthanc\s*\(|dicomweb\s*\(|passw|secret|token|auth|\bkey\s*=|://[^/\s]*@", re.IGNORECASE
)
_DEFAULT_MODE = "Context"
# A longer statement is shown by one line.
_MOST_LINES = 5
_HOW_TO_SEE_ALL = "%tb Plain shows the whole traceback."


def rendered(error: BaseException) -> list[str]:
    """Return the lines that IPython shows of an error.

    Parameters
    ----------
    error : BaseException
        One that was raised.

    Returns
    -------
    list of str
    """
    shell = _shell()
    if shell is not None and shell.InteractiveTB.mode != _DEFAULT_MODE:
        lines: list[str] = shell.InteractiveTB.structured_traceback(
            type(error), error, error.__traceback__, tb_offset=1
        )
        return lines
    lines = _message(error)
    frame = _own_frame(error.__traceback__)
    if frame is not None:
        lines += ["", *_line_of(frame, shell)]
    causes = [f"{how} {line}" for how, cause in _causes(error) for line in _message(cause)[:1]]
    return [*lines, *([""] if causes else []), *causes, "", _HOW_TO_SEE_ALL]


def _shell() -> Any:
    """Return the running shell of IPython; None outside of it."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None
    return get_ipython()


def _message(error: BaseException) -> list[str]:
    """Return the name and the message of an error, line by line, with nothing that could steer a terminal."""
    return [safe(line) for line in f"{type(error).__name__}: {error}".splitlines()]


def _own_frame(trace: TracebackType | None) -> TracebackType | None:
    """Return the last frame before the first of this package: where the user called it."""
    own = None
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith(INNER):
        own, trace = trace, trace.tb_next
    return own


def _line_of(trace: TracebackType, shell: Any) -> list[str]:
    """Return where the line of a frame is, and the statement in it."""
    path, number = trace.tb_frame.f_code.co_filename, trace.tb_lineno
    named = shell.compile.format_code_name(path) if shell is not None else None
    where = " ".join(named) if named else f"File {path}"
    lines = _statement(linecache.getlines(path, trace.tb_frame.f_globals), number)
    if any(map(_MAY_HOLD_SECRET.search, lines)):
        lines = []
    marked = [f"{'---->' if position == 0 else '     '} {line}" for position, line in enumerate(lines)]
    return [safe(f"{where}, line {number}"), *map(safe, marked)]


def _statement(source: Sequence[str], number: int) -> list[str]:
    """Return the few lines of the statement that a line is in, or the line alone."""
    first, last = number, number
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):
        around = [
            node
            for node in ast.walk(ast.parse("".join(source)))
            if isinstance(node, ast.stmt) and node.lineno <= number <= (node.end_lineno or 0)
        ]
        innermost = max(around, key=lambda node: node.lineno)
        if not hasattr(innermost, "body") and (innermost.end_lineno or 0) - innermost.lineno < _MOST_LINES:
            first, last = innermost.lineno, innermost.end_lineno or number
    return textwrap.dedent("".join(source[first - 1 : last])).splitlines()


def _causes(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """Yield what led to an error, with how it did, from the last to the first."""
    seen = {id(error)}
    while True:
        cause, how = error.__cause__, "Caused by"
        if cause is None and not error.__suppress_context__:
            cause, how = error.__context__, "Raised while handling"
        if cause is None or id(cause) in seen:
            return
        seen.add(id(cause))
        yield how, cause
        error = cause
