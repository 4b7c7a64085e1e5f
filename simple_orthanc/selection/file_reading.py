"""How the files of single instances are read: the part of a source that a volume is read with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from pydicom.dataset import Dataset


class StoredFile(NamedTuple):
    """What a source can tell of an instance's file without reading it.

    Attributes
    ----------
    size : int or None
        Its length in bytes.
    md5 : str or None
        Its MD5 in hexadecimal.
    """

    size: int | None = None
    md5: str | None = None


class FileReading(Protocol):
    """What reads the files of single instances: the part of a `Source` that a volume is read with."""

    def stored_file(self, key: str) -> StoredFile:
        """Return the length and the MD5 of an instance's file, as far as they are known without reading it."""
        ...

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        """Return how many of some instances are best read at a time, from 1 on; sends no request.

        Parameters
        ----------
        keys : sequence of str
            Keys of the instances.
        headers : bool
            Whether their headers are read, and not their files.
        """
        ...

    def header(self, key: str) -> Dataset:
        """Read an instance's header: exact, from the DICOM bytes, without pixels.

        Raises
        ------
        NotFoundError or SelectionError
            There is no such instance any more; so for `read`, and `content` and `save` of a `Source`.
        """
        ...

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read an instance's DICOM file into reusable memory.

        Parameters
        ----------
        key : str
            Key of the instance.
        allocate : function
            Returns memory of a number of bytes. A source may use it or memory of its own.

        Returns
        -------
        memoryview
            The whole file and nothing else.
        """
        ...

    def check_identity(self, key: str, header: Dataset) -> None:
        """Check that a header, read from what `read` returned, is that of the instance.

        `header` of this class, and `content` and `save` of a `Source`, check it themselves.

        Raises
        ------
        TransportError
            If it is that of another object.
        """
