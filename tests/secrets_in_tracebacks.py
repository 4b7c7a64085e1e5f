"""What a debugger or an error reporter finds in the frames of an error."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import simple_orthanc

PACKAGE = os.path.dirname(simple_orthanc.__file__)


def frames_of(error: BaseException) -> Iterator[FrameType]:
    """Yield the frames of the package in an error, and in the errors before it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        waiting += [current.__cause__, current.__context__]
        step = current.__traceback__
        while step is not None:
            if step.tb_frame.f_code.co_filename.startswith(PACKAGE):
                yield step.tb_frame
            step = step.tb_next


def shown(value: object, depth: int = 6) -> Iterator[str]:
    """Yield the representations of a value, of its items and of its attributes."""
    yield repr(value)
    if depth == 0 or isinstance(value, type):
        return
    parts: list[Any] = []
    if isinstance(value, Mapping):
        parts += [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set)):
        parts += list(value)
    if type(value).__module__.partition(".")[0] == "simple_orthanc":
        parts += list(getattr(value, "__dict__", {}).values())
    for part in parts:
        yield from shown(part, depth - 1)


def leaks(error: BaseException, *secrets: str) -> list[str]:
    """List the variables of the package's frames that show a secret, and the messages that do."""
    found = [f"message: {error}"] if any(secret in f"{error} {error!r}" for secret in secrets) else []
    for frame in frames_of(error):
        for name, value in frame.f_locals.items():
            if any(secret in text for text in shown(value) for secret in secrets):
                found.append(f"{frame.f_code.co_name}: {name}")
    return found
