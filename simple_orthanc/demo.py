"""A tour in one program: ``simple-orthanc demo``, or ``python -m simple_orthanc.demo``.

It starts an Orthanc server, uploads a synthetic CT and the real DICOM files that pydicom ships, narrows the archive to
one series, and reads that as a volume. Without an Orthanc program, the same files are read from a folder. Nothing else
on this machine is changed; the results are ``volume.png`` and ``volume.nii.gz`` in the folder ``demo``.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.data import get_testdata_file

from simple_orthanc.errors import OrthancError, TransportError
from simple_orthanc.files.paths import make_folders
from simple_orthanc.local.server import LocalOrthanc
from simple_orthanc.phantom import as_bytes, ct_phantom

if TYPE_CHECKING:
    from simple_orthanc.session import Orthanc, Session
    from simple_orthanc.volume.volume import Volume

HEADINGS = ("PatientName", "StudyDate", "Modality", "SeriesDescription", "instance_count")
WIDTH = 120


def shipped_files() -> Path:
    """Return the folder of the DICOM files that pydicom itself contains, without downloading others."""
    return Path(str(get_testdata_file("CT_small.dcm", download=False))).parent


@contextmanager
def archive() -> Iterator[Session]:
    """Open a session on an archive of the phantom and pydicom's own files: a server, or else a folder."""
    server = LocalOrthanc()
    try:
        server.start()
    except TransportError:
        # There is a program, but it does not run, which the user needs to know.
        raise
    except OrthancError as error:
        print(f"Without a server, the same files are read from a folder. {error}")
        with tempfile.TemporaryDirectory(prefix="simple-orthanc-demo-") as folder, _folder(Path(folder)) as session:
            yield session
        return
    with server, server.connect() as session:
        print(f"Started Orthanc {server.version} at {server.url}")
        upload(session)
        session.refresh()
        yield session


@contextmanager
def _folder(folder: Path) -> Iterator[Session]:
    for number, dataset in enumerate(ct_phantom()):
        (folder / f"phantom-{number}.dcm").write_bytes(as_bytes(dataset))
    shutil.copytree(shipped_files(), folder / "shipped")
    # Imported by name, so that it is not loaded where there is a server.
    library: Any = importlib.import_module("simple_orthanc")
    print("Reading a synthetic CT and the DICOM files that pydicom ships:")
    with warnings.catch_warnings():
        # Some of pydicom's files are broken on purpose; the counts show that.
        warnings.simplefilter("ignore", UserWarning)
        opened = library.Folder(folder, cache=False)
    with opened as session:
        _print_counts(Counter(session.files["status"]))
        yield session


def upload(orthanc: Orthanc) -> None:
    """Upload the phantom and pydicom's own files, and print the outcome."""
    print("Uploading a synthetic CT and the DICOM files that pydicom ships:")
    tables = [orthanc.upload_dataset(ct_phantom()), orthanc.upload_folder(shipped_files(), recursive=True)]
    _print_counts(Counter(status for table in tables for status in table["status"]))


def _print_counts(counts: Counter[str]) -> None:
    print("  " + ", ".join(f"{count} {status}" for status, count in counts.most_common()))


def show(orthanc: Session) -> Volume:
    """Print the archive, the selection and its volume, and return the volume."""
    import pandas as pd

    print(f"\n{orthanc!r}\n\nThe first rows of orthanc.table{HEADINGS}:")
    with pd.option_context("display.width", WIDTH, "display.max_columns", None):
        print(orthanc.table(*HEADINGS).head(8).to_string(index=False))
    print("\n>>> array = orthanc.select(PatientName='Phantom^Water', SeriesDescription='ct_scan').get_array()")
    array = orthanc.select(PatientName="Phantom^Water", SeriesDescription="ct_scan").get_array()
    print(f"{array.dtype} {array.shape}, from {array.min()} to {array.max()}\n\n>>> orthanc\n{orthanc!r}")
    volume = orthanc.get_volume()
    print(f"\n>>> orthanc.get_volume()\n{volume!r}")
    return volume


def save(volume: Volume, folder: Path) -> None:
    """Write the NIfTI file and, if matplotlib is installed, the picture."""
    make_folders(folder)
    picture, image = folder / "volume.png", folder / "volume.nii.gz"
    volume.save(image)
    try:
        import matplotlib
    except ImportError:
        print(f"\nWritten: {image}. For a picture of it too: pip install matplotlib")
        return
    matplotlib.use("Agg")
    volume.plot().savefig(picture, dpi=120)
    print(f"\nWritten: {picture}, {image}")


def main(folder: Path | None = None) -> int:
    """Run the tour, and return the exit status: 0, or 1 with a message on the standard error stream.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where to write the two files; default: ``demo`` in the current folder.
    """
    began = time.monotonic()
    try:
        with archive() as session:
            volume = show(session)
        save(volume, folder or Path("demo"))
    except OrthancError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Done in {time.monotonic() - began:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
