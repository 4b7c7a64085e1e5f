"""The transactions of DICOMweb (PS3.18 chapter 10), one method for each, on any server that offers them."""

from __future__ import annotations

from simple_orthanc.dicomweb.datasets import bulk_data_uris, to_dataset
from simple_orthanc.dicomweb.model import text, texts
from simple_orthanc.dicomweb.multipart import Part
from simple_orthanc.dicomweb.rendering import Render, Rendering
from simple_orthanc.dicomweb.retrieving import Frame, Retrieve
from simple_orthanc.dicomweb.searching import Search
from simple_orthanc.dicomweb.storing import Store, Stored

__all__ = [
    "Frame",
    "Part",
    "Rendering",
    "Stored",
    "Transactions",
    "bulk_data_uris",
    "text",
    "texts",
    "to_dataset",
]


class Transactions(Retrieve, Render, Store, Search):
    """The transactions of one DICOMweb server: search, retrieve, store, delete.

    Parameters
    ----------
    transport : Transport
        The connection to the root of the service, such as ``http://127.0.0.1:8042/dicom-web`` for Orthanc.
    qido_prefix, wado_prefix, stow_prefix, delete_prefix : str, optional
        The path between that root and ``studies``, if a server has one of its own for searching, retrieving, storing or
        deleting.

    Notes
    -----
    What is returned is what the server sent, checked to be whole and of the right kind. Servers differ in how they
    match strings, and some ignore filters that they do not support, above all paths into sequences: Orthanc returns all
    series for such a filter. Select with a session if the result must mean the same on every server.

    Examples
    --------
    >>> studies = dicomweb.rest.search_studies({"StudyDate": "20230101-20230331"})
    >>> sorted(text(study, "PatientName") for study in studies)
    ['Bauer^Bruno', 'Costa^Clara']
    """
