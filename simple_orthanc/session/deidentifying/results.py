"""What a de-identification hands over, and the folder that it writes to."""

from __future__ import annotations

import errno
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from threading import Lock
from typing import TYPE_CHECKING

from simple_orthanc.deidentification.copies import Copy
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.errors import SelectionError
from simple_orthanc.files.paths import make_folders
from simple_orthanc.session.acts.reports import Outcome
from simple_orthanc.session.exports.layouts import Layout
from simple_orthanc.session.exports.names import folded, safe_name
from simple_orthanc.session.exports.staging import staging_folder
from simple_orthanc.session.state import SessionState

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

DONE = "deidentified"
LEFT_OUT = "left out"


@dataclass(frozen=True, eq=False)
class Deidentified:
    """What became of each object, of each attribute and of each identifier. Its representation names no patient.

    ``table`` and ``key_table`` connect the new identifiers with the old ones: keep them as you keep the images, or drop
    them. They are in memory alone; the library writes neither of them anywhere.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per instance: level, PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID, the same with
        ``new_`` before them, path (of the file, if a folder was written to), warnings, instance_count, status and
        message.
    report : pandas.DataFrame
        One row per attribute, without any value: tag; path, the keywords that lead to it; action, as Table E.1-1 of
        PS3.15 names it; and how often it was kept, changed and removed.
    key_table : pandas.DataFrame
        One row per identifier that was replaced: kind ("PatientID" or "UID"), old, new, and of patients shift_days, by
        how many days their dates were moved; it is missing where dates were not moved.

    Examples
    --------
    >>> ct = archive.select(PatientID="EX-002", Modality="CT")
    >>> made = ct.deidentify("shared", key="correct horse battery staple", dry_run=True)
    >>> made
    <Deidentified: 40 would be deidentified>
    >>> made.report[["tag", "action", "changed"]].head(3)
             tag action  changed
    0  0008,0008      C        0
    1  0008,0016      K        0
    2  0008,0018      U       40
    >>> made.key_table.kind.value_counts().to_dict()
    {'UID': 43, 'PatientID': 1}
    """

    table: pd.DataFrame = field(repr=False)
    report: pd.DataFrame = field(repr=False)
    key_table: pd.DataFrame = field(repr=False)

    def __repr__(self) -> str:
        """Count the objects by what became of them."""
        counts = Counter(self.table["status"])
        return f"<Deidentified: {', '.join(f'{count} {status}' for status, count in counts.most_common())}>"


class TargetFolder:
    """The folder that de-identified files are written to, under names made of their new identifiers alone.

    A block that writes to it is entered and left; what a killed process has left in it is removed then.

    Parameters
    ----------
    path : Path
        The folder; made when the first file is written.
    layout : Layout, optional
        Names the files by values of the copies. Default: by their identifiers.
    session : SessionState, optional
        A session on the folder, which is told of what was written.

    Attributes
    ----------
    is_full : str
        That the disk is full, once it is; "" before.
    """

    def __init__(self, path: Path, layout: Layout | None = None, session: SessionState | None = None) -> None:
        self.path, self._layout, self._session = path, layout, session
        self.is_full = ""
        self._taken: set[str] = set()
        self._lock = Lock()
        self._staged: Path | None = None
        self._stack = ExitStack()

    @property
    def tags(self) -> Sequence[Tag]:
        """The tags whose values name the files, beside the identifiers."""
        fields = () if self._layout is None else self._layout.fields
        return [field.tag for field in fields if field.tag is not None]

    def __enter__(self) -> Self:
        """Begin to write."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """End, and leave nothing but whole files."""
        self._stack.close()
        if self._session is not None and self._staged is not None:
            if error is None:
                self._session._reread()
            else:
                self._session._reread_after(error)
        self._staged = None

    def put(self, copy: Copy, *, dry_run: bool = False) -> Outcome:
        """Write one file, unless it is there already.

        Parameters
        ----------
        copy : Copy
            The copy.
        dry_run : bool
            True only looks.
        """
        path = self.path / self._name(copy)
        values = {"path": str(path)}
        with self._lock:
            is_taken = folded(str(path)) in self._taken
            self._taken.add(folded(str(path)))
        if is_taken:
            return Outcome("conflict", "another object of this selection has the same new identifiers", values)
        try:
            status, message = self._put(path, copy.content, dry_run)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self.is_full = "the disk is full: free some space, and call it again"
            reason = error.strerror or str(error)
            status, message = "failed", f"it cannot be written: {reason}. Nothing was left behind"
        return Outcome(status, message, values)

    def _name(self, copy: Copy) -> PurePath:
        if self._layout is not None:
            return self._layout.name(copy.values).path
        *folders, name = map(safe_name, copy.identifiers)
        return PurePath(*folders, f"{name}.dcm")

    def _put(self, path: Path, content: bytes, dry_run: bool) -> tuple[str, str]:
        if path.exists():
            if path.stat().st_size == len(content) and path.read_bytes() == content:
                return "already there", ""
            return "conflict", (
                "there is another file of this name, made with other options or from another original, and it was left "
                "as it is. Remove it, or choose another folder"
            )
        if dry_run:
            return f"would be {DONE}", ""
        part = self._staging() / secrets.token_hex(8)
        try:
            part.write_bytes(content)
            size = part.stat().st_size
            if size != len(content):
                raise OSError(f"{size} of {len(content)} bytes arrived")
            make_folders(path.parent)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        return DONE, ""

    def _staging(self) -> Path:
        with self._lock:
            if self._staged is None:
                make_folders(self.path)
                self._staged = self._stack.enter_context(staging_folder(self.path))
            return self._staged


def check_apart(target: Path, originals: Path | None) -> None:
    """Check that de-identified files are not put among their originals, nor around them.

    Parameters
    ----------
    target : Path
        The folder that is written to.
    originals : Path, optional
        The folder or zip that is read; None: it is not on this disk.

    Raises
    ------
    SelectionError
        They are, so that whoever is given the folder would get both.
    """
    if originals is None:
        return
    one, other = Path(os.path.realpath(target)), Path(os.path.realpath(originals))
    if one == other or other in one.parents or one in other.parents:
        example = other.with_name(f"{other.stem}-deidentified")
        raise SelectionError(
            f"The files of {str(originals)!r} were to be de-identified into {str(target)!r}, but then originals and "
            "copies would lie in one folder, and be given away together. Choose a folder apart from them, such as "
            f"{str(example)!r}."
        )
