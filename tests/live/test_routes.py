"""Every route of the version under test is called by its name, and answers what was honestly asked."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import LocalOrthanc, Orthanc
from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.errors import NotFoundError, OrthancError, ServerError, UnsupportedError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.rest import Rest
from simple_orthanc.rest.route_table import PLURALS, Route, routes
from tests.conftest import servers_of
from tests.http_stand_in import free_port

NOT_CALLED = {
    "post_tools_reset": "starts the server again, in the middle of the others",
    "post_tools_shutdown": "ends the server",
}
# Changes come before what depends on them, and deletions last.
ORDER = ["PUT", "POST", "GET", "DELETE"]
PDF = base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()
LOG_LEVELS = ("", "_dicom", "_generic", "_http", "_jobs", "_lua", "_plugins", "_sqlite")


class Scratch:
    """A server that is its own modality, and its own peer, with something of all that the routes ask for."""

    def __init__(self, orthanc: Orthanc, dicom_port: int, folder: Path) -> None:
        self.rest: Rest = orthanc.rest
        self.folder = folder
        self.modality = {"AET": "ORTHANC", "Host": "127.0.0.1", "Port": dicom_port, "Manufacturer": "Generic"}
        self.peer = {"Url": f"{self.rest.url}/"}
        self._seeds = itertools.count(1)
        self.file = as_bytes(make_series((1, 4, 4), seed=next(self._seeds))[0])
        self.ids = self.new_objects()
        header = self.rest.get(f"/instances/{self.ids['instance']}/simplified-tags")
        # Of every level, as a hierarchical C-FIND needs them.
        self.keys = {name: header[name] for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")}
        self.rest.put("/modalities/self", self.modality)
        self.rest.put("/peers/self", self.peer)
        self.pdf = self.rest.post(
            "/tools/create-dicom", {"Tags": {"PatientID": "PDF"}, "Content": f"data:application/pdf;base64,{PDF}"}
        )["ID"]
        self.queries = {level: self._query(level) for level in LEVELS[:3]}

    def new_objects(self) -> dict[str, str]:
        """Store a series of three instances, and return its ids by level."""
        ids = {}
        seed = next(self._seeds)
        for dataset in make_series((3, 4, 4), seed=seed, PatientID=f"PATIENT{seed}"):
            stored = self.rest.post("/instances", as_bytes(dataset))
            ids = {
                "patient": stored["ParentPatient"],
                "study": stored["ParentStudy"],
                "series": stored["ParentSeries"],
                "instance": stored["ID"],
            }
        return ids

    def _query(self, level: str) -> str:
        query = {"Level": level.capitalize(), "Query": dict(self.keys)}
        return str(self.rest.post("/modalities/self/query", query)["ID"])

    def query(self) -> str:
        return self._query("study")

    def archive_job(self) -> str:
        job = self.rest.start_job(f"/studies/{self.ids['study']}/archive", {})
        job.wait(timeout=20, progress=False)
        assert job.id is not None
        return job.id

    def failed_job(self) -> str:
        """Return a job that failed: nothing listens at its target."""
        self.rest.put("/modalities/dead", {**self.modality, "AET": "DEAD", "Port": free_port()})
        body = {"Resources": [self.ids["instance"]], "Asynchronous": True}
        return self.wait_for(self.rest.post("/modalities/dead/store", body)["ID"], "Failure")

    def commitment(self) -> str:
        """Return a storage commitment whose report has arrived."""
        body = {"Resources": [self.new_objects()["study"]]}
        uid = str(self.rest.post("/modalities/self/storage-commitment", body)["ID"])
        for _ in range(400):
            if self.rest.get(f"/storage-commitment/{uid}")["Status"] == "Success":
                return uid
            time.sleep(0.02)
        raise AssertionError("no report")

    def wait_for(self, job: str, state: str) -> str:
        for _ in range(400):
            if self.rest.get(f"/jobs/{job}")["State"] == state:
                return job
            time.sleep(0.02)
        raise AssertionError(f"the job is {self.rest.get(f'/jobs/{job}')['State']}, not {state}")

    @contextlib.contextmanager
    def waiting_job(self) -> Iterator[str]:
        """Yield a job that waits for another one, whose target accepts it and says nothing; there is one worker."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.rest.put("/modalities/silent", {**self.modality, "AET": "SILENT", "Port": silent.getsockname()[1]})
            body = {"Resources": [self.ids["instance"]], "Asynchronous": True, "Timeout": 1}
            blocking = self.rest.post("/modalities/silent/store", body)["ID"]
            self.wait_for(blocking, "Running")
            waiting = str(self.rest.post(f"/studies/{self.ids['study']}/archive", {"Asynchronous": True})["ID"])
            yield waiting
            self.wait_for(blocking, "Failure")


Arguments = Callable[[Scratch], "tuple[Any, ...]"]

# What is asked of an object, below its id, by method and what is left of the path: the arguments after the id.
OF_OBJECT: dict[str, Arguments] = {
    "POST anonymize": lambda s: ({"Keep": ["StudyDescription"]},),
    "POST modify": lambda s: ({"Replace": {"OperatorsName": "A"}},),
    "POST archive": lambda s: ({},),
    "POST media": lambda s: ({},),
    "PUT attachments/{name}": lambda s: (1025, b"attached"),
    "PUT metadata/{name}": lambda s: (1025, "written"),
    "PUT labels/{label}": lambda s: ("seen",),
    "PUT protected": lambda s: ("1",),
    "GET content/{path}": lambda s: ("0010-0020",),
    "POST export": lambda s: (str(s.folder / "exported.dcm"),),
    "POST merge": lambda s: ({"Resources": [s.new_objects()["series"]]},),
    "POST reconstruct": lambda s: ({},),
}
OTHERS: dict[str, Arguments] = {
    "post_instances": lambda s: (s.file,),
    "put_modalities_id": lambda s: ("other", s.modality),
    "delete_modalities_id": lambda s: ("other",),
    "post_modalities_id_echo": lambda s: ("self", {"Timeout": 5}),
    "post_modalities_id_find": lambda s: ("self", dict(s.keys)),
    **{f"post_modalities_id_find_{level}": lambda s: ("self", dict(s.keys)) for level in LEVELS},
    "post_modalities_id_find_worklist": lambda s: ("self", {"PatientID": "*"}),
    "post_modalities_id_get": lambda s: (
        "self",
        {"Level": "Study", "Resources": [{"StudyInstanceUID": s.keys["StudyInstanceUID"]}]},
    ),
    "post_modalities_id_move": lambda s: (
        "self",
        {"Level": "Study", "Resources": [{"StudyInstanceUID": s.keys["StudyInstanceUID"]}], "TargetAet": "ORTHANC"},
    ),
    "post_modalities_id_query": lambda s: ("self", {"Level": "Study", "Query": {"PatientID": "*"}}),
    "post_modalities_id_storage_commitment": lambda s: ("self", {"Resources": [s.ids["instance"]]}),
    "post_modalities_id_store": lambda s: ("self", [s.ids["instance"]]),
    "post_modalities_id_store_straight": lambda s: ("self", s.file),
    "put_peers_id": lambda s: ("other", s.peer),
    "delete_peers_id": lambda s: ("other",),
    "post_peers_id_store": lambda s: ("self", [s.ids["instance"]]),
    "post_peers_id_store_straight": lambda s: ("self", s.file),
    "get_plugins_id": lambda s: ("dicom-web",),
    "delete_queries_id": lambda s: (s.query(),),
    "post_queries_id_answers_index_query_studies": lambda s: (s.queries["patient"], 0, {"Query": {}}),
    "post_queries_id_answers_index_query_series": lambda s: (s.queries["study"], 0, {"Query": {}}),
    "post_queries_id_answers_index_query_instances": lambda s: (s.queries["series"], 0, {"Query": {}}),
    "post_queries_id_answers_index_retrieve": lambda s: (s.query(), 0, {"TargetAet": "ORTHANC"}),
    "post_queries_id_retrieve": lambda s: (s.query(), {"TargetAet": "ORTHANC"}),
    "get_storage_commitment_id": lambda s: (s.commitment(),),
    "post_storage_commitment_id_remove": lambda s: (s.commitment(), {}),
    "put_tools_accepted_transfer_syntaxes": lambda s: (["1.2.840.10008.1.*"],),
    "post_tools_bulk_anonymize": lambda s: ({"Resources": [s.ids["series"]]},),
    "post_tools_bulk_content": lambda s: ({"Resources": [s.ids["series"]]},),
    "post_tools_bulk_delete": lambda s: ({"Resources": [s.new_objects()["series"]]},),
    "post_tools_bulk_modify": lambda s: ({"Resources": [s.ids["series"]], "Replace": {"OperatorsName": "A"}},),
    "post_tools_count_resources": lambda s: ({"Level": "Study", "Query": {}},),
    "get_tools_create_archive": lambda s: ({"resources": s.ids["study"]},),
    "post_tools_create_archive": lambda s: ([s.ids["study"]],),
    "get_tools_create_media": lambda s: ({"resources": s.ids["study"]},),
    "post_tools_create_media": lambda s: ([s.ids["study"]],),
    "get_tools_create_media_extended": lambda s: ({"resources": s.ids["study"]},),
    "post_tools_create_media_extended": lambda s: ([s.ids["study"]],),
    "post_tools_create_dicom": lambda s: ({"Tags": {"PatientID": "made"}},),
    "put_tools_default_encoding": lambda s: ("Latin1",),
    "post_tools_dicom_echo": lambda s: (s.modality,),
    "post_tools_execute_script": lambda s: ("print(42)",),
    "post_tools_find": lambda s: ({"Level": "Study", "Query": {}},),
    "get_tools_generate_uid": lambda s: ({"level": "study"},),
    "post_tools_invalidate_tags": lambda s: ({},),
    **{f"put_tools_log_level{name}": lambda s: ("default",) for name in LOG_LEVELS},
    "post_tools_lookup": lambda s: (s.keys["StudyInstanceUID"],),
    "put_tools_metrics": lambda s: ("1",),
    "post_tools_reconstruct": lambda s: ({},),
    "put_tools_unknown_sop_class_accepted": lambda s: ("1",),
}
NAMES = {"modalities": "self", "peers": "self"}


def arguments(scratch: Scratch, route: Route) -> tuple[Any, ...]:
    """Return what a route is honestly called with."""
    if route.name in OTHERS:
        return OTHERS[route.name](scratch)
    kind, _, rest = route.path.strip("/").partition("/")
    if kind in NAMES:
        return (NAMES[kind],) if rest else ()
    if kind == "queries" and rest:
        return (scratch.queries["study"], 0) if "{index}" in rest else (scratch.queries["study"],)
    if kind not in PLURALS or not rest:
        return ()
    level, rest = LEVELS[PLURALS.index(kind)], rest.removeprefix("{id}").strip("/")
    key = f"{route.method} {rest}"
    if key == "POST split":
        objects = scratch.new_objects()
        return (objects["study"], {"Series": [objects["series"]]})
    if key == "DELETE ":
        return (scratch.new_objects()[level],)
    if key == "POST modify" and level == "patient":
        return (scratch.ids[level], {"Replace": {"PatientID": "new"}, "Force": True})
    if rest == "pdf":
        return (scratch.pdf,)
    more = OF_OBJECT[key](scratch) if key in OF_OBJECT else tuple(default(name) for name in route.parameters[1:])
    return (scratch.ids[level], *more)


def default(parameter: str) -> Any:
    return {"name": 1025, "label": "seen", "frame": 0}[parameter]


def call(scratch: Scratch, route: Route) -> Any:
    """Call a route, with the revision that it deletes."""
    given = arguments(scratch, route)
    options = {}
    if "revised" in route.marks and route.method == "DELETE":
        path = f"/{route.path.strip('/').partition('/')[0]}/{given[0]}/{route.path.split('/')[3]}/{given[1]}"
        look = f"{path}/md5" if "attachments" in path else path
        options["revision"] = scratch.rest.request("GET", look).revision
    return getattr(scratch.rest.routes, route.name)(*given, **options)


def call_jobs(scratch: Scratch) -> set[str]:
    """Call the routes of jobs, each in a state that allows it; return the names of those that were called."""
    by_name, version = scratch.rest.routes, scratch.rest.capabilities.version
    archived = scratch.archive_job()
    assert by_name.get_jobs({"expand": True})
    assert by_name.get_jobs_id(archived)["State"] == "Success"
    assert zipfile.is_zipfile(io.BytesIO(by_name.get_jobs_id_key(archived, "archive")))
    if version >= (1, 12, 2):
        by_name.delete_jobs_id_key(archived, "archive")
        by_name.delete_jobs_id(archived)
    by_name.post_jobs_id_resubmit(scratch.failed_job(), {})
    with scratch.waiting_job() as waiting:
        by_name.post_jobs_id_pause(waiting, {})
        scratch.wait_for(waiting, "Paused")
        by_name.post_jobs_id_resume(waiting, {})
        by_name.post_jobs_id_cancel(waiting, {})
    return {name for name, route in routes().items() if route.path.startswith("/jobs") and route.since <= version}


@pytest.fixture(scope="module")
def scratch(
    server: LocalOrthanc, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scratch]:
    port, folder = free_port(), tmp_path_factory.mktemp("routes")
    name, servers = f"orthanc-{server.version}", servers_of(request.config)
    plugins = servers.recipes[name]["config"]["Plugins"]
    config = {
        "CheckRevisions": True,
        "ConcurrentJobs": 1,
        "DicomPort": port,
        "DicomServerEnabled": True,
        "ExecuteLuaEnabled": True,
        "Plugins": [*plugins, f"{plugins[0].rpartition('/')[0]}/libModalityWorklists.so"],
        "RestApiWriteToFileSystemEnabled": True,
        "Worklists": {"Enable": True, "Database": str(folder)},
    }
    with servers.make(name, config) as own, own.connect() as orthanc:
        yield Scratch(orthanc, port, folder)


def test_every_route_answers(scratch: Scratch) -> None:
    version = scratch.rest.capabilities.version
    called = call_jobs(scratch)
    refused = {}
    for route in sorted(routes().values(), key=lambda route: ORDER.index(route.method)):
        if route.since > version or route.name in called or route.name in NOT_CALLED:
            continue
        called.add(route.name)
        try:
            call(scratch, route)
        except OrthancError as error:
            refused[route.name] = str(error)
    assert refused == {}
    assert called | set(NOT_CALLED) == {name for name, route in routes().items() if route.since <= version}


def test_a_route_that_the_version_lacks_names_the_version_that_has_it(scratch: Scratch) -> None:
    version = scratch.rest.capabilities.version
    for name, route in routes().items():
        if route.since <= version:
            continue
        number = ".".join(map(str, route.since))
        given = {"jobs": ("5", "archive")}.get(route.path.split("/")[1]) or arguments(scratch, route)
        with pytest.raises(UnsupportedError, match=f"has no route .*Orthanc {number} and later have it"):
            getattr(scratch.rest.routes, name)(*given[: len(route.parameters)])


def test_the_servers_own_lists_name_the_same_routes(scratch: Scratch) -> None:
    rest, version = scratch.rest, scratch.rest.capabilities.version
    instance, query = scratch.ids["instance"], scratch.queries["study"]
    lists = {
        "/tools": "/tools",
        "/modalities/{id}": "/modalities/self",
        "/peers/{id}": "/peers/self",
        "/queries/{id}": f"/queries/{query}",
        "/instances/{id}/frames/{frame}": f"/instances/{instance}/frames/0",
        "/series/{id}/attachments/{name}": f"/instances/{instance}/attachments/dicom",
    }
    for template, path in lists.items():
        below = [
            route.path.removeprefix(f"{template}/").partition("/")[0]
            for route in routes().values()
            if route.path.startswith(f"{template}/") and route.since <= version
        ]
        # Orthanc 1.10.1 lists one more, which it does not answer.
        assert sorted({*rest.get(path)} - {"uuid"}) == sorted(set(below)), template


def test_unknown_ids_and_names_are_not_found(scratch: Scratch) -> None:
    by_name = scratch.rest.routes
    for plural, level in zip(PLURALS, LEVELS, strict=True):
        for name, *more in (
            (f"get_{plural}_id",),
            (f"delete_{plural}_id",),
            (f"post_{plural}_id_modify", {}),
            (f"get_{plural}_id_module",),
            (f"get_{plural}_id_metadata_name", 1025),
        ):
            with pytest.raises(NotFoundError, match=f"has no {level} with the Orthanc id 'x'"):
                getattr(by_name, name)("x", *more)
    with pytest.raises(NotFoundError, match="has no patient with the Orthanc id 'x'"):
        by_name.put_patients_id_protected("x", "1")
    with pytest.raises(NotFoundError, match=r"no modality 'x'.* Those it knows: .*'self'"):
        by_name.post_modalities_id_echo("x", {})
    with pytest.raises(NotFoundError, match=r"no peer 'x'.* Those it knows: .*'self'"):
        by_name.get_peers_id_system("x")
    with pytest.raises(NotFoundError, match="no metadata '1026' of series"):
        by_name.get_series_id_metadata_name(scratch.ids["series"], 1026)
    with pytest.raises(NotFoundError, match="Add that name to UserMetadata"):
        by_name.put_series_id_metadata_name(scratch.ids["series"], "Unknown", "a")
    for call, says in (
        (lambda: by_name.get_instances_id_pdf(scratch.ids["instance"]), "and no pdf of it"),
        (lambda: by_name.get_instances_id_content_path(scratch.ids["instance"], "0010-9999"), "no element .0010-9999."),
    ):
        with pytest.raises(NotFoundError, match=says):
            call()
    with pytest.raises(ServerError, match="Or Orthanc keeps this itself"):
        by_name.put_series_id_metadata_name(scratch.ids["series"], "LastUpdate", "a")


@pytest.mark.parametrize("part", ["metadata", "attachments"])
def test_nobody_overwrites_the_change_of_another(scratch: Scratch, part: str) -> None:
    rest, path = scratch.rest, f"/series/{scratch.new_objects()['series']}/{part}/1030"
    look = path if part == "metadata" else f"{path}/md5"
    first = rest.request("PUT", path, "one").revision
    assert first == rest.request("GET", look).revision
    assert first is not None
    second = rest.request("PUT", path, "two", revision=first).revision
    assert second == rest.request("GET", look).revision
    for call in (lambda: rest.put(path, "three", revision=first), lambda: rest.delete(path, revision=first)):
        with pytest.raises(ServerError, match=f"replaced is '{first}', and the server has '{second}'") as caught:
            call()
        assert caught.value.status == 409
    with pytest.raises(ServerError, match=f"has '{second}': give revision="):
        rest.put(path, "three")
    rest.delete(path, revision=second)
    assert rest.request("GET", look, check=False).status == 404


def test_an_archive_is_written_whole(scratch: Scratch, tmp_path: Path) -> None:
    study = scratch.ids["study"]
    for number, written in enumerate(
        [
            scratch.rest.stream(f"/studies/{study}/archive", to=tmp_path / "0.zip"),
            scratch.rest.routes.get_studies_id_media(study, to=tmp_path / "1.zip"),
            scratch.rest.routes.post_tools_create_archive([study], to=tmp_path / "2.zip"),
        ]
    ):
        with zipfile.ZipFile(written) as archive:
            assert written.name == f"{number}.zip"
            assert archive.testzip() is None
            assert len(archive.namelist()) >= 3
    with pytest.raises(NotFoundError, match="has no study with the Orthanc id 'x'"):
        scratch.rest.stream("/studies/x/archive", to=tmp_path / "3.zip")
    assert len(list(tmp_path.iterdir())) == 3
