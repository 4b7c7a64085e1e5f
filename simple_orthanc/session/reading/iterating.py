"""The verb that iterates over what is selected, volume by volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simple_orthanc.session.options import GapsOfMany, OnError, Units
from simple_orthanc.session.reading.unreadable import check_errors
from simple_orthanc.session.reading.verbs import Reading

if TYPE_CHECKING:
    from simple_orthanc.session.reading.lazy_volumes import VolumeIterator


class Iterating(Reading):
    """The verb of a session that reads its volumes one after the other."""

    def get_volumes_lazily(
        self,
        units: Units = "modality",
        gaps: GapsOfMany = "raise",
        *,
        spacing: float | None = None,
        errors: OnError = "raise",
        memory: int | None = None,
    ) -> VolumeIterator:
        """Iterate over the selected images as volumes, each read while the ones before it are used.

        They are the volumes of `get_volumes` in its order, and what is selected when this is called; but no header is
        read before the first comes, each object is fetched once, and small series are fetched together, in as few
        requests as the source offers.

        Parameters
        ----------
        units, gaps, spacing
            As for `get_volumes`.
        errors : {"raise", "report"}
            How to treat volumes that cannot be read: the error when it is their turn, after which the next can be
            asked for, or a warning that names them and the volumes of the others.
        memory : int, optional
            Bytes that may be read ahead, estimated from the sizes of files; 0 reads nothing ahead. Default: 1 GiB, or
            a quarter of the free memory if that is less. The volume that comes next may be larger.

        Returns
        -------
        VolumeIterator
            Of `Volume`, with the ``label`` of the last one, and ``problems``, label to error. Its ``items()`` are pairs
            of label and volume, with ``errors="report"`` also of label and error.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        UnsupportedError
            The session is on a PACS, which hands over no files.

        Examples
        --------
        >>> for volume in archive.select(PatientID="EX-003").get_volumes_lazily():
        ...     print(volume.header.Modality, volume.shape, volume.units)
        CT (40, 96, 96) HU
        PT (40, 64, 64) BQML

        The end of the loop ends the reading. A loop that may be left while the iterator is kept needs a block:

        >>> with archive.reset().get_volumes_lazily() as volumes:
        ...     print(next(volumes).shape, volumes.label)
        (64, 96, 96) T1 MPRAGE EX-001 2022-03-01 - sagittal 64x96x96
        """
        from simple_orthanc.session.reading.lazy_volumes import VolumeIterator, checked_memory, default_memory
        from simple_orthanc.session.reading.volume_reader import VolumeRequest

        check_errors(errors)
        self._check_has_files()
        request = VolumeRequest(units, gaps, spacing=spacing)
        return VolumeIterator(self, request, errors, default_memory() if memory is None else checked_memory(memory))
