"""Pictures and PDF files as DICOM objects."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from simple_orthanc import SelectionError, UnknownTagError, VolumeError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.volume.writing.documents import Document, document_datasets
from tests.volume.writing.files import PDF, file_of, smooth
from tests.volume.writing.test_series import mandatory_attributes

PNG = file_of(smooth())
HEADER = make_series(
    (1, 4, 4),
    seed=1,
    PatientName="Müller^Jörg",
    SpecificCharacterSet="ISO_IR 100",
    StudyDescription="Haut",
    SeriesNumber=3,
)[0]


def test_a_pdf_file_is_embedded_as_it_is() -> None:
    (made,) = document_datasets([Document("Befund 王.pdf", PDF)], HEADER, {"SeriesDescription": "report"})
    found = pydicom.dcmread(BytesIO(as_bytes(made)))
    assert found.SOPClassUID.name == "Encapsulated PDF Storage"
    assert found.EncapsulatedDocument[: found.EncapsulatedDocumentLength] == PDF + b"\n"
    assert (found.MIMETypeOfEncapsulatedDocument, found.DocumentTitle) == ("application/pdf", "Befund 王.pdf")
    assert (found.Modality, found.BurnedInAnnotation, found.SeriesNumber, found.InstanceNumber) == (
        "DOC",
        "YES",
        1003,
        1,
    )
    assert (str(found.PatientName), found.StudyDescription) == ("Müller^Jörg", "Haut")
    assert found.StudyInstanceUID == HEADER.StudyInstanceUID
    assert found.SeriesInstanceUID != HEADER.SeriesInstanceUID
    assert found.SpecificCharacterSet == "ISO_IR 192"


def test_several_pictures_make_one_series() -> None:
    files = [Document(f"{number}.png", file_of(smooth((8, 8 + number)))) for number in range(3)]
    made = document_datasets(files, tags={"PatientID": "P1", "Modality": "XC"})
    assert [int(dataset.InstanceNumber) for dataset in made] == [1, 2, 3]
    assert len({dataset.SeriesInstanceUID for dataset in made}) == 1
    assert len({dataset.SOPInstanceUID for dataset in made}) == 3
    assert {dataset.Modality for dataset in made} == {"XC"}


def test_the_same_call_makes_the_same_objects() -> None:
    def make(content: bytes = PNG, **tags: str) -> bytes:
        return as_bytes(document_datasets([Document("a.png", content)], tags={"PatientID": "P1", **tags})[0])

    assert make() == make()
    different = [make(), make(file_of(smooth((4, 4)))), make(SeriesDescription="other"), make(PatientID="P2")]
    assert len({pydicom.dcmread(BytesIO(content)).SOPInstanceUID for content in different}) == 4


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "no file"),
        ([("a.png", PNG), ("b.pdf", PDF)], "pictures and PDF files"),
        ([("a.jpg", PNG)], "a.jpg is a PNG file by its content, and a JPEG file by its name"),
        ([("a.pdf", PNG)], "a PDF file by its name"),
        ([("a.tif", b"II*\0")], "no PNG, JPEG or PDF file"),
        ([("a.png", b"")], "no PNG, JPEG or PDF file"),
        ([("a.dcm", as_bytes(HEADER))], "use upload_file"),
        ([("a.pdf", PDF[:-9])], "ends too early"),
    ],
)
def test_files_that_are_refused(files: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(VolumeError, match=message):
        document_datasets([Document(*file) for file in files], HEADER)


def test_tags_that_are_refused() -> None:
    file = [Document("a.png", PNG)]
    with pytest.raises(VolumeError, match=r"whose it is.*like=.*PatientID"):
        document_datasets(file)
    with pytest.raises(SelectionError, match="PatientID was given, but the source"):
        document_datasets(file, HEADER, {"PatientID": "other"})
    with pytest.raises(UnknownTagError, match="SeriesDescription"):
        document_datasets(file, HEADER, {"SeriesDescripton": "x"})


def test_names_of_a_header_that_was_written_in_another_character_set() -> None:
    assert "Müller^Jörg".encode("latin-1") in as_bytes(HEADER)
    (made,) = document_datasets([Document("a.png", PNG)], HEADER)
    assert str(pydicom.dcmread(BytesIO(as_bytes(made))).PatientName) == "Müller^Jörg"


@pytest.mark.parametrize(
    ("name", "content"), [("a.png", PNG), ("a.jpg", file_of(smooth((8, 8, 3)), "JPEG")), ("a.pdf", PDF)]
)
def test_everything_that_the_class_demands_is_there(name: str, content: bytes) -> None:
    (made,) = document_datasets([Document(name, content)], tags={"PatientID": "P1"})
    for keyword, kind in mandatory_attributes(made.SOPClassUID):
        assert keyword in made, keyword
        assert kind == "2" or not made[keyword].is_empty, keyword
