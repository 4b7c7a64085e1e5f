"""The questions that a DICOMweb server is asked about what it holds; answers are datasets in the DICOM JSON model.

Servers differ in what they can search, how much they show and what they say of numbers. What can be found out is found
out here; what a server hides is warned of.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import INDEX_TAGS, Tag
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.dicomweb.model import read_count, read_string
from simple_orthanc.errors import NotFoundError, OrthancError, ServerError, TransportError, stacklevel
from simple_orthanc.sources.dicomweb.keys import UID_TAGS, Key
from simple_orthanc.sources.dicomweb.trust import first_of_each
from simple_orthanc.transport import Transport

# A search for these is answered with those of the first image of the series, by Orthanc.
NEVER_SEARCHED = frozenset({"ImageOrientationPatient"})

SEARCHED: dict[Level, tuple[Tag, ...]] = {
    level: tuple(tag for tag in tags.values() if tag.name not in NEVER_SEARCHED) for level, tags in INDEX_TAGS.items()
}

NUMBER_OF_CHILDREN: dict[Level, str] = {
    "study": "NumberOfStudyRelatedSeries",
    "series": "NumberOfSeriesRelatedInstances",
}

# How much a study says there is in it (PS3.18, table 10.6.3-3).
_NUMBER_IN_STUDY: dict[Level, str] = {
    "series": "NumberOfStudyRelatedSeries",
    "instance": "NumberOfStudyRelatedInstances",
}
# How much Orthanc says there is in it.
_STATISTICS: dict[Level, str] = {"study": "CountStudies", "series": "CountSeries", "instance": "CountInstances"}
# The path of Orthanc's plugin, unless it is configured otherwise.
_ROOT_ON_ORTHANC = "dicom-web"

# An origin server need not search below one study, or for what it keeps no index of.
CANNOT_SEARCH = (400, 404, 405, 413, 414, 422, 501)


class Queries:
    """Searches of one server, and what it says of its size.

    Parameters
    ----------
    transport : Transport
        The connection.
    rest : Transactions
        The transactions over it.
    root : str
        Path of the service below the address of the connection.
    """

    def __init__(self, transport: Transport, rest: Transactions, root: str) -> None:
        self._transport, self._rest, self._root = transport, rest, root
        self._studies: list[dict[str, Any]] | None = None
        self._held: dict[Level, int] = {}

    @property
    def description(self) -> str:
        """The address of the service."""
        return f"{self._transport.url}/{self._root}" if self._root else self._transport.url

    def forget(self) -> None:
        """Forget which studies there are."""
        self._studies = None

    def is_orthanc(self) -> bool:
        """Check whether Orthanc's own REST API is where DICOMweb should be."""
        if self._root:
            return False
        try:
            system = self._transport.json("GET", "/system")
        except (ServerError, TransportError):
            return False
        return isinstance(system, dict) and "ApiVersion" in system

    def search(
        self, level: Level, filters: Mapping[str, str], parent: Key | None = None, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Search a level, in the whole archive or below one object, with the tags of the index as fields."""
        above = [UID_TAGS[upper] for upper in LEVELS[: depth(level)]]
        counts = [NUMBER_OF_CHILDREN[level]] if level in NUMBER_OF_CHILDREN else []
        counts += ["NumberOfStudyRelatedInstances"] if level == "study" else []
        fields = list(dict.fromkeys([*above, *(tag.name for tag in SEARCHED[level]), *counts]))
        if level == "study":
            return self._rest.search_studies(filters, fields=fields, limit=limit)
        study = parent.study if parent else None
        if level == "series":
            return self._rest.search_series(study, filters, fields=fields, limit=limit)
        series = parent.series or None if parent else None
        return self._rest.search_instances(study, series, filters, fields=fields, limit=limit)

    def across(self, level: Level, filters: Mapping[str, str]) -> list[dict[str, Any]] | None:
        """Search a level of the whole archive; None if the server cannot, or does not name the parents."""
        try:
            answers = list(self.search(level, filters))
        except ServerError as error:
            if error.status not in CANNOT_SEARCH:
                raise
            return None
        above = [UID_TAGS[upper] for upper in LEVELS[1 : depth(level)]]
        return answers if all(read_string(answer, keyword) for answer in answers for keyword in above) else None

    def below(self, level: Level, parent: Key, limit: int | None = None) -> tuple[list[dict[str, Any]], bool]:
        """List what is in a study or series, and whether a search listed it; what was deleted has nothing in it.

        If the server cannot search there, its metadata list the content: Orthanc's plugin 1.20 and 1.24 answer 400 to
        every search that meets a long string inside RequestAttributesSequence.
        """
        try:
            return list(self.search(level, {}, parent, limit)), True
        except NotFoundError:
            return [], True
        except ServerError as error:
            if error.status not in CANNOT_SEARCH and error.status < 500:
                raise
            try:
                if parent.series:
                    metadata = self._rest.retrieve_series_metadata(parent.study, parent.series)
                else:
                    metadata = self._rest.retrieve_study_metadata(parent.study)
            except OrthancError:
                raise error from None
        identifiers = ("PatientID", UID_TAGS[level])
        return first_of_each(metadata, identifiers, tuple(NUMBER_OF_CHILDREN.values())), False

    def all_studies(self) -> Sequence[dict[str, Any]]:
        """List all studies; asked once until `forget`.

        Warns
        -----
        UserWarning
            If an Orthanc hides some: before 1.12 its plugin hides what is beyond LimitFindResults.
        """
        if self._studies is None:
            self._studies = list(self.search("study", {}))
            self._held = self._statistics() if self._studies else {}
            self._warn_if_cut()
        return self._studies

    def _statistics(self) -> dict[Level, int]:
        """Ask an Orthanc how much it holds; empty if this is not an Orthanc, or it does not say."""
        url, root = self._transport.url, self._root
        if not root:
            url, _, root = url.rpartition("/")
        if root != _ROOT_ON_ORTHANC:
            return {}
        held: object = None
        # Another kind of server, or a user who may not ask this.
        with suppress(OrthancError):
            held = self._transport.json("GET", f"{url}/statistics")
        counts = {level: held.get(name) if isinstance(held, Mapping) else None for level, name in _STATISTICS.items()}
        return {level: count for level, count in counts.items() if isinstance(count, int)}

    def _hides_studies(self) -> bool:
        return self._held.get("study", 0) > len(self._studies or ())

    def _warn_if_cut(self) -> None:
        if self._hides_studies():
            own = self._transport.url if self._root else self._transport.url.rpartition("/")[0]
            warnings.warn(
                f"{self.description} shows {len(self._studies or ())} studies, and its Orthanc holds "
                f"{self._held['study']}: LimitFindResults in its configuration hides the others here. "
                f"Orthanc({own!r}) finds all.",
                stacklevel=stacklevel(),
            )

    def total(self, level: Level) -> int | None:
        """Add up how many objects of a level the studies say are in them; None if some do not say."""
        numbers = [read_count(study, _NUMBER_IN_STUDY[level]) for study in self.all_studies()]
        return None if None in numbers else sum(number or 0 for number in numbers)

    def is_contradicted(self) -> bool:
        """Check whether the server itself holds another number of objects than its studies say.

        Orthanc's plugin 1.7 says of a study what one of its files says, if that says anything of such numbers.
        """
        for level in _NUMBER_IN_STUDY:
            told, held = self.total(level), self._held.get(level)
            if told is not None and held is not None and (told > held or (told < held and not self._hides_studies())):
                return True
        return False

    def expected(self, level: Level) -> int:
        """Return how many objects of a level the server says it shows; 0 if it does not say."""
        if self.is_contradicted():
            return 0 if self._hides_studies() else self._held[level]
        return self.total(level) or 0
