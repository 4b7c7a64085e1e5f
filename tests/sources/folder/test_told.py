"""What one process tells another of files, so that no folder is looked at once for each process that computes."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simple_orthanc import Folder, SelectionError
from simple_orthanc.concurrency import landing
from simple_orthanc.session.mapping.parcels import Parcel
from simple_orthanc.session.mapping.run import Run
from simple_orthanc.sources.folder import source as folder_source
from tests.memory_source import as_file, instance
from tests.session.exports.series import one_series, written
from tests.sources.folder.folders import ALL, Reads, answers, write

PLURAL = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}


def landed(session: Folder, positions: list[int], level: str = "series") -> Parcel:
    """Return a parcel as it lands in another process."""
    run: Run[Any] = Run(session, level, len, raises=False)  # type: ignore[arg-type]
    content = run.parcel(positions)
    landing._origins.clear()
    landing._landed.clear()
    parcel: Parcel = pickle.loads(content)
    return parcel


def uids(session: Folder) -> list[Any]:
    return session.get_dicom_tag("SOPInstanceUID", unique=False, level="instance")


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("level", ["patient", "study", "series", "instance"])
@pytest.mark.parametrize("positions", [[1], [0, 1]])
def test_objects_are_read_and_no_other_file_is_looked_at(
    top: Path, tmp_path: Path, reads: Reads, level: str, positions: list[int], cached: bool
) -> None:
    folder = Folder(top, cache=tmp_path / "cache" if cached else False)
    children = list(getattr(folder, PLURAL[level]))
    expected = [children[position] for position in positions]
    reads.take()
    there = landed(folder, positions, level).sessions()
    assert [uids(one) for one in there] == [uids(one) for one in expected]
    headers = [[header.SOPInstanceUID for header in one.get_headers()] for one in there]
    assert headers == [uids(one) for one in expected]
    assert [one.table("PatientName", "KVP", "ImageType").to_dict() for one in there] == [
        one.table("PatientName", "KVP", "ImageType").to_dict() for one in expected
    ]
    assert reads.take() == []
    assert all(one._source._index is None for one in there)  # type: ignore[attr-defined]


def test_members_of_zips_are_read(tmp_path: Path) -> None:
    files = written(tmp_path / "files", one_series(1), one_series(2))
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", files)
    folder = Folder(archive, cache=False)
    expected = [one.get_array() for one in folder.series]
    for one, array in zip(landed(folder, [0, 1]).sessions(), expected, strict=True):
        np.testing.assert_array_equal(one.get_array(), array)
        assert one._source._index is None


def test_whatever_else_is_asked_has_the_whole_answer(top: Path, reads: Reads) -> None:
    folder = Folder(top, cache=False)
    expected = repr(answers(folder))
    reads.take()
    (there,) = landed(folder, [1]).sessions()
    assert repr(answers(there.copy().reset())) == expected
    assert reads.take() == ALL
    assert uids(there) == uids(list(folder.series)[1])
    assert not there._source._told


def test_a_file_that_has_changed_is_not_read(top: Path) -> None:
    folder = Folder(top, cache=False)
    (there,) = landed(folder, [0]).sessions()
    write(top, {"a/2.dcm": as_file(instance(2, PatientName="another"))})
    with pytest.raises(SelectionError, match=r"2\.dcm is gone, or has changed since the folder was looked at"):
        there.get_headers()


def test_what_was_told_later_counts(top: Path) -> None:
    folder = Folder(top, cache=False)
    parcel = landed(folder, [0])
    parcel.sessions()
    write(top, {"a/2.dcm": as_file(instance(2, PatientName="another"))})
    folder.refresh()
    run: Run[Any] = Run(folder, "series", len, raises=False)
    (there,) = pickle.loads(run.parcel([0])).sessions()
    assert "another" in [header.get("PatientName") for header in there.get_headers()]


def test_only_the_last_files_are_remembered(top: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_source, "_MOST_REMEMBERED", 2)
    folder = Folder(top, cache=False)
    reads.take()
    (there,) = landed(folder, [0]).sessions()
    assert len(there._source._told) == 2
    assert uids(there) == uids(next(iter(folder.series)))
    assert reads.take() == ALL


def test_very_many_files_are_not_told_of(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_source, "_MOST_TOLD", 2)
    parcel = landed(Folder(top, cache=False), [0])
    assert parcel.files is None
    assert len(uids(parcel.sessions()[0])) == 3


def test_processes_look_at_no_folder(tmp_path: Path) -> None:
    session = Folder(written(tmp_path / "files", *map(one_series, range(1, 5))), cache=False)
    table = session.map(has_looked, scheduler="processes", workers=2)
    assert table["result"].tolist() == [False] * 4, table


def has_looked(session: Any) -> bool:
    session.get_volume()
    return session._source._index is not None
