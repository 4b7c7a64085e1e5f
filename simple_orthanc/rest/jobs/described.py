"""What a server says of one job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from simple_orthanc.concurrency import interruption
from simple_orthanc.errors import JobError, NotFoundError, ServerError, TransportError
from simple_orthanc.rest.api import RestApi
from simple_orthanc.rest.jobs.answers import ACTIVE, JobFailure, failure_of, integer, is_description, string
from simple_orthanc.rest.server_time import server_time

if TYPE_CHECKING:
    from typing_extensions import Self


# Seconds before it is asked again for a description that the server cannot write.
_PAUSES = (0.05, 0.1, 0.2)


class DescribedJob:
    """The part of a `Job` that is read; see there."""

    def __init__(
        self, rest: RestApi, job_id: str | None, description: Mapping[str, Any] | None = None, *, path: str = ""
    ) -> None:
        self._rest = rest
        self.id = job_id
        self.path = path
        self._description = None if description is None else dict(description)

    def __repr__(self) -> str:
        """Show what is known of the job, without a request."""
        known = self._description or {}
        words = [str(self.id or f"of {self.path}"), known.get("Type"), known.get("State")]
        if known.get("State") in ACTIVE:
            words.append(f"{integer(known.get('Progress'))} %")
        return f"<Job {' '.join(str(word) for word in words if word)}>"

    def __eq__(self, other: object) -> bool:
        """Compare the ids."""
        return self is other or (isinstance(other, DescribedJob) and self.id is not None and self.id == other.id)

    def __hash__(self) -> int:
        """Hash the id."""
        return object.__hash__(self) if self.id is None else hash(("job", self.id))

    @property
    def description(self) -> dict[str, Any]:
        """The job as the server describes it: ``ID``, ``State``, ``Progress``, ``Content`` and more.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().description["State"]
        'Success'
        """
        if not self._has_ended():
            self._read()
        return dict(self._description or {})

    @property
    def state(self) -> str:
        """Pending, Running, Retry, Paused, Success or Failure.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().state
        'Success'
        """
        return str(self.description["State"])

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended, with success or not.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().has_ended
        True
        """
        return self.state not in ACTIVE

    @property
    def progress(self) -> int:
        """Percent of the job that is done.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().progress
        100
        """
        return 100 if self.id is None else integer(self.description.get("Progress"))

    @property
    def content(self) -> Any:
        """What the job reports of its work, such as ``ID`` and ``InstancesCount``; depends on its type.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().content["InstancesCount"]
        80
        """
        return self.description.get("Content")

    @property
    def error(self) -> JobFailure | None:
        """Why the job failed; None if it did not.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().error is None
        True
        """
        return failure_of(self.description)

    @property
    def type(self) -> str | None:
        """The kind of job, such as "ResourceModification" or "Archive"; None for a route that answered at once.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.type
        'Archive'
        """
        return string(self._once().get("Type"))

    @property
    def priority(self) -> int:
        """The priority; jobs with a higher one run first.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study], "Priority": 5})
        >>> job.priority
        5
        """
        return integer(self._once().get("Priority"))

    @property
    def creation_time(self) -> datetime | None:
        """When the job was submitted, in UTC; None for a route that answered at once.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.creation_time.tzname()
        'UTC'
        """
        return server_time(self._once().get("CreationTime"))

    @property
    def completion_time(self) -> datetime | None:
        """When the job ended, in UTC; None before that.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().completion_time >= job.creation_time
        True
        """
        return server_time(self.description.get("CompletionTime"))

    @property
    def runtime(self) -> float:
        """Seconds for which the job has run so far, without its time in the queue.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().runtime >= 0
        True
        """
        runtime = self.description.get("EffectiveRuntime")
        return float(runtime) if isinstance(runtime, (int, float)) else 0.0

    def refresh(self) -> Self:
        """Ask the server for the job, even if it has ended.

        Raises
        ------
        JobError
            If the server does not know it any more.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().refresh().state
        'Success'
        """
        if self.id is not None:
            self._read()
        return self

    def _has_ended(self) -> bool:
        return self._description is not None and self._description["State"] not in ACTIVE

    def _once(self) -> dict[str, Any]:
        """Return a description, for what never changes."""
        if self._description is None:
            self._read()
        return self._description or {}

    def _get(self, path: str, **options: Any) -> Any:
        """GET a description; for a moment while it makes an archive of nothing, Orthanc answers 400."""
        for pause in _PAUSES:
            try:
                return self._rest.get(path, **options)
            except ServerError as error:
                if error.status != 400:
                    raise
            interruption.pause(pause)
        return self._rest.get(path, **options)

    def _read(self, **options: Any) -> None:
        path = self._route("read")
        try:
            answer = self._get(path, **options)
        except NotFoundError:
            raise self._job_error(
                f"{self._name()} is not known to the server any more, and what became of it is not known: Orthanc "
                "forgets all but the last jobs that ended (JobsHistorySize, 10 by default), and archives when it "
                "restarts. Look at what it was to do before it is started again."
            ) from None
        if not is_description(answer):
            started = (
                f"The server started a job for {self.path}, and its answer" if self.path else "The server's answer"
            )
            raise TransportError(
                f"{started} to {path} is not the state of a job: {str(answer)[:80]!r}. Check {path} before the "
                "request is repeated: the server may go on with it."
            )
        self._description = answer

    def _route(self, action: str) -> str:
        if self.id is None:
            raise JobError(
                f"{self.path or 'The route'} answered at once, so that there is no job to {action}: its answer is "
                ".content.",
                method="POST",
                path=self.path,
            )
        return f"/jobs/{quote(self.id, safe='')}"

    def _name(self) -> str:
        if self.path:
            return f"The server's job for {self.path}"
        kind = string((self._description or {}).get("Type"))
        return f"The server's job {self.id}" + (f" ({kind})" if kind else "")

    def _job_error(self, message: str, details: str = "") -> JobError:
        return JobError(message, method="POST", path=self.path, details=details)
