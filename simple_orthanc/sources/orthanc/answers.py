"""Answers of an Orthanc server in JSON, of the shape that its routes have.

A proxy may answer 200 with JSON of its own, or with the response to another request. That is asked for again a few
times, and is then an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from simple_orthanc.errors import NotFoundError, ServerError, TransportError
from simple_orthanc.showing.text import counted
from simple_orthanc.transport import Transport, UnusableError

Check = Callable[[Any], bool]

# A list, since what is compared may be unhashable.
_LEVELS = ["Patient", "Study", "Series", "Instance"]

AWAY = (500, 502, 503, 504)
"""Statuses of a server that starts, or of the proxy before one that is away."""


def ask(transport: Transport, method: str, path: str, is_right: Check, **options: Any) -> Any:
    """Send a request, and return the JSON that comes back, if it has the right shape.

    Parameters
    ----------
    transport : Transport
        The connection.
    method, path, options
        As for `Transport.json`.
    is_right : callable
        Checks the shape of the answer.

    Raises
    ------
    TransportError
        The answer still has another shape after a few attempts.
    """
    return transport.repeat(lambda: checked(transport, method, path, transport.json(method, path, **options), is_right))


def checked(transport: Transport, method: str, path: str, answer: Any, is_right: Check) -> Any:
    """Return the answer to a request if it has the right shape; parameters as for `ask`.

    Raises
    ------
    UnusableError
        It has another shape, and may have the right one if it is asked for again.
    """
    if is_right(answer):
        return answer
    raise UnusableError(
        TransportError(
            f"{transport.url} answered {method} {path} with JSON of another shape than Orthanc's "
            f"({type(answer).__name__}). Check what is between the server and here."
        )
    )


def is_alive(transport: Transport, timeout: float = 3.0) -> bool:
    """Check with one request whether an Orthanc answers within some seconds.

    Raises
    ------
    ServerError
        Something answers, and refuses: it requires other credentials, or is no Orthanc.
    """
    try:
        answer = transport.json("GET", "/system", timeout=(timeout, timeout), patience=0)
    except ServerError as error:
        if error.status not in AWAY:
            raise
        return False
    except TransportError:
        return False
    return has(Version=str)(answer)


def raise_if_held(transport: Transport, route: str, keys: Collection[str]) -> None:
    """Raise if one of the objects that a list lacks is on the server; one that is gone is no error.

    Parameters
    ----------
    transport : Transport
        The connection.
    route : str
        The route of their level, such as "series".
    keys : collection of str
        The ids that are missing.

    Raises
    ------
    UnusableError
        The server holds one of them.
    """
    for number, key in enumerate(sorted(keys)):
        try:
            transport.json("GET", f"/{route}/{key}")
        except NotFoundError:
            continue
        raise UnusableError(
            TransportError(
                f"{transport.url} holds /{route}/{key}, but its listings do not contain it: "
                f"{counted(len(keys) - number, 'object')} would be missing. Check what is between the server and here."
            )
        )


def is_objects(answer: Any) -> bool:
    """Check whether an answer is a list of described objects; an object that is not there may be null.

    Examples
    --------
    >>> is_objects([{"ID": "4ac2"}, None]), is_objects([]), is_objects({"a": 1}), is_objects(["4ac2"])
    (True, True, False, False)
    """
    return isinstance(answer, list) and all(item is None or is_object(item) for item in answer)


def is_matches(answer: Any) -> bool:
    """Check whether an answer lists the objects that an identifier names, each with its level.

    Examples
    --------
    >>> is_matches([{"ID": "4ac2", "Type": "Series"}]), is_matches([{"ID": "4ac2"}])
    (True, False)
    """
    return isinstance(answer, list) and all(is_object(item) and item.get("Type") in _LEVELS for item in answer)


def is_object(answer: Any) -> bool:
    """Check whether an answer describes one object."""
    return isinstance(answer, dict) and isinstance(answer.get("ID"), str)


def is_ids(answer: Any) -> bool:
    """Check whether an answer is a list of identifiers."""
    return isinstance(answer, list) and all(isinstance(item, str) for item in answer)


def is_tags(answer: Any) -> bool:
    """Check whether an answer holds the tags of instances: id to number to value."""
    return isinstance(answer, dict) and all(isinstance(tags, dict) for tags in answer.values())


def has(**kinds: type | tuple[type, ...]) -> Check:
    """Return a check whether an answer is an object with these fields.

    Examples
    --------
    >>> has(Last=int)({"Last": 3}), has(Last=int)({"Last": "3"}), has(Last=int)([])
    (True, False, False)
    """
    return lambda answer: (
        isinstance(answer, Mapping) and all(isinstance(answer.get(name), kind) for name, kind in kinds.items())
    )
