"""A session in words: counts, where it is, and all of it on one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.session.state import SessionState
from simple_orthanc.showing.text import safe

PLURALS: dict[Level, str] = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}


def counted(counts: Mapping[Level, int]) -> str:
    """Write counts in words.

    Examples
    --------
    >>> counted({"patient": 1, "study": 2, "series": 1200})
    '1 patient, 2 studies, 1,200 series'
    """
    words = [(counts[level], level) for level in LEVELS if level in counts]
    return ", ".join(f"{number:,} {level if number == 1 else PLURALS[level]}" for number, level in words)


def extent(counts: Mapping[Level, int], criteria: Sequence[str]) -> str:
    """Write how much is selected, "" if that is not known.

    Examples
    --------
    >>> extent({}, []), extent({}, ["Modality == 'CT'"]), extent({"series": 2}, [])
    ('the whole archive', '', '2 series')
    """
    return counted(counts) or ("" if criteria else "the whole archive")


def location(session: SessionState) -> str:
    """Return where a session's images are: a URL without a password, or a path."""
    return session._source.description


def session_text(kind: str, where: str, counts: Mapping[Level, int], criteria: Sequence[str]) -> str:
    """Write a session on one line.

    Examples
    --------
    >>> session_text("Orthanc", "http://127.0.0.1:8042", {"series": 3}, ["Modality == 'CT'"])
    "<Orthanc http://127.0.0.1:8042: 3 series, selected by Modality == 'CT'>"
    """
    parts = [extent(counts, criteria), f"selected by {' & '.join(criteria)}" if criteria else ""]
    parts = [part for part in parts if part]
    return safe(f"<{kind} {where}: {', '.join(parts)}>")
