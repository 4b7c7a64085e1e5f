"""What PyOrthanc 1.23, orthanc-api-client 0.25 and beren 0.7 did wrongly when they were executed is right here.

Each test is named after the client and its defect. The servers are stand-ins, which note what they are asked.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import inspect
import io
import re
from collections.abc import Callable
from datetime import time
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset

import simple_orthanc
from simple_orthanc import (
    AuthenticationError,
    NotFoundError,
    Orthanc,
    SelectionError,
    ServerError,
    TransportError,
    UnsupportedError,
    testing,
)
from simple_orthanc.errors import UnknownNameError
from simple_orthanc.rest.capabilities import Capabilities, parse_version
from simple_orthanc.testing import OrthancStandIn, as_bytes, make_series, orthanc_id_of
from tests.http_stand_in import Asked, StandIn, reply
from tests.rest.objects.server import STUDY, ObjectServer, data, text
from tests.rest.test_capabilities import SYSTEM

CT = make_series((3, 4, 4), seed=1, PatientName="JaneDoe", PatientID="P1", SeriesDescription="ct_scan")
MR = make_series((2, 4, 4), seed=2, modality="MR", PatientName="JohnDoe", PatientID="P2", SeriesDescription=None)
PATIENT_ID, STUDY_ID = orthanc_id_of(CT[0], "patient"), orthanc_id_of(CT[0], "study")
COUNT = 51
# What servers hold for tests that ask for one object.
OBJECTS = (
    ("patients", "p1", "Patient"),
    ("studies", "s1", "Study"),
    ("studies", "s2", "Study"),
    ("series", "s1", "Series"),
    ("instances", "i1", "Instance"),
)


class Defect(NamedTuple):
    """A defect of an earlier client, and the test of what is right."""

    client: str
    what: str
    check: Callable[[Path], None]


DEFECTS: list[Defect] = []


def defect(client: str, what: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Add a check of what is right to the list."""

    def added(check: Callable[[Path], None]) -> Callable[[Path], None]:
        DEFECTS.append(Defect(client, what, check))
        return check

    return added


@pytest.mark.parametrize("earlier", DEFECTS, ids=lambda earlier: f"{earlier.client}: {earlier.what}")
def test_what_earlier_clients_did_wrongly(earlier: Defect, tmp_path: Path) -> None:
    earlier.check(tmp_path)


def test_there_is_a_check_for_each_defect() -> None:
    assert len(DEFECTS) == COUNT
    assert {earlier.client for earlier in DEFECTS} == {"PyOrthanc", "orthanc-api-client", "beren"}


def session_on(routes: dict[str, Any], system: dict[str, Any] = SYSTEM) -> tuple[ObjectServer, Orthanc]:
    """Open a session on a server that answers these routes."""
    described = {f"GET /{level}/{key}": {**STUDY, "ID": key, "Type": kind} for level, key, kind in OBJECTS}
    server = ObjectServer({**described, **routes}, system)
    return server, Orthanc(server.url, patience=0)


def asked(server: StandIn, method: str, path: str) -> list[Asked]:
    return [request for request in server.asked if (request.method, request.path.partition("?")[0]) == (method, path)]


# beren


@defect("beren", "a second client redirects the first, with its password")
def _(path: Path) -> None:
    with ObjectServer({"GET /tools/now": "first"}) as first, ObjectServer({"GET /tools/now": "second"}) as second:
        one = Orthanc(first.url, username="jane", password="one")
        two = Orthanc(second.url, username="john", password="two")
        assert [one.rest.get("/tools/now"), two.rest.get("/tools/now"), one.rest.get("/tools/now")] == [
            "first",
            "second",
            "first",
        ]
        for server, login in ((first, b"jane:one"), (second, b"john:two")):
            sent = {request.headers["authorization"] for request in server.asked}
            assert sent == {"Basic " + base64.b64encode(login).decode()}


@defect("beren", "a limit without a start is dropped")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /series": ["a"]})
    with server:
        orthanc.rest.get("/series", {"limit": 1})
        assert server.calls[-1] == "GET /series?limit=1"


@defect("beren", "find fails unless it has a limit")
def _(path: Path) -> None:
    with OrthancStandIn([*CT, *MR]) as server, server.connect() as orthanc:
        assert orthanc.select(PatientName="Jan*").table(level="patient")["PatientID"].tolist() == ["P1"]


@defect("beren", "a lookup sends JSON, which never matches")
def _(path: Path) -> None:
    uid = STUDY["MainDicomTags"]["StudyInstanceUID"]
    server, orthanc = session_on({"POST /tools/lookup": [{"ID": "s1", "Type": "Study"}]})
    with server:
        assert orthanc.rest.post("/tools/lookup", uid) == [{"ID": "s1", "Type": "Study"}]
        assert orthanc.rest.studies.lookup(uid).id == "s1"
        assert {request.body for request in asked(server, "POST", "/tools/lookup")} == {uid.encode()}


@defect("beren", "the studies of a patient by PatientID are always none")
def _(path: Path) -> None:
    with OrthancStandIn([*CT, *MR]) as server, server.connect() as orthanc:
        assert orthanc.select(PatientID="P1").get_orthanc_ids("study") == [STUDY_ID]


@defect("beren", "the tag that is asked for is ignored")
def _(path: Path) -> None:
    names = {"0010,0010": {"Name": "PatientName", "Type": "String", "Value": "JaneDoe"}}
    server, orthanc = session_on(
        {"GET /instances/i1/tags": names, "GET /instances/i1/content/0010-0010": text("JaneDoe ")}
    )
    with server:
        instance = orthanc.rest.instances["i1"]
        assert instance.tags["PatientName"] == "JaneDoe"
        assert instance.raw_value("PatientName") == b"JaneDoe "
        with pytest.raises(KeyError):
            instance.tags["PatientSex"]


@defect("beren", "the patient's module of a study has a wrong address")
def _(path: Path) -> None:
    names = {"0010,0020": {"Name": "PatientID", "Type": "String", "Value": "P1"}}
    server, orthanc = session_on({"GET /studies/s1/module-patient": names})
    with server:
        assert orthanc.rest.studies["s1"].patient_module()["PatientID"] == "P1"


@defect("beren", "reconstructing a patient asks for its protection")
def _(path: Path) -> None:
    server, orthanc = session_on({"POST /patients/p1/reconstruct": {}})
    with server:
        orthanc.rest.patients["p1"].reconstruct()
        assert "POST /patients/p1/reconstruct" in server.calls


@defect("beren", "a frame cannot be read")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /instances/i1/frames/1/raw": data(b"\1\2")})
    with server:
        assert orthanc.rest.instances["i1"].raw_frame(1) == b"\1\2"


@defect("beren", "a modified instance is parsed as JSON")
def _(path: Path) -> None:
    file = reply(as_bytes(CT[0]), headers={"Content-Type": "application/dicom"})
    server, orthanc = session_on({"POST /instances/i1/modify": file})
    with server:
        assert orthanc.rest.instances["i1"].modify({"PatientName": "New"}) == as_bytes(CT[0])


@defect("beren", "no attachment can be read")
def _(path: Path) -> None:
    listed = {"GET /studies/s1/attachments": ["1024"]}
    server, orthanc = session_on({**listed, "GET /studies/s1/attachments/1024/data": data(b"notes")})
    with server:
        assert orthanc.rest.studies["s1"].attachments[1024].read() == b"notes"


@defect("beren", "Prometheus' metrics are parsed as JSON")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /tools/metrics-prometheus": text("orthanc_jobs_running 2 1700000000000\n")})
    with server:
        metrics = orthanc.metrics()
        assert metrics.set_index("name")["value"]["orthanc_jobs_running"] == 2


@defect("beren", "the default encoding is posted")
def _(path: Path) -> None:
    server, orthanc = session_on({"PUT /tools/default-encoding": text("Utf8")})
    with server:
        orthanc.default_encoding = "Utf8"
        assert [request.body for request in asked(server, "PUT", "/tools/default-encoding")] == [b"Utf8"]


@defect("beren", "a script cannot be executed")
def _(path: Path) -> None:
    server, orthanc = session_on({"POST /tools/execute-script": text("42\n")})
    with server:
        assert orthanc.rest.post("/tools/execute-script", "print(6 * 7)") == "42\n"
        assert server.asked[-1].body == b"print(6 * 7)"


# PyOrthanc


@defect("PyOrthanc", "an empty password means none")
@defect("orthanc-api-client", "an empty password means none")
def _(path: Path) -> None:
    with ObjectServer({}) as server:
        Orthanc(server.url, username="jane", password="")
        assert server.asked[0].headers["authorization"] == "Basic " + base64.b64encode(b"jane:").decode()


@defect("PyOrthanc", "an error does not tell 401, 404 and 500 apart")
def _(path: Path) -> None:
    details = {"Message": "Bad file format", "Details": "the reason"}
    routes = {f"GET /{status}": reply(details, status) for status in (401, 404, 500)}
    server, orthanc = session_on(routes)
    with server:
        for status, kind in ((401, AuthenticationError), (404, NotFoundError), (500, ServerError)):
            with pytest.raises(kind) as caught:
                orthanc.rest.get(f"/{status}")
            assert (caught.value.status, caught.value.path, caught.value.method) == (status, f"/{status}", "GET")
        assert "the reason" in str(caught.value)


@defect("PyOrthanc", "objects are equal and cannot be in a set")
def _(path: Path) -> None:
    server, orthanc = session_on({})
    with server:
        rest = orthanc.rest
        assert len({rest.studies["s1"], rest.studies["s1"], rest.studies["s2"], rest.series["s1"]}) == 3


@defect("PyOrthanc", "finding fails where an event loop runs")
def _(path: Path) -> None:
    async def find() -> int:
        with OrthancStandIn([*CT, *MR]) as server, server.connect() as orthanc:
            return orthanc.select("P1").series_count

    assert asyncio.run(find()) == 1


@defect("PyOrthanc", "what was found is asked for again, object by object")
def _(path: Path) -> None:
    many = [image for seed in range(20) for image in make_series((1, 2, 2), seed=seed, PatientID=f"P{seed}")]
    with OrthancStandIn(many) as server:
        paths: list[str] = []
        respond = server.respond

        def noting(method: str, path: str, headers: Any, body: bytes) -> Any:
            paths.append(f"{method} {path}")
            return respond(method, path, headers, body)

        server.respond = noting  # type: ignore[method-assign]
        with server.connect() as orthanc:
            table = orthanc.select(Modality="CT").table("PatientID", "Modality", "StudyDate")
        assert len(table) == 20
        assert len(paths) < 15


@defect("PyOrthanc", "a limit of 0 is asked for without end")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /series": []})
    with server:
        before = len(server.asked)
        assert orthanc.rest.get("/series", {"since": 0, "limit": 0}) == []
        assert len(server.asked) == before + 1


@defect("PyOrthanc", "fractions of seconds are dropped")
def _(path: Path) -> None:
    assert testing.from_dicom_time("093015.25") == time(9, 30, 15, 250000)
    image = make_series((1, 2, 2), seed=1, StudyTime="093015.25")
    with OrthancStandIn(image) as server, server.connect() as orthanc:
        assert orthanc.table("StudyTime", level="study")["StudyTime"][0] == pd.Timedelta("09:30:15.25")


@defect("PyOrthanc", "a missing tag ends the filter")
def _(path: Path) -> None:
    with OrthancStandIn([*CT, *MR]) as server, server.connect() as orthanc:
        assert orthanc.table("SeriesDescription")["SeriesDescription"].isna().tolist() == [False, True]
        chosen = orthanc.select(SeriesDescription=lambda value: value.startswith("ct"))
        assert chosen.Modality == ["CT"]


@defect("PyOrthanc", "the route to invalidate tags is misspelled")
def _(path: Path) -> None:
    server, orthanc = session_on({"POST /tools/invalidate-tags": {}})
    with server:
        orthanc.rest.routes.post_tools_invalidate_tags()
        assert "POST /tools/invalidate-tags" in server.calls


@defect("PyOrthanc", "the route to a new UID is misspelled")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /tools/generate-uid": text("1.2.3")})
    with server:
        assert orthanc.rest.routes.get_tools_generate_uid(params={"level": "study"}) == "1.2.3"


@defect("PyOrthanc", "an error is written into the zip")
def _(path: Path) -> None:
    server, orthanc = session_on({})
    with server:
        with pytest.raises(NotFoundError):
            orthanc.rest.studies["s2"].archive(path / "study.zip")
        with pytest.raises(NotFoundError):
            orthanc.rest.stream("/studies/s1/archive", to=path / "study.zip")
    assert list(path.iterdir()) == []


@defect("PyOrthanc", "a pathlib.Path is no place for a download")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /instances/i1/file": reply(as_bytes(CT[0]))})
    with server:
        assert orthanc.rest.stream("/instances/i1/file", to=path / "one.dcm") == path / "one.dcm"
        assert orthanc.rest.stream("/instances/i1/file", to=str(path / "two.dcm")) == path / "two.dcm"
    assert (path / "one.dcm").read_bytes() == (path / "two.dcm").read_bytes() == as_bytes(CT[0])


@defect("PyOrthanc", "files without an ending are left out")
def _(path: Path) -> None:
    for number, name in enumerate(("IM0001", "image.dcm", "image.ima", "image.DCM")):
        (path / name).write_bytes(as_bytes(make_series((1, 2, 2), seed=number)[0]))
    with OrthancStandIn() as server, server.connect() as orthanc:
        assert orthanc.upload_folder(path)["status"].tolist() == ["stored"] * 4


@defect("PyOrthanc", "one file that is compressed or broken ends the upload")
def _(path: Path) -> None:
    (path / "a.dcm.gz").write_bytes(gzip.compress(as_bytes(CT[0])))
    (path / "b.dcm").write_bytes(b"broken")
    (path / "c.dcm").write_bytes(as_bytes(CT[1]))
    with OrthancStandIn() as server, server.connect() as orthanc:
        assert orthanc.upload_folder(path)["status"].tolist() == ["not DICOM", "not DICOM", "stored"]


@defect("PyOrthanc", "a dataset without file meta information cannot be uploaded")
def _(path: Path) -> None:
    dataset = Dataset()
    dataset.update({element.tag: element for element in CT[0]})
    with OrthancStandIn() as server, server.connect() as orthanc:
        assert orthanc.upload_dataset(dataset)["status"].tolist() == ["stored"]
    assert not hasattr(dataset, "file_meta")


@defect("PyOrthanc", "an echo of an unknown modality is just false")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /modalities": ["PACS"]})
    with server, pytest.raises(UnknownNameError, match="PACS"):
        orthanc.modalities["unknown"].echo()


ANSWERS = [{"PatientID": f"P{number}", "StudyInstanceUID": f"1.2.{number}"} for number in range(8)]


def found_by_query() -> tuple[list[str], pd.DataFrame]:
    full = [
        {f"{tag.replace(',', '')[:4]},{tag[5:]}": {"Name": name, "Type": "String", "Value": answer[name]}
         for tag, name in (("0010,0020", "PatientID"), ("0020,000d", "StudyInstanceUID"))}
        for answer in ANSWERS
    ]  # fmt: skip
    routes = {
        "GET /modalities": ["PACS"],
        "GET /modalities/PACS/configuration": {"AET": "PACS", "Host": "127.0.0.1", "Port": 104},
        "POST /modalities/PACS/query": {"ID": "q1", "Path": "/queries/q1"},
        "GET /queries/q1/answers": full,
        "DELETE /queries/q1": reply(b""),
    }
    server, orthanc = session_on(routes)
    with server:
        table = orthanc.modalities["PACS"].find(
            "study", "PatientID", PatientID=[answer["PatientID"] for answer in ANSWERS]
        )
        return server.calls, table


@defect("PyOrthanc", "each answer of a query is a request")
@defect("orthanc-api-client", "each answer of a query is a request")
def _(path: Path) -> None:
    calls, table = found_by_query()
    assert table["PatientID"].tolist() == [answer["PatientID"] for answer in ANSWERS]
    assert not [call for call in calls if call.startswith("GET /queries/q1/answers/")]
    # One for each value, at the most.
    assert sum(call.startswith("GET /queries/q1/answers?") for call in calls) <= len(ANSWERS)


@defect("PyOrthanc", "queries stay on the server")
@defect("orthanc-api-client", "queries stay on the server")
def _(path: Path) -> None:
    calls, _ = found_by_query()
    assert calls.count("DELETE /queries/q1") == calls.count("POST /modalities/PACS/query") > 0


@defect("PyOrthanc", "labels of an Orthanc that has none are a KeyError")
def _(path: Path) -> None:
    server, orthanc = session_on({}, {"Version": "1.10.1", "ApiVersion": 16})
    with server, pytest.raises(UnsupportedError, match=r"1\.12\.0"):
        set(orthanc.rest.studies["s1"].labels)


# orthanc-api-client


@defect("orthanc-api-client", "a with statement fails")
def _(path: Path) -> None:
    with OrthancStandIn(CT) as server, Orthanc(server.url) as orthanc:
        assert orthanc.series_count == 1


@defect("orthanc-api-client", "a path in the address is lost without a slash at its end")
def _(path: Path) -> None:
    with StandIn(lambda asked, count: reply(SYSTEM) if asked.path == "/orthanc/system" else reply({}, 404)) as server:
        for address in (f"{server.url}/orthanc", f"{server.url}/orthanc/"):
            assert Orthanc(address, patience=0).rest.get("/system")["Version"] == SYSTEM["Version"]


@defect("orthanc-api-client", "an answer that breaks off is None")
def _(path: Path) -> None:
    cut = reply(b"x" * 3000, headers={"X-Close": "yes"}, chunked=True)[:-1200]
    answers = {"/gone": None, "/cut": cut}
    with StandIn(lambda request, count: answers.get(request.path, reply(SYSTEM))) as server:
        rest = Orthanc(server.url, patience=0, timeout=(1, 1)).rest
        for route in ("/gone", "/cut"):
            with pytest.raises(TransportError):
                rest.get(route)


@defect("orthanc-api-client", "the message of an error is a number")
def _(path: Path) -> None:
    server, orthanc = session_on({})
    with server, pytest.raises(NotFoundError, match=r"no study with the Orthanc id 'gone'.*rest\.get"):
        orthanc.rest.get("/studies/gone")


@defect("orthanc-api-client", "2.0.0 is older than 1.12")
def _(path: Path) -> None:
    assert parse_version("2.0.0") > parse_version("1.12") < parse_version("1.12.1") < parse_version("1.13.0")


@defect("orthanc-api-client", "a version with letters is an error")
def _(path: Path) -> None:
    assert parse_version("1.12.5rc") == (1, 12, 5)


@defect("orthanc-api-client", "asking an old server for its capabilities is a KeyError")
def _(path: Path) -> None:
    old = Capabilities.from_system({"Version": "1.10.1", "ApiVersion": 16})
    assert (old.labels, old.extended_find) == (False, False)


@defect("orthanc-api-client", "the studies of a patient are an AttributeError")
def _(path: Path) -> None:
    with OrthancStandIn([*CT, *MR]) as server, server.connect() as orthanc:
        assert [study.id for study in orthanc.rest.patients[PATIENT_ID].studies] == [STUDY_ID]


TAGS = {"0008,103e": {"Name": "SeriesDescription", "Type": "String", "Value": "ct_scan"}}


@defect("orthanc-api-client", "tags with capital digits are not found")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /instances/i1/tags": TAGS})
    with server:
        tags = orthanc.rest.instances["i1"].tags
        assert tags["0008,103E"] == tags["0008,103e"] == tags["0008103E"] == "ct_scan"


@defect("orthanc-api-client", "tags have no length, and a missing one is None")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /instances/i1/tags": TAGS})
    with server:
        tags = orthanc.rest.instances["i1"].tags
        assert (len(tags), len(list(tags)), len(tags.keys())) == (1, 1, 1)
        assert tags.get("PatientName") is None
        with pytest.raises(KeyError):
            tags["PatientName"]


@defect("orthanc-api-client", "the ways to retrieve are spelled in two ways")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /modalities": ["PACS"]})
    with server:
        retrieve = orthanc.modalities["PACS"].retrieve
        assert str(inspect.signature(retrieve).parameters["how"].annotation).count("move") <= 1
        with pytest.raises(SelectionError, match=r"move.*get|get.*move"):
            retrieve({"StudyInstanceUID": "1.2"}, how="C_MOVE")  # type: ignore[arg-type]


@defect("orthanc-api-client", "it cannot be imported on each Python that it names")
def _(path: Path) -> None:
    sources = sorted(Path(simple_orthanc.__file__).parent.rglob("*.py"))
    assert len(sources) > 150
    # New in Python 3.11.
    newer = re.compile(r"\b(StrEnum|ReprEnum|TaskGroup|ExceptionGroup|tomllib|datetime import.*\bUTC|except\*)")
    assert [source for source in sources if newer.search(source.read_text(encoding="utf-8"))] == []


@defect("orthanc-api-client", "a generated file has no preamble")
def _(path: Path) -> None:
    for modality in ("CT", "MR", "US", "CR"):
        (path / "one.dcm").write_bytes(as_bytes(make_series((1, 8, 8), modality=modality)[0]))
        assert pydicom.dcmread(path / "one.dcm").pixel_array.shape == (8, 8)


@defect("orthanc-api-client", "the file meta information is about another object")
def _(path: Path) -> None:
    for modality in ("CT", "MR", "RTSTRUCT"):
        written = pydicom.dcmread(io.BytesIO(as_bytes(make_series(modality=modality, SOPInstanceUID="1.2.3")[0])))
        assert written.file_meta.MediaStorageSOPInstanceUID == written.SOPInstanceUID == "1.2.3"
        assert written.file_meta.MediaStorageSOPClassUID == written.SOPClassUID
        assert written.Modality == modality


@defect("orthanc-api-client", "no PET image can be generated")
def _(path: Path) -> None:
    (image,) = make_series((1, 8, 8), modality="PT")
    assert (image.SOPClassUID.name, image.Units) == ("Positron Emission Tomography Image Storage", "BQML")
