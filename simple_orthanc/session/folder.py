"""A session on a folder of DICOM files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from simple_orthanc.errors import UnknownTagError
from simple_orthanc.session.base import Session
from simple_orthanc.sources.folder.source import FolderSource

if TYPE_CHECKING:
    import pandas as pd


class Folder(Session):
    """A session on the DICOM files in a folder, with the answers of an Orthanc that holds the same files.

    The folder is only read. Its headers are read once, and what they say is kept in the user's cache folder, so that
    opening it again looks at sizes and times alone.

    Parameters
    ----------
    path : str or Path
        A folder; a zip, whose members are the archive; or a DICOMDIR, to take what it lists and nothing else.
    recursive : bool
        Whether folders inside the folder are entered. Links are followed, and what several lead to is met once.
    selection : dict, optional
        Selected at once: see `Session.selection`.
    cache : str, Path or False, optional
        The folder in which what is known of the files is kept, in a folder ``simple_orthanc`` that others cannot read;
        False keeps nothing. Default: what the environment variable SIMPLE_ORTHANC_CACHE names (nothing is kept if it is
        empty), or the platform's folder for caches.

    Warns
    -----
    UserWarning
        Files that should be part of the archive are not, such as those that are cut off; or there is no DICOM at all.
        `files` says what became of each file.

    Raises
    ------
    SelectionError
        There is no such folder, or it is a file of another kind.

    See Also
    --------
    Orthanc, DicomWeb : The same session on a server; both can be uploaded to with ``upload_folder``.
    LocalOrthanc : An Orthanc server of one's own, to put the files into.

    Notes
    -----
    What `upload_folder` would send, and Orthanc accept, is part of the archive: files of any name, with or without the
    preamble, and the members of zips. One file speaks for its study and one for its series, as in an Orthanc: the first
    by path. Of several files of one instance the first by path counts.

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
    ) -> None:
        source = FolderSource(path, recursive=recursive, cache=cache)
        source.look_again()
        super().__init__(source)
        # What is changed from now on is what `refresh` has to find.
        self._index.counts()
        if selection:
            self.selection = selection

    @property
    def files(self) -> pd.DataFrame:
        """What became of each file when the folder was last looked at.

        Returns
        -------
        pandas.DataFrame
            One row per file, in the order of paths: path, member (of a zip), status, SOPInstanceUID, message. Status is
            indexed; duplicate (the same file as another one); conflict (another file of the same instance comes first);
            not DICOM; incomplete (it lacks an identifier); unreadable; missing (a DICOMDIR lists it); or skipped (a
            DICOMDIR, a link to what was met already, and the like).
        """
        import pandas as pd

        source = self._source
        assert isinstance(source, FolderSource)
        rows = [
            (_shown(source.files.full(each.path)), _shown(each.member), each.status, each.uid, each.message)
            for each in source.catalogue.findings
        ]
        table: pd.DataFrame = pd.DataFrame(rows, columns=["path", "member", "status", "SOPInstanceUID", "message"])
        return table.astype("string")

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("upload_", "delete_")):
            raise UnknownTagError(
                f"A folder is only read, so there is no {name}: an Orthanc server can be uploaded to and deleted from."
            )
        return super().__getattr__(name)


def _shown(path: str | None) -> str | None:
    """Write a path so that it can be shown, whatever bytes its name is made of."""
    return None if path is None else os.fsencode(path).decode("utf-8", "backslashreplace")
