"""Every attribute of Table E.1-1, in an object and in an item of a sequence, for the basic profile and each option."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage
from pydicom.valuerep import validate_value

from simple_orthanc.deidentification.engine import Change, deidentify_dataset
from simple_orthanc.deidentification.profile import DATE_OPTIONS, Option, Profile
from simple_orthanc.deidentification.table import Row, rows
from tests.deidentification.identities import PlainIdentity
from tests.deidentification.objects import KEPT_SEQUENCE, SECRET, every_attribute, number_of, read, written

IDENTITY = PlainIdentity()
EVERYTHING_BUT_FULL_DATES = tuple(option for option in Option if option is not Option.RETAIN_FULL_DATES)
EXTREMES = [(), (Option.RETAIN_FULL_DATES,), EVERYTHING_BUT_FULL_DATES]
PROFILES = [(), *((option,) for option in Option), EVERYTHING_BUT_FULL_DATES]
UNKNOWN_CLASS = "1.2.826.0.1.3680043.8.498.99"
# Graphics and private elements whose content cannot be judged are removed, and not cleaned; so are binary values.
REMOVED_FOR_CLEANED = {"(50xx,xxxx)", "(60xx,3000)", "(60xx,4000)", "(gggg,eeee)"}


def ids(options: tuple[Option, ...]) -> str:
    return "all but full dates" if len(options) > 1 else next((option.value for option in options), "basic")


def expected_actions(row: Row, options: tuple[Option, ...], *, iod_is_known: bool) -> str:
    """The letters of the actions that are right for a row."""
    asked = {row.options[option.value] for option in options if option.value in row.options}
    if asked:
        return "C" if "C" in asked else "K"
    letters = row.basic.replace("*", "").replace("/", "")
    if "/" in row.basic and not iod_is_known:
        return "U" if "U" in letters else "D"
    return letters


def outcome(before: DataElement, after: DataElement | None) -> str:
    """The letter of the action that was done, told from values alone."""
    if after is None:
        return "X"
    if before.VR == "SQ":
        if not after.value:
            return "Z"
        secret = SECRET in str(after) or "1.2.3.4711" in str(after)
        return "leak" if secret else "S"
    if after.is_empty:
        return "Z"
    if after.value == before.value:
        return "K"
    return "U" if after.VR == "UI" else "changed"


def is_right(letter: str, action: str, row: Row, before: DataElement) -> bool:
    """Whether what was done, told from the values, is the action."""
    if action == "X":
        return letter == "X"
    if before.VR == "SQ":
        # The items of what is kept, cleaned or replaced hold nothing that identifies.
        return letter == ("Z" if action == "Z" else "S")
    if action == "Z":
        return letter in ("Z", "changed")
    if action == "D":
        return letter in ("changed", "U")
    if action == "U":
        return letter == "U"
    if action == "K":
        return letter == "K"
    if row.pattern in REMOVED_FOR_CLEANED or isinstance(before.value, bytes):
        return letter == "X"
    if row.name == "Timezone Offset From UTC":
        return letter == "K"
    return letter == ("K" if before.VR == "TM" else "changed")


def pairs(before: Dataset, after: Dataset) -> Iterator[tuple[Row, str, DataElement, DataElement | None]]:
    """Each row with its element before and after, in the dataset and in the item."""
    for row in rows():
        tag = number_of(row)
        if tag >> 16 not in (0x0000, 0x0002):
            yield row, "top", before[tag], after.get(tag)
        inner = after[KEPT_SEQUENCE].value[0]
        yield row, "item", before[KEPT_SEQUENCE].value[0][tag], inner.get(tag)


@pytest.mark.parametrize(
    ("options", "iod_is_known"),
    [*((options, True) for options in PROFILES), ((), False)],
    ids=[*map(ids, PROFILES), "unknown class"],
)
def test_each_attribute_gets_its_action(options: tuple[Option, ...], iod_is_known: bool) -> None:
    before = every_attribute()
    if not iod_is_known:
        before.SOPClassUID = UNKNOWN_CLASS
    after, _ = deidentify_dataset(before, Profile.of(options), IDENTITY)
    wrong = []
    for row, place, element, new in pairs(before, after):
        actions = expected_actions(row, options, iod_is_known=iod_is_known)
        if element.keyword in ("PatientSexNeutered",) and actions == "D" and not element.value:
            continue
        letter = outcome(element, new)
        if not any(is_right(letter, action, row, element) for action in actions):
            wrong.append(f"{row.pattern} {row.name} {place}: {row.basic} {dict(row.options)} became {letter}")
    assert wrong == []


@pytest.mark.parametrize("options", EXTREMES, ids=ids)
def test_what_is_written_is_valid_and_reads_the_same(options: tuple[Option, ...]) -> None:
    after, _ = deidentify_dataset(every_attribute(), Profile.of(options), IDENTITY)
    again = read(written(after))
    for dataset in (again, again[KEPT_SEQUENCE].value[0]):
        for element in dataset.iterall():
            values = [element.value] if isinstance(element.value, (str, bytes)) or element.VM < 2 else element.value
            for value in values:
                validate_value(str(element.VR), getattr(value, "original_string", value), config.RAISE)
    assert written(again) == written(after)


@pytest.mark.parametrize("options", EXTREMES, ids=ids)
def test_doing_it_again_removes_nothing_more(options: tuple[Option, ...]) -> None:
    profile = Profile.of(options)
    once, _ = deidentify_dataset(every_attribute(), profile, IDENTITY)
    twice, changes = deidentify_dataset(once, profile, IDENTITY)
    assert [change.path for change in changes if change.outcome == "removed"] == []
    assert [element.tag for element in twice.iterall()] == [element.tag for element in once.iterall()]
    moved = bool(profile.options & DATE_OPTIONS)
    changed = {element.VR for element in _differing(once, twice)}
    assert changed <= ({"UI", "DA", "DT"} if moved else {"UI"})


def _differing(one: Dataset, other: Dataset) -> list[DataElement]:
    leaves = [(a, b) for a, b in zip(one.iterall(), other.iterall(), strict=True) if a.VR != "SQ"]
    return [a for a, b in leaves if a.value != b.value]


def test_file_meta_and_preamble_hold_nothing_of_the_old() -> None:
    after, _ = deidentify_dataset(every_attribute(), Profile.of(), IDENTITY)
    content = written(after)
    assert content[:128] == bytes(128)
    meta = read(content).file_meta
    assert {element.keyword for element in meta} == {
        "FileMetaInformationGroupLength",
        "FileMetaInformationVersion",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    }
    assert meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID == IDENTITY.uid("1.2.3.4711")


def test_the_basic_profile_leaves_no_trace() -> None:
    after, _ = deidentify_dataset(every_attribute(), Profile.of(), IDENTITY)
    content = written(after).lower()
    for trace in (b"quidditch", b"harry", b"19630517", b"1.2.3.4711", b"037y"):
        assert trace not in content, trace


def test_each_element_is_recorded_once_with_what_became_of_it() -> None:
    before = every_attribute()
    after, changes = deidentify_dataset(before, Profile.of(), IDENTITY)
    by_path: dict[str, Change] = {change.path: change for change in changes}
    assert len(by_path) == len(changes)
    assert len([path for path in by_path if "[" not in path]) == len(before)
    assert by_path["PatientName"].outcome == "changed"
    assert by_path["StudyDescription"].outcome == "removed"
    assert by_path["Modality"].outcome == "kept"
    assert by_path[f"{KEPT_SEQUENCE}[0].PatientName"].outcome == "changed"
    assert by_path["(0009,1001)"].outcome == "removed"
    kept = {change.tag for change in changes if "[" not in change.path and change.outcome != "removed"}
    added = {"PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"}
    added |= {"LongitudinalTemporalInformationModified"}
    assert {element.tag for element in after} - kept == {after[keyword].tag for keyword in added}


def test_no_record_holds_a_value() -> None:
    _, changes = deidentify_dataset(every_attribute(), Profile.of(), IDENTITY)
    assert SECRET.lower() not in repr(changes).lower()


def test_an_object_keeps_what_its_iod_requires() -> None:
    before = every_attribute()
    before.SOPClassUID = SegmentationStorage
    after, _ = deidentify_dataset(before, Profile.of(), IDENTITY)
    # Type 1 in the Enhanced General Equipment module; type 1 and 2 in others; 3 in General Series.
    assert after.DeviceSerialNumber == "REMOVED"
    assert after.ContentDate == "19000101"
    assert "SeriesDate" not in after
