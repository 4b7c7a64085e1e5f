"""Fetches the objects of one volume, and fills it as they arrive.

Pixels are placed before slices are planned: each object goes into the array at the index at which it was asked for, and
only the headers, which are read beside the pixels, decide afterwards which slices form the volume and in what order.
So every object is fetched once, and memory holds hardly more than the volume itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import ReusableBuffer, run_all
from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.fingerprint import differing
from simple_orthanc.errors import NoPixelDataError, OrthancError, TransportError, VolumeError
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_beginning, read_image
from simple_orthanc.pixels.layout import NativeLayout, native_layout, transfer_syntax
from simple_orthanc.pixels.processes import DecodingProcesses
from simple_orthanc.pixels.rescale import Rescale, read_rescale
from simple_orthanc.pixels.sample_format import OF_SLICES, needs_pixels
from simple_orthanc.pixels.stored import remove_pixels, stored_values
from simple_orthanc.selection.file_reading import FileReading
from simple_orthanc.session.reading.unreadable import is_about_one_object, reason_of, with_way_out
from simple_orthanc.volume.builder import VolumeBuilder
from simple_orthanc.volume.planes import has_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Bytes of the longest beginning of an element: tag, VR, two bytes that are reserved, length.
_ELEMENT_HEAD = 12


class ObjectFetcher:
    """Reads each object once: its pixels into a `VolumeBuilder`, its header beside it.

    A header takes longer to read than the pixels of a slice to fetch and to convert, mostly because the two evict each
    other from the processor's caches. So where the first and the last object have the same layout, those between are
    expected to have it too: their pixels are placed as they arrive, and their headers are read afterwards, all in a
    row. Objects that turn out to differ are fetched again.

    Parameters
    ----------
    source : FileReading
        The archive.
    keys, uids : sequence of str
        Keys of all objects, and the SOPInstanceUID of each, None where it is not known.
    units : str
        The units of the volume.
    processes : DecodingProcesses
        Decode compressed pixels.
    scanner : Scanner, optional
        One that has read the headers of similar files.
    """

    def __init__(
        self,
        source: FileReading,
        keys: Sequence[str],
        uids: Sequence[str | None],
        units: str,
        processes: DecodingProcesses,
        scanner: Scanner | None = None,
    ) -> None:
        self._source, self._keys, self._uids = source, keys, uids
        self._units, self._processes = units, processes
        self.headers = [elements.NO_ELEMENTS] * len(keys)
        self._scanner, self._buffer = scanner or Scanner(), ReusableBuffer()

    def read(self, instances: Sequence[int], check: Callable[[Dataset], object] | None = None) -> VolumeBuilder:
        """Fetch objects by their indexes.

        Parameters
        ----------
        instances : sequence of int
            The indexes.
        check : callable, optional
            Called with the header of the first object before pixels are decoded, and before the objects between the
            first and the last are fetched; what it raises ends the reading.

        Raises
        ------
        OrthancError
            An object cannot be read, or the archive returns another one.
        """
        builder = VolumeBuilder(instances, self.headers, self._units)
        if not instances:
            return builder

        def fetch(instance: int) -> None:
            stored, _ = self._whole(instance)
            if stored is not None:
                builder.add(instance, self.headers[instance], stored)

        first, *others = instances
        ends = [first, others.pop()] if len(others) > 1 else [first]
        # Both at once, since over a slow link each waits for its answer. Neither overwrites the memory of the other.
        fetched = self._each(partial(self.fetch, allocate=_new_memory), ends)
        if check is not None:
            check(fetched[0][1])

        def decode(end: int) -> tuple[NDArray[Any] | None, FileLayout | None]:
            content, dataset = fetched[end]
            return self._decode(ends[end], content, dataset, with_layout=True)

        workers = min(len(ends), self._source.at_once([self._keys[end] for end in ends]))
        read = run_all(decode, range(len(ends)), workers=workers)
        for instance, (stored, _) in zip(ends, read, strict=True):
            if stored is not None:
                builder.add(instance, self.headers[instance], stored)
        layout, other = read[0][1], read[-1][1]
        has_ends = len(ends) > 1 and layout is not None and builder.can_place(self.headers[first])
        if has_ends and other is not None and layout is not None and other.same_layout(layout):
            others = self._place_all(builder, others, layout)
        self._each(fetch, others)
        return builder

    def read_headers(
        self, instances: Sequence[int], seen: Callable[[int, Dataset], None] = lambda instance, header: None
    ) -> None:
        """Read the headers alone of objects, by their indexes, for a volume of which not all slices are wanted.

        Parameters
        ----------
        instances : sequence of int
        seen : callable, optional
            Called, in any thread, with the index and the header of each object as it was read.

        Raises
        ------
        OrthancError
            A header cannot be read, or the archive returns another one.
        """

        def read(instance: int) -> None:
            try:
                header = self._source.header(self._keys[instance])
            except OrthancError as error:
                raise with_way_out(error, self._uids[instance], "get_volume") from None
            seen(instance, header)
            if needs_pixels(header):
                self._whole(instance)
            else:
                self.headers[instance] = header

        workers = self._source.at_once([self._keys[instance] for instance in instances], headers=True)
        run_all(read, instances, workers=workers, label="reading headers")

    def again(self, instance: int) -> NDArray[Any]:
        """Fetch the stored values of an object once more.

        Raises
        ------
        VolumeError
            Another object has replaced it since, whose values would be taken for those of the former.
        """
        before = self.headers[instance]
        stored, _ = self._whole(instance)
        if stored is None or not elements.same(before, self.headers[instance]):
            raise VolumeError(
                f"{elements.instance_of(before)} was replaced in the archive while its volume was read. Read it again."
            )
        return stored

    def try_reading(self, instance: int) -> str | None:
        """Return why an object cannot be read, or None if it can."""
        try:
            self._whole(instance)
        except OrthancError as error:
            if not is_about_one_object(error):
                raise
            return reason_of(error)
        return None

    def _each(self, function: Any, instances: Sequence[int]) -> list[Any]:
        workers = self._source.at_once([self._keys[instance] for instance in instances])
        return run_all(function, instances, workers=workers, label="reading images")

    def _whole(
        self, instance: int, with_layout: bool = False, allocate: Callable[[int], memoryview] | None = None
    ) -> tuple[NDArray[Any] | None, FileLayout | None]:
        """Fetch and read a whole object; its pixels may be in memory that the next one overwrites.

        Of an object that is no image, such as raw data in a series of images, only the header is read.
        """
        content, dataset = self.fetch(instance, allocate)
        return self._decode(instance, content, dataset, with_layout)

    def fetch(self, instance: int, allocate: Callable[[int], memoryview] | None = None) -> tuple[memoryview, Dataset]:
        """Fetch the file of an object; by default it may lie in memory that the next one overwrites.

        Raises
        ------
        OrthancError
            The object cannot be read, or the archive returns another one.
        """
        try:
            return self._fetch(instance, allocate or self._buffer)
        except OrthancError as error:
            raise with_way_out(error, self._uids[instance], "get_volume") from None

    def _fetch(self, instance: int, allocate: Callable[[int], memoryview]) -> tuple[memoryview, Dataset]:
        content = self._source.read(self._keys[instance], allocate)
        dataset = read_image(content, self._scanner)
        if self._is_other(instance, dataset):
            # A proxy that mixed up two responses may not do so again.
            content = self._source.read(self._keys[instance], allocate)
            dataset = read_image(content, self._scanner)
            self._source.check_identity(self._keys[instance], dataset)
        return content, dataset

    def _is_other(self, instance: int, header: Dataset) -> bool:
        """Check whether a header is that of another object than was asked for."""
        try:
            self._source.check_identity(self._keys[instance], header)
        except TransportError as error:
            if not error.is_about_object:
                raise
            return True
        return False

    def _decode(
        self, instance: int, content: memoryview, dataset: Dataset, with_layout: bool = False
    ) -> tuple[NDArray[Any] | None, FileLayout | None]:
        """Keep the header of an object, and return its pixels."""
        try:
            array = stored_values(dataset, self._processes)
        except NoPixelDataError:
            if has_image(dataset):
                raise
            self.headers[instance] = dataset
            return None, None
        layout = FileLayout.of(dataset, content, self._units) if with_layout else None
        remove_pixels(dataset)
        self.headers[instance] = dataset
        return array, layout

    def _place_all(self, builder: VolumeBuilder, instances: Sequence[int], layout: FileLayout) -> list[int]:
        """Place pixels by the layout of other files, and return the objects whose headers contradict it."""

        def fetch(instance: int) -> bytes | None:
            try:
                content = self._source.read(self._keys[instance], self._buffer)
            except OrthancError as error:
                raise with_way_out(error, self._uids[instance], "get_volume") from None
            start = layout.find(content)
            if start is None:
                return None
            frames = layout.native.view(content[start + len(layout.head) :])
            placed = builder.place(instance, layout.header, layout.rescale, frames)
            return bytes(content[: start + _ELEMENT_HEAD]) if placed else None

        beginnings: Iterable[bytes | None] = self._each(fetch, instances)
        different = []
        for instance, beginning in zip(instances, beginnings, strict=True):
            if beginning is not None:
                self.headers[instance], start = read_beginning(beginning, self._scanner)
                header = self.headers[instance]
                has_layout = start == len(beginning) - _ELEMENT_HEAD and layout.matches(header)
                if has_layout and not self._is_other(instance, header):
                    continue
            different.append(instance)
        return different


def _new_memory(size: int) -> memoryview:
    return memoryview(bytearray(size))


@dataclass(frozen=True, eq=False)
class FileLayout:
    """How the file of a slice is laid out.

    Attributes
    ----------
    header : Dataset
        Of that slice.
    native : NativeLayout
        How its pixels are stored.
    rescale : Rescale
        What its values mean.
    head : bytes
        The beginning of the element that holds the pixels.
    tail : int
        How many bytes before the end of the file that element begins.
    """

    header: Dataset
    native: NativeLayout
    rescale: Rescale
    units: str
    head: bytes
    tail: int

    @classmethod
    def of(cls, dataset: Dataset, content: bytes | memoryview, units: str) -> FileLayout | None:
        """Return the layout of a file; None where its pixels are compressed, or its values depend on other files."""
        element: Any = dataset.get_item(0x7FE00010)
        native = native_layout(dataset) if element is not None and isinstance(element.value, memoryview) else None
        if native is None or units.startswith("SUV"):
            return None
        # Whether more than one frame is there, or padding, each file tells by itself.
        if len(element.value) >= 2 * native.layout.frame_bytes:
            return None
        try:
            rescale = read_rescale(dataset, 0, units)
        except VolumeError:
            return None
        start = element.value_tell - (8 if element.is_implicit_VR else _ELEMENT_HEAD)
        head = bytes(content[start : element.value_tell])
        return cls(dataset, native, rescale, units, head, len(content) - start)

    def same_layout(self, other: FileLayout) -> bool:
        """Check whether another file is laid out in the same way."""
        return self.head == other.head and self.tail == other.tail and other.matches(self.header)

    def matches(self, header: Dataset) -> bool:
        """Check whether another header describes its pixels in the same way."""
        same_syntax = transfer_syntax(header) == self.native.layout.syntax
        if same_syntax and OF_SLICES.issuperset(differing(self.header, header)):
            return True
        try:
            return self.native.matches(header) and read_rescale(header, 0, self.units) == self.rescale
        except VolumeError:
            return False

    def find(self, content: memoryview) -> int | None:
        """Return the position of the element with the pixels, or None if the file has another layout."""
        start = len(content) - self.tail
        return start if start > 0 and content[start : start + len(self.head)] == self.head else None
