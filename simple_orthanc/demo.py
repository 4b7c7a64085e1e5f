"""A tour in one program: ``simple-orthanc demo``, or ``python -m simple_orthanc.demo``.

It starts an Orthanc server, uploads the example archive of synthetic patients, narrows it to one series, and reads that
as a volume. Without an Orthanc program, the same files are read from a folder. Nothing else on this machine is changed;
the results are ``volume.png`` and ``volume.nii.gz`` in the folder ``demo``.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import OrthancError, TransportError
from simple_orthanc.files.paths import make_folders
from simple_orthanc.local.server import LocalOrthanc
from simple_orthanc.sources.folder.example import example_folder

if TYPE_CHECKING:
    from simple_orthanc.session import Orthanc, Session
    from simple_orthanc.volume.volume import Volume

HEADINGS = ("PatientID", "PatientName", "StudyDate", "Modality", "SeriesDescription", "instance_count")
WIDTH = 120


@contextmanager
def archive() -> Iterator[Session]:
    """Open a session on the example archive: on a server, or else in a folder."""
    server = LocalOrthanc()
    try:
        server.start()
    except TransportError:
        # There is a program, but it does not run, which the user needs to know.
        raise
    except OrthancError as error:
        print(f"Without a server, the same files are read from a folder. {error}")
        # Imported by name, so that it is not loaded where there is a server.
        library: Any = importlib.import_module("simple_orthanc")
        with library.Folder.example() as session:
            yield session
        return
    with server, server.connect() as session:
        print(f"Started Orthanc {server.version} at {server.url}")
        upload(session)
        session.refresh()
        yield session


def upload(orthanc: Orthanc) -> None:
    """Upload the example archive, and print the outcome."""
    print("Uploading an archive of six synthetic patients:")
    counts = Counter(orthanc.upload_folder(example_folder(), recursive=True)["status"])
    print("  " + ", ".join(f"{count} {status}" for status, count in counts.most_common()))


def show(orthanc: Session) -> Volume:
    """Print the archive, the selection and its volume, and return the volume."""
    import pandas as pd

    print(f"\n>>> orthanc.table{HEADINGS}")
    with pd.option_context("display.width", WIDTH, "display.max_columns", None):
        print(orthanc.table(*HEADINGS).to_string(index=False))
    print("\n>>> array = orthanc.select(PatientID='EX-002', Modality='CT').get_array()")
    array = orthanc.select(PatientID="EX-002", Modality="CT").get_array()
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
        print(f'\nWritten: {image}. For a picture of it too: pip install "simple-orthanc[plot]"')
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
