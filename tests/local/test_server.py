"""LocalOrthanc: starts, is its own, ends whatever happens, keeps what it is given."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pydicom.data
import pytest

import simple_orthanc.local.program
import simple_orthanc.local.server
from simple_orthanc.errors import OrthancError, RequestTimeout, SelectionError, TransportError
from simple_orthanc.local.program import find_plugins, find_program
from simple_orthanc.local.server import LocalOrthanc
from tests.conftest import MakeServer, ask

MakeProgram = Callable[..., str]

CHILD = """
import os, sys, time
from simple_orthanc.local.server import LocalOrthanc
server = LocalOrthanc({folder!r}, program={program!r}).start()
print(server.url, server.folder, flush=True)
{then}
"""
FORK = """
if os.fork() == 0:
    server.stop()
    sys.exit()
os.wait()
print(server.is_running, flush=True)
time.sleep(60)
"""


class Child(NamedTuple):
    process: subprocess.Popen[str]
    url: str
    folder: Path

    def last_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


def answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/system", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def program_of(make_server: MakeServer) -> list[str]:
    return find_program(make_server()._program)


@contextlib.contextmanager
def child(program: list[str], then: str, folder: str | None = None) -> Iterator[Child]:
    """Start a Python that starts a server, and give it with the server's address and folder."""
    source = CHILD.format(program=program, then=then, folder=folder)
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url, where = process.stdout.readline().split(maxsplit=1)
            yield Child(process, url, Path(where.strip()))
        finally:
            process.kill()


@pytest.fixture(scope="session")
def image() -> bytes:
    return Path(pydicom.data.get_testdata_file("CT_small.dcm", download=False)).read_bytes()


@pytest.fixture
def fake(tmp_path: Path) -> MakeProgram:
    """A function that makes an executable script, of Python or of another `language`."""

    def make(body: str, language: str = sys.executable) -> str:
        script = tmp_path / "fake-orthanc"
        script.write_text(f"#!{language}\n{body}\n")
        script.chmod(0o755)
        return str(script)

    return make


def test_it_answers_while_the_block_lasts_and_leaves_nothing(make_server: MakeServer) -> None:
    server = make_server()
    folder, url = server.folder, server.url
    system = ask(server, "/system")
    assert folder is not None
    assert folder.is_dir()
    assert system["Version"] == server.version
    assert system["Name"].startswith("simple-orthanc-")
    assert url == f"http://127.0.0.1:{server.port}"
    assert "Orthanc has started" in server.log
    server.stop()
    assert not server.is_running
    assert not answers(url)
    assert not folder.exists()
    assert "Orthanc has started" in server.log


def test_the_plugins_are_loaded_where_they_are_installed(make_server: MakeServer) -> None:
    assert {"dicom-web", "gdcm"} <= set(ask(make_server(), "/plugins"))


def test_the_dicom_port_is_off_unless_asked_for(make_server: MakeServer) -> None:
    assert "The DICOM server is disabled" in make_server().log
    server = make_server({"DicomServerEnabled": True, "DicomAet": "MINE"})
    system = ask(server, "/system")
    assert system["DicomAet"] == "MINE"
    socket.create_connection(("127.0.0.1", system["DicomPort"]), timeout=5).close()


def test_it_runs_again_after_stop(make_server: MakeServer) -> None:
    server = make_server()
    server.stop()
    with pytest.raises(OrthancError, match="not running"):
        _ = server.url
    server.stop()
    assert server.start() is server
    assert server.start() is server
    assert ask(server, "/patients") == []


def test_a_given_folder_is_kept_and_opened_again(make_server: MakeServer, tmp_path: Path, image: bytes) -> None:
    folder = tmp_path / "deep" / "mine"
    server = make_server(folder=folder)
    ask(server, "/instances", "POST", image)
    server.stop()
    assert sorted(path.name for path in folder.iterdir()) == ["orthanc.log", "simple-orthanc.lock", "storage"]
    assert "Orthanc has stopped" in server.log
    assert len(ask(make_server(folder=folder), "/instances")) == 1


def test_two_on_one_folder_are_refused(make_server: MakeServer, tmp_path: Path) -> None:
    first = make_server(folder=tmp_path)
    with pytest.raises(OrthancError, match="in use by another LocalOrthanc"):
        make_server(folder=tmp_path)
    assert ask(first, "/system")["Version"] == first.version
    assert "Orthanc has started" in first.log


def test_a_server_is_recognised_by_its_name(make_server: MakeServer) -> None:
    # Two of one program never take each other for themselves.
    first, second = make_server(), make_server()
    assert first.port != second.port
    assert ask(first, "/system")["Name"] != ask(second, "/system")["Name"]


def test_a_port_taken_in_the_meantime_is_replaced(make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports = iter([other.getsockname()[1], simple_orthanc.local.server.free_port()])
        monkeypatch.setattr(simple_orthanc.local.server, "free_port", lambda: next(ports))
        server = make_server()
        assert server.port != other.getsockname()[1]
        assert list(ports) == []


def test_a_port_asked_for_is_that_one_or_none(make_server: MakeServer) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(TransportError, match=r"ended before it answered[\s\S]*already in use"):
            make_server({"HttpPort": port})
    assert make_server({"HttpPort": port}).port == port


def test_its_own_death_is_reported_with_the_log(make_server: MakeServer, tmp_path: Path) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(TransportError, match="ended before it answered") as caught:
        make_server({"StorageDirectory": tmp_path / "a-file"})
    assert "Orthanc has stopped" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("import os; os.kill(os.getpid(), 11)", "killed by signal 11 (SIGSEGV). The last"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9 (SIGKILL). The last"),
        ("import os; os.abort()", "killed by signal 6 (SIGABRT). The last"),
        ("import sys; sys.exit(3)", "with exit status 3. The last"),
        (
            "import sys; sys.exit(139)",
            "with exit status 139, which a shell reports after signal 11 (SIGSEGV). The last",
        ),
        ("import sys; sys.exit(0)", "with exit status 0. The last"),
    ],
)
def test_its_own_death_is_reported_with_its_signal(fake: MakeProgram, body: str, says: str) -> None:
    server = LocalOrthanc(program=fake(f"print('begun', flush=True); {body}"))
    with pytest.raises(TransportError, match=re.escape(f"ended before it answered, {says}")) as caught:
        server.start()
    assert "begun" in str(caught.value)
    assert not server.is_running


def test_passwords_are_in_force_and_are_not_shown(make_server: MakeServer) -> None:
    server = make_server({"RegisteredUsers": {"alice": "wonder:land"}})
    with pytest.raises(urllib.error.HTTPError, match="401") as caught:
        ask(server, "/system")
    caught.value.close()
    assert server.folder is not None
    (configuration,) = server.folder.glob("*.json")
    assert "wonder:land" in configuration.read_text()
    assert configuration.stat().st_mode & 0o077 == 0
    request = urllib.request.Request(f"{server.url}/system")
    request.add_header("Authorization", "Basic " + base64.b64encode(b"alice:wonder:land").decode())
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        assert json.load(answer)["Version"] == server.version
    assert "wonder" not in repr(server)


def test_connect_logs_in(make_server: MakeServer) -> None:
    with make_server({"RegisteredUsers": {"alice": "wonder:land"}}).connect() as session:
        assert session.study_count == 0
        assert "wonder" not in repr(session)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that has signed itself, with its key in the same file, as Orthanc wants them."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "certificate.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "certificate.pem").read_text())
    return both


# Debian's Orthanc ends with a segmentation fault at the first TLS connection (its civetweb does), in all versions, so
# that a stand-in has to show what LocalOrthanc does with a server that speaks TLS.
TLS = """
import http.server, json, ssl, sys
configuration = json.load(open(sys.argv[-1]))
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"Name": configuration["Name"], "Version": "1.12.7"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
server = http.server.HTTPServer(("127.0.0.1", configuration["HttpPort"]), Server)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(configuration["SslCertificate"])
if configuration.get("SslVerifyPeers"):
    context.verify_mode = ssl.CERT_REQUIRED
server.socket = context.wrap_socket(server.socket, server_side=True)
print("W1121 MAIN main.cpp:1] Orthanc version: 1.12.7")
print("W1121 MAIN main.cpp:2] Orthanc has started", flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize("peers", [False, True])
def test_tls(fake: MakeProgram, certificate: Path, peers: bool) -> None:
    config = {"SslEnabled": True, "SslCertificate": certificate, "SslVerifyPeers": peers}
    with LocalOrthanc(program=fake(TLS), config=config) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        assert server.version == "1.12.7"


def test_connect_starts_it(make_server: MakeServer) -> None:
    server = make_server()
    server.stop()
    with server.connect() as session:
        assert server.is_running
        assert session.patient_count == 0


@pytest.mark.one_version
def test_it_ends_with_its_python(make_server: MakeServer) -> None:
    with child(program_of(make_server), "sys.exit()") as one:
        assert one.process.wait(30) == 0
        assert not answers(one.url)
        assert not one.folder.exists()


@pytest.mark.one_version
def test_it_ends_with_its_killed_python(make_server: MakeServer) -> None:
    with child(program_of(make_server), "time.sleep(60)") as one:
        assert answers(one.url)
        one.kill()
        assert eventually(lambda: not answers(one.url))
        assert eventually(lambda: not one.folder.exists())


@pytest.mark.one_version
def test_a_folder_is_free_again_after_its_python_was_killed(make_server: MakeServer, tmp_path: Path) -> None:
    with child(program_of(make_server), "time.sleep(60)", str(tmp_path)) as one:
        assert one.folder == tmp_path
        one.kill()
        assert make_server(folder=tmp_path).is_running
        # The configuration of the killed one, which may hold passwords, is gone.
        assert len(list(tmp_path.glob("*.json"))) == 1


@pytest.mark.one_version
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_not_end_it(make_server: MakeServer) -> None:
    with child(program_of(make_server), FORK) as one:
        assert one.last_line() == "True"
        assert answers(one.url)
        one.kill()
        assert eventually(lambda: not answers(one.url))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_the_death_of_the_watching_process_ends_it(make_server: MakeServer) -> None:
    server = make_server()
    url = server.url
    assert server._guard is not None
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux ties a process to its parent")
    os.kill(server._guard.pid, signal.SIGKILL)
    assert eventually(lambda: not answers(url))
    assert not server.is_running
    assert answers(server.start().url)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(OrthancError, match=r"/no/such/Orthanc.*install it"):
        LocalOrthanc(program="/no/such/Orthanc").start()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"folder": 5}, 'an object of type int was given.*LocalOrthanc\\("orthanc"\\)'),
        ({"folder": ""}, "an empty string"),
        ({"timeout": "x"}, "timeout is 'x'; give seconds above 0"),
        ({"timeout": None}, "timeout is None"),
        ({"timeout": 0}, "timeout is 0"),
        ({"program": 5}, "program is of type int; give the path of Orthanc"),
        ({"program": b"Orthanc"}, "program is of type bytes"),
    ],
)
def test_unusable_arguments_are_refused_with_the_right_form(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(SelectionError, match=says):
        LocalOrthanc(**arguments).start()


def test_no_program_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORTHANC_PROGRAM", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(simple_orthanc.local.program, "PROGRAM_PATHS", ())
    with pytest.raises(OrthancError, match=r"No Orthanc program.*apt install orthanc"):
        LocalOrthanc().start()


def test_the_program_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, fake: MakeProgram) -> None:
    program = fake("")
    monkeypatch.setenv("ORTHANC_PROGRAM", program)
    assert find_program() == [program]
    assert find_program([program, "--verbose"]) == [program, "--verbose"]


def test_only_the_two_plugins_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("libOrthancDicomWeb.so", "libOrthancGdcm.so.1.8", "libOrthancGdcm.so", "libModalityWorklists.so"):
        (tmp_path / name).touch()
    monkeypatch.setattr(simple_orthanc.local.program, "PLUGIN_FOLDERS", ("/nowhere", str(tmp_path)))
    assert find_plugins() == [str(tmp_path / "libOrthancDicomWeb.so"), str(tmp_path / "libOrthancGdcm.so")]
    monkeypatch.setattr(simple_orthanc.local.program, "PLUGIN_FOLDERS", ("/nowhere",))
    assert find_plugins() == []


def test_a_program_that_never_answers(fake: MakeProgram, tmp_path: Path) -> None:
    # A shell has printed this long before the second is over, on a busy machine too.
    program = fake("echo thinking; exec sleep 60", "/bin/sh")
    started = time.monotonic()
    server = LocalOrthanc(program=program, timeout=1.0)
    with pytest.raises(RequestTimeout, match=r"did not answer .* in 1 s[\s\S]*thinking"):
        server.start()
    assert time.monotonic() - started < 20
    assert not server.is_running
    assert server.folder is None


def test_something_else_that_answers_is_not_taken_for_it(fake: MakeProgram) -> None:
    program = fake(
        """
import http.server, json, sys
port = json.load(open(sys.argv[-1]))["HttpPort"]
class Other(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"Name": "other", "Version": "1.12.7"}'
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", port), Other).serve_forever()
"""
    )
    with pytest.raises(RequestTimeout):
        LocalOrthanc(program=program, timeout=1.0).start()


def test_a_program_that_heeds_no_request_to_end_is_killed(
    fake: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simple_orthanc.local.server, "GRACE", 0.5)
    program = fake("trap '' TERM; echo deaf; exec sleep 60", "/bin/sh")
    started = time.monotonic()
    with pytest.raises(RequestTimeout, match="deaf"):
        LocalOrthanc(tmp_path / "folder", program=program, timeout=1.0).start()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("config", [{}, {"RegisteredUsers": {"a": "secret"}}])
def test_repr_before_start(config: dict[str, Any], tmp_path: Path) -> None:
    assert repr(LocalOrthanc(config=config)) == "<LocalOrthanc: not running, in a temporary folder>"
    # What a traceback shows where the constructor has failed.
    assert repr(LocalOrthanc.__new__(LocalOrthanc)) == "<LocalOrthanc: not running, in a temporary folder>"
    assert repr(LocalOrthanc(tmp_path, config=config)) == f"<LocalOrthanc: not running, in {tmp_path}>"
