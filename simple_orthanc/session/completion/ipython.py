"""Completion in IPython and Jupyter: a matcher of IPython's completer, which is registered where IPython runs."""

from __future__ import annotations

import sys
from typing import Any

# That of a matcher that is called with a context (IPython 8.6 and newer).
_MATCHER_API = 2
_IDENTIFIER = "simple_orthanc"


def offer_completions() -> None:
    """Register the matcher with the IPython that this program runs in, if there is one; only once."""
    # IPython is never imported here.
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython is not None else None
    matchers = getattr(getattr(shell, "Completer", None), "custom_matchers", None)
    if matchers is None or not hasattr(sys.modules.get("IPython.core.completer"), "SimpleMatcherResult"):
        # No IPython, or one before 8.6, whose matchers are called with a string.
        return
    if any(getattr(known, "matcher_identifier", "") == _IDENTIFIER for known in matchers):
        return
    matchers.append(Matcher(shell))


class Matcher:
    """A matcher of IPython's completer.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        Whose names are completed.
    """

    matcher_api_version = _MATCHER_API
    matcher_identifier = _IDENTIFIER
    matcher_priority = 0

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        # IPython expects a function, and reads its name.
        self.__qualname__ = _IDENTIFIER

    def __call__(self, context: Any) -> dict[str, Any]:
        """Return what may stand at the cursor.

        Parameters
        ----------
        context : IPython.core.completer.CompletionContext
            The code and the cursor in it.

        Returns
        -------
        dict
            An ``IPython.core.completer.SimpleMatcherResult``.
        """
        from IPython.core.completer import SimpleCompletion

        from simple_orthanc.session.completion.offers import complete

        lines = context.full_text.split("\n")[: context.cursor_line + 1]
        lines[-1] = lines[-1][: context.cursor_position]
        try:
            found = complete("\n".join(lines), self._shell.user_ns)
        except Exception:
            # IPython would print a traceback amid what the user writes.
            found = None
        if found is None:
            return {"completions": [], "suppress": False}
        return {
            "completions": [SimpleCompletion(text, type=kind) for text, kind in found.offers],
            "matched_fragment": found.typed,
            "ordered": True,
            "suppress": found.is_all,
        }
