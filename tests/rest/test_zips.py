"""Zips of a server: whole, and with every instance."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from simple_orthanc import TransportError, limits
from simple_orthanc.rest.zips import count_instances, zip_check


def zipped(path: Path, *names: str, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in names:
            archive.writestr(name, f"content of {name}" * 50)
    return path


@pytest.mark.parametrize(
    ("names", "count"),
    [
        ((), 0),
        (("P1 Doe/Study/CT/CT000000.dcm", "P1 Doe/Study/CT/CT000001.dcm"), 2),
        (("IMAGES/IM0", "IMAGES/IM1", "DICOMDIR"), 2),
        (("IMAGES/", "IMAGES/IM0"), 1),
    ],
)
def test_instances_are_counted(names: tuple[str, ...], count: int, tmp_path: Path) -> None:
    assert count_instances(zipped(tmp_path / "a.zip", *names), "The archive") == count


def test_a_cut_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", "a", "b")
    whole = path.read_bytes()
    for length in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(TransportError, match="The archive was asked for, and what came is not a whole zip"):
            count_instances(path, "The archive")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_changed_byte_of_a_member(compression: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", "a", "b", compression=compression)
    content = bytearray(path.read_bytes())
    content[40] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(TransportError, match="not a whole zip"):
        count_instances(path, "The archive")


def test_a_zip_that_promises_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(1 << 20))
    with limits.changed(expanded_bytes=1 << 16, expansion=10), pytest.raises(TransportError, match="expansion"):
        count_instances(path, "The archive")


@pytest.mark.parametrize(("before", "now"), [(2, 2), (1, 2), (3, 2), (2, 0), (0, 0)])
def test_a_zip_with_every_instance(before: int, now: int, tmp_path: Path) -> None:
    zip_check("The archive", before, lambda: now)(zipped(tmp_path / "a.zip", "a", "b"))


@pytest.mark.parametrize(("before", "now", "expected"), [(3, 3, 3), (9, 5, 5), (3, 10, 3)])
def test_instances_that_were_left_out(before: int, now: int, expected: int, tmp_path: Path) -> None:
    check = zip_check("The archive", before, lambda: now)
    with pytest.raises(
        TransportError, match=f"which has {expected} instances, and the zip holds 2: the server leaves out"
    ):
        check(zipped(tmp_path / "a.zip", "a", "b"))
