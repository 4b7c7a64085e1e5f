"""What a server holds, how it is set up and what it reports, from answers as Orthanc gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Orthanc
from simple_orthanc.errors import SelectionError
from tests.http_stand_in import Asked, reply
from tests.orthanc_stand_in import OrthancServer
from tests.sources.contract import make_dataset

PLUGINS = {"ohif": {"ID": "ohif", "Version": "1.6"}, "stone-webviewer": {}, "orthanc-explorer-2": {}, "gdcm": {}}


class Administered(OrthancServer):
    """An Orthanc with settings, metrics and plugins."""

    plugins = ("explorer.js", "gdcm")
    statistics: dict[str, Any]

    def __init__(self, datasets: list[Dataset]) -> None:
        self.settings: dict[str, str] = {"/tools/log-level": "default", "/tools/default-encoding": "Latin1"}
        super().__init__(datasets)

    def _answer(self, asked: Asked, count: int) -> bytes:
        as_text = {"Content-Type": "text/plain"}
        if asked.path.startswith(("/tools/log-level", "/tools/default-encoding")):
            if asked.method == "PUT":
                self.settings[asked.path] = asked.body.decode()
            return reply(self.settings.get(asked.path, "default").encode(), headers=as_text)
        if asked.path == "/tools/metrics-prometheus":
            return reply(b'orthanc_jobs_running 2 1795915446359\nx{a="b"} 1\n', headers=as_text)
        if asked.path == "/plugins":
            return reply(list(self.plugins))
        if asked.path.startswith("/plugins/"):
            return reply(PLUGINS[unquote(asked.path.rpartition("/")[2])])
        return super()._answer(asked, count)


@pytest.fixture
def administered() -> Iterator[Administered]:
    datasets = [make_dataset(number, str(number // 2), str(number // 3), f"p {number // 4}&é") for number in range(6)]
    for number, dataset in enumerate(datasets):
        dataset.StudyDate = ("20260102", "", "20251224")[number // 3 if number < 5 else 2]
    with Administered(datasets) as stand_in:
        assert isinstance(stand_in, Administered)
        yield stand_in


@pytest.fixture
def orthanc(administered: Administered) -> Iterator[Orthanc]:
    with Orthanc(administered.url, patience=0) as session:
        yield session


def test_statistics_are_whole_numbers(administered: Administered, orthanc: Orthanc) -> None:
    size = 3 * 2**40
    counts = {"CountPatients": 1, "CountStudies": 2, "CountSeries": 3, "CountInstances": 4}
    administered.change_answer = lambda path, answer, count: (
        {**counts, "TotalDiskSize": str(size), "TotalUncompressedSize": str(size + 1)}
        if path == "/statistics"
        else answer
    )
    frame = orthanc.statistics()
    assert frame.to_dict("records") == [
        {"patients": 1, "studies": 2, "series": 3, "instances": 4, "disk_bytes": size, "uncompressed_bytes": size + 1}
    ]
    assert set(map(str, frame.dtypes)) == {"Int64"}


def test_what_is_selected_is_counted_day_by_day(administered: Administered, orthanc: Orthanc) -> None:
    frame = orthanc.daily_counts()
    assert list(frame.columns) == ["StudyDate", "count"]
    assert str(frame.StudyDate.dtype).startswith("datetime64")
    studies = orthanc.table("StudyDate", level="study").StudyDate
    assert frame.set_index("StudyDate")["count"].to_dict() == studies.value_counts(dropna=False).to_dict()
    assert frame.StudyDate[:-1].is_monotonic_increasing
    assert pd.isna(frame.StudyDate.iloc[-1])
    assert orthanc.daily_counts(level="instance")["count"].sum() == 6
    assert orthanc.select(StudyDate="20260102").daily_counts()["count"].tolist() == [1]


def test_daily_counts_list_each_level_once(administered: Administered, orthanc: Orthanc) -> None:
    orthanc.daily_counts()
    asked = [request for request in administered.asked if request.path.startswith(("/tools/find", "/studies"))]
    assert len(asked) <= 2


@pytest.mark.parametrize("tag", ["StudyTime", "PatientID", "SeriesNumber"])
def test_what_is_no_date_is_not_counted_by_day(orthanc: Orthanc, tag: str) -> None:
    with pytest.raises(SelectionError, match="StudyDate, SeriesDate or AcquisitionDate"):
        orthanc.daily_counts(tag)


def test_metrics_are_typed(orthanc: Orthanc) -> None:
    frame = orthanc.metrics()
    assert frame.name.tolist() == ["orthanc_jobs_running", "x"]
    assert frame["labels"].tolist() == [{}, {"a": "b"}]
    assert frame.value.tolist() == [2.0, 1.0]
    assert frame.timestamp[0] == pd.Timestamp(1795915446359, unit="ms", tz="UTC")
    assert pd.isna(frame.timestamp[1])


def test_system_and_plugins(administered: Administered, orthanc: Orthanc) -> None:
    administered.plugins = ("explorer.js", "ohif", "gdcm")
    assert orthanc.system["Version"] == "1.12.7"
    assert orthanc.plugins[["id", "version"]].fillna("none").to_numpy().tolist() == [["ohif", "1.6"], ["gdcm", "none"]]


def test_log_levels_are_read_and_set(administered: Administered, orthanc: Orthanc) -> None:
    assert orthanc.log_level == "default"
    orthanc.log_level = "trace"
    assert administered.settings["/tools/log-level"] == "trace"
    orthanc.log_levels["jobs"] = "verbose"
    assert dict(orthanc.log_levels)["jobs"] == administered.settings["/tools/log-level-jobs"] == "verbose"
    del orthanc.log_levels["jobs"]
    assert orthanc.log_levels["jobs"] == "default"
    assert len(orthanc.log_levels) == 7
    orthanc.default_encoding = "Utf8"
    assert orthanc.default_encoding == "Utf8"


def test_log_levels_that_there_are_not(administered: Administered, orthanc: Orthanc) -> None:
    before = len(administered.asked)
    with pytest.raises(SelectionError, match="'default', 'verbose', 'trace'"):
        orthanc.log_level = "debug"  # type: ignore[assignment]
    with pytest.raises(SelectionError, match="'INFO' is no log level"):
        orthanc.log_levels["jobs"] = "INFO"
    with pytest.raises(SelectionError, match="did you mean 'dicom'"):
        orthanc.log_levels["dicoms"] = "trace"
    with pytest.raises(SelectionError, match="they are dicom, generic"):
        orthanc.log_levels["x"]
    assert len(administered.asked) == before


def test_links_of_the_viewers_that_are_installed(administered: Administered, orthanc: Orthanc) -> None:
    study = orthanc.select(PatientID="p 0&é").viewer_links()
    assert list(study.columns) == ["PatientID", "StudyInstanceUID", "explorer"]
    key = orthanc.get_orthanc_ids("study")[0]
    assert study.explorer[0] == f"{administered.url}/app/explorer.html#study?uuid={key}"
    administered.plugins = ("explorer.js", "ohif", "stone-webviewer", "orthanc-explorer-2")
    (row, *_) = orthanc.viewer_links().to_dict("records")
    uid = row["StudyInstanceUID"]
    assert row["explorer2"] == f"{administered.url}/ui/app/#/filtered-studies?StudyInstanceUID={uid}&expand=study"
    assert row["stone"] == f"{administered.url}/stone-webviewer/index.html?study={uid}"
    assert row["ohif"].startswith(f"{administered.url}/ohif/viewer?StudyInstanceUIDs={uid}&url=../studies/{key}/")
    (patient,) = orthanc.viewer_links("patient").to_dict("records")
    assert patient["stone"] == f"{administered.url}/stone-webviewer/index.html?patient=p%200%26%C3%A9"
    assert patient["explorer2"].endswith("?PatientID=p%200%26%C3%A9")
    assert pd.isna(patient["ohif"])
    series = orthanc.viewer_links("series")
    first = series.iloc[0]
    assert first.stone.endswith(f"?study={first.StudyInstanceUID}&series={first.SeriesInstanceUID}")
    assert len(series) == orthanc.series_count
    with pytest.raises(SelectionError, match="'patient', 'study' or 'series'"):
        orthanc.viewer_links("instance")


def test_an_empty_selection_has_no_links(orthanc: Orthanc) -> None:
    with pytest.warns(UserWarning, match="Nothing is selected any more"):
        orthanc.select(PatientID="none")
    assert json.loads(orthanc.viewer_links().to_json(orient="records")) == []
