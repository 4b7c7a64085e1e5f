"""Peers: other Orthanc servers that an Orthanc server knows."""

from __future__ import annotations

from typing import Any

from simple_orthanc.rest.remote.configured import ConfiguredMachines, Machine, url_fault
from simple_orthanc.transport.secret import Secret


class Peer(Machine):
    """Another Orthanc server that an Orthanc server knows by a name.

    Examples
    --------
    >>> orthanc.peers["research"].system()["Version"]                                    # doctest: +SKIP
    '1.12.7'
    """

    kind = "peer"
    route = "/peers"

    def system(self) -> dict[str, Any]:
        """Return what the peer answers to ``/system``, which checks address, user and password.

        Raises
        ------
        ServerError
            The peer does not answer; the message has the reason.
        """
        answer: dict[str, Any] = self._rest.get(f"{self._path}/system", patience=0)
        return answer

    @property
    def version(self) -> str:
        """The version of Orthanc that the peer runs, asked of it each time."""
        return str(self.system().get("Version", ""))


class Peers(ConfiguredMachines[Peer]):
    """The other Orthanc servers that an Orthanc server knows, as a mapping from their names.

    See `ConfiguredMachines` for what all such mappings do.

    Examples
    --------
    >>> orthanc.peers.configure("research", url="http://10.0.0.8:8042/", username="jane", password=password)
    ...                                                                                  # doctest: +SKIP
    <peer 'research' of http://127.0.0.1:8042>
    """

    _machine = Peer
    _fields = (
        *("Url", "Username", "Password", "HttpHeaders", "Timeout"),
        *("CertificateFile", "CertificateKeyFile", "CertificateKeyPassword", "Pkcs11"),
    )
    _in_list = ("Url", "Username", "Password")

    def _fault(self, options: Secret) -> str:
        return url_fault(options)
