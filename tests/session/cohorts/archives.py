"""Archives of every kind, in which cohorts are frozen and opened, offline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from pathlib import Path
from typing import TypeAlias

from pydicom.dataset import Dataset

from simple_orthanc.session import Session
from tests.memory_source import instance
from tests.sources import test_contract
from tests.sources.contract import Archive, make_archive

Opener: TypeAlias = Callable[[Sequence[Dataset], Path], AbstractContextManager[Archive]]

OPENERS: dict[str, Opener] = {
    "memory": test_contract.TestMemory.open_archive,
    "folder": test_contract.TestFolder.open_archive,
    "Orthanc": test_contract.TestOrthanc.open_archive,
    "old Orthanc": test_contract.TestOldOrthanc.open_archive,
    "DICOMweb": test_contract.TestDicomWeb.open_archive,
}

__all__ = ["OPENERS", "Opener", "changed", "instance", "make_archive", "session_on", "uids"]


def session_on(archive: Archive) -> Session:
    return Session(archive.source)


def uids(session: Session) -> list[str]:
    return [str(uid) for uid in session.get_dicom_tag("SOPInstanceUID", unique=False)]


def changed(dataset: Dataset, **tags: object) -> Dataset:
    """Return another object under the same identifiers, by default with other pixels alone."""
    other = deepcopy(dataset)
    for keyword, value in (tags or {"PixelData": b"\1" * 32}).items():
        setattr(other, keyword, value)
    return other
