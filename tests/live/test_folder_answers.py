"""A folder takes and refuses files as real servers do, and reads odd and random ones as they do.

Whole archives are compared in `test_parity`.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pydicom.data
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from simple_orthanc import Folder, LocalOrthanc, Orthanc
from simple_orthanc.errors import ServerError
from tests.conftest import empty
from tests.examples import examples
from tests.live.archives import archives, header_of, simple_file, store
from tests.live.parity import (
    assert_same_tables,
)
from tests.live.test_queries import asked, assert_selected

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

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
        warnings.filterwarnings("ignore", message=".*should be DICOM and (is|are) not used")
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
def test_odd_bytes_are_the_same_strings(orthanc: Orthanc, tmp_path: Path, character_set: str, content: bytes) -> None:
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


@given(data=st.data())
@settings(max_examples=examples(5, thorough=150), phases=PHASES)
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
