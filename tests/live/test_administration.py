"""What each version of Orthanc reports of itself, and lets set."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pandas as pd
import pytest

from simple_orthanc import LocalOrthanc, Orthanc
from tests.live.archives import simple_file, store

DAYS = ("20260105", "20260105", "20260107", "")


@pytest.fixture
def filled(empty_server: LocalOrthanc, orthanc: Orthanc) -> Orthanc:
    store(
        empty_server,
        *(
            simple_file(
                number,
                PatientID=f"p {number}&",
                StudyInstanceUID=f"1.2.{number}",
                SeriesInstanceUID=f"1.2.{number}.1",
                StudyDate=day,
            )
            for number, day in enumerate(DAYS)
        ),
    )
    return orthanc.refresh()


@pytest.fixture
def set_back(orthanc: Orthanc) -> Iterator[None]:
    """Other tests use the server too."""
    encoding = orthanc.default_encoding
    yield
    orthanc.default_encoding = encoding
    orthanc.log_level = "default"


def test_what_a_server_holds(filled: Orthanc) -> None:
    (row,) = filled.statistics().to_dict("records")
    assert [row[name] for name in ("patients", "studies", "series", "instances")] == [4, 4, 4, 4]
    assert row["disk_bytes"] >= row["instances"] * 300
    frame = filled.daily_counts()
    assert frame["count"].tolist() == [2, 1, 1]
    assert frame.StudyDate.tolist()[:2] == [pd.Timestamp("2026-01-05"), pd.Timestamp("2026-01-07")]
    assert frame.StudyDate.isna().tolist() == [False, False, True]
    metrics = filled.metrics().set_index("name").value
    assert (metrics["orthanc_count_studies"], metrics["orthanc_count_instances"]) == (4, 4)


def test_the_feed_is_filtered_by_every_version(filled: Orthanc) -> None:
    every = list(filled.changes())
    assert [change.sequence for change in every] == sorted({change.sequence for change in every})
    for kind in ("NewInstance", "NewStudy"):
        assert list(filled.changes(type=kind)) == [change for change in every if change.type == kind]
    new = list(filled.changes(type="NewStudy"))[-4:]
    assert {change.id for change in new} == set(filled.get_orthanc_ids("study"))
    assert {change.level for change in new} == {"study"}
    now = pd.Timestamp.now(tz="UTC")
    assert all(change.date is not None and abs(now - change.date) < pd.Timedelta("1h") for change in new)


@pytest.mark.usefixtures("set_back")
def test_what_can_be_set(filled: Orthanc) -> None:
    filled.default_encoding = "Utf8"
    assert filled.default_encoding == "Utf8"
    filled.log_levels["jobs"] = "verbose"
    assert (filled.log_levels["jobs"], filled.log_levels["lua"]) == ("verbose", "default")
    filled.log_level = "verbose"
    assert set(dict(filled.log_levels).values()) == {"verbose"}


def test_plugins_and_links(filled: Orthanc) -> None:
    assert "dicom-web" in set(filled.plugins["id"])
    assert filled.system["Version"] in repr(filled.system)
    for level in ("patient", "study", "series"):
        links = filled.viewer_links(level).explorer  # type: ignore[arg-type]
        assert len(links) == 4
        page, _, fragment = links[0].partition("#")
        assert fragment == f"{level}?uuid={filled.get_orthanc_ids(level)[0]}"  # type: ignore[arg-type]
        with urllib.request.urlopen(page, timeout=20) as answer:
            assert answer.status == 200
