"""The library under test, as a user calls it: each function is one job on a session of its own."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from benchmarks.images import PATIENT, Images
from simple_orthanc import Folder, Orthanc

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

FIVE_COLUMNS = ("PatientName", "PatientID", "StudyDate", "SeriesDescription", "Modality")


def volume(url: str, images: Images, **options: Any) -> NDArray[np.generic]:
    """Read a series in one line."""
    with Orthanc(url) as orthanc:
        return orthanc.select(PatientName=PATIENT, SeriesDescription=images.description).get_array(**options)


def headers(url: str, images: Images) -> list[Dataset]:
    """Read the headers of a series."""
    with Orthanc(url) as orthanc:
        return orthanc.select(PatientName=PATIENT, SeriesDescription=images.description).get_headers()


def upload(url: str, folder: Path) -> pd.DataFrame:
    """Upload a folder."""
    with Orthanc(url) as orthanc:
        return orthanc.upload_folder(folder)


def column(url: str) -> list[Any]:
    """Return the descriptions of all series."""
    with Orthanc(url) as orthanc:
        return orthanc.SeriesDescriptions


def table(url: str) -> pd.DataFrame:
    """Make a table of all series from tags of three levels."""
    with Orthanc(url) as orthanc:
        return orthanc.table(*FIVE_COLUMNS)


def kvp(url: str) -> list[Any]:
    """Return the KVP of every instance."""
    with Orthanc(url) as orthanc, warnings.catch_warnings():
        # It announces how many files must be read.
        warnings.simplefilter("ignore", UserWarning)
        return orthanc.get_dicom_tag("KVP", unique=False, level="instance")


def one_patient(url: str, name: str) -> tuple[int, int, int, int]:
    """Select a patient by name, and count at four levels."""
    with Orthanc(url) as orthanc:
        orthanc.select(PatientName=name)
        return orthanc.patient_count, orthanc.study_count, orthanc.series_count, orthanc.instance_count


def browse(url: str, name: str) -> tuple[int, int]:
    """Connect, count, select one patient and make its table: what must not grow with the archive."""
    with Orthanc(url) as orthanc:
        counts = orthanc.patient_count, orthanc.study_count, orthanc.series_count, orthanc.instance_count
        return counts[3], len(orthanc.select(PatientName=name).table())


def folder_table(folder: Path) -> pd.DataFrame:
    """Make the first table of a folder of which nothing is known before."""
    with Folder(folder, cache=False) as session:
        return session.table()
