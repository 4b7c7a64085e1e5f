"""Pictures and PDF files stored in an archive as DICOM objects."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from simple_orthanc.errors import AmbiguousSelectionError, SelectionError, VolumeError
from simple_orthanc.files.opening import open_regular
from simple_orthanc.files.paths import path_text
from simple_orthanc.session.uploads.volumes import UploadsVolumes

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.session.base import Session
    from simple_orthanc.volume.volume import Volume
    from simple_orthanc.volume.writing.documents import Document

# EncapsulatedDocument and PixelData hold less than 4 GB.
_MOST_BYTES = 2**32 - 2**20


class UploadsDocuments(UploadsVolumes):
    """The part of a session on an archive that stores pictures and PDF files in it."""

    def upload_document(
        self,
        path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        like: Session | Volume | Dataset | None = None,
        *,
        allow_foreign_uids: bool = False,
        **tags: Any,
    ) -> pd.DataFrame:
        """Store a PNG or JPEG picture as a Secondary Capture, or a PDF file as an Encapsulated PDF.

        Parameters
        ----------
        path : str or path, or several
            What a file is follows from its content. Several pictures, or several PDF files, make one series.
        like : session, Volume or pydicom.Dataset, optional
            Whose it is: a session on one study, such as ``orthanc.select(StudyDate="20200131")``, or an object of that
            study. Default: a study of its own, of the patient that the tags name.
        allow_foreign_uids : bool
            As for `upload_file`.
        **tags
            DICOM keywords, such as ``SeriesDescription="wound"``, ``Modality="XC"``, ``DocumentTitle="Report"``, and
            without `like` ``PatientID="P7"``. Those of the patient and the study cannot differ from `like`.

        Returns
        -------
        pandas.DataFrame
            One row per file, as for `upload_volume`.

        Raises
        ------
        VolumeError
            A file is broken, of another kind than its name says, animated, transparent, in CMYK, or in 16-bit colour;
            nothing was sent.
        SelectionError, UnknownTagError
            There is no such file, or as for `upload_volume`.
        AmbiguousSelectionError
            `like` is a session with several studies selected.
        TransportError
            The server went away; ``.table`` reports on each file. The same call stores nothing twice.

        Notes
        -----
        A PNG is stored pixel by pixel: grey of 8 or 16 bits, or RGB. A baseline JPEG is stored as it is, without
        decoding it, with all that its camera wrote into it; progressive JPEG files and those that are to be turned are
        decoded. A PDF file that does not end with a line end gets one, since Orthanc would return it without its last
        byte. Modality is OT for pictures and DOC for PDF files, and BurnedInAnnotation of PDF files is YES, unless
        the tags say otherwise. Orthanc returns a PDF with
        ``orthanc.rest.get(f"/instances/{id}/pdf")``.

        Examples
        --------
        >>> from PIL import Image
        >>> Image.new("L", (32, 24)).save("wound.png")
        >>> study = orthanc.select(PatientID="EX-003")
        >>> table = orthanc.upload_document("wound.png", like=study, SeriesDescription="wound", Modality="XC")
        >>> table[["PatientID", "status"]]
          PatientID  status
        0    EX-003  stored
        >>> study.table("PatientID", "Modality", "SeriesDescription")
          PatientID Modality SeriesDescription
        0    EX-003       CT       CT low dose
        1    EX-003       PT           PET FDG
        2    EX-003       XC             wound
        """
        from simple_orthanc.volume.writing.documents import document_datasets

        several: Any = path
        if isinstance(path, str | bytes | os.PathLike) or not isinstance(path, Iterable):
            several = [path]
        documents = [_read(one) for one in several]
        return self._upload_made(document_datasets(documents, _header(like), tags), allow_foreign_uids)


def _read(path: Any) -> Document:
    from simple_orthanc.volume.writing.documents import Document

    file = Path(path_text(path, 'upload_document("report.pdf")')).expanduser()
    try:
        with open_regular(file) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > _MOST_BYTES:
                raise VolumeError(f"{file} has {size} bytes, more than the 4 GB that a DICOM object holds of a file.")
            return Document(file.name, stream.read())
    except OSError as error:
        raise SelectionError(f"{file} cannot be read: {error.strerror or error}. Nothing was sent.") from error


def _header(like: Any) -> Dataset | None:
    """Return the header of an object of the study that is meant."""
    if like is None or isinstance(like, Dataset):
        return like
    if isinstance(getattr(like, "header", None), Dataset):
        header: Dataset = like.header
        return header
    if not callable(getattr(like, "get_header", None)):
        raise VolumeError(
            f"like={type(like).__name__} was given: it can be a session on one study, a Volume or a pydicom Dataset."
        )
    studies = like.get_dicom_tag("StudyInstanceUID")
    if len(studies) > 1:
        raise AmbiguousSelectionError(
            f"like= is a session with {len(studies)} studies selected: narrow it to the one that the file belongs to, "
            "with select(StudyInstanceUID=...).",
            candidates=tuple(studies),
        )
    header = like.get_header(0)
    return header
