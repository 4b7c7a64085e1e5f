"""The defects of earlier clients, each with a check of what is right here; those of two clients are in this module."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from simple_orthanc import Orthanc
from simple_orthanc.testing import make_series, orthanc_id_of
from tests.http_stand_in import Asked, StandIn, reply
from tests.rest.objects.server import STUDY, ObjectServer
from tests.rest.test_capabilities import SYSTEM

CT = make_series((3, 4, 4), seed=1, PatientName="JaneDoe", PatientID="P1", SeriesDescription="ct_scan")
MR = make_series((2, 4, 4), seed=2, modality="MR", PatientName="JohnDoe", PatientID="P2", SeriesDescription=None)
PATIENT_ID, STUDY_ID = orthanc_id_of(CT[0], "patient"), orthanc_id_of(CT[0], "study")
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


def session_on(routes: dict[str, Any], system: dict[str, Any] = SYSTEM) -> tuple[ObjectServer, Orthanc]:
    """Open a session on a server that answers these routes."""
    described = {f"GET /{level}/{key}": {**STUDY, "ID": key, "Type": kind} for level, key, kind in OBJECTS}
    server = ObjectServer({**described, **routes}, system)
    return server, Orthanc(server.url, patience=0)


def asked(server: StandIn, method: str, path: str) -> list[Asked]:
    return [request for request in server.asked if (request.method, request.path.partition("?")[0]) == (method, path)]


ANSWERS = [{"PatientID": f"P{number}", "StudyInstanceUID": f"1.2.{number}"} for number in range(8)]


def found_by_query() -> tuple[list[str], pd.DataFrame]:
    """Find studies by C-FIND; return what was asked of the server, and the table."""
    numbers = {"PatientID": "0010,0020", "StudyInstanceUID": "0020,000d"}
    full = [
        {numbers[name]: {"Name": name, "Type": "String", "Value": value} for name, value in answer.items()}
        for answer in ANSWERS
    ]
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


@defect("PyOrthanc", "an empty password means none")
@defect("orthanc-api-client", "an empty password means none")
def _(path: Path) -> None:
    with ObjectServer({}) as server:
        Orthanc(server.url, username="jane", password="")
        assert server.asked[0].headers["authorization"] == "Basic " + base64.b64encode(b"jane:").decode()


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
