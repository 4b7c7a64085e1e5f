"""What DICOM itself defines: levels, tags, value representations, header elements."""
