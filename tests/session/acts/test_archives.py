"""Archives that a server has made of something else, that are gone, or that do not fit."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simple_orthanc import Orthanc, SelectionError, TransportError
from simple_orthanc.errors import JobError, OrthancError, RequestTimeout, ServerError
from simple_orthanc.rest import Rest
from simple_orthanc.session.acts import archives
from tests.orthanc_stand_in import OrthancServer
from tests.session.sessions import source_of, three_series


class Made:
    """A job that has made an archive."""

    def __init__(self, count: int, outputs: list[bool]) -> None:
        self.id = "7"
        self.content = {"InstancesCount": count, "ArchiveSize": "1000"}
        self._outputs = outputs
        self.waited = 0

    def wait(self, **_: Any) -> Made:
        self.waited += 1
        return self

    def output(self, path: Path) -> Path:
        if not self._outputs.pop(0):
            raise JobError("The server has no such output any more.")
        path.write_bytes(b"zip")
        return path


@pytest.fixture
def session() -> Iterator[Orthanc]:
    with OrthancServer(source_of(three_series()).datasets) as server, Orthanc(server.url) as opened:
        yield opened.select(PatientID="P1")


def start(monkeypatch: pytest.MonkeyPatch, count: int, *outputs: bool) -> list[tuple[str, Any]]:
    """Let the server make archives of a number of instances, of which some can be fetched; return what is started."""
    started: list[tuple[str, Any]] = []
    left = list(outputs)

    def start_job(rest: Rest, path: str, body: Any) -> Made:
        started.append((path, body))
        return Made(count, left)

    monkeypatch.setattr(Rest, "start_job", start_job)
    return started


def test_exactly_what_is_selected_is_asked_for(
    session: Orthanc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = start(monkeypatch, 3, True, True)
    assert session.archive(tmp_path / "a.zip") == tmp_path / "a.zip"
    session.archive(str(tmp_path / "b.zip"), media=True)
    ids = {"Resources": session.get_orthanc_ids()}
    assert started == [("/tools/create-archive", ids), ("/tools/create-media", ids)]


def test_a_file_that_appeared_meanwhile_is_kept(
    session: Orthanc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start(monkeypatch, 3, True, True)
    path = tmp_path / "a.zip"
    check_count = archives._check_count

    def slowly(job: Any, count: int) -> None:
        path.write_bytes(b"of somebody else")
        check_count(job, count)

    monkeypatch.setattr(archives, "_check_count", slowly)
    with pytest.raises(SelectionError, match=r"There is a file .*a.zip already, and nothing was archived"):
        session.archive(path)
    assert path.read_bytes() == b"of somebody else"
    assert list(tmp_path.iterdir()) == [path]
    session.archive(path, overwrite=True)
    assert path.read_bytes() == b"zip"


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_archive_removes_what_a_killed_process_has_left(
    session: Orthanc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, overwrite: bool
) -> None:
    start(monkeypatch, 3, True)
    seen: list[str] = []
    check_count = archives._check_count

    def look(job: Any, count: int) -> None:
        seen.extend(path.name for path in tmp_path.rglob("*"))
        check_count(job, count)

    left = tmp_path / ".simple_orthanc-0123456789abcdef"
    left.mkdir()
    (left / "a.zip").write_bytes(b"a part")
    left.with_suffix(".lock").touch()
    monkeypatch.setattr(archives, "_check_count", look)
    session.archive(tmp_path / "a.zip", overwrite=overwrite)
    # The folder in which it grows, and its lock.
    assert len(seen) == 2
    assert left.name not in seen
    assert all(name.startswith(".simple_orthanc-") for name in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_an_archive_that_another_one_pushed_out_is_made_without_a_job(
    session: Orthanc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start(monkeypatch, 3, False, False)
    zips = [["a", "b", "c"], ["a", "b"]]

    def stream(rest: Rest, path: str, *, body: Any, to: Path, idempotent: bool, check: Callable[[Path], None]) -> Path:
        assert (path, idempotent) == ("/tools/create-archive", True)
        assert body == {"Resources": session.get_orthanc_ids()}
        part = to.with_suffix(".part")
        with zipfile.ZipFile(part, "w") as archive:
            for name in zips.pop(0):
                archive.writestr(name, b"")
        check(part)
        return part.rename(to)

    monkeypatch.setattr(Rest, "stream", stream)
    assert session.archive(tmp_path / "a.zip").is_file()
    with pytest.raises(TransportError, match="which has 3 instances, and the zip holds 2"):
        session.archive(tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


@pytest.mark.parametrize(
    ("failure", "again"),
    [
        (TransportError("lost"), True),
        (TransportError("damaged", is_about_object=True), False),
        (RequestTimeout("slow"), False),
        (JobError("failed"), True),
        (ServerError("busy", status=503), True),
        (ServerError("forbidden", status=403), False),
    ],
)
def test_an_answer_that_is_lost_or_no_job(
    session: Orthanc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: OrthancError, again: bool
) -> None:
    answers: list[Any] = [failure, SimpleNamespace(id=None, content="<html>")]

    def start_job(*_: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, OrthancError):
            raise answer
        return answer

    streamed = []

    def stream(rest: Rest, path: str, *, to: Path, **_: Any) -> Path:
        streamed.append(path)
        to.write_bytes(b"zip")
        return to

    monkeypatch.setattr(Rest, "start_job", start_job)
    monkeypatch.setattr(Rest, "stream", stream)
    with contextlib.nullcontext() if again else pytest.raises(type(failure)):
        assert session.archive(tmp_path / "a.zip") == tmp_path / "a.zip"
    assert len(streamed) == int(again)
    session.archive(tmp_path / "b.zip")
    assert len(streamed) == int(again) + 1


@pytest.mark.parametrize("count", [2, 4])
def test_an_archive_of_something_else_is_refused(
    session: Orthanc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int
) -> None:
    start(monkeypatch, count, True)
    with pytest.raises(SelectionError, match=f"3 instances were to be archived, and the server archived {count}"):
        session.archive(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_does_not_fit_is_not_begun(
    session: Orthanc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start(monkeypatch, 3, True)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=999))
    with pytest.raises(SelectionError, match=r"0\.0 MB are to be written, and 0\.0 MB are free\. Nothing was written"):
        session.archive(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []
