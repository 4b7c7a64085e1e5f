"""What other users of the machine, and web pages in a browser on it, can read or ask: nothing."""

from __future__ import annotations

import contextlib
import pickle
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import DicomWeb, Folder, LocalOrthanc, Orthanc, OrthancError
from simple_orthanc.phantom import make_series
from tests.conftest import MakeServer
from tests.other_users import public_folder, readable_by_others
from tests.secrets_in_tracebacks import leaks, shown

LOCKED = {"AuthenticationEnabled": True}


@pytest.fixture
def public() -> Iterator[Path]:
    with public_folder() as folder:
        yield folder


@pytest.fixture
def locked(make_server: MakeServer, public: Path, monkeypatch: pytest.MonkeyPatch) -> LocalOrthanc:
    """A server as a plain LocalOrthanc() starts it, in a public folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(public))
    return make_server(LOCKED)


def refusal(server: LocalOrthanc, path: str, method: str = "GET", **headers: str) -> int:
    """Return the status with which a request is refused."""
    request = urllib.request.Request(server.url + path, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as caught, opener.open(request, timeout=10):
        pass
    caught.value.close()
    return caught.value.code


def command_lines() -> str:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(lines)


def test_nobody_else_can_ask_or_read_it(locked: LocalOrthanc, public: Path) -> None:
    session = locked.connect()
    session.upload_dataset(make_series((2, 4, 5), seed=1, PatientName="JaneDoe"))
    for path, method in (("/patients", "GET"), ("/tools/reset", "POST"), ("/dicom-web/studies", "GET")):
        assert refusal(locked, path, method) == 401
        # A page whose name an attacker points to this machine, and a guess.
        assert refusal(locked, path, method, Host=f"attacker.example.org:{locked.port}") == 401
        assert refusal(locked, path, method, Authorization="Basic b3J0aGFuYzpvcnRoYW5j") == 401
    assert readable_by_others(public) == set()
    assert session.instance_count == 2
    assert locked.folder is not None
    assert list(locked.folder.rglob("storage/*/*/*"))


def test_the_password_is_shown_when_it_is_asked_for_and_nowhere_else(locked: LocalOrthanc) -> None:
    assert locked.credentials is not None
    user, password = locked.credentials
    assert password in repr(locked.credentials)
    assert DicomWeb(f"{locked.url}/dicom-web", *locked.credentials).study_count == 0
    with locked.connect() as session:
        session.upload_dataset(make_series((1, 4, 5), seed=1))
        session.get_array()
        assert session.dicomweb.study_count == 1
        texts = [*shown(locked), *shown(session), repr(vars(locked)), locked.log, command_lines()]
        assert not [text for text in texts if password in text]
        # A process that goes on with a session must be able to log in.
        assert pickle.loads(pickle.dumps(session)).study_count == 1
    with pytest.raises(OrthancError) as caught:
        locked.connect(timeout="x")
    assert leaks(caught.value, password) == []
    locked.stop()
    with pytest.raises(OrthancError, match="not running"):
        _ = locked.credentials
    with locked.connect() as session:
        assert session.study_count == 0
    assert locked.credentials is not None
    assert user != locked.credentials.username
    assert password != locked.credentials.password


@pytest.mark.parametrize(
    "login", [{"username": "jane", "password": "s3cret"}, {"token": "s3cret"}, {"auth": ("a", "s3cret")}]
)
@pytest.mark.one_version
def test_another_login_replaces_its_own(locked: LocalOrthanc, login: dict[str, Any]) -> None:
    with pytest.raises(OrthancError, match=r"401|credentials") as caught:
        locked.connect(**login)
    assert leaks(caught.value, "s3cret") == []


def test_a_folder_that_was_open_is_closed(make_server: MakeServer, public: Path) -> None:
    mine = public / "mine"
    (mine / "storage").mkdir(parents=True)
    (mine / "storage").chmod(0o755)
    (mine / "simple-orthanc-0123456789abcdef.json").write_text(
        '{"RegisteredUsers": {"jane": "left by a killed server"}}'
    )
    server = make_server(LOCKED, folder=mine)
    server.connect().upload_dataset(make_series((1, 4, 5), seed=1))
    assert len(list(mine.glob("*.json"))) == 1
    assert readable_by_others(public) == set()
    server.stop()
    assert list(mine.glob("*.json")) == []
    for path in mine.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.one_version
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ties a process to its parent")
def test_the_folder_of_a_server_whose_guard_was_killed_too_is_removed(make_server: MakeServer, public: Path) -> None:
    program = make_server()._program
    source = (
        "import os, signal, sys, tempfile\n"
        f"tempfile.tempdir = {str(public)!r}\n"
        "from simple_orthanc import LocalOrthanc\n"
        f"server = LocalOrthanc(program={program!r}).start()\n"
        "print(server.folder, flush=True)\n"
        "os.kill(server._guard.pid, signal.SIGKILL)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    left = Path(ended.stdout.strip())
    assert left.parent == public
    assert "RegisteredUsers" in next(left.glob("*.json")).read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(public))
        make_server()
    assert not left.exists()


@pytest.mark.one_version
def test_downloads_and_caches_are_closed(orthanc: Orthanc, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(public))
    monkeypatch.setenv("XDG_CACHE_HOME", str(public / "caches"))
    monkeypatch.delenv("SIMPLE_ORTHANC_CACHE")
    orthanc.upload_dataset(make_series((2, 4, 5), seed=1, PatientName="JaneDoe"))
    orthanc.download()
    orthanc.download(public / "new" / "images")
    existing = public / "existing"
    existing.mkdir()
    existing.chmod(0o755)
    orthanc.download(existing)
    folder = Folder(public / "new" / "images")
    assert folder.instance_count == 2
    folder.get_array()
    assert readable_by_others(public) == {"existing"}
    assert list((public / "caches").rglob("*.json.gz"))
