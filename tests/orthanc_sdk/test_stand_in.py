"""Outside of Orthanc the names of the plugin's module are there, and refuse to be called."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from simple_orthanc import UnsupportedError, orthanc_sdk
from simple_orthanc.orthanc_sdk.stand_in import stand_ins

NAMES: Any = stand_ins()


def test_the_names_are_those_of_the_plugin() -> None:
    functions = [name for name, value in NAMES.items() if inspect.isfunction(value)]
    classes = [name for name, value in NAMES.items() if inspect.isclass(value)]
    assert (len(functions), len(classes)) == (77, 35)
    assert {"RestApiGet", "RegisterOnChangeCallback", "GenerateRestApiAuthorizationToken"} <= set(functions)
    assert NAMES.keys() <= vars(orthanc_sdk).keys()


def test_constants_have_their_values() -> None:
    assert (orthanc_sdk.ChangeType.STABLE_SERIES, orthanc_sdk.ResourceType.SERIES) == (8, 2)
    assert orthanc_sdk.ErrorCode.INTERNAL_ERROR == -1
    assert orthanc_sdk.HttpMethod.DELETE == 4


@pytest.mark.parametrize("name", [name for name, value in NAMES.items() if inspect.isfunction(value)])
def test_functions_have_documentation_and_signature_and_refuse(name: str) -> None:
    function = NAMES[name]
    assert function.__doc__
    assert function.__name__ == name
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    with pytest.raises(UnsupportedError, match=rf"orthanc\.{name} is there only in a Python script"):
        function(*[""] * len(signature.parameters))


def test_classes_refuse_to_be_made_and_have_documented_methods() -> None:
    with pytest.raises(UnsupportedError, match=r"orthanc\.RestOutput is there only"):
        orthanc_sdk.RestOutput()
    method = inspect.signature(orthanc_sdk.RestOutput.AnswerBuffer)
    assert list(method.parameters) == ["self", "answer", "mime_type"]
    with pytest.raises(UnsupportedError, match=r"orthanc\.RestOutput\.AnswerBuffer"):
        orthanc_sdk.RestOutput.AnswerBuffer(None, "", "")  # type: ignore[arg-type]


def test_its_error_can_be_caught() -> None:
    with pytest.raises(orthanc_sdk.OrthancException):
        raise orthanc_sdk.OrthancException(1)


def test_the_error_can_be_pickled() -> None:
    with pytest.raises(UnsupportedError) as caught:
        orthanc_sdk.RestApiGet("/system")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def run_with(module: str, folder: Path) -> str:
    """Import the stand-in where a module called `orthanc` is, and return what a function of it returns."""
    (folder / "orthanc.py").write_text(module)
    program = "from simple_orthanc import orthanc_sdk as o; print(o.RestApiGet('/system'), o.ChangeType.NEW_STUDY)"
    # In a module that an old SWIG made, a deprecation as an error ends the process.
    warnings = ["-W", "error", "-W", "ignore::DeprecationWarning"]
    command = [sys.executable, *warnings, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {program}"]
    answer = subprocess.run(command, capture_output=True, text=True)
    return answer.stdout + answer.stderr


def test_inside_of_orthanc_the_names_are_its_own(tmp_path: Path) -> None:
    assert run_with("def RestApiGet(uri): return 'real ' + uri", tmp_path) == "real /system 6\n"


def test_a_package_of_another_kind_is_not_taken_for_the_plugin(tmp_path: Path) -> None:
    assert "UnsupportedError: orthanc.RestApiGet is there only" in run_with("something = 1", tmp_path)


def test_it_is_a_module_without_warnings() -> None:
    assert isinstance(orthanc_sdk, ModuleType)
    assert (orthanc_sdk.__doc__ or "").startswith("The module ``orthanc``")
