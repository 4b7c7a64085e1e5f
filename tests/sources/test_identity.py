"""What arrives is compared with what was asked for, and another object is never taken for it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.errors import TransportError
from simple_orthanc.sources.identity import Identity, another_object, identity_in, identity_of, orthanc_id
from simple_orthanc.sources.orthanc.source import OrthancSource
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, reply
from tests.memory_source import as_file, instance

ASKED = Identity("P1", "1.2.1", "1.2.1.1", "1.2.1.1.1")


def in_file(content: bytes) -> Identity:
    return identity_in(io.BytesIO(content), len(content))


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), min_size=1, max_size=30))
def test_a_file_and_its_header_have_the_same_identity(patient: str) -> None:
    dataset = instance(1, patient=patient)
    in_header, content = identity_of(dataset), in_file(as_file(dataset))
    assert in_header.differences(content) == content.differences(in_header) == []
    assert in_header[1:] == content[1:] == ASKED[1:]


def test_missing_identifiers_are_empty() -> None:
    dataset = instance(1, patient="")
    del dataset.StudyInstanceUID
    assert identity_of(dataset) == in_file(as_file(dataset)) == Identity("", "", "1.2.1.1", "1.2.1.1.1")


def test_damage_after_the_identifiers_does_not_matter() -> None:
    content = as_file(instance(1, patient="P1", BitsAllocated=8, PixelData=bytes(1000)))
    assert in_file(content[:-700]) == ASKED


@pytest.mark.parametrize(
    "content", [b"", b"<html>Please log in</html>", bytes(200), bytes(128) + b"DICM", b"\xff" * 999]
)
def test_what_is_not_a_file_has_no_identity(content: bytes) -> None:
    assert in_file(content).instance == ""
    assert ASKED.differences(in_file(content))


@pytest.mark.parametrize(
    ("arrived", "different"),
    [
        (ASKED, []),
        (ASKED._replace(patient="P2"), ["PatientID"]),
        (ASKED._replace(study="1.2.2"), ["StudyInstanceUID"]),
        (ASKED._replace(series="1.2.1.2"), ["SeriesInstanceUID"]),
        (ASKED._replace(instance="1.2.1.1.2"), ["SOPInstanceUID"]),
        # How servers decode it differs.
        (ASKED._replace(patient="Pé"), []),
    ],
)
def test_every_identifier_is_compared(arrived: Identity, different: list[str]) -> None:
    assert ASKED.differences(arrived) == different
    # What is not known cannot differ.
    assert Identity("", "", "", ASKED.instance).differences(arrived) == [n for n in different if n == "SOPInstanceUID"]


def test_the_error_names_what_was_asked_and_what_came() -> None:
    message = str(another_object("http://h", ASKED, ASKED._replace(patient="P2", instance="9")))
    assert "http://h was asked for SOPInstanceUID 1.2.1.1.1" in message
    assert "PatientID 'P2' instead of 'P1', SOPInstanceUID '9' instead of '1.2.1.1.1'" in message
    assert "refresh()" in message
    message = str(another_object("http://h", Identity("", "1", "1.2", ""), Identity("", "", "", "")))
    assert "asked for SeriesInstanceUID 1.2, and returned something without the identifiers" in message


# The Orthanc source


class Archive(StandIn):
    """An Orthanc with one instance, whose file is whatever `file` is."""

    def __init__(self, listed: Identity, file: bytes) -> None:
        self.listed, self.file = listed, file
        super().__init__(self.answer)

    def answer(self, asked: Asked, count: int) -> bytes:
        path = urlsplit(asked.path).path
        patient, study, series, sop = self.listed
        tags = {"0008,0018": sop}
        if path == "/system":
            return reply({"Version": "1.12.7", "ApiVersion": 27})
        if path.endswith("/md5"):
            return reply(hashlib.md5(self.file).hexdigest().encode())
        if path.endswith("/file"):
            return reply(self.file)
        if path.endswith("/series"):
            tags = {"0020,000e": series}
        elif path.endswith("/study"):
            return reply({"MainDicomTags": {"0020,000d": study}, "PatientMainDicomTags": {"0010,0020": patient}})
        return reply({"MainDicomTags": tags, "FileSize": len(self.file)})


@pytest.fixture
def archive() -> Iterator[Archive]:
    with Archive(ASKED, as_file(instance(1, patient="P1"))) as server:
        yield server


def reads(source: OrthancSource, key: str, folder: Path) -> None:
    """Read an instance in every way."""
    assert source.header(key).SOPInstanceUID == ASKED.instance
    assert source.content(key)
    source.save(key, folder / "a.dcm")
    assert (folder / "a.dcm").is_file()


def test_the_object_asked_for_is_identified_without_further_requests(archive: Archive, tmp_path: Path) -> None:
    reads(OrthancSource(Transport(archive.url)), orthanc_id(ASKED), tmp_path)
    assert not any(urlsplit(asked.path).path.endswith(("/series", "/study")) for asked in archive.asked)


OTHERS: dict[str, Dataset] = {
    "patient": instance(1, patient="P2"),
    "study": instance(1, patient="P1", StudyInstanceUID="1.2.9"),
    "series": instance(1, patient="P1", SeriesInstanceUID="1.2.9"),
    "instance": instance(2, patient="P1"),
}


@pytest.mark.parametrize("what", [*OTHERS, "a page"])
def test_another_object_is_an_error_and_nothing_is_written(archive: Archive, what: str, tmp_path: Path) -> None:
    archive.file = as_file(OTHERS[what]) if what in OTHERS else b"<html>Please log in</html>"
    source, key = OrthancSource(Transport(archive.url)), orthanc_id(ASKED)
    said = "without the identifiers" if what == "a page" else "returned another object"
    with pytest.raises(TransportError, match=said):
        source.content(key)
    with pytest.raises(TransportError, match=said):
        source.save(key, tmp_path / "a.dcm")
    assert list(tmp_path.iterdir()) == []
    if what in OTHERS:
        with pytest.raises(TransportError, match=said):
            source.header(key)
        with pytest.raises(TransportError, match=said):
            source.check_identity(key, OTHERS[what])


def test_an_id_that_orthanc_computed_otherwise_is_looked_up(archive: Archive, tmp_path: Path) -> None:
    reads(OrthancSource(Transport(archive.url)), "0" * 8, tmp_path)
    paths = [asked.path for asked in archive.asked]
    assert "/instances/00000000/study?short=" in paths
