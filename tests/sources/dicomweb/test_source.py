"""A session on a DICOMweb server, on servers that each answer in another way: always what the files say."""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import (
    AuthenticationError,
    DicomWeb,
    EmptySelectionError,
    SelectionError,
    ServerError,
    Session,
    TransportError,
    UnsupportedError,
    label,
    tag,
)
from simple_orthanc.selection.resolving import keys_at
from simple_orthanc.sources.dicomweb.keys import Key
from tests.dicomweb_stand_in import DicomServer, Peculiar
from tests.http_stand_in import StandIn, always, reply
from tests.memory_source import MemorySource, as_file, instance

Make = Callable[..., DicomServer]


@pytest.fixture
def serve() -> Iterator[Make]:
    servers: list[DicomServer] = []

    def make(datasets: list[Dataset], **peculiar: Any) -> DicomServer:
        servers.append(DicomServer(datasets, Peculiar(**peculiar)))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def archive() -> list[Dataset]:
    """Three studies of two patients, whose tags agree as they should."""
    found = []
    for study, patient, name in (("1", "p1", "Doe^Jane"), ("2", "P1", "doe^jane"), ("3", "P1", "doe^jane")):
        of_study = {
            "PatientName": name,
            "StudyDate": f"2020010{study}",
            "StudyTime": "1030",
            "AccessionNumber": f"A{study}",
        }
        of_study |= {
            "StudyDescription": "Schädel" if study == "3" else "head",
            "StudyID": study,
            "InstitutionName": "Here",
        }
        for series in ("1", "2"):
            of_series = {
                "Modality": "CT" if series == "1" else "MR",
                "SeriesNumber": series,
                "SeriesDescription": "T2*_GRE",
            }
            if study == "2":
                of_series["OperatorsName"] = ["Op^A", "Op^B"]
            for number in (1, 2, 3):
                image = {
                    "SliceThickness": "1.50" if series == "1" else "2",
                    "KVP": "8E1",
                    "ImageType": ["ORIGINAL", "PRIMARY"],
                    "ImagePositionPatient": ["0", "0", str(-number)],
                    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
                    "AcquisitionDate": "20200101",
                    "Rows": 4,
                    "ImageComments": "c" * 300,
                }
                found.append(
                    instance(number, series=series, study=study, patient=patient, **of_study, **of_series, **image)
                )
    return found


PECULIAR: dict[str, dict[str, Any]] = {
    "as the standard says": {},
    "numbers": {"numbers": True},
    "only what must be given": {"deaf_to_fields": True},
    "withholds": {"withheld": {"StudyDescription", "OperatorsName", "SeriesNumber", "ImagePositionPatient"}},
    "withholds what puts studies in order": {"withheld": {"StudyDate", "StudyTime"}},
    "no offset": {"deaf_to_offset": True},
    "few at a time": {"most": 2},
    "no lists": {"lists": False},
    "only below one study": {"relational": False},
    "no counts": {"counts": False},
    "names no patients": {"names_patients": False, "deaf_to_fields": True},
    "folds case": {"folds_case": True},
    "no metadata": {"metadata": "none"},
    "some metadata": {"metadata": "some"},
    "withholds, and some metadata": {"deaf_to_fields": True, "metadata": "some", "withheld": {"SeriesNumber"}},
    "fails at a study": {"unsearchable": {"1.2.2"}},
    "fails at a study, and some metadata": {"unsearchable": {"1.2.2"}, "metadata": "some"},
    "fails at all studies": {"unsearchable": {"1.2.1", "1.2.2", "1.2.3"}, "deaf_to_fields": True},
    "one text for several values": {"tags_are_one_text": True, "names_are_texts": True},
    "all of it": {
        **{"numbers": True, "deaf_to_fields": True, "lists": False, "relational": False, "counts": False},
        "metadata": "none",
    },
}
QUESTIONS: list[tuple[str, Callable[[Session], object]]] = [
    ("everything", lambda session: session.select()),
    ("PatientID", lambda session: session.select(PatientID="p1")),
    ("wildcards in PatientID", lambda session: session.select(PatientID="?1")),
    ("name in another case", lambda session: session.select(PatientName="DOE*")),
    ("accession numbers", lambda session: session.select(AccessionNumber=["A1", "A3"])),
    ("a description with an accent", lambda session: session.select(StudyDescription="SCHÄDEL")),
    ("a description with a star", lambda session: session.select(SeriesDescription="T2*_GRE")),
    ("dates", lambda session: session.select(StudyDate=("20200102", None))),
    ("operators", lambda session: session.select(OperatorsName="Op^B")),
    ("no operators", lambda session: session.select(OperatorsName=None)),
    ("modality", lambda session: session.select(Modality="ct")),
    ("a UID", lambda session: session.select("1.2.2.1")),
    ("UIDs", lambda session: session.select(SeriesInstanceUID=["1.2.1.1", "1.2.3.2", "1.2.9"])),
    ("an accession number by itself", lambda session: session.select("A2")),
    ("file tags", lambda session: session.select(SliceThickness=1.5, KVP=80)),
    ("image tags", lambda session: session.select(InstanceNumber=2, ImageType="PRIMARY")),
    ("excluded", lambda session: session.exclude(Modality="CT", PatientID="p1")),
    ("slices", lambda session: session.select(Modality="MR").select(tag("ImagePositionPatient") == -3)),
]
TAGS = [
    *("PatientID", "PatientName", "StudyDate", "StudyDescription", "InstitutionName", "SeriesNumber", "Modality"),
    *("SeriesDescription", "OperatorsName", "StationName", "InstanceNumber", "SliceThickness", "KVP", "ImageType"),
    *("ImagePositionPatient", "Rows", "ImageComments", "AcquisitionDate", "SOPInstanceUID", "PatientSex"),
]
LEVELS = ("patient", "study", "series", "instance")


def answers(session: Session) -> dict[str, Any]:
    """Give counts, and tables in full, of what is selected."""
    found: dict[str, Any] = {level: getattr(session, f"{level}_count") for level in LEVELS}
    for level in LEVELS[1:]:
        table = session.table(*TAGS, level=level, varying="list")
        found[f"{level} table"] = table.to_dict("list")
        found[f"{level} types"] = [str(kind) for kind in table.dtypes]
    return found


@pytest.mark.parametrize("peculiar", PECULIAR.values(), ids=PECULIAR)
def test_every_server_gives_the_same_answers(serve: Make, peculiar: dict[str, Any]) -> None:
    server = serve(archive(), **peculiar)
    with DicomWeb(server.root) as session:
        for name, narrow in QUESTIONS:
            expected = Session(MemorySource(archive()))
            narrow(expected)
            narrow(session)
            # Values, types and order; NA is equal to itself in text.
            assert repr(answers(session)) == repr(answers(expected)), name
            session.reset()


@pytest.mark.parametrize("name", ["as the standard says", "no lists", "names no patients", "withholds", "all of it"])
def test_narrowing_first_gives_the_same_too(serve: Make, name: str) -> None:
    server = serve(archive(), **PECULIAR[name])
    for name, narrow in QUESTIONS[1:]:
        expected = Session(MemorySource(archive()))
        narrow(expected)
        session = DicomWeb(server.root)
        narrow(session)
        assert (session.instance_count, session.series_count) == (expected.instance_count, expected.series_count), name
        assert session.get_dicom_tag("SOPInstanceUID") == expected.get_dicom_tag("SOPInstanceUID"), name
        session.close()


@pytest.mark.parametrize(("name", "value"), [("PatientID", "P1"), ("Modality", "CT"), ("SliceThickness", 1.5)])
def test_a_representation_asks_for_nothing(serve: Make, name: str, value: Any) -> None:
    server = serve(archive(), withheld={"StudyDescription", "SeriesDescription"})
    session = DicomWeb(server.root).select(**{name: value})
    before = len(server.asked)
    assert str(value) in session._repr_html_()
    assert "selected by" in repr(session)
    assert len(server.asked) == before


def test_instances_are_not_listed_before_they_are_asked_for(serve: Make) -> None:
    server = serve(archive())
    session = DicomWeb(server.root)
    assert (session.patient_count, session.study_count, session.series_count, session.instance_count) == (2, 3, 6, 18)
    assert session.StudyDescriptions == ["head", "Schädel"]
    session.table("PatientName", "SeriesDescription", "SeriesNumber")
    assert not [asked for asked in server.asked if "/instances" in asked.path]


def test_a_tag_of_which_the_server_says_nothing_is_looked_up_once(serve: Make) -> None:
    many = [instance(1, study=str(number), StudyDescription="x") for number in range(200)]
    server = serve(many)
    session = DicomWeb(server.root)
    assert session.StationNames == []
    looked_up = len(server.asked)
    # Sixty of the studies, which have no dates, and sixty of the series: found, and read.
    assert looked_up < 260
    assert session.table("StationName").StationName.isna().all()
    assert len(server.asked) == looked_up
    server.datasets = [instance(1, study=str(number), StationName="ct1") for number in range(200)]
    server.peculiar.withheld = {"StationName"}
    assert session.refresh().StationNames == ["ct1"]


def test_headers_and_files_are_the_files(serve: Make, tmp_path: Path) -> None:
    image = instance(1, PixelData=bytes(range(16)), Rows=4, Columns=4, BitsAllocated=8, SliceThickness="1.50")
    server = serve([image], numbers=True)
    session = DicomWeb(server.root)
    header = session.get_header()
    assert "PixelData" not in header
    assert header.SliceThickness.original_string == "1.50"
    assert session.get_instances()[0].PixelData == bytes(range(16))
    (path,) = session.download(tmp_path)
    assert path.read_bytes() == as_file(image)
    assert sorted(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("pixels", [bytes(3 << 20), None], ids=["large pixels", "no pixels"])
def test_a_header_is_read_without_the_pixels(serve: Make, pixels: bytes | None) -> None:
    tags: dict[str, Any] = {"TextValue": "c" * 200_000, "KVP": "80"}
    tags |= {"EncapsulatedDocument": bytes(3 << 20)} if pixels is None else {"PixelData": pixels, "BitsAllocated": 8}
    image = instance(1, **tags)
    server = serve([image])
    header = DicomWeb(server.root).get_header()
    assert ("PixelData" not in header, header.TextValue, header.KVP) == (True, "c" * 200_000, 80)
    assert ("EncapsulatedDocument" in header) == (pixels is None)
    assert len(header) == len(image) - (pixels is not None)


def test_what_breaks_off_leaves_no_file(serve: Make, tmp_path: Path) -> None:
    server = serve([instance(1)])
    session = DicomWeb(server.root)
    assert session.instance_count == 1
    server.script = always(reply(b"--b1\r\n\r\nabc", headers={"Content-Type": "multipart/related; boundary=b1"}))
    with pytest.raises(TransportError):
        session._source.save(str(Key("P1", "1.2.1", "1.2.1.1", "1.2.1.1.1")), tmp_path / "a.dcm")
    assert list(tmp_path.iterdir()) == []


def two_patients() -> list[Dataset]:
    return [instance(1, patient=patient, PatientName=f"{patient}^X") for patient in ("p1", "p2")]


def test_one_uid_under_two_patients_is_listed_apart_and_never_read_wrongly(serve: Make) -> None:
    server = serve(two_patients())
    session = DicomWeb(server.root)
    assert (session.patient_count, session.study_count, session.series_count, session.instance_count) == (2, 2, 2, 2)
    # What puts them in order would be in their files.
    with pytest.warns(UserWarning, match="could not be read"):
        assert session.table("PatientName", level="instance").PatientName.tolist() == ["p1^X", "p2^X"]
    session.select(PatientID="p2")
    assert session.instance_count == 1
    for read in (session.get_header, session.get_instances, session.download):
        with pytest.raises(UnsupportedError, match="2 patients"):
            read()
    with pytest.raises(UnsupportedError, match="2 patients"):
        session.delete_selected_series()
    assert len(server.datasets) == 2


def test_one_uid_under_two_patients_where_nobody_says_whose(serve: Make) -> None:
    server = serve(two_patients(), names_patients=False, deaf_to_fields=True)
    session = DicomWeb(server.root)
    assert session.study_count == 2
    with pytest.raises(UnsupportedError, match="exists under 2 patients"):
        session.table("SeriesDescription")


def test_patients_without_an_identifier(serve: Make) -> None:
    nameless = instance(1, study="2", patient="")
    server = serve([nameless, instance(1), instance(1, study="3", patient="a/b c%")])
    session = DicomWeb(server.root)
    assert session.patient_count == 3
    assert session.select(PatientID=None).StudyInstanceUIDs == ["1.2.2"]
    assert session.get_header().SOPInstanceUID == "1.2.2.1.1"
    session.reset().select(PatientID="a/b c%")
    assert session.instance_count == 1
    assert [child.PatientIDs for child in session.patients] == [["a/b c%"]]
    assert session.get_header().PatientID == "a/b c%"


@pytest.mark.parametrize(
    "key",
    [Key("p1"), Key("a/b%2F c", "1.2"), Key("", "1.2", "1.3"), Key("é", "1.2", "1.3", "1.4"), Key("", "1/2", "3")],
)
def test_a_key_is_read_as_it_was_written(key: Key) -> None:
    assert Key.parse(str(key)) == key


def test_a_key_names_its_object(serve: Make) -> None:
    session = DicomWeb(serve(archive()).root)
    key = keys_at(session._index, session._selection, "series")[0]
    assert session.select(key).series_count == 1
    with pytest.raises(SelectionError, match="no UID"):
        session.select("1.2.9/nobody")


def test_labels_are_not_known(serve: Make) -> None:
    with pytest.raises(UnsupportedError, match="Orthanc"):
        DicomWeb(serve(archive()).root).select(label("x"))


def test_numbers_are_what_the_files_say_however_they_are_spelt(serve: Make) -> None:
    images = [instance(1, SeriesNumber="007", ImagePositionPatient=["0", "1.50", "-2E1"])]
    session = DicomWeb(serve(images, numbers=True).root)
    assert session.get_dicom_tag("ImagePositionPatient") == [(0.0, 1.5, -20.0)]
    assert session.verify_index().empty
    wrong = DicomWeb(serve(images, withheld={"SeriesNumber"}, metadata="some").root)
    assert wrong.verify_index().empty


def test_refresh_sees_what_changed(serve: Make) -> None:
    server = serve(archive())
    session = DicomWeb(server.root).select(Modality="MR")
    assert session.series_count == 3
    server.datasets.append(instance(1, study="4", Modality="MR"))
    server.datasets.pop(3)
    assert session.series_count == 3
    session.refresh()
    assert (session.series_count, session.instance_count) == (4, 9)


def test_a_pickled_session_goes_on(serve: Make) -> None:
    session = DicomWeb(serve(archive()).root, "alice", "wonderland", selection={"PatientID": "P1"})
    twin = pickle.loads(pickle.dumps(session))
    assert "wonderland" not in repr(session) + repr(vars(session)) + str(session.rest)
    assert twin.SOPInstanceUIDs == session.SOPInstanceUIDs
    assert twin.rest is not session.rest


# Opening


def test_says_at_once_that_nobody_answers() -> None:
    with pytest.raises(TransportError, match="No server answers"):
        DicomWeb("http://127.0.0.1:1/dicom-web")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (reply({"Message": "Unknown resource"}, 404), "/dicom-web"),
        (reply({"Message": "Bad request"}, 400), "/dicom-web"),
        (reply(b"<html>hello</html>", headers={"Content-Type": "text/html"}), "JSON"),
        (reply(["abc"]), "JSON"),
    ],
    ids=["no route", "another API", "a page", "not datasets"],
)
def test_says_at_once_that_it_is_not_dicomweb(answer: bytes, found: str) -> None:
    with StandIn(always(answer)) as server, pytest.raises(TransportError, match=found):
        DicomWeb(server.url)


def test_says_at_once_that_it_is_orthanc_itself() -> None:
    def script(asked: Any, count: int) -> bytes:
        return reply({"ApiVersion": 27, "Version": "1.12.7"} if asked.path == "/system" else [])

    with StandIn(script) as server, pytest.raises(TransportError, match="/dicom-web"):
        DicomWeb(server.url)


def test_says_at_once_that_credentials_are_wrong() -> None:
    with StandIn(always(reply(b"", 401))) as server, pytest.raises(AuthenticationError):
        DicomWeb(server.url, "alice", "wonderland")


def test_two_ways_to_log_in_are_one_too_many() -> None:
    with pytest.raises(SelectionError, match="not both"):
        DicomWeb("http://127.0.0.1:1", "alice", "wonderland", auth=("alice", "wonderland"))


def test_services_may_have_places_of_their_own(serve: Make) -> None:
    server = serve(archive())
    session = DicomWeb(server.url, qido_prefix="dicom-web", wado_prefix="/dicom-web/")
    assert session.series_count == 6
    assert session.select("1.2.1.1").get_headers()[0].PatientID == "p1"


def test_no_place_of_its_own_is_the_root_and_what_is_no_place_is_refused(serve: Make) -> None:
    server = serve(archive())
    assert DicomWeb(server.root, qido_prefix=None, wado_prefix=None).study_count == 3
    with pytest.raises(TransportError, match=r'qido_prefix is 5; give .* as in qido_prefix="rs"'):
        DicomWeb(server.root, qido_prefix=5)  # type: ignore[arg-type]


def test_an_empty_server_is_a_server(serve: Make) -> None:
    session = DicomWeb(serve([]).root)
    assert session.instance_count == 0
    with pytest.raises(EmptySelectionError):
        session.get_header()


# Changing


def test_uploads_say_what_became_of_each_file(serve: Make, tmp_path: Path) -> None:
    server = serve([instance(1, Rows=4)])
    (tmp_path / "new.dcm").write_bytes(as_file(instance(2)))
    (tmp_path / "old.dcm").write_bytes(as_file(instance(1, Rows=4)))
    (tmp_path / "other.dcm").write_bytes(as_file(instance(1, Rows=8)))
    (tmp_path / "text.txt").write_text("nothing")
    session = DicomWeb(server.root)
    table = session.upload_folder(tmp_path)
    assert dict(zip(table.path.map(lambda path: Path(path).name), table.status, strict=True)) == {
        "new.dcm": "stored",
        "old.dcm": "already stored",
        "other.dcm": "conflict",
        "text.txt": "not DICOM",
    }
    assert session.instance_count == 2
    assert {each.SOPInstanceUID: each.get("Rows") for each in server.datasets} == {"1.2.1.1.1": 4, "1.2.1.1.2": None}


def test_a_dataset_without_a_file_around_it_is_stored(serve: Make, tmp_path: Path) -> None:
    server = serve([])
    session = DicomWeb(server.root)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, instance(1), implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert session.upload_file(stream.getvalue()).status.tolist() == ["stored"]
    assert session.upload_dataset(instance(2)).status.tolist() == ["stored"]
    assert session.instance_count == 2


def test_a_refusal_is_a_row_of_the_table(serve: Make) -> None:
    server = serve([])
    session = DicomWeb(server.root)
    refusal = {
        "00081198": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
                    "00081155": {"vr": "UI", "Value": ["1.2.1.1.1"]},
                    "00081197": {"vr": "US", "Value": [0xA700]},
                }
            ],
        }
    }
    ordinary = server.script
    server.script = lambda asked, count: reply(refusal, 409) if asked.method == "POST" else ordinary(asked, count)
    table = session.upload_dataset(instance(1))
    assert table.status.tolist() == ["failed"]
    assert "A700" in table.message[0] or "resources" in table.message[0].lower()


def test_deletes_one_where_the_server_lets_it(serve: Make) -> None:
    server = serve(archive())
    session = DicomWeb(server.root)
    with pytest.raises(SelectionError, match="whole archive"):
        session.delete_selected_study()
    session.select(PatientID="p1").delete_selected_study()
    assert (session.reset().study_count, len(server.datasets)) == (2, 12)
    session.select(PatientID="P1").delete_selected_patient()
    assert server.datasets == []


def test_says_that_a_server_does_not_delete(serve: Make) -> None:
    server = serve(archive(), deletes=False)
    session = DicomWeb(server.root).select(PatientID="p1", Modality="CT")
    with pytest.raises(UnsupportedError, match="delet"):
        session.delete_selected_series()
    assert session.series_count == 1


def test_warns_of_what_could_not_be_made_sure(serve: Make) -> None:
    server = serve(archive(), withheld={"StudyDescription"}, metadata="none")
    session = DicomWeb(server.root)
    assert session.study_count == 3
    ordinary = server.script
    server.script = lambda asked, count: (
        reply({"Message": "gone"}, 404) if "/instances/" in asked.path else ordinary(asked, count)
    )
    with pytest.warns(UserWarning, match="could not be read"):
        assert session.StudyDescriptions == []


def test_a_study_that_can_neither_be_searched_nor_has_metadata_is_no_silent_loss(serve: Make) -> None:
    session = DicomWeb(serve(archive(), unsearchable={"1.2.2"}, metadata="none").root)
    with pytest.raises(ServerError, match="Bad type for a parameter"):
        session.table("Modality")


def test_objects_without_a_uid_are_named_in_a_warning(serve: Make) -> None:
    server = serve(archive())
    ordinary = server.script
    nameless = reply([{"00100020": {"vr": "LO", "Value": ["p9"]}}], headers={"Content-Type": "application/dicom+json"})
    server.script = lambda asked, count: (
        nameless if "/studies?" in asked.path and "offset" not in asked.path else ordinary(asked, count)
    )
    session = DicomWeb(server.root)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="without a UID"):
            session._source.listing("study").__next__()
