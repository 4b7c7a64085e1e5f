"""Small files that become large when they are believed, and a process of its own in which each is read.

``run`` starts this module as a program. It reads one bomb after the other, and reports on each: the error or the
result, the seconds of the processor, and the memory of the process at its peak, above what the libraries take.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from tests.peak_memory import peak_memory

MOST_MEMORY = 200
MOST_SECONDS = 5.0

Bomb = Callable[[Path], Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a bomb: the error's class and message, or what was returned; seconds; and megabytes at peak."""

    kind: str
    message: str
    seconds: float
    megabytes: float


def deflated(size: int) -> bytes:
    """Deflate so many zeros, a megabyte at a time."""
    return deflated_of(b"", size)


def deflated_of(beginning: bytes, zeros: int) -> bytes:
    """Deflate some bytes and many zeros, without taking the time to compress them all."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = packer.compress(beginning) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * (zeros >> 20) + packer.flush()


def meta(syntax: str) -> bytes:
    """Write a preamble, a prefix and file meta information."""
    written = FileMetaDataset()
    written.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    written.MediaStorageSOPInstanceUID = "1.2.1.1.1"
    written.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    write_file_meta_info(stream, written)
    return bytes(128) + b"DICM" + stream.getvalue()


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """Write an element in explicit VR, little endian; its length may lie."""
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    is_long = vr in ("OB", "OW", "SQ", "UN", "UT", "OV")
    return head + (struct.pack("<HI", 0, size) if is_long else struct.pack("<H", size)) + value


def identifiers(number: int = 1) -> bytes:
    """Write the identifiers of an object, whose SOPInstanceUID ends with a number."""
    uids = {
        0x00080016: "1.2.840.10008.5.1.4.1.1.7",
        0x00080018: f"1.2.1.1.{number}",
        0x0020000D: "1.2.1",
        0x0020000E: "1.2.1.1",
    }
    return b"".join(element(tag, "UI", uid.encode() + b"\0" * (len(uid) % 2)) for tag, uid in uids.items())


def deflated_file(body: bytes) -> bytes:
    """Write a deflated file of a deflated dataset."""
    return meta(DeflatedExplicitVRLittleEndian) + body


def nested(depth: int, *, stated: bool = False, implicit: bool = False, tag: int = 0x0040A730) -> bytes:
    """Write sequences inside each other, of stated or of undefined lengths."""
    content = b""
    group, number = tag >> 16, tag & 0xFFFF
    for _ in range(depth):
        length = len(content) if stated else 0xFFFFFFFF
        item = struct.pack("<HHI", 0xFFFE, 0xE000, length) + content
        item += b"" if stated else struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
        length = len(item) if stated else 0xFFFFFFFF
        head = struct.pack("<HH", group, number) + (b"" if implicit else b"SQ\0\0") + struct.pack("<I", length)
        content = head + item + (b"" if stated else struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    return content


def nested_file(depth: int, *, stated: bool = False, number: int = 1) -> bytes:
    """Write a file with nested sequences."""
    return meta(ExplicitVRLittleEndian) + identifiers(number) + nested(depth, stated=stated)


def nested_dataset(depth: int) -> Dataset:
    """Make a dataset in memory with nested sequences."""
    dataset = Dataset()
    for _ in range(depth):
        outer = Dataset()
        outer.ContentSequence = [dataset]
        dataset = outer
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.1.1.1"
    return dataset


def zipped(members: Sequence[tuple[str, bytes, int, int]], *, shared: bool = False) -> bytes:
    """Write a zip by hand: name, packed bytes, promised size, kind of compression; or one body shared by all."""
    content, directory = b"", b""
    start = 0
    for index, (name, packed, size, kind) in enumerate(members):
        crc = 0 if kind else zlib.crc32(packed)
        if not shared or not index:
            start = len(content)
            local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, kind, 0, 0, crc, len(packed), size, len(name), 0)
            content += local + name.encode() + packed
        entry = (0x02014B50, 45, 45, 0, kind, 0, 0, crc, len(packed), size, len(name), 0, 0, 0, 0, 0, start)
        directory += struct.pack("<IHHHHHHIIIHHHHHII", *entry) + name.encode()
    count = len(members)
    ends = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(directory), len(content), 0)
    return content + directory + ends


def run(module: str, tmp_path: Path) -> dict[str, Outcome]:
    """Set off the bombs of a test module, ``BOMBS``, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", __name__, module, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return {name: Outcome(*outcome) for name, outcome in map(json.loads, ended.stdout.splitlines())}


def check(outcome: Outcome, kind: str, message: str) -> None:
    """Check what became of a bomb, and that it took neither memory nor time."""
    assert (outcome.kind, message in outcome.message) == (kind, True), outcome
    assert outcome.megabytes < MOST_MEMORY
    assert outcome.seconds < MOST_SECONDS


def _main(module: str, folder: str) -> None:
    import importlib

    bombs: dict[str, Bomb] = importlib.import_module(module).BOMBS
    loaded = peak_memory()
    for number, (name, bomb) in enumerate(bombs.items()):
        place = Path(folder, str(number))
        place.mkdir()
        began = time.process_time()
        try:
            kind, message = "", str(bomb(place))
        except BaseException as error:
            kind, message = type(error).__name__, str(error)
        used = time.process_time() - began
        peak = peak_memory() - loaded
        print(json.dumps([name, [kind, message, used, peak]]), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
