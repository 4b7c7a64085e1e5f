"""From a file to its copy: the same bytes each time, with an identity of its own for each patient."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pydicom
import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset

from simple_orthanc.deidentification import copies
from simple_orthanc.deidentification.copies import Deidentifier
from simple_orthanc.deidentification.keys import Key
from simple_orthanc.deidentification.profile import Profile
from simple_orthanc.deidentification.pseudonyms import Pseudonyms
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.phantom import as_bytes, make_series

_DATES = ("DA", "DT")
KEY = "correct horse battery staple"


def deidentifier(profile: Profile | None = None, most: int = 365) -> Deidentifier:
    return Deidentifier(profile or Profile.of(), Pseudonyms(Key(KEY)), most)


def image(**tags: object) -> Dataset:
    return make_series((1, 4, 4), seed=1, **tags)[0]


def read(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content))


def test_a_copy_is_the_same_each_time() -> None:
    content = as_bytes(image(PatientID="P1"))
    first, second = deidentifier().copy(content), deidentifier().copy(content)
    assert first == second
    assert first.without_content().content == b""
    copy = read(first.content)
    chain = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    assert tuple(str(copy[keyword].value) for keyword in chain) == first.identifiers
    assert (copy.PatientIdentityRemoved, copy.PatientName) == ("YES", first.identifiers[0])


@pytest.mark.parametrize("tags", [{"PatientID": ""}, {"PatientID": " ", "PatientName": ""}])
def test_a_patient_without_an_identifier_gets_one(tags: dict[str, str]) -> None:
    copy = deidentifier().copy(as_bytes(image(**tags)))
    assert copy.identifiers[0].startswith("S-")
    assert read(copy.content).PatientID == copy.identifiers[0]
    without = image(**tags)
    del without.PatientID
    assert deidentifier().copy(as_bytes(without)).identifiers == copy.identifiers


def test_what_the_caller_decided_about_the_patient_stays() -> None:
    kept = deidentifier(Profile.of(keep=[0x00100020])).copy(as_bytes(image(PatientID="")))
    assert kept.identifiers[0] == ""
    replaced = deidentifier(Profile.of(replace={0x00100020: "X1"})).copy(as_bytes(image(PatientID="P1")))
    assert replaced.identifiers[0] == "X1"


def test_a_patient_id_with_a_backslash_is_one_identifier() -> None:
    with pydicom.config.disable_value_validation():
        images = [image(PatientID=("A", "B")), image(PatientID=("A", "C")), image(PatientID="A")]
        made = {deidentifier().copy(as_bytes(each)).identifiers[0] for each in images}
    assert len(made) == 3


def test_the_key_table_has_what_was_replaced() -> None:
    maker = deidentifier(Profile.of(["retain_modified_dates"]), 10)
    original = image(PatientID="P1", StudyDate="20200115")
    copy = maker.copy(as_bytes(original))
    table = maker.key_table()
    (patient,) = table[table.kind == "PatientID"].itertuples()
    assert (patient.old, patient.new) == ("P1", copy.identifiers[0])
    assert read(copy.content).StudyDate == f"202001{15 + patient.shift_days:02}"
    uids = dict(zip(table.old, table.new, strict=True))
    assert uids[str(original.SOPInstanceUID)] == copy.identifiers[3]
    assert table[table.kind == "UID"].shift_days.isna().all()
    unmoved = deidentifier()
    unmoved.copy(as_bytes(original))
    assert unmoved.key_table().shift_days.isna().all()


def test_what_cannot_be_read_or_written_is_an_error() -> None:
    with pytest.raises((TransportError, SelectionError)):
        deidentifier().copy(as_bytes(image())[:300])
    without = image()
    del without.SOPClassUID
    stream = io.BytesIO()
    without.save_as(stream, enforce_file_format=False)
    with pytest.raises(SelectionError, match="SOPClassUID"):
        deidentifier().copy(stream.getvalue())


def test_values_that_pydicom_cannot_write_are_an_error_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(dataset: Dataset) -> bytes:
        raise ValueError(f"cannot pack {dataset.SOPInstanceUID}")

    monkeypatch.setattr(copies, "dataset_bytes", failing)
    with pytest.raises(SelectionError, match=r"cannot be written: ValueError of pydicom\Z"):
        deidentifier().copy(as_bytes(image()))


def test_all_dates_of_a_patient_are_moved_alike() -> None:
    """Each attribute of VR DA or DT in the dictionary, also in items, is moved by one number of days, or gone."""
    keywords = [(entry[4], entry[0]) for entry in DicomDictionary.values() if entry[4] and entry[0] in _DATES]
    original = image(PatientID="P1")
    item = Dataset()
    for number, (keyword, vr) in enumerate(keywords):
        day = date(2019, 12, 1) + timedelta(days=number)
        value = f"{day:%Y%m%d}" + ("235959.5+0100" if vr == "DT" else "")
        setattr(original, keyword, value)
        setattr(item, keyword, value)
    original.ProcedureStepProgressParametersSequence = [item]
    maker = deidentifier(Profile.of(["retain_modified_dates"]), 300)
    copy = read(maker.copy(as_bytes(original)).content)
    days = int(maker.key_table().shift_days[0])
    moved = 0
    for before, after in ((original, copy), (item, copy.ProcedureStepProgressParametersSequence[0])):
        for keyword, _ in keywords:
            if not after.get(keyword):
                continue
            old, new = str(before[keyword].value), str(after[keyword].value)
            assert new[8:] == old[8:]
            expected = date(int(old[:4]), int(old[4:6]), int(old[6:8])) + timedelta(days=days)
            assert new[:8] == f"{expected:%Y%m%d}", keyword
            moved += 1
    assert moved > 1.5 * len(keywords)
    assert not copy.PatientBirthDate
