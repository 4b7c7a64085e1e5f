"""Folders that several tests read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.memory_source import as_file, instance
from tests.sources.folder.folders import (
    Reads,
    write,
)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A folder of two patients, three studies, four series and seven instances."""
    folder = tmp_path / "top"
    write(folder, {"a/1": as_file(instance(1)), "a/2.dcm": as_file(instance(2)), "a/3": as_file(instance(3))})
    write(folder, {"a/b/4": as_file(instance(1, series="2")), "c": as_file(instance(1, study="2"))})
    write(folder, {"d": as_file(instance(1, patient="P2")), "e": as_file(instance(2, patient="P2"))})
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    return Reads(monkeypatch)  # type: ignore[return-value]
