"""How Orthanc writes the four levels: in bodies and answers, and in the paths of routes."""

from __future__ import annotations

from simple_orthanc.dicom.levels import Level

ORTHANC_LEVEL: dict[Level, str] = {"patient": "Patient", "study": "Study", "series": "Series", "instance": "Instance"}
ROUTE: dict[Level, str] = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}
