"""One zip of what is selected, made by the server and written to disk when it is known to be whole."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from simple_orthanc.errors import OrthancError, RequestTimeout, SelectionError, ServerError, TransportError
from simple_orthanc.files.paths import put_new
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.jobs.answers import integer
from simple_orthanc.rest.jobs.starting import wait_or_cancel
from simple_orthanc.rest.verbs import checked_target
from simple_orthanc.rest.zips import zip_check
from simple_orthanc.session.acts.targets import held_targets
from simple_orthanc.session.display import counted
from simple_orthanc.session.exports.staging import staging_folder
from simple_orthanc.session.orthanc_state import OrthancState

# Statuses of a failed job, and of a server, or a proxy before it, that may be gone a moment later.
_MOMENTARY = (0, 429, 502, 503, 504)


def write_archive(session: OrthancState, path: object, *, media: bool, overwrite: bool, everything: bool) -> Path:
    """Write one zip of exactly what is selected; see `ActsOnServer.archive`."""
    target = checked_target(path, 'archive("study.zip")')
    if not overwrite and os.path.lexists(target):
        raise _exists(target)
    targets = held_targets(session, "archived", everything=everything)
    request = _Request(
        "/tools/create-media" if media else "/tools/create-archive",
        {"Resources": [target.key for target in targets]},
        sum(len(target.instances) for target in targets),
        target,
    )
    try:
        with staging_folder(target.parent) as folder:
            part = _write(session, request, folder / target.name)
            if overwrite:
                os.replace(part, target)
            elif not put_new(part, target):
                raise _exists(target)
    except OSError as error:
        if isinstance(error, OrthancError):
            raise
        raise OrthancError(
            f"{target} cannot be written: {error.strerror or error}. Nothing was left behind."
        ) from error
    return target


def _write(session: OrthancState, request: _Request, to: Path) -> Path:
    try:
        return _write_by_job(session, request, to)
    except ServerError as error:
        if error.status not in _MOMENTARY:
            raise
    except TransportError as error:
        if isinstance(error, RequestTimeout) or error.is_about_object:
            raise
    # The answer was lost; or the server keeps one archive by default, and another client's has taken its place, or
    # none since it was started again.
    asked = f"archive({str(request.target)!r})"
    check = zip_check(asked, request.instance_count, lambda: request.instance_count)
    return session.rest.stream(request.route, body=request.body, to=to, idempotent=True, check=check)


class _Request(NamedTuple):
    route: str
    body: dict[str, Any]
    instance_count: int
    target: Path


def _write_by_job(session: OrthancState, request: _Request, to: Path) -> Path:
    """Let the server make the archive first, so that its size is known, and progress seen."""
    job = session.rest.start_job(request.route, request.body)
    if job.id is None:
        raise TransportError(
            f"{session.rest.url} was asked to start a job by POST {request.route}, and its answer is something else. "
            "Nothing was written. Check what is between the server and here."
        )
    wait_or_cancel(job, label="archiving")
    _check_count(job, request.instance_count)
    _check_space(job, request.target)
    written = job.output(to)
    _forget(session, job)
    return written


def _exists(target: Path) -> SelectionError:
    return SelectionError(
        f"There is a file {target} already, and nothing was archived: choose another name, or replace it with "
        f"archive({str(target)!r}, overwrite=True)."
    )


def _check_count(job: Job, count: int) -> None:
    """Compare what the server has put into an archive with what was selected."""
    archived = integer(_content(job).get("InstancesCount"))
    if archived != count:
        raise SelectionError(
            f"{counted({'instance': count})} were to be archived, and the server archived {archived:,}: its archive "
            "has changed meanwhile. Nothing was written. refresh() brings the selection up to date."
        )


def _content(job: Job) -> dict[str, Any]:
    content = job.content
    return content if isinstance(content, dict) else {}


def _check_space(job: Job, target: Path) -> None:
    size, free = integer(_content(job).get("ArchiveSize")), shutil.disk_usage(target.parent).free
    if size > free:
        raise SelectionError(
            f"archive({str(target)!r}): {size / 1e6:,.1f} MB are to be written, and {free / 1e6:,.1f} MB are free. "
            "Nothing was written. Free some space, select fewer, or choose another folder."
        )


def _forget(session: OrthancState, job: Job) -> None:
    """Free the space of an archive on the server, where that is possible (Orthanc 1.12.1)."""
    if session.rest.capabilities.version >= (1, 12, 1):
        with suppress(OrthancError):
            session.rest.delete(f"/jobs/{job.id}/archive")
