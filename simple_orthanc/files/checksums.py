"""Checksums of DICOM files: of all bytes, and of the dataset alone, which two archives may wrap differently.

An archive that receives an object over the network writes the File Meta Information (group 0002, PS3.10 section 7.1)
anew, with its own name and version, so that the file differs although the object is the same. The checksum of a dataset
therefore covers the transfer syntax and every byte behind the File Meta Information, pixels included. A dataset that
was encoded anew, for example compressed, has another one.
"""

from __future__ import annotations

import hashlib

from simple_orthanc.files.walker import META_START, has_prefix, read_meta


def md5_of(content: bytes | memoryview) -> str:
    """Return the MD5 of a file in hexadecimal, as Orthanc computes it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def dataset_sha256(content: bytes | memoryview) -> str:
    """Return the SHA-256 of a file's transfer syntax and dataset, in hexadecimal.

    Parameters
    ----------
    content : bytes or memoryview
        The whole file.

    Examples
    --------
    >>> from simple_orthanc.phantom import as_bytes, ct_phantom
    >>> image = ct_phantom((1, 8, 8))[0]
    >>> before = as_bytes(image)
    >>> image.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
    >>> as_bytes(image) == before, dataset_sha256(as_bytes(image)) == dataset_sha256(before)
    (False, True)
    """
    meta = read_meta(content, META_START if has_prefix(content) else 0)
    syntax, start = ("", 0) if meta is None else (meta.transfer_syntax, meta.end)
    digest = hashlib.sha256(syntax.encode("ascii", "replace"))
    digest.update(memoryview(content)[start:])
    return digest.hexdigest()
