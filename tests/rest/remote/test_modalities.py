"""DICOM modalities: what is refused before it is configured, and what becomes of a C-ECHO."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from simple_orthanc.errors import (
    JobError,
    NotFoundError,
    SelectionError,
    ServerError,
    TransportError,
    UnsupportedError,
)
from simple_orthanc.rest.remote.modalities import Modalities
from tests.rest.remote.stand_in import SYSTEM, Server, serving, unreachable
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
def test_a_modality_that_cannot_work_is_refused_before_any_request(options: dict[str, Any], says: str) -> None:
    with pytest.raises(SelectionError, match=says):
        Modalities(unreachable(), ids_of)["one"] = options


def test_a_title_of_sixteen_characters_is_one(stand_in: Server, modalities: Modalities) -> None:
    modalities.configure("one", aet="A" * 16, host="10.0.0.7", port=104, local_aet="ME", allow_move=False)
    assert stand_in.configured["modalities"]["one"] == {
        "AET": "A" * 16,
        "Host": "10.0.0.7",
        "Port": 104,
        "LocalAet": "ME",
        "AllowMove": False,
    }


def test_a_configuration_that_the_server_lists_can_be_given_to_another_modality(
    stand_in: Server, modalities: Modalities
) -> None:
    # Servers list an empty title of their own where none was configured.
    modalities["one"] = {**PACS, "LocalAet": ""}
    assert stand_in.configured["modalities"]["one"]["LocalAet"] == ""


def test_an_echo_that_is_answered_returns_nothing(stand_in: Server, modalities: Modalities) -> None:
    stand_in.answers["POST /modalities/PACS/echo"] = lambda body: {}
    assert modalities["PACS"].echo(timeout=2) is None  # type: ignore[func-returns-value]
    assert stand_in.asked[-1] == ("POST", "/modalities/PACS/echo", {"Timeout": 2})


def test_an_echo_that_fails_is_an_error_with_its_reason(stand_in: Server, modalities: Modalities) -> None:
    details = "DicomAssociation - connecting to AET: DUL Association Rejected"
    answer = {"Message": "Error in the network protocol", "Details": details, "OrthancStatus": 9}
    stand_in.answers["POST /modalities/PACS/echo"] = lambda body: (answer, 500)
    with pytest.raises(
        ServerError, match=r"The modality 'PACS' did not answer a C-ECHO: .*refused the AE title"
    ) as error:
        modalities["PACS"].echo()
    assert details in str(error.value)
    assert (error.value.status, error.value.path) == (500, "/modalities/PACS/echo")


def test_an_echo_to_what_was_removed_or_through_a_dead_server_is_an_error(stand_in: Server) -> None:
    with serving(stand_in) as rest:
        pacs = Modalities(rest, ids_of)["PACS"]
        with pytest.raises(NotFoundError):
            pacs.echo()
    with pytest.raises(TransportError, match="No server answers"):
        pacs.echo()


def test_a_worklist_that_is_not_offered_is_an_error(stand_in: Server, modalities: Modalities) -> None:
    refusal = {"Message": "No presentation context", "Details": "No acceptable presentation context for modality"}
    stand_in.answers["POST /modalities/PACS/find-worklist"] = lambda body: (refusal, 500)
    with pytest.raises(ServerError, match=r"did not answer about its worklist: .*does not offer this service"):
        modalities["PACS"].find_worklist()
    stand_in.answers["POST /modalities/PACS/find-worklist"] = lambda body: [{"PatientID": "P1"}]
    assert modalities["PACS"].find_worklist("PatientID", timeout=3)["PatientID"].tolist() == ["P1"]
    assert stand_in.asked[-1][2]["Timeout"] == 3


@pytest.mark.parametrize("timeout", [0, -1, 2.5, "5", True])
def test_a_timeout_that_orthanc_does_not_take_is_refused(timeout: Any) -> None:
    pacs = Modalities(unreachable(), ids_of)._open("PACS")
    acts: list[Any] = [pacs.echo, pacs.find, pacs.find_worklist, partial(pacs.retrieve, {"StudyInstanceUID": "1.2"})]
    for act in [*acts, partial(pacs.store, "a1"), partial(pacs.commit, "a1")]:
        with pytest.raises(SelectionError, match="not a whole number of seconds"):
            act(timeout=timeout)


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


def job(content: Any, state: str = "Success", **fields: Any) -> dict[str, Any]:
    return {"ID": "j1", "State": state, "Progress": 100, "Type": "Dicom", "Content": content, **fields}


def answer_with_a_job(stand_in: Server, route: str, description: dict[str, Any]) -> None:
    stand_in.answers[f"POST /modalities/PACS/{route}"] = lambda body: {"ID": "j1", "Path": "/jobs/j1"}
    stand_in.answers["GET /jobs/j1"] = lambda body: description


def test_what_is_stored_is_sent_as_a_job_that_is_never_permissive(stand_in: Server, modalities: Modalities) -> None:
    answer_with_a_job(stand_in, "store", job({"InstancesCount": 3, "FailedInstancesCount": 0}))
    done = modalities["PACS"].store(["a1", "b2"], timeout=5, local_aet="ME2")
    assert done.content["InstancesCount"] == 3
    (body,) = [body for method, path, body in stand_in.asked if path.endswith("/store")]
    assert body == {
        "Resources": ["a1", "b2"],
        "Permissive": False,
        "Timeout": 5,
        "LocalAet": "ME2",
        "Asynchronous": True,
        "Synchronous": False,
    }


@pytest.mark.parametrize("content", [{"InstancesCount": 3, "FailedInstancesCount": 1}, {"InstancesCount": 0}])
def test_what_is_stored_in_part_or_not_at_all_is_an_error(
    content: dict[str, Any], stand_in: Server, modalities: Modalities
) -> None:
    answer_with_a_job(stand_in, "store", job(content))
    with pytest.raises(JobError, match=r"1 of 3 instances failed|no instance that was sent"):
        modalities["PACS"].store("a1")


KEPT, ALSO_KEPT = {"SOPInstanceUID": "1.2.1"}, {"SOPInstanceUID": "1.2.2"}


def instances_of(body: Any) -> Any:
    """Return two instances of whatever is asked about."""
    assert body == {"Resources": ["a1"], "Level": "Instance", "Metadata": False, "Short": True}
    return [{"ID": uid, "Type": "Instance", "MainDicomTags": {"0008,0018": uid}} for uid in ("1.2.1", "1.2.2")]


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ({"Status": "Success", "Success": [KEPT, ALSO_KEPT], "Failures": []}, None),
        ({"Status": "Failure", "Success": [KEPT], "Failures": [ALSO_KEPT]}, "does not keep 1 of 2"),
        ({"Status": "Success", "Success": [KEPT], "Failures": []}, r"1 of 2 .*1\.2\.2: not in the report"),
    ],
)
def test_a_store_with_commitment_waits_for_the_report(
    report: dict[str, Any], says: str | None, stand_in: Server, modalities: Modalities
) -> None:
    answer_with_a_job(stand_in, "store", job({"InstancesCount": 1, "StorageCommitmentTransactionUID": "2.25.1"}))
    stand_in.answers["GET /storage-commitment/2.25.1"] = lambda body: report
    stand_in.answers["POST /tools/bulk-content"] = instances_of
    if says is None:
        modalities["PACS"].store("a1", commit=True)
    else:
        with pytest.raises(JobError, match=says):
            modalities["PACS"].store("a1", commit=True)
    assert "GET /storage-commitment/2.25.1" in [f"{method} {path}" for method, path, _ in stand_in.asked]


def test_a_commitment_is_asked_for_by_itself(stand_in: Server, modalities: Modalities) -> None:
    stand_in.answers["POST /modalities/PACS/storage-commitment"] = lambda body: {"ID": "2.25.1"}
    stand_in.answers["POST /tools/bulk-content"] = instances_of
    assert modalities["PACS"].commit("a1", timeout=5).uid == "2.25.1"
    assert stand_in.asked[-1][2] == {"Resources": ["a1"], "Timeout": 5}
    stand_in.answers["GET /storage-commitment/2.25.1"] = lambda body: {"Status": "Success", "Success": [KEPT]}
    with pytest.raises(JobError, match=r"1\.2\.2: not in the report"):
        modalities["PACS"].commit("a1").wait()
    refusal = {"Message": "Cannot", "Details": "No acceptable presentation context for modality"}
    stand_in.answers["POST /modalities/PACS/storage-commitment"] = lambda body: (refusal, 500)
    with pytest.raises(ServerError, match=r"took no request for storage commitment: .*does not offer this service"):
        modalities["PACS"].commit("a1")


def holding(stand_in: Server, *, listed: int, held: int) -> None:
    """Let the modality list instances of the study 1.2, and the server hold some of them."""
    uids = [f"1.2.1.{number}" for number in range(listed)]

    def answers(body: Any) -> Any:
        stand_in.answers["GET /queries/q1/answers"] = lambda _: [
            {
                "0020,000d": {"Type": "String", "Value": "1.2"},
                "0020,000e": {"Type": "String", "Value": "1.2.1"},
                "0008,0018": {"Type": "String", "Value": uid},
            }
            for uid in uids[: None if body["Level"] == "Instance" else 1]
        ]
        return {"ID": "q1", "Path": "/queries/q1"}

    stand_in.answers |= {
        "POST /modalities/PACS/query": answers,
        "DELETE /queries/q1": lambda body: {},
        "POST /tools/lookup": lambda body: [{"ID": "s1", "Type": "Study"}],
        "GET /studies/s1/instances": lambda body: [{"MainDicomTags": {"SOPInstanceUID": uid}} for uid in uids[:held]],
    }


@pytest.mark.parametrize("how", ["move", "get"])
def test_a_retrieval_is_a_job_by_distinct_uid_whose_outcome_is_compared(
    how: Any, stand_in: Server, modalities: Modalities
) -> None:
    holding(stand_in, listed=3, held=3)
    answer_with_a_job(stand_in, how, job({"Details": [{"DimseErrorStatus": 0}]}))
    modalities["PACS"].retrieve(StudyInstanceUID="1.2", how=how, timeout=5)
    (body,) = [body for method, path, body in stand_in.asked if path == f"/modalities/PACS/{how}"]
    assert body["Level"] == "Study"
    assert body["Resources"] == [{"StudyInstanceUID": "1.2"}]
    assert body["Timeout"] == 5
    holding(stand_in, listed=3, held=2)
    with pytest.raises(JobError, match=r"ended as Success, and 1 of 3 instances did not arrive: 1\.2\.1\.2"):
        modalities["PACS"].retrieve({"StudyInstanceUID": "1.2"}, how=how)


def test_a_retrieval_to_another_machine_is_not_compared_and_its_status_is_believed(
    stand_in: Server, modalities: Modalities
) -> None:
    holding(stand_in, listed=3, held=0)
    answer_with_a_job(stand_in, "move", job({}))
    row = {"StudyInstanceUID": "1.2"}
    assert modalities["PACS"].retrieve(row, target="ELSEWHERE").state == "Success"
    with pytest.raises(JobError, match="3 of 3 instances did not arrive"):
        modalities["PACS"].retrieve(row, target="ME")
    answer_with_a_job(stand_in, "move", job({"Details": [{"DimseErrorStatus": 0}, {"DimseErrorStatus": 45056}]}))
    with pytest.raises(JobError, match="failed for 1 of 2 objects with the status 0xB000"):
        modalities["PACS"].retrieve(row, target="ELSEWHERE")


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"how": "store"}, SelectionError, 'neither "move" nor "get"'),
        ({"how": "get", "target": "ELSEWHERE"}, SelectionError, "to this Orthanc only"),
        ({}, SelectionError, "Give either rows"),
    ],
)
def test_a_retrieval_that_is_not_possible_is_refused(
    options: dict[str, Any], kind: type[Exception], says: str, stand_in: Server, modalities: Modalities
) -> None:
    with pytest.raises(kind, match=says):
        modalities["PACS"].retrieve(**options)
    assert stand_in.requests("POST") == []


def test_an_orthanc_without_c_get_says_so_and_its_move_answers_at_its_end(stand_in: Server) -> None:
    stand_in.system = {**SYSTEM, "Version": "1.10.1"}
    holding(stand_in, listed=1, held=1)
    with serving(stand_in) as rest:
        pacs = Modalities(rest, ids_of)["PACS"]
        with pytest.raises(UnsupportedError, match=r"runs Orthanc 1\.10\.1, and C-GET needs 1\.12\.6"):
            pacs.retrieve(StudyInstanceUID="1.2", how="get")
        stand_in.answers["POST /modalities/PACS/move"] = lambda body: {}
        done = pacs.retrieve(StudyInstanceUID="1.2")
        assert (done.state, done.id) == ("Success", None)
        refusal = {"Message": "Error in the network protocol", "Details": "DIMSE status 0xC000"}
        stand_in.answers["POST /modalities/PACS/move"] = lambda body: (refusal, 422)
        with pytest.raises(JobError, match="The retrieval from the modality 'PACS' failed"):
            pacs.retrieve(StudyInstanceUID="1.2")


def test_the_instances_of_a_series_are_listed_by_one_query(stand_in: Server, modalities: Modalities) -> None:
    def answer(series: str | None, uid: str) -> dict[str, Any]:
        found = {"0008,0018": uid} if series is None else {"0008,0018": uid, "0020,000e": series}
        return {number: {"Name": "x", "Type": "String", "Value": value} for number, value in found.items()}

    # One answer comes twice, one is about another series, and one does not say which.
    answers = [
        answer("1.2.1", "1.2.1.1"),
        answer("1.2.1", "1.2.1.1"),
        answer("1.2.9", "1.2.9.1"),
        answer(None, "1.2.1.2"),
    ]
    stand_in.answers |= {
        "POST /modalities/PACS/query": lambda body: {"ID": "q1", "Path": "/queries/q1"},
        "GET /queries/q1/answers": lambda body: answers,
        "DELETE /queries/q1": lambda body: {},
    }
    assert modalities["PACS"].instance_uids("1.2", "1.2.1") == {"1.2.1.1", "1.2.1.2"}
    (body,) = [body for method, path, body in stand_in.asked if path.endswith("/query")]
    assert body["Level"] == "Instance"
    assert body["Query"]["StudyInstanceUID"] == "1.2"
    assert body["Query"]["SeriesInstanceUID"] == "1.2.1"


def test_whether_a_modality_answers(stand_in: Server, modalities: Modalities) -> None:
    stand_in.answers["POST /modalities/PACS/echo"] = lambda body: {}
    assert modalities["PACS"].is_alive()
    stand_in.answers["POST /modalities/PACS/echo"] = lambda body: ({"Message": "Error in the network protocol"}, 500)
    assert not modalities["PACS"].is_alive()
