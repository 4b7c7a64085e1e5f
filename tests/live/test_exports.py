"""Exports from servers: interrupted by a kill or by the end of the server, and finished by the same call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import DicomWeb, Orthanc, Session
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.phantom import as_bytes
from tests.conftest import MakeServer
from tests.killed import contents, run_killed, stamps
from tests.session.exports.series import fifty_series, one_series

LAYOUT = "{PatientID}/{SeriesDescription}/{InstanceNumber:02d}.dcm"


def counted(session: Session, monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Return a list of the keys with which a method of the source is called from now on."""
    keys: list[str] = []
    method: Callable[..., Any] = getattr(session._source, name)

    def count(key: str, *arguments: Any) -> Any:
        keys.append(key)
        return method(key, *arguments)

    monkeypatch.setattr(session._source, name, count)
    return keys


def named(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in contents(folder).items() if not name.startswith(".")}


def test_fifty_series_that_were_killed_are_finished_by_the_same_call(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orthanc.upload_dataset([dataset for series in fifty_series() for dataset in series])
    orthanc.refresh()
    url = orthanc._source.description
    orthanc.download(tmp_path / "whole", layout=LAYOUT)
    whole = contents(tmp_path / "whole")
    assert len(whole) == 100
    target = tmp_path / "files"
    run_killed(f"Orthanc({url!r}).download({str(target)!r}, layout={LAYOUT!r})", 90)
    found, before = named(target), stamps(target)
    assert 30 <= len(found) < 100
    assert found.items() <= whole.items()
    fetched = counted(orthanc, monkeypatch, "save")
    assert len(orthanc.download(target, layout=LAYOUT)) == 100
    assert len(fetched) == len(set(fetched)) == 100 - len(found)
    assert contents(target) == whole
    assert {name: stamps(target)[name] for name in found} == {name: before[name] for name in found}

    table = orthanc.save_volumes(tmp_path / "saved")
    assert list(table.status) == ["saved"] * 50
    whole = contents(tmp_path / "saved")
    target = tmp_path / "volumes"
    run_killed(f"Orthanc({url!r}).save_volumes({str(target)!r})", 80)
    found = named(target)
    assert found.items() <= whole.items()
    again = orthanc.save_volumes(target)
    assert list(again.status).count("already there") == 26
    assert list(again.status).count("saved") == 24
    assert contents(target) == whole


@pytest.mark.one_version
def test_a_server_that_goes_away_is_an_error_with_the_table(
    make_server: MakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server()
    session = server.connect(patience=0)
    session.upload_dataset([dataset for number in (1, 2, 3) for dataset in one_series(number)])
    session.refresh()
    session.volume_table()
    read = session._source.read

    def read_two(key: str, *arguments: Any) -> Any:
        if len(list((tmp_path / "out").glob("*.nii.gz"))) == 2:
            server.stop()
        return read(key, *arguments)

    monkeypatch.setattr(session._source, "read", read_two)
    with pytest.raises(TransportError) as caught:
        session.save_volumes(tmp_path / "out", "{SeriesNumber}")
    assert list(caught.value.table.status) == ["saved", "saved", "not tried"]
    assert sorted(contents(tmp_path / "out")) == ["1.json", "1.nii.gz", "2.json", "2.nii.gz"]
    monkeypatch.undo()
    server.start()
    with server.connect() as again:
        again.upload_dataset([dataset for number in (1, 2, 3) for dataset in one_series(number)])
        statuses = list(again.refresh().save_volumes(tmp_path / "out", "{SeriesNumber}").status)
    assert statuses == ["already there", "already there", "saved"]


@pytest.mark.one_version
def test_a_file_that_was_replaced_on_the_server_is_told_from_the_one_on_disk(
    make_server: MakeServer, tmp_path: Path
) -> None:
    session = make_server({"OverwriteInstances": True}).connect()
    series = one_series(1)
    session.upload_dataset(series)
    (path, *_) = session.refresh().download(tmp_path)
    session.save_volumes(tmp_path, "volume")
    assert list(session.save_volumes(tmp_path, "volume").status) == ["already there"]
    before = path.read_bytes()
    series[0].PixelData = bytes(len(series[0].PixelData) - 2) + b"\1\1"
    session.rest.post("/instances", as_bytes(series[0]))
    with pytest.raises(SelectionError, match="under 1 of 3 names there is something other"):
        session.refresh().download(tmp_path)
    assert path.read_bytes() == before
    table = session.save_volumes(tmp_path, "volume")
    assert list(table.status) == ["refused"]
    assert "its images have been replaced in the archive since it was saved" in table.message[0]
    assert list(session.save_volumes(tmp_path, "volume", resume=False).status) == ["saved"]
    session.download(tmp_path, resume=False)
    assert path.read_bytes() == as_bytes(series[0])


@pytest.mark.one_version
def test_over_dicomweb_files_are_known_by_their_identifiers(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orthanc.upload_dataset(one_series(1))
    with DicomWeb(f"{orthanc._source.description}/dicom-web") as session:
        paths = session.download(tmp_path)
        before = stamps(tmp_path)
        fetched = counted(session, monkeypatch, "save")
        assert session.download(tmp_path) == paths
        assert fetched == []
        assert stamps(tmp_path) == before
        paths[1].write_bytes(paths[1].read_bytes()[:-10])
        with pytest.raises(SelectionError, match="under 1 of 3 names"):
            session.download(tmp_path)
        paths[1].write_bytes(paths[0].read_bytes())
        with pytest.raises(SelectionError, match="under 1 of 3 names"):
            session.download(tmp_path)
