"""Every example in the docstrings of the modules gives the output that it shows."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import simple_orthanc
from tests.conftest import servers_of
from tests.example_sessions import StandIns, TwoServers, run_examples

# Their examples start an Orthanc, or do what only an Orthanc can.
LIVE = {
    "simple_orthanc.dicomweb",
    "simple_orthanc.dicomweb.rendering",
    "simple_orthanc.dicomweb.retrieving",
    "simple_orthanc.dicomweb.searching",
    "simple_orthanc.errors",
    "simple_orthanc.local.program",
    "simple_orthanc.local.server",
    "simple_orthanc.session.acts.copy_verbs",
    "simple_orthanc.session.acts.verbs",
    "simple_orthanc.session.dicomweb",
    "simple_orthanc.session.orthanc",
    "simple_orthanc.session.pacs",
}
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
    complaints = run_examples(importlib.import_module(name), StandIns(), tmp_path)
    assert not complaints, "".join(complaints)


@pytest.mark.live
@pytest.mark.parametrize("name", sorted(LIVE))
def test_examples_on_servers(name: str, tmp_path: Path, two_servers: TwoServers) -> None:
    complaints = run_examples(importlib.import_module(name), two_servers, tmp_path)
    assert not complaints, "".join(complaints)
