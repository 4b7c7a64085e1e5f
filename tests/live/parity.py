"""Compare sessions on the same files: counts, tables, selections, headers and volumes."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from simple_orthanc import Session, exact, like, tag
from simple_orthanc.dicom.levels import LEVELS
from simple_orthanc.errors import OrthancError

Narrow = Callable[[Session], Session]

# What a table of each level shows besides its own columns: tags that only the files know, of every kind.
MORE = {
    "patient": ["PatientName", "instance_count", "StudyDescription"],
    "study": ["PatientAge", "ReferringPhysicianName", "series_count", "ManufacturerModelName"],
    "series": ["KVP", "Rows", "PixelSpacing", "FrameOfReferenceUID", "SeriesDescription", "ContrastBolusAgent"],
    "instance": [
        *("SOPClassUID", "ImageType", "Rows", "Columns", "PixelSpacing", "SliceThickness", "AcquisitionDate"),
        *("AcquisitionTime", "WindowCenter", "RescaleSlope", "ImageComments", "SpecificCharacterSet", "KVP"),
        *("RadiopharmaceuticalInformationSequence.RadionuclideTotalDose", "TransferSyntaxUID", "PixelPaddingValue"),
        *("0009,0010", '(0009,"GEMS_IDEN_01",01)', "PatientComments", "BurnedInAnnotation", "FrameIncrementPointer"),
    ],
}


def select(*conditions: Any, **tags: Any) -> Narrow:
    return lambda session: session.select(*conditions, **tags)


def exclude(*conditions: Any, **tags: Any) -> Narrow:
    return lambda session: session.exclude(*conditions, **tags)


def chained(*steps: Narrow) -> Narrow:
    def narrow(session: Session) -> Session:
        for step in steps:
            step(session)
        return session

    return narrow


def about_anything() -> dict[str, Narrow]:
    """Return selections that apply to any archive."""
    found: dict[str, Narrow] = {
        "all": select(),
        "any modality": select(Modality="*"),
        "small letters": select(Modality="ct"),
        "several": select(Modality=["MR", "PT"]),
        "none of several": exclude(Modality=["MR", "PT"]),
        "missing": select(SeriesDescription=None),
        "not missing": select(~tag("SeriesDescription").is_missing()),
        "not equal": select(tag("Modality") != "MR"),
        "wildcards": select(PatientName="*^*"),
        "one letter": select(PatientSex="?"),
        "like": select(tag("SeriesDescription") == like("*t*")),
        "exact": select(PatientName=exact("CompressedSamples^CT1")),
        "expression": select(SeriesDescription=re.compile("[0-9]")),
        "matches": select(tag("PatientName").matches("^[A-M]")),
        "function": select(PatientName=lambda name: len(name) > 10),
        "range of dates": select(StudyDate=("20040101", "20101231")),
        "open range": select(StudyDate=(datetime.date(2004, 1, 2), None)),
        "range as text": select(StudyDate="20040101-20041231"),
        "date": select(StudyDate=datetime.date(2004, 1, 19)),
        "time": select(StudyTime=("0900", "1500")),
        "no date": select(StudyDate=None),
        "number in the index": select(InstanceNumber=1),
        "number as text": select(SeriesNumber="1"),
        "range of numbers": select(InstanceNumber=(2, 5)),
        "number in files": select(Rows=(100, 600)),
        "missing in files": select(KVP=None),
        "less": select(tag("SliceThickness") < 5),
        "between": select(tag("PixelSpacing").between(0.5, 1.0)),
        "isin": select(tag("BitsAllocated").isin([8, 32])),
        "text in files": select(ImageType="ORIGINAL"),
        "list of texts": select(ImageType=["DERIVED", "axial"]),
        "comments": select(ImageComments="*a*"),
        "class": select(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"),
        "syntax": select(TransferSyntaxUID="1.2.840.10008.1.2.1"),
        "instances by UID": select(SOPInstanceUID="*.1"),
        "path": select(**{"RadiopharmaceuticalInformationSequence.RadionuclideTotalDose": (1, None)}),
        "private": select(**{'(0009,"GEMS_IDEN_01",01)': "*"}),
        "position": select(tag("ImagePositionPatient") > 0),
        "frames": select(tag("NumberOfFrames") > 1),
        "institution": exclude(InstitutionName="*a*"),
        "maker": select(Manufacturer="*g*"),
        "both": select(Modality="CT", PatientName="*"),
        "either": select((tag("Modality") == "MR") | (tag("Rows") > 500)),
        "neither": select(~((tag("Modality") == "MR") | (tag("Rows") > 500))),
        "and": select((tag("Modality") == "CT") & (tag("KVP") >= 100)),
        "steps": chained(select(Modality=["CT", "MR"]), exclude(PatientSex="F"), select(tag("Rows") >= 64)),
        "exclude files": exclude(tag("Rows") < 200),
        "exclude both": exclude(Modality="CT", PatientSex="M"),
        "sorted": lambda session: session.select(Modality=["CT", "MR"]).sort_by("SliceLocation", "descending"),
        "sorted by text": lambda session: session.select(~tag("ImageType").is_missing()).sort_by("ImageType"),
        "sorted by what few have": lambda session: session.exclude(PatientSex="O").sort_by("KVP", "descending"),
        "list of wildcards": select(SeriesDescription=["*t?", "a*", "ct*"]),
        "one group of a name": select(PatientName="山田^太郎"),
        "name in another case": select(PatientName="DOE^JANE"),
        "several names": select(PatientName=["*^c*", "Doe*", "höp*"]),
        "not matching": select(~tag("SeriesDescription").matches("(?i)t")),
        "function in files": select(PixelSpacing=lambda spacing: spacing > 0.5),
        "whole value": select(ImageType=("ORIGINAL", "PRIMARY")),
        "end of a range": select(SliceThickness=(None, 2.5)),
        "missing in a sequence": select(**{"AnatomicRegionSequence.CodeMeaning": None}),
        "in a sequence": select(**{"AnatomicRegionSequence.CodeMeaning": "liver"}),
        "an item of a sequence": select(**{"AnatomicRegionSequence[1].CodeMeaning": "*"}),
        "private of a creator": select(**{'(0009,"MY CREATOR",01)': "priv"}),
        "no private tag": exclude(**{'(0009,"MY CREATOR",01)': "*"}),
        "other number": select(tag("NumberOfFrames") != 1),
        "exclusive or": select(
            ((tag("Modality") == "CT") | (tag("Rows") > 100)) & ~((tag("Modality") == "CT") & (tag("Rows") > 100))
        ),
        "undone": lambda session: session.select(Modality="CT").select(tag("Rows") > 100).undo(),
        "nothing": select(PatientName="nobody at all"),
    }
    return found


def about(session: Session) -> dict[str, Narrow]:
    """Return selections by the content of an archive: each kind of identifier, and the session's own values."""
    found: dict[str, Narrow] = {}
    for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber"):
        values = session.get_dicom_tag(name)
        for text in values[:1] + values[-1:]:
            found[f"{name} {text}"] = select(**{name: text})
            found[f"positional {name} {text}"] = select(text)
    for name in ("PatientName", "SeriesDescription", "StudyDescription", "ImageType", "SliceThickness", "StudyDate"):
        for value in session.get_dicom_tag(name)[:3]:
            found[f"{name} {value!r}"] = select(**{name: value})
    return found


def answer(narrow: Narrow, session: Session) -> tuple[Session, str]:
    """Narrow a copy of a session; return the copy, and its warnings without hints, or its error."""
    copied = session.copy()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            narrow(copied)
        except OrthancError as error:
            return copied, f"{type(error).__name__}"
    return copied, " ".join(sorted(_without_hints(str(each.message), copied) for each in said))


def _without_hints(message: str, session: Session) -> str:
    """Leave out the hints, which depend on what a session knows of its archive without further requests."""
    for step in session._selection.steps:
        message = message.replace(step.hint, "") if step.hint else message
    return message.rstrip()


def assert_same(sessions: Sequence[Session], name: str, narrow: Narrow) -> None:
    """Check that a selection is the same in all sessions: at all levels, in the same order, with the same error."""
    identifiers = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    found = []
    for session in sessions:
        narrowed, said = answer(narrow, session)
        counts = {level: getattr(narrowed, f"{level}_count") for level in LEVELS}
        lists = [narrowed.get_dicom_tag(each, unique=False, level="instance") for each in identifiers]
        found.append((said, counts, lists))
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            assert one == another, name


def assert_same_tables(sessions: Sequence[Session]) -> None:
    """Check that tables, lists of values and counts of values are the same at every level."""
    for level in LEVELS:
        for names in ([], MORE[level]):
            for varying in ("na", "list"):
                tables, said = [], []
                for session in sessions:
                    with warnings.catch_warnings(record=True) as warned:
                        warnings.simplefilter("always")
                        tables.append(session.table(*names, level=level, varying=varying))  # type: ignore[arg-type]
                    said.append([str(each.message) for each in warned])
                for table, words in zip(tables[1:], said[1:], strict=True):
                    pd.testing.assert_frame_equal(tables[0], table)
                    assert said[0] == words, (level, names)
    for name in ("PatientName", "Modality", "SeriesDescription", "Rows", "ImageType", "StudyDate", "KVP"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = [session.get_dicom_tag(name) for session in sessions]
            counts = [session.value_counts(name) for session in sessions]
        for others, count in zip(values[1:], counts[1:], strict=True):
            assert values[0] == others, name
            pd.testing.assert_series_equal(counts[0], count)


def assert_same_descriptions(sessions: Sequence[Session]) -> None:
    """Check that what can be filtered on is the same, and so are single values."""
    names = ("Rows", "ImageType", "KVP", "PatientName", "SeriesDescription")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tags in ((), names):
            described = [session.describe(*tags) for session in sessions]
            for frame in described[1:]:
                pd.testing.assert_frame_equal(described[0], frame)
        for name in names:
            assert len({session.first(name) for session in sessions}) == 1, name


def assert_same_volumes(sessions: Sequence[Session]) -> int:
    """Check that volumes are the same bit by bit, or fail with the same error; return how many were compared."""
    compared = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        volumes = [session.get_volumes() for session in sessions]
        tables = [session.volume_table() for session in sessions]
        for others, table in zip(volumes[1:], tables[1:], strict=True):
            assert list(volumes[0]) == list(others)
            pd.testing.assert_frame_equal(tables[0], table)
        for label in volumes[0]:
            first, *rest = (_volume(each, label) for each in volumes)
            if isinstance(first, str):
                assert rest == [first] * len(rest), label
                continue
            for second in rest:
                assert not isinstance(second, str), (label, second)
                assert first.array.dtype == second.array.dtype
                assert np.array_equal(first.array, second.array, equal_nan=first.array.dtype.kind == "f"), label
                assert first.geometry == second.geometry
                assert (first.units, first.log) == (second.units, second.log)
                pd.testing.assert_frame_equal(first.slices, second.slices)
            compared += 1
    return compared


def _volume(volumes: Any, label: str) -> Any:
    try:
        return volumes[label]
    except OrthancError as error:
        return f"{type(error).__name__}: {error}"


def assert_same_files(sessions: Sequence[Session], places: Sequence[int]) -> None:
    """Check that headers are the same."""
    for place in places:
        first, *rest = (session.get_header(place) for session in sessions)
        for second in rest:
            with warnings.catch_warnings():
                # What pydicom thinks of values that are no good.
                warnings.simplefilter("ignore")
                assert first == second
            assert first.file_meta == second.file_meta
