"""What a session is asked to do in the bench, and what is true of the result: voxels, rows, files, what is stored."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from tests.faults.archive import (
    ORIGIN,
    SLICES,
    SPACING,
    STUDIES,
    Series,
    Server,
    is_file_request,
    is_listing,
    is_same,
    make_small,
)
from tests.faults.messages import Request

STORED = ("stored", "already stored", "stored, changed")


class WrongError(AssertionError):
    """Something is not true: a voxel, a value, a row."""


class LostError(AssertionError):
    """Something is missing without a word, or is there and is not whole."""


@dataclass
class Task:
    """One operation for one cell.

    Attributes
    ----------
    open : callable
        Opens a session through the proxy.
    server : Server
        What is behind the proxy.
    archive : list of Series
        What the server holds.
    own : Series
        What is uploaded or deleted.
    folder : Path
        For a download.
    session : object
        The session that carries it out.
    """

    open: Callable[[], Any]
    server: Server
    archive: list[Series]
    own: Series
    folder: Path
    session: Any = None


@dataclass(frozen=True)
class Operation:
    """An operation.

    Attributes
    ----------
    name : str
        As in the table.
    prepare, run : callable
        What comes before the fault, and what meets it. `run` returns a result.
    check : callable
        Raises `WrongError` or `LostError` if the result is not the truth. Called with None after an error.
    aim : callable
        Which requests are broken.
    changes : bool
        Whether it changes the archive.
    """

    name: str
    prepare: Callable[[Task], None]
    run: Callable[[Task], Any]
    check: Callable[[Task, Any], None]
    aim: Callable[[Request], bool]
    changes: bool = False


def _nothing(task: Task) -> None:
    return


def _opened(task: Task) -> None:
    task.session = task.open()


def _narrowed(task: Task) -> None:
    task.session = task.open()
    task.session.select(PatientID="CT-1")
    if (count := task.session.instance_count) != SLICES:
        raise LostError(f"{count} instances of {SLICES}")


def _connect(task: Task) -> Any:
    task.session = task.open()
    return task.session


def _check_session(task: Task, result: Any) -> None:
    if result is not None and result.study_count != STUDIES:
        raise LostError(f"{result.study_count} studies of {STUDIES}")


def _table(task: Task) -> Any:
    return task.session.table("PatientID", "StudyDate", "SeriesDescription", "instance_count")


def _check_table(task: Task, result: Any) -> None:
    if result is None:
        return
    rows = {tuple(map(str, row)) for row in result[["PatientID", "SeriesDescription", "instance_count"]].values}
    base = {(*row[:2], row[2]) for row in rows if not row[0].startswith("SMALL")}
    truth = {(each.patient, str(each.datasets[0].SeriesDescription), str(len(each.files))) for each in task.archive}
    if base - truth:
        raise WrongError(f"rows that are not true: {sorted(base - truth)}")
    if truth - base:
        raise LostError(f"{len(truth - base)} of {STUDIES} rows are missing")


def _check_headers(task: Task, result: Any) -> None:
    if result is None:
        return
    truth = task.archive[0].datasets
    if len(result) != len(truth):
        raise LostError(f"{len(result)} headers of {len(truth)}")
    by_uid = {header.SOPInstanceUID: header for header in result}
    for dataset in truth:
        header = by_uid.get(dataset.SOPInstanceUID)
        if header is None:
            raise LostError(f"no header of {dataset.SOPInstanceUID}")
        for element in dataset:
            if element.keyword != "PixelData" and header.get(element.keyword) != element.value:
                raise WrongError(f"{element.keyword} is {header.get(element.keyword)!r}, not {element.value!r}")


def _check_volume(task: Task, result: Any) -> None:
    if result is None:
        return
    if result.array.shape != task.archive[0].pixels.shape:
        raise LostError(f"a volume of {result.array.shape}")
    if not np.array_equal(result.array, task.archive[0].pixels):
        raise WrongError("voxels that are not true")
    if not np.allclose(result.origin, ORIGIN) or not np.allclose(result.spacing, SPACING[::-1]):
        raise WrongError(f"a volume at {result.origin} with {result.spacing}")


def _download(task: Task) -> Any:
    return task.session.download(task.folder)


def _check_files(task: Task, result: Any) -> None:
    truth = task.archive[0].files
    here = [path for path in task.folder.rglob("*") if path.is_file()]
    seen = set()
    for path in here:
        if path.suffix != ".dcm":
            raise LostError(f"{path.name} was left behind")
        content = path.read_bytes()
        try:
            uid = str(pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).SOPInstanceUID)
        except Exception:
            raise LostError(f"{path.name} is no DICOM file: {content[:40]!r}") from None
        if uid not in truth or not is_same(content, truth[uid]):
            kind = WrongError if uid in truth and len(content) >= len(truth[uid]) else LostError
            raise kind(f"{path.name} holds {len(content)} bytes that are not those of the archive")
        seen.add(uid)
    if result is not None and seen != set(truth):
        raise LostError(f"{len(seen)} files of {len(truth)}, and no error")


def _check_upload(task: Task, result: Any) -> None:
    if result is None:
        return
    held = task.server.held(task.own.patient)
    if len(result) != len(task.own.files):
        raise WrongError(f"{len(result)} rows for {len(task.own.files)} files")
    for status, uid, content in zip(result["status"], result["SOPInstanceUID"], task.own.files.values(), strict=True):
        expected = str(pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).SOPInstanceUID)
        if status in STORED and (uid != expected or expected not in held):
            raise LostError(f"a row says {status!r} of {uid}, and the server holds no such object")
        if status in ("stored", "already stored") and not is_same(held[expected], content):
            raise WrongError("a row says stored, and the server holds something else")
        if status == "already stored":
            raise WrongError("a row says already stored, and this upload stored it")


def _prepare_delete(task: Task) -> None:
    task.server.put(task.own.files.values())
    task.session = task.open().select(PatientID=task.own.patient)
    assert task.session.instance_count == len(task.own.files)


def _delete(task: Task) -> Any:
    return task.session.delete_selected_patient()


def _check_delete(task: Task, result: Any) -> None:
    if result is not None and task.server.held(task.own.patient):
        raise LostError("no error, and the patient is still there")
    if len(task.server.held("CT-1")) != SLICES:
        raise LostError("another patient was deleted")


def _any_request(request: Request) -> bool:
    return True


def _is_upload(request: Request) -> bool:
    return request.method == "POST" and (request.path == "/instances" or request.path.endswith("/studies"))


def _is_delete(request: Request) -> bool:
    return request.method == "DELETE"


OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("connect", _nothing, _connect, _check_session, _any_request),
        Operation("table", _opened, _table, _check_table, is_listing),
        Operation("headers", _narrowed, lambda task: task.session.get_headers(), _check_headers, is_file_request),
        Operation("volume", _narrowed, lambda task: task.session.get_volume(), _check_volume, is_file_request),
        Operation("download", _narrowed, _download, _check_files, is_file_request),
        Operation(
            "upload",
            _opened,
            lambda task: task.session.upload_file(list(task.own.files.values())),
            _check_upload,
            _is_upload,
            changes=True,
        ),
        Operation("delete", _prepare_delete, _delete, _check_delete, _is_delete, changes=True),
    )
}


@contextmanager
def task_on(
    open_session: Callable[[], Any], server: Server, archive: list[Series], operation: Operation
) -> Iterator[Task]:
    """Yield the task of one cell, and a folder that is removed at the end."""
    own = make_small() if operation.changes else archive[0]
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        yield Task(open_session, server, archive, own, Path(folder) / "files")
