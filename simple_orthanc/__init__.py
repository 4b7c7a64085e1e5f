"""simple_orthanc."""

__version__ = "1.0.0"
