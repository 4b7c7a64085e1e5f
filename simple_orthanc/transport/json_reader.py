"""Reads JSON that a server sent, for both protocols.

The number of bytes is limited where they are read. Here is what few bytes could still do: nesting without end, numbers
whose digits take quadratic time, and millions of empty lists, each of which takes twenty times its bytes of memory.
"""

from __future__ import annotations

import json
from typing import Any

from simple_orthanc import limits

_WORTH_A_LOOK = 1 << 22
# DICOM JSON has at least 18 bytes for each list or object, Orthanc's answers more.
_FEWEST_BYTES = 6


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
    count = content.count(b"[") + content.count(b"{")
    return f"it consists of {count:,} nearly empty lists" if count * _FEWEST_BYTES > len(content) else ""
