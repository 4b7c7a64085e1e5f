"""Names of files and folders that are safe on every file system, whatever they were made from."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

# All other characters are unsafe in some file system; a name of dots alone would be a folder above.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST = 64
# Windows reserves these names for devices.
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[\d¹²³]|lpt[\d¹²³]|conin\$|conout\$)(\..*)?\Z")
# Most file systems allow 255 bytes in a name; a temporary name beside it needs some of them.
_MOST_BYTES = 200
_LONGEST_SUFFIX = 16


def safe_name(identifier: str | None) -> str:
    """Turn an identifier into the name of one file or folder.

    A name that had to change gets part of a checksum, so that two identifiers never share one.

    Examples
    --------
    >>> safe_name("1.2.840"), safe_name("../../etc"), safe_name(None)
    ('1.2.840', '.._.._etc-74ccf3c5', 'missing-e3b0c442')
    """
    original = identifier or ""
    name = _UNSAFE.sub("_", original)[:_LONGEST] or "missing"
    if name == original and name.strip(".") and not name.endswith(".") and not _RESERVED.match(name):
        return name
    unique = f"{name}-{digest(original)}"
    return f"_{unique}" if _RESERVED.match(unique) else unique


def digest(text: str) -> str:
    """Return eight characters that stand for a string of any length."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


@lru_cache(maxsize=4096)
def readable_name(value: str) -> str:
    r"""Turn a value into a part of a name that people read: its letters and digits, of any script.

    Spaces and signs become underscores, so that two values may share a name; who needs them apart checks it. What is
    longer than 64 characters, or has characters that do not show, gets part of a checksum.

    Examples
    --------
    >>> readable_name("T1 MPRAGE (sag)"), readable_name("山田^太郎"), readable_name("T2*"), readable_name("a\x00b")
    ('T1_MPRAGE__sag_', '山田_太郎', 'T2_', 'a_b-59b271ae')
    """
    text = unicodedata.normalize("NFC", value)
    name = "".join(character if _is_kept(character) else "_" for character in text)[:_LONGEST]
    is_shown = text.isprintable() and any(character.isalnum() for character in name)
    return name if is_shown and len(text) <= _LONGEST else f"{name}-{digest(value)}"


def _is_kept(character: str) -> bool:
    return character in "._-+" or unicodedata.category(character)[0] in "LMN"


@lru_cache(maxsize=4096)
def file_name(name: str) -> str:
    """Turn what was put together as a name into one that every file system takes: one plain part of a path.

    Examples
    --------
    >>> file_name("nul.dcm"), file_name(".hidden"), file_name("ends with a dot."), file_name("..")
    ('_nul.dcm', '_hidden', 'ends with a dot_', '__')
    """
    stripped = name.lstrip(". ")
    name = "_" * (len(name) - len(stripped)) + stripped
    stripped = name.rstrip(". ")
    name = stripped + "_" * (len(name) - len(stripped))
    if _RESERVED.match(name):
        name = f"_{name}"
    return name if len(name.encode()) <= _MOST_BYTES else _shortened(name)


def _shortened(name: str) -> str:
    """Cut a long name before its suffix, and put part of a checksum there."""
    stem, dot, suffix = name.partition(".") if name.endswith(".nii.gz") else name.rpartition(".")
    ending = f"{dot}{suffix}" if stem and len(suffix.encode()) <= _LONGEST_SUFFIX else ""
    ending = f"-{digest(name)}{ending}"
    return name.encode()[: _MOST_BYTES - len(ending.encode())].decode("utf-8", "ignore") + ending


@lru_cache(maxsize=4096)
def folded(name: str) -> str:
    """Return what two names have in common that are one on some file system: those that fold case or compose marks.

    Examples
    --------
    >>> folded("STRASSE") == folded("Straße"), folded("a") == folded("b")
    (True, False)
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
