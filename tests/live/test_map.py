"""Maps over real servers: the same table wherever the function is called, and no request that was not needed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from simple_orthanc import DicomWeb, Orthanc
from tests.conftest import MakeServer
from tests.session.exports.series import one_series
from tests.session.mapping.computing import Counted, measure, without_seconds

pytestmark = pytest.mark.unmeasured


def fill(orthanc: Orthanc, count: int = 6) -> Orthanc:
    datasets = [each for number in range(1, count + 1) for each in one_series(number, patient=f"P{number % 2}")]
    orthanc.upload_dataset(datasets)
    return orthanc.refresh()


def test_threads_and_processes_have_the_same_table(make_server: MakeServer) -> None:
    server = make_server({"RegisteredUsers": {"jane": "secret"}})
    orthanc = fill(server.connect(username="jane", password="secret")).select(SeriesNumber=(1, 6))
    table = orthanc.map(measure)
    assert table["error"].fillna("").str.startswith("ValueError").sum() == 1
    assert len(table) == 6
    in_processes = orthanc.map(measure, scheduler="processes", workers=2)
    pd.testing.assert_frame_equal(without_seconds(in_processes), without_seconds(table))


def test_objects_that_a_server_lost_meanwhile_are_errors_of_their_own(orthanc: Orthanc, tmp_path: Path) -> None:
    fill(orthanc)
    selected, function = orthanc.copy().select(SeriesNumber=(1, 6)), Counted(tmp_path / "calls")
    selected.table()
    orthanc.copy().select(SeriesNumber=2).delete_selected_series()

    for scheduler in ("threads", "processes"):
        table = selected.map(measure, scheduler=scheduler, workers=1)
        failed = set(table.index[table["error"].notna()])
        numbers = selected.table("SeriesNumber")["SeriesNumber"].tolist()
        assert {numbers[position] for position in failed} == {2, 3}
    path = tmp_path / "rows.jsonl"
    selected.refresh().map(function, checkpoint=path)
    selected.map(function, checkpoint=path, scheduler="processes")
    assert function.calls() == {1: 1, 3: 1, 4: 1, 5: 1, 6: 1}


def test_a_map_over_dicomweb_is_that_over_orthanc(orthanc: Orthanc) -> None:
    fill(orthanc)
    web = DicomWeb(f"{orthanc._source.description}/dicom-web")
    table = orthanc.map(measure)
    pd.testing.assert_frame_equal(without_seconds(web.map(measure)), without_seconds(table))
    in_processes = web.map(measure, scheduler="processes", workers=2)
    pd.testing.assert_frame_equal(without_seconds(in_processes), without_seconds(table))


def test_tags_alone_need_few_requests(orthanc: Orthanc) -> None:
    fill(orthanc, 12)
    orthanc.table()
    before = orthanc._source.requests
    numbers = orthanc.map(lambda series: series.SeriesNumbers[0], workers=1)["result"]
    assert sorted(numbers) == list(range(1, 13))
    assert orthanc._source.requests == before
