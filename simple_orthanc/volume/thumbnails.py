"""A small picture of a volume: its three middle planes, as PNG, or one slice.

`views` turns the planes for a reader and letters their sides, as in the pictures of `Volume.plot`. Here they are made
small with pillow, which every installation has, so that a notebook shows a volume in a few milliseconds.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.plotting import Image, planes_of
from simple_orthanc.volume.windows import Window, default_window

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image as Picture

    from simple_orthanc.volume.views import View
    from simple_orthanc.volume.volume import Volume

# Pixels of the longest side of a plane; the next one is taken where the file would be larger than _MOST_BYTES.
_SIDES = (176, 136, 104, 72)
_MOST_BYTES = 40_000
_GAP = 6
# So many voxels tell the window of an image, and so many pixels along a side are enough to make a plane small.
_SAMPLE = 200_000
_MOST_ACROSS = 1024
_FONT_SIZE = 12
# Where two letters face each other, and where one stands.
_ROOM_FOR_TWO = 40
_ROOM_FOR_ONE = 16
# Of the segments of a label map, in turn; no segment is black.
_PALETTE = np.array(
    [
        *[(0, 0, 0), (230, 85, 75), (80, 160, 230), (110, 190, 90), (240, 180, 60), (170, 120, 210), (90, 200, 200)],
        *[(235, 130, 180), (170, 130, 95), (190, 200, 80), (150, 160, 175)],
    ],
    np.uint8,
)


def thumbnail(volume: Volume) -> bytes:
    r"""Draw the three middle planes of a volume small, with the letters of their sides.

    Parameters
    ----------
    volume : Volume
        Of a 4D volume the first step is drawn. Of a volume without geometry, or of a single slice, the slice is.

    Returns
    -------
    bytes
        A PNG of some 550 x 180 pixels, transparent beside the planes, of at most about 40 kB. All planes have one
        scale, in mm. The window is that of `Volume.plot`, judged from a sample of the voxels and the planes drawn.

    Raises
    ------
    VolumeError
        The volume has no voxels.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> from simple_orthanc.volume.volume import Volume
    >>> from simple_orthanc.volume.geometry import Geometry
    >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> picture = thumbnail(Volume(np.arange(60).reshape(3, 4, 5), grid, make_series((3, 4, 5))[0]))
    >>> picture[:4], len(picture) < 40_000
    (b'\x89PNG', True)
    """
    array = volume.array[0] if len(volume.dims) == 4 else volume.array
    if not array.size:
        raise VolumeError(f"A picture was requested from a volume without voxels, of shape {array.shape}.")
    image = Image(array, volume.geometry, volume.header, volume.units, "")
    views = planes_of(image, None, None)
    planes = _pixels(image, views)
    content = b""
    for side in _SIDES:
        content = _encoded(_joined(image, views, planes, side))
        if len(content) <= _MOST_BYTES:
            break
    return content


def slice_picture(volume: Volume, side: int) -> Picture.Image:
    """Draw one slice small, with the letters of its sides.

    Parameters
    ----------
    volume : Volume
        Of a single slice.
    side : int
        Pixels of the longer side.

    Returns
    -------
    PIL.Image.Image
        Grey (mode "L"), or in colour ("RGB").

    Examples
    --------
    >>> from pydicom.dataset import Dataset
    >>> from simple_orthanc.volume.volume import Volume
    >>> picture = slice_picture(Volume(np.zeros((1, 1024, 600), np.int16), None, Dataset()), 256)
    >>> picture.mode, picture.size
    ('L', (150, 256))
    """
    image = volume._drawn
    views = planes_of(image, None, None)
    planes = _pixels(image, views)
    return _joined(image, views, planes, side).convert("RGB" if planes[0].ndim == 3 else "L")


def _pixels(image: Image, views: list[View]) -> list[NDArray[np.uint8]]:
    """Return the planes as grey levels, or as red, green and blue."""
    planes = [_thinned(each.image) for each in views]
    if image.is_colour:
        return [_as_bytes(plane) for plane in planes]
    if image.units == "label":
        return [_segments(plane) for plane in planes]
    window = _window(image, planes)
    # As in `plotting`: PET is drawn with high values dark.
    inverted = (image.header.get("Modality") == "PT") != (
        image.header.get("PhotometricInterpretation") == "MONOCHROME1"
    )
    return [_grey(plane, window, inverted and not image.is_label) for plane in planes]


def _thinned(plane: NDArray[Any]) -> NDArray[Any]:
    """Leave out pixels that the thumbnail cannot show."""
    down, across = (max(1, size // _MOST_ACROSS) for size in plane.shape[:2])
    return plane[::down, ::across]


def _as_bytes(plane: NDArray[Any]) -> NDArray[np.uint8]:
    if plane.dtype == np.uint8:
        return plane
    result: NDArray[np.uint8] = (plane / max(np.iinfo(plane.dtype).max, 1) * 255).astype(np.uint8)
    return result


def _window(image: Image, planes: list[NDArray[Any]]) -> Window:
    """Choose the window from a sample of the voxels, and from all that is drawn."""
    array = image.array
    step = max(1, round((array.size / _SAMPLE) ** (1 / 3)))
    parts = [array[::step, ::step, ::step], *planes]
    return default_window(np.concatenate([part.reshape(-1) for part in parts]), image.header, image.units)


def _grey(plane: NDArray[Any], window: Window, is_inverted: bool) -> NDArray[np.uint8]:
    share = (plane.astype(np.float64) - window.low) / (window.high - window.low)
    grey = np.clip(np.nan_to_num(1 - share if is_inverted else share, posinf=1.0, neginf=0.0), 0, 1)
    result: NDArray[np.uint8] = np.rint(grey * 255).astype(np.uint8)
    return result


def _segments(plane: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the colours of numbers of segments."""
    numbers = plane.astype(np.int64)
    colours: NDArray[np.uint8] = _PALETTE[np.where(numbers == 0, 0, (numbers - 1) % (len(_PALETTE) - 1) + 1)]
    return colours


def _joined(image: Image, views: list[View], planes: list[NDArray[np.uint8]], side: int) -> Picture.Image:
    """Draw planes beside each other, at one scale, with the longest side of all as given in pixels."""
    from PIL import Image as Picture

    sizes = [(abs(each.extent[1] - each.extent[0]), abs(each.extent[3] - each.extent[2])) for each in views]
    scale = side / max(max(size) for size in sizes)
    shapes = [tuple(max(1, round(length * scale)) for length in size) for size in sizes]
    mode = "RGBA" if planes[0].ndim == 3 else "LA"
    canvas = Picture.new(
        mode, (sum(shape[0] for shape in shapes) + _GAP * (len(shapes) - 1), max(shape[1] for shape in shapes))
    )
    # Numbers of segments are not averaged: where two of them meet there is no third.
    how = Picture.Resampling.NEAREST if image.is_label else Picture.Resampling.BOX
    left = 0
    for each, plane, shape in zip(views, planes, shapes, strict=True):
        small = Picture.fromarray(np.ascontiguousarray(plane)).resize((shape[0], shape[1]), how)
        _draw_letters(small, each)
        canvas.paste(small.convert(mode), (left, (canvas.height - shape[1]) // 2))
        left += shape[0] + _GAP
    return canvas


def _draw_letters(picture: Picture.Image, each: View) -> None:
    from PIL import ImageDraw, ImageFont

    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT_SIZE)
    white, black = (255, 0) if picture.mode == "L" else ((255, 255, 255), (0, 0, 0))
    across, down = picture.size
    left, right, top, bottom = each.letters
    places: list[tuple[float, float, str, str]] = []
    if across >= _ROOM_FOR_TWO and down >= _ROOM_FOR_ONE:
        places += [(2, down / 2, left, "lm"), (across - 2, down / 2, right, "rm")]
    if down >= _ROOM_FOR_TWO and across >= _ROOM_FOR_ONE:
        places += [(across / 2, 2, top, "mt"), (across / 2, down - 2, bottom, "mb")]
    for x, y, letters, anchor in places:
        draw.text((x, y), letters, white, font, anchor, stroke_width=1, stroke_fill=black)


def _encoded(picture: Picture.Image) -> bytes:
    content = BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
