"""Orthanc's own REST API: any route by its path, and what this server version can do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from simple_orthanc.errors import TransportError
from simple_orthanc.rest.capabilities import Capabilities
from simple_orthanc.rest.responses import RestResponse
from simple_orthanc.rest.verbs import Verbs
from simple_orthanc.transport import Transport, UnusableError

if TYPE_CHECKING:
    from simple_orthanc.rest.jobs import Job, Jobs
    from simple_orthanc.rest.objects import Instance, Patient, Resources, Series, Study
    from simple_orthanc.rest.routes import Routes
    from simple_orthanc.transport.arguments import Timeout

__all__ = ["Capabilities", "Rest", "RestResponse"]


class Rest(Verbs):
    """Any route of the server by its path.

    Parameters
    ----------
    transport : Transport
        The connection.

    Notes
    -----
    `get`, `post`, `put` and `delete` return the body: JSON parsed, text as a string, anything else as bytes. `request`
    returns status and headers too, `stream` reads the body while it arrives. All of them take these keyword arguments,
    and a `TypeError` is raised for any other:

    params : mapping, optional
        The query. ``True`` and ``False`` become ``true`` and ``false``; None is left out.
    headers : mapping, optional
        For this request only.
    timeout : number or (number, number), optional
        Seconds allowed for connecting, and for each read or write of a block, for this request only. One number means
        the second.
    patience : number, optional
        Seconds for which it is tried again where that does no harm, for this request only; 0 for none.
    deadline : number, optional
        Seconds within which the response must be complete, all attempts included. By default there is no such limit.

    All of them raise a `TransportError` if no complete response came, and a `ServerError` if the server refused.

    Examples
    --------
    >>> orthanc.rest.get("/statistics")["CountInstances"]
    163
    >>> series = orthanc.get_orthanc_ids()[0]
    >>> path = orthanc.rest.stream(f"/series/{series}/archive", to="series.zip")
    >>> path.name
    'series.zip'
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._capabilities: Capabilities | None = None
        self.listings: dict[str, list[dict[str, Any]]] = {}
        """What a route listed when it was last asked, for representations, which ask nothing."""

    def __repr__(self) -> str:
        """Show the address, never a password."""
        return f"<REST API of {self._transport.url}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("A REST API holds the connection with its password; pickle the session instead.")

    def connect(self) -> dict[str, Any]:
        """Ask ``/system``, and remember what the server can do.

        Returns
        -------
        dict
            The answer to ``/system``.

        Raises
        ------
        TransportError
            If nothing answers there, or what answers is not Orthanc.

        Examples
        --------
        >>> orthanc.rest.connect()["Version"] == orthanc.system["Version"]
        True
        """
        system = self._transport.repeat(self._system)
        self._capabilities = Capabilities.from_system(system)
        return system

    def _system(self) -> dict[str, Any]:
        system = self._transport.read("GET", "/system", partial(self._parsed, "/system"), limit="facts_bytes")
        if not isinstance(system, dict) or "Version" not in system or "ApiVersion" not in system:
            raise UnusableError(
                TransportError(
                    f"{self._transport.url} answered, but it is not Orthanc: its /system names no version. Check the "
                    f"address and the port; Orthanc's is 8042 unless its configuration says otherwise."
                )
            )
        return system

    @property
    def url(self) -> str:
        """The address of the server, without user and password.

        Examples
        --------
        >>> orthanc.rest.url
        'http://127.0.0.1:...'
        """
        return self._transport.url

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do; asked once.

        Examples
        --------
        >>> orthanc.rest.capabilities.labels
        True
        """
        if self._capabilities is None:
            self.connect()
        assert self._capabilities is not None
        return self._capabilities

    def _version(self) -> tuple[int, ...]:
        return self.capabilities.version

    @property
    def routes(self) -> Routes:
        """Every route by name; see `simple_orthanc.rest.routes.Routes`.

        Examples
        --------
        >>> orthanc.rest.routes.get_statistics()["CountPatients"]
        3
        """
        from simple_orthanc.rest.routes import Routes

        return Routes(self)

    @property
    def patients(self) -> Resources[Patient]:
        """All patients on the server; nothing is asked before they are used.

        Examples
        --------
        >>> sorted(patient.dicom_id for patient in orthanc.rest.patients)
        ['EX-002', 'EX-003', 'EX-006']
        """
        from simple_orthanc.rest.objects import Patient, Resources

        return Resources(self, Patient)

    @property
    def studies(self) -> Resources[Study]:
        """All studies on the server; nothing is asked before they are used.

        Examples
        --------
        >>> sorted(study.main_dicom_tags["StudyDescription"] for study in orthanc.rest.studies)
        ['CT abdomen', 'CT chest', 'PET/CT trunk']
        """
        from simple_orthanc.rest.objects import Resources, Study

        return Resources(self, Study)

    @property
    def series(self) -> Resources[Series]:
        """All series on the server; nothing is asked before they are used.

        Examples
        --------
        >>> len(orthanc.rest.series)
        8
        """
        from simple_orthanc.rest.objects import Resources, Series

        return Resources(self, Series)

    @property
    def instances(self) -> Resources[Instance]:
        """All instances on the server; nothing is asked before they are used.

        Examples
        --------
        >>> len(orthanc.rest.instances)
        163
        """
        from simple_orthanc.rest.objects import Instance, Resources

        return Resources(self, Instance)

    @property
    def jobs(self) -> Jobs:
        """The jobs that the server knows; nothing is asked before they are used.

        Examples
        --------
        >>> job = orthanc.rest.start_job("/tools/create-archive", {"Resources": orthanc.get_orthanc_ids()[:1]})
        >>> orthanc.rest.jobs[job.id].wait().state
        'Success'
        """
        from simple_orthanc.rest.jobs import Jobs

        return Jobs(self)

    def start_job(self, path: str, body: Any = None, *, timeout: Timeout | None = None) -> Job:
        """Start a job of the server (anonymizing, modifying, sending, archives), and return it at once.

        Parameters
        ----------
        path : str
            The route that starts it; `Orthanc.get_orthanc_ids` returns the ids for such routes.
        body : dict, list, str or bytes, optional
            The request; that it runs as a job is added here. A list of ids, or one id, becomes the ``Resources`` of a
            route that stores, archives, merges or works in bulk; a string becomes the ``TargetAet`` of a retrieval.
        timeout : number or (number, number), optional
            Of the request, as for `post`; some routes of Orthanc 1.10.1 answer at the end of their work.

        Returns
        -------
        Job
            `Job.wait` waits for its end. A route that answers at once starts no job: ``state`` is then "Success",
            ``content`` what `post` returns for it, and ``id`` None.

        Raises
        ------
        SelectionError
            If the route does not take a body of this type; nothing was sent.
        JobError
            If it was to store with ``Permissive``, for which Orthanc reports success even if nothing arrives; nothing
            was sent.
        ServerError
            If the server refuses.

        Examples
        --------
        >>> ct = orthanc.select(SeriesDescription="CT low dose").get_orthanc_ids()
        >>> job = orthanc.rest.start_job("/modalities/PACS/store", ct)
        >>> job.wait().content["InstancesCount"]
        40
        """
        from simple_orthanc.rest.jobs import start_job

        return start_job(self, path, body, timeout=timeout)

    def run_job(self, path: str, body: Any = None, *, label: str = "") -> dict[str, Any]:
        """Start a job of the server as `start_job` does, and wait for its end.

        Ctrl-C cancels the job.

        Parameters
        ----------
        path, body : str, and dict, list, str or bytes, optional
            As for `start_job`.
        label : str
            The label of the progress bar, which appears after a second.

        Returns
        -------
        dict
            The job as the server describes it at its end: ``ID``, ``State``, ``Content`` and more. A route that
            answers at once starts no job: ``State`` is then "Success", ``Content`` what `post` returns for it (a dict,
            list, string, bytes or None), and there is no ``ID``.

        Raises
        ------
        SelectionError, JobError, ServerError
            As for `start_job`.
        TransportError
            If the server's description of the job cannot be read.
        JobError
            If it failed, was cancelled or paused, left something out, or was forgotten by the server; the message has
            the server's reason.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> job = orthanc.rest.run_job(f"/studies/{study}/anonymize", {"Keep": ["StudyDate"]})
        >>> copy = orthanc.rest.studies[job["Content"]["ID"]]
        >>> copy.main_dicom_tags["StudyDate"]
        '20230309'
        """
        from simple_orthanc.rest.jobs import run_job

        return run_job(self, path, body, label)
