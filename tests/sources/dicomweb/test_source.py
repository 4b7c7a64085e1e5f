"""A session on DICOMweb servers that differ in their responses always returns what the files say."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
import pytest

from simple_orthanc import (
    AuthenticationError,
    DicomWeb,
    EmptySelectionError,
    SelectionError,
    Session,
    TransportError,
    UnsupportedError,
    label,
    tag,
)
from simple_orthanc.selection.resolving import keys_at
from tests.examples import THOROUGH
from tests.http_stand_in import StandIn, always, make_environment_plain, reply
from tests.memory_source import MemorySource, as_file, instance
from tests.sources.dicomweb.conftest import Make, archive

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
    "nothing across studies": {"empty_across": {"series", "instances"}, "counts": False},
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
QUESTIONS: list[tuple[str, Callable[[Session], Session]]] = [
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


def answers(session: Session, levels: tuple[str, ...]) -> str:
    """Return counts, the images in order, and whole tables of some levels, of what is selected."""
    found: dict[str, Any] = {level: getattr(session, f"{level}_count") for level in LEVELS}
    found["images"] = session.get_dicom_tag("SOPInstanceUID", unique=False, level="instance")
    for level in levels:
        table = session.table(*TAGS, level=level, varying="list")
        found[f"{level} table"] = table.to_dict("list")
        found[f"{level} types"] = [str(kind) for kind in table.dtypes]
    # Values, types and order; NA is equal to itself in a string.
    return repr(found)


def levels_of(question: int) -> tuple[str, ...]:
    """Return the levels whose tables are compared: all for everything, and one in turn for each selection."""
    return LEVELS[1:] if question == 0 or THOROUGH else (LEVELS[1 + question % 3],)


@cache
def expected_answers() -> list[str]:
    """Return what each question selects in the files themselves."""
    return [
        answers(narrow(Session(MemorySource(archive()))), levels_of(number))
        for number, (_, narrow) in enumerate(QUESTIONS)
    ]


# Such a server may hide more, whatever it shows.
@pytest.mark.unmeasured
@pytest.mark.filterwarnings("ignore:.* ignores the offset of a search")
@pytest.mark.parametrize("peculiar", PECULIAR.values(), ids=PECULIAR)
def test_every_server_gives_the_same_answers(serve: Make, peculiar: dict[str, Any]) -> None:
    server = serve(archive(), **peculiar)
    with DicomWeb(server.root) as session:
        for number, (name, narrow) in enumerate(QUESTIONS):
            narrow(session)
            assert answers(session, levels_of(number)) == expected_answers()[number], name
            session.reset()


@cache
def expected_selections() -> list[tuple[int, int, list[Any]]]:
    """Return the counts of images and series, and the images, that each question after the first selects."""
    sessions = [narrow(Session(MemorySource(archive()))) for _, narrow in QUESTIONS[1:]]
    return [(each.instance_count, each.series_count, each.get_dicom_tag("SOPInstanceUID")) for each in sessions]


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", ["as the standard says", "no lists", "names no patients", "withholds", "all of it"])
def test_narrowing_first_selects_the_same(serve: Make, name: str) -> None:
    server = serve(archive(), **PECULIAR[name])
    for number, (name, narrow) in enumerate(QUESTIONS[1:]):
        with DicomWeb(server.root) as session:
            narrow(session)
            found = (session.instance_count, session.series_count, session.get_dicom_tag("SOPInstanceUID"))
            assert found == expected_selections()[number], name


@pytest.mark.parametrize(("name", "value"), [("PatientID", "P1"), ("Modality", "CT"), ("SliceThickness", 1.5)])
def test_a_representation_needs_no_request(serve: Make, name: str, value: Any) -> None:
    server = serve(archive(), withheld={"StudyDescription", "SeriesDescription"})
    session = DicomWeb(server.root).select(**{name: value})
    before = len(server.asked)
    assert str(value) in session._repr_html_()
    assert "selected by" in repr(session)
    assert len(server.asked) == before


def test_a_key_names_its_object(serve: Make) -> None:
    session = DicomWeb(serve(archive()).root)
    key = keys_at(session._index, session._selection, "series")[0]
    assert session.select(key).series_count == 1
    with pytest.raises(SelectionError, match="is not a UID"):
        session.select("1.2.9/nobody")


def test_labels_are_not_supported(serve: Make) -> None:
    with pytest.raises(UnsupportedError, match="Orthanc"):
        DicomWeb(serve(archive()).root).select(label("x"))


def test_a_pickled_session_continues(serve: Make) -> None:
    session = DicomWeb(serve(archive()).root, "alice", "wonderland", selection={"PatientID": "P1"})
    twin = pickle.loads(pickle.dumps(session))
    assert "wonderland" not in repr(session) + repr(vars(session)) + str(session.rest)
    assert twin.SOPInstanceUIDs == session.SOPInstanceUIDs
    assert twin.rest is not session.rest


# Opening


def test_a_missing_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    make_environment_plain(monkeypatch)
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
def test_a_server_without_dicomweb_is_reported_at_once(answer: bytes, found: str) -> None:
    with StandIn(always(answer)) as server, pytest.raises(TransportError, match=found):
        DicomWeb(server.url)


def test_the_address_of_orthanc_itself_is_reported_at_once() -> None:
    def script(asked: Any, count: int) -> bytes:
        return reply({"ApiVersion": 27, "Version": "1.12.7"} if asked.path == "/system" else [])

    with StandIn(script) as server, pytest.raises(TransportError, match="/dicom-web"):
        DicomWeb(server.url)


def test_wrong_credentials_are_reported_at_once() -> None:
    with StandIn(always(reply(b"", 401))) as server, pytest.raises(AuthenticationError):
        DicomWeb(server.url, "alice", "wonderland")


def test_two_ways_to_log_in_are_one_too_many() -> None:
    with pytest.raises(SelectionError, match="not both"):
        DicomWeb("http://127.0.0.1:1", "alice", "wonderland", auth=("alice", "wonderland"))


def test_services_may_have_paths_of_their_own(serve: Make) -> None:
    server = serve(archive())
    session = DicomWeb(server.url, qido_prefix="dicom-web", wado_prefix="/dicom-web/")
    assert session.series_count == 6
    assert session.select("1.2.1.1").get_headers()[0].PatientID == "p1"


def test_a_prefix_of_none_is_the_root_and_an_invalid_one_is_refused(serve: Make) -> None:
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


def test_uploads_list_what_became_of_each_file(serve: Make, tmp_path: Path) -> None:
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


def test_a_dataset_without_file_meta_information_is_stored(serve: Make, tmp_path: Path) -> None:
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


def test_deletes_if_the_server_allows_it(serve: Make) -> None:
    server = serve(archive())
    session = DicomWeb(server.root)
    with pytest.raises(SelectionError, match="whole archive"):
        session.delete_selected_study()
    session.select(PatientID="p1").delete_selected_study()
    assert (session.reset().study_count, len(server.datasets)) == (2, 12)
    session.select(PatientID="P1").delete_selected_patient()
    assert server.datasets == []


def test_a_server_that_does_not_delete_is_reported(serve: Make) -> None:
    server = serve(archive(), deletes=False)
    session = DicomWeb(server.root).select(PatientID="p1", Modality="CT")
    with pytest.raises(UnsupportedError, match="delet"):
        session.delete_selected_series()
    assert session.series_count == 1
