"""Fixtures for pytest: an Orthanc server of one's own, one that needs no Orthanc, and a folder.

In a ``conftest.py`` at the root of the tests::

    pytest_plugins = ["simple_orthanc.testing.fixtures"]

In any test module, the fixtures can also be imported by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import OrthancError, TransportError
from simple_orthanc.local.server import LocalOrthanc
from simple_orthanc.phantom import as_bytes
from simple_orthanc.session import Orthanc
from simple_orthanc.session.folder import Folder
from simple_orthanc.testing.stand_in import OrthancStandIn


@pytest.fixture(scope="session")
def local_orthanc() -> Iterator[LocalOrthanc]:
    """Run an Orthanc server here for the whole run; tests that ask for it are skipped where none is installed.

    Tests share it, so it may hold anything.
    """
    server = LocalOrthanc()
    try:
        server.start()
    except TransportError:
        # There is a program, but it does not run.
        raise
    except OrthancError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def empty_orthanc(local_orthanc: LocalOrthanc) -> Iterator[Orthanc]:
    """Open a session on `local_orthanc`, after everything in it was deleted."""
    # A test may have ended it.
    with local_orthanc.start().connect() as session:
        if session.patient_count:
            session.delete_selected_patient(everything=True)
        yield session


@pytest.fixture
def orthanc_stand_in() -> Iterator[OrthancStandIn]:
    """Run an `OrthancStandIn` that holds nothing yet: it needs no Orthanc and starts in a millisecond."""
    with OrthancStandIn() as server:
        yield server


@pytest.fixture
def dicom_folder(tmp_path: Path) -> Callable[[Iterable[Dataset]], Folder]:
    """Return a function that writes datasets to a temporary folder, and returns a session on that folder.

    ``dicom_folder(make_series()).get_array()``. Each call adds to the same folder.
    """
    folder = tmp_path / "dicom"

    def opened(datasets: Iterable[Dataset]) -> Folder:
        folder.mkdir(exist_ok=True)
        start = len(list(folder.iterdir()))
        for number, dataset in enumerate(datasets, start):
            (folder / f"{number:06d}.dcm").write_bytes(as_bytes(dataset))
        return Folder(folder, cache=False)

    return opened
