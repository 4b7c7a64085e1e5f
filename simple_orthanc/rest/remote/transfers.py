"""The transfers accelerator plugin: many small files, or few large ones, sent to a peer or pulled from it in parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import JobError, SelectionError, UnknownNameError
from simple_orthanc.rest.jobs import Job
from simple_orthanc.rest.remote.checked_jobs import check_counted, finish_checked
from simple_orthanc.rest.remote.plugin_routes import needing_plugin
from simple_orthanc.rest.remote.resources import ResourceFinder, levels_of, orthanc_ids
from simple_orthanc.selection.tables import check_level

if TYPE_CHECKING:
    from simple_orthanc.rest import Rest

_PLUGIN = "the transfers accelerator plugin"
_WHERE = "It is in the distributions of orthanc-server.com and orthanc.team, and both servers need it."


@dataclass(frozen=True)
class RemoteTransfer:
    """A transfer that the peer carries out, by pulling; only the peer knows what becomes of it.

    Attributes
    ----------
    peer : str
        The name of the peer.
    job_id : str
        The id of the job on the peer: ``session_on_the_peer.jobs[job_id].wait()`` raises unless all has arrived.
    url : str
        The address of the peer, as this Orthanc knows it.

    Examples
    --------
    >>> RemoteTransfer("PARTNER", "8c3f", "http://10.0.0.8:8042/jobs/8c3f").peer
    'PARTNER'
    """

    peer: str
    job_id: str
    url: str


class Transfers:
    """Transfers between this Orthanc and its peers by the transfers accelerator plugin.

    All of it raises `UnsupportedError` without the plugin.

    Examples
    --------
    >>> job = orthanc.transfers.send(orthanc.select(SeriesDescription="PET FDG"), "PARTNER")
    >>> job.state
    'Success'
    """

    def __init__(self, rest: Rest, find_resources: ResourceFinder) -> None:
        self._rest, self._find_resources = rest, find_resources

    def __repr__(self) -> str:
        """Show the server, without a request."""
        return f"<Transfers of {self._rest.url}>"

    def peers(self) -> dict[str, str]:
        """Return what each peer can do.

        Returns
        -------
        dict
            Name to "disabled" (it has no plugin, or cannot be reached), "installed" (it takes what is sent) or
            "bidirectional" (it pulls what it is sent).

        Examples
        --------
        >>> orthanc.transfers.peers()
        {'PARTNER': 'bidirectional'}
        """
        with needing_plugin(_PLUGIN, _WHERE):
            answer: dict[str, str] = self._rest.get("/transfers/peers")
        return answer

    def send(
        self, what: Any, peer: str, *, everything: bool = False, compress: bool = True, wait: bool = True
    ) -> Job | RemoteTransfer:
        """Send objects of this Orthanc to a peer.

        Parameters
        ----------
        what : session, str, object with ``id``, or list of these
            A session sends exactly what it selects; a string is the Orthanc id of a patient, study, series or
            instance.
        peer : str
            The name of the peer.
        everything : bool, default False
            Whether a session that was never narrowed is allowed.
        compress : bool, default True
            Compress the parts (gzip).
        wait : bool, default True
            Whether to wait for the end; Ctrl-C then cancels the job.

        Returns
        -------
        Job or RemoteTransfer
            A `RemoteTransfer` if the peer pulls, which goes on there, and is not waited for.

        Raises
        ------
        UnknownNameError
            The server knows no such peer.
        NotFoundError
            The server does not hold an id.
        JobError
            The transfer failed. The plugin stores all or nothing.

        Examples
        --------
        >>> orthanc.transfers.send(orthanc.select(SeriesDescription="PET FDG"), "PARTNER").state
        'Success'
        """
        self._check_peer(peer)
        resources = levels_of(self._rest, self._find_resources(what, everything))
        with needing_plugin(_PLUGIN, _WHERE):
            answer = self._rest.post("/transfers/send", _body(peer, resources, compress))
        if isinstance(answer, dict) and "RemoteJob" in answer:
            return RemoteTransfer(peer, str(answer["RemoteJob"]), str(answer.get("URL", "")))
        return self._finished("/transfers/send", answer, f"Sending to the peer {peer!r} failed", wait)

    def pull(self, what: Any, peer: str, *, level: Level = "study", compress: bool = True, wait: bool = True) -> Job:
        """Bring objects from a peer to this Orthanc.

        Parameters
        ----------
        what : str, object with ``id``, or list of these
            Orthanc ids, which are the same on every Orthanc.
        peer : str
            The name of the peer.
        level : {"patient", "study", "series", "instance"}
            The level of ids that are given as strings.
        compress, wait : bool
            As for `send`.

        Returns
        -------
        Job
            The transfer.

        Raises
        ------
        UnknownNameError, JobError
            As for `send`.

        Examples
        --------
        >>> orthanc.transfers.pull(["4a7b2e1c-..."], "PARTNER", level="study").state
        'Success'
        """
        self._check_peer(peer)
        items = list(what) if isinstance(what, Iterable) and not isinstance(what, (str, bytes)) else [what]
        orthanc_ids(items)
        checked = check_level(level)
        resources = {
            str(getattr(item, "id", item)): str(getattr(item, "level", checked)).capitalize() for item in items
        }
        with needing_plugin(_PLUGIN, _WHERE):
            answer = self._rest.post("/transfers/pull", _body(peer, resources, compress))
        return self._finished("/transfers/pull", answer, f"Pulling from the peer {peer!r} failed", wait)

    def _finished(self, path: str, answer: Any, failed: str, wait: bool) -> Job:
        identifier = answer.get("ID") if isinstance(answer, dict) else None
        if not isinstance(identifier, str):
            raise JobError(f"{failed}: the answer to {path} names no job.", method="POST", path=path)
        check = partial(check_counted, field="TotalInstances", what="transferred")
        return finish_checked(Job(self._rest, identifier, path=path), check, failed, wait=wait)

    def _check_peer(self, peer: str) -> None:
        known = list(map(str, self._rest.get("/peers")))
        if peer not in known:
            raise UnknownNameError(f"{self._rest.url} knows no peer {peer!r}; it knows {', '.join(known) or 'none'}.")


def _body(peer: str, resources: dict[str, str], compress: bool) -> dict[str, Any]:
    if not isinstance(compress, bool):
        raise SelectionError(f"compress={compress!r} is neither True nor False.")
    return {
        "Peer": peer,
        "Compression": "gzip" if compress else "none",
        "Resources": [{"Level": level, "ID": identifier} for identifier, level in resources.items()],
    }
