"""The jobs that an Orthanc server knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import JobError, NotFoundError, TransportError
from simple_orthanc.rest.api import RestApi
from simple_orthanc.rest.jobs.answers import failure_of, integer, is_description, string
from simple_orthanc.rest.jobs.job import Job, unknown_job
from simple_orthanc.rest.server_time import server_time
from simple_orthanc.showing.table import ShownAsTable, Table, listing_table

if TYPE_CHECKING:
    import pandas as pd

_ROUTE = "/jobs"


class Jobs(ShownAsTable):
    """The jobs that a server knows: those that wait or run, and the last ones that ended.

    Examples
    --------
    >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
    >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
    >>> job.wait().state
    'Success'
    >>> orthanc.jobs[job.id].type
    'Archive'
    >>> [other.id for other in orthanc.jobs if other.id == job.id and other.has_ended] == [job.id]
    True
    """

    def __init__(self, rest: RestApi) -> None:
        self._rest = rest

    def __repr__(self) -> str:
        """Show the server, without a request."""
        return f"<Jobs of {self._rest.url}>"

    def _shown(self) -> Table:
        return listing_table(
            f"Jobs of {self._rest.url}",
            self._rest.listings.get(_ROUTE),
            ("id", "type", "state", "progress", "creation_time", "error"),
            "orthanc.jobs.table()",
        )

    def __len__(self) -> int:
        """Count the jobs that the server knows."""
        return len(self._descriptions())

    def __bool__(self) -> bool:
        """Return True, since the collection exists even if it is empty."""
        return True

    def __iter__(self) -> Iterator[Job]:
        """Iterate over the jobs, in the order in which they were submitted; one request."""
        for description in self._descriptions():
            yield Job(self._rest, description["ID"], description)

    def __contains__(self, job: object) -> bool:
        """Check whether the server knows a job, given by itself or by its id."""
        job_id = job.id if isinstance(job, Job) else job
        if not isinstance(job_id, str) or not job_id.strip("."):
            return False
        try:
            self[job_id]
        except NotFoundError:
            return False
        return True

    def __getitem__(self, job_id: object) -> Job:
        """Return the job with an id.

        Raises
        ------
        NotFoundError
            If the server does not know it.
        """
        # A segment of dots is another path.
        if not isinstance(job_id, str) or not job_id.strip("."):
            raise unknown_job(job_id)
        job = Job(self._rest, job_id)
        try:
            return job.refresh()
        except JobError:
            raise unknown_job(job_id) from None

    def table(self) -> pd.DataFrame:
        """List the jobs, in the order in which they were submitted; one request.

        Returns
        -------
        pandas.DataFrame
            One row per job: id, type, state, progress (percent), priority, creation_time and completion_time (UTC),
            runtime (s), error_code and error. What a job has not is NA.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": [study]})
        >>> job.wait().state
        'Success'
        >>> table = orthanc.jobs.table()
        >>> table.loc[table.id == job.id, ["type", "state", "progress"]].values.tolist()
        [['Archive', 'Success', 100]]
        """
        import pandas as pd

        rows = [_row(description) for description in self._descriptions()]
        types = {
            "id": "string",
            "type": "string",
            "state": "string",
            "progress": "Int64",
            "priority": "Int64",
            "creation_time": "datetime64[ns, UTC]",
            "completion_time": "datetime64[ns, UTC]",
            "runtime": "Float64",
            "error_code": "Int64",
            "error": "string",
        }
        return pd.DataFrame(rows, columns=list(types)).astype(types)

    def _descriptions(self) -> list[dict[str, Any]]:
        answer = self._rest.get(_ROUTE, params={"expand": ""})
        if not isinstance(answer, list) or not all(
            is_description(item) and isinstance(item.get("ID"), str) for item in answer
        ):
            raise TransportError(
                "The server's answer to /jobs is not a list of jobs. Check what is between the server and here."
            )
        listed = sorted(answer, key=lambda description: (str(description.get("CreationTime")), description["ID"]))
        self._rest.listings[_ROUTE] = [_row(description) for description in listed]
        return listed


def _row(description: Mapping[str, Any]) -> dict[str, Any]:
    failure = failure_of(description)
    runtime = description.get("EffectiveRuntime")
    return {
        "id": description["ID"],
        "type": string(description.get("Type")),
        "state": description["State"],
        "progress": integer(description.get("Progress")),
        "priority": integer(description.get("Priority")),
        "creation_time": server_time(description.get("CreationTime")),
        "completion_time": server_time(description.get("CompletionTime")),
        "runtime": runtime if isinstance(runtime, (int, float)) else None,
        "error_code": failure.code if failure else None,
        "error": (failure.details or failure.description) if failure else None,
    }
