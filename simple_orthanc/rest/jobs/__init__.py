"""Jobs of an Orthanc server: started, listed, waited for, and controlled."""

from simple_orthanc.rest.jobs.answers import JobFailure
from simple_orthanc.rest.jobs.collection import Jobs
from simple_orthanc.rest.jobs.job import STALL, Job
from simple_orthanc.rest.jobs.starting import run_job, start_job, wait_or_cancel

__all__ = ["STALL", "Job", "JobFailure", "Jobs", "run_job", "start_job", "wait_or_cancel"]
