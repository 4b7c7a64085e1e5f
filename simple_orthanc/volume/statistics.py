"""Numbers of the voxels inside a mask, each with its definition.

SUVpeak is the largest mean value in a sphere of 1 cm3 (12.4 mm in diameter) whose centre lies in the mask, as PERCIST
and QIBA's FDG-PET profile have it: the sphere is placed where its mean is largest, which need not be at the hottest
voxel, and it may reach beyond the mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.errors import VolumeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simple_orthanc.volume.geometry import Geometry

PERCENTILES = (5, 25, 50, 75, 95)
SPHERE_MM3 = 1000.0
# Each voxel is cut into so many parts along each axis to find how much of it lies in the sphere.
_PARTS = 5


def voxel_ml(geometry: Geometry) -> float:
    """Return the volume of one voxel in ml; that of a sheared grid is smaller than the product of its spacings."""
    return float(abs(np.linalg.det(geometry.affine[:3, :3]))) / 1000


def summary(values: NDArray[Any], ml_per_voxel: float | None) -> dict[str, float | int]:
    """Return counts, volume and distribution of the values of the voxels inside a mask.

    Parameters
    ----------
    values : ndarray
        One number per voxel; those that are not finite are not counted in anything but ``voxels`` and ``ml``.
    ml_per_voxel : float or None

    Examples
    --------
    >>> row = summary(np.array([1.0, 2.0, 3.0, 6.0]), 0.5)
    >>> row["voxels"], row["ml"], row["mean"], round(row["sd"], 3), row["p50"], row["max"]
    (4, 2.0, 3.0, 2.16, 2.5, 6.0)
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    row: dict[str, float | int] = {
        "voxels": int(values.size),
        "ml": float("nan") if ml_per_voxel is None else values.size * ml_per_voxel,
    }
    if not finite.size:
        names = ["mean", "sd", "min", *(f"p{share}" for share in PERCENTILES), "max"]
        return {**row, **dict.fromkeys(names, float("nan"))}
    row["mean"] = float(finite.mean())
    row["sd"] = float(finite.std(ddof=1)) if finite.size > 1 else float("nan")
    row["min"] = float(finite.min())
    row.update(zip((f"p{share}" for share in PERCENTILES), map(float, np.percentile(finite, PERCENTILES)), strict=True))
    row["max"] = float(finite.max())
    return row


def definitions(units: str, is_suv: bool) -> tuple[str, ...]:
    """Return how each number was computed, a line each."""
    unit = units or "the unit of the volume"
    lines = [
        "ml: number of voxels times the volume of one",
        f"mean, sd (n - 1), min, percentiles (linear), max: of the finite values, in {unit}",
    ]
    if is_suv:
        lines += [
            f"SUVmax: the largest value inside the mask, in {unit}",
            f"SUVpeak: the largest mean in a sphere of {SPHERE_MM3 / 1000:g} cm3 centred in the mask, in {unit}",
            "MTV: volume of the mask in ml",
            f"TLG: mean times MTV, in {unit} times ml",
        ]
    return tuple(lines)


def peak(array: NDArray[Any], mask: NDArray[np.bool_], geometry: Geometry) -> float:
    """Return the largest mean in a sphere of 1 cm3 whose centre is the centre of a voxel of the mask.

    Voxels that the sphere cuts count by the share of them that lies inside. Spheres that reach beyond the image, or
    over values that are not finite, are not used.

    Parameters
    ----------
    array : ndarray
        (slice, row, column).
    mask : ndarray of bool
    geometry : Geometry

    Returns
    -------
    float
        NaN where no sphere fits into the image.

    Examples
    --------
    >>> from simple_orthanc.volume.geometry import Geometry
    >>> grid = Geometry((9, 9, 9), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> round(peak(np.full((9, 9, 9), 2.5), np.ones((9, 9, 9), bool), grid), 9)
    2.5
    """
    offsets, weights = _sphere(geometry)
    centres = np.argwhere(mask)
    reach = np.abs(offsets).max(axis=0)
    fits = ((centres >= reach) & (centres < np.array(array.shape) - reach)).all(axis=1)
    centres = centres[fits]
    if not len(centres):
        return float("nan")
    means = np.zeros(len(centres))
    for offset, weight in zip(offsets, weights, strict=True):
        slices, rows, columns = (centres + offset).T
        means += weight * array[slices, rows, columns].astype(np.float64)
    finite = means[np.isfinite(means)]
    return float(finite.max()) if finite.size else float("nan")


def _sphere(geometry: Geometry) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the voxels of the sphere as offsets (slice, row, column) and their weights, which add up to 1."""
    radius = (3 * SPHERE_MM3 / (4 * np.pi)) ** (1 / 3)
    matrix = geometry.affine[:3, :3]
    # The half extent of the sphere along each index axis is the length of a row of the inverse times the radius.
    reach = np.ceil(np.linalg.norm(np.linalg.inv(matrix), axis=1) * radius + 0.5).astype(int)
    axes = [np.arange(-limit, limit + 1) for limit in reach]
    indices = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = (np.arange(_PARTS) + 0.5) / _PARTS - 0.5
    parts = np.stack(np.meshgrid(inside, inside, inside, indexing="ij"), axis=-1).reshape(-1, 3)
    distances = np.linalg.norm((indices[:, None, :] + parts) @ matrix.T, axis=-1)
    shares = (distances <= radius).mean(axis=1)
    kept = shares > 0
    return indices[kept][:, ::-1].astype(np.int64), shares[kept] / shares.sum()


def mask_values(array: NDArray[Any], geometry: Geometry | None, mask: Any) -> NDArray[np.bool_]:
    """Return a mask as an array of bool, once it is known to lie on the grid of the image.

    Parameters
    ----------
    array : ndarray
        (slice, row, column).
    geometry : Geometry or None
    mask : Volume or array_like of bool or of 0 and 1

    Raises
    ------
    VolumeError
        The mask has another shape or place, or holds other values.
    """
    values = np.asarray(mask)
    if values.shape != array.shape:
        raise VolumeError(
            f"The mask has the shape {values.shape}, and the image {array.shape}: resample it first, with "
            "mask.resample(like=image), or read masks on the grid of the image, with get_masks(like=image)."
        )
    place = getattr(mask, "geometry", None)
    if place is not None and geometry is not None and not place.isclose(geometry, tolerance=0.1):
        raise VolumeError(
            "The mask lies elsewhere in the patient than the image, though its shape is the same: resample it first, "
            "with mask.resample(like=image), or read masks with get_masks(like=image)."
        )
    if values.dtype != bool and not np.isin(values, (0, 1)).all():
        raise VolumeError(
            "The mask holds other values than 0 and 1: compare a label map first, as in labels.array == 3."
        )
    return values.astype(bool)
