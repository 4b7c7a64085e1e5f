"""What a server's own search gets wrong in silence is right here; `verify_index` says where the index is wrong."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from simple_orthanc import LocalOrthanc, Orthanc, SelectionError, UnknownTagError, tag
from simple_orthanc.transport import Transport
from tests.conftest import MakeServer, empty
from tests.examples import examples
from tests.live.archives import archives, file_bytes, simple_file, store

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured


def series_files(count: int, **attributes: Any) -> list[bytes]:
    return [simple_file(number, SeriesInstanceUID=f"1.2.3.{number}", **attributes) for number in range(count)]


def test_a_tag_outside_the_database_loses_no_match(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    for number in range(12):
        kvp = "80" if number in (4, 9, 11) else "120"
        store(empty_server, simple_file(number, SeriesInstanceUID=f"1.2.3.{number}", KVP=kvp))
    assert orthanc.select(KVP=80).SeriesInstanceUIDs == ["1.2.3.11", "1.2.3.4", "1.2.3.9"]
    assert (orthanc.series_count, orthanc.instance_count) == (3, 3)


def test_a_limit_on_results_hides_nothing(make_server: MakeServer) -> None:
    server = make_server({"LimitFindResults": 4, "LimitFindInstances": 4})
    store(server, *series_files(12, SeriesDescription="head", KVP="80"))
    with server.connect() as session:
        assert session.select(SeriesDescription="head").series_count == 12
        assert session.reset().select(SeriesDescription="H*").instance_count == 12
        assert session.reset().select(KVP=80).instance_count == 12
        assert len(session.reset().table("SeriesDescription", "KVP")) == 12
        assert session.get_dicom_tag("KVP", unique=False) == [80.0] * 12


@pytest.mark.parametrize("large", [0, 50_000], ids=["large", "small"])
@pytest.mark.parametrize("series", [1, 2])
@pytest.mark.parametrize("is_nearby", [True, False], ids=["nearby", "far away"])
def test_a_limit_on_results_hides_no_study(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch, series: int, large: int, is_nearby: bool
) -> None:
    monkeypatch.setattr("simple_orthanc.sources.orthanc.find_limit._LARGE", large)
    monkeypatch.setattr("simple_orthanc.sources.orthanc.find_limit._LARGE_FAR_AWAY", large)
    monkeypatch.setattr(Transport, "is_nearby", is_nearby)
    server = make_server({"LimitFindResults": 4, "LimitFindInstances": 4})
    studies = {"ADAMS": 2, "BAKER": 4, "CLARK": 5}
    for patient, (name, count) in enumerate(studies.items()):
        for number in range(count * series):
            study = f"1.2.{patient}.{number // series}"
            uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{number}"}
            store(server, simple_file(100 * patient + number, PatientID=name, PatientName=name, **uids))
    for name, count in studies.items():
        with server.connect() as session:
            assert session.select(PatientName=name).study_count == count
            assert session.series_count == count * series


def test_a_patient_in_a_large_archive_is_found_in_four_requests(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simple_orthanc.sources.orthanc.find_limit._LARGE", 0)
    server = make_server({})
    for number in range(12):
        uids = {"StudyInstanceUID": f"1.2.{number // 2}", "SeriesInstanceUID": f"1.2.{number // 2}.{number}"}
        store(server, simple_file(number, PatientID=f"P{number // 4}", PatientName=f"ADAMS^{number // 4}", **uids))
    with server.connect() as session:
        before = session._source.requests
        session.select(PatientName="ADAMS^1")
        counts = session.patient_count, session.study_count, session.series_count, session.instance_count
        assert counts == (1, 2, 4, 4)
        assert session._source.requests - before <= 4


def test_files_that_a_find_did_not_open_are_read_otherwise(make_server: MakeServer) -> None:
    server = make_server({"StorageAccessOnFind": "Never"})
    # One series UID under two patients: a find by it gives the files of both.
    store(server, *(simple_file(1, PatientID=name, KVP="80", SeriesDescription=name) for name in ("p1", "p2")))
    with server.connect() as session:
        assert session.select(PatientID="p1", KVP=80).instance_count == 1
        assert session.reset().select(KVP=80).PatientIDs == ["p1", "p2"]
        assert session.reset().get_dicom_tag("KVP", unique=False) == [80.0, 80.0]


def test_every_instance_of_a_series_is_looked_at(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    for number, kernel in enumerate(["B30f", "B70f", "B70f"]):
        store(empty_server, simple_file(number, ConvolutionKernel=kernel, KVP=str(100 + 10 * (number % 2))))
    assert orthanc.select(ConvolutionKernel="B70f").SOPInstanceUIDs == ["1.2.3.4.1", "1.2.3.4.2"]
    assert orthanc.reset().exclude(ConvolutionKernel="B70f").SOPInstanceUIDs == ["1.2.3.4.0"]
    orthanc.reset()
    with pytest.warns(UserWarning, match="KVP differs within 1 of 1 rows"):
        table = orthanc.table("KVP")
    assert table.KVP.isna().all()
    assert orthanc.table("KVP", varying="list").KVP.tolist() == [[100.0, 110.0]]
    assert orthanc.table("KVP", level="instance").KVP.tolist() == [100.0, 110.0, 100.0]


def test_a_condition_holds_if_any_of_several_values_does(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    types = [["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "SECONDARY"], ["ORIGINAL", "PRIMARY"]]
    store(empty_server, *(simple_file(number, ImageType=each) for number, each in enumerate(types)))
    assert orthanc.select(ImageType="ORIGINAL").instance_count == 2
    assert orthanc.reset().select(ImageType=("ORIGINAL", "PRIMARY")).SOPInstanceUIDs == ["1.2.3.4.2"]
    assert orthanc.reset().select(ImageType="ORIGINAL\\PRIMARY").SOPInstanceUIDs == ["1.2.3.4.2"]


@pytest.mark.parametrize("value", [1, 1.0, "1", "1.0", "1.00", (0.5, 1.5), "+1"])
def test_numbers_compare_by_value(empty_server: LocalOrthanc, orthanc: Orthanc, value: Any) -> None:
    spellings = ["1", "1.0", "1.000000", "+1", "1e0", "2"]
    store(empty_server, *(simple_file(number, SliceThickness=text) for number, text in enumerate(spellings)))
    assert orthanc.select(SliceThickness=value).instance_count == 5


def test_a_tag_is_decided_at_its_own_level(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    store(
        empty_server,
        simple_file(1, Modality="CT", StudyDate="20200101"),
        simple_file(2, Modality="PT", StudyDate="20200101", SeriesInstanceUID="1.2.3.5"),
        simple_file(3, Modality="MR", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1", StudyDate="20210101"),
    )
    orthanc.select(Modality="CT")
    assert (orthanc.patient_count, orthanc.study_count, orthanc.series_count) == (1, 1, 1)
    orthanc.reset().select(StudyDate="20200101")
    assert (orthanc.patient_count, orthanc.study_count, orthanc.series_count) == (1, 1, 2)
    assert orthanc.reset().select(StudyDate="2020*").study_count == 1
    assert orthanc.reset().select(StudyInstanceUID="1.2.*").study_count == 2
    assert orthanc.reset().select(SeriesNumber=None).series_count == 3


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("höpital*", 1),
        ("HÖPITAL*", 1),
        ("hopital*", 1),
        ("h?pital*", 2),
        ("Höpital^Éva", 1),
        ("Ho\u0308pital^E\u0301va", 1),
    ],
)
def test_accents_matter_and_case_does_not(
    empty_server: LocalOrthanc, orthanc: Orthanc, wanted: str, found: int
) -> None:
    for number, name in enumerate(["Höpital^Éva", "Hopital^Eva"]):
        tags = {"PatientName": name, "SeriesDescription": name, "SpecificCharacterSet": "ISO_IR 100"}
        store(empty_server, simple_file(number, PatientID=f"p{number}", **tags))
    assert orthanc.select(PatientName=wanted).patient_count == found
    assert orthanc.reset().select(SeriesDescription=wanted).series_count == found


def test_mistakes_are_found_before_any_request(orthanc: Orthanc) -> None:
    before = orthanc._source.requests
    wrong: list[dict[str, Any]] = [
        {"SliceThicknes": 1},
        {"StudyDate": "20201301"},
        {"StudyDate": ("20210101", "20200101")},
        {"PatientName": ("a", "b")},
        {"KVP": "high"},
        {"AnatomicRegionSequence": "Liver"},
        {"PixelData": "x"},
    ]
    for tags in wrong:
        with pytest.raises(SelectionError):
            orthanc.select(**tags)
    with pytest.raises(UnknownTagError, match="SliceThickness"):
        orthanc.select(SliceThicknes=1)
    with pytest.raises(SelectionError, match="has no order"):
        orthanc.select(tag("PatientName") > "A")
    with pytest.raises(UnknownTagError):
        orthanc.table("NoSuchTag")
    assert orthanc.selection == {}
    assert orthanc._source.requests == before


def test_long_values_are_read_from_the_file(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    long = "c" * 300
    store(empty_server, simple_file(1, ImageComments=long, KVP="80"), simple_file(2, ImageComments=""), simple_file(3))
    assert orthanc.select(ImageComments=long).SOPInstanceUIDs == ["1.2.3.4.1"]
    assert orthanc.reset().select(ImageComments=None).SOPInstanceUIDs == ["1.2.3.4.2", "1.2.3.4.3"]
    assert orthanc.reset().table("ImageComments", level="instance").ImageComments.fillna("").tolist() == [long, "", ""]


def test_what_orthanc_keeps_with_the_series_may_differ_inside_it(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    axial, sagittal = [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]
    store(
        empty_server,
        simple_file(
            1, ImageOrientationPatient=axial, SequenceName="*tfl", ContrastBolusAgent="GAD", CardiacNumberOfImages=1
        ),
        simple_file(2, ImageOrientationPatient=sagittal, SequenceName="epfid", CardiacNumberOfImages=2),
    )
    for name, value in [("SequenceName", "epfid"), ("ContrastBolusAgent", None), ("CardiacNumberOfImages", 2)]:
        assert orthanc.reset().select(**{name: value}).SOPInstanceUIDs == ["1.2.3.4.2"], name
        assert orthanc.series_count == 1
    assert orthanc.reset().select(ImageOrientationPatient=tuple(sagittal)).SOPInstanceUIDs == ["1.2.3.4.2"]


HALF_WIDTH = ["ISO 2022 IR 13", "ISO 2022 IR 87"]


@pytest.mark.parametrize("character_set", [HALF_WIDTH, ["ISO 2022 IR 6", "ISO 2022 IR 87"], ["", "ISO 2022 IR 87"]])
def test_strings_that_the_server_cannot_decode(
    empty_server: LocalOrthanc, orthanc: Orthanc, character_set: list[str]
) -> None:
    texts = {"PatientName": "YAMADA^TAROU=山田^太郎", "StudyDescription": "頭部", "SeriesDescription": "頭部造影"}
    # A backslash between values is a yen sign in this character set.
    texts |= {"ImageComments": "頭", "OperatorsName": ["Op^A", "Op^B"], "ImageType": ["ORIGINAL", "PRIMARY"]}  # type: ignore[dict-item]
    store(empty_server, simple_file(1, SpecificCharacterSet=character_set, **texts))
    for name, value in texts.items():
        meant = tuple(value) if isinstance(value, list) else value
        assert orthanc.reset().get_dicom_tag(name) == [meant], name
        assert orthanc.select(**{name: meant}).instance_count == 1, name
    assert orthanc.reset().select(PatientName="山田^太郎").instance_count == 1
    assert orthanc.reset().select(PatientName="*太*", SeriesDescription="*造影").instance_count == 1
    assert orthanc.reset().verify_index().empty


@pytest.mark.parametrize("character_set", ["ISO IR 100", "ISO_IR 203", "LATIN-1   ", "\\ISO-IR100"])
def test_strings_keep_characters_of_a_set_that_the_server_does_not_know(
    empty_server: LocalOrthanc, orthanc: Orthanc, character_set: str
) -> None:
    content = simple_file(1, SpecificCharacterSet="ISO_IR 100", ImageComments="é x", OperatorsName="Müller")
    store(empty_server, content.replace(b"ISO_IR 100", character_set.encode()))
    for session in (orthanc, orthanc.dicomweb):
        assert session.table("ImageComments", level="instance").ImageComments.tolist() == ["é x"]
        assert session.select(ImageComments="é*").instance_count == 1


def test_values_that_an_archive_computes_are_not_those_of_the_files(
    empty_server: LocalOrthanc, orthanc: Orthanc
) -> None:
    class_uid = "1.2.840.10008.5.1.4.1.1.2"
    said = {"InstanceAvailability": "NEARLINE", "NumberOfSeriesRelatedInstances": 77, "ModalitiesInStudy": ["CT", "SR"]}
    said |= {"SOPClassesInStudy": class_uid, "NumberOfStudyRelatedSeries": 78}
    store(empty_server, simple_file(1, **said), simple_file(2))
    table = orthanc.table(*said, level="instance")
    computed = [2, ("CT",), (class_uid,), 1]
    assert table.iloc[0].tolist() == ["NEARLINE", *computed]
    assert table.iloc[1, 1:].tolist() == computed
    assert pd.isna(table.iloc[1, 0])
    assert orthanc.select(InstanceAvailability="NEARLINE").instance_count == 1


def test_integers_of_64_bits_are_whole(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    values = {"SelectorSVValue": -(2**63), "SelectorUVValue": 2**53 + 1}
    store(empty_server, simple_file(1, **values))
    for session in (orthanc, orthanc.dicomweb):
        for name, value in values.items():
            assert session.get_dicom_tag(name) == [(value,)]


# Where the index itself is wrong


def test_an_archive_that_agrees_verifies(empty_server: LocalOrthanc) -> None:
    @given(files=archives())
    @settings(max_examples=examples(4, thorough=80), phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    def run(files: list[bytes]) -> None:
        empty(empty_server)
        store(empty_server, *files)
        with empty_server.connect() as session:
            found = session.verify_index()
        assert found.empty, found.to_string()

    run()


def test_contradictions_inside_a_study_and_a_series_are_listed(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    store(
        empty_server,
        simple_file(1, PatientName="Meier^Anna", SeriesDescription="head", StudyDate="20200101"),
        simple_file(2, PatientName="Mayer^Anna", SeriesDescription="neck", StudyDate="20200101"),
        simple_file(3, PatientName="Meier^Anna", SeriesDescription="head", StudyDate="20200101"),
    )
    found = orthanc.verify_index()
    assert found.tag.tolist() == ["PatientName", "SeriesDescription"] or found.tag.tolist() == [
        "SeriesDescription",
        "PatientName",
    ]
    rows = found.set_index("tag")
    assert rows.loc["PatientName", ["level", "problem", "indexed"]].tolist() == [
        "study",
        "differs inside the study",
        "Meier^Anna",
    ]
    assert rows.found["PatientName"] == ("Meier^Anna", "Mayer^Anna")
    assert rows.found["SeriesDescription"] == ("head", "neck")
    assert rows.files.tolist() == [3, 3]
    assert rows.StudyInstanceUID.tolist() == ["1.2.3", "1.2.3"]
    assert rows.SeriesInstanceUID["SeriesDescription"] == "1.2.3.4"
    assert pd.isna(rows.SeriesInstanceUID["PatientName"])
    # What is selected is all that is read.
    assert orthanc.select(SOPInstanceUID="1.2.3.4.2").verify_index().problem.tolist() == ["not what the files say"] * 2


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_what_the_index_leaves_out_or_mangles_is_listed(empty_server: LocalOrthanc, orthanc: Orthanc) -> None:
    long = "d" * 300
    store(
        empty_server,
        simple_file(1, StudyDescription=long),
        # Nothing in the database shows that these two kanji were not decoded.
        file_bytes(
            {
                "SpecificCharacterSet": HALF_WIDTH,
                "PatientID": "p2",
                "PatientName": "YAMADA^TAROU",
                "StudyInstanceUID": "1.2.4",
                "SeriesInstanceUID": "1.2.4.1",
                "SOPInstanceUID": "1.2.4.1.1",
                "SeriesDescription": "頭部",
            }
        ),
    )
    found = orthanc.verify_index().set_index("tag")
    assert set(found.index) == {"StudyDescription", "SeriesDescription"}
    assert found.found["StudyDescription"] == (long,)
    assert pd.isna(found.indexed["StudyDescription"])
    assert found.found["SeriesDescription"] == ("頭部",)
    assert found.indexed["SeriesDescription"] == "F,It"
    assert set(found.problem) == {"not what the files say"}
