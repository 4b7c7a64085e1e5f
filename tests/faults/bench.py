"""Runs operations through a proxy that misbehaves, many side by side, and judges what became of each."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from simple_orthanc import DicomWeb, Orthanc, limits
from simple_orthanc import errors as library_errors
from simple_orthanc.errors import OrthancError
from simple_orthanc.transport import watching
from tests.faults.archive import Series, Server, swapper
from tests.faults.operations import OPERATIONS, LostError, Task, WrongError, task_on
from tests.faults.proxy import Proxy, Trouble
from tests.faults.registry import RIGHT, ROWS, WARNING, Fault

PROTOCOLS = ("Orthanc", "DICOMweb")
LIMIT = 45.0
"""Seconds after which an operation is said to have no end."""
SIDE_BY_SIDE = 12
SETTINGS: Mapping[str, Any] = {"timeout": (5, 20)}
PATIENCE, PATIENCE_IN_VAIN = 15.0, 3.0
"""Seconds of patience where a fault passes, which are never needed in full, and where it lasts."""
RATE_WINDOW = 3.0
"""Seconds over which the slowest rate is measured here."""
UNCLEAR, NO_END, WRONG, LOST = "unclear", "no end", "wrong", "lost"
BAD = (UNCLEAR, NO_END, WRONG, LOST)


@dataclass(frozen=True)
class Cell:
    """One fault, met by one operation, over one protocol."""

    fault: Fault
    protocol: str
    operation: str

    def __str__(self) -> str:
        return f"{self.protocol} {self.operation}: {self.fault.name}"


@dataclass(frozen=True)
class Outcome:
    """What became of a cell.

    Attributes
    ----------
    kind : str
        "right", the name of an error, "rows", "warning", or one of `BAD`.
    detail : str
        The message.
    seconds : float
        How long it took.
    """

    kind: str
    detail: str = ""
    seconds: float = 0.0

    def fulfils(self, expected: str) -> bool:
        """Check whether this is what must become of the cell; more than that is allowed."""
        return self.kind == RIGHT or any(self._is(name) for name in expected.split(" or "))

    def _is(self, name: str) -> bool:
        error, wanted = getattr(library_errors, self.kind, None), getattr(library_errors, name, None)
        return self.kind == name or (error is not None and wanted is not None and issubclass(error, wanted))


def cells_of(faults: Iterable[Fault], protocols: Iterable[str] = PROTOCOLS, *, every: bool = False) -> list[Cell]:
    """List the cells of some faults; with `every`, a fault that lasts meets more than two operations."""
    return [
        Cell(fault, protocol, operation)
        for fault in faults
        for protocol in protocols
        for operation in (fault.operations if every else fault.chosen)
        if (protocol, operation) not in fault.unless
    ]


class Bench:
    """One server with the archive on it.

    Parameters
    ----------
    server : Server
        It holds exactly the archive.
    archive : list of Series
        What it holds.
    """

    def __init__(self, server: Server, archive: list[Series]) -> None:
        self.server = server
        self.archive = archive
        self._swap = swapper(server, archive[-1].datasets[0])
        self._warned: dict[int, list[str]] = {}

    def run(self, cells: Iterable[Cell]) -> dict[Cell, Outcome]:
        """Run cells side by side: first those that only read."""
        cells = [
            cell
            for cell in cells
            if (cell.protocol, cell.operation) not in self.server.lacks
            and (self.server.counts or not cell.fault.needs_count)
        ]
        reading = [cell for cell in cells if not OPERATIONS[cell.operation].changes]
        changing = [cell for cell in cells if OPERATIONS[cell.operation].changes]
        outcomes: dict[Cell, Outcome] = {}
        with (
            self._warnings_kept(),
            limits.changed(head_seconds=10.0),
            patch.object(watching, "RATE_WINDOW", RATE_WINDOW),
        ):
            for part in (reading, changing):
                with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
                    outcomes.update(zip(part, pool.map(self._run_in_time, part), strict=True))
        return outcomes

    @contextmanager
    def _warnings_kept(self) -> Iterator[None]:
        """Keep each warning with the thread that caused it.

        The filters of warnings belong to the whole process, so that threads that change them for a while leave them
        wrong for each other. They are restored at the end, and no warning passes them.
        """

        def keep(message: Warning | str, *_: Any, **__: Any) -> None:
            self._warned.setdefault(threading.get_ident(), []).append(str(message))

        with warnings.catch_warnings(), patch.object(warnings, "warn", keep):
            yield

    def _run_in_time(self, cell: Cell) -> Outcome:
        done: list[Outcome] = []
        with Proxy(self.server.url) as proxy:
            thread = threading.Thread(target=lambda: done.append(self._run(cell, proxy)), daemon=True)
            begin = time.monotonic()
            thread.start()
            thread.join(LIMIT)
            seconds = time.monotonic() - begin
            outcome = done[0] if done else Outcome(NO_END, f"more than {LIMIT:g} s")
        # Its connections have ended, so that it can end too.
        thread.join(5)
        return Outcome(outcome.kind, outcome.detail, seconds)

    def _run(self, cell: Cell, proxy: Proxy) -> Outcome:
        operation = OPERATIONS[cell.operation]
        proxy.swap = self._swap
        self._warned.pop(threading.get_ident(), None)
        with task_on(lambda: self._open(cell, proxy), self.server, self.archive, operation) as task:
            result = error = None
            try:
                if cell.fault.early:
                    self._begin(cell, proxy)
                operation.prepare(task)
                if not cell.fault.early:
                    self._begin(cell, proxy)
                result = operation.run(task)
            except Exception as raised:
                error = raised
            struck = proxy.struck or cell.fault.begin is not None
            proxy.make_peace()
            warned = self._warned.pop(threading.get_ident(), [])
            if not struck:
                return Outcome(UNCLEAR, f"the fault never struck; {error!r}")
            outcome = self._judge(cell, task, result, error, warned, proxy)
            if task.session is not None:
                task.session.close()
            return outcome

    def _begin(self, cell: Cell, proxy: Proxy) -> None:
        fault = cell.fault
        if fault.begin is not None:
            fault.begin(proxy)
        if fault.act is not None:
            skip = fault.skip if cell.operation in ("headers", "volume", "download", "upload") else 0
            aim = fault.aim(OPERATIONS[cell.operation].aim)
            proxy.make(Trouble(fault.act, aim, skip, fault.times, fault.sticks))

    def _judge(
        self,
        cell: Cell,
        task: Task,
        result: Any,
        error: Exception | None,
        warned: list[str],
        proxy: Proxy,
    ) -> Outcome:
        try:
            if isinstance(error, LostError):
                raise error
            OPERATIONS[cell.operation].check(task, result)
        except (WrongError, LostError) as untrue:
            # A warning that says how much is missing makes what remains true.
            counted = [text for text in warned if any(word.isdecimal() for word in text.split())]
            if counted and cell.fault.early:
                return Outcome(WARNING, counted[0])
            return Outcome(WRONG if isinstance(untrue, WrongError) else LOST, str(untrue))
        except Exception as broken:
            return Outcome(LOST, f"the session is of no use afterwards: {broken!r}")
        if error is not None:
            return Outcome(_kind_of(error, proxy), str(error))
        if "status" in getattr(result, "columns", ()) and set(result["status"]) != {"stored"}:
            failed = result[~result["status"].eq("stored")]
            return Outcome(ROWS if failed["message"].str.len().min() > 20 else UNCLEAR, str(failed["message"].iloc[0]))
        return Outcome(RIGHT)

    def _open(self, cell: Cell, proxy: Proxy) -> Any:
        patience = PATIENCE if cell.fault.expected == RIGHT else PATIENCE_IN_VAIN
        settings = {**SETTINGS, "patience": patience, **cell.fault.settings}
        if cell.protocol == "Orthanc":
            return Orthanc(proxy.url, **settings)
        # DICOMweb knows no checksums.
        settings.pop("checksums", None)
        return DicomWeb(proxy.url + self.server.prefix, **settings)


def _kind_of(error: Exception, proxy: Proxy) -> str:
    """Return the name of an error that tells its user what to do, or "unclear"."""
    text = str(error)
    names_what = str(proxy.port) in text or "/" in text or "UID" in text or "objects of level" in text
    if isinstance(error, OrthancError) and names_what and len(text) > 60:
        return type(error).__name__
    return UNCLEAR
