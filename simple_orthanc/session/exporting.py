"""The verbs that write what is selected to disk: DICOM files, and volumes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from simple_orthanc.concurrency.threads import WORKERS, map_ordered
from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import shown
from simple_orthanc.session.options import Dims, GapsOfMany, ImageFormat, OnError, Units
from simple_orthanc.session.reading.unreadable import check_errors
from simple_orthanc.session.reading.verbs import Reading

if TYPE_CHECKING:
    import pandas as pd

VOLUME_LAYOUT = "{PatientID}/{StudyDate}/{SeriesNumber:03d}_{SeriesDescription}_{label}"


class Exporting(Reading):
    """The verbs of a session that write what is selected to disk."""

    def download(
        self,
        folder: str | Path | None = None,
        *,
        layout: str | None = None,
        resume: bool = True,
        errors: OnError = "raise",
    ) -> list[Path]:
        """Write the DICOM files of the selection, bit for bit as the archive holds them.

        A call that was interrupted, even by the end of the process, is finished by the same call: files that are there
        and whole are not fetched again, and no file under its own name is ever a part of one.

        Parameters
        ----------
        folder : str or Path, optional
            The target; created where it is missing. None: a new folder among the system's temporary ones.
        layout : str, optional
            How the files are named, from their tags. Default: their PatientID and UIDs, from study to instance. See
            below.
        resume : bool
            Whether files that are there stay: one that is not that of its instance is an error before anything is
            fetched. False fetches all files again, and replaces those that are there.
        errors : {"raise", "report"}
            As for `get_headers`.

        Returns
        -------
        list of Path
            One per instance that was written or was there already, in the order of the selection.

        Raises
        ------
        SelectionError
            The target is not a path, or cannot be a folder because a file of that name exists; the layout cannot be
            read, would put two files under one name, or values that differ into one folder; a file of that name
            exists and is another one; or there is not enough free space. Nothing was written.
        UnknownTagError
            A field of the layout is no tag; the message has close matches.
        TransportError
            A file could not be fetched or written. Those written before are whole.

        Notes
        -----
        A layout is a path below the target with tags in braces, as in
        ``"{PatientID}/{StudyDate:%Y}/{SeriesNumber:03d}_{SeriesDescription}/{InstanceNumber:04d}.dcm"``:

        - after a colon a number has a format (``04d``, ``.1f``), a date or time one of ``%Y %y %m %d %j %H %M %S %f``,
          and a string its greatest length (``.20``);
        - after a bar is what stands for a missing value: ``{StudyDescription|unnamed}``. Without it that is "missing",
          and with nothing after the bar a folder is left out;
        - ``{index}`` is the number of the file in the selection, from 1.

        Values become names that are safe on Linux, macOS and Windows: letters and digits of any script stay, everything
        else but ``. _ - +`` is an underscore, and long values are cut and end with part of a checksum.

        Files that are there are compared by their length and MD5 with what an Orthanc lists, byte by byte with those of
        a folder, and by their identifiers where a server reports neither (DICOMweb).

        Examples
        --------
        >>> ct = archive.select(PatientID="EX-002", Modality="CT")
        >>> paths = ct.download("files", layout="{PatientID}/{SeriesDescription}/{InstanceNumber:03d}.dcm")
        >>> len(paths), paths[0].relative_to("files").as_posix()
        (40, 'EX-002/CT_abdomen_portal_venous/001.dcm')
        """
        from simple_orthanc.session.exports.downloading import FileDownload, file_paths, planned_paths, target_folder
        from simple_orthanc.session.exports.layouts import parse_layout

        check_errors(errors)
        parsed = None if layout is None else parse_layout(layout, "download")
        keys = self._nonempty()
        target = Path(tempfile.mkdtemp(prefix="simple_orthanc_")) if folder is None else target_folder(folder)
        if parsed is None:
            chain = [
                [shown(value, tag) for value in self._index.column(tag, "instance", keys)]
                for tag in map(parse_tag, IDENTIFIERS.values())
            ]
            paths = file_paths(target, list(zip(*chain, strict=True)), keys)
        else:
            paths = planned_paths(target, parsed, partial(self._layout_column, keys), self._instance_uids(keys))
        download = FileDownload(self._source, target, dict(zip(keys, paths, strict=True)))
        if resume and download.existing():
            # A file may be the copy of one that was replaced since it was listed.
            self._index.updated()
            download.keep_copies(errors)
        download.check_space()
        with download.started():
            run = partial(
                map_ordered, workers=max(WORKERS, self._source.at_once(keys)), total=len(keys), label="downloading"
            )
            return self._read_each(download.save, keys, "download", errors, run)

    def _layout_column(self, keys: list[str], name: str) -> list[object]:
        if name == "index":
            return list(range(1, len(keys) + 1))
        return list(self._index.column(parse_tag(name), "instance", keys))

    def save_volumes(
        self,
        folder: str | Path,
        layout: str = VOLUME_LAYOUT,
        format: ImageFormat = ".nii.gz",
        units: Units = "modality",
        *,
        gaps: GapsOfMany = "raise",
        dims: Dims | Sequence[Dims] | None = None,
        spacing: float | None = None,
        sidecar: bool = True,
        identifiers: bool = False,
        resample: bool = False,
        resume: bool = True,
        errors: OnError = "report",
    ) -> pd.DataFrame:
        """Write every volume of the selection to a file of its own, one after the other.

        A call that was interrupted, even by the end of the process, is finished by the same call: volumes that are
        there and whole are not read again.

        Parameters
        ----------
        folder : str or Path
            The target; created where it is missing.
        layout : str
            How the files are named, as for `download`, without suffix; ``{label}`` is the label of the volume in its
            series. ``"BIDS"`` makes a BIDS dataset: see below.
        format : {".nii.gz", ".nrrd", ".mha"}
            The format of the images.
        units, gaps, spacing
            As for `get_volumes`, which also decides what is a volume.
        dims : str or sequence of str, optional
            Series whose volumes are steps along one of these axes become one 4D volume: "time", "echo", "b", "phase".
            Beside a 4D diffusion volume its ``.bval`` and ``.bvec`` are written.
        sidecar : bool
            Whether a JSON file is written beside each image, with what the headers state of it, in the names and units
            of BIDS where it has any: scanner, sequence, times in seconds, UIDs, notes on how the volume was made.
        identifiers : bool
            Whether the sidecar also has what identifies the patient, the visit or the device.
        resample : bool
            Whether sheared volumes (gantry tilt) are resampled onto right angles; otherwise they are refused.
        resume : bool
            Whether what is there stays. False reads all volumes again, and replaces what is there.
        errors : {"report", "raise"}
            Whether a volume that cannot be read or written is a row of the table, or ends the call with an error.

        Returns
        -------
        pandas.DataFrame
            One row per volume: PatientID, StudyInstanceUID, SeriesInstanceUID, label, path, shape, dtype, units,
            spacing (between slices, rows and columns, mm), instance_count, status and message. Status is "saved";
            "already there"; "refused" (no regular volume, nothing that the format can hold, or another file of that
            name is there); "failed" (it could not be read or written); "not tried" (no room, or the call was ended); or
            "no images".

        Raises
        ------
        SelectionError
            The target is no folder, or the layout cannot be read, or would put two volumes under one name. Nothing was
            written.
        EmptySelectionError
            Nothing is selected.
        VolumeError
            An argument has no meaning.
        TransportError
            The server is gone; ``.table`` reports on each volume so far, and so it does on the error of Ctrl-C.

        Notes
        -----
        A volume counts as there if its sidecar names the same images on the same grid, saved with the same arguments,
        and its files have the checksums that the sidecar lists, as have the images where an Orthanc keeps checksums.
        Without a sidecar the volume is read again and compared byte by byte. Anything else under its name is not
        touched.

        With ``layout="BIDS"`` volumes are named by the rules of BIDS 1.10, as far as their headers state what they are:
        ``sub-01/ses-20200131/anat/sub-01_ses-20200131_acq-t1sag_T1w.nii.gz``. The subject is the PatientID, the session
        the StudyDate. What has no name in BIDS (CT, derived images), or whose kind the headers do not state, goes to
        ``sourcedata``, and its message says why: nothing is guessed. ``dims`` is then "b", "time". The files
        ``dataset_description.json`` and ``participants.tsv`` are made, or completed if they are there.

        Examples
        --------
        >>> mr = archive.select(SeriesDescription="T1*")
        >>> table = mr.save_volumes("t1", "{PatientID}/{StudyDate}_{SeriesDescription}")
        >>> table[["PatientID", "shape", "status"]]
          PatientID         shape status
        0    EX-001  (64, 96, 96)  saved
        1    EX-001  (64, 96, 96)  saved
        2    EX-004  (24, 96, 96)  saved
        3    EX-005  (40, 96, 96)  saved
        >>> mr.save_volumes("t1", "{PatientID}/{StudyDate}_{SeriesDescription}").status.unique().tolist()
        ['already there']

        Or named by the rules of BIDS:

        >>> from pathlib import Path
        >>> table = mr.select(PatientID="EX-005").save_volumes("bids", layout="BIDS")
        >>> Path(table.path[0]).relative_to("bids").as_posix()
        'sub-EX005/ses-20230602/anat/sub-EX005_ses-20230602_acq-T1MPRAGE_T1w.nii.gz'
        """
        from simple_orthanc.session.exports.bids import BidsNamer
        from simple_orthanc.session.exports.downloading import target_folder
        from simple_orthanc.session.exports.volume_items import LayoutNamer, Namer, VolumeItems, check_axes
        from simple_orthanc.session.exports.volume_saving import SavingOptions, save_items
        from simple_orthanc.session.reading.volume_reader import VolumeRequest

        options = SavingOptions(format, sidecar, identifiers, resample, resume, errors)
        is_bids = str(layout).upper() == "BIDS"
        namer: Namer = BidsNamer(format, sidecar, identifiers) if is_bids else LayoutNamer(layout, format)
        request = VolumeRequest(units, gaps, spacing=spacing)
        axes = namer.axes if dims is None else check_axes(dims)
        keys = self._nonempty()
        target = target_folder(folder, "save_volumes")
        items = VolumeItems(self._volume_reader(request, many=True), request, axes, namer).all()
        series = list(dict.fromkeys(self._index.up("instance", keys, "series")))
        columns = [
            [shown(value, tag) for value in self._index.column(tag, "series", series)]
            for tag in map(parse_tag, list(IDENTIFIERS.values())[:3])
        ]
        identity = dict(zip(series, zip(*columns, strict=True), strict=True))
        return save_items(target, items, namer, identity, options)
