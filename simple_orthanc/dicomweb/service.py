"""What the transactions of DICOMweb share: paths, media types that the server takes, JSON that is checked."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from simple_orthanc.dicomweb import multipart
from simple_orthanc.dicomweb.multipart import Part, read_parts
from simple_orthanc.errors import SelectionError, ServerError, TransportError, UnsupportedError, stacklevel
from simple_orthanc.transport import HttpResponse, Stream, Transport, is_loopback

T = TypeVar("T")

JSON_TYPE = "application/dicom+json"

LARGEST_JSON = 1 << 29
"""Bytes in one answer of DICOM JSON beyond which it is not read on."""

_CHUNK = 1 << 18

# A server that cannot give any of the media types says 406.
NOT_ACCEPTABLE = (406, 415)

# Some call the request wrong instead, as they do for a frame that does not exist. To ask again in other words then is
# for where the caller named the alternatives: Orthanc with GDCM may die of changing a transfer syntax.
PERHAPS_NOT_ACCEPTABLE = (400, *NOT_ACCEPTABLE)

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+\Z")
_ATTRIBUTE = re.compile(r"[0-9A-Fa-f]{8}\Z")


class Service:
    """One server's DICOMweb, as far as all transactions need it."""

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
                    f"{name}_prefix is {prefix!r}; give the part of the path that this service has beyond the others, "
                    f'as in {name}_prefix="rs", or leave it out.'
                )
        self._prefixes = {name: (prefix or "").strip("/") for name, prefix in prefixes.items()}
        # What the server took last time, by what was wanted.
        self._taken: dict[tuple[str, ...], str] = {}
        self._undoes_escapes: bool | None = None
        remote = not is_loopback(urlsplit(transport.url).hostname or "")
        self._packed = {"Accept-Encoding": "gzip"} if remote else {}

    def __repr__(self) -> str:
        return f"<DICOMweb of {self._transport.url}>"

    def _path(self, service: str, *segments: str) -> str:
        return "/" + "/".join(segment for segment in (self._prefixes[service], *segments) if segment)

    def _asked(self, path: str) -> str:
        shown = path.partition("?")[0].removeprefix(self._transport.url)
        return f"GET {shown} at {self._transport.url}"

    def _negotiated(
        self, accepts: Sequence[str], ask: Callable[[str], T], refusals: Sequence[int] = NOT_ACCEPTABLE
    ) -> T:
        """Ask with one value of Accept after the other until the server takes one, and first with what it took before.

        Raises
        ------
        ServerError
            The last refusal, where it takes none.
        """
        wanted = tuple(accepts)
        taken = self._taken.get(wanted, wanted[0])
        order = [taken, *(accept for accept in wanted if accept != taken)]
        for place, accept in enumerate(order, 1):
            try:
                answer = ask(accept)
                break
            except ServerError as error:
                if error.status not in refusals or place == len(order):
                    raise
        self._taken[wanted] = accept
        return answer

    def _whole_parts(self, path: str, accepts: Sequence[str], refusals: Sequence[int] = NOT_ACCEPTABLE) -> list[Part]:
        """Read an answer of a few parts, which is asked for again where it breaks off."""
        answer = self._whole(path, accepts, refusals)
        if not answer.content:
            return []
        return list(read_parts([answer.content], answer.headers.get("Content-Type", ""), self._asked(path)))

    def _whole(
        self,
        path: str,
        accepts: Sequence[str],
        refusals: Sequence[int] = NOT_ACCEPTABLE,
        headers: Mapping[str, str] | None = None,
    ) -> HttpResponse:
        def ask(accept: str) -> HttpResponse:
            sent = {"Accept": accept, **(headers or {})}
            return self._transport.request("GET", path, headers=sent, max_bytes=multipart.LARGEST_PART)

        return self._negotiated(accepts, ask, refusals)

    @contextmanager
    def _streamed(
        self, path: str, accepts: Sequence[str], refusals: Sequence[int] = NOT_ACCEPTABLE
    ) -> Iterator[Stream]:
        """Open an answer that is read while it arrives."""
        with ExitStack() as stack:

            def ask(accept: str) -> Stream:
                opening = self._transport.stream(path, headers={"Accept": accept}, chunk_size=_CHUNK)
                return stack.enter_context(opening)

            yield self._negotiated(accepts, ask, refusals)

    def _json(self, path: str) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
        """Ask for DICOM JSON: a list of datasets, perhaps empty, and the headers of the answer."""

        def ask(accept: str) -> HttpResponse:
            headers = {"Accept": accept, **self._packed}
            return self._transport.request("GET", path, headers=headers, max_bytes=LARGEST_JSON)

        answer = self._negotiated((JSON_TYPE, "application/json"), ask)
        if not answer.content:
            return [], answer.headers
        content_type, asked = answer.headers.get("Content-Type", ""), self._asked(path)
        items: list[dict[str, Any]] = []
        for part in read_parts([answer.content], content_type, asked):
            items += parse_items(part.content, part.media_type, asked)
        return items, answer.headers


def uid(value: object, name: str) -> str:
    """Make a UID a segment of a path.

    Raises
    ------
    SelectionError
        If there is none: the path would be that of another resource.
    """
    if not isinstance(value, str) or not value.strip():
        raise SelectionError(f"{name} is {value!r}; give the UID as text, as a search gives it.")
    return quote(value.strip(), safe="")


def checked_media_type(media_type: object) -> str:
    """Give a media type as it is, if it is one that can be read here.

    Raises
    ------
    SelectionError
        If it is no media type.
    UnsupportedError
        If it is that of the XML form of DICOM.
    """
    if not isinstance(media_type, str) or not _MEDIA_TYPE.match(media_type):
        raise SelectionError(f'The media type {media_type!r} is none; give one such as "image/png".')
    if media_type == "application/dicom+xml":
        raise UnsupportedError("The XML form of DICOM is not read here; ask for metadata, which come as DICOM JSON.")
    return media_type


def resource(study: str | None = None, series: str | None = None, instance: str | None = None) -> list[str]:
    """Give the segments of the path of a study, series or instance.

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
    """Parse DICOM JSON (PS3.18 annex F): one dataset or a list of them; tags come out in upper case.

    Raises
    ------
    TransportError
        If that is something else: a page of HTML, XML, JSON of another kind.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        found = [found]
    if isinstance(found, list):
        items = [_checked_item(item) for item in found]
        if None not in items:
            return [item for item in items if item is not None]
    beginning = " ".join(content[:400].decode("utf-8", "replace").split())[:120]
    raise TransportError(
        f"{asked} was answered with something that is not DICOM JSON: {content_type or 'no content type'}, beginning "
        f"with {beginning!r}. Check that the address is the root of a DICOMweb service, such as "
        "'http://127.0.0.1:8042/dicom-web' for Orthanc, and that no page for logging in stands before it."
    )


def _checked_item(item: Any) -> dict[str, Any] | None:
    if not isinstance(item, dict):
        return None
    if not all(_ATTRIBUTE.match(name) and isinstance(entry, dict) for name, entry in item.items()):
        return None
    return item if all(map(str.isupper, item)) else {name.upper(): entry for name, entry in item.items()}


def warn(text: str) -> None:
    """Warn at the user's own line."""
    warnings.warn(text, UserWarning, stacklevel=stacklevel())
