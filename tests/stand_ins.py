"""Sessions on a folder and on a DICOMweb server as the command line uses them, over datasets in memory.

Run as a program it is the command line with these in the place of the real ones: ``--folder PATH`` reads PATH, and
``--dicomweb URL`` the folder that the variable STAND_IN_FOLDER names.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pydicom

import simple_orthanc
from simple_orthanc.dicom.levels import Level
from simple_orthanc.session import Session
from simple_orthanc.session.acting import ActingSession
from tests.memory_source import MemorySource

PICTURE = b"\x89PNG a picture"


@dataclass(frozen=True)
class Part:
    content: bytes


@dataclass(frozen=True)
class Frame:
    number: int
    content: bytes
    media_type: str
    transfer_syntax: str | None = None


@dataclass(frozen=True)
class Rendering:
    media_type: str = "image/jpeg"
    quality: int | None = None
    viewport: tuple[int, ...] | None = None
    window: tuple[float, float] | None = None


class StandInSession(Session):
    """A session over the DICOM files of a folder."""

    opened: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def __init__(self, place: str | Path, **options: Any) -> None:
        type(self).opened.append((str(place), options))
        found = sorted(path for path in self._folder(place).rglob("*") if path.is_file())
        super().__init__(MemorySource(pydicom.dcmread(path) for path in found))

    @staticmethod
    def _folder(place: str | Path) -> Path:
        return Path(place)


class Folder(StandInSession):
    """A stand-in for a session on a folder."""

    @property
    def files(self) -> pd.DataFrame:
        """The status of each file."""
        return pd.DataFrame({"status": ["indexed"] * self.instance_count})


class Transactions:
    """A stand-in for the transactions of DICOMweb that records the requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def retrieve_frames(
        self,
        study: str,
        series: str,
        instance: str,
        frames: Sequence[int],
        *,
        media_types: Sequence[str],
        transfer_syntaxes: Sequence[str] = (),
    ) -> Iterator[Frame]:
        syntaxes = (tuple(transfer_syntaxes),) if transfer_syntaxes else ()
        self.asked.append(("frames", study, series, instance, list(frames), tuple(media_types), *syntaxes))
        for number in frames:
            yield Frame(number, f"frame {number}".encode(), media_types[0])

    def retrieve_instance_rendered(self, study: str, series: str, instance: str, how: Rendering) -> list[Part]:
        self.asked.append(("rendered", study, series, instance, how))
        return [Part(PICTURE)]

    def retrieve_frames_rendered(
        self, study: str, series: str, instance: str, frames: Sequence[int], how: Rendering
    ) -> list[Part]:
        self.asked.append(("frames rendered", study, series, instance, list(frames), how))
        return [Part(PICTURE) for _ in frames]

    def retrieve_instance_thumbnail(self, study: str, series: str, instance: str, how: Rendering) -> Part:
        self.asked.append(("thumbnail", study, series, instance, how))
        return Part(PICTURE)

    def retrieve_frame_thumbnail(self, study: str, series: str, instance: str, frame: int, how: Rendering) -> Part:
        self.asked.append(("frame thumbnail", study, series, instance, frame, how))
        return Part(PICTURE)

    def retrieve_bulkdata(self, url: str, byte_range: tuple[int, int] | None = None) -> bytes:
        self.asked.append(("bulkdata", url, byte_range))
        content = bytes(range(256))
        return content if byte_range is None else content[byte_range[0] : byte_range[1] + 1]


class DicomWeb(StandInSession, ActingSession):
    """A stand-in for a session on a DICOMweb server."""

    def __init__(self, place: str, **options: Any) -> None:
        super().__init__(place, **options)
        self._rest = Transactions()

    @staticmethod
    def _folder(place: str | Path) -> Path:
        return Path(os.environ["STAND_IN_FOLDER"])

    @property
    def rest(self) -> Transactions:
        """The transactions."""
        return self._rest

    def _delete_object(self, level: Level, key: str) -> bool:
        self._rest.asked.append(("delete", level, key))
        source = self._source
        assert isinstance(source, MemorySource)
        source.datasets = [dataset for dataset in source.datasets if source.key(dataset, level) != key]
        return True

    def _is_alive(self) -> bool:
        return True


def install() -> None:
    """Put the stand-ins where the command line looks for the sessions."""
    names: Any = simple_orthanc
    names.Folder, names.DicomWeb = Folder, DicomWeb
    rendering: Any = types.ModuleType("simple_orthanc.dicomweb.rendering")
    rendering.Rendering = Rendering
    sys.modules["simple_orthanc.dicomweb.rendering"] = rendering


if __name__ == "__main__":
    from simple_orthanc.cli import main

    install()
    sys.exit(main())
