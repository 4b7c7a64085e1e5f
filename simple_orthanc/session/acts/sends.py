"""The verb that sends what is selected, on every session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.session.state import SessionState

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.session.acts.receiving import Receiver
    from simple_orthanc.session.acts.reports import Target
    from simple_orthanc.session.base import Session


class Sends(SessionState):
    """A session that sends what is selected, and may be sent to."""

    def send(
        self,
        to: str | Session,
        *,
        level: Level = "series",
        everything: bool = False,
        dry_run: bool = False,
        allow_foreign_uids: bool = False,
    ) -> pd.DataFrame:
        """Send exactly what is selected to another archive, which keeps whatever it holds already.

        Parameters
        ----------
        to : Session or str
            A session on another archive that can be written: an `Orthanc`, a `DicomWeb` server or a `Folder`. On an
            `Orthanc` also the name of a modality, a peer or a DICOMweb server in its configuration, to which that
            server sends: ``"modality:NAME"``, ``"peer:NAME"`` or ``"dicomweb:NAME"`` where several have one name.
        level : {"series", "instance"}
            One row for each object of this level.
        everything : bool
            Whether a selection that was never narrowed is allowed.
        dry_run : bool
            Return the table of what would be sent, and send nothing.
        allow_foreign_uids : bool
            As for `upload_file`, where the target is a session on a server: whether to send studies and series that it
            holds under another PatientID.

        Returns
        -------
        pandas.DataFrame
            One row per object: level, identifiers, ``sent_count``, ``already_there_count``, ``failed_count``,
            ``instance_count``, ``status`` and ``message``. The status is "sent", or "already there" if nothing had to
            be sent; "conflict" if the target holds other files under the same identifiers, which it keeps; "gone" if
            the object is not in this archive any more; "failed", or "not tried".

        Raises
        ------
        SelectionError
            There is no such target, it is the archive itself, or nothing was selected, so that the whole archive would
            be meant.
        EmptySelectionError
            Nothing is left in the selection.
        UnsupportedError
            The target is only read, or this is a PACS, which hands over no files.
        TransportError
            The server or the target went away for good; ``.table`` reports on each row. Sending again does the rest.

        Notes
        -----
        To a session, files are copied one by one, four at a time: each is checked against what this archive lists,
        compared with what the target holds, and its bytes stay as they are. A file of which the archive tells that it
        has more than 16 MB goes through a temporary file, so that memory stays small; of a DICOMweb server four files
        are in memory. In a folder a file appears under its name when it is whole, at
        ``PatientID/StudyInstanceUID/SeriesInstanceUID/SOPInstanceUID.dcm``.

        To a machine by name, the server sends one series after the other, as a job that Ctrl-C cancels; what is left of
        a job that failed is sent one by one, until three in a row fail. A modality is
        asked by C-FIND, and a DICOMweb server by QIDO-RS, which instances it lists: before, so that none is sent twice,
        and afterwards. They are compared by their UIDs alone. A peer cannot be asked, which the message says.
        `Modality.store` sends without asking first.

        Examples
        --------
        >>> from pathlib import Path
        >>> from simple_orthanc import Folder
        >>> ct = archive.select(PatientID="EX-002", Modality="CT")
        >>> paths = ct.download("research")
        >>> research = Folder("research")
        >>> table = archive.reset().select(PatientID=["EX-002", "EX-006"], Modality="CT").send(research)
        >>> table[["PatientID", "sent_count", "already_there_count", "status"]]
          PatientID  sent_count  already_there_count         status
        0    EX-002           0                   40  already there
        1    EX-006          21                    0           sent
        2    EX-006          19                    0           sent
        >>> research.PatientIDs
        ['EX-002', 'EX-006']

        On an Orthanc also to a machine that its server knows: ``orthanc.select(Modality="CT").send("PACS")``.
        """
        self._check_has_files()
        if isinstance(to, str):
            return self._send_to_machine(to, level, everything=everything, dry_run=dry_run)
        if not isinstance(to, SessionState):
            raise SelectionError(
                f"send({to!r}): give a session on the other archive, as in send(Orthanc(...)) or send(Folder(...)), or "
                "the name of a machine in the configuration of an Orthanc server."
            )
        from simple_orthanc.session.acts.copying import copy_selection

        return copy_selection(
            cast("Session", self),
            to,
            level=level,
            everything=everything,
            dry_run=dry_run,
            allow_foreign_uids=allow_foreign_uids,
        )

    def _send_to_machine(self, name: str, level: Level, *, everything: bool, dry_run: bool) -> pd.DataFrame:
        """Send to a machine by its name; a session whose server knows machines overrides this."""
        raise UnsupportedError(
            f"send({name!r}): only an Orthanc server knows other machines by name, and this is a "
            f"{type(self).__name__}. Give a session on the other archive, as in send(Orthanc(...)) or "
            "send(Folder(...))."
        )

    def _receiver(self, instances: Sequence[Target], allow_foreign_uids: bool) -> Receiver:
        """Return what receives copies of instances of another source; an archive that can be written overrides this."""
        raise UnsupportedError(
            f"send(...): a {type(self).__name__} is only read, so nothing was sent. Give a session on an Orthanc, a "
            "DICOMweb server or a folder."
        )
