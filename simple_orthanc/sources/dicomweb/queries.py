"""The questions that a DICOMweb server is asked about what it holds; answers are datasets in the DICOM JSON model.

Servers differ in what they can search, how much they show and what they say of numbers. What can be found out is found
out here; what a server hides is warned of.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import INDEX_TAGS, Tag
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.dicomweb.model import read_count, read_string
from simple_orthanc.dicomweb.searching import NO_UID
from simple_orthanc.errors import OrthancError, ServerError, TransportError, stacklevel
from simple_orthanc.selection.source import batches
from simple_orthanc.sources.keys import UID_TAGS, Key, is_plain, is_uid
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

NUMBER_OF_IMAGES = "NumberOfStudyRelatedInstances"

# How much a study says there is in it (PS3.18, table 10.6.3-3).
_NUMBER_IN_STUDY: dict[Level, str] = {"series": "NumberOfStudyRelatedSeries", "instance": NUMBER_OF_IMAGES}
# How much Orthanc says there is in it.
_STATISTICS: dict[Level, str] = {"study": "CountStudies", "series": "CountSeries", "instance": "CountInstances"}
# The path of Orthanc's plugin, unless it is configured otherwise.
_ROOT_ON_ORTHANC = "dicom-web"

# An origin server need not search below one study, or for what it keeps no index of.
CANNOT_SEARCH = (400, 404, 405, 413, 414, 422, 501)

# How servers refuse to list more than they like.
_TOO_MUCH = (400, 403, 413, 414, 422)

# How servers refuse attributes that they do not know.
_REFUSED_FIELDS = (400, 414, 422, 501)

UIDS_AT_ONCE = 50

# Bytes of the metadata of a few instances.
_ANSWER = 1 << 15
"""How many UIDs one filter lists: a URL of 4,000 characters is accepted everywhere."""


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
        self._takes_fields: dict[Level, bool] = {}
        self._sample: dict[str, Any] = {}
        self._is_matched: dict[tuple[str, str], bool] = {}

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

    def at_once(self, nearby: int) -> int:
        """Return how many searches, or parts of metadata, are best asked for at a time."""
        return self._transport.at_once(_ANSWER, nearby)

    def first_study(self) -> dict[str, Any] | None:
        """Ask for one study; None if there is none.

        Raises
        ------
        ServerError
            If the server refuses, and searches for no single study either.
        """
        try:
            self._sample = next(iter(self._rest.search_studies(limit=1)), {})
        except ServerError as error:
            if error.status not in _TOO_MUCH or not self._searches_for_one():
                raise
            return {}
        return self._sample or None

    def _searches_for_one(self) -> bool:
        """Check whether a server that refuses to list studies searches for one."""
        try:
            list(self._rest.search_studies({"StudyInstanceUID": NO_UID}, limit=1))
        except (ServerError, TransportError):
            return False
        return True

    def search(
        self, level: Level, filters: Mapping[str, str], parent: Key | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Search a level, in the whole archive or below one object, with the tags of the index as fields.

        A server that refuses these fields is asked again without them, and later not with them.
        """
        if not self._takes_fields.get(level, True):
            return self._ask(level, filters, parent, limit, ())
        above = [UID_TAGS[upper] for upper in LEVELS[: depth(level)]]
        counts = [NUMBER_OF_CHILDREN[level]] if level in NUMBER_OF_CHILDREN else []
        counts += [NUMBER_OF_IMAGES] if level == "study" else []
        fields = list(dict.fromkeys([*above, *(tag.name for tag in SEARCHED[level]), *counts]))
        try:
            answers = self._ask(level, filters, parent, limit, fields)
        except ServerError as error:
            if error.status not in _REFUSED_FIELDS:
                raise
            try:
                answers = self._ask(level, filters, parent, limit, ())
            except OrthancError:
                raise error from None
            # If it took the fields before, it refused something else.
            self._takes_fields.setdefault(level, False)
        else:
            self._takes_fields[level] = True
        return answers

    def _ask(
        self, level: Level, filters: Mapping[str, str], parent: Key | None, limit: int | None, fields: Sequence[str]
    ) -> list[dict[str, Any]]:
        if level == "study":
            return list(self._rest.search_studies(filters, fields=fields, limit=limit))
        study = parent.study if parent else None
        if level == "series":
            return list(self._rest.search_series(study, filters, fields=fields, limit=limit))
        series = parent.series or None if parent else None
        return list(self._rest.search_instances(study, series, filters, fields=fields, limit=limit))

    def across(self, level: Level, filters: Mapping[str, str]) -> list[dict[str, Any]] | None:
        """Search a level of the whole archive; None if the server cannot, or does not name the parents."""
        try:
            answers = self.search(level, filters)
        except ServerError as error:
            if error.status not in CANNOT_SEARCH and (filters or error.status != 403):
                raise
            return None
        above = [UID_TAGS[upper] for upper in LEVELS[1 : depth(level)]]
        return answers if all(read_string(answer, keyword) for answer in answers for keyword in above) else None

    def matches_by(self, keyword: str, form: str) -> bool:
        """Check whether the server finds a study that it holds by an attribute.

        A server that keeps no index of an attribute, or knows no ranges, may answer with nothing. Without a study that
        has the attribute this cannot be found out.

        Parameters
        ----------
        keyword : str
            The attribute.
        form : str
            The form of the filter, with ``{}`` in place of values: ``"{}"``, or ``"{}-"`` for a range without an end.
        """
        question = keyword, form
        if question not in self._is_matched:
            sample = self._sample or self.first_study() or {}
            value, uid = read_string(sample, keyword), read_string(sample, "StudyInstanceUID")
            if not is_plain(value.replace("^", "").replace(" ", "")) or not uid:
                return False
            answers = self.across("study", {keyword: form.replace("{}", value)}) or []
            self._is_matched[question] = any(read_string(answer, "StudyInstanceUID") == uid for answer in answers)
        return self._is_matched[question]

    def finds_by_uid(self, level: Level) -> bool:
        """Check whether the server finds an object that it holds by its UID, in whichever study it is.

        A server that searches series and instances below one study only may answer with nothing. In an empty archive
        this cannot be found out, and need not be; every server finds studies.
        """
        question = UID_TAGS[level], "{}"
        if level != "study" and question not in self._is_matched:
            key = Key("", read_string(self._sample or self.first_study() or {}, UID_TAGS["study"]))
            if not key.study:
                return True
            for lower in LEVELS[depth("series") : depth(level) + 1]:
                inside, _ = self.below(lower, key, limit=1)
                key = key._replace(**{lower: read_string(inside[0], UID_TAGS[lower]) if inside else ""})
            uid = key[depth(level)]
            if not uid:
                return False
            answers = self.across(level, {UID_TAGS[level]: uid}) or ()
            self._is_matched[question] = any(read_string(answer, UID_TAGS[level]) == uid for answer in answers)
        return self._is_matched.get(question, True)

    def by_uids(self, level: Level, uids: Iterable[str]) -> list[dict[str, Any]] | None:
        """Search for objects by their UIDs, many at once; None if the server cannot.

        What does not come is searched for by itself: a server may know no lists of UIDs.
        """
        keyword, wanted = UID_TAGS[level], list(dict.fromkeys(uids))
        listable = [uid for uid in wanted if is_uid(uid)]
        found: list[dict[str, Any]] = []
        for batch in batches(listable, UIDS_AT_ONCE) if len(listable) > 1 else ():
            found += self.across(level, {keyword: ",".join(batch)}) or []
        present = {read_string(answer, keyword) for answer in found}
        for answers in map_ordered(
            lambda uid: self.across(level, {keyword: uid}),
            [uid for uid in wanted if uid not in present],
            workers=self.at_once(4),
        ):
            if answers is None:
                return None
            found += answers
        return found

    def below(self, level: Level, parent: Key, limit: int | None = None) -> tuple[list[dict[str, Any]], bool]:
        """List what is in a study or series, and whether a search listed it; what was deleted has nothing in it.

        If the server cannot search there, the images are listed by metadata or by the study: Orthanc's plugin
        1.20 and 1.24 answer 400 to every search that meets a long string inside RequestAttributesSequence.

        Raises
        ------
        ServerError
            If the server lists the parent, and offers no way to list its content.
        """
        try:
            return self.search(level, {}, parent, limit), True
        except ServerError as error:
            if error.status not in CANNOT_SEARCH and error.status < 500:
                raise
            refused = error
        items = self.metadata_of(parent)
        if items is None:
            items = self._images_of_study(level, parent)
        if items is None:
            if refused.status == 404 and not self._is_listed(parent):
                return [], True
            raise refused
        return items, False

    def metadata_of(self, parent: Key) -> list[dict[str, Any]] | None:
        """Retrieve the metadata of a study or series; None if the server has none."""
        try:
            if parent.series:
                return self._rest.retrieve_series_metadata(parent.study, parent.series)
            return self._rest.retrieve_study_metadata(parent.study)
        except (ServerError, TransportError):
            return None

    def _images_of_study(self, level: Level, parent: Key) -> list[dict[str, Any]] | None:
        """Search for the images of a study, to see its series or the images of one; None if that does not list them."""
        try:
            images = self.search("instance", {}, parent._replace(series=""))
        except ServerError:
            return None
        if level == "series" or parent.series:
            if not images or not all(read_string(image, "SeriesInstanceUID") for image in images):
                return None
            images = [image for image in images if parent.series in ("", read_string(image, "SeriesInstanceUID"))]
        return images

    def _is_listed(self, parent: Key) -> bool:
        """Check whether the server still lists a study or series; True if that cannot be found out."""
        level: Level = "series" if parent.series else "study"
        try:
            if parent.series:
                answers, _ = self.below("series", parent._replace(series=""))
            else:
                answers = self.search("study", {"StudyInstanceUID": parent.study})
        except OrthancError:
            return True
        return any(read_string(answer, UID_TAGS[level]) == parent[depth(level)] for answer in answers)

    def may_hold(self, parent: Key) -> bool:
        """Check whether a study or series that is known may still be there, although nothing is found in it."""
        if self._is_listed(parent):
            return True
        if parent.series:
            study = parent._replace(series="")
            try:
                # The last series takes its study with it.
                return not self.below("series", study)[0] and self.may_hold(study)
            except OrthancError:
                return True
        try:
            # A server that shows nothing may hold all of it.
            return self.first_study() is None
        except ServerError:
            return False

    def all_studies(self) -> Sequence[dict[str, Any]]:
        """List all studies; asked once until `forget`.

        Warns
        -----
        UserWarning
            If an Orthanc hides some: before 1.12 its plugin hides what is beyond LimitFindResults.

        Raises
        ------
        TransportError
            If no study is listed, and another search finds something.
        ServerError
            If the server refuses; `refuses_listing` tells it from other errors.
        """
        if self._studies is None:
            try:
                self._studies = self.search("study", {})
            except ServerError as error:
                raise (self._listing_refused(error) if self.refuses_listing(error) else error) from None
            self._held = self._statistics()
            self._warn_if_cut()
            if not self._studies and "study" not in self._held:
                self._studies = self._listed_again()
        return self._studies

    def _listed_again(self) -> list[dict[str, Any]]:
        """List the studies where none were listed: one other search tells an empty archive from an empty answer."""
        found = self._any_object()
        # It may have been stored meanwhile.
        studies = self.search("study", {}) if found else []
        if found and not studies:
            self._studies = None
            study = read_string(found, "StudyInstanceUID")
            raise TransportError(
                f"{self.description} lists no studies, and finds an object"
                + (f" in study {study}" if study else "")
                + ". Its list of studies is not believed: a proxy or a cache may empty answers, or its index may be "
                "damaged. Look at its log, and try again later with refresh()."
            )
        return studies

    def _any_object(self) -> dict[str, Any] | None:
        """Search for an instance, or for a series if the server cannot; None if it finds nothing."""
        for search in (self._rest.search_instances, self._rest.search_series):
            with suppress(ServerError):
                return next(search(limit=1), None)
        return None

    @staticmethod
    def refuses_listing(error: ServerError) -> bool:
        """Check whether an error of `all_studies` means that a narrower search may succeed."""
        return error.status in _TOO_MUCH

    def _listing_refused(self, error: ServerError) -> ServerError:
        return type(error)(
            f"{self.description} refused to list all its studies. Narrow first by what it searches for itself, which "
            "is a PatientID, AccessionNumber, StudyID, StudyDate or UID, as in select(PatientID=...) or from the "
            f"start in DicomWeb(url, selection={{'PatientID': ...}}). {error.message}",
            status=error.status,
            method=error.method,
            path=error.path,
            details=error.details,
        )

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
                f"{self._held['study']}: LimitFindResults in its configuration hides the others here, or a proxy "
                "empties responses. "
                f"Orthanc({own!r}) finds all.",
                stacklevel=stacklevel(),
            )

    def total(self, level: Level) -> int | None:
        """Add up how many objects of a level the studies say are in them; None if some do not say."""
        numbers = [read_count(study, _NUMBER_IN_STUDY[level]) for study in self.all_studies()]
        return None if None in numbers else sum(number or 0 for number in numbers)

    def studies_without(self, answers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the studies that none of these series or instances is in, although a study has some."""
        shown = {"", *(read_string(answer, "StudyInstanceUID") for answer in answers)}
        return [study for study in self.all_studies() if read_string(study, "StudyInstanceUID") not in shown]

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
