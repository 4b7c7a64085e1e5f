"""Many small pictures on one sheet, each with its label: one for each series of a selection."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.volume import plotting
from simple_orthanc.volume.views import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simple_orthanc.volume.volume import Volume

# In inches.
_WIDTH = 2.2
_PICTURE_HEIGHT = 2.1
_LABEL_HEIGHT = 0.45
_CAPTION_HEIGHT = 0.3
_TITLE_HEIGHT = 0.3
_GAP = 0.08
# A picture is drawn with fewer pixels than that.
_MOST_PIXELS = 512
_CHARACTERS = 32
_LABEL_LINES = 2
_REASON_LINES = 11


@dataclass(frozen=True)
class Picture:
    """One slice, with no more pixels than are seen.

    Attributes
    ----------
    view : View
        Turned for a reader.
    colours : dict
        What matplotlib's ``imshow`` needs to know about colours.
    caption : str
        The window.
    """

    view: View
    colours: dict[str, Any]
    caption: str


@dataclass(frozen=True)
class Tile:
    """One place of the sheet.

    Attributes
    ----------
    label : str
    content : Picture or str
        A picture, or why there is none.
    """

    label: str
    content: Picture | str


def picture_of(volume: Volume, note: str = "") -> Picture:
    """Return the middle slice of a volume as it is drawn small.

    Parameters
    ----------
    volume : Volume
    note : str
        Begins the caption.

    Examples
    --------
    >>> from pydicom.dataset import Dataset
    >>> from simple_orthanc import Volume
    >>> picture = picture_of(Volume(np.zeros((3, 1024, 600), np.int16), None, Dataset(), units="HU"))
    >>> picture.view.image.shape, picture.view.index, picture.caption
    ((512, 300), 1, '0 to 1 HU')
    """
    image = volume._drawn
    look = plotting.Look(slice=image.array.shape[0] // 2)
    window, _ = plotting.window_of(image, look)
    (whole,) = plotting.planes_of(image, None, look.slice)
    step = -(-max(whole.image.shape[:2]) // _MOST_PIXELS)
    # A copy, so that the volume need not be kept.
    small = replace(whole, image=np.array(whole.image[::step, ::step]))
    # Activities in Bq/ml have too many digits to read.
    divisor, units = {"stored": (1, ""), "BQML": (1000, "kBq/ml")}.get(image.units, (1, image.units))
    low, high = window.low / divisor, window.high / divisor
    shown = "colour" if image.is_colour else f"{low:.4g} to {high:.4g} {units}".rstrip()
    caption = "\n".join(part for part in (shown, note) if part)
    return Picture(small, plotting.colour_map(image, look, window), caption)


def draw_tiles(tiles: Sequence[Tile], title: str, columns: int) -> Figure:
    """Draw a sheet.

    Parameters
    ----------
    tiles : sequence of Tile
        Row by row.
    title : str
    columns : int

    Returns
    -------
    matplotlib.figure.Figure
        Known to pyplot.
    """
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    row_height = _LABEL_HEIGHT + _PICTURE_HEIGHT + _CAPTION_HEIGHT
    width, height = columns * _WIDTH, rows * row_height + _TITLE_HEIGHT
    figure = plotting.shown_figure(figsize=(width, height))
    figure.text(
        0.5 * _GAP / width, 1 - 0.5 * _TITLE_HEIGHT / height, title, va="center", fontsize="medium", **plotting.AS_IT_IS
    )
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        left = column * _WIDTH + _GAP / 2
        bottom = height - _TITLE_HEIGHT - (row + 1) * row_height + _CAPTION_HEIGHT
        axes = figure.add_axes((left / width, bottom / height, (_WIDTH - _GAP) / width, _PICTURE_HEIGHT / height))
        axes.set(xticks=[], yticks=[])
        axes.set_title(_wrapped(tile.label, _LABEL_LINES), fontsize="x-small", loc="left", pad=3, **plotting.AS_IT_IS)
        _fill(axes, tile.content)
    return figure


def _fill(axes: Axes, content: Picture | str) -> None:
    if isinstance(content, str):
        text = _wrapped(content, _REASON_LINES)
        axes.text(
            0.5, 0.5, text, ha="center", va="center", fontsize="x-small", transform=axes.transAxes, **plotting.AS_IT_IS
        )
        axes.spines[:].set_color("lightgrey")
        return
    plotting.draw_image(axes, content.view, content.colours)
    plotting.draw_letters(axes, content.view, fontsize="x-small")
    axes.set_xlabel(content.caption, fontsize="xx-small", labelpad=1, **plotting.AS_IT_IS)
    axes.spines[:].set_visible(False)


def _wrapped(text: str, most: int) -> str:
    """Return text in lines as wide as a tile, without what cannot be drawn."""
    drawn = "".join(character if character.isprintable() else " " for character in text)
    return "\n".join(textwrap.wrap(drawn, _CHARACTERS, max_lines=most, placeholder=" ..."))
