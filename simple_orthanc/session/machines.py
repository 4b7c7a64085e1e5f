"""The other machines that an Orthanc server knows, as attributes of a session on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import SelectionError
from simple_orthanc.session.base import Session

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.rest import Rest
    from simple_orthanc.rest.remote.dicomweb_servers import DicomWebServers
    from simple_orthanc.rest.remote.modalities import Modalities
    from simple_orthanc.rest.remote.peers import Peers
    from simple_orthanc.rest.remote.transfers import Transfers
    from simple_orthanc.rest.remote.worklists import Worklists
    from simple_orthanc.session.orthanc import Orthanc


class KnowsMachines:
    """A session on a server that knows other machines."""

    if TYPE_CHECKING:

        @property
        def rest(self) -> Rest:
            """The server's REST API."""

    @property
    def modalities(self) -> Modalities:
        """The DICOM modalities that the server knows, by name: ``orthanc.modalities["PACS"].echo()``.

        Examples
        --------
        >>> list(orthanc.modalities)
        ['PACS']
        >>> orthanc.modalities["PACS"].is_alive()
        True
        """
        from simple_orthanc.rest.remote.modalities import Modalities

        return Modalities(self.rest, self._resources_of)

    @property
    def peers(self) -> Peers:
        """The other Orthanc servers that the server knows, by name: ``orthanc.peers["research"].store(orthanc)``.

        Examples
        --------
        >>> list(orthanc.peers)
        ['PARTNER']
        """
        from simple_orthanc.rest.remote.peers import Peers

        return Peers(self.rest, self._resources_of)

    @property
    def dicomweb_servers(self) -> DicomWebServers:
        """The DICOMweb servers that the server's plugin knows, by name.

        Raises
        ------
        UnsupportedError
            When they are used: the server has no DICOMweb plugin.

        Examples
        --------
        >>> list(orthanc.dicomweb_servers)
        ['CLOUD']
        """
        from simple_orthanc.rest.remote.dicomweb_servers import DicomWebServers

        return DicomWebServers(self.rest, self._resources_of)

    @property
    def transfers(self) -> Transfers:
        """Transfers to and from peers by the transfers accelerator plugin: ``orthanc.transfers.send(orthanc, "far")``.

        Raises
        ------
        UnsupportedError
            When it is used: the server has no such plugin.

        Examples
        --------
        >>> orthanc.transfers
        <Transfers of http://127.0.0.1:...>
        """
        from simple_orthanc.rest.remote.transfers import Transfers

        return Transfers(self.rest, self._resources_of)

    @property
    def worklists(self) -> Worklists:
        """The worklist entries that the server offers to modalities, by id.

        Raises
        ------
        UnsupportedError
            When they are used: the server has no worklists plugin.

        Examples
        --------
        >>> orthanc.worklists
        <Worklists of http://127.0.0.1:...>
        """
        from simple_orthanc.rest.remote.worklists import Worklists

        return Worklists(self.rest)

    def _send_to_machine(self, name: str, level: Level, *, everything: bool, dry_run: bool) -> pd.DataFrame:
        from simple_orthanc.session.acts.sending import send_to_machine

        return send_to_machine(cast("Orthanc", self), name, level=level, everything=everything, dry_run=dry_run)

    def _resources_of(self, what: Any, everything: bool) -> list[str]:
        """Return the Orthanc ids of what is to be sent: exactly what a session selects, or what is given."""
        from simple_orthanc.rest.remote.resources import orthanc_ids
        from simple_orthanc.session.acts.targets import held_targets

        if not isinstance(what, Session):
            return orthanc_ids(what)
        if not isinstance(what, KnowsMachines) or what.rest.url != self.rest.url:
            raise SelectionError(
                f"{what!r} is not a session on {self.rest.url}, which can send only what it holds. Upload the images "
                "to it first, or ask the other server."
            )
        return [target.key for target in held_targets(what, "sent", everything=everything)]
