"""The port of an archive that takes DICOM files, as uploads need it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from simple_orthanc.files.streaming import LongFile

StoreStatus: TypeAlias = Literal["stored", "stored, changed", "already stored", "filtered"]

Comparison: TypeAlias = Literal["same", "another", "gone", "unknown"]
"""What a file is to what the archive holds; "unknown" where the archive keeps no checksums."""


class StoreOutcome(NamedTuple):
    """What became of a file that was sent.

    Attributes
    ----------
    status : {"stored", "stored, changed", "already stored", "filtered"}
        "stored, changed": the server says that it changed or left out something.
    key : str
        By which the instance is compared; "" where that is done.
    message : str
        What else the server says; "" if nothing.
    """

    status: StoreStatus
    key: str = ""
    message: str = ""


class Store(Protocol):
    """A server that takes DICOM files, as uploads need it.

    Several threads call it at once.
    """

    def pauses(self) -> Iterator[float]:
        """Return the pauses in seconds before a file is sent again, as long as patience lasts from now on."""
        ...

    @property
    def transcodes(self) -> bool:
        """Whether the server may change the transfer syntax of what it stores."""
        ...

    def store(self, content: bytes | LongFile) -> StoreOutcome:
        """Send a file.

        Raises
        ------
        ServerError
            The server refused it.
        TransportError
            No response came, or one that is not about this file: it may or may not be stored.
        """
        ...

    def find(self, content: bytes | LongFile) -> str | None:
        """Return the key of the instance that the server holds under the identifiers of a file, if it does."""
        ...

    def md5_of(self, identifiers: Sequence[str]) -> str | None:
        """Return the MD5 of the file that the server holds under the identifiers from the patient to the instance.

        None if it holds none, or cannot tell.
        """
        ...

    def patients(self, level: Literal["study", "series"], identifiers: Sequence[str]) -> Collection[str]:
        """Return the PatientIDs under which the server holds the UID of a study or series.

        Parameters
        ----------
        level : {"study", "series"}
        identifiers : sequence of str
            PatientID, StudyInstanceUID and SeriesInstanceUID of a file.

        Raises
        ------
        ServerError
            The server does not show what it holds.
        """
        ...

    def compare(self, files: Sequence[tuple[str, str]]) -> list[Comparison]:
        """Compare files with what the server holds: each by its key, and the MD5 of what was sent."""
        ...

    def content(self, key: str) -> bytes:
        """Read the file that the server holds under a key."""
        ...

    def is_alive(self) -> bool:
        """Wait for the server to answer, as long as patience lasts, and return whether it does."""
        ...
