"""Folders of files, and what is found in them, for the tests of this package."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from simple_orthanc import Folder, Session, phantom
from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.sources.folder import files as folder_files
from simple_orthanc.sources.folder import processes as looking

DICOMDIR = get_testdata_file("DICOMDIR", download=False)


def write(top: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


def rows(folder: Folder) -> dict[str, tuple[str, str]]:
    """Return what became of each file: name (and member) to status and message."""
    found = {}
    source = folder._source
    for row in folder.files.itertuples():
        path = os.path.relpath(str(row.path), source._top).replace(os.sep, "/")  # type: ignore[attr-defined]
        found[path if pd.isna(row.member) else f"{path}!{row.member}"] = (str(row.status), str(row.message))
    return found


def statuses(folder: Folder) -> dict[str, str]:
    return {name: status for name, (status, _) in rows(folder).items()}


def counts(session: Session) -> list[int]:
    return [getattr(session, f"{level}_count") for level in LEVELS]


def opened_quietly(path: Path, **options: Any) -> Folder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Folder(path, **options)


def listing(*files: str) -> bytes:
    """Write a DICOMDIR that lists some files."""
    dataset = Dataset()
    dataset.FileSetID = "SET"
    records = []
    for name in files:
        record = Dataset()
        record.RecordInUseFlag = 0 if name.startswith("-") else 0xFFFF
        record.DirectoryRecordType = "IMAGE"
        with quiet():
            record.ReferencedFileID = name.removeprefix("-").split("/")
        records.append(record)
    dataset.DirectoryRecordSequence = Sequence(records)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.UID("1.2.840.10008.1.3.10")
    dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3")
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    stream = io.BytesIO()
    with quiet():
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def image() -> bytes:
    return phantom.as_bytes(phantom.make_series((1, 8, 8), seed=1)[0])


def answers(session: Session) -> list[Any]:
    """Return the answers of a session: counts, tables, and what each of its own values selects."""
    found: list[Any] = [counts(session)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for level in LEVELS:
            found.append(session.table(level=level).to_dict("list"))
            more = ("SliceThickness", "PixelSpacing", "AcquisitionDateTime", "ImageType", "PatientAge", "ProtocolName")
            found.append(session.table(*more, level=level, varying="list").to_dict("list"))
        for name in ("PatientName", "StudyDate", "SeriesNumber", "SeriesDescription", "SliceThickness", "ImageType"):
            values = session.get_dicom_tag(name)
            found.append((name, values))
            for value in values:
                selected = session.copy().select(**{name: value})
                found.append(selected.get_dicom_tag("SOPInstanceUID", unique=False, level="instance"))
                left = session.copy().exclude(**{name: value})
                found.append(left.get_dicom_tag("SOPInstanceUID", unique=False, level="instance"))
    return found


def zipfile_stored(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


ALL = ["a/1", "a/2.dcm", "a/3", "a/b/4", "c", "d", "e"]


class Reads:
    """Counts the files that are looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: list[str] = []
        look = looking.look
        # Otherwise what was written just now is read again.
        monkeypatch.setattr(folder_files, "SLOWEST_CLOCK", 0)
        monkeypatch.setattr(looking, "look", lambda *met: self.paths.append(met[1]) or look(*met))

    def take(self) -> list[str]:
        paths, self.paths = self.paths, []
        return sorted(path.replace(os.sep, "/") for path in paths)
