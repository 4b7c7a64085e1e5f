"""Tags in every spelling."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydicom.datadict import keyword_dict, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag as PydicomTag

from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.tags import Step, Tag, TagLike, parse_attribute, parse_tag
from simple_orthanc.errors import SelectionError, UnknownTagError

KEYWORDS = sorted(keyword for keyword in keyword_dict if keyword)
DOSE = "RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose"
CREATED = '(0009,"GEMS_PETD_01",0D)'


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("SliceThickness", "SliceThickness"),
        (" SliceThickness ", "SliceThickness"),
        ("0018,0050", "SliceThickness"),
        ("(0018,0050)", "SliceThickness"),
        ("(0018, 0050)", "SliceThickness"),
        ("00180050", "SliceThickness"),
        ("0x00180050", "SliceThickness"),
        (0x00180050, "SliceThickness"),
        ((0x0018, 0x0050), "SliceThickness"),
        (PydicomTag(0x0018, 0x0050), "SliceThickness"),
        (Tag((Step(0x18, 0x50),)), "SliceThickness"),
        ("0008,103e", "SeriesDescription"),
        ("0009,100d", "0009,100D"),
        (CREATED, CREATED),
        ('0009,"GEMS_PETD_01",0d', CREATED),
        ("0009,xx0D,GEMS_PETD_01", CREATED),
        ("(0009,XX0d,GEMS_PETD_01)", CREATED),
        ((0x0009, "GEMS_PETD_01", 0x0D), CREATED),
        ((0x0009, "GEMS_PETD_01 ", 0x100D), CREATED),
        ("0029,xx10,SIEMENS CSA.HEADER", '(0029,"SIEMENS CSA.HEADER",10)'),
        (DOSE, DOSE),
        ("0054,0016[0].0018,1074", DOSE),
        ("RequestAttributesSequence.ScheduledProcedureStepID", "RequestAttributesSequence.ScheduledProcedureStepID"),
        (f"{CREATED}[2].PatientName", f"{CREATED}[2].PatientName"),
        ("0009,1001.CodeMeaning", "0009,1001.CodeMeaning"),
        ("7777,0010", "7777,0010"),
        ("0002,0010", "TransferSyntaxUID"),
    ],
)
def test_every_spelling_names_the_tag(spelling: TagLike, name: str) -> None:
    assert parse_tag(spelling).name == name
    assert str(parse_tag(spelling)) == name


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        " ",
        "PatientNme",
        "patientname",
        "Patient Name",
        "0018,005",
        "0018-0050",
        "RequestAttributesSequence[0]",
        "RequestAttributesSequence[-1].ScheduledProcedureStepID",
        "PatientName.PatientID",
        "PatientName[0].PatientID",
        "RequestAttributesSequence..ScheduledProcedureStepID",
        f"{DOSE}Typo",
        -1,
        2**32,
        True,
        None,
        1.5,
        ["PatientName"],
        (),
        (0x0018,),
        (0x0018, 0x0050, 1),
        (70000, 5),
        (0x0009, -1),
        (0x0009, "", 1),
        (0x0009, "GEMS_PETD_01", "0D"),
        (0x0009, "GEMS_PETD_01", 0x0D, 1),
        '(0009,"",0D)',
    ],
)
def test_an_invalid_tag_is_refused(spelling: TagLike) -> None:
    with pytest.raises(
        UnknownTagError,
        match=r"A tag is a keyword such as|A private tag is written|Did you mean|names an item|is not a sequence",
    ):
        parse_tag(spelling)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("PatientNme", "PatientName"),
        ("patientname", "PatientName"),
        ("SliceThicknes", "SliceThickness"),
        ("SerieDescription", "SeriesDescription"),
        ("SeriesUID", "SeriesInstanceUID"),
        ("seriesuid", "SeriesInstanceUID"),
        ("StudyUID", "StudyInstanceUID"),
        ("study_uid", "StudyInstanceUID"),
        ("InstanceUID", "SOPInstanceUID"),
        ("Name", "PatientName"),
        ("Description", "SeriesDescription"),
        ("Sex", "PatientSex"),
        ("Age", "PatientAge"),
        ("Thickness", "SliceThickness"),
        ("RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDoze", "RadionuclideTotalDose"),
    ],
)
def test_close_matches_are_named(misspelt: str, meant: str) -> None:
    with pytest.raises(UnknownTagError, match=f"Did you mean .*{meant}") as caught:
        parse_tag(misspelt)
    assert isinstance(caught.value, SelectionError)
    assert isinstance(caught.value, AttributeError)
    assert repr(misspelt) in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("(0009,GEMS_PETD_01,0D)", '(0009,"GEMS_PETD_01",0D)'),
        ("0009,GEMS_PETD_01,0D", '(0009,"GEMS_PETD_01",0D)'),
        ("(0009,'GEMS_PETD_01',0D)", '(0009,"GEMS_PETD_01",0D)'),
        ('(0009,"GEMS_PETD_01",100D)', '(0009,"GEMS_PETD_01",0D)'),
        ('(0009,"GEMS_PETD_01",D)', '(0009,"GEMS_PETD_01",0D)'),
        ('(0x2005,"Philips MR Imaging DD 001",0x100e)', '(2005,"Philips MR Imaging DD 001",0E)'),
        ('(0009,"GEMS_PETD_01")', '(0009,"GEMS_PETD_01",0D)'),
        ('(0009,"",0D)', '(0009,"CREATOR",0D)'),
        ("(0019,10a)", '(0019,"CREATOR",0A)'),
        ("0019,xx0c", '(0019,"CREATOR",0C)'),
        ((0x0009, "GEMS_PETD_01", "0D"), '(0009,"GEMS_PETD_01",0D)'),
    ],
)
def test_a_wrong_private_tag_is_answered_with_the_right_spelling(wrong: TagLike, right: str) -> None:
    with pytest.raises(UnknownTagError, match=re.escape(f"with its creator in quotes: {right}.")):
        parse_tag(wrong)
    assert parse_tag(right).name == right


@pytest.mark.parametrize("wrong", ["0018,005", "(0018,GEMS)", "GEMS_PETD_01", "Nonsense,0D"])
def test_what_is_not_private_is_not_answered_as_if_it_were(wrong: str) -> None:
    with pytest.raises(UnknownTagError, match=r"A tag is a keyword such as|Did you mean"):
        parse_tag(wrong)


def test_an_item_without_a_tag_in_it_is_explained() -> None:
    with pytest.raises(UnknownTagError, match=r"write RequestAttributesSequence\[0\]\.Keyword"):
        parse_tag("RequestAttributesSequence[0]")
    with pytest.raises(UnknownTagError, match=r"PatientName in 'PatientName\.PatientID' is not a sequence"):
        parse_tag("PatientName.PatientID")


NUMBERS = st.one_of(
    st.integers(0, 0xFFFFFFFF),
    st.sampled_from([0x60003000, 0x60023000, 0x50000010, 0x00080000, 0x7FE00010, 0xFFFCFFFC, 0x00000000]),
    st.sampled_from(KEYWORDS).map(lambda keyword: int(tag_for_keyword(keyword) or 0)),
)
CREATORS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=1, max_size=16)
PRIVATE = st.tuples(st.integers(4, 0x7FFF).map(lambda half: 2 * half + 1), CREATORS, st.integers(0, 0xFF))


@given(NUMBERS)
def test_the_name_of_any_number_reads_back_as_the_tag(number: int) -> None:
    tag = parse_tag(number)
    assert parse_tag(tag.name) == tag
    assert tag.leaf.number == number
    assert tag.keyword in ("", keyword_for_tag(number))


@given(PRIVATE)
def test_the_name_of_any_private_element_reads_back_as_the_tag(parts: tuple[int, str, int]) -> None:
    assume(parts[1].strip())
    tag = parse_tag(parts)
    assert parse_tag(tag.name) == tag
    assert tag.is_private


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(["RequestAttributesSequence", "0009,1001", CREATED]),
                st.from_regex(r"[A-Z ().]{1,8}", fullmatch=True).map(lambda creator: f'(0011,"A{creator}B",01)'),
            ),
            st.none() | st.integers(0, 12),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["CodeMeaning", "0009,100D", CREATED]),
)
def test_the_name_of_any_path_reads_back_as_the_tag(sequences: list[tuple[str, int | None]], leaf: str) -> None:
    path = ".".join([f"{name}[{item}]" if item is not None else name for name, item in sequences] + [leaf])
    tag = parse_tag(path)
    assert tag.name == path
    assert parse_tag(tag.name) == tag
    assert [step.item for step in tag.steps] == [item for _, item in sequences] + [None]


def test_the_members_of_a_repeating_group_are_different_tags() -> None:
    first, second = parse_tag("6000,3000"), parse_tag("6002,3000")
    assert first.name != second.name
    assert first.vr == second.vr == "OW"


@pytest.mark.parametrize(
    ("spelling", "vr", "multiple", "level"),
    [
        ("PatientName", "PN", False, "patient"),
        ("ImageType", "CS", True, "instance"),
        ("SliceThickness", "DS", False, "instance"),
        ("PixelSpacing", "DS", True, "instance"),
        ("SmallestImagePixelValue", "SS", False, "instance"),
        ("PixelData", "OW", False, "instance"),
        ("Modality", "CS", False, "series"),
        ("0009,100D", "UN", False, "instance"),
        (CREATED, "DT", False, "instance"),
        (DOSE, "DS", False, "series"),
        ("RequestAttributesSequence.ScheduledProcedureStepID", "SH", True, "series"),
        ("RequestAttributesSequence", "SQ", False, "series"),
    ],
)
def test_tags_have_the_vr_and_name_of_the_dictionary(spelling: str, vr: str, multiple: bool, level: str) -> None:
    tag = parse_tag(spelling)
    assert (tag.vr, tag.is_multiple, tag.level) == (vr, multiple, level)
    assert tag.is_sequence == (vr == "SQ")


@pytest.mark.parametrize("number", ["0008,103e", "0018,0050"])
def test_the_number_is_written_as_orthanc_writes_it(number: str) -> None:
    assert parse_tag(number).number == number


def test_a_private_element_is_found_in_whatever_block_it_lies() -> None:
    first, second = Dataset(), Dataset()
    first.private_block(0x0009, "ACME 1.1", create=True).add_new(0x01, "LO", "first")
    second.private_block(0x0009, "OTHER", create=True).add_new(0x01, "LO", "not this")
    second.private_block(0x0009, "ACME 1.1", create=True).add_new(0x01, "LO", "second")
    tag = parse_tag((0x0009, "ACME 1.1", 0x01))
    assert [read_value(dataset, tag) for dataset in (first, second)] == [("first",), ("second",)]
    assert read_value(second, parse_tag("0009,1001")) == ("not this",)
    assert read_value(second, parse_tag((0x0009, "ACME 1.1", 0x02))) is None


def test_a_path_meets_one_item_or_every_item() -> None:
    dataset, empty = Dataset(), Dataset()
    items = [Dataset() for _ in range(3)]
    items[0].ScheduledProcedureStepID, items[2].ScheduledProcedureStepID = "A", "C"
    dataset.RequestAttributesSequence, empty.RequestAttributesSequence = items, []
    path = "RequestAttributesSequence{}.ScheduledProcedureStepID"
    assert read_value(dataset, parse_tag(path.format(""))) == ("A", "C")
    assert read_value(dataset, parse_tag(path.format("[2]"))) == ("C",)
    assert read_value(dataset, parse_tag(path.format("[1]"))) is None
    assert read_value(dataset, parse_tag(path.format("[3]"))) is None
    assert read_value(empty, parse_tag(path.format(""))) is None
    assert read_value(Dataset(), parse_tag(path.format("[0]"))) is None


@pytest.mark.parametrize(
    ("attribute", "name"),
    [
        ("PatientName", "PatientName"),
        ("PatientNames", "PatientName"),
        ("Modalities", "Modality"),
        ("SeriesDescriptions", "SeriesDescription"),
        ("Rows", "Rows"),
        ("OtherPatientIDs", "OtherPatientIDs"),
        ("PatientIDs", "PatientID"),
        ("PatientSexes", "PatientSex"),
        ("BodyPartExamineds", "BodyPartExamined"),
        ("EthnicGroups", "EthnicGroup"),
    ],
)
def test_an_attribute_is_a_keyword_in_singular_or_plural(attribute: str, name: str) -> None:
    assert parse_attribute(attribute).name == name


@given(st.sampled_from(KEYWORDS))
def test_a_keyword_and_its_plural_name_the_same_tag(keyword: str) -> None:
    assert parse_attribute(keyword).name == keyword
    # Where a longer keyword exists (OtherPatientID, OtherPatientIDs), that one is meant.
    assert parse_attribute(keyword + "s").name in (keyword, keyword + "s")


@pytest.mark.parametrize("nonsense", ["", "s", "es", "ies", "nonsense", "patientname", "PatientNamess", "0010,0010"])
def test_nonsense_is_not_an_attribute(nonsense: str) -> None:
    with pytest.raises(UnknownTagError):
        parse_attribute(nonsense)
