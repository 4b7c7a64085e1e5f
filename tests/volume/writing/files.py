"""Pictures and PDF files to be stored."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"


def smooth(shape: tuple[int, ...] = (24, 32), dtype: Any = np.uint8) -> NDArray[Any]:
    """A picture that JPEG keeps well."""
    largest = np.iinfo(dtype).max
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) / (shape[0] + shape[1] - 2)
    if len(shape) == 3:
        ramp = np.stack([ramp, 1 - ramp, ramp / 2], axis=-1)
    return (ramp * largest).astype(dtype)


def file_of(image: Image.Image | NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def pixels_of(content: bytes) -> NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(content)))
