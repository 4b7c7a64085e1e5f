"""Characters that a SpecificCharacterSet cannot hold are refused before pydicom replaces them by question marks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from simple_orthanc import Folder, SelectionError
from simple_orthanc.files.characters import check_characters, warn_of_unknown_character_sets
from simple_orthanc.files.detection import dataset_bytes, object_uid
from simple_orthanc.files.parsing import parse_file, parse_header
from simple_orthanc.phantom import make_series

UTF8 = "ISO_IR 192"


def dataset(charset: Any = None, **values: Any) -> Dataset:
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    if charset is not None:
        made.SpecificCharacterSet = charset
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def item(charset: str | None = None, **values: Any) -> Dataset:
    made = dataset(charset, **values)
    del made.SOPClassUID, made.SOPInstanceUID
    return made


def read(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content))


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (None, "Doe^Jane"),
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Люкceмбypг"),
        (UTF8, "Иванов^Иван=山田^太郎=Ü"),
        ("GB18030", "王^小东=山田"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 6", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (["ISO 2022 IR 100", "ISO 2022 IR 144"], "Müller=Иванов"),
    ],
)
def test_what_the_character_set_holds_is_written_and_read_again(charset: Any, name: str) -> None:
    content = dataset_bytes(dataset(charset, PatientName=name, PatientComments=name, OtherPatientNames=[name, "A"]))
    held = read(content)
    assert (str(held.PatientName), held.PatientComments) == (name, name)


@pytest.mark.parametrize(
    ("charset", "values", "tag", "character"),
    [
        ("ISO_IR 100", {"PatientName": "Иванов^Иван"}, "PatientName (0010,0010)", "И"),
        ("ISO_IR 100", {"PatientName": "Ivanov^Ivan=Иванов"}, "PatientName (0010,0010)", "И"),
        ("ISO_IR 100", {"OtherPatientNames": ["Doe", "山田"]}, "OtherPatientNames (0010,1001)", "山"),
        (None, {"SeriesDescription": "Schädel"}, "SeriesDescription (0008,103E)", "ä"),
        ("ISO_IR 6", {"StudyDescription": "Größe"}, "StudyDescription (0008,1030)", "ö"),
        ("ISO_IR 144", {"ImageComments": "Ünlü"}, "ImageComments (0020,4000)", "Ü"),
        (["", "ISO 2022 IR 87"], {"PatientName": "Yamada=山田=ü"}, "PatientName (0010,0010)", "ü"),
        (["ISO 2022 IR 6", "ISO 2022 IR 149"], {"PatientComments": "안녕 𠀀"}, "PatientComments (0010,4000)", "𠀀"),
        ("ISO_IR 13", {"InstitutionName": "東京"}, "InstitutionName (0008,0080)", "東"),
    ],
)
def test_what_it_cannot_hold_is_refused_by_name(charset: Any, values: dict[str, Any], tag: str, character: str) -> None:
    made = dataset(charset, **values)
    with pytest.raises(SelectionError) as caught:
        dataset_bytes(made)
    shown = "missing" if charset is None else charset if isinstance(charset, str) else charset[1]
    assert tag in str(caught.value)
    assert repr(character) in str(caught.value)
    assert shown in str(caught.value)
    # What the message proposes.
    made.SpecificCharacterSet = UTF8
    (keyword,) = values
    assert read(dataset_bytes(made))[keyword].value == made[keyword].value


def test_items_of_sequences_are_looked_through() -> None:
    inner = item(CodeMeaning="Schädel")
    made = dataset("ISO_IR 144", RequestAttributesSequence=[item(), item(ScheduledProtocolCodeSequence=[inner])])
    with pytest.raises(
        SelectionError, match=r"RequestAttributesSequence\[1\]\.ScheduledProtocolCodeSequence\[0\]\.CodeMeaning"
    ):
        dataset_bytes(made)
    inner.SpecificCharacterSet = "ISO_IR 100"
    held = read(dataset_bytes(made))
    assert held.RequestAttributesSequence[1].ScheduledProtocolCodeSequence[0].CodeMeaning == "Schädel"


def test_private_strings_are_looked_at() -> None:
    made = dataset("ISO_IR 100")
    made.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "Иван")
    with pytest.raises(SelectionError, match=r"\(0009,1001\) has the character 'И'"):
        dataset_bytes(made)


@pytest.mark.parametrize(("keyword", "value"), [("BodyPartExamined", "ГОЛОВА"), ("ImageType", ["ORIGINAL", "山"])])
def test_strings_without_a_character_set_hold_plain_characters(keyword: str, value: Any) -> None:
    made = dataset(UTF8)
    made.add_new(keyword, "LO", value)
    made[keyword].VR = "CS"
    with pytest.raises(SelectionError, match=f"{keyword}.*CS, holds ASCII characters alone"):
        dataset_bytes(made)


def latin_without_a_charset() -> Dataset:
    content = dataset_bytes(dataset("ISO_IR 100", PatientName="Müller", PatientComments="Größe"))
    at = content.index(b"\x08\x00\x05\x00CS")
    return read(content[:at] + content[at + 8 + 10 :])


def test_a_file_without_a_character_set_is_sent_as_it_was_read() -> None:
    made = latin_without_a_charset()
    assert "SpecificCharacterSet" not in made
    assert read(dataset_bytes(made)).PatientComments == "Größe"
    assert made.PatientComments == "Größe"  # accessed, so no longer bytes
    assert read(dataset_bytes(made)).PatientComments == "Größe"
    made.PatientComments = "山"
    with pytest.raises(SelectionError, match="PatientComments"):
        dataset_bytes(made)


def test_bytes_that_cannot_be_decoded_are_sent_as_they_were_read() -> None:
    content = dataset_bytes(dataset(UTF8, PatientName="Müller")).replace("Mü".encode(), b"M\xfc ")
    assert b"M\xfc ller" in dataset_bytes(read(content))


@pytest.mark.parametrize("charset", [b"ISO_IR 19Z", b"ISO-IR 192", b"ISO_IR100 "])
def test_an_unknown_character_set_is_named_once_with_its_object(charset: bytes) -> None:
    content = dataset_bytes(dataset(UTF8, PatientName="Doe")).replace(UTF8.encode(), charset)
    headers = [parse_file(content), parse_header(io.BytesIO(content), lambda tag, vr, length: tag > 0x00100010)]
    assert object_uid(content) == "1.2.3"
    shown = charset.decode().strip()
    with pytest.warns(UserWarning, match="no value that DICOM defines") as caught:
        warn_of_unknown_character_sets([*headers, dataset(UTF8)])
    assert [str(warning.message) for warning in caught] == [
        f"SpecificCharacterSet {shown!r} is no value that DICOM defines, in 2 of 3 objects, SOPInstanceUID 1.2.3 for "
        "one: their strings are read by a guess."
    ]


@pytest.mark.parametrize("charset", [None, "", UTF8, "ISO_IR 100", ["", "ISO 2022 IR 87"]])
def test_character_sets_that_dicom_defines_are_not(charset: Any) -> None:
    warn_of_unknown_character_sets([parse_file(dataset_bytes(dataset(charset)))])


def test_reading_in_other_ways_does_not_warn_of_it(tmp_path: Path) -> None:
    for number, image in enumerate(make_series((3, 4, 4), PatientName="Doe", SpecificCharacterSet=UTF8)):
        content = dataset_bytes(image).replace(UTF8.encode(), b"ISO_IR 19Z")
        (tmp_path / f"{number}.dcm").write_bytes(content)
    folder = Folder(tmp_path)
    assert folder.PatientNames == ["Doe"]
    assert folder.table("KVP", "PatientComments").shape == (1, 2)
    assert folder.get_volume().shape == (3, 4, 4)
    assert len(folder.volume_table()) == 1
    with pytest.warns(UserWarning, match="in 3 of 3 objects"):
        folder.get_headers()
    with pytest.warns(UserWarning, match="in 3 of 3 objects"):
        folder.get_instances()


def test_a_name_is_written_in_each_character_set_that_it_is_given() -> None:
    made = dataset("ISO_IR 100", PatientName="Müller")
    dataset_bytes(made)  # pydicom keeps these bytes with the name
    made.SpecificCharacterSet = UTF8
    assert str(read(dataset_bytes(made)).PatientName) == "Müller"


def test_a_new_value_in_a_file_that_was_read() -> None:
    content = dataset_bytes(dataset("ISO_IR 100", PatientName="Müller", PatientComments="Größe"))
    made = read(content)
    made.PatientName = "Иванов"
    with pytest.raises(SelectionError, match=r"read the file again, call dataset\.decode\(\), and set"):
        dataset_bytes(made)
    made = read(content)
    made.decode()
    made.SpecificCharacterSet = UTF8
    made.PatientName = "Иванов"
    held = read(dataset_bytes(made))
    assert (str(held.PatientName), held.PatientComments) == ("Иванов", "Größe")


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("accessed", [False, True])
def test_a_character_set_that_was_changed_after_reading(nested: bool, accessed: bool) -> None:
    values: dict[str, Any] = {"PatientComments": "Größe"}
    if nested:
        values = {"RequestAttributesSequence": Sequence([item(ScheduledProcedureStepDescription="Schädel")])}
    content = dataset_bytes(dataset("ISO_IR 100", **values))
    made = read(content)
    if accessed:
        assert made[next(iter(values))].value
    made.SpecificCharacterSet = UTF8
    if accessed and not nested:
        assert read(dataset_bytes(made)).PatientComments == "Größe"
        return
    with pytest.raises(SelectionError, match=r"read the file again, call dataset\.decode\(\)"):
        dataset_bytes(made)
    made = read(content)
    made.decode()
    made.SpecificCharacterSet = UTF8
    held = read(dataset_bytes(made))
    if nested:
        assert held.RequestAttributesSequence[0].ScheduledProcedureStepDescription == "Schädel"
    else:
        assert held.PatientComments == "Größe"


def test_nothing_is_changed_or_warned_about() -> None:
    made = dataset("ISO_IR 100", PatientName="Müller", RequestAttributesSequence=[item(StudyID="1")])
    before = made.to_json()
    check_characters(made)
    check_characters(Dataset())
    assert made.to_json() == before
