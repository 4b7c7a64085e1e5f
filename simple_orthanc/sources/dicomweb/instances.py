"""Headers and files of single instances, and the refusal to read one that DICOMweb cannot tell from another.

If one UID exists under two patients, only one of the two can be read: the other raises `UnsupportedError`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import READERS, run_all
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.errors import AuthenticationError, NotFoundError, ServerError, TransportError, UnsupportedError
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.parsing import parse_header
from simple_orthanc.files.partial import read_header
from simple_orthanc.files.tag_reader import read_tags
from simple_orthanc.files.walker import PIXELS, Buffer
from simple_orthanc.selection.source import Row
from simple_orthanc.sources.cache.kept_files import KeptFiles, Stamp
from simple_orthanc.sources.dicomweb.rows import RowBuilder
from simple_orthanc.sources.identity import Identity, another_object, identity_in, identity_of
from simple_orthanc.sources.keys import Key

_INSTANCE_UID = parse_tag("SOPInstanceUID")
_HEADER_BYTES = 64 * 1024
"""How much of a large file is tried first."""


class InstanceReader:
    """Reads instances by their keys.

    Parameters
    ----------
    rest : Transactions
        The transactions of the server.
    rows : RowBuilder
        Knows which studies exist under several patients.
    description : str
        The address of the service, for messages.
    kept : KeptFiles, optional
        The files of this server in a cache.
    stamp : callable, optional
        Returns what tells the file that the server has of an instance from others; None where nothing does.
    """

    def __init__(
        self,
        rest: Transactions,
        rows: RowBuilder,
        description: str,
        kept: KeptFiles | None = None,
        stamp: Callable[[Key], Stamp | None] | None = None,
    ) -> None:
        self._rest, self._rows, self._description = rest, rows, description
        self._kept, self._stamp_of = kept, stamp

    def header(self, key: Key) -> Dataset:
        """Read the header of an instance from its file, of a large file no more than that."""
        header = self._kept_header(key)
        if header is not None:
            return header
        with suppress(ServerError, TransportError), self._rest.open_instance(*key[1:]) as (chunks, is_whole):
            content = b"".join(chunks) if is_whole else b""
            header = _read_header(content) if is_whole else _read_beginning(chunks)
        # If anything went wrong, retrieving the whole file raises the error that says so.
        header = _read_header(self._retrieve(key)) if header is None else header
        self.check_identity(key, identity_of(header))
        return header

    def content(self, key: Key) -> bytes:
        """Read the file of an instance."""
        return bytes(self.read(key, _new_memory))

    def read(self, key: Key, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read the file of an instance into memory that `allocate` provides, or into other memory."""
        stamp = self._stamp(key)
        if self._kept is not None and stamp is not None:
            kept = self._kept.read(str(key), stamp, allocate)
            if kept is not None:
                return kept
            # It may have been found to be replaced.
            stamp = self._stamp(key)
        content = self._retrieve(key)
        self.check_identity(key, identity_in(io.BytesIO(content), len(content)))
        if self._kept is not None and self._stamp(key) == stamp:
            # Without a stamp it is read offline alone.
            self._kept.add(str(key), stamp or Stamp(""), memoryview(content))
        return memoryview(content)

    def _stamp(self, key: Key) -> Stamp | None:
        return None if self._stamp_of is None or self._rows.is_shared(key) else self._stamp_of(key)

    def _kept_header(self, key: Key) -> Dataset | None:
        stamp = self._stamp(key)
        if self._kept is None or stamp is None:
            return None
        kept = self._kept

        def read(start: int, stop: int) -> tuple[memoryview, bool]:
            part = kept.part(str(key), stamp, start, stop)
            if part is None:
                raise EOFError
            return part

        try:
            return read_header(read, _HEADER_BYTES, Scanner())
        except EOFError:
            return None

    def series(self, series: Sequence[Row]) -> dict[str, Buffer]:
        """Read the files of some series, one request for each; what cannot be had so is missing.

        With Orthanc's plugin a file by itself takes the server twice to nine times as long.
        """
        read = run_all(self._series, series, workers=READERS)
        return {key: content for files in read for key, content in files.items()}

    def _series(self, row: Row) -> dict[str, Buffer]:
        key, stamps, kept = Key.parse(row.key), dict[str, Stamp | None](), dict[str, Buffer]()
        if self._kept is not None:
            stamps = {child: self._stamp(Key.parse(child)) for child in row.children}
            for child, stamp in stamps.items():
                content = None if stamp is None else self._kept.read(child, stamp, _new_memory)
                kept |= {} if content is None else {child: content}
        if kept.keys() >= set(row.children) or self._rows.is_shared(key):
            return kept
        files: dict[str, bytes] = {}
        try:
            for file in self._rest.retrieve_series(key.study, key.series):
                arrived = identity_in(io.BytesIO(file), len(file))
                instance = key._replace(instance=arrived.instance)
                if str(instance) in row.children:
                    self.check_identity(instance, arrived)
                    files[str(instance)] = file
        except AuthenticationError:
            raise
        except (ServerError, TransportError, UnsupportedError):
            # Each file by itself tells what is wrong.
            return kept
        if self._kept is not None:
            for child in files.keys() - kept.keys():
                if self._stamp(Key.parse(child)) == stamps[child]:
                    self._kept.add(child, stamps[child] or Stamp(""), memoryview(files[child]))
        return {**files, **kept}

    def save(self, key: Key, path: Path) -> None:
        """Write the file of an instance; `path` appears only when the file is complete."""
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_bytes(self.content(key))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def is_copy(self, key: Key, path: Path) -> bool:
        """Check whether a file on disk is that of an instance, as far as its identifiers show, and whole."""
        size = path.stat().st_size
        with path.open("rb") as stream:
            try:
                # Raises an error for a file that is cut off.
                read_tags(stream, size, (_INSTANCE_UID,))
                self.check_identity(key, identity_in(stream, size))
            except Exception:  # pydicom may raise anything about what is no DICOM file
                return False
        return True

    def _retrieve(self, key: Key) -> bytes:
        try:
            return self._rest.retrieve_instance(key.study, key.series, key.instance)
        except (NotFoundError, TransportError):
            # Orthanc returns neither if it would have to choose between two; others return both.
            if not self._rows.is_shared(key):
                raise
        raise self._ambiguous(key, "and the server returns neither, or both")

    def check_identity(self, key: Key, arrived: Identity) -> None:
        """Check that what arrived is the object that was asked for.

        Raises
        ------
        UnsupportedError
            If the server returned the object of another patient under the same StudyInstanceUID.
        TransportError
            If it returned another object.
        """
        # A key has the first value of a PatientID, which should have no others.
        arrived = arrived._replace(patient=arrived.patient.partition("\\")[0].strip())
        asked = Identity(*key)
        different = asked.differences(arrived)
        # The PatientID of an archive may be spelt otherwise in its files.
        if different in ([], ["PatientID"]) and self._rows.is_of_other_patient(key, arrived.patient):
            raise self._ambiguous(key, f"and the server returns that of patient {arrived.patient!r}")
        if different:
            raise another_object(self._description, asked, arrived)

    def _ambiguous(self, key: Key, returned: str) -> UnsupportedError:
        return UnsupportedError(
            f"SOPInstanceUID {key.instance} of patient {key.patient!r} cannot be read from {self._description}: its "
            f"StudyInstanceUID exists under {len(self._rows.patients[key.study])} patients, DICOMweb addresses by UIDs "
            f"alone, {returned}. Exclude these studies, or read them otherwise (an Orthanc with Orthanc(...))."
        )


def _new_memory(size: int) -> memoryview:
    return memoryview(bytearray(size))


def _read_header(content: bytes) -> Dataset:
    return parse_header(io.BytesIO(content), lambda tag, vr, length: tag in PIXELS)


def _read_beginning(chunks: Iterator[bytes]) -> Dataset | None:
    """Read a header while its file arrives; None if the file ended before its pixels, if it has any."""
    content = bytearray()

    def read(start: int, stop: int) -> tuple[bytes, bool]:
        while len(content) < stop:
            chunk = next(chunks, None)
            if chunk is None:
                raise EOFError
            content.extend(chunk)
        return bytes(content[start:stop]), False

    try:
        header = read_header(read, _HEADER_BYTES, Scanner())
    except EOFError:
        return None
    return header if "SOPInstanceUID" in header else None
