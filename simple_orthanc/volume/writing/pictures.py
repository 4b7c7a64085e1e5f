"""The pixels of PNG and JPEG files, as a Secondary Capture holds them."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.jpeg_streams import checked_stream, jpeg_header

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

# Rows and Columns are unsigned short.
_MOST_PIXELS = 65535
# ITU-T T.81, and Lossy Image Compression Method of PS3.3 C.7.6.1.1.5.2.
_JPEG_METHOD = "ISO_10918_1"
_EXIF_ORIENTATION = 0x0112
# PNG (ISO/IEC 15948): the header chunk follows the signature; colour types with red, green and blue.
_PNG_HEADER = struct.Struct(">8x4x4sIIBB")
_PNG_COLOURS = (2, 6)


def add_picture(dataset: Dataset, content: bytes, name: str) -> str:
    """Add the pixels of a PNG or JPEG file to a dataset, and return the transfer syntax.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Gets the Image Pixel module (PS3.3 C.7.6.3).
    content : bytes
        The file. A baseline JPEG stays as it is; any other is decoded.
    name : str
        What messages call it.

    Returns
    -------
    str

    Raises
    ------
    VolumeError
        It is broken, or has what such an object cannot hold: several pictures, transparency, CMYK, 16-bit colour.
    """
    is_jpeg = content.startswith(b"\xff\xd8")
    image = _opened(content, name)
    if image.mode in ("CMYK", "YCCK"):
        raise VolumeError(f"{name} has the colours of print (CMYK), which DICOM does not know: save it as RGB first.")
    if not is_jpeg and getattr(image, "is_animated", False):
        raise VolumeError(f"{name} is animated: save the picture that is meant as a file of its own.")
    if max(image.size) > _MOST_PIXELS:
        raise VolumeError(f"{name} has {image.size} columns and rows, but a DICOM image has at most {_MOST_PIXELS}.")
    if is_jpeg and image.format == "JPEG" and not _is_turned(image) and _is_baseline(content):
        return _add_jpeg(dataset, content)
    array = _array(image, content, name, is_jpeg=is_jpeg)
    _add_array(dataset, array)
    if is_jpeg:
        _add_loss(dataset, array.nbytes, len(content))
    return str(ExplicitVRLittleEndian)


def _opened(content: bytes, name: str) -> Image.Image:
    """Open a picture, and decode all of it, so that a broken one is found."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "MPO"))
        image.load()
    except Exception as error:  # Pillow may raise anything
        raise VolumeError(f"{name} is broken, or no PNG or JPEG after all: {error}.") from error
    return image


def _is_turned(image: Image.Image) -> bool:
    return image.getexif().get(_EXIF_ORIENTATION, 1) not in (0, 1)


def _is_baseline(content: bytes) -> bool:
    try:
        checked_stream(content, lossless=False)
    except ValueError:
        return False
    header = jpeg_header(content)
    return header.is_baseline and header.precision == 8


def _add_jpeg(dataset: Dataset, content: bytes) -> str:
    header = jpeg_header(content)
    samples = len(header.components)
    dataset.Rows, dataset.Columns = header.rows, header.columns
    dataset.SamplesPerPixel = samples
    colour = "MONOCHROME2" if samples == 1 else header.colour("YBR_FULL")
    if colour == "YBR_FULL" and len(header.sampling) > 1:
        # Whatever the subsampling, this is how it is said of JPEG (PS3.5 section 8.2.1).
        colour = "YBR_FULL_422"
    dataset.PhotometricInterpretation = colour
    _add_format(dataset, np.dtype(np.uint8), samples)
    _add_loss(dataset, header.rows * header.columns * samples, len(content))
    dataset.add_new("PixelData", "OB", encapsulate([content]))
    dataset["PixelData"].is_undefined_length = True
    return str(JPEGBaseline8Bit)


def _array(image: Image.Image, content: bytes, name: str, *, is_jpeg: bool) -> NDArray[Any]:
    from PIL import ImageOps

    if is_jpeg:
        image = ImageOps.exif_transpose(image)
        return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    _, _, _, depth, colour = _PNG_HEADER.unpack_from(content)
    if depth == 16 and colour in _PNG_COLOURS:
        raise VolumeError(
            f"{name} has colours of 16 bits, which a Secondary Capture does not hold: save it in 8 bits, or in grey."
        )
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = _without_transparency(image, name)
    if image.mode in ("P", "PA"):
        image = image.convert("RGB")
    array = np.asarray(image.convert("L") if image.mode == "1" else image)
    return array.astype(np.uint16) if depth == 16 else array.astype(np.uint8)


def _without_transparency(image: Image.Image, name: str) -> Image.Image:
    alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    if alpha.min(initial=255) < 255:
        raise VolumeError(
            f"{name} is transparent in places, which DICOM does not know: save it on a background of one colour first."
        )
    return image.convert("L" if image.mode in ("L", "LA") else "RGB")


def _add_array(dataset: Dataset, array: NDArray[Any]) -> None:
    samples = 3 if array.ndim == 3 else 1
    dataset.Rows, dataset.Columns = array.shape[:2]
    dataset.SamplesPerPixel = samples
    dataset.PhotometricInterpretation = "MONOCHROME2" if samples == 1 else "RGB"
    _add_format(dataset, array.dtype, samples)
    content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    dataset.add_new("PixelData", "OB" if array.dtype.itemsize == 1 else "OW", content + b"\0" * (len(content) % 2))


def _add_format(dataset: Dataset, dtype: np.dtype[Any], samples: int) -> None:
    if samples == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0


def _add_loss(dataset: Dataset, size: int, compressed: int) -> None:
    """Write down that JPEG was at work (PS3.3 C.7.6.1.1.5)."""
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = f"{max(size / compressed, 0.01):.2f}"
    dataset.LossyImageCompressionMethod = _JPEG_METHOD
