"""Volumes of floats as parametric maps (PS3.3 A.75), written by highdicom: every value as it is, NaN among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import VolumeError
from simple_orthanc.extras import import_extra
from simple_orthanc.pixels.ucum import UNKNOWN, is_known, unit_code
from simple_orthanc.volume.common_space import check_common_space
from simple_orthanc.volume.writing.source import REGISTERED
from simple_orthanc.volume.writing.source_images import SourceImages, written

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simple_orthanc.volume.volume import Volume

WHAT = "A parametric map"
# Of a CodeValue (VR SH).
_LONGEST_CODE = 16


def parametric_map_of(volume: Volume, like: Volume | None = None, *, tags: Mapping[str, Any] | None = None) -> Dataset:
    """Write a volume of single values as one parametric map, without rounding them.

    Parameters
    ----------
    volume : Volume
        float32 and float64 stay what they are; whole numbers become the smaller of the two that holds them exactly. Its
        units are written as a code of UCUM: "HU", "BQML" and "GY" as DICOM means them, all others as they are.
    like : Volume, optional
        The images that it was computed from: their study and frame of reference. Default: those of its header.
    tags : mapping, optional
        DICOM keywords of the object.

    Returns
    -------
    pydicom.Dataset
        On the grid of the volume; NaN is padding.

    Raises
    ------
    VolumeError
        The volume has no position, several steps, colour or masks, or a unit that is no code.
    UnsupportedError
        highdicom is not installed.

    Notes
    -----
    Units: Real World Value Mapping, PS3.3 C.7.6.16.2.11. NaN: PS3.3 C.7.6.24.1. Orthanc draws no preview of such
    objects.

    Examples
    --------
    >>> import numpy as np
    >>> from simple_orthanc import Geometry, Volume
    >>> from simple_orthanc.phantom import make_series
    >>> grid = Geometry((4, 4, 3), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> volume = Volume(np.full((3, 4, 4), 0.1), grid, make_series((3, 4, 4))[0], units="mm2/s")
    >>> parametric_map = parametric_map_of(volume)
    >>> float(parametric_map.pixel_array[0, 0, 0])
    0.1
    """
    highdicom = import_extra("highdicom", "seg", WHAT)
    source = SourceImages(volume if like is None else like, WHAT)
    check_common_space(volume, source, "The volume", "the source that like= names", REGISTERED)
    array = _values(volume)
    if volume.geometry is None:
        raise VolumeError(f"{WHAT} was asked for of a volume without position: use images.with_array(values).")
    finite = array[np.isfinite(array)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    with quiet():
        mapping = highdicom.pm.RealWorldValueMapping(
            lut_label="values",
            lut_explanation="values",
            unit=highdicom.sr.CodedConcept(*_code(volume.units)),
            value_range=(low, high),
            slope=1.0,
            intercept=0.0,
        )
        window = highdicom.VOILUTTransformation(window_center=low / 2 + high / 2, window_width=max(high - low, 1.0))
        dataset = written(
            highdicom.pm.ParametricMap,
            source,
            volume.geometry,
            WHAT,
            tags or {},
            pixel_array=array,
            contains_recognizable_visual_features=True,
            real_world_value_mappings=[mapping],
            voi_lut_transformations=[window],
            content_label="PARAMETRIC_MAP",
        )
    if finite.size < array.size:
        prefix = "Float" if array.dtype == np.float32 else "DoubleFloat"
        for name in ("Value", "RangeLimit"):
            setattr(dataset, f"{prefix}PixelPadding{name}", float("nan"))
    return dataset


def _values(volume: Volume) -> NDArray[Any]:
    array = volume.array
    if array.dtype == bool or volume.units in ("mask", "label"):
        raise VolumeError(f"{WHAT} was asked for of a mask, which is written as a segmentation: use upload_masks(...).")
    if array.ndim != 3 or array.dtype.kind not in "iuf":
        raise VolumeError(
            f"{WHAT} was asked for of {array.dtype} of the shape {array.shape}, but it holds single numbers "
            "(slice, row, column). Of a volume with several steps, write one by one: volume[0], volume[1], ..."
        )
    if array.dtype.kind == "f":
        if array.dtype.itemsize > 8:
            raise VolumeError(f"{WHAT} was asked for of {array.dtype}, but it holds at most float64: convert it first.")
        return array.astype(np.float64 if array.dtype.itemsize == 8 else np.float32, copy=False)
    for dtype in (np.float32, np.float64):
        values = array.astype(dtype)
        if np.array_equal(values.astype(array.dtype), array) and np.abs(values).max(initial=0) < 2.0**63:
            return values
    raise VolumeError(f"{WHAT} was asked for of whole numbers beyond 2**53, which float64 does not hold.")


def _code(unit: str) -> tuple[str, str, str]:
    if is_known(unit) or unit in UNKNOWN:
        code, meaning = unit_code(unit)
        return code, "UCUM", meaning
    if not unit.isascii() or not unit.isprintable() or len(unit) > _LONGEST_CODE or " " in unit or "\\" in unit:
        raise VolumeError(
            f"{WHAT} was asked for of a volume in {unit!r}, which is no code of UCUM. Name its unit as such: "
            'volume.with_array(volume.array, units="mm2/s").'
        )
    return unit, "UCUM", unit
