"""Files of single instances, each compared with what the server lists: identity, length and checksum.

A proxy, a cache or a disk can truncate a file, return another one, or flip a bit, and HTTP still reports a complete
response. So whatever arrives is compared with the server's database: the identifiers of the object, the length of its
file, and its MD5. A file that differs is read again up to three times, within the connection's patience.

The MD5 comes with the find that lists the instances (Orthanc 1.12.5 and newer), or from one small request per file.
"""

from __future__ import annotations

import copy
import hashlib
import io
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import READERS, WORKERS, ReusableBuffer, run_all
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import ServerError, TransportError, stacklevel
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_header
from simple_orthanc.files.walker import Buffer
from simple_orthanc.rest import Rest
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.sources.cache.kept_files import KEPT_HEADERS, KeptFiles, Stamp
from simple_orthanc.sources.identity import KEYWORDS, Identity, another_object, identity_in, identity_of, orthanc_id
from simple_orthanc.sources.orthanc.answers import ask, has
from simple_orthanc.sources.orthanc.listed_files import ListedFile, ListedFiles
from simple_orthanc.transport import Transport, UnusableError
from simple_orthanc.transport.pipelining import IN_A_ROW

_HEADER_BYTES = 16 * 1024
# Bytes of an answer that shows whether a file is still the same.
_STAMP = 1 << 9
_PIECE = 1 << 20
# Connections for pipelined reads from a nearby server, per caller: several callers read at the same time.
_ROWS_AT_ONCE = 1
_IS_FILE = has(FileSize=(int, str))

Result = TypeVar("Result")


class FileReader:
    """Reads the files of single instances.

    Parameters
    ----------
    transport : Transport
        The connection.
    rest : Rest
        The REST API over it, for what the server can do.
    listed : ListedFiles
        The files as the server listed them; answers to further requests are added.
    checksums : bool, optional
        Whether `header`, `content` and `read` compare MD5s; `save` always does. True: even those that must be
        requested, one small request per file. False: none. None: those that came with the list of instances.
    kept : KeptFiles, optional
        The cached files of this server.
    """

    def __init__(
        self,
        transport: Transport,
        rest: Rest,
        listed: ListedFiles,
        checksums: bool | None,
        kept: KeptFiles | None = None,
    ) -> None:
        self._transport, self._rest, self._listed, self._checksums = transport, rest, listed, checksums
        self._kept = kept
        self._scanner, self._buffer = Scanner(), ReusableBuffer()
        self._lock = threading.Lock()
        # Set once the server is known to keep none; shared with `without_cache`.
        self._keeps_none = threading.Event()

    def without_cache(self) -> FileReader:
        """Return a reader that reads what the server holds now, never the cache."""
        reader = copy.copy(self)
        reader._kept = None
        return reader

    def stored_file(self, key: str) -> StoredFile:
        """Return the length and the MD5 of a file; the MD5 is None if the server keeps none."""
        listed = self._with_checksum(key)
        return StoredFile(listed.size, listed.md5)

    def listed_file(self, key: str) -> StoredFile:
        """Return the length and the MD5 of a file, as far as the server has listed them."""
        listed = self._listed.get(key)
        return StoredFile() if listed is None else StoredFile(listed.size, listed.md5)

    def compared_md5(self, key: str) -> str | None:
        """Return the listed MD5 if reads are compared with it; a cached file was compared when it was stored."""
        return None if self._checksums is False or self._kept is not None else self.listed_file(key).md5

    @property
    def asks_for_checksums(self) -> bool:
        """Whether an unknown MD5 is requested before the file is read."""
        return bool(self._checksums)

    def is_as_listed(self, key: str, content: bytes) -> bool:
        """Check whether a file agrees with what the server has listed about it."""
        listed = self._listed.get(key)
        md5 = None if self._checksums is False else lambda: _md5(content)
        return listed is not None and listed.difference(len(content), md5) is None

    def at_once(self, keys: Sequence[str], headers: bool) -> int:
        """Return how many files, or headers, of some instances are best read at a time."""
        if headers and self._are_kept(keys):
            return KEPT_HEADERS
        sizes = [listed.size for key in (*keys[:1], *keys[-1:]) if (listed := self._listed.get(key)) is not None]
        size = max(sizes, default=None)
        if headers and self._rest.capabilities.ranges:
            size = _HEADER_BYTES if size is None else min(size, _HEADER_BYTES)
        return self._transport.at_once(size, WORKERS if headers else READERS)

    def _are_kept(self, keys: Sequence[str]) -> bool:
        """Check whether files are cached, by the first, the middle and the last: most were read in one go."""
        if self._kept is None or not keys:
            return False
        listed = [(key, self._listed.get(key)) for key in {keys[0], keys[len(keys) // 2], keys[-1]}]
        stamps = [(key, None if file is None else file.stamp) for key, file in listed]
        return all(stamp is not None and self._kept.has(key, stamp) for key, stamp in stamps)

    def header(self, key: str) -> Dataset:
        """Read the header of an instance from the DICOM bytes, without pixels."""

        def read() -> Dataset:
            stamp = self._stamp(key)
            fetched = bytearray()
            header = read_header(self._part_reader(key, stamp, fetched), _HEADER_BYTES, self._scanner)
            self.check_identity(key, header)
            if self._kept is not None and stamp is not None and fetched:
                self._kept.add(key, stamp, memoryview(fetched), is_whole=False)
            return header

        return self._until_whole(read)

    def _part_reader(
        self, key: str, stamp: Stamp | None, fetched: bytearray
    ) -> Callable[[int, int], tuple[memoryview, bool]]:
        """Return a function that reads parts of a file; `fetched` receives what was fetched from its beginning on."""
        beginning = bytearray()

        def read(start: int, stop: int) -> tuple[memoryview, bool]:
            """Return bytes of the file, and whether they are the whole file."""
            kept = None if stamp is None or self._kept is None else self._kept.part(key, stamp, start, stop)
            part, whole = self._fetched_part(key, stamp, start, stop) if kept is None else kept
            if stamp is not None and not whole:
                beginning.extend(part)
                if kept is None:
                    fetched[:] = beginning
            return part, whole

        return read

    def _fetched_part(self, key: str, stamp: Stamp | None, start: int, stop: int) -> tuple[memoryview, bool]:
        listed = self._listed.get(key)
        # A range that extends beyond the end of the file is refused, and a small file costs no more whole.
        if not self._rest.capabilities.ranges or listed is None or listed.size <= stop:
            content = self._read_once(key, self._buffer)
            self._keep(key, stamp, content)
            return content, True
        part = self._transport.read_into(f"/instances/{key}/attachments/dicom/data", self._buffer, (start, stop))
        if len(part) == stop - start:
            return part, False
        # Where the server ignores the range this is the whole file.
        self._check(key, len(part), None)
        return part, True

    def content(self, key: str) -> bytes:
        """Read the file of an instance."""
        stamp = self._stamp(key)
        kept = self._read_kept(key, stamp, _new_memory)
        if kept is not None:
            return bytes(kept)

        def read() -> bytes:
            content = self._transport.content("GET", f"/instances/{key}/file")
            self._check(key, len(content), None if self._checksums is False else lambda: _md5(content))
            self._check_identity(key, identity_in(io.BytesIO(content), len(content)))
            return content

        if self._checksums:
            self._with_checksum(key)
        content = self._until_whole(read)
        self._keep(key, stamp, memoryview(content))
        return content

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read the file of an instance into memory of its length that `allocate` provides, or into other memory."""
        stamp = self._stamp(key)
        kept = self._read_kept(key, stamp, allocate)
        if kept is not None:
            return kept
        if self._checksums:
            self._with_checksum(key)
        content = self._until_whole(lambda: self._read_once(key, allocate))
        self._keep(key, stamp, content)
        return content

    def read_several(self, keys: Sequence[str]) -> dict[str, Buffer]:
        """Read small files with pipelined requests; `read` reads those that are missing from the result."""
        if self._checksums:
            # Each MD5 takes a request whose answer must be awaited.
            return {}
        files, stamps = self.read_kept(keys)
        missing = [key for key in keys if key not in files and self._listed.get(key) is not None]
        rows = [missing[start : start + IN_A_ROW] for start in range(0, len(missing), IN_A_ROW)]
        workers = self._transport.at_once(_HEADER_BYTES, _ROWS_AT_ONCE)
        for row, contents in zip(rows, run_all(self._read_row, rows, workers=min(workers, len(rows))), strict=True):
            for key, content in zip(row, contents, strict=True):
                if content is not None and self.is_as_listed(key, content):
                    files[key] = content
                    self.keep(key, stamps.get(key), content)
        return files

    def _read_row(self, keys: Sequence[str]) -> list[bytes | None]:
        return self._transport.read_several([f"/instances/{key}/file" for key in keys])

    def _read_once(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        content = self._transport.read_into(f"/instances/{key}/file", allocate)
        self._check(key, len(content), None if self._checksums is False else lambda: _md5(content))
        return content

    def save(self, key: str, path: Path) -> None:
        """Write the file of an instance; the path appears only when the file is complete."""
        stamp = self._stamp(key)
        if stamp is not None and self._kept is not None and self._kept.copy(key, stamp, path):
            return
        check = partial(self._check_file, key, self._with_checksum(key))
        self._until_whole(lambda: self._transport.download(f"/instances/{key}/file", path, check=check))
        if self._kept is not None and (now := self._unreplaced(key, stamp)) is not None:
            self._kept.add_file(key, now, path)

    def is_copy(self, key: str, path: Path) -> bool:
        """Check whether a file on disk is that of an instance."""
        listed = self._with_checksum(key)
        try:
            self._check_file(key, listed, path)
        except TransportError as error:
            if not error.is_about_object:
                raise
            return False
        return True

    def _check_file(self, key: str, listed: ListedFile, path: Path) -> None:
        size = path.stat().st_size
        self._check(key, size, lambda: _md5_of_file(path), listed)
        with path.open("rb") as stream:
            self._check_identity(key, identity_in(stream, size))

    def _until_whole(self, read: Callable[[], Result]) -> Result:
        """Read a file again, a few times, as long as what arrives is not what was requested."""

        def attempt() -> Result:
            try:
                return read()
            except TransportError as error:
                if not error.is_about_object:
                    raise
                raise UnusableError(error) from None

        return self._transport.repeat(attempt)

    # The cache

    def _stamp(self, key: str) -> Stamp | None:
        """Return what distinguishes the file that the server has from others; None if there is no cache."""
        if self._kept is None:
            return None
        listed = self._listed.get(key)
        if listed is None or listed.stamp is None:
            # Where MD5s come with the list of instances they are compared, so the MD5 of this one is requested.
            with_md5 = self._rest.capabilities.extended_find and self._checksums is not False
            asked = self._listed.ask()
            listed = self._list(key, with_md5)
            asked.take({key: listed})
        if listed.stamp is None:
            listed = self._with_checksum(key)
        return listed.stamp

    def _listed_stamp(self, key: str) -> Stamp | None:
        listed = self._listed.get(key)
        return None if listed is None else listed.stamp

    def read_kept(self, keys: Sequence[str]) -> tuple[dict[str, Buffer], dict[str, Stamp | None]]:
        """Return the files that are in the cache, and the stamps with which `keep` adds the others."""
        if self._kept is None:
            return {}, {}
        stamps = {key: self._listed_stamp(key) for key in keys}
        unknown = [key for key, stamp in stamps.items() if stamp is None]
        workers = min(self._transport.at_once(_STAMP, WORKERS), len(unknown))
        stamps.update(zip(unknown, run_all(self._stamp, unknown, workers=workers), strict=True))
        found = {key: self._read_kept(key, stamp, _new_memory) for key, stamp in stamps.items()}
        return {key: content for key, content in found.items() if content is not None}, stamps

    def keep(self, key: str, stamp: Stamp | None, content: bytes) -> None:
        """Add a file that was read after its stamp was requested to the cache, if there is one."""
        if stamp is not None:
            self._keep(key, stamp, memoryview(content))

    def _read_kept(self, key: str, stamp: Stamp | None, allocate: Callable[[int], memoryview]) -> memoryview | None:
        if self._kept is None or stamp is None:
            return None
        kept = self._kept.read(key, stamp, allocate, is_compared=bool(self._checksums))
        if kept is None:
            # The file may turn out to have been replaced: what arrives now is compared with what is listed now.
            self._stamp(key)
        return kept

    def _keep(self, key: str, stamp: Stamp | None, content: memoryview) -> None:
        """Add a file that was read after a stamp was requested to the cache, unless it was replaced since."""
        now = self._unreplaced(key, stamp)
        if self._kept is None or now is None:
            return
        if now.md5 is None or self._checksums is False:
            # Nothing has shown so far that it is the file of this instance.
            now = now._replace(md5=None)
            try:
                self._check_identity(key, _identity_at_beginning(content))
            except TransportError:
                return
        self._kept.add(key, now, content)

    def _unreplaced(self, key: str, stamp: Stamp | None) -> Stamp | None:
        """Return the stamp of a file with what has been learnt since; None if the file was replaced since."""
        now = self._listed_stamp(key)
        return now if now is not None and stamp is not None and now.version == stamp.version else None

    # What the server lists

    def _check(self, key: str, size: int, md5: Callable[[], str] | None, listed: ListedFile | None = None) -> None:
        """Raise a TransportError if a file is neither the one that was listed nor the one that is listed now."""
        listed = self._listed.get(key) or listed
        difference = None if listed is None else listed.difference(size, md5)
        if difference is None:
            return
        # The file may have been replaced since it was listed.
        asked = self._listed.ask()
        now = self._list(key, with_md5=md5 is not None)
        if now == listed or now.difference(size, md5) is not None:
            raise TransportError(
                f"{self._transport.url} was asked for the file of instance {key}, and returned {difference}. The "
                "response was discarded. If trying again does not help, a proxy on the way truncates or changes files, "
                "or the server's disk is damaged.",
                is_about_object=True,
            )
        asked.take({key: now})

    def _list(self, key: str, with_md5: bool) -> ListedFile:
        answer = ask(self._transport, "GET", f"/instances/{key}", _IS_FILE, params={"short": ""})
        listed = ListedFile(int(answer["FileSize"]), uuid=answer.get("FileUuid"))
        return listed._replace(md5=self.stored_md5(key)) if with_md5 else listed

    def _with_checksum(self, key: str) -> ListedFile:
        """Return a file as the server lists it, with its MD5 if the server keeps one; request what is not known.

        If another thread notices meanwhile that the file was replaced, the answer is not remembered.
        """
        asked = self._listed.ask()
        listed = self._listed.get(key)
        keeps_some = not self._keeps_none.is_set()
        if listed is None:
            listed = self._list(key, keeps_some)
        elif keeps_some and listed.md5 is None:
            listed = listed._replace(md5=self.stored_md5(key))
        else:
            return listed
        asked.take({key: listed})
        return listed

    def stored_md5(self, key: str) -> str | None:
        """Return the MD5 of the file as it is stored, without compression; None if the server keeps none."""
        try:
            # Into new memory, since the buffer of this thread may hold a file.
            read = self._transport.read_into(f"/instances/{key}/attachments/dicom/md5", _new_memory)
            md5 = bytes(read).decode("ascii", "replace")
        except ServerError:
            md5 = ""
        if not md5.strip():
            # Orthanc also answers 404 if there is no such instance: then this raises.
            self._transport.json("GET", f"/instances/{key}", params={"short": ""})
            self._tell_no_checksums()
        return md5.strip() or None

    def _tell_no_checksums(self) -> None:
        with self._lock:
            is_first = not self._keeps_none.is_set()
            self._keeps_none.set()
        if is_first:
            warnings.warn(
                f"{self._transport.url} keeps no checksums of its files (StoreMD5ForAttachments is false), so files "
                "are checked by their identifiers and lengths alone.",
                stacklevel=stacklevel(),
            )

    # Identity

    def check_identity(self, key: str, header: Dataset) -> None:
        """Raise a TransportError if a header is not that of the instance."""
        self._check_identity(key, identity_of(header))

    def _check_identity(self, key: str, arrived: Identity) -> None:
        if orthanc_id(arrived) == key:
            return
        # Orthanc may have decoded a PatientID differently, so its database decides.
        listed = self._listed_identity(key)
        if listed.differences(arrived):
            raise another_object(self._transport.url, listed, arrived)

    def _listed_identity(self, key: str) -> Identity:
        short = {"short": ""}
        path, is_right = f"/instances/{key}", has(MainDicomTags=dict)
        instance = ask(self._transport, "GET", path, is_right, params=short)
        series = ask(self._transport, "GET", f"{path}/series", is_right, params=short)
        study = ask(self._transport, "GET", f"{path}/study", is_right, params=short)
        tags = {
            **study.get("PatientMainDicomTags", {}),
            **study["MainDicomTags"],
            **series["MainDicomTags"],
            **instance["MainDicomTags"],
        }
        return Identity(*(str(tags.get(parse_tag(keyword).number, "")).strip() for keyword in KEYWORDS))


def _identity_at_beginning(content: memoryview) -> Identity:
    # Only the beginning, since `BytesIO` copies: most files are shorter than this anyway.
    beginning = content[:_PIECE]
    return identity_in(io.BytesIO(beginning), len(beginning))


def _new_memory(size: int) -> memoryview:
    return memoryview(bytearray(size))


def _md5(content: bytes | memoryview) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _md5_of_file(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
