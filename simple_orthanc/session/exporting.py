"""The verbs that write what is selected to disk: DICOM files, and volumes."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import shown
from simple_orthanc.session.exports.downloading import FileDownload, file_paths, planned_paths, target_folder
from simple_orthanc.session.exports.layouts import parse_layout
from simple_orthanc.session.reading import Reading
from simple_orthanc.session.unreadable import check_errors


class Exporting(Reading):
    """The verbs of a session that write what is selected to disk."""

    def download(
        self,
        folder: str | Path | None = None,
        *,
        layout: str | None = None,
        resume: bool = True,
        errors: str = "raise",
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
        a folder, and by their identifiers where a server tells neither (DICOMweb).

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from simple_orthanc import Folder
        >>> from simple_orthanc.phantom import as_bytes, make_series
        >>> folder, target = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
        >>> for number, dataset in enumerate(make_series((2, 4, 4), PatientID="P 1", SeriesDescription="T1 sag")):
        ...     _ = (folder / f"{number}.dcm").write_bytes(as_bytes(dataset))
        >>> session = Folder(folder, cache=False)
        >>> paths = session.download(target, layout="{PatientID}/{SeriesDescription}/{InstanceNumber:03d}.dcm")
        >>> [path.relative_to(target).as_posix() for path in paths]
        ['P_1/T1_sag/001.dcm', 'P_1/T1_sag/002.dcm']
        """
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
        if resume:
            download.keep_copies(errors)
        download.check_space()
        with download.started():
            run = partial(map_ordered, total=len(keys), label="downloading")
            return self._read_each(download.save, keys, "download", errors, run)

    def _layout_column(self, keys: list[str], name: str) -> list[object]:
        if name == "index":
            return list(range(1, len(keys) + 1))
        return list(self._index.column(parse_tag(name), "instance", keys))
