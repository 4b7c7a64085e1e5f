"""The session: all verbs together, with the tags of DICOM as attributes."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from pydicom.datadict import keyword_dict

from simple_orthanc.dicom.levels import Level, deepest
from simple_orthanc.dicom.tags import parse_attribute, parse_tag
from simple_orthanc.dicom.values import shown
from simple_orthanc.selection.index import NotKnownError
from simple_orthanc.selection.source import Source
from simple_orthanc.session import display
from simple_orthanc.session.acts.sends import Sends
from simple_orthanc.session.deidentifying.verb import Deidentifying
from simple_orthanc.session.exporting import Exporting
from simple_orthanc.session.looking import Looking
from simple_orthanc.session.narrowing import Narrowing

_FIRST_ROWS = 5
_SHOWN: dict[Level, tuple[str, ...]] = {
    "study": ("PatientID", "PatientName", "StudyDate", "StudyDescription"),
    "series": ("PatientID", "PatientName", "Modality", "SeriesNumber", "SeriesDescription"),
    "instance": ("SeriesInstanceUID", "InstanceNumber", "SOPInstanceUID"),
}


class Session(Narrowing, Looking, Exporting, Deidentifying, Sends):
    """A view of an archive that is narrowed step by step, shown as tables, and read as headers and volumes.

    `Orthanc` is the session on an Orthanc server, `DicomWeb` on any server that speaks DICOMweb, `Folder` on files.
    What is selected, shown and read is the same on all of them.

    Any DICOM keyword, singular or plural, is an attribute: the list of its values in the selection.

    Parameters
    ----------
    source : Source
        The archive.
    selection : dict, optional
        Selected at once: see `selection`.
    """

    def __init__(self, source: Source, *, selection: Mapping[str, Any] | None = None) -> None:
        super().__init__(source)
        if selection:
            self.selection = selection

    def __getattr__(self, name: str) -> list[Any]:
        """List the values of a DICOM keyword, singular or plural."""
        # Python asks here only for names that are not defined: a DICOM keyword, singular or plural.
        if name.startswith("_"):
            raise AttributeError(name)
        return self.get_dicom_tag(parse_attribute(name))

    def __dir__(self) -> list[str]:
        """List all verbs, and all DICOM keywords."""
        keywords = {keyword for keyword in keyword_dict if keyword}
        return sorted(set(super().__dir__()) | keywords)

    def __repr__(self) -> str:
        """Show counts and criteria on one line, without a request. It never raises, since tracebacks show it."""
        if not self._is_open:
            return f"<{type(self).__name__}: not connected>"
        return display.session_text(
            type(self).__name__, self._source.description, self._known_counts(), self._criteria_texts()
        )

    def _repr_html_(self) -> str:
        if not self._is_open:
            return escape(repr(self))
        header, rows, more = self._first_rows()
        return display.session_html(
            type(self).__name__,
            self._source.description,
            self._known_counts(),
            self._criteria_texts(),
            header,
            rows,
            more,
        )

    @property
    def _is_open(self) -> bool:
        """Whether the constructor has come to its end; one that failed leaves an object in the traceback."""
        return "_plans" in vars(self)

    def _first_rows(self) -> tuple[list[str], list[list[str]], int]:
        """Return the first selected rows, as far as they are known without a request, and the number of the others."""
        level: Level = deepest(self._selection.level or "study", "study")
        keys = list(self._selection.keys)
        if not keys:
            return [], [], 0
        rows: list[list[str]] = [[] for _ in keys[:_FIRST_ROWS]]
        known = []
        with self._index.offline():
            for name in _SHOWN[level]:
                tag = parse_tag(name)
                try:
                    values = self._index.column(tag, level, keys[:_FIRST_ROWS])
                except NotKnownError:
                    continue
                known.append(name)
                for row, value in zip(rows, values, strict=True):
                    row.append("" if value is None else str(shown(value, tag)))
        return known, rows, len(keys) - len(rows)
