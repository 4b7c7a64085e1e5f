"""The verb that de-identifies what is selected: into a folder, or into another session."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from simple_orthanc.deidentification.keys import Key
from simple_orthanc.session.state import SessionState

if TYPE_CHECKING:
    from simple_orthanc.session.base import Session
    from simple_orthanc.session.deidentifying.results import Deidentified


class Deidentifying(SessionState):
    """The verb of a session that makes de-identified copies of what is selected."""

    def deidentify(
        self,
        to: Any,
        profile: str = "basic",
        *,
        key: str | bytes | Key | None = None,
        options: Collection[str] = (),
        pseudonyms: Any = None,
        prefix: str = "S-",
        max_shift: int = 365,
        keep: Collection[str] = (),
        remove: Collection[str] = (),
        replace: Mapping[str, str] | None = None,
        suspicious: Literal["leave out", "keep"] = "leave out",
        layout: str | None = None,
        everything: bool = False,
        dry_run: bool = False,
    ) -> Deidentified:
        """Make de-identified copies of what is selected, in a folder or in another archive; the originals stay.

        This is done here, by DICOM PS3.15, annex E, without trusting a server. The same key gives the same copies, to
        the byte, in any later run and on any machine: a call that was interrupted is finished by calling it again, and
        studies that arrive later fit to those before.

        Parameters
        ----------
        to : str, Path, or a session that takes uploads
            A folder, made where it is missing, or the session on one; or an `Orthanc` or `DicomWeb` session, also the
            same one, since all copies have new UIDs.
        profile : {"basic"}
            The Basic Application Level Confidentiality Profile (PS3.15, section E.2).
        key : str or bytes
            Must be given: a secret of at least 16 bytes, as ``secrets.token_hex(16)`` makes it. Who has it can test
            whether a pseudonym belongs to a PatientID; keep it as you keep passwords, and not beside the copies.
        options : collection of str
            Options of the profile (PS3.15, section E.3): "retain_safe_private", "retain_uids",
            "retain_device_identity", "retain_institution_identity", "retain_patient_characteristics",
            "retain_full_dates", "retain_modified_dates", "clean_descriptors", "clean_structured_content",
            "clean_graphics". Without one of the two for dates, dates are removed or emptied.
        pseudonyms : dict or pandas.DataFrame, optional
            PatientID to pseudonym, for patients whose pseudonyms are not to be made from the key; or a table with
            columns ``old`` and ``new``, such as ``key_table`` of an earlier run.
        prefix : str
            What pseudonyms that are made from the key begin with.
        max_shift : int
            With "retain_modified_dates" all dates of a patient are moved by the same number of days, which follows from
            the key: from -max_shift to max_shift, and never 0.
        keep, remove : collection of str
            Tags that are kept as they are, or removed, at every level, whatever the profile says.
        replace : mapping, optional
            Tag to new value, where the tag is present.
        suspicious : {"leave out", "keep"}
            What to do with objects that may show who the patient is whatever their headers say: images with burned-in
            text, reports, encapsulated documents. "leave out" makes no copies of them.
        layout : str, optional
            How files in a folder are named, by tags of the copies as for `download`, with the SOPInstanceUID in the
            name of the file: ``"{PatientID}/{Modality}/{SOPInstanceUID}.dcm"``.
        everything : bool
            True allows a selection that was never narrowed: the whole archive.
        dry_run : bool
            True reads everything and writes nothing; the tables are the same, with "would be deidentified".

        Returns
        -------
        Deidentified
            ``table`` has one row per instance, with a status: "deidentified"; "already there", equal to the byte; "left
            out"; "gone", if the archive does not hold it any more; "conflict", if there is another file of that name;
            or "failed". The message says why.
            ``report`` counts for each attribute what was kept, changed and removed; ``key_table`` has what was replaced
            by what.

        Raises
        ------
        SelectionError
            The key is missing or weak; an option, a tag or the target cannot be; nothing was selected, so the whole
            archive would be meant; the folder is that of the originals, or around or inside it. Nothing was written.
        EmptySelectionError
            Nothing is left in the selection.
        UnsupportedError
            The session hands over no files (a PACS), or the one that is written to takes none.
        TransportError
            A server went away; ``.table`` is the table, in which what was not begun is "not tried".

        Warns
        -----
        UserWarning
            No selected patient is in ``pseudonyms``.

        Notes
        -----
        Files are named ``PatientID/StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm`` by their new identifiers.
        Pixels and transfer syntax stay as they are. A face can be recognized in a head, and text that is part of the
        pixels stays; see ``docs/deidentification.md`` for what is promised. Copies of an earlier call that are selected
        together with their originals are left out.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> ct = archive.select(PatientID="EX-002", Modality="CT")
        >>> made = ct.deidentify("shared", key="correct horse battery staple", pseudonyms={"EX-002": "S01"})
        >>> made
        <Deidentified: 40 deidentified>
        >>> Folder("shared").PatientIDs
        ['S01']
        """
        # In the first line, so that no traceback shows it.
        key = Key(key)
        # What only this verb needs is imported with it.
        from simple_orthanc.deidentification.copies import Deidentifier
        from simple_orthanc.deidentification.profile import Option
        from simple_orthanc.deidentification.pseudonyms import Pseudonyms, read_given
        from simple_orthanc.session.acts.targets import whole_targets
        from simple_orthanc.session.deidentifying import arguments
        from simple_orthanc.session.deidentifying.results import DONE, TargetFolder
        from simple_orthanc.session.deidentifying.run import DeidentificationRun, lost_uses

        chosen = arguments.read_profile(profile, options, keep, remove, replace)
        given = read_given(pseudonyms)
        names = Pseudonyms(key, given=given, prefix=prefix)
        leaves_out = arguments.leaves_out(suspicious)
        target = arguments.read_target(to, self._source, layout)
        tags = target.tags if isinstance(target, TargetFolder) else ()
        deidentifier = Deidentifier(chosen, names, max_shift, lost_uses, tags)
        self._check_has_files()
        selected = whole_targets(cast("Session", self), "instance", DONE, everything=everything, whole=True)
        arguments.check_replaced_identifiers(chosen, selected)
        arguments.warn_of_other_patients(given, selected)
        run = DeidentificationRun(self._source, selected, deidentifier, leaves_out=leaves_out)
        if not chosen.has(Option.RETAIN_UIDS):
            run.leave_out_copies(names)
        run.into(target, dry_run=dry_run)
        return run.result()
