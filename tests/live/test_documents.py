"""The README's examples and the notebooks run as they stand."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import nbformat
import pytest
import SimpleITK
from nbclient import NotebookClient

from simple_orthanc import DicomWeb, Folder, LocalOrthanc, Orthanc, tag
from simple_orthanc.dicomweb import Rendering, bulk_data_uris, text, to_dataset
from simple_orthanc.errors import NotFoundError, UnsupportedError
from simple_orthanc.phantom import as_bytes, make_series
from tests.command_line import PATIENCE, environment
from tests.conftest import servers_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# In the README's examples it stands for wherever a server is.
ADDRESS = "http://127.0.0.1:8042"


@pytest.fixture
def this_version(server: LocalOrthanc, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a plain LocalOrthanc() start the version under test."""
    recipe = servers_of(request.config).recipes[f"orthanc-{server.version}"]
    monkeypatch.setenv("ORTHANC_PROGRAM", recipe["program"][0])


def blocks(language: str) -> list[str]:
    """The examples in the README that are written in a language."""
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found


def run_shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run lines of a shell in a folder, where ``simple-orthanc`` is the command of this checkout."""
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    program = programs / "simple-orthanc"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m simple_orthanc "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    return subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env=environment({"PATH": path}),
        capture_output=True,
        text=True,
        timeout=PATIENCE * script.count("simple-orthanc"),
        check=False,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("this_version")
def test_the_examples_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    names: dict[str, Any] = {}
    address = ADDRESS
    for block in blocks("pycon"):
        test = doctest.DocTestParser().get_doctest(block.replace(ADDRESS, address), names, "README.md", None, 0)
        assert runner.run(test, clear_globs=False).failed == 0
        names = test.globs
        address = names["orthanc"]._source.description
    for block in blocks("console"):
        wanted = block.replace(ADDRESS, address)
        commands = re.findall(r"^\$ (.*)$", wanted, re.MULTILINE)
        ended = run_shell("\n".join(f"echo {shlex.quote(f'$ {each}')}\n{each}" for each in commands), tmp_path)
        assert (ended.stdout, ended.stderr) == (wanted, "")
    assert SimpleITK.ReadImage(tmp_path / "ct.nii.gz").GetSize() == (128, 128, 40)
    for name in ("web", "orthanc"):
        names[name].close()


def test_the_one_line_of_the_readme(orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch) -> None:
    series = make_series((2, 4, 5), seed=1, PatientName="JaneDoe", SeriesDescription="ct_scan")
    orthanc.upload_dataset(series)
    monkeypatch.setenv("ORTHANC_URL", orthanc._source.description)
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, names)
    assert names["image"].shape == (2, 4, 5)


def test_every_way_of_narrowing_in_the_readme(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(
        make_series((2, 4, 4), seed=1, PatientName="Doe^Jane", PatientID="J1", StudyDate="20210101", EchoTime="80",
                    SliceThickness="1.0", SeriesDescription="t1 axial", StudyInstanceUID="1.2.840.113619.2.1")
    )  # fmt: skip
    rows = re.findall(r"^\| `(select|exclude)\((.*)\)` \|", README, re.MULTILINE)
    assert len(rows) == 11
    expected = {"select": 1, "exclude": 0}
    for verb, arguments in rows:
        names = {"orthanc": orthanc.copy().reset(), "tag": tag, "re": re}
        wanted = expected[verb]
        with nullcontext() if wanted else pytest.warns(UserWarning, match="Nothing"):
            result = eval(f"orthanc.{verb}({arguments.replace(chr(92) + '|', '|')})", names)
        assert result.series_count == wanted, arguments


def equivalents(heading: str) -> list[str]:
    """What stands on the right in the table under a heading, code by code."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .* \| ([^|]*) \|$", section, re.MULTILINE)
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row)]


def outcome(code: str, names: dict[str, Any]) -> Any:
    try:
        return eval(code, names)
    except (UnsupportedError, NotFoundError) as error:
        return error


@pytest.mark.slow
def test_what_those_who_come_from_dicomweb_client_write(orthanc: Orthanc, tmp_path: Path) -> None:
    series = make_series((3, 4, 5), seed=1, PatientID="P1")
    orthanc.upload_dataset(series)
    for number, dataset in enumerate(series):
        (tmp_path / f"{number}.dcm").write_bytes(as_bytes(dataset))
    address = orthanc._source.description
    web = orthanc.dicomweb
    first = series[0]
    uids = (first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
    item = web.rest.retrieve_instance_metadata(*uids)
    names: dict[str, Any] = {
        **{"DicomWeb": DicomWeb, "Folder": Folder, "Rendering": Rendering, "to_dataset": to_dataset},
        **dict(zip(("study", "series", "instance"), uids, strict=True)),
        **{"web": web, "url": address, "prefix": "dicom-web", "path": tmp_path, "item": item},
        **{"uri": bulk_data_uris(item)["7FE00010"], "dataset": make_series((1, 4, 5), seed=2, PatientID="P2")[0]},
    }
    files = [as_bytes(dataset) for dataset in series]
    pixels = first.PixelData
    numbers = [dataset.InstanceNumber for dataset in series]
    checks: list[Callable[[Any], bool]] = [
        lambda found: found.study_count == 1,
        lambda found: found.instance_count == 3,
        lambda found: found["PatientID"].tolist() == ["P1"],
        lambda found: found["SeriesInstanceUID"].tolist() == [uids[1]],
        lambda found: len(list(found)) == 2,
        lambda found: [each.InstanceNumber for each in found] == numbers and found[0].PixelData == pixels,
        lambda found: sorted(found) == sorted(files),
        lambda found: [each.InstanceNumber for each in found] == numbers and "PixelData" not in found[0],
        lambda found: sorted(text(each, "InstanceNumber") for each in found) == ["1", "2", "3"],
        lambda found: found.SOPInstanceUID == uids[2],
        lambda found: [each.content for each in found] == [pixels],
        lambda found: found[0].content.startswith(b"\x89PNG"),
        lambda found: found == pixels,
        lambda found: found == pixels[:10],
        lambda found: found["status"].tolist() == ["stored"],
        # Orthanc's plugin deletes nothing, and the error says so.
        lambda found: isinstance(found, UnsupportedError),
        lambda found: isinstance(found, UnsupportedError),
    ]
    codes = equivalents("Coming from dicomweb-client")
    commands = [code for code in codes if code.startswith("simple-orthanc ")]
    for code, holds in zip([code for code in codes if code not in commands], checks, strict=True):
        web.reset().refresh()
        assert holds(outcome(code, names)), code
    written = [uids[0], f"3 files in {tmp_path / 'out'}", uids[2], "already stored"]
    for command, wanted in zip(commands, written, strict=True):
        ready = command.replace("URL", f"{address}/dicom-web").replace("FOLDER", str(tmp_path / "out"))
        ended = run_shell(ready.replace("UID", uids[0]), tmp_path)
        assert (ended.returncode, wanted in ended.stdout) == (0, True), ended


def test_what_those_who_come_from_elsewhere_write(orthanc: Orthanc, tmp_path: Path) -> None:
    for number, dataset in enumerate(make_series((3, 4, 5), seed=1)):
        (tmp_path / "below").mkdir(exist_ok=True)
        (tmp_path / "below" / f"{number}.dcm").write_bytes(as_bytes(dataset))
    orthanc.upload_folder(tmp_path, recursive=True)
    checks: list[Callable[[Any], bool]] = [
        lambda found: [child.instance_count for child in found] == [3],
        lambda found: [len(each.PixelData) for each in found] == [40] * 3,
        lambda found: len(found) == 3 and "PixelData" not in found[0],
        lambda found: found["status"].tolist() == ["already stored"] * 3,
        lambda found: found["instance_count"].tolist() == [3],
        lambda found: len(found) == 1 and orthanc.rest.get(f"/studies/{found[0]}")["Type"] == "Study",
        # Before Orthanc 1.12.0 there are no labels.
        lambda found: isinstance(found, list) == orthanc.rest.capabilities.labels,
        lambda found: [job["State"] for job in found] == ["Success"],
        lambda found: found["Name"],
    ]
    names = {"orthanc": orthanc, "path": tmp_path, "uid": orthanc.StudyInstanceUID[0]}
    for code, holds in zip(equivalents("Coming from elsewhere"), checks, strict=True):
        orthanc.reset()
        assert holds(outcome(code, names)), code


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.name)
@pytest.mark.usefixtures("this_version")
@pytest.mark.filterwarnings("default")
def test_notebooks(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A kernel shows pictures with a backend of its own.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    content = nbformat.read(notebook, as_version=4)
    NotebookClient(content, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell in content.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.get("text")
    assert any("image/png" in output.get("data", {}) for cell in content.cells for output in cell.get("outputs", []))
