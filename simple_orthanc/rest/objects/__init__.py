"""Patients, studies, series and instances of an Orthanc server as objects."""

from simple_orthanc.rest.objects.attachments import Attachment, Attachments
from simple_orthanc.rest.objects.collection import Resources
from simple_orthanc.rest.objects.hierarchy import Instance, OrderedSlice, Patient, Series, Study
from simple_orthanc.rest.objects.labels import Labels
from simple_orthanc.rest.objects.metadata import Metadata, Versioned
from simple_orthanc.rest.objects.tags import Tags

__all__ = [
    "Attachment",
    "Attachments",
    "Instance",
    "Labels",
    "Metadata",
    "OrderedSlice",
    "Patient",
    "Resources",
    "Series",
    "Study",
    "Tags",
    "Versioned",
]
