"""Every example in the documentation of the modules gives what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import simple_orthanc

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(simple_orthanc.__path__, "simple_orthanc.")
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "dicom.levels",
        "dicom.tags",
        "dicom.values",
        "selection.conditions",
        "selection.criteria",
        "session.display",
        "session.downloads",
        "rest",
    ],
)
def test_the_query_half_shows_examples(name: str) -> None:
    finder = doctest.DocTestFinder()
    found = finder.find(importlib.import_module(f"simple_orthanc.{name}"))
    assert any(not example.options.get(doctest.SKIP) for test in found for example in test.examples)
