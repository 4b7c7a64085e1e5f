"""Every public name shows an example, and every example gives the output that it shows."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import simple_orthanc
from tests.conftest import servers_of
from tests.example_sessions import PluginStandIns, StandIns, TwoServers, run_examples
from tests.public_names import public_names, without_example

ROOT = Path(__file__).parents[1]
# Their examples start an Orthanc, or do what only an Orthanc can.
LIVE = {
    "simple_orthanc.dicomweb",
    "simple_orthanc.dicomweb.rendering",
    "simple_orthanc.dicomweb.retrieving",
    "simple_orthanc.dicomweb.searching",
    "simple_orthanc.errors",
    "simple_orthanc.local.program",
    "simple_orthanc.local.server",
    "simple_orthanc.rest",
    "simple_orthanc.rest.jobs.answers",
    "simple_orthanc.rest.jobs.collection",
    "simple_orthanc.rest.jobs.described",
    "simple_orthanc.rest.jobs.job",
    "simple_orthanc.rest.objects.attachments",
    "simple_orthanc.rest.objects.collection",
    "simple_orthanc.rest.objects.hierarchy",
    "simple_orthanc.rest.objects.images",
    "simple_orthanc.rest.objects.labels",
    "simple_orthanc.rest.objects.metadata",
    "simple_orthanc.rest.objects.resource",
    "simple_orthanc.rest.objects.tags",
    "simple_orthanc.rest.remote.commitment",
    "simple_orthanc.rest.remote.configured",
    "simple_orthanc.rest.remote.dicomweb_servers",
    "simple_orthanc.rest.remote.modalities",
    "simple_orthanc.rest.remote.peers",
    "simple_orthanc.rest.remote.queries",
    "simple_orthanc.rest.responses",
    "simple_orthanc.rest.routes",
    "simple_orthanc.rest.verbs",
    "simple_orthanc.session.acts.copy_verbs",
    "simple_orthanc.session.acts.verbs",
    "simple_orthanc.session.administration",
    "simple_orthanc.session.dicomweb",
    "simple_orthanc.session.machines",
    "simple_orthanc.session.orthanc",
    "simple_orthanc.session.pacs",
    "simple_orthanc.session.watching.verbs",
    "simple_orthanc.transport.bodies",
}
# They need plugins of Orthanc that no distribution has.
PLUGINS = {"simple_orthanc.rest.remote.transfers", "simple_orthanc.rest.remote.worklists"}
PYTORCH = {"simple_orthanc.volume.handover"}
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(simple_orthanc.__path__, "simple_orthanc.")
    if not module.name.endswith("__main__")
)


@pytest.fixture(scope="module")
def two_servers(request: pytest.FixtureRequest) -> Iterator[TwoServers]:
    with contextlib.ExitStack() as stack:
        yield TwoServers(servers_of(request.config), stack)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What an example writes to the home folder is not the user's.
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    "name",
    [
        "dicom.levels",
        "dicom.tags",
        "dicom.values",
        "selection.criteria",
        "selection.parsing",
        "selection.predicates",
        "session.display.words",
        "session.exports.names",
        "rest.capabilities",
    ],
)
def test_the_modules_about_selecting_show_examples(name: str) -> None:
    finder = doctest.DocTestFinder()
    found = finder.find(importlib.import_module(f"simple_orthanc.{name}"))
    assert any(test.examples for test in found)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.pytorch] * (name in PYTORCH)) for name in MODULES if name not in LIVE],
)
def test_examples(name: str, tmp_path: Path) -> None:
    sessions = PluginStandIns() if name in PLUGINS else StandIns()
    complaints = run_examples(importlib.import_module(name), sessions, tmp_path)
    assert not complaints, "".join(complaints)


@pytest.mark.live
@pytest.mark.unmeasured
@pytest.mark.parametrize("name", sorted(LIVE))
def test_examples_on_servers(name: str, tmp_path: Path, two_servers: TwoServers) -> None:
    complaints = run_examples(importlib.import_module(name), two_servers, tmp_path)
    assert not complaints, "".join(complaints)


def test_every_public_name_has_an_example() -> None:
    names = public_names()
    assert {"simple_orthanc.session.narrowing.Narrowing.select", "simple_orthanc.rest.jobs.job.Job.wait"} <= set(names)
    lacking = without_example(names)
    assert not lacking, f"These docstrings show no example: {', '.join(lacking)}."


def test_no_example_is_skipped() -> None:
    sources = [*(ROOT / "simple_orthanc").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    skipped = [str(path) for path in sources if re.search(r"doctest:\s*\+SKIP", path.read_text(encoding="utf-8"))]
    assert not skipped, f"Examples are skipped in {', '.join(skipped)}."
