"""The verbs that read what is selected: headers, instances, volumes, files."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import map_ordered, run_all
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import shown
from simple_orthanc.errors import AmbiguousSelectionError, SelectionError
from simple_orthanc.session.arguments import IDENTIFIERS, whole_number
from simple_orthanc.session.containers import LazyVolumes
from simple_orthanc.session.downloads import file_paths, target_folder
from simple_orthanc.session.series_names import describe, separating_call, short_names
from simple_orthanc.session.state import SessionState

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import SimpleITK

    from simple_orthanc.session.volume_reader import Units, VolumeReader
    from simple_orthanc.volume.volume import Volume

_MOST_LISTED = 6


class Reading(SessionState):
    """The verbs of a session that read what is selected."""

    def get_header(self, index: int | None = None) -> Dataset:
        """Read one instance's header from the DICOM file, without pixels.

        Parameters
        ----------
        index : int, optional
            Which of the selected instances; not needed where only one is selected.

        Returns
        -------
        pydicom.Dataset
            The header exactly as the file holds it.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        AmbiguousSelectionError
            Several instances are selected and no index is given.
        """
        keys = self._nonempty()
        if index is None and len(keys) > 1:
            raise AmbiguousSelectionError(
                f"{len(keys)} instances are selected, and get_header() gives one: get_header(0) reads the first, "
                f"get_headers() all.",
                candidates=tuple(keys),
            )
        return self._source.header(_item(keys, 0 if index is None else index))

    def get_headers(self, index: int | None = None, silent: bool = True) -> list[Dataset]:
        """Read the headers of all selected instances, in slice order or the order of `sort_by`.

        Parameters
        ----------
        index : int, optional
            Read this one only; the result is still a list.
        silent : bool
            Has no effect: headers come from the DICOM files, so no tag is left out that could be reported.

        Returns
        -------
        list of pydicom.Dataset
            Without pixels.
        """
        keys = self._nonempty()
        if index is not None:
            keys = [_item(keys, index)]
        return run_all(self._source.header, keys, label="reading headers")

    def get_instances(self) -> list[Dataset]:
        """Read all selected instances with their pixels, in slice order or the order of `sort_by`.

        Returns
        -------
        list of pydicom.Dataset
            As pydicom reads the DICOM files.
        """
        keys = self._nonempty()
        return list(map_ordered(self._instance, keys, total=len(keys), label="reading instances"))

    def _instance(self, key: str) -> Dataset:
        return pydicom.dcmread(io.BytesIO(self._source.content(key)), force=True)

    def get_volume(self, units: Units = "modality", gaps: str = "raise", dims: str | None = None) -> Volume:
        """Read the selected images as one regular volume, or raise an error that names the reason.

        Parameters
        ----------
        units : str
            "modality" (HU, BQML, ... as the headers say, named in `Volume.units`), "stored", "SUVbw", "SUVlbm",
            "SUVbsa", "SUVibw", "real world", "philips".
        gaps : {"raise", "nan"}
            How to treat missing slices: an error, or NaN slices on the regular grid (float32, noted in the log).
        dims : {"time", "echo", "b", "phase"}, optional
            Stack equal groups along this dimension, which comes first.

        Returns
        -------
        Volume
            ``array`` is (slice, row, column), colour (slice, row, column, 3); geometry in LPS millimetres.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        AmbiguousSelectionError
            Several series are selected; the message lists them, and the `select` that separates them.
        VolumeError
            The images do not make one regular volume: see `simple_orthanc.errors` for the kinds.
        """
        return self._volume_reader().volume(units, gaps, dims)

    def get_array(
        self, units: Units = "modality", gaps: str = "raise", dims: str | None = None
    ) -> np.ndarray[Any, Any]:
        """Read the selected images as one numpy array (slice, row, column): ``get_volume(...).array``.

        Parameters
        ----------
        units, gaps, dims
            As for `get_volume`.
        """
        return self.get_volume(units, gaps, dims).array

    def get_image(
        self, units: Units = "modality", gaps: str = "raise", dims: str | None = None, *, assume_geometry: bool = False
    ) -> SimpleITK.Image:
        """Read the selected images as one SimpleITK image: ``get_volume(...).to_sitk()``.

        Parameters
        ----------
        units, gaps, dims
            As for `get_volume`.
        assume_geometry : bool
            Place images without a position in the patient at the origin, with unit spacing; otherwise they raise an
            error.
        """
        return self.get_volume(units, gaps, dims).to_sitk(assume_geometry=assume_geometry)

    def get_volumes(self, units: Units = "modality", gaps: str = "raise") -> Mapping[str, Volume]:
        """Read the selected images as volumes, split where they must be.

        Parameters
        ----------
        units, gaps
            As for `get_volume`.

        Returns
        -------
        Mapping
            Label to Volume. The labels come from the headers; each volume is read when it is asked for, and not kept.
        """
        reader = self._volume_reader(many=True)
        return LazyVolumes(reader.labels(units, gaps), lambda label: reader.labelled(label, units, gaps))

    def volume_table(self) -> pd.DataFrame:
        """Report on the volumes of the selection from headers alone.

        Returns
        -------
        pandas.DataFrame
            One row per volume: SeriesInstanceUID, label, slices, rows, columns, spacing, regular, reason, bytes.
        """
        return self._volume_reader(many=True).report()

    def _volume_reader(self, many: bool = False) -> VolumeReader:
        # What only volumes need is imported with the first of them.
        from simple_orthanc.session.volume_reader import VolumeReader

        keys = self._nonempty()
        series = self._index.up("instance", keys, "series")
        owners = list(dict.fromkeys(series))
        if len(owners) > 1 and not many:
            listed = [describe(self._index, key) for key in owners]
            more = f"; and {len(listed) - _MOST_LISTED} more" if len(listed) > _MOST_LISTED else ""
            raise AmbiguousSelectionError(
                f"{len(listed)} series are selected, and one volume is asked for: "
                f"{'; '.join(listed[:_MOST_LISTED])}{more}. Narrow to one of them, as in "
                f"{separating_call(self._index, owners)}, or read each with get_volumes().",
                candidates=tuple(listed),
            )
        return VolumeReader(self._source, keys, series, short_names(self._index, owners))

    def download(self, folder: str | Path | None = None) -> list[Path]:
        """Write the DICOM files of the selection, bit for bit as the archive holds them.

        Parameters
        ----------
        folder : str or Path, optional
            The target; created where it is missing. None: a new folder among the system's temporary ones.

        Returns
        -------
        list of Path
            One per instance: ``folder/PatientID/StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm``, with
            characters that could lead elsewhere replaced. A file appears when it is complete.

        Raises
        ------
        SelectionError
            The target is not a path, or cannot be a folder because a file of that name exists.
        """
        keys = self._nonempty()
        target = Path(tempfile.mkdtemp(prefix="simple_orthanc_")) if folder is None else target_folder(folder)
        chain = [
            [shown(value, tag) for value in self._index.column(tag, "instance", keys)]
            for tag in map(parse_tag, IDENTIFIERS.values())
        ]
        paths = file_paths(target, list(zip(*chain, strict=True)), keys)
        jobs = list(zip(keys, paths, strict=True))
        for folder_needed in {path.parent for path in paths}:
            folder_needed.mkdir(parents=True, exist_ok=True)
        save: Callable[[tuple[str, Path]], None] = lambda job: self._source.save(*job)  # noqa: E731
        for _ in map_ordered(save, jobs, total=len(jobs), label="downloading"):
            pass
        return paths


def _item(keys: Sequence[str], index: int) -> str:
    """Return one of the selected instances by its index."""
    position = whole_number(index)
    if position is None:
        raise SelectionError(
            f"index {index!r}: it says which of the {len(keys)} selected instances is meant by a whole number from 0, "
            f"as in get_header(0). get_headers() reads all of them; one by its UID is select(uid).get_header()."
        )
    try:
        return keys[position]
    except IndexError:
        raise SelectionError(
            f"index {index}: {len(keys)} instances are selected, so it goes from 0 to {len(keys) - 1}."
        ) from None
