"""The forms in which files and frames are asked for (PS3.18, sections 8.7.3 and 10.4)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from simple_orthanc.dicomweb.service import NOT_ACCEPTABLE, PERHAPS_NOT_ACCEPTABLE, checked_media_type
from simple_orthanc.errors import SelectionError

DICOM_TYPE = "application/dicom"
OCTETS = "application/octet-stream"
_SYNTAX = re.compile(r"\*\Z|[0-9]+(\.[0-9]+)*\Z")
# Servers differ in which forms they understand: that of the standard comes first, then shorter ones.
ANY_FILE = (
    f'multipart/related; type="{DICOM_TYPE}"; transfer-syntax=*',
    f'multipart/related; type="{DICOM_TYPE}"',
    f"{DICOM_TYPE}; transfer-syntax=*",
)
ANY_OCTETS = (
    f'multipart/related; type="{OCTETS}"; transfer-syntax=*',
    f'multipart/related; type="{OCTETS}"',
    OCTETS,
    "*/*",
)


def _syntaxes(given: Sequence[str]) -> list[str]:
    listed = [given] if isinstance(given, str) else list(given)
    if not listed or not all(_SYNTAX.match(str(syntax)) for syntax in listed):
        raise SelectionError(f'transfer_syntaxes is {listed!r}; give UIDs such as "1.2.840.10008.1.2.1", or "*".')
    return [str(syntax) for syntax in listed]


def file_types(transfer_syntaxes: Sequence[str]) -> list[str]:
    """List the media types to accept for whole files in any of some transfer syntaxes."""
    accepts: list[str] = []
    for syntax in _syntaxes(transfer_syntaxes):
        if syntax == "*":
            accepts += ANY_FILE
        else:
            accepts.append(f'multipart/related; type="{DICOM_TYPE}"; transfer-syntax={syntax}')
            accepts.append(f"{DICOM_TYPE}; transfer-syntax={syntax}")
    return accepts


def refusals(*alternatives: Sequence[str]) -> Sequence[int]:
    """List the statuses after which the next alternative is asked for."""
    several = any(not isinstance(given, str) and len(given) > 1 for given in alternatives)
    return PERHAPS_NOT_ACCEPTABLE if several else NOT_ACCEPTABLE


def frame_types(media_types: Sequence[str], transfer_syntaxes: Sequence[str]) -> list[str]:
    """List the media types to accept for frames, in the order in which they are asked for."""
    accepts: list[str] = []
    for media_type in [media_types] if isinstance(media_types, str) else media_types:
        checked_media_type(media_type)
        for syntax in _syntaxes(transfer_syntaxes):
            if syntax != "*":
                accepts.append(f'multipart/related; type="{media_type}"; transfer-syntax={syntax}')
            elif media_type == OCTETS:
                accepts += ANY_OCTETS
            else:
                accepts += [f'multipart/related; type="{media_type}"', media_type]
    if not accepts:
        raise SelectionError("media_types is empty; give at least one.")
    return accepts
