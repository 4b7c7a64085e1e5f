"""A server in memory that takes uploads, and files for it; see `simple_orthanc.selection.store.Store`."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pydicom

from simple_orthanc.errors import ServerError, TransportError
from simple_orthanc.files.streaming import LongFile
from simple_orthanc.selection.store import StoreOutcome
from simple_orthanc.session.uploads.files import Report, Uploader, jobs_for
from tests.memory_source import as_file, instance

FILE = as_file(instance(1))
OTHER = as_file(instance(2))
UID, OTHER_UID = "1.2.1.1.1", "1.2.1.1.2"


class Server:
    """Stores by SOPInstanceUID as Orthanc does, and can do worse."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.received: list[bytes] = []
        self.does_answer = True
        self.answers: list[BaseException | tuple[Any, ...] | None] = []
        self.keeps_checksums = True
        self.transcodes = False
        self.overwrites = False
        self.most_pauses = 10
        self.questions: list[tuple[str, str]] = []
        self.refuses_searches = False
        self.lost_questions = 0

    def pauses(self) -> Iterator[float]:
        return iter([0.0] * self.most_pauses)

    def store(self, content: bytes | LongFile) -> StoreOutcome:
        if isinstance(content, LongFile):
            assert content.tell() == 0
            try:
                content = content.whole()
            except OSError:
                raise TransportError("the connection broke") from None
        self.received.append(content)
        answer = self.answers.pop(0) if self.answers else None
        if not self.does_answer:
            raise TransportError("connection refused")
        if isinstance(answer, BaseException):
            raise answer
        if answer is not None:
            return StoreOutcome(*answer)
        return StoreOutcome(*self.keep(content))

    def keep(self, content: bytes) -> tuple[Any, str]:
        try:
            uid = str(pydicom.dcmread(io.BytesIO(content), force=True).SOPInstanceUID)
        except Exception:
            raise ServerError("no", status=400, details="Bad file format") from None
        if uid in self.held and not self.overwrites:
            return "already stored", uid
        self.held[uid] = self.changed(content)
        return "stored", uid

    def changed(self, content: bytes) -> bytes:
        return content

    def find(self, content: bytes | LongFile) -> str | None:
        whole = content.whole() if isinstance(content, LongFile) else content
        sent = pydicom.dcmread(io.BytesIO(whole), force=True)
        held = self.held.get(str(sent.SOPInstanceUID))
        if held is None:
            return None
        is_of_patient = pydicom.dcmread(io.BytesIO(held), force=True).get("PatientID") == sent.get("PatientID")
        return str(sent.SOPInstanceUID) if is_of_patient else None

    def md5_of(self, identifiers: Sequence[str]) -> str | None:
        held = self.held.get(identifiers[-1])
        return None if held is None or not self.keeps_checksums else hashlib.md5(held).hexdigest()

    def patients(self, level: str, identifiers: Sequence[str]) -> set[str]:
        """The PatientIDs of the files that are held with the same UID."""
        self.questions.append((level, identifiers[1] if level == "study" else identifiers[2]))
        if not self.does_answer:
            raise TransportError("connection refused")
        if self.lost_questions:
            self.lost_questions -= 1
            raise TransportError("an answer that was not understood")
        if self.refuses_searches:
            raise ServerError("no", status=403)
        found = set()
        for content in list(self.held.values()):
            header = pydicom.dcmread(io.BytesIO(content), force=True)
            uid = header.get("StudyInstanceUID" if level == "study" else "SeriesInstanceUID")
            if uid == self.questions[-1][1]:
                found.add(str(header.get("PatientID") or ""))
        return found

    def compare(self, files: Sequence[tuple[str, str]]) -> list[Any]:
        return [self._compared(key, md5) for key, md5 in files]

    def _compared(self, key: str, md5: str) -> str:
        if key not in self.held:
            return "gone"
        if not self.keeps_checksums:
            return "unknown"
        return "same" if hashlib.md5(self.held[key]).hexdigest() == md5 else "another"

    def content(self, key: str) -> bytes:
        return self.held[key]

    def is_alive(self) -> bool:
        return self.does_answer

    def upload(self, what: Any, test_dicom: bool = True) -> list[Report]:
        return self.run(jobs_for(what), test_dicom)

    def run(self, pending: Any, test_dicom: bool = True) -> list[Report]:
        return Uploader(self).run(pending, test_dicom)


def one(reports: list[Report]) -> Report:
    (report,) = reports
    return report


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


def folder(tmp_path: Path) -> Path:
    (tmp_path / "b.dcm").write_bytes(FILE)
    (tmp_path / "a.txt").write_bytes(b"notes")
    (tmp_path / "inner" / "deep").mkdir(parents=True)
    (tmp_path / "inner" / "c").write_bytes(OTHER)
    (tmp_path / "inner" / "deep" / "d").write_bytes(b"")
    (tmp_path / "z.zip").write_bytes(zipped(x=FILE))
    return tmp_path


def rows(reports: list[Report], top: Path) -> list[tuple[str, str | None, str]]:
    return [(os.path.relpath(str(report.path), top), report.member, report.status) for report in reports]
