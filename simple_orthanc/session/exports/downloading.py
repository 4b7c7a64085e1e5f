"""Downloads: where the files go, which of them are there already, and how they are written.

Paths are always below the given folder, whatever the archive's identifiers contain.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.errors import OrthancError, SelectionError, TransportError
from simple_orthanc.files.paths import make_folders
from simple_orthanc.selection.source import Source
from simple_orthanc.session.exports.layout_names import plan_names
from simple_orthanc.session.exports.layouts import Layout
from simple_orthanc.session.exports.names import safe_name
from simple_orthanc.session.exports.staging import remove_leftovers, staging_folder
from simple_orthanc.session.reading.unreadable import is_about_one_object

_FILE_SUFFIXES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".dcm", ".dicom", ".nii", ".csv"})


def target_folder(folder: object, verb: str = "download") -> Path:
    """Read the folder that a verb writes to.

    Parameters
    ----------
    folder : str or path
        As it was given.
    verb : str
        For messages.

    Raises
    ------
    SelectionError
        It is not a path, there can be no such path, it has the name of a file, or a file exists in the place of the
        folder or of one above it.
    """
    # pathlib would read an empty string as the current folder.
    if not isinstance(folder, (str, os.PathLike)) or isinstance(os.fspath(folder), bytes) or folder == "":
        raise SelectionError(f'{verb}({folder!r}): the target is the path of one folder, as in {verb}("images").')
    target = Path(folder).expanduser()
    with writing(target, verb=verb):
        existing = existing_folder(target)
    if not existing.is_dir():
        raise SelectionError(
            f"{verb}({str(folder)!r}): {existing} is a file, so there can be no folder of that name. Choose another "
            f"folder; one that is missing is created."
        )
    if existing != target and target.suffix.lower() in _FILE_SUFFIXES:
        folder_name = target.name.partition(".")[0] or "images"
        raise SelectionError(
            f"{verb}({str(folder)!r}): the target is a folder, for one file of each instance, and {target.name} is "
            f"the name of one file. Name a folder, as in {verb}({folder_name!r}); "
            f'shutil.make_archive({folder_name!r}, "zip", {folder_name!r}) then makes one file of it.'
        )
    return target


def existing_folder(target: Path) -> Path:
    """Return what exists of a path: itself, or the nearest that is above it."""
    return next((path for path in (target, *target.parents) if path.exists()), Path())


@contextmanager
def writing(path: Path, kind: type[OrthancError] = SelectionError, verb: str = "download") -> Iterator[None]:
    """Turn what the system raises about a file or folder that is written into the error of this library.

    Parameters
    ----------
    path : Path
        What is written.
    kind : type
        The class of the error: that of a target that cannot be, or of a transfer that failed.
    verb : str
        For the message.
    """
    try:
        yield
    except OrthancError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
        reason = getattr(error, "strerror", None) or str(error)
        raise kind(
            f"{verb}(): {str(path)!r} cannot be written: {reason}. Files written before are whole, and of this one "
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


# Fields that tell instances apart; the last always do.
_SEPARATING = (("InstanceNumber",), ("SeriesNumber", "InstanceNumber"), ("SOPInstanceUID",), ("index",))
_MOST_NAMED = 3


def planned_paths(
    folder: Path, layout: Layout, column: Callable[[str], Sequence[Any]], uids: Sequence[str | None]
) -> list[Path]:
    """Return a path for each instance by a layout.

    Parameters
    ----------
    folder : Path
        The target.
    layout : Layout
    column : callable
        As for :func:`~simple_orthanc.session.exports.layout_names.plan_names`.
    uids : sequence of str or None
        SOPInstanceUID of each instance.

    Raises
    ------
    SelectionError
        Two instances would get one name.
    """
    names = plan_names(layout, column, lambda index: f"SOPInstanceUID {uids[index]}", "download", _SEPARATING)
    return [folder / name for name in names]


class FileDownload:
    """A download of files under names that are known.

    Parameters
    ----------
    source : Source
        The archive.
    target : Path
        The folder that all files are below.
    paths : mapping
        Key of each instance to the path of its file.
    """

    def __init__(self, source: Source, target: Path, paths: Mapping[str, Path]) -> None:
        self._source, self._target, self._paths = source, target, dict(paths)
        self._kept: set[str] = set()
        self._staged: Path | None = None
        self._numbers = itertools.count()

    def existing(self) -> list[str]:
        """List the keys under whose names there is something already."""
        with writing(self._target):
            return [key for key, path in self._paths.items() if os.path.lexists(path)]

    def keep_copies(self, errors: str) -> None:
        """Find the files that are there and whole, which are not fetched.

        Raises
        ------
        SelectionError
            What is there under a name of the download is something else.
        """
        existing = self.existing()
        found = run_all(lambda key: self._is_copy(key, errors), existing, label="comparing")
        self._kept = {key for key, is_copy in zip(existing, found, strict=True) if is_copy}
        others = [self._paths[key] for key, is_copy in zip(existing, found, strict=True) if is_copy is False]
        if others:
            listed = ", ".join(repr(str(path)) for path in others[:_MOST_NAMED])
            more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            raise SelectionError(
                f"download({str(self._target)!r}): under {len(others)} of {len(self._paths)} names there is something "
                f"other than the file of the selection: {listed}{more}. Nothing was written. Choose another folder or "
                "layout, or move these away; download(..., resume=False) replaces files."
            )

    def _is_copy(self, key: str, errors: str) -> bool | None:
        """Check whether the file of an instance is there; None if the instance cannot be read, which is reported."""
        path = self._paths[key]
        if not path.is_file():
            return False
        try:
            with writing(path):
                return self._source.is_copy(key, path)
        except OrthancError as error:
            if errors == "report" and is_about_one_object(error):
                return None
            raise

    def check_space(self) -> None:
        """Check that there is room for what is not there yet, as far as its size is known.

        Raises
        ------
        SelectionError
            There is not.
        """
        sizes = run_all(self._size, [key for key in self._paths if key not in self._kept], label="measuring")
        known = [size for size in sizes if size is not None]
        if not known:
            return
        # What is not known is taken for as large as the others.
        needed = sum(known) * len(sizes) // len(known)
        with writing(self._target):
            free = shutil.disk_usage(existing_folder(self._target)).free
        if needed > free:
            raise SelectionError(
                f"download({str(self._target)!r}): {needed / 1e6:,.1f} MB are to be written, and {free / 1e6:,.1f} MB "
                "are free. Nothing was written. Free some space, select fewer, or choose another folder."
            )

    def _size(self, key: str) -> int | None:
        try:
            return self._source.stored_file(key).size
        except OrthancError as error:
            # The error that says how to leave it out comes when the file is read.
            if is_about_one_object(error):
                return None
            raise

    @contextmanager
    def started(self) -> Iterator[None]:
        """Make the folders; inside the block files can be saved."""
        folders = {path.parent for key, path in self._paths.items() if key not in self._kept}
        for folder in (self._target, *sorted(folders)):
            with writing(folder):
                make_folders(folder)
        with ExitStack() as stack:
            with writing(self._target):
                if folders:
                    self._staged = stack.enter_context(staging_folder(self._target))
                else:
                    remove_leftovers(self._target)
            yield

    def save(self, key: str) -> Path:
        """Write the file of an instance, unless it is there, and return its path."""
        path = self._paths[key]
        if key not in self._kept:
            assert self._staged is not None
            part = self._staged / f"{next(self._numbers)}.dcm"
            with writing(path, TransportError):
                self._source.save(key, part)
                os.replace(part, path)
        return path
