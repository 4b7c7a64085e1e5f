"""A volume as a widget of NiiVue, which draws it on the graphics processor of the reader's browser.

Everything goes to the widget in memory, as NIfTI: images as they are, label maps compressed. Its program is part of the
package ipyniivue, so that nothing is loaded from elsewhere. Needs the extra ``view``.
"""

from __future__ import annotations

import gzip
import re
import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import ipyniivue  # type: ignore[import-untyped]
import numpy as np
from matplotlib.figure import Figure

from simple_orthanc.errors import VolumeError, stacklevel
from simple_orthanc.showing.text import safe, shortened
from simple_orthanc.volume import export, plotting
from simple_orthanc.volume.geometry import Geometry
from simple_orthanc.volume.layers import LabelLayer, label_layers, texture_values
from simple_orthanc.volume.overlays import Overlay, named_overlays, overlays_on
from simple_orthanc.volume.windows import default_window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simple_orthanc.volume.volume import Volume

# In pixels; with a curve beside three planes.
_HEIGHT, _HEIGHT_OF_4D = 420, 520
_TILE_MARGIN = 12.0
# Seen on black and on bright tissue.
_LETTER_COLOUR = (1.0, 0.84, 0.37, 1.0)
_CROSSHAIR_GAP = 10.0
_PICTURE_DPI = 72
# Browsers hold 2 GB as one piece of memory, and textures of this size.
_MOST_VOXELS = 500_000_000
_LARGEST_SIDE = 2048
# Of the largest value of an overlay: the least that is seen.
_SMALLEST_SHARE = 1e-6
_LONGEST_NAME = 60
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
_TRANSPARENT = [0, 0, 0, 0]


class _Layer(ipyniivue.Volume):  # type: ignore[misc]
    """An image or overlay that does not keep the copy of its voxels which the browser sends back."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what has changed in the browser."""
        super().set_state({name: value for name, value in state.items() if not name.startswith("chunk_img_")})


class VolumeViewer(ipyniivue.NiiVue):  # type: ignore[misc]
    """A widget that shows a volume; in a page without a running kernel a picture of its planes stands in its place.

    Everything that `ipyniivue.NiiVue` has can be called and set.

    Examples
    --------
    >>> viewer = volume.view(overlay={"bone": volume.array > 300})
    >>> type(viewer).__name__
    'VolumeViewer'
    """

    description = "<VolumeViewer>"
    picture: Callable[[], bytes]

    def __repr__(self) -> str:
        """Describe the volume, and name its overlays."""
        return self.description

    def _repr_mimebundle_(self, **keywords: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**keywords)
        return {**data, "text/plain": self.description, "image/png": b64encode(self.picture()).decode()}, metadata


def make_viewer(
    volume: Volume, image: plotting.Image, overlay: Any, *, allow_other_frame: bool = False
) -> VolumeViewer:
    """Make the widget of `Volume.view`, whose documentation says what it shows.

    Parameters
    ----------
    volume : Volume
    image : plotting.Image
        What a picture of the volume shows: the first step of a 4D volume.
    overlay : Volume, ndarray, mapping of these by name, or None
    allow_other_frame : bool
        Whether overlays may be of another patient or frame of reference.
    """
    # Descriptions may name the patient, and the widget is stored with the notebook.
    overlays = overlays_on(image, named_overlays(overlay, "Modality"), allow_other_frame=allow_other_frame)
    _check_size(volume)
    if volume.is_sheared:
        warnings.warn(
            "The slices of this volume lean (gantry tilt): it is viewed resampled onto perpendicular axes.",
            stacklevel=stacklevel(),
        )
    has_sides, slices = volume.geometry is not None, image.array.shape[0]
    viewer = VolumeViewer(
        height=_HEIGHT,
        slice_type=ipyniivue.SliceType.MULTIPLANAR if has_sides and slices > 1 else ipyniivue.SliceType.AXIAL,
        multiplanar_show_render=ipyniivue.ShowRender.NEVER,
        # The patient's right and front on the left side, as in the pictures of plot().
        is_radiological_convention=True,
        sagittal_nose_left=True,
        is_orientation_text_visible=has_sides,
        # The letters of the left and upper edge. NiiVue 0.65 writes those of the edges into the image where only one
        # plane is shown, so that R may lie on the left.
        is_corner_orientation_text=True,
        font_color=_LETTER_COLOUR,
        # Interpolation would show values that are nowhere in the image.
        is_nearest_interpolation=True,
        is_colorbar=not (image.is_colour or image.is_label),
        tile_margin=_TILE_MARGIN,
        # Thin lines in a volume of any size, beside which the voxel at the crosshair is seen.
        crosshair_width_unit="percent",
        crosshair_width=0.5,
        crosshair_gap=_CROSSHAIR_GAP,
        drag_and_drop_enabled=False,
    )
    if len(volume.dims) == 4:
        # A curve of the values at the crosshair; only this layout has room for it.
        viewer.height = _HEIGHT_OF_4D
        viewer.opts.multiplanar_layout = ipyniivue.MultiplanarType.GRID
        viewer.graph.auto_size_multiplanar = True
        viewer.graph.opacity = 1.0
    viewer.description = " with ".join([repr(volume), *([safe(", ".join(overlays))] if overlays else [])])
    viewer.picture = partial(_picture, image, overlays)
    viewer.load_volumes([_image_layer(volume, image), *_overlay_layers(volume, overlays)])
    return viewer


def _check_size(volume: Volume) -> None:
    sides = volume.array.shape[len(volume.dims) - 3 : len(volume.dims)]
    if volume.array.size > _MOST_VOXELS or max(sides) > _LARGEST_SIDE:
        size = " x ".join(map(str, volume.shape))
        raise VolumeError(
            f"A widget was asked for a volume of {size} voxels, which is more than browsers draw: they take up to "
            f"{_LARGEST_SIDE} voxels along each side and {_MOST_VOXELS:,} in all. View a part of it, such as "
            "volume[..., ::2, ::2].view(), or draw single planes with plot()."
        )


def _picture(image: plotting.Image, overlays: Mapping[str, Overlay]) -> bytes:
    content = BytesIO()
    figure = plotting.draw(image, plotting.Look(), overlays, make_figure=Figure)
    figure.savefig(content, format="png", dpi=_PICTURE_DPI)
    return content.getvalue()


def _image_layer(volume: Volume, image: plotting.Image) -> _Layer:
    if image.is_label:
        names = {"label": volume.labels} if volume.labels else {}
        return _label_layer(label_layers({"label": image.array}, names)[0], volume, opacity=1.0)
    values = texture_values(volume.array, is_colour=volume.is_colour)
    data = _nifti(values, volume, is_colour=volume.is_colour)
    name = _file_name(str(volume.header.get("Modality") or "image"), ".nii")
    if volume.is_colour:
        return _Layer(name=name, data=data)
    window = default_window(volume.array, volume.header, volume.units)
    layer = _Layer(name=name, data=data, colormap="gray", cal_min=window.low, cal_max=window.high)
    layer.colormap_invert = plotting.is_inverted(volume.header)
    return layer


def _overlay_layers(volume: Volume, overlays: Mapping[str, Overlay]) -> list[_Layer]:
    layers = []
    for title, overlay in ((title, overlay) for title, overlay in overlays.items() if overlay.holds_values):
        values = texture_values(overlay.array, is_colour=False)
        high = float(values.max()) if (values > 0).any() else 1.0
        layers.append(
            _Layer(
                name=_file_name(title, ".nii"),
                data=_nifti(values, volume),
                colormap="hot",
                # What lies below is transparent.
                cal_min=high * _SMALLEST_SHARE,
                cal_max=high,
                opacity=plotting.OVERLAY_ALPHA,
            )
        )
    maps = {name: overlay.array for name, overlay in overlays.items() if not overlay.holds_values}
    names = {name: overlays[name].labels for name in maps if overlays[name].labels}
    return layers + [_label_layer(layer, volume, plotting.OVERLAY_ALPHA) for layer in label_layers(maps, names)]


def _label_layer(layer: LabelLayer, volume: Volume, opacity: float) -> _Layer:
    colours = [_TRANSPARENT, *([*colour, 255] for colour in layer.colours)]
    table = ipyniivue.LUT(
        lut=[value for colour in colours for value in colour], min=0, max=len(layer.names), labels=["", *layer.names]
    )
    return _Layer(
        name=_file_name(", ".join(layer.names), ".nii.gz"),
        data=gzip.compress(_nifti(layer.array, volume, is_label=True), 1),
        colormap_label=table,
        colorbar_visible=False,
        opacity=opacity,
    )


def _file_name(title: str, suffix: str) -> str:
    """Return the name of a layer; NiiVue tells the format by its suffix."""
    kept = "".join(character if character.isprintable() else "_" for character in re.sub(r"[/\\?#<>&\"']", "_", title))
    return shortened(kept.strip() or "overlay", _LONGEST_NAME) + suffix


def _nifti(array: NDArray[Any], volume: Volume, *, is_colour: bool = False, is_label: bool = False) -> bytes:
    """Return an array of the volume's grid as a NIfTI file."""
    geometry = volume.geometry
    if geometry is None:
        # As stored: columns run to the right of the picture, rows down.
        slices, rows, columns = array.shape[-3 - is_colour : array.ndim - is_colour]
        geometry = Geometry((columns, rows, slices), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), _IDENTITY)
    if geometry.is_sheared:
        array, geometry = _upright(array, geometry, is_colour=is_colour, is_label=is_label)
    content: bytes = export.to_nibabel(array, geometry, is_colour=is_colour).to_bytes()
    return content


def _upright(
    array: NDArray[Any], geometry: Geometry, *, is_colour: bool, is_label: bool
) -> tuple[NDArray[Any], Geometry]:
    """Resample each image of a sheared array onto perpendicular axes, along which NiiVue draws."""
    images = np.moveaxis(array, -1, 0) if is_colour else array.reshape(-1, *array.shape[-3:])
    resampled = [export.unsheared(image, geometry, 0 if is_label else None) for image in images]
    values = np.stack([image for image, _ in resampled], axis=-1 if is_colour else 0)
    return values if is_colour or array.ndim == 4 else values[0], resampled[0][1]
