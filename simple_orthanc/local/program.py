"""Find the Orthanc program and its plugins on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from simple_orthanc.errors import OrthancError, SelectionError

PROGRAM_PATHS = (
    "/usr/sbin/Orthanc",
    "/usr/local/sbin/Orthanc",
    "/usr/local/bin/Orthanc",
    "/opt/homebrew/bin/Orthanc",
    "/Applications/Orthanc/Orthanc",
    r"C:\Program Files\Orthanc Server\Orthanc.exe",
)
PLUGIN_FOLDERS = (
    "/usr/share/orthanc/plugins",
    "/usr/local/share/orthanc/plugins",
    "/Applications/Orthanc",
    r"C:\Program Files\Orthanc Server\Plugins",
)
PLUGINS = ("OrthancDicomWeb", "OrthancGdcm")
LIBRARY_SUFFIXES = (".so", ".dylib", ".dll")
HOW_TO_INSTALL = (
    "install it (Debian and Ubuntu: sudo apt install orthanc orthanc-dicomweb orthanc-gdcm; elsewhere: "
    "https://www.orthanc-server.com/download.php), or name it: LocalOrthanc(program=...) or the environment "
    "variable ORTHANC_PROGRAM"
)


def find_program(program: str | os.PathLike[str] | Sequence[str] | None = None) -> list[str]:
    """Find the Orthanc program and return the command that runs it.

    Parameters
    ----------
    program : str, path or list of str, optional
        The program, or a whole command to which the name of the configuration file is appended. Default: the
        environment variable ``ORTHANC_PROGRAM``, then ``PATH`` and the usual folders.

    Returns
    -------
    list of str
        The command; its first item is an absolute path.

    Raises
    ------
    OrthancError
        There is no such program; the message explains how to install one.

    Examples
    --------
    >>> find_program()
    ['/usr/sbin/Orthanc']
    """
    wanted = program or os.environ.get("ORTHANC_PROGRAM") or None
    if wanted is None:
        for candidate in ("Orthanc", "orthanc", *PROGRAM_PATHS):
            path = shutil.which(candidate)
            if path:
                return [os.path.abspath(path)]
        raise OrthancError(f"No Orthanc program was found on PATH or in the usual places: {HOW_TO_INSTALL}.")
    is_command = isinstance(wanted, (list, tuple))
    if not is_command and not isinstance(wanted, (str, os.PathLike)):
        raise SelectionError(
            f'program is of type {type(wanted).__name__}; give the path of Orthanc, as in program="/usr/sbin/Orthanc", '
            f"or a whole command as a list of strings."
        )
    command = [os.fspath(wanted)] if isinstance(wanted, (str, os.PathLike)) else [str(item) for item in wanted]
    path = shutil.which(os.path.expanduser(command[0]))
    if path is None:
        raise OrthancError(f"The Orthanc program {command[0]!r} is not there or cannot be executed: {HOW_TO_INSTALL}.")
    return [os.path.abspath(path), *command[1:]]


def find_plugins() -> list[str]:
    """Find the DICOMweb and GDCM plugins in the folders where the packages of Orthanc install them."""
    folder = next((Path(path) for path in PLUGIN_FOLDERS if Path(path).is_dir()), None)
    if folder is None:
        return []
    files = (path for path in sorted(folder.iterdir()) if path.suffix in LIBRARY_SUFFIXES)
    return [str(path) for path in files if any(name in path.name for name in PLUGINS)]
