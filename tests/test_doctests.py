"""Every example in the docstrings of the modules gives the output that it shows."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import simple_orthanc

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(simple_orthanc.__path__, "simple_orthanc.")
    if not module.name.endswith("__main__")
)


# Their examples find Orthanc on this machine, and start it.
LIVE = ("simple_orthanc.local.program", "simple_orthanc.local.server")
PYTORCH = ("simple_orthanc.volume.handover",)


def marks(name: str) -> tuple[pytest.MarkDecorator, ...]:
    """Return the marks of the test of a module."""
    return (pytest.mark.live,) if name in LIVE else (pytest.mark.pytorch,) if name in PYTORCH else ()


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in MODULES])
def test_examples(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an example writes to the home folder or the current one is not the user's.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0, capsys.readouterr().out


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
    assert any(not example.options.get(doctest.SKIP) for test in found for example in test.examples)
