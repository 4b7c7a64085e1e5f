"""An Orthanc server as a source of images."""
