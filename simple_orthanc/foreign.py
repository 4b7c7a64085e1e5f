"""Import pydicom and requests so that no folder of the working directory is taken for a package that is not installed.

Both try packages that are optional, or that no Python 3 has, and do without them. Where the working directory has a
folder of that name, such as ``dl`` for downloads, Python imports that folder as an empty package, and the import of
pydicom or requests fails. So these names are kept from Python while the two are imported, and no longer.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import PathFinder

# Tried by GDCM, which pydicom imports; modules of Python 2.
_EXTINCT = ("dl", "DLFCN")
# Tried by requests, urllib3 and pydicom, and used where they are installed.
_OPTIONAL = ("brotli", "brotlicffi", "chardet", "libjpeg", "simplejson", "socks")


def _is_folder_alone(name: str) -> bool:
    """Check whether a name can only be imported as a folder without Python code that belongs together."""
    with suppress(ImportError, ValueError, OSError):
        spec = PathFinder.find_spec(name)
        return spec is not None and spec.origin is None
    return False


@contextmanager
def _hidden(names: list[str]) -> Iterator[None]:
    """Make the imports of these names fail inside the block."""
    before = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(before)


with _hidden([*_EXTINCT, *(name for name in _OPTIONAL if name not in sys.modules and _is_folder_alone(name))]):
    import pydicom
    import requests

__all__ = ["pydicom", "requests"]
