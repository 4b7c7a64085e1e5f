"""The paths of downloaded files: always below the given folder, whatever the archive's identifiers contain."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from simple_orthanc.errors import OrthancError, SelectionError
from simple_orthanc.session.exports.names import safe_name

_FILE_SUFFIXES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".dcm", ".dicom", ".nii", ".csv"})


def target_folder(folder: object) -> Path:
    """Read the target of a download.

    Raises
    ------
    SelectionError
        It is not a path, there can be no such path, it has the name of a file, or a file exists in the place of the
        folder or of one above it.
    """
    if not isinstance(folder, (str, os.PathLike)) or isinstance(os.fspath(folder), bytes):
        raise SelectionError(f'download({folder!r}): the target is the path of one folder, as in download("images").')
    target = Path(folder).expanduser()
    with writing(target):
        existing = next((path for path in (target, *target.parents) if path.exists()), None)
    if existing is not None and not existing.is_dir():
        raise SelectionError(
            f"download({str(folder)!r}): {existing} is a file, so there can be no folder of that name. Choose another "
            f"folder; one that is missing is created."
        )
    if existing != target and target.suffix.lower() in _FILE_SUFFIXES:
        folder_name = target.name.partition(".")[0] or "images"
        raise SelectionError(
            f"download({str(folder)!r}): the target is a folder, for one file of each instance, and {target.name} is "
            f"the name of one file. Name a folder, as in download({folder_name!r}); "
            f'shutil.make_archive({folder_name!r}, "zip", {folder_name!r}) then makes one file of it.'
        )
    return target


@contextmanager
def writing(path: Path, kind: type[OrthancError] = SelectionError) -> Iterator[None]:
    """Turn what the system raises about a file or folder that is written into the error of this library.

    Parameters
    ----------
    path : Path
        What is written.
    kind : type
        The class of the error: that of a target that cannot be, or of a transfer that failed.
    """
    try:
        yield
    except OrthancError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
        reason = getattr(error, "strerror", None) or str(error)
        raise kind(
            f"download(): {str(path)!r} cannot be written: {reason}. Files written before are whole, and of this one "
            "nothing was left behind. Choose another folder, or free some space."
        ) from error


def file_paths(folder: Path, chains: Sequence[tuple[str | None, ...]], keys: Sequence[str]) -> list[Path]:
    """Return a path for each instance: its PatientID and UIDs from study to instance, as safe names."""
    paths: list[Path] = []
    # Some file systems fold case, so two paths must not differ in case alone.
    taken: set[str] = set()
    for chain, key in zip(chains, keys, strict=True):
        *folders, name = (safe_name(part) for part in chain)
        path = folder.joinpath(*folders, f"{name}.dcm")
        while str(path).lower() in taken:
            path = path.with_name(f"{path.stem}-{safe_name(key)}.dcm")
        taken.add(str(path).lower())
        paths.append(path)
    return paths
