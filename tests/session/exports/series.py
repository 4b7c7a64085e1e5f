"""Archives of small images, in memory and in folders, that exports are tested with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pydicom.dataset import Dataset

from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.session import Session
from tests.memory_source import MemorySource

Shape: TypeAlias = "tuple[int, int, int]"


def one_series(number: int = 1, *, patient: str = "P1", shape: Shape = (3, 4, 5), **tags: Any) -> list[Dataset]:
    """Make a series of a patient, in the study of that patient."""
    study = f"1.2.{ord(patient[-1:] or '?')}"
    given = {"PatientID": patient, "StudyInstanceUID": study, "StudyDate": "20200131", "SeriesNumber": number}
    given |= {"SeriesInstanceUID": f"1.2.3.{number}", "SeriesDescription": f"series {number}"}
    return make_series(shape, seed=number, **{"modality": "MR", "SpecificCharacterSet": "ISO_IR 192", **given, **tags})


def in_memory(*series: Sequence[Dataset]) -> Session:
    return Session(MemorySource([dataset for datasets in series for dataset in datasets]))


def written(folder: Path, *series: Sequence[Dataset]) -> Path:
    folder.mkdir()
    datasets = [dataset for datasets in series for dataset in datasets]
    for number, dataset in enumerate(datasets):
        (folder / f"{number}.dcm").write_bytes(as_bytes(dataset))
    return folder


def fifty_series() -> list[list[Dataset]]:
    return [one_series(number, patient=f"P{number % 5}", shape=(2, 4, 4)) for number in range(1, 51)]


def dwi(number: int = 7, **tags: Any) -> list[Dataset]:
    """Make a diffusion series of two b-values with a gradient direction."""
    images: list[Dataset] = []
    for step, (b, vector) in enumerate([(0.0, (0.0, 0.0, 0.0)), (1000.0, (1.0, 0.0, 0.0))]):
        more = {"DiffusionBValue": b, "DiffusionGradientOrientation": vector, "ScanningSequence": "EP"}
        given = {"InstanceNumber": [1 + 3 * step, 2 + 3 * step, 3 + 3 * step], "AcquisitionNumber": step + 1}
        uids = [f"1.2.9.{number}.{step}.{slice_}" for slice_ in range(3)]
        images += one_series(number, **{"SeriesDescription": "dti", **given, **more, "SOPInstanceUID": uids, **tags})
    return images
