"""Sessions for the examples in docstrings, and the examples themselves, executed.

An example may use these names without making them:

- ``archive``: a session on the folder of synthetic studies, ``Folder.example()``;
- ``orthanc``: a session on an Orthanc that holds some of its patients, `ON_ORTHANC`: on a server, or where it suffices
  on a stand-in in this process;
- ``dicomweb``: likewise by DICOMweb;
- ``volume``: the CT of the archive;
- ``server``, ``pacs``: the server of ``orthanc``, and a session on another one, which ``orthanc`` knows as the modality
  PACS, the peer PARTNER and the DICOMweb server CLOUD. It holds `ON_PACS`;
- ``job``: a job that runs until it is paused.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pydicom
from pydicom.dataset import Dataset

from simple_orthanc import DicomWeb, Folder, LocalOrthanc, NotFoundError, Orthanc, Volume
from simple_orthanc.local.server import free_port
from simple_orthanc.phantom import as_bytes
from simple_orthanc.phantom.images import dataset_of
from simple_orthanc.rest import Rest
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.remote.transfers import Transfers
from simple_orthanc.rest.remote.worklists import Worklists
from simple_orthanc.testing import OrthancStandIn, make_series, orthanc_id_of
from tests.conftest import Servers
from tests.dicomweb_stand_in import DicomServer
from tests.live.two_orthancs import newest_enough
from tests.rest.jobs.server import JobServer
from tests.rest.remote.stand_in import serving
from tests.rest.remote.test_worklists import Plugin as WorklistsPlugin

ROUTES = {"Patient": "patients", "Study": "studies", "Series": "series", "Instance": "instances"}
HERE, PACS = "HERE", "PACS"
# The patients of the archive that a server holds, which are enough to show what it does, and those on the other one.
ON_ORTHANC = ("EX-002", "EX-003", "EX-006")
ON_PACS = ("EX-001", "EX-002")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@cache
def datasets_of(*patients: str) -> dict[str, Dataset]:
    """Return what the archive holds of patients, by Orthanc's identifiers of instances."""
    paths = Folder.example().files["path"]
    datasets = [pydicom.dcmread(path) for path in paths if any(patient in path for patient in patients)]
    return {orthanc_id_of(dataset): dataset for dataset in datasets}


def make_volume() -> Volume:
    return Folder.example().select(PatientID="EX-002", Modality="CT").get_volume()


class StandIns:
    """Sessions that need no server."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()

    def orthanc(self) -> Orthanc:
        stand_in = self._open.enter_context(OrthancStandIn(datasets_of(*ON_ORTHANC).values()))
        return self._open.enter_context(stand_in.connect())

    def dicomweb(self) -> DicomWeb:
        stand_in = DicomServer(datasets_of(*ON_ORTHANC).values())
        self._open.callback(stand_in.close)
        return self._open.enter_context(DicomWeb(stand_in.root))

    def restore(self) -> None:
        """Forget what an example did."""
        self._open.close()


class PluginStandIns(StandIns):
    """Stand-ins for servers with plugins that few have."""

    def orthanc(self) -> Any:
        """Return what has the verbs of these plugins, as a session has."""
        answers = {
            "GET /transfers/peers": lambda body: {"PARTNER": "bidirectional"},
            "POST /transfers/send": lambda body: {"ID": "j1", "Path": "/jobs/j1"},
            "POST /transfers/pull": lambda body: {"ID": "j1", "Path": "/jobs/j1"},
            "GET /jobs/j1": lambda body: {"ID": "j1", "State": "Success", "Content": {"TotalInstances": 40}},
            "POST /tools/bulk-content": lambda body: [{"ID": key, "Type": "Series"} for key in body["Resources"]],
        }
        plugin = WorklistsPlugin()
        plugin.answers.update(answers)
        plugin.configured["peers"] = {"PARTNER": {"Url": "http://127.0.0.1:8043/"}}
        rest = self._open.enter_context(serving(plugin))
        transfers = Transfers(rest, lambda what, everything: ["s1"])
        return SimpleNamespace(worklists=Worklists(rest), transfers=transfers, select=lambda **tags: None)


class RunningJob(JobServer):
    """A job that runs until it is paused, for as long as an example needs."""

    def get(self, path: str, **options: Any) -> Any:
        is_paused = bool(self.posted) and self.posted[-1][0].endswith("/pause")
        self.states = [{"State": "Paused" if is_paused else "Running"}]
        return super().get(path, **options)


class TwoServers:
    """An Orthanc that holds the archive, and another one that it knows; both run until the end of the tests."""

    def __init__(self, servers: Servers, stack: contextlib.ExitStack) -> None:
        name = newest_enough(servers)
        ports = [free_port(), free_port()]
        common = {"DicomServerEnabled": True, "DicomAlwaysAllowMove": True, "StableAge": 1}
        plugins = servers.recipe(name)["config"]["Plugins"]
        pacs = {
            **common,
            **{"DicomAet": PACS, "DicomPort": ports[1], "DicomModalities": {HERE: [HERE, "127.0.0.1", ports[0]]}},
            "Plugins": [*plugins, str(Path(plugins[0]).with_name("libModalityWorklists.so"))],
            "Worklists": {"Enable": True, "Database": _worklist(stack)},
        }
        self._other = stack.enter_context(servers.make(name, pacs))
        here = {
            **common,
            **{"DicomAet": HERE, "DicomPort": ports[0], "DicomModalities": {PACS: [PACS, "127.0.0.1", ports[1]]}},
            "OrthancPeers": {"PARTNER": [self._other.url]},
            "DicomWeb": {"Servers": {"CLOUD": [f"{self._other.url}/dicom-web/"]}},
        }
        self._server = stack.enter_context(servers.make(name, here))
        self._seen: dict[str, int] = {}

    def server(self) -> LocalOrthanc:
        return self._server

    def orthanc(self) -> Orthanc:
        self.pacs()
        return self._filled(self._server, datasets_of(*ON_ORTHANC))

    def pacs(self) -> Orthanc:
        return self._filled(self._other, datasets_of(*ON_PACS))

    def dicomweb(self) -> DicomWeb:
        return self.orthanc().dicomweb

    def job(self) -> Job:
        return RunningJob().job()

    def restore(self) -> None:
        """Do nothing: what an example did is looked for before the next one."""

    def _filled(self, server: LocalOrthanc, datasets: Mapping[str, Dataset]) -> Orthanc:
        """Return a session on a server that holds the datasets and nothing else, whatever examples have done to it."""
        session = server.connect()
        rest, seen = session.rest, self._seen.get(server.url, 0)
        if _last_change(rest) != seen or set(rest.get("/instances")) != datasets.keys():
            _forget_changes(rest, seen, datasets)
            held = rest.get("/instances")
            session.upload_dataset([dataset for key, dataset in datasets.items() if key not in held])
            self._seen[server.url] = _last_change(rest)
        _remove_labels(rest)
        for name in set(rest.get("/modalities")) - {PACS, HERE}:
            rest.delete(f"/modalities/{name}")
        return session


def _worklist(stack: contextlib.ExitStack) -> str:
    """Return a folder with one entry of a worklist."""
    folder = stack.enter_context(TemporaryDirectory())
    entry = make_series(
        (1, 2, 2),
        PatientID="EX-003",
        PatientName="Costa^Clara",
        AccessionNumber="A0009",
        ScheduledProcedureStepSequence=(dataset_of({"Modality": "PT", "ScheduledProcedureStepStartDate": "20260131"}),),
    )[0]
    del entry.PixelData
    Path(folder, "entry.wl").write_bytes(as_bytes(entry))
    Path(folder, "lockfile").touch()
    return folder


def _last_change(rest: Rest) -> int:
    last: int = rest.get("/changes", params={"last": ""})["Last"]
    return last


def _forget_changes(rest: Rest, seen: int, wanted: Mapping[str, Dataset]) -> None:
    """Delete the instances that were not there before, and everything with new metadata."""
    for change in rest.get("/changes", params={"since": seen, "limit": 100_000})["Changes"] if seen else []:
        if change["ChangeType"] == "UpdatedMetadata":
            with contextlib.suppress(NotFoundError):
                rest.delete(change["Path"])
    patients = {str(dataset.PatientID) for dataset in wanted.values()}
    for patient in rest.get("/patients", params={"expand": ""}):
        if patient["MainDicomTags"].get("PatientID") not in patients:
            rest.delete(f"/patients/{patient['ID']}")
    for key in set(rest.get("/instances")) - wanted.keys():
        rest.delete(f"/instances/{key}")


def _remove_labels(rest: Rest) -> None:
    for label in rest.get("/tools/labels"):
        for level in ROUTES:
            for found in rest.post("/tools/find", {"Level": level, "Labels": [label], "Query": {}, "Expand": True}):
                rest.delete(f"/{ROUTES[level]}/{found['ID']}/labels/{label}")


def run_examples(module: ModuleType, sessions: StandIns | TwoServers, folder: Path) -> list[str]:
    """Run the examples of a module, each docstring in a new folder below `folder`; return what failed."""
    complaints: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for number, test in enumerate(_tests(module)):
        with _folder(folder / str(number)):
            test.globs.update(names_for(test.examples, sessions))
            runner.run(test, out=complaints.append)
            sessions.restore()
    return complaints


def _tests(module: ModuleType) -> Iterator[doctest.DocTest]:
    """List the docstrings with examples, those of cached properties too, which doctest does not look for."""
    finder = doctest.DocTestFinder()
    found = finder.find(module)
    for cls in (each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__):
        for name, member in vars(cls).items():
            if isinstance(member, cached_property):
                found += finder.find(member.func, f"{module.__name__}.{cls.__qualname__}.{name}", module)
    return (test for test in found if test.examples)


def names_for(examples: list[doctest.Example], sessions: StandIns | TwoServers) -> dict[str, Any]:
    """Return the names of the examples' sessions that occur in them."""
    makers: dict[str, Callable[[], Any]] = {"archive": Folder.example, "volume": make_volume}
    makers |= {
        name: getattr(sessions, name)
        for name in ("orthanc", "dicomweb", "server", "pacs", "job")
        if hasattr(sessions, name)
    }
    used = _used_names(examples)
    return {name: make() for name, make in makers.items() if name in used}


def _used_names(examples: list[doctest.Example]) -> set[str]:
    """Return the names that examples use and do not make themselves."""
    nodes = [node for example in examples for node in ast.walk(ast.parse(example.source))]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    made = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - made


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
    path.mkdir()
    before = Path.cwd()
    with mock.patch.dict(os.environ):
        os.chdir(path)
        try:
            yield
        finally:
            os.chdir(before)
