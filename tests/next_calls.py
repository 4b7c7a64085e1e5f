"""The calls that an error message proposes, taken out of it and made, to see that they do what the message promises.

An error's way out is a call on the session: ``get_volume(gaps="nan")``, ``select(EchoTime=10.0)``,
``exclude(SOPInstanceUID="1.2.3")``. `assert_next_calls_work` makes each on a copy of the session.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import simple_orthanc
from simple_orthanc import InconsistentSlicesError, OrthancError, Session, Volume

_VERBS = (
    "select|exclude|reset|undo|get_volumes|get_volume|get_array|get_image|get_headers|get_header|get_instances|"
    "volume_table|explain|to_sitk"
)
_BEGINNING = re.compile(rf"(?<![\w.])(?:{_VERBS})\(")
_CHAINED = re.compile(r"\.\w+\(")
# What stands for something that the user has to fill in.
_TEMPLATE = re.compile(r"\.\.\.|\buid\b")


def proposed_calls(message: str) -> list[str]:
    """List the calls in a message, in their order, each once; those with ``...`` in them are left out.

    What is joined by "then" is one call after the other.

    Examples
    --------
    >>> proposed_calls('Use select(EchoTime=10.0) first, get_volumes(gaps="a)b").keys() or select(...).')
    ['select(EchoTime=10.0)', 'get_volumes(gaps="a)b").keys()']
    >>> proposed_calls('Leave it out with exclude(ImageType="ADC"), then get_volume(dims="b").')
    ['exclude(ImageType="ADC").get_volume(dims="b")']
    """
    calls = []
    position = 0
    while match := _BEGINNING.search(message, position):
        position = _end_of_call(message, match.end())
        while chained := _CHAINED.match(message, position):
            position = _end_of_call(message, chained.end())
        call = message[match.start() : position]
        if calls and message[: match.start()].endswith(f"{calls[-1]}, then "):
            call = f"{calls.pop()}.{call}"
        calls.append(call)
    return [call for call in dict.fromkeys(calls) if not _TEMPLATE.search(call)]


def _end_of_call(message: str, start: int) -> int:
    """Return the position behind the bracket that closes the one before `start`."""
    depth, quote = 1, ""
    for position in range(start, len(message)):
        character = message[position]
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth == 0:
                return position + 1
    raise AssertionError(f"A call in this message does not end: {message}")


def run_call(session: Session, call: str) -> Any:
    """Make a call on a copy of a session, with the public names of the library at hand."""
    names = {name: getattr(simple_orthanc, name) for name in ("tag", "exact", "like", "label", "metadata")}
    # What volumes do is proposed where there is a volume.
    target: Any = session.get_volume() if call.startswith("to_sitk") else session.copy()
    return eval(f"target.{call}", {**names, "target": target})


def assert_next_calls_work(session: Session, error: OrthancError, *, least: int = 1) -> list[str]:
    """Make every call that an error proposes, and check what comes out.

    A volume must be one; each of several volumes must be readable; what is narrowed must be less than before, hold
    something, and be a volume, or groups that are volumes; headers and tables must not be empty.

    Parameters
    ----------
    session : Session
        The one on which the error was raised.
    error : OrthancError
        The error.
    least : int
        How many calls it proposes at least.

    Returns
    -------
    list of str
        The calls that were made.
    """
    calls = proposed_calls(error.message)
    assert len(calls) >= least, f"{calls} are fewer than {least} calls in: {error.message}"
    with warnings.catch_warnings():
        # What a call leaves out on purpose it reports.
        warnings.filterwarnings("ignore", ".* cannot be read and (is|are) left out", UserWarning)
        for call in calls:
            _assert_useful(session, call, run_call(session, call))
    return calls


def _assert_useful(session: Session, call: str, outcome: Any) -> None:
    if isinstance(outcome, Session):
        assert 0 < outcome.instance_count < session.instance_count, f"{call} narrows nothing"
        _assert_readable(outcome, call)
    elif isinstance(outcome, Volume):
        assert outcome.array.size > 0
    elif isinstance(outcome, Mapping):
        _assert_volumes(outcome, call)
    else:
        # A list of headers or instances, a table, or an image of SimpleITK.
        assert len(outcome) > 0, f"{call} gives nothing"


def _assert_readable(narrowed: Session, call: str) -> None:
    """A narrowed session is a volume, or groups that the error names and that `get_volumes` reads."""
    groups: dict[str, int] | None = None
    try:
        narrowed.get_volume()
    except InconsistentSlicesError as error:
        groups = error.groups
    if groups is not None:
        assert groups, f"{call} leads to an error without groups"
        _assert_volumes(narrowed.get_volumes(), call)


def _assert_volumes(volumes: Mapping[str, Volume], call: str) -> None:
    assert len(volumes) > 0, f"{call} gives no volumes"
    for label in volumes:
        assert volumes[label].array.size > 0, f"{call}: {label}"
