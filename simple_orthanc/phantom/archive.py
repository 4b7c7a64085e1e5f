"""A small archive of six synthetic patients, in which documentation, notebooks and tests find one case of each kind."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from simple_orthanc.phantom.anatomy import (
    BRAIN_LESION,
    LIVER,
    LIVER_LESION,
    Body,
    Ellipsoid,
    Grid,
    head,
    trunk,
)
from simple_orthanc.phantom.images import as_bytes, dataset_of, make_series
from simple_orthanc.phantom.reports import make_report
from simple_orthanc.phantom.requirements import FLUORINE, required_tags
from simple_orthanc.phantom.segmentations import make_segmentation
from simple_orthanc.phantom.structures import make_structure_set

_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)

_HOUNSFIELD: dict[str, float] = {
    "air": -1000,
    "fat": -100,
    "inner fat": -95,
    "muscle": 55,
    "bone": 600,
    "marrow": 220,
    "lung": -850,
    "heart": 45,
    "liver": 60,
    "lesion": 20,
    "spleen": 50,
    "kidney": 35,
    "vessel": 45,
}
_AFTER_CONTRAST: dict[str, float] = {**_HOUNSFIELD, "vessel": 170, "kidney": 180, "spleen": 110, "liver": 105}
_AFTER_CONTRAST |= {"lesion": 40, "heart": 150}
_SUV: dict[str, float] = {
    "air": 0,
    "fat": 0.3,
    "inner fat": 0.4,
    "muscle": 0.7,
    "bone": 1.0,
    "marrow": 1.5,
    "lung": 0.5,
    "heart": 3.0,
    "liver": 2.2,
    "lesion": 8.0,
    "spleen": 1.9,
    "kidney": 4.0,
    "vessel": 1.6,
}
_T1: dict[str, float] = {"scalp": 850, "skull": 90, "fluid": 160, "grey": 430, "white": 640, "callosum": 660}
_T1 |= {"vessel": 120, "lesion": 300, "muscle": 380}
_T2: dict[str, float] = {"scalp": 380, "skull": 60, "fluid": 1000, "grey": 520, "white": 380, "callosum": 370}
_T2 |= {"vessel": 80, "lesion": 820, "muscle": 140}
# Diffusion tensors, diagonal along x, y, z, in 1e-3 mm2/s; and the signal without diffusion weighting.
_DIFFUSIVITY: dict[str, tuple[float, float, float]] = {
    "fluid": (3.0, 3.0, 3.0),
    "grey": (0.8, 0.8, 0.8),
    "white": (0.45, 1.2, 0.45),
    "callosum": (1.7, 0.3, 0.3),
    "lesion": (0.4, 0.4, 0.4),
    "vessel": (3.0, 3.0, 3.0),
    "scalp": (0.1, 0.1, 0.1),
    "muscle": (1.4, 1.4, 1.4),
}
_UNWEIGHTED: dict[str, float] = {**_T2, "scalp": 60, "skull": 20, "lesion": 650}
_DIRECTIONS = ((1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1), (0, 1, 1), (0, 1, -1))
_B_VALUE = 1000.0
_NO_RESCALING: dict[str, Any] = {
    "slope": None,
    "intercept": None,
    "MagneticFieldStrength": 3,
    "BodyPartExamined": "HEAD",
}
_MPRAGE: dict[str, Any] = {
    "SeriesDescription": "T1 MPRAGE",
    "ScanningSequence": ("GR", "IR"),
    "SequenceVariant": ("SP", "MP"),
    "MRAcquisitionType": "3D",
    "RepetitionTime": 2000,
    "EchoTime": 2.5,
    "InversionTime": 900,
    "FlipAngle": 8,
}
_T1_SPIN_ECHO: dict[str, Any] = {"SeriesDescription": "T1 SE", "RepetitionTime": 500, "EchoTime": 12, "FlipAngle": 90}
_TSE: dict[str, Any] = {
    "SeriesDescription": "T2 TSE",
    "SequenceVariant": "SK",
    "RepetitionTime": 5000,
    "EchoTime": 90,
    "EchoTrainLength": 15,
    "FlipAngle": 150,
}
_DIFFUSION: dict[str, Any] = {
    "SeriesDescription": "DWI 6 directions",
    "ImageType": ("ORIGINAL", "PRIMARY", "DIFFUSION"),
    "ScanningSequence": "EP",
    "SequenceVariant": "SK",
    "RepetitionTime": 4000,
    "EchoTime": 80,
}
_DYNAMIC: dict[str, Any] = {
    "SeriesDescription": "DCE dynamic",
    "ScanningSequence": "GR",
    "SequenceVariant": "SP",
    "MRAcquisitionType": "3D",
    "RepetitionTime": 5,
    "EchoTime": 2,
    "FlipAngle": 15,
    "ContrastBolusAgent": "gadobutrol",
}
_STEPS, _STEP_SECONDS = 20, 3.0


@dataclass(frozen=True)
class _Study:
    """The tags of one study, and the numbers of its series."""

    patient: Mapping[str, Any]
    date: str
    description: str
    number: int

    def series(
        self, number: int, modality: str, array: NDArray[Any], grid: Grid, tags: Mapping[str, Any]
    ) -> list[Dataset]:
        """Make a series of the study from stored values; a list among the tags is one value per slice."""
        every = {**required_tags(modality, len(array)), **self.tags, "SeriesNumber": number, **tags}
        return make_series(
            array=array,
            modality=modality,
            spacing=grid.spacing,
            origin=grid.origin,
            orientation=grid.orientation,
            seed=100 * self.number + number,
            **every,
        )

    @property
    def tags(self) -> dict[str, Any]:
        """The tags of patient and study, and the dates of all series."""
        study, frame = (
            str(generate_uid(entropy_srcs=["simple_orthanc", "example", str(self.number), name]))
            for name in ("study", "frame of reference")
        )
        dates = dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), self.date)
        times = dict.fromkeys(("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"), "120000")
        return {
            **self.patient,
            **dates,
            **times,
            "StudyInstanceUID": study,
            "FrameOfReferenceUID": frame,
            "StudyID": str(self.number),
            "AccessionNumber": f"A{self.number:04d}",
            "StudyDescription": self.description,
        }


def write_archive(folder: str | os.PathLike[str]) -> Path:
    """Write a small archive of synthetic DICOM files.

    The same files are written each time, with the same UIDs and values. Nothing but the hard dependencies is needed.

    ======  ==========================  ==============================================================================
    ID      patient                     series
    ======  ==========================  ==============================================================================
    EX-001  woman of 67 years           MR of the head at two time points: T1 (sagittal, 1.9 mm), T2 (axial, 5 mm). A
                                        lesion in the left hemisphere grows from 8 to 11 mm radius.
    EX-002  man, born 1961-05-17, no    CT of the abdomen, 40 slices; a segmentation (SEG) and a structure set
            PatientAge                  (RTSTRUCT) on it, both of "liver" and "lesion"
    EX-003  woman of 59 years, 70 kg    PET and CT of the trunk. SUVbw is 2.2 in the liver and 8.0 in its lesion.
    EX-004  man of 72 years             Diffusion MR, b = 0 and six directions of b = 1000 s/mm2. The diffusivity is
                                        0.4 in the lesion, 0.8 in grey matter and 3.0 in fluid (1e-3 mm2/s), and
                                        (1.7, 0.3, 0.3) along x, y, z in the corpus callosum. T1 of 5 mm.
    EX-005  woman of 45 years           Dynamic MR, 20 steps of 3 s. The contrast agent arrives after 12 s: a vessel
                                        peaks 6 s later at five times its signal of 150, the lesion goes from 300 to
                                        660 with a time constant of 10 s. T1 of 1.8 mm.
    EX-006  man of unknown age          CT of the chest with a localizer among its slices; the same with a slice
                                        missing; a report (SR)
    ======  ==========================  ==============================================================================

    Parameters
    ----------
    folder : str or Path
        It is made if it is missing.

    Returns
    -------
    Path
        The folder: one folder per patient in it, and below one per study and series.

    See Also
    --------
    simple_orthanc.Folder.example : A session on such an archive.

    Examples
    --------
    >>> from simple_orthanc import Folder
    >>> from simple_orthanc.phantom import write_archive
    >>> folder = Folder(write_archive("example"))
    >>> folder.patient_count, folder.study_count, folder.series_count
    (6, 7, 16)
    >>> folder.Modalities
    ['MR', 'CT', 'SEG', 'RTSTRUCT', 'PT', 'SR']
    """
    target = Path(folder)
    for series in _archive():
        first = series[0]
        path = target / str(first.PatientID) / str(first.StudyDate) / f"{int(first.SeriesNumber):02d}"
        path.mkdir(parents=True, exist_ok=True)
        for number, dataset in enumerate(series, 1):
            (path / f"{number:04d}.dcm").write_bytes(as_bytes(dataset))
    return target


def _archive() -> Iterator[list[Dataset]]:
    """Make all series, one after the other."""
    for number, date, radius in ((1, "20220301", 8.0), (2, "20220906", 11.0)):
        yield from _head_study(number, date, radius)
    yield from _abdomen_study()
    yield from _pet_study()
    yield from _diffusion_study()
    yield from _dynamic_study()
    yield from _chest_study()


def _person(number: int, name: str, sex: str, **tags: Any) -> dict[str, Any]:
    return {"PatientID": f"EX-{number:03d}", "PatientName": name, "PatientSex": sex, **tags}


def _lesion(radius: float) -> Ellipsoid:
    return Ellipsoid(BRAIN_LESION.tissue, BRAIN_LESION.centre, (radius, radius, radius))


def _noise(shape: Sequence[int], deviation: float, seed: int) -> NDArray[np.float64]:
    # The old generator: numpy promises that its numbers never change.
    return np.asarray(np.random.RandomState(seed).standard_normal(tuple(shape)) * deviation, float)


def _magnitude(values: NDArray[np.float64], seed: int, deviation: float = 12.0) -> NDArray[np.int16]:
    """Return the stored values of an MR image: a magnitude with noise in both of its components."""
    real, imaginary = _noise(values.shape, deviation, seed), _noise(values.shape, deviation, seed + 1)
    return np.rint(np.hypot(values + real, imaginary)).astype(np.int16)


def _mr(study: _Study, number: int, body: Body, signal: Mapping[str, float], tags: Mapping[str, Any]) -> list[Dataset]:
    stored = _magnitude(body.values(signal), 100 * study.number + number)
    return study.series(number, "MR", stored, body.grid, {**_NO_RESCALING, **tags})


def _head_study(number: int, date: str, radius: float) -> Iterator[list[Dataset]]:
    patient = _person(1, "Ahlberg^Anna", "F", PatientBirthDate="19541020", PatientAge="067Y")
    study = _Study(patient, date, "MR head", number)
    yield _mr(study, 2, head(Grid((64, 96, 96), (1.9, 1.8, 1.8), _SAGITTAL), _lesion(radius)), _T1, _MPRAGE)
    yield _mr(study, 3, head(Grid((24, 96, 96), (5.0, 1.8, 1.8)), _lesion(radius)), _T2, _TSE)


def _ct(
    study: _Study, number: int, description: str, body: Body, values: Mapping[str, float], **tags: Any
) -> list[Dataset]:
    hounsfield = body.values(values) + _noise(body.grid.shape, 9.0, 100 * study.number + number)
    stored = np.clip(np.rint(hounsfield) + 1024, 0, 4095).astype(np.uint16)
    window = {"WindowCenter": 40, "WindowWidth": 400}
    rescaling = {"bits_stored": 12, "slope": 1, "intercept": -1024}
    return study.series(
        number, "CT", stored, body.grid, {"SeriesDescription": description, **window, **rescaling, **tags}
    )


def _abdomen_study() -> Iterator[list[Dataset]]:
    patient = _person(2, "Bauer^Bruno", "M", PatientBirthDate="19610517")
    study = _Study(patient, "20230116", "CT abdomen", 3)
    body = trunk(Grid((40, 128, 128), (5.0, 2.2, 2.2)))
    agent = {"ContrastBolusAgent": "iohexol", "BodyPartExamined": "ABDOMEN"}
    images = _ct(study, 2, "CT abdomen portal venous", body, _AFTER_CONTRAST, **agent)
    yield images
    lesion = body.mask("lesion")
    masks = {"liver": body.mask("liver") | lesion, "lesion": lesion}
    tags: dict[str, Any] = {"SeriesDescription": "Liver segmentation", "SeriesNumber": 3}
    yield [make_segmentation(images, masks, seed=303, **tags)]
    levels = [float(image.ImagePositionPatient[2]) for image in images]
    contours = {
        part.tissue: [outline for z in levels if (outline := part.outline(z)) is not None]
        for part in (LIVER, LIVER_LESION)
    }
    tags = {"SeriesDescription": "Liver contours", "SeriesNumber": 4}
    yield [make_structure_set(images, contours, seed=304, **tags)]


def _pet_study() -> Iterator[list[Dataset]]:
    patient = _person(3, "Costa^Clara", "F", PatientBirthDate="19640112", PatientAge="059Y", PatientSize=1.68)
    study = _Study({**patient, "PatientWeight": 70}, "20230309", "PET/CT trunk", 4)
    yield _ct(study, 2, "CT low dose", trunk(Grid((40, 96, 96), (5.0, 3.0, 3.0))), _HOUNSFIELD)
    body = trunk(Grid((40, 64, 64), (5.0, 4.4, 4.4)))
    suv = body.values(_SUV)
    # Where tissues are known by their SUV there is no noise.
    noisy = ~(body.mask("lesion") | body.mask("liver"))
    suv = np.where(noisy, np.abs(suv * (1 + _noise(suv.shape, 0.08, 403))), suv)
    tracer = {**FLUORINE, "Radiopharmaceutical": "FDG", "RadiopharmaceuticalStartDateTime": f"{study.date}110000"}
    dose = FLUORINE["RadionuclideTotalDose"] * 0.5 ** (3600 / FLUORINE["RadionuclideHalfLife"])
    activity = suv * dose / 70_000
    slope = float(activity.max()) / 32_000
    tags = {
        "SeriesDescription": "PET FDG",
        "slope": slope,
        "intercept": 0,
        "RadiopharmaceuticalInformationSequence": (dataset_of(tracer),),
    }
    yield study.series(3, "PT", np.rint(activity / slope).astype(np.uint16), body.grid, tags)


def _repeated(grid: Grid, per_step: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the tags of slices that are imaged several times, from their values at each time."""
    along = [tuple(position) for position in grid.positions()[:, :, 0, 0].T]
    (count,) = {len(values) for values in per_step.values()}
    tags = {name: [value for value in values for _ in along] for name, values in per_step.items()}
    return {"ImagePositionPatient": along * count, **tags}


def _diffusion_study() -> Iterator[list[Dataset]]:
    patient = _person(4, "Duarte^Diego", "M", PatientBirthDate="19510208", PatientAge="072Y")
    study = _Study(patient, "20230420", "MR head", 5)
    yield _mr(study, 2, head(Grid((24, 96, 96), (5.0, 1.8, 1.8)), _lesion(11.0)), _T1, _T1_SPIN_ECHO)
    body = head(Grid((14, 64, 64), (6.0, 2.7, 2.7)), _lesion(11.0))
    unweighted = body.values(_UNWEIGHTED)
    diffusivity = [body.values({tissue: each[axis] for tissue, each in _DIFFUSIVITY.items()}) for axis in range(3)]
    directions = [tuple(np.array(each) / np.sqrt(2)) for each in _DIRECTIONS]
    steps = [unweighted]
    for direction in directions:
        along = sum(part * component**2 for part, component in zip(diffusivity, direction, strict=True))
        steps.append(unweighted * np.exp(-_B_VALUE * 1e-3 * along))
    per_step: dict[str, list[Any]] = {
        "DiffusionBValue": [0.0, *[_B_VALUE] * len(directions)],
        "DiffusionDirectionality": ["NONE", *["DIRECTIONAL"] * len(directions)],
        "DiffusionGradientOrientation": [None, *directions],
    }
    stored = _magnitude(np.concatenate(steps), 503, 4.0)
    tags = {**_NO_RESCALING, **_DIFFUSION, **_repeated(body.grid, per_step)}
    yield study.series(3, "MR", stored, body.grid, tags)


def _dynamic_study() -> Iterator[list[Dataset]]:
    patient = _person(5, "Eriksen^Emma", "F", PatientBirthDate="19780330", PatientAge="045Y")
    study = _Study(patient, "20230602", "MR head", 6)
    yield _mr(study, 2, head(Grid((40, 96, 96), (1.8, 1.8, 1.8)), _lesion(11.0)), _T1, _MPRAGE)
    body = head(Grid((8, 64, 64), (6.0, 2.7, 2.7), centre=(0.0, 0.0, 20.0)), _lesion(11.0))
    signal = {**_T1, "scalp": 600, "grey": 330, "white": 300, "callosum": 300, "vessel": 150}
    seconds = _STEP_SECONDS * np.arange(_STEPS)
    since = np.clip(seconds - 12, 0, None)
    vessel = 150 * (1 + 4 * (since / 6) ** 2 * np.exp(2 * (1 - since / 6)))
    lesion = 300 * (1 + 1.2 * (1 - np.exp(-since / 10)))
    steps = [
        body.values({**signal, "vessel": float(first), "lesion": float(second)})
        for first, second in zip(vessel, lesion, strict=True)
    ]
    moments = [f"1200{int(second):02d}" for second in seconds]
    per_step: dict[str, list[Any]] = {
        "TemporalPositionIdentifier": list(range(1, _STEPS + 1)),
        "AcquisitionTime": moments,
        "ContentTime": moments,
    }
    times = {"NumberOfTemporalPositions": _STEPS, "TemporalResolution": 1000 * _STEP_SECONDS}
    stored = _magnitude(np.concatenate(steps), 603, 6.0)
    tags = {**_NO_RESCALING, **_DYNAMIC, **times, **_repeated(body.grid, per_step)}
    yield study.series(3, "MR", stored, body.grid, tags)


def _chest_study() -> Iterator[list[Dataset]]:
    study = _Study(_person(6, "Fischer^Felix", "M"), "20230714", "CT chest", 7)
    body = trunk(Grid((20, 96, 96), (6.0, 3.0, 3.0), centre=(0.0, 0.0, 80.0)))
    images = _ct(study, 2, "CT chest with scout", body, _HOUNSFIELD, InstanceNumber=list(range(2, 22)))
    coronal = Grid((1, 96, 96), (3.0, 3.0, 3.0), (1.0, 0.0, 0.0, 0.0, 0.0, -1.0), (0.0, 0.0, 60.0))
    identifiers = {"SeriesInstanceUID": images[0].SeriesInstanceUID, "InstanceNumber": 1}
    kind = {"ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER")}
    scout = _ct(study, 5, "CT chest with scout", trunk(coronal), _HOUNSFIELD, **identifiers, **kind, SeriesNumber=2)
    yield [*scout, *images]
    whole = _ct(study, 3, "CT chest", body, _HOUNSFIELD)
    yield whole[:8] + whole[9:]
    texts = {"Finding": "No nodule in either lung.", "Impression": "Normal."}
    yield [make_report(images[0], texts, seed=704, SeriesDescription="Report", SeriesNumber=4)]
