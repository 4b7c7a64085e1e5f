"""A session on a folder of DICOM files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.source import archive_of
from simple_orthanc.session.base import Session
from simple_orthanc.session.exports.downloading import file_paths
from simple_orthanc.sources.cache.cache import Cache
from simple_orthanc.sources.folder.source import FolderSource

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.session.acts.receiving import Receiver
    from simple_orthanc.session.acts.reports import Target


class Folder(Session):
    """A session on the DICOM files in a folder, with the same answers as an Orthanc that holds these files.

    The folder is only read, unless something is sent to it, which adds files and changes none. Headers are read once
    and their content is kept in the user's cache folder, so that opening the folder again checks only sizes and times.

    Parameters
    ----------
    path : str or Path
        A folder; a zip, whose members are the archive; or a DICOMDIR, for the files that it lists and no others.
    recursive : bool
        Whether to enter folders inside the folder. Links are followed; a file that several lead to counts once.
    selection : dict, optional
        Selected at once: see `Session.selection`.
    cache : str, Path or False, optional
        Where to keep the cache, a folder ``simple_orthanc`` that other users cannot read; False keeps nothing. Default:
        the value of the environment variable SIMPLE_ORTHANC_CACHE (nothing is kept if it is empty), or the platform's
        folder for caches.
    offline : bool, optional
        Not accepted, since it is for sessions on a server. A folder is always read without a network.

    Warns
    -----
    UserWarning
        Files that should be part of the archive are not, for example because they are cut off; or there is no DICOM at
        all. `files` reports on each file.

    Raises
    ------
    SelectionError
        There is no such folder, or it is another kind of file; or an argument is only for sessions on a server.

    See Also
    --------
    Orthanc, DicomWeb : The same session on a server; both take uploads with ``upload_folder``.
    LocalOrthanc : An Orthanc server on this machine, to store the files in.

    Notes
    -----
    The archive holds what `upload_folder` would send and Orthanc accept: files of any name, with or without the
    preamble, and the members of zips. The tags of a study and of a series are those of its first file by path,
    as Orthanc takes them from the first that it stores. Of several files of one instance the first by path counts.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> from simple_orthanc import Folder
    >>> folder = Folder(get_testdata_file("DICOMDIR", download=False))
    >>> folder.study_count, folder.series_count, folder.instance_count
    (6, 13, 31)
    >>> folder.select(SeriesDescription="*brain*").get_dicom_tag("SeriesDescription")
    ['Routine Brain']
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = ".",
        *,
        recursive: bool = True,
        selection: Mapping[str, Any] | None = None,
        cache: str | os.PathLike[str] | Literal[False] | None = None,
        offline: bool | None = None,
    ) -> None:
        if offline is not None or isinstance(cache, Cache):
            raise SelectionError(
                "A folder needs no cache of files: its files are on this disk, and are read without a network. "
                'cache=Cache(...) and offline=True are for Orthanc and DicomWeb; here cache="caches" names the folder '
                "that keeps what the headers hold, and cache=False keeps nothing."
            )
        self._open(FolderSource(path, recursive=recursive, cache=cache))
        if selection:
            self.selection = selection

    @classmethod
    def example(cls) -> Folder:
        """Return a session on a small synthetic archive, to try things out.

        It holds six patients: MR at two time points, CT with a segmentation and a structure set, PET with CT, diffusion
        and dynamic MR, and series that are not simple. `simple_orthanc.phantom.write_archive` lists them.

        Returns
        -------
        Folder
            On a temporary folder that a process writes once, and removes when it ends; other processes can read it
            until then.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> folder = Folder.example()
        >>> folder
        <Folder example: 6 patients, 7 studies, 16 series, 661 instances>
        >>> volume = folder.select(Modality="PT").get_volume(units="SUVbw")
        >>> volume
        <Volume 40 x 64 x 64 (slice, row, column) float32 SUVbw (g/ml), voxels of 5 x 4.4 x 4.4 mm>
        """
        from simple_orthanc.sources.folder.example import example_folder

        session = cls.__new__(cls)
        session._open(FolderSource(example_folder(), cache=False, name="example"))
        return session

    def _open(self, source: FolderSource) -> None:
        source.look_again()
        super().__init__(source)
        # `refresh` finds what changes from now on. What is known already is shown without a further call.
        self._index.counts()
        self._index.everything("study")
        self._index.everything("series")

    def _receiver(self, instances: Sequence[Target], allow_foreign_uids: bool) -> Receiver:
        from simple_orthanc.session.acts.receiving import FolderReceiver

        source = archive_of(self._source)
        assert isinstance(source, FolderSource)
        chains, keys = [each.identifiers for each in instances], [each.key for each in instances]
        paths = file_paths(source.writable_folder(), chains, keys)
        return FolderReceiver(source, dict(zip(keys, paths, strict=True)))

    @property
    def files(self) -> pd.DataFrame:
        """The outcome for each file when the folder was last read.

        Returns
        -------
        pandas.DataFrame
            One row per file, in the order of paths: path, member (of a zip), status, SOPInstanceUID, message. Status is
            indexed; duplicate (identical to another file); conflict (another file of the same instance comes first);
            not DICOM; incomplete (an identifier is missing); unreadable; missing (a DICOMDIR lists it); or skipped (a
            DICOMDIR, a link to a file that is already listed, and the like).

        Examples
        --------
        >>> from pathlib import Path
        >>> from simple_orthanc.phantom import ct_phantom
        >>> ct = Folder.example().select(PatientID="EX-002", Modality="CT")
        >>> paths = ct.download("scans", layout="{InstanceNumber}.dcm")
        >>> _ = Path("scans", "notes.txt").write_text("no image")
        >>> Folder("scans").files.status.value_counts().to_dict()
        {'indexed': 40, 'not DICOM': 1}
        """
        import pandas as pd

        source = archive_of(self._source)
        assert isinstance(source, FolderSource)
        rows = [
            (_shown(source.files.full(each.path)), _shown(each.member), each.status, each.uid, each.message)
            for each in source.index.findings
        ]
        table: pd.DataFrame = pd.DataFrame(rows, columns=["path", "member", "status", "SOPInstanceUID", "message"])
        return table.astype("string")


def _shown(path: str | None) -> str | None:
    """Return a path that can be shown, whatever bytes are in its name."""
    return None if path is None else os.fsencode(path).decode("utf-8", "backslashreplace")
