"""What a source tells of its files where it keeps no list of them, and of changes where nobody tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.source import Changes, Mark, Revision, Row, SeriesOf


class UnlistedFiles:
    """The members of a source that know a file only once it was read."""

    def listed_file(self, key: str) -> StoredFile:
        """Return that nothing is known of a file before it is read."""
        return StoredFile()

    def compared_md5(self, key: str) -> None:
        """Return that files are not compared with a checksum."""

    def stored_md5(self, key: str) -> None:
        """Return that no checksum is known without reading the file."""

    def read_together(self, series: Sequence[Row]) -> Mapping[str, bytes | memoryview]:
        """Read nothing: files are read one by one."""
        return {}


class UntoldChanges:
    """The members of a source that cannot tell what has changed or was replaced."""

    def revision(self) -> Revision:
        """Forget what was read, and return a new state."""
        raise NotImplementedError

    def changes(self, since: Revision) -> Changes:
        """Report that anything may have changed."""
        return Changes(self.revision(), None, True)

    def mark(self, revision: Revision | None, instances: Sequence[str] | None) -> None:
        """Return nothing: it would not show what was replaced."""

    def replaced_since(self, mark: Mark, instances: Sequence[str], at: float, series_of: SeriesOf | None = None) -> int:
        """Count nothing, since there are no marks."""
        return 0
