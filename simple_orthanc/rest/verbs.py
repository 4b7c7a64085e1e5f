"""The verbs of HTTP on any route of Orthanc's REST API, by its path."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from simple_orthanc.errors import OrthancError, SelectionError, ServerError
from simple_orthanc.files.paths import path_text
from simple_orthanc.rest.responses import RestResponse, encode_body, parse_body, revision_of
from simple_orthanc.transport import HttpResponse, Stream, Transport
from simple_orthanc.transport.secret import hide

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from simple_orthanc.rest.explaining import Explainer
    from simple_orthanc.transport.arguments import RequestOptions, Timeout, Times

# Those that tell what is wrong with the request; after 429 the same request is sent again.
_RETURNED_STATUSES = tuple(status for status in range(400, 500) if status != 429)

# Seconds for what is asked to explain a refusal.
_LOOKING = 10.0

Check: TypeAlias = Callable[[Path], None] | None


class Verbs:
    """Requests to one server, by the path of a route.

    Parameters
    ----------
    transport : Transport
        The connection.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def _explainer(self) -> Explainer:
        # The table of routes is read when a request is refused, and not by each program.
        from simple_orthanc.rest.explaining import Explainer

        return Explainer(self._transport.url, self._version, self._look)

    def _version(self) -> tuple[int, ...]:
        """Return the version of the server, as numbers."""
        raise NotImplementedError

    def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
        deadline: float | None = None,
    ) -> Any:
        """GET a route; JSON is parsed, strings and bytes are returned as they are.

        Examples
        --------
        >>> orthanc.rest.get("/statistics")["CountStudies"]
        3
        >>> found = orthanc.rest.get("/series", {"since": 0, "limit": 2})
        >>> len(found)
        2
        """
        # Here and below before all else, so that no traceback shows their values.
        headers = hide(headers)
        times: Times = {"timeout": timeout, "patience": patience, "deadline": deadline}
        with self._explained():
            return self._send("GET", path, params=params, headers=headers, **times)

    def post(
        self,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
        deadline: float | None = None,
        idempotent: bool = False,
    ) -> Any:
        """POST to a route; the response is returned as by `get`.

        Parameters
        ----------
        path : str
            Of the route.
        body : object, optional
            Bytes, a string or a binary file are sent as they are, anything else as JSON.
        params, headers, timeout, patience, deadline : optional
            See `Rest`.
        idempotent : bool, default False
            Whether the request only reads, so that it may be sent again after a lost connection.

        Examples
        --------
        >>> query = {"Level": "Series", "Query": {"Modality": "PT"}, "Expand": True}
        >>> [series["MainDicomTags"]["SeriesDescription"] for series in orthanc.rest.post("/tools/find", query)]
        ['PET FDG']
        """
        headers = hide(headers)
        data, sent = encode_body(path, body, headers)
        times: Times = {"timeout": timeout, "patience": patience, "deadline": deadline}
        with self._explained():
            return self._send("POST", path, params=params, data=data, headers=sent, idempotent=idempotent, **times)

    def put(
        self,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
        deadline: float | None = None,
        revision: str | None = None,
    ) -> Any:
        """PUT to a route; `body` is sent as by `post`, and the response returned as by `get`.

        Parameters
        ----------
        path : str
            Of the route.
        body : object, optional
            As for `post`.
        params, headers, timeout, patience, deadline : optional
            See `Rest`.
        revision : str, optional
            For metadata and attachments: the revision that is overwritten, as `request` returns it. If the server has
            another one by now, nothing is written and a `ServerError` with the status 409 is raised, provided that its
            option CheckRevisions is on.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> answer = orthanc.rest.put(f"/studies/{study}/metadata/1024", "reader A")
        >>> orthanc.rest.get(f"/studies/{study}/metadata/1024")
        'reader A'
        """
        headers = hide(headers)
        data, sent = encode_body(path, body, headers, revision)
        times: Times = {"timeout": timeout, "patience": patience, "deadline": deadline}
        with self._explained(revision):
            return self._send("PUT", path, params=params, data=data, headers=sent, **times)

    def delete(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
        deadline: float | None = None,
        revision: str | None = None,
    ) -> Any:
        """DELETE a route; the response is returned as by `get`, and `revision` is as for `put`.

        Examples
        --------
        >>> series = orthanc.select(Modality="PT").get_orthanc_ids()[0]
        >>> orthanc.rest.delete(f"/series/{series}")["RemainingAncestor"]["Type"]
        'Study'
        """
        headers = hide(headers)
        _, sent = encode_body(path, None, headers, revision)
        times: Times = {"timeout": timeout, "patience": patience, "deadline": deadline}
        with self._explained(revision):
            return self._send("DELETE", path, params=params, headers=sent, **times)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
        deadline: float | None = None,
        idempotent: bool | None = None,
        revision: str | None = None,
        check: bool = True,
    ) -> RestResponse:
        """Send any request, and return status, headers and body.

        Parameters
        ----------
        method : str
            ``"GET"``, ``"POST"``, ``"PUT"``, ``"DELETE"`` or any other.
        path : str
            Of the route.
        body : object, optional
            As for `post`.
        params, headers, timeout, patience, deadline : optional
            See `Rest`.
        idempotent : bool, optional
            Whether the request may be sent twice. By default all but POST.
        revision : str, optional
            As for `put`.
        check : bool, default True
            Whether a status from 400 to 499 raises. False returns it as any other, except 429, after which the request
            is sent again.

        Returns
        -------
        RestResponse
            ``status``, ``headers``, ``content`` (bytes), ``value`` (what `get` returns) and ``revision``.

        Examples
        --------
        >>> study = orthanc.select(PatientID="EX-003").get_orthanc_ids("study")[0]
        >>> path = f"/studies/{study}/metadata/1024"
        >>> answer = orthanc.rest.put(path, "reader A")
        >>> read = orthanc.rest.request("GET", path)
        >>> read.status, read.value
        (200, 'reader A')
        >>> answer = orthanc.rest.put(path, "reader B", revision=read.revision)
        """
        headers = hide(headers)
        if not isinstance(method, str):
            raise SelectionError(f'The method {method!r} is not a string; give one of HTTP, such as "GET".')
        data, sent = encode_body(path, body, headers, revision)
        options: RequestOptions = {
            "params": params,
            "data": data,
            "headers": sent,
            "timeout": timeout,
            "patience": patience,
            "deadline": deadline,
            "idempotent": idempotent,
        }
        statuses = () if check else _RETURNED_STATUSES
        with self._explained(revision):
            response = self._transport.read(
                method, path, partial(self._read, path), accepted_statuses=statuses, **options
            )
        if method.upper() == "PUT" and response.revision is not None:
            return replace(response, revision=self._revision_held(path, response.revision))
        return response

    @overload
    def stream(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        to: None = None,
        method: Literal["GET", "POST"] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
        deadline: float | None = None,
        idempotent: bool | None = None,
    ) -> AbstractContextManager[Stream]: ...

    @overload
    def stream(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        to: str | os.PathLike[str],
        method: Literal["GET", "POST"] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
        deadline: float | None = None,
        idempotent: bool | None = None,
        check: Check = None,
    ) -> Path: ...

    def stream(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        to: str | os.PathLike[str] | None = None,
        method: Literal["GET", "POST"] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        patience: float | None = None,
        deadline: float | None = None,
        idempotent: bool | None = None,
        check: Check = None,
    ) -> AbstractContextManager[Stream] | Path:
        """Read a body of any length while it arrives, or write it to a file.

        Parameters
        ----------
        path : str
            Of the route.
        params, headers, timeout, patience, deadline : optional
            See `Rest`.
        to : str or Path, optional
            The file. It appears under its name when all of the body has arrived; an older file of that name is
            replaced then, and unchanged if anything fails.
        method : {"GET", "POST"}, optional
            By default GET, and POST with a body.
        body : object, optional
            As for `post`.
        idempotent : bool, optional
            As for `request`.
        check : callable, optional
            With `to`: called with the path of the complete file before it gets its name; what it raises leaves nothing
            behind.

        Returns
        -------
        Path
            With `to`: the file.
        context manager
            Without it: yields an iterator of bytes, with ``status`` and ``headers``. Leaving the block before the end
            closes the connection.

        Raises
        ------
        SelectionError
            If there can be no such file: its folder is missing, or it is a folder. Nothing was asked for.
        TransportError
            If the body breaks off. A zip, whose length Orthanc does not announce, must have the record at its end.
        ServerError
            If the server refused.
        OrthancError
            If the file cannot be written.

        Examples
        --------
        >>> instance = orthanc.select(Modality="PT").get_orthanc_ids("instance")[0]
        >>> with orthanc.rest.stream(f"/instances/{instance}/file") as body:
        ...     size = sum(map(len, body))
        >>> size == orthanc.rest.instances[instance].file_size
        True
        >>> request = {"Resources": orthanc.get_orthanc_ids("series")[:2]}
        >>> orthanc.rest.stream("/tools/create-archive", body=request, to="two.zip").name
        'two.zip'
        """
        headers = hide(headers)
        target = None if to is None else checked_target(to, f'rest.stream({path!r}, to="file.zip")')
        data, sent = encode_body(path, body, headers)
        options: RequestOptions = {
            "params": params,
            "data": data,
            "headers": sent,
            "timeout": timeout,
            "patience": patience,
            "deadline": deadline,
            "idempotent": idempotent,
        }
        method = method or ("GET" if body is None else "POST")
        if target is None:
            return self._opened(path, method, **options)
        self._write(target, path, method, check, **options)
        return target

    @contextmanager
    def _opened(self, path: str, method: str, **options: Unpack[RequestOptions]) -> Iterator[Stream]:
        with ExitStack() as stack:
            with self._explained():
                stream = stack.enter_context(self._transport.stream(path, method=method, **options))
            yield stream

    def _write(self, target: Path, path: str, method: str, check: Check, **options: Unpack[RequestOptions]) -> None:
        try:
            with self._explained():
                self._transport.download(path, target, method=method, check=check, **options)
        except OrthancError:
            # Some of them are errors of the system too.
            raise
        except OSError as error:
            raise _not_written(target, error) from error

    @contextmanager
    def _explained(self, revision: str | None = None) -> Iterator[None]:
        """Raise a refusal inside as the error that says what it means."""
        try:
            yield
        except ServerError as error:
            raise self._explainer.explain(error, revision) from None

    def _look(self, path: str) -> tuple[int, Mapping[str, str], Any]:
        """GET a path, once, whatever the status of the response."""
        response = self._transport.read(
            "GET", path, partial(self._read, path), accepted_statuses=_RETURNED_STATUSES, patience=0, timeout=_LOOKING
        )
        return response.status, response.headers, response.value

    def _revision_held(self, path: str, named: str) -> str:
        """Return the revision that the server holds after a PUT to which it answered with a revision.

        Databases without revisions (SQLite before Orthanc 1.12.8) keep number 0, and the answer names 1.
        """
        held = None
        # It was written, whatever becomes of what is asked now.
        with suppress(OrthancError):
            if not named.startswith("0-") and self._version() < (1, 12, 8):
                held = self._explainer.revision_held(path.partition("?")[0])
        # Another checksum is that of another writer.
        return held if held is not None and held.partition("-")[2] == named.partition("-")[2] else named

    def _send(self, method: str, path: str, **options: Unpack[RequestOptions]) -> Any:
        return self._transport.read(method, path, partial(self._parsed, path), **options)

    def _parsed(self, path: str, response: HttpResponse) -> Any:
        # Without the query, which may hold names of patients.
        return parse_body(f"{self._transport.url}/{path.partition('?')[0].lstrip('/')}", response)

    def _read(self, path: str, response: HttpResponse) -> RestResponse:
        value = self._parsed(path, response)
        return RestResponse(response.status, response.headers, response.content, value, revision_of(response.headers))


def _not_written(target: Path, error: OSError) -> OrthancError:
    return OrthancError(
        f"{target} cannot be written: {error.strerror or error}. Nothing was left behind, and an older file of "
        "that name is unchanged. Choose another folder, or free some space."
    )


def checked_target(to: object, example: str) -> Path:
    """Return the file to write a body to, before anything is asked for.

    Parameters
    ----------
    to : object
        What a user passed as its path.
    example : str
        The call with a path as it should be, for the message.

    Raises
    ------
    SelectionError
        There can be no such file: its folder is missing, or it is a folder, a device or a pipe.
    """
    target = Path(path_text(to, example)).expanduser()
    try:
        is_folder, has_folder = target.is_dir(), target.parent.is_dir()
        is_special = target.exists() and not (target.is_file() or is_folder)
        reason = "its name holds a NUL character" if "\0" in str(target) else ""
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise SelectionError(f"{str(target)!r} cannot be a file: {reason}. Choose another name.")
    if is_folder:
        raise SelectionError(f"{target} was to be written, but it is a folder. Name a file in it.")
    if is_special:
        # A file that is renamed to it would take its place.
        raise SelectionError(f"{target} was to be written, but it is a device or a pipe. Name a file.")
    if not has_folder:
        raise SelectionError(
            f"{target} was to be written, but there is no folder {target.parent}. Create it, or choose another."
        )
    return target
