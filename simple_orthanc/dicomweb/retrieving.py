"""WADO-RS: the retrieve transaction (PS3.18 section 10.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from simple_orthanc import limits
from simple_orthanc.dicomweb.accepting import (
    ANY_FILE,
    ANY_OCTETS,
    DICOM_TYPE,
    OCTETS,
    file_types,
    frame_types,
    refusals,
)
from simple_orthanc.dicomweb.identity import check_complete, check_uids, uids_in_file, uids_in_metadata
from simple_orthanc.dicomweb.model import text
from simple_orthanc.dicomweb.multipart import Part, parse_content_type, read_parts
from simple_orthanc.dicomweb.searching import Search
from simple_orthanc.dicomweb.service import (
    PERHAPS_NOT_ACCEPTABLE,
    checked_frames,
    resource,
)
from simple_orthanc.errors import SelectionError, ServerError, TransportError, UnsupportedError
from simple_orthanc.files.detection import looks_like_dicom

FRAMES_AT_ONCE = 50
"""The number of frames in one request, so that the URL is not too long for any server."""

SMALL = 1 << 20
"""The size in bytes up to which reading a whole response costs less than breaking it off."""

_FRAME_LOCATION = re.compile(r"/frames/(\d+)/?\Z")


@dataclass(frozen=True)
class Frame:
    """One frame of an instance.

    Attributes
    ----------
    number : int
        From 1 on, as in DICOM.
    content : bytes
        The pixels, in the encoding that `transfer_syntax` names.
    media_type : str
        Such as ``"application/octet-stream"`` or ``"image/jp2"``; "" if the server does not say.
    transfer_syntax : str or None
        UID of the transfer syntax; None if the server does not say, which for ``application/octet-stream`` means
        Explicit VR Little Endian (PS3.18 section 8.7.3.3).

    Examples
    --------
    >>> pet = dicomweb.select(Modality="PT")
    >>> uids = pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], pet.SOPInstanceUIDs[0]
    >>> frame = next(iter(dicomweb.rest.retrieve_frames(*uids, [1])))
    >>> frame.number, frame.media_type, len(frame.content)
    (1, 'application/octet-stream', 8192)
    """

    number: int
    content: bytes = field(repr=False)
    media_type: str
    transfer_syntax: str | None


class Retrieve(Search):
    """The retrievals; see `Transactions`."""

    def retrieve_study(self, study: str, *, transfer_syntaxes: Sequence[str] = ("*",)) -> Iterator[bytes]:
        """Retrieve the DICOM files of a study, one by one while they arrive.

        Parameters
        ----------
        study : str
            StudyInstanceUID.
        transfer_syntaxes : sequence of str, default ("*",)
            UIDs of the transfer syntaxes to ask for, in order of preference; ``"*"`` is each instance as it is stored,
            if the server supports that.

        Yields
        ------
        bytes
            A whole DICOM file (PS3.10). Only one is held in memory at a time.

        Raises
        ------
        NotFoundError
            If there is no such study.
        ServerError
            If the server can send none of the transfer syntaxes (406), or refuses otherwise.
        TransportError
            If the response is not DICOM, has no file, a file of another object, one twice, or breaks off: after the
            last whole file. After all files, if a search lists more.

        Examples
        --------
        >>> import io
        >>> import pydicom
        >>> study = dicomweb.select(PatientID="EX-003").StudyInstanceUIDs[0]
        >>> for file in dicomweb.rest.retrieve_study(study):
        ...     dataset = pydicom.dcmread(io.BytesIO(file))
        ...     break
        >>> dataset.PatientID
        'EX-003'
        """
        return self._files((study,), transfer_syntaxes)

    def retrieve_series(self, study: str, series: str, *, transfer_syntaxes: Sequence[str] = ("*",)) -> Iterator[bytes]:
        """Retrieve the DICOM files of a series, one by one while they arrive; otherwise as `retrieve_study`.

        Examples
        --------
        >>> pet = dicomweb.select(Modality="PT")
        >>> files = dicomweb.rest.retrieve_series(pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0])
        >>> sum(1 for file in files)
        40
        """
        return self._files((study, series), transfer_syntaxes)

    def retrieve_instance(
        self, study: str, series: str, instance: str, *, transfer_syntaxes: Sequence[str] = ("*",)
    ) -> bytes:
        """Retrieve the DICOM file of an instance. Parameters and errors as for `retrieve_study`.

        Examples
        --------
        >>> import io
        >>> import pydicom
        >>> pet = dicomweb.select(Modality="PT")
        >>> uids = pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], pet.SOPInstanceUIDs[0]
        >>> pydicom.dcmread(io.BytesIO(dicomweb.rest.retrieve_instance(*uids))).pixel_array.shape
        (64, 64)
        """
        path = self._path("wado", *resource(study, series, instance))
        parts = self._whole_parts(path, file_types(transfer_syntaxes), refusals(transfer_syntaxes))
        content = self._file(self._only(parts, path), path)
        check_uids((study, series, instance), uids_in_file(content), self._transport.url)
        return content

    @contextmanager
    def open_instance(self, study: str, series: str, instance: str) -> Iterator[tuple[Iterator[bytes], bool]]:
        """Open the DICOM file of an instance, to read only the beginning of a large one.

        Yields
        ------
        iterator of bytes
            The file while it arrives. Leaving the block before the end closes the connection.
        bool
            Whether that is the file and nothing else, as for small ones. Otherwise the end of the message may follow
            the file, and only the beginning is usable: `retrieve_instance` retrieves a file.

        Examples
        --------
        >>> pet = dicomweb.select(Modality="PT")
        >>> uids = pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], pet.SOPInstanceUIDs[0]
        >>> with dicomweb.rest.open_instance(*uids) as (chunks, is_whole):
        ...     beginning = next(chunks)
        >>> beginning[128:132]
        b'DICM'
        """
        path = self._path("wado", *resource(study, series, instance))
        with self._streamed(path, ANY_FILE) as stream:
            content_type, length = stream.headers.get("Content-Type", ""), stream.headers.get("Content-Length", "")
            if length.isdecimal() and int(length) <= SMALL:
                yield iter([self._file(self._only(list(read_parts(stream, content_type, "")), path), path)]), True
            else:
                yield _beginning(stream, content_type), False

    def retrieve_study_metadata(self, study: str) -> list[dict[str, Any]]:
        """Retrieve the elements of each instance of a study, without bulk data.

        Returns
        -------
        list of dict
            A dataset in the DICOM JSON model (PS3.18 annex F) per instance, as the server sends it, with URLs in place
            of large values; `to_dataset` converts it to a pydicom dataset.

        Raises
        ------
        NotFoundError
            If there is no such study.
        TransportError
            If the response is not DICOM JSON.

        Examples
        --------
        >>> from simple_orthanc.dicomweb import text
        >>> study = dicomweb.select(PatientID="EX-003").StudyInstanceUIDs[0]
        >>> metadata = dicomweb.rest.retrieve_study_metadata(study)
        >>> len(metadata), sorted({text(item, "Modality") for item in metadata})
        (80, ['CT', 'PT'])
        """
        return self._metadata(study)

    def retrieve_series_metadata(self, study: str, series: str) -> list[dict[str, Any]]:
        """Retrieve the elements of each instance of a series; otherwise as `retrieve_study_metadata`.

        Examples
        --------
        >>> from simple_orthanc.dicomweb import text
        >>> pet = dicomweb.select(Modality="PT")
        >>> metadata = dicomweb.rest.retrieve_series_metadata(pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0])
        >>> len(metadata), text(metadata[0], "Units")
        (40, 'BQML')
        """
        return self._metadata(study, series)

    def retrieve_instance_metadata(self, study: str, series: str, instance: str) -> dict[str, Any]:
        """Retrieve the elements of an instance; otherwise as `retrieve_study_metadata`.

        Examples
        --------
        >>> from simple_orthanc.dicomweb import to_dataset
        >>> pet = dicomweb.select(Modality="PT")
        >>> uids = pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], pet.SOPInstanceUIDs[0]
        >>> header = to_dataset(dicomweb.rest.retrieve_instance_metadata(*uids))
        >>> header.PatientWeight, header.Rows
        ('70.0', 64)
        """
        items = self._metadata(study, series, instance)
        if len(items) != 1:
            path = self._path("wado", *resource(study, series, instance), "metadata")
            raise TransportError(
                f"{self._asked(path)} was answered with {len(items)} datasets instead of one. "
                "Look at the log of the server."
            )
        return items[0]

    def retrieve_frames(
        self,
        study: str,
        series: str,
        instance: str,
        frames: Sequence[int],
        *,
        media_types: Sequence[str] = (OCTETS,),
        transfer_syntaxes: Sequence[str] = ("*",),
    ) -> Iterator[Frame]:
        """Retrieve frames of an instance, each once, in the order asked for.

        Parameters
        ----------
        study, series, instance : str
            UIDs.
        frames : sequence of int
            Numbers from 1 on.
        media_types : sequence of str
            What to ask for, in order of preference: ``"application/octet-stream"``, or the media type of a compressed
            image: ``"image/jp2"``, ``"image/jls"``, ``"image/jphc"``.
        transfer_syntaxes : sequence of str, default ("*",)
            As for `retrieve_study`. Only ``application/octet-stream`` is asked for with ``"*"``, which is each frame as
            it is stored.

        Yields
        ------
        Frame

        Raises
        ------
        SelectionError
            If a number is below 1 or given twice.
        NotFoundError
            If there is no such instance.
        ServerError
            If there is no such frame, or the server can send it in none of the media types.
        TransportError
            If a frame is missing in the response, or was not asked for.

        Examples
        --------
        >>> import numpy as np
        >>> pet = dicomweb.select(Modality="PT")
        >>> uids = pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], pet.SOPInstanceUIDs[0]
        >>> for frame in dicomweb.rest.retrieve_frames(*uids, [1]):
        ...     print(frame.media_type, np.frombuffer(frame.content, np.uint16).reshape(64, 64).shape)
        application/octet-stream (64, 64)
        """
        numbers = checked_frames(frames)
        accepts = frame_types(media_types, transfer_syntaxes)
        path = self._path("wado", *resource(study, series, instance), "frames")
        return self._frames(path, numbers, accepts, refusals(media_types, transfer_syntaxes))

    def retrieve_bulkdata(self, url: str, byte_range: tuple[int, int | None] | None = None) -> bytes:
        """Retrieve a value to which metadata refer by a URL.

        Parameters
        ----------
        url : str
            A BulkDataURI of this server: whole, or below the root of the service.
        byte_range : (int, int or None), optional
            First and last byte, counted from 0, both included, as in HTTP; None for the last is the end.

        Returns
        -------
        bytes
            The value, or that part of it. If the server does not support ranges, all of it is transferred.

        Raises
        ------
        TransportError
            If the URL leads to another server: credentials go to one server only.
        SelectionError
            If the range begins after the end of the value.

        Examples
        --------
        >>> pet = dicomweb.select(Modality="PT")
        >>> uids = pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], pet.SOPInstanceUIDs[0]
        >>> metadata = dicomweb.rest.retrieve_instance_metadata(*uids)
        >>> len(dicomweb.rest.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"]))
        8192
        """
        headers = {}
        if url.startswith("//"):
            # Of the same scheme (RFC 3986, section 4.2), and perhaps of another host.
            url = f"{urlsplit(self._transport.url).scheme}:{url}"
        first, last = (0, None) if byte_range is None else _checked_range(byte_range)
        if byte_range is not None:
            headers["Range"] = f"bytes={first}-{'' if last is None else last}"
        # A range of a message of several parts would count its boundaries too.
        accepts = ANY_OCTETS if byte_range is None else (OCTETS, *ANY_OCTETS[:2], "*/*")
        response = self._whole(url, accepts, PERHAPS_NOT_ACCEPTABLE, headers)
        content_type = response.headers.get("Content-Type", "")
        part = self._only(list(read_parts([response.content], content_type, self._asked(url))), url)
        if part.media_type.startswith("text/"):
            raise self._wrong(part, url, "bulk data")
        if response.status == 206:
            return self._ranged(part, response.headers.get("Content-Range", ""), first, last, url)
        if byte_range is not None and first >= len(part.content):
            raise SelectionError(f"The range begins at byte {first}, but the value has {len(part.content)} bytes.")
        return part.content if byte_range is None else part.content[first : None if last is None else last + 1]

    def _metadata(self, *uids: str) -> list[dict[str, Any]]:
        path = self._path("wado", *resource(*uids), "metadata")
        items, _ = self._json(path)
        for item in items:
            check_uids(uids, uids_in_metadata(item), self._transport.url)
        return items

    def _files(self, uids: Sequence[str], transfer_syntaxes: Sequence[str]) -> Iterator[bytes]:
        # Wrong arguments raise at once, not when the first file is asked for.
        path = self._path("wado", *resource(*uids))
        return self._streamed_files(uids, path, file_types(transfer_syntaxes), refusals(transfer_syntaxes))

    def _streamed_files(
        self, uids: Sequence[str], path: str, accepts: Sequence[str], refusals: Sequence[int]
    ) -> Iterator[bytes]:
        arrived: set[str] = set()
        count = 0
        with self._streamed(path, accepts, refusals) as stream:
            for part in read_parts(stream, stream.headers.get("Content-Type", ""), self._asked(path)):
                content = self._file(part, path)
                found = uids_in_file(content)
                check_uids(uids, found, self._transport.url)
                if found[-1] and found[-1] in arrived:
                    raise TransportError(
                        f"{self._asked(path)} was answered with SOPInstanceUID {found[-1]} twice. Ask for the "
                        "instances one by one.",
                        is_about_object=True,
                    )
                arrived.add(found[-1])
                count += 1
                yield content
            partial = stream.status == 206
        if partial or not count:
            received = f"only {count} of the files" if partial else "no file at all"
            raise TransportError(
                f"{self._asked(path)} was answered with {received}. Ask for the instances one by one, or for other "
                "transfer syntaxes; the log of the server may say which it could not send."
            )
        if "" not in arrived:
            check_complete(self._listed(*uids), arrived, self._asked(path))

    def _listed(self, study: str, series: str | None = None) -> list[str]:
        """List the SOPInstanceUIDs that a search finds in a study or series; empty if the server does not tell."""
        try:
            return list(filter(None, (text(item, "SOPInstanceUID") for item in self.search_instances(study, series))))
        except (ServerError, TransportError, UnsupportedError):
            return []

    def _file(self, part: Part, path: str) -> bytes:
        # Orthanc returns a file that was stored without the preamble of PS3.10, section 7.1, as it was stored.
        if part.media_type not in (DICOM_TYPE, OCTETS, "") or not looks_like_dicom(part.content):
            raise self._wrong(part, path, "a DICOM file")
        return part.content

    def _frames(
        self, path: str, numbers: Sequence[int], accepts: Sequence[str], refusals: Sequence[int]
    ) -> Iterator[Frame]:
        for start in range(0, len(numbers), FRAMES_AT_ONCE):
            batch = numbers[start : start + FRAMES_AT_ONCE]
            yield from self._frames_of(f"{path}/{','.join(map(str, batch))}", batch, accepts, refusals)

    def _frames_of(
        self, path: str, numbers: Sequence[int], accepts: Sequence[str], refusals: Sequence[int]
    ) -> Iterator[Frame]:
        waiting: dict[int, Frame] = {}
        yielded = 0
        with self._streamed(path, accepts, refusals) as stream:
            for index, part in enumerate(read_parts(stream, stream.headers.get("Content-Type", ""), self._asked(path))):
                location = _FRAME_LOCATION.search(part.location or "")
                number = int(location[1]) if location else numbers[index] if index < len(numbers) else 0
                if number not in numbers[yielded:] or number in waiting or not part.content:
                    raise self._wrong(part, path, f"the {len(numbers)} frames asked for, each once")
                if part.media_type.startswith("text/"):
                    raise self._wrong(part, path, "frames")
                waiting[number] = Frame(number, part.content, part.media_type, part.transfer_syntax)
                while yielded < len(numbers) and numbers[yielded] in waiting:
                    yield waiting.pop(numbers[yielded])
                    yielded += 1
        if yielded < len(numbers):
            raise TransportError(
                f"{self._asked(path)} was answered without frame {numbers[yielded]}. Ask for the frames one by one; "
                "the log of the server may say more."
            )

    def _ranged(self, part: Part, content_range: str, first: int, last: int | None, url: str) -> bytes:
        announced = re.match(r"bytes (\d+)-(\d+)/(\d+|\*)\Z", content_range.strip())
        fits = announced and int(announced[1]) == first and int(announced[2]) - first + 1 == len(part.content)
        if announced is None or not fits or (last is not None and int(announced[2]) > last):
            raise TransportError(
                f"{self._asked(url)} was answered with another range of bytes than {first} to "
                f"{'the end' if last is None else last}: {content_range[:60]!r}. Ask for the whole value."
            )
        return part.content


def _checked_range(byte_range: tuple[int, int | None]) -> tuple[int, int | None]:
    first, last = byte_range
    if first < 0 or (last is not None and last < first):
        raise SelectionError(f"byte_range is {byte_range!r}; give the first and the last byte, counted from 0.")
    return first, last


def _beginning(chunks: Iterable[bytes], content_type: str) -> Iterator[bytes]:
    """Skip what precedes the first part of a response."""
    media_type, _ = parse_content_type(content_type)
    if not media_type.startswith("multipart/"):
        yield from chunks
        return
    head = b""
    rest = iter(chunks)
    for chunk in rest:
        head += chunk
        _, blank, content = head.partition(b"\r\n\r\n")
        if blank or len(head) > limits.part_header_bytes:
            # A preamble may be skipped too; the reader of the file notices if this is not a file.
            yield content
            break
    yield from rest
