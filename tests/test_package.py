"""What the package is seen from outside: its names, its errors, its version, and how lightly it is imported."""

from __future__ import annotations

import configparser
import importlib.metadata
import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import simple_orthanc
from simple_orthanc import errors

ROOT = Path(__file__).parents[1]

ERRORS = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.OrthancError)
}

SESSIONS = ["DicomWeb", "Folder", "LocalOrthanc", "Orthanc", "Session"]
VOLUMES = ["Geometry", "SuvRecord", "Volume"]
CONDITIONS = ["Condition", "exact", "label", "like", "metadata", "tag"]
PUBLIC = sorted([*ERRORS, *SESSIONS, *VOLUMES, *CONDITIONS, "limits", "show_progress", "__version__"])

# What each error carries beside its message.
CARRIED: dict[type[errors.OrthancError], dict[str, Any]] = {
    errors.TransportError: {"table": [("a.dcm", "stored")]},
    errors.ServerError: {"status": 500, "method": "GET", "path": "/series", "details": "Database is full"},
    errors.AmbiguousSelectionError: {"candidates": ("ct_scan", "localizer")},
    errors.InconsistentSlicesError: {"groups": {"axial": 20, "localizer": 1}},
    errors.MissingSlicesError: {"gaps": ((2.0, 6.0, 1),)},
    errors.DuplicateSlicesError: {"positions": ((4.0, ("1.2.3", "1.2.4")),)},
}


def carried(kind: type[errors.OrthancError]) -> dict[str, Any]:
    return next((CARRIED[base] for base in kind.__mro__ if base in CARRIED), {})


def drawn_tree() -> dict[str, str]:
    """Each error in the drawing of the module's docstring, with the one it hangs from."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        words = line.lstrip(" │├└─").split()
        if not words or words[0] not in ERRORS or not line.startswith("    "):
            continue
        depth = len(line) - len(line.lstrip(" │├└─"))
        while path and path[-1][0] >= depth:
            path.pop()
        parents[words[0]] = path[-1][1] if path else ""
        path.append((depth, words[0]))
    return parents


def imported_by(statement: str) -> set[str]:
    """The top-level packages that a fresh Python has loaded after `statement`."""
    source = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    answer = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(answer.stdout.split())


def test_the_public_names_are_fixed() -> None:
    assert sorted(simple_orthanc.__all__) == PUBLIC
    for name in simple_orthanc.__all__:
        assert getattr(simple_orthanc, name) is not None


def test_all_public_names_are_documented() -> None:
    bare = [
        name for name in simple_orthanc.__all__ if name != "__version__" and not getattr(simple_orthanc, name).__doc__
    ]
    assert bare == []


def test_every_error_is_public() -> None:
    assert ERRORS.keys() <= set(simple_orthanc.__all__)


def test_import_is_light() -> None:
    loaded = imported_by("import simple_orthanc")
    assert "simple_orthanc" in loaded
    assert "pydicom" in loaded
    assert loaded & {"SimpleITK", "pandas", "matplotlib", "nibabel", "highdicom"} == set()


def test_the_version_is_that_of_the_distribution() -> None:
    assert simple_orthanc.__version__ == importlib.metadata.version("simple-orthanc")


def test_the_project_has_one_place_for_metadata() -> None:
    assert not (ROOT / "pyproject.toml").exists()
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    assert setup["options"]["python_requires"] == ">=3.10"
    assert [line for line in (ROOT / "setup.py").read_text().splitlines() if line] == [
        "from setuptools import setup",
        "setup()",
    ]


def test_the_types_are_shipped() -> None:
    assert (Path(simple_orthanc.__file__).parent / "py.typed").exists()


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    real = {
        name: kind.__bases__[0].__name__ if kind is not errors.OrthancError else "" for name, kind in ERRORS.items()
    }
    assert drawn_tree() == real


@pytest.mark.parametrize("kind", list(ERRORS.values()), ids=list(ERRORS))
def test_errors_survive_pickle(kind: type[errors.OrthancError]) -> None:
    given = carried(kind)
    error = kind("what, found, next", **given)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == again.message == "what, found, next"
    assert {name: getattr(again, name) for name in given} == given
    assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", list(ERRORS.values()), ids=list(ERRORS))
def test_errors_carry_only_what_is_tested_here(kind: type[errors.OrthancError]) -> None:
    parameters = inspect.signature(kind).parameters
    assert set(parameters) - {"message"} == set(carried(kind))


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.RequestTimeout, TimeoutError),
        (errors.AuthenticationError, PermissionError),
        (errors.NotFoundError, LookupError),
        (errors.UnsupportedError, NotImplementedError),
        (errors.SelectionError, ValueError),
        (errors.UnknownTagError, AttributeError),
        (errors.EmptySelectionError, LookupError),
        (errors.VolumeError, ValueError),
    ],
)
def test_errors_are_the_builtins_that_python_users_catch(kind: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)
