"""DICOMweb servers that the plugin of an Orthanc server knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc.errors import (
    AuthenticationError,
    JobError,
    NotFoundError,
    SelectionError,
    ServerError,
    UnknownNameError,
    UnsupportedError,
)
from simple_orthanc.rest.remote.dicomweb_servers import DicomWebServer, DicomWebServers
from tests.rest.remote.stand_in import Server, serving
from tests.rest.remote.test_configured import ARCHIVE, ids_of
from tests.secrets_in_tracebacks import leaks

SECRET = "Bearer wonder-land-4711"


def test_without_the_plugin_the_list_is_unsupported() -> None:
    stand_in = Server()
    del stand_in.configured["dicom-web/servers"]
    with serving(stand_in) as rest:
        servers = DicomWebServers(rest, ids_of)
        acts: list[Any] = [lambda: list(servers), lambda: servers["archive"], servers.table]
        for act in [*acts, lambda: servers.configure("archive", ARCHIVE), lambda: servers.pop("archive")]:
            with pytest.raises(UnsupportedError, match=r"which the DICOMweb plugin adds.*orthanc-dicomweb"):
                act()


def test_the_configuration_of_what_was_removed_is_an_error() -> None:
    stand_in = Server()
    stand_in.configured["dicom-web/servers"] = {"archive": ARCHIVE, "other": ARCHIVE}
    with serving(stand_in) as rest:
        archive = DicomWebServers(rest, ids_of)["archive"]
        assert archive.configuration == {name: ARCHIVE[name] for name in ("Url", "Username")}
        del stand_in.configured["dicom-web/servers"]["archive"]
        with pytest.raises(UnknownNameError, match="'archive' any more; it knows other"):
            archive.configuration  # noqa: B018


@pytest.fixture
def stand_in() -> Server:
    stand_in = Server()
    stand_in.configured["dicom-web/servers"]["archive"] = ARCHIVE
    return stand_in


@pytest.fixture
def archive(stand_in: Server) -> Iterator[DicomWebServer]:
    with serving(stand_in) as rest:
        yield DicomWebServers(rest, ids_of)["archive"]


def listing(stand_in: Server, uids: list[str], held: list[str]) -> None:
    """Let the DICOMweb server list instances of the study 1.2, and this Orthanc hold some."""

    def get(body: Any) -> Any:
        chain = {"0020000D": "1.2", "0020000E": "1.2.1"}
        items = [{**chain, "00080018": uid} for uid in uids] if body["Uri"].endswith("/instances") else [chain]
        if body["Arguments"]["offset"] != "0":
            return []
        return [{number: {"vr": "UI", "Value": [uid]} for number, uid in found.items()} for found in items]

    stand_in.answers |= {
        "POST /dicom-web/servers/archive/get": get,
        "POST /tools/lookup": lambda body: [{"ID": "s1", "Type": "Study"}],
        "GET /studies/s1/instances": lambda body: [{"MainDicomTags": {"SOPInstanceUID": uid}} for uid in held],
    }


def answer_with_a_job(stand_in: Server, route: str, state: str, **fields: Any) -> None:
    stand_in.answers |= {
        f"POST /dicom-web/servers/archive/{route}": lambda body: {"ID": "j1", "Path": "/jobs/j1"},
        "GET /jobs/j1": lambda body: {"ID": "j1", "State": state, **fields},
    }


def test_what_is_found_is_a_table(stand_in: Server, archive: DicomWebServer) -> None:
    listing(stand_in, ["1.2.1.1"], [])
    assert archive.find("instance", "SOPInstanceUID")["SOPInstanceUID"].tolist() == ["1.2.1.1"]
    with pytest.raises(SelectionError, match="lists no patients"):
        archive.find("patient")


def test_a_retrieval_is_compared_with_what_is_listed(stand_in: Server, archive: DicomWebServer) -> None:
    answer_with_a_job(stand_in, "retrieve", "Success", Content={"ReceivedInstancesCount": "2"})
    listing(stand_in, ["1.2.1.1", "1.2.1.2"], ["1.2.1.1", "1.2.1.2"])
    archive.retrieve(StudyInstanceUID="1.2")
    body = next(body for _, path, body in stand_in.asked if path.endswith("/retrieve"))
    assert body["Resources"] == [{"Study": "1.2"}]
    assert body["Asynchronous"] is True
    archive.retrieve({"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1"}, level="study")
    listing(stand_in, ["1.2.1.1", "1.2.1.2"], ["1.2.1.1"])
    with pytest.raises(JobError, match=r"1 of 2 instances did not arrive: 1\.2\.1\.2"):
        archive.retrieve(StudyInstanceUID="1.2")


def test_a_failure_of_the_plugin_is_explained(stand_in: Server, archive: DicomWebServer) -> None:
    for route, act in (("stow", archive.store), ("retrieve", archive.retrieve)):
        answer_with_a_job(stand_in, route, "Failure", ErrorDetails="Error encountered within the plugin engine")
        with pytest.raises(JobError, match=r"'archive' failed: .*The DICOMweb plugin gives no reason"):
            act("a1" if route == "stow" else {"StudyInstanceUID": "1.2"})


@pytest.mark.parametrize("content", [{"InstancesCount": "0"}, {}])
def test_what_is_stored_counts_in_strings(content: Any, stand_in: Server, archive: DicomWebServer) -> None:
    answer_with_a_job(stand_in, "stow", "Success", Content={"InstancesCount": "2"})
    assert archive.store(["a1", "b2"]).content["InstancesCount"] == "2"
    answer_with_a_job(stand_in, "stow", "Success", Content=content)
    with pytest.raises(JobError, match="no instance that was sent"):
        archive.store("a1")


def test_headers_of_a_request_are_in_no_traceback(stand_in: Server, archive: DicomWebServer) -> None:
    stand_in.answers["POST /dicom-web/servers/archive/get"] = lambda body: ({"Message": "Unauthorized"}, 500)
    with pytest.raises(ServerError, match="'archive' did not answer: Unauthorized") as caught:
        archive.get("/studies", {"PatientID": "P1"}, {"Authorization": SECRET})
    assert stand_in.asked[-1][2] == {
        "Uri": "/studies",
        "Arguments": {"PatientID": "P1"},
        "HttpHeaders": {"Authorization": SECRET},
    }
    assert leaks(caught.value, SECRET) == []


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (401, AuthenticationError, "Check the user and password of its configuration"),
        (403, AuthenticationError, "may not do this"),
        (404, NotFoundError, "check the URL it is known by"),
    ],
)
def test_a_refusal_of_the_dicomweb_server_is_not_one_of_the_orthanc(
    status: int, kind: type[ServerError], says: str, stand_in: Server, archive: DicomWebServer
) -> None:
    stand_in.answers["POST /dicom-web/servers/archive/get"] = lambda body: ({"Message": "Refused"}, status)
    refused = rf"The DICOMweb server 'archive', asked by http.*, answered {status} to /studies"
    with pytest.raises(kind, match=refused) as error:
        archive.find()
    assert says in str(error.value)
    assert error.value.status == status


def test_deleting_needs_permission_in_the_configuration(stand_in: Server, archive: DicomWebServer) -> None:
    stand_in.answers["POST /dicom-web/servers/archive/delete"] = lambda body: {}
    with pytest.raises(UnsupportedError, match="not configured for deletion, so nothing was deleted"):
        archive.delete("1.2")
    for value in ("1", True):
        stand_in.configured["dicom-web/servers"]["archive"] = {**ARCHIVE, "HasDelete": value}
        archive.delete("1.2", "1.2.1")
        assert stand_in.asked[-1][2] == {"Level": "Series", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.1"}
    for chain in (("", None, None), ("1.2", None, "1.2.1.1"), ("1.2", "", None)):
        with pytest.raises(SelectionError, match="Name the UIDs from the study down"):
            archive.delete(*chain)
    stand_in.answers["POST /dicom-web/servers/archive/delete"] = lambda body: (
        {"Message": "Error in the network protocol"},
        500,
    )
    with pytest.raises(ServerError, match=r"Deleting on the DICOMweb server 'archive' failed: .*cannot be reached"):
        archive.delete("1.2")


def test_the_instances_of_a_series_are_listed(stand_in: Server, archive: DicomWebServer) -> None:
    listing(stand_in, ["1.2.1.1", "1.2.1.2"], [])
    assert archive.instance_uids("1.2", "1.2.1") == {"1.2.1.1", "1.2.1.2"}
    body = next(body for _, path, body in stand_in.asked if path.endswith("/get"))
    assert body["Uri"] == "/studies/1.2/series/1.2.1/instances"
    # So Orthanc answers about a series that it does not hold.
    stand_in.answers["POST /dicom-web/servers/archive/get"] = lambda body: ({"Message": "Unknown resource"}, 404)
    assert archive.instance_uids("1.2", "1.2.1") == set()
    stand_in.answers["POST /dicom-web/servers/archive/get"] = lambda body: ({"Message": "Plugin engine"}, 500)
    with pytest.raises(ServerError):
        archive.instance_uids("1.2", "1.2.1")


@pytest.mark.parametrize(("answer", "is_alive"), [([], True), (({}, 403), True), (({}, 500), False)])
def test_whether_a_dicomweb_server_answers(
    answer: Any, is_alive: bool, stand_in: Server, archive: DicomWebServer
) -> None:
    stand_in.answers["POST /dicom-web/servers/archive/get"] = lambda body: answer
    assert archive.is_alive() is is_alive
