"""Bodies of requests that start jobs: a list or a string where the route has one field for it, and options of jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from simple_orthanc.errors import JobError, SelectionError
from simple_orthanc.transport.json_reader import UnreadableJsonError, read_json

_STORE = re.compile(r"/(modalities|peers)/[^/]+/store")

# Orthanc itself takes a list at some of these routes, but then no option that makes the request a job.
_TAKE_RESOURCES = (
    _STORE,
    re.compile(r"/tools/(create-archive|create-media|create-media-extended)"),
    re.compile(r"/tools/bulk-(anonymize|modify|delete)"),
    re.compile(r"/studies/[^/]+/merge"),
    re.compile(r".+/servers/[^/]+/(stow|retrieve)"),
)
_TAKES_TARGET = re.compile(r"/queries/[^/]+(/answers/[^/]+)?/retrieve")
# What to write instead, for routes whose lists cannot be given a name without knowing what is in them.
_NEED_A_MAPPING = (
    (re.compile(r"/studies/[^/]+/split"), '{"Series": [...]} or {"Instances": [...]}'),
    (re.compile(r"/modalities/[^/]+/(move|get)"), '{"Level": "Study", "Resources": [{"StudyInstanceUID": "1.2.3"}]}'),
)


def job_body(path: str, body: Any) -> Any:
    """Return the body that starts a job at a route.

    Parameters
    ----------
    path : str
        The route.
    body : dict, list, str, bytes or None
        A list of ids, or one id, becomes the ``Resources`` of a route that stores, archives, merges or works in bulk;
        one application entity title becomes the ``TargetAet`` of a retrieval. Bytes are sent as they are.

    Returns
    -------
    dict or bytes

    Raises
    ------
    SelectionError
        If the route does not take a body of this type.
    JobError
        If Orthanc would report success whatever became of it.

    Examples
    --------
    >>> job_body("/peers/far/store", ["4ac2"])
    {'Resources': ['4ac2'], 'Asynchronous': True, 'Synchronous': False}
    """
    route = "/" + str(path).partition("?")[0].strip("/")
    is_sent_as_it_is = isinstance(body, (bytes, bytearray, memoryview))
    fields = _written_fields(route, bytes(body)) if is_sent_as_it_is else _fields(route, body)
    if fields.get("Permissive") and _STORE.fullmatch(route):
        raise JobError(
            f"{path} was to store with Permissive, and nothing was sent: Orthanc then reports success and no failed "
            "instance even if its target is down. Leave Permissive out, so that what fails is an error; what is "
            "stored already may be sent again.",
            method="POST",
            path=path,
        )
    if is_sent_as_it_is:
        return body
    # Older and newer versions of Orthanc name this option differently.
    return {**fields, "Asynchronous": True, "Synchronous": False}


def _written_fields(route: str, body: bytes) -> Mapping[str, Any]:
    """Return the options in a body that is JSON already, for a route that stores."""
    if not _STORE.fullmatch(route):
        return {}
    try:
        fields = read_json(body)
    except UnreadableJsonError:
        return {}
    return fields if isinstance(fields, Mapping) else {}


def _fields(path: str, body: Any) -> dict[str, Any]:
    if body is None:
        return {}
    if isinstance(body, Mapping):
        return dict(body)
    if isinstance(body, str) and _TAKES_TARGET.fullmatch(path):
        return {"TargetAet": body}
    if any(route.fullmatch(path) for route in _TAKE_RESOURCES):
        if isinstance(body, str):
            return {"Resources": [body]}
        if isinstance(body, (list, tuple)):
            return {"Resources": list(body)}
    right = next((right for route, right in _NEED_A_MAPPING if route.fullmatch(path)), "a dict of its options")
    raise SelectionError(
        f"The body for {path} is of type {type(body).__name__}, which this route does not take, and nothing was sent: "
        f"give {right}."
    )
