"""The verbs that change an archive: upload to it, and delete what is selected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import AmbiguousSelectionError
from simple_orthanc.session.base import Session
from simple_orthanc.session.offline import check_online
from simple_orthanc.session.uploads.documents import UploadsDocuments
from simple_orthanc.session.uploads.masks import UploadsMasks

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from pydicom.dataset import Dataset
    from typing_extensions import Self

    from simple_orthanc.session.acts.receiving import Receiver
    from simple_orthanc.session.acts.reports import ActReport, Target
    from simple_orthanc.session.uploads.files import Pending, Uploader


class ActingSession(UploadsDocuments, UploadsMasks, Session):
    """A session on an archive that takes uploads and deletes objects."""

    def _uploader(self) -> Uploader:
        """Return the uploader that sends files to this archive."""
        raise NotImplementedError

    def _delete_object(self, level: Level, key: str) -> bool:
        """Delete an object and everything below it; return False if it was gone already."""
        raise NotImplementedError

    def _is_alive(self) -> bool:
        """Wait for the server to answer, as long as patience lasts, and return whether it does."""
        raise NotImplementedError

    def upload_file(self, file: Any, test_dicom: bool = True, *, allow_foreign_uids: bool = False) -> pd.DataFrame:
        """Upload a file, several files, a zip, or the bytes of a file.

        Parameters
        ----------
        file : str, Path, bytes, a file open for reading bytes, or list of these
            The members of a zip are uploaded one by one.
        test_dicom : bool
            Check each file first, and send only what is DICOM; False leaves that to the server.
        allow_foreign_uids : bool
            Send files too whose StudyInstanceUID or SeriesInstanceUID the archive holds under another PatientID.
            Default: they are not sent, and their row has the status "conflict".

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

        Two PatientIDs that differ only by spaces around them are one; if they differ in case they are two. A server
        that does not let this user search is not asked whose UIDs they are.

        Examples
        --------
        >>> from simple_orthanc.phantom import ct_phantom
        >>> ct_phantom((1, 8, 8))[0].save_as("slice.dcm", enforce_file_format=True)
        >>> orthanc.upload_file("slice.dcm").status.tolist()
        ['stored']
        >>> orthanc.upload_file("slice.dcm").status.tolist()
        ['already stored']
        >>> orthanc.select(PatientName="Phantom*").instance_count
        1
        """
        from simple_orthanc.session.uploads.files import jobs_for

        return self._upload(jobs_for(file), test_dicom, allow_foreign_uids)

    def upload_folder(
        self,
        folder: str | Path,
        test_dicom: bool = True,
        recursive: bool = False,
        *,
        allow_foreign_uids: bool = False,
    ) -> pd.DataFrame:
        """Upload the files in a folder, whatever their names.

        Parameters
        ----------
        folder : str or Path
            Nothing in it is changed.
        test_dicom : bool
            As for `upload_file`.
        recursive : bool
            Whether to enter folders inside it; those not entered are rows of the table too.
        allow_foreign_uids : bool
            As for `upload_file`.

        Returns
        -------
        pandas.DataFrame
            As for `upload_file`.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> paths = Folder.example().select(PatientID="EX-001", SeriesDescription="T2*").download("scans")
        >>> table = orthanc.upload_folder("scans", recursive=True)
        >>> table.status.value_counts().to_dict()
        {'stored': 48}
        """
        from simple_orthanc.session.uploads.files import jobs_in_folder

        return self._upload(jobs_in_folder(folder, recursive), test_dicom, allow_foreign_uids)

    def upload_dataset(self, dataset: Dataset | Sequence[Dataset], *, allow_foreign_uids: bool = False) -> pd.DataFrame:
        """Upload a pydicom Dataset, or several; neither they nor their files are changed.

        Parameters
        ----------
        dataset : pydicom.Dataset, or sequence of these
            Written as DICOM files in memory.
        allow_foreign_uids : bool
            As for `upload_file`.

        Returns
        -------
        pandas.DataFrame
            As for `upload_file`.

        Examples
        --------
        >>> from simple_orthanc.phantom import ct_phantom
        >>> orthanc.upload_dataset(ct_phantom((3, 8, 8)))[["status"]]
           status
        0  stored
        1  stored
        2  stored
        >>> orthanc.select(PatientName="Phantom*").get_array().shape
        (3, 8, 8)
        """
        from simple_orthanc.session.uploads.files import jobs_for_datasets

        datasets = list(dataset) if isinstance(dataset, Sequence) else [dataset]
        return self._upload(jobs_for_datasets(datasets), True, allow_foreign_uids)

    upload_pydicom_dataset = upload_dataset

    def _upload(self, pending: Any, test_dicom: bool, allow_foreign_uids: bool = False) -> pd.DataFrame:
        from simple_orthanc.selection.index import Index
        from simple_orthanc.session.uploads.files import report_table

        jobs: list[Pending] = list(pending)
        try:
            table = report_table(self._uploader().run(jobs, test_dicom, allow_foreign_uids=allow_foreign_uids))
        except BaseException:
            # What is known of the archive is out of date, and the server may not answer any more.
            self._index = Index(self._source)
            raise
        self._reread()
        return table

    def delete(
        self, level: Level = "series", *, dry_run: bool = False, everything: bool = False, whole: bool = False
    ) -> pd.DataFrame:
        """Delete what is selected, for good.

        Parameters
        ----------
        level : {"patient", "study", "series", "instance"}
            Each selected object of this level is deleted with everything below it.
        dry_run : bool
            True only returns the table with what would be deleted.
        everything : bool
            True allows a selection that was never narrowed: the whole archive.
        whole : bool
            True allows objects that hold more than what is selected, which is then deleted too.

        Returns
        -------
        pandas.DataFrame
            One row per object: level, PatientID, ... down to the identifier of the level, instance_count, status and
            message. The status is "deleted"; "gone", if it was not there any more; or "failed", with the reason as the
            message. With ``dry_run`` it is "would be deleted".

        Raises
        ------
        SelectionError
            Nothing was selected, so the whole archive would be meant; or the objects hold more than what is selected.
            Nothing was deleted.
        EmptySelectionError
            Nothing is left in the selection.
        UnsupportedError
            The server deletes none of it, as most DICOMweb servers do not.
        TransportError
            The server went away; ``.table`` is the table, in which what was not begun is "not tried". Deleting again
            deletes the rest.

        Notes
        -----
        What was deleted is looked for afterwards: "deleted" means that it is not there any more. An object that has
        arrived since the session looked is not selected, so that it is not deleted with its study unless ``whole``
        allows that.

        Examples
        --------
        >>> table = orthanc.select(PatientID="EX-006", SeriesNumber=3).delete(dry_run=True)
        >>> table[["level", "PatientID", "instance_count", "status"]]
            level PatientID  instance_count            status
        0  series    EX-006              19  would be deleted
        >>> orthanc.delete().status.tolist()
        ['deleted']

        Whole studies, by their date:

        >>> orthanc.reset().select(StudyDate=(None, "20230131")).delete("study").instance_count.tolist()
        [42]
        >>> orthanc.reset().PatientIDs
        ['EX-003', 'EX-006']
        """
        from simple_orthanc.session.acts.deleting import DELETED, delete_all
        from simple_orthanc.session.acts.reports import ActReport
        from simple_orthanc.session.acts.targets import whole_targets

        report = ActReport(whole_targets(self, level, DELETED, everything=everything, whole=whole), DELETED)
        if dry_run:
            return report.planned()
        with self._acting(report):
            delete_all(report, self._delete_object, self._source, self._is_alive)
        return report.table()

    def delete_selected_patient(self, *, everything: bool = False, whole: bool = False) -> Self:
        """Delete the one selected patient with all its studies; otherwise as `delete`.

        Parameters
        ----------
        everything : bool
            True deletes all selected patients, and allows a selection that was never narrowed.
        whole : bool
            True also deletes what the patient holds beside the selection.

        Returns
        -------
        Session
            The session itself, so that calls chain.

        Raises
        ------
        EmptySelectionError, AmbiguousSelectionError
            Not exactly one patient is selected; nothing was deleted.
        SelectionError
            Nothing was selected, so the whole archive would be meant; or the patient holds more than what is selected.
            Nothing was deleted.
        ServerError
            The server refused; ``.table`` reports on each object.

        Examples
        --------
        >>> orthanc.select(PatientID="EX-002").delete_selected_patient().reset().PatientIDs
        ['EX-003', 'EX-006']
        """
        return self._delete_one("patient", everything, whole)

    def delete_selected_study(self, *, everything: bool = False, whole: bool = False) -> Self:
        """Delete the one selected study with all its series; otherwise as `delete`.

        Parameters
        ----------
        everything, whole : bool
            As for `delete_selected_patient`.

        Returns
        -------
        Session
            The session itself, so that calls chain.

        Examples
        --------
        >>> orthanc.select(StudyDate="20230116").delete_selected_study().reset().StudyDates
        ['20230309', '20230714']
        """
        return self._delete_one("study", everything, whole)

    def delete_selected_series(self, *, everything: bool = False, whole: bool = False) -> Self:
        """Delete the one selected series with all its instances; otherwise as `delete`.

        Parameters
        ----------
        everything, whole : bool
            As for `delete_selected_patient`.

        Returns
        -------
        Session
            The session itself, so that calls chain.

        Examples
        --------
        >>> orthanc.select(SeriesDescription="CT low dose").delete_selected_series().reset().series_count
        7
        """
        return self._delete_one("series", everything, whole)

    def _delete_one(self, level: Level, everything: bool, whole: bool) -> Self:
        from simple_orthanc.session.acts.deleting import DELETED, delete_all
        from simple_orthanc.session.acts.reports import ActReport
        from simple_orthanc.session.acts.targets import whole_targets

        targets = whole_targets(self, level, DELETED, everything=everything, whole=whole)
        if len(targets) > 1 and not everything:
            raise AmbiguousSelectionError(
                f"{len(targets)} objects of level {level} are selected, and delete_selected_{level}() deletes one. "
                f"Nothing was deleted. Narrow to one, or delete them all with delete({level!r}).",
                candidates=tuple(target.key for target in targets),
            )
        report = ActReport(targets, DELETED)
        with self._acting(report):
            delete_all(report, self._delete_object, self._source, self._is_alive)
            if report.first_error is not None:
                raise report.first_error
        return self

    @contextmanager
    def _acting(self, report: ActReport) -> Iterator[None]:
        """Re-read the archive after a block that changes it; an error carries the table of the report."""
        check_online(self._source)
        with report.attached():
            try:
                yield
                self._reread()
            except BaseException as error:
                self._reread_after(error)
                raise

    def _receiver(self, instances: Sequence[Target], allow_foreign_uids: bool) -> Receiver:
        from simple_orthanc.session.acts.receiving import ServerReceiver

        return ServerReceiver(self._uploader(), allow_foreign_uids)
