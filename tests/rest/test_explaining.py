"""What a refusal means: which object is missing, which version has a route, who was first."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from simple_orthanc.errors import AuthenticationError, NotFoundError, OrthancError, ServerError, UnsupportedError
from simple_orthanc.rest import Rest
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply
from tests.rest.test_capabilities import SYSTEM

LEVELS = [("patients", "patient"), ("studies", "study"), ("series", "series"), ("instances", "instance")]
Call = Callable[[Rest], Any]


def orthanc(known: dict[str, Any], refusal: bytes, version: str = "1.12.7") -> StandIn:
    """Serve what is known, and refuse all else in one way."""
    answers = {"/system": {**SYSTEM, "Version": version}, **known}

    def script(asked: Asked, count: int) -> bytes:
        if asked.method == "GET" and asked.path in answers:
            answer = answers[asked.path]
            return answer if isinstance(answer, bytes) else reply(answer)
        return refusal

    return StandIn(script)


def error_of(call: Call, refusal: bytes, known: dict[str, Any] | None = None, version: str = "1.12.7") -> OrthancError:
    with orthanc(known or {}, refusal, version) as server, pytest.raises(OrthancError) as caught:
        call(Rest(Transport(server.url, patience=0)))
    # One error is shown, not two.
    assert caught.value.__suppress_context__
    return caught.value


NOT_FOUND = reply({"Message": "Unknown resource", "Details": "in detail"}, 404)
BAD = reply({"Message": "Parameter out of range"}, 400)


@pytest.mark.parametrize(("plural", "level"), LEVELS)
@pytest.mark.parametrize("path", ["", "/statistics", "/metadata/LastUpdate", "/labels/a", "/attachments/dicom/md5"])
def test_an_unknown_id_is_named_with_its_level(plural: str, level: str, path: str) -> None:
    error = error_of(lambda rest: rest.get(f"/{plural}/a%20b{path}"), NOT_FOUND)
    assert isinstance(error, NotFoundError)
    assert (
        f"has no {level} with the Orthanc id 'a b'; asked for GET /{plural}/a%20b{path}. rest.get(\"/{plural}\")"
        in (error.message)
    )
    assert (error.status, error.method, error.path) == (404, "GET", f"/{plural}/a%20b{path}")
    assert "in detail" in error.details


@pytest.mark.parametrize(
    "call",
    [
        lambda rest: rest.post("/studies/x/anonymize", {}),
        lambda rest: rest.post("/series/x/modify", {}),
        lambda rest: rest.put("/patients/x/protected", "1"),
        lambda rest: rest.request("POST", "/studies/x/anonymize", {}),
        lambda rest: rest.routes.post_studies_id_anonymize("x", {}),
    ],
)
def test_an_unknown_id_that_the_server_calls_a_bad_request_is_not_found(call: Call) -> None:
    def script(asked: Asked, count: int) -> bytes:
        return NOT_FOUND if asked.method == "GET" else BAD

    with StandIn(script) as server, pytest.raises(NotFoundError, match="with the Orthanc id 'x'") as caught:
        call(Rest(Transport(server.url)))
    assert caught.value.status == 400


def test_a_bad_request_about_an_object_that_exists_is_left_as_it_is() -> None:
    error = error_of(lambda rest: rest.post("/studies/x/anonymize", {}), BAD, {"/studies/x": {}})
    assert "answered 400" in error.message
    assert "Orthanc id" not in error.message


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/metadata/Foo", "has no metadata 'Foo' of study 'x'"),
        ("/attachments/1025/data", "has no attachment '1025' of study 'x'"),
        ("/labels/seen", "has no label 'seen' of study 'x'"),
        ("/archive", "has study 'x', and no archive of it"),
        ("/module-patient", "has study 'x', and no module-patient of it"),
    ],
)
def test_the_missing_part_of_an_object_is_named(path: str, says: str) -> None:
    error = error_of(lambda rest: rest.get(f"/studies/x{path}"), NOT_FOUND, {"/studies/x": {}})
    assert isinstance(error, NotFoundError)
    assert says in error.message


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/pdf", "has instance 'x', and no pdf of it"),
        ("/frames/99/preview", "has no image of frame '99' of instance 'x'"),
        ("/content/0008-1140/0/0008-1155", "has no element '0008-1140/0/0008-1155' of instance 'x'"),
    ],
)
def test_the_missing_part_of_an_instance_is_named(path: str, says: str) -> None:
    error = error_of(lambda rest: rest.get(f"/instances/x{path}"), NOT_FOUND, {"/instances/x": {}})
    assert isinstance(error, NotFoundError)
    assert says in error.message


@pytest.mark.parametrize(("part", "option"), [("metadata", "UserMetadata"), ("attachments", "UserContentType")])
def test_a_name_that_is_not_configured_cannot_be_written(part: str, option: str) -> None:
    error = error_of(lambda rest: rest.put(f"/series/x/{part}/Foo", b"a"), NOT_FOUND, {"/series/x": {}})
    assert f"Add that name to {option} in its configuration, or use a number from 1024 to 65535." in error.message


@pytest.mark.parametrize("part", ["metadata", "attachments"])
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_reserved_metadata_and_attachments_cannot_be_written(part: str, body: bytes) -> None:
    error = error_of(lambda rest: rest.put(f"/series/x/{part}/Own", b"a"), reply(body, 403))
    assert isinstance(error, AuthenticationError)
    assert "Or Orthanc keeps this itself" in error.message


@pytest.mark.parametrize(
    ("call", "option"),
    [
        (lambda rest: rest.post("/tools/execute-script", "a"), "ExecuteLuaEnabled"),
        (lambda rest: rest.post("/instances/x/export", "/a"), "RestApiWriteToFileSystemEnabled"),
    ],
)
def test_the_option_that_enables_a_route_is_named(call: Call, option: str) -> None:
    assert f"enabled by the option {option}." in error_of(call, reply(b"", 403)).message


@pytest.mark.parametrize(("kind", "name"), [("modalities", "modality"), ("peers", "peer"), ("plugins", "plugin")])
def test_an_unknown_name_is_told_with_those_that_are_known(kind: str, name: str) -> None:
    for known, names in (["b", "a"], "'a', 'b'"), ([], "none"):
        error = error_of(lambda rest: rest.get(f"/{kind}/x"), NOT_FOUND, {f"/{kind}": known})
        assert isinstance(error, NotFoundError)
        assert f"knows no {name} 'x'; asked for GET /{kind}/x. Those it knows: {names}." in error.message
    error = error_of(lambda rest: rest.get(f"/{kind}/x"), NOT_FOUND, {f"/{kind}": ["x"]})
    assert "knows no" not in error.message


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/jobs/5", "knows no job '5'.*JobsHistorySize"),
        ("/jobs/5/archive", "answered 404"),
        ("/queries/5/answers", "knows no query '5'.*QueryRetrieveSize"),
        ("/storage-commitment/1.2", "knows no storage commitment '1.2'.*StorageCommitmentReportsSize"),
        ("/dicom-web/studies", "answered 404.*need a plugin"),
        ("/nonsense", "answered 404"),
        ("/", "answered 404"),
    ],
)
def test_other_missing_things_are_named_if_known(path: str, says: str) -> None:
    error = error_of(lambda rest: rest.get(path), NOT_FOUND)
    assert isinstance(error, NotFoundError)
    assert re.search(says, error.message)


@pytest.mark.parametrize(
    ("call", "path", "version"),
    [
        (lambda rest: rest.put("/series/a/labels/b"), "PUT /series/{id}/labels/{label}", "1.12.0"),
        (lambda rest: rest.get("/patients/a/labels"), "GET /patients/{id}/labels", "1.12.0"),
        (lambda rest: rest.routes.get_tools_labels(), "GET /tools/labels", "1.12.0"),
        (lambda rest: rest.delete("/jobs/5"), "DELETE /jobs/{id}", "1.12.2"),
        (lambda rest: rest.post("/tools/count-resources", {}), "POST /tools/count-resources", "1.12.5"),
        (lambda rest: rest.post("/modalities/a/get", {}), "POST /modalities/{id}/get", "1.12.6"),
        (lambda rest: rest.request("GET", "/tools/create-archive"), "GET /tools/create-archive", "1.12.2"),
        (lambda rest: rest.stream("/tools/create-media").__enter__(), "GET /tools/create-media", "1.12.2"),
    ],
)
@pytest.mark.parametrize("status", [404, 405])
def test_a_route_that_the_version_lacks_is_unsupported(call: Call, path: str, version: str, status: int) -> None:
    error = error_of(call, reply(b"", status), version="1.10.1")
    assert isinstance(error, UnsupportedError)
    assert f"is Orthanc 1.10.1, which has no route {path}. Orthanc {version} and later have it" in error.message
    assert not isinstance(error_of(call, reply(b"", status), version=version), UnsupportedError)
    assert not isinstance(error_of(call, reply(b"", status), version="mainline-1a2b"), UnsupportedError)


def test_a_path_names_the_methods_that_it_takes() -> None:
    error = error_of(lambda rest: rest.post("/jobs/5", {}), reply(b"", 405))
    assert error.message.endswith("This path takes DELETE and GET, not POST.")
    assert "This path" not in error_of(lambda rest: rest.post("/dicom-web", {}), reply(b"", 405)).message


ETAG = {"ETag": '"4-abc"'}
CONFLICT = reply({"Message": "A bad revision number"}, 409)


@pytest.mark.parametrize(
    ("path", "asked_at"),
    [("/series/x/metadata/1024", ""), ("/series/x/attachments/1025", "/md5")],
)
@pytest.mark.parametrize("verb", ["put", "delete"])
def test_a_conflict_names_both_revisions(path: str, asked_at: str, verb: str) -> None:
    known = {path + asked_at: reply(b"a", headers=ETAG)}
    error = error_of(lambda rest: getattr(rest, verb)(path, revision="3-def"), CONFLICT, known)
    assert isinstance(error, ServerError)
    assert error.status == 409
    assert "A bad revision number" in error.message
    assert "to be replaced is '3-def', and the server has '4-abc'" in error.message
    error = error_of(lambda rest: getattr(rest, verb)(path), CONFLICT, known)
    assert "checks revisions, and has '4-abc': give revision=." in error.message


@pytest.mark.parametrize(
    ("version", "held", "expected"),
    [
        ("1.10.1", "0-abc", "0-abc"),
        ("1.12.7", "0-abc", "0-abc"),
        # A database with revisions.
        ("1.12.7", "1-abc", "1-abc"),
        # Another writer was here in the meantime.
        ("1.12.7", "0-def", "1-abc"),
        ("1.13.0", "5-abc", "1-abc"),
    ],
)
def test_the_revision_after_a_put_is_the_one_that_is_held(version: str, held: str, expected: str) -> None:
    def script(asked: Asked, count: int) -> bytes:
        if asked.path == "/system":
            return reply({**SYSTEM, "Version": version})
        return reply(b"", headers={"ETag": '"1-abc"' if asked.method == "PUT" else f'"{held}"'})

    with StandIn(script) as server:
        rest = Rest(Transport(server.url))
        assert rest.request("PUT", "/series/x/metadata/1024", "a").revision == expected
        assert rest.request("put", "/series/x/attachments/1024", "a").revision == expected


def test_a_put_succeeds_although_its_revision_cannot_be_asked_for() -> None:
    def script(asked: Asked, count: int) -> bytes | None:
        return reply(b"", headers={"ETag": '"1-abc"'}) if asked.method == "PUT" else None

    with StandIn(script) as server:
        rest = Rest(Transport(server.url, patience=0))
        assert rest.request("PUT", "/series/x/metadata/1024", "a").revision == "1-abc"


def test_a_look_that_fails_leaves_the_refusal_as_it_is() -> None:
    def script(asked: Asked, count: int) -> bytes | None:
        return None if count else BAD

    with StandIn(script) as server, pytest.raises(ServerError, match=r"answered 400 .*Parameter out of range"):
        Rest(Transport(server.url, patience=0)).post("/studies/x/anonymize", {})
