"""One zip of what is selected, made by the server and written to disk when it is known to be whole."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from simple_orthanc.errors import JobError, OrthancError, SelectionError
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.jobs.answers import integer
from simple_orthanc.rest.jobs.starting import wait_or_cancel
from simple_orthanc.rest.verbs import checked_target
from simple_orthanc.session.acts.targets import exact_targets
from simple_orthanc.session.display import counted
from simple_orthanc.session.orthanc_state import OrthancState

# A server keeps one archive by default: that of another client may take its place before it is read.
_ATTEMPTS = 3


def write_archive(session: OrthancState, path: object, *, media: bool, overwrite: bool, everything: bool) -> Path:
    """Write one zip of exactly what is selected; see `ActsOnServer.archive`."""
    target = checked_target(path, 'archive("study.zip")')
    if not overwrite:
        _check_is_new(target)
    targets = exact_targets(session, "archived", everything=everything)
    gone = sum(target.is_gone for target in targets)
    if gone:
        raise SelectionError(
            f"{gone} of {len(targets)} selected objects are not in the archive any more, so nothing was archived: "
            "refresh() brings the selection up to date."
        )
    resources = [target.key for target in targets]
    count = sum(len(target.instances) for target in targets)
    route = "/tools/create-media" if media else "/tools/create-archive"
    for attempt in range(1, _ATTEMPTS + 1):
        job = session.rest.start_job(route, {"Resources": resources})
        wait_or_cancel(job, label="archiving")
        _check_count(job, count)
        _check_space(job, target)
        try:
            written = job.output(target)
        except JobError:
            if attempt == _ATTEMPTS:
                raise
        else:
            _forget(session, job)
            return written
    raise AssertionError("unreachable")


def _check_is_new(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise SelectionError(
            f"There is a file {target} already, and nothing was archived: choose another name, or replace it with "
            f"archive({str(target)!r}, overwrite=True)."
        )


def _check_count(job: Job, count: int) -> None:
    """Compare what the server has put into an archive with what was selected."""
    archived = integer(job.content.get("InstancesCount"))
    if archived != count:
        raise SelectionError(
            f"{counted({'instance': count})} were to be archived, and the server archived {archived:,}: its archive "
            "has changed meanwhile. Nothing was written. refresh() brings the selection up to date."
        )


def _check_space(job: Job, target: Path) -> None:
    size, free = integer(job.content.get("ArchiveSize")), shutil.disk_usage(target.parent).free
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
