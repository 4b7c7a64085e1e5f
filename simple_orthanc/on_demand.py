"""Names of a package that are imported when they are first used, as PEP 562 describes.

A program does not wait for imports that it does not need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_demand(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package.

    Parameters
    ----------
    package : str
        Its name.
    modules : mapping
        Name to the module that defines it.

    Examples
    --------
    >>> from simple_orthanc.on_demand import on_demand
    >>> find = on_demand("simple_orthanc.dicom", {"LEVELS": "simple_orthanc.dicom.levels"})
    >>> find("LEVELS")
    ('patient', 'study', 'series', 'instance')
    """

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
