"""Images that segmentations and parametric maps are written for, and folders that they are read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from simple_orthanc import Folder, Volume
from simple_orthanc.phantom import as_bytes, make_series

SHAPE = (6, 9, 11)
COSINE, SINE = np.cos(0.35), np.sin(0.35)
PLANES: dict[str, dict[str, Any]] = {
    "axial": {},
    "oblique": {"orientation": (COSINE, SINE, 0, -SINE * COSINE, COSINE * COSINE, SINE)},
    "sagittal": {"orientation": (0, 1, 0, 0, 0, -1)},
}


def images(shape: tuple[int, int, int] = SHAPE, **keywords: Any) -> list[Dataset]:
    settings: dict[str, Any] = {"spacing": (3.0, 1.1, 0.9), "origin": (-20.0, -18.0, 5.0), "seed": 1}
    return make_series(
        shape, **{**settings, "PatientName": "Müller^Jörg", "SpecificCharacterSet": "ISO_IR 100", **keywords}
    )


def archive(folder: Path, *datasets: Dataset) -> Folder:
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in datasets:
        (folder / f"{dataset.SOPInstanceUID}.dcm").write_bytes(as_bytes(dataset))
    return Folder(folder, cache=False)


def ct_in(folder: Path, slices: list[Dataset]) -> Volume:
    return archive(folder, *slices).get_volume()


def boxes() -> dict[str, NDArray[np.bool_]]:
    """Masks that overlap, one without a voxel; none reaches the first slice."""
    found = {name: np.zeros(SHAPE, bool) for name in ("left", "nothing", "Läsion 王")}
    found["left"][1:4, 2:6, 3:9] = True
    found["Läsion 王"][2:5, 4:8, 1:5] = True
    return found


def as_read_here(volume: Any, like: Volume) -> NDArray[Any]:
    """Turn the array of a volume of highdicom so that its slices follow each other as those of `like` do.

    Its affine is for (slice, row, column), LPS; it must be that of `like`, whose slices may go the other way.
    """
    assert like.geometry is not None
    affine = volume.affine[:, [2, 1, 0, 3]]
    is_turned = affine[:3, 2] @ like.geometry.affine[:3, 2] < 0
    turned = like[::-1] if is_turned else like
    assert np.allclose(affine, turned.geometry.affine, atol=1e-9)
    array: NDArray[Any] = volume.array[::-1] if is_turned else volume.array
    return array
