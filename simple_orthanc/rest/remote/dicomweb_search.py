"""One search of a DICOMweb server (QIDO-RS, PS3.18, section 10.6) through the plugin of an Orthanc server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import TransportError
from simple_orthanc.rest.remote.finding import UNIQUE_KEYS
from simple_orthanc.rest.remote.queries import Answer, Answers

Get = Callable[[str, Mapping[str, str], Mapping[str, str]], Any]
"""`DicomWebServer.get`."""

_JSON = {"Accept": "application/dicom+json"}
# The JSON model is always in UTF-8 (PS3.18, section F.2).
_UTF8 = frozenset({"ISO_IR 192"})
_STUDY, _SERIES = UNIQUE_KEYS["study"], UNIQUE_KEYS["series"]


def search(get: Get, level: Level, keys: Mapping[str, str]) -> Answers:
    """Search a DICOMweb server, page by page, until a page brings nothing new.

    Parameters
    ----------
    get : callable
        GETs a route of the server.
    level : {"study", "series", "instance"}
        The level of the answers.
    keys : mapping of str to str
        Name of a tag to what its value must match; "" only asks for the value. The unique keys of the levels above are
        part of the path.

    Raises
    ------
    TransportError
        An answer is not in the JSON model.
    """
    path, fields = _path(level, keys), dict(keys)
    for name in (_STUDY, _SERIES):
        if f"/{fields.get(name)}/" in path:
            del fields[name]
    included = ",".join(parse_tag(name).number.replace(",", "").upper() for name in keys)
    answers: list[Answer] = []
    for filters in _one_uid_each({name: value for name, value in fields.items() if value}):
        answers += _pages(get, path, {**filters, "includefield": included}, UNIQUE_KEYS[level])
    return Answers(answers, _UTF8)


def _path(level: Level, keys: Mapping[str, str]) -> str:
    if level == "study":
        return "/studies"
    below = f"/studies/{keys[_STUDY]}/series"
    return below if level == "series" else f"{below}/{keys[_SERIES]}/instances"


def _one_uid_each(filters: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield filters with one UID each, since servers differ in how they separate those of a list."""
    listed = next((name for name, value in filters.items() if "\\" in value), None)
    if listed is None:
        yield dict(filters)
        return
    for uid in filters[listed].split("\\"):
        yield from _one_uid_each({**filters, listed: uid})


def _pages(get: Get, path: str, arguments: Mapping[str, str], unique: str) -> Iterator[Answer]:
    """Yield the answers of all pages; a server that ignores the offset answers with the first page again."""
    number, offset, seen = parse_tag(unique).number, 0, set[tuple[str | None, ...]]()
    while True:
        page = [_answer(path, item) for item in _listed(path, get(path, {**arguments, "offset": str(offset)}, _JSON))]
        offset += len(page)
        is_new = False
        for answer in page:
            identity = (answer.get(number), answer.get("0010,0020"))
            if identity not in seen:
                is_new = True
                seen.add(identity)
                yield answer
        if not is_new:
            return


def _listed(path: str, answer: Any) -> list[Any]:
    # Nothing found is an empty body (204) or an empty list.
    if not answer:
        return []
    if not isinstance(answer, list):
        raise _not_json(path)
    return answer


def _answer(path: str, item: Any) -> Answer:
    if not isinstance(item, dict):
        raise _not_json(path)
    return {
        f"{number[:4]},{number[4:]}".lower(): _text(element) if isinstance(element, dict) else None
        for number, element in item.items()
    }


def _text(element: Mapping[str, Any]) -> str | None:
    """Return a value as one string with backslashes, None if it is not one of strings and numbers."""
    parts = [_part(value) for value in element.get("Value") or ()]
    if element.get("vr") == "SQ" or "BulkDataURI" in element or "InlineBinary" in element or None in parts:
        return None
    return "\\".join(part for part in parts if part is not None)


def _part(value: Any) -> str | None:
    if isinstance(value, dict):
        groups = [str(value.get(name) or "") for name in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    if value is None:
        return ""
    return str(value) if isinstance(value, (str, int, float)) else None


def _not_json(path: str) -> TransportError:
    return TransportError(
        f"The DICOMweb server answered to {path} with something else than a list of objects in DICOM's JSON. Check "
        "that the URL in its configuration is the root of its DICOMweb service."
    )
