"""An Orthanc server of one's own, started and ended with the process."""
