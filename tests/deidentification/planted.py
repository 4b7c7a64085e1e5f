"""Studies with identifiers in every corner of their files, and a search for them that misses no way to write them."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from simple_orthanc.phantom import as_bytes, ct_phantom

ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "latin-1", "iso2022_jp", "shift_jis", "euc_jp", "gb18030", "euc_kr")
# (0010,0010), (0008,0090), (0010,1040) in each; by the examples of PS3.5, annexes H and I.
PEOPLE = {
    "ISO_IR 100": ("Müllerström^Jürgen", "Sørensen^Åse", "Öderstraße 17"),
    "ISO_IR 192": ("Ковалевская^Софья", "Łukasiewicz^Paweł", "улица Пушкинская 5"),
    "\\ISO 2022 IR 87": ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Suzukawa^Hanako=鈴川^花子", "東京都千代田区"),
    "\\ISO 2022 IR 149": ("Hong^Gildong=洪^吉洞=홍^길동", "Kimchul^Sooyoung=金哲^秀英", "서울특별시"),
    "GB18030": ("Wang^XiaoDong=王^小东", "Zhanglin^Weiping=张林^伟平", "北京市朝阳区"),
    "": ("Featherstone^Wilhelmina", "Quackenbush^Ferdinand", "12 Larkspur Crescent"),
}
TRANSFER_SYNTAXES = (
    "1.2.840.10008.1.2.1",
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
)


_SHORTEST = 4
_ESCAPES = re.compile(rb"\x1b[$(]{1,2}[A-Z]")


@dataclass
class Planted:
    """Files, and the identifiers that are in them."""

    files: list[bytes] = field(default_factory=list)
    identifiers: set[str] = field(default_factory=set)

    def write(self, folder: Path) -> Path:
        for number, content in enumerate(self.files):
            (folder / f"{number:03}.dcm").write_bytes(content)
        return folder


def planted_studies(slices: int = 2) -> Planted:
    """Return a patient for each character set, with two studies, each in another transfer syntax."""
    planted = Planted()
    for number, (character_set, people) in enumerate(PEOPLE.items()):
        patient = f"HOSP-{47110815 + number}-X"
        for study in range(2):
            syntax = TRANSFER_SYNTAXES[(2 * number + study) % len(TRANSFER_SYNTAXES)]
            for image in _study(character_set, people, patient, number, study, slices, planted.identifiers):
                planted.files.append(_as_file(image, syntax, planted.identifiers))
    planted.identifiers.discard("")
    return planted


def _study(
    character_set: str, people: Sequence[str], patient: str, number: int, study: int, slices: int, found: set[str]
) -> Iterator[Dataset]:
    name, physician, address = people
    secret = f"{number}{study}"
    images = ct_phantom((slices, 16, 16))
    uids = {kind: f"1.2.826.0.1.999{secret}.{kind}" for kind in (1, 2, 3)}
    for index, image in enumerate(images):
        image.SpecificCharacterSet = character_set.split("\\")
        plain = {
            "PatientID": patient,
            "IssuerOfPatientID": f"ISSUER{secret}77",
            "OtherPatientIDs": [f"OLDID{secret}88", f"PASS{secret}99"],
            "AccessionNumber": f"ACC{secret}998877",
            "StudyID": f"STU{secret}554",
            "StationName": f"STATION{secret}",
            "RequestingService": f"WARD{secret}B12",
            "AdmissionID": f"ADM{secret}31337",
            "MedicalRecordLocator": f"LOC{secret}4444",
            "DeviceSerialNumber": f"SN{secret}123456",
            "InstitutionName": f"St. Elsewhere {secret}",
            "PatientTelephoneNumbers": f"+49 89 {secret}7654321",
            "StudyDescription": f"CT of {patient}, born 1963-11-05",
            "SeriesDescription": "ct_scan",
            "ImageComments": f"call +49 89 {secret}7654321 about {patient}",
            "PatientBirthDate": "19631105",
            "StudyDate": f"2019{number + 1:02}{11 + study}",
            "AcquisitionDateTime": f"2019{number + 1:02}{11 + study}235959.123456+0100",
            "ContentDate": f"2019{number + 1:02}{12 + study}",
        }
        for keyword, value in plain.items():
            setattr(image, keyword, value)
            if keyword not in ("SeriesDescription",):
                found.update([value] if isinstance(value, str) else value)
        image.PatientName, image.ReferringPhysicianName, image.PatientAddress = name, physician, address
        image.OperatorsName = [physician, name]
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = uids.values()
        image.SOPInstanceUID = f"{uids[2]}.{index + 1}"
        found.update([*uids.values(), image.SOPInstanceUID, address])
        for person in (name, physician):
            found.update(part for group in person.split("=") for part in group.split("^"))
        request = Dataset()
        request.RequestedProcedureID = f"REQ{secret}8080"
        request.ScheduledProcedureStepDescription = f"{patient} CT"
        request.ReferringPhysicianName = physician
        request.ReferencedStudySequence = [_reference(uids[1]), _reference(f"{uids[1]}.77")]
        image.RequestAttributesSequence = [request]
        image.ReferencedImageSequence = [_reference(f"{uids[2]}.{other + 1}") for other in range(slices)]
        found.update([f"REQ{secret}8080", f"{uids[1]}.77"])
        image.add_new(0x00091001, "UN", f"{patient} privately".encode())
        image.add_new(0x00090010, "LO", "SOME VENDOR 1.0")
        image.add_new(0x00091002, "LO", f"PRIV{secret}7777")
        image.add_new(0x00111234, "OB", f"{patient} without creator".encode())
        image.add_new(0x00185100, "CS", "HFS")
        image.add_new(0xFFFCFFFC, "OB", f"{patient} padding".encode())
        found.add(f"PRIV{secret}7777")
        yield image


def _reference(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    item.ReferencedSOPInstanceUID = uid
    return item


def _as_file(image: Dataset, syntax: str, found: set[str]) -> bytes:
    title = f"AE{image.AccessionNumber}"[:16]
    image.file_meta.SourceApplicationEntityTitle = title
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    found.add(title)
    if syntax == RLELossless:
        image.compress(RLELossless, generate_instance_uid=False)
        content = as_bytes(image)
    elif syntax == ExplicitVRBigEndian:
        pixels = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
        image.PixelData = pixels
        content = _written(image, syntax)
    else:
        content = _written(image, syntax)
    # The preamble may hold anything (PS3.10, section 7.1).
    return f"{image.PatientID} preamble".encode().ljust(128, b"\0") + content[128:]


def _written(image: Dataset, syntax: str) -> bytes:
    image.file_meta.TransferSyntaxUID = syntax
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, image, enforce_file_format=True)
    return stream.getvalue()


def traces(folder: Path, identifiers: Iterable[str]) -> list[str]:
    """List where an identifier is: in the name of a file, in its bytes in any encoding, or in its decoded strings."""
    forms = {identifier: _forms(identifier) for identifier in identifiers}
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        content = path.read_bytes()
        parts = [content.lower(), name.lower().encode()]
        if DeflatedExplicitVRLittleEndian.encode() in content[:400]:
            parts.append(_inflated(content).lower())
        strings = "\n".join(_strings(pydicom.dcmread(io.BytesIO(content)))).casefold()
        for identifier, written in forms.items():
            if identifier.casefold() in strings or any(form in part for form in written for part in parts):
                found.append(f"{name}: {identifier}")
    return found


def _forms(identifier: str) -> set[bytes]:
    forms = set()
    for encoding in ENCODINGS:
        try:
            encoded = identifier.encode(encoding)
        except UnicodeEncodeError:
            continue
        # Without the escape sequences, which a writer may put elsewhere.
        forms.add(_ESCAPES.sub(b"", encoded).lower())
    # Shorter ones are in pixels by chance.
    return {form for form in forms if len(form) >= _SHORTEST}


def _inflated(content: bytes) -> bytes:
    length = int.from_bytes(content[140:144], "little")
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[144 + length :])


def _strings(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _strings(item)
        elif isinstance(element.value, bytes):
            yield element.value.decode("latin-1") if len(element.value) < 1000 else ""
        else:
            yield str(element.value)
    for element in getattr(dataset, "file_meta", ()):
        yield str(element.value)
