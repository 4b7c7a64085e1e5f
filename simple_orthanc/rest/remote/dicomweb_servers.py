"""DICOMweb servers that the DICOMweb plugin of an Orthanc server knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simple_orthanc.errors import NotFoundError, UnknownNameError, UnsupportedError
from simple_orthanc.rest.remote.configured import ConfiguredMachines, Machine, shown_configuration, url_fault
from simple_orthanc.transport.secret import Secret

_ROUTE = "/dicom-web/servers"


class DicomWebServer(Machine):
    """A DICOMweb server that the plugin of an Orthanc server knows by a name."""

    kind = "DICOMweb server"
    route = _ROUTE

    @property
    def configuration(self) -> dict[str, Any]:
        """Its configuration, asked of the server each time; passwords are left out.

        Raises
        ------
        UnknownNameError
            The server does not know it any more, as after a restart.
        """
        known: Mapping[str, Any] = self._rest.get(_ROUTE, params={"expand": ""})
        if self.name not in known:
            raise UnknownNameError(
                f"{self._rest.url} knows no DICOMweb server {self.name!r} any more; it knows "
                f"{', '.join(known) or 'none'}. It forgets what was configured through it when it restarts."
            )
        return shown_configuration(known[self.name])


class DicomWebServers(ConfiguredMachines[DicomWebServer]):
    """The DICOMweb servers that an Orthanc server knows, as a mapping from their names.

    See `ConfiguredMachines` for what all such mappings do. All of it needs the DICOMweb plugin, and raises
    `UnsupportedError` without it.

    Examples
    --------
    >>> orthanc.dicomweb_servers.configure("archive", url="https://dicom.example.org/dicom-web/")   # doctest: +SKIP
    <DICOMweb server 'archive' of http://127.0.0.1:8042>
    """

    _machine = DicomWebServer
    _fields = (
        *("Url", "Username", "Password", "HttpHeaders", "Timeout", "HasDelete", "ChunkedTransfers"),
        *("HasWadoRsUniversalTransferSyntax", "CertificateFile", "CertificateKeyFile", "CertificateKeyPassword"),
        "Pkcs11",
    )
    _in_list = ("Url", "Username", "Password")

    def _names(self) -> list[str]:
        try:
            return super()._names()
        except NotFoundError:
            raise UnsupportedError(
                f"{self._rest.url} has no DICOMweb plugin, which keeps the list of DICOMweb servers. Install it on the "
                "server (Debian and Ubuntu: sudo apt install orthanc-dicomweb), and start it again."
            ) from None

    def _fault(self, options: Secret) -> str:
        return url_fault(options)
