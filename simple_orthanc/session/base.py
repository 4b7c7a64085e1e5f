"""The session: all verbs together, with the tags of DICOM as attributes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simple_orthanc.session.acts.sends import Sends
from simple_orthanc.session.cohorts.verb import Freezing
from simple_orthanc.session.completion.ipython import offer_completions
from simple_orthanc.session.completion.vocabulary import usual_tags
from simple_orthanc.session.deidentifying.verb import Deidentifying
from simple_orthanc.session.describing import Describing
from simple_orthanc.session.display.words import session_text
from simple_orthanc.session.exporting import Exporting
from simple_orthanc.session.mapping.verb import MapsFunctions
from simple_orthanc.session.narrowing import Narrowing
from simple_orthanc.session.picturing import Picturing
from simple_orthanc.session.reading.iterating import Iterating
from simple_orthanc.session.unknown_names import parse_name
from simple_orthanc.showing.table import Shown

if TYPE_CHECKING:
    from simple_orthanc.selection.source import Source
    from simple_orthanc.session.display.overview import Overview

_DEBUGGER = "_pydevd_bundle.pydevd_resolver"
# Modules that read all that an object lists, to show or complete it: Python's prompt, jedi, PyCharm, and debuggers.
_LOOKERS = ("rlcompleter", "jedi.inference.compiled.access", "_pydev_bundle._pydev_imports_tipper", _DEBUGGER)


class Session(
    Narrowing, Describing, Picturing, Iterating, Exporting, MapsFunctions, Deidentifying, Sends, Freezing, Shown
):
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

    Notes
    -----
    In the examples of its methods ``archive`` is ``Folder.example()``, and ``orthanc`` a session on a server that holds
    the patients EX-002, EX-003 and EX-006 of it. ``orthanc`` knows another Orthanc, with the patients EX-001 and
    EX-002: as the modality PACS, the peer PARTNER and the DICOMweb server CLOUD.

    Examples
    --------
    >>> from simple_orthanc import Folder
    >>> archive = Folder.example()
    >>> archive.PatientNames[:3]
    ['Ahlberg^Anna', 'Bauer^Bruno', 'Costa^Clara']
    >>> archive.select(Modality="MR", PatientName="*Anna").table("StudyDate", "SeriesDescription", "instance_count")
       StudyDate SeriesDescription  instance_count
    0 2022-03-01         T1 MPRAGE              64
    1 2022-03-01            T2 TSE              24
    2 2022-09-06         T1 MPRAGE              64
    3 2022-09-06            T2 TSE              24
    >>> archive.select(SeriesDescription="T1*", StudyDate="20220906").get_volume()
    <Volume 64 x 96 x 96 (slice, row, column) int16 stored, voxels of 1.9 x 1.8 x 1.8 mm>
    """

    def __init__(self, source: Source, *, selection: Mapping[str, Any] | None = None) -> None:
        super().__init__(source)
        # IPython may have been started after this package was imported.
        offer_completions()
        if selection:
            self.selection = selection

    def __getattr__(self, name: str) -> list[Any]:
        """List the values of a DICOM keyword, singular or plural."""
        # Python asks here only for names that are not defined: a DICOM keyword, singular or plural.
        if name.startswith("_"):
            raise AttributeError(name)
        tag = parse_name(type(self), name)
        if sys._getframe(1).f_globals.get("__name__") in _LOOKERS:
            # Each value may take requests.
            raise AttributeError(name)
        return self.get_dicom_tag(tag)

    def __dir__(self) -> list[str]:
        """List the verbs, and the DICOM keywords that are present as far as that is known; any other works too."""
        if sys._getframe(1).f_globals.get("__name__") == _DEBUGGER:
            return list(super().__dir__())
        tags = usual_tags(self if self._is_open else None)
        return sorted({*super().__dir__(), *(name for name in tags if name.isidentifier())})

    def __repr__(self) -> str:
        """Show counts and criteria on one line, without a request. It never raises, since tracebacks show it."""
        if not self._is_open:
            return f"<{type(self).__name__}: not connected>"
        return session_text(type(self).__name__, self._place(), self._known()[1], self._criteria_texts())

    def __str__(self) -> str:
        """Show what is known of the selection on several lines, without a request: values, patients, studies, series.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from simple_orthanc import Folder
        >>> from simple_orthanc.phantom import as_bytes, ct_phantom
        >>> folder = Path(tempfile.mkdtemp())
        >>> for number, dataset in enumerate(ct_phantom((4, 32, 32))):
        ...     _ = (folder / f"{number}.dcm").write_bytes(as_bytes(dataset))
        >>> print(Folder(folder).select(Modality="CT"))                            # doctest: +ELLIPSIS
        Folder ...
        1 patient, 1 study, 1 series, 4 instances, selected by Modality == 'CT'
        Modality           CT (1)
        SeriesDescription  ct_scan (1)
        Manufacturer       simple_orthanc (1)
        StudyDescription   Synthetic phantom (1)
        StudyDate          2020-01-01
        <BLANKLINE>
        CT-PHANTOM Phantom^Water: 1 study
        └─ 2020-01-01 Synthetic phantom: 1 series
           └─ CT 1 ct_scan: 4 instances
        """
        if not self._is_open or self._packed is not None:
            return repr(self)
        from simple_orthanc.session.display.rendering import overview_text

        return overview_text(self._overview())

    def _repr_html_(self) -> str:
        if not self._is_open or self._packed is not None:
            from html import escape

            return escape(repr(self))
        from simple_orthanc.session.display.rendering import overview_html

        return overview_html(self._overview())

    def _as_text(self) -> str:
        return str(self)

    def _overview(self) -> Overview:
        from simple_orthanc.session.display.overview import overview

        return overview(type(self).__name__, self._place(), self._index, self._selection, *self._known())

    @property
    def _is_open(self) -> bool:
        """Whether the constructor has come to its end; one that failed leaves an object in the traceback."""
        return "_plans" in vars(self)
