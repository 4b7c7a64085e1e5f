"""The storage format of pixels as a header states it: the Image Pixel Module, PS3.3 section C.7.6.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import PixelDecodeError, VolumeError
from simple_orthanc.pixels.colour import PHOTOMETRIC, stored_samples
from simple_orthanc.pixels.sample_format import ALLOCATED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LITTLE_ENDIAN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
# The transfer syntaxes of uncompressed pixels, and whether each is little endian. Pixels of the deflated one are
# inflated when the file is read.
NATIVE = {**dict.fromkeys((*_LITTLE_ENDIAN, "1.2.840.10008.1.2.1.99"), True), "1.2.840.10008.1.2.2": False}
# What `read_layout` and `padding_mask` read.
_DECIDING = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "SegmentationType",
)


@dataclass(frozen=True)
class PixelLayout:
    """The elements of the Image Pixel Module that decide how pixel data is read."""

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str
    planar: int
    syntax: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of one stored sample, in the byte order of this machine."""
        if self.allocated == 1:
            return np.dtype(np.uint8)
        return np.dtype(f"{'i' if self.signed else 'u'}{self.allocated // 8}")

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest value that the stored bits can hold."""
        if self.signed:
            return -(1 << (self.stored - 1)), (1 << (self.stored - 1)) - 1
        return 0, (1 << self.stored) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one frame: rows, columns, and the samples where there are several."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def frame_bytes(self) -> int:
        """How many bytes one frame takes when it is decoded."""
        return self.rows * self.columns * self.samples * max(1, self.allocated // 8)

    def interleave(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return samples of any number of frames that are stored plane by plane, pixel by pixel.

        Parameters
        ----------
        array : ndarray
            The samples in any shape.

        Returns
        -------
        ndarray
            Shape (frames, rows, columns, samples).
        """
        planes = array.reshape(-1, self.samples, self.rows, self.columns)
        return np.ascontiguousarray(np.moveaxis(planes, 1, -1))

    def extract(self, array: NDArray[Any], high: int) -> NDArray[Any]:
        """Take the stored bits out of their words, and extend the sign.

        Parameters
        ----------
        array : ndarray
            Whole words, of the type of this layout and of any shape.
        high : int
            The highest of the stored bits in each word.

        Returns
        -------
        ndarray
            The array itself where nothing needs to change.
        """
        if self.stored == self.allocated or self.allocated == 1:
            return array
        # Most writers clear the other bits or fill them with the sign, and checking costs less than a copy.
        least, greatest = self.range
        if high == self.stored - 1 and array.max() <= greatest and (not self.signed or array.min() >= least):
            return array
        result: NDArray[Any]
        if self.signed:
            result = (array << (self.allocated - 1 - high)) >> (self.allocated - self.stored)
        else:
            below = high + 1 - self.stored
            result = (array >> below if below else array) & self.dtype.type((1 << self.stored) - 1)
        return result


@dataclass(frozen=True)
class NativeLayout:
    """The storage format that single, uncompressed, grey frames of many files share, from the header of one of them."""

    layout: PixelLayout
    _deciding: tuple[object, ...]

    def matches(self, header: Dataset) -> bool:
        """Check whether another header describes its pixels in the same way."""
        return _deciding(header) == self._deciding

    def view(self, content: memoryview) -> NDArray[Any]:
        """View pixel data as stored values, shape (1, rows, columns); bytes behind them are ignored.

        Raises
        ------
        ValueError
            The pixel data is too short.
        """
        layout = self.layout
        array = np.frombuffer(content, layout.dtype.newbyteorder("<"), count=layout.rows * layout.columns)
        return layout.extract(array.reshape(1, *layout.shape).astype(layout.dtype, copy=False), layout.high)


def native_layout(header: Dataset) -> NativeLayout | None:
    """Return how to read the pixels of files like this one without their headers, or None where that is not possible.

    Parameters
    ----------
    header : Dataset
        With its ``file_meta``.
    """
    try:
        layout = read_layout(header)
    except (ValueError, VolumeError):
        return None
    simple = (
        layout.syntax in _LITTLE_ENDIAN and layout.frames == layout.samples == 1 and layout.allocated in (8, 16, 32)
    )
    grey = layout.photometric in ("MONOCHROME1", "MONOCHROME2")
    return NativeLayout(layout, _deciding(header)) if simple and grey and "FloatPixelData" not in header else None


def read_layout(header: Dataset) -> PixelLayout:
    """Read how the pixel data of an object is stored.

    Parameters
    ----------
    header : Dataset
        With its ``file_meta``.

    Raises
    ------
    ValueError
        An element is missing, or has a value that cannot be read.
    PixelDecodeError
        The transfer syntax is missing.
    """
    syntax = transfer_syntax(header)
    allocated, bits = required(header, "BitsAllocated"), required(header, "BitsStored")
    high = int(elements.number(header, "HighBit") or 0)
    photometric = elements.text(header, "PhotometricInterpretation")
    samples = stored_samples(header)
    if allocated not in ALLOCATED or not 1 <= bits <= allocated:
        raise ValueError(f"BitsAllocated {allocated} with BitsStored {bits} cannot be read")
    if photometric not in PHOTOMETRIC.get(samples, ()):
        raise ValueError(f"PhotometricInterpretation {photometric!r} with {samples} samples per pixel cannot be read")
    layout = PixelLayout(
        rows=required(header, "Rows"),
        columns=required(header, "Columns"),
        frames=elements.frame_count(header),
        samples=samples,
        allocated=allocated,
        stored=bits,
        # A HighBit below BitsStored - 1 leaves no space for the bits, so it is an error.
        high=high if bits - 1 <= high < allocated else bits - 1,
        signed=required(header, "PixelRepresentation") == 1,
        photometric=photometric,
        planar=int(elements.number(header, "PlanarConfiguration") or 0),
        syntax=syntax,
    )
    if layout.rows < 1 or layout.columns < 1:
        raise ValueError(f"the image has {layout.rows} rows and {layout.columns} columns")
    return layout


def transfer_syntax(header: Dataset) -> str:
    """Return the UID of the transfer syntax in the ``file_meta`` of an object.

    Raises
    ------
    PixelDecodeError
        It is missing.
    """
    meta = getattr(header, "file_meta", None)
    syntax = elements.text(meta, "TransferSyntaxUID") if meta is not None else ""
    if not syntax:
        raise PixelDecodeError(
            "The object does not say how its pixels are encoded: TransferSyntaxUID (0002,0010) is missing from its "
            "file_meta. Set dataset.file_meta.TransferSyntaxUID."
        )
    return syntax


def syntax_name(header: Dataset) -> str:
    """Return the name of the transfer syntax for an error message."""
    meta = getattr(header, "file_meta", None)
    return UID(elements.text(meta, "TransferSyntaxUID")).name if meta is not None else "no transfer syntax"


def required(header: Dataset, keyword: str) -> int:
    """Return the whole number of a required element.

    Raises
    ------
    ValueError
        The element is missing or empty.
    """
    value = elements.number(header, keyword)
    if value is None:
        raise ValueError(f"{elements.name_of(keyword)} is missing")
    return int(value)


def _deciding(header: Dataset) -> tuple[object, ...]:
    return (transfer_syntax(header), *(elements.raw(header, keyword) for keyword in _DECIDING))
