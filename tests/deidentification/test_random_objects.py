"""Whatever attributes an object has, and wherever an identifier was typed into, none of them is found in the output."""

from __future__ import annotations

import io
import struct
from typing import Union

import pydicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from simple_orthanc.deidentification.engine import deidentify_dataset
from simple_orthanc.deidentification.profile import DATE_OPTIONS, Option, Profile
from simple_orthanc.deidentification.table import row_of
from simple_orthanc.deidentification.unlisted import is_typed_by_people
from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.silence import quiet
from tests.deidentification.identities import PlainIdentity
from tests.examples import examples

# An element's VR, and its bytes or its items.
Elements = dict[int, tuple[str, Union[bytes, "list[Elements]"]]]

# Pixels are not looked at.
NOT_SEARCHED = {"SpecificCharacterSet", "PixelData", "FloatPixelData", "DoubleFloatPixelData"}

# Not random, so that examples shrink to attributes and not to letters; each is found by its own rule.
FAMILY, GIVEN, PATIENT_ID, ACCESSION, BIRTH_DATE = "Quidditch", "Harry-Øyvind", "HX-4711-08", "ACC20771", "19630517"
PHYSICIAN = "Snape-Dumbledore"
TRACES = ("quidditch", "øyvind", "hx-4711-08", "acc20771", "19630517", "1963-05-17", "dumbledore")
ATTRIBUTES = sorted(
    tag
    for tag, entry in DicomDictionary.items()
    if tag >> 16 not in (0x0000, 0x0002) and entry[0] not in ("NONE",) and entry[4] not in NOT_SEARCHED
)
# In text that machines write a single name may be that of a maker or a method.
CERTAIN = ("HX-4711-08", "ACC20771", "19630517", "1963-05-17", "Quidditch, Harry", "harry_quidditch")
PLANTED = ("Quidditch", "QUIDDITCH", "Harry-Øyvind", "HX-4711-08", "ACC20771", "19630517", "1963-05-17", PHYSICIAN)
LENGTHS = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "PN": 64, "DS": 16, "IS": 12, "AS": 4, "DA": 8, "TM": 14, "DT": 26}
NUMBERS = frozenset({"FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "AT"})


def texts(vr: str, planted: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Strings with an identifier between other words."""
    words = st.sampled_from(["", "CT of ", "T2 tse/", "\t(", "x_"])
    ends = st.sampled_from(["", " 3 mm", ")", "_x", "^", "; left"])
    made = st.tuples(words, st.sampled_from(planted), ends).map("".join)
    short = st.sampled_from(planted)
    length = LENGTHS.get(vr)
    cut = (made | short).map(lambda text: text[:length])
    return cut.filter(lambda text: any(identifier in text for identifier in planted))


@st.composite
def values(draw: st.DrawFn, tag: int, vr: str, depth: int) -> bytes | list[Elements]:
    """A value of a VR, or what people write there."""
    if vr == "SQ":
        return draw(st.lists(datasets(depth - 1), max_size=2)) if depth else []
    if vr in NUMBERS:
        return bytes(8)
    if vr == "UI":
        return draw(
            st.sampled_from([b"1.2.3.4", b"1.2.840.10008.5.1.4.1.1.2", b"HX-4711-08", b"1.2.840.10008.HX-4711-08"])
        )
    if vr in ("DA", "DT", "AS", "TM"):
        return draw(st.sampled_from([b"19630517", b"HX-4711-08"]))
    count = draw(st.integers(1, 2)) if vr in ("LO", "SH", "CS", "PN", "DS", "IS") else 1
    expected = dictionary_VR(tag).partition(" ")[0]
    is_typed = row_of(tag) is not None or is_typed_by_people(keyword_for_tag(tag), expected)
    planted = PLANTED if is_typed or expected in ("OB", "PN", "AE") else CERTAIN
    return "\\".join(draw(texts(vr, planted)) for _ in range(count)).encode()


@st.composite
def datasets(draw: st.DrawFn, depth: int = 2) -> Elements:
    """The elements of a dataset with any attributes, some with a VR that they should not have."""
    found: Elements = {}
    for tag in draw(st.lists(st.sampled_from(ATTRIBUTES), max_size=12, unique=True)):
        vr = dictionary_VR(tag).partition(" ")[0]
        if draw(st.integers(0, 9)) == 0:
            vr = draw(st.sampled_from(["UN", "LO", "OB", "CS", "DS", "PN", "UI", "DA", "UT"]))
        found[tag] = (vr, draw(values(tag, vr, depth)))
    if draw(st.booleans()):
        creator = draw(st.sampled_from([b"SIEMENS MR HEADER", b"QUIDDITCH"]))
        found |= {0x00190010: ("LO", creator), 0x0019100D: ("CS", b"QUIDDITCH"), 0x00191008: ("LO", b"Quidditch")}
    return found


def encoded(found: Elements, *, implicit: bool) -> bytes:
    """The bytes of a dataset, little endian (PS3.5, section 7.1), whatever its values are."""
    parts = []
    for tag, (vr, value) in sorted(found.items()):
        if isinstance(value, list):
            items = (encoded(item, implicit=implicit) for item in value)
            value = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
        value += b" " * (len(value) % 2)
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if implicit:
            head += struct.pack("<I", len(value))
        elif vr in EXPLICIT_VR_LENGTH_32:
            head += vr.encode() + struct.pack("<HI", 0, len(value))
        else:
            head += vr.encode() + struct.pack("<H", len(value))
        parts.append(head + value)
    return b"".join(parts)


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """A file of a patient."""
    found = draw(datasets())
    found |= {
        0x00080005: ("CS", b"ISO_IR 192"),
        0x00080016: ("UI", CTImageStorage.encode()),
        0x00080018: ("UI", b"1.2.3.4.5"),
        0x00080050: ("SH", ACCESSION.encode()),
        0x00080090: ("PN", f"{PHYSICIAN}^A".encode()),
        0x00100010: ("PN", f"{FAMILY}^{GIVEN}".encode()),
        0x00100020: ("LO", PATIENT_ID.encode()),
        0x00100030: ("DA", BIRTH_DATE.encode()),
        0x0020000D: ("UI", b"1.2.3.4"),
    }
    implicit = draw(st.booleans())
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta = encoded({0x00020010: ("UI", syntax.encode() + b"\0" * (len(syntax) % 2))}, implicit=False)
    return bytes(128) + b"DICM" + meta + encoded(found, implicit=implicit)


# What an option keeps unchanged is kept with whatever was typed into it.
CLEANING = [option for option in Option if option.value.startswith("clean") or option in DATE_OPTIONS]
OPTIONS = st.sets(st.sampled_from([*CLEANING, Option.RETAIN_SAFE_PRIVATE])).filter(
    lambda some: not some >= DATE_OPTIONS
)


@settings(max_examples=examples(60, thorough=4000), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=objects(), options=OPTIONS)
def test_no_identifier_is_found_in_what_is_written(content: bytes, options: set[Option]) -> None:
    before = pydicom.dcmread(io.BytesIO(content))
    after, _ = deidentify_dataset(before, Profile.of(options), PlainIdentity())
    buffer = io.BytesIO()
    with quiet():
        pydicom.dcmwrite(buffer, after, enforce_file_format=True)
    written = buffer.getvalue().decode("utf-8", "replace").casefold()
    dates_stay = Option.RETAIN_FULL_DATES in options
    for trace in TRACES:
        assert trace not in written or (dates_stay and trace[:4] == "1963"), (trace, str(after))
    again = pydicom.dcmread(io.BytesIO(buffer.getvalue()))
    with quiet():
        assert [(element.tag, element.VR) for element in again.iterall()] == [(e.tag, e.VR) for e in after.iterall()]


@settings(max_examples=examples(20, thorough=500), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=objects())
def test_the_object_that_was_read_does_not_change(content: bytes) -> None:
    before = pydicom.dcmread(io.BytesIO(content))
    deidentify_dataset(before, Profile.of(), PlainIdentity())
    unread = pydicom.dcmread(io.BytesIO(content))
    assert elements.stored_elements(before) == elements.stored_elements(unread)
