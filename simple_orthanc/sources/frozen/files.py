"""The files of frozen instances; none that has changed is returned.

What is compared, and when
--------------------------
- A file is compared by its MD5 before it is returned. If that differs, and the cohort has checksums of datasets, the
  dataset is compared.
- A header or a column is read from a part of the file, or by the server. So the server's MD5 of the whole file is
  requested afterwards; if there is none, the whole file is read.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import ReusableBuffer, run_all
from simple_orthanc.errors import CohortError, NotFoundError, SelectionError
from simple_orthanc.files.checksums import dataset_sha256, md5_of
from simple_orthanc.files.parsing import parse_header
from simple_orthanc.files.walker import PIXELS, Buffer
from simple_orthanc.selection.cohort import Chain, Checksums, FrozenInstance, FrozenSeries
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.source import Row, Source, batches
from simple_orthanc.showing.text import agreeing, safe
from simple_orthanc.sources.frozen.finding import Found

# Series whose instances are listed at once.
_AT_ONCE = 200
_MOST_NAMED = 3


class ChangedFile(NamedTuple):
    """An instance that an archive holds with different content.

    Attributes
    ----------
    chain : Chain
        Its identifiers.
    frozen : FrozenInstance
        Its record in the cohort.
    size : int or None
        Length of its file now, in bytes, if known.
    md5 : str or None
        MD5 of its file now, if known.
    """

    chain: Chain
    frozen: FrozenInstance
    size: int | None
    md5: str | None


class FrozenFiles:
    """The files of the frozen instances in an archive.

    Parameters
    ----------
    archive : Source
        Where they are.
    checksums : {"files", "datasets"} or None
        The checksums that reads are compared with.
    part : str
        What the cohort is called in messages.
    """

    def __init__(self, archive: Source, checksums: Checksums | None, part: str) -> None:
        self.archive, self.part, self._checksums = archive, part, checksums
        self._buffer = ReusableBuffer()

    @property
    def _found(self) -> Found:
        """The frozen objects that the archive holds."""
        raise NotImplementedError

    def stored_file(self, key: str) -> StoredFile:
        """Return the length and the MD5 of a file as the archive has it."""
        return self.archive.stored_file(key)

    def listed_file(self, key: str) -> StoredFile:
        """Return the length and the MD5 of a file, as far as they came with its row."""
        return self.archive.listed_file(key)

    def compared_md5(self, key: str) -> str | None:
        """Return the MD5 that the archive compares its reads of an instance with; None if it does not."""
        return self.archive.compared_md5(key)

    def stored_md5(self, key: str) -> str | None:
        """Return the MD5 of a file as the archive has it now."""
        return self.archive.stored_md5(key)

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        """Return how many files, or headers, are best read at a time."""
        return self.archive.at_once(keys, headers)

    def header(self, key: str) -> Dataset:
        """Read the header of an instance whose file has not changed."""
        self._frozen(key)
        header = self.archive.header(key)
        content = self._checked(key)
        return header if content is None else _header_in(content)

    def content(self, key: str) -> bytes:
        """Read a file that has not changed."""
        is_compared = self.archive.compared_md5(key) is not None
        content = self.archive.content(key)
        self._compare(key, content, is_compared)
        return content

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read a file that has not changed into reusable memory."""
        is_compared = self.archive.compared_md5(key) is not None
        content = self.archive.read(key, allocate)
        self._compare(key, content, is_compared)
        return content

    def read_together(self, series: Sequence[Row]) -> dict[str, Buffer]:
        """Read the files of some series that have not changed; `read` raises for the others."""
        rows = self._found.rows["series"]
        # A series that has grown since would be read as a whole.
        whole = [row for row in series if row.key in rows and set(rows[row.key].children) == set(row.children)]
        files = self.archive.read_together(whole) if whole else {}
        return {key: content for key, content in files.items() if self._is_frozen(key, content)}

    def check_identity(self, key: str, header: Dataset) -> None:
        """Raise a TransportError if a header is not that of the instance."""
        self.archive.check_identity(key, header)

    def save(self, key: str, path: Path) -> None:
        """Write a file that has not changed; the path appears only when the file is complete."""
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            self.archive.save(key, part)
            self._compare(key, part.read_bytes())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def is_copy(self, key: str, path: Path) -> bool:
        """Check whether a file on disk is the one that was frozen."""
        if self._checksums is None:
            return self.archive.is_copy(key, path)
        return self._is_frozen(key, path.read_bytes())

    # What was frozen

    def check(self, keys: Sequence[str]) -> None:
        """Check that the archive still has the frozen files of some instances, before they are used without being read.

        Raises
        ------
        CohortError
            Some have changed.
        """
        if self._checksums is None:
            return
        keys = list(dict.fromkeys(keys))
        listed = self._listed_now(keys)
        doubtful = [key for key in keys if listed.get(key) != self._frozen(key)[1].md5]
        different = [
            key for key, is_same in zip(doubtful, run_all(self._is_same, doubtful), strict=True) if not is_same
        ]
        if different:
            raise self._changed(different, len(keys))

    def has_frozen(self, key: str, md5: str) -> bool:
        """Check whether an MD5 is the frozen one of a file, or none was frozen."""
        return self._frozen(key)[1].md5 in (None, md5)

    def _is_same(self, key: str) -> bool:
        try:
            self._checked(key)
        except CohortError:
            return False
        except NotFoundError:
            # One that is gone is reported by whatever acts on it.
            return True
        return True

    def _listed_now(self, keys: Sequence[str]) -> dict[str, str | None]:
        """List the MD5s of files as the archive has them now, if they come with the rows."""
        if not keys or self.archive.listed_file(keys[0]).md5 is None:
            return {}
        wanted = set(keys)
        series = [
            row for row in self._found.rows["series"].values() if not wanted.isdisjoint(self._found.children[row.key])
        ]
        listed: dict[str, str | None] = {}
        for batch in batches(series, _AT_ONCE):
            for row in self.archive.below("instance", batch):
                if row.key in wanted:
                    listed[row.key] = self.archive.listed_file(row.key).md5
        return listed

    def changed(self, *, is_thorough: bool) -> list[ChangedFile]:
        """List the instances whose content has changed.

        Parameters
        ----------
        is_thorough : bool
            Whether to request an MD5 that the archive does not list with the instances, or else to read the file.
            False: compare only what it lists.
        """
        if self._checksums is None:
            return []
        doubtful = [key for key, (_, frozen) in self._found.instances.items() if not self._is_listed_so(key, frozen)]
        compare = partial(self._change, is_thorough=is_thorough)
        changes = run_all(compare, doubtful, label="comparing") if is_thorough else map(compare, doubtful)
        return [change for change in changes if change is not None]

    def lists_others(self) -> bool:
        """Check whether the archive lists a length or an MD5 that differs from the frozen one."""
        return any(
            size not in (None, frozen.size) or md5 not in (None, frozen.md5)
            for key, (_, frozen) in self._found.instances.items()
            for size, md5 in [self.archive.listed_file(key)]
        )

    def lists_nothing(self) -> bool:
        """Check whether the archive lists neither the length nor the MD5 of some instance."""
        return any(self.archive.listed_file(key) == (None, None) for key in self._found.instances)

    def _is_listed_so(self, key: str, frozen: FrozenInstance) -> bool:
        return self.archive.listed_file(key) == (frozen.size, frozen.md5)

    def _change(self, key: str, *, is_thorough: bool) -> ChangedFile | None:
        chain, frozen = self._found.instances[key]
        size, md5 = self.archive.listed_file(key)
        if md5 is None and is_thorough:
            md5 = self.archive.stored_md5(key)
        may_be_same = size in (None, frozen.size) and md5 in (None, frozen.md5)
        if may_be_same and (md5 is not None or not is_thorough):
            return None
        if may_be_same or frozen.sha256 is not None:
            # Only the file itself decides.
            if not is_thorough:
                return None
            content = self.archive.read(key, self._buffer)
            if self._is_frozen(key, content):
                return None
            size, md5 = len(content), md5_of(content)
        return ChangedFile(chain, frozen, size, md5)

    def _frozen(self, key: str) -> tuple[Chain, FrozenInstance]:
        try:
            return self._found.instances[key]
        except KeyError:
            raise SelectionError(
                f"The selection holds an instance that is not part of the {self.part}. refresh() leaves it out."
            ) from None

    def _checked(self, key: str) -> bytes | None:
        """Check that the archive still has the frozen file; return the file if it had to be read."""
        if self._checksums is None or self.archive.stored_md5(key) == self._frozen(key)[1].md5:
            return None
        content = self.archive.read(key, self._buffer)
        self._compare(key, content)
        return bytes(content)

    def _compare(self, key: str, content: bytes | memoryview, is_compared: bool = False) -> None:
        if not self._is_frozen(key, content, self.archive.compared_md5(key) if is_compared else None):
            raise self._changed([key], 1)

    def _is_frozen(self, key: str, content: bytes | memoryview, compared: str | None = None) -> bool:
        """Check whether a file, or the dataset in it, is what was frozen.

        Parameters
        ----------
        key : str
            The key of the instance.
        content : bytes or memoryview
            The file.
        compared : str, optional
            The MD5 of the file, if the archive has already computed it.
        """
        _, frozen = self._frozen(key)
        if frozen.md5 is None:
            return True
        if len(content) == frozen.size and frozen.md5 == (compared or md5_of(content)):
            return True
        return frozen.sha256 is not None and dataset_sha256(content) == frozen.sha256

    def _changed(self, keys: Sequence[str], total: int) -> CohortError:
        if total == 1:
            what = f"The content of SOPInstanceUID {safe(self._frozen(keys[0])[0].instance)}"
        else:
            some = named([self._frozen(key)[0] for key in keys])
            what = f"The content of {len(keys):,} of {total:,} instances ({some})"
        message = (
            f"{what} in {self.archive.description} differs from what was frozen in the {self.part}. "
            "Cohort.difference(session) lists what has changed."
        )
        if self._checksums != "datasets":
            message += (
                " An archive that keeps the same objects in different files has different MD5s: for such an archive, "
                'freeze with checksums="datasets".'
            )
        return CohortError(message)


def missing_text(missing: Sequence[Chain], series: Iterable[FrozenSeries], part: str, where: str) -> str:
    """Return how much of a cohort is missing from an archive, as the beginning of a sentence."""
    total = sum(len(each.instances) for each in series)
    are = agreeing(len(missing), "are")
    return f"{len(missing):,} of {total:,} instances of the {part} {are} not in {where} ({named(missing)})"


def named(chains: Sequence[Chain]) -> str:
    """Return the first few SOPInstanceUIDs of some instances."""
    uids = ", ".join(safe(chain.instance) for chain in chains[:_MOST_NAMED])
    return f"{uids}, ..." if len(chains) > _MOST_NAMED else uids


def _header_in(content: bytes) -> Dataset:
    return parse_header(io.BytesIO(content), lambda tag, vr, length: tag in PIXELS)
