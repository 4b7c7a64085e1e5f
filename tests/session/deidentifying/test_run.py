"""One call that uploads copies: what became of each is true, whichever end gives way."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import NotFoundError, ServerError, TransportError, UnsupportedError
from simple_orthanc.phantom import make_series
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.session import Session
from simple_orthanc.session.acts.reports import Target
from simple_orthanc.session.deidentifying.results import Deidentified
from simple_orthanc.session.deidentifying.run import _workers, lost_slices
from simple_orthanc.session.uploads.files import Uploader
from tests.memory_source import instance
from tests.session.sessions import session_of, source_of
from tests.session.store_stand_in import Server
from tests.volume.mosaics import siemens_mosaic

KEY = "correct horse battery staple"


class Archive:
    """A session on a server in memory that takes uploads."""

    def __init__(self) -> None:
        self.server = Server()
        self.told: list[object] = []

    def _uploader(self) -> Uploader:
        return Uploader(self.server)

    def _reread(self) -> None:
        self.told.append("changed")

    def _reread_after(self, error: BaseException) -> None:
        self.told.append(error)


def session(count: int = 12) -> Session:
    return session_of(*(instance(number, patient="P1") for number in range(1, count + 1))).select(PatientID="P1")


def deidentified(session: Session, archive: Archive, **options: Any) -> Deidentified:
    return session.deidentify(archive, key=KEY, **options)


def test_copies_are_uploaded_once() -> None:
    archive = Archive()
    made = deidentified(session(), archive)
    assert set(made.table.status) == {"deidentified"}
    assert set(archive.server.held) == set(made.table.new_SOPInstanceUID)
    assert archive.told == ["changed"]
    again = deidentified(session(), archive)
    assert set(again.table.status) == {"already there"}
    assert again.report.equals(made.report)
    assert again.table.path.isna().all()


def test_a_dry_run_uploads_nothing() -> None:
    archive = Archive()
    assert set(deidentified(session(), archive, dry_run=True).table.status) == {"would be deidentified"}
    assert (archive.server.received, archive.told) == ([], [])


def test_what_the_archive_does_with_each_is_its_row() -> None:
    archive = Archive()
    archive.server.answers = [ServerError("no", status=507, details="No space left"), ("filtered",), None]
    made = deidentified(session(3), archive)
    assert sorted(made.table.status) == ["deidentified", "failed", "failed"]
    assert made.table.message.str.contains("No space left").any()
    # Only what was stored is counted.
    assert made.report.set_index("path").loc["SOPInstanceUID", "changed"] == 1


def test_another_file_under_the_new_identifiers_is_a_conflict() -> None:
    archive = Archive()
    made = deidentified(session(3), archive)
    uid = made.table.new_SOPInstanceUID[1]
    archive.server.held[uid] += b"\0"
    again = deidentified(session(3), archive)
    assert sorted(again.table.status) == ["already there", "already there", "conflict"]


def test_an_archive_that_overwrites_keeps_what_it_holds() -> None:
    archive = Archive()
    archive.server.overwrites = True
    made = deidentified(session(3), archive)
    before = dict(archive.server.held)
    again = deidentified(session(3), archive)
    assert set(again.table.status) == {"already there"}
    others = deidentified(session(3), archive, options=["retain_full_dates"])
    assert set(others.table.status) == {"conflict"}
    assert others.table.new_SOPInstanceUID.equals(made.table.new_SOPInstanceUID)
    assert archive.server.held == before


def test_copies_that_would_be_one_object_do_not_replace_each_other() -> None:
    archive = Archive()
    archive.server.overwrites = True
    reading = session_of(instance(1, patient="P1"), instance(1, patient="P2"))
    made = deidentified(reading, archive, everything=True, remove=["PatientID"])
    assert sorted(made.table.status) == ["conflict", "deidentified"]
    assert len(archive.server.held) == 1


def test_a_patient_under_another_pseudonym_is_not_mixed_up() -> None:
    archive = Archive()
    deidentified(session(2), archive)
    archive.server.held.popitem()
    made = deidentified(session(2), archive, pseudonyms={"P1": "S01"})
    assert set(made.table.status) == {"conflict"}
    assert made.table.message.str.contains("the archive holds its StudyInstanceUID").all()
    assert len(archive.server.held) == 1


def test_an_archive_that_goes_away_leaves_the_truth() -> None:
    archive = Archive()
    reading = session()
    source = source_of(reading)
    content, calls = source.content, []

    def ending(key: str) -> bytes:
        calls.append(key)
        if len(calls) == 8:
            archive.server.does_answer = False
        return content(key)

    source.content = ending
    with pytest.raises(TransportError, match="went away") as raised:
        deidentified(reading, archive)
    table = raised.value.table
    assert list(table.columns[1:3]) == ["PatientID", "StudyInstanceUID"]
    assert len(table) == 12
    done = table[table.status == "deidentified"]
    assert set(done.new_SOPInstanceUID) <= set(archive.server.held)
    assert archive.told == [raised.value]
    archive.server.does_answer = True
    again = deidentified(session(), archive)
    assert set(again.table.status) == {"deidentified", "already there"}
    assert len(archive.server.held) == 12


def test_a_source_that_goes_away_leaves_the_truth() -> None:
    archive, reading = Archive(), session()
    source = source_of(reading)
    content, rows, calls = source.content, source.rows, []

    def lost(*arguments: object) -> Any:
        raise TransportError("The connection was refused.")

    def ending(key: str) -> bytes:
        calls.append(key)
        if len(calls) > 5:
            source.rows = lost
            lost()
        return content(key)

    source.content = ending
    with pytest.raises(TransportError, match="refused") as raised:
        deidentified(reading, archive)
    table = raised.value.table
    assert table.status.value_counts().to_dict() == {"deidentified": 5, "not tried": 7}
    assert len(archive.server.held) == 5
    source.content, source.rows = content, rows
    assert set(deidentified(reading, archive).table.status) == {"deidentified", "already there"}


def test_ctrl_c_leaves_the_truth() -> None:
    archive, reading = Archive(), session()
    archive.server.answers = [None] * 4 + [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt) as raised:
        deidentified(reading, archive)
    table = vars(raised.value)["table"]
    assert len(table) == 12
    assert set(table.status) <= {"failed", "not tried"}
    assert table[table.status == "failed"].message.str.contains("may or may not").all()
    assert archive.told == [raised.value]
    assert set(deidentified(reading, archive).table.status) == {"deidentified", "already there"}


def test_objects_without_a_copy_are_rows() -> None:
    images = make_series((4, 4, 4), seed=1, PatientID="P1")
    images[0].BurnedInAnnotation = "YES"
    reading = session_of(*images).select(PatientID="P1")
    source = source_of(reading)
    content = source.content

    def odd(key: str) -> bytes:
        whole = content(key)
        number = pydicom.dcmread(io.BytesIO(whole)).InstanceNumber
        if number == 2:
            raise NotFoundError("There is no such instance.", status=404)
        return whole[:200] if number == 3 else whole

    source.content = odd
    made = deidentified(reading, Archive())
    assert sorted(made.table.status) == ["deidentified", "failed", "gone", "left out"]


def test_a_source_without_files_is_refused() -> None:
    class Pacs(Session):
        def _check_has_files(self) -> None:
            raise UnsupportedError("A PACS hands over no files.")

    archive = Archive()
    with pytest.raises(UnsupportedError, match="no files"):
        deidentified(Pacs(source_of(session(2))), archive, everything=True)
    assert (archive.server.received, archive.told) == ([], [])


def test_a_mosaic_without_its_private_elements_is_warned_about() -> None:
    original = siemens_mosaic(np.zeros((4, 8, 8), np.int16))
    copy = Dataset()
    copy.update({element.tag: element for element in original if not element.tag.is_private})
    assert lost_slices(original, original) == []
    assert "it is no volume any more" in lost_slices(original, copy)[0]
    assert lost_slices(copy, copy) == []


@pytest.mark.parametrize(("size", "workers"), [(None, 8), (500_000, 8), (100 << 20, 3), (2 << 30, 1)])
def test_large_objects_are_copied_a_few_at_a_time(size: int | None, workers: int) -> None:
    reading = session(40)
    source = source_of(reading)
    asked = []

    def stored_file(key: str) -> StoredFile:
        asked.append(key)
        if len(asked) == 2:
            raise NotFoundError("There is no such instance.", status=404)
        return StoredFile(size if len(asked) == 3 else 1000)

    source.stored_file = stored_file
    targets = [Target("instance", key, ("P1", "1", "1", key), (key,)) for key in reading._instances()]
    assert _workers(source, targets) == workers
    assert 3 < len(asked) <= 16
    assert _workers(source, []) == 8
