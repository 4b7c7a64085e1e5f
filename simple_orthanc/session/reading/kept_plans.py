"""What was planned for a selection, kept with it, so that each verb does not plan it again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from simple_orthanc.dicom.fingerprint import fingerprint

if TYPE_CHECKING:
    from simple_orthanc.dicom.levels import Level
    from simple_orthanc.selection.file_reading import FileReading
    from simple_orthanc.session.reading.volume_reader import VolumeReader, VolumeRequest
    from simple_orthanc.volume.stacking import Stack


class KeptPlans:
    """The plans of one selection on one state of the archive. Several threads may use them at once.

    A plan is made from headers alone. So it is kept by the fingerprints of the headers it was made from, and objects
    that were replaced in the archive are planned again. Two answers are kept without reading headers again: the table
    and the labels of the volumes, and that the selection is not one volume. `Session.refresh` ends both.

    Parameters
    ----------
    *state : object
        What is replaced, and never changed, when the selection or what is known of the archive changes.

    Attributes
    ----------
    readers : dict
        Request to the reader that has planned its volumes.
    shown : tuple or None
        The selected keys, and their number, by level, for representations, once both are known at each level.
    files_ahead : callable or None
        Returns what has the files of the selection in memory, or None, if it is one of several that are read in a row.
    """

    def __init__(self, *state: object) -> None:
        self._state = state
        self._by_headers: dict[Hashable, list[Stack]] = {}
        self._by_keys: dict[Hashable, list[Stack]] = {}
        self.readers: dict[VolumeRequest, VolumeReader] = {}
        self.shown: tuple[dict[Level, list[str]], dict[Level, int]] | None = None
        self.files_ahead: Callable[[], FileReading | None] | None = None

    def is_of(self, *state: object) -> bool:
        """Check whether these are the plans of a state."""
        return len(state) == len(self._state) and all(map(_is_same, state, self._state))

    def plan(self, keys: Sequence[str], headers: Sequence[Dataset], request: VolumeRequest) -> list[Stack]:
        """Plan the volumes of some objects, or return what was planned from equal headers.

        Parameters
        ----------
        keys, headers : sequence
            Key and header of each object.
        request : VolumeRequest
            Plans the volumes.
        """
        asked = _what_decides(request)
        key = (*map(fingerprint, headers), *asked)
        planned = self._by_headers.get(key)
        if planned is None:
            planned = self._by_headers[key] = request.plan(headers)
        self._by_keys[(*keys, *asked)] = planned
        return planned

    def known(self, keys: Sequence[str], request: VolumeRequest) -> list[Stack] | None:
        """Return what was last planned for the objects with these keys, None if they were not planned yet."""
        return self._by_keys.get((*keys, *_what_decides(request)))

    def forget(self) -> None:
        """Forget all plans: the archive has changed."""
        for kept in (self._by_headers, self._by_keys, self.readers):
            kept.clear()


def _is_same(one: Any, other: Any) -> bool:
    return one is other


def _what_decides(request: VolumeRequest) -> tuple[Hashable, ...]:
    """Return the arguments that a plan depends on."""
    return request.spacing, request.across_series
