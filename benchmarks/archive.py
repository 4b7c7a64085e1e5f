"""An archive of many small instances, every tag of which follows from the number of the object.

The same numbers give the same archive to a real server, as DICOM files, and to the stand-in server, which computes its
answers. By default there are 20,000 instances in 2,111 series of 1,103 studies of 581 patients; other sizes keep the
proportions.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from zipfile import ZIP_STORED, ZipFile

from pydicom.datadict import dictionary_VR, tag_for_keyword

INSTANCES, SERIES, STUDIES, PATIENTS = 20_000, 2_111, 1_103, 581

# A PatientID is this and the number of the patient.
PATIENT_ID, PATIENT_ID_DIGITS = "BENCH", 7

# The organisation root that pydicom uses for the UIDs it generates.
_ROOT = "1.2.826.0.1.3680043.8.498"
_FAMILIES = (
    "Andersen",
    "Bakker",
    "Costa",
    "Dubois",
    "Eriksson",
    "Fischer",
    "Garcia",
    "Haas",
    "Ito",
    "Jansen",
    "Kowalski",
)
_GIVEN = ("Anna", "Bram", "Carla", "David", "Emma", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Karin", "Luca", "Mia")
_MODALITIES = ("CT", "MR", "PT")
_SOP_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
}
_DESCRIPTIONS = {
    "CT": ("Thorax 1.0 B70f", "Abdomen 3.0 B30f", "Topogram", "Head 5.0 H30s", "Low dose CT AC 3.0"),
    "MR": ("t1_mprage_sag", "T2*_GRE", "ep2d_diff", "localizer", "FLAIR tra", "TOF 3D"),
    "PT": ("WB AC", "WB NAC", "Head AC 3D"),
}
_KVP = ("80", "100", "120", "140")
# Explicit VR Little Endian; the VRs whose length takes four bytes after two reserved ones (PS3.5, section 7.1.2).
_SYNTAX = "1.2.840.10008.1.2.1"
_LONG_VRS = frozenset({"OB", "OW", "SQ", "UN", "UT"})
_SIDE = 8


@dataclass(frozen=True)
class Archive:
    """An archive of a number of instances.

    Parameters
    ----------
    instances : int
        How many; patients, studies and series are in the proportions of the default archive, at least one of each.

    Examples
    --------
    >>> archive = Archive()
    >>> archive.patients, archive.studies, archive.series, archive.instances
    (581, 1103, 2111, 20000)
    >>> archive.patient_of(archive.study_of(archive.series_of(19_999)))
    580
    """

    instances: int = INSTANCES

    @classmethod
    def of_series(cls, series: int) -> Archive:
        """Return the smallest archive with a number of series.

        Examples
        --------
        >>> archive = Archive.of_series(1_000_000)
        >>> archive.series, archive.instances
        (1000000, 9474183)
        """
        return cls(-(-series * INSTANCES // SERIES))

    @property
    def series(self) -> int:
        """Number of series."""
        return max(1, self.instances * SERIES // INSTANCES)

    @property
    def studies(self) -> int:
        """Number of studies."""
        return max(1, self.instances * STUDIES // INSTANCES)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return max(1, self.instances * PATIENTS // INSTANCES)

    def series_of(self, instance: int) -> int:
        """Return the number of an instance's series."""
        return instance * self.series // self.instances

    def study_of(self, series: int) -> int:
        """Return the number of a series' study."""
        return series * self.studies // self.series

    def patient_of(self, study: int) -> int:
        """Return the number of a study's patient."""
        return study * self.patients // self.studies

    def studies_in(self, patient: int) -> range:
        """Return the numbers of a patient's studies."""
        return _owned(patient, self.patients, self.studies)

    def series_in(self, study: int) -> range:
        """Return the numbers of a study's series."""
        return _owned(study, self.studies, self.series)

    def instances_in(self, series: int) -> range:
        """Return the numbers of the instances in a series."""
        return _owned(series, self.series, self.instances)

    def files(self, numbers: Iterable[int]) -> Iterable[bytes]:
        """Make the DICOM files of instances, about 1.4 kB each."""
        for number in numbers:
            series = self.series_of(number)
            study = self.study_of(series)
            tags = patient_tags(self.patient_of(study)) | study_tags(study) | series_tags(series)
            place = number - self.instances_in(series).start
            yield dicom_file(tags | instance_tags(number, place) | _other_tags(tags["Modality"], series, number))

    def zipped(self, numbers: Iterable[int]) -> bytes:
        """Make a zip of DICOM files, not compressed, which is the quickest to make and to read."""
        buffer = BytesIO()
        with ZipFile(buffer, "w", ZIP_STORED) as archive:
            for place, content in enumerate(self.files(numbers)):
                archive.writestr(f"{place}.dcm", content)
        return buffer.getvalue()


def patient_tags(number: int) -> dict[str, str]:
    """Return the tags of a patient; no two patients share a name."""
    family, given = _FAMILIES[number % len(_FAMILIES)], _GIVEN[number % len(_GIVEN)]
    return {
        "PatientName": f"{family}^{given}^{number}",
        "PatientID": f"{PATIENT_ID}{number:0{PATIENT_ID_DIGITS}d}",
        "PatientBirthDate": f"{1930 + number % 70}{1 + number % 12:02d}{1 + number % 28:02d}",
        "PatientSex": "FM"[number % 2],
    }


def study_tags(number: int) -> dict[str, str]:
    """Return the tags of a study."""
    return {
        "StudyInstanceUID": f"{_ROOT}.1.{number}",
        "StudyID": str(number % 10),
        "StudyDate": f"{2005 + number % 20}{1 + number % 12:02d}{1 + number % 28:02d}",
        "StudyTime": f"{8 + number % 10:02d}{number % 60:02d}00",
        "AccessionNumber": f"A{number:07d}",
        "StudyDescription": ("Thorax", "Abdomen", "Head", "Whole body")[number % 4],
        "ReferringPhysicianName": "Referring^Physician",
        "InstitutionName": "Bench Hospital",
    }


def series_tags(number: int) -> dict[str, str]:
    """Return the tags of a series."""
    modality = _MODALITIES[number % len(_MODALITIES)]
    names = _DESCRIPTIONS[modality]
    return {
        "SeriesInstanceUID": f"{_ROOT}.2.{number}",
        "SeriesNumber": str(1 + number % 9),
        "SeriesDate": f"{2005 + number % 20}{1 + number % 12:02d}{1 + number % 28:02d}",
        "SeriesTime": f"{8 + number % 10:02d}{number % 60:02d}00",
        "SeriesDescription": names[number // len(_MODALITIES) % len(names)],
        "Modality": modality,
        "Manufacturer": ("SIEMENS", "Philips", "GE MEDICAL SYSTEMS")[number % 7 % 3],
        "StationName": f"STATION{number % 5}",
        "BodyPartExamined": ("CHEST", "ABDOMEN", "HEAD")[number % 3],
        "ProtocolName": f"Protocol {number % 17}",
    }


def instance_tags(number: int, place: int) -> dict[str, str]:
    """Return the tags of an instance that Orthanc keeps in its database; `place` counts from 0 inside the series."""
    return {
        "SOPInstanceUID": f"{_ROOT}.3.{number}",
        "InstanceNumber": str(1 + place),
        "ImagePositionPatient": f"-250\\-250\\{2.5 * place}",
        "ImageOrientationPatient": "1\\0\\0\\0\\1\\0",
    }


def expected_kvp(series: int, number: int) -> str | None:
    """Return the KVP of an instance: only a CT has one."""
    return _KVP[number % len(_KVP)] if _MODALITIES[series % len(_MODALITIES)] == "CT" else None


def _other_tags(modality: str, series: int, number: int) -> dict[str, object]:
    kvp = expected_kvp(series, number)
    return {
        "SOPClassUID": _SOP_CLASSES[modality],
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": "ORIGINAL\\PRIMARY\\AXIAL",
        "ContentDate": "20200101",
        "ContentTime": "120000",
        "ManufacturerModelName": "Bench 64",
        "SoftwareVersions": "syngo CT 2012B",
        "SliceThickness": "2.5",
        "PatientPosition": "HFS",
        "FrameOfReferenceUID": f"{_ROOT}.4.{series}",
        "PixelSpacing": "0.9765625\\0.9765625",
        "RescaleIntercept": "-1024",
        "RescaleSlope": "1",
        "WindowCenter": "40",
        "WindowWidth": "400",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": _SIDE,
        "Columns": _SIDE,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelData": struct.pack("<H", number % 4096) * _SIDE**2,
    } | ({} if kvp is None else {"KVP": kvp})


def dicom_file(tags: dict[str, str] | dict[str, object]) -> bytes:
    """Write a DICOM file (PS3.10) of tags that hold strings, 16-bit numbers or pixel data."""
    meta = {
        "FileMetaInformationVersion": b"\0\1",
        "MediaStorageSOPClassUID": tags["SOPClassUID"],
        "MediaStorageSOPInstanceUID": tags["SOPInstanceUID"],
        "TransferSyntaxUID": _SYNTAX,
        "ImplementationClassUID": f"{_ROOT}.0",
    }
    group = b"".join(_element(keyword, value) for keyword, value in meta.items())
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group))
    body = b"".join(_element(keyword, tags[keyword]) for keyword in sorted(tags, key=_number))
    return bytes(128) + b"DICM" + length + group + body


@lru_cache(maxsize=4096)
def _element(keyword: str, value: object) -> bytes:
    vr = _vr(keyword)
    if isinstance(value, int):
        content = struct.pack("<H", value)
    else:
        content = value if isinstance(value, bytes) else str(value).encode("latin-1")
        content += b"" if len(content) % 2 == 0 else b"\0" if vr == "UI" else b" "
    number = _number(keyword)
    head = struct.pack("<HH2s", number >> 16, number & 0xFFFF, vr.encode())
    size = struct.pack("<HI", 0, len(content)) if vr in _LONG_VRS else struct.pack("<H", len(content))
    return head + size + content


@cache
def _number(keyword: str) -> int:
    number = tag_for_keyword(keyword)
    assert number is not None, keyword
    return number


@cache
def _vr(keyword: str) -> str:
    return "OW" if keyword == "PixelData" else dictionary_VR(keyword)


def _owned(owner: int, owners: int, things: int) -> range:
    """Invert ``owner = thing * owners // things``."""
    return range(-(-owner * things // owners), -(-(owner + 1) * things // owners))


def orthanc_id(*uids: str) -> str:
    """Return Orthanc's identifier of an object: the SHA-1 of the identifiers down to it.

    Examples
    --------
    >>> orthanc_id("CT-PHANTOM")
    '651040f8-60fc1fe8-9d02ef44-f418294f-cea7bbe5'
    """
    digest = hashlib.sha1("|".join(uids).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))
