"""Through DICOMweb a server gives the same answers as through Orthanc's REST API, and as its files."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.data import get_charset_files

from simple_orthanc import (
    AuthenticationError,
    DicomWeb,
    LocalOrthanc,
    Orthanc,
    Session,
    TransportError,
    UnsupportedError,
    tag,
)
from simple_orthanc.dicom.tags import parse_tag
from tests.conftest import MakeServer, empty, share_of_version
from tests.examples import examples
from tests.live import archives as archive_tags
from tests.live.archives import LEVELS, archives, header_of, simple_file, store
from tests.live.test_pydicom_files import FILES, shipped
from tests.live.test_queries import PHASES, asked, assert_selected

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

# Orthanc takes their PatientID, of VR UN, for that of another patient, who then has the UIDs of the first.
TWICE = {"rtdose_rle.dcm", "rtdose_rle_1frame.dcm"}


def over_dicomweb(server: LocalOrthanc) -> DicomWeb:
    return DicomWeb(f"{server.url}/dicom-web")


@given(data=st.data())
@settings(max_examples=examples(10, thorough=250), phases=PHASES)
def test_selects_what_the_headers_say(server: LocalOrthanc, data: st.DataObject) -> None:
    server.start()
    files = data.draw(archives(shared_uids=False))
    empty(server)
    store(server, *files)
    headers = [header_of(content) for content in files]
    with over_dicomweb(server) as session:
        for _ in range(12):
            what, narrow, holds = data.draw(asked(headers))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Nothing is selected any more")
                narrow(session)
            try:
                assert_selected(session, [header for header in headers if holds(header)])
            except AssertionError as error:
                raise AssertionError(f"{what} on {server.version}: {error}") from error
            session.reset()


def same(one: Session, other: Session, *tags: str) -> None:
    """Compare counts, and tables of tags, at all levels."""
    for level in LEVELS:
        assert getattr(one, f"{level}_count") == getattr(other, f"{level}_count"), level
        if level != "patient":
            tables = [each.table(*tags, level=level, varying="list") for each in (one, other)]
            assert list(tables[0].dtypes) == list(tables[1].dtypes)
            for name in tables[0]:
                # NA is equal to itself in text.
                assert list(map(repr, tables[0][name])) == list(map(repr, tables[1][name])), (level, name)


@given(data=st.data())
@settings(max_examples=examples(4, thorough=80), phases=PHASES)
def test_tables_are_those_of_the_rest_api(server: LocalOrthanc, data: st.DataObject) -> None:
    server.start()
    empty(server)
    store(server, *data.draw(archives(shared_uids=False)))
    names = [*archive_tags.INDEXED_TEXTS, *archive_tags.OTHER_TEXTS, *archive_tags.NUMBERS, *archive_tags.DATES]
    with server.connect() as session, over_dicomweb(server) as other:
        same(session, other, *names, "EchoTime", "StudyTime", "SpecificCharacterSet", "SOPInstanceUID")
        assert session.get_dicom_tag("SOPInstanceUID") == other.get_dicom_tag("SOPInstanceUID")


def test_every_element_of_every_file_of_pydicom(
    empty_server: LocalOrthanc, orthanc: Orthanc, request: pytest.FixtureRequest
) -> None:
    files = [*FILES.values(), *shipped(get_charset_files()).values()]
    orthanc.upload_file([path for path in files if path.name not in TWICE])
    assert orthanc.instance_count > 120
    other = over_dicomweb(empty_server)
    headers = orthanc.get_headers()
    numbers = {int(number) for header in headers for number in header.keys()}  # noqa: SIM118
    names = [parse_tag(number).name for number in sorted(numbers) if number & 0xFFFF and number >> 16 != 0x7FE0]
    if empty_server.version.startswith("1.10"):
        # The decimal strings are numbers in its JSON, where zero has no sign.
        names.remove("ImageOrientationPatient")
    assert len(names) > 500
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(orthanc, other, *names[share_of_version(empty_server, request.config)])
        assert other.get_headers() == headers
    contents = [[session._source.content(key) for key in session._instances()] for session in (orthanc, other)]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("mode", ["Full", "MainDicomTags", "Extrapolate"])
def test_incomplete_metadata_are_not_believed(make_server: MakeServer, mode: str) -> None:
    configuration = {"Enable": True, "StudiesMetadata": mode, "SeriesMetadata": mode}
    server = make_server({"DicomWeb": configuration})
    comments = ["a", "b", "b", "a"]
    store(server, *(simple_file(number, AcquisitionComments=text, KVP="80") for number, text in enumerate(comments)))
    session = over_dicomweb(server)
    assert session.get_dicom_tag("AcquisitionComments", unique=False) == comments
    assert session.table("KVP", "AcquisitionComments", level="instance").KVP.tolist() == [80.0] * 4


def test_one_study_that_cannot_be_searched_leaves_the_archive_listable(empty_server: LocalOrthanc) -> None:
    request = Dataset()
    request.add_new("ReasonForTheRequestedProcedure", "LO", "see the notes")
    request.add_new("RequestedProcedureComments", "LT", "x" * 300)
    odd = {"StudyInstanceUID": "1.2.3.9", "SeriesInstanceUID": "1.2.3.9.1", "PatientID": "p9"}
    for number in (1, 2):
        tags = {"SeriesDescription": "odd", "InstanceNumber": number, "RequestAttributesSequence": [request]}
        store(empty_server, simple_file(number, **odd, **tags))
    store(empty_server, simple_file(3, SeriesDescription="even"))
    session = over_dicomweb(empty_server)
    table = session.table("SeriesDescription", "instance_count")
    assert sorted(table.itertuples(index=False, name=None)) == [("even", 1), ("odd", 2)]
    assert session.select(SeriesDescription="odd", InstanceNumber=2).instance_count == 1


def test_characters_that_a_search_cannot_encode_are_not_lost(empty_server: LocalOrthanc) -> None:
    names = {
        "Διονυσιος": "ISO_IR 126",
        "山田^太郎": "ISO_IR 192",
        "قباني^لنزار": "ISO_IR 127",
        "Höpital^Éva": "ISO_IR 100",
    }
    for number, (name, character_set) in enumerate(names.items()):
        uid = f"1.2.3.{number}"
        tags = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.4", "SpecificCharacterSet": character_set}
        store(
            empty_server, simple_file(number, PatientName=name, PatientID=f"p{number}", SeriesDescription=name, **tags)
        )
    session = over_dicomweb(empty_server)
    assert session.PatientNames == session.SeriesDescriptions == list(names)
    for name in names:
        assert session.reset().select(PatientName=name).PatientNames == [name]
        assert session.reset().select(SeriesDescription=name).series_count == 1


def test_orthanc_has_a_dicomweb_session(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    store(empty_server, simple_file(1))
    session = orthanc.dicomweb
    assert session.select(PatientID="p1").instance_count == 1
    assert session.get_header() == orthanc.get_header()
    assert next(session.rest.search_studies())["0020000D"]["Value"] == ["1.2.3"]
    with pytest.raises(UnsupportedError, match="delet"):
        session.delete_selected_study()


def test_an_empty_orthanc_has_a_dicomweb_session(orthanc: Orthanc) -> None:
    assert orthanc.dicomweb.instance_count == 0


def test_the_root_of_the_plugin_can_be_configured(make_server: MakeServer) -> None:
    server = make_server({"DicomWeb": {"Enable": True, "Root": "/my/web/"}, "RegisteredUsers": {"alice": "wonder"}})
    session = server.connect()
    session.upload_dataset(header_of(simple_file(1)))
    assert session.dicomweb.instance_count == 1
    with pytest.raises(AuthenticationError):
        DicomWeb(f"{server.url}/my/web")
    assert DicomWeb(f"{server.url}/my/web", "alice", "wonder").series_count == 1


def test_without_the_plugin_the_error_shows_how_to_get_it(make_server: MakeServer) -> None:
    with pytest.raises(UnsupportedError, match="orthanc-dicomweb"):
        _ = make_server({"Plugins": []}).connect().dicomweb


def test_the_root_of_orthanc_itself_is_not_dicomweb(empty_server: LocalOrthanc) -> None:
    with pytest.raises(TransportError, match="/dicom-web"):
        DicomWeb(empty_server.url)
    store(empty_server, simple_file(1))
    with pytest.raises(TransportError, match="/dicom-web"):
        DicomWeb(empty_server.url)


def test_uploads(empty_server: LocalOrthanc) -> None:
    session = over_dicomweb(empty_server)
    files = [simple_file(1), simple_file(2), simple_file(1), simple_file(1, KVP="80"), b"nothing"]
    assert session.upload_file(files[0]).status.tolist() == ["stored"]
    table = session.upload_file(files[1:])
    assert table.status.tolist() == ["stored", "already stored", "conflict", "not DICOM"]
    assert session.instance_count == 2
    assert session.get_dicom_tag("KVP") == []


def test_one_patient_that_the_server_takes_for_two(empty_server: LocalOrthanc) -> None:
    store(empty_server, *(FILES[name].read_bytes() for name in ("rtdose.dcm", "rtdose_rle.dcm")))
    session = over_dicomweb(empty_server)
    with pytest.warns(UserWarning, match="twice under the same identifiers"):
        counts = [getattr(session, f"{level}_count") for level in LEVELS]
    assert counts == [1, 1, 1, 1]


def test_numbers_beyond_32_bits_are_those_of_the_file(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    dose = Dataset()
    dose.RadionuclideTotalDose = "7400000000"
    tags = {"RadiopharmaceuticalInformationSequence": [dose], "DiffusionBValue": -5e9}
    store(empty_server, simple_file(1, **tags))
    session, path = over_dicomweb(empty_server), "RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose"
    asked_for = (path, "DiffusionBValue")
    assert session.table(*asked_for).iloc[0].tolist() == orthanc.table(*asked_for).iloc[0].tolist() == [7.4e9, -5e9]
    assert session.select(tag(path) > 7e9).instance_count == 1


def test_two_patients_with_one_uid(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    store(empty_server, *(simple_file(1, PatientID=name, StudyDate="20200101") for name in ("p1", "p2")))
    session = over_dicomweb(empty_server)
    for level in LEVELS:
        assert getattr(session, f"{level}_count") == getattr(orthanc, f"{level}_count") == 2
    with pytest.warns(UserWarning, match="could not be read"):
        session.select(PatientID="p2").table("SeriesDescription")
    with pytest.raises(UnsupportedError, match="2 patients"):
        session.get_header()


@pytest.mark.parametrize("studies", [9, 1])
def test_no_limit_hides_anything_without_a_warning(make_server: MakeServer, studies: int) -> None:
    server = make_server({"LimitFindResults": 4})
    for number in range(9):
        tags = {"PatientID": "P", "StudyInstanceUID": f"1.2.{number % studies}", "SeriesInstanceUID": f"1.3.{number}"}
        store(server, simple_file(number, **tags))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with over_dicomweb(server) as archive:
            found = len(archive.get_dicom_tag("SeriesInstanceUID"))
            assert archive.series_count == found
    if found < 9:
        # What Orthanc 1.10.1 does not show cannot be found, but it can be told.
        assert re.search("holds? 9", str(told[0].message))
    else:
        assert not told


@pytest.mark.parametrize("said", [0, 1, 77])
def test_counts_in_a_file_about_other_files_are_not_believed(empty_server: LocalOrthanc, said: int) -> None:
    numbers = ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances")
    for number in range(4):
        series = {"SeriesInstanceUID": f"1.2.3.4.{number % 2}", **dict.fromkeys(numbers, said)}
        store(empty_server, simple_file(number, **series))
    store(empty_server, simple_file(5, StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with over_dicomweb(empty_server) as archive:
            assert (archive.study_count, archive.series_count, archive.instance_count) == (2, 3, 5)
            assert archive.table("instance_count").instance_count.tolist() == [2, 2, 1]
            assert archive.select(StudyInstanceUID="1.2.3").instance_count == 4


def test_a_server_that_hides_its_version_is_not_asked_further(empty_server: LocalOrthanc) -> None:
    store(empty_server, simple_file(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with over_dicomweb(empty_server) as archive:
            assert archive.study_count == 1
