"""Pictures (PNG, JPEG) as Secondary Captures and PDF files as Encapsulated PDF, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Literal, TypeAlias

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import VolumeError
from simple_orthanc.files.detection import looks_like_dicom
from simple_orthanc.volume.writing.pictures import add_picture
from simple_orthanc.volume.writing.source import derived_series_number, patient_and_study
from simple_orthanc.volume.writing.source_images import TYPE_2, UTF_8
from simple_orthanc.volume.writing.user_tags import check_tags

Kind: TypeAlias = Literal["PNG", "JPEG", "PDF"]

_BEGINNINGS: dict[bytes, Kind] = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"%PDF-": "PDF"}
_SUFFIXES: dict[str, Kind] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".pdf": "PDF"}
# The end of a PDF file is marked within its last bytes.
_PDF_END = 1024
_LONGEST_TITLE = 1024


@dataclass(frozen=True)
class Document:
    """A file: its name, for messages and titles, and its bytes."""

    name: str
    content: bytes

    @property
    def kind(self) -> Kind:
        """What it is by its first bytes.

        Raises
        ------
        VolumeError
            None of these, or something else than its name says.
        """
        kind = next((kind for start, kind in _BEGINNINGS.items() if self.content.startswith(start)), None)
        if kind is None:
            is_dicom = looks_like_dicom(self.content)
            advice = "It is a DICOM file: use upload_file." if is_dicom else "Convert it to one of these first."
            raise VolumeError(f"{self.name} is no PNG, JPEG or PDF file, by its content. {advice}")
        said = _SUFFIXES.get(PurePath(self.name).suffix.lower(), kind)
        if said != kind:
            raise VolumeError(
                f"{self.name} is a {kind} file by its content, and a {said} file by its name. Rename it if it is the "
                "right one."
            )
        return kind


def document_datasets(
    documents: Sequence[Document], header: Dataset | None = None, tags: Mapping[str, Any] | None = None
) -> list[Dataset]:
    r"""Return one object for each file, in one new series.

    Parameters
    ----------
    documents : sequence of Document
        Pictures, or PDF files.
    header : pydicom.Dataset, optional
        Of any object of the study that they belong to. None: a new study.
    tags : mapping, optional
        DICOM keywords of the objects.

    Returns
    -------
    list of pydicom.Dataset
        Complete with file meta information. The same files, study and tags have the same UIDs.

    Raises
    ------
    VolumeError
        A file is broken or of another kind; pictures and PDF files are mixed; or there is no study and no PatientID.
    UnknownTagError, SelectionError
        As for `check_tags`.

    Notes
    -----
    Secondary Capture Image: PS3.3 A.8.1. Encapsulated PDF: A.45.1.

    Examples
    --------
    >>> pdf = Document("report.pdf", b"%PDF-1.4\n%%EOF\n")
    >>> (dataset,) = document_datasets([pdf], tags={"PatientID": "P1"})
    >>> dataset.SOPClassUID.name, dataset.Modality, dataset.DocumentTitle
    ('Encapsulated PDF Storage', 'DOC', 'report.pdf')
    """
    kinds = {document.kind == "PDF" for document in documents}
    if len(kinds) != 1:
        given = "pictures and PDF files, which belong to different series: give" if kinds else "no file: give"
        raise VolumeError(f"upload_document was given {given} one file, or several of one kind.")
    source = header or Dataset()
    given_tags = check_tags(tags or {}, source)
    with quiet():
        template = _template(source, given_tags, is_pdf=kinds.pop())
        entropy = _entropy(documents, source, given_tags)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
            if not elements.text(template, keyword):
                setattr(template, keyword, _uid(entropy, keyword))
        return [_object(template, document, entropy, number) for number, document in enumerate(documents, 1)]


def _template(source: Dataset, given: Dataset, *, is_pdf: bool) -> Dataset:
    template = Dataset()
    for keyword in TYPE_2:
        setattr(template, keyword, "")
    template.update(patient_and_study(source))
    template.SpecificCharacterSet = UTF_8
    template.SeriesNumber = derived_series_number(source) or 1
    template.Modality = "DOC" if is_pdf else "OT"
    # A file of a workstation (PS3.3 C.8.6.1).
    template.ConversionType = "WSD"
    template.SOPClassUID = EncapsulatedPDFStorage if is_pdf else SecondaryCaptureImageStorage
    if is_pdf:
        # Whether its pages show who the patient is is not known; they usually do.
        template.BurnedInAnnotation = "YES"
        for keyword in ("ContentDate", "ContentTime", "AcquisitionDateTime", "DocumentTitle", "Manufacturer"):
            setattr(template, keyword, "")
        template.ConceptNameCodeSequence = []
    else:
        template.PatientOrientation = ""
    template.update(given)
    if not elements.text(template, "PatientID") and not elements.text(source, "StudyInstanceUID"):
        raise VolumeError(
            "A picture or document was to be stored, but nothing says whose it is. Name its study with like=, a "
            'session or a volume; or give PatientID="..." and other tags as you know them.'
        )
    return template


def _object(template: Dataset, document: Document, entropy: str, number: int) -> Dataset:
    dataset = Dataset()
    dataset.update(template)
    dataset.SOPInstanceUID = _uid(entropy, str(number))
    dataset.InstanceNumber = number
    if document.kind == "PDF":
        syntax = _add_pdf(dataset, document)
    else:
        syntax = add_picture(dataset, document.content, document.name)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    dataset.file_meta = meta
    return dataset


def _add_pdf(dataset: Dataset, document: Document) -> str:
    content = document.content
    if b"%%EOF" not in content[-_PDF_END:]:
        raise VolumeError(f"{document.name} is a PDF file that ends too early: get it again from where it came.")
    if not elements.text(dataset, "DocumentTitle"):
        dataset.DocumentTitle = "".join(filter(str.isprintable, document.name)).replace("\\", "/")[:_LONGEST_TITLE]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    # Orthanc takes the last byte for padding unless it ends a line, and returns the file without it.
    content += b"" if content.endswith(b"\n") else b"\n"
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.add_new("EncapsulatedDocument", "OB", content + b"\0" * (len(content) % 2))
    return str(ExplicitVRLittleEndian)


def _entropy(documents: Sequence[Document], source: Dataset, given: Dataset) -> str:
    """Return a digest of all that makes the objects, so that the same call makes the same ones."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update(f"{document.name} {len(document.content)};".encode("utf-8", "surrogateescape"))
        digest.update(document.content)
    study = [elements.text(source, keyword) for keyword in ("PatientID", "StudyInstanceUID", "SeriesNumber")]
    digest.update(f"{study} {given.to_json() if len(given) else ''}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _uid(*entropy: str) -> str:
    return str(generate_uid(entropy_srcs=["simple_orthanc", "document", *entropy]))
