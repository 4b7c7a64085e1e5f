"""Small random archives, and the meaning of a condition on their headers, without the library under test."""

from __future__ import annotations

import datetime
import io
import itertools
import re
import unicodedata
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pydicom
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from simple_orthanc import LocalOrthanc, exact, like, tag

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
CREATOR = "MY CREATOR"
PRIVATE = '(0009,"MY CREATOR",01)'
NESTED = "AnatomicRegionSequence.CodeMeaning"

LEVELS = {
    "patient": ("PatientID",),
    "study": ("PatientID", "StudyInstanceUID"),
    "series": ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"),
    "instance": ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}

# Each script with names, descriptions, and the character sets that can write them all.
SCRIPTS: dict[str, tuple[list[str], list[str], list[Any]]] = {
    "plain": (
        ["Doe^Jane", "DOE^JANE", "Doe^Jane^^^", "Doe^John", "Ref_Ref^A%", "D*e^J?ne", "a b^c", "", "Doe^J$ne"],
        [
            "T2*_GRE",
            "T2x_GRE",
            "t2*_gre",
            "[x]?",
            "[x]y",
            "",
            "100%",
            "under_score",
            "%",
            "_",
            "*",
            "MPRAGE",
            "$B1 (Brain)",
        ],
        [None, "ISO_IR 192", "ISO_IR 100"],
    ),
    "latin": (["Höpital^Éva", "hopital^eva", "HÖPITAL^ÉVA"], ["ünï", "Schädel", "UNI"], ["ISO_IR 192", "ISO_IR 100"]),
    "greek": (["Διονυσιος", "ΔΙΟΝΥΣΙΟΣ^Α"], ["κεφαλή", "T2*_GRE"], ["ISO_IR 192", "ISO_IR 126"]),
    "arabic": (["قباني^لنزار"], ["رأس", ""], ["ISO_IR 192", "ISO_IR 127"]),
    "korean": (["Hong^Gildong=洪^吉洞=홍^길동"], ["머리", "MPRAGE"], ["ISO_IR 192", ["", "ISO 2022 IR 149"]]),
    "japanese": (
        ["Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou=山田^次郎"],
        ["頭部", "mprage"],
        ["ISO_IR 192", ["", "ISO 2022 IR 87"], ["ISO 2022 IR 6", "ISO 2022 IR 87"]],
    ),
    "half-width": (
        ["ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "YAMADA^TAROU=山田^太郎"],
        ["頭部"],
        ["ISO_IR 192", ["ISO 2022 IR 13", "ISO 2022 IR 87"]],
    ),
    "chinese": (["Wang^XiaoDong=王^小東"], ["头部"], ["ISO_IR 192", "GB18030"]),
}
_RUNS = itertools.count(1)

PATIENT_IDS = ["p1", "P1", "x%", "x_", "xa", "", "p 1", "p-1", "0042"]

NUMBERS = ["KVP", "SliceThickness", "EchoTime", "InstanceNumber", "Rows", "PixelPaddingValue", "SeriesNumber"]
DATES = ["StudyDate", "AcquisitionDate"]
NAMES = ["PatientName", "ReferringPhysicianName", "OperatorsName"]
IDENTIFIERS = ["PatientID", "AccessionNumber", "StudyID", "SeriesInstanceUID", "StudyInstanceUID"]
INDEXED_TEXTS = [*NAMES, *IDENTIFIERS, "SeriesDescription", "StudyDescription", "BodyPartExamined", "Modality"]
OTHER_TEXTS = ["ImageType", "PatientComments", "ImageComments", PRIVATE, NESTED, "SequenceName", "ContrastBolusAgent"]


class File(bytes):
    """A DICOM file whose repr does not fill the report of a failure."""

    def __repr__(self) -> str:
        return "<file>"


def file_bytes(attributes: dict[str, Any], syntax: str = ExplicitVRLittleEndian, block: int | None = None) -> File:
    """Write a DICOM file without pixels; `block` is that of the private element "private"."""
    attributes = {"SOPClassUID": CT_IMAGE, "Modality": "CT", **attributes}
    private = attributes.pop("private", None)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    with pydicom.config.disable_value_validation():
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        if block is not None:
            dataset.add_new(0x00090000 | block, "LO", CREATOR)
            dataset.add_new(0x00090000 | block << 8 | 1, "LO", private)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
    return File(buffer.getvalue())


def store(server: LocalOrthanc, *files: bytes) -> None:
    """Store files on a server, past the library under test."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for content in files:
        request = urllib.request.Request(f"{server.url}/instances", data=content, method="POST")
        with opener.open(request, timeout=60) as answer:
            answer.read()


def simple_file(number: int, **attributes: Any) -> File:
    """Write a file of the one study and series of patient p1, with the number in its SOPInstanceUID."""
    base = {"PatientID": "p1", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}
    return file_bytes({**base, "SOPInstanceUID": f"1.2.3.4.{number}", **attributes})


def header_of(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content))


def key_of(header: Dataset, level: str) -> tuple[str, ...]:
    return tuple(str(header.get(keyword) or "").strip() for keyword in LEVELS[level])


def keys_of(headers: Sequence[Dataset], level: str) -> set[tuple[str, ...]]:
    return {key_of(header, level) for header in headers}


def texts_of(header: Dataset, name: str) -> list[str]:
    """Return the values of a tag as strings; an empty list where it is missing or empty."""
    if name == NESTED:
        return [str(item.CodeMeaning) for item in header.get("AnatomicRegionSequence", [])]
    if name == PRIVATE:
        try:
            content = header.private_block(9, CREATOR)[1].value
        except KeyError:
            return []
        return [content.decode().strip() if isinstance(content, bytes) else str(content)]
    content = header.get(name)
    if content is None:
        return []
    parts = list(content) if isinstance(content, MultiValue) else [content]
    texts = [
        str(getattr(part, "original_string", part) if not hasattr(part, "ideographic") else part).strip()
        for part in parts
    ]
    return texts if any(texts) else []


# Random archives


def _without_missing(attributes: dict[str, Any]) -> dict[str, Any]:
    return {keyword: value for keyword, value in attributes.items() if value is not None}


@st.composite
def archives(draw: st.DrawFn, shared_uids: bool = True) -> list[File]:
    """Files whose patient and study tags agree within a study, and whose series tags agree within a series.

    With `shared_uids` one UID may stand under several patients. Without, no UID has been in another archive: Orthanc's
    DICOMweb plugin makes and keeps the metadata of a series in the background, a second after the last of it was
    stored, and takes a series with the same UIDs for one that was deleted meanwhile.
    """

    def one(*choices: Any) -> Any:
        return draw(st.sampled_from(choices))

    files: list[File] = []
    # A server that is emptied and filled again may still remember the file that it knew by the same identifiers.
    run = next(_RUNS)
    patients = draw(st.lists(st.sampled_from(PATIENT_IDS), min_size=1, max_size=4, unique=True))
    for place, patient in enumerate(patients):
        # The UIDs of studies and series say nothing of the patient, so they occur under several.
        for drawn in draw(st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=2, unique=True)):
            study = f"{drawn}" if shared_uids else f"{run}.{drawn}.{place}"
            script = one(*SCRIPTS)
            names, descriptions, sets = SCRIPTS[script]
            if script == "half-width":
                # Only the name of the study's first file shows that Orthanc has mangled the descriptions.
                sets = [one(*sets)]
            else:
                names = [*names, None]
            of_study = {
                "PatientID": patient,
                "PatientName": one(*names),
                "PatientBirthDate": one("19500101", None),
                "StudyInstanceUID": f"1.2.{study}",
                "StudyDate": one("20200101", "20210630", "2020.01.01", None, ""),
                "StudyTime": one("101010", "10", "235959.5", None),
                "StudyDescription": one(*descriptions, None),
                "AccessionNumber": one("A1", "a1", "", None, "A*"),
                "StudyID": one("1", "01", None),
                "ReferringPhysicianName": one(*names),
            }
            for series in range(draw(st.integers(1, 2))):
                of_series = {
                    "SeriesInstanceUID": f"1.2.{study}.{series}",
                    "SeriesDescription": one(*descriptions, None),
                    "Modality": one("CT", "MR", "PT"),
                    "SeriesNumber": one("1", "02", "+3", None),
                    "OperatorsName": one(None, ["Op^A", "Op^B"], ["Op^A"]),
                    "BodyPartExamined": one("HEAD", "head", None),
                }
                for number in range(draw(st.integers(1, 3))):
                    uid = {"SOPInstanceUID": f"1.2.{run}.{study}.{series}.{number}"}
                    attributes = {"SpecificCharacterSet": one(*sets), **of_study, **of_series, **uid, **_image(one)}
                    block = one(None, 0x10, 0x11, 0x42)
                    syntax = one(ExplicitVRLittleEndian, ImplicitVRLittleEndian)
                    files.append(file_bytes(_without_missing(attributes), syntax, block))
    return draw(st.permutations(files))


def _image(one: Callable[..., Any]) -> dict[str, Any]:
    region = Dataset()
    region.CodeMeaning = one("Liver", "LIVER", "Lung")
    return {
        "InstanceNumber": one("1", "2", "03", None),
        "KVP": one("80", "120", "8e1", None, ""),
        "ImageType": one(["ORIGINAL", "PRIMARY"], ["DERIVED", "PRIMARY", "AXIAL"], None),
        "SliceThickness": one("1", "1.0", "2.5", None),
        "EchoTime": one("10", "10.5", "+1.05E1", None),
        "PatientComments": one(None, "z" * 300, "abc"),
        "ImageComments": one(None, "c" * 300, "C*"),
        "AcquisitionDate": one("20200101", "20191231", None),
        "PixelPaddingValue": one(None, 3),
        "Rows": one(4, 8),
        "SequenceName": one("*tfl3d1", "epfid2d1", None),
        "ContrastBolusAgent": one("GAD", None),
        "AnatomicRegionSequence": one([region], [region, region], None),
        "private": one("priv", "OTHER"),
    }


# Random questions


@dataclass(frozen=True)
class Question:
    """A condition for the library, under a tag or (None) by itself, and its meaning for one header."""

    name: str | None
    value: Any
    holds: Callable[[Dataset], bool]

    def __repr__(self) -> str:
        return f"{self.name}={self.value!r}" if self.name else repr(self.value)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def _groups(name: str) -> list[str]:
    groups = [group.strip().rstrip("^ ") for group in name.split("=")]
    return ["=".join(groups).rstrip("="), *(group for group in groups if group)]


def matches_text(name: str, text: str, wanted: str, literal: bool) -> bool:
    """Return the meaning of a string given for a tag, as a test of one value."""
    if literal:
        return text == wanted
    forms = _groups(text) if name in NAMES else [text]
    if name in NAMES and "*" not in wanted and "?" not in wanted:
        wanted = _groups(wanted)[0]
    fold = (lambda text: unicodedata.normalize("NFC", text)) if name in IDENTIFIERS else _fold
    pattern = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in fold(wanted))
    return any(re.fullmatch(pattern, fold(form), re.DOTALL) for form in forms)


def _date(text: str) -> datetime.date:
    return datetime.datetime.strptime(text.replace(".", ""), "%Y%m%d").date()


@st.composite
def questions(draw: st.DrawFn, headers: Sequence[Dataset], alone: bool) -> Question:
    """Draw one condition; unless it is alone, no plain string for a tag that only the files hold.

    What a text means depends on whether the archive holds it as it stands, and of such a tag only the files that are
    still selected are looked at.
    """
    name = draw(st.sampled_from([*INDEXED_TEXTS * 2, *OTHER_TEXTS, *NUMBERS, *DATES]))
    if name in NUMBERS:
        return draw(_about_number(name))
    if name in DATES:
        return draw(_about_date(name))
    return draw(_about_text(name, headers, alone or name in INDEXED_TEXTS))


@st.composite
def _about_number(draw: st.DrawFn, name: str) -> Question:
    number = draw(st.sampled_from([1, 2, 3, 80, 120, 10, 10.5, 2.5, 4, 8]))

    def some(test: Callable[[float], bool]) -> Callable[[Dataset], bool]:
        return lambda header: any(test(float(text)) for text in texts_of(header, name))

    return draw(
        st.sampled_from(
            [
                Question(name, number, some(lambda found: found == number)),
                Question(name, str(int(number)), some(lambda found: found == int(number))),
                Question(name, (number, None), some(lambda found: found >= number)),
                Question(name, (None, number), some(lambda found: found <= number)),
                Question(name, [number, 80], some(lambda found: found in (number, 80))),
                Question(name, None, lambda header: not texts_of(header, name)),
                Question(name, lambda found: found > number, some(lambda found: found > number)),
                Question(None, tag(name) < number, some(lambda found: found < number)),
                Question(None, tag(name).between(number, 100), some(lambda found: number <= found <= 100))
                if number <= 100
                else Question(None, tag(name) >= number, some(lambda found: found >= number)),
                Question(None, tag(name) != number, lambda header: not some(lambda found: found == number)(header)),
            ]
        )
    )


@st.composite
def _about_date(draw: st.DrawFn, name: str) -> Question:
    def some(test: Callable[[datetime.date], bool]) -> Callable[[Dataset], bool]:
        return lambda header: any(test(_date(text)) for text in texts_of(header, name))

    day = datetime.date(2020, 1, 1)
    return draw(
        st.sampled_from(
            [
                Question(name, "20200101", some(lambda found: found == day)),
                Question(name, day, some(lambda found: found == day)),
                Question(name, "20200101-20201231", some(lambda found: found.year == 2020)),
                Question(name, "-20200101", some(lambda found: found <= day)),
                Question(name, (day, None), some(lambda found: found >= day)),
                Question(name, None, lambda header: not texts_of(header, name)),
                Question(None, tag(name) > "20200101", some(lambda found: found > day)),
            ]
        )
    )


@st.composite
def _about_text(draw: st.DrawFn, name: str, headers: Sequence[Dataset], plain: bool) -> Question:
    present = sorted({text for header in headers for text in texts_of(header, name)})
    guesses = [
        "*",
        "?*",
        "*e*",
        "P?",
        "h*d",
        "original",
        "*PRIM*",
        "T2?_GRE",
        "Doe^J*",
        "*山田*",
        "山田^太郎",
        "höp*",
        "HÖPITAL^éva",
    ]
    guesses += [
        "priv",
        "liver",
        "*tfl*",
        "A1",
        "doe^jane",
        "διονυσιος",
        "홍^길동",
        "*%*",
        "*_*",
        "T2*",
        "1.2.?",
        "nothing",
    ]
    wanted = draw(
        st.sampled_from([*present, *guesses]) if draw(st.booleans()) or not present else st.sampled_from(present)
    )
    other = draw(st.sampled_from([*present, "nothing"]))

    def meant(text: str) -> Callable[[Dataset], bool]:
        literal = text in present
        return lambda header: any(matches_text(name, found, text, literal) for found in texts_of(header, name))

    def forced(text: str, literal: bool) -> Callable[[Dataset], bool]:
        return lambda header: any(matches_text(name, found, text, literal) for found in texts_of(header, name))

    choices = [
        Question(name, None, lambda header: not texts_of(header, name)),
        Question(None, ~tag(name).is_missing(), lambda header: bool(texts_of(header, name))),
        Question(
            name,
            re.compile("[eE1山]"),
            lambda header: any(re.search("[eE1山]", text) for text in texts_of(header, name)),
        ),
        Question(
            None,
            tag(name).matches("^.a"),
            lambda header: any(re.search("^.a", text) for text in texts_of(header, name)),
        ),
        Question(name, lambda found: "e" in found, lambda header: any("e" in text for text in texts_of(header, name))),
        Question(name, exact(wanted), forced(wanted, True)),
        Question(None, tag(name) == like(wanted), forced(wanted, False)),
    ]
    if plain:
        choices += [Question(name, wanted, meant(wanted))] * 3
        choices += [
            Question(None, tag(name) != wanted, lambda header: not meant(wanted)(header)),
            Question(name, [wanted, other], lambda header: meant(wanted)(header) or meant(other)(header)),
            Question(
                None, tag(name).isin([wanted, other]), lambda header: meant(wanted)(header) or meant(other)(header)
            ),
        ]
    return draw(st.sampled_from(choices))
