"""Peers: other Orthanc servers that an Orthanc server knows."""

from __future__ import annotations

from typing import Any

from simple_orthanc.errors import ServerError
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.remote.checked_jobs import check_sent, start_checked
from simple_orthanc.rest.remote.configured import ConfiguredMachines, Machine, url_fault
from simple_orthanc.rest.remote.explaining import explained
from simple_orthanc.rest.remote.resources import naming_unknown_ids
from simple_orthanc.transport.secret import Secret


class Peer(Machine):
    """Another Orthanc server that an Orthanc server knows by a name.

    Examples
    --------
    >>> partner = orthanc.peers["PARTNER"]
    >>> partner.is_alive()
    True
    >>> partner.store(orthanc.select(SeriesDescription="PET FDG")).state
    'Success'
    """

    kind = "peer"
    route = "/peers"

    def system(self) -> dict[str, Any]:
        """Return what the peer answers to ``/system``, which checks address, user and password.

        Raises
        ------
        ServerError
            The peer does not answer; the message has the reason.

        Examples
        --------
        >>> orthanc.peers["PARTNER"].system()["DicomAet"]
        'PACS'
        """
        try:
            answer: dict[str, Any] = self._rest.get(f"{self._path}/system", patience=0)
        except ServerError as error:
            raise explained(error, f"The peer {self.name!r} did not answer") from None
        return answer

    def store(self, what: Any, *, everything: bool = False, compress: bool = False, wait: bool = True) -> Job:
        """Send objects of this Orthanc to the peer over HTTP.

        Parameters
        ----------
        what : session, str, object with ``id``, or list of these
            A session sends exactly what it selects; a string is the Orthanc id of a patient, study, series or
            instance.
        everything : bool, default False
            Whether a session that was never narrowed is allowed.
        compress : bool, default False
            Compress the files on the way (gzip), which pays on a slow network.
        wait : bool, default True
            Whether to wait for the end; Ctrl-C then cancels the job. False: the job that is returned goes on, and its
            `wait` checks it.

        Returns
        -------
        Job
            ``content["InstancesCount"]`` instances were sent. Storing what is there already does no harm.

        Raises
        ------
        SelectionError, EmptySelectionError
            Nothing is selected, or the session is on another server.
        NotFoundError
            The server does not hold an id.
        JobError
            The peer did not take every instance.

        Examples
        --------
        >>> job = orthanc.peers["PARTNER"].store(orthanc.select(SeriesDescription="PET FDG"))
        >>> job.state, job.content["InstancesCount"]
        ('Success', 40)
        """
        ids = self._find_resources(what, everything)
        # With Permissive, Orthanc reports success if the peer is down.
        body = {"Resources": ids, "Compress": compress, "Permissive": False}
        failed = f"Sending to the peer {self.name!r} failed"
        with naming_unknown_ids(self._rest, ids):
            return start_checked(self._rest, f"{self._path}/store", body, check_sent, failed, wait=wait)

    def is_alive(self) -> bool:
        """Check whether the peer answers to ``/system``.

        Examples
        --------
        >>> orthanc.peers["PARTNER"].is_alive()
        True
        """
        try:
            self.system()
        except ServerError:
            return False
        return True

    @property
    def version(self) -> str:
        """The version of Orthanc that the peer runs, asked of it each time.

        Examples
        --------
        >>> orthanc.peers["PARTNER"].version == orthanc.system["Version"]
        True
        """
        return str(self.system().get("Version", ""))


class Peers(ConfiguredMachines[Peer]):
    """The other Orthanc servers that an Orthanc server knows, as a mapping from their names.

    See `ConfiguredMachines` for what all such mappings do.

    Examples
    --------
    >>> orthanc.peers.configure("RESEARCH", url="http://10.0.0.8:8042/", username="jane", password="a secret").name
    'RESEARCH'
    >>> sorted(orthanc.peers)
    ['PARTNER', 'RESEARCH']
    >>> del orthanc.peers["RESEARCH"]
    """

    _machine = Peer
    _attribute = "peers"
    _fields = (
        *("Url", "Username", "Password", "HttpHeaders", "Timeout"),
        *("CertificateFile", "CertificateKeyFile", "CertificateKeyPassword", "Pkcs11"),
    )
    _in_list = ("Url", "Username", "Password")

    def _fault(self, options: Secret) -> str:
        return url_fault(options)
