"""What users of dicomweb-client type: each example of its user guide, and what is typed here instead.

The names of the tests are those of the guide's headings and sentences, in its order.
"""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit
from requests.auth import HTTPBasicAuth

from simple_orthanc import DicomWeb, Folder, LocalOrthanc, OrthancError, TransportError
from simple_orthanc.dicomweb import Rendering, bulk_data_uris, text, to_dataset
from simple_orthanc.errors import AuthenticationError
from simple_orthanc.phantom import SOP_CLASSES, as_bytes, make_series
from tests.command_line import in_process
from tests.conftest import MakeServer
from tests.http_stand_in import Asked, StandIn, reply

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

STUDY, CT_SERIES, MR_SERIES = "1.2.826.1", "1.2.826.1.1", "1.2.826.1.2"
OTHER_STUDY = "1.2.826.2"
# Objects of several frames, compressed.
JPEG = (OTHER_STUDY, "1.2.826.2.1", "1.2.826.2.1.1")
JPEG_2000 = (OTHER_STUDY, "1.2.826.2.2", "1.2.826.2.2.1")


def two_frames(name: str, uids: tuple[str, str, str], **attributes: Any) -> Dataset:
    """Make an object with the compressed frame of one of pydicom's files in it twice."""
    header = pydicom.dcmread(str(get_testdata_file(name, download=False)))
    (frame,) = generate_frames(header.PixelData, number_of_frames=1)
    header.PixelData = encapsulate([frame, frame])
    header.NumberOfFrames = 2
    header.PatientID = "XYZ9"
    header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID = uids
    header.file_meta.MediaStorageSOPInstanceUID = uids[2]
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return header


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The files of the archive by SOPInstanceUID: a study of CT and MR, and one of compressed objects."""
    of_study = {"PatientID": "ABC123", "StudyInstanceUID": STUDY, "AccessionNumber": "123456"}
    datasets = [
        *make_series((3, 6, 5), seed=1, SeriesInstanceUID=CT_SERIES, SeriesDescription="T2 AXIAL", **of_study),
        *make_series((2, 6, 5), seed=2, modality="MR", SeriesInstanceUID=MR_SERIES, SeriesDescription="T1", **of_study),
        two_frames("SC_rgb_dcmtk_+eb+cr.dcm", JPEG, AccessionNumber="123457", Modality="OT"),
        two_frames("MR_small_jp2klossless.dcm", JPEG_2000, AccessionNumber="123457", SeriesDescription="T2 AX FS"),
    ]
    return {str(each.SOPInstanceUID): as_bytes(each) for each in datasets}


@pytest.fixture
def archive(empty_server: LocalOrthanc, files: dict[str, bytes]) -> Iterator[DicomWeb]:
    with DicomWeb(f"{empty_server.url}/dicom-web") as session:
        assert set(session.upload_file(list(files.values())).status) == {"stored"}
        yield session


@pytest.fixture
def ct_uids(files: dict[str, bytes]) -> tuple[str, str, str]:
    """The UIDs of a single CT image."""
    return STUDY, CT_SERIES, next(iter(files))


def read(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content))


# Interacting with a remote DICOMweb server


def test_connect_by_address(archive: DicomWeb, empty_server: LocalOrthanc) -> None:
    assert DicomWeb(f"{empty_server.url}/dicom-web").study_count == 2


def test_connect_where_the_services_have_prefixes(archive: DicomWeb, empty_server: LocalOrthanc) -> None:
    prefixes = dict.fromkeys(("qido_prefix", "wado_prefix", "stow_prefix"), "dicom-web")
    client = DicomWeb(empty_server.url, **prefixes)
    assert client.select(Modality="CT").get_array().shape == (3, 6, 5)
    assert client.upload_dataset(make_series((1, 4, 4), seed=9)).status.tolist() == ["stored"]


# Authentication and authorization


@pytest.fixture
def guarded(make_server: MakeServer) -> LocalOrthanc:
    return make_server({"RegisteredUsers": {"myusername": "mypassword"}})


@pytest.mark.parametrize("way", ["auth handler", "user and password", "session", "header"])
def test_log_in(guarded: LocalOrthanc, way: str) -> None:
    url = f"{guarded.url}/dicom-web"
    with pytest.raises(AuthenticationError):
        DicomWeb(url)
    session = requests.Session()
    session.auth = ("myusername", "mypassword")
    options: dict[str, dict[str, Any]] = {
        "auth handler": {"auth": HTTPBasicAuth("myusername", "mypassword")},
        "user and password": {"username": "myusername", "password": "mypassword"},
        # As one that cloud providers' libraries make.
        "session": {"http": session},
        "header": {"headers": {"Authorization": "Basic bXl1c2VybmFtZTpteXBhc3N3b3Jk"}},
    }
    client = DicomWeb(url, **options[way])
    assert client.upload_dataset(make_series((2, 4, 4), seed=1)).status.tolist() == ["stored"] * 2
    assert client.get_array().shape == (2, 4, 4)
    assert "mypassword" not in repr(client)


def test_log_in_with_a_bearer_token(make_server: MakeServer, tmp_path: Path) -> None:
    script = tmp_path / "bearer.lua"
    script.write_text(
        "function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)\n"
        "  return uri == '/system' or httpHeaders['authorization'] == 'Bearer mytoken'\n"
        "end\n"
    )
    server = make_server({"LuaScripts": [str(script)]})
    url = f"{server.url}/dicom-web"
    with pytest.raises(OrthancError):
        DicomWeb(url)
    tokens: list[dict[str, Any]] = [
        {"token": "mytoken"},
        {"token": lambda: "mytoken"},
        {"headers": {"Authorization": "Bearer mytoken"}},
    ]
    for options in tokens:
        client = DicomWeb(url, **options)
        client.upload_dataset(make_series((2, 4, 4), seed=1))
        assert client.refresh().get_array().shape == (2, 4, 4)
        assert "mytoken" not in repr(client)


def test_log_in_with_a_client_certificate(
    archive: DicomWeb, empty_server: LocalOrthanc, certificate: tuple[Path, Path]
) -> None:
    # Debian's Orthanc ends at the first TLS connection, so something that speaks TLS stands before it.
    def forward(asked: Asked, _: int) -> bytes:
        headers = {name: value for name, value in asked.headers.items() if name in ("accept", "content-type")}
        request = urllib.request.Request(
            empty_server.url + asked.path, data=asked.body or None, headers=headers, method=asked.method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return reply(answer.read(), answer.status, {"Content-Type": answer.headers["Content-Type"] or ""})
        except urllib.error.HTTPError as error:
            with error:
                return reply(error.read(), error.code)

    import ssl

    with StandIn(forward, certificate=certificate) as server:
        assert server._context is not None
        server._context.verify_mode = ssl.CERT_REQUIRED
        server._context.load_verify_locations(certificate[0])
        cert = (str(certificate[0]), str(certificate[1]))
        client = DicomWeb(f"{server.url}/dicom-web", verify=str(certificate[0]), cert=cert)
        assert client.select(Modality="CT").get_array().shape == (3, 6, 5)
        for lacking in ({"cert": cert}, {"verify": str(certificate[0])}):
            with pytest.raises(TransportError):
                DicomWeb(f"{server.url}/dicom-web", **lacking)  # type: ignore[arg-type]


# Accessing local DICOM Part10 files


def test_local_files(files: dict[str, bytes], tmp_path: Path) -> None:
    for uid, content in files.items():
        (tmp_path / uid).write_bytes(content)
    client = Folder(tmp_path)
    assert (client.study_count, client.series_count, client.instance_count) == (2, 4, 7)
    assert client.select(Modality="CT").get_array().shape == (3, 6, 5)


# STOW-RS


def test_store_a_single_dataset(empty_server: LocalOrthanc, files: dict[str, bytes], tmp_path: Path) -> None:
    client = DicomWeb(f"{empty_server.url}/dicom-web")
    filename = tmp_path / "file.dcm"
    content = next(iter(files.values()))
    filename.write_bytes(content)
    dataset = pydicom.dcmread(filename)
    assert client.upload_dataset(dataset).status.tolist() == ["stored"]
    assert [result.status for result in client.rest.store(dataset)] == ["stored"]
    assert client.get_instances()[0] == read(content)


# QIDO-RS: studies


def studies_of(items: Any) -> list[str]:
    return [text(item, "StudyInstanceUID") for item in items]


def test_search_for_all_studies(archive: DicomWeb) -> None:
    assert sorted(studies_of(archive.rest.search_studies())) == [STUDY, OTHER_STUDY]
    assert archive.StudyInstanceUIDs == [STUDY, OTHER_STUDY]
    assert archive.table(level="study").StudyInstanceUID.tolist() == [STUDY, OTHER_STUDY]


@pytest.mark.parametrize("name", ["PatientID", "00100020"])
def test_search_for_studies_by_patient_by_keyword_or_number(archive: DicomWeb, name: str) -> None:
    assert studies_of(archive.rest.search_studies({name: "ABC123"})) == [STUDY]
    assert archive.select(**{name: "ABC123"}).StudyInstanceUIDs == [STUDY]


def test_search_for_a_limited_number_of_studies(archive: DicomWeb) -> None:
    assert len(list(archive.rest.search_studies(limit=1))) == 1
    assert len(list(archive.rest.search_studies(limit=100))) == 2
    assert len(archive.table(level="study").head(1)) == 1


def test_search_for_studies_piece_by_piece(archive: DicomWeb) -> None:
    # As in the guide; here a search goes on by itself until all have come.
    found: list[str] = []
    while subset := studies_of(archive.rest.search_studies(offset=len(found), limit=1)):
        found.extend(subset)
    assert sorted(found) == sorted(studies_of(archive.rest.search_studies(page=1))) == [STUDY, OTHER_STUDY]


# QIDO-RS: series


def series_of(items: Any) -> list[str]:
    return sorted(text(item, "SeriesInstanceUID") for item in items)


def test_search_for_all_series(archive: DicomWeb) -> None:
    everything = [CT_SERIES, MR_SERIES, JPEG[1], JPEG_2000[1]]
    assert series_of(archive.rest.search_series()) == everything
    assert sorted(archive.SeriesInstanceUIDs) == everything


def test_search_for_series_of_a_study(archive: DicomWeb) -> None:
    assert series_of(archive.rest.search_series(STUDY)) == [CT_SERIES, MR_SERIES]
    assert sorted(archive.select(STUDY).SeriesInstanceUIDs) == [CT_SERIES, MR_SERIES]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"AccessionNumber": "123456"}, [CT_SERIES, MR_SERIES]),
        ({"AccessionNumber": "12345?"}, [CT_SERIES, MR_SERIES, JPEG[1], JPEG_2000[1]]),
        ({"SeriesDescription": "T2 AXIAL"}, [CT_SERIES]),
        ({"SeriesDescription": "T2 AX*"}, [CT_SERIES, JPEG_2000[1]]),
        ({"Modality": "CT"}, [CT_SERIES]),
    ],
    ids=["accession number", "accession number with ?", "description", "description with *", "modality"],
)
def test_search_for_series_by(archive: DicomWeb, filters: dict[str, str], found: list[str]) -> None:
    assert series_of(archive.rest.search_series(filters=filters)) == found
    assert sorted(archive.select(**filters).SeriesInstanceUIDs) == found


# QIDO-RS: instances


def instances_of(items: Any) -> list[str]:
    return sorted(text(item, "SOPInstanceUID") for item in items)


def test_search_for_all_instances(archive: DicomWeb, files: dict[str, bytes]) -> None:
    assert instances_of(archive.rest.search_instances()) == sorted(files)
    assert sorted(archive.SOPInstanceUIDs) == sorted(files)


def test_search_for_instances_of_a_series(archive: DicomWeb, files: dict[str, bytes]) -> None:
    wanted = sorted(list(files)[:3])
    assert instances_of(archive.rest.search_instances(STUDY, CT_SERIES)) == wanted
    assert sorted(archive.select(STUDY).select(CT_SERIES).SOPInstanceUIDs) == wanted


def test_search_for_instances_by_sop_class(archive: DicomWeb, files: dict[str, bytes]) -> None:
    wanted = sorted(list(files)[:3])
    assert instances_of(archive.rest.search_instances(filters={"SOPClassUID": SOP_CLASSES["CT"]})) == wanted
    assert sorted(archive.select(SOPClassUID=SOP_CLASSES["CT"]).SOPInstanceUIDs) == wanted


# WADO-RS: files


def test_retrieve_a_study(archive: DicomWeb, files: dict[str, bytes]) -> None:
    wanted = sorted(list(files.values())[:5])
    assert sorted(archive.rest.retrieve_study(STUDY)) == wanted
    assert len(archive.select(STUDY).get_instances()) == 5


def test_retrieve_a_series(archive: DicomWeb, files: dict[str, bytes]) -> None:
    wanted = list(files.values())[:3]
    assert sorted(archive.rest.retrieve_series(STUDY, CT_SERIES)) == sorted(wanted)
    assert archive.select(CT_SERIES).get_instances() == [read(content) for content in wanted]


def test_retrieve_a_series_in_a_transfer_syntax(archive: DicomWeb, files: dict[str, bytes]) -> None:
    found = list(archive.rest.retrieve_series(*JPEG_2000[:2], transfer_syntaxes=[JPEG2000Lossless]))
    assert found == [files[JPEG_2000[2]]]


def test_retrieve_the_bulk_data_of_a_series_in_a_transfer_syntax(archive: DicomWeb, files: dict[str, bytes]) -> None:
    stored = list(generate_frames(read(files[JPEG_2000[2]]).PixelData, number_of_frames=2))
    for item in archive.rest.search_instances(*JPEG_2000[:2]):
        uids = (*JPEG_2000[:2], text(item, "SOPInstanceUID"))
        how: dict[str, Any] = {"media_types": ["image/jp2"], "transfer_syntaxes": [JPEG2000Lossless]}
        frames = list(archive.rest.retrieve_frames(*uids, [1, 2], **how))
        assert [frame.content for frame in frames] == stored
        assert {(frame.media_type, frame.transfer_syntax) for frame in frames} == {("image/jp2", JPEG2000Lossless)}


def test_retrieve_an_instance(archive: DicomWeb, files: dict[str, bytes], ct_uids: tuple[str, str, str]) -> None:
    assert archive.rest.retrieve_instance(*ct_uids) == files[ct_uids[2]]
    plain = archive.rest.retrieve_instance(*ct_uids, transfer_syntaxes=[ExplicitVRLittleEndian])
    assert read(plain).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert read(plain).PixelData == read(files[ct_uids[2]]).PixelData
    assert archive.select(ct_uids[2]).get_instances() == [read(files[ct_uids[2]])]


def test_retrieve_an_instance_in_a_transfer_syntax(archive: DicomWeb, files: dict[str, bytes]) -> None:
    assert archive.rest.retrieve_instance(*JPEG_2000, transfer_syntaxes=[JPEG2000Lossless]) == files[JPEG_2000[2]]


# WADO-RS: metadata


def test_retrieve_metadata(archive: DicomWeb, files: dict[str, bytes], ct_uids: tuple[str, str, str]) -> None:
    rest = archive.rest
    assert instances_of(rest.retrieve_study_metadata(STUDY)) == sorted(list(files)[:5])
    assert instances_of(rest.retrieve_series_metadata(STUDY, CT_SERIES)) == sorted(list(files)[:3])
    assert text(rest.retrieve_instance_metadata(*ct_uids), "SOPInstanceUID") == ct_uids[2]
    assert [header.SOPInstanceUID for header in archive.select(CT_SERIES).get_headers()] == list(files)[:3]


# WADO-RS: frames


def test_retrieve_frames(archive: DicomWeb, files: dict[str, bytes], ct_uids: tuple[str, str, str]) -> None:
    (frame,) = archive.rest.retrieve_frames(*ct_uids, [1])
    assert frame.content == read(files[ct_uids[2]]).PixelData
    stored = list(generate_frames(read(files[JPEG[2]]).PixelData, number_of_frames=2))
    assert [frame.content for frame in archive.rest.retrieve_frames(*JPEG, [1, 2])] == stored


# Debian's Orthancs end when GDCM is to compress, so that all that is asked for is how the frames are stored. A media
# type alone would mean the lossless form of it (PS3.18, table 8.7.3-4).
MEDIA_TYPES: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "JPEG": ({"media_types": ["image/jpeg"], "transfer_syntaxes": [JPEGBaseline8Bit]}, JPEG),
    "any format": ({"transfer_syntaxes": ["*"]}, JPEG_2000),
    "JPEG 2000 or JPEG-LS": ({"media_types": ["image/jp2", "image/jls"]}, JPEG_2000),
    "JPEG, JPEG 2000 or JPEG-LS in transfer syntaxes": (
        {"media_types": ["image/jp2", "image/jpeg", "image/jls"], "transfer_syntaxes": [JPEG2000Lossless]},
        JPEG_2000,
    ),
}


@pytest.mark.parametrize("asked", MEDIA_TYPES)
def test_retrieve_frames_as(archive: DicomWeb, files: dict[str, bytes], asked: str) -> None:
    options, uids = MEDIA_TYPES[asked]
    header = read(files[uids[2]])
    frames = list(archive.rest.retrieve_frames(*uids, [1, 2], **options))
    assert [frame.number for frame in frames] == [1, 2]
    stored = list(generate_frames(header.PixelData, number_of_frames=2))
    assert [frame.content for frame in frames] == stored
    assert {frame.transfer_syntax for frame in frames} == {header.file_meta.TransferSyntaxUID}


# WADO-RS: bulk data


def test_retrieve_bulk_data_by_address(
    archive: DicomWeb, files: dict[str, bytes], ct_uids: tuple[str, str, str]
) -> None:
    address = bulk_data_uris(archive.rest.retrieve_instance_metadata(*ct_uids))["7FE00010"]
    assert archive.rest.retrieve_bulkdata(address) == read(files[ct_uids[2]]).PixelData


# WADO-RS: rendered


def test_retrieve_an_instance_rendered_as_png(archive: DicomWeb, ct_uids: tuple[str, str, str]) -> None:
    (picture,) = archive.rest.retrieve_instance_rendered(*ct_uids, Rendering("image/png"))
    assert np.asarray(Image.open(io.BytesIO(picture.content))).shape[:2] == (6, 5)


def test_retrieve_a_frame_rendered_as_jpeg_of_high_quality(archive: DicomWeb) -> None:
    how = Rendering("image/jpeg", quality=95, icc_profile="yes")
    (picture,) = archive.rest.retrieve_frames_rendered(*JPEG, [1], how)
    assert picture.media_type == "image/jpeg"
    # As in the guide.
    image = Image.open(io.BytesIO(picture.content))
    array = np.array(image)
    assert array.shape == (100, 100, 3)


# Loading JSON


def test_load_metadata_as_datasets(archive: DicomWeb, files: dict[str, bytes]) -> None:
    datasets = [to_dataset(item) for item in archive.rest.retrieve_study_metadata(STUDY)]
    for dataset in datasets:
        header = read(files[dataset.SOPInstanceUID])
        for keyword in ("PatientName", "SeriesDescription", "Rows", "ImagePositionPatient", "SliceThickness"):
            assert dataset.get(keyword) == header.get(keyword), keyword


# Command line


def run(archive: DicomWeb, *arguments: str | Path, **options: Any) -> str:
    ended = in_process("--dicomweb", archive._source.description, *arguments, **options)
    assert ended.status == 0, ended.err
    return ended.out


def test_command_line_searches_for_studies(archive: DicomWeb) -> None:
    rows = json.loads(run(archive, "find", "studies", "--format", "json"))
    assert [row["StudyInstanceUID"] for row in rows] == [STUDY, OTHER_STUDY]


def test_command_line_retrieves_metadata_of_a_study(archive: DicomWeb, files: dict[str, bytes]) -> None:
    items = json.loads(run(archive, "tags", STUDY, "--all", "--format", "json"))
    assert instances_of(items) == sorted(list(files)[:5])


def test_command_line_shows_metadata_to_people(archive: DicomWeb) -> None:
    shown = run(archive, "tags", STUDY, "--all")
    assert shown.count("SeriesDescription") == 5
    assert "T2 AXIAL" in shown


def test_command_line_retrieves_the_files_of_a_study(
    archive: DicomWeb, files: dict[str, bytes], tmp_path: Path
) -> None:
    run(archive, "download", tmp_path / "out", STUDY)
    found = {path.stem: path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")}
    assert found == dict(list(files.items())[:5])


def test_command_line_retrieves_a_frame_as_jpeg(archive: DicomWeb, files: dict[str, bytes], tmp_path: Path) -> None:
    media_type = ("--media-type", "image/jpeg", "--transfer-syntax", JPEGBaseline8Bit)
    run(archive, "frames", tmp_path / "out", JPEG[2], "--numbers", "1", *media_type)
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == f"{JPEG[2]}-0001.jpg"
    assert path.read_bytes() == next(generate_frames(read(files[JPEG[2]]).PixelData, number_of_frames=2))


def test_command_line_stores_files_with_a_token(
    empty_server: LocalOrthanc, files: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "dicomfiles").mkdir()
    for uid, content in files.items():
        (tmp_path / "dicomfiles" / uid).write_bytes(content)
    token = tmp_path / "token"
    token.write_text("a-token-of-a-cloud")
    token.chmod(0o600)
    paths = sorted((tmp_path / "dicomfiles").iterdir())
    url = f"{empty_server.url}/dicom-web"
    ended = in_process("--dicomweb", url, "--token-file", token, "upload", *paths, "--format", "csv")
    assert ended.status == 0, ended.err
    assert ended.out.count(",stored,") == len(files)
    assert "a-token-of-a-cloud" not in ended.out + ended.err
    assert DicomWeb(url).instance_count == len(files)
