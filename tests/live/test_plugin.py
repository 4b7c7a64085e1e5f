"""A script in Orthanc's Python plugin, with a session on its own server."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import LocalOrthanc
from simple_orthanc.orthanc_sdk.stand_in import stand_ins
from simple_orthanc.phantom import make_series

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, sys, traceback
import orthanc as real

def described(value):
    if not isinstance(value, type):
        return None
    return {n: v if isinstance(v, int) else None for n, v in vars(value).items() if not n.startswith("_")}

def names(output, uri, **request):
    found = {name: described(value) for name, value in vars(real).items() if not name.startswith("_")}
    output.AnswerBuffer(json.dumps({"python": list(sys.version_info[:2]), "names": found}), "application/json")

real.RegisterRestCallback("/names", names)

if list(sys.version_info[:2]) == PYTHON:
    # Not before the standard library, and without what the system has of other versions.
    sys.path[:] = [path for path in sys.path if "dist-packages" not in path] + PATHS
    from simple_orthanc import Orthanc, TransportError, orthanc_sdk as orthanc

    early = None
    try:
        Orthanc.from_plugin(patience=0)
    except TransportError as error:
        early = str(error)

    def answer(output, uri, **request):
        try:
            with Orthanc.from_plugin().select(PatientID="P1") as session:
                result = {
                    "early": early,
                    "is_real": orthanc.RestApiGet is real.RestApiGet and orthanc.RestOutput is real.RestOutput,
                    "version": json.loads(orthanc.RestApiGet("/system"))["Version"],
                    "names": session.PatientNames,
                    "shape": session.get_array().shape,
                    "unknown": type(session).__name__,
                }
        except Exception:
            result = {"error": traceback.format_exc()}
        output.AnswerBuffer(json.dumps(result), "application/json")

    orthanc.RegisterRestCallback("/answer", answer)
"""


@pytest.fixture(scope="module")
def with_plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalOrthanc]:
    """This system's Orthanc with the Python plugin, which asks for a password."""
    if not PLUGIN.exists():
        if os.environ.get("CI") and Path("/usr/sbin/Orthanc").exists():
            pytest.fail(f"CI is set, and {PLUGIN} is missing: run make prepared")
        pytest.skip("the Python plugin is not installed: sudo apt install orthanc-python (Debian 12)")
    script = tmp_path_factory.mktemp("plugin") / "script.py"
    paths = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    script.write_text(SCRIPT.replace("PATHS", repr(paths)).replace("PYTHON", repr(list(sys.version_info[:2]))))
    config = {"Plugins": [str(PLUGIN)], "PythonScript": str(script), "PythonVerbose": False}
    with LocalOrthanc(program="/usr/sbin/Orthanc", config=config) as server:
        yield server


def _part(found: dict[str, Any] | None, declared: dict[str, Any] | None) -> dict[str, Any] | None:
    """Leave out the members of a class that the stubs do not declare."""
    if found is None or declared is None:
        return found
    return {name: value for name, value in found.items() if name in declared}


@pytest.mark.live
def test_the_stubs_are_those_of_the_module(with_plugin: LocalOrthanc) -> None:
    with with_plugin.connect() as session:
        found: dict[str, Any] = session.rest.get("/names")["names"]
        version = dict(session.plugins[["id", "version"]].to_numpy())["python"]
    declared = {
        name: {
            member: content if isinstance(content, int) else None
            for member, content in vars(value).items()
            if not member.startswith("_")
        }
        if inspect.isclass(value)
        else None
        for name, value in stand_ins().items()
    }
    if version != "4.0":
        # The stubs are of that version; others have more, and lack some.
        found = {name: _part(content, declared[name]) for name, content in found.items() if name in declared}
        declared = {name: content for name, content in declared.items() if name in found}
        assert len(found) > 100
    assert declared == found


@pytest.mark.live
def test_a_script_reads_a_volume_from_its_own_server(with_plugin: LocalOrthanc) -> None:
    with with_plugin.connect() as session:
        python = session.rest.get("/names")["python"]
        if python != list(sys.version_info[:2]):
            pytest.skip(f"the plugin runs Python {python}, for which the packages of this environment are not made")
        session.upload_dataset(make_series((3, 8, 8), seed=1, PatientID="P1", PatientName="Doe^Jane"))
        answer = session.rest.get("/answer")
        assert "error" not in answer, answer["error"]
        assert answer["is_real"]
        assert answer["names"] == ["Doe^Jane"]
        assert answer["shape"] == [3, 8, 8]
        assert answer["version"] == session.system["Version"]
        assert "call from_plugin() in a callback" in json.dumps(answer["early"])
