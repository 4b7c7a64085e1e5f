"""Narrow an Orthanc archive by DICOM tags; get tables, pydicom headers and correct 3D volumes, or the reason why not.

The one line that does the whole job::

    image = Orthanc().select(PatientName='JaneDoe', SeriesDescription='ct_scan').get_array()

`Orthanc` opens a session on a server, `DicomWeb` on any server that speaks DICOMweb, `Folder` on the files in a folder;
`LocalOrthanc` starts a server on this machine.
"""

from typing import TYPE_CHECKING

from simple_orthanc import foreign as foreign  # before all that imports pydicom
from simple_orthanc import limits
from simple_orthanc.concurrency.progress import show_progress
from simple_orthanc.errors import (
    AmbiguousSelectionError,
    AuthenticationError,
    CohortError,
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
    UnknownNameError,
    UnknownTagError,
    UnsupportedError,
    VolumeError,
)
from simple_orthanc.on_demand import on_demand
from simple_orthanc.session import Orthanc, Session
from simple_orthanc.version import __version__

if TYPE_CHECKING:
    from simple_orthanc.local.server import LocalOrthanc
    from simple_orthanc.pixels.suv import SuvRecord
    from simple_orthanc.selection.conditions import Condition
    from simple_orthanc.selection.criteria import age, exact, has_series, label, like, metadata, tag
    from simple_orthanc.session.asynchronous import AsyncSession
    from simple_orthanc.session.cohorts.cohort import Cohort
    from simple_orthanc.session.deidentifying.results import Deidentified
    from simple_orthanc.session.dicomweb import DicomWeb
    from simple_orthanc.session.folder import Folder
    from simple_orthanc.sources.cache.cache import Cache
    from simple_orthanc.volume.geometry import Geometry
    from simple_orthanc.volume.volume import Volume


__all__ = [
    "AmbiguousSelectionError",
    "AsyncSession",
    "AuthenticationError",
    "Cache",
    "Cohort",
    "CohortError",
    "Condition",
    "Deidentified",
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
    "UnknownNameError",
    "UnknownTagError",
    "UnsupportedError",
    "Volume",
    "VolumeError",
    "__version__",
    "age",
    "exact",
    "has_series",
    "label",
    "like",
    "limits",
    "metadata",
    "show_progress",
    "tag",
]


_CRITERIA = "simple_orthanc.selection.criteria"

__getattr__ = on_demand(
    __name__,
    {
        "AsyncSession": "simple_orthanc.session.asynchronous",
        "Cache": "simple_orthanc.sources.cache.cache",
        "Cohort": "simple_orthanc.session.cohorts.cohort",
        "Condition": "simple_orthanc.selection.conditions",
        "Deidentified": "simple_orthanc.session.deidentifying.results",
        "DicomWeb": "simple_orthanc.session.dicomweb",
        "Folder": "simple_orthanc.session.folder",
        "Geometry": "simple_orthanc.volume.geometry",
        "LocalOrthanc": "simple_orthanc.local.server",
        "SuvRecord": "simple_orthanc.pixels.suv",
        "Volume": "simple_orthanc.volume.volume",
        **dict.fromkeys(("age", "exact", "has_series", "label", "like", "metadata", "tag"), _CRITERIA),
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
