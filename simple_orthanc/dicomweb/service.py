"""What the transactions of DICOMweb share: paths, media types that the server accepts, responses that are checked."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from simple_orthanc.dicomweb.multipart import Part, read_parts
from simple_orthanc.errors import SelectionError, ServerError, TransportError, UnsupportedError, stacklevel
from simple_orthanc.transport import HttpResponse, Stream, Transport, is_loopback
from simple_orthanc.transport.json_reader import UnreadableJsonError, read_json

T = TypeVar("T")

JSON_TYPE = "application/dicom+json"

_CHUNK = 1 << 18

# The statuses of a server that cannot send any of the media types.
NOT_ACCEPTABLE = (406, 415)

# Some servers answer 400 instead, as they do for a frame that does not exist. Another media type is tried after 400
# only if the caller named alternatives: Orthanc with GDCM may crash when it changes a transfer syntax.
PERHAPS_NOT_ACCEPTABLE = (400, *NOT_ACCEPTABLE)

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+\Z")
_ATTRIBUTE = re.compile(r"[0-9A-Fa-f]{8}\Z")


class Service:
    """One DICOMweb server, as far as all transactions need it; see `Transactions` for the parameters."""

    def __init__(
        self,
        transport: Transport,
        *,
        qido_prefix: str | None = "",
        wado_prefix: str | None = "",
        stow_prefix: str | None = "",
        delete_prefix: str | None = "",
    ) -> None:
        self._transport = transport
        prefixes = {"qido": qido_prefix, "wado": wado_prefix, "stow": stow_prefix, "delete": delete_prefix}
        for name, prefix in prefixes.items():
            if not isinstance(prefix, str | None):
                raise TransportError(
                    f"{name}_prefix is {prefix!r}; give the part of the path that only this service has, "
                    f'as in {name}_prefix="rs", or leave it out.'
                )
        self._prefixes = {name: (prefix or "").strip("/") for name, prefix in prefixes.items()}
        # The value of Accept that the server accepted last time, by the values that were offered.
        self._accepted: dict[tuple[str, ...], str] = {}
        self._decodes_filters: bool | None = None
        remote = not is_loopback(urlsplit(transport.url).hostname or "")
        self._json_encoding = {"Accept-Encoding": "gzip"} if remote else {}

    def __repr__(self) -> str:
        """Show the address, never a password."""
        return f"<DICOMweb of {self._transport.url}>"

    def _path(self, service: str, *segments: str) -> str:
        return "/" + "/".join(segment for segment in (self._prefixes[service], *segments) if segment)

    def _asked(self, path: str) -> str:
        shown = path.partition("?")[0].removeprefix(self._transport.url)
        return f"GET {shown} at {self._transport.url}"

    def _negotiated(
        self, accepts: Sequence[str], ask: Callable[[str], T], refusals: Sequence[int] = NOT_ACCEPTABLE
    ) -> T:
        """Try one value of Accept after the other until the server accepts one, first the one that it accepted before.

        Raises
        ------
        ServerError
            The last refusal, if it accepts none.
        """
        offered = tuple(accepts)
        preferred = self._accepted.get(offered, offered[0])
        order = [preferred, *(accept for accept in offered if accept != preferred)]
        for count, accept in enumerate(order, 1):
            try:
                response = ask(accept)
                break
            except ServerError as error:
                # "transfer-syntax=*" is not understood by every server.
                is_unknown = error.status == 400 and accept.endswith("=*") and offered not in self._accepted
                if count == len(order) or not (is_unknown or error.status in refusals):
                    raise
        self._accepted[offered] = accept
        return response

    def _whole_parts(self, path: str, accepts: Sequence[str], refusals: Sequence[int] = NOT_ACCEPTABLE) -> list[Part]:
        """Read a response of a few parts, which is asked for again if it breaks off."""
        response = self._whole(path, accepts, refusals)
        if not response.content:
            return []
        return list(read_parts([response.content], response.headers.get("Content-Type", ""), self._asked(path)))

    def _whole(
        self,
        path: str,
        accepts: Sequence[str],
        refusals: Sequence[int] = NOT_ACCEPTABLE,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        def ask(accept: str) -> HttpResponse:
            sent = {"Accept": accept, **(headers or {})}
            return self._transport.request("GET", path, headers=sent)

        return self._negotiated(accepts, ask, refusals)

    @contextmanager
    def _streamed(
        self, path: str, accepts: Sequence[str], refusals: Sequence[int] = NOT_ACCEPTABLE
    ) -> Iterator[Stream]:
        """Open a response that is read while it arrives."""
        with ExitStack() as stack:

            def ask(accept: str) -> Stream:
                opening = self._transport.stream(path, headers={"Accept": accept}, chunk_size=_CHUNK)
                return stack.enter_context(opening)

            yield self._negotiated(accepts, ask, refusals)

    def _json(self, path: str) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
        """Ask for DICOM JSON; return a list of datasets, perhaps empty, and the headers of the response."""

        def ask(accept: str) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
            headers = {"Accept": accept, **self._json_encoding}
            return self._transport.read("GET", path, parse, headers=headers, limit="json_bytes")

        def parse(response: HttpResponse) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
            content_type, asked = response.headers.get("Content-Type", ""), self._asked(path)
            items: list[dict[str, Any]] = []
            if not response.content and response.status != 204:
                raise TransportError(
                    f"{asked} was answered with status {response.status} and nothing else. A search that finds nothing "
                    "has status 204 or an empty list: a proxy on the way, or a login page, may have sent this."
                )
            if response.content:
                for part in read_parts([response.content], content_type, asked):
                    items += parse_items(part.content, part.media_type, asked)
            return items, response.headers

        return self._negotiated((JSON_TYPE, "application/json"), ask)

    def _wrong(self, part: Part, path: str, wanted: str) -> TransportError:
        received = f"{len(part.content)} bytes of {part.media_type or 'no media type'}"
        return TransportError(
            f"{self._asked(path)} was answered with something other than {wanted}: {received}. "
            "Check that the address is that of a DICOMweb service, and that no login page is in front of it.",
            is_about_object=True,
        )

    def _only(self, parts: list[Part], path: str) -> Part:
        if len(parts) != 1 or not parts[0].content:
            received = "nothing" if not parts or not parts[0].content else f"{len(parts)} parts"
            raise TransportError(
                f"{self._asked(path)} was answered with {received} instead of one part. Look at the log of the "
                "server; compressed pixels come by retrieve_frames or retrieve_instance.",
                is_about_object=True,
            )
        return parts[0]


def uid(value: object, name: str) -> str:
    """Encode a UID as a segment of a path.

    Raises
    ------
    SelectionError
        If it is missing: the path would be that of another resource.
    """
    if not isinstance(value, str) or not value.strip():
        raise SelectionError(f"{name} is {value!r}; give the UID as a string, as a search returns it.")
    return quote(value.strip(), safe="")


def checked_media_type(media_type: object) -> str:
    """Return a media type as it is, if it can be read here.

    Raises
    ------
    SelectionError
        If it is not a media type.
    UnsupportedError
        If it is that of the XML form of DICOM.
    """
    if not isinstance(media_type, str) or not _MEDIA_TYPE.match(media_type):
        raise SelectionError(f'{media_type!r} is not a media type; give one such as "image/png".')
    if media_type == "application/dicom+xml":
        raise UnsupportedError("The XML form of DICOM is not supported; ask for metadata, which come as DICOM JSON.")
    return media_type


def resource(study: str | None = None, series: str | None = None, instance: str | None = None) -> list[str]:
    """List the segments of the path of a study, series or instance.

    Examples
    --------
    >>> resource("1.2", "1.2.3")
    ['studies', '1.2', 'series', '1.2.3']
    """
    segments: list[str] = []
    if study is not None:
        segments += ["studies", uid(study, "study")]
    if series is not None:
        segments += ["series", uid(series, "series")]
    if instance is not None:
        segments += ["instances", uid(instance, "instance")]
    return segments


def parse_items(content: bytes, content_type: str, asked: str) -> list[dict[str, Any]]:
    """Parse DICOM JSON (PS3.18 annex F): one dataset or a list of them; tags are returned in upper case.

    Raises
    ------
    TransportError
        If it is anything else: a page of HTML, XML, JSON of another kind.
    """
    reason = ""
    try:
        parsed = read_json(content)
    except UnreadableJsonError as error:
        parsed, reason = None, f": {error}"
    if isinstance(parsed, dict):
        parsed = [parsed]
    if isinstance(parsed, list):
        items = [_checked_item(item) for item in parsed]
        if None not in items:
            return [item for item in items if item is not None]
    beginning = " ".join(content[:400].decode("utf-8", "replace").split())[:120]
    raise TransportError(
        f"{asked} was answered with something that is not DICOM JSON{reason}: {content_type or 'no content type'}, "
        f"beginning with {beginning!r}. Check that the address is the root of a DICOMweb service, such as "
        "'http://127.0.0.1:8042/dicom-web' for Orthanc, and that no login page is in front of it."
    )


def _checked_item(item: Any) -> dict[str, Any] | None:
    if not isinstance(item, dict):
        return None
    if not all(_ATTRIBUTE.match(name) and isinstance(entry, dict) for name, entry in item.items()):
        return None
    return item if all(map(str.isupper, item)) else {name.upper(): entry for name, entry in item.items()}


def warn(message: str) -> None:
    """Warn at the line of the user's own code."""
    warnings.warn(message, UserWarning, stacklevel=stacklevel())


def checked_frames(frames: Sequence[int]) -> list[int]:
    """Return frame numbers as a list, if they are numbers from 1 on, each once.

    Raises
    ------
    SelectionError
        If there is none, one is below 1, or one is repeated.
    """
    numbers: list[Any] = list(frames)
    if not numbers or not all(isinstance(number, int) and number >= 1 for number in numbers):
        raise SelectionError(f"frames is {numbers[:5]!r}; give numbers from 1 on, at least one.")
    if len(set(numbers)) < len(numbers):
        raise SelectionError("A frame is asked for twice; give each number once.")
    return numbers
