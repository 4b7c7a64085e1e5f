"""The verbs that change an archive: upload to it, and delete what is selected."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.interruption import for_at_most
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import AmbiguousSelectionError, OrthancError, SelectionError
from simple_orthanc.selection import tables
from simple_orthanc.selection.index import Index
from simple_orthanc.session.base import Session
from simple_orthanc.session.uploads import (
    Pending,
    Uploader,
    jobs_for,
    jobs_for_datasets,
    jobs_in_folder,
    report_table,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from typing_extensions import Self


_SECONDS_AFTER_INTERRUPTION = 0.3


class ActingSession(Session):
    """A session on an archive that takes uploads and deletes objects."""

    def _uploader(self) -> Uploader:
        """Return the uploader that sends files to this archive."""
        raise NotImplementedError

    def _delete_object(self, level: Level, key: str) -> None:
        """Delete an object and everything below it; one that is already gone is not an error."""
        raise NotImplementedError

    def upload_file(self, file: Any, test_dicom: bool = True) -> pd.DataFrame:
        """Upload a file, several files, a zip, or the bytes of a file.

        Parameters
        ----------
        file : str, Path, bytes, a file open for reading bytes, or list of these
            The members of a zip are uploaded one by one.
        test_dicom : bool
            Check each file first, and send only what is DICOM; False leaves that to the server.

        Returns
        -------
        pandas.DataFrame
            One row per file: path, member (of a zip), status (stored, "stored, changed", already stored, conflict, not
            DICOM, filtered, failed, skipped), SOPInstanceUID, message.

        Raises
        ------
        TransportError
            The server went away; ``.table`` reports on each file. Uploading again does no harm.

        Notes
        -----
        The criteria of the selection stay, and are applied to the uploaded files too.
        """
        return self._upload(jobs_for(file), test_dicom)

    def upload_folder(self, folder: str | Path, test_dicom: bool = True, recursive: bool = False) -> pd.DataFrame:
        """Upload the files in a folder, whatever their names.

        Parameters
        ----------
        folder : str or Path
            Nothing in it is changed.
        test_dicom : bool
            As for `upload_file`.
        recursive : bool
            Whether to enter folders inside it; those not entered are rows of the table too.

        Returns
        -------
        pandas.DataFrame
            As for `upload_file`.
        """
        return self._upload(jobs_in_folder(folder, recursive), test_dicom)

    def upload_dataset(self, dataset: Dataset | Sequence[Dataset]) -> pd.DataFrame:
        """Upload a pydicom Dataset, or several; neither they nor their files are changed.

        Parameters
        ----------
        dataset : pydicom.Dataset, or sequence of these
            Written as DICOM files in memory.

        Returns
        -------
        pandas.DataFrame
            As for `upload_file`.
        """
        datasets = list(dataset) if isinstance(dataset, Sequence) else [dataset]
        return self._upload(jobs_for_datasets(datasets), True)

    upload_pydicom_dataset = upload_dataset

    def _upload(self, pending: Any, test_dicom: bool) -> pd.DataFrame:
        jobs: list[Pending] = list(pending)
        try:
            table = report_table(self._uploader().run(jobs, test_dicom))
        except BaseException:
            # What is known of the archive is out of date, and the server may not answer any more.
            self._index = Index(self._source)
            raise
        self._reread()
        return table

    def delete_selected_patient(self, *, everything: bool = False) -> Self:
        """Delete the one selected patient with all its studies, selected or not.

        Parameters
        ----------
        everything : bool
            True deletes all selected patients, and allows a selection that was never narrowed.

        Returns
        -------
        Session
            The session itself, so that calls chain.

        Raises
        ------
        EmptySelectionError, AmbiguousSelectionError
            Not exactly one patient is selected; nothing was deleted.
        SelectionError
            Nothing was selected, so the whole archive would be meant; nothing was deleted.
        """
        return self._delete("patient", everything)

    def delete_selected_study(self, *, everything: bool = False) -> Self:
        """Delete the one selected study with all its series, selected or not.

        Parameters
        ----------
        everything : bool
            As for `delete_selected_patient`.

        Returns
        -------
        Session
            The session itself, so that calls chain.
        """
        return self._delete("study", everything)

    def delete_selected_series(self, *, everything: bool = False) -> Self:
        """Delete the one selected series with all its instances, selected or not.

        Parameters
        ----------
        everything : bool
            As for `delete_selected_patient`.

        Returns
        -------
        Session
            The session itself, so that calls chain.
        """
        return self._delete("series", everything)

    def _delete(self, level: Level, everything: bool) -> Self:
        if not self._selection.criteria and not everything:
            raise SelectionError(
                f"Nothing was selected, so deleting would mean the whole archive. Narrow to one {level} with "
                f"select(...), or call delete_selected_{level}(everything=True)."
            )
        keys = tables.row_keys(self._index, self._selection, level)
        if not keys:
            raise self._empty()
        if len(keys) > 1 and not everything:
            raise AmbiguousSelectionError(
                f"{len(keys)} objects of level {level} are selected, and delete_selected_{level}() deletes one. "
                f"Nothing was deleted. Narrow to one, or call delete_selected_{level}(everything=True).",
                candidates=tuple(keys),
            )
        try:
            for key in keys:
                self._delete_object(level, key)
        except BaseException as error:
            self._reread_after(error)
            raise
        return self._reread()

    def _reread_after(self, error: BaseException) -> None:
        """Re-read the archive after an error; if that fails too, only forget what is known of it."""
        try:
            # Ctrl-C is not to wait for a server that is mute.
            with nullcontext() if isinstance(error, Exception) else for_at_most(_SECONDS_AFTER_INTERRUPTION):
                self._reread()
        except (OrthancError, KeyboardInterrupt):
            self._index = Index(self._source)

    def _reread(self) -> Self:
        """Refresh the session without warnings: that deleted objects are not found any more is no surprise."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return self.refresh()
