"""What a source tells of its files where it keeps no list of them."""

from __future__ import annotations

from collections.abc import Sequence

from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.source import Row


class UnlistedFiles:
    """The members of a source that know a file only once it was read."""

    def listed_file(self, key: str) -> StoredFile:
        """Return that nothing is known of a file before it is read."""
        return StoredFile()

    def compared_md5(self, key: str) -> None:
        """Return that files are not compared with a checksum."""

    def stored_md5(self, key: str) -> None:
        """Return that no checksum is known without reading the file."""

    def read_together(self, series: Sequence[Row]) -> dict[str, bytes]:
        """Read nothing: files are read one by one."""
        return {}
