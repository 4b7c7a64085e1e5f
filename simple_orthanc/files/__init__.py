"""DICOM files: how they are recognised, read in part, read quickly, and named safely."""
