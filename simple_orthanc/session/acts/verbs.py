"""The verbs by which an Orthanc server acts on what is selected; each is a module of this package."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from simple_orthanc.dicom.levels import Level
from simple_orthanc.session.acts.copy_verbs import MakesCopies

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.session.acts.reports import ActReport


class ActsOnServer(MakesCopies):
    """The verbs that need an Orthanc server.

    Each plans, acts and returns one row per object as `simple_orthanc.session.acts.reports` describes. A module of this
    package that carries out a verb takes an `OrthancState`, since `Orthanc` itself is made of this class.
    """

    def add_label(
        self,
        name: str,
        level: Level | None = None,
        *,
        dry_run: bool = False,
        everything: bool = False,
        whole: bool = False,
    ) -> pd.DataFrame:
        """Add a label to what is selected.

        Parameters
        ----------
        name : str
            At most 64 ASCII letters, digits, ``-`` and ``_``; case matters.
        level : {"patient", "study", "series", "instance"}, optional
            Which objects get it. None: those that the selection is one of, so that ``select(label(name))`` then selects
            the same: studies if it was made by tags of the patient or the study, series if by tags of the series,
            instances if by tags of the image.
        dry_run : bool
            True only returns the table with what would be done.
        everything : bool
            True allows a selection that was never narrowed: the whole archive.
        whole : bool
            True allows objects that hold more than what is selected, to which the label then applies too.

        Returns
        -------
        pandas.DataFrame
            One row per object: level, PatientID, ... down to the identifier of the level, instance_count, status and
            message. The status is "labelled"; "already there"; "gone", if the object was not there any more; or
            "failed", with the reason as the message. With ``dry_run`` it is "would be labelled".

        Raises
        ------
        UnsupportedError
            The server has no labels: they need Orthanc 1.12.0. Nothing was sent.
        SelectionError
            It cannot be a label; nothing was selected, so the whole archive would be meant; or the objects hold more
            than what is selected. Nothing was labelled.
        EmptySelectionError
            Nothing is left in the selection.
        TransportError
            The server went away; ``.table`` is the table, in which what was not begun is "not tried".

        See Also
        --------
        label : The condition that selects by a label.

        Examples
        --------
        >>> from simple_orthanc import label
        >>> table = orthanc.select(StudyDescription="CT*").add_label("reviewed")
        >>> table[["level", "PatientID", "status"]]
           level PatientID    status
        0  study    EX-002  labelled
        1  study    EX-006  labelled
        >>> orthanc.reset().select(label("reviewed")).study_count
        2
        """
        from simple_orthanc.session.acts import labelling

        return self._change_label(name, level, labelling.LABELLED, dry_run, everything, whole)

    def remove_label(
        self,
        name: str,
        level: Level | None = None,
        *,
        dry_run: bool = False,
        everything: bool = False,
        whole: bool = False,
    ) -> pd.DataFrame:
        """Remove a label from what is selected; parameters, table and errors as for `add_label`.

        The status is "unlabelled", or "not there" for what does not have it. A label of a study is not one of its
        series: it is removed at the level at which it was added.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003")
        >>> table = study.add_label("reviewed", level="study")
        >>> study.remove_label("reviewed", level="study").status.tolist()
        ['unlabelled']
        """
        from simple_orthanc.session.acts import labelling

        return self._change_label(name, level, labelling.UNLABELLED, dry_run, everything, whole)

    def _change_label(
        self, name: str, level: Level | None, done: str, dry_run: bool, everything: bool, whole: bool
    ) -> pd.DataFrame:
        from simple_orthanc.session.acts import labelling

        report = labelling.plan_label(self, name, level, done, everything=everything, whole=whole)
        if dry_run:
            return report.planned()
        with self._acting(report):
            labelling.change_label(self, name, report)
        return report.table()

    def labels(self) -> pd.DataFrame:
        """List the labels of what is selected.

        Returns
        -------
        pandas.DataFrame
            One row for each label of each object that is selected or has something selected in it, from patients to
            instances: level, PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID and label.

        Raises
        ------
        UnsupportedError
            The server has no labels: they need Orthanc 1.12.0.

        Examples
        --------
        >>> table = orthanc.select(PatientID="EX-003").add_label("reviewed", level="study")
        >>> orthanc.labels()[["level", "PatientID", "label"]]
           level PatientID     label
        0  study    EX-003  reviewed
        """
        from simple_orthanc.session.acts import labelling

        return labelling.list_labels(self)

    def set_metadata(
        self,
        name: str | int,
        value: str | bytes,
        level: Level | None = None,
        *,
        dry_run: bool = False,
        everything: bool = False,
        whole: bool = False,
    ) -> pd.DataFrame:
        """Write a metadata entry of what is selected, in place of any earlier value.

        Parameters
        ----------
        name : str or int
            A number from 1024 to 65535, or a name that the server's configuration gives one of them (``UserMetadata``).
        value : str or bytes
            Strings are written as UTF-8.
        level, dry_run, everything, whole
            As for `add_label`.

        Returns
        -------
        pandas.DataFrame
            One row per object, as of `add_label`, with the ``previous_value`` where there was one. The status is
            "annotated"; "already there", if it had this value; "gone" or "failed". With ``dry_run`` it is "would be
            annotated", and no value was read.

        Raises
        ------
        SelectionError
            The server has no such entry, or keeps it for itself; the value is neither a string nor bytes; nothing was
            selected, so the whole archive would be meant; or the objects hold more than what is selected. Nothing was
            written.
        EmptySelectionError
            Nothing is left in the selection.
        TransportError
            The server went away; ``.table`` is the table, in which what was not begun is "not tried".

        See Also
        --------
        metadata : The condition that selects by a metadata entry.

        Examples
        --------
        >>> from simple_orthanc import metadata
        >>> table = orthanc.select(PatientID="EX-003").set_metadata("1024", "reader A", level="study")
        >>> table[["level", "PatientID", "status"]]
           level PatientID     status
        0  study    EX-003  annotated
        >>> orthanc.reset().select(metadata("1024") == "reader A").PatientIDs
        ['EX-003']
        """
        from simple_orthanc.session.acts import labelling

        report: ActReport = labelling.plan_metadata(self, name, value, level, everything=everything, whole=whole)
        if dry_run:
            return report.planned()
        with self._acting(report):
            labelling.write_metadata(self, name, value, report)
        return report.table()

    def archive(
        self,
        path: str | os.PathLike[str],
        *,
        media: bool = False,
        overwrite: bool = False,
        everything: bool = False,
    ) -> Path:
        """Write exactly what is selected to one zip file, which the server makes.

        Parameters
        ----------
        path : str or Path
            The file; its folder exists. It appears under its name when it is whole.
        media : bool
            True makes a medium: files named as for a disc, with a DICOMDIR (PS3.10, section 8).
        overwrite : bool
            True replaces a file of that name, at the end.
        everything : bool
            True allows a selection that was never narrowed: the whole archive.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        SelectionError
            There can be no such file, there is one already, or it would not fit on the disk; nothing was selected, so
            the whole archive would be meant; or a part of what is selected is not there any more. Nothing was written.
        EmptySelectionError
            Nothing is left in the selection.
        ServerError
            The server failed.
        TransportError
            The server left out instances that it cannot read, or the zip is cut off or damaged. Nothing was written.

        Notes
        -----
        The zip is read once more before it gets its name, and its instances are counted. Other sources make no
        archives: there `Session.download` writes the files, and ``shutil.make_archive`` one zip of them.

        Examples
        --------
        >>> import zipfile
        >>> path = orthanc.select(PatientID="EX-002", Modality="CT").archive("ct.zip")
        >>> path.name, len(zipfile.ZipFile(path).namelist())
        ('ct.zip', 40)
        """
        from simple_orthanc.session.acts.archives import write_archive

        return write_archive(self, path, media=media, overwrite=overwrite, everything=everything)
