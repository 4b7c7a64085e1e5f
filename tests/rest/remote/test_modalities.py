"""DICOM modalities: what is refused before it is configured, and what becomes of a C-ECHO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc.errors import NotFoundError, SelectionError, ServerError, TransportError
from simple_orthanc.rest.remote.modalities import Modalities
from tests.rest.remote.stand_in import Server, serving
from tests.rest.remote.test_configured import PACS, ids_of


@pytest.fixture
def stand_in() -> Server:
    stand_in = Server()
    stand_in.configured["modalities"]["PACS"] = PACS
    return stand_in


@pytest.fixture
def modalities(stand_in: Server) -> Iterator[Modalities]:
    with serving(stand_in) as rest:
        yield Modalities(rest, ids_of)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"AET": "PACS"}, "it lacks Host, Port: give aet="),
        ({"Host": "h", "Port": 104}, "it lacks AET"),
        ({**PACS, "AET": "A" * 17}, "no AE title: at most 16"),
        ({**PACS, "AET": ""}, "no AE title"),
        ({**PACS, "AET": "  "}, "no AE title"),
        ({**PACS, "AET": "A\\B"}, "no AE title"),
        ({**PACS, "AET": "MÜLLER"}, "no AE title"),
        ({**PACS, "AET": 5}, "no AE title"),
        ({**PACS, "LocalAet": "A" * 17}, r"LocalAet=.* is no AE title"),
        ({**PACS, "Host": ""}, "neither a name nor an address"),
        ({**PACS, "Host": "http://10.0.0.7"}, "neither a name nor an address"),
        ({**PACS, "Port": 0}, "not an integer from 1 to 65535"),
        ({**PACS, "Port": 70000}, "not an integer from 1 to 65535"),
        ({**PACS, "Port": "104"}, "not an integer from 1 to 65535"),
        ({**PACS, "Port": True}, "not an integer from 1 to 65535"),
        ({**PACS, "AllowEcho": "yes"}, "AllowEcho is True or False"),
        ({**PACS, "Manufacturer": object()}, "cannot be written as JSON"),
    ],
)
def test_a_modality_that_cannot_work_is_refused_before_any_request(
    options: dict[str, Any], says: str, stand_in: Server, modalities: Modalities
) -> None:
    with pytest.raises(SelectionError, match=says):
        modalities["one"] = options
    assert stand_in.asked == []


def test_a_title_of_sixteen_characters_is_one(stand_in: Server, modalities: Modalities) -> None:
    modalities.configure("one", aet="A" * 16, host="10.0.0.7", port=104, local_aet="ME", allow_move=False)
    assert stand_in.configured["modalities"]["one"] == {
        "AET": "A" * 16,
        "Host": "10.0.0.7",
        "Port": 104,
        "LocalAet": "ME",
        "AllowMove": False,
    }


def test_an_echo_that_is_answered_returns_nothing(stand_in: Server, modalities: Modalities) -> None:
    stand_in.answers["POST /modalities/PACS/echo"] = lambda body: {}
    assert modalities["PACS"].echo(timeout=2) is None  # type: ignore[func-returns-value]
    assert stand_in.asked[-1] == ("POST", "/modalities/PACS/echo", {"Timeout": 2})


@pytest.mark.parametrize(
    ("details", "says"),
    [
        ("DicomAssociation - connecting to AET: DUL Association Rejected", "refused the AE title of this Orthanc"),
        ("TCP Initialization Error: Connection refused", "Nothing listens at its host and port"),
        ("TCP Initialization Error: Operation now in progress", "Nothing listens at its host and port"),
        ("DUL network read timeout", "accepted the connection and then was silent"),
        ("No acceptable presentation context", "does not offer this service"),
        ("Something else", "The server's log may say more"),
    ],
)
def test_an_echo_that_fails_is_an_error_with_its_reason(
    details: str, says: str, stand_in: Server, modalities: Modalities
) -> None:
    stand_in.answers["POST /modalities/PACS/echo"] = lambda body: (
        {"Message": "Error in the network protocol", "Details": details, "OrthancStatus": 9},
        500,
    )
    with pytest.raises(ServerError, match=says) as caught:
        modalities["PACS"].echo()
    assert details in str(caught.value)
    assert "The modality 'PACS' did not answer a C-ECHO" in str(caught.value)
    assert caught.value.status == 500
    assert caught.value.path == "/modalities/PACS/echo"


def test_an_echo_to_what_was_removed_or_through_a_dead_server_is_an_error(stand_in: Server) -> None:
    with serving(stand_in) as rest:
        pacs = Modalities(rest, ids_of)["PACS"]
        with pytest.raises(NotFoundError):
            pacs.echo()
    with pytest.raises(TransportError, match="No server answers"):
        pacs.echo()


def test_a_find_asks_the_server_and_cleans_up(stand_in: Server, modalities: Modalities) -> None:
    answer = {
        "0008,0020": {"Name": "StudyDate", "Type": "String", "Value": "20200131"},
        "0010,0020": {"Name": "PatientID", "Type": "String", "Value": "P1"},
        "0020,000d": {"Name": "StudyInstanceUID", "Type": "String", "Value": "1.2"},
    }
    stand_in.answers |= {
        "POST /modalities/PACS/query": lambda body: {"ID": "q1", "Path": "/queries/q1"},
        "GET /queries/q1/answers": lambda body: [answer, answer],
        "DELETE /queries/q1": lambda body: {},
    }
    frame = modalities["PACS"].find("study", "PatientID", "StudyDate", PatientID="P1", timeout=3)
    assert frame["PatientID"].tolist() == ["P1"]
    assert [(method, path.partition("?")[0]) for method, path, _ in stand_in.asked[-3:]] == [
        ("POST", "/modalities/PACS/query"),
        ("GET", "/queries/q1/answers"),
        ("DELETE", "/queries/q1"),
    ]
    body = stand_in.asked[-3][2]
    assert body["Level"] == "Study"
    assert body["Timeout"] == 3
    assert body["Query"]["PatientID"] == "P1"
    assert body["Query"]["SpecificCharacterSet"] == "ISO_IR 192"
