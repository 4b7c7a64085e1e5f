"""Sending what is selected from an Orthanc server to a modality or a peer of its configuration."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from simple_orthanc.errors import SelectionError
from simple_orthanc.rest import Rest
from simple_orthanc.session.orthanc import Orthanc
from simple_orthanc.session.targets import check_narrowed, exact_resources

_ROUTES = {"modality": "modalities", "peer": "peers"}


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
        Name of a modality or a peer in the server's configuration; ``"modality:NAME"`` or ``"peer:NAME"`` where a
        name is both.
    everything : bool
        Whether a selection that was never narrowed is allowed.

    Returns
    -------
    Sent
        Number of instances; "modality" or "peer"; its name.

    Raises
    ------
    SelectionError
        There is no such target, or two of that name; or as for `check_narrowed`.
    JobError
        The target did not take everything.
    """
    kind, name = _find_target(session.rest, target)
    check_narrowed(session, "sent", everything)
    count = session.instance_count
    body = {"Resources": exact_resources(session)}
    session.rest.run_job(f"/{_ROUTES[kind]}/{quote(name, safe='')}/store", body, label="sending")
    return Sent(count, kind, name)


def _find_target(rest: Rest, target: str) -> tuple[str, str]:
    """Return whether a target is a modality or a peer, and its name."""
    names = {kind: list(rest.get(f"/{route}")) for kind, route in _ROUTES.items()}
    prefix, _, name = target.partition(":")
    if name in names.get(prefix, ()):
        return prefix, name
    kinds = [kind for kind in _ROUTES if target in names[kind]]
    if len(kinds) == 1:
        return kinds[0], target
    if kinds:
        raise SelectionError(f"{target!r} is a modality and a peer: write modality:{target} or peer:{target}.")
    listed = [f"{kind}:{name}" for kind in _ROUTES for name in names[kind]]
    raise SelectionError(
        f"{target!r} is no modality or peer in the configuration of this server, which has "
        f"{', '.join(listed) or 'none'}. Nothing was sent."
    )
