"""What the package is seen from outside: its names, its version, and how lightly it is imported."""

from __future__ import annotations

import configparser
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import simple_orthanc
from tests.test_errors import ERRORS

ROOT = Path(__file__).parents[1]

SESSIONS = [
    "AsyncSession",
    "Cache",
    "Cohort",
    "Deidentified",
    "DicomWeb",
    "Folder",
    "LocalOrthanc",
    "Orthanc",
    "Session",
]
VOLUMES = ["Geometry", "SuvRecord", "Volume"]
CONDITIONS = ["Condition", "age", "exact", "has_series", "label", "like", "metadata", "tag"]
PUBLIC = sorted([*ERRORS, *SESSIONS, *VOLUMES, *CONDITIONS, "limits", "show_progress", "__version__"])


def imported_by(statement: str) -> set[str]:
    """The modules that a fresh Python has loaded after `statement`."""
    source = f"import sys; {statement}; print(*sys.modules)"
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
    heavy = {"SimpleITK", "pandas", "matplotlib", "nibabel", "highdicom", "xarray", "dask", "torch", "IPython"}
    assert loaded & heavy == set()
    # All coded concepts of the standard, 15 MB of them.
    assert "pydicom.sr" not in loaded


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
