"""Volumes on disk: each whole or not at all, with its sidecar, and a row that states what became of it.

An image is there if its sidecar names the same images, grid and request (``SourceDigest``), the contents of the files
are still those that were written (``FileDigests``), and the images have not been replaced in the archive
(``SourceFilesDigest``, where it keeps checksums). The files get their names in an order that ends with the
image, so that whatever a killed process leaves is seen to be unfinished.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.errors import NoPixelDataError, OrthancError, VolumeError
from simple_orthanc.files.opening import open_regular
from simple_orthanc.files.paths import make_folders
from simple_orthanc.session.exports.downloading import existing_folder, writing
from simple_orthanc.session.exports.sidecars import (
    FILE_DIGESTS,
    SOURCE_DIGEST,
    SOURCE_FILES_DIGEST,
    describe_volume,
    read_json,
    unequal_digests,
    write_json,
)
from simple_orthanc.session.exports.staging import staging_folder
from simple_orthanc.session.exports.volume_items import Named, Namer, VolumeItem
from simple_orthanc.session.reading.unreadable import check_errors, is_about_one_object
from simple_orthanc.volume.saving import SUFFIXES, is_failed_write
from simple_orthanc.volume.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

# In the order in which the files get their names; the image is last.
_COMPANIONS = (".json", ".bval", ".bvec")
_IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
_COLUMNS = (
    *_IDENTIFIERS,
    *("label", "path", "shape", "dtype", "units", "spacing", "instance_count", "status", "message"),
)
_BLOCK = 1 << 20
_LONGEST_SIDECAR = 1 << 26


@dataclass(frozen=True)
class SavingOptions:
    """How volumes are saved: the arguments of `Session.save_volumes` that are about files.

    Raises
    ------
    VolumeError
        There is no such format.
    """

    suffix: str = ".nii.gz"
    sidecar: bool = True
    identifiers: bool = False
    resample: bool = False
    resume: bool = True
    errors: str = "report"

    def __post_init__(self) -> None:
        """Check the arguments."""
        check_errors(self.errors)
        if self.suffix not in SUFFIXES:
            raise VolumeError(f"format={self.suffix!r} is not valid; choose {', '.join(map(repr, SUFFIXES))}.")


@dataclass(frozen=True)
class Outcome:
    """What became of a volume."""

    status: str
    message: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    error: OrthancError | None = None


def save_items(
    target: Path,
    items: Sequence[VolumeItem],
    namer: Namer,
    identifiers: Mapping[str, Sequence[str | None]],
    options: SavingOptions,
) -> pd.DataFrame:
    """Name volumes and save them.

    Parameters
    ----------
    target : Path
        The folder that all files are below.
    items, identifiers, options
        As for `VolumeSaving`.
    namer : Namer

    Raises
    ------
    SelectionError
        Two volumes would get one name, or the target cannot be written to.
    OrthancError, KeyboardInterrupt
        As for `VolumeSaving.run`.
    """
    readable = [index for index, item in enumerate(items) if item.problem is None]
    named = namer.names([items[index] for index in readable])
    saving = VolumeSaving(target, items, dict(zip(readable, named, strict=True)), identifiers, options)
    with ExitStack() as stack:
        with writing(target, verb="save_volumes"):
            make_folders(target)
            staged = stack.enter_context(staging_folder(target))
            namer.prepare(target, staged, [items[index] for index in readable])
        return saving.run(staged)


class VolumeSaving:
    """Saves volumes one after the other.

    Parameters
    ----------
    target : Path
        The folder that all files are below.
    items : sequence of VolumeItem
        The volumes.
    names : mapping
        Index of each item that can be read to its name.
    identifiers : mapping
        Key of each series to its PatientID, StudyInstanceUID and SeriesInstanceUID.
    options : SavingOptions
    """

    def __init__(
        self,
        target: Path,
        items: Sequence[VolumeItem],
        names: Mapping[int, Named],
        identifiers: Mapping[str, Sequence[str | None]],
        options: SavingOptions,
    ) -> None:
        self._target, self._items, self._names = target, items, dict(names)
        self._identifiers, self._options = identifiers, options
        self._outcomes: dict[int, Outcome] = {}

    def run(self, staged: Path) -> pd.DataFrame:
        """Save all volumes.

        Parameters
        ----------
        staged : Path
            The folder where files grow.

        Raises
        ------
        OrthancError
            The source is gone; or, where errors are raised, the first one. ``.table`` reports on each volume so far.
        KeyboardInterrupt
            With the same ``.table``.
        """
        with self._attached(), progress_bar(len(self._items), "saving volumes") as advance:
            for index, item in enumerate(self._items):
                outcome = self._outcomes[index] = self._outcome(index, item, staged)
                if outcome.error is not None and self._options.errors == "raise":
                    raise outcome.error
                advance(1)
        return self.table()

    @contextmanager
    def _attached(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            vars(error)["table"] = self.table()
            raise

    def _outcome(self, index: int, item: VolumeItem, staged: Path) -> Outcome:
        if isinstance(item.problem, NoPixelDataError):
            return Outcome("no images", item.problem.message)
        if item.problem is not None:
            status = "refused" if isinstance(item.problem, VolumeError) else "failed"
            return Outcome(status, item.problem.message, error=item.problem)
        files = _Files(self._target, self._names[index], self._options.suffix)
        try:
            return self._existing(item, files) or self._saved(item, files, staged)
        except OrthancError as error:
            if not is_about_one_object(error):
                raise
            is_refused = isinstance(error, VolumeError) and not is_failed_write(error)
            return Outcome("refused" if is_refused else "failed", error.message, error=error)

    def _existing(self, item: VolumeItem, files: _Files) -> Outcome | None:
        """Return the outcome for what is there already; None if the volume is to be saved."""
        options = self._options
        if not options.resume or not options.sidecar:
            return None
        with _writing(files.image):
            there = files.existing()
            entries = _read_sidecar(files.path(".json")) if ".json" in there else {}
            if not there or (SOURCE_DIGEST in entries and not files.has_image()):
                # What was left by a call that ended before it was done is written again.
                return None
            if entries.get(SOURCE_DIGEST) != self._digest(item):
                return self._in_the_way(files, f"{there[-1]} is there, and is not this volume as it was asked for")
            found = {ending: _digest_of(files.path(ending)) for ending in there if ending != ".json"}
        if unequal := unequal_digests(entries, found):
            return self._in_the_way(files, f"{', '.join(unequal)} has been changed since it was saved")
        before = entries.get(SOURCE_FILES_DIGEST)
        if before is not None and item.checksum() not in (None, before):
            return self._in_the_way(files, "its images have been replaced in the archive since it was saved")
        array = entries.get("Array")
        values = _row_values(array) if isinstance(array, dict) else {}
        return Outcome("already there", files.named.message, {"path": str(files.image), **values})

    def _in_the_way(self, files: _Files, reason: str) -> Outcome:
        error = VolumeError(
            f"{files.image}: {reason}. Nothing was written over it. Choose another folder or layout, move it away, or "
            "replace it with save_volumes(..., resume=False)."
        )
        return Outcome("refused", error.message, error=error)

    def _digest(self, item: VolumeItem) -> str:
        options = self._options
        # With and without what identifies the patient are not the same files.
        parts = [item.digest, str(options.resample), options.suffix, *(["identifiers"] if options.identifiers else [])]
        return "sha256:" + hashlib.sha256("|".join(parts).encode()).hexdigest()

    def _saved(self, item: VolumeItem, files: _Files, staged: Path) -> Outcome:
        free = shutil.disk_usage(existing_folder(self._target)).free
        if item.bytes > free:
            return Outcome(
                "not tried",
                f"It may need {item.bytes / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free in {self._target}. Free "
                "some space, and call it again.",
            )
        volume = self._unsheared(item.read())
        made = _Files(staged, Named(PurePosixPath(files.named.path.name)), files.suffix)
        try:
            volume.save(made.image)
            with _writing(files.image):
                return self._put_in_place(item, volume, made, files)
        except VolumeError as error:
            # Users look for it under the name that it was to get.
            error.args = (error.message.replace(str(made.image), str(files.image)),)
            raise
        finally:
            for ending in made.existing():
                made.path(ending).unlink(missing_ok=True)

    def _unsheared(self, volume: Volume) -> Volume:
        if not volume.is_sheared:
            return volume
        if not self._options.resample:
            raise VolumeError(
                "The volume is sheared (gantry tilt), which most formats would show in the wrong place: "
                "save_volumes(..., resample=True) puts it onto right angles."
            )
        return Volume.from_sitk(volume.to_sitk(resample=True), like=volume)

    def _put_in_place(self, item: VolumeItem, volume: Volume, made: _Files, files: _Files) -> Outcome:
        array = _array_of(volume)
        values = {"path": str(files.image), **_row_values(array)}
        if self._options.sidecar:
            digests = {ending: _digest_of(made.path(ending)) for ending in made.existing()}
            entries = describe_volume(volume, identifiers=self._options.identifiers)
            entries |= {**files.named.entries, "Array": array, SOURCE_DIGEST: self._digest(item), FILE_DIGESTS: digests}
            if (checksum := item.checksum()) is not None:
                entries[SOURCE_FILES_DIGEST] = checksum
            made.path(".json").write_text(write_json(entries), encoding="utf-8")
        elif self._options.resume:
            there = [ending for ending in files.existing() if ending != ".json"]
            if not all(ending in made.existing() and made.has_same(ending, files) for ending in there):
                return self._in_the_way(files, f"{there[-1]} is there, and differs from this volume")
            if there == made.existing():
                return Outcome("already there", files.named.message, values)
            if os.path.lexists(files.path(".json")) and SOURCE_DIGEST not in _read_sidecar(files.path(".json")):
                return self._in_the_way(files, ".json is there, and is no sidecar of a volume")
        make_folders(files.image.parent)
        for ending in set(files.existing()) - set(made.existing()):
            # It belongs to the volume that is replaced.
            files.path(ending).unlink()
        for ending in made.existing():
            os.replace(made.path(ending), files.path(ending))
        return Outcome("saved", files.named.message, values)

    def table(self) -> pd.DataFrame:
        """Return what has become of each volume so far, one row for each."""
        import pandas as pd

        rows = []
        for index, item in enumerate(self._items):
            outcome = self._outcomes.get(index, Outcome("not tried"))
            row: dict[str, Any] = dict(zip(_IDENTIFIERS, self._identifiers[item.series], strict=True))
            row |= {"label": item.label, "instance_count": item.instance_count}
            rows.append({**row, **outcome.values, "status": outcome.status, "message": outcome.message})
        table: pd.DataFrame = pd.DataFrame(rows, columns=list(_COLUMNS))
        strings = (*_IDENTIFIERS, "label", "path", "dtype", "units", "status", "message")
        return table.astype({**dict.fromkeys(strings, "string"), "instance_count": "Int64"})


class _Files:
    """The files of one volume: the image, and what belongs to it."""

    def __init__(self, folder: Path, named: Named, suffix: str) -> None:
        self.named, self.suffix = named, suffix
        self._stem = folder / named.path
        self.image = self.path(suffix)

    def path(self, ending: str) -> Path:
        """Return the path of the file with an ending."""
        return self._stem.with_name(self._stem.name + ending)

    def existing(self) -> list[str]:
        """List the endings of the files that are there, in the order in which they get their names."""
        return [ending for ending in (*_COMPANIONS, self.suffix) if os.path.lexists(self.path(ending))]

    def has_image(self) -> bool:
        """Check whether there is an image of this name, in whichever format."""
        return any(os.path.lexists(self.path(suffix)) for suffix in SUFFIXES)

    def has_same(self, ending: str, other: _Files) -> bool:
        """Check whether a file has the same contents as that of other files."""
        return _digest_of(self.path(ending)) == _digest_of(other.path(ending))


def _writing(path: Path) -> AbstractContextManager[None]:
    return writing(path, VolumeError, "save_volumes")


def _read_sidecar(path: Path) -> dict[str, Any]:
    """Read a sidecar; an empty dictionary for what is none."""
    with open_regular(path) as stream:
        content = stream.read(_LONGEST_SIDECAR + 1)
    return read_json(content) if len(content) <= _LONGEST_SIDECAR else {}


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _array_of(volume: Volume) -> dict[str, Any]:
    """Return what the sidecar and the table state of the array."""
    return {
        "Shape": list(volume.shape),
        "Type": str(volume.array.dtype),
        "Units": volume.units,
        "Spacing": None if volume.spacing is None else [float(f"{value:.12g}") for value in volume.spacing[::-1]],
    }


def _row_values(array: Mapping[str, Any]) -> dict[str, Any]:
    shape, spacing = array.get("Shape"), array.get("Spacing")
    return {
        "shape": tuple(shape) if isinstance(shape, list) else None,
        "dtype": array.get("Type"),
        "units": array.get("Units"),
        "spacing": tuple(spacing) if isinstance(spacing, list) else None,
    }
