"""An archive in memory of which some files are damaged, as the bytes that a server or a disk returns."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from simple_orthanc.errors import NotFoundError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.sources.identity import Identity, another_object, identity_of
from tests.memory_source import MemorySource

# A whole file to what is returned in its place.
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut in its identifiers": lambda whole: whole[:400],
    "cut before its pixels": lambda whole: whole[: whole.index(b"\x28\x00\x10\x00US")],
    "HTML": lambda whole: b"<html><body>Please log in</body></html>",
    "zeros": lambda whole: bytes(len(whole)),
    "empty": lambda whole: b"",
    "another object": lambda whole: as_bytes(make_series((1, 4, 4), seed=99)[0]),
}


class DamagedSource(MemorySource):
    """Lists every object, and returns other bytes for some.

    Parameters
    ----------
    datasets : iterable of pydicom.Dataset
        The whole objects.
    damaged : mapping
        SOPInstanceUID to the bytes that are returned; None raises a NotFoundError.
    """

    def __init__(self, datasets: Iterable[Dataset], damaged: Mapping[str, bytes | None]) -> None:
        super().__init__(datasets)
        self._damaged = dict(damaged)

    def content(self, key: str) -> bytes:
        uid = key.rpartition("|")[2]
        content = self._damaged[uid] if uid in self._damaged else super().content(key)
        if content is None:
            raise NotFoundError(f"There is no instance {uid} any more.", status=404)
        return content

    def header(self, key: str) -> Dataset:
        header = pydicom.dcmread(io.BytesIO(self.content(key)), force=True, stop_before_pixels=True)
        self.check_identity(key, header)
        return header

    def check_identity(self, key: str, header: Dataset) -> None:
        asked, arrived = Identity(*key.split("|")), identity_of(header)
        if asked.differences(arrived):
            raise another_object("memory", asked, arrived)

    def save(self, key: str, path: Path) -> None:
        path.write_bytes(self.content(key))

    def read(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        content = self.content(key)
        memory = room(len(content))
        memory[:] = content
        return memory


class CheckingSource(DamagedSource):
    """Also checks the identity of what `content` and `save` return, as sources of servers do."""

    def content(self, key: str) -> bytes:
        content = super().content(key)
        self.check_identity(key, pydicom.dcmread(io.BytesIO(content), force=True, stop_before_pixels=True))
        return content
