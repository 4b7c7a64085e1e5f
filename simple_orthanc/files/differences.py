"""In which elements two DICOM files differ."""

from __future__ import annotations

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from simple_orthanc.dicom.silence import quiet
from simple_orthanc.files.parsing import parse_file

_MOST_LISTED = 5


def differing_elements(one: bytes, other: bytes) -> list[str]:
    """List the elements in which two files differ, by keyword or else by number, at most five.

    Examples
    --------
    >>> from simple_orthanc.phantom import as_bytes, make_series
    >>> one, other = (make_series((1, 4, 4), seed=1, PatientID=patient)[0] for patient in ("P1", "P2"))
    >>> differing_elements(as_bytes(one), as_bytes(other)), differing_elements(as_bytes(one), as_bytes(one))
    (['PatientID'], [])
    """
    with quiet():
        first, second = (parse_file(content) for content in (one, other))
        pairs: list[tuple[Dataset, Dataset]] = [(first, second)]
        if hasattr(first, "file_meta") and hasattr(second, "file_meta"):
            pairs.insert(0, (first.file_meta, second.file_meta))
        different = [
            keyword_for_tag(tag) or str(tag)
            for mine, theirs in pairs
            for tag in sorted({*mine.keys(), *theirs.keys()})
            if mine.get(tag) != theirs.get(tag)
        ]
    return different[:_MOST_LISTED]
