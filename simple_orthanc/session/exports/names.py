"""Names of files and folders that are safe on every file system, whatever they were made from."""

from __future__ import annotations

import hashlib
import re

# All other characters are unsafe in some file system; a name of dots alone would be a folder above.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST = 64
# Windows reserves these names for devices.
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?\Z")


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
    digest = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    unique = f"{name}-{digest}"
    return f"_{unique}" if _RESERVED.match(unique) else unique
