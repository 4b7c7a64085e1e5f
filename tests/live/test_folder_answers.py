"""The same files through real servers and through a folder: the same answers, to the bit."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from simple_orthanc import Folder, LocalOrthanc, Orthanc, phantom
from simple_orthanc.errors import ServerError
from tests.conftest import empty
from tests.examples import examples
from tests.live.archives import archives, header_of, simple_file, store
from tests.live.parity import (
    about,
    about_anything,
    assert_same,
    assert_same_files,
    assert_same_tables,
    assert_same_volumes,
    select,
)
from tests.live.test_queries import asked, assert_selected

PACKAGE = Path(pydicom.data.__file__).parent
# What real servers make of these is not what the files say, so the folder differs on purpose.
ODD = {
    # In another transfer syntax than it names; pydicom reads it, and Orthanc refuses it.
    "SC_rgb_jpeg.dcm",
    # All identifiers are of VR UN, and Orthanc does not take their bytes for text.
    *("rtdose_rle.dcm", "rtdose_rle_1frame.dcm"),
}
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


def opened(path: Path) -> Folder:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*should be DICOM and are not used")
        return Folder(path, cache=False)


def stored(orthanc: Orthanc, folder: Folder) -> None:
    """Store what is in the archive of a folder, in the order of paths, as the folder is read."""
    for path in folder.files.query("status == 'indexed'").path:
        orthanc.rest.post("/instances", Path(path).read_bytes())
    orthanc.refresh()


@pytest.fixture(scope="module")
def pydicoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pydicom ships, without those that are odd."""
    top = tmp_path_factory.mktemp("pydicom")
    return Path(shutil.copytree(PACKAGE, top / "data", ignore=lambda _, names: ODD.intersection(names)))


@pytest.fixture(scope="module")
def synthetics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Series of several kinds, in files of which neither names nor order say anything of the slices."""
    oblique = [0.8, 0.6, 0, 0, 0, -1]
    series = {
        "ct": phantom.ct_phantom((12, 32, 32)),
        "oblique": phantom.make_series((5, 8, 6), spacing=(3, 0.5, 0.7), orientation=oblique, modality="MR", seed=2),
        "pet": phantom.make_series((4, 8, 8), modality="PT", slope=[0.5, 0.7, 1.1, 0.3], seed=3, Units="BQML"),
        "uneven": phantom.make_series((3, 4, 4), seed=4, ImagePositionPatient=[(0, 0, 0), (0, 0, 1), (0, 0, 5)]),
        "enhanced": [phantom.make_enhanced((6, 8, 8), seed=5)],
        "colour": phantom.make_series(array=np.arange(96, dtype="uint8").reshape(2, 4, 4, 3), modality="OT", seed=6),
    }
    top = tmp_path_factory.mktemp("synthetic")
    for name, images in series.items():
        (top / name).mkdir()
        for number, each in enumerate(images):
            (top / name / f"{number * 7 % len(images)}").write_bytes(phantom.as_bytes(each))
    return top


@pytest.fixture(params=["shared_data", "pydicoms", "synthetics"])
def both(orthanc: Orthanc, request: pytest.FixtureRequest) -> tuple[Orthanc, Folder]:
    folder = opened(request.getfixturevalue(request.param))
    stored(orthanc, folder)
    return orthanc, folder


@pytest.mark.parametrize(
    ("character_set", "content"),
    [
        ("ISO_IR 192", "SCHÄDEL\\B".encode()),
        ("ISO_IR 144", "голова\\B".encode("iso8859-5")),
        ("GBK", "头誠\\B".encode("gbk")),
        ("ISO_IR 100", b"AB\0CD\\E"),
        ("ISO_IR 100", b"\0AB"),
    ],
)
def test_odd_bytes_are_the_same_texts(orthanc: Orthanc, tmp_path: Path, character_set: str, content: bytes) -> None:
    content += b" " * (len(content) % 2)
    names = ["ScanningSequence", "ImageType", "SeriesDescription", "ImageComments", "Modality"]
    tags = dict.fromkeys(names, "Q" * len(content)) | {"SpecificCharacterSet": character_set}
    path = tmp_path / "odd.dcm"
    path.write_bytes(simple_file(1, **tags).replace(b"Q" * len(content), content))
    folder = opened(tmp_path)
    stored(orthanc, folder)
    expected = folder.table(*names, level="instance")
    assert_frame_equal(orthanc.table(*names, level="instance"), expected)
    # Searches of the plugin 1.7 are in Latin-1, and not every series is read for its Modality.
    of_files = names[:-1]
    assert_frame_equal(orthanc.dicomweb.table(*of_files, level="instance"), expected[of_files])


def test_every_file_is_taken_or_refused_as_the_server_does(orthanc: Orthanc, pydicoms: Path) -> None:
    folder = opened(pydicoms)
    said = {"Success": "indexed", "AlreadyStored": "known"}
    wrong = []
    for row in folder.files.query("status not in ['not DICOM', 'skipped']").itertuples():
        try:
            answer = said[orthanc.rest.post("/instances", Path(str(row.path)).read_bytes())["Status"]]
        except ServerError:
            answer = "refused"
        found = {"conflict": "known", "duplicate": "known", "incomplete": "refused", "unreadable": "refused"}
        if found.get(str(row.status), row.status) != answer:
            wrong.append((row.path, row.status, answer))
    assert not wrong, "\n".join(map(str, wrong))


def test_selections(both: tuple[Orthanc, Folder]) -> None:
    orthanc, folder = both
    for name, narrow in {**about_anything(), **about(orthanc)}.items():
        assert_same((orthanc, folder), name, narrow)


def test_the_servers_own_identifiers(both: tuple[Orthanc, Folder]) -> None:
    orthanc, folder = both
    for level in ("patients", "studies", "series", "instances"):
        for key in orthanc.rest.get(f"/{level}")[:5]:
            assert_same((orthanc, folder), key, select(key))


def test_tables(both: tuple[Orthanc, Folder]) -> None:
    assert_same_tables(both)


def test_volumes_and_headers(both: tuple[Orthanc, Folder]) -> None:
    assert assert_same_volumes(both) >= 5
    assert_same_files(both, range(0, both[0].instance_count, 7))


@given(data=st.data())
@settings(max_examples=examples(15), phases=PHASES)
def test_random_archives(server: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    server.start()
    empty(server)
    files = data.draw(archives())
    top = tmp_path_factory.mktemp("archive")
    for number, content in enumerate(files):
        (top / f"{number:03}").write_bytes(content)
    store(server, *files)
    headers = [header_of(content) for content in files]
    folder = opened(top)
    with server.connect() as orthanc:
        assert_same_tables((orthanc, folder))
        for _ in range(10):
            what, narrow, holds = data.draw(asked(headers))
            session = folder.copy()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Nothing is selected any more")
                narrow(session)  # type: ignore[arg-type]
            try:
                assert_selected(session, [header for header in headers if holds(header)])  # type: ignore[arg-type]
            except AssertionError as error:
                raise AssertionError(f"{what}: {error}") from error
