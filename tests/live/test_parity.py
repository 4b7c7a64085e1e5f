"""One archive through Orthanc, through DICOMweb on it and as a folder: the same answers, to the bit.

The archives are the files that pydicom ships, the traps of volume reading, synthetic series, the real series beside the
project, and random ones. Left out of them, by name, is what one of the three cannot say:

- the trap `UNDER_TWO_PATIENTS`, and UIDs under several patients in random archives: DICOMweb names a study, series or
  instance by its UID alone;
- of pydicom's files those in `test_folder_answers.ODD`: what real servers make of them is not what the files say;
- labels and metadata of the server, which neither DICOMweb nor files have.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian

from simple_orthanc import DicomWeb, Folder, LocalOrthanc, Orthanc, phantom
from tests.conftest import empty, servers_of
from tests.examples import examples
from tests.live.archives import archives, store
from tests.live.parity import (
    about,
    about_anything,
    assert_same,
    assert_same_descriptions,
    assert_same_files,
    assert_same_tables,
    assert_same_volumes,
    select,
)
from tests.live.test_dicomweb import over_dicomweb
from tests.live.test_folder_answers import ODD, PACKAGE, PHASES, opened, stored
from tests.live.traps import TRAPS

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

UNDER_TWO_PATIENTS = "one SeriesInstanceUID under two patients"
ROOT = b"1.2.826.0.1.3680043.8.498."


def pydicoms(top: Path) -> Path:
    """Copy the files that pydicom ships, without those that are odd."""
    return Path(shutil.copytree(PACKAGE, top / "pydicom", ignore=lambda _, names: ODD.intersection(names)))


def trap_files(top: Path) -> Path:
    """Write each trap with UIDs of its own: as they are, all are of one study."""
    for number, trap in enumerate(TRAPS):
        if trap.name == UNDER_TWO_PATIENTS:
            continue
        for place, content in enumerate(trap.case.files):
            # In a deflated file the UIDs cannot be seen; there is one.
            if DeflatedExplicitVRLittleEndian.encode() not in content[:1000]:
                content = content.replace(ROOT, ROOT[:-4] + b"%03d." % (500 + number))
            (top / f"{number:02}-{place:03}.dcm").write_bytes(content)
    return top


def synthetic_files(top: Path) -> Path:
    """Write series of several kinds; neither the names nor the order of the files tell anything about the slices."""
    oblique = [0.8, 0.6, 0, 0, 0, -1]
    series = {
        "ct": phantom.ct_phantom((12, 32, 32)),
        "oblique": phantom.make_series((5, 8, 6), spacing=(3, 0.5, 0.7), orientation=oblique, modality="MR", seed=2),
        "pet": phantom.make_series((4, 8, 8), modality="PT", slope=[0.5, 0.7, 1.1, 0.3], seed=3, Units="BQML"),
        "uneven": phantom.make_series((3, 4, 4), seed=4, ImagePositionPatient=[(0, 0, 0), (0, 0, 1), (0, 0, 5)]),
        "enhanced": [phantom.make_enhanced((6, 8, 8), seed=5)],
        "colour": phantom.make_series(array=np.arange(96, dtype="uint8").reshape(2, 4, 4, 3), modality="OT", seed=6),
    }
    for name, images in series.items():
        (top / name).mkdir()
        for number, each in enumerate(images):
            (top / name / f"{number * 7 % len(images)}").write_bytes(phantom.as_bytes(each))
    return top


ARCHIVES = {"pydicom": pydicoms, "traps": trap_files, "synthetic": synthetic_files}


ON_EACH_VERSION = pytest.mark.parametrize("three", ["pydicom", "synthetic", "shared"], indirect=True)


@pytest.fixture(scope="module")
def three(
    server: LocalOrthanc, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Orthanc, DicomWeb, Folder]]:
    """The sessions on one archive, which no test changes."""
    if request.param == "shared":
        top = request.getfixturevalue("shared_data")
    else:
        top = ARCHIVES[request.param](tmp_path_factory.mktemp("archive"))
    folder = opened(top)
    with ExitStack() as stack:
        own = stack.enter_context(servers_of(request.config).make(f"orthanc-{server.version}", {}))
        orthanc = stack.enter_context(own.connect())
        stored(orthanc, folder)
        yield orthanc, stack.enter_context(over_dicomweb(own)), folder


@ON_EACH_VERSION
def test_selections(three: tuple[Orthanc, DicomWeb, Folder]) -> None:
    selections = {**about_anything(), **about(three[0])}
    assert len(selections) > 50
    for name, narrow in selections.items():
        assert_same(three, name, narrow)


@ON_EACH_VERSION
def test_orthancs_own_identifiers(three: tuple[Orthanc, DicomWeb, Folder]) -> None:
    orthanc, _, folder = three
    for level in ("patients", "studies", "series", "instances"):
        for key in orthanc.rest.get(f"/{level}")[:5]:
            assert_same((orthanc, folder), key, select(key))


@ON_EACH_VERSION
def test_tables_and_lists(three: tuple[Orthanc, DicomWeb, Folder]) -> None:
    assert_same_tables(three)
    assert_same_descriptions(three)


@ON_EACH_VERSION
def test_volumes(three: tuple[Orthanc, DicomWeb, Folder], request: pytest.FixtureRequest) -> None:
    assert assert_same_volumes(three) >= (5 if request.node.callspec.params["three"] == "synthetic" else 11)


@ON_EACH_VERSION
def test_headers(three: tuple[Orthanc, DicomWeb, Folder]) -> None:
    assert_same_files(three, range(0, three[0].instance_count, 5))


@pytest.mark.one_version
@pytest.mark.parametrize("three", ["traps"], indirect=True)
def test_traps(three: tuple[Orthanc, DicomWeb, Folder]) -> None:
    # What the readers make of them does not depend on the version, and takes long.
    assert_same_tables(three)
    assert assert_same_volumes(three) >= 11
    assert_same_files(three, range(0, three[0].instance_count, 5))


@given(data=st.data())
@settings(max_examples=examples(4, thorough=80), phases=PHASES)
def test_random_archives(server: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    server.start()
    empty(server)
    files = data.draw(archives(shared_uids=False))
    top = tmp_path_factory.mktemp("archive")
    for number, content in enumerate(files):
        (top / f"{number:03}").write_bytes(content)
    store(server, *files)
    selections = data.draw(st.lists(st.sampled_from(sorted(about_anything())), min_size=12, max_size=12, unique=True))
    with server.connect() as orthanc, over_dicomweb(server) as dicomweb:
        three = (orthanc, dicomweb, opened(top))
        assert_same_tables(three)
        for name in selections:
            assert_same(three, name, about_anything()[name])
