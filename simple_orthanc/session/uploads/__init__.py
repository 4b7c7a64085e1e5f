"""What is stored in an archive: files, volumes, documents and masks."""
