"""A PACS as a source, asked by C-FIND through an Orthanc server."""
