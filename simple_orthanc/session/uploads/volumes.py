"""Volumes, arrays and SimpleITK images stored in an archive as derived series."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.errors import VolumeError
from simple_orthanc.files.paths import path_text

if TYPE_CHECKING:
    import pandas as pd
    import SimpleITK

    from simple_orthanc.session.acts.reports import ActReport, Target
    from simple_orthanc.volume.volume import Volume

_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


class UploadsVolumes:
    """The part of a session on an archive that stores volumes in it."""

    def _upload(self, pending: Any, test_dicom: bool, allow_foreign_uids: bool = False) -> pd.DataFrame:
        """Send files, and return the table of what became of each."""
        raise NotImplementedError

    def upload_volume(
        self, volume: Any, like: Any = None, *, allow_foreign_uids: bool = False, **tags: Any
    ) -> pd.DataFrame:
        """Store a volume as a derived series, in the patient, study and frame of reference of its source.

        Parameters
        ----------
        volume : Volume, numpy array, SimpleITK image, or path of a .nii.gz, .nii, .nrrd or .mha file
            An array has the shape of the volume `like`, (slice, row, column), and its geometry and units; an image and
            a file have a geometry of their own.
        like : Volume, pydicom.Dataset or session, optional
            What the values were derived from; for a Volume by default what it was read from. A session has one series
            selected, such as ``orthanc.select(SeriesDescription="ct_scan")``.
        allow_foreign_uids : bool
            As for `upload_file`.
        **tags
            DICOM keywords of the new series, as for `Volume.to_dicom`, which says what is written.

        Returns
        -------
        pandas.DataFrame
            One row per slice: level, PatientID, StudyInstanceUID, the new SeriesInstanceUID and SOPInstanceUID,
            instance_count, status ("stored", "already stored", "failed", "conflict", ...), message. The selection
            stays; ``session.reset().select(SeriesInstanceUID=table.SeriesInstanceUID[0])`` selects the new series.

        Raises
        ------
        VolumeError, UnknownTagError, SelectionError
            Where `Volume.to_dicom` raises them, or an array has no `like`; nothing was sent.
        TransportError
            The server went away; ``.table`` reports on each slice, as on the error of Ctrl-C. The same call has the
            same UIDs, so that calling it again sends the rest.

        Examples
        --------
        >>> ct = orthanc.select(PatientID="EX-002", Modality="CT").get_volume()
        >>> clipped = ct.with_array(ct.array.clip(-200, 300))
        >>> table = orthanc.upload_volume(clipped, SeriesDescription="clipped")
        >>> table.status.value_counts().to_dict()
        {'stored': 40}
        >>> orthanc.reset().select(SeriesDescription="clipped").get_volume()
        <Volume 40 x 128 x 128 (slice, row, column) int16 HU, voxels of 5 x 2.2 x 2.2 mm>
        """
        written, source = as_volume(volume, like, "upload_volume")
        return self._upload_made(written.to_dicom(source, **tags), allow_foreign_uids)

    def _upload_made(self, datasets: Sequence[Dataset], allow_foreign_uids: bool) -> pd.DataFrame:
        """Send objects that were made here, and return one row for each."""
        from simple_orthanc.session.acts.reports import ActReport
        from simple_orthanc.session.uploads.files import jobs_for_datasets

        report = ActReport([_target(dataset) for dataset in datasets], "stored")
        try:
            table = self._upload(jobs_for_datasets(datasets), True, allow_foreign_uids)
        except BaseException as error:
            _write_down(report, getattr(error, "table", None))
            vars(error)["table"] = report.table()
            raise
        _write_down(report, table)
        return report.table()


def as_volume(given: Any, like: Any, verb: str) -> tuple[Volume, Any]:
    """Return the volume that is written, and its source.

    Parameters
    ----------
    given : Volume, numpy array, SimpleITK image, or path of one
    like : Volume, session or anything else
        The source.
    verb : str
        That was called, for messages.
    """
    from simple_orthanc.volume.volume import Volume

    if isinstance(given, Volume):
        return given, like
    if isinstance(given, (str, os.PathLike)):
        given = _read_image(path_text(given, f'{verb}("result.nii.gz", like=volume)'))
    # What it was computed from gives an array its place, and both their unit.
    source = like.get_volume() if callable(getattr(like, "get_volume", None)) else like
    known = source if isinstance(source, Volume) else None
    if all(hasattr(given, name) for name in ("GetSpacing", "GetOrigin", "GetDirection")):
        return Volume.from_sitk(given, like=known), source
    if isinstance(given, np.ndarray):
        if known is None:
            raise VolumeError(
                "An array was given, which has no place in the patient: name what it was computed from, with "
                f"{verb}(array, like=volume), where volume is one that get_volume() has read."
            )
        return known.with_array(given), source
    raise VolumeError(
        f"A {type(given).__name__} was given: {verb} takes a Volume, a numpy array with like=, a SimpleITK "
        "image, or the path of one."
    )


def _read_image(path: str) -> SimpleITK.Image:
    import SimpleITK

    file = Path(path).expanduser()
    if not file.name.lower().endswith(_SUFFIXES):
        raise VolumeError(
            f"{file} was given as a volume, and a volume is read from {', '.join(_SUFFIXES)}. DICOM files are uploaded "
            "by upload_file."
        )
    if not file.is_file():
        raise VolumeError(f"{file} was given as a volume, and there is no such file.")
    try:
        image: SimpleITK.Image = SimpleITK.ReadImage(str(file))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise VolumeError(f"{file} cannot be read as a volume: {reason}") from error
    return image


def _target(dataset: Dataset) -> Target:
    from simple_orthanc.session.acts.reports import Target

    uid = str(dataset.SOPInstanceUID)
    return Target("instance", uid, tuple(str(dataset[keyword].value) for keyword in IDENTIFIERS.values()), (uid,))


def _write_down(report: ActReport, table: pd.DataFrame | None) -> None:
    """Write the outcomes of an upload, which are in the order of the slices; None if it ended without telling them."""
    from simple_orthanc.session.acts.reports import Outcome

    unknown = Outcome("failed", "the upload ended early, so it may or may not be stored: the same call sends the rest")
    outcomes = itertools.repeat(unknown) if table is None else map(Outcome, table["status"], table["message"])
    for target, outcome in zip(report.targets, outcomes, strict=False):
        report.set(target, outcome)
