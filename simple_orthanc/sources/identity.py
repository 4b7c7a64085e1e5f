"""Whether an object that arrived is the one that was asked for.

A proxy or cache may return another object's response, and nothing in the transfer shows it. So the identifiers inside
of what arrived are compared with those that were asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import IO, NamedTuple

from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from simple_orthanc.dicom.header import tag_of, texts
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import TransportError
from simple_orthanc.files.inflating import readable
from simple_orthanc.files.tag_reader import read_tags

KEYWORDS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

_TAGS = tuple(parse_tag(keyword) for keyword in KEYWORDS)
_LAST = tag_of("SeriesInstanceUID")


class Identity(NamedTuple):
    """The identifiers of an instance; "" if one is missing or not known."""

    patient: str
    study: str
    series: str
    instance: str

    def differences(self, arrived: Identity) -> list[str]:
        """List the keywords of the identifiers that are known here and differ in what arrived.

        PatientIDs are compared only if both are ASCII: servers differ in how they decode others.

        Examples
        --------
        >>> Identity("P1", "1", "1.2", "1.2.3").differences(Identity("P2", "1", "1.2", "1.2.4"))
        ['PatientID', 'SOPInstanceUID']
        >>> Identity("", "1", "1.2", "1.2.3").differences(Identity("P2", "1", "1.2", "1.2.3"))
        []
        """
        return [
            keyword
            for keyword, asked, found in zip(KEYWORDS, self, arrived, strict=True)
            if _bare(asked) and _bare(asked) != _bare(found) and (keyword != "PatientID" or (asked + found).isascii())
        ]


def is_another_patient(one: str, other: str) -> bool:
    """Check whether two PatientIDs are those of two patients.

    Spaces around them do not count (PS3.5 section 6.2, LO), case does, and a missing PatientID is another one. If they
    are not both ASCII it is not known, since servers differ in how they decode others.

    Examples
    --------
    >>> is_another_patient("P1", " P1 "), is_another_patient("P1", "p1"), is_another_patient("P1", "")
    (False, True, True)
    """
    return (one + other).isascii() and _bare(one) != _bare(other)


def _bare(value: str) -> str:
    """Remove padding and empty values, which readers treat differently."""
    return "\\".join(filter(None, (part.strip() for part in value.split("\\"))))


def identity_of(header: Dataset) -> Identity:
    """Read the identifiers of a header."""
    return Identity(*("\\".join(texts(header, keyword)) for keyword in KEYWORDS))


def identity_in(stream: IO[bytes], size: int) -> Identity:
    """Read the identifiers of a DICOM file; all are "" if it is not one.

    Parameters
    ----------
    stream : binary file
        Open for reading, with ``seek``.
    size : int
        The length of the file in bytes.
    """
    try:
        values = read_tags(stream, size, _TAGS)
    except Exception:  # Damage after the identifiers does not matter here; whatever pydicom cannot read has none.
        try:
            with quiet():
                return identity_of(read_partial(readable(stream), _is_after_identifiers, force=True))  # type: ignore[arg-type]
        except Exception:
            return Identity("", "", "", "")
    return Identity(*("\\".join(map(str, values.get(keyword) or ())) for keyword in KEYWORDS))


def _is_after_identifiers(tag: BaseTag, vr: str | None, length: int) -> bool:
    return bool(tag > _LAST)


def orthanc_id(identity: Sequence[str]) -> str:
    """Compute the id of an object in Orthanc: the SHA-1 of its identifiers, from the patient down to it.

    Examples
    --------
    >>> orthanc_id(Identity("P1", "1.2", "1.2.3", "1.2.3.4"))
    'f2113294-223ca5eb-ca95fa8d-c8d89617-124017e7'
    """
    digest = hashlib.sha1("|".join(identity).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, len(digest), 8))


def another_object(source: str, asked: Identity, arrived: Identity) -> TransportError:
    """Make the error for an object that is not the one that was asked for."""
    keyword, value = next(pair for pair in zip(KEYWORDS[::-1], asked[::-1], strict=True) if pair[1])
    if any(arrived):
        different = asked.differences(arrived)
        found = "another object: " + ", ".join(
            f"{name} {came!r} instead of {wanted!r}"
            for name, came, wanted in zip(KEYWORDS, arrived, asked, strict=True)
            if name in different
        )
    else:
        found = "something without the identifiers of a DICOM object"
    return TransportError(
        f"{source} was asked for {keyword} {value}, and returned {found}. Nothing of it was kept. If the "
        "archive changed, refresh() the session; if not, a cache or proxy on the way mixes up responses: clear it, or "
        "reach the server without it.",
        is_about_object=True,
    )
