"""The most that is believed of a file or an answer before it is refused, in one place.

The defaults are such that no honest archive meets them; what exceeds one is damaged, or meant to exhaust the memory of
this process. The error names the limit, and assigning to it raises it for the whole process::

    simple_orthanc.limits.json_bytes = 1 << 30

or for the time of a block::

    with simple_orthanc.limits.changed(json_bytes=1 << 30):
        session.table()

Limits are looked up when they are needed, in every thread.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from simple_orthanc.errors import SelectionError

json_bytes: int = 1 << 27
"""Bytes of one answer in JSON, decompressed. The answers to searches come in pages far below this."""

facts_bytes: int = 1 << 20
"""Bytes of what a server answers about itself when a session connects: what it is, and its last change."""

body_bytes: int = 1 << 32
"""Bytes of one answer, or of one part of it, that is read into memory: a file, a frame, a rendered image."""

parts: int = 1_000_000
"""Parts of one multipart answer, such as the frames of an object or the instances of a series."""

part_header_bytes: int = 1 << 16
"""Bytes of the header of one part of a multipart answer, and of what comes before the first and after the last."""

head_bytes: int = 1 << 20
"""Bytes of the head of one answer, and of the trailers after its body."""

head_seconds: float = 60.0
"""Seconds from the first byte of the head of an answer to its end."""

page_rows: int = 2_000_000
"""Rows of one answer in JSON that is a list, and numbers and strings in its lists beyond 1,000 for each list."""

json_memory: int = 3 << 29
"""Bytes of memory that the values of one answer in JSON may take, estimated before it is parsed."""

header_bytes: int = 1 << 27
"""Bytes of a DICOM file before its pixel data; half of it if they are deflated, since they are in memory twice."""

decompressed_bytes: int = 1 << 32
"""Bytes of one file after decompression, whether deflated or a member of a zip."""

expanded_bytes: int = 1 << 29
"""Bytes up to which a file, an answer, a member of a zip or the pixels of an object may decompress from however few;
what is larger must have `expansion`. Of a single frame an eighth of it."""

expansion: int = 200
"""Times its own size to which what is larger than `expanded_bytes` may decompress."""

nesting: int = 50
"""Levels of sequences inside each other in one dataset."""

elements: int = 1_000_000
"""Elements, items and delimiters of one file at all levels. A single dataset or item may have a tenth of so many."""

frames: int = 100_000
"""Frames of one object, and slices of one volume."""


def default(name: str) -> float:
    """Return the value that a limit has unless it is changed.

    Examples
    --------
    >>> default("nesting")
    50
    """
    return _DEFAULTS[name]


def advice(name: str) -> str:
    """Return the sentence of an error that names a limit, its value and how to raise it.

    Examples
    --------
    >>> advice("nesting")
    'The limit is simple_orthanc.limits.nesting = 50; assign a higher one if this is to be read.'
    """
    return (
        f"The limit is simple_orthanc.limits.{name} = {globals()[name]!r}; assign a higher one if this is to be read."
    )


@contextmanager
def changed(**values: float) -> Iterator[None]:
    """Change limits for the time of a block, in all threads of this process.

    Parameters
    ----------
    **values
        The new values by the names of the limits.

    Raises
    ------
    SelectionError
        If there is no such limit, or the value is not a number above 0.

    Examples
    --------
    >>> from simple_orthanc import limits
    >>> with limits.changed(nesting=400):
    ...     limits.nesting
    400
    >>> limits.nesting
    50
    """
    for name, value in values.items():
        _check(name, value)
    before = {name: globals()[name] for name in values}
    globals().update(values)
    try:
        yield
    finally:
        globals().update(before)


def _check(name: str, value: Any) -> None:
    if name not in _DEFAULTS:
        raise SelectionError(f"There is no limit {name!r}; the limits are {', '.join(_DEFAULTS)}.")
    kinds = (int, float) if isinstance(_DEFAULTS[name], float) else (int,)
    if isinstance(value, bool) or not isinstance(value, kinds) or not value > 0:
        wanted = "a number" if float in kinds else "a whole number"
        raise SelectionError(f"limits.{name} is {value!r}; give {wanted} above 0, such as the default {default(name)}.")


class _CheckedModule(ModuleType):
    """A module whose numbers are checked when they are assigned."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__"):
            _check(name, value)
        super().__setattr__(name, value)


_DEFAULTS: dict[str, float] = {name: globals()[name] for name in __annotations__ if not name.startswith("_")}
sys.modules[__name__].__class__ = _CheckedModule
