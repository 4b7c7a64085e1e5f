"""A folder, a zip file or a DICOMDIR as a source of images."""
