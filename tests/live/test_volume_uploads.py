"""What is uploaded as a volume is read again as that volume, through real servers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simple_orthanc import DicomWeb, LocalOrthanc, Orthanc
from simple_orthanc.phantom import ct_phantom
from simple_orthanc.testing import make_series
from tests.examples import examples
from tests.volume.writing.volumes import assert_same, random_volume, slope_of


@pytest.mark.unmeasured
@given(seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=examples(6, thorough=200),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_random_volumes_come_back(server: LocalOrthanc, seed: int) -> None:
    volume = random_volume(np.random.default_rng(seed))
    with server.connect() as session:
        table = session.upload_volume(volume)
        assert set(table.status) <= {"stored", "already stored"}
        session.select(SeriesInstanceUID=table.SeriesInstanceUID[0])
        assert session.instance_count == len(volume.array)
        assert_same(volume, session.get_volume(), *slope_of(session.get_header(0)))


def test_a_result_lies_beside_its_source(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(ct_phantom((6, 32, 32)))
    volume = orthanc.select(SeriesDescription="ct_scan").get_volume()
    table = orthanc.upload_volume(volume.array > 0, like=orthanc, SeriesDescription="not air", SeriesNumber=2)
    assert list(table.status) == ["stored"] * 6
    # The selection stays, and the result belongs to the same study.
    assert orthanc.series_count == 1
    orthanc.reset().select(PatientID="CT-PHANTOM")
    assert (orthanc.study_count, orthanc.SeriesDescriptions) == (1, ["ct_scan", "not air"])
    back = orthanc.select(SeriesDescription="not air").get_volume()
    assert np.array_equal(back.array, volume.array > 0)
    assert back.geometry == volume.geometry
    assert orthanc.get_header(0).SourceImageSequence[0].ReferencedSOPInstanceUID == volume.header.SOPInstanceUID


@pytest.mark.one_version
def test_over_dicomweb(orthanc: Orthanc) -> None:
    orthanc.upload_dataset(make_series((3, 8, 9), modality="PT", seed=1))
    session = orthanc.dicomweb
    assert isinstance(session, DicomWeb)
    volume = session.get_volume()
    values = replace(volume, array=np.linspace(0, 1e4, volume.array.size).reshape(volume.shape))
    table = session.upload_volume(values, SeriesDescription="made")
    assert list(table.status) == ["stored"] * 3
    back = session.select(SeriesInstanceUID=table.SeriesInstanceUID[0]).get_volume()
    assert back.units == "BQML"
    assert np.abs(back.array - values.array).max() <= 1e4 / 65534 / 2 * 1.01
