"""An Orthanc server on a free port of this machine, for as long as the process needs it.

For experiments, for tests, and for working on a folder of DICOM files with everything that a server offers. The
Orthanc program itself must be installed (``sudo apt install orthanc orthanc-dicomweb orthanc-gdcm`` on Debian and
Ubuntu; https://www.orthanc-server.com/download.php elsewhere).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

from simple_orthanc.errors import OrthancError, RequestTimeout, TransportError
from simple_orthanc.files.paths import path_text
from simple_orthanc.local.folders import (
    LOCK,
    LOG,
    PREFIX,
    new_temporary_folder,
    open_private,
    prepare_folder,
    remove_old_configurations,
)
from simple_orthanc.local.options import Login, check_arguments, configuration, new_login
from simple_orthanc.local.probing import ended_by, system_of
from simple_orthanc.local.program import find_program
from simple_orthanc.session import Orthanc
from simple_orthanc.transport.secret import Secret, hide_arguments

GUARD = Path(__file__).with_name("guard.py")
# Before it ends, Orthanc finishes its running jobs and closes its database.
GRACE = 10.0
PORT_ATTEMPTS = 5
STARTED = re.compile(r"Orthanc version: (\S+).*Orthanc has started", re.DOTALL)
# Orthanc's message for its error 2003 (HttpPortInUse), the same in 1.10 and 1.13.
PORT_IN_USE = "TCP port of the HTTP server is privileged or already in use"
_NOT_RUNNING = "This LocalOrthanc is not running: use it in a with statement, or call start()."


class Credentials(NamedTuple):
    """A user and a password, which its representation shows.

    Examples
    --------
    >>> with LocalOrthanc(config={"RegisteredUsers": {"jane": "a secret"}}) as server:
    ...     print(server.credentials.username)
    jane
    """

    username: str
    password: str


def free_port() -> int:
    """Return a port on which nothing listens at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class LocalOrthanc:
    """An Orthanc server that this program starts, on this machine, for as long as it is needed.

    It answers only this machine, on a free port of the loopback interface, with its own configuration and its own
    folder, and reads nothing from ``/etc/orthanc``. It has one user with a random password, new at each start, which
    `connect` uses and `credentials` returns; other users of the machine can neither ask it nor read its files.

    The DICOMweb and GDCM plugins are loaded where they are installed; the DICOM protocol (C-STORE and the like) is off.
    A second process watches this one and ends the server with it, however it ends: the end of the ``with`` block or of
    the interpreter, or a killed kernel.

    Parameters
    ----------
    folder : str or path, optional
        The folder of the server's files. It is created if it is missing, kept at the end, and can be opened again, by
        one server at a time. What the server keeps in it is closed to other users. Default: a temporary folder that is
        removed at the end.
    program : str, path or list of str, optional
        The Orthanc program, or a whole command to which the name of the configuration file is appended. Default: the
        environment variable ``ORTHANC_PROGRAM``, then ``PATH`` and the usual folders.
    config : dict, optional
        Options of Orthanc's configuration file, which override the defaults. ``RegisteredUsers`` replaces the random
        user, and `connect` uses the first of them; ``AuthenticationEnabled`` as False lets every user of this machine,
        and web pages in a browser on it, read and delete what the server holds. ``Name`` cannot be set.
    timeout : float, default 30
        Seconds within which the server must answer.

    Attributes
    ----------
    folder : pathlib.Path or None
        The server's folder; None for a temporary one that does not exist at the moment.

    Raises
    ------
    OrthancError
        On start: there is no Orthanc program, another server uses the folder, or other users may write in it.
    TransportError
        On start: the program ended before it answered, or (RequestTimeout) did not answer in time. The message ends
        with the last lines of its log.

    Notes
    -----
    The constructor does not start the server; ``with``, `start` and `connect` do, also again after `stop`.

    The password is in a configuration file in the server's folder while it runs, which only its user can read, and on
    no command line. If this process and the one that watches it are both killed, the next start by the same user
    removes the temporary folder that they left (on Linux). ``DicomServerEnabled`` opens a DICOM port on every interface
    of the machine, to which anybody may send images.

    Examples
    --------
    >>> with LocalOrthanc() as server:
    ...     orthanc = server.connect()
    ...     print(orthanc.study_count)
    0

    Or, for a whole notebook, until its kernel ends:

    >>> orthanc = LocalOrthanc("~/orthanc-of-mine").connect()
    """

    # What the representation shows if the constructor fails.
    folder: Path | None = None
    _port = 0

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        program: str | os.PathLike[str] | Sequence[str] | None = None,
        config: Mapping[str, Any] | None = None,
        timeout: float = 30,
    ) -> None:
        # First of all, so that no traceback shows a password.
        hidden = Secret({} if config is None else config)
        config = None
        example = 'LocalOrthanc("orthanc"), or LocalOrthanc() for a temporary folder'
        self.folder = None if folder is None else Path(path_text(folder, example)).expanduser().absolute()
        check_arguments(timeout, hidden)
        self.timeout = float(timeout)
        self._temporary = folder is None
        self._program = program
        self._config = Secret(dict(hidden.reveal()))
        self._login: Login | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._config_file: Path | None = None
        self._owner = 0
        self._system: dict[str, Any] = {}
        self._log = ""

    def start(self) -> LocalOrthanc:
        """Start the server if it is not running, and wait until it answers.

        Returns
        -------
        LocalOrthanc
            This object.

        Examples
        --------
        >>> server = LocalOrthanc().start()
        >>> server.is_running
        True
        >>> server.stop()
        """
        if self.is_running:
            return self
        # First remove what an earlier server left that ended by itself.
        self.stop()
        command = find_program(self._program)
        self._login = new_login(self._config)
        deadline = time.monotonic() + self.timeout
        try:
            for attempt in range(1, PORT_ATTEMPTS + 1):
                if self._try_start(command, deadline, last=attempt == PORT_ATTEMPTS or bool(self._option("HttpPort"))):
                    break
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """End the server if it is running, and remove its folder if that is temporary. It can be started again.

        Examples
        --------
        >>> server = LocalOrthanc().start()
        >>> server.stop()
        >>> server.is_running
        False
        """
        atexit.unregister(self.stop)
        # A forked child has this object too, and must not end the server.
        if self._owner == os.getpid():
            self._end_guard()
            if self._temporary and self.folder is not None:
                shutil.rmtree(self.folder, ignore_errors=True)
        if self._temporary:
            self.folder = None
        self._guard = None
        self._config_file = None
        self._login = None
        self._port = 0
        self._system = {}

    def connect(self, **kwargs: Any) -> Orthanc:
        """Start the server if it is not running, and return a session on it.

        Parameters
        ----------
        **kwargs
            Anything that `Orthanc` takes beside the address. ``username`` and ``password`` are by default those of
            `credentials`.

        Returns
        -------
        Orthanc
            A session; the server ends with this program, or with `stop`, not with the session.

        Examples
        --------
        >>> from simple_orthanc.phantom import ct_phantom
        >>> server = LocalOrthanc()
        >>> orthanc = server.connect()
        >>> orthanc.upload_dataset(ct_phantom((2, 8, 8))).status.tolist()
        ['stored', 'stored']
        >>> orthanc.PatientNames
        ['Phantom^Water']
        >>> server.stop()
        """
        # First of all, so that no traceback shows a password.
        kwargs = hide_arguments(kwargs)
        self.start()
        # Any other way to log in replaces the password as a whole.
        if self._login is not None and not kwargs.keys() & {"username", "password", "auth", "token"}:
            kwargs["username"], kwargs["password"] = self._login
        return Orthanc(self.url, **kwargs)

    @property
    def is_running(self) -> bool:
        """Whether the server has been started by this process and has not ended.

        Examples
        --------
        >>> with LocalOrthanc() as server:
        ...     print(server.is_running)
        True
        >>> server.is_running
        False
        """
        return self._guard is not None and self._owner == os.getpid() and self._guard.poll() is None

    @property
    def port(self) -> int:
        """The port of the HTTP server.

        Examples
        --------
        >>> server.port == int(server.url.rpartition(":")[2])
        True
        """
        if not self._port:
            raise OrthancError(_NOT_RUNNING)
        return self._port

    @property
    def url(self) -> str:
        """The address of the server, such as ``"http://127.0.0.1:53121"``.

        Examples
        --------
        >>> server.url
        'http://127.0.0.1:...'
        """
        return f"{'https' if self._option('SslEnabled') else 'http'}://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> Credentials | None:
        """The user and the password of the running server, for a browser or another program.

        They are new at each start, unless ``RegisteredUsers`` are in `config`. None if authentication is off.

        Examples
        --------
        >>> from simple_orthanc import DicomWeb
        >>> with LocalOrthanc() as server:
        ...     archive = DicomWeb(f"{server.url}/dicom-web", *server.credentials)
        ...     print(archive.study_count)
        0
        """
        if not self._port:
            raise OrthancError(_NOT_RUNNING)
        return None if self._login is None else Credentials(self._login[0], self._login[1].reveal())

    @property
    def version(self) -> str:
        """The version of Orthanc that the running server reports, such as ``"1.12.7"``.

        Examples
        --------
        >>> server.version
        '1.12.7'
        """
        return str(self._system["Version"]) if self.port else ""

    @property
    def log(self) -> str:
        """The server's log since its last start; it can be read after the server has ended, too.

        Examples
        --------
        >>> "Orthanc has started" in server.log
        True
        """
        if self._log_file is not None and self._log_file.exists():
            self._log = self._log_file.read_text(encoding="utf-8", errors="replace")
        return self._log

    def __enter__(self) -> LocalOrthanc:
        """Start the server."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError(
            "A running server cannot be pickled, and its configuration may hold passwords; pickle a session."
        )

    def __repr__(self) -> str:
        """Show the version, the address and the folder."""
        where = "a temporary folder" if self.folder is None else str(self.folder)
        state = f"Orthanc {self.version} at {self.url}" if self._port else "not running"
        return f"<LocalOrthanc: {state}, in {where}>"

    @property
    def _log_file(self) -> Path | None:
        return None if self.folder is None else self.folder / LOG

    def _option(self, name: str) -> Any:
        return self._config.reveal().get(name)

    def _try_start(self, command: list[str], deadline: float, *, last: bool) -> bool:
        """Start the program once; return False if another process took the port and `last` is not set."""
        if self.folder is None:
            self.folder = new_temporary_folder()
        folder = self.folder
        prepare_folder(folder)
        self._owner = os.getpid()
        name = f"{PREFIX}{secrets.token_hex(8)}"
        settings = configuration(self._config, self._login, folder, name, free_port)
        port: int = settings.reveal()["HttpPort"]
        file = folder / f"{name}.json"
        # It may hold passwords, so only its owner may read it. It stays while the server runs, for /tools/reset.
        self._config_file = file
        with open(open_private(file), "w", encoding="utf-8") as stream:
            json.dump(settings.reveal(), stream, default=os.fspath)
        self._start_guard([*command, str(file)], folder, file)
        remove_old_configurations(folder, file)
        system = self._wait(port, name, deadline)
        if system is None:
            ending = self._ending()
            self._end_guard()
            if PORT_IN_USE in self.log and not last:
                return False
            raise TransportError(f"{command[0]} ended before it answered{ending}.{self._log_tail()}")
        self._port, self._system = port, system
        return True

    def _start_guard(self, command: list[str], folder: Path, file: Path) -> None:
        request = {
            "command": command,
            "lock": str(folder / LOCK),
            # A temporary folder needs no orderly shutdown, which takes Orthanc two seconds.
            "grace": 0 if self._temporary else GRACE,
            "orphan": [str(folder if self._temporary else file)],
        }
        if not sys.executable:
            raise OrthancError("LocalOrthanc needs a Python program (sys.executable) to watch over the server.")
        with open(open_private(folder / LOG, os.O_CREAT | os.O_APPEND), "ab") as log:
            self._guard = subprocess.Popen(
                # Isolated and without site packages: it starts in a few milliseconds and has no dependencies.
                [sys.executable, "-I", "-S", str(GUARD), json.dumps(request)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C in a terminal goes to the whole process group, and must not end the server of a session.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        assert self._guard.stdout is not None
        answer = self._guard.stdout.readline().decode(errors="replace").strip()
        if answer == "started":
            return
        self._end_guard()
        if answer == "busy":
            raise OrthancError(
                f"The folder {folder} is in use by another LocalOrthanc: stop that one, or give another folder."
            )
        raise TransportError(f"{command[0]} could not be started: {answer}.{self._log_tail()}")

    def _end_guard(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            self._stop_guard(guard)
        if self._config_file is not None:
            self._config_file.unlink(missing_ok=True)
            self._config_file = None
        # Kept, since a temporary folder is removed with the server.
        self._log = self.log

    @staticmethod
    def _stop_guard(guard: subprocess.Popen[bytes]) -> None:
        assert guard.stdin is not None
        assert guard.stdout is not None
        # A byte, and not only the end of the pipe: a forked worker may still hold a copy of this end.
        with contextlib.suppress(OSError):
            guard.stdin.write(b"\n")
            guard.stdin.close()
        try:
            guard.wait(GRACE + 5)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()
        guard.stdout.close()

    def _wait(self, port: int, name: str, deadline: float) -> dict[str, Any] | None:
        """Wait until the server called `name` answers, and return its ``/system``, or None if it has ended."""
        assert self._guard is not None
        scheme = "https" if self._option("SslEnabled") else "http"
        url = f"{scheme}://127.0.0.1:{port}/system"
        while time.monotonic() < deadline:
            if self._guard.poll() is not None:
                return None
            started = STARTED.search(self.log) if self._option("SslVerifyPeers") else None
            if started:
                # It answers only with a client certificate, which the session has.
                return {"Name": name, "Version": started[1]}
            system = system_of(url, name, self._login)
            if system is not None:
                return system
            time.sleep(0.02)
        raise RequestTimeout(f"Orthanc did not answer at {url} in {self.timeout:g} s.{self._log_tail()}")

    def _ending(self) -> str:
        """Return how the server ended, for a message; "" where the guard could not report it."""
        assert self._guard is not None
        assert self._guard.stdout is not None
        word, _, status = self._guard.stdout.readline().decode(errors="replace").strip().partition(" ")
        return f", {ended_by(int(status))}" if word == "ended" else ""

    def _log_tail(self, lines: int = 15) -> str:
        last = self.log.strip().splitlines()[-lines:]
        return " The last lines of its log:\n" + "\n".join(last) if last else " Its log is empty."
