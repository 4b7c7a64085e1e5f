"""Counts, values and lists of tags over an archive in memory."""

from __future__ import annotations

import pandas as pd
import pytest

from simple_orthanc.errors import UnknownTagError
from tests.memory_source import instance
from tests.session.sessions import session_of, source_of, three_series

pytestmark = pytest.mark.usefixtures("empty_selections")


def test_all_tags_of_one_series_and_of_several() -> None:
    dataset = instance(1, KVP="120")
    block = dataset.private_block(0x0009, "ACME", create=True)
    block.add_new(0x01, "LO", "x")
    session = session_of(dataset)
    assert session.get_all_dicom_tags()[-3:] == ["SeriesInstanceUID", "InstanceNumber", "0009,1001"] or (
        '(0009,"ACME",01)' in session.get_all_dicom_tags()
    )
    assert {"KVP", "PatientID"} <= set(session.get_all_dicom_tags())
    assert not any("ACME" in name for name in session.get_all_dicom_tags(include_private=False))
    for name in session.get_all_dicom_tags():
        assert session.get_dicom_tag(name)
    several = three_series().get_all_dicom_tags()
    assert "PatientName" in several
    assert not any(name.endswith("_count") for name in several)


def test_a_list_of_tags_is_those_tags() -> None:
    session = three_series()
    assert session.table(["PatientID", "Modality"]).equals(session.table("PatientID", "Modality"))
    assert session.table(["PatientID"], "Modality", level="study").columns.tolist() == ["PatientID", "Modality"]
    assert session.table([]).equals(session.table())
    for verb in (session.value_counts, session.get_dicom_tag, session.first):
        with pytest.raises(UnknownTagError, match=r"is a list.*: table\('PatientID', 'Modality'\) shows several"):
            verb(["PatientID", "Modality"])  # type: ignore[arg-type]


def test_value_counts() -> None:
    counted = three_series().value_counts("Modality")
    assert dict(counted) == {"CT": 2, "PT": 1}
    assert list(counted) == [2, 1]
    kvp = three_series().value_counts("KVP")
    assert {None if value is pd.NA else value: int(count) for value, count in kvp.items()} == {
        120.0: 1,
        100.0: 1,
        None: 2,
    }
    assert dict(three_series().value_counts("Modality", level="instance")) == {"CT": 3, "PT": 1}


def test_how_many_requests_common_calls_take() -> None:
    session = three_series()
    session.select(PatientName="Doe*")
    assert [session.patient_count, session.study_count, session.series_count, session.instance_count] == [1, 1, 2, 3]
    assert source_of(session).requests <= 4
    fresh = three_series()
    assert fresh.SeriesDescriptions == ["scout", "head", "wb"]
    assert source_of(fresh).requests <= 3
