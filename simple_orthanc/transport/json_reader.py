"""Reads JSON that a server sent, for both protocols.

The number of bytes is limited where they are read. Here is what few bytes could still do: nesting without end, numbers
whose digits take quadratic time, and millions of short values, which take up to 26 times their bytes of memory. So the
memory is estimated first, from the marks between the values.
"""

from __future__ import annotations

import json
from typing import Any

from simple_orthanc import limits

_WORTH_A_LOOK = 1 << 22
# DICOM JSON has at least 18 bytes for each list or object, Orthanc's answers more.
_FEWEST_BYTES = 6

# Contours are honest lists of millions of numbers, but each has some lists and objects of its own.
_PLAIN_PER_LIST = 1000

_BLOCK = 1 << 20
# Bytes of memory for each of the marks, by measurement. With a comma comes a value and its place in a list, with a
# quote half of a string, with a colon an entry of an object.
_MEMORY = {b",": 42, b'"': 14, b":": 40, b"[": 80, b"{": 160}
_UNMARKED = bytes(set(range(256)) - set(b"".join(_MEMORY)))


class UnreadableJsonError(ValueError):
    """The content is not JSON, or nothing that should be made into objects; the message is the reason."""


def read_json(content: bytes) -> Any:
    """Parse JSON.

    Raises
    ------
    UnreadableJsonError
        With the reason. It repeats nothing of the content.

    Examples
    --------
    >>> read_json(b'{"Version": "1.12.7"}')
    {'Version': '1.12.7'}
    """
    reason = _suspicion(content)
    if not reason:
        try:
            value = json.loads(content)
        except RecursionError:
            reason = "it is nested too deeply"
        except json.JSONDecodeError:
            reason = "it is not JSON"
        except UnicodeDecodeError:
            reason = "it is not in UTF-8"
        except ValueError:
            # Python refuses to convert more than 4,300 digits.
            reason = "it contains a number of thousands of digits"
        else:
            if not isinstance(value, list) or len(value) <= limits.page_rows:
                return value
            reason = f"it is a list of {len(value):,} rows. {limits.advice('page_rows')}"
    # Raised outside of the except block, so that no foreign error, which repeats the content, becomes its context.
    raise UnreadableJsonError(reason)


def _suspicion(content: bytes) -> str:
    if len(content) < _WORTH_A_LOOK:
        return ""
    counts = _marks(content)
    count = counts[b"["] + counts[b"{"]
    if count * _FEWEST_BYTES > len(content):
        return f"it consists of {count:,} nearly empty lists"
    # Each object and each list but the outermost is one value of another, and the value after a colon is in no list.
    plain = counts[b","] + 2 - counts[b":"] - count
    if plain - _PLAIN_PER_LIST * count > limits.page_rows:
        return f"its lists hold at least {plain:,} plain values. {limits.advice('page_rows')}"
    memory = sum(size * counts[mark] for mark, size in _MEMORY.items())
    if memory > limits.json_memory:
        return f"it would take about {memory:,} bytes of memory. {limits.advice('json_memory')}"
    return ""


def _marks(content: bytes) -> dict[bytes, int]:
    """Count the marks; to delete all else first is quicker than to look for each of them in the whole."""
    counts = dict.fromkeys(_MEMORY, 0)
    for start in range(0, len(content), _BLOCK):
        marks = content[start : start + _BLOCK].translate(None, _UNMARKED)
        for mark in counts:
            counts[mark] += marks.count(mark)
    return counts
