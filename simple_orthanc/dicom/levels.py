"""The four levels of an archive, where DICOM puts each tag, and which tags an index of an archive holds.

DICOM's information model (PS3.3, section A.1.2) nests patient, study, series and instance. The composite IODs define
which module, and so which attribute, belongs to which of these entities: the Patient module to the patient, General
Study and Patient Study to the study, General Series, General Equipment and the modality's own series module to the
series, and everything else to the single instance.

The index is the same for every source, so that their answers agree. It holds what the database of every Orthanc since
1.4.2 keeps at the level where DICOM puts it. One value is valid for a whole study or series there, so no tag that DICOM
puts into the image is held above the instance.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Level: TypeAlias = Literal["patient", "study", "series", "instance"]

LEVELS: tuple[Level, ...] = ("patient", "study", "series", "instance")

IDENTIFIERS: dict[Level, str] = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
"""The tag that identifies an object within the one above it."""

_PATIENT = """
    PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence TypeOfPatientID PatientBirthDate
    PatientBirthTime PatientBirthDateInAlternativeCalendar PatientSex QualityControlSubject OtherPatientIDs
    OtherPatientIDsSequence OtherPatientNames EthnicGroup PatientComments PatientSpeciesDescription
    PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence
    StrainDescription ResponsiblePerson ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved
    DeidentificationMethod DeidentificationMethodCodeSequence PatientBirthName PatientMotherBirthName
    NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances
"""
_STUDY = """
    StudyInstanceUID StudyDate StudyTime ReferringPhysicianName ReferringPhysicianIdentificationSequence StudyID
    AccessionNumber IssuerOfAccessionNumberSequence StudyDescription ProcedureCodeSequence PhysiciansOfRecord
    NameOfPhysiciansReadingStudy ConsultingPhysicianName RequestingService RequestingPhysician
    RequestedProcedureDescription RequestedProcedureCodeSequence AdmittingDiagnosesDescription
    AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientWeight PatientBodyMassIndex MedicalAlerts Allergies
    SmokingStatus PregnancyStatus LastMenstrualDate PatientState Occupation AdditionalPatientHistory AdmissionID
    ServiceEpisodeID ServiceEpisodeDescription PatientSexNeutered ReasonForStudy
    ModalitiesInStudy SOPClassesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances
"""
_SERIES = """
    Modality SeriesInstanceUID SeriesNumber Laterality SeriesDate SeriesTime PerformingPhysicianName ProtocolName
    SeriesDescription SeriesDescriptionCodeSequence OperatorsName ReferencedPerformedProcedureStepSequence
    BodyPartExamined PatientPosition RequestAttributesSequence PerformedProcedureStepID
    PerformedProcedureStepStartDate PerformedProcedureStepStartTime PerformedProcedureStepEndDate
    PerformedProcedureStepEndTime PerformedProcedureStepDescription PerformedProtocolCodeSequence
    PerformedStationAETitle PerformedStationName PerformedLocation ClinicalTrialSeriesID Manufacturer InstitutionName
    InstitutionAddress StationName InstitutionalDepartmentName ManufacturerModelName DeviceSerialNumber
    SoftwareVersions GantryID SpatialResolution DateOfLastCalibration TimeOfLastCalibration
    FrameOfReferenceUID PositionReferenceIndicator SeriesType Units CountsSource DecayCorrection
    CorrectedImage RadiopharmaceuticalInformationSequence PresentationIntentType TreatmentSessionUID
    TimezoneOffsetFromUTC NumberOfSeriesRelatedInstances
"""

# Orthanc keeps these with the study; DICOM's General Equipment module puts them with the series. An archive is browsed
# by institution study by study, and one study comes from one institution.
_KEPT_WITH_STUDY = "InstitutionName TimezoneOffsetFromUTC"

_LEVEL_OF: dict[str, Level] = {
    **dict.fromkeys(_SERIES.split(), "series"),
    **dict.fromkeys(_STUDY.split(), "study"),
    **dict.fromkeys(_KEPT_WITH_STUDY.split(), "study"),
    **dict.fromkeys(_PATIENT.split(), "patient"),
}

_INDEXED_OF_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")

INDEXED: dict[Level, tuple[str, ...]] = {
    "patient": _INDEXED_OF_PATIENT,
    "study": (
        *_INDEXED_OF_PATIENT,
        *("StudyDate", "StudyTime", "AccessionNumber", "InstitutionName", "ReferringPhysicianName"),
        *("StudyDescription", "StudyInstanceUID", "StudyID", "RequestingPhysician", "RequestedProcedureDescription"),
    ),
    "series": (
        *("SeriesDate", "SeriesTime", "Modality", "Manufacturer", "StationName", "SeriesDescription", "OperatorsName"),
        *("BodyPartExamined", "ProtocolName", "SeriesInstanceUID", "SeriesNumber"),
        *("PerformedProcedureStepDescription", "SeriesType"),
    ),
    "instance": (
        *("InstanceCreationDate", "InstanceCreationTime", "SOPInstanceUID", "AcquisitionNumber", "InstanceNumber"),
        *("ImagePositionPatient", "ImageOrientationPatient", "TemporalPositionIdentifier", "NumberOfFrames"),
        "ImageIndex",
    ),
}
"""Keywords of the tags in the index, by the level of the row that holds them; a study's row also has its patient's."""

_INDEXED_AT: dict[str, Level] = {
    keyword: level for level, keywords in INDEXED.items() if level != "patient" for keyword in keywords
}


def indexed_level(keyword: str) -> Level | None:
    """Return the level of the rows that hold a tag in the index, None if the index does not hold it.

    Examples
    --------
    >>> indexed_level("PatientName"), indexed_level("Modality"), indexed_level("KVP")
    ('study', 'series', None)
    """
    return _INDEXED_AT.get(keyword)


def level_of_keyword(keyword: str) -> Level:
    """Return the level at which DICOM puts an attribute.

    Parameters
    ----------
    keyword : str
        A DICOM keyword, or the number of a private or unnamed tag.

    Returns
    -------
    str
        "patient", "study", "series" or "instance"; an attribute that is not known to belong higher is "instance".

    Examples
    --------
    >>> level_of_keyword("PatientName"), level_of_keyword("SeriesDescription"), level_of_keyword("KVP")
    ('patient', 'series', 'instance')
    """
    return _LEVEL_OF.get(keyword, "instance")


def depth(level: Level) -> int:
    """Return the depth of a level: 0 for the patient, 3 for the instance.

    Examples
    --------
    >>> depth("series")
    2
    """
    return LEVELS.index(level)


def deepest(*levels: Level) -> Level:
    """Return the deepest of several levels.

    Examples
    --------
    >>> deepest("patient", "series", "study")
    'series'
    """
    return LEVELS[max(depth(level) for level in levels)]
