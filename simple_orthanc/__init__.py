"""Narrow an Orthanc archive by DICOM tags; get tables, pydicom headers and 3D volumes that are right, or say why not.

The one line that does the whole job::

    image = Orthanc().select(PatientName='JaneDoe', SeriesDescription='ct_scan').get_array()

`Orthanc` opens a session on a server, `DicomWeb` on any server that speaks DICOMweb, `Folder` on the files in a folder;
`LocalOrthanc` starts a server of one's own.
"""

from typing import TYPE_CHECKING, Any

from simple_orthanc.conditions import exact, label, like, metadata, tag
from simple_orthanc.errors import (
    AmbiguousSelectionError,
    AuthenticationError,
    DuplicateSlicesError,
    EmptySelectionError,
    InconsistentSlicesError,
    JobError,
    MissingSlicesError,
    NoPixelDataError,
    NotFoundError,
    OrthancError,
    PixelDecodeError,
    RequestTimeout,
    SelectionError,
    ServerError,
    SuvError,
    TransportError,
    UnknownTagError,
    UnsupportedError,
    VolumeError,
)
from simple_orthanc.geometry import Geometry
from simple_orthanc.local import LocalOrthanc
from simple_orthanc.query import Condition
from simple_orthanc.session import Folder, Orthanc, Session
from simple_orthanc.suv import SuvRecord
from simple_orthanc.volume import Volume
from simple_orthanc.workers import show_progress

if TYPE_CHECKING:
    from simple_orthanc.session.dicomweb import DicomWeb

__version__ = "1.0.0"

__all__ = [
    "AmbiguousSelectionError",
    "AuthenticationError",
    "Condition",
    "DicomWeb",
    "DuplicateSlicesError",
    "EmptySelectionError",
    "Folder",
    "Geometry",
    "InconsistentSlicesError",
    "JobError",
    "LocalOrthanc",
    "MissingSlicesError",
    "NoPixelDataError",
    "NotFoundError",
    "Orthanc",
    "OrthancError",
    "PixelDecodeError",
    "RequestTimeout",
    "SelectionError",
    "ServerError",
    "Session",
    "SuvError",
    "SuvRecord",
    "TransportError",
    "UnknownTagError",
    "UnsupportedError",
    "Volume",
    "VolumeError",
    "__version__",
    "exact",
    "label",
    "like",
    "metadata",
    "show_progress",
    "tag",
]


def __getattr__(name: str) -> Any:
    # Most programs have one kind of source, and need not wait for the modules of the others.
    if name == "DicomWeb":
        from simple_orthanc.session.dicomweb import DicomWeb

        globals()[name] = DicomWeb
        return DicomWeb
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
