"""Write a volume to a file that appears under its name only when it is whole.

SimpleITK reports success for a compressed NIfTI file that a full disk cut off. So every file is written under a
temporary name beside its own, inflated again to see whether all of it arrived, and only then renamed.
"""

from __future__ import annotations

import errno
import gzip
import os
import secrets
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import VolumeError

if TYPE_CHECKING:
    import SimpleITK

SUFFIXES = (".nii.gz", ".nrrd", ".mha")
# What ends the header in front of the compressed values.
_HEADER_ENDS = {".nrrd": b"\n\n", ".mha": b"ElementDataFile = LOCAL\n"}
# Of the NIfTI-1 header: where the values begin, the spacing of the fourth axis, and the units.
_VALUES_BEGIN, _FOURTH_SPACING, _UNITS = 108, 92, 123
_MILLIMETRES = 2
_BLOCK = 1 << 20


def check_target(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Check where a volume is to be written, before anything is computed or written.

    Parameters
    ----------
    path : str or path
        Of the file.

    Returns
    -------
    Path, str
        The file, and its suffix in lower case.

    Raises
    ------
    VolumeError
        If the suffix is not one of ``SUFFIXES``, if the folder is missing or not a folder, or if the name is that of a
        folder.

    Examples
    --------
    >>> check_target("volume.NRRD")[1]
    '.nrrd'
    """
    target = Path(path)
    suffix = next((suffix for suffix in SUFFIXES if target.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise VolumeError(f"Cannot save as {target.name!r}; supported formats are {', '.join(SUFFIXES)}.")
    with _as_volume_error(target):
        if target.is_dir():
            raise VolumeError(f"{target} was to be written, but it is a folder. Choose another name.")
        if not target.parent.is_dir():
            raise VolumeError(
                f"{target} was to be written, but there is no folder {target.parent}. Create it, or choose another."
            )
    return target, suffix


def save(
    image: SimpleITK.Image,
    path: str | os.PathLike[str],
    *,
    companions: Mapping[str, str] | None = None,
    time_step: float | None = None,
) -> Path:
    """Write an image, whole or not at all; an older file of that name stays until the new one is whole.

    Parameters
    ----------
    image : SimpleITK.Image
    path : str or path
        Ends with one of ``SUFFIXES``.
    companions : mapping, optional
        Text files to write beside it: the suffix that replaces that of the image, to the content.
    time_step : float, optional
        Seconds between the steps of a 4D image; without it NIfTI gets the step 0 and no unit.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    VolumeError
        If :func:`check_target` refuses the path, or the file cannot be written, or not all of it.
    """
    target, suffix = check_target(path)
    stem = target.name[: -len(suffix)]
    texts = {target.with_name(stem + ending): text for ending, text in (companions or {}).items()}
    # Named before they are made: an interrupt between making and knowing them would leave them behind.
    parts = {file: file.with_name(f".{secrets.token_hex(8)}{suffix}") for file in (target, *texts)}
    try:
        with _as_volume_error(target):
            for file, text in texts.items():
                parts[file].write_text(text, encoding="ascii")
            _write(image, parts[target], suffix, time_step)
            _check_whole(image, parts[target], suffix)
            for file in (*texts, target):
                os.replace(parts[file], file)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return target


def is_failed_write(error: BaseException) -> bool:
    """Check whether a volume could not be written, for a reason that lies with the disk and not with the volume."""
    return isinstance(error, VolumeError) and isinstance(error.__cause__, (OSError, RuntimeError))


@contextmanager
def _as_volume_error(target: Path) -> Iterator[None]:
    """Turn what the system or SimpleITK raises about a file into the error of this library."""
    try:
        yield
    except VolumeError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1]
        raise VolumeError(
            f"{target} could not be written: {reason}. Nothing was left behind, and an older file of that name is "
            "unchanged. Choose another folder or name, or free some space."
        ) from error


def _write(image: SimpleITK.Image, part: Path, suffix: str, time_step: float | None) -> None:
    import SimpleITK

    source: Any = image
    # An empty file first: where the folder cannot be written to, the reason is that of the system.
    part.touch(exist_ok=False)
    if suffix != ".nii.gz" or source.GetDimension() != 4:
        SimpleITK.WriteImage(image, str(part), useCompression=True)
        return
    plain = part.with_suffix("")
    try:
        SimpleITK.WriteImage(image, str(plain))
        _set_time_step(plain, time_step)
        # Without the time, so that one volume always makes the same file.
        with (
            plain.open("rb") as source_file,
            part.open("wb") as part_file,
            gzip.GzipFile("", "wb", compresslevel=6, fileobj=part_file, mtime=0) as compressed,
        ):
            shutil.copyfileobj(source_file, compressed, _BLOCK)
    finally:
        plain.unlink(missing_ok=True)


def _set_time_step(path: Path, time_step: float | None) -> None:
    """Correct the fourth axis of a NIfTI file, whose unit is always seconds when SimpleITK writes it."""
    with path.open("r+b") as file:
        file.seek(_FOURTH_SPACING)
        file.write(struct.pack("<f", time_step or 0.0))
        if time_step is None:
            file.seek(_UNITS)
            file.write(bytes([_MILLIMETRES]))


def _check_whole(image: SimpleITK.Image, part: Path, suffix: str) -> None:
    """Inflate what was written, and compare its length with that of the values."""
    source: Any = image
    expected = source.GetNumberOfPixels() * source.GetNumberOfComponentsPerPixel() * source.GetSizeOfPixelComponent()
    # Windows flushes only files that are open for writing.
    with part.open("r+b") as file:
        os.fsync(file.fileno())
        head = file.read(_BLOCK)
        ending = _HEADER_ENDS.get(suffix)
        file.seek(0 if ending is None else head.find(ending) + len(ending))
        start, length, complete = _inflated(file)
    if suffix == ".nii.gz" and len(start) > _VALUES_BEGIN + 4:
        expected += int(struct.unpack_from("<f", start, _VALUES_BEGIN)[0])
    if length != expected or not complete:
        raise OSError(errno.EIO, f"{length} of {expected} bytes arrived, since the disk may be full")


def _inflated(file: Any) -> tuple[bytes, int, bool]:
    """Inflate the rest of a file; return its first bytes, its inflated length, and whether the stream has its end."""
    # Either of the formats of gzip and of zlib.
    inflater = zlib.decompressobj(wbits=47)
    start, length = b"", 0
    try:
        while block := file.read(_BLOCK):
            while block:
                content = inflater.decompress(block, _BLOCK)
                start, length = start or content[:352], length + len(content)
                block = inflater.unconsumed_tail
    except zlib.error:
        return start, length, False
    return start, length, inflater.eof
