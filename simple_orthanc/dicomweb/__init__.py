"""The transactions of DICOMweb (PS3.18 chapter 10), one method for each, on any server that offers them."""

from __future__ import annotations

from simple_orthanc.dicomweb.model import text, texts
from simple_orthanc.dicomweb.retrieving import Retrieve
from simple_orthanc.dicomweb.searching import Search

__all__ = ["Transactions", "text", "texts"]


class Transactions(Search, Retrieve):
    """The transactions of one DICOMweb server.

    Parameters
    ----------
    transport : Transport
        The connection to the root of the service, such as ``http://127.0.0.1:8042/dicom-web`` for Orthanc.
    qido_prefix, wado_prefix, stow_prefix, delete_prefix : str, optional
        What stands between that root and ``studies``, where a server has a place of its own for searching, retrieving,
        storing or deleting.
    """
