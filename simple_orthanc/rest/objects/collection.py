"""All objects of one level on a server."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Generic, TypeVar

from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.errors import AmbiguousSelectionError, NotFoundError, SelectionError, TransportError
from simple_orthanc.rest.api import RestApi
from simple_orthanc.rest.levels import ORTHANC_LEVEL, ROUTE
from simple_orthanc.rest.objects.address import unknown_object
from simple_orthanc.rest.objects.resource import Resource

AnyResource = TypeVar("AnyResource", bound=Resource)

# Objects in one request; a described object takes about a kilobyte.
PAGE = 1000
# How often a listing is begun again because objects came or went while it was read.
_MOST_RESTARTS = 20
_WILDCARDS = frozenset("*?")
_COUNTS = {"patient": "CountPatients", "study": "CountStudies", "series": "CountSeries", "instance": "CountInstances"}


class Resources(Collection[AnyResource], Generic[AnyResource]):
    """All objects of one level on a server, which is asked when they are used.

    Examples
    --------
    >>> patient = orthanc.rest.patients.lookup("EX-003")
    >>> orthanc.rest.patients[patient.id] == patient
    True
    >>> sorted(study.main_dicom_tags["StudyDate"] for study in orthanc.rest.studies)
    ['20230116', '20230309', '20230714']
    """

    def __init__(self, rest: RestApi, kind: type[AnyResource]) -> None:
        self._rest = rest
        self._kind = kind

    def __repr__(self) -> str:
        """Show level and server, without a request."""
        return f"<{ROUTE[self._kind.level]} of {self._rest.url}>"

    def __bool__(self) -> bool:
        """Return True, since the collection exists even if it is empty."""
        return True

    def __len__(self) -> int:
        """Count the objects, in one small request."""
        answer = self._rest.get("/statistics")
        try:
            return int(answer[_COUNTS[self._kind.level]])
        except (KeyError, TypeError, ValueError):
            raise self._other_shape("/statistics") from None

    def __contains__(self, item: object) -> bool:
        """Check whether the server holds an object, given by itself or by its id."""
        if isinstance(item, Resource):
            item = item.id if item.level == self._kind.level else None
        if not isinstance(item, str) or not item.strip("."):
            return False
        return self._kind(self._rest, item)._address.is_held()

    def __getitem__(self, key: object) -> AnyResource:
        """Return the object with an Orthanc id, in one request.

        Raises
        ------
        NotFoundError
            The server holds none of this level.
        """
        # A segment of dots is another path.
        if not isinstance(key, str) or not key.strip("."):
            raise unknown_object(self._rest, self._kind.level, key)
        return self._kind(self._rest, key).refresh()

    def ids(self) -> list[str]:
        """Return the ids of all objects, in one request.

        Returns
        -------
        list of str
            44 characters each: 46 MB for a million objects.

        Examples
        --------
        >>> set(orthanc.rest.series.ids()) == set(orthanc.get_orthanc_ids("series"))
        True
        """
        path = f"/{ROUTE[self._kind.level]}"
        ids = self._rest.get(path)
        if not isinstance(ids, list) or not all(isinstance(key, str) for key in ids):
            raise self._other_shape(path)
        return ids

    def __iter__(self) -> Iterator[AnyResource]:
        """Yield each object once, described, page by page while they are used.

        An object that comes or goes meanwhile may be yielded or not; no other is left out.

        Raises
        ------
        TransportError
            The server ignores which page is asked for, or changes faster than it is read.
        """
        seen: dict[str, None] = {}
        restarts = 0
        offset, last = 0, ""
        while True:
            # The last object of the page before is asked for again, which tells whether the objects have moved.
            overlap = 1 if offset else 0
            page, count = self._page(offset - overlap, PAGE + overlap)
            if overlap and (not page or page[0]["ID"] != last):
                restarts += 1
                if restarts > _MOST_RESTARTS:
                    raise TransportError(
                        f"{self._rest.url} answers with other pages of its {ROUTE[self._kind.level]} than those asked "
                        "for, or changes faster than they can be read, so that some would be missing: "
                        f"orthanc.rest.{ROUTE[self._kind.level]}.ids() reads all ids at once."
                    )
                offset = 0
                continue
            for description in page:
                key = description["ID"]
                if key not in seen:
                    seen[key] = None
                    yield self._kind(self._rest, key, description)
            # More than was asked for is everything, from a server that ignores the limit.
            if count != PAGE + overlap or not page:
                return
            offset, last = offset - overlap + count, page[-1]["ID"]

    def _page(self, since: int, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Return the objects of a page, and the length of the page."""
        path = f"/{ROUTE[self._kind.level]}"
        page = self._rest.get(path, params={"expand": "", "since": since, "limit": limit})
        if not isinstance(page, list):
            raise self._other_shape(path)
        # What was deleted while the page was made may be null.
        described = [description for description in page if description is not None]
        if not all(isinstance(item, dict) and isinstance(item.get("ID"), str) for item in described):
            raise self._other_shape(path)
        return described, len(page)

    def lookup(self, identifier: str) -> AnyResource:
        """Find an object by its DICOM identifier.

        Parameters
        ----------
        identifier : str
            PatientID, StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID, as it is written: case matters.

        Returns
        -------
        Resource
            The one object.

        Raises
        ------
        NotFoundError
            The server holds none.
        AmbiguousSelectionError
            It holds several, such as one study of two patients; ``.candidates`` has their ids, and `lookup_all` returns
            them.

        Examples
        --------
        >>> patient = orthanc.rest.patients.lookup("EX-003")
        >>> patient.main_dicom_tags["PatientName"]
        'Costa^Clara'
        """
        found = self.lookup_all(identifier)
        level, keyword = self._kind.level, IDENTIFIERS[self._kind.level]
        if not found:
            raise NotFoundError(
                f"{self._rest.url} holds no {level} with {keyword} {identifier!r}; upper and lower case matter. "
                "orthanc.select() searches by any tag.",
                status=404,
                method="POST",
                path="/tools/lookup",
            )
        if len(found) > 1:
            ids = tuple(resource.id for resource in found)
            raise AmbiguousSelectionError(
                f"{self._rest.url} holds {len(found)} objects of level {level} with {keyword} {identifier!r}: "
                f"{', '.join(ids[:5])}. lookup_all({identifier!r}) returns them.",
                candidates=ids,
            )
        return found[0]

    def lookup_all(self, identifier: str) -> list[AnyResource]:
        """Return the objects with a DICOM identifier, [] if there are none; parameters as for `lookup`.

        Examples
        --------
        >>> [patient.dicom_id for patient in orthanc.rest.patients.lookup_all("EX-003")]
        ['EX-003']
        >>> orthanc.rest.patients.lookup_all("nobody")
        []
        """
        # Those of pydicom and NumPy are strings too.
        given: Any = identifier
        wanted = given.strip() if isinstance(given, str) else ""
        if not wanted:
            raise SelectionError(
                f"{identifier!r} is not an identifier; give {IDENTIFIERS[self._kind.level]} as a string."
            )
        if not _WILDCARDS.isdisjoint(wanted):
            # Orthanc refuses to look it up, and stores it all the same.
            return [resource for resource in self if resource.dicom_id.strip() == wanted]
        answer = self._rest.post("/tools/lookup", wanted, idempotent=True)
        if not isinstance(answer, list) or not all(isinstance(match, dict) and "ID" in match for match in answer):
            raise self._other_shape("/tools/lookup")
        matches = [match["ID"] for match in answer if match.get("Type") == ORTHANC_LEVEL[self._kind.level]]
        found = []
        for key in dict.fromkeys(matches):
            try:
                resource = self._kind(self._rest, key).refresh()
            except NotFoundError:
                # Deleted since.
                continue
            # Orthanc ignores case and accents.
            if resource.dicom_id.strip() == wanted:
                found.append(resource)
        return found

    def _other_shape(self, path: str) -> TransportError:
        return TransportError(
            f"{self._rest.url} answered {path} with something else than Orthanc does. Check what is between the server "
            "and here."
        )
