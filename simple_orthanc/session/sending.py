"""Sending what is selected from an Orthanc server to a machine of its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.rest.jobs.answers import integer
from simple_orthanc.session.orthanc import Orthanc

_KINDS = {"modality": "modality", "peer": "peer", "dicomweb": "DICOMweb server"}


class Sent(NamedTuple):
    """What was sent, and where."""

    instance_count: int
    kind: str
    name: str


def send(session: Orthanc, target: str, *, everything: bool = False) -> Sent:
    """Send exactly what is selected.

    Parameters
    ----------
    session : Orthanc
        The session on the server that sends.
    target : str
        Name of a modality, a peer or a DICOMweb server in the server's configuration; ``"modality:NAME"``,
        ``"peer:NAME"`` or ``"dicomweb:NAME"`` where several have one name.
    everything : bool
        Whether a selection that was never narrowed is allowed.

    Returns
    -------
    Sent
        Number of instances; "modality", "peer" or "DICOMweb server"; its name.

    Raises
    ------
    SelectionError
        There is no such target, or two of that name; or as for `check_narrowed`.
    JobError
        The target did not take everything.
    """
    kind, name = _find_target(_known_machines(session), target)
    machines: Mapping[str, Any] = _machines(session)[kind]
    job = machines[name].store(session, everything=everything)
    return Sent(integer(job.content.get("InstancesCount")), _KINDS[kind], name)


def _machines(session: Orthanc) -> dict[str, Mapping[str, Any]]:
    return {"modality": session.modalities, "peer": session.peers, "dicomweb": session.dicomweb_servers}


def _known_machines(session: Orthanc) -> dict[str, list[str]]:
    """Return the names of the machines of each kind."""
    names: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for kind, machines in _machines(session).items():
        # Without the DICOMweb plugin there are no DICOMweb servers.
        with suppress(UnsupportedError):
            names[kind] = list(machines)
    return names


def _find_target(names: Mapping[str, list[str]], target: str) -> tuple[str, str]:
    """Return the kind of machine that a target is, and its name."""
    prefix, _, name = target.partition(":")
    if name in names.get(prefix, ()):
        return prefix, name
    kinds = [kind for kind in _KINDS if target in names[kind]]
    if len(kinds) == 1:
        return kinds[0], target
    if kinds:
        raise SelectionError(
            f"{target!r} is a {' and a '.join(_KINDS[kind] for kind in kinds)}: write "
            f"{' or '.join(f'{kind}:{target}' for kind in kinds)}."
        )
    listed = [f"{kind}:{name}" for kind in _KINDS for name in names[kind]]
    raise SelectionError(
        f"{target!r} is no modality, peer or DICOMweb server in the configuration of this server, which has "
        f"{', '.join(listed) or 'none'}. Nothing was sent."
    )
