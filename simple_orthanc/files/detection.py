"""Decide which files are DICOM, for uploading and for reading a folder alike.

A file is judged by its first bytes, never by its name. Folders are walked in the order of names. Links are followed,
and what can be reached in several ways is visited once. Only regular files are opened: a pipe might never end.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from stat import S_ISDIR, S_ISREG
from typing import Any, Literal, TypeAlias

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_partial
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import SelectionError
from simple_orthanc.files.characters import check_characters, quiet_about_character_set
from simple_orthanc.files.inflating import readable
from simple_orthanc.files.nesting import dataset_nesting_problem
from simple_orthanc.files.walker import (
    META_START,
    DamagedError,
    NotPlainError,
    dataset_syntax,
    has_prefix,
    read_meta,
)
from simple_orthanc.files.walker import walk as walk_elements

# Enough of a file to hold its SOPInstanceUID and, in a DICOMDIR, its media storage class.
BEGINNING = 64 * 1024

_DICOMDIR = "1.2.840.10008.1.3.10"
_SOP_INSTANCE_UID = 0x00080018
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
# Archives and compressed files that are not opened, by their first bytes.
_PACKED = {
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\0": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
}

# The names under which files of archives grow until they are whole, and those of the folders for them.
_GROWING = re.compile(r"\.[0-9a-f]{16}\.part\Z|\.simple_orthanc-[0-9a-f]{16}(\.lock)?\Z")

Reason: TypeAlias = Literal[
    "folder not readable", "folder not entered", "reached already", "no such file", "not a regular file", "left behind"
]


@dataclass(frozen=True)
class Walked:
    """A regular file that a walk visited."""

    path: str
    stat: os.stat_result


@dataclass(frozen=True)
class PassedBy:
    """Something that a walk visited and that is not a file to read."""

    path: str
    reason: Reason
    message: str


def walk(top: str, recursive: bool) -> Iterator[Walked | PassedBy]:
    """Visit everything in a folder in the order of names, the content of a folder at the place of its name.

    Parameters
    ----------
    top : str
        A folder.
    recursive : bool
        Whether to enter the folders in it.

    Yields
    ------
    Walked or PassedBy
        A file or folder that several links lead to is visited once, so links in a circle end.
    """
    yield from _walk(top, recursive, {_identity(top, os.stat(top))})


def _walk(folder: str, recursive: bool, met: set[tuple[int, int] | str]) -> Iterator[Walked | PassedBy]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        yield PassedBy(folder, "folder not readable", f"the folder cannot be read: {error.strerror}")
        return
    for name in names:
        path = os.path.join(folder, name)
        try:
            # Through links, to what they lead to.
            stat = os.stat(path)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            yield PassedBy(path, "no such file", "no such file" if gone else f"cannot be reached: {error.strerror}")
            continue
        is_folder = S_ISDIR(stat.st_mode)
        if _GROWING.match(name):
            yield PassedBy(path, "left behind", "what grows here, or was left behind by a copy that was killed")
            continue
        identity = _identity(path, stat)
        if is_folder and not recursive:
            yield PassedBy(path, "folder not entered", "a folder: recursive=True enters it")
        elif not is_folder and not S_ISREG(stat.st_mode):
            yield PassedBy(path, "not a regular file", "not a regular file")
        elif identity in met:
            kind = "folder that was entered" if is_folder else "file that was met"
            yield PassedBy(path, "reached already", f"a link to a {kind} already")
        else:
            met.add(identity)
            if is_folder:
                yield from _walk(path, recursive, met)
            else:
                yield Walked(path, stat)


def _identity(path: str, stat: os.stat_result) -> tuple[int, int] | str:
    # Some file systems have no numbers for files.
    return (stat.st_dev, stat.st_ino) if stat.st_ino else os.path.realpath(path)


def is_zip(beginning: bytes) -> bool:
    r"""Check whether a file that begins with these bytes is a zip.

    Examples
    --------
    >>> is_zip(b"PK\x03\x04..."), is_zip(bytes(128) + b"DICM")
    (True, False)
    """
    return beginning[:4] in _ZIPS


def packed_kind(beginning: bytes) -> str | None:
    r"""Return what kind of packed file begins with these bytes, None if it is none that must be unpacked first.

    Examples
    --------
    >>> packed_kind(b"\x1f\x8b\x08"), packed_kind(bytes(128) + b"DICM")
    ('a gzip file', None)
    """
    if beginning[257:262] == b"ustar":
        return "a tar archive"
    return next((kind for magic, kind in _PACKED.items() if beginning.startswith(magic)), None)


def refusal(
    content: bytes, *, in_zip: bool, test_dicom: bool = True
) -> tuple[Literal["not DICOM", "skipped"], str] | None:
    """Return why a file is not a DICOM object, None if it is one as far as its beginning shows.

    Parameters
    ----------
    content : bytes
        The file, or at least its first ``BEGINNING`` bytes.
    in_zip : bool
        Whether it is a member of a zip: zips inside zips are not opened.
    test_dicom : bool
        Whether to refuse what does not look like DICOM.

    Examples
    --------
    >>> refusal(b"", in_zip=False), refusal(bytes(128) + b"DICM", in_zip=False)
    (('not DICOM', 'the file is empty'), None)
    """
    if not content:
        return "not DICOM", "the file is empty"
    if in_zip and content[:4] == _ZIPS[0]:
        return "skipped", "a zip inside a zip"
    if has_prefix(content):
        if is_dicomdir(content):
            return "skipped", "a DICOMDIR: a list of files, not an object"
        return None
    if test_dicom and not looks_like_dicom(content):
        packed = packed_kind(content)
        if packed is not None:
            return "not DICOM", f"{packed}, which is not opened: unpack it first"
        return "not DICOM", "neither the DICM prefix nor a DICOM dataset without it"
    return None


def is_dicomdir(content: bytes) -> bool:
    """Check whether a file with the DICM prefix is a DICOMDIR (PS3.10, section 8.6), by its media storage class."""
    # Searching the bytes for the UID costs less than reading the file meta information that holds it.
    return _DICOMDIR.encode() in content[:BEGINNING] and _meta_uid(content, 0x00020002) == _DICOMDIR


def looks_like_dicom(content: bytes) -> bool:
    """Check whether bytes are a DICOM file: with the prefix of PS3.10, section 7.1, or a dataset without it.

    Such a dataset begins with an element of group 0002 or 0008, in one of the two byte orders.

    Examples
    --------
    >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"%PDF-1.4")
    (True, False)
    """
    if has_prefix(content):
        return True
    if len(content) < 8 or content[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08", b"\x00\x02"):
        return False
    try:
        with quiet_about_character_set(content[:BEGINNING]):
            header = pydicom.dcmread(io.BytesIO(content[:BEGINNING]), force=True, specific_tags=["SOPClassUID"])
    except Exception:  # pydicom may raise anything on what is not a dataset
        return False
    return bool(header.get("SOPClassUID"))


def _meta_uid(content: bytes, number: int) -> str:
    """Read a UID in the file meta information (PS3.10, section 7.1), "" if there is none."""
    meta = read_meta(content[:BEGINNING], META_START if has_prefix(content) else 0)
    return "" if meta is None else meta.uid(number)


def object_uid(content: bytes) -> str | None:
    """Return the SOPInstanceUID of a file: of the dataset, as servers read it, or else of the file meta information."""
    beginning = content[:BEGINNING]
    return _plain_uid(beginning) or _uid_by_pydicom(beginning) or _meta_uid(beginning, 0x00020003) or None


def _plain_uid(content: bytes) -> str:
    """Read the SOPInstanceUID of a plain file, "" if pydicom must look for it, which takes ten times as long."""
    meta = read_meta(content) if has_prefix(content) else None
    if meta is None:
        return ""
    with suppress(NotPlainError, DamagedError):
        syntax = dataset_syntax(content, meta)
        for _, tag, code, start, length in walk_elements(content, meta.end, syntax):
            if tag < _SOP_INSTANCE_UID:
                continue
            value = content[start : start + length]
            if tag > _SOP_INSTANCE_UID or code not in (None, b"UI") or len(value) != length:
                break
            element = RawDataElement(elements.interned(tag), "UI", length, value, start, *syntax)
            return elements.text(Dataset({element.tag: element}), tag)
    return ""


def _uid_by_pydicom(content: bytes) -> str:
    try:
        beginning: Any = readable(io.BytesIO(content))
        with quiet_about_character_set(content):
            header = read_partial(beginning, lambda tag, vr, length: tag > _SOP_INSTANCE_UID, force=True)
        return elements.text(header, "SOPInstanceUID")
    except Exception:  # an object may lack a SOPInstanceUID that can be read
        return ""


def dataset_bytes(dataset: Dataset) -> bytes:
    """Write a dataset as a DICOM file, without changing it; file meta information is made where it is missing.

    Raises
    ------
    SelectionError
        The dataset lacks what a DICOM file must have, its sequences are nested too deep, or it has characters that its
        SpecificCharacterSet cannot hold.
    """
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if not dataset.get(keyword):
            raise SelectionError(f"the dataset has no {keyword}, which every DICOM file must have")
    problem = dataset_nesting_problem(dataset)
    if problem is not None:
        raise SelectionError(f"the dataset is not written: {problem}")
    check_characters(dataset)
    written = Dataset(dataset)
    is_implicit, is_little = dataset.original_encoding
    if is_implicit is not None and is_little is not None:
        # So that what has not been accessed is written as the bytes that were read.
        written.set_original_encoding(is_implicit, is_little, dataset.original_character_set)
    meta = FileMetaDataset()
    meta.update(getattr(dataset, "file_meta", None) or {})
    if "TransferSyntaxUID" not in meta:
        # The pixels of what was read without file meta information are still in the byte order of the file.
        big_endian = dataset.original_encoding[1] is False
        meta.TransferSyntaxUID = ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian
    written.file_meta = meta
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, written, enforce_file_format=True)
    return buffer.getvalue()
