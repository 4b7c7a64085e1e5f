"""What is selected, written to disk: DICOM files and volumes, under names made of their tags."""
