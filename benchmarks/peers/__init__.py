"""The other clients, each in a process of an environment of its own, doing the same jobs."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.timing import Contestant, Elsewhere, SkippedError

_WORKER = Path(__file__).with_name("worker.py")


class PeerEnvironment:
    """The other clients, ready to be timed.

    Parameters
    ----------
    python : Path
        The interpreter of the environment in which they are installed.

    Attributes
    ----------
    versions : dict
        Package to version.
    """

    def __init__(self, python: Path) -> None:
        self._python = python.absolute()
        self._process: subprocess.Popen[str] | None = None
        self.versions: dict[str, str] = {}
        self._jobs: dict[str, dict[str, str]] = {}

    def __enter__(self) -> PeerEnvironment:
        """Start the process."""
        command = [str(self._python), str(_WORKER)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = self._ask({})
        self.versions, self._jobs = told["versions"], told["jobs"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(30)

    def contestants(self, job: str, **arguments: Any) -> dict[str, Contestant]:
        """Return the other clients' contestants for a job; without those that cannot do it."""
        wanted = arguments.get("digest", "")
        return {
            peer: Contestant(
                partial(self._run, job, peer, arguments), lambda found: bool(found.digest == wanted), note=note
            )
            for peer, note in self._jobs.get(job, {}).items()
        }

    def _run(self, job: str, peer: str, arguments: dict[str, Any]) -> Elsewhere:
        answer = self._ask({"job": job, "peer": peer, "arguments": arguments})
        if "skipped" in answer:
            raise SkippedError(answer["skipped"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return Elsewhere(answer["seconds"], answer["digest"])

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._python} ended: are the other clients installed in it? make bench-peers does so")
        return json.loads(line)
