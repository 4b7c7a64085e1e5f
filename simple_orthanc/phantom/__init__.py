"""Synthetic DICOM objects with known values at known places, for the demo, for tests and for trying things out.

Everything is made in memory by :func:`make_series` (one object per slice), :func:`make_enhanced` (one object with many
frames), :func:`ct_phantom` (a CT of a water cylinder with rods), :func:`make_segmentation` (masks of a series),
:func:`make_structure_set` (contours drawn on a series) or :func:`make_report` (text about it), and needs no file and no
server. :func:`as_bytes` returns the DICOM file that an archive would store, and :func:`write_archive` writes an archive
of six patients.
"""

from simple_orthanc.phantom.archive import write_archive
from simple_orthanc.phantom.images import (
    AXIAL,
    CT_RODS,
    CT_SPACING,
    SECONDARY_CAPTURE,
    SOP_CLASSES,
    Rod,
    as_bytes,
    ct_phantom,
    make_enhanced,
    make_series,
    put,
)
from simple_orthanc.phantom.reports import make_report
from simple_orthanc.phantom.segmentations import make_segmentation
from simple_orthanc.phantom.structures import make_structure_set

__all__ = [
    "AXIAL",
    "CT_RODS",
    "CT_SPACING",
    "SECONDARY_CAPTURE",
    "SOP_CLASSES",
    "Rod",
    "as_bytes",
    "ct_phantom",
    "make_enhanced",
    "make_report",
    "make_segmentation",
    "make_series",
    "make_structure_set",
    "put",
    "write_archive",
]
