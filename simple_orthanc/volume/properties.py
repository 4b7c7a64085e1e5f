"""What is shown of a volume: its properties in words, and a block of HTML with a small picture of it."""

from __future__ import annotations

import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from simple_orthanc.pixels.rescale import PET_UNITS
from simple_orthanc.showing import html
from simple_orthanc.showing.text import brief
from simple_orthanc.volume.thumbnails import thumbnail
from simple_orthanc.volume.views import index_letters

if TYPE_CHECKING:
    from simple_orthanc.volume.volume import Volume

# To look at more values takes longer than a reader waits for a representation.
_MOST_LOOKED_AT = 10_000_000
_MOST_LABELS = 12
# What values are that have no unit.
_KINDS = {
    "US": ", in no stated unit",
    "stored": ", stored values",
    "label": ", numbers of segments",
    "mask": ", a mask",
}
_ROOM = 200


def properties(volume: Volume) -> list[tuple[str, str]]:
    """Return the properties of a volume by name, in words.

    Parameters
    ----------
    volume : Volume

    Returns
    -------
    list of (str, str)
        What cannot be found out is left out; nothing is raised.
    """
    makers: dict[str, Callable[[Volume], str]] = {
        "name": lambda volume: volume.name,
        "series": _series,
        "size": _size,
        "spacing": _spacing,
        "origin": _origin,
        "orientation": _orientation,
        "values": _values,
        "range": _range,
        "steps": _steps,
        "labels": _labels,
    }
    pairs = [(name, _or_nothing(make, volume)) for name, make in makers.items()]
    return [(name, text) for name, text in pairs if text]


def unit_text(volume: Volume) -> str:
    """Name the unit of the values for a reader: of an SUV its kind too, and nothing where no unit is stated.

    Examples
    --------
    >>> from simple_orthanc import Folder
    >>> unit_text(Folder.example().select(Modality="PT").get_volume(units="SUVbw"))
    'SUVbw (g/ml)'
    """
    if volume.suv is not None and volume.units in PET_UNITS.values():
        return f"{volume.suv.kind} ({volume.units})"
    return "" if volume.units == "US" else volume.units


def _or_nothing(make: Callable[[Volume], str], volume: Volume) -> str:
    # Tracebacks and debuggers show representations, also those of objects that are broken.
    try:
        return make(volume)
    except Exception:
        return ""


def _series(volume: Volume) -> str:
    return " ".join(str(volume.header.get(name) or "") for name in ("Modality", "SeriesDescription")).strip()


def _size(volume: Volume) -> str:
    axes = (*volume.dims, "colour") if volume.is_colour else volume.dims
    return f"{_times(volume.shape)} ({', '.join(axes)})"


def _times(numbers: tuple[float, ...]) -> str:
    return " x ".join(f"{number:.6g}" for number in numbers)


def _spacing(volume: Volume) -> str:
    if volume.spacing is None:
        return "not known: the objects have no position in the patient"
    sheared = "; sheared: the slices are not perpendicular to the axis along which they follow each other"
    return f"{_times(volume.spacing[::-1])} mm (slice, row, column){sheared if volume.is_sheared else ''}"


def _origin(volume: Volume) -> str:
    if volume.origin is None:
        return ""
    return f"({', '.join(f'{value:.6g}' for value in volume.origin)}) mm: x, y, z (LPS) of the first voxel's centre"


def _orientation(volume: Volume) -> str:
    if volume.geometry is None:
        return ""
    column, row, slice_ = index_letters(volume.geometry)
    return f"slices follow each other towards {slice_}, rows towards {row}, columns towards {column}"


def _values(volume: Volume) -> str:
    text = _KINDS.get(volume.units, f" in {unit}" if (unit := unit_text(volume)) else "")
    return f"{volume.array.dtype}{text}, {_memory(volume.array.nbytes)}"


def _memory(number: float) -> str:
    """Write a number of bytes.

    Examples
    --------
    >>> _memory(999), _memory(1_310_720), _memory(3e12)
    ('999 B', '1.31 MB', '3000 GB')
    """
    if number < 1000:
        return f"{number} B"
    name, size = next((name, size) for name, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if number >= size)
    return f"{number / size:.3g} {name}" if number < 1e12 else f"{number / size:.0f} {name}"


def _range(volume: Volume) -> str:
    array = volume.array
    if not array.size or array.dtype.kind == "b":
        return f"{np.count_nonzero(array):,} voxels are True" if array.size else ""
    if array.size > _MOST_LOOKED_AT:
        return "not computed, because the volume is large"
    with warnings.catch_warnings():
        # NaN alone has no range.
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = np.nanmin(array), np.nanmax(array)
    return f"{low:.6g} to {high:.6g}"


def _steps(volume: Volume) -> str:
    if len(volume.dims) != 4:
        return ""
    name = volume.dims[0]
    values, unit = volume.coordinates.get(name, ()), volume.coordinate_units.get(name, "")
    if not values:
        return ""
    first, last = (
        f"{value:.6g}" if isinstance(value, int | float) else str(value) for value in (values[0], values[-1])
    )
    return f"{len(values)} along {name}, {first} to {last}{' ' if unit else ''}{unit}; the first one is shown"


def _labels(volume: Volume) -> str:
    labels = volume.labels
    names = [f"{number} {name}" for number, name in list(labels.items())[:_MOST_LABELS]]
    return ", ".join([*names, *([f"and {len(labels) - len(names)} more"] if len(labels) > len(names) else [])])


def volume_text(volume: Volume) -> str:
    """Write a volume for a terminal, without its voxels."""
    return "\n".join(["Volume", *_text_lines(volume)])


def _text_lines(volume: Volume) -> Iterator[str]:
    pairs = [*properties(volume), *(("log", note) for note in volume.log)]
    width = max(len(name) for name, _ in pairs) if pairs else 0
    for name, text in pairs:
        yield f"{name:<{width}}  {brief(text, _ROOM)}"


def volume_html(volume: Volume) -> str:
    """Write a volume for a notebook: its properties, its log, and its three middle planes."""
    picture = _or_nothing(_picture, volume)
    log = html.listed(html.value(note, _ROOM) for note in volume.log)
    folded = [html.foldable(f"log ({len(volume.log)})", log)] if volume.log else []
    table = html.properties(properties(volume))
    return html.block(html.heading("Volume"), picture, table, *folded)


def _picture(volume: Volume) -> str:
    return f'<img alt="three middle planes" src="data:image/png;base64,{b64encode(thumbnail(volume)).decode()}">'
