"""The verbs that read what is selected one by one: headers and instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import WORKERS, map_ordered, run_all
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import AmbiguousSelectionError, SelectionError
from simple_orthanc.session.arguments import whole_number
from simple_orthanc.session.options import OnError
from simple_orthanc.session.reading.unreadable import read_each
from simple_orthanc.session.state import SessionState

Result = TypeVar("Result")

_INSTANCE_UID = parse_tag("SOPInstanceUID")


class ReadingHeaders(SessionState):
    """The verbs of a session that read headers and instances."""

    def get_header(self, index: int | None = None) -> Dataset:
        """Read one instance's header from the DICOM file, without pixels.

        Parameters
        ----------
        index : int, optional
            Which of the selected instances; not needed where only one is selected.

        Returns
        -------
        pydicom.Dataset
            The header exactly as the file holds it.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        AmbiguousSelectionError
            Several instances are selected and no index is given.

        Examples
        --------
        >>> header = archive.select(SeriesDescription="*portal venous").get_header(0)
        >>> header.Modality, header.PixelSpacing, "PixelData" in header
        ('CT', [2.2, 2.2], False)
        """
        keys = self._nonempty()
        if index is None and len(keys) > 1:
            raise AmbiguousSelectionError(
                f"{len(keys)} instances are selected, and get_header() reads one: get_header(0) reads the first, "
                f"get_headers() all.",
                candidates=tuple(keys),
            )
        return self._source.header(_item(keys, 0 if index is None else index))

    def get_headers(self, index: int | None = None, silent: bool = True, *, errors: OnError = "raise") -> list[Dataset]:
        """Read the headers of all selected instances, in slice order or the order of `sort_by`.

        Parameters
        ----------
        index : int, optional
            Read this one only; the result is still a list.
        silent : bool
            Has no effect: headers come from the DICOM files, so no tag is left out that could be reported.
        errors : {"raise", "report"}
            How to treat files that are gone, or are not the instances that were asked for: an error that names one and
            the call that goes round it, or a warning that names them and the headers of the others.

        Returns
        -------
        list of pydicom.Dataset
            Without pixels.

        Examples
        --------
        >>> headers = archive.select(SeriesDescription="*portal venous").get_headers()
        >>> [float(header.ImagePositionPatient[2]) for header in headers[:3]]
        [-97.5, -92.5, -87.5]
        """
        keys = self._nonempty()
        if index is not None:
            keys = [_item(keys, index)]
        run = partial(run_all, workers=self._source.at_once(keys, headers=True), label="reading headers")
        return self._read_datasets(self._source.header, keys, "get_headers", errors, run)

    def get_instances(self, *, errors: OnError = "raise") -> list[Dataset]:
        """Read all selected instances with their pixels, in slice order or the order of `sort_by`.

        Parameters
        ----------
        errors : {"raise", "report"}
            As for `get_headers`.

        Returns
        -------
        list of pydicom.Dataset
            As pydicom reads the DICOM files.

        Examples
        --------
        >>> instances = archive.select(SeriesDescription="PET FDG").get_instances()
        >>> len(instances), instances[0].pixel_array.shape
        (40, (64, 64))
        """
        keys = self._nonempty()
        workers = max(WORKERS, self._source.at_once(keys))
        run = partial(map_ordered, workers=workers, total=len(keys), label="reading instances")
        return self._read_datasets(self._instance, keys, "get_instances", errors, run)

    def _read_datasets(
        self, read: Callable[[str], Dataset], keys: Sequence[str], verb: str, errors: str, run: Callable[..., Any]
    ) -> list[Dataset]:
        from simple_orthanc.files.characters import warn_of_unknown_character_sets

        datasets = self._read_each(read, keys, verb, errors, run)
        warn_of_unknown_character_sets(datasets)
        return datasets

    def _read_each(
        self, read: Callable[[str], Result], keys: Sequence[str], verb: str, errors: str, run: Callable[..., Any]
    ) -> list[Result]:
        uids = partial(self._instance_uids, keys)
        return read_each(read, keys, uids, verb, errors, run)

    def _instance_uids(self, keys: Sequence[str]) -> list[str | None]:
        return [str(value[0]) if value else None for value in self._index.column(_INSTANCE_UID, "instance", keys)]

    def _instance(self, key: str) -> Dataset:
        from simple_orthanc.files.parsing import parse_file, typed_errors

        content = self._source.content(key)
        with typed_errors(content):
            return parse_file(content)


def _item(keys: Sequence[str], index: int) -> str:
    """Return one of the selected instances by its index."""
    position = whole_number(index)
    if position is None:
        raise SelectionError(
            f"index {index!r}: the index of one of the {len(keys)} selected instances is a whole number from 0, "
            f"as in get_header(0). get_headers() reads all of them; one by its UID is select(uid).get_header()."
        )
    try:
        return keys[position]
    except IndexError:
        raise SelectionError(
            f"index {index}: {len(keys)} instances are selected, so it goes from 0 to {len(keys) - 1}."
        ) from None
