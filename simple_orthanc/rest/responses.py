"""Bodies as they are sent to Orthanc's REST API, and its responses, read by their content type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.transport import HttpResponse
from simple_orthanc.transport.arguments import check_headers
from simple_orthanc.transport.json_reader import UnreadableJsonError, read_json
from simple_orthanc.transport.secret import Secret, reveal


@dataclass(frozen=True)
class RestResponse:
    """One response of the REST API.

    Attributes
    ----------
    status : int
        HTTP status.
    headers : mapping
        Looked up without regard to case.
    content : bytes
        The body as it came.
    value : object
        The body, read by its content type: JSON is parsed, text is a string, anything else bytes.
    revision : str or None
        For metadata and attachments: what `Rest.put` and `Rest.delete` take as `revision`.

    Examples
    --------
    >>> response = orthanc.rest.request("GET", "/statistics")
    >>> response.status, response.value["CountPatients"]
    (200, 3)
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    value: Any = field(repr=False)
    revision: str | None = None


def parse_body(url: str, response: HttpResponse) -> Any:
    """Read a body by its content type.

    Parameters
    ----------
    url : str
        What was asked for, for the message.
    response : HttpResponse
        Status, headers and body.

    Returns
    -------
    object
        JSON (also ``application/dicom+json`` and other types that end in ``+json``) parsed, text as a string, anything
        else as bytes. Orthanc sends its own errors as text, which is JSON.

    Raises
    ------
    TransportError
        If JSON cannot be read.
    """
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type == "application/json" or media_type.endswith("+json"):
        # The response is not quoted: it may repeat what was sent, a password with it.
        try:
            return read_json(response.content)
        except UnreadableJsonError as error:
            reason = str(error)
        raise TransportError(f"{url} answered with JSON that cannot be read: {reason}.")
    if response.status >= 400 and response.content.lstrip().startswith(b"{"):
        try:
            return read_json(response.content)
        except UnreadableJsonError:
            # Text that only looks like JSON.
            pass
    return response.content.decode("utf-8", "replace") if media_type.startswith("text/") else response.content


def encode_body(path: str, body: Any, headers: Any, revision: str | None = None) -> tuple[Any, Secret]:
    """Return a body as it is sent, and the headers that go with it.

    Parameters
    ----------
    path : str
        Of the request, for the message.
    body : object
        Bytes, a string or a binary file are sent as they are, None as nothing, anything else as JSON.
    headers : Secret or None
        Those of the caller, which replace the others.
    revision : str, optional
        The revision that the server must still hold.

    Raises
    ------
    SelectionError
        If the revision is not a string.
    TransportError
        If the body cannot be written as JSON or UTF-8, or the headers are no mapping.
    """
    check_headers(headers)
    own: dict[str, str] = {}
    if revision is not None:
        own["If-Match"] = f'"{checked_revision(revision)}"'
    if isinstance(body, str):
        _check_utf_8(path, body)
    if body is None or isinstance(body, (bytes, bytearray, memoryview, str)) or hasattr(body, "read"):
        return body, Secret({**own, **(reveal(headers) or {})})
    own["Content-Type"] = "application/json"
    try:
        # NaN and infinity are no JSON.
        return json.dumps(body, allow_nan=False), Secret({**own, **(reveal(headers) or {})})
    except (TypeError, ValueError, RecursionError) as error:
        raise TransportError(
            f"The body for {path} cannot be written as JSON: {error}. Give dicts, lists, strings, numbers, True, "
            f"False and None; bytes, a string and an open file are sent as they are."
        ) from None


def _check_utf_8(path: str, body: str) -> None:
    try:
        body.encode()
    except UnicodeEncodeError as error:
        reason = f"{error.reason}, at position {error.start}"
    else:
        return
    raise TransportError(
        f"The body for {path} cannot be written as UTF-8: {reason}. Give it as bytes, which are sent as they are."
    )


def checked_revision(revision: object) -> str:
    """Return a revision without quotes.

    Raises
    ------
    SelectionError
        If it has not the form of a revision.

    Examples
    --------
    >>> checked_revision('"0-5d41402abc4b2a76b9719d911017c592"')
    '0-5d41402abc4b2a76b9719d911017c592'
    """
    bare = revision.strip().removeprefix("W/").strip('"') if isinstance(revision, str) else ""
    number, dash, checksum = bare.partition("-")
    if not (number.isdecimal() and number.isascii() and dash and checksum.isalnum() and checksum.isascii()):
        raise SelectionError(
            f"revision is {revision!r}; give what the server last said, as in "
            'revision=rest.request("GET", path).revision, or None to overwrite whatever is there.'
        )
    return bare


def revision_of(headers: Mapping[str, str]) -> str | None:
    """Return the revision that a response names in its header ETag, None if it names none.

    Examples
    --------
    >>> revision_of({"ETag": '"1-9dd4e461268c8034f5c8564e155c67a6"'}), revision_of({})
    ('1-9dd4e461268c8034f5c8564e155c67a6', None)
    """
    return headers.get("ETag", "").strip().removeprefix("W/").strip('"') or None
