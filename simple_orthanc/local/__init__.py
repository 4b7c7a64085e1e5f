"""An Orthanc server on this machine that starts and ends with the process."""
