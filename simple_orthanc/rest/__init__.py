"""Orthanc's own REST API: any route by its path, and what this server version can do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.errors import TransportError
from simple_orthanc.rest.jobs import run_job
from simple_orthanc.transport import Transport

__all__ = ["Capabilities", "Rest"]


@dataclass(frozen=True)
class Capabilities:
    """What one Orthanc server can do, as its answer to ``/system`` says.

    Attributes
    ----------
    version : tuple of int
        (1, 12, 7); a build from the development line counts as newest.
    extended_find : bool
        ``/tools/find`` knows ResponseContent and ParentStudy (Orthanc 1.12.5, on SQLite and PostgreSQL).
    labels : bool
        The server keeps labels (Orthanc 1.12.0).
    ranges : bool
        Attachments can be read in part (Orthanc 1.12.5).
    transcodes : bool
        The server may change the transfer syntax of what it stores.
    user_metadata : dict
        Name to number of the metadata that its configuration adds; empty before Orthanc 1.12.0, which does not say.
    tags_by_level : dict
        Numbers of the tags that this server keeps in its database, by level; empty before Orthanc 1.11.0.
    """

    version: tuple[int, ...]
    extended_find: bool
    labels: bool
    ranges: bool
    transcodes: bool
    user_metadata: dict[str, int]
    tags_by_level: dict[Level, tuple[str, ...]]

    @classmethod
    def from_system(cls, system: dict[str, Any]) -> Capabilities:
        """Read the answer to ``/system``."""
        version = parse_version(str(system.get("Version", "")))
        listed = system.get("MainDicomTags") or {}
        return cls(
            version=version,
            extended_find=bool((system.get("Capabilities") or {}).get("HasExtendedFind", False)),
            labels=bool(system.get("HasLabels", False)),
            ranges=version >= (1, 12, 5),
            transcodes=bool(system.get("IngestTranscoding")),
            user_metadata={str(name): int(number) for name, number in (system.get("UserMetadata") or {}).items()},
            tags_by_level={
                level: tuple(number for number in str(listed.get(level.capitalize(), "")).lower().split(";") if number)
                for level in (LEVELS if listed else ())
            },
        )

    @property
    def main_tags(self) -> frozenset[str]:
        """Numbers of all tags that the server keeps in its database, at whatever level."""
        return frozenset(number for numbers in self.tags_by_level.values() for number in numbers)


def parse_version(text: str) -> tuple[int, ...]:
    """Read a version as integers.

    Examples
    --------
    >>> parse_version("1.12.7"), parse_version("1.12.5rc1"), parse_version("mainline-a1b2") > (1, 99)
    ((1, 12, 7), (1, 12, 5), True)
    """
    if text.startswith("mainline"):
        return (10**6,)
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


class Rest:
    """Any route of the server by its path.

    Examples
    --------
    >>> orthanc.rest.get("/system")["Version"]        # doctest: +SKIP
    '1.12.7'
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._capabilities: Capabilities | None = None

    def connect(self) -> dict[str, Any]:
        """Ask ``/system`` and remember what the server can do.

        Raises
        ------
        TransportError
            Nothing answers there, or what answers is not Orthanc.
        """
        system = self.get("/system")
        if not isinstance(system, dict) or "Version" not in system or "ApiVersion" not in system:
            raise TransportError(
                f"{self._transport.url} answered, but it is not Orthanc: its /system names no version. Check the "
                f"address and the port; Orthanc's is 8042 unless its configuration says otherwise."
            )
        self._capabilities = Capabilities.from_system(system)
        return system

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do; asked once."""
        if self._capabilities is None:
            self.connect()
        assert self._capabilities is not None
        return self._capabilities

    def get(self, path: str, **params: Any) -> Any:
        """GET a route; JSON is parsed, text and bytes come as they are."""
        return self._send("GET", path, params, None)

    def post(self, path: str, body: Any = None, *, idempotent: bool = False, **params: Any) -> Any:
        """POST to a route: bytes, text and what a binary file holds as they are, anything else as JSON.

        ``idempotent=True`` says that the request only reads, so that it may be sent again after a lost connection.
        """
        return self._send("POST", path, params, body, idempotent)

    def put(self, path: str, body: Any = None, **params: Any) -> Any:
        """PUT to a route: bytes and text as they are, anything else as JSON."""
        return self._send("PUT", path, params, body)

    def delete(self, path: str, **params: Any) -> Any:
        """DELETE a route."""
        return self._send("DELETE", path, params, None)

    def run_job(self, path: str, body: Mapping[str, Any] | None = None, *, label: str = "") -> dict[str, Any]:
        """Start what the server does as a job (anonymizing, modifying, sending, archives), and wait for its end.

        Ctrl-C cancels the job.

        Parameters
        ----------
        path : str
            The route that starts it; `Orthanc.get_orthanc_ids` gives the ids that stand in such routes.
        body : dict, optional
            What it is asked; that the connection is not to wait for it is added here.
        label : str
            What the progress bar says, which appears after a second.

        Returns
        -------
        dict
            The job as the server describes it at its end: ``ID``, ``Content`` and more.

        Raises
        ------
        JobError
            It failed, was cancelled, or left something out; the message gives the server's reason.

        Examples
        --------
        >>> (study,) = orthanc.get_orthanc_ids("study")                                           # doctest: +SKIP
        >>> job = orthanc.rest.run_job(f"/studies/{study}/anonymize", {"Keep": ["StudyDate"]})    # doctest: +SKIP
        >>> job["Content"]["ID"]                                                                  # doctest: +SKIP
        '6b9e19d9-62094390-5f9ddb01-4a191ae7-9766b715'
        """
        return run_job(self.get, self.post, path, body or {}, label or path)

    def _send(self, method: str, path: str, params: dict[str, Any], body: Any, idempotent: bool | None = None) -> Any:
        headers = {}
        if body is not None and not isinstance(body, (bytes, str)) and not hasattr(body, "read"):
            try:
                body, headers = json.dumps(body), {"Content-Type": "application/json"}
            except (TypeError, ValueError) as error:
                raise TransportError(
                    f"The body for {path} cannot be written as JSON: {error}. Give dicts, lists, texts, numbers, True, "
                    f"False and None; bytes, a text and an open file are sent as they are."
                ) from None
        answer = self._transport.request(
            method, path, params=params or None, data=body, headers=headers, idempotent=idempotent
        )
        content_type = answer.headers.get("Content-Type", "").partition(";")[0]
        if content_type == "application/json":
            # What was answered is not quoted: it may repeat what was sent, a password with it.
            with suppress(ValueError):
                return json.loads(answer.content)
            raise TransportError(f"{self._transport.url}{path} answered with JSON that cannot be read.")
        return answer.content.decode("utf-8", "replace") if content_type.startswith("text/") else answer.content

    def __reduce__(self) -> NoReturn:
        raise TypeError("A REST API holds the connection with its password; pickle the session instead.")

    def __repr__(self) -> str:
        return f"<REST API of {self._transport.url}>"
