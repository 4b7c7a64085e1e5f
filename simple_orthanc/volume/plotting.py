"""A volume as a picture: planes turned for a reader, lettered, in millimetres, with a stated window.

`views` turns the planes, `windows` chooses the window; here they are drawn. Values are for computing, pictures for
looking: nothing here changes a value.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.extras import import_extra
from simple_orthanc.showing.text import safe, shortened
from simple_orthanc.volume.layers import labels_of
from simple_orthanc.volume.overlays import Overlay
from simple_orthanc.volume.views import PLANES, View, nearest_plane, plane_axis, view
from simple_orthanc.volume.windows import Window, default_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from simple_orthanc.volume.geometry import Geometry

_AXES = ("slice", "row", "column")
# Of figures, and of what is around the planes, in inches.
_WIDTH, _LOWEST, _HIGHEST = 13.0, 3.0, 6.0
_BAR_WIDTH, _LABEL_WIDTH = 1.1, 0.6
_LABEL_HEIGHT, _LINE_HEIGHT, _LEGEND_HEIGHT = 0.8, 0.2, 0.25
# Text and lines over an image that may be bright or dark.
_OUTLINE = "black"
_LETTER_COLOUR = "#ffd75f"
OVERLAY_ALPHA = 0.45
_LETTERS_PER_INCH, _PATCH_LETTERS = 12, 7
_LEGEND_ENTRIES, _LEGEND_COLUMNS, _LONGEST_ENTRY = 24, 6, 60
# Values of tags and names of masks are not to be read as formulas.
AS_IT_IS: dict[str, Any] = {"parse_math": False, "usetex": False}


@dataclass(frozen=True)
class Image:
    """What is drawn: one 3D image.

    Attributes
    ----------
    array : ndarray
        (slice, row, column), with 3 last for colour.
    geometry : Geometry or None
    header : pydicom.Dataset
    units : str
    title : str
        Above the planes.
    """

    array: NDArray[Any]
    geometry: Geometry | None
    header: Dataset
    units: str
    title: str

    @property
    def is_colour(self) -> bool:
        """Whether the last axis holds red, green and blue."""
        return self.array.ndim == 4

    @property
    def is_label(self) -> bool:
        """Whether the values are numbers of segments, or a mask."""
        return self.units == "label" or self.array.dtype.kind == "b"


@dataclass(frozen=True)
class Look:
    """How the image is drawn; None stands for the default of the image.

    Attributes
    ----------
    window : tuple of float or None
        Center and width.
    slice : int or None
        Index of the plane along its array axis.
    plane : str or None
        "axial", "coronal" or "sagittal".
    cmap : str or None
        Name of a colour map of matplotlib.
    colorbar : bool
        Whether a bar shows what the colours mean.
    """

    window: tuple[float, float] | None = None
    slice: int | None = None
    plane: str | None = None
    cmap: str | None = None
    colorbar: bool = True


def planes_of(image: Image, plane: str | None, index: int | None) -> list[View]:
    """Return the planes to draw: three through the middle, that of a volume of one plane, or the one asked for.

    Raises
    ------
    ValueError
        There is no such plane or no such index.
    VolumeError
        A plane of the patient was asked for, and there is no geometry.
    """
    sizes, geometry = image.array.shape[:3], image.geometry
    stored = _stored_letters(image.header)
    if plane is not None or index is not None:
        axis = 0 if plane is None else plane_axis(geometry, plane)
        chosen = sizes[axis] // 2 if index is None else _index(index, axis, sizes[axis])
        return [view(image.array, geometry, axis, chosen, stored)]
    if geometry is None:
        return [view(image.array, geometry, 0, sizes[0] // 2, stored)]
    if 1 in sizes:
        # One image, or a projection: from its edge there is nothing to see.
        return [view(image.array, geometry, sizes.index(1), 0, stored)]
    axes = sorted(range(3), key=lambda axis: PLANES.index(nearest_plane(geometry, axis)))
    return [view(image.array, geometry, axis, sizes[axis] // 2) for axis in axes]


def _index(index: int, axis: int, size: int) -> int:
    if not -size <= index < size:
        raise ValueError(f"slice={index}: there are {size} planes along the {_AXES[axis]} axis, 0 to {size - 1}")
    return index % size


def _stored_letters(header: Dataset) -> tuple[str, str]:
    """Return the letters of PatientOrientation (PS3.3 C.7.6.1.1.1) for increasing columns and rows."""
    value = header.get("PatientOrientation")
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return "", ""
    across, down = ("".join(letter for letter in str(part) if letter in "RLAPFH") for part in value)
    return across, down


def draw(
    image: Image,
    look: Look,
    overlays: Mapping[str, Overlay],
    make_figure: Callable[..., Figure] | None = None,
) -> Figure:
    """Draw an image with its overlays.

    Parameters
    ----------
    image : Image
    look : Look
    overlays : mapping
        Name to a mask, a label map, or values drawn as colours.
    make_figure : function, optional
        Makes a figure with the size and layout that it is given. Default: one that pyplot knows.

    Returns
    -------
    matplotlib.figure.Figure
        Known to pyplot, so that ``plt.show()`` and the end of a notebook's cell show it.
    """
    make_figure = make_figure or shown_figure
    views = planes_of(image, look.plane, look.slice)
    window, caption = window_of(image, look)
    colours = colour_map(image, look, window)
    width = _WIDTH if len(views) > 1 else _WIDTH / 2
    # matplotlib would wrap names as formulas.
    lines = [
        line for part in (safe(image.title), caption) for line in textwrap.wrap(part, int(_LETTERS_PER_INCH * width))
    ]
    layers = [_Layer(name, number, overlay) for number, (name, overlay) in enumerate(overlays.items())]
    columns, legend = _legend_size([entry for layer in layers for entry in layer.entries(look.colorbar)], width)
    bars = look.colorbar * (1 + sum(layer.holds_values for layer in layers))
    height = _height(views, width - bars * _BAR_WIDTH, len(lines)) + legend
    figure = make_figure(figsize=(width, height), layout="constrained")
    widths = [_size(each)[0] for each in views]
    grid = figure.subplots(1, len(views), squeeze=False, width_ratios=widths)[0]
    shown = None
    for axes, each in zip(grid, views, strict=True):
        shown = _draw_plane(axes, each, colours)
        draw_letters(axes, each)
    for axes, each in zip(grid, views, strict=True):
        for layer in layers:
            layer.draw(axes, view(layer.array, image.geometry, each.axis, each.index))
    if entries := [entry for layer in layers for entry in layer.entries(look.colorbar)]:
        _add_legend(figure, entries, columns)
    if look.colorbar and not image.is_colour and shown is not None:
        figure.colorbar(shown, ax=list(grid), label=image.units, shrink=0.8, pad=0.01)
    if look.colorbar:
        _add_bars(figure, grid, layers)
    figure.suptitle("\n".join(lines), fontsize="medium", **AS_IT_IS)
    return figure


def _size(each: View) -> tuple[float, float]:
    """Return the width and the height of a plane in mm."""
    left, right, bottom, top = each.extent
    return max(abs(right - left), 1e-3), max(abs(top - bottom), 1e-3)


def _legend_size(entries: Sequence[_Entry], width: float) -> tuple[int, float]:
    """Return the columns of a legend that fit into the width of a figure, and its height in inches."""
    longest = max((len(entry.text) for entry in entries), default=0)
    count = min(len(entries), _LEGEND_ENTRIES)
    columns = max(min(count, int(_LETTERS_PER_INCH * width / (longest + _PATCH_LETTERS)), _LEGEND_COLUMNS), 1)
    return columns, math.ceil(count / columns) * _LEGEND_HEIGHT


def _height(views: Sequence[View], width: float, lines: int) -> float:
    """Return the height in inches of a figure without its legend, in which its planes leave no empty band."""
    across = sum(_size(each)[0] for each in views)
    planes = (width - len(views) * _LABEL_WIDTH) * max(_size(each)[1] for each in views) / across
    around = _LABEL_HEIGHT + lines * _LINE_HEIGHT
    return float(min(max(planes + around, _LOWEST), _HIGHEST))


def shown_figure(**settings: Any) -> Figure:
    """Make a figure that pyplot knows and a notebook shows once."""
    pyplot = import_extra("matplotlib.pyplot", "plot", "A picture")
    from simple_orthanc.volume.figures import VolumeFigure

    figure: Figure = pyplot.figure(FigureClass=VolumeFigure, **settings)
    return figure


def window_of(image: Image, look: Look) -> tuple[Window, str]:
    """Return the window, and what the picture says about it."""
    if image.is_colour:
        return Window(0, 1, "colour"), ""
    if look.window is None:
        window = default_window(image.array, image.header, image.units)
    else:
        center, width = look.window
        if not width > 0:
            raise ValueError(f"window={look.window}: the width, which is the second number, must be positive")
        window = Window(center - width / 2, center + width / 2, "as asked")
    return window, "" if image.is_label else window.describe(image.array, image.units)


def colour_map(image: Image, look: Look, window: Window) -> dict[str, Any]:
    """Return what imshow needs to know about colours."""
    if image.is_colour:
        return {}
    if image.is_label:
        return {"cmap": look.cmap or "tab20", "vmin": window.low, "vmax": window.high, "interpolation_stage": "data"}
    return {
        "cmap": look.cmap or ("gray_r" if is_inverted(image.header) else "gray"),
        "vmin": window.low,
        "vmax": window.high,
    }


def is_inverted(header: Dataset) -> bool:
    """Check whether high values are drawn dark: those of PET, and of MONOCHROME1 (PS3.3 C.7.6.3.1.2)."""
    is_pet, is_monochrome1 = header.get("Modality") == "PT", header.get("PhotometricInterpretation") == "MONOCHROME1"
    return bool(is_pet != is_monochrome1)


def _draw_plane(axes: Axes, each: View, colours: dict[str, Any]) -> Any:
    shown = draw_image(axes, each, colours)
    axes.set(title=each.title, xlabel=each.labels[0], ylabel=each.labels[1])
    axes.title.set_fontsize("small")
    axes.tick_params(labelsize="x-small")
    return shown


def draw_image(axes: Axes, each: View, colours: dict[str, Any]) -> Any:
    """Draw the pixels of a plane in millimetres; return what a colour bar can be made of."""
    image = each.image
    if not colours and image.dtype != np.uint8:
        image = (image / np.iinfo(image.dtype).max).astype(np.float32)
    # Bilinear interpolation would show values that are nowhere in the image.
    return axes.imshow(image, extent=each.extent, aspect="equal", interpolation="nearest", **colours)


def draw_letters(axes: Axes, each: View, fontsize: str = "medium") -> None:
    """Write the letters of the patient's sides at the edges of a plane."""
    from matplotlib import patheffects

    left, right, bottom, top = each.extent
    # In a picture that is much wider than high the upper and the lower letter would cover each other.
    apart = 0.05 if abs(top - bottom) < abs(right - left) / 3 else 0.0
    places = (
        (0.02, 0.5, "left", "center"),
        (0.98, 0.5, "right", "center"),
        (0.5 - apart, 0.98, "center", "top"),
        (0.5 + apart, 0.02, "center", "bottom"),
    )
    outline = [patheffects.withStroke(linewidth=2.5, foreground=_OUTLINE)]
    for (across, down, horizontal, vertical), letters in zip(places, each.letters, strict=True):
        axes.text(
            across,
            down,
            letters,
            transform=axes.transAxes,
            horizontalalignment=horizontal,
            verticalalignment=vertical,
            color=_LETTER_COLOUR,
            fontsize=fontsize,
            fontweight="bold",
            path_effects=outline,
        )


class _Layer:
    """One overlay: a mask and each label in a colour of its own, values as a transparent colour map."""

    def __init__(self, name: str, number: int, overlay: Overlay) -> None:
        from matplotlib import colormaps

        self.name, self.array = shortened(safe(name), _LONGEST_ENTRY), overlay.array
        self.holds_values = overlay.holds_values
        self.title = self.name + (f" ({overlay.units})" if overlay.units not in ("", "stored") else "")
        self.high, self.is_empty = 1.0, False
        self.shown: Any = None
        self.labels: list[int] = []
        if self.holds_values:
            positive = self.array[np.isfinite(self.array) & (self.array > 0)]
            self.high, self.is_empty = (float(positive.max()), False) if positive.size else (1.0, True)
        elif self.array.any():
            self.labels = labels_of(self.array)
        self.names = {label: shortened(safe(text), _LONGEST_ENTRY) for label, text in overlay.labels.items()}
        palette = colormaps["tab10"]
        self.colours = [palette((number + rank) % 10) for rank in range(max(len(self.labels), 1))]
        self.seen: set[int] = set()

    def draw(self, axes: Axes, each: View) -> None:
        if self.holds_values:
            hidden = np.ma.masked_where(~(each.image > 0), each.image)
            self.shown = axes.imshow(
                hidden,
                extent=each.extent,
                cmap="hot",
                vmin=0,
                vmax=self.high,
                alpha=OVERLAY_ALPHA,
                interpolation="nearest",
            )
            return
        inside = np.unique(each.image).tolist()
        for label, colour in zip(self.labels, self.colours, strict=False):
            if label not in inside:
                continue
            self.seen.add(label)
            filled = np.zeros((*each.image.shape, 4))
            filled[each.image == label] = (*colour[:3], OVERLAY_ALPHA)
            axes.imshow(filled, extent=each.extent, interpolation="nearest")

    def entries(self, has_bar: bool) -> list[_Entry]:
        """Return what the legend says: nothing of values whose colours a bar explains."""
        if self.holds_values:
            if self.is_empty:
                return [_Entry(f"{self.name} (nothing above 0)", "orange")]
            return [] if has_bar else [_Entry(f"{self.title}, 0 to {self.high:.4g}", "orange")]
        if not self.labels:
            return [_Entry(f"{self.name} (empty)", self.colours[0])]
        default = "{name} {label}" if len(self.labels) > 1 else "{name}"
        return [
            _Entry(self.names.get(label) or default.format(name=self.name, label=label), colour, label in self.seen)
            for label, colour in zip(self.labels, self.colours, strict=True)
        ]


@dataclass(frozen=True)
class _Entry:
    """A mask or label in the legend, and whether it is in the planes that are drawn."""

    text: str
    colour: Any
    is_seen: bool = True


def _add_legend(figure: Figure, entries: Sequence[_Entry], columns: int) -> None:
    """Name the masks and labels; of more than have room, those in the planes come first."""
    from matplotlib.patches import Patch

    more = len(entries) - _LEGEND_ENTRIES
    if more > 0:
        entries = sorted(entries, key=lambda entry: not entry.is_seen)[: _LEGEND_ENTRIES - 1]
    handles = [Patch(color=entry.colour, label=entry.text) for entry in entries]
    if more > 0:
        handles.append(Patch(alpha=0, label=f"and {more + 1} more"))
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
    for text in legend.get_texts():
        text.set(**AS_IT_IS)


def _add_bars(figure: Figure, grid: Sequence[Axes], layers: Sequence[_Layer]) -> None:
    """Draw a bar for each overlay of values."""
    for layer in layers:
        if layer.shown is not None and not layer.is_empty:
            bar = figure.colorbar(layer.shown, ax=list(grid), shrink=0.8, pad=0.01)
            bar.set_label(layer.title, **AS_IT_IS)
