"""Refusals of the REST API, explained by what its routes mean: which object is missing, or which version is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.errors import NotFoundError, OrthancError, ServerError, UnsupportedError
from simple_orthanc.rest.responses import revision_of
from simple_orthanc.rest.route_table import OLDEST, PLURALS, Route, matching_routes, version_text

_EXPLAINED = (400, 403, 404, 405, 409)

# Collections whose objects have names, all of which can be listed, and those whose objects are forgotten.
_NAMED = {"modalities": "modality", "peers": "peer", "plugins": "plugin"}
_FORGOTTEN = {
    "jobs": ("job", "It keeps as many finished jobs as its option JobsHistorySize says."),
    "queries": ("query", "It keeps as many queries as its option QueryRetrieveSize says, until it ends."),
    "storage-commitment": (
        "storage commitment",
        "It keeps as many reports as its option StorageCommitmentReportsSize says, until it ends.",
    ),
}

# What objects consist of, by the segment of the path before its name, and the options that list the names that may be
# written.
_PARTS = {
    "attachments": "attachment",
    "content": "element",
    "frames": "image of frame",
    "labels": "label",
    "metadata": "metadata",
}
_OPTIONS = {"metadata": "UserMetadata", "attachments": "UserContentType"}

# Routes that an option enables.
_DISABLED = {
    "/tools/execute-script": "ExecuteLuaEnabled",
    "/instances/{id}/export": "RestApiWriteToFileSystemEnabled",
}


class Explainer:
    """Explains refusals.

    Parameters
    ----------
    url : str
        The address of the server, for messages.
    version : callable
        Returns the version of the server, as numbers.
    look : callable
        GETs a path; returns the status, the headers and the value of the response, whatever the status.
    """

    def __init__(
        self,
        url: str,
        version: Callable[[], tuple[int, ...]],
        look: Callable[[str], tuple[int, Mapping[str, str], Any]],
    ) -> None:
        self._url, self._version, self._look = url, version, look

    def explain(self, error: ServerError, revision: str | None = None) -> OrthancError:
        """Return the error that says what a refusal means, or the error itself if nothing more is known.

        Parameters
        ----------
        error : ServerError
            What the transport made of the response.
        revision : str, optional
            The revision that was to be replaced.
        """
        matches = matching_routes(error.path) if error.status in _EXPLAINED else []
        if not matches:
            return error
        route, values = next((match for match in matches if match[0].method == error.method), (None, {}))
        # What is asked now may fail too; then nothing more is known.
        with contextlib.suppress(OrthancError):
            if route is not None:
                if error.status in (404, 405) and route.since > OLDEST and () < self._version() < route.since:
                    return self._too_old(route)
                return self._explained(error, route, values, revision)
        if error.status == 405:
            methods = " and ".join(sorted({match.method for match, _ in matches}))
            return _with_advice(error, f"This path takes {methods}, not {error.method}.")
        return error

    def _too_old(self, route: Route) -> UnsupportedError:
        return UnsupportedError(
            f"{self._url} is Orthanc {version_text(self._version())}, which has no route {route.method} {route.path}. "
            f"Orthanc {version_text(route.since)} and later have it: update the server."
        )

    def _explained(
        self, error: ServerError, route: Route, values: Mapping[str, str], revision: str | None
    ) -> OrthancError:
        kind, _, rest = route.path.strip("/").partition("/")
        part = rest.partition("/")[2].partition("/")[0]
        identifier = values.get("id", "")
        if error.status == 403:
            return self._forbidden(error, route, part)
        if error.status == 409:
            return self._conflict(error, revision) if "revised" in route.marks else error
        if error.status == 404 and kind in _NAMED and identifier:
            return self._unknown_name(error, kind, identifier)
        if error.status == 404 and kind in _FORGOTTEN and identifier and "key" not in values:
            name, advice = _FORGOTTEN[kind]
            return _not_found(error, f"{self._url} knows no {name} {identifier!r}", advice)
        if kind in PLURALS and identifier:
            return self._missing(error, kind, rest, values)
        return error

    def _missing(self, error: ServerError, kind: str, rest: str, values: Mapping[str, str]) -> OrthancError:
        """Explain what is missing: the object, or something of it."""
        level, identifier = LEVELS[PLURALS.index(kind)], values["id"]
        part = rest.partition("/")[2].partition("/")[0]
        # Some versions answer 400 to some routes where an object is missing.
        is_certain = error.status == 404 and rest == "{id}"
        if is_certain or self._look(f"/{kind}/{quote(identifier, safe='')}")[0] == 404:
            return _not_found(
                error,
                f"{self._url} has no {level} with the Orthanc id {identifier!r}",
                f'rest.get("/{kind}") lists the ids, and rest.post("/tools/lookup", uid) finds that of a DICOM UID.',
            )
        if error.status != 404:
            return error
        name = next((value for parameter, value in values.items() if parameter != "id"), None)
        if name is None or part not in _PARTS:
            return _not_found(error, f"{self._url} has {level} {identifier!r}, and no {part} of it")
        advice = ""
        if error.method == "PUT" and part in _OPTIONS:
            advice = f"Add that name to {_OPTIONS[part]} in its configuration, or use a number from 1024 to 65535."
        return _not_found(error, f"{self._url} has no {_PARTS[part]} {name!r} of {level} {identifier!r}", advice)

    def _unknown_name(self, error: ServerError, kind: str, name: str) -> OrthancError:
        status, _, known = self._look(f"/{kind}")
        if status >= 400 or not isinstance(known, list) or name in known:
            return error
        names = ", ".join(sorted(map(repr, known))) or "none"
        return _not_found(error, f"{self._url} knows no {_NAMED[kind]} {name!r}", f"Those it knows: {names}.")

    def _forbidden(self, error: ServerError, route: Route, part: str) -> ServerError:
        if route.path in _DISABLED:
            return _with_advice(error, f"The route is enabled by the option {_DISABLED[route.path]}.")
        if "revised" in route.marks:
            return _with_advice(
                error,
                f"Or Orthanc keeps this itself: names that its option {_OPTIONS[part]} lists can be written, and "
                "numbers from 1024 to 65535.",
            )
        return error

    def _conflict(self, error: ServerError, revision: str | None) -> ServerError:
        """Explain that another writer was first."""
        held = self.revision_held(error.path)
        if revision is None:
            return _with_advice(error, f"The server checks revisions, and has {held!r}: give revision=.")
        return _with_advice(
            error,
            f"The revision that was to be replaced is {revision!r}, and the server has {held!r}: somebody else has "
            "changed it, or an earlier attempt of this request. Read it again, and change that.",
        )

    def revision_held(self, path: str) -> str | None:
        """Ask for the revision of metadata or of an attachment; None if it does not exist."""
        # The attachment itself may be large.
        status, headers, _ = self._look(f"{path}/md5" if "/attachments/" in path else path)
        return revision_of(headers) if status < 400 else None


def _not_found(error: ServerError, found: str, advice: str = "") -> NotFoundError:
    return NotFoundError(
        f"{found}; asked for {error.method} {error.path}." + (f" {advice}" if advice else ""),
        status=error.status,
        method=error.method,
        path=error.path,
        details=error.details,
    )


def _with_advice(error: ServerError, advice: str) -> ServerError:
    error.args = (f"{error.message} {advice}",)
    return error
