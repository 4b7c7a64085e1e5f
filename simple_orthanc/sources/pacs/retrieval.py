"""Brings objects of a PACS to the Orthanc server that speaks to it, by C-MOVE or C-GET.

A PACS may answer with success although it sent nothing, and most versions of Orthanc do not report how much arrived. So
success means nothing here: what arrived is compared afterwards, by `simple_orthanc.session.pacs`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import quote

from simple_orthanc.concurrency.interruption import for_at_most
from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.errors import (
    AuthenticationError,
    JobError,
    NotFoundError,
    OrthancError,
    SelectionError,
    ServerError,
    UnsupportedError,
)
from simple_orthanc.rest.remote.retrieving import FIRST_WITH_GET
from simple_orthanc.selection.source import batches
from simple_orthanc.sources.keys import UID_TAGS, Key

if TYPE_CHECKING:
    from simple_orthanc.rest import Rest

Method: TypeAlias = Literal["move", "get"]

# In one job, of one series; of larger objects each is a job, so that an error says which.
_IMAGES_AT_ONCE = 100
# Orthanc 1.10.1 answers when all has arrived.
_SECONDS_WITHOUT_JOB = 3600
_SECONDS_TO_CANCEL = 1.0


def choose_method(rest: Rest, modality: str, how: str | None) -> Method:
    """Return how objects are retrieved: as asked, or else as the configuration of the modality says.

    Raises
    ------
    SelectionError
        There is no such way.
    UnsupportedError
        The server does not know C-GET.
    """
    if how not in (None, "move", "get"):
        raise SelectionError(f'how={how!r} is neither "move" (C-MOVE) nor "get" (C-GET).')
    version = rest.capabilities.version
    if how is None:
        configured: Any = {}
        with contextlib.suppress(OrthancError):
            configured = rest.get(f"{_route(modality)}/configuration")
        prefers_get = isinstance(configured, dict) and configured.get("RetrieveMethod") == "C-GET"
        return "get" if prefers_get and version >= FIRST_WITH_GET else "move"
    if how == "get" and version < FIRST_WITH_GET:
        raise UnsupportedError(
            f"Orthanc {'.'.join(map(str, version))} cannot retrieve by C-GET; 1.12.6 can. Retrieve by C-MOVE with "
            'how="move": the PACS must then know the AE title, host and port of this Orthanc.'
        )
    return "get" if how == "get" else "move"


def retrieve(
    rest: Rest,
    modality: str,
    method: Method,
    level: Level,
    keys: Sequence[Key],
    *,
    timeout: float | None = None,
    network_timeout: int | None = None,
) -> None:
    """Retrieve objects, job by job; Ctrl-C cancels the job that runs.

    Parameters
    ----------
    rest : Rest
        The REST API of the server.
    modality : str
        The name of the PACS.
    method : {"move", "get"}
        See `choose_method`.
    level : {"study", "series", "instance"}
        Their level.
    keys : sequence of Key
        Their identifiers.
    timeout : float, optional
        Seconds that one job may take.
    network_timeout : int, optional
        Seconds that the server waits for each answer of the PACS.

    Raises
    ------
    JobError
        A job failed; what was retrieved before stays.
    """
    jobs = list(_jobs(level, keys))
    options = {} if network_timeout is None else {"Timeout": network_timeout}
    with progress_bar(len(jobs), f"retrieving from {modality}") as advance:
        for number, resources in enumerate(jobs):
            try:
                body = {"Level": level.capitalize(), "Resources": list(resources), **options}
                _run(rest, f"{_route(modality)}/{method}", body, timeout)
            except (JobError, ServerError) as error:
                if isinstance(error, (AuthenticationError, NotFoundError)):
                    raise
                raise _failed(modality, method, level, resources, f"{number} of {len(jobs)}", error) from None
            advance(1)


def _route(modality: str) -> str:
    return f"/modalities/{quote(modality, safe='')}"


def _jobs(level: Level, keys: Sequence[Key]) -> Iterator[Sequence[dict[str, str]]]:
    """Yield what is retrieved by each job, with the unique keys of all levels down to its own."""
    at_once = _IMAGES_AT_ONCE if level == "instance" else 1
    parents: dict[Key, dict[Key, None]] = {}
    for key in keys:
        # One UID under two patients is one object for C-MOVE.
        named = key._replace(patient="")
        parents.setdefault(named.parent, {})[named] = None
    for objects in parents.values():
        for batch in batches(list(objects), at_once):
            yield [{UID_TAGS[upper]: key[depth(upper)] for upper in LEVELS[1 : depth(level) + 1]} for key in batch]


def _run(rest: Rest, path: str, body: dict[str, Any], timeout: float | None) -> None:
    job = rest.start_job(path, body, timeout=_SECONDS_WITHOUT_JOB if timeout is None else timeout)
    if job.id is None:
        return
    try:
        job.wait(timeout, progress=False)
    except JobError:
        raise
    except BaseException:
        # Ctrl-C is not to wait for a server that is mute.
        with contextlib.suppress(OrthancError, KeyboardInterrupt), for_at_most(_SECONDS_TO_CANCEL):
            job.cancel()
        raise


def _failed(
    modality: str, method: Method, level: Level, resources: Sequence[dict[str, str]], done: str, error: ServerError
) -> JobError:
    what = resources[0][UID_TAGS[level]] + (f" and {len(resources) - 1} others" if len(resources) > 1 else "")
    reason = (error.details or error.message).rstrip(".")
    advice = (
        f'{modality!r} must know the AE title, host and port of this Orthanc; how="get" needs neither'
        if method == "move"
        else 'it may not offer C-GET: try how="move"'
    )
    return JobError(
        f"Retrieving {level} {what} from {modality!r} by C-{method.upper()} failed: {reason}. {done} steps were done "
        f"before, and what arrived stays in the Orthanc. {advice[0].upper()}{advice[1:]}. retrieve() again brings the "
        "rest.",
        status=error.status,
        method="POST",
        path=error.path,
        details=error.details,
    )
