"""Rows of an Orthanc server whose strings are read again from files, each file once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc.errors import ServerError
from simple_orthanc.session.orthanc import Orthanc
from simple_orthanc.sources.orthanc import source as module
from tests.http_stand_in import Asked, reply
from tests.memory_source import instance
from tests.orthanc_stand_in import OrthancServer

# As Orthanc shows a name in kanji that it could not decode.
NAME = "YAMADA^TAROU=;3ED^B@O:"
MANGLED = "$B;3ED(B"


@pytest.fixture(params=["1.10.1", "1.12.7"])
def archive(request: pytest.FixtureRequest) -> Iterator[OrthancServer]:
    tags = {"PatientName": NAME, "SeriesDescription": MANGLED, "StudyDescription": MANGLED}
    datasets = [
        instance(number, patient=study, study=study, series=series, **tags)
        for study in ("1", "2", "3")
        for series in ("1", "2")
        for number in (1, 2)
    ]
    with OrthancServer(datasets, request.param) as running:
        yield running


def reads(archive: OrthancServer) -> Counter[str]:
    return Counter(
        asked.path.split("?")[0] for asked in archive.asked if asked.path.split("?")[0].endswith(("/file", "/data"))
    )


def test_each_file_is_read_once_for_the_rows_of_all_levels(archive: OrthancServer) -> None:
    session = Orthanc(archive.url)
    assert session.PatientName == [NAME]
    assert session.get_dicom_tag("SeriesDescription", unique=False) == [MANGLED] * 6
    assert len(session.table("PatientName", "SeriesDescription", "StudyDescription")) == 6
    # One instance of each series, the first of which stands for its study too.
    assert set(reads(archive).values()) == {1}
    assert len(reads(archive)) == 6
    series = [asked.path for asked in archive.asked if asked.path.startswith("/series/")]
    assert len(set(series)) == len(series)


def test_a_file_is_read_again_after_a_change(archive: OrthancServer) -> None:
    session = Orthanc(archive.url)
    assert session.PatientName == [NAME]
    before = len(archive.asked)
    changed = instance(9, patient="1", study="1", series="1", PatientName=NAME, SeriesDescription=MANGLED)
    archive.datasets = [changed, *(dataset for dataset in archive.datasets if dataset.PatientID != "1")]
    session.refresh()
    assert session.PatientName == [NAME]
    assert any(asked.path.endswith(("/file", "/data")) for asked in archive.asked[before:])


def test_an_archive_whose_feed_fails_is_read_without_a_cache(archive: OrthancServer, tmp_path: Path) -> None:
    script = archive.script

    def without_feed(asked: Asked, count: int) -> bytes | None:
        return reply({"Message": "broken"}, 500) if asked.path.startswith("/changes") else script(asked, count)

    archive.script = without_feed
    assert Orthanc(archive.url, patience=0).select(PatientID="1").instance_count == 4
    with pytest.raises(ServerError):
        Orthanc(archive.url, patience=0, cache=tmp_path / "cache")


@pytest.mark.parametrize("read", ["read_last", "read_changes"])
def test_what_another_thread_listed_while_the_feed_was_read_is_not_believed(
    archive: OrthancServer, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    source = Orthanc(archive.url)._orthanc
    before = source.revision()
    ask = getattr(module, read)

    def listed_meanwhile(*arguments: Any) -> Any:
        source._listings.all("series")
        archive.datasets = [*archive.datasets, instance(1, patient="9", study="9", series="9", PatientName=NAME)]
        return ask(*arguments)

    monkeypatch.setattr(module, read, listed_meanwhile)
    if read == "read_last":
        source.revision()
    else:
        source.changes(before)
    assert len(source._listings.all("study").answers) == 4
