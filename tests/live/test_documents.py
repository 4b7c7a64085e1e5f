"""The README's examples and the notebooks run as they stand."""

from __future__ import annotations

import doctest
import re
from contextlib import nullcontext
from pathlib import Path

import nbformat
import pytest
from conftest import SERVERS
from nbclient import NotebookClient

from simple_orthanc import LocalOrthanc, Orthanc, tag
from simple_orthanc.phantom import make_series

ROOT = Path(__file__).parents[2]


@pytest.fixture
def this_version(server: LocalOrthanc, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a plain LocalOrthanc() start the version under test."""
    program = request.config.stash[SERVERS].recipes[f"orthanc-{server.version}"]["program"]
    monkeypatch.setenv("ORTHANC_PROGRAM", str(program[0] if isinstance(program, list) else program))


@pytest.mark.usefixtures("this_version")
def test_the_eight_lines_of_the_readme() -> None:
    blocks = re.findall(r"```pycon\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for block in blocks:
        test = doctest.DocTestParser().get_doctest(block, {}, "README.md", None, 0)
        assert runner.run(test, clear_globs=False).failed == 0
        test.globs["orthanc"].close()


def test_every_way_of_narrowing_in_the_readme(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(
        make_series((2, 4, 4), seed=1, PatientName="Doe^Jane", PatientID="J1", StudyDate="20210101", EchoTime="80",
                    SliceThickness="1.0", SeriesDescription="t1 axial", StudyInstanceUID="1.2.840.113619.2.1")
    )  # fmt: skip
    rows = re.findall(r"^\| `(select|exclude)\((.*)\)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(rows) == 11
    expected = {"select": 1, "exclude": 0}
    for verb, arguments in rows:
        names = {"orthanc": orthanc.copy().reset(), "tag": tag, "re": re}
        wanted = expected[verb]
        with nullcontext() if wanted else pytest.warns(UserWarning, match="Nothing"):
            result = eval(f"orthanc.{verb}({arguments.replace(chr(92) + '|', '|')})", names)
        assert result.series_count == wanted, arguments


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
