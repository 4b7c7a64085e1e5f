"""The verbs by which an Orthanc server makes copies of what is selected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.selection import tables
from simple_orthanc.session.orthanc_state import OrthancState

if TYPE_CHECKING:
    import pandas as pd


class MakesCopies(OrthancState):
    """The verbs that make copies with other values; they are carried out as `making_copies` describes."""

    def anonymize(
        self,
        keep: Iterable[str] = (),
        replace: Mapping[str, Any] = MappingProxyType({}),
        remove: Iterable[str] = (),
        *,
        keep_private: bool = False,
        level: Level = "series",
        everything: bool = False,
        whole: bool = False,
        delete_originals: bool = False,
        dry_run: bool = False,
    ) -> pd.DataFrame:
        """Store anonymized copies of exactly what is selected, beside the originals.

        The server removes or empties what identifies patients by the Basic Application Level Confidentiality Profile of
        PS3.15, table E.1-1 (edition 2021b), and gives new identifiers. Everything of one patient is copied by one job,
        so that studies stay with their patient and references between the copies are right. The copies are counted and
        read back.

        Parameters
        ----------
        keep : sequence of str
            Tags that stay as they are: keywords, or numbers such as ``"0009,100D"``.
        replace : mapping
            Tag to new value: a string, number, date or time; None for an empty value. By default PatientName becomes
            ``Anonymized1`` and so on, and PatientID something random.
        remove : sequence of str
            Tags that are removed although the profile keeps them.
        keep_private : bool
            Whether private elements stay.
        level : {"series", "patient", "study", "instance"}
            The objects that have a row each in the table.
        everything : bool
            True allows a selection that was never narrowed: the whole archive.
        whole : bool
            True takes the selected objects of the level whole, with what the selection left out of them.
        delete_originals : bool
            Whether the originals are deleted, each once its copy is known to be complete.
        dry_run : bool
            True only returns the table of what would be done.

        Returns
        -------
        pandas.DataFrame
            One row per object: level, PatientID, ... down to the identifier of the level; the same with ``new_`` of its
            copy; orthanc_id, new_orthanc_id; instance_count; status and message. The status is "anonymized"; "already
            there", if the same call has made the copies before; "skipped", for a copy that this call has made; "gone";
            or "failed", with the reason as the message, and no copy on the server. The message also names the tags to
            keep where the SUV of a PET series cannot be computed from the copy.

        Raises
        ------
        SelectionError
            Nothing was selected, so the whole archive would be meant; a value cannot be one of its tag; several objects
            would get one identifier; or the copies would contradict a patient that is there. Nothing was changed.
        EmptySelectionError
            Nothing is left in the selection.
        UnsupportedError
            The server cannot change such a tag.
        TransportError
            The server went away; ``.table`` is the table so far. The same call finishes what it had begun.

        See Also
        --------
        modify : Copies with other values, which are not anonymized.

        Notes
        -----
        The selection stays as it was: ``orthanc.reset().select(SeriesInstanceUID=list(table.new_SeriesInstanceUID))``
        selects the copies. The same call again copies only what has no copy by it, and nothing twice; for that it notes
        a digest with each copy, as metadata 39922, and while it runs as metadata 39921 of the patient. Labels, metadata
        and attachments are not copied.

        What burned-in text, comments and descriptions may reveal is not looked at.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-002", Modality="CT")
        >>> table = study.anonymize(keep=["StudyDate"], replace={"PatientID": "S042", "PatientName": "S042"})
        >>> table[["PatientID", "new_PatientID", "instance_count", "status"]]
          PatientID new_PatientID  instance_count      status
        0    EX-002          S042              40  anonymized
        >>> orthanc.reset().select(PatientID="S042").table("PatientName", "StudyDate", "SeriesDescription")
          PatientName  StudyDate SeriesDescription
        0        S042 2023-01-16              <NA>
        """
        # Only these verbs need them.
        from simple_orthanc.session.acts.anonymizing import anonymize
        from simple_orthanc.session.acts.copy_runs import CopyOptions
        from simple_orthanc.session.acts.tag_changes import TagChanges

        options = CopyOptions(tables.check_level(level), everything, whole, delete_originals, dry_run)
        return anonymize(self, TagChanges.parse(keep, replace, remove), keep_private, options)

    def modify(
        self,
        replace: Mapping[str, Any] = MappingProxyType({}),
        remove: Iterable[str] = (),
        keep: Iterable[str] = (),
        *,
        remove_private: bool = False,
        level: Level = "series",
        everything: bool = False,
        whole: bool = False,
        delete_originals: bool = False,
        dry_run: bool = False,
    ) -> pd.DataFrame:
        """Store copies of exactly what is selected with other values, or change it in place.

        The copies are new objects from the highest level on at which something changes: a new StudyDescription makes
        new studies, a new SeriesDescription or WindowWidth new series in the same study, a new PatientID makes another
        patient. The copies are counted and read back.

        Parameters
        ----------
        replace : mapping
            Tag to new value: a string, number, date or time; None for an empty value.
        remove : sequence of str
            Tags that are removed.
        keep : sequence of str
            UIDs that stay. All of StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID: the objects are changed in
            place, which needs a server whose option OverwriteInstances is true; or, with a new PatientID, given to
            another patient.
        remove_private : bool
            Whether private elements are removed.
        level, everything, whole, delete_originals, dry_run
            As for `anonymize`. In place, whole studies, patients or series are changed if a tag of theirs changes; if
            they hold more than what is selected, ``whole=True`` must allow it.

        Returns
        -------
        pandas.DataFrame
            As for `anonymize`, with the status "modified". In place there are no new identifiers, and a row "failed"
            tells how much is as it was.

        Raises
        ------
        SelectionError, EmptySelectionError, UnsupportedError, TransportError
            As for `anonymize`; or the server does not overwrite. Copies of a patient under another name need a new
            PatientID, since a server knows one name per PatientID.

        Notes
        -----
        Orthanc leaves UIDs inside sequences as they are, so that copies of segmentations, structure sets and reports go
        on referring to the originals. In place labels and metadata are written again, since Orthanc stores each image
        anew without them; attachments of images are lost, and those of a series, study or patient of one image only.

        Examples
        --------
        >>> low_dose = orthanc.select(SeriesDescription="CT low dose")
        >>> table = low_dose.modify({"SeriesDescription": "attenuation"})
        >>> table[["PatientID", "instance_count", "status"]]
          PatientID  instance_count    status
        0    EX-003              40  modified
        >>> orthanc.reset().select(PatientID="EX-003", Modality="CT").SeriesDescriptions
        ['attenuation', 'CT low dose']

        Another PatientID, in the place of the originals:

        >>> table = orthanc.reset().select(PatientID="EX-003").modify({"PatientID": "P3"}, delete_originals=True)
        >>> orthanc.reset().select(StudyDescription="PET/CT*").PatientIDs
        ['P3']
        """
        # Only these verbs need them.
        from simple_orthanc.session.acts.copy_runs import CopyOptions
        from simple_orthanc.session.acts.modifying import modify
        from simple_orthanc.session.acts.tag_changes import TagChanges

        options = CopyOptions(tables.check_level(level), everything, whole, delete_originals, dry_run)
        return modify(self, TagChanges.parse(keep, replace, remove), remove_private, options)
