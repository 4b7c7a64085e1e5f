"""The fields that Orthanc itself keeps with objects: labels, and metadata such as RemoteAET or a user's own entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.dicom.values import Value, from_text
from simple_orthanc.errors import NotFoundError, SelectionError, TransportError, UnsupportedError
from simple_orthanc.rest import Capabilities
from simple_orthanc.rest.levels import ORTHANC_LEVEL, ROUTE
from simple_orthanc.selection.source import batches
from simple_orthanc.sources.orthanc.answers import ask, is_ids, is_objects, raise_if_held
from simple_orthanc.sources.orthanc.changes import count_all
from simple_orthanc.transport import Transport

# How many objects one bulk request asks for: enough to make requests cheap, few enough for a progress bar.
_BULK = 500

Find = Callable[..., "list[dict[str, Any]]"]
ServerColumn = dict[Level, dict[str, Value]]


def read_label(capabilities: Capabilities, description: str, find: Find, name: str) -> ServerColumn:
    """Find the objects that have a label, at each level.

    Raises
    ------
    UnsupportedError
        The server is older than Orthanc 1.12.0, or its database does not keep labels.
    """
    if not capabilities.labels:
        version = ".".join(map(str, capabilities.version))
        raise UnsupportedError(f"Labels need Orthanc 1.12.0; {description} is Orthanc {version}, and has no labels.")
    found: ServerColumn = {}
    for level in LEVELS:
        answers = find(level, {}, Labels=[name], LabelsConstraint="All", ResponseContent=["Labels"])
        found[level] = {answer["ID"]: (name,) for answer in answers if name in answer.get("Labels", ())}
    return found


def read_metadata(transport: Transport, capabilities: Capabilities, find: Find, name: str) -> ServerColumn:
    """Read a metadata entry of all objects, at each level.

    Raises
    ------
    SelectionError
        The server has no metadata of that name. A server without an extended find (Orthanc before 1.12.5, or its
        plugin for PostgreSQL before 7) does not report that, and nothing is found.
    """
    found: ServerColumn = {}
    # An entry requested by its number is listed by its name if the server's configuration gives it one.
    listed = {str(number): known for known, number in capabilities.user_metadata.items()}.get(name, name)
    for level in LEVELS:
        answers = iter(_search(find, level, name)) if capabilities.extended_find else _bulk(transport, level)
        strings = ((answer["ID"], answer.get("Metadata", {}).get(listed)) for answer in answers)
        values = {key: from_text(string, "LT") for key, string in strings if string is not None}
        found[level] = {key: value for key, value in values.items() if value is not None}
    return found


def _search(find: Find, level: Level, name: str) -> list[dict[str, Any]]:
    try:
        return find(level, {}, MetadataQuery={name: "*"}, ResponseContent=["Metadata"])
    except NotFoundError:
        raise SelectionError(
            f"metadata({name!r}): the server has no metadata of that name. It has its own, such as RemoteAET or "
            f"LastUpdate, those that its configuration names under UserMetadata, and numbers from 1024 on."
        ) from None


def _bulk(transport: Transport, level: Level) -> Iterator[dict[str, Any]]:
    keys = ask(transport, "GET", f"/{ROUTE[level]}", is_ids)
    if not keys and (count := count_all(transport)[level]):
        raise TransportError(
            f"{transport.url} lists 0 of the {count} objects of level {level} that it counts. Check what is between "
            "the server and here."
        )

    def read_batch(batch: list[str]) -> list[dict[str, Any]]:
        body = {"Resources": batch, "Level": ORTHANC_LEVEL[level], "Short": True, "Metadata": True}
        answers = ask(transport, "POST", "/tools/bulk-content", is_objects, body=body, idempotent=True)
        present = [answer for answer in answers if answer]
        raise_if_held(transport, ROUTE[level], set(batch) - {answer["ID"] for answer in present})
        return present

    def read_whole_batch(batch: list[str]) -> list[dict[str, Any]]:
        return transport.repeat(lambda: read_batch(batch))

    pieces = [list(batch) for batch in batches(keys, _BULK)]
    for answers in map_ordered(read_whole_batch, pieces, total=len(pieces), label="reading metadata"):
        yield from answers
