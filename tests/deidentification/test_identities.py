"""The identity of one patient, from a key: the same wherever the patient occurs."""

from __future__ import annotations

from simple_orthanc.deidentification.identities import KeyedIdentity
from simple_orthanc.deidentification.keys import Key
from simple_orthanc.deidentification.pseudonyms import Pseudonyms

KEY = Key("correct horse battery staple")


def test_one_patient_is_one_person_in_every_run() -> None:
    first, second = (KeyedIdentity(Pseudonyms(KEY), patient, 365) for patient in ("4711", "4711 "))
    other = KeyedIdentity(Pseudonyms(KEY), "4712", 365)
    assert first.patient_id == first.patient_name == second.patient_id != other.patient_id
    assert first.days == second.days != other.days
    assert first.uid("1.2.3") == other.uid("1.2.3"), "a UID is the same, whoever refers to it"
    assert first.identifier("AccessionNumber", "42") == other.identifier("AccessionNumber", "42 ") != "42"
    assert first.identifier("StudyID", "42") != first.identifier("AccessionNumber", "42")
    assert first.identifier("StudyID", " ") == ""


def test_dates_and_ages() -> None:
    identity = KeyedIdentity(Pseudonyms(KEY), "4711", 1)
    assert identity.date("20200115", "DA") == f"202001{15 + identity.days}"
    assert identity.date("1030", "TM") == "1030"
    assert identity.date("yesterday", "DA") is None
    assert (identity.age("093Y"), identity.age("old")) == ("090Y", None)
