"""One C-FIND (PS3.4, annex C) that an Orthanc server sends to a modality, and what the modality answers.

Orthanc keeps each query with its answers until 100 newer ones replace it; here it is removed once the answers are read.

The answers are what the modality sent, and no more can be said of them: a modality may ignore keys that it does not
know, compare with regard to case, repeat an answer, or leave out keys that it was asked for. Decide on them again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from simple_orthanc.concurrency.interruption import for_at_most
from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import AuthenticationError, NotFoundError, OrthancError, ServerError, TransportError
from simple_orthanc.rest.api import RestApi

Answer: TypeAlias = "dict[str, str | None]"
"""Number of the tag, as ``"0008,103e"``, to the value: values separated by backslashes, "" if the modality sent the key
without a value, None if Orthanc does not write the value (sequences, binary and very long values). A key that the
modality left out has no entry."""

NUMBER_OF_CHILDREN: dict[Level, str] = {
    "study": "NumberOfStudyRelatedSeries",
    "series": "NumberOfSeriesRelatedInstances",
}
"""The tags in which a modality says how much is in an object."""

_CHARACTER_SET = "0008,0005"
_UTF8 = "ISO_IR 192"
_LEVELS: dict[Level, str] = {"patient": "Patient", "study": "Study", "series": "Series", "instance": "Instance"}
_STATUS = re.compile(r"DIMSE status (0x[0-9A-Fa-f]{4})")
# Beyond the time that Orthanc itself waits for the modality.
_SECONDS_MORE = 60
_SECONDS_TO_REMOVE = 0.3
_LEAST_LIMIT = 10
USUAL_LIMIT = 100
"""The least limit on answers that is usual."""


class Answers(NamedTuple):
    """What a modality answered.

    Attributes
    ----------
    answers : list of dict
        The answers as they came, see `Answer`; a modality may repeat one.
    character_sets : frozenset of str
        In which Orthanc wrote them. Unless it is ``ISO_IR 192`` alone, characters that the set lacks are missing in the
        answers without a trace, whatever the modality sent: Orthanc uses its ``DefaultEncoding``.
    """

    answers: list[Answer]
    character_sets: frozenset[str]


def find(rest: RestApi, modality: str, level: Level, keys: Mapping[str, str], *, timeout: int | None = None) -> Answers:
    r"""Send a C-FIND to a modality, and return its answers.

    Parameters
    ----------
    rest : Rest
        The REST API of the server that sends it.
    modality : str
        The name of the modality in the configuration of the server.
    level : {"patient", "study", "series", "instance"}
        The level of the answers.
    keys : mapping of str to str
        Keyword or number of a tag to what its value must match; "" only asks for the value. Give the unique key of
        every level above: what a modality makes of a query without them is its own affair. Strings are sent as UTF-8.
    timeout : int, optional
        Seconds that the server waits for the modality. Default: what its configuration says, usually 10.

    Returns
    -------
    Answers

    Raises
    ------
    NotFoundError
        The server knows no such modality; the message lists those that it knows.
    ServerError
        The modality did not answer, or refused; `refusal` tells the status that it refused with.
    TransportError
        The answers are not what Orthanc writes.

    Examples
    --------
    >>> len(find(orthanc.rest, "PACS", "study", {"PatientID": "EX-001", "StudyDate": ""}).answers)
    2
    """
    path = f"/modalities/{quote(modality, safe='')}/query"
    # Normalized, the query would lose the keys that Orthanc's own index does not hold at this level.
    body: dict[str, Any] = {
        "Level": _LEVELS[level],
        "Query": {"SpecificCharacterSet": _UTF8, **keys},
        "Normalize": False,
    }
    if timeout is not None:
        body["Timeout"] = timeout
    seconds = None if timeout is None else timeout + _SECONDS_MORE
    try:
        started = rest.post(path, body, timeout=seconds, idempotent=True)
    except NotFoundError as error:
        raise _unknown(rest, modality, error) from None
    except ServerError as error:
        raise _refused(modality, level, keys, error) from None
    query = started.get("ID") if isinstance(started, dict) else None
    if not isinstance(query, str) or not query:
        raise TransportError(f"The answer to POST {path} names no query. Check what is between the server and here.")
    route = f"/queries/{quote(query, safe='')}"
    try:
        answers = _read(route, rest.get(f"{route}/answers", params={"expand": ""}))
    except BaseException as error:
        # Ctrl-C is not to wait for a server that is mute.
        limit = contextlib.nullcontext() if isinstance(error, Exception) else for_at_most(_SECONDS_TO_REMOVE)
        with contextlib.suppress(OrthancError, KeyboardInterrupt), limit:
            rest.delete(route)
        raise
    with contextlib.suppress(OrthancError):
        rest.delete(route)
    return answers


def _read(route: str, listed: Any) -> Answers:
    if not isinstance(listed, list) or not all(map(_is_answer, listed)):
        raise TransportError(
            f"The answer to {route}/answers is not a list of answers. Check what is between the server and here."
        )
    answers: list[Answer] = [
        {number.lower(): _value_of(element) for number, element in answer.items()} for answer in listed
    ]
    sets = frozenset(answer.get(_CHARACTER_SET) or "" for answer in answers)
    return Answers(answers, sets)


def _is_answer(answer: Any) -> bool:
    return isinstance(answer, dict) and all(isinstance(element, dict) for element in answer.values())


def _value_of(element: Mapping[str, Any]) -> str | None:
    kind, value = element.get("Type"), element.get("Value")
    if kind == "Null":
        return ""
    return value if kind == "String" and isinstance(value, str) else None


def may_be_limit(count: int) -> bool:
    """Check whether somebody may have chosen a number as a limit; some servers answer with one more.

    Examples
    --------
    >>> [count for count in (9, 10, 21, 35, 100, 110, 256, 501, 1025) if may_be_limit(count)]
    [10, 21, 100, 256, 501, 1025]
    """
    if count < _LEAST_LIMIT:
        return False
    is_round = count % (_LEAST_LIMIT if count < USUAL_LIMIT else USUAL_LIMIT // 2) <= 1
    is_power_of_two = any(number & (number - 1) == 0 for number in (count, count - 1))
    return is_round or is_power_of_two


def refusal(error: ServerError) -> int | None:
    """Return the status of DIMSE with which a modality refused; None if the error is no refusal of it.

    Examples
    --------
    >>> hex(refusal(ServerError(details="C-FIND SCU to AET PACS has failed with DIMSE status 0xA700")))
    '0xa700'
    >>> refusal(ServerError(details="TCP Initialization Error: Connection refused")) is None
    True
    """
    match = _STATUS.search(error.details)
    return int(match[1], 16) if match else None


def _unknown(rest: RestApi, modality: str, error: NotFoundError) -> NotFoundError:
    """Return the error for a modality that the server does not know."""
    known: Any = []
    with contextlib.suppress(OrthancError):
        known = rest.get("/modalities")
    names = ", ".join(map(repr, known)) if isinstance(known, list) and known else "none"
    return NotFoundError(
        f"The server knows no modality {modality!r}; it knows {names}. Add it with orthanc.modalities[{modality!r}] = "
        '{"AET": ..., "Host": ..., "Port": ...}; what was added so is forgotten when the server restarts.',
        status=error.status,
        method=error.method,
        path=error.path,
        details=error.details,
    )


def _refused(modality: str, level: Level, keys: Mapping[str, str], error: ServerError) -> ServerError:
    """Return an error with what was asked; a wrong password is not about the modality."""
    if isinstance(error, AuthenticationError):
        return error
    asked = {keyword: value for keyword, value in keys.items() if value}
    status = refusal(error)
    advice = (
        "Check that it runs, its host and port, and that it knows the AE title of this Orthanc."
        if status is None
        else "It may not search at this level, or find too much: narrow by PatientID, StudyDate or StudyInstanceUID."
    )
    return type(error)(
        f"The modality {modality!r} did not answer a C-FIND at the level {level} for {asked or 'everything'}: "
        f"{error.details.rstrip('.') or error.message}. {advice}",
        status=error.status,
        method=error.method,
        path=error.path,
        details=error.details,
    )
