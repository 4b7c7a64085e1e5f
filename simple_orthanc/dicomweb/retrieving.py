"""WADO-RS: the retrieve transaction (PS3.18 section 10.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simple_orthanc.dicomweb.multipart import Part, read_parts
from simple_orthanc.dicomweb.service import Service, resource
from simple_orthanc.errors import TransportError

DICOM_TYPE = "application/dicom"


class Retrieve(Service):
    """The retrievals; see `Transactions`."""

    def retrieve_study(self, study: str) -> Iterator[bytes]:
        """Retrieve the DICOM files of a study, one by one while they arrive."""
        return self._files(self._path("wado", *resource(study)))

    def retrieve_series(self, study: str, series: str) -> Iterator[bytes]:
        """Retrieve the DICOM files of a series, one by one while they arrive."""
        return self._files(self._path("wado", *resource(study, series)))

    def retrieve_instance(self, study: str, series: str, instance: str) -> bytes:
        """Retrieve the DICOM file of an instance."""
        path = self._path("wado", *resource(study, series, instance))
        parts = self._whole_parts(path, _ACCEPT_FILES)
        if len(parts) != 1:
            raise TransportError(f"{self._asked(path)} was answered with {len(parts)} files instead of one.")
        return self._file(parts[0], path)

    def retrieve_study_metadata(self, study: str) -> list[dict[str, Any]]:
        """Retrieve all elements, without bulk data, of each instance of a study."""
        return self._json(self._path("wado", *resource(study), "metadata"))[0]

    def retrieve_series_metadata(self, study: str, series: str) -> list[dict[str, Any]]:
        """Retrieve all elements, without bulk data, of each instance of a series."""
        return self._json(self._path("wado", *resource(study, series), "metadata"))[0]

    def retrieve_instance_metadata(self, study: str, series: str, instance: str) -> dict[str, Any]:
        """Retrieve all elements, without bulk data, of an instance."""
        path = self._path("wado", *resource(study, series, instance), "metadata")
        items, _ = self._json(path)
        if len(items) != 1:
            raise TransportError(f"{self._asked(path)} was answered with {len(items)} datasets instead of one.")
        return items[0]

    def _files(self, path: str) -> Iterator[bytes]:
        with self._streamed(path, _ACCEPT_FILES) as stream:
            for part in read_parts(stream, stream.headers.get("Content-Type", ""), self._asked(path)):
                yield self._file(part, path)

    def _file(self, part: Part, path: str) -> bytes:
        if part.media_type not in (DICOM_TYPE, "") or part.content[128:132] != b"DICM":
            raise TransportError(
                f"{self._asked(path)} was answered with something that is no DICOM file: {part.media_type}."
            )
        return part.content


_ACCEPT_FILES = (
    'multipart/related; type="application/dicom"; transfer-syntax=*',
    'multipart/related; type="application/dicom"',
    "application/dicom; transfer-syntax=*",
)
