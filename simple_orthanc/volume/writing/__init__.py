"""Volumes as DICOM objects, in memory. No I/O."""
