"""What PyOrthanc 1.23 and beren 0.7 did wrongly when they were executed is right here.

Each check is named after the client and its defect. The servers are stand-ins, which note what they are asked.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections import Counter
from datetime import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import (
    AuthenticationError,
    NotFoundError,
    Orthanc,
    ServerError,
    UnsupportedError,
    testing,
)
from simple_orthanc.errors import UnknownNameError
from simple_orthanc.testing import OrthancStandIn, as_bytes, make_series
from tests.earlier_clients import CT, DEFECTS, MR, STUDY_ID, Defect, asked, defect, session_on
from tests.http_stand_in import reply
from tests.rest.objects.server import STUDY, ObjectServer, data, text

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


@defect("PyOrthanc", "labels of an Orthanc that has none are a KeyError")
def _(path: Path) -> None:
    server, orthanc = session_on({}, {"Version": "1.10.1", "ApiVersion": 16})
    with server, pytest.raises(UnsupportedError, match=r"1\.12\.0"):
        set(orthanc.rest.studies["s1"].labels)


CHECKS = [earlier for earlier in DEFECTS if earlier.client in ("PyOrthanc", "beren")]


@pytest.mark.parametrize("earlier", CHECKS, ids=lambda earlier: f"{earlier.client}: {earlier.what}")
def test_what_earlier_clients_did_wrongly(earlier: Defect, tmp_path: Path) -> None:
    earlier.check(tmp_path)


def test_there_is_a_check_for_each_defect() -> None:
    assert Counter(earlier.client for earlier in CHECKS) == {"PyOrthanc": 19, "beren": 14}
