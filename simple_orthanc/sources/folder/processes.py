"""Looking at many files: in this thread, in several, or in helper processes, whichever takes the least time.

Making Python objects out of bytes holds the interpreter, and threads that take turns at it need twice the time of one
(measured: 16 s for 100,000 files in one thread, 33 s in two, 42 s in four). So threads are for what waits for a disk or
a network, and many files are looked at in helper processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

from simple_orthanc.concurrency.helpers import (
    MOST_HELPERS,
    HelperEndedError,
    HelperPool,
    HelperTaskError,
    interpreter,
    processors,
)
from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.selection.source import batches
from simple_orthanc.sources.folder.files import look
from simple_orthanc.sources.folder.folder_index import Item

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
_BATCH_OF_HELPER = 256


def look_at(waiting: Sequence[Met]) -> Generator[list[Item], None, None]:
    """Look at files, and yield the items of each in their order."""
    if len(waiting) < WORTH_HELPERS or processors() < 2 or not interpreter():
        yield from side_by_side(lambda met: look(*met), waiting, "reading headers")
        return
    count = min(processors(), MOST_HELPERS)
    pieces = list(batches(waiting, _BATCH_OF_HELPER))
    pool = HelperPool(__name__)
    try:
        pool.start(count)
        ask = partial(_look_in_helper, pool)
        for items in map_ordered(ask, pieces, workers=count, total=len(pieces), label="reading headers"):
            yield from items
    finally:
        pool.close()


def side_by_side(function: Callable[[Given], Result], items: Sequence[Given], label: str) -> Iterator[Result]:
    """Call a function for each file, in several threads where files are waited for; yield results in their order."""
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


def _look_in_helper(pool: HelperPool, piece: Sequence[Met]) -> list[list[Item]]:
    """Look at some files in a helper; where it cannot, here."""
    try:
        reply = pool.call(piece)
    except (HelperEndedError, HelperTaskError):
        reply = None
    if reply is None:
        return [look(*met) for met in piece]
    return [[_item(row) for row in rows] for rows in reply[0]]


def answer(head: Sequence[Any], body: bytes) -> tuple[list[list[tuple[Any, ...]]], bytes]:
    """Look at some files as a helper process; the body is not used."""
    return [
        [_fields(item) for item in look(full, path, (stamp[0], stamp[1], stamp[2]))] for full, path, stamp in head
    ], b""


_fields = attrgetter(*Item.__slots__)


def _item(row: Sequence[Any]) -> Item:
    path, member, member_index, size, stamp, status, uid, message, chain, texts, references, is_settled, digest = row
    return Item(
        path=path,
        member=member,
        member_index=member_index,
        size=size,
        stamp=tuple(stamp),
        status=status,
        uid=uid,
        message=message,
        chain=chain and tuple(chain),
        serialized=texts and tuple(texts),
        references=tuple(references),
        is_settled=is_settled,
        digest=digest,
    )
