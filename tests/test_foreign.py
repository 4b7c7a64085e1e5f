"""Folders of the working directory are not taken for packages that pydicom and requests can do without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simple_orthanc import foreign
from simple_orthanc.concurrency import helper_main
from simple_orthanc.pixels import codecs
from tests.pixels.objects import jpeg_lossless

NAMES = ["dl", "DLFCN", "brotli", "brotlicffi", "chardet", "libjpeg", "simplejson", "socks"]
READ = """
import sys
import simple_orthanc.cli
from simple_orthanc.pixels import codecs
print(sorted(set(sys.modules) & {names}), len(codecs.run("gdcm", open("stream", "rb").read(), {arguments})))
"""


def run_in(folder: Path, program: str) -> str:
    """Run a program whose imports look into the folder first, as in a notebook, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def program_in(folder: Path) -> tuple[str, int]:
    stream, arguments, samples = jpeg_lossless()
    (folder / "stream").write_bytes(stream)
    return READ.format(names=set(NAMES), arguments=repr(arguments)), samples


def test_folders_of_these_names_are_no_packages(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.dcm").touch()
    program, samples = program_in(tmp_path)
    assert run_in(tmp_path, program) == f"[] {samples}\n"


def test_a_script_of_ones_own_is_neither_run_nor_lost(tmp_path: Path) -> None:
    (tmp_path / "dl.py").write_text("print('mine')")
    (tmp_path / "DLFCN.py").write_text("raise RuntimeError('run')")
    program, samples = program_in(tmp_path)
    assert run_in(tmp_path, program) == f"[] {samples}\n"
    # Imported before, it stays; and it can be imported afterwards.
    assert run_in(tmp_path, f"import dl\n{program}") == f"mine\n['dl'] {samples}\n"
    assert run_in(tmp_path, f"{program}\nimport dl") == f"[] {samples}\nmine\n"


def test_a_helper_process_decodes_beside_such_a_folder(tmp_path: Path) -> None:
    (tmp_path / "dl").mkdir()
    stream, arguments, samples = jpeg_lossless()
    command = [sys.executable, "-I", "-S", helper_main.__file__, codecs.__file__, "gdcm"]
    path = f'["{tmp_path}", ' + ", ".join(f'"{entry}"' for entry in sys.path) + "]"
    with subprocess.Popen([*command, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as helper:
        assert helper.stdin is not None
        assert helper.stdout is not None
        assert helper_main.receive(helper.stdout)[0] == "ready"  # type: ignore[arg-type]
        helper_main.send(helper.stdin, ["gdcm", *arguments], stream)  # type: ignore[arg-type]
        head, body = helper_main.receive(helper.stdout)  # type: ignore[arg-type]
        helper.stdin.close()
    assert head == [None, None]
    assert len(body) == samples


def test_a_package_that_is_installed_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "brotli").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert foreign._is_folder_alone("brotli")
    (tmp_path / "brotli" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not foreign._is_folder_alone("brotli")
    assert not foreign._is_folder_alone("numpy")
    assert not foreign._is_folder_alone("there is none")
