"""The four levels of an archive, and where DICOM puts each tag.

DICOM's information model (PS3.3, section A.1.2) nests patient, study, series and instance. The composite IODs then say
which module, and so which attribute, belongs to which of these entities: the Patient module to the patient, General
Study and Patient Study to the study, General Series, General Equipment and the modality's own series module to the
series, and everything else to the single instance.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Level: TypeAlias = Literal["patient", "study", "series", "instance"]

LEVELS: tuple[Level, ...] = ("patient", "study", "series", "instance")

_PATIENT = """
    PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence TypeOfPatientID PatientBirthDate
    PatientBirthTime PatientBirthDateInAlternativeCalendar PatientSex QualityControlSubject OtherPatientIDs
    OtherPatientIDsSequence OtherPatientNames EthnicGroup PatientComments PatientSpeciesDescription
    PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence
    StrainDescription ResponsiblePerson ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved
    DeidentificationMethod DeidentificationMethodCodeSequence PatientBirthName PatientMotherBirthName
"""
_STUDY = """
    StudyInstanceUID StudyDate StudyTime ReferringPhysicianName ReferringPhysicianIdentificationSequence StudyID
    AccessionNumber IssuerOfAccessionNumberSequence StudyDescription ProcedureCodeSequence PhysiciansOfRecord
    NameOfPhysiciansReadingStudy ConsultingPhysicianName RequestingService RequestingPhysician
    RequestedProcedureDescription RequestedProcedureCodeSequence AdmittingDiagnosesDescription
    AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientWeight PatientBodyMassIndex MedicalAlerts Allergies
    SmokingStatus PregnancyStatus LastMenstrualDate PatientState Occupation AdditionalPatientHistory AdmissionID
    ServiceEpisodeID ServiceEpisodeDescription PatientSexNeutered ReasonForStudy
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
    TimezoneOffsetFromUTC
"""

# Orthanc keeps these with the study, and DICOM's General Equipment module with the series. An archive is browsed by
# institution study by study, and one study comes from one institution.
_KEPT_WITH_STUDY = "InstitutionName TimezoneOffsetFromUTC"

_LEVEL_OF: dict[str, Level] = {
    **dict.fromkeys(_SERIES.split(), "series"),
    **dict.fromkeys(_STUDY.split(), "study"),
    **dict.fromkeys(_KEPT_WITH_STUDY.split(), "study"),
    **dict.fromkeys(_PATIENT.split(), "patient"),
}


def level_of_keyword(keyword: str) -> Level:
    """Say at which level DICOM puts an attribute.

    Parameters
    ----------
    keyword : str
        A DICOM keyword, or the number of a private or unnamed tag.

    Returns
    -------
    str
        "patient", "study", "series" or "instance"; whatever is not known to belong higher is "instance".

    Examples
    --------
    >>> level_of_keyword("PatientName"), level_of_keyword("SeriesDescription"), level_of_keyword("KVP")
    ('patient', 'series', 'instance')
    """
    return _LEVEL_OF.get(keyword, "instance")


def depth(level: Level) -> int:
    """Give the depth of a level: 0 for the patient, 3 for the instance.

    Examples
    --------
    >>> depth("series")
    2
    """
    return LEVELS.index(level)


def deepest(*levels: Level) -> Level:
    """Give the deepest of several levels.

    Examples
    --------
    >>> deepest("patient", "series", "study")
    'series'
    """
    return LEVELS[max(depth(level) for level in levels)]
