"""Read which files a DICOMDIR lists."""

from __future__ import annotations

import re
from typing import IO

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.files.parsing import parse_file

_IN_USE = "RecordInUseFlag"


def read_references(stream: IO[bytes]) -> tuple[str, ...]:
    """Read which files a DICOMDIR lists (PS3.3, section F.3.2.2): paths from its folder, with slashes.

    Raises
    ------
    ValueError
        It cannot be read.
    """
    try:
        with quiet():
            listing = parse_file(stream)
            records = elements.items(listing, "DirectoryRecordSequence")
            found = [_reference(record) for record in records if elements.texts(record, _IN_USE) != ["0"]]
    except Exception as error:  # pydicom may raise anything
        raise ValueError(f"it cannot be read: {error}") from None
    return tuple(dict.fromkeys(filter(None, found)))


def _reference(record: Dataset) -> str:
    # One component for each folder; some writers put a whole path into one.
    parts = elements.texts(record, "ReferencedFileID")
    return "/".join(part for text in parts for part in re.split(r"[/\\]", text) if part)
