"""One C-FIND through Orthanc: what is sent, what comes back, and what is left behind."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.errors import AuthenticationError, NotFoundError, ServerError, TransportError
from simple_orthanc.rest.remote.queries import find, refusal

STRING = {"Name": "PatientID", "Type": "String", "Value": "P1"}


class Server:
    """Answers one query; an exception in place of an answer is raised."""

    def __init__(self, answers: Any = (), started: Any = None, deleted: Any = None) -> None:
        self.answers, self.deleted = answers, deleted
        self.started = {"ID": "q 1", "Path": "/queries/q 1"} if started is None else started
        self.asked: list[tuple[Any, ...]] = []

    def _answer(self, answer: Any, *asked: Any) -> Any:
        self.asked.append(asked)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def get(self, path: str, *, params: Any = None) -> Any:
        return self._answer(["PACS", "other"] if path == "/modalities" else self.answers, "GET", path, params)

    def post(self, path: str, body: Any = None, *, timeout: Any = None, idempotent: bool = False) -> Any:
        return self._answer(self.started, "POST", path, body, timeout)

    def delete(self, path: str) -> Any:
        return self._answer(self.deleted, "DELETE", path)


def test_a_query_is_sent_as_utf8_and_removed() -> None:
    server = Server([{"0008,0005": {**STRING, "Value": "ISO_IR 192"}, "0010,0020": STRING}])
    found = find(server, "PACS", "series", {"StudyInstanceUID": "1.2", "Modality": ""}, timeout=7)
    assert found.answers == [{"0008,0005": "ISO_IR 192", "0010,0020": "P1"}]
    assert found.character_sets == {"ISO_IR 192"}
    query = {"SpecificCharacterSet": "ISO_IR 192", "StudyInstanceUID": "1.2", "Modality": ""}
    assert server.asked == [
        ("POST", "/modalities/PACS/query", {"Level": "Series", "Query": query, "Normalize": False, "Timeout": 7}, 67),
        ("GET", "/queries/q%201/answers", {"expand": ""}),
        ("DELETE", "/queries/q%201"),
    ]


def test_a_value_is_missing_empty_or_not_written() -> None:
    elements = {
        "0008,0060": {"Name": "Modality", "Type": "String", "Value": ""},
        "0008,1030": {"Name": "StudyDescription", "Type": "Null", "Value": None},
        "0008,103E": {"Name": "SeriesDescription", "Type": "TooLong", "Value": None},
        "0040,0275": {"Name": "RequestAttributesSequence", "Type": "Sequence", "Value": []},
    }
    (answer,) = find(Server([elements]), "PACS", "series", {}).answers
    assert answer == {"0008,0060": "", "0008,1030": "", "0008,103e": None, "0040,0275": None}


@pytest.mark.parametrize("error", [NotFoundError("gone", status=404), TransportError("lost")])
def test_a_query_that_cannot_be_removed_does_no_harm(error: Exception) -> None:
    assert find(Server([], deleted=error), "PACS", "study", {}).answers == []


@pytest.mark.parametrize("error", [TransportError("lost"), KeyboardInterrupt(), ServerError("no", status=500)])
def test_a_query_is_removed_when_reading_fails(error: BaseException) -> None:
    server = Server(error)
    with pytest.raises(type(error)):
        find(server, "PACS", "study", {})
    assert server.asked[-1] == ("DELETE", "/queries/q%201")


def test_an_unknown_modality_is_an_error_with_those_that_are_known() -> None:
    server = Server(started=NotFoundError("no", status=404, path="/modalities/a%20b/query"))
    with pytest.raises(NotFoundError, match=r"no modality 'a b'; it knows 'PACS', 'other'") as caught:
        find(server, "a b", "study", {})
    assert caught.value.status == 404
    assert server.asked[0][1] == "/modalities/a%20b/query"


@pytest.mark.parametrize(
    ("details", "status", "advice"),
    [
        ('C-FIND SCU to AET "PACS" has failed with DIMSE status 0xA700 (out of resources)', 0xA700, "narrow by"),
        ("C-FIND SCU failed with DIMSE status 0xFE00", 0xFE00, "narrow by"),
        ("DicomAssociation - connecting to AET PACS: Connection refused", None, "Check that it runs"),
        ("DUL network read timeout", None, "Check that it runs"),
    ],
)
def test_a_failure_names_what_was_asked_and_why_it_failed(details: str, status: int | None, advice: str) -> None:
    server = Server(started=ServerError("no", status=500, method="POST", details=details))
    with pytest.raises(ServerError, match=advice) as caught:
        find(server, "PACS", "series", {"StudyInstanceUID": "1.2", "Modality": ""})
    assert "'PACS'" in str(caught.value)
    assert "level series for {'StudyInstanceUID': '1.2'}" in str(caught.value)
    assert caught.value.status == 500
    assert refusal(caught.value) == status


def test_a_wrong_password_stays_one() -> None:
    with pytest.raises(AuthenticationError, match=r"\Ano\Z"):
        find(Server(started=AuthenticationError("no", status=401)), "PACS", "study", {})


@pytest.mark.parametrize("answers", [{}, None, "text", [None], [{"0010,0020": "P1"}], b""])
def test_what_is_no_list_of_answers_is_an_error(answers: Any) -> None:
    with pytest.raises(TransportError, match="not a list of answers"):
        find(Server(answers), "PACS", "study", {})


@pytest.mark.parametrize("started", [[], "text", {"Path": "/queries/1"}, {"ID": 7}, {"ID": ""}])
def test_an_answer_without_a_query_is_an_error(started: Any) -> None:
    with pytest.raises(TransportError, match="names no query"):
        find(Server(started=started), "PACS", "study", {})
