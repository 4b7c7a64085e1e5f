"""A session that deletes from an archive in memory."""

from __future__ import annotations

from simple_orthanc.dicom.levels import Level
from simple_orthanc.session.acting import ActingSession
from tests.memory_source import MemorySource
from tests.session.sessions import source_of, three_series


class Deleting(ActingSession):
    """A session on an archive in memory that loses what is deleted, or is interrupted at one of the deletions."""

    _fail_at, _deletions = 0, 0
    _failure: BaseException = KeyboardInterrupt()
    _lives = True

    def interrupt_at(self, number: int, failure: BaseException | None = None, *, lives: bool = True) -> None:
        self._fail_at, self._failure, self._lives = number, failure or KeyboardInterrupt(), lives

    def _delete_object(self, level: Level, key: str) -> bool:
        self._deletions += 1
        if self._deletions == self._fail_at:
            raise self._failure
        source = source_of(self)
        left = [dataset for dataset in source.datasets if MemorySource.key(dataset, level) != key]
        was_there, source.datasets = len(left) < len(source.datasets), left
        return was_there

    def _is_alive(self) -> bool:
        return self._lives


def deleting_session() -> Deleting:
    return Deleting(MemorySource(source_of(three_series()).datasets))
