"""Packages that are extras of this one, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from simple_orthanc.errors import UnsupportedError


def import_extra(module: str, extra: str, what: str, instead: str = "") -> ModuleType:
    """Import a module of an optional package.

    Parameters
    ----------
    module : str
        Its full name.
    extra : str
        The extra that installs the package.
    what : str
        What needs it, at the beginning of a sentence.
    instead : str
        What can be done without the package, as the end of a sentence.

    Returns
    -------
    module

    Raises
    ------
    UnsupportedError
        The package is not installed, or cannot be imported. The message names the extra.

    Examples
    --------
    >>> import_extra("json", "plot", "A picture").dumps([1])
    '[1]'
    >>> import_extra("nowhere.figures", "plot", "A picture")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    simple_orthanc.errors.UnsupportedError: A picture needs nowhere, which is not installed: ...
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        is_missing = isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] == package
        reason = "is not installed" if is_missing else f"cannot be imported ({error})"
        raise UnsupportedError(
            f'{what} needs {package}, which {reason}: pip install "simple-orthanc[{extra}]"{instead}.'
        ) from None
