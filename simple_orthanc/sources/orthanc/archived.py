"""Series of small images, read as one archive (ZIP) that the server makes of them.

Whether this pays depends on the server's work for each file: its processor time, measured with 10,000 instances of
10 kB in its database. From 1.12 on, a request for one file takes 1.4 ms, most of it to look the file up, and one file
of an archive takes 0.6 ms. Orthanc 1.10 takes 0.07 ms for a request, and 0.25 ms for a file of an archive, which it
deflates. So with 1.10 an archive pays only if each request waits for a network; otherwise requests are pipelined. For
larger files an archive would take longer, since Orthanc deflates some 40 MB per second.

The archive is requested by series: from 1.12 on, Orthanc takes ten times as long for instances by their ids. Orthanc
leaves out what it cannot read, and the names of the members do not identify them. So each member is identified by its
own UIDs, and compared with what the server lists. A file that is missing or differs is read by itself later.

To Orthanc an archive is a job. It waits for the jobs that are running, and once it has ended it pushes the oldest job
out of the history of ten, although somebody may still want that job's outcome or output. So an archive is requested
only if no job of somebody else is active or has ended recently.
"""

from __future__ import annotations

import io
import json
import threading
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from simple_orthanc.concurrency import interruption
from simple_orthanc.errors import NotFoundError, ServerError, TransportError
from simple_orthanc.files.walker import Buffer
from simple_orthanc.files.zips import member_problem, members_of, open_member, open_zip
from simple_orthanc.rest import Rest
from simple_orthanc.rest.server_time import server_time
from simple_orthanc.selection.source import Row
from simple_orthanc.sources.identity import identity_in, orthanc_id
from simple_orthanc.sources.orthanc.answers import ask
from simple_orthanc.sources.orthanc.files import FileReader
from simple_orthanc.transport import Transport

_SMALL = 40_000
"""Files of up to this mean size, in bytes, are read from an archive."""

_SLOW_SINGLE_FILES = (1, 12)
"""From this version on, single files take the server longer than an archive."""

# Below that of other jobs; it also marks the jobs of these archives.
_PRIORITY = -1
# Seconds after which nobody is likely to wait for the outcome of a job.
_RECENTLY = 600.0
# Seconds after which single files are quicker.
_TIMEOUT = 20.0
# Archives that are requested at a time: over a slow link one arrives while the server makes the next. Orthanc runs two
# jobs at a time by default (ConcurrentJobs); a third would use up its timeout in the queue.
_AT_ONCE = 2
_SECONDS_BETWEEN_LOOKS = 0.2
# Those that Orthanc uses in its archives.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ArchiveReader:
    """Reads the files of whole series from archives.

    Parameters
    ----------
    transport : Transport
        The connection.
    rest : Rest
        The REST API over it, for what the server can do.
    reader : FileReader
        Knows what the server lists of files.
    """

    def __init__(self, transport: Transport, rest: Rest, reader: FileReader) -> None:
        self._transport, self._rest, self._reader = transport, rest, reader
        self._is_refused = False
        self._turns = threading.Semaphore(_AT_ONCE)

    def read(self, series: Sequence[Row]) -> dict[str, Buffer]:
        """Read the files of some series; empty if single files are as quick, or no archive is available."""
        if not self._pays([key for row in series for key in row.children]):
            return {}
        kept, stamps = self._reader.read_kept([key for row in series for key in row.children])
        incomplete = [row for row in series if not kept.keys() >= set(row.children)]
        if not incomplete:
            return kept
        try:
            if self._has_other_jobs():
                return kept
            content = self._archive([row.key for row in incomplete])
        except NotFoundError:
            # A series is gone; reading its files reports that.
            return kept
        except ServerError:
            # This user may not be allowed to make archives.
            self._is_refused = True
            return kept
        except TransportError:
            # Reading the files reports whether the server can be reached.
            return kept
        files = self._unpacked(content, {key for row in incomplete for key in row.children})
        for key in files.keys() - kept.keys():
            self._reader.keep(key, stamps.get(key), files[key])
        return {**files, **kept}

    def _pays(self, keys: Sequence[str]) -> bool:
        if self._is_refused or len(keys) < 2 or self._reader.asks_for_checksums:
            return False
        sizes = [self._reader.listed_file(key).size for key in keys]
        if any(size is None for size in sizes) or sum(size or 0 for size in sizes) > _SMALL * len(keys):
            return False
        return self._rest.capabilities.version >= _SLOW_SINGLE_FILES or not self._transport.is_nearby

    def _archive(self, series: Sequence[str]) -> bytes:
        question = {"Resources": series, "Priority": _PRIORITY}
        while not self._turns.acquire(timeout=_SECONDS_BETWEEN_LOOKS):
            interruption.check()
        try:
            return self._transport.content(
                "POST",
                "/tools/create-archive",
                data=json.dumps(question),
                timeout=_TIMEOUT,
                patience=0,
                idempotent=True,
            )
        finally:
            self._turns.release()

    def _has_other_jobs(self) -> bool:
        """Check whether the server has jobs of somebody else that are active or have ended recently."""
        jobs = ask(self._transport, "GET", "/jobs", _is_jobs, params={"expand": ""})
        return any(_is_active_or_recent(job) for job in jobs if not _is_own(job))

    def _unpacked(self, content: bytes, keys: set[str]) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        longest = max(self._reader.listed_file(key).size or 0 for key in keys)
        try:
            archive = open_zip(io.BytesIO(content))
        except ValueError:
            return files
        with archive:
            for member in members_of(archive):
                if member.file_size > longest or member.compress_type not in _COMPRESSIONS:
                    continue
                if member_problem(member) is not None:
                    continue
                try:
                    # A member may hold more than it promises.
                    with open_member(archive, member) as stream:
                        file = stream.read(member.file_size + 1)
                except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
                    continue
                key = orthanc_id(identity_in(io.BytesIO(file), len(file)))
                if key in keys and self._reader.is_as_listed(key, file):
                    files[key] = file
        return files


def _is_jobs(answer: Any) -> bool:
    return isinstance(answer, list) and all(isinstance(job, dict) and "State" in job for job in answer)


def _is_own(job: Mapping[str, Any]) -> bool:
    return job.get("Type") == "Archive" and job.get("Priority") == _PRIORITY


def _is_active_or_recent(job: Mapping[str, Any]) -> bool:
    now, completed = server_time(job.get("Timestamp")), server_time(job.get("CompletionTime"))
    return now is None or completed is None or (now - completed).total_seconds() < _RECENTLY
