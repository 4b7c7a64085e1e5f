"""Adapters of the port `simple_orthanc.selection.source`; nothing above asks which of them a session has."""
