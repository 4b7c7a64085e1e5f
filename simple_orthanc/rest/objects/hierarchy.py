"""Patients, studies, series and instances, each with its parents and children."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import NotFoundError, SelectionError, ServerError
from simple_orthanc.rest.objects.images import ImageResource
from simple_orthanc.rest.objects.resource import Container, Resource
from simple_orthanc.rest.objects.tags import Tags

_PARENT_FIELD = {"study": "ParentPatient", "series": "ParentStudy", "instance": "ParentSeries"}


class _HasInstances(Container):
    @property
    def instances(self) -> list[Instance]:
        """The instances in it by InstanceNumber, in one request.

        Examples
        --------
        >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
        >>> [instance.main_dicom_tags["InstanceNumber"] for instance in pet.instances[:3]]
        ['1', '2', '3']
        """
        return [Instance(self._rest, answer["ID"], answer) for answer in self._children("instance")]


class _HasSeries(_HasInstances):
    @property
    def series(self) -> list[Series]:
        """The series in it by SeriesNumber, in one request.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> [series.main_dicom_tags["SeriesDescription"] for series in study.series]
        ['CT low dose', 'PET FDG']
        """
        return [Series(self._rest, answer["ID"], answer) for answer in self._children("series")]


class _InPatient(Resource):
    @property
    def patient(self) -> Patient:
        """Its patient.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.patient.main_dicom_tags["PatientID"]
        'EX-003'
        """
        return Patient(self._rest, *_parent(self, "patient"))


class _InStudy(_InPatient):
    @property
    def study(self) -> Study:
        """Its study.

        Examples
        --------
        >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
        >>> pet.study.main_dicom_tags["StudyDescription"]
        'PET/CT trunk'
        """
        return Study(self._rest, *_parent(self, "study"))


class Patient(_HasSeries):
    """A patient on an Orthanc server.

    Examples
    --------
    >>> patient = orthanc.rest.patients.lookup("EX-003")
    >>> patient.main_dicom_tags["PatientName"], len(patient.studies)
    ('Costa^Clara', 1)
    """

    level: ClassVar[Level] = "patient"

    @property
    def studies(self) -> list[Study]:
        """Its studies by date and time, in one request.

        Examples
        --------
        >>> patient = orthanc.rest.patients.lookup("EX-003")
        >>> [study.main_dicom_tags["StudyDescription"] for study in patient.studies]
        ['PET/CT trunk']
        """
        return [Study(self._rest, answer["ID"], answer) for answer in self._children("study")]

    @property
    def parent(self) -> None:
        """None, since a patient is the highest level.

        Examples
        --------
        >>> patient = orthanc.rest.patients.lookup("EX-003")
        >>> patient.parent is None
        True
        """
        return None

    @property
    def children(self) -> list[Study]:
        """Its studies.

        Examples
        --------
        >>> patient = orthanc.rest.patients.lookup("EX-003")
        >>> patient.children == patient.studies
        True
        """
        return self.studies

    @property
    def is_protected(self) -> bool:
        """Whether it is kept when the server makes room for others; `delete` works all the same.

        Examples
        --------
        >>> patient = orthanc.rest.patients.lookup("EX-003")
        >>> patient.is_protected
        False
        """
        return bool(self._protection("get") == "1")

    def protect(self) -> None:
        """Protect the patient from being deleted when the server makes room for others.

        Examples
        --------
        >>> patient = orthanc.rest.patients.lookup("EX-003")
        >>> patient.protect()
        >>> patient.is_protected
        True
        >>> patient.unprotect()
        >>> patient.is_protected
        False
        """
        self._protection("put", "1")

    def unprotect(self) -> None:
        """Allow the server to delete the patient when it makes room for others.

        Examples
        --------
        >>> patient = orthanc.rest.patients.lookup("EX-003")
        >>> patient.protect()
        >>> patient.is_protected
        True
        >>> patient.unprotect()
        >>> patient.is_protected
        False
        """
        self._protection("put", "0")

    def _protection(self, verb: str, *body: str) -> str:
        try:
            with self._address.explained():
                return str(getattr(self._rest, verb)(self._address.path("protected"), *body)).strip()
        except ServerError as error:
            # What Orthanc answers for a patient that it does not hold.
            if error.status == 400 and not self._address.is_held():
                raise self._address.unknown() from None
            raise


class Study(_InPatient, _HasSeries):
    """A study on an Orthanc server.

    Examples
    --------
    >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
    >>> study.main_dicom_tags["StudyDescription"]
    'PET/CT trunk'
    >>> [series.main_dicom_tags["Modality"] for series in study.series]
    ['CT', 'PT']
    """

    level: ClassVar[Level] = "study"

    @property
    def patient_main_dicom_tags(self) -> dict[str, str]:
        """Keyword to value of the tags of its patient, as this study has them.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.patient_main_dicom_tags["PatientName"]
        'Costa^Clara'
        """
        return {str(name): str(value) for name, value in self.description.get("PatientMainDicomTags", {}).items()}

    @property
    def parent(self) -> Patient:
        """Its patient.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.parent == study.patient
        True
        """
        return self.patient

    @property
    def children(self) -> list[Series]:
        """Its series.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.children == study.series
        True
        """
        return self.series

    def patient_module(self) -> Tags:
        """Return the tags of the module Patient, as this study has them.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.patient_module()["PatientSex"]
        'F'
        """
        return self._read_tags("module-patient")


class OrderedSlice(NamedTuple):
    """One frame in the order that the server finds for a series.

    Attributes
    ----------
    instance : Instance
        The object that holds it.
    frame : int
        Its number in the object, from 0 on.

    Examples
    --------
    >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
    >>> first = pet.ordered_slices()[0]
    >>> first.instance.main_dicom_tags["InstanceNumber"], first.frame
    ('1', 0)
    """

    instance: Instance
    frame: int


class Series(_InStudy, _HasInstances):
    """A series on an Orthanc server.

    Examples
    --------
    >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
    >>> pet.main_dicom_tags["SeriesDescription"], len(pet.instances)
    ('PET FDG', 40)
    """

    level: ClassVar[Level] = "series"

    @property
    def parent(self) -> Study:
        """Its study.

        Examples
        --------
        >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
        >>> pet.parent == pet.study
        True
        """
        return self.study

    @property
    def children(self) -> list[Instance]:
        """Its instances.

        Examples
        --------
        >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
        >>> pet.children == pet.instances
        True
        """
        return self.instances

    def ordered_slices(self) -> list[OrderedSlice]:
        """Return the frames in the order of their positions, as the server finds it.

        The server does not tell holes or repeated positions, which `get_volume` of a session does.

        Raises
        ------
        SelectionError
            The server finds no order.

        Examples
        --------
        >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
        >>> slices = pet.ordered_slices()
        >>> len(slices), slices[0].frame
        (40, 0)
        """
        try:
            answer = self._address.get_object("ordered-slices")
        except ServerError as error:
            if self._address.is_meant_by(error) or error.status not in (400, 404):
                raise
            raise SelectionError(
                f"The server finds no order of the slices of series {self.id}: their headers hold neither positions "
                "nor numbers that tell it. volume_table() of a session shows what is in it."
            ) from None
        try:
            return [
                OrderedSlice(Instance(self._rest, key), first + offset)
                for key, first, count in answer["SlicesShort"]
                for offset in range(count)
            ]
        except (KeyError, TypeError, ValueError):
            raise self._address.other_shape(answer, "ordered-slices") from None

    def preview(self) -> Any:
        """Render its middle slice on the server; returned as by `Instance.preview`.

        Raises
        ------
        SelectionError
            The series is empty.

        Examples
        --------
        >>> pet = orthanc.rest.patients.lookup("EX-003").studies[0].series[1]
        >>> picture = pet.preview()
        >>> picture.shape, picture.dtype
        ((64, 64), dtype('uint8'))
        """
        try:
            slices = self.ordered_slices()
        except SelectionError:
            slices = [OrderedSlice(instance, 0) for instance in self.instances]
        if not slices:
            raise SelectionError(f"The series {self.id} has no instances.")
        middle = slices[len(slices) // 2]
        return middle.instance.preview(middle.frame)


class Instance(_InStudy, ImageResource):
    """An instance on an Orthanc server: one DICOM file.

    Examples
    --------
    >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
    >>> instance.main_dicom_tags["InstanceNumber"]
    '1'
    >>> instance.dataset().Modality
    'PT'
    """

    level: ClassVar[Level] = "instance"

    @property
    def series(self) -> Series:
        """Its series.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.series.main_dicom_tags["SeriesDescription"]
        'PET FDG'
        """
        return Series(self._rest, *_parent(self, "series"))

    @property
    def parent(self) -> Series:
        """Its series.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.parent == instance.series
        True
        """
        return self.series

    @property
    def children(self) -> list[Resource]:
        """[], since an instance is the lowest level.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.children
        []
        """
        return []

    @property
    def file_size(self) -> int:
        """The length of its file in bytes.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.file_size == len(instance.content)
        True
        """
        return int(self.description.get("FileSize") or 0)

    @property
    def tags(self) -> Tags:
        """Its tags, read once for each use of this attribute.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> tags = instance.tags
        >>> tags["Modality"], tags["0028,0010"]
        ('PT', '64')
        """
        return self._read_tags("tags")


def _parent(resource: Resource, level: Level) -> tuple[str, dict[str, Any] | None]:
    """Return the id of what an object is in, with its description if that had to be asked for."""
    parents = {"study": "patient", "series": "study", "instance": "series"}
    if parents[resource.level] == level:
        key = resource.description.get(_PARENT_FIELD[resource.level])
        if isinstance(key, str):
            return key, None
    try:
        answer = resource._address.get_object(level)
    except NotFoundError as error:
        if resource._address.is_meant_by(error):
            raise
        raise resource._address.unknown() from None
    if not isinstance(answer.get("ID"), str):
        raise resource._address.other_shape(answer, level)
    return answer["ID"], answer
