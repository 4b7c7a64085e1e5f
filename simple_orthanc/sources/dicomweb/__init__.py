"""Any DICOMweb server as a source of images."""
