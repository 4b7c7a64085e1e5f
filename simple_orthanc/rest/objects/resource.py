"""What patients, studies, series and instances have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from simple_orthanc.dicom.levels import IDENTIFIERS, Level
from simple_orthanc.errors import NotFoundError, TransportError
from simple_orthanc.files.paths import path_text
from simple_orthanc.rest.api import RestApi
from simple_orthanc.rest.levels import ROUTE
from simple_orthanc.rest.objects.address import Address
from simple_orthanc.rest.objects.attachments import Attachments
from simple_orthanc.rest.objects.labels import Labels
from simple_orthanc.rest.objects.metadata import Metadata
from simple_orthanc.rest.objects.tags import Tags, ignore_length, read_tags
from simple_orthanc.rest.server_time import server_time
from simple_orthanc.rest.zips import zip_check

if TYPE_CHECKING:
    from typing_extensions import Self


_CHILDREN: dict[Level, tuple[str, Level]] = {
    "patient": ("Studies", "study"),
    "study": ("Series", "series"),
    "series": ("Instances", "instance"),
}


class Resource:
    """One object of an Orthanc server, by its Orthanc id.

    Two are equal if level and id are. What the server said of it is kept (`description`), and with it
    `main_dicom_tags` and who its parent is; everything else is asked when it is used, and raises a `NotFoundError` that
    names level and id if the server does not hold the object.

    Attributes
    ----------
    id : str
        The Orthanc id.
    level : str
        "patient", "study", "series" or "instance".

    Examples
    --------
    >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
    >>> study.dicom_id == study.main_dicom_tags["StudyInstanceUID"]
    True
    >>> study == orthanc.rest.studies[study.id]
    True
    """

    level: ClassVar[Level]

    def __init__(self, rest: RestApi, key: str, description: Mapping[str, Any] | None = None) -> None:
        self.id = key
        self._address = Address(rest, self.level, key)
        self._description = None if description is None else dict(description)

    def __repr__(self) -> str:
        """Show level and id, without a request."""
        return f"<{self.level} {self.id}>"

    def __eq__(self, other: object) -> bool:
        """Compare level and id."""
        return isinstance(other, Resource) and (self.level, self.id) == (other.level, other.id)

    def __hash__(self) -> int:
        """Hash level and id."""
        return hash((self.level, self.id))

    @property
    def _rest(self) -> RestApi:
        return self._address.rest

    # What the server says of it

    @property
    def description(self) -> dict[str, Any]:
        """What Orthanc lists of the object: ``ID``, ``MainDicomTags``, ...; asked once, `refresh` asks again.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.description["Type"]
        'Study'
        """
        if self._description is None:
            self.refresh()
        return dict(self._description or {})

    def refresh(self) -> Self:
        """Ask the server for the object again.

        Raises
        ------
        NotFoundError
            The server does not hold it.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.refresh().dicom_id == study.dicom_id
        True
        """
        description = self._address.get_object()
        if not isinstance(description.get("MainDicomTags"), dict) or description.get("ID", self.id) != self.id:
            raise self._address.other_shape(description)
        self._description = description
        return self

    @property
    def main_dicom_tags(self) -> dict[str, str]:
        """Keyword to value of the tags in the server's database; strings of more than 256 characters are not there.

        Examples
        --------
        >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
        >>> pet.main_dicom_tags["Modality"]
        'PT'
        """
        return {str(name): str(value) for name, value in self.description["MainDicomTags"].items()}

    @property
    def dicom_id(self) -> str:
        """PatientID, StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID; "" if it has none.

        Examples
        --------
        >>> patient = orthanc.rest.patients.lookup("EX-003")
        >>> patient.dicom_id
        'EX-003'
        """
        return self.main_dicom_tags.get(IDENTIFIERS[self.level], "")

    @property
    def statistics(self) -> dict[str, int]:
        """Number of objects below it, and sizes in bytes (those that end in MB: in MB), by Orthanc's names.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.statistics["CountInstances"]
        80
        """
        answer = self._address.get_object("statistics")
        try:
            numbers = {str(name): int(value) for name, value in answer.items()}
        except (TypeError, ValueError):
            raise self._address.other_shape(answer, "statistics") from None
        # Newer versions count nothing for what they do not hold.
        if not numbers.get("CountInstances", numbers.get("UncompressedSize", 0)) and not self._address.is_held():
            raise self._address.unknown()
        return numbers

    @property
    def metadata(self) -> Metadata:
        """Its metadata, as a mapping.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.metadata["1024"] = "reader A"
        >>> study.metadata["1024"]
        'reader A'
        """
        return Metadata(self._address)

    @property
    def attachments(self) -> Attachments:
        """Its attachments, as a mapping.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> sorted(instance.attachments)[:1]
        ['dicom']
        """
        return Attachments(self._address)

    @property
    def labels(self) -> Labels:
        """Its labels, as a set.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.labels.add("reviewed")
        >>> sorted(study.labels)
        ['reviewed']
        """
        return Labels(self._address)

    def module(self) -> Tags:
        """Return the tags of the DICOM module that belongs to its level: Patient, General Study and so on.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.module()["StudyDescription"]
        'PET/CT trunk'
        """
        return self._read_tags("module")

    def _read_tags(self, route: str) -> Tags:
        def read(query: str) -> Any:
            with self._address.explained():
                return self._rest.get(self._address.path(route) + query)

        def described(answer: object) -> TransportError:
            return self._address.other_shape(answer, route)

        return read_tags(read, described)

    @property
    def legacy_viewer_url(self) -> str:
        """The page of the object in Orthanc Explorer, for a browser.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.legacy_viewer_url.partition("#")[2].partition("?")[0]
        'study'
        """
        return f"{self._rest.url}/app/explorer.html#{self.level}?uuid={quote(self.id, safe='')}"

    # Acting

    def reconstruct(self, timeout: float | None = None) -> None:
        """Rebuild what the database of the server holds of the object, from its files.

        It answers at the end, which takes long for many instances.

        Parameters
        ----------
        timeout : number, optional
            Seconds to wait for the answer, in place of those of the connection.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.reconstruct()
        """
        with self._address.explained():
            self._rest.post(self._address.path("reconstruct"), {}, timeout=timeout)
        self._description = None

    def delete(self) -> None:
        """Delete the object and everything below it, at once and for good.

        Raises
        ------
        NotFoundError
            The server does not hold it.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.delete()
        >>> orthanc.refresh().PatientIDs
        ['EX-002', 'EX-006']
        """
        try:
            self._rest.delete(self._address.path())
        except NotFoundError:
            raise self._address.unknown() from None


class Container(Resource):
    """What holds instances: a patient, a study or a series."""

    @property
    def is_stable(self) -> bool:
        """Whether nothing has arrived for it for a while (the server's option StableAge); asked each time.

        Examples
        --------
        >>> from simple_orthanc.testing import wait_until
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> wait_until(lambda: study.is_stable)
        True
        """
        return bool(self.refresh().description.get("IsStable"))

    @property
    def last_update(self) -> datetime | None:
        """When something arrived for it last, in UTC; asked each time. None if the server does not tell.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.last_update.tzname()
        'UTC'
        """
        return server_time(self.refresh().description.get("LastUpdate"))

    @property
    def tags(self) -> Tags:
        """The tags that have the same value in all of its instances: `shared_tags`.

        Examples
        --------
        >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
        >>> pet.tags["PatientWeight"], "InstanceNumber" in pet.tags
        ('70.0', False)
        """
        return self.shared_tags

    @property
    def shared_tags(self) -> Tags:
        """The tags, other than sequences, that have the same value in all of its instances.

        Examples
        --------
        >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
        >>> pet.shared_tags["Units"]
        'BQML'
        """
        shared = self._address.get_object("shared-tags")
        # Orthanc leaves out strings of more than 256 characters here, whether they are the same or not.
        full = {**shared, **self._long_shared_tags()}
        return Tags(dict(sorted(full.items())))

    def _long_shared_tags(self) -> dict[str, Any]:
        # One instance tells whether there are any, so that the tags of all are asked for only then.
        some = self._some_instance()
        tags = some.get_object("tags") if some is not None else {}
        long = {number for number, entry in tags.items() if entry.get("Type") == "TooLong"}
        if not long:
            return {}
        with self._address.explained():
            answer = self._rest.get(self._address.path("instances-tags") + ignore_length(long))
        if not isinstance(answer, dict) or not answer:
            raise self._address.other_shape(answer, "instances-tags")
        first, *others = answer.values()
        return {
            number: first[number]
            for number in long & first.keys()
            if all(tags.get(number) == first[number] for tags in others)
        }

    def _some_instance(self) -> Address | None:
        """Find one of its instances by small requests, or None if it has none."""
        address = self._address
        while address.level != "instance":
            field, below = _CHILDREN[address.level]
            children = address.get_object().get(field)
            if not isinstance(children, list) or not children:
                return None
            address = Address(self._rest, below, str(children[0]))
        return address

    def archive(self, path: str | os.PathLike[str]) -> Path:
        """Write all instances to a zip file, which appears when it is whole.

        Parameters
        ----------
        path : str or Path
            The file; an older one of that name is replaced at the end.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        TransportError
            The server left out instances that it cannot read, or the zip is cut off or damaged.
        NotFoundError
            The server does not hold the object.
        SelectionError
            There can be no such file.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> import zipfile
        >>> path = study.archive("study.zip")
        >>> len(zipfile.ZipFile(path).namelist())
        80
        """
        return self._zip("archive", path, None)

    def media(self, path: str | os.PathLike[str], *, extended: bool = False) -> Path:
        """Write all instances and a DICOMDIR to a zip file, as for a disc; otherwise as `archive`.

        Parameters
        ----------
        path : str or Path
            The file.
        extended : bool, default False
            Whether the DICOMDIR has the additional keys of types 1C, 2C and 3.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> import zipfile
        >>> path = study.media("disc.zip")
        >>> "DICOMDIR" in zipfile.ZipFile(path).namelist()
        True
        """
        return self._zip("media", path, {"extended": ""} if extended else None)

    def _zip(self, route: str, path: str | os.PathLike[str], params: Mapping[str, Any] | None) -> Path:
        count: Callable[[], int] = lambda: self.statistics.get("CountInstances", 0)  # noqa: E731
        path = path_text(path, f'{self.level}.{route}("{self.level}.zip")')
        check = zip_check(f"The {route} of {self.level} {self.id}", count(), count)
        with self._address.explained():
            target: Path = self._rest.stream(self._address.path(route), params, to=path, check=check)
        return target

    def _children(self, level: Level) -> list[dict[str, Any]]:
        """Return the descriptions of what is below it at a level, in one request and in the order of their numbers."""
        answers = self._address.get_list(ROUTE[level])
        if not all(isinstance(answer, dict) and isinstance(answer.get("ID"), str) for answer in answers):
            raise self._address.other_shape(answers, ROUTE[level])
        return sorted(answers, key=_order)


def _order(description: Mapping[str, Any]) -> tuple[Any, ...]:
    tags = description.get("MainDicomTags") or {}
    number = str(tags.get("SeriesNumber") or tags.get("InstanceNumber") or "").strip()
    is_number = number.lstrip("+-").isdecimal() and len(number) < 20
    return (
        str(tags.get("StudyDate") or ""),
        str(tags.get("StudyTime") or ""),
        int(number) if is_number else 10**20,
        description["ID"],
    )
