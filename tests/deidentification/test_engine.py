"""A dataset and its items, as files hold them."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from simple_orthanc import limits
from simple_orthanc.deidentification.engine import Change, deidentify_dataset
from simple_orthanc.deidentification.profile import Action, Option, Profile
from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import SelectionError, UnsupportedError
from tests.deidentification.identities import PlainIdentity
from tests.deidentification.objects import read, written

BASIC, IDENTITY = Profile.of(), PlainIdentity()
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def scan(**values: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = CTImageStorage, "1.2.3.4", "CT"
    dataset.PatientName, dataset.PatientID = "Quidditch^Harry", "HX-4711"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def become(dataset: Dataset, profile: Profile = BASIC) -> Dataset:
    return deidentify_dataset(dataset, profile, IDENTITY)[0]


def changes(dataset: Dataset, profile: Profile = BASIC) -> dict[str, Change]:
    return {change.path: change for change in deidentify_dataset(dataset, profile, IDENTITY)[1]}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_each_transfer_syntax_comes_back(syntax: str) -> None:
    before = scan(StudyDescription="of Harry", SliceThickness="1.50", Rows=512, PixelPaddingValue=7)
    before.PixelRepresentation = 0
    before.RequestAttributesSequence = [Dataset()]
    before.ReferencedSeriesSequence = [Dataset()]
    before.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3"
    before.file_meta.TransferSyntaxUID = syntax
    again = read(written(become(read(written(before)), Profile.of(["clean_descriptors"]))))
    assert again.file_meta.TransferSyntaxUID == syntax
    assert (again.PatientName, again.StudyDescription, again.Rows) == ("S-0001", "of", 512)
    assert str(again.SliceThickness) == "1.50"
    assert again.PixelPaddingValue == 7
    assert again.ReferencedSeriesSequence[0].SeriesInstanceUID == IDENTITY.uid("1.2.3")
    content = written(again)
    if syntax == DeflatedExplicitVRLittleEndian:
        content += zlib.decompress(content[content.index(b"SIMPLE_ORTHANC") + 14 :], -zlib.MAX_WBITS)
    assert b"quidditch" not in content.lower()


@pytest.mark.parametrize(
    ("charset", "name", "text", "cleaned"),
    [
        ("ISO_IR 100", "Müller^Jürgen", "Knie von Jürgen Müller", "Knie von"),
        ("ISO_IR 192", "Øystein^Ærø", "MR øystein ÆRØ", "MR"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎の頭部", "の頭部"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "길동 CT", "CT"),
        ("GB18030", "Wang^XiaoDong=王^小东", "小东 CT 头部", "CT 头部"),
        ("ISO_IR 144", "Люкceмбypг^Роза", "КТ РОЗА", "КТ"),
    ],
)
def test_names_are_found_in_their_character_sets(charset: str | list[str], name: str, text: str, cleaned: str) -> None:
    before = scan(SpecificCharacterSet=charset, PatientName=name, SeriesDescription=text)
    again = read(written(become(read(written(before)), Profile.of(["clean_descriptors"]))))
    assert again.SeriesDescription == cleaned
    assert again.get("SpecificCharacterSet") == read(written(before)).SpecificCharacterSet
    assert again.PatientName == "S-0001"


def test_text_that_does_not_change_is_the_same_bytes() -> None:
    before = read(written(scan(SpecificCharacterSet="ISO_IR 100", Manufacturer="Müller AG", ProtocolName="Knie")))
    stored = dict(elements.stored_elements(before))
    after = become(before, Profile.of(["clean_descriptors"]))
    for keyword in ("Manufacturer", "ProtocolName", "Modality"):
        tag = elements.tag_of(keyword)
        assert isinstance(elements.stored_elements(after)[tag], RawDataElement)
        assert elements.stored_elements(after)[tag] is stored[tag]


def test_values_at_any_depth_are_treated_alike() -> None:
    innermost = Dataset()
    innermost.PatientName = innermost.PatientComments = "Quidditch"
    for _ in range(limits.nesting - 1):
        outer = Dataset()
        outer.ReferencedSeriesSequence = [innermost]
        innermost = outer
    before = scan()
    before.ReferencedSeriesSequence = [innermost]
    found = changes(before)
    deepest = "ReferencedSeriesSequence[0]." * limits.nesting
    assert found[f"{deepest}PatientName"].outcome == "changed"
    assert found[f"{deepest}PatientComments"].outcome == "removed"
    outermost = scan()
    outermost.ReferencedSeriesSequence = [before]
    with pytest.raises(UnsupportedError, match=r"limits\.nesting"):
        deidentify_dataset(outermost, BASIC, IDENTITY)


def test_empty_values_stay_empty() -> None:
    before = scan(PatientName="", StudyDate="", ContrastBolusAgent="", FrameOfReferenceUID="", StudyDescription="")
    before.ReferencedStudySequence = []
    found = changes(before)
    assert {found[name].outcome for name in ("PatientName", "StudyDate", "FrameOfReferenceUID")} == {"kept"}
    after = become(before)
    assert (after.PatientName, after.StudyDate, after.FrameOfReferenceUID) == ("", "", "")
    assert "StudyDescription" not in after


def test_each_of_many_values_is_changed() -> None:
    before = scan(
        OperatorsName=["A^B", "C^D"], ScanOptions=["FAT", "HARRY_QUIDDITCH"], ImageType=["ORIGINAL", "PRIMARY"]
    )
    before.SOPClassUID = "1.2.3"
    after = become(before)
    assert list(after.OperatorsName) == ["REMOVED", "REMOVED"]
    assert list(after.ScanOptions) == ["FAT", "REMOVED"]
    assert list(after.ImageType) == ["ORIGINAL", "PRIMARY"]


def test_large_values_are_not_copied() -> None:
    before = scan(Rows=1000, Columns=1000)
    before.add_new(0x7FE00010, "OW", bytes(2_000_000))
    assert become(before).PixelData is before.PixelData


def test_values_that_are_still_in_the_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "deferred.dcm"
    before = scan()
    before.add_new(0x7FE00010, "OW", bytes(range(256)) * 40)
    path.write_bytes(written(before))
    after = become(pydicom.dcmread(path, defer_size=1000))
    assert read(written(after)).PixelData == bytes(range(256)) * 40


def test_what_cannot_be_read_is_removed() -> None:
    before = scan()
    tag = elements.tag_of("SliceThickness")
    elements.store(before, RawDataElement(tag, "DS", 5, b"1.5mm", 0, False, True))
    rows = elements.tag_of("Rows")
    elements.store(before, RawDataElement(rows, "US", 3, b"abc", 0, False, True))
    items = elements.tag_of("ReferencedSeriesSequence")
    elements.store(before, RawDataElement(items, "SQ", 3, b"abc", 0, False, True))
    with quiet():
        found = changes(before)
    assert [found[name].outcome for name in ("Rows", "ReferencedSeriesSequence")] == ["removed"] * 2
    # A string that is no number becomes an empty one.
    assert found["SliceThickness"].outcome == "changed"


def test_elements_of_unknown_vr_are_read_by_the_dictionary_or_removed() -> None:
    before = scan(Manufacturer="x", StudyDescription="x", SliceThickness="1", ReferencedSeriesSequence=[Dataset()])
    for keyword, content in {
        "Manufacturer": b"Harry Quidditch ",
        "StudyDescription": b"Knee of Harry ",
        "SliceThickness": b"1.5 ",
        "Rows": b"\0\2",
        "PatientComments": b"Quidditch ",
    }.items():
        tag = elements.tag_of(keyword)
        elements.store(before, RawDataElement(tag, "UN", len(content), content, 0, False, True))
    unknown = BaseTag(0x00180FFE)
    elements.store(before, RawDataElement(unknown, "UN", 10, b"Quidditch ", 0, False, True))
    after = become(before, Profile.of(["clean_descriptors"]))
    assert (after.Manufacturer, after.StudyDescription, after.Rows) == ("REMOVED", "Knee of", 512)
    assert after.SliceThickness == 1.5
    assert unknown not in after
    assert b"quidditch" not in written(after).lower()


@pytest.mark.parametrize("keyword", ["Rows", "SmallestImagePixelValue", "LUTData"])
def test_a_number_whose_bytes_spell_an_identifier_is_removed(keyword: str) -> None:
    before, tag = scan(), elements.tag_of(keyword)
    elements.store(before, RawDataElement(tag, "UN", 8, b"HX-4711 ", 0, False, True))
    assert tag not in become(before)


def test_pixels_in_items_are_removed() -> None:
    before, inner = scan(), Dataset()
    inner.BitsAllocated, inner.PixelData = 8, b"QUIDDITCH "
    before.PerFrameFunctionalGroupsSequence, before.IconImageSequence = [inner], [inner]
    after = become(before)
    assert "PixelData" not in after.PerFrameFunctionalGroupsSequence[0]
    kept = become(before, Profile.of(keep=[elements.tag_of("IconImageSequence")]))
    assert kept.IconImageSequence[0].PixelData == inner.PixelData


def test_group_lengths_are_left_out() -> None:
    before = scan()
    before.add_new(0x00080000, "UL", 100)
    assert 0x00080000 not in become(before)


def test_the_user_decides_about_single_attributes() -> None:
    inner = Dataset()
    inner.StudyDescription, inner.Manufacturer, inner.InstitutionName = "Harry", "Siemens", "Saint Hilda"
    before = scan(StudyDescription="of Harry", Manufacturer="Siemens", InstitutionName="Saint Hilda", KVP="120")
    before.ReferencedSeriesSequence = [inner]
    tags = {keyword: int(elements.tag_of(keyword)) for keyword in ("StudyDescription", "Manufacturer", "KVP")}
    profile = Profile.of(
        keep=[tags["StudyDescription"]], remove=[tags["Manufacturer"]], replace={tags["KVP"]: "100", 0x00080080: "here"}
    )
    after = become(before, profile)
    for dataset in (after, after.ReferencedSeriesSequence[0]):
        assert dataset.StudyDescription.endswith("Harry")
        assert "Manufacturer" not in dataset
        assert dataset.InstitutionName == "here"
    assert after.KVP == 100
    assert changes(before, profile)["KVP"] == Change("KVP", tags["KVP"], Action.DUMMY, "changed")


def test_a_private_element_that_is_kept_keeps_its_creator() -> None:
    before = scan()
    for block in (0x10, 0x11):
        before.add_new(0x00090000 | block, "LO", f"MAKER {block}")
        before.add_new(0x00090001 | block << 8, "LO", "a")
        before.add_new(0x00090002 | block << 8, "LO", "b")
    after = become(before, Profile.of(keep=[0x00091101]))
    assert [int(element.tag) for element in after if element.tag.is_private] == [0x00090011, 0x00091101]
    after = become(before, Profile.of(replace={0x00091002: "c"}))
    assert after.private_block(0x0009, "MAKER 16")[0x02].value == "c"


def test_a_value_for_a_private_element_must_fit_its_vr() -> None:
    before = scan()
    before.add_new(0x00090010, "LO", "MAKER")
    before.add_new(0x00091001, "IS", "5")
    assert become(before, Profile.of(replace={0x00091001: "7"}))[0x00091001].value == 7
    with pytest.raises(SelectionError, match=r"\(0009,1001\)"):
        become(before, Profile.of(replace={0x00091001: "seven"}))


def test_a_patient_in_an_item_is_another_unless_the_id_is_the_same() -> None:
    before = scan()
    before.ReferencedSeriesSequence = [Dataset(), Dataset()]
    before.ReferencedSeriesSequence[0].PatientID = "HX-4711"
    before.ReferencedSeriesSequence[1].PatientID = "another"
    after = become(before)
    found = [after.PatientID, *(item.PatientID for item in after.ReferencedSeriesSequence)]
    assert found == ["S-0001", "S-0001", "REMOVED"]


def test_references_stay_where_the_iod_requires_them() -> None:
    image = Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3.5"
    before = scan(ReferencedImageSequence=[image], SourceImageSequence=[image])
    # Type 3 in CT Image; retained with its option.
    assert "ReferencedImageSequence" not in become(before)
    kept = become(before, Profile.of(["retain_uids"]))
    assert kept.ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.5"
    # Type 1 in the Presentation State Relationship module.
    series = Dataset()
    series.ReferencedImageSequence = [image]
    before = scan(SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1", ReferencedSeriesSequence=[series])
    reference = become(before).ReferencedSeriesSequence[0].ReferencedImageSequence[0]
    assert reference.ReferencedSOPInstanceUID == IDENTITY.uid("1.2.3.5")
    assert reference.ReferencedSOPClassUID == CTImageStorage


def test_a_transfer_syntax_is_found_without_file_meta() -> None:
    before = scan()
    del before.file_meta
    assert become(before).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    before.set_original_encoding(True, True)
    assert become(before).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    before.set_original_encoding(False, False)
    assert become(before).file_meta.TransferSyntaxUID == ExplicitVRBigEndian


FILES = sorted(
    path
    for folder in ("test_files", "charset_files")
    for path in (Path(pydicom.__file__).parent / "data" / folder).glob("*.dcm")
)


@pytest.mark.parametrize("options", [(), tuple(option for option in Option if option is not Option.RETAIN_FULL_DATES)])
def test_files_of_every_kind_keep_their_pixels(options: tuple[Option, ...]) -> None:
    profile = Profile.of(options)
    assert len(FILES) > 70
    for path in FILES:
        with quiet():
            before = pydicom.dcmread(path, force=True)
            after, _ = deidentify_dataset(before, profile, IDENTITY)
            buffer = io.BytesIO()
            pydicom.dcmwrite(buffer, after, enforce_file_format=bool(after.get("SOPClassUID")))
            for element in after.iterall():
                assert element.VR != "PN" or str(element.value) in ("", "REMOVED", "S-0001"), path
            assert after.get("PixelData") == before.get("PixelData"), path
            if after.get("SOPClassUID"):
                buffer.seek(0)
                assert [e.tag for e in pydicom.dcmread(buffer).iterall()] == [e.tag for e in after.iterall()], path


def test_an_element_whose_vr_is_not_known_where_it_is_written_is_converted() -> None:
    # Its dataset is read as if it were explicit, element by element implicit.
    path = get_testdata_file("SC_rgb_jpeg.dcm")
    with quiet():
        before = pydicom.dcmread(str(path))
    assert any(isinstance(e, RawDataElement) and e.VR is None for e in elements.stored_elements(before).values())
    again = read(written(become(before)))
    assert list(again.ImageType) == ["DERIVED", "SECONDARY", "OTHER"]


def test_the_elements_of_both_datasets_are_apart() -> None:
    before = scan(ImageType=["ORIGINAL", "PRIMARY"])
    after = become(before)
    after.ImageType = "DERIVED"
    after.add(DataElement(0x00080060, "CS", "MR"))
    assert list(before.ImageType) == ["ORIGINAL", "PRIMARY"]
    assert before.Modality == "CT"
