"""Looking at many files: in this thread, in several, or in helper processes, whichever takes the least time.

Making Python objects out of bytes holds the interpreter, and threads that take turns at it need twice the time of one
(measured: 16 s for 100,000 files in one thread, 33 s in two, 42 s in four). So threads are for what waits for a disk or
a network, and many files are looked at by helpers. A helper is a plain Python of its own, spoken to over its standard
streams in lines of JSON; why neither a fork nor `multiprocessing`, `simple_orthanc.pixels.processes` says.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.pixels.processes import interpreter, processors
from simple_orthanc.selection.source import batches
from simple_orthanc.sources.folder.catalogue import Item
from simple_orthanc.sources.folder.files import look

Given = TypeVar("Given")
Result = TypeVar("Result")
# Where a file is, what it is called from the top folder, and its stamp.
Met: TypeAlias = "tuple[str, str, tuple[int, int, int]]"

# Files that are looked at to find out whether they are waited for, and that are handed to a thread at once.
BATCH = 32
# Seconds that a file is waited for where threads save time: far more than reading one takes.
_WAITING = 0.002
_WAITING_WORKERS = 8
# A helper takes half a second to start, in which this many files are looked at.
WORTH_HELPERS = 5000
_MOST_HELPERS = 8
_BATCH_OF_HELPER = 256
_PATIENCE = 2.0

_PROGRAM = """
import json, sys
sys.path += [entry for entry in json.loads(sys.argv[1]) if entry not in sys.path]
from simple_orthanc.sources.folder.processes import serve
serve()
"""


def look_at(waiting: Sequence[Met]) -> Generator[list[Item], None, None]:
    """Look at files; gives the items of each, in their order."""
    if len(waiting) < WORTH_HELPERS or processors() < 2 or not interpreter():
        yield from side_by_side(lambda met: look(*met), waiting, "reading headers")
        return
    count = min(processors(), _MOST_HELPERS)
    pieces = list(batches(waiting, _BATCH_OF_HELPER))
    with _Helpers(count) as helpers:
        for found in map_ordered(helpers.look, pieces, workers=count, total=len(pieces), label="reading headers"):
            yield from found


def side_by_side(function: Callable[[Given], Result], items: Sequence[Given], label: str) -> Iterator[Result]:
    """Call a function for each of many files, in several threads where files are waited for; results in their order."""
    began, used = time.perf_counter(), time.thread_time()
    for item in items[:BATCH]:
        yield function(item)
    waited = (time.perf_counter() - began) - (time.thread_time() - used)
    workers = _WAITING_WORKERS if waited > _WAITING * BATCH else 1

    def call(piece: Sequence[Given]) -> list[Result]:
        return [function(item) for item in piece]

    pieces = list(batches(items[BATCH:], BATCH))
    for results in map_ordered(call, pieces, workers=workers, total=len(pieces), label=label):
        yield from results


class _Helpers:
    """Helper processes, of which each looks at some files at a time; what one cannot do is done here."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._all: list[subprocess.Popen[bytes]] = []
        # None stands for a helper that could not be started, or has ended.
        self._free: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()

    def __enter__(self) -> _Helpers:
        for _ in range(self._count):
            helper = None
            with contextlib.suppress(OSError):
                helper = _started()
                self._all.append(helper)
            self._free.put(helper)
        return self

    def __exit__(self, *exception: object) -> None:
        for helper in self._all:
            helper.kill()
            for pipe in (helper.stdin, helper.stdout):
                # What is still to be written has nobody to go to.
                with contextlib.suppress(OSError):
                    assert pipe is not None
                    pipe.close()
            helper.wait(_PATIENCE)

    def look(self, piece: Sequence[Met]) -> list[list[Item]]:
        """Look at some files; may be called from several threads."""
        helper = self._free.get()
        try:
            if helper is not None:
                found = _asked(helper, piece)
                if found is not None:
                    return found
                helper = None
        finally:
            self._free.put(helper)
        return [look(*met) for met in piece]


def _asked(helper: subprocess.Popen[bytes], piece: Sequence[Met]) -> list[list[Item]] | None:
    """Let a helper look at some files; None: it has ended."""
    assert helper.stdin is not None
    assert helper.stdout is not None
    try:
        helper.stdin.write(json.dumps(piece).encode("ascii") + b"\n")
        helper.stdin.flush()
        return [[_item(row) for row in rows] for rows in json.loads(helper.stdout.readline())]
    except (OSError, ValueError):
        return None


_fields = attrgetter(*Item.__slots__)


def _item(row: Sequence[Any]) -> Item:
    path, member, place, size, stamp, status, uid, message, chain, texts, references, is_settled, digest = row
    return Item(
        path=path,
        member=member,
        place=place,
        size=size,
        stamp=tuple(stamp),
        status=status,
        uid=uid,
        message=message,
        chain=chain and tuple(chain),
        texts=texts and tuple(texts),
        references=tuple(references),
        is_settled=is_settled,
        digest=digest,
    )


def _started() -> subprocess.Popen[bytes]:
    options: dict[str, Any]
    # Ctrl-C in a terminal is for this process, which then ends the helpers.
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    else:
        options = {"start_new_session": True}
    path = [str(Path(__file__).parents[3]), *map(os.path.abspath, sys.path)]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        **options,
    )


def serve() -> None:
    """Be a helper process: answer each line until there are no more."""
    # What libraries print is no answer.
    with open(os.dup(1), "wb") as outgoing:
        os.dup2(2, 1)
        for line in sys.stdin.buffer:
            piece = json.loads(line)
            found = [[_fields(item) for item in look(full, path, tuple(stamp))] for full, path, stamp in piece]
            outgoing.write(json.dumps(found).encode("ascii") + b"\n")
            outgoing.flush()
