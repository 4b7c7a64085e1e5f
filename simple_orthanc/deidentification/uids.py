"""Which strings are UIDs, and which of them DICOM itself has assigned."""

from __future__ import annotations

import re

from pydicom.uid import UID

_UID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d*))+\Z", re.ASCII)
_LONGEST = 64
# Of six components at least, since versions of software have up to five.
_IN_TEXT = re.compile(r"(?<![\d.])(?:2\.25\.\d{8,39}|[0-2](?:\.\d{1,39}){5,40})(?!\d)", re.ASCII)


def is_uid(text: str) -> bool:
    """Check whether a string is a valid UID (DICOM PS3.5, section 9.1).

    Examples
    --------
    >>> is_uid("1.2.840.10008.1.2"), is_uid("1.02.3"), is_uid("Doe")
    (True, False, False)
    """
    return len(text) <= _LONGEST and bool(_UID.match(text))


def is_registered(uid: str) -> bool:
    """Check whether a UID is in the registry of DICOM (PS3.6, annex A), such as a well-known frame of reference.

    Its root alone tells nothing: anything can be written behind it.

    Examples
    --------
    >>> is_registered("1.2.840.10008.1.4.1.1"), is_registered("1.2.840.10008.19630517")
    (True, False)
    """
    return is_uid(uid) and UID(uid).name != uid


def without_uids(text: str) -> str:
    """Return a text without UIDs, except for those that DICOM itself has assigned; the text itself if it has none.

    Examples
    --------
    >>> without_uids("copy of 1.2.826.0.1.3680043.9.1, by version 1.2.3.4")
    'copy of , by version 1.2.3.4'
    """
    return _IN_TEXT.sub(lambda match: match[0] if is_registered(match[0]) else "", text)
