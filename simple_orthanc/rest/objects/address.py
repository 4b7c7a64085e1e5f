"""Where one object is on a server: the paths of its routes, and the error if the server does not hold it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import NotFoundError, TransportError
from simple_orthanc.rest.api import RestApi
from simple_orthanc.rest.levels import ROUTE


class Address(NamedTuple):
    """One object of a server.

    Attributes
    ----------
    rest : RestApi
        The server.
    level : str
        Its level.
    key : str
        Its Orthanc id.
    """

    rest: RestApi
    level: Level
    key: str

    def path(self, *segments: str) -> str:
        """Return the path of a route below the object.

        Examples
        --------
        >>> Address(None, "study", "4ac2").path("metadata", "a/b")
        '/studies/4ac2/metadata/a%2Fb'
        """
        return "/".join(["", ROUTE[self.level], *(quote(segment, safe="") for segment in (self.key, *segments))])

    def get(self, *segments: str, **options: Any) -> Any:
        """GET a route below the object; if the server does not hold it, the error names its level and id."""
        with self.explained():
            return self.rest.get(self.path(*segments), **options)

    def get_object(self, *segments: str, **options: Any) -> dict[str, Any]:
        """GET a JSON object.

        Raises
        ------
        TransportError
            The answer is something else.
        """
        answer = self.get(*segments, **options)
        if not isinstance(answer, dict):
            raise self.other_shape(answer, *segments)
        return answer

    def get_list(self, *segments: str, **options: Any) -> list[Any]:
        """GET a JSON list; errors as for `get_object`."""
        answer = self.get(*segments, **options)
        if not isinstance(answer, list):
            raise self.other_shape(answer, *segments)
        return answer

    def other_shape(self, answer: object, *segments: str) -> TransportError:
        """Make the error for an answer that is not what Orthanc sends."""
        return TransportError(
            f"{self.rest.url} answered GET {self.path(*segments)} with something else than Orthanc does "
            f"({type(answer).__name__}). Check what is between the server and here."
        )

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Name level and id in the error of a block if the server does not hold the object."""
        try:
            yield
        except NotFoundError:
            if self.is_held():
                raise
            raise self.unknown() from None

    def is_meant_by(self, error: Exception) -> bool:
        """Check whether an error is that the server does not hold the object."""
        return isinstance(error, NotFoundError) and error.path == self.unknown().path

    def is_held(self) -> bool:
        """Check whether the server holds the object."""
        response = self.rest.request("GET", self.path(), params={"short": ""}, check=False)
        if response.status in (401, 403):
            # Raises what that means.
            self.rest.get(self.path())
        return bool(response.status != 404)

    def unknown(self) -> NotFoundError:
        """Make the error for an object that the server does not hold."""
        return unknown_object(self.rest, self.level, self.key)


def unknown_object(rest: RestApi, level: Level, key: object) -> NotFoundError:
    """Make the error for an id that names no object of a level."""
    return NotFoundError(
        f"{rest.url} holds no {level} with the id {key!r}: it may have been deleted, or be of another level. "
        f"orthanc.rest.{ROUTE[level]}.ids() lists the ids of this level, and orthanc.rest.{ROUTE[level]}.lookup(...) "
        "finds one by its DICOM identifier.",
        status=404,
        method="GET",
        path=f"/{ROUTE[level]}/{key}",
    )
