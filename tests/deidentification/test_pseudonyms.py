"""Pseudonyms and UIDs from a key: the same on any machine, and refused where two patients would become one."""

from __future__ import annotations

import hashlib
import hmac
import re
from uuid import UUID

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID

from simple_orthanc.deidentification.keys import Key
from simple_orthanc.deidentification.pseudonyms import Pseudonyms, characters, patient_of, read_given
from simple_orthanc.deidentification.uids import is_registered
from simple_orthanc.dicom.tags import PADDING
from simple_orthanc.errors import SelectionError
from tests.examples import examples

SECRET = "correct horse battery staple"


def test_what_a_key_makes_is_fixed() -> None:
    """Computed here once more from the definition of HMAC-SHA256, so that another version does not change it."""
    pseudonyms = Pseudonyms(Key(SECRET))

    def digest(*parts: str) -> bytes:
        message = b"".join(
            len(part.encode()).to_bytes(8, "big") + part.encode()
            for part in ("simple_orthanc deidentification 1", *parts)
        )
        return hmac.new(SECRET.encode(), message, hashlib.sha256).digest()

    bits = "".join(f"{byte:08b}" for byte in digest("PatientID", "4711"))
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    expected = "".join(alphabet[int(bits[start : start + 5], 2)] for start in range(0, 60, 5))
    assert pseudonyms.patient("4711") == f"S-{expected}" == "S-RFGARXZKJBN7"
    number = int.from_bytes(digest("UID", "1.2.3")[:16], "big")
    uuid = UUID(int=int(pseudonyms.uid("1.2.3").removeprefix("2.25.")))
    assert pseudonyms.uid("1.2.3") == "2.25.94797610591028762594248637389850586117"
    different = uuid.int ^ number
    assert different & ~(0xF << 76 | 3 << 62) == 0, "only version and variant are not of the digest"
    assert (uuid.int >> 76 & 0xF, uuid.variant) == (8, "specified in RFC 4122")


@settings(max_examples=examples(60))
@given(st.text(max_size=80))
def test_uids_are_valid_and_different(text: str) -> None:
    pseudonyms = Pseudonyms(Key(SECRET))
    stripped = text.strip(PADDING)
    uid = pseudonyms.uid(text)
    if stripped and not is_registered(stripped):
        assert UID(uid).is_valid
        assert uid.startswith("2.25.")
        assert pseudonyms.uid(text + "1") != uid
        assert Pseudonyms(Key(SECRET.upper())).uid(text) != uid
    else:
        assert uid == stripped


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2", "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.4.1.1"])
def test_uids_that_the_standard_assigns_stay(uid: str) -> None:
    pseudonyms = Pseudonyms(Key(SECRET))
    assert pseudonyms.uid(uid + "\0") == uid
    assert not pseudonyms.uids
    assert pseudonyms.uid("1.2.840.100081.1") != "1.2.840.100081.1"


def test_kinds_of_identifiers_do_not_match() -> None:
    pseudonyms = Pseudonyms(Key(SECRET))
    texts = {pseudonyms.text(name, "42") for name in ("PatientID", "AccessionNumber", "StudyID")}
    assert len(texts) == 3
    assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{12}", text) for text in texts)


def test_padding_does_not_make_another_patient() -> None:
    pseudonyms = Pseudonyms(Key(SECRET), prefix="")
    assert pseudonyms.patient(" 4711 ") == pseudonyms.patient("4711\0") == pseudonyms.patient("4711")
    assert list(pseudonyms.patients) == ["4711"]
    assert pseudonyms.patient("a") != pseudonyms.patient("A")


def test_given_pseudonyms_come_first() -> None:
    pseudonyms = Pseudonyms(Key(SECRET), given={"4711": "S01"})
    assert pseudonyms.patient("4711 ") == "S01"
    assert pseudonyms.patient("4712") == Pseudonyms(Key(SECRET)).patient("4712")


@pytest.mark.parametrize(
    ("pseudonyms", "message"),
    [
        ({"1": "A", "2": "A"}, "two patients"),
        ({"1": "A", "2": "a"}, "two patients"),
        ({"1": "2", "2": "B"}, "one of the PatientIDs"),
        ({"1": "1"}, "one of the PatientIDs"),
        ({"1": ""}, "is empty"),
        ({"1": " A"}, "begins or ends"),
        ({"1": "A^B"}, "holds a character"),
        ({"1": "A\\B"}, "holds a character"),
        ({"1": "S*"}, "holds a character"),
        ({"1": "Jürgen"}, "holds a character"),
        ({"1": "A\nB"}, "holds a character"),
        ({"1": "A" * 65}, "longer than 64"),
    ],
)
def test_pseudonyms_that_cannot_be_are_refused(pseudonyms: dict[str, str], message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        Pseudonyms(Key(SECRET), given=pseudonyms)


@pytest.mark.parametrize("prefix", [" ", "a^", "x" * 53, "ä", None, "*"])
def test_prefixes_that_cannot_be_are_refused(prefix: str) -> None:
    with pytest.raises(SelectionError, match="prefix="):
        Pseudonyms(Key(SECRET), prefix=prefix)


def test_a_given_pseudonym_that_the_key_makes_too_is_refused() -> None:
    made = Pseudonyms(Key(SECRET)).patient("4711")
    pseudonyms = Pseudonyms(Key(SECRET), given={"42": made.lower()})
    with pytest.raises(SelectionError, match="Two patients would get") as raised:
        pseudonyms.patient("4711")
    assert "4711" not in str(raised.value)


def test_patients_without_an_identifier_stay_apart() -> None:
    names = [patient_of("", "Doe^Jane", "19700101"), patient_of("", "Doe^Jane", "19710101"), patient_of("", "Doe^John")]
    assert len({*names, patient_of("", study="1.2"), patient_of(" ", "^^", study="1.3")}) == 5
    assert patient_of("4711", "Doe^Jane", "19700101", "1.2") == "4711"


def test_given_pseudonyms_are_read_from_tables() -> None:
    table = pd.DataFrame({"kind": ["PatientID", "UID"], "old": ["4711 ", "1.2"], "new": ["S01", "2.25.1"]})
    assert (
        read_given(table) == {"4711": "S01"} == read_given(table[["old", "new"]].head(1)) == read_given({"4711": "S01"})
    )
    assert read_given(None) == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (pd.DataFrame({"PatientID": ["1"], "new": ["A"]}), "without the column old"),
        (pd.DataFrame({"a": ["1"]}), "without the columns new and old"),
        ({4711: "S01"}, "of type int"),
        ({"4711": None}, "of type NoneType"),
        ({"4711": "S01", "4711 ": "S02"}, "one PatientID twice"),
        (["4711"], "this is a list"),
    ],
)
def test_other_shapes_are_refused(wrong: object, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        read_given(wrong)


def test_characters_are_the_first_bits() -> None:
    assert characters(b"\xff" * 32, 12) == "Z" * 12
    assert characters(bytes(32), 3) == "000"
