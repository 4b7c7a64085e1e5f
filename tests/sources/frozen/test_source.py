"""A frozen cohort of all that an archive holds is a source like the archive itself, but for what is added later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.session import Session
from simple_orthanc.sources.frozen.source import FrozenSource
from tests.sources.contract import Archive, SourceTests
from tests.sources.test_contract import TestDicomWeb, TestFolder, TestMemory, TestOldOrthanc, TestOrthanc


class FrozenTests(SourceTests):
    @classmethod
    @contextmanager
    def open_archive(cls, datasets: Sequence[Dataset], folder: Path) -> Iterator[Archive]:
        with super().open_archive(datasets, folder) as archive:
            data = Session(archive.source).freeze()._data
            yield replace(archive, source=FrozenSource(archive.source, data.series, data.checksums, "cohort"))

    def test_additions_are_reported(self, archive: Archive) -> None:
        """Nothing is added to what was frozen."""

    @pytest.mark.filterwarnings("ignore:1 of 15 instances of the cohort is no longer in")
    def test_deletions_are_reported(self, archive: Archive, datasets: list[Dataset]) -> None:
        super().test_deletions_are_reported(archive, datasets)


class TestFrozenInMemory(FrozenTests, TestMemory):
    pass


class TestFrozenFolder(FrozenTests, TestFolder):
    pass


class TestFrozenOrthanc(FrozenTests, TestOrthanc):
    pass


class TestFrozenOldOrthanc(FrozenTests, TestOldOrthanc):
    pass


class TestFrozenDicomWeb(FrozenTests, TestDicomWeb):
    pass


del TestDicomWeb, TestFolder, TestMemory, TestOldOrthanc, TestOrthanc
