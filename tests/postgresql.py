"""A PostgreSQL server of the tests: its own cluster in a scratch folder, reached through a socket in that folder only.

It is the database of Orthanc servers, one database for each. Nothing else of this machine's PostgreSQL is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

# PostgreSQL refuses to run as root; its package adds this user.
_USER = "postgres"
_FOLDERS = "/usr/lib/postgresql"
_START_TIMEOUT = 30.0


def find_postgresql() -> Path | None:
    """Return the folder of the newest PostgreSQL server on this machine, None if there is none."""
    folders = [path.parent for path in Path(_FOLDERS).glob("*/bin/initdb")]
    if folders:
        return max(folders, key=lambda folder: float(folder.parent.name))
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class Cluster:
    """A running PostgreSQL server; `stop` ends it and removes its folder."""

    def __init__(self, programs: Path) -> None:
        # In /tmp, which the servers of other Debian versions see too; the path of a socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="orthanc-postgresql-", dir="/tmp"))
        self._programs = programs
        self._made = 0
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER, _USER)
        try:
            self._run(
                "initdb", "--pgdata", str(self.folder / "data"), "--username=orthanc", "--auth=trust", "--no-sync"
            )
            self._server = self._started()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def make_database(self) -> dict[str, Any]:
        """Make an empty database, and return the options of Orthanc's plugin for it."""
        self._made += 1
        name = f"orthanc{self._made}"
        self._run(
            "psql", "--host", str(self.folder), "--username=orthanc", "--command", f"CREATE DATABASE {name}", "postgres"
        )
        return {
            "EnableIndex": True,
            "EnableStorage": False,
            "EnableSsl": False,
            "Host": str(self.folder),
            "Port": 5432,
            "Database": name,
            "Username": "orthanc",
            "Password": "",
        }

    def stop(self) -> None:
        """End the server, and remove its folder."""
        # Without a last write to the disk; it still waits for its own processes.
        self._server.send_signal(signal.SIGQUIT)
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _command(self, program: str, *arguments: str) -> list[str]:
        # It ends with this process, however that ends.
        user = [f"--reuid={_USER}", f"--regid={_USER}", "--init-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *user, "--pdeathsig=QUIT", str(self._programs / program), *arguments]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            self._command(program, *arguments), capture_output=True, text=True, cwd=self.folder, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stdout}{done.stderr}")

    def _started(self) -> subprocess.Popen[bytes]:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "unix_socket_permissions": "0700",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "autovacuum": "off",
            "shared_buffers": "32MB",
        }
        settings = [f"--{name}={value}" for name, value in options.items()]
        log = self.folder / "log"
        with log.open("wb") as stream:
            server = subprocess.Popen(
                self._command("postgres", "-D", str(self.folder / "data"), *settings),
                stdout=stream,
                stderr=stream,
                cwd=self.folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT
        ready = self._command("pg_isready", "--quiet", "--host", str(self.folder))
        while subprocess.run(ready, cwd=self.folder).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-1000:]}")
            time.sleep(0.05)
        return server
