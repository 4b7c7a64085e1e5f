#!/usr/bin/env python3
"""Compare every series of a folder with dcm2niix and SimpleITK, voxel by voxel in patient space.

    .venv/bin/python tools/realdata.py FOLDER [FOLDER ...] [--json FILE]

One row per series. The verdict is one of:

right          ``get_volume()`` reads one volume, equal to dcm2niix's in voxels and affine
split          ``get_volume()`` refuses; the volumes of ``get_volumes()`` are those of dcm2niix, one for one
refused        no volume is read; the reason is in the last column
differs        a volume without an equal one of dcm2niix's, or one of dcm2niix's without an equal one here
no reference   a volume is read here, and dcm2niix writes nothing that it can be compared with
no image       the series holds no pixels

Zip files inside a folder are unpacked and compared as folders of their own. The program ends with status 1 if any row
says "differs".
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dcm2niix
import nibabel
import numpy as np
import SimpleITK
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from simple_orthanc import Folder, NoPixelDataError, OrthancError, Session, Volume, show_progress  # noqa: E402

PROGRAM = Path(dcm2niix.bin)
# Of the stored values' range; dcm2niix and NIfTI hold slope and intercept as 32-bit floats.
VALUE_TOLERANCE = 1e-4
# Between corresponding corners of two grids.
CORNER_TOLERANCE_MM = 0.05
# What dcm2niix resamples, writes a second time with volumes that are in its main file too, or draws from overlays.
SECONDARY = re.compile(r"_(Eq|Tilt|ADC|ROI)(_|\d|$)")
DCM2NIIX_SECONDS = 300


@dataclass(frozen=True)
class Grid:
    """One 3D image on canonical axes: values (x, y, z) or (x, y, z, 3), affine RAS in mm or None."""

    values: NDArray[Any]
    affine: NDArray[np.float64] | None

    def corners(self) -> NDArray[np.float64]:
        """Return the eight outer voxel centres in mm, as (8, 3)."""
        assert self.affine is not None
        size = self.values.shape[:3]
        indices = np.array([[(size[axis] - 1) * (corner >> axis & 1) for axis in range(3)] for corner in range(8)])
        return indices @ self.affine[:3, :3].T + self.affine[:3, 3]


@dataclass
class Row:
    """What became of one series."""

    series: str
    modality: str
    description: str
    files: int
    verdict: str = ""
    here: str = ""
    dcm2niix: str = ""
    largest_corner_mm: float | None = None
    sitk: str = ""
    reason: str = ""
    groups: list[str] = field(default_factory=list)


def canonical(values: NDArray[Any], affine: NDArray[np.float64] | None) -> Grid:
    """Turn an image (x, y, z) so that its axes run as nearly as possible to the right, anterior and superior."""
    if affine is None:
        return Grid(values, None)
    orientation = nibabel.orientations.io_orientation(affine)
    turned = nibabel.orientations.apply_orientation(values, orientation)
    back = nibabel.orientations.inv_ornt_aff(orientation, values.shape[:3])
    return Grid(np.asarray(turned), affine @ back)


def grids_here(volume: Volume) -> Iterator[Grid]:
    """Split a volume of this library into its 3D images."""
    steps = volume.array if volume.array.ndim - int(volume.is_colour) == 4 else volume.array[None]
    for step in steps:
        axes = (2, 1, 0, 3) if volume.is_colour else (2, 1, 0)
        yield canonical(step.transpose(axes), volume.affine_ras)


def grids_there(path: Path) -> Iterator[Grid]:
    """Split a NIfTI file into its 3D images."""
    image = nibabel.load(path)
    values = np.asanyarray(image.dataobj)
    if values.dtype.names:
        values = np.stack([values[name] for name in values.dtype.names], axis=-1)
        yield canonical(values, image.affine)
        return
    values = values.reshape((*values.shape[:3], -1)) if values.ndim > 2 else values[:, :, None, None]
    for step in range(values.shape[3]):
        yield canonical(values[..., step], image.affine)


def distance(one: Grid, other: Grid) -> float | None:
    """Return the largest distance of corresponding corners in mm, 0 without geometry; None if the values differ."""
    if one.values.shape != other.values.shape:
        return None
    if one.affine is None:
        # Where there is no geometry, dcm2niix makes one up.
        flips = (one.values, one.values[:, ::-1], one.values[::-1], one.values[::-1, ::-1])
        return 0.0 if any(same_values(values, other.values) for values in flips) else None
    if not same_values(one.values, other.values):
        return None
    assert other.affine is not None
    return float(np.abs(one.corners() - other.corners()).max())


def same_values(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Compare values to a small part of their range, NaN equal to NaN."""
    if one.shape != other.shape:
        return False
    first, second = one.astype(np.float64), other.astype(np.float64)
    extent = float(np.nanmax(np.abs(second))) if second.size else 0.0
    return bool(np.allclose(first, second, rtol=0, atol=VALUE_TOLERANCE * max(extent, 1e-12), equal_nan=True))


def converted(folder: Path, target: Path, precise: str = "n") -> tuple[list[Path], list[Path], str]:
    """Convert a folder; return the main files, the secondary ones and what the program said last."""
    target.mkdir()
    command = [str(PROGRAM), "-z", "n", "-b", "n", "-p", precise, "-f", "out", "-w", "2"]
    try:
        ended = subprocess.run(
            [*command, "-o", str(target), str(folder)], capture_output=True, timeout=DCM2NIIX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return [], [], "dcm2niix did not end"
    said = ended.stdout.decode("utf-8", "replace").strip().splitlines()
    paths = sorted(target.glob("*.nii"))
    secondary = [path for path in paths if SECONDARY.search(path.stem)]
    main = [path for path in paths if path not in secondary]
    return (main or secondary), (secondary if main else []), said[-1] if said else ""


def with_simpleitk(folder: Path, volume: Volume) -> str:
    """Read the folder as SimpleITK's users do, and compare."""
    try:
        names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
        if not names:
            return "reads nothing"
        image = SimpleITK.ReadImage(names if len(names) > 1 else names[0])
    except RuntimeError:
        return "fails"
    affine = np.eye(4)
    dimension = image.GetDimension()
    if dimension == 3:
        matrix = np.array(image.GetDirection()).reshape(3, 3)
        affine[:3, :3] = matrix * np.array(image.GetSpacing())
        affine[:3, 3] = image.GetOrigin()
    lps_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    values = SimpleITK.GetArrayFromImage(image)
    values = values[None] if dimension == 2 else values
    axes = (2, 1, 0, 3) if image.GetNumberOfComponentsPerPixel() > 1 else (2, 1, 0)
    if values.ndim != len(axes):
        return "reads another dimension"
    theirs = canonical(values.transpose(axes), lps_to_ras @ affine)
    deviations = [distance(grid, theirs) for grid in grids_here(volume)]
    if len(deviations) != 1 or deviations[0] is None:
        return "differs in values or shape"
    return "equal" if deviations[0] <= CORNER_TOLERANCE_MM else f"differs by {deviations[0]:.3g} mm"


def shapes(grids: Sequence[Grid]) -> str:
    """Describe shapes with how often each occurs."""
    words = ["x".join(str(number) for number in grid.values.shape) for grid in grids]
    counts = {word: words.count(word) for word in words}
    return ", ".join(f"{count} of {word}" if count > 1 else word for word, count in counts.items())


def read_here(series: Session) -> tuple[str, list[Volume], list[str], str]:
    """Read a series; return how it was read, its volumes, their labels and the reason of a refusal."""
    try:
        return "right", [series.get_volume()], [], ""
    except NoPixelDataError as error:
        return "no image", [], [], str(error)
    except OrthancError as error:
        reason = str(error)
    try:
        volumes = series.get_volumes()
        labels = list(volumes)
        return "split", [volumes[label] for label in labels], labels, reason
    except OrthancError as error:
        return "refused", [], [], f"{reason} / get_volumes: {error}" if str(error) != reason else reason


def check(series: Session, folder: Path) -> Row:
    """Compare one series, whose files are copied into `folder`."""
    files = folder / "files"
    files.mkdir()
    paths = [path.rename(files / f"{number}.dcm") for number, path in enumerate(series.download(folder / "tree"))]
    row = Row(
        series.get_dicom_tag("SeriesInstanceUID")[0],
        " ".join(map(str, series.get_dicom_tag("Modality"))),
        " ".join(map(str, series.get_dicom_tag("SeriesDescription"))),
        len(paths),
    )
    row.verdict, volumes, row.groups, reason = read_here(series)
    here = [grid for volume in volumes for grid in grids_here(volume)]
    read = row.verdict
    # dcm2niix scales the images of Philips in one of two ways, of which each is right for some modality.
    for precise in ("n", "y"):
        row.verdict, row.reason = read, reason
        main, secondary, said = converted(files, folder / f"nifti-{precise}", precise)
        there = [grid for path in main for grid in grids_there(path)]
        others = [grid for path in secondary for grid in grids_there(path)]
        row.here, row.dcm2niix = shapes(here), shapes(there) or said
        if here:
            compare(row, here, there, others)
        if row.verdict != "differs":
            break
    if len(volumes) == 1:
        row.sitk = with_simpleitk(files, volumes[0])
    return row


def compare(row: Row, here: Sequence[Grid], there: Sequence[Grid], others: Sequence[Grid]) -> None:
    """Pair the 3D images of both programs, and correct the verdict where they cannot be paired."""
    if not there:
        row.verdict = "no reference"
        return
    left = list(range(len(there)))
    unpaired, worst = [], 0.0
    for number, grid in enumerate(here):
        pairs = [(found, which) for which in left if (found := distance(grid, there[which])) is not None]
        if pairs:
            deviation, which = min(pairs)
            left.remove(which)
            worst = max(worst, deviation)
        elif not any(distance(grid, other) is not None for other in others):
            unpaired.append(number)
    row.largest_corner_mm = round(worst, 6)
    complaints = []
    if unpaired:
        complaints.append(f"here without an equal in dcm2niix: {unpaired}{nearest(here[unpaired[0]], there)}")
    if left:
        complaints.append(f"dcm2niix without an equal here: {left}")
    if worst > CORNER_TOLERANCE_MM:
        complaints.append(f"equal values, corners {worst:.3g} mm apart")
    if complaints:
        row.verdict = "differs"
        row.reason = "; ".join([*complaints, *filter(None, [row.reason])])


def nearest(grid: Grid, there: Sequence[Grid]) -> str:
    """Say by how much the values of an image differ from those of the image that is most like it."""
    differences = []
    for other in there:
        if grid.values.shape == other.values.shape:
            turned = (other.values, other.values[::-1], other.values[:, ::-1], other.values[::-1, ::-1])
            own = grid.values.astype(np.float64)
            differences += [float(np.abs(own - each.astype(np.float64)).max()) for each in turned]
    return f" (values at most {min(differences):.4g} apart)" if differences else ""


@contextlib.contextmanager
def folders(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield the folders to look at: those named, and one for each zip inside them."""
    with tempfile.TemporaryDirectory(prefix="realdata-") as scratch:
        chosen = []
        for path in paths:
            archives = sorted(path.rglob("*.zip")) if path.is_dir() else [path]
            for number, archive in enumerate(archives):
                target = Path(scratch, f"{number}-{archive.stem}")
                with zipfile.ZipFile(archive) as content:
                    content.extractall(target)
                chosen.append(target)
            if path.is_dir():
                chosen.append(path)
        yield chosen


def rows(paths: Sequence[Path], progress: Callable[[Row], None] = lambda row: None) -> list[Row]:
    """Compare every series below the paths."""
    compared = []
    with folders(paths) as chosen:
        for path in chosen:
            archive_inside = path in paths and any(path.rglob("*.zip"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                session = Folder(path, cache=False)
                for series in session.series:
                    if archive_inside and from_archive(session, series):
                        continue
                    with tempfile.TemporaryDirectory(prefix="realdata-") as scratch:
                        compared.append(check(series, Path(scratch)))
                    progress(compared[-1])
    return compared


def from_archive(session: Folder, series: Session) -> bool:
    """Check whether a series lies in a zip, which is looked at as a folder of its own."""
    uids = set(series.get_dicom_tag("SOPInstanceUID"))
    files = session.files
    return bool(files[files.SOPInstanceUID.isin(uids) & files.member.notna() & (files.member != "")].shape[0])


def as_markdown(compared: Sequence[Row]) -> str:
    """Write the table."""
    lines = ["| verdict | modality | series | files | here | dcm2niix | mm | SimpleITK | reason |", "|" + "---|" * 9]
    for row in compared:
        millimetres = "" if row.largest_corner_mm is None else f"{row.largest_corner_mm:.2g}"
        name = row.description or row.series
        cells = [row.verdict, row.modality, name, str(row.files), row.here, row.dcm2niix, millimetres, row.sitk]
        reason = " ".join(row.reason.split())
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in [*cells, reason[:300]]) + " |")
    verdicts = [row.verdict for row in compared]
    counts = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in dict.fromkeys(sorted(verdicts)))
    return "\n".join([*lines, "", f"{len(compared)} series: {counts}."])


def main() -> int:
    """Compare what the command line names, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    arguments = parser.parse_args()
    show_progress(False)
    compared = rows(arguments.folders, lambda row: print(f"{row.verdict}: {row.description}", file=sys.stderr))
    print(as_markdown(compared))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in compared], indent=1), encoding="utf-8")
    return int(any(row.verdict == "differs" for row in compared))


if __name__ == "__main__":
    sys.exit(main())
