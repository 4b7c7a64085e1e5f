"""How fast simple_orthanc is, against the wire, the local disk and the other clients: ``python -m benchmarks``."""
