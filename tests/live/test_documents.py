"""The examples of the README and of docs/ run as they are written."""

from __future__ import annotations

import doctest
import getpass
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import requests
import SimpleITK

from simple_orthanc import DicomWeb, Folder, LocalOrthanc, Orthanc, Session, age, has_series, tag
from simple_orthanc.dicomweb import Rendering, bulk_data_uris, text, to_dataset
from simple_orthanc.errors import NotFoundError, UnsupportedError
from simple_orthanc.phantom import as_bytes, make_series
from tests.coming_from import calls_below
from tests.command_line import PATIENCE, environment, in_process
from tests.conftest import MakeServer, servers_of

# The same code is measured with archives in memory.
pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
}
# What changes an archive is done by the server, and each version does it in its own way.
ACTING = ("docs/acting.md", "docs/sharing.md")
# What the shell examples write for the address of a server.
ADDRESS = "http://127.0.0.1:8042"
OWN_SERVER = "https://pacs.example.org/orthanc"


@pytest.fixture
def this_version(server: LocalOrthanc, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a plain LocalOrthanc() start the version under test."""
    recipe = servers_of(request.config).recipes[f"orthanc-{server.version}"]
    monkeypatch.setenv("ORTHANC_PROGRAM", recipe["program"][0])


def blocks(language: str, document: str) -> list[str]:
    """Return the examples in a document that are written in a language."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENTS[document], re.DOTALL)


def documents_with(language: str) -> list[str]:
    return [document for document in DOCUMENTS if blocks(language, document)]


def run_shell(script: str, folder: Path, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
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
        env=environment({"PATH": path, **(variables or {})}),
        capture_output=True,
        text=True,
        timeout=PATIENCE * script.count("simple-orthanc"),
        check=False,
    )


def run_python(document: str, leave_out: str | None = None) -> dict[str, Any]:
    """Run the Python examples of a document in order, compare their output, and return their names."""
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    names: dict[str, Any] = {}
    for block in blocks("pycon", document):
        if leave_out is not None and re.search(leave_out, block):
            continue
        test = doctest.DocTestParser().get_doctest(block, names, document, None, 0)
        assert runner.run(test, clear_globs=False).failed == 0
        names = test.globs
    return names


def close_sessions(names: dict[str, Any]) -> None:
    """Close the sessions that examples have left open."""
    for value in names.values():
        if isinstance(value, Session):
            value.close()


def run_console(document: str, server: LocalOrthanc, folder: Path) -> None:
    """Run the shell examples of a document as a user whose ~/.netrc knows the server, and compare their output."""
    home = folder / ".home"
    home.mkdir(mode=0o700, exist_ok=True)
    netrc = home / ".netrc"
    netrc.touch(0o600)
    assert server.credentials is not None
    netrc.write_text("machine 127.0.0.1 login {} password {}\n".format(*server.credentials))
    for block in blocks("console", document):
        wanted = block.replace(ADDRESS, server.url)
        commands = re.findall(r"^\$ (.*)$", wanted, re.MULTILINE)
        script = "\n".join(f"echo {shlex.quote(f'$ {command}')}\n{command}" for command in commands)
        ended = run_shell(script, folder, {"HOME": str(home)})
        assert (ended.stdout, ended.stderr) == (wanted, "")


@pytest.mark.one_version
@pytest.mark.usefixtures("this_version")
@pytest.mark.parametrize("document", sorted({*documents_with("pycon")}.difference(ACTING)))
def test_python_examples(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # What an example sets is taken back after it.
    monkeypatch.setenv("SIMPLE_ORTHANC_PROFILES", "")
    monkeypatch.setenv("MY_PASSWORD", "")
    names = run_python(document)
    if blocks("console", document):
        run_console(document, names["server"], tmp_path)
    close_sessions(names)


@pytest.mark.usefixtures("this_version")
@pytest.mark.parametrize("document", ACTING)
def test_examples_of_acting(
    document: str, server: LocalOrthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # Not every version has labels.
    without_labels = r"\b(add_|remove_)?label(s)?\(" if server.version.startswith("1.10") else None
    close_sessions(run_python(document, without_labels))


@pytest.mark.one_version
@pytest.mark.usefixtures("this_version")
def test_console_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMPLE_ORTHANC_PROFILES", "")
    monkeypatch.setenv("MY_PASSWORD", "")
    assert documents_with("console") == ["README.md", "docs/command-line.md"]
    names = run_python("docs/sources.md")
    run_console("docs/command-line.md", names["server"], tmp_path)
    assert SimpleITK.ReadImage(tmp_path / "ct.nii.gz").GetSize() == (128, 128, 40)
    close_sessions(names)


@pytest.mark.one_version
def test_examples_reach_a_server_with_a_password(
    make_server: MakeServer, certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server({"RegisteredUsers": {"jane": "wonder:land"}})
    series = make_series((2, 4, 5), seed=1, PatientName="JaneDoe", SeriesDescription="ct_scan")
    server.connect().upload_dataset(series)
    monkeypatch.setattr("getpass.getpass", lambda: "wonder:land")
    monkeypatch.chdir(tmp_path)
    shutil.copy(certificate[0], "ca.pem")
    assert documents_with("python") == ["README.md", "docs/start.md"]
    names: dict[str, Any] = {}
    for block in [block for document in documents_with("python") for block in blocks("python", document)]:
        assert OWN_SERVER in block
        exec(block.replace(OWN_SERVER, server.url), names)
        assert names["orthanc"].instance_count == 2
    assert names["array"].shape == (2, 4, 5)


@pytest.mark.one_version
def test_ways_to_open_a_source(orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = re.findall(r"^\| .* \| `(.*)` \|$", DOCUMENTS["docs/sources.md"], re.MULTILINE)
    assert len(rows) == 10
    orthanc.upload_dataset(make_series((1, 4, 5), seed=1))
    address = orthanc._source.description
    orthanc.download(tmp_path / "scans")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORTHANC_URL", address)
    monkeypatch.setattr("getpass.getpass", lambda: "not asked for")
    with LocalOrthanc() as local, requests.Session() as http:
        names = {
            **{"Orthanc": Orthanc, "DicomWeb": DicomWeb, "Folder": Folder, "LocalOrthanc": lambda: local},
            **{"orthanc": orthanc, "getpass": getpass, "url": address, "token": "secret", "requests_session": http},
        }
        for code in rows:
            names_of_files = re.findall(r'"(ca\.pem|me\.pem|me\.key)"', code)
            if names_of_files:
                # A server without TLS needs none of them; how they are used is tested with the transport.
                assert names_of_files == ["ca.pem", "me.pem", "me.key"]
                continue
            with eval(code.replace(OWN_SERVER, address).replace(ADDRESS, address), names) as session:
                assert session.instance_count == (0 if "LocalOrthanc" in code else 1), code


@pytest.mark.one_version
def test_every_way_of_narrowing(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(
        make_series((2, 4, 4), seed=1, PatientName="Doe^Jane", PatientID="J1", StudyDate="20210101", EchoTime="80",
                    SliceThickness="1.0", SeriesDescription="t1 axial", StudyInstanceUID="1.2.840.113619.2.1",
                    PatientAge="063Y")
    )  # fmt: skip
    rows = re.findall(r"^\| `(select|exclude)\((.*)\)` \|", DOCUMENTS["docs/selecting.md"], re.MULTILINE)
    assert len(rows) == 13
    expected = {"select": 1, "exclude": 0}
    for verb, arguments in rows:
        names = {"orthanc": orthanc.copy().reset(), "age": age, "has_series": has_series, "tag": tag, "re": re}
        count = expected[verb]
        with nullcontext() if count else pytest.warns(UserWarning, match="Nothing"):
            result = eval(f"orthanc.{verb}({arguments.replace(chr(92) + '|', '|')})", names)
        assert result.series_count == count, arguments


def outcome(code: str, names: dict[str, Any]) -> Any:
    try:
        return eval(code, names)
    except (UnsupportedError, NotFoundError) as error:
        return error


def test_equivalents_of_dicomweb_client(orthanc: Orthanc, tmp_path: Path) -> None:
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
    codes = calls_below("dicomweb-client, line by line")
    commands = [code for code in codes if code.startswith("simple-orthanc ")]
    for code, holds in zip([code for code in codes if code not in commands], checks, strict=True):
        web.reset().refresh()
        assert holds(outcome(code, names)), code
    written = [uids[0], f"3 files in {tmp_path / 'out'}", uids[2], "already stored"]
    for command, wanted in zip(commands, written, strict=True):
        ready = command.replace("URL", f"{address}/dicom-web").replace("FOLDER", str(tmp_path / "out"))
        words = shlex.split(ready.replace("UID", uids[0]))[1:]
        # As a shell expands names of files.
        expanded = [path for word in words for path in sorted(glob.glob(word, root_dir=tmp_path)) or [word]]
        ended = in_process(*expanded, cwd=tmp_path)
        assert (ended.status, wanted in ended.out) == (0, True), ended
