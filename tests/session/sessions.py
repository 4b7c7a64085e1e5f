"""Sessions over archives in memory, which the tests of the session share."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.selection.conditions import Condition
from simple_orthanc.selection.criteria import exact, like, tag
from simple_orthanc.session import Session
from tests.memory_source import INDEXED, LEVEL_OF_NAME, MemorySource, instance

NAMES = [*LEVEL_OF_NAME, "PatientID", "InstanceNumber"]


# The same archive behind sources that know more or less of it, and answer more or less exactly.
SOURCES: dict[str, dict[str, Any]] = {
    "as a server": {},
    "generous": {"extra": True},
    "without search": {"searchable": False},
    "that knows only what orders": {
        "indexed": {
            "study": "PatientID StudyInstanceUID StudyDate StudyTime",
            "series": "SeriesInstanceUID SeriesNumber",
            "instance": "SOPInstanceUID InstanceNumber ImagePositionPatient ImageOrientationPatient",
        }
    },
    "that knows much": {"indexed": {**INDEXED, "series": INDEXED["series"] + " ProtocolName"}},
}


def uids(session: Session) -> list[str]:
    return session.get_dicom_tag("SOPInstanceUID", unique=False)


def session_of(*datasets: Dataset, **options: Any) -> Session:
    return Session(MemorySource(datasets, **options))


def source_of(session: Session) -> MemorySource:
    source = session._source
    assert isinstance(source, MemorySource)
    return source


def quiet(action: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        action()


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    st.sampled_from(
        [
            tag("PatientName") == like("doe*"),
            tag("PatientName") == like("山田^太郎"),
            tag("PatientName").is_missing(),
            tag("PatientID") == exact("a"),
            tag("PatientID") == like("b?"),
            tag("PatientSex") == "M",
            tag("StudyDate") == date(2020, 1, 31),
            tag("StudyDate") > "20200131",
            tag("StudyDate").matches("^2020"),
            tag("StudyTime").between("10:00", "10:30"),
            tag("SeriesNumber") == 1,
            tag("SeriesNumber").isin([1, None]),
            tag("SeriesDescription") == like("t2*"),
            tag("SeriesDescription") == exact("T2*_GRE"),
            tag("SeriesDescription").isin([like("[x]?"), like("ä")]),
            tag("SeriesDescription").where(str.islower),
            tag("Modality") != "CT",
            tag("ProtocolName").is_missing(),
            tag("ProtocolName") == exact("head"),
            tag("SliceThickness") <= 1,
            tag("PixelSpacing") == (1, 2),
            tag("PixelSpacing") > 1,
            tag("ImageType") == exact("A"),
            tag("AcquisitionDateTime") == "202001310930",
            tag("PatientAge").is_missing(),
            tag("PatientAge") >= "001Y",
        ]
    ),
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=4,
)


KEYWORDS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "PatientName": st.sampled_from(["doe^jane", "Doe^J*", "*", None, ["山田^太郎", "x"]]),
        "SeriesDescription": st.sampled_from(["T2*_GRE", "t2*", "[x]?", ["[x]?", None], re.compile("x")]),
        "ProtocolName": st.sampled_from(["head", "h*", "HEAD", ["h*", "a"], "a\\b"]),
        "Modality": st.sampled_from(["ct", ["CT", "PT"], None]),
        "ImageType": st.sampled_from(["a*", ("A*", "B"), "A", None]),
        "StudyDate": st.sampled_from([date(2020, 1, 31), ("20200101", None), "2020*"]),
        "SliceThickness": st.sampled_from([1, (None, 1.2), None]),
    },
)


def two_spellings(other: str) -> Session:
    """Two studies with a tag that only the files know: a text, and one that this text means too."""
    return session_of(
        instance(1, study="1", StudyDescription="x", SequenceName=other),
        instance(1, study="2", StudyDescription="y", SequenceName="*fl2d1"),
    )


def three_series(**options: Any) -> Session:
    return session_of(
        instance(1, series="1", Modality="CT", SeriesDescription="scout", KVP="120", PatientName="Doe^Jane"),
        instance(1, series="2", Modality="CT", SeriesDescription="head", KVP="100", PatientName="Doe^Jane"),
        instance(2, series="2", Modality="CT", SeriesDescription="head", PatientName="Doe^Jane"),
        instance(1, study="7", patient="P2", Modality="PT", SeriesDescription="wb", PatientName="Roe^Rick"),
        **options,
    )
