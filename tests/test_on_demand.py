"""What `from simple_orthanc import Orthanc` imports, and what it leaves until it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import simple_orthanc
from simple_orthanc import transport
from simple_orthanc.on_demand import on_demand

LATER = [
    "SimpleITK",
    "html.entities",
    "pandas",
    "simple_orthanc.files.detection",
    "simple_orthanc.rest",
    "simple_orthanc.selection.conditions",
    "simple_orthanc.selection.index",
    "simple_orthanc.selection.predicates",
    "simple_orthanc.selection.source",
    "simple_orthanc.session.uploads.files",
    "simple_orthanc.sources.orthanc",
    "simple_orthanc.transport.client",
    "simple_orthanc.volume",
]


def test_what_a_session_needs_later_is_imported_later() -> None:
    program = f"import sys\nfrom simple_orthanc import Orthanc\nprint(sorted(set(sys.modules) & set({LATER})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("package", [simple_orthanc, transport])
def test_every_public_name_is_there(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    assert [name for name in names if not hasattr(package, name)] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'simple_orthanc' has no attribute 'Orthank'"):
        simple_orthanc.Orthank  # type: ignore[attr-defined]  # noqa: B018


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(vars(simple_orthanc), "tag", raising=False)
    found = on_demand("simple_orthanc", {"tag": "simple_orthanc.selection.criteria"})("tag")
    assert vars(simple_orthanc)["tag"] is found
